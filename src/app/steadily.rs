//! What is told again and again: to Alertmanager what stands, to the dead man's switch that everything makes progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Office;
use crate::channels;
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::proxy::Shared;
use crate::store::Store;
use crate::watchdog::Heart;

/// What goes round must have done so within this, or it is stuck.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// So long the store's writer may take for what it does right now.
const PULSE_WAIT: Duration = Duration::from_secs(20);

/// How often it is looked whether the wall clock was set.
const HEED_EVERY: Duration = Duration::from_secs(1);

impl Office {
    /// Heeds the wall clock until the thread ends: what is shown outside follows it.
    pub(super) fn heed_the_wall_clock(&self) {
        let clock = self.clock.clone();
        tokio::task::spawn_local(async move {
            loop {
                if let Some(milliseconds) = clock.heed() {
                    tracing::warn!(
                        milliseconds,
                        "the wall clock was set: moments are shown by it from now on, spans stay what they were"
                    );
                }
                sleep(HEED_EVERY).await;
            }
        });
    }

    /// Alertmanager is told what stands, the dead man's switch that we live, until the thread ends.
    pub(super) fn tell_steadily(&self) {
        let (hands, heart) = (Arc::clone(&self.hands), Arc::clone(&self.heart));
        let (clock, metrics, board) =
            (self.clock.clone(), Arc::clone(&self.metrics), Arc::clone(&self.steady));
        let loaded = self.loaded.clone();
        tokio::task::spawn_local(async move {
            // Before the state is taken up nothing is known to stand.
            loaded.cancelled().await;
            let channels = || Arc::clone(&hands.load().channels);
            let standing = || heart.state().standing();
            channels::push_on(channels, standing, &heart.moved, clock, metrics, board).await;
        });
        let (hands, clock, metrics, board) = (
            Arc::clone(&self.hands),
            self.clock.clone(),
            Arc::clone(&self.metrics),
            Arc::clone(&self.steady),
        );
        let life = Life {
            heart: Arc::clone(&self.heart),
            shared: Arc::clone(&self.shared),
            store: self.store.clone(),
            clock: clock.clone(),
        };
        tokio::task::spawn_local(async move {
            let channels = || Arc::clone(&hands.load().channels);
            channels::beat_on(channels, || life.signs(), clock, metrics, board).await;
        });
    }
}

/// What shows that everything that matters makes progress.
struct Life {
    heart: Arc<Heart>,
    shared: Arc<Shared>,
    store: Store,
    clock: Clock,
}

impl Life {
    /// All of it does, or this does not.
    async fn signs(&self) -> Result<(), &'static str> {
        let fresh = |at: Timestamp| self.clock.now().since(at) < ROUND_MAX;
        if !fresh(self.heart.last_beat()) {
            return Err("the heart's loop");
        }
        if !self.shared.last_beat().is_some_and(fresh) {
            return Err("a thread of the proxy");
        }
        if !timeout(PULSE_WAIT, self.store.pulse()).await.unwrap_or(false) {
            return Err("a thread of the store");
        }
        Ok(())
    }
}
