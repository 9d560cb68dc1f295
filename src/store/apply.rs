//! The heart's changes, written into their tables. Everything is an upsert under its own key: writing a change twice is writing it once.

use redb::{ReadableTable, ReadableTableMetadata, StorageError, TableError, WriteTransaction};

use super::forget::forget_rows;
use super::queue::Commit;
use super::row;
use super::table::{self, SendKey, timed, timed_record};
use crate::clock::Mark;
use crate::domain::case::Case;
use crate::domain::decide::Change;
use crate::domain::incident::Incident;

/// Most status changes that are kept.
const HISTORY_MAX: u64 = 10_000;
/// Drills that are kept.
const DRILLS_MAX: u64 = 100;
/// Most lines of the audit that are kept.
const AUDIT_MAX: u64 = 100_000;

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
            Change::Diagnosis(diagnosis) => {
                let row = row::diagnosis_row(diagnosis);
                let mut table = transaction.open_table(table::DIAGNOSES)?;
                table.insert(diagnosis.session.as_str(), row.as_slice())?;
            }
            Change::Incident(incident) => put_incident(transaction, incident)?,
            Change::Alert(alert) => {
                let row = row::alert_row(alert);
                transaction.open_table(table::ALERTS)?.insert(alert.id.as_bytes(), row.as_slice())?;
            }
            // Many at a time: see `put_confirmations`.
            Change::Awaiting(_) | Change::Confirmed(_) => {}
            Change::Audit(audit) => {
                let row = row::audit_row(audit);
                let mut table = transaction.open_table(table::AUDIT)?;
                table.insert(timed_record(audit.at, audit.id), row.as_slice())?;
                while table.len()? > AUDIT_MAX {
                    table.pop_first()?;
                }
            }
            Change::Forget(customer, positions) => forget_rows(transaction, customer, positions)?,
            Change::Rewrite => {
                transaction.open_table(table::META)?.insert(table::REWRITE, 1)?;
            }
            Change::Paused(paused) => {
                transaction.open_table(table::META)?.insert(table::RECOVERY_PAUSED, u64::from(*paused))?;
            }
            Change::Drill(drill) => {
                let row = row::drill_row(drill);
                let mut table = transaction.open_table(table::DRILLS)?;
                table.insert(drill.id.as_bytes(), row.as_slice())?;
                while table.len()? > DRILLS_MAX {
                    table.pop_first()?;
                }
            }
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
    put_confirmations(transaction, &commit.changes)?;
    let mut meta = transaction.open_table(table::META)?;
    meta.insert(table::APPLIED, commit.applied.0)?;
    // Zero stands for an intent that is not in the ledger: it says nothing about those that are.
    if commit.keep_from.0 > 0 {
        meta.insert(table::KEEP_FROM, commit.keep_from.0.min(commit.applied.0 + 1))?;
    }
    Ok(())
}

/// There is one for each accepted send, so their tables are opened once for all of them: opening one costs more than a row.
fn put_confirmations(transaction: &WriteTransaction, changes: &[Change]) -> Result<(), ApplyError> {
    let concerned = |change: &&Change| matches!(change, Change::Awaiting(_) | Change::Confirmed(_));
    let mut changes = changes.iter().filter(concerned).peekable();
    if changes.peek().is_none() {
        return Ok(());
    }
    let mut awaiting = transaction.open_table(table::AWAITING)?;
    let mut confirmed = transaction.open_table(table::CONFIRMED)?;
    for change in changes {
        match change {
            Change::Awaiting(one) => {
                awaiting.insert(one.send.as_bytes(), row::awaiting_row(one).as_slice())?;
            }
            Change::Confirmed(one) => {
                awaiting.remove(one.send.as_bytes())?;
                confirmed.insert(one.send.as_bytes(), row::confirmed_row(one).as_slice())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes down where the clock stands, for a later process.
pub(super) fn put_mark(transaction: &WriteTransaction, mark: Mark) -> Result<(), ApplyError> {
    let mut meta = transaction.open_table(table::META)?;
    let [now, up, boot] = table::CLOCK;
    meta.insert(now, u64::try_from(mark.now.millis()).unwrap_or(0))?;
    meta.insert(up, u64::try_from(mark.up.as_millis()).unwrap_or(u64::MAX))?;
    meta.insert(boot, mark.boot)?;
    Ok(())
}

fn put_case(transaction: &WriteTransaction, case: &Case) -> Result<(), ApplyError> {
    let key = case.send.as_bytes();
    let mut cases = transaction.open_table(table::CASES)?;
    // One that cannot be read has no index entries we could find; they point at the new row then.
    let earlier = cases.get(key)?.and_then(|old| row::case_of(old.value()).ok());
    let before = earlier.as_ref().map(|old| old.failure.as_ref().map(|failure| failure.created_at));
    let found_before = earlier.as_ref().and_then(|old| old.finding.as_ref().map(|finding| finding.at));
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
    let found = case.finding.as_ref().map(|finding| finding.at);
    if found != found_before {
        let mut findings = transaction.open_table(table::FINDINGS)?;
        if let Some(at) = found_before {
            findings.remove(timed(at, case.send))?;
        }
        if let Some(at) = found {
            findings.insert(timed(at, case.send), ())?;
        }
    }
    Ok(())
}

fn put_incident(transaction: &WriteTransaction, incident: &Incident) -> Result<(), ApplyError> {
    let key = incident.id.as_bytes();
    let mut incidents = transaction.open_table(table::INCIDENTS)?;
    let mut index = transaction.open_table(table::INCIDENTS_AT)?;
    let earlier = incidents.get(key)?.and_then(|old| row::incident_of(old.value()).ok());
    if let Some(earlier) = earlier.filter(|earlier| earlier.start != incident.start) {
        index.remove(timed_record(earlier.start, earlier.id))?;
    }
    incidents.insert(key, row::incident_row(incident).as_slice())?;
    index.insert(timed_record(incident.start, incident.id), ())?;
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
    if let Some(finding) = &case.finding {
        transaction.open_table(table::FINDINGS)?.remove(timed(finding.at, case.send))?;
    }
    Ok(())
}
