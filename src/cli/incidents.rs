//! `incidents` and `incidents show`: when the bot could not speak, for how long, and whom it left untold.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::{plain, print};
use super::source::Api;
use super::stored::Stored;
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;
use crate::domain::id::RecordId;
use crate::words;

/// List incidents, the newest first.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct IncidentsArgs {
    #[command(subcommand)]
    command: Option<IncidentsCommand>,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Debug, Subcommand)]
enum IncidentsCommand {
    /// Show one with its timeline.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Its id, as `incidents` prints it.
    id: RecordId,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &IncidentsArgs, config: &Config) -> Result<(), Failure> {
    if let Some(IncidentsCommand::Show(args)) = &args.command {
        let item = show(args.id, config)?;
        return print(&if args.json { format!("{item}\n") } else { sheet(&item) });
    }
    let items = list(args.limit, config)?;
    if args.json {
        return print(&format!("{}\n", Value::Array(items)));
    }
    if items.is_empty() {
        return print("none: the bot could always speak\n");
    }
    print(&table(&items))
}

fn list(limit: u16, config: &Config) -> Result<Vec<Value>, Failure> {
    let api = Api::new(config)?;
    let query = [("limit", limit.to_string())];
    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
    if let Some(mut page) = block_on(api.get("/api/incidents", &query))?? {
        return match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Failure::failed("the running process answered without items")),
        };
    }
    let stored = Stored::read(config)?;
    let incidents = stored.reader.incidents(None, usize::from(limit)).map_err(Failure::failed)?;
    Ok(incidents.iter().map(|one| view::json(&view::incident(one, stored.language, stored.now))).collect())
}

fn show(id: RecordId, config: &Config) -> Result<Value, Failure> {
    let api = Api::new(config)?;
    if let Some(item) = block_on(api.get(&format!("/api/incidents/{id}"), &[]))?? {
        return Ok(item);
    }
    let stored = Stored::read(config)?;
    let incident = stored.reader.incident(id).map_err(Failure::failed)?;
    let incident = incident.ok_or_else(|| Failure::failed(format!("no incident has the id {id}")))?;
    Ok(view::json(&view::incident(&incident, stored.language, stored.now)))
}

fn word<'a>(item: &'a Value, key: &str) -> &'a str {
    item.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn number(item: &Value, key: &str) -> u64 {
    item.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn lasted(item: &Value) -> String {
    let span = words::duration(Duration::from_secs(number(item, "downtime_seconds")));
    if is_open(item) { format!("{span} so far") } else { span }
}

/// How many were left for people, which its end tells.
fn left(item: &Value) -> String {
    if is_open(item) { "-".to_owned() } else { number(item, "left").to_string() }
}

fn is_open(item: &Value) -> bool {
    item.get("end").is_some_and(Value::is_null)
}

fn table(items: &[Value]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:36}  {:14} {:24} {:20} {:22} {:>8} {:>8} {:>5}",
        "ID", "SESSION", "START", "LASTED", "WORST", "AFFECTED", "REPLAYED", "LEFT"
    );
    for item in items {
        let _ = writeln!(
            text,
            "{:36}  {:14} {:24} {:20} {:22} {:>8} {:>8} {:>5}",
            word(item, "id"),
            plain(word(item, "session")),
            word(item, "start"),
            lasted(item),
            word(item, "worst_status"),
            number(item, "affected"),
            number(item, "replayed"),
            left(item),
        );
    }
    text
}

fn sheet(item: &Value) -> String {
    let mut text = String::new();
    for key in ["id", "session", "start", "end", "worst_status"] {
        let _ = writeln!(text, "{key:16} {}", plain(word(item, key)));
    }
    let _ = writeln!(text, "{:16} {}", "lasted", lasted(item));
    for key in ["affected", "replayed"] {
        let _ = writeln!(text, "{key:16} {}", number(item, key));
    }
    let _ = writeln!(text, "{:16} {}", "left", left(item));
    for line in item.get("timeline").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(
            text,
            "  {}  {:22} {}",
            word(line, "at"),
            word(line, "status"),
            plain(word(line, "reason"))
        );
    }
    for send in item.get("affected_notifications").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(text, "  affected: {}", send.as_str().unwrap_or("-"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_many_are_left_is_told_by_its_end_alone() {
        assert_eq!(left(&json!({"end": null, "left": 0})), "-");
        assert_eq!(left(&json!({"end": "2026-11-24T20:33:03.591Z", "left": 2})), "2");
    }
}
