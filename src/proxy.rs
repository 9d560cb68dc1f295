//! The bot's side: an invisible HTTP/1.1 proxy before WAHA that records how each send ended (SPEC 4).
//!
//! One single-threaded runtime per core; connections are dealt out to them in turn and stay where they are. Plain calls are streamed and
//! counted ([`forward`]); sends are recognized, joined, recorded and answered ([`send`]). A send outlives its connection, because WAHA does
//! not stop when its client goes away, so neither do we.
//!
//! What is not here: what follows from an outcome. That is the heart's, behind the store.

mod attempt;
mod body;
mod budget;
mod connection;
mod describe;
mod doubt;
mod forward;
mod guard;
mod headers;
mod kept;
mod order;
mod outlive;
mod pace;
mod run;
mod send;
mod settings;
mod synthetic;
mod thread;
mod turnstile;
mod upstream;
mod waits;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::id::SendId;
use crate::domain::ledger::AttemptId;
use crate::domain::live::{LiveSends, RunEnd};
use crate::domain::send::Identity;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::store::Store;

pub use doubt::Asks;
pub use kept::KeptAnswer;
pub use settings::{Intents, Retry, Settings};
pub use upstream::Upstream;

/// Sends by identity, with what wakes and answers their calls.
pub type Live = LiveSends<oneshot::Sender<Option<(AttemptId, KeptAnswer)>>, KeptAnswer>;

/// What all workers share.
pub struct Shared {
    /// In force now; SIGHUP swaps it.
    pub settings: ArcSwap<Settings>,
    /// Which call belongs to which send. Locked for moments, never across a wait.
    live: Mutex<Live>,
    /// Who may open how many connections.
    connections: Arc<Semaphore>,
    /// Memory for bodies that are kept.
    budget: Arc<budget::Budget>,
    /// One send of a chat at a time, where the proxy retries.
    order: order::ChatOrder,
    /// Who asks WAHA about what may have arrived.
    asks: Box<dyn Asks>,
    /// When each worker last went round.
    beats: Mutex<BTreeMap<usize, Timestamp>>,
    /// Time and chance.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Shared {
    /// What workers share under `settings`, with the sends that `live` remembers from before.
    pub fn new(
        settings: Settings,
        live: Live,
        asks: Box<dyn Asks>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            asks,
            live: Mutex::new(live),
            connections: Arc::new(Semaphore::new(settings.connections_max)),
            budget: Arc::new(budget::Budget::new(settings.copy_budget)),
            order: order::ChatOrder::default(),
            beats: Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
            clock,
            metrics,
        }
    }

    /// A run has ended: whoever waited for it is told.
    pub fn finish_run(&self, identity: Identity, send: SendId, now: Timestamp, end: RunEnd<KeptAnswer>) {
        let success = match &end {
            RunEnd::Accepted(answer) => Some(answer.clone()),
            RunEnd::Unsuccessful { .. } | RunEnd::NotBegun => None,
        };
        let waiting = self.live().end(identity, send, now, end);
        for (wake, attempt) in waiting {
            // Whoever waited may have gone.
            let _gone = wake.send(attempt.zip(success.clone()));
        }
    }

    /// A worker goes round.
    fn beat(&self, worker: usize) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(worker, self.clock.now());
    }

    /// When the slowest worker last went round; `None` before the first has.
    pub fn last_beat(&self) -> Option<Timestamp> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }

    /// The table of live sends. A panic while it was held cannot have left it half changed in a way that matters more than going on.
    pub fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running proxy.
pub struct Proxy {
    workers: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Starts `workers` threads that serve `listener` until `stop`; then each finishes what is in flight, until `kill`.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be made.
    pub fn start(
        listener: TcpListener,
        workers: usize,
        shared: &Arc<Shared>,
        store: &Store,
        stop: &CancellationToken,
        kill: &CancellationToken,
    ) -> io::Result<Self> {
        /// Connections dealt to a worker that it has not taken up yet.
        const DEALT_MAX: usize = 256;
        listener.set_nonblocking(true)?;
        let (doors, inboxes): (Vec<_>, Vec<_>) =
            (0..workers.max(1)).map(|_| mpsc::channel(DEALT_MAX)).unzip();
        let mut dealer = Some(connection::Dealer { listener, doors });
        let threads = inboxes.into_iter().enumerate().map(|(number, inbox)| {
            let worker = thread::Start {
                number,
                shared: Arc::clone(shared),
                store: store.clone(),
                inbox,
                dealer: dealer.take(),
                stop: stop.clone(),
                kill: kill.clone(),
            };
            std::thread::Builder::new().name(format!("proxy-{number}")).spawn(move || worker.run())
        });
        Ok(Self { workers: threads.collect::<io::Result<_>>()? })
    }

    /// Waits until every worker has drained.
    pub fn join(self) {
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a proxy thread ended by a panic");
            }
        }
    }
}
