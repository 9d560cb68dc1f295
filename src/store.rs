//! The store: what was sent and how it ended, on disk before anybody is told (SPEC 4.5, 8). The only room that knows redb.
//!
//! One file, one writer, many readers. The send path adds to one table with ascending keys, the *ledger*, through a [`Lane`]; whatever waits
//! shares a commit, which goes into the *journal* beside the file first. The writer hands each batch to the heart through a [`Feed`]; what
//! the heart makes of it comes back through [`Store::commit`] and is written together with the ledger position it stands for. People read
//! through a [`Reader`].
//!
//! - `table`: the tables. `row`: what is in them. `file`, `tentative`: making, opening, setting aside.
//! - `queue`, `lane`, `feed`: the ways to and from the writer. `writer`, `serving`: records, failures, recovery.
//! - `journal`: what is not in the ledger yet, on disk all the same. `ledger`: the thread that brings it there.
//! - `apply`: the heart's changes. `prune`: what goes. `query`, `records`, `sends`: reading.
//! - `forget`: taking a customer out. `copy`: a copy of it all. `rewrite`: the file anew, without what is in its free pages.
//!
//! Trouble with the disk is never the bot's trouble: waits are bounded, and a store that is not there answers `false` at once.

mod apply;
mod copy;
mod feed;
mod file;
mod forget;
mod health;
mod journal;
mod lane;
mod ledger;
mod prune;
mod query;
mod queue;
mod records;
mod rewrite;
mod row;
mod sends;
mod serving;
mod table;
mod tentative;
mod write_error;
mod writer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::Database;
use tokio::sync::{oneshot, watch};

pub use feed::{Feed, Handed};
pub use file::Refused;
pub use forget::{Found, set_aside_beside};
pub use health::{StoreFigures, StoreHealth, StoreState};
pub use lane::Lane;
pub use query::{Loaded, NotificationCursor, Notifications, Order, Page, ReadError, Reader, StoreStats};
pub use records::Before;
pub use row::RowError;
pub use sends::SendSummary;

use crate::clock::Clock;
use crate::domain::decide::Change;
use crate::domain::ledger::{AttemptId, Position};
use crate::domain::retention::RetentionPolicy;

/// How the store is kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `store.path`: the file.
    pub path: PathBuf,
    /// `store.commit_wait`: how long a send waits for its record.
    pub commit_wait: Duration,
    /// `store.cache`: pages kept in memory.
    pub cache_bytes: usize,
    /// `store.sends_for` and its like.
    pub retention: RetentionPolicy,
}

/// Listens to the store. Called on its threads: must not wait for anything.
pub trait Meter: Send + Sync {
    /// A commit that took `took` has recorded so many entries.
    fn committed(&self, entries: usize, took: Duration) {
        let _unused = (entries, took);
    }

    /// So many waits ended without a commit.
    fn unrecorded(&self, entries: u64) {
        let _unused = entries;
    }

    /// So many entries were recorded after their wait had ended.
    fn late(&self, entries: u64) {
        let _unused = entries;
    }

    /// So many entries will never be recorded.
    fn lost(&self, entries: u64) {
        let _unused = entries;
    }

    /// So many attempts were forgotten, by age or for room.
    fn pruned(&self, attempts: u64) {
        let _unused = attempts;
    }
}

/// Listens to nothing.
#[derive(Debug)]
pub struct NoMeter;

impl Meter for NoMeter {}

/// How the first opening went.
#[derive(Clone, Debug)]
pub enum Opening {
    /// The store is open.
    Ready(OpenReport),
    /// It cannot be used by this process, ever; the file was not touched. Exit code 3.
    Refused(Refused),
    /// It cannot be used now (a full disk, say) and is tried again; sends go on unrecorded.
    Unavailable(String),
}

/// What was found at the opening.
#[derive(Clone, Debug)]
pub struct OpenReport {
    /// A broken file was put here, and a new one made.
    pub set_aside: Option<PathBuf>,
    /// The last position of the ledger.
    pub last: Position,
}

/// Why the heart's changes were not written. They may be on disk all the same; writing them again does no harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no open store right now.
    #[error(
        "the store cannot be written right now: {0}. It is tried again by itself; hand the changes in again"
    )]
    Unavailable(String),
    /// It is closed for good.
    #[error("the store is closed")]
    Closed,
}

/// The store. Cheap to clone; the last word is [`Store::close`].
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    opening: watch::Receiver<Option<Opening>>,
    thread: Arc<Thread>,
}

/// The writer's thread; ends with the last handle.
struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.shared.place.path).finish_non_exhaustive()
    }
}

/// What all ends of the store share.
struct Shared {
    settings: StoreSettings,
    place: file::Place,
    clock: Clock,
    meter: Arc<dyn Meter>,
    queue: queue::Queue,
    lanes: lane::Lanes,
    feed: Arc<feed::Buffer>,
    health: health::Health,
    /// The open file, for those who begin to read.
    db: RwLock<Option<Arc<Database>>>,
    /// Intents in the ledger whose outcome is not there.
    running: Mutex<BTreeMap<AttemptId, Position>>,
    opening: watch::Sender<Option<Opening>>,
    set_aside: Mutex<Vec<PathBuf>>,
    /// A reader tripped over the file.
    suspected: AtomicBool,
    /// The journal holds what no reader sees yet.
    unseen: AtomicBool,
}

