//! Does recording work, and since when not; what was recorded, and what was not.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Meter;
use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// Can sends be recorded?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// The file is being opened for the first time.
    Opening,
    /// Yes.
    Recording,
    /// The writer takes longer than `store.commit_wait`: sends go on without waiting for it.
    Bypassed,
    /// The file cannot be used; it is tried again and again.
    Unavailable,
    /// The store was refused or closed.
    Closed,
}

impl StoreState {
    /// All, in the order of their codes.
    pub const ALL: [Self; 5] =
        [Self::Opening, Self::Recording, Self::Bypassed, Self::Unavailable, Self::Closed];

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Recording => "recording",
            Self::Bypassed => "bypassed",
            Self::Unavailable => "unavailable",
            Self::Closed => "closed",
        }
    }

    const fn code(self) -> u8 {
        self as u8
    }
}

/// How recording goes.
#[derive(Clone, Debug)]
pub struct StoreHealth {
    /// Can sends be recorded?
    pub state: StoreState,
    /// Why not; empty where they can.
    pub reason: String,
    /// Since when the state is what it is.
    pub since: Timestamp,
}

/// What was counted since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// What was written and synced at once: batches, and transactions.
    pub commits: u64,
    /// Entries that were committed, late ones included.
    pub recorded: u64,
    /// Waits that ended without a commit: answers that had to say "not recorded".
    pub unrecorded: u64,
    /// Entries that were committed only after their wait had ended.
    pub late: u64,
    /// Entries that will never be recorded.
    pub lost: u64,
    /// Rows that could not be read and were passed over.
    pub unreadable_rows: u64,
    /// Times the file was opened again after an error.
    pub reopened: u64,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Entries that wait for the writer.
    pub queued: u64,
}

pub(super) struct Health {
    state: AtomicU8,
    told: Mutex<(String, Timestamp)>,
    clock: Clock,
    meter: Arc<dyn Meter>,
    pub(super) commits: AtomicU64,
    recorded: AtomicU64,
    unrecorded: AtomicU64,
    late: AtomicU64,
    lost: AtomicU64,
    unreadable: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) file_bytes: AtomicU64,
}

impl Health {
    pub(super) fn new(clock: Clock, meter: Arc<dyn Meter>) -> Self {
        Self {
            state: AtomicU8::new(StoreState::Opening.code()),
            told: Mutex::new(("the store is being opened".to_owned(), clock.now())),
            clock,
            meter,
            commits: AtomicU64::default(),
            recorded: AtomicU64::default(),
            unrecorded: AtomicU64::default(),
            late: AtomicU64::default(),
            lost: AtomicU64::default(),
            unreadable: AtomicU64::default(),
            reopened: AtomicU64::default(),
            file_bytes: AtomicU64::default(),
        }
    }

    pub(super) fn is_recording(&self) -> bool {
        self.state.load(Ordering::Relaxed) == StoreState::Recording.code()
    }

    pub(super) fn state(&self) -> StoreState {
        StoreState::ALL[usize::from(self.state.load(Ordering::Relaxed)) % StoreState::ALL.len()]
    }

    pub(super) fn look(&self) -> StoreHealth {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        StoreHealth { state: self.state(), reason: told.0.clone(), since: told.1 }
    }

    /// A wait was missed.
    pub(super) fn bypass(&self) {
        let (from, to) = (StoreState::Recording.code(), StoreState::Bypassed.code());
        if self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.tell("the disk answers too slowly: sends are not waiting for it".to_owned());
            tracing::error!("recording is bypassed: a commit took longer than store.commit_wait");
        }
    }

    /// The writer got something done.
    pub(super) fn answered(&self) {
        let (from, to) = (StoreState::Bypassed.code(), StoreState::Recording.code());
        if self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.tell(String::new());
            tracing::info!("recording works again");
        }
    }

    pub(super) fn set(&self, state: StoreState, reason: String) {
        let before = self.state.swap(state.code(), Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.0 = reason;
        if before != state.code() {
            told.1 = self.clock.now();
        }
    }

    fn tell(&self, reason: String) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = (reason, self.clock.now());
    }

    pub(super) fn recorded(&self, entries: usize) {
        self.recorded.fetch_add(wide(entries), Ordering::Relaxed);
    }

    pub(super) fn unrecorded(&self, entries: usize) {
        self.unrecorded.fetch_add(wide(entries), Ordering::Relaxed);
        self.meter.unrecorded(wide(entries));
    }

    pub(super) fn late(&self, entries: usize) {
        self.late.fetch_add(wide(entries), Ordering::Relaxed);
        self.meter.late(wide(entries));
    }

    pub(super) fn lost(&self, entries: usize, why: &str) {
        if entries > 0 {
            let before = self.lost.fetch_add(wide(entries), Ordering::Relaxed);
            self.meter.lost(wide(entries));
            // The first, and then every so often: a flood of losses must not become a flood of lines.
            if before.next_multiple_of(1_000) < before + wide(entries) || before == 0 {
                tracing::error!(entries = before + wide(entries), "entries will never be recorded: {why}");
            }
        }
    }

    pub(super) fn unreadable(&self, table: &str, key: &dyn std::fmt::Display, error: &super::RowError) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::error!(table, %key, "a stored row was passed over: {error}");
    }

    pub(super) fn figures(&self, queued: usize) -> StoreFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreFigures {
            commits: read(&self.commits),
            recorded: read(&self.recorded),
            unrecorded: read(&self.unrecorded),
            late: read(&self.late),
            lost: read(&self.lost),
            unreadable_rows: read(&self.unreadable),
            reopened: read(&self.reopened),
            file_bytes: read(&self.file_bytes),
            queued: wide(queued),
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
