//! Finding what is about one customer, a bounded part at a time, and taking the customer out of the ledger's rows (SPEC 13).

use std::ops::Bound;

use redb::{ReadableTable as _, WriteTransaction};

use super::apply::ApplyError;
use super::query::{ReadError, Reader, meta, readable};
use super::row;
use super::table;
use crate::domain::case::Case;
use crate::domain::forget::{Forgotten, forget_in_entry};
use crate::domain::id::SendId;
use crate::domain::ledger::{Entry, Position};

/// A part of what was looked at.
#[derive(Debug)]
pub struct Found<T, C> {
    /// What is about the customer.
    pub items: Vec<T>,
    /// Where to look next; `None` at the end.
    pub next: Option<C>,
}

/// Rows looked at in one snapshot.
const LOOKED_AT: usize = 10_000;

impl Reader {
    /// Rows of the ledger about a customer, from `from` on, each with its send. Only rows that the heart's tables stand for, and no attempt
    /// that still runs.
    pub fn ledger_about(
        &self,
        who: &Forgotten,
        from: Position,
    ) -> Result<Found<(Position, SendId), Position>, ReadError> {
        self.guarded(|health, transaction| {
            let applied = meta(transaction, table::APPLIED)?;
            let keep_from = meta(transaction, table::KEEP_FROM)?;
            let ledger = transaction.open_table(table::LEDGER)?;
            let mut found = Found { items: Vec::new(), next: None };
            if from.0 > applied {
                return Ok(found);
            }
            let mut rows = ledger.range(from.0..=applied)?;
            for _ in 0..LOOKED_AT {
                let Some(row) = rows.next() else { return Ok(found) };
                let (position, row) = row?;
                let position = Position(position.value());
                found.next = Some(Position(position.0 + 1));
                let entry = readable(health, "ledger", &position.0, row::entry_of(row.value()));
                let (send, what) = match entry {
                    // It may still run.
                    Some(Entry::Intent(intent)) if position.0 < keep_from => {
                        (intent.attempt.send, intent.what)
                    }
                    Some(Entry::Ended(ended)) => (ended.attempt.send, ended.what),
                    _ => continue,
                };
                if who.is_in(&what) {
                    found.items.push((position, send));
                }
            }
            Ok(found)
        })
    }

    /// Cases about a customer, after the send `after`.
    pub fn cases_about(
        &self,
        who: &Forgotten,
        after: Option<SendId>,
    ) -> Result<Found<Case, SendId>, ReadError> {
        self.guarded(|health, transaction| {
            let cases = transaction.open_table(table::CASES)?;
            let from = after.as_ref().map_or(Bound::Unbounded, |send| Bound::Excluded(send.as_bytes()));
            let mut found = Found { items: Vec::new(), next: None };
            let mut rows = cases.range::<&[u8; 16]>((from, Bound::Unbounded))?;
            for _ in 0..LOOKED_AT {
                let Some(row) = rows.next() else {
                    found.next = None;
                    return Ok(found);
                };
                let (send, row) = row?;
                let send = SendId::from_bytes(send.value());
                found.next = Some(send);
                let case = readable(health, "cases", &send, row::case_of(row.value()));
                found.items.extend(case.filter(|case| who.is_in(&case.what)));
            }
            Ok(found)
        })
    }
}

/// Takes the customer out of these rows; those that are gone are gone.
pub(super) fn forget_rows(transaction: &WriteTransaction, positions: &[Position]) -> Result<(), ApplyError> {
    let mut ledger = transaction.open_table(table::LEDGER)?;
    let mut row = Vec::with_capacity(1024);
    for position in positions {
        let entry = match ledger.get(position.0)? {
            Some(row) => row::entry_of(row.value()).ok(),
            None => None,
        };
        if let Some(entry) = entry
            && row::entry_row(&forget_in_entry(entry), &mut row)
        {
            ledger.insert(position.0, row.as_slice())?;
        }
    }
    Ok(())
}