impl Shared {
    fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
        self.queue.call();
    }

    fn take_suspicion(&self) -> bool {
        self.suspected.load(Ordering::Relaxed) && self.suspected.swap(false, Ordering::Relaxed)
    }

    /// Has what is in the journal put where readers see it, and waits for that as long as a send would. `false` where it is not there yet.
    fn show_all(&self) -> bool {
        if !self.unseen.load(Ordering::Acquire) {
            return true;
        }
        let (seen, shown) = mpsc::sync_channel(1);
        self.queue.show(seen);
        shown.recv_timeout(self.settings.commit_wait).is_ok()
    }

    fn measure(&self) {
        self.health.file_bytes.store(writer::file_bytes(&self.place.path), Ordering::Relaxed);
    }
}

impl Store {
    /// Starts the writing thread, which opens the file. The [`Feed`] is the heart's.
    pub fn start(
        settings: StoreSettings,
        clock: Clock,
        meter: Arc<dyn Meter>,
    ) -> std::io::Result<(Self, Feed)> {
        let place = file::Place {
            path: settings.path.clone(),
            cache_bytes: settings.cache_bytes,
            #[cfg(test)]
            wrap: None,
        };
        Self::start_at(place, settings, clock, meter)
    }

    fn start_at(
        place: file::Place,
        settings: StoreSettings,
        clock: Clock,
        meter: Arc<dyn Meter>,
    ) -> std::io::Result<(Self, Feed)> {
        let (sender, opening) = watch::channel(None);
        let buffer = Arc::new(feed::Buffer::default());
        let shared = Arc::new(Shared {
            settings,
            place,
            health: health::Health::new(clock.clone(), Arc::clone(&meter)),
            clock,
            meter,
            queue: queue::Queue::default(),
            lanes: lane::Lanes::default(),
            feed: Arc::clone(&buffer),
            db: RwLock::default(),
            running: Mutex::default(),
            opening: sender,
            set_aside: Mutex::default(),
            suspected: AtomicBool::default(),
            unseen: AtomicBool::default(),
        });
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(&writing))?;
        let feed = Feed::new(buffer, Reader::live(Arc::clone(&shared)));
        let thread = Arc::new(Thread { shared: Arc::clone(&shared), handle: Mutex::new(Some(thread)) });
        Ok((Self { shared, opening, thread }, feed))
    }

    /// How the first opening went, once that is known.
    pub async fn opened(&self) -> Opening {
        self.opening_that(|_| true).await
    }

    /// Waits until the store is open, however long that takes. What it returns is never `Unavailable`, but where the store is closed.
    pub async fn ready(&self) -> Opening {
        self.opening_that(|opening| !matches!(opening, Opening::Unavailable(_))).await
    }

    async fn opening_that(&self, fits: impl Fn(&Opening) -> bool) -> Opening {
        let mut opening = self.opening.clone();
        let found = opening.wait_for(|opening| opening.as_ref().is_some_and(&fits)).await;
        found.ok().and_then(|found| found.clone()).unwrap_or(Opening::Unavailable("it is closed".to_owned()))
    }

    /// The send path's end, one for each single-threaded runtime. Must be called inside it, where tasks may stay on its thread.
    pub fn lane(&self) -> Lane {
        Lane::open(Arc::clone(&self.shared))
    }

    /// Writes the heart's changes, together with where they stand: all entries up to `applied` are in them, and no attempt whose intent
    /// stands before `keep_from` still runs. `keep_from` zero leaves what was said before. Comes back once they are on disk.
    pub async fn commit(
        &self,
        changes: Vec<Change>,
        applied: Position,
        keep_from: Position,
    ) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let commit = queue::Commit { changes, applied, keep_from, done };
        self.shared.queue.commit(commit).map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Do the store's threads live, with a file that they can use? The answer comes once what is under way has ended; where it does not end,
    /// never, and `false` where there is no file.
    pub async fn pulse(&self) -> bool {
        let (pulse, felt) = oneshot::channel();
        self.shared.queue.feel(pulse);
        felt.await.is_ok()
    }

    /// Reads the store.
    pub fn reader(&self) -> Reader {
        Reader::live(Arc::clone(&self.shared))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.shared.place.path
    }

    /// Reads a file that no process has open. Makes nothing; where a process has the file open, the error says so.
    pub fn open_read_only(path: &Path, clock: Clock) -> Result<Reader, ReadError> {
        let place = file::Place {
            path: path.to_path_buf(),
            cache_bytes: 4 * 1024 * 1024,
            #[cfg(test)]
            wrap: None,
        };
        let file = place.open_read_only().map_err(ReadError::Unavailable)?;
        Reader::offline(file, health::Health::new(clock, Arc::new(NoMeter)))
    }

    /// Writes the file anew, so that nothing is left of what was taken out of it, and closes the store. For who has it alone: nothing may be
    /// recorded any more. Blocks for as long as it takes.
    ///
    /// # Errors
    /// Where there is no room for a second file, say. The file is whole all the same, and is written anew the next time it is opened.
    pub fn rewrite(&self) -> Result<(), ReadError> {
        self.shared.place.rewrite_of(&self.reader())
    }

    /// How recording goes.
    pub fn health(&self) -> StoreHealth {
        self.shared.health.look()
    }

    /// Can sends be recorded? One atomic read.
    pub fn state(&self) -> StoreState {
        self.shared.health.state()
    }

    /// What was counted since the start.
    pub fn figures(&self) -> StoreFigures {
        self.shared.health.figures(self.shared.queue.len())
    }

    /// Broken files that were set aside since the start.
    pub fn set_aside(&self) -> Vec<PathBuf> {
        self.shared.set_aside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what waits and closes the file. Nothing can be recorded afterwards.
    pub async fn close(self) {
        self.shared.queue.close();
        let thread = self.thread.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A disk that hangs must not hold the process: the caller bounds this wait.
            let _joined = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
