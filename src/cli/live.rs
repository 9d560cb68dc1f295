//! What only a running process tells: `events` and `logs`, as they come.

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::sleep;

use super::output::{Reader, plain, print_to};
use super::records::cell;
use super::source::Api;
use super::{Failure, block_on};
use crate::config::Config;

/// So often a followed log is asked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// Longest line of the stream, in bytes; ours are far shorter.
const LINE_MAX: usize = 256 * 1024;

/// News as they happen.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Print each event's JSON, one a line.
    #[arg(long)]
    json: bool,
    /// End after so many.
    #[arg(long)]
    count: Option<u64>,
    /// Go on after this event's id.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
}

/// Lines of the log.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Print each line as JSON.
    #[arg(long)]
    json: bool,
    /// So many of the newest.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// This level and graver ones.
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Go on as lines come, until interrupted.
    #[arg(long, short)]
    follow: bool,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

pub(super) fn events(args: &EventsArgs, config: &Config) -> Result<(), Failure> {
    let api = Api::new(config)?;
    block_on(async {
        let after = args.after.map(|id| id.to_string()).unwrap_or_default();
        let query: &[(&str, &str)] = &[("last_event_id", after.as_str())];
        let answer = api.open("/api/events", query).await?.ok_or_else(|| nobody(config))?;
        let mut stream = answer.bytes_stream();
        let (mut pending, mut event, mut seen) = (Vec::new(), Event::default(), 0);
        while let Some(bytes) = stream.next().await {
            let Ok(bytes) = bytes else { break };
            pending.extend_from_slice(&bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let Some(told) = event.take(String::from_utf8_lossy(&line).trim_end()) else { continue };
                let line = if args.json { format!("{told}\n") } else { shown(&told) };
                seen += 1;
                let enough = args.count.is_some_and(|count| seen >= count);
                if print_to(&line)? == Reader::Gone || enough {
                    return Ok(());
                }
            }
            if pending.len() > LINE_MAX {
                return Err(Failure::failed("the running process sends a line that never ends"));
            }
        }
        Err(Failure::failed("the running process ended, or let us go"))
    })?
}

/// An event that is being read.
#[derive(Default)]
struct Event {
    id: String,
    data: String,
}

impl Event {
    /// Takes a line; gives what it completes.
    fn take(&mut self, line: &str) -> Option<Value> {
        if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut self.id);
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.data.push_str(data);
        } else if line.is_empty() && !self.data.is_empty() {
            let mut told: Value = serde_json::from_str(&std::mem::take(&mut self.data)).ok()?;
            if let (Some(told), Ok(id)) = (told.as_object_mut(), self.id.parse::<u64>()) {
                told.insert("id".to_owned(), id.into());
            }
            return Some(told);
        }
        None
    }
}

/// `when NAME key=value …`
fn shown(told: &Value) -> String {
    let word = |key: &str| cell(told.get(key));
    let rest = told.as_object().into_iter().flatten();
    let rest = rest.filter(|(key, _)| !["id", "type", "timestamp"].contains(&key.as_str()));
    let rest: String = rest.map(|(key, value)| format!(" {key}={}", cell(Some(value)))).collect();
    format!("{} {:29}{rest}\n", word("timestamp"), word("type"))
}

pub(super) fn logs(args: &LogsArgs, config: &Config) -> Result<(), Failure> {
    let api = Api::new(config)?;
    let level = args.level.and_then(|level| level.to_possible_value());
    let level = level.map(|level| level.get_name().to_owned()).unwrap_or_default();
    block_on(async {
        let limit = args.limit.to_string();
        let query = [("limit", limit.as_str()), ("level", level.as_str())];
        let mut lines = lines(&api, &query).await?.ok_or_else(|| nobody(config))?;
        lines.reverse();
        let mut newest = "0".to_owned();
        loop {
            let text: String = lines.iter().map(|line| logged(line, args.json)).collect();
            if let Some(id) = lines.last().and_then(|line| line.get("id")).and_then(Value::as_u64) {
                newest = id.to_string();
            }
            if print_to(&text)? == Reader::Gone || !args.follow {
                return Ok(());
            }
            sleep(FOLLOW_EVERY).await;
            let query = [
                ("limit", "1000"),
                ("level", level.as_str()),
                ("order_by", "oldest"),
                ("cursor", newest.as_str()),
            ];
            lines = self::lines(&api, &query)
                .await?
                .ok_or_else(|| Failure::failed("the running process ended"))?;
        }
    })?
}

async fn lines(api: &Api, query: &[(&str, &str)]) -> Result<Option<Vec<Value>>, Failure> {
    let Some(mut page) = api.get("/api/logs", query).await? else { return Ok(None) };
    match page.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(Some(items)),
        _ => Err(Failure::failed("the running process answered without items")),
    }
}

fn logged(line: &Value, json: bool) -> String {
    if json {
        return format!("{line}\n");
    }
    let word = |key: &str| line.get(key).and_then(Value::as_str).map(plain).unwrap_or_default();
    let fields = line.get("fields").and_then(Value::as_object).into_iter().flatten();
    let fields: String = fields.map(|(key, value)| format!(" {key}={}", cell(Some(value)))).collect();
    format!("{} {:5} {}{fields}\n", word("at"), word("level").to_uppercase(), word("message"))
}

fn nobody(config: &Config) -> Failure {
    Failure::failed(format!(
        "no waha-watchdog runs at {} (admin.listen), and only a running one can tell",
        config.admin.listen
    ))
}
