//! The log: to standard error, as text or JSON lines, and its newest lines kept in memory for whoever asks through the API. What must not be
//! in it is kept out by the types that print masked.

mod recent;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

pub use recent::{Line, Recent, recent};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts logging at `level`, a word such as `info` or a filter such as `waha_watchdog=debug`.
///
/// # Errors
/// Where the filter cannot be read, or logging was started before.
pub fn start(level: &str, format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)?;
    let lines = fmt::layer::<Registry>()
        .with_writer(std::io::stderr)
        // It would complain to standard error, and panic where that is what is broken: nobody's thread dies of a log that nobody reads.
        .log_internal_errors(false)
        .with_target(false);
    let lines = match format {
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let started =
        tracing_subscriber::registry().with(lines.and_then(recent::Keep).with_filter(filter)).try_init();
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
