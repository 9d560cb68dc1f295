//! `check`: is everything in place before the bot is pointed here? A line for each thing, with the way out where it is not.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::print;
use super::source::Api;
use super::{Failure, block_on};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::id::SessionName;
use crate::store::Store;
use crate::waha::client::WahaClient;

/// Check configuration, WAHA, key, sessions and store.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print a JSON array of {"check", "ok", "detail"}.
    #[arg(long)]
    json: bool,
}

/// One thing, and how it stands.
struct Line {
    check: String,
    ok: bool,
    detail: String,
}

pub(super) fn run(args: &CheckArgs, config: &Config) -> Result<ExitCode, Failure> {
    // That the configuration can be used is known by now: its faults end the command before.
    let mut lines = vec![Line { check: "configuration".into(), ok: true, detail: "can be used".into() }];
    block_on(ask_waha(config, &mut lines))?;
    lines.push(block_on(store(config))??);
    let ok = lines.iter().all(|line| line.ok);
    if args.json {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| json!({ "check": line.check, "ok": line.ok, "detail": line.detail }))
            .collect();
        print(&format!("{}\n", serde_json::Value::Array(lines)))?;
    } else {
        let mut text = String::new();
        for line in &lines {
            let _ = writeln!(
                text,
                "{}  {:24} {}",
                if line.ok { "ok  " } else { "FAIL" },
                line.check,
                line.detail
            );
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
        lines.push(Line { check, ok, detail: answer.unwrap_or_else(|why| why) });
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

/// A running process has the store; else the file must be ours to open.
async fn store(config: &Config) -> Result<Line, Failure> {
    let path = config.store.path.display().to_string();
    let line = |ok, detail| Line { check: "store".into(), ok, detail };
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
