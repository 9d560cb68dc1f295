//! Reading what the heart made of the sends: incidents, alerts, findings, confirmations, and who did what.
//!
//! The tables of these came later than those of `query`. A file that was opened for reading only and was last written before they came
//! lacks them, and then holds none of these.

use std::ops::Bound;
use std::sync::Arc;

use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, Value};

use super::health::Health;
use super::query::{Loaded, NotificationCursor, Page, ReadError, Reader, meta, readable};
use super::row::{self, Kind, RowError};
use super::table::{self, TimedKey, timed, timed_record};
use crate::domain::alert::Alert;
use crate::domain::case::Case;
use crate::domain::command::Audit;
use crate::domain::confirmation::Confirmed;
use crate::domain::id::{RecordId, SendId};
use crate::domain::incident::Incident;
use crate::domain::outcome::Outcome;
use crate::domain::send::Description;
use crate::domain::time::Timestamp;

/// Most index rows looked at for one page; where rows are missing that often, it goes on with the next page.
const LOOKED_AT_MAX: usize = 5_000;
/// Most accepted sends that are looked up for the heart's start.
const ACCEPTED_MAX: usize = 10_000;
/// Most ledger rows looked at for them.
const ACCEPTED_LOOKED_AT_MAX: usize = 100_000;
/// So many older rows in a row, and there are none younger before them: rows stand in the order they were recorded, which a full disk or a
/// clock that was set may have made another one than that of their moments.
const OLDER_MAX: usize = 1_000;

/// Where a list by moment goes on: what came before this one.
pub type Before = (i64, RecordId);

impl Reader {
    /// Incidents, the newest first: those that began before `before`.
    pub fn incidents(&self, before: Option<Before>, limit: usize) -> Result<Vec<Incident>, ReadError> {
        self.guarded(|health, transaction| {
            let Some(index) = there(transaction, table::INCIDENTS_AT)? else { return Ok(Vec::new()) };
            let Some(rows) = there(transaction, table::INCIDENTS)? else { return Ok(Vec::new()) };
            let mut incidents = Vec::new();
            for key in index.range::<TimedKey>((Bound::Unbounded, end(before)))?.rev().take(limit) {
                let (_, id) = key?.0.value();
                let Some(row) = rows.get(id)? else { continue };
                let incident = row::incident_of(row.value());
                incidents.extend(readable(health, "incidents", &RecordId::from_bytes(id), incident));
            }
            Ok(incidents)
        })
    }

    /// One incident.
    pub fn incident(&self, id: RecordId) -> Result<Option<Incident>, ReadError> {
        self.guarded(|_, transaction| {
            let Some(table) = there(transaction, table::INCIDENTS)? else { return Ok(None) };
            let row = table.get(id.as_bytes())?;
            let incident = row.map(|row| row::incident_of(row.value())).transpose();
            incident.map_err(|source| unreadable("incidents", &id, source))
        })
    }

    /// Alerts, told or not, the newest first.
    pub fn alerts(&self, limit: usize) -> Result<Vec<Alert>, ReadError> {
        self.guarded(|health, transaction| {
            let Some(table) = there(transaction, table::ALERTS)? else { return Ok(Vec::new()) };
            let mut alerts = Vec::new();
            for row in table.iter()?.rev().take(limit) {
                let (id, row) = row?;
                let id = RecordId::from_bytes(id.value());
                alerts.extend(readable(health, "alerts", &id, row::alert_of(row.value())));
            }
            Ok(alerts)
        })
    }

    /// One alert.
    pub fn alert(&self, id: RecordId) -> Result<Option<Alert>, ReadError> {
        self.guarded(|_, transaction| {
            let Some(table) = there(transaction, table::ALERTS)? else { return Ok(None) };
            let row = table.get(id.as_bytes())?;
            let alert = row.map(|row| row::alert_of(row.value())).transpose();
            alert.map_err(|source| unreadable("alerts", &id, source))
        })
    }

    /// Who did what, the newest first: what was done before `before`.
    pub fn audit(&self, before: Option<Before>, limit: usize) -> Result<Vec<Audit>, ReadError> {
        self.guarded(|health, transaction| {
            let Some(table) = there(transaction, table::AUDIT)? else { return Ok(Vec::new()) };
            let mut lines = Vec::new();
            for row in table.range::<TimedKey>((Bound::Unbounded, end(before)))?.rev().take(limit) {
                let (key, row) = row?;
                let id = RecordId::from_bytes(key.value().1);
                lines.extend(readable(health, "audit", &id, row::audit_of(row.value())));
            }
            Ok(lines)
        })
    }

