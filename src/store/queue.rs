//! What waits for the writer: entries of the send path under ascending tickets, and the heart's commits.
//!
//! Bounded: beyond [`ENTRIES_MAX`] or [`BYTES_MAX`] nothing more is taken, so a disk that hangs costs records, not memory.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::StoreError;
use crate::domain::decide::Change;
use crate::domain::ledger::{Entry, Position};

/// Most entries that wait.
pub(super) const ENTRIES_MAX: usize = 10_000;
/// Most bytes of entries that wait.
pub(super) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most entries in one batch.
const BATCH_ENTRIES: usize = 4_096;
/// Most bytes of entries in one batch; a single larger entry goes alone.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Where many share a commit, waiting so long makes it shared by more: it costs each of them less than it spares all.
const GATHER: Duration = Duration::from_micros(100);
/// So many are many. A bot that sends one message after the other never waits.
const MANY: usize = 4;

/// An entry that waits.
pub(super) struct Queued {
    pub(super) entry: Entry,
    pub(super) weight: usize,
    pub(super) ticket: u64,
    /// The lane to tell how it ended, where somebody waits for that.
    pub(super) lane: Option<usize>,
}

/// The heart's changes and where it stands.
pub(super) struct Commit {
    pub(super) changes: Vec<Change>,
    pub(super) applied: Position,
    pub(super) keep_from: Position,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// What the writer takes at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Queued>,
    pub(super) commits: Vec<Commit>,
    /// Nothing comes after what still waits.
    pub(super) closing: bool,
    /// Who wants to know that the writer lives.
    pub(super) pulses: Vec<oneshot::Sender<()>>,
    /// Who wants to read everything that is recorded.
    pub(super) readers: Vec<SyncSender<()>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.commits.is_empty()
    }
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Queued>,
    bytes: usize,
    commits: Vec<Commit>,
    tickets: u64,
    closing: bool,
    /// The writer has gone.
    deserted: bool,
    /// The writer was called without work.
    called: bool,
    pulses: Vec<oneshot::Sender<()>>,
    readers: Vec<SyncSender<()>>,
    idle: bool,
    /// Entries in the latest batch.
    latest: usize,
}

impl Queue {
    /// Hands in an entry. `None` where there is no room, or nobody to write.
    pub(super) fn push(&self, entry: Entry, lane: Option<usize>) -> Option<u64> {
        let weight = weight(&entry);
        let mut waiting = self.lock();
        if waiting.deserted || waiting.entries.len() >= ENTRIES_MAX || waiting.bytes + weight > BYTES_MAX {
            return None;
        }
        waiting.tickets += 1;
        let ticket = waiting.tickets;
        waiting.bytes += weight;
        waiting.entries.push_back(Queued { entry, weight, ticket, lane });
        self.wake(waiting);
        Some(ticket)
    }

    /// Hands in a commit of the heart; given back where nobody is there to write it.
    pub(super) fn commit(&self, commit: Commit) -> Result<(), Commit> {
        let mut waiting = self.lock();
        if waiting.deserted || waiting.closing {
            return Err(commit);
        }
        waiting.commits.push(commit);
        self.wake(waiting);
        Ok(())
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closing = true;
        self.wake(waiting);
    }

    /// Makes the writer look up.
    pub(super) fn call(&self) {
        let mut waiting = self.lock();
        waiting.called = true;
        self.wake(waiting);
    }

    /// Makes the writer say that it lives.
    pub(super) fn feel(&self, pulse: oneshot::Sender<()>) {
        let mut waiting = self.lock();
        waiting.pulses.retain(|pulse| !pulse.is_closed());
        waiting.pulses.push(pulse);
        waiting.called = true;
        self.wake(waiting);
    }

    /// Makes the writer put everything where readers find it, and say so.
    pub(super) fn show(&self, reader: SyncSender<()>) {
        let mut waiting = self.lock();
        if !waiting.deserted {
            waiting.readers.push(reader);
            waiting.called = true;
            self.wake(waiting);
        }
    }

    /// The writer goes: what waits is returned, nothing more is taken.
    pub(super) fn desert(&self) -> Batch {
        let mut waiting = self.lock();
        waiting.deserted = true;
        waiting.bytes = 0;
        waiting.readers.clear();
        Batch {
            entries: std::mem::take(&mut waiting.entries).into(),
            commits: std::mem::take(&mut waiting.commits),
            closing: true,
            ..Batch::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// What waits for the writer, waiting up to `patience` for anything to arrive.
    pub(super) fn take(&self, patience: Duration) -> Batch {
        let mut waiting = self.lock();
        if waiting.nothing() {
            waiting.idle = true;
            let woken = self.arrived.wait_timeout_while(waiting, patience, |waiting| waiting.nothing());
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            waiting.idle = false;
        }
        // Pushing wakes nobody meanwhile.
        if waiting.is_shared() {
            let gathered = self.arrived.wait_timeout(waiting, GATHER);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.latest = waiting.entries.len();
        waiting.called = false;
        waiting.batch()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every critical section leaves the queue whole, so a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, waiting: MutexGuard<'_, Waiting>) {
        let idle = waiting.idle;
        drop(waiting);
        if idle {
            self.arrived.notify_one();
        }
    }
}

impl Waiting {
    fn nothing(&self) -> bool {
        self.entries.is_empty() && self.commits.is_empty() && !self.closing && !self.called
    }

    /// Will more entries be here in a moment, and does nothing else wait?
    fn is_shared(&self) -> bool {
        self.latest >= MANY
            && self.entries.len() < self.latest
            && self.commits.is_empty()
            && !self.closing
            && !self.called
    }

    fn batch(&mut self) -> Batch {
        let entries = if self.entries.len() <= BATCH_ENTRIES && self.bytes <= BATCH_BYTES {
            self.bytes = 0;
            std::mem::take(&mut self.entries).into()
        } else {
            let mut bytes = 0;
            let fits = (self.entries.iter().take(BATCH_ENTRIES))
                .take_while(|queued| {
                    bytes += queued.weight;
                    bytes <= BATCH_BYTES
                })
                .count()
                .max(1);
            let taken: Vec<_> = self.entries.drain(..fits).collect();
            self.bytes -= taken.iter().map(|queued| queued.weight).sum::<usize>();
            taken
        };
        Batch {
            entries,
            commits: std::mem::take(&mut self.commits),
            closing: self.closing,
            pulses: std::mem::take(&mut self.pulses),
            readers: std::mem::take(&mut self.readers),
        }
    }
}

/// About how many bytes an entry holds.
fn weight(entry: &Entry) -> usize {
    let request = |request: &crate::domain::ledger::StoredRequest| request.body.len() + request.target.len();
    512 + match entry {
        Entry::Begun(_) => 0,
        Entry::Intent(intent) => intent.request.as_deref().map_or(0, request),
        Entry::Ended(ended) => {
            ended.request.as_deref().map_or(0, request)
                + ended.unheard.as_deref().map_or(0, |answer| answer.body.len())
        }
    }
}
