//! Finding what is about one customer, a bounded part at a time, taking the customer out of the ledger's rows, and looking whether anything is
//! left (SPEC 13).

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use redb::{Key, ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::apply::ApplyError;
use super::query::{ReadError, Reader, meta, readable};
use super::row;
use super::table;
use crate::domain::case::Case;
use crate::domain::forget::Forgotten;
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
    /// Rows of the ledger about a customer, or that quote them, from `from` on, each with its send. Only rows that the heart's tables stand for,
    /// and no attempt that still runs.
    pub fn ledger_about(
        &self,
        who: &Forgotten,
        from: Position,
    ) -> Result<Found<(Position, SendId), Position>, ReadError> {
        self.guarded(|health, transaction| {
            let applied = meta(transaction, table::APPLIED)?;
            let running = self.running().lock().unwrap_or_else(PoisonError::into_inner).clone();
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
                let send = match &entry {
                    Some(Entry::Intent(intent)) if !running.contains_key(&intent.attempt) => {
                        intent.attempt.send
                    }
                    Some(Entry::Ended(ended)) => ended.attempt.send,
                    _ => continue,
                };
                if entry.is_some_and(|entry| who.is_in_entry(&entry)) {
                    found.items.push((position, send));
                }
            }
            Ok(found)
        })
    }

    /// Cases about a customer, or that quote them, after the send `after`.
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
                found.items.extend(case.filter(|case| who.is_in_case(case)));
            }
            Ok(found)
        })
    }

    /// How many rows of all tables hold the number, whoever they are about.
    pub fn rows_naming(&self, who: &Forgotten) -> Result<usize, ReadError> {
        self.complete(|_, transaction| {
            let mut count = 0;
            macro_rules! look_through {
                ($($table:ident)+) => { $(count += rows_naming(transaction, who, table::$table)?;)+ };
            }
            look_through! {
                LEDGER CASES REQUESTS UNHEARD SESSIONS HISTORY DIAGNOSES INCIDENTS ALERTS DRILLS AWAITING CONFIRMED AUDIT
            }
            Ok(count)
        })
    }
}

fn rows_naming<K: Key + 'static>(
    transaction: &ReadTransaction,
    who: &Forgotten,
    table: TableDefinition<'_, K, &'static [u8]>,
) -> Result<usize, ReadError> {
    let rows = match transaction.open_table(table) {
        Ok(rows) => rows,
        // It came later than the file was last written.
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut count = 0;
    for row in rows.iter()? {
        count += usize::from(who.is_among(row?.1.value()));
    }
    Ok(count)
}

/// Broken files that were set aside beside the store. They hold what they held.
pub fn set_aside_beside(store: &Path) -> Vec<PathBuf> {
    let Some(name) = store.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let broken = format!("{name}.broken-");
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<_> = files
        .filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&broken)))
        .map(|file| file.path())
        .collect();
    files.sort();
    files
}

/// Takes the customer out of these rows; those that are gone are gone.
pub(super) fn forget_rows(
    transaction: &WriteTransaction,
    customer: &Forgotten,
    positions: &[Position],
) -> Result<(), ApplyError> {
    let mut ledger = transaction.open_table(table::LEDGER)?;
    let mut row = Vec::with_capacity(1024);
    for position in positions {
        let entry = match ledger.get(position.0)? {
            Some(row) => row::entry_of(row.value()).ok(),
            None => None,
        };
        row.clear();
        if let Some(entry) = entry
            && row::entry_row(&customer.forget_in_entry(entry), &mut row)
        {
            ledger.insert(position.0, row.as_slice())?;
        }
    }
    Ok(())
}
