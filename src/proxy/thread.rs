//! The life of one of the proxy's threads: its runtime, the connections dealt to it, how it drains.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::connection::{Dealer, Dealt, serve};
use super::turnstile::Turnstile;
use super::worker::{SettingsOfThread, Worker};
use crate::store::Store;

/// After `kill`, what is cut off has so long to write down how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often connections that rested too long are let go.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What a worker starts with.
pub(super) struct Start {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) inbox: mpsc::Receiver<Dealt>,
    /// The first worker deals as well.
    pub(super) dealer: Option<Dealer>,
    pub(super) stop: CancellationToken,
    pub(super) kill: CancellationToken,
}

impl Start {
    /// Serves until `stop`, drains until `kill`.
    pub(super) fn run(self) {
        // Not a `LocalSet` in a runtime: that is a queue of tasks inside a queue of tasks.
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => {
                return tracing::error!(%error, worker = self.number, "a proxy thread has no runtime");
            }
        };
        runtime.block_on(self.serve());
    }

    async fn serve(self) {
        let Self { number, shared, store, mut inbox, dealer, stop, kill } = self;
        let worker = Rc::new(Worker {
            pool: Rc::default(),
            turnstile: Turnstile::default(),
            lane: store.lane(),
            tasks: TaskTracker::new(),
            tunnels: TaskTracker::new(),
            settings: SettingsOfThread::new(&shared),
            shared,
            stop: stop.clone(),
            kill: kill.clone(),
            guests: Rc::default(),
            calls: Rc::default(),
        });
        tokio::task::spawn_local(Rc::clone(&worker.guests).keep(stop.clone()));
        tokio::task::spawn_local(Rc::clone(&worker.calls).keep(kill.clone()));
        if let Some(dealer) = dealer {
            tokio::task::spawn_local(dealer.deal(Arc::clone(&worker.shared), stop.clone()));
        }
        tokio::task::spawn_local(sweep(Rc::clone(&worker), number));
        let connections = TaskTracker::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                dealt = inbox.recv() => match dealt {
                    Some(dealt) => drop(connections.spawn_local(serve(Rc::clone(&worker), dealt))),
                    None => break,
                },
            }
        }
        connections.close();
        worker.tasks.close();
        worker.tunnels.close();
        let drained = async {
            connections.wait().await;
            worker.tasks.wait().await;
            worker.tunnels.wait().await;
        };
        let killed = async {
            kill.cancelled().await;
            let _ = tokio::time::timeout(LAST_WORDS, worker.tasks.wait()).await;
        };
        tokio::select! {
            () = drained => {}
            () = killed => {}
        }
    }
}

async fn sweep(worker: Rc<Worker>, number: usize) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        worker.shared.beat(number);
        worker.pool.sweep(worker.settings().upstream_idle_timeout);
    }
}
