//! Reading: what the heart takes up at its start, and what people ask for.
//!
//! Calls block for as long as the pages they touch take to come; pages of fifty rows are a matter of microseconds once cached. Each call
//! reads one snapshot and lets go of it, so no reader keeps the writer from using freed pages again. A row that cannot be read is passed
//! over, counted and logged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::file::ReadOnly;
use super::health::Health;
use super::records::load_records;
use super::row::{self, Kind, RowError};
use super::table::{self, TimedKey, timed};
use super::{Shared, StoreState};
use crate::clock::Mark;
use crate::domain::case::Case;
use crate::domain::decide::Stored;
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, Entry, Intent, Position, StoredRequest};
use crate::domain::status::StatusChange;
use crate::domain::time::Timestamp;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no open store right now.
    #[error("the store cannot be read right now: {0}. It is tried again by itself")]
    Unavailable(String),
    /// The database says so.
    #[error("the store could not be read: {0}")]
    Storage(String),
    /// The file is damaged.
    #[error("the store is damaged: {0}. It is verified by itself, and set aside where that confirms it")]
    Damaged(String),
    /// The one row that was asked for.
    #[error("the row {key} of {table} could not be read: {source}")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// Why.
        source: RowError,
    },
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseClosed => Self::Unavailable("it was closed meanwhile".to_owned()),
            error @ (redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::Backend(_)) => {
                Self::Storage(error.to_string())
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// Intents without a recorded outcome, and where they stand.
pub(super) type Running = Mutex<BTreeMap<AttemptId, Position>>;

/// Reads the store. Cheap to clone.
#[derive(Clone)]
pub struct Reader(Source);

#[derive(Clone)]
enum Source {
    Live(Arc<Shared>),
    Offline(Arc<Offline>),
}

/// A store no process has open.
pub(super) struct Offline {
    file: ReadOnly,
    health: Health,
    running: Running,
}

/// Everything the heart starts from.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The heart's state, as far as one row each tells it.
    pub stored: Stored,
    /// Where the clock stood at the heart's last commit.
    pub clock: Option<Mark>,
    /// Intents that are applied already and whose outcome is not in the ledger up to there.
    pub intents: Vec<(Position, Intent)>,
    /// The position the cases and sessions stand for: entries after it are still to be applied.
    pub applied: Position,
    /// The last position in this snapshot.
    pub last: Position,
}

fn mark(transaction: &ReadTransaction) -> Result<Option<Mark>, ReadError> {
    let [now, up, boot] = table::CLOCK;
    let (now, up, boot) = (meta(transaction, now)?, meta(transaction, up)?, meta(transaction, boot)?);
    let now = Timestamp::from_millis(i64::try_from(now).unwrap_or(i64::MAX));
    Ok((boot != 0).then_some(Mark { now, up: Duration::from_millis(up), boot }))
}

/// In which direction to turn the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<T, C> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<C>,
}

/// Where a page of notifications begins: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationCursor {
    /// When it was created.
    pub created_at: Timestamp,
    /// Its send.
    pub send: SendId,
}

/// Which notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifications {
    /// Those that wait for somebody.
    Open,
    /// Those that do not.
    Settled,
    /// All.
    All,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Rows of the ledger.
    pub ledger_rows: u64,
    /// Cases.
    pub cases: u64,
    /// Open notifications.
    pub open: u64,
    /// Notifications, open or settled.
    pub notifications: u64,
    /// Requests kept for replay.
    pub requests: u64,
    /// The position the heart's tables stand for.
    pub applied: Position,
    /// The last position.
    pub last: Position,
}

/// Most rows looked at for one page; a filter that fits nothing ends there and goes on with the next page.
const LOOKED_AT_MAX: usize = 5_000;

impl Reader {
    pub(super) const fn live(shared: Arc<Shared>) -> Self {
        Self(Source::Live(shared))
    }

    pub(super) fn offline(file: ReadOnly, health: Health) -> Result<Self, ReadError> {
        let offline = Offline { file, health, running: Running::default() };
        let reader = Self(Source::Offline(Arc::new(offline)));
        let running = reader.guarded(|_, transaction| Ok(tail(transaction)?.running))?;
        *reader.running().lock().unwrap_or_else(PoisonError::into_inner) = running;
        Ok(reader)
    }

    /// Has the store been closed for good?
    pub(super) fn is_closed(&self) -> bool {
        match &self.0 {
            Source::Live(shared) => shared.health.state() == StoreState::Closed,
            Source::Offline(_) => false,
        }
    }

