//! The thread of the ledger: transactions, one after the other, while the writer goes on recording into the journal.
//!
//! It is handed one job at a time by the writer, which looks later how that went, and tells whoever waits for it.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use redb::Database;
use tokio::time::Instant;

use super::Shared;
use super::apply::{apply, put_mark};
use super::journal::Half;
use super::prune::Pruner;
use super::queue::Commit;
use super::table::LEDGER;
use super::write_error::{WriteError, guarded};
use crate::clock::instant;
use crate::domain::ledger::Position;

/// One transaction: the rows of a half of the journal, and what the heart commits.
pub(super) struct Job {
    pub(super) half: Half,
    pub(super) commits: Vec<Commit>,
    /// Entries wait for it, since the journal could not be written.
    pub(super) records: bool,
    /// The next position, once all this is written.
    pub(super) next: u64,
}

/// A transaction that has ended.
pub(super) struct Done {
    pub(super) job: Job,
    pub(super) result: Result<(), WriteError>,
    pub(super) took: Duration,
}

enum Work {
    Write(Job),
    Prune,
}

enum Report {
    Transaction(Done),
    Pruning(Result<(), WriteError>),
}

/// The thread, as the writer has it.
pub(super) struct LedgerThread {
    work: SyncSender<Work>,
    /// Each with when there is something to prune.
    reports: Receiver<(Report, Instant)>,
    busy: bool,
    prune_at: Instant,
}

impl LedgerThread {
    /// Starts the thread, which ends with what is returned.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        shared: &'scope Arc<Shared>,
        db: Arc<Database>,
        pruner: Pruner,
    ) -> std::io::Result<Self> {
        let (work, given) = sync_channel(1);
        let (report, reports) = sync_channel(1);
        let prune_at = instant() + pruner.patience(&shared.settings.retention);
        let run = move || Bookkeeper { shared, db, pruner }.run(&given, &report);
        Builder::new().name("store-ledger".to_owned()).spawn_scoped(scope, run)?;
        Ok(Self { work, reports, busy: false, prune_at })
    }

    /// Does it still work on what it was given?
    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// When there is something to prune, where nothing else is to be done.
    pub(super) const fn prune_at(&self) -> Instant {
        self.prune_at
    }

    /// Begins a transaction. Nothing else may be under way.
    pub(super) fn write(&mut self, job: Job) {
        self.give(Work::Write(job));
    }

    /// Begins a step of pruning. Nothing else may be under way.
    pub(super) fn prune(&mut self) {
        self.give(Work::Prune);
    }

    fn give(&mut self, work: Work) {
        debug_assert!(!self.busy, "one after the other");
        // Where the thread has gone, waiting for it says so.
        let _gone = self.work.send(work);
        self.busy = true;
    }

    /// The transaction that has ended since, if there is one. Does not wait.
    pub(super) fn look(&mut self) -> Result<Option<Done>, WriteError> {
        if !self.busy {
            return Ok(None);
        }
        match self.reports.try_recv() {
            Ok(report) => self.heard(report),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(WriteError::Panicked),
        }
    }

    /// Waits until nothing is under way any more; the transaction that was, if it was one.
    pub(super) fn wait(&mut self) -> Result<Option<Done>, WriteError> {
        if !self.busy {
            return Ok(None);
        }
        let report = self.reports.recv().map_err(|_| WriteError::Panicked)?;
        self.heard(report)
    }

    fn heard(&mut self, (report, prune_at): (Report, Instant)) -> Result<Option<Done>, WriteError> {
        (self.busy, self.prune_at) = (false, prune_at);
        match report {
            Report::Transaction(done) => Ok(Some(done)),
            Report::Pruning(result) => result.map(|()| None),
        }
    }
}

/// What runs on it: alone with the database, as far as that is written.
struct Bookkeeper<'a> {
    shared: &'a Arc<Shared>,
    db: Arc<Database>,
    pruner: Pruner,
}

impl Bookkeeper<'_> {
    fn run(mut self, given: &Receiver<Work>, report: &SyncSender<(Report, Instant)>) {
        while let Ok(work) = given.recv() {
            let done = match work {
                Work::Write(job) => {
                    let started = instant();
                    let result = guarded(|| self.write(&job));
                    Report::Transaction(Done { job, result, took: instant() - started })
                }
                Work::Prune => Report::Pruning(guarded(|| self.pruner.idle(&self.db, self.shared))),
            };
            let prune_at = instant() + self.pruner.patience(&self.shared.settings.retention);
            if report.send((done, prune_at)).is_err() {
                return;
            }
            self.shared.queue.call();
        }
    }

    fn write(&mut self, Job { half, commits, next, .. }: &Job) -> Result<(), WriteError> {
        let mut bytes = 0;
        let transaction = self.db.begin_write()?;
        if !half.is_empty() {
            let mut ledger = transaction.open_table(LEDGER)?;
            for (position, row) in half.rows() {
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
            self.pruner.note(&transaction, *next, bytes, &self.shared.running)?;
        }
        transaction.commit()?;
        self.remember_running(half);
        self.pruner.wrote(bytes, *next, half.is_plain(), commits.last());
        if !commits.is_empty() {
            self.shared.measure();
        }
        Ok(())
    }

    /// Only now: readers hold it against what they find in the ledger.
    fn remember_running(&self, half: &Half) {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.extend(half.intents().iter().map(|(position, attempt)| (*attempt, Position(*position))));
        for attempt in half.ended() {
            running.remove(attempt);
        }
    }
}
