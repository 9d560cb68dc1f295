//! What goes of the heart's records, and what never does.
//!
//! Incidents that are over and alerts that were told go like settled notifications, after `store.resolved_for`, or before it where there
//! are too many of them; open ones and untold ones never. Confirmations go with the ledger rows of their send; what is left of them, and
//! of sends whose ack nobody waits for any more, is swept up here. The audit keeps its length by itself, where it is written.

use std::ops::Bound;
use std::time::Duration;

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use tokio::time::Instant;

use super::{STEP_CHANGES, Step};
use crate::clock::instant;
use crate::domain::id::SendId;
use crate::domain::retention::RetentionPolicy;
use crate::domain::time::Timestamp;
use crate::store::row;
use crate::store::table::{self, RecordKey, timed_record};
use crate::store::write_error::WriteError;

/// Most incidents that are kept, open ones aside.
const INCIDENTS_MAX: u64 = 10_000;
/// Most alerts that are kept, untold ones aside.
const ALERTS_MAX: u64 = 10_000;

/// Where the look at the records stands.
pub(super) enum Sweep {
    /// All were looked at, then.
    Done(Option<Instant>),
    /// In this table, after this key.
    At(Part, Option<RecordKey>),
}

/// The tables, in the order they are looked at.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Incidents,
    Alerts,
    Awaiting,
    Confirmed,
}

impl Part {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Incidents => Some(Self::Alerts),
            Self::Alerts => Some(Self::Awaiting),
            Self::Awaiting => Some(Self::Confirmed),
            Self::Confirmed => None,
        }
    }
}

impl Sweep {
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self, Self::At(..))
    }

    /// One step, where it is time for one.
    pub(super) fn step(
        &mut self,
        transaction: &WriteTransaction,
        retention: &RetentionPolicy,
        every: Duration,
        now: Timestamp,
        step: &mut Step,
    ) -> Result<(), WriteError> {
        let (part, after) = match *self {
            Self::Done(Some(at)) if instant() - at < every => return Ok(()),
            Self::Done(_) => (Part::Incidents, None),
            Self::At(part, after) => (part, after),
        };
        let stands = match part {
            Part::Incidents => incidents(transaction, retention, now, after, step)?,
            Part::Alerts => alerts(transaction, retention, now, after, step)?,
            Part::Awaiting => {
                let accepted_at = |_, row: &[u8]| row::awaiting_of(row).ok().map(|row| row.accepted_at);
                oldest(transaction, table::AWAITING, retention.sends_before(now), after, step, accepted_at)?
            }
            Part::Confirmed => {
                let heard_at = |send, row: &[u8]| row::confirmed_of(send, row).ok().map(|row| row.at);
                oldest(transaction, table::CONFIRMED, retention.sends_before(now), after, step, heard_at)?
            }
        };
        *self = match (stands, part.next()) {
            (Some(key), _) => Self::At(part, Some(key)),
            (None, Some(part)) => Self::At(part, None),
            (None, None) => Self::Done(Some(instant())),
        };
        Ok(())
    }
}

type Table<'a> = TableDefinition<'a, RecordKey, &'static [u8]>;

/// Looks at the next rows of `table` after `after`, in the order they were made, and takes away those that `goes` says. The last key that
/// was looked at, and how many went; no key at the end.
fn walk(
    transaction: &WriteTransaction,
    table: Table<'_>,
    after: Option<RecordKey>,
    step: &mut Step,
    mut goes: impl FnMut(RecordKey, &[u8]) -> bool,
) -> Result<(Option<RecordKey>, usize), WriteError> {
    let mut table = transaction.open_table(table)?;
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut last, mut gone) = (None, Vec::new());
    for row in table.range::<RecordKey>((from, Bound::Unbounded))?.take(STEP_CHANGES) {
        let (key, row) = row?;
        let key = key.value();
        last = Some(key);
        if goes(key, row.value()) {
            gone.push(key);
        }
    }
    for key in &gone {
        table.remove(key)?;
    }
    step.changed |= !gone.is_empty();
    Ok((last, gone.len()))
}

fn incidents(
    transaction: &WriteTransaction,
    retention: &RetentionPolicy,
    now: Timestamp,
    after: Option<RecordKey>,
    step: &mut Step,
) -> Result<Option<RecordKey>, WriteError> {
    let mut excess = excess(transaction, table::INCIDENTS, INCIDENTS_MAX)?;
    let mut listed = Vec::new();
    let (last, _) = walk(transaction, table::INCIDENTS, after, step, |_, row| {
        let Ok(incident) = row::incident_of(row) else { return false };
        let goes = is_over(incident.end, retention, now, &mut excess);
        if goes {
            listed.push(timed_record(incident.start, incident.id));
        }
        goes
    })?;
    let mut index = transaction.open_table(table::INCIDENTS_AT)?;
    for key in listed {
        index.remove(key)?;
    }
    Ok(last)
}

fn alerts(
    transaction: &WriteTransaction,
    retention: &RetentionPolicy,
    now: Timestamp,
    after: Option<RecordKey>,
    step: &mut Step,
) -> Result<Option<RecordKey>, WriteError> {
    let mut excess = excess(transaction, table::ALERTS, ALERTS_MAX)?;
    let told = |row: &[u8]| row::alert_of(row).ok().and_then(|alert| alert.over());
    let (last, _) = walk(transaction, table::ALERTS, after, step, |_, row| {
        is_over(told(row), retention, now, &mut excess)
    })?;
    Ok(last)
}

/// Rows older than `cutoff` go, as long as there are any among the first: ids ascend, so the oldest come first.
fn oldest(
    transaction: &WriteTransaction,
    table: Table<'_>,
    cutoff: Timestamp,
    after: Option<RecordKey>,
    step: &mut Step,
    at: impl Fn(SendId, &[u8]) -> Option<Timestamp>,
) -> Result<Option<RecordKey>, WriteError> {
    let (last, gone) = walk(transaction, table, after, step, |key, row| {
        at(SendId::from_bytes(key), row).is_some_and(|at| at < cutoff)
    })?;
    Ok(last.filter(|_| gone > 0))
}

/// Is a record that ended then not needed any more? What is not over always is.
fn is_over(ended: Option<Timestamp>, retention: &RetentionPolicy, now: Timestamp, excess: &mut u64) -> bool {
    let Some(ended) = ended else { return false };
    if now.since(ended) < retention.resolved_for && *excess == 0 {
        return false;
    }
    *excess = excess.saturating_sub(1);
    true
}

fn excess(transaction: &WriteTransaction, table: Table<'_>, max: u64) -> Result<u64, WriteError> {
    Ok(transaction.open_table(table)?.len()?.saturating_sub(max))
}
