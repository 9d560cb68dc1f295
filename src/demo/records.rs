//! What the closed store says.

use std::path::Path;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::domain::case::Case;
use crate::domain::outcome::Outcome;
use crate::store::{Notifications, Order, Reader, SendSummary, Store};

/// Rows read at a time.
const PAGE: usize = 1_000;

/// One recorded send.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) order_number: Option<String>,
    pub(super) accepted: bool,
    pub(super) attempts: u32,
}

/// Everything recorded, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) sends: Vec<Sent>,
    /// The order numbers of open failed notifications.
    pub(super) open: Vec<Option<String>>,
}

impl Records {
    /// Reads the file at `path`, which no process has open.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let reader =
            Store::open_read_only(path, Clock::system()).context("failed to open the demo's store")?;
        Self::all(&reader).context("failed to read the demo's store")
    }

    fn all(reader: &Reader) -> anyhow::Result<Self> {
        let mut records = Self::default();
        let mut after = None;
        loop {
            let page = reader.sends(Order::OldestFirst, after, PAGE, |_| true)?;
            records.sends.extend(page.items.iter().map(Sent::of));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut after = None;
        loop {
            let page =
                reader.notifications(Notifications::Open, Order::OldestFirst, after, PAGE, |_| true)?;
            let number = |case: &Case| case.what.order.order_number.clone().map(String::from);
            records.open.extend(page.items.iter().map(number));
            after = page.next;
            if after.is_none() {
                return Ok(records);
            }
        }
    }
}

impl Sent {
    fn of(send: &SendSummary) -> Self {
        Self {
            order_number: send.what.order.order_number.clone().map(String::from),
            accepted: send.outcome == Outcome::Accepted,
            attempts: send.attempts,
        }
    }
}