    /// A page of communication failures, the newest first: the cases whose diagnosis found something, by when it did.
    pub fn communication_failures(
        &self,
        after: Option<NotificationCursor>,
        limit: usize,
    ) -> Result<Page<Case, NotificationCursor>, ReadError> {
        self.guarded(|health, transaction| {
            let mut page = Page { items: Vec::new(), next: None };
            let Some(index) = there(transaction, table::FINDINGS)? else { return Ok(page) };
            let cases = transaction.open_table(table::CASES)?;
            let end = match after {
                Some(cursor) => Bound::Excluded(timed(cursor.created_at, cursor.send)),
                None => Bound::Unbounded,
            };
            let mut keys = index.range::<TimedKey>((Bound::Unbounded, end))?;
            let mut cursor = None;
            for _ in 0..LOOKED_AT_MAX {
                if page.items.len() == limit {
                    break;
                }
                let Some(key) = keys.next_back() else { return Ok(page) };
                let (at, send) = key?.0.value();
                let send = SendId::from_bytes(send);
                cursor = Some(NotificationCursor { created_at: Timestamp::from_millis(at), send });
                let Some(row) = cases.get(send.as_bytes())? else { continue };
                page.items.extend(readable(health, "cases", &send, row::case_of(row.value())));
            }
            page.next = cursor;
            Ok(page)
        })
    }

    /// How far an accepted send got, where that is known.
    pub fn confirmed(&self, send: SendId) -> Result<Option<Confirmed>, ReadError> {
        self.guarded(|_, transaction| {
            let Some(table) = there(transaction, table::CONFIRMED)? else { return Ok(None) };
            let row = table.get(send.as_bytes())?;
            let confirmed = row.map(|row| row::confirmed_of(send, row.value())).transpose();
            confirmed.map_err(|source| unreadable("confirmed", &send, source))
        })
    }

    /// What was accepted from `from` on and when, the newest first and a bounded number of them.
    pub fn accepted_since(&self, from: Timestamp) -> Result<Vec<(Arc<Description>, Timestamp)>, ReadError> {
        self.complete(|health, transaction| {
            let ledger = transaction.open_table(table::LEDGER)?;
            let mut accepted = Vec::new();
            let mut older = 0;
            for row in ledger.iter()?.rev().take(ACCEPTED_LOOKED_AT_MAX) {
                let (position, row) = row?;
                let (position, row) = (position.value(), row.value());
                let Some(glance) = readable(health, "ledger", &position, row::glance(row)) else { continue };
                if glance.at < from {
                    older += 1;
                    if older == OLDER_MAX {
                        break;
                    }
                    continue;
                }
                older = 0;
                if glance.kind == Kind::Intent {
                    continue;
                }
                let Some(send) = readable(health, "ledger", &position, row::summary_of(row)) else {
                    continue;
                };
                if send.outcome == Outcome::Accepted {
                    accepted.push((send.what, glance.at));
                    if accepted.len() == ACCEPTED_MAX {
                        break;
                    }
                }
            }
            Ok(accepted)
        })
    }
}

/// The part of what the heart starts from that is read here.
pub(super) fn load_records(
    health: &Health,
    transaction: &ReadTransaction,
    loaded: &mut Loaded,
) -> Result<(), ReadError> {
    loaded.stored.paused = meta(transaction, table::RECOVERY_PAUSED)? != 0;
    if let Some(table) = there(transaction, table::DIAGNOSES)? {
        for row in table.iter()? {
            let (session, row) = row?;
            let diagnosis = row::diagnosis_of(row.value());
            loaded.stored.diagnoses.extend(readable(health, "diagnoses", &session.value(), diagnosis));
        }
    }
    if let Some(table) = there(transaction, table::INCIDENTS)? {
        for row in table.iter()? {
            let (id, row) = row?;
            let id = RecordId::from_bytes(id.value());
            let incident = readable(health, "incidents", &id, row::incident_of(row.value()));
            loaded.stored.incidents.extend(incident.filter(|incident| incident.end.is_none()));
        }
    }
    if let Some(table) = there(transaction, table::ALERTS)? {
        for row in table.iter()? {
            let (id, row) = row?;
            let id = RecordId::from_bytes(id.value());
            let alert = readable(health, "alerts", &id, row::alert_of(row.value()));
            loaded.stored.alerts.extend(alert.filter(|alert| alert.over().is_none()));
        }
    }
    if let Some(table) = there(transaction, table::DRILLS)?
        && let Some((id, row)) = table.last()?
    {
        let id = RecordId::from_bytes(id.value());
        loaded.stored.drill = readable(health, "drills", &id, row::drill_of(row.value()));
    }
    if let Some(table) = there(transaction, table::AWAITING)? {
        for row in table.iter()? {
            let (send, row) = row?;
            let send = SendId::from_bytes(send.value());
            loaded.stored.awaiting.extend(readable(health, "awaiting", &send, row::awaiting_of(row.value())));
        }
    }
    Ok(())
}

/// A table, where the file has it.
fn there<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, ReadError> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn end(before: Option<Before>) -> Bound<TimedKey> {
    match before {
        Some((at, id)) => Bound::Excluded(timed_record(Timestamp::from_millis(at), id)),
        None => Bound::Unbounded,
    }
}

fn unreadable(table: &'static str, key: &dyn std::fmt::Display, source: RowError) -> ReadError {
    ReadError::Row { table, key: key.to_string(), source }
}
