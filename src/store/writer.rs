//! The one writing thread: opens the file, commits whatever waits at once, tells who waited and the heart, and keeps the file small while
//! nothing waits.
//!
//! One error of the disk spoils a redb handle for good, so after any error the file is closed and opened again, later and later, until it
//! works. Meanwhile everybody gets their `false` at once, and entries go into a bounded ring that is written first afterwards. A commit
//! that failed may be on disk all the same: its entries are held apart, and after opening the last position says whether they are (a
//! transaction is there as a whole or not at all), so none is written twice under two positions.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redb::{Database, ReadableDatabase};
use tokio::time::Instant;

use super::apply::{ApplyError, apply, put_mark};
use super::feed::Handed;
use super::file::{Failure, Opened};
use super::journal::Journal;
use super::prune::Pruner;
use super::queue::{Batch, Commit, Queued};
use super::rewrite::AT_ONCE_BYTES;
use super::table::{self, LEDGER};
use super::{OpenReport, Opening, Shared, StoreError, StoreState, query};
use crate::clock::instant;
use crate::domain::backoff::Backoff;
use crate::domain::decide::Change;
use crate::domain::ledger::{AttemptId, Entry, Position};

/// Most entries held while the file cannot be used.
const RING_ENTRIES: usize = 10_000;
/// Most bytes of them.
const RING_BYTES: usize = 16 * 1024 * 1024;
/// Late entries written in one commit.
const LATE_BATCH: usize = 1_000;
/// How often a reader's trouble may have the file verified: where that finds nothing, the trouble is not the file's.
const VERIFY_EVERY: Duration = Duration::from_secs(600);
/// How long nothing comes before what is in the journal goes into the ledger.
const REST: Duration = Duration::from_millis(100);
/// How long to wait before the file is opened again.
const REOPEN: Backoff =
    Backoff { first: Duration::from_millis(500), factor: 2.0, jitter: 0.2, longest: Duration::from_secs(30) };

/// Runs until the store is closed or refused.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut writer = Writer {
        shared,
        late: Ring::default(),
        unsure: None,
        next: 1,
        suspect: false,
        opened_once: false,
        verified: None,
    };
    // The panics we know of are caught where they happen. One we do not know of must not leave the bot without a writer.
    while catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
        tracing::error!("the store's writer panicked and starts anew");
        writer.suspect = true;
        *shared.db.write().unwrap_or_else(PoisonError::into_inner) = None;
        shared.health.set(StoreState::Unavailable, "the store's writer panicked".to_owned());
        if writer.go_without(REOPEN.first) {
            break;
        }
    }
    writer.leave();
}

struct Writer<'a> {
    shared: &'a Arc<Shared>,
    /// Entries to be written first once the file is back.
    late: Ring,
    /// Entries of a failed commit, and the position of the first: on disk as a whole, or not at all.
    unsure: Option<(u64, Vec<Queued>)>,
    /// The next position.
    next: u64,
    /// The file may be damaged: verify it before it is used again.
    suspect: bool,
    opened_once: bool,
    /// When a reader's trouble last had the file verified.
    verified: Option<Instant>,
}

/// What a file holds when it is opened.
#[derive(Default)]
struct Found {
    last: u64,
    /// The mark of its journal.
    mark: u64,
    running: BTreeMap<AttemptId, Position>,
    pruner: Pruner,
}

fn look(db: &Database) -> Result<Found, query::ReadError> {
    let transaction = db.begin_read()?;
    let last = query::last(&transaction.open_table(LEDGER)?)?.0;
    let mark = query::meta(&transaction, table::JOURNAL)?;
    let (running, pruner) = Pruner::start(&transaction)?;
    Ok(Found { last, mark, running, pruner })
}

/// Where entries were written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Journal,
    Ledger,
}

