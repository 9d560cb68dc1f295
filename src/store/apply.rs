//! The heart's changes, written into their tables. Everything is an upsert under its own key: writing a change twice is writing it once.

use redb::{ReadableTable, ReadableTableMetadata, StorageError, TableError, WriteTransaction};

use super::queue::Commit;
use super::row;
use super::table::{self, SendKey, timed};
use crate::domain::case::Case;
use crate::domain::decide::Change;

/// Most status changes that are kept.
const HISTORY_MAX: u64 = 10_000;

/// Why changes could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes the heart's changes and where it stands.
pub(super) fn apply(transaction: &WriteTransaction, commit: &Commit) -> Result<(), ApplyError> {
    for change in &commit.changes {
        match change {
            Change::Case(case) => put_case(transaction, case)?,
            Change::Keep(send, request) => {
                let row = row::request_row(request);
                transaction.open_table(table::REQUESTS)?.insert(send.as_bytes(), row.as_slice())?;
            }
            Change::Drop(send) => {
                transaction.open_table(table::REQUESTS)?.remove(send.as_bytes())?;
            }
            Change::Unheard(unheard) => {
                let row = row::unheard_row(unheard);
                let mut table = transaction.open_table(table::UNHEARD)?;
                table.insert(unheard.attempt.send.as_bytes(), row.as_slice())?;
            }
            Change::Heard(send) => {
                transaction.open_table(table::UNHEARD)?.remove(send.as_bytes())?;
            }
            Change::Session(session) => {
                let row = row::session_row(session);
                let mut table = transaction.open_table(table::SESSIONS)?;
                table.insert(session.name.as_str(), row.as_slice())?;
            }
            Change::Diagnosis(_)
            | Change::Incident(_)
            | Change::Alert(_)
            | Change::Awaiting(_)
            | Change::Confirmed(_)
            | Change::Audit(_)
            | Change::Paused(_) => {}
            Change::History(change) => {
                let row = row::change_row(change);
                let mut table = transaction.open_table(table::HISTORY)?;
                table.insert((change.at.millis(), change.session.as_str()), row.as_slice())?;
                while table.len()? > HISTORY_MAX {
                    table.pop_first()?;
                }
            }
        }
    }
    let mut meta = transaction.open_table(table::META)?;
    meta.insert(table::APPLIED, commit.applied.0)?;
    // Zero stands for an intent that is not in the ledger: it says nothing about those that are.
    if commit.keep_from.0 > 0 {
        meta.insert(table::KEEP_FROM, commit.keep_from.0.min(commit.applied.0 + 1))?;
    }
    Ok(())
}

fn put_case(transaction: &WriteTransaction, case: &Case) -> Result<(), ApplyError> {
    let key = case.send.as_bytes();
    let mut cases = transaction.open_table(table::CASES)?;
    // One that cannot be read has no index entries we could find; they point at the new row then.
    let earlier = cases.get(key)?.and_then(|old| row::case_of(old.value()).ok());
    let before = earlier.as_ref().map(|old| old.failure.as_ref().map(|failure| failure.created_at));
    let merged = earlier.map(|earlier| case.clone().after(earlier));
    let case = merged.as_ref().unwrap_or(case);
    cases.insert(key, row::case_row(case).as_slice())?;
    let mut open = transaction.open_table(table::OPEN)?;
    let mut failed = transaction.open_table(table::FAILED)?;
    let mut unsettled = transaction.open_table(table::UNSETTLED)?;
    if let Some(created_at) = before.flatten()
        && case.failure.as_ref().is_none_or(|failure| failure.created_at != created_at)
    {
        open.remove(timed(created_at, case.send))?;
        failed.remove(timed(created_at, case.send))?;
    }
    if let Some(failure) = &case.failure {
        let at = timed(failure.created_at, case.send);
        failed.insert(at, ())?;
        if failure.is_open() {
            open.insert(at, ())?;
        } else {
            open.remove(at)?;
        }
    }
    if case.is_settled() {
        unsettled.remove(key)?;
    } else {
        unsettled.insert(key, ())?;
    }
    Ok(())
}

/// Removes a case and all that hangs on it.
pub(super) fn forget_case(transaction: &WriteTransaction, case: &Case) -> Result<(), ApplyError> {
    let key: &SendKey = case.send.as_bytes();
    transaction.open_table(table::CASES)?.remove(key)?;
    transaction.open_table(table::REQUESTS)?.remove(key)?;
    transaction.open_table(table::UNSETTLED)?.remove(key)?;
    if let Some(failure) = &case.failure {
        let at = timed(failure.created_at, case.send);
        transaction.open_table(table::OPEN)?.remove(at)?;
        transaction.open_table(table::FAILED)?.remove(at)?;
    }
    Ok(())
}
