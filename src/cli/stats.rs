//! `stats`: how the last day went.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::output::print;
use super::records::cell;
use super::source::Api;
use super::stored::Stored;
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;

/// Show how the last day went.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Status changes read.
const HISTORY: usize = 200;

pub(super) fn run(args: &StatsArgs, config: &Config) -> Result<(), Failure> {
    let api = Api::new(config)?;
    let stats = match block_on(api.get("/api/stats", &[]))?? {
        Some(stats) => stats,
        None => stored(config)?,
    };
    if args.json {
        return print(&format!("{stats}\n"));
    }
    print(&sheet(&stats))
}

fn stored(config: &Config) -> Result<Value, Failure> {
    let stored = Stored::read(config)?;
    let counts = stored.reader.stats().map_err(Failure::failed)?;
    let bytes = std::fs::metadata(&config.store.path).map_or(0, |metadata| metadata.len());
    let mut history = stored.reader.history(None, HISTORY + 1).map_err(Failure::failed)?;
    history.retain(|change| stored.now.since(change.at) < view::DAY);
    let cut = history.len() > HISTORY;
    history.truncate(HISTORY);
    let counts = view::StoreCounts::new(&counts, bytes);
    Ok(view::json(&view::stats(stored.sight(), &history, cut, Some(counts))))
}

fn sheet(stats: &Value) -> String {
    let at = |pointer: &str| cell(stats.pointer(pointer));
    let mut text = String::new();
    for (title, span) in [("last 24 hours", "/last_24h"), ("last 15 minutes", "/last_15m")] {
        let rate = stats.pointer(&format!("{span}/success_rate")).and_then(Value::as_f64);
        let rate = rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let count = |outcome: &str| at(&format!("{span}/sends/{outcome}"));
        let _ = writeln!(
            text,
            "{title:16} accepted {}, rejected {}, failed {}, ambiguous {}; success {rate}; p50 {} ms, p95 {} ms",
            count("accepted"),
            count("rejected"),
            count("failed"),
            count("ambiguous"),
            at(&format!("{span}/latency_p50_ms")),
            at(&format!("{span}/latency_p95_ms")),
        );
    }
    let _ = writeln!(
        text,
        "{:16} {} ({} unnotified, {} for manual attention, {} claimed)",
        "open",
        at("/open/total"),
        at("/open/by_attention/unnotified"),
        at("/open/by_attention/manual"),
        at("/open/claimed"),
    );
    let _ = writeln!(
        text,
        "{:16} {} to be sent again, {} for people, done at {}",
        "recovery",
        at("/recovery/pending"),
        at("/recovery/held"),
        at("/recovery/finish_at"),
    );
    let _ = writeln!(
        text,
        "{:16} {} rows, {} notifications, {} bytes",
        "store",
        at("/store/ledger_rows"),
        at("/store/notifications"),
        at("/store/file_bytes"),
    );
    for change in stats.get("history").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| cell(change.get(key));
        let _ = writeln!(
            text,
            "  {}  {}: {} -> {} ({})",
            word("at"),
            word("session"),
            word("from"),
            word("status"),
            word("reason_code"),
        );
    }
    text
}