/// Why serving a file ended.
enum End {
    Closed,
    Broken(String),
    /// To be written anew, and served again.
    Rewrite,
}

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Database(Box<redb::Error>),
    #[error("the database panicked")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl From<ApplyError> for WriteError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Table(error) => error.into(),
            ApplyError::Storage(error) => error.into(),
        }
    }
}

impl WriteError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Database(error) => !matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo),
        }
    }
}

/// Runs `work` so that a panic of the database is an error like another.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, WriteError>) -> Result<T, WriteError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(WriteError::Panicked))
}

impl Writer<'_> {
    fn run(&mut self) {
        let mut failures = 0;
        loop {
            let mut found = None;
            let mut look = |db: &Database| {
                found = Some(look(db)?);
                Ok(())
            };
            self.shared.place.rewrite_where_wanted();
            let opened = self.shared.place.open(self.shared.clock.now(), self.suspect, &mut look);
            let why = match opened.map(|opened| (opened, found)) {
                Ok((opened, found)) => {
                    failures = 0;
                    self.suspect = false;
                    match self.serve(opened, found.unwrap_or_default()) {
                        End::Closed => return,
                        End::Rewrite => continue,
                        End::Broken(why) => why,
                    }
                }
                Err(Failure::Refused(refused)) if !self.opened_once => {
                    tracing::error!("{refused}");
                    self.shared.health.set(StoreState::Closed, refused.to_string());
                    self.shared.opening.send_replace(Some(Opening::Refused(refused)));
                    return;
                }
                Err(Failure::Refused(refused)) => refused.to_string(),
                Err(Failure::Unavailable(why)) => why,
            };
            failures += 1;
            let delay = REOPEN.after(failures, self.shared.clock.chance());
            tracing::error!(retry_in = ?delay, "the store cannot be used: {why}");
            self.shared.health.set(StoreState::Unavailable, why.clone());
            if !self.opened_once {
                self.shared.opening.send_replace(Some(Opening::Unavailable(why)));
            }
            if self.go_without(delay) {
                return;
            }
            self.shared.health.reopened.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Serves the queue without a file for a while. `true` where the store is closed meanwhile.
    fn go_without(&mut self, delay: Duration) -> bool {
        let until = instant() + delay;
        loop {
            let batch = self.shared.queue.take(until.saturating_duration_since(instant()));
            let closing = batch.closing && batch.is_empty();
            self.fail(batch);
            if closing {
                return true;
            }
            if instant() >= until {
                return false;
            }
        }
    }

    fn serve(&mut self, opened: Opened, found: Found) -> End {
        let db = Arc::new(opened.db);
        let end = match self.take_over(&db, found, opened.set_aside) {
            Ok((pruner, journal)) => self.serve_queue(&db, pruner, journal),
            Err(error) => {
                self.suspect |= error.is_damage();
                End::Broken(error.to_string())
            }
        };
        *self.shared.db.write().unwrap_or_else(PoisonError::into_inner) = None;
        // While the store is ours: whoever opens it next has a journal of its own.
        if !matches!(end, End::Broken(_)) {
            self.shared.place.remove_journal();
        }
        // Readers hold it only while they begin; their transactions outlive it.
        if let Some(db) = Arc::into_inner(db)
            && let Err(error) = guarded(|| Ok(db.close()?))
        {
            tracing::warn!("closing the store: {error}");
        }
        end
    }

    /// Goes on where the file ends, writing what is late first.
    fn take_over(
        &mut self,
        db: &Arc<Database>,
        found: Found,
        set_aside: Option<PathBuf>,
    ) -> Result<(Pruner, Journal), WriteError> {
        let Found { last, mark, running, mut pruner } = found;
        let mut journal = Journal::new(self.shared.place.journal(), mark);
        // What was in it has been taken in.
        journal.erase();
        self.shared.unseen.store(false, Ordering::Release);
        *self.shared.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
        if let Some((first, entries)) = self.unsure.take() {
            let rows = entries.iter().filter(|queued| is_stored(&queued.entry)).count();
            if last >= first && rows > 0 {
                self.shared.health.late(rows);
                self.shared.health.recorded(rows);
                self.next = self.next.max(last + 1);
                self.shared.feed.push(Handed { entries: Vec::new(), applied: Position(last) }, 0);
            } else {
                let lost = self.late.put_first(entries);
                self.shared.health.lost(lost, "the store was away for too long");
            }
        }
        self.next = self.next.max(last + 1).max(pruner.applied + 1);
        pruner.begin_at(self.next);
        while !self.late.entries.is_empty() {
            let count = self.late.entries.len().min(LATE_BATCH);
            let batch: Vec<Queued> = self.late.entries.drain(..count).collect();
            self.late.bytes -= batch.iter().map(|queued| queued.weight).sum::<usize>();
            let first = self.next;
            if let Err(error) = self.write(db, &mut pruner, &mut journal, &batch, &[]) {
                self.unsure = Some((first, batch));
                return Err(error);
            }
            if journal.is_full() {
                self.transact(db, &mut pruner, &mut journal, &[], self.next)?;
            }
            self.shared.health.late(count);
            let applied = Position(self.next - 1);
            self.shared.feed.push(Handed { entries: Vec::new(), applied }, 0);
        }
        *self.shared.db.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(db));
        self.opened_once = true;
        self.shared.measure();
        self.shared.health.set(StoreState::Recording, String::new());
        tracing::info!(path = %self.shared.place.path.display(), "the store is open");
        if let Some(path) = &set_aside {
            self.shared.set_aside.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        }
        let report = OpenReport { set_aside, last: Position(self.next - 1) };
        self.shared.opening.send_replace(Some(Opening::Ready(report)));
        Ok((pruner, journal))
    }

    fn serve_queue(&mut self, db: &Arc<Database>, mut pruner: Pruner, mut journal: Journal) -> End {
        let mut wrote = instant();
        loop {
            let mut patience = pruner.patience(&self.shared.settings.retention);
            if !journal.is_empty() {
                patience = patience.min(REST.saturating_sub(instant() - wrote));
            }
            let mut batch = self.shared.queue.take(patience);
            let pulses = std::mem::take(&mut batch.pulses);
            let readers = std::mem::take(&mut batch.readers);
            if self.shared.take_suspicion() && self.verified.is_none_or(|at| (instant() - at) > VERIFY_EVERY)
            {
                self.suspect = true;
                self.verified = Some(instant());
                self.fail(batch);
                return End::Broken("reading it went wrong: it is verified".to_owned());
            }
            let rewrites = batch.commits.iter().flat_map(|commit| &commit.changes);
            let rewrites = rewrites.filter(|change| matches!(change, Change::Rewrite)).count() > 0;
            let (nothing, closing) = (batch.is_empty(), batch.closing);
            let mut result = Ok(());
            if !nothing {
                result = self.commit(db, &mut pruner, &mut journal, batch);
                wrote = instant();
            }
            let wanted = !readers.is_empty() || nothing && (closing || instant() - wrote >= REST);
            if result.is_ok() && wanted && !journal.is_empty() {
                result = self.transact(db, &mut pruner, &mut journal, &[], self.next);
            } else if nothing && closing {
                return End::Closed;
            } else if nothing {
                result = guarded(|| pruner.idle(db, self.shared));
            }
            if let Err(error) = result {
                self.suspect |= error.is_damage();
                return End::Broken(error.to_string());
            }
            // Whoever asked may have stopped waiting.
            for pulse in pulses {
                let _gone = pulse.send(());
            }
            for reader in readers {
                let _gone = reader.send(());
            }
            if rewrites && file_bytes(&self.shared.place.path) <= AT_ONCE_BYTES {
                return End::Rewrite;
            }
        }
    }

    /// Commits a batch, and gives word to everybody concerned. Sends wait for nothing but their own record: what the heart commits, and
    /// a journal that is full, come after their word.
    fn commit(
        &mut self,
        db: &Database,
        pruner: &mut Pruner,
        journal: &mut Journal,
        Batch { entries, commits, .. }: Batch,
    ) -> Result<(), WriteError> {
        let (started, first) = (instant(), self.next);
        let kept = match self.write(db, pruner, journal, &entries, &commits) {
            Ok(kept) => kept,
            Err(error) => {
                self.unsure = Some((first, batch_of(&entries)));
                return Err(self.refuse(entries, commits, error));
            }
        };
        if !entries.is_empty() || kept == Kept::Ledger {
            self.committed(entries.len(), started);
        }
        self.answer(entries, Ok(first));
        if kept == Kept::Journal && (!commits.is_empty() || journal.is_full()) {
            let started = instant();
            if let Err(error) = self.transact(db, pruner, journal, &commits, self.next) {
                // The entries have their word: they are in the journal, and taken in from there when the file is opened again.
                return Err(self.refuse(Vec::new(), commits, error));
            }
            self.committed(0, started);
        }
        answer_heart(commits, Ok(()));
        Ok(())
    }

    fn committed(&self, entries: usize, started: Instant) {
        self.shared.health.answered();
        self.shared.health.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.meter.committed(entries, instant() - started);
    }

    /// What could not be written.
    fn refuse(&self, entries: Vec<Queued>, commits: Vec<Commit>, error: WriteError) -> WriteError {
        let why = error.to_string();
        // Before anybody hears of it: who is told `false` finds the reason.
        self.shared.health.set(StoreState::Unavailable, why.clone());
        self.answer(entries, Err(&why));
        answer_heart(commits, Err(&why));
        error
    }

    /// Writes entries: into the journal, or where that cannot be, in one transaction with what the heart commits. The next position moves
    /// only where that succeeded.
    fn write(
        &mut self,
        db: &Database,
        pruner: &mut Pruner,
        journal: &mut Journal,
        entries: &[Queued],
        commits: &[Commit],
    ) -> Result<Kept, WriteError> {
        let rows = journal.add(self.next, entries);
        let next = self.next + rows;
        let kept = if journal.keep() {
            self.shared.unseen.store(!journal.is_empty(), Ordering::Release);
            Kept::Journal
        } else {
            self.transact(db, pruner, journal, commits, next)?;
            Kept::Ledger
        };
        self.remember_running(entries);
        self.next = next;
        self.shared.health.recorded(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(kept)
    }

    /// One transaction: what is in the journal, and what the heart commits. The next position is `next` then.
    fn transact(
        &self,
        db: &Database,
        pruner: &mut Pruner,
        journal: &mut Journal,
        commits: &[Commit],
        next: u64,
    ) -> Result<(), WriteError> {
        let mut bytes = 0;
        guarded(|| {
            let transaction = db.begin_write()?;
            if !journal.is_empty() {
                let mut ledger = transaction.open_table(LEDGER)?;
                for (position, row) in journal.rows() {
                    ledger.insert(position, row)?;
                    bytes += row.len();
                }
            }
            for commit in commits {
                apply(&transaction, commit)?;
                if let Some(mark) = self.shared.clock.mark() {
                    put_mark(&transaction, mark)?;
                }
            }
            if !commits.is_empty() {
                pruner.note(&transaction, next, bytes, &self.shared.running)?;
            }
            Ok(transaction.commit()?)
        })?;
        pruner.wrote(bytes, next, journal.is_plain(), commits.last());
        journal.begin_anew();
        self.shared.unseen.store(false, Ordering::Release);
        let mut changes = commits.iter().flat_map(|commit| &commit.changes);
        if changes.any(|change| matches!(change, Change::Forget(..) | Change::Rewrite)) {
            journal.erase();
        }
        if !commits.is_empty() {
            self.shared.measure();
        }
        Ok(())
    }

    fn remember_running(&self, entries: &[Queued]) {
        let mut position = self.next;
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        for queued in entries {
            match &queued.entry {
                Entry::Begun(_) => continue,
                Entry::Intent(intent) => {
                    running.insert(intent.attempt, Position(position));
                }
                Entry::Ended(ended) => {
                    running.remove(&ended.attempt);
                }
            }
            position += 1;
        }
    }

    /// A batch that cannot be written now.
    fn fail(&mut self, batch: Batch) {
        let entries = batch.entries.iter().filter(|queued| is_stored(&queued.entry));
        let lost = self.late.put(entries.map(copy_of).collect());
        self.shared.health.lost(lost, "the store was away for too long");
        let why = self.shared.health.look().reason;
        self.answer(batch.entries, Err(&why));
        answer_heart(batch.commits, Err(&why));
    }

    /// Tells who waited and hands the entries to the heart. `Ok`: the position of the first.
    fn answer(&self, entries: Vec<Queued>, result: Result<u64, &str>) {
        if entries.is_empty() {
            return;
        }
        self.shared.lanes.tell(&entries, result.is_ok());
        let mut position = *result.as_ref().unwrap_or(&0);
        let mut weight = 0;
        let mut applied = Position(position.saturating_sub(1));
        let handed = entries.into_iter().map(|queued| {
            weight += queued.weight;
            if result.is_ok() && is_stored(&queued.entry) {
                applied = Position(position);
                position += 1;
                (applied, queued.entry)
            } else {
                (Position(0), queued.entry)
            }
        });
        let entries = handed.collect();
        self.shared.feed.push(Handed { entries, applied }, weight);
    }

    fn leave(&mut self) {
        let batch = self.shared.queue.desert();
        self.fail(batch);
        let unsure = self.unsure.take().map_or(0, |(_, entries)| entries.len());
        self.shared.health.lost(self.late.entries.len() + unsure, "the store was closed while it was away");
        if self.shared.health.state() != StoreState::Closed {
            self.shared.health.set(StoreState::Closed, "the store is closed".to_owned());
        }
        self.shared.feed.close();
    }
}

/// Tells the heart how its commits ended.
fn answer_heart(commits: Vec<Commit>, result: Result<(), &str>) {
    for commit in commits {
        let answer = result.map_err(|why| StoreError::Unavailable(why.to_owned()));
        // It may have stopped waiting.
        let _gone = commit.done.send(answer);
    }
}

fn is_stored(entry: &Entry) -> bool {
    !matches!(entry, Entry::Begun(_))
}

/// Entries are small and shared inside; copying one costs little, and only happens when something went wrong.
fn copy_of(queued: &Queued) -> Queued {
    Queued { entry: queued.entry.clone(), weight: queued.weight, ticket: queued.ticket, lane: None }
}

fn batch_of(entries: &[Queued]) -> Vec<Queued> {
    entries.iter().map(copy_of).collect()
}

/// Entries that wait for the file to come back; the oldest go where there are too many.
#[derive(Default)]
struct Ring {
    entries: VecDeque<Queued>,
    bytes: usize,
}

impl Ring {
    /// Adds at the end; how many were dropped for it.
    fn put(&mut self, entries: Vec<Queued>) -> usize {
        for queued in entries {
            self.bytes += queued.weight;
            self.entries.push_back(queued);
        }
        self.trim()
    }

    /// Adds before all others.
    fn put_first(&mut self, entries: Vec<Queued>) -> usize {
        for queued in entries.into_iter().rev().filter(|queued| is_stored(&queued.entry)) {
            self.bytes += queued.weight;
            self.entries.push_front(queued);
        }
        self.trim()
    }

    fn trim(&mut self) -> usize {
        let mut dropped = 0;
        while self.entries.len() > RING_ENTRIES || self.bytes > RING_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.weight;
            dropped += 1;
        }
        dropped
    }
}

/// The size of the file, where it can be had.
pub(super) fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
