//! The one writer: opens the file, records whatever waits at once, tells who waited and the heart, and says when the thread of the ledger
//! brings that in, and when it keeps the file small.
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

use super::feed::Handed;
use super::file::{Failure, Opened};
use super::journal::Journal;
use super::ledger::{Done, Job, LedgerThread};
use super::prune::Pruner;
use super::queue::{Batch, Commit, Queued};
use super::rewrite::AT_ONCE_BYTES;
use super::serving::Serving;
use super::table::{self, LEDGER};
use super::write_error::{WriteError, guarded};
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

/// Why serving a file ended.
enum End {
    Closed,
    Broken(String),
    /// To be written anew, and served again.
    Rewrite,
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
        let shared = self.shared;
        let end = std::thread::scope(|scope| {
            let (pruner, journal) = self.take_over(found);
            match LedgerThread::start(scope, shared, Arc::clone(&db), pruner) {
                Ok(ledger) => self.serve_with(&mut Serving::new(journal, ledger), &db, opened.set_aside),
                Err(error) => End::Broken(format!("its thread cannot be started: {error}")),
            }
        });
        *shared.db.write().unwrap_or_else(PoisonError::into_inner) = None;
        // While the store is ours: whoever opens it next has a journal of its own.
        if !matches!(end, End::Broken(_)) {
            shared.place.remove_journal();
        }
        // Readers hold it only while they begin; their transactions outlive it.
        if let Some(db) = Arc::into_inner(db)
            && let Err(error) = guarded(|| Ok(db.close()?))
        {
            tracing::warn!("closing the store: {error}");
        }
        end
    }

    /// Goes on where the file ends.
    fn take_over(&mut self, found: Found) -> (Pruner, Journal) {
        let Found { last, mark, running, mut pruner } = found;
        let journal = Journal::new(self.shared.place.journal(), mark);
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
        (pruner, journal)
    }

    fn serve_with(&mut self, serving: &mut Serving, db: &Arc<Database>, set_aside: Option<PathBuf>) -> End {
        let served = self.write_late(serving).and_then(|()| {
            self.open(db, set_aside);
            self.serve_queue(serving)
        });
        let mut end = served.unwrap_or_else(|error| self.broken(&error));
        if let End::Broken(why) = &end {
            // So that nobody waits for it meanwhile, and who is told that something was not written finds the reason.
            self.shared.health.set(StoreState::Unavailable, why.clone());
        }
        // What is under way ends, one way or the other, and who waits for it hears how.
        if let Err(error) = self.wait(serving) {
            end = self.broken(&error);
        }
        if let End::Broken(why) = &end {
            answer_heart(std::mem::take(&mut serving.commits), Err(why));
        }
        end
    }

    fn broken(&mut self, error: &WriteError) -> End {
        self.suspect |= error.is_damage();
        End::Broken(error.to_string())
    }

    /// Writes first what is late.
    fn write_late(&mut self, serving: &mut Serving) -> Result<(), WriteError> {
        while !self.late.entries.is_empty() {
            let count = self.late.entries.len().min(LATE_BATCH);
            let batch: Vec<Queued> = self.late.entries.drain(..count).collect();
            self.late.bytes -= batch.iter().map(|queued| queued.weight).sum::<usize>();
            let first = self.next;
            if let Err(error) = self.write(serving, &batch) {
                self.unsure = Some((first, batch));
                return Err(error);
            }
            self.shared.health.late(count);
            let applied = Position(self.next - 1);
            self.shared.feed.push(Handed { entries: Vec::new(), applied }, 0);
            if serving.journal.is_full() {
                self.bring_in(serving)?;
            }
        }
        Ok(())
    }

    /// Everybody may use the file.
    fn open(&mut self, db: &Arc<Database>, set_aside: Option<PathBuf>) {
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
    }

    fn serve_queue(&mut self, serving: &mut Serving) -> Result<End, WriteError> {
        loop {
            let mut batch = self.shared.queue.take(serving.patience());
            serving.take_up(std::mem::take(&mut batch.pulses), std::mem::take(&mut batch.readers));
            if self.shared.take_suspicion() && self.verified.is_none_or(|at| (instant() - at) > VERIFY_EVERY)
            {
                self.suspect = true;
                self.verified = Some(instant());
                self.fail(batch);
                return Ok(End::Broken("reading it went wrong: it is verified".to_owned()));
            }
            let (nothing, closing) = (batch.is_empty(), batch.closing);
            let (erases, rewrites) = (erases(&batch.commits), rewrites(&batch.commits));
            serving.commits.append(&mut batch.commits);
            if !batch.entries.is_empty() {
                self.record(serving, batch.entries)?;
            }
            if let Some(done) = serving.ledger.look()? {
                self.ended(serving, done)?;
            }
            if erases || closing {
                self.bring_in(serving)?;
            }
            if !serving.ledger.is_busy() {
                serving.tell_at_rest();
            }
            if rewrites && file_bytes(&self.shared.place.path) <= AT_ONCE_BYTES {
                return Ok(End::Rewrite);
            }
            if nothing && closing {
                return Ok(End::Closed);
            }
            if serving.ledger.is_busy() {
                continue;
            }
            if serving.is_transaction_due() {
                serving.begin_transaction(false, self.next);
            } else if nothing && instant() >= serving.ledger.prune_at() {
                serving.ledger.prune();
            }
        }
    }

    /// Records a batch, and gives word to everybody concerned.
    fn record(&mut self, serving: &mut Serving, entries: Vec<Queued>) -> Result<(), WriteError> {
        let (started, first) = (instant(), self.next);
        match self.write(serving, &entries) {
            Ok(()) => {
                self.committed(entries.len(), instant() - started);
                self.answer(entries, Ok(first));
                serving.recorded = instant();
                Ok(())
            }
            Err(error) => {
                self.unsure = Some((first, batch_of(&entries)));
                let why = self.unavailable(&error);
                self.answer(entries, Err(&why));
                Err(error)
            }
        }
    }

    /// Writes entries: into the journal, or where that cannot be, in one transaction with what the heart commits. The next position moves
    /// only where that succeeded.
    fn write(&mut self, serving: &mut Serving, entries: &[Queued]) -> Result<(), WriteError> {
        if !serving.journal.has_room(entries.iter().map(|queued| queued.weight).sum()) {
            // The other half is free as soon as its transaction has ended.
            self.wait(serving)?;
            let erases = erases(&serving.commits);
            serving.begin_transaction(false, self.next);
            if erases {
                // What is recorded before that is done would be erased.
                self.wait(serving)?;
            }
        }
        let rows = serving.journal.add(self.next, entries);
        let next = self.next + rows;
        if serving.journal.keep() {
            if rows > 0 {
                self.shared.unseen.store(true, Ordering::Release);
            }
        } else {
            self.wait(serving)?;
            serving.begin_transaction(true, next);
            self.wait(serving)?;
        }
        self.next = next;
        self.shared.health.recorded(usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(())
    }

    /// Brings all that is recorded into the ledger, and waits for that.
    fn bring_in(&mut self, serving: &mut Serving) -> Result<(), WriteError> {
        self.wait(serving)?;
        if serving.commits.is_empty() && serving.journal.is_empty() {
            return Ok(());
        }
        serving.begin_transaction(false, self.next);
        self.wait(serving)
    }

    /// Waits for what is under way, if something is.
    fn wait(&mut self, serving: &mut Serving) -> Result<(), WriteError> {
        match serving.ledger.wait()? {
            Some(done) => self.ended(serving, done),
            None => Ok(()),
        }
    }

    /// A transaction has ended: whoever waited for it hears so.
    fn ended(&mut self, serving: &mut Serving, done: Done) -> Result<(), WriteError> {
        let Done { job: Job { half, commits, records, .. }, result, took } = done;
        if let Err(error) = result {
            // Sends whose rows it was to bring in have their word: the journal has them, and they are taken in when the file is opened again.
            let why = self.unavailable(&error);
            answer_heart(commits, Err(&why));
            return Err(error);
        }
        if !records {
            self.committed(0, took);
        }
        serving.journal.put_back(half);
        self.shared.unseen.store(!serving.journal.is_empty(), Ordering::Release);
        if erases(&commits) {
            debug_assert!(serving.journal.is_empty(), "nothing was recorded meanwhile");
            serving.journal.erase();
        }
        answer_heart(commits, Ok(()));
        serving.tell_readers();
        Ok(())
    }

    fn committed(&self, entries: usize, took: Duration) {
        self.shared.health.answered();
        self.shared.health.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.meter.committed(entries, took);
    }

    /// Says so before anybody hears of it: who is told that something was not written finds the reason.
    fn unavailable(&self, error: &WriteError) -> String {
        let why = error.to_string();
        self.shared.health.set(StoreState::Unavailable, why.clone());
        why
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

/// Must nothing of what was recorded stay in the journal's file?
fn erases(commits: &[Commit]) -> bool {
    let mut changes = commits.iter().flat_map(|commit| &commit.changes);
    changes.any(|change| matches!(change, Change::Forget(..) | Change::Rewrite))
}

/// Is the file to be written anew?
fn rewrites(commits: &[Commit]) -> bool {
    commits.iter().flat_map(|commit| &commit.changes).any(|change| matches!(change, Change::Rewrite))
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
