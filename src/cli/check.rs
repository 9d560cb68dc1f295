//! `check`: is everything in place before the bot is pointed here? A line for each thing, with the way out where it is not.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::print;
use super::source::Api;
use super::{Failure, block_on};
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, LivenessSource, PagingOwner};
use crate::domain::bot::BotFound;
use crate::domain::id::SessionName;
use crate::store::Store;
use crate::waha::client::WahaClient;

/// Check configuration, WAHA, key, sessions, store and alert channels.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print a JSON array of {"check", "ok", "level", "detail"}.
    #[arg(long)]
    json: bool,
}

/// One thing, and how it stands.
struct Line {
    check: String,
    level: Level,
    detail: String,
}

/// Well, worth a thought, or not well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    const fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Fail }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

pub(super) fn run(args: &CheckArgs, config: &Config) -> Result<ExitCode, Failure> {
    // That the configuration can be used is known by now: its faults end the command before.
    let mut lines =
        vec![Line { check: "configuration".into(), level: Level::Ok, detail: "can be used".into() }];
    block_on(ask_waha(config, &mut lines))?;
    block_on(ask_bot(config, &mut lines))?;
    lines.push(block_on(store(config))??);
    block_on(alert_routes(config, &mut lines))?;
    let ok = lines.iter().all(|line| line.level != Level::Fail);
    if args.json {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| {
                let ok = line.level != Level::Fail;
                json!({ "check": line.check, "ok": ok, "level": line.level.as_str(), "detail": line.detail })
            })
            .collect();
        print(&format!("{}\n", serde_json::Value::Array(lines)))?;
    } else {
        let mut text = String::new();
        for line in &lines {
            let mark = match line.level {
                Level::Ok => "ok  ",
                Level::Warn => "WARN",
                Level::Fail => "FAIL",
            };
            let _ = writeln!(text, "{mark}  {:24} {}", line.check, line.detail);
        }
        print(&text)?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask_waha(config: &Config, lines: &mut Vec<Line>) {
    let key = config.waha.api_key.as_ref().map(|key| key.expose().to_owned());
    let keyless = key.is_none();
    let ca = config.waha.ca_file.as_ref().and_then(|path| std::fs::read(path).ok());
    let mut line = |check: String, answer: Result<String, String>| {
        let ok = answer.is_ok();
        lines.push(Line { check, level: Level::of(ok), detail: answer.unwrap_or_else(|why| why) });
        ok
    };
    let client = match WahaClient::new(config.waha.url.to_string(), key, ca.as_deref()) {
        Ok(client) => client,
        Err(error) => {
            line("waha.url".into(), Err(error.to_string()));
            return;
        }
    };
    let ping =
        client.ping().await.map(|()| format!("{} answers", config.waha.url)).map_err(|why| why.to_string());
    if !line("waha.url".into(), ping) {
        return;
    }
    for name in config.waha.sessions.iter().filter_map(|name| SessionName::new(name)) {
        let status = match client.session_status(&name).await {
            Ok(status) if status == "WORKING" => Ok(status),
            Ok(status) => Err(format!("{status}: it cannot send; look at it in WAHA's dashboard")),
            Err(why) if keyless => Err(format!("{why} (waha.api_key is not set)")),
            Err(why) => Err(why.to_string()),
        };
        line(format!("session {name}"), status);
    }
}

/// Does the bot answer where it is asked whether it lives?
async fn ask_bot(config: &Config, lines: &mut Vec<Line>) {
    let mut line = |level, detail: String| lines.push(Line { check: "bot.health_url".into(), level, detail });
    let bot = match app::bot_health_of(config) {
        Ok(Some(bot)) => bot,
        Ok(None) => return,
        Err(error) => return line(Level::Fail, format!("{error:#}")),
    };
    if config.offline.source != LivenessSource::Probe {
        return line(Level::Warn, "is never asked: offline.source is not \"probe\"".into());
    }
    let limit = config.healthcheck.timeout;
    match bot.ask(limit).await {
        BotFound::Alive => line(Level::Ok, "the bot answers".into()),
        BotFound::Unwell => line(Level::Fail, "what answers there does not answer 2xx".into()),
        BotFound::TimedOut => line(Level::Fail, format!("does not answer within {} s", limit.as_secs_f64())),
        BotFound::Unreachable | BotFound::NotAsked => {
            line(Level::Fail, "nobody answers there: is the bot running?".into());
        }
    }
}

/// Each way to the admins, as far as it can be tried without telling them anything; and whether all of them hang on WAHA.
async fn alert_routes(config: &Config, lines: &mut Vec<Line>) {
    let pages = match config.alerts.owner {
        PagingOwner::Alertmanager => "Alertmanager pages, by Prometheus' rules alone",
        PagingOwner::Push => "Alertmanager pages, by Prometheus' rules and by what we push",
        PagingOwner::Direct => "we page, by PagerDuty",
    };
    lines.push(Line { check: "paging.owner".into(), level: Level::Ok, detail: pages.into() });
    if config.alerts.admin_phone.is_some() {
        let detail = "goes through WAHA; `alert test whatsapp` tries it".into();
        lines.push(Line { check: "alerts.whatsapp".into(), level: Level::Ok, detail });
    }
    let reached = match app::channels_of(config, &Clock::system()) {
        Ok(channels) => channels.reach().await,
        Err(error) => {
            lines.push(Line { check: "alerts".into(), level: Level::Fail, detail: format!("{error:#}") });
            return;
        }
    };
    for (name, reached) in reached {
        let level = Level::of(reached.is_ok());
        lines.push(Line {
            check: format!("alerts.{name}"),
            level,
            detail: reached.unwrap_or_else(|why| why),
        });
    }
    if let Some(why) = app::shared_fate(config) {
        lines.push(Line { check: "alerts".into(), level: Level::Warn, detail: why.into() });
    }
}

/// A running process has the store; else the file must be ours to open.
async fn store(config: &Config) -> Result<Line, Failure> {
    let path = config.store.path.display().to_string();
    let line = |ok, detail| Line { check: "store".into(), level: Level::of(ok), detail };
    if let Some(ready) = Api::new(config)?.get("/readyz", &[]).await? {
        let recording = ready.pointer("/store/recording") == Some(&serde_json::Value::Bool(true));
        let reason = ready.pointer("/store/reason").and_then(serde_json::Value::as_str).unwrap_or("");
        let detail = if recording {
            "the running process records".to_owned()
        } else {
            format!("the running process does not record: {reason}")
        };
        return Ok(line(recording, detail));
    }
    if !config.store.path.exists() {
        return Ok(line(true, format!("{path} will be made at the first start")));
    }
    Ok(match Store::open_read_only(&config.store.path, Clock::system()).and_then(|reader| reader.stats()) {
        Ok(stats) => {
            line(true, format!("{path}: {} entries, {} open notifications", stats.ledger_rows, stats.open))
        }
        Err(error) => line(false, error.to_string()),
    })
}