    pub(super) fn health(&self) -> &Health {
        match &self.0 {
            Source::Live(shared) => &shared.health,
            Source::Offline(offline) => &offline.health,
        }
    }

    pub(super) fn running(&self) -> &Running {
        match &self.0 {
            Source::Live(shared) => &shared.running,
            Source::Offline(offline) => &offline.running,
        }
    }

    fn begin(&self) -> Result<ReadTransaction, ReadError> {
        Ok(match &self.0 {
            Source::Live(shared) => {
                let db = shared.db.read().unwrap_or_else(PoisonError::into_inner);
                let db = db.as_ref().ok_or_else(|| ReadError::Unavailable(shared.health.look().reason))?;
                db.begin_read()?
            }
            Source::Offline(offline) => match &offline.file {
                ReadOnly::Clean(db) => db.begin_read()?,
                ReadOnly::Repaired(db) => db.begin_read()?,
            },
        })
    }

    /// Runs `read` on a snapshot. Where the database trips over its own pages, the writer is called to have the file verified.
    pub(super) fn guarded<T>(
        &self,
        read: impl FnOnce(&Health, &ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let tripped = |error: ReadError| {
            if let Source::Live(shared) = &self.0 {
                shared.suspect();
            }
            error
        };
        let panicked = || tripped(ReadError::Damaged("the database panicked".to_owned()));
        let transaction = match catch_unwind(AssertUnwindSafe(|| self.begin())) {
            Ok(begun) => begun?,
            Err(_) => return Err(panicked()),
        };
        match catch_unwind(AssertUnwindSafe(|| read(self.health(), &transaction))) {
            Ok(Err(error @ (ReadError::Storage(_) | ReadError::Damaged(_)))) => Err(tripped(error)),
            Ok(result) => result,
            Err(_) => Err(panicked()),
        }
    }

    /// The same where the ledger is read and nothing of it may be missing: what is in the journal alone is put there first.
    pub(super) fn complete<T>(
        &self,
        read: impl FnOnce(&Health, &ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if !self.show_all() {
            return Err(ReadError::Unavailable("the disk answers too slowly".to_owned()));
        }
        self.guarded(read)
    }

    /// The same for people, to whom something older is better than nothing.
    pub(super) fn latest<T>(
        &self,
        read: impl FnOnce(&Health, &ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let _older = self.show_all();
        self.guarded(read)
    }

    fn show_all(&self) -> bool {
        match &self.0 {
            Source::Live(shared) => shared.show_all(),
            Source::Offline(_) => true,
        }
    }

    /// What the heart starts from. The entries after `applied` come from [`Self::entries`].
    pub fn load(&self) -> Result<Loaded, ReadError> {
        self.complete(|health, transaction| {
            let cases = transaction.open_table(table::CASES)?;
            let mut loaded =
                Loaded { applied: meta(transaction, table::APPLIED)?.into(), ..Loaded::default() };
            for send in transaction.open_table(table::UNSETTLED)?.iter()? {
                let send = SendId::from_bytes(send?.0.value());
                let Some(row) = cases.get(send.as_bytes())? else { continue };
                loaded.stored.cases.extend(readable(health, "cases", &send, row::case_of(row.value())));
            }
            for session in transaction.open_table(table::SESSIONS)?.iter()? {
                let (name, row) = session?;
                loaded.stored.sessions.extend(readable(
                    health,
                    "sessions",
                    &name.value(),
                    row::session_of(row.value()),
                ));
            }
            for unheard in transaction.open_table(table::UNHEARD)?.iter()? {
                let (send, row) = unheard?;
                let send = SendId::from_bytes(send.value());
                loaded.stored.unheard.extend(readable(
                    health,
                    "unheard",
                    &send,
                    row::unheard_of(row.value()),
                ));
            }
            load_records(health, transaction, &mut loaded)?;
            loaded.clock = mark(transaction)?;
            let ledger = transaction.open_table(table::LEDGER)?;
            loaded.last = last(&ledger)?.max(loaded.applied);
            let keep_from = meta(transaction, table::KEEP_FROM)?;
            let mut intents = BTreeMap::new();
            for row in ledger.range(keep_from..=loaded.applied.0)? {
                let (position, row) = row?;
                let position = Position(position.value());
                match readable(health, "ledger", &position.0, row::entry_of(row.value())) {
                    Some(Entry::Intent(intent)) => {
                        intents.insert(intent.attempt, (position, intent));
                    }
                    Some(Entry::Ended(ended)) => {
                        intents.remove(&ended.attempt);
                    }
                    Some(Entry::Begun(_)) | None => {}
                }
            }
            loaded.intents = intents.into_values().collect();
            loaded.intents.sort_unstable_by_key(|(position, _)| *position);
            Ok(loaded)
        })
    }

    /// Up to `limit` entries of the ledger, from `from` to `upto` and both included. Less than `limit` of them are all there are.
    pub fn entries(
        &self,
        from: Position,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Entry)>, ReadError> {
        self.complete(|health, transaction| {
            let ledger = transaction.open_table(table::LEDGER)?;
            let mut entries = Vec::new();
            if from > upto {
                return Ok(entries);
            }
            for row in ledger.range(from.0..=upto.0)? {
                let (position, row) = row?;
                let position = Position(position.value());
                let entry = readable(health, "ledger", &position.0, row::entry_of(row.value()));
                entries.extend(entry.map(|entry| (position, entry)));
                if entries.len() == limit {
                    break;
                }
            }
            Ok(entries)
        })
    }

    /// One case.
    pub fn case(&self, send: SendId) -> Result<Option<Case>, ReadError> {
        self.guarded(|_, transaction| {
            let row = transaction.open_table(table::CASES)?.get(send.as_bytes())?;
            let case = row.map(|row| row::case_of(row.value())).transpose();
            case.map_err(|source| ReadError::Row { table: "cases", key: send.to_string(), source })
        })
    }

    /// The request kept for a send.
    pub fn request(&self, send: SendId) -> Result<Option<StoredRequest>, ReadError> {
        self.guarded(|_, transaction| {
            let row = transaction.open_table(table::REQUESTS)?.get(send.as_bytes())?;
            let request = row.map(|row| row::request_of(row.value())).transpose();
            request.map_err(|source| ReadError::Row { table: "requests", key: send.to_string(), source })
        })
    }

    /// A page of failed notifications by creation. `wanted` chooses among them.
    pub fn notifications(
        &self,
        which: Notifications,
        order: Order,
        after: Option<NotificationCursor>,
        limit: usize,
        wanted: impl Fn(&Case) -> bool,
    ) -> Result<Page<Case, NotificationCursor>, ReadError> {
        self.guarded(|health, transaction| {
            let cases = transaction.open_table(table::CASES)?;
            let index = match which {
                Notifications::Open => transaction.open_table(table::OPEN)?,
                Notifications::Settled | Notifications::All => transaction.open_table(table::FAILED)?,
            };
            let after = after.map(|cursor| timed(cursor.created_at, cursor.send));
            let range: (Bound<TimedKey>, Bound<TimedKey>) = match (order, after) {
                (_, None) => (Bound::Unbounded, Bound::Unbounded),
                (Order::OldestFirst, Some(key)) => (Bound::Excluded(key), Bound::Unbounded),
                (Order::NewestFirst, Some(key)) => (Bound::Unbounded, Bound::Excluded(key)),
            };
            let mut keys = index.range(range)?;
            let mut page = Page { items: Vec::new(), next: None };
            let mut cursor = None;
            for _ in 0..LOOKED_AT_MAX {
                if page.items.len() == limit {
                    break;
                }
                let key = match order {
                    Order::OldestFirst => keys.next(),
                    Order::NewestFirst => keys.next_back(),
                };
                let Some(key) = key else { return Ok(page) };
                let (created_at, send) = key?.0.value();
                let send = SendId::from_bytes(send);
                cursor = Some(NotificationCursor { created_at: Timestamp::from_millis(created_at), send });
                let Some(row) = cases.get(send.as_bytes())? else { continue };
                let case = readable(health, "cases", &send, row::case_of(row.value()));
                let settled = |case: &Case| case.failure.as_ref().is_some_and(|failure| !failure.is_open());
                let case = case.filter(|case| which != Notifications::Settled || settled(case));
                page.items.extend(case.filter(|case| wanted(case)));
            }
            page.next = cursor;
            Ok(page)
        })
    }

    /// Status changes, the newest first. Goes on before `before`, and from its sessions of the same moment on by the given name.
    pub fn history(
        &self,
        before: Option<&StatusChange>,
        limit: usize,
    ) -> Result<Vec<StatusChange>, ReadError> {
        self.guarded(|health, transaction| {
            let table = transaction.open_table(table::HISTORY)?;
            let rows = match before {
                Some(change) => table.range(..(change.at.millis(), change.session.as_str()))?,
                None => table.iter()?,
            };
            let mut changes = Vec::new();
            for row in rows.rev().take(limit) {
                let (key, row) = row?;
                changes.extend(readable(health, "history", &key.value().0, row::change_of(row.value())));
            }
            Ok(changes)
        })
    }

    /// How much there is. Costs next to nothing.
    pub fn stats(&self) -> Result<StoreStats, ReadError> {
        self.latest(|_, transaction| {
            let ledger = transaction.open_table(table::LEDGER)?;
            Ok(StoreStats {
                ledger_rows: ledger.len()?,
                cases: transaction.open_table(table::CASES)?.len()?,
                open: transaction.open_table(table::OPEN)?.len()?,
                notifications: transaction.open_table(table::FAILED)?.len()?,
                requests: transaction.open_table(table::REQUESTS)?.len()?,
                applied: meta(transaction, table::APPLIED)?.into(),
                last: last(&ledger)?,
            })
        })
    }
}

impl From<u64> for Position {
    fn from(position: u64) -> Self {
        Self(position)
    }
}

pub(super) fn readable<T>(
    health: &Health,
    table: &'static str,
    key: &dyn std::fmt::Display,
    row: Result<T, RowError>,
) -> Option<T> {
    row.inspect_err(|error| health.unreadable(table, key, error)).ok()
}

pub(super) fn meta(transaction: &ReadTransaction, name: &str) -> Result<u64, ReadError> {
    Ok(transaction.open_table(table::META)?.get(name)?.map_or(0, |value| value.value()))
}

pub(super) fn last(ledger: &impl ReadableTable<u64, &'static [u8]>) -> Result<Position, ReadError> {
    Ok(Position(ledger.last()?.map_or(0, |(position, _)| position.value())))
}

/// Every position in [`table::UNENDED`].
pub(super) fn unended(transaction: &ReadTransaction) -> Result<BTreeSet<u64>, ReadError> {
    let unended = transaction.open_table(table::UNENDED)?;
    unended.iter()?.map(|row| Ok(row?.0.value())).collect()
}

/// What has to be looked up once at the opening.
pub(super) struct Tail {
    /// Intents without a recorded outcome, from where the pruning stands: before that, every intent that is left is one.
    pub(super) running: BTreeMap<AttemptId, Position>,
    /// Bytes of the ledger's values.
    pub(super) ledger_bytes: u64,
}

pub(super) fn tail(transaction: &ReadTransaction) -> Result<Tail, ReadError> {
    let pruned_to = meta(transaction, table::PRUNED_TO)?;
    let ended_to = meta(transaction, table::ENDED_TO)?.max(pruned_to);
    let tail = tail_from(transaction, pruned_to, ended_to)?;
    debug_assert_eq!(
        tail.running,
        tail_from(transaction, pruned_to, pruned_to)?.running,
        "what is noted of {pruned_to} to {ended_to} is what the ledger says"
    );
    Ok(tail)
}

/// Reads the ledger from `ended_to` on; of what lies before, [`table::UNENDED`] is believed.
fn tail_from(transaction: &ReadTransaction, pruned_to: u64, ended_to: u64) -> Result<Tail, ReadError> {
    let counted_to = meta(transaction, table::COUNTED_TO)?;
    let ledger_bytes = meta(transaction, table::LEDGER_BYTES)?;
    let mut tail = Tail { running: BTreeMap::new(), ledger_bytes };
    let ledger = transaction.open_table(table::LEDGER)?;
    if pruned_to < ended_to {
        for position in transaction.open_table(table::UNENDED)?.range(pruned_to..ended_to)? {
            let position = position?.0.value();
            // One that is gone was forgotten.
            let glance = ledger.get(position)?.and_then(|row| row::glance(row.value()).ok());
            tail.running.extend(glance.map(|glance| (glance.attempt, Position(position))));
        }
    }
    for row in ledger.range(ended_to.min(counted_to)..)? {
        let (position, row) = row?;
        let (position, row) = (position.value(), row.value());
        if position >= counted_to {
            tail.ledger_bytes += u64::try_from(row.len()).unwrap_or(u64::MAX);
        }
        // An unreadable one is told of when somebody reads it.
        match row::glance(row) {
            Ok(glance) if glance.kind == Kind::Intent && position >= ended_to => {
                tail.running.insert(glance.attempt, Position(position));
            }
            Ok(glance) => {
                tail.running.remove(&glance.attempt);
            }
            Err(_) => {}
        }
    }
    Ok(tail)
}
