//! `failed`: whom a customer's message never reached. Here listing and showing; acting is `act`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::act::{self, OneArgs, ResolveArgs};
use super::output::{plain, print};
use super::source::Api;
use super::stored::Stored;
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;
use crate::domain::confirmation::Confirmation;
use crate::domain::id::SendId;
use crate::store::{Notifications, Order};

/// Failed notifications.
#[derive(Debug, Subcommand)]
pub(super) enum FailedCommand {
    /// List failed notifications, the newest first.
    List(ListArgs),
    /// Show one with all its attempts.
    Show(ShowArgs),
    /// Send one again now, and say how that truly ended.
    Retry(OneArgs),
    /// The customer was told another way: settle it.
    Resolve(ResolveArgs),
    /// Take one, so that nobody else calls the same customer.
    Claim(OneArgs),
    /// Open a settled one again.
    Reopen(OneArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Settled ones instead of open ones.
    #[arg(long, conflicts_with = "all")]
    resolved: bool,
    /// Open and settled ones.
    #[arg(long)]
    all: bool,
    /// The oldest first.
    #[arg(long)]
    oldest: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its id, as `failed list` prints it.
    id: SendId,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &FailedCommand, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        FailedCommand::Retry(args) => return act::retry(args, config),
        FailedCommand::Resolve(args) => return act::resolve(args, config),
        FailedCommand::Claim(args) => return act::claim(args, config),
        FailedCommand::Reopen(args) => return act::reopen(args, config),
        FailedCommand::List(args) => print(&listed(args, config)?)?,
        FailedCommand::Show(args) => {
            let item = show(args.id, config)?;
            print(&if args.json { format!("{item}\n") } else { sheet(&item) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(args: &ListArgs, config: &Config) -> Result<String, Failure> {
    let Listed { items, more } = list(args, config)?;
    if args.json {
        return Ok(format!("{}\n", Value::Array(items)));
    }
    if items.is_empty() {
        let none = if args.resolved || args.all { "none" } else { "none open: every customer was told" };
        return Ok(format!("{none}\n"));
    }
    let more = if more { "there are more: --limit up to 1000, or the API's cursor\n" } else { "" };
    Ok(format!("{}{more}", table(&items)))
}

/// A page.
struct Listed {
    items: Vec<Value>,
    more: bool,
}

fn list(args: &ListArgs, config: &Config) -> Result<Listed, Failure> {
    let limit = args.limit.to_string();
    let resolved = if args.all {
        "all"
    } else if args.resolved {
        "true"
    } else {
        "false"
    };
    let order = if args.oldest { "oldest" } else { "newest" };
    let query = [("limit", limit.as_str()), ("resolved", resolved), ("order_by", order)];
    let api = Api::new(config)?;
    if let Some(mut page) = block_on(api.get("/api/notifications/failed", &query))?? {
        let more = page.get("next_cursor").is_some_and(Value::is_string);
        return match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(Listed { items, more }),
            _ => Err(Failure::failed("the running process answered without items")),
        };
    }
    let which = match resolved {
        "all" => Notifications::All,
        "true" => Notifications::Settled,
        _ => Notifications::Open,
    };
    let order = if args.oldest { Order::OldestFirst } else { Order::NewestFirst };
    let stored = Stored::read(config)?;
    let page = stored
        .reader
        .notifications(which, order, None, usize::from(args.limit), |_| true)
        .map_err(Failure::failed)?;
    let mut items = Vec::with_capacity(page.items.len());
    for case in &page.items {
        items.extend(
            view::notification(case, confirmation(&stored, case.send)?, stored.sight())
                .map(|one| view::json(&one)),
        );
    }
    Ok(Listed { items, more: page.next.is_some() })
}

fn show(id: SendId, config: &Config) -> Result<Value, Failure> {
    let api = Api::new(config)?;
    if let Some(item) = block_on(api.get(&format!("/api/notifications/failed/{id}"), &[]))?? {
        return Ok(item);
    }
    let stored = Stored::read(config)?;
    let case = stored.reader.case(id).map_err(Failure::failed)?;
    let heard = confirmation(&stored, id)?;
    let item = case.and_then(|case| view::notification_with_attempts(&case, heard, stored.sight()));
    let item = item.map(|item| view::json(&item));
    item.ok_or_else(|| Failure::failed(format!("no failed notification has the id {id}")))
}

fn confirmation(stored: &Stored, send: SendId) -> Result<Option<Confirmation>, Failure> {
    let confirmed = stored.reader.confirmed(send).map_err(Failure::failed)?;
    Ok(confirmed.map(|confirmed| confirmed.confirmation))
}

fn word<'a>(item: &'a Value, key: &str) -> &'a str {
    item.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn table(items: &[Value]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:36}  {:14} {:10} {:20} {:16} {:16} {:>3} {:24} {:20}",
        "ID", "ORDER", "TOTAL", "CUSTOMER", "PHONE", "TYPE", "TRY", "CAUSE", "SINCE"
    );
    for item in items {
        let order = if word(item, "order_number") == "-" {
            word(item, "order_id")
        } else {
            word(item, "order_number")
        };
        let _ = writeln!(
            text,
            "{:36}  {:14} {:10} {:20} {:16} {:16} {:>3} {:24} {:20}",
            word(item, "id"),
            plain(order),
            plain(word(item, "order_total")),
            plain(word(item, "customer_name")),
            plain(word(item, "customer_phone")),
            word(item, "notification_type"),
            item.get("attempts").and_then(Value::as_u64).unwrap_or(0),
            word(item, "cause"),
            word(item, "created_at"),
        );
    }
    text
}

fn sheet(item: &Value) -> String {
    let mut text = String::new();
    for key in [
        "id",
        "notification_type",
        "order_number",
        "order_id",
        "order_total",
        "customer_name",
        "customer_phone",
        "session",
        "cause",
        "attention",
        "held",
        "claimed_by",
        "status_at_creation",
        "first_attempt",
        "last_attempt",
        "created_at",
        "resolved_at",
        "resolution_method",
        "resolved_by",
        "note",
    ] {
        let _ = writeln!(text, "{key:20} {}", plain(word(item, key)));
    }
    if let Some(evidence) = item.pointer("/finding/evidence").and_then(Value::as_str) {
        let _ = writeln!(text, "{:20} {}", "diagnosis", plain(evidence));
    }
    for line in item.get("timeline").and_then(Value::as_array).into_iter().flatten() {
        let number = line.get("number").and_then(Value::as_u64).unwrap_or(0);
        let _ = writeln!(
            text,
            "  attempt {number:<3} {}  {:10} {:22} {}",
            word(line, "started_at"),
            word(line, "outcome"),
            word(line, "cause"),
            plain(word(line, "detail")),
        );
    }
    text
}
