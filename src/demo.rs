//! `demo`: the sidecar at work, in one process and without WhatsApp.
//!
//! A pretend WAHA, a bot that places an order every second, an outage, its end. The sidecar between them is the real one, with its real
//! listeners and a real store; what is told of it is what anybody could ask its API. When it is over the store is closed and counted, and
//! the counts are laid beside what the bot did and what the pretend phones display: where they do not agree, the demo fails.
//!
//! - `setting`: the sidecar's configuration and the place of its store. `order`, `bot`: the shop. `stage`: what happens when.
//! - `api`: the sidecar as its users see it. `event`: what happens. `teller`: says it, as `story` to people or as JSON to machines.
//! - `book`: what the bot did. `records`: what the store says. `summary`: both compared. `closing`: that as a table.
//!
//! It reads no configuration file: it shows what anyone gets who changes nothing.

mod api;
mod book;
mod bot;
mod closing;
mod event;
mod order;
mod paint;
mod records;
mod setting;
mod signals;
mod stage;
mod story;
mod summary;
mod teller;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use self::event::{Event, Started};
use self::records::Records;
use self::setting::StorePlace;
use self::signals::Wishes;
use self::stage::{Plan, Stage};
use self::summary::Summary;
use self::teller::Teller;
use crate::app::{self, StartError};
use crate::clock::Clock;
use crate::config::{ConfigFaults, Locale, parse_duration};
use crate::fake_waha::{FakeWaha, Options};
use crate::logging::{self, Format};

/// See it work, without WhatsApp: a pretend WAHA, a bot placing orders, an outage and its end
///
/// One process, nothing to set up: the sidecar is the real one, WAHA and the customers' phones are not. The terminal tells what
/// happens; the addresses it prints can be opened in a browser meanwhile. Ctrl-C ends it, at any time, with a summary that is
/// counted in the store. No configuration file is read.
///
/// Exit code 0 where the store, the bot and the phones agree, 1 where they do not.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End by itself after so long, as 60s; without it, it runs until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,

    /// One JSON object a line instead of the story; the last one is the summary
    #[arg(long)]
    json: bool,

    /// The language of the story
    #[arg(long, value_enum, default_value_t = Lang::Es)]
    lang: Lang,

    /// When WAHA goes down
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    outage_after: Duration,

    /// How long it stays down
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    outage_for: Duration,

    /// How often a customer orders
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    every: Duration,

    /// How long the bot waits before its second attempt; it doubles for the third and the fourth
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    retry_wait: Duration,

    /// Where the bot's side listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    proxy: SocketAddr,

    /// Where the people's side listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    admin: SocketAddr,

    /// Keep the store in this new file; without it, it goes when the demo ends
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,

    /// Write the sidecar's own log to standard error, at this level
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "info")]
    log: Option<String>,
}

/// The language of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lang {
    /// Spanish
    Es,
    /// English
    En,
}

impl Lang {
    fn pick<T>(self, es: T, en: T) -> T {
        match self {
            Self::Es => es,
            Self::En => en,
        }
    }

    const fn locale(self) -> Locale {
        match self {
            Self::Es => Locale::Es,
            Self::En => Locale::En,
        }
    }
}

/// Longest span that can be asked for: beyond it the clock has no moments.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| "a whole number and a unit, above zero and up to 30d: 500ms, 15s, 2m".to_owned())
}

/// Why a demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The addresses asked for cannot be used.
    #[error(transparent)]
    Faults(#[from] ConfigFaults),
    /// The sidecar did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else, numbers that do not agree among it.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs the demo to its end.
///
/// # Errors
/// Where it cannot run, and where its numbers do not agree at the end.
pub fn run(args: &DemoArgs) -> Result<(), DemoError> {
    if let Some(level) = &args.log {
        logging::start(level, if args.json { Format::Json } else { Format::Text })?;
    }
    let wishes = Wishes::listen()?;
    let clock = Clock::system();
    let place = StorePlace::new(args.store.as_deref(), &clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to make a runtime")?;
    let waha = runtime.block_on(FakeWaha::start(Options::default())).context("the pretend WAHA")?;
    let config = setting::config(args, &waha.url(), place.path())?;
    let running = app::start(&config)?;
    let teller = Arc::new(Teller::new(args, clock, wishes.clone()));
    let plan = Plan::of(args);
    teller.tell(&Event::Started(Started::new(&plan, &running, &waha, &place)));

    let stage = Stage::new(plan, waha, &running, Arc::clone(&teller), wishes.clone())?;
    let (book, waha) = runtime.block_on(stage.play());
    let handle = running.handle();
    handle.stop();
    runtime.spawn(async move {
        wishes.cut.cancelled().await;
        handle.kill();
    });
    running.join();
    let phones = waha.phones();
    runtime.block_on(waha.shutdown());

    // The sidecar is gone: what is counted now is what is on disk.
    let records = Records::read(place.path())?;
    let summary = Summary::of(&book, &records, &phones, &place);
    let agree = summary.agree;
    let differences = summary.differences.join("\n  ");
    teller.tell(&Event::Summary(summary));
    teller.finish().context("the story could not be told to its end")?;
    if agree { Ok(()) } else { Err(anyhow::anyhow!("the numbers do not agree:\n  {differences}").into()) }
}
