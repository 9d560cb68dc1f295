//! `status`: is the bot speaking? Exit code 0 where it is (or nothing is known against it), 1 where it is not.
//!
//! Beside a running process it asks that one. Without, nothing speaks (1), and it tells what the store's file says of the last run.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::print;
use super::source::Api;
use super::stored::Stored;
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;
use crate::store::{StoreHealth, StoreState};

/// Show the bot's status.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs, config: &Config) -> Result<ExitCode, Failure> {
    let api = Api::new(config)?;
    let status = block_on(api.get("/api/bot/status", &[]))??;
    let runs = status.is_some();
    let status = match status {
        Some(status) => status,
        None => stored(config)?,
    };
    let word = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    if args.json {
        print(&format!("{status}\n"))?;
    } else {
        if !runs {
            print(&format!("nothing runs at {} (admin.listen); when it last did:\n", config.admin.listen))?;
        }
        print(&format!(
            "{} ({}) since {}\n{}\n{}\norders whose customer was not told: {}\nlast success: {}\n{}",
            word("status"),
            word("confidence"),
            word("since"),
            word("reason"),
            word("interpretation"),
            status.get("orders_unnotified").and_then(Value::as_u64).unwrap_or(0),
            word("last_success"),
            more(&status),
        ))?;
    }
    let speaks = runs && matches!(word("status").as_str(), "online" | "degraded" | "unknown");
    Ok(if speaks { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stored(config: &Config) -> Result<Value, Failure> {
    let stored = Stored::read(config)?;
    let (reason, since) = ("nothing runs".to_owned(), stored.now);
    let health = StoreHealth { state: StoreState::Closed, reason, since };
    Ok(view::json(&view::bot_status(stored.sight(), &health)))
}

/// What probes, the event feed and the way back look like, a line each.
fn more(status: &Value) -> String {
    let at = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let is = |pointer: &str| status.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    let mut text = String::new();
    if let Some(session) = at("/waha_session_status") {
        let failing = if is("/healthcheck_failing") { ", failing" } else { "" };
        let when = at("/last_healthcheck").unwrap_or("-");
        let _ = writeln!(text, "healthcheck: {session}{failing} ({when})");
    }
    if let Some(instruction) = at("/instruction") {
        let _ = writeln!(text, "what to do: {instruction}");
    }
    let blind = if is("/events/blind") { ", but it shows nothing of what is sent" } else { "" };
    let _ = writeln!(text, "events: {}{blind}", at("/events/state").unwrap_or("-"));
    let _ = writeln!(text, "accepted and not acknowledged yet: {}", count("/unacknowledged"));
    let paused = if is("/recovery/paused") { "paused, " } else { "" };
    let finish = at("/recovery/finish_at").map(|at| format!(", done at about {at}")).unwrap_or_default();
    let (pending, held) = (count("/recovery/pending"), count("/recovery/held"));
    let _ = writeln!(text, "recovery: {paused}{pending} to be sent again, {held} for people{finish}");
    if let Some(incident) = at("/incident") {
        let _ = writeln!(text, "incident: {incident}");
    }
    text
}
