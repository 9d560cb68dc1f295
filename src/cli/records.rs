//! Lists: `orders`, `failures`, `sends`, `audit`. Beside a running process from its API, without one from the store's file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::output::{plain, print};
use super::source::Api;
use super::stored::Stored;
use super::{Failure, block_on};
use crate::admin::view;
use crate::config::Config;
use crate::domain::case::Case;
use crate::domain::notification::Failure as Open;
use crate::store::Order;

/// A list.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Which list.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Orders,
    Failures,
    Sends,
    Audit,
}

/// A column: its title, its key, its width.
type Column = (&'static str, &'static str, usize);

impl List {
    const fn path(self) -> &'static str {
        match self {
            Self::Orders => "/api/orders/unnotified",
            Self::Failures => "/api/communication-failures",
            Self::Sends => "/api/sends",
            Self::Audit => "/api/audit",
        }
    }

    const fn columns(self) -> &'static [Column] {
        match self {
            Self::Orders => &[
                ("ORDER", "order_number", 14),
                ("TOTAL", "order_total", 10),
                ("CUSTOMER", "customer_name", 20),
                ("PHONE", "customer_phone", 16),
                ("TYPES", "types", 16),
                ("ATTENTION", "attention", 10),
                ("CLAIMED BY", "claimed_by", 12),
                ("SINCE", "since", 24),
            ],
            Self::Failures => &[
                ("ID", "id", 36),
                ("ORDER", "order_number", 14),
                ("FOUND", "failure_type", 24),
                ("CUSTOMER REACHED", "diagnostic_user_reached", 16),
                ("ADMIN REACHED", "diagnostic_admin_reached", 13),
                ("CREATED", "created_at", 24),
                ("RESOLVED", "resolution_method", 16),
            ],
            Self::Sends => &[
                ("ID", "send_id", 36),
                ("ORDER", "order_number", 14),
                ("CHAT", "chat_id", 26),
                ("TYPE", "notification_type", 16),
                ("OUTCOME", "outcome", 10),
                ("CAUSE", "cause", 22),
                ("TRY", "attempts", 3),
                ("LAST", "last_at", 24),
            ],
            Self::Audit => {
                &[("AT", "at", 24), ("WHO", "who", 16), ("ACTION", "action", 18), ("TARGET", "target", 36)]
            }
        }
    }

    const fn none(self) -> &'static str {
        match self {
            Self::Orders => "none: every customer was told\n",
            Self::Failures => "none: no diagnosis was needed\n",
            Self::Sends => "none: nothing was sent\n",
            Self::Audit => "none: nobody did anything\n",
        }
    }

    fn stored(self, stored: &Stored, limit: usize) -> Result<Vec<Value>, Failure> {
        let (reader, language) = (&stored.reader, stored.language);
        Ok(match self {
            Self::Orders => unnotified(stored, limit),
            Self::Failures => {
                let page = reader.communication_failures(None, limit).map_err(Failure::failed)?;
                let shown = page.items.iter().filter_map(|case| view::communication_failure(case, language));
                shown.map(|one| view::json(&one)).collect()
            }
            Self::Sends => {
                let page =
                    reader.sends(Order::NewestFirst, None, limit, |_| true).map_err(Failure::failed)?;
                page.items.iter().map(|one| view::json(&view::send(one))).collect()
            }
            Self::Audit => {
                let lines = reader.audit(None, limit).map_err(Failure::failed)?;
                lines.iter().map(|one| view::json(&view::audit(one))).collect()
            }
        })
    }
}

pub(super) fn run(list: List, args: &ListArgs, config: &Config) -> Result<(), Failure> {
    let mut items = items(list, args, config)?;
    items.truncate(usize::from(args.limit));
    if args.json {
        return print(&format!("{}\n", Value::Array(items)));
    }
    print(&if items.is_empty() { list.none().to_owned() } else { table(list.columns(), &items) })
}

fn items(list: List, args: &ListArgs, config: &Config) -> Result<Vec<Value>, Failure> {
    let api = Api::new(config)?;
    let limit = args.limit.to_string();
    if let Some(mut page) = block_on(api.get(list.path(), &[("limit", limit.as_str())]))?? {
        return match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Failure::failed("the running process answered without items")),
        };
    }
    list.stored(&Stored::read(config)?, usize::from(args.limit))
}

/// Open failed notifications by order, the longest waiting first.
fn unnotified(stored: &Stored, limit: usize) -> Vec<Value> {
    let sight = stored.sight();
    let mut orders: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    let open = |case: &&Case| case.failure.as_ref().is_some_and(Open::is_open);
    for case in sight.state.cases().values().filter(open) {
        let key = case.what.order.key().map_or_else(|| case.send.to_string(), str::to_owned);
        orders.entry(key).or_default().push(case);
    }
    let since = |case: &Case| (case.failure.as_ref().map(|failure| failure.created_at), case.send);
    let mut orders: Vec<Vec<&Case>> = orders.into_values().collect();
    orders.iter_mut().for_each(|cases| cases.sort_unstable_by_key(|case| since(case)));
    orders.sort_unstable_by_key(|cases| cases.first().map(|case| since(case)));
    let shown = orders.iter().filter_map(|cases| view::unnotified(cases, sight.now));
    shown.take(limit).map(|one| view::json(&one)).collect()
}

fn table(columns: &[Column], items: &[Value]) -> String {
    let mut text = String::new();
    for (title, _, width) in columns {
        let _ = write!(text, "{title:width$}  ");
    }
    end(&mut text);
    for item in items {
        for (_, key, width) in columns {
            let _ = write!(text, "{:width$}  ", cell(named(item, key)));
        }
        end(&mut text);
    }
    text
}

/// What stands under a key. An order that people have no number for has its id.
fn named<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    let value = item.get(key).filter(|value| !value.is_null());
    value.or_else(|| if key == "order_number" { item.get("order_id") } else { None })
}

/// Ends a line, without blanks before its end.
fn end(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// A value in a cell or behind a `=`.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Bool(yes)) => (if *yes { "yes" } else { "no" }).to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(","),
        Some(other) => plain(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_without_a_number_has_its_id() {
        let items = [
            json!({"order_number": "ORD-1", "order_id": "o1"}),
            json!({"order_number": null, "order_id": "o2"}),
            json!({"order_number": null, "order_id": null}),
        ];
        assert_eq!(table(&[("ORDER", "order_number", 6)], &items), "ORDER\nORD-1\no2\n-\n");
    }
}
