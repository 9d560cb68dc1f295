//! The heart's loop: receive what the store has committed, decide, commit what follows, then act.
//!
//! One loop, one state, one sleep for every timer. The loop starts when the store is open: it takes up what was stored, meets the entries
//! that came after, and writes down the attempts an earlier process left open. Where the store is in trouble the loop goes on from what is
//! handed over unrecorded, and what it could not commit is committed later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::case::Case;
use crate::domain::decide::{Change, Decision, Notice, Policy, State, Unheard};
use crate::domain::ledger::{Entry, Position};
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::store::{Feed, Handed, Loaded, Opening, Reader, Store};

/// What only moves clocks is committed no oftener than this: the ledger says it too.
const QUIET_COMMIT: Duration = Duration::from_millis(500);
/// How long to wait before a failed commit is tried again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// Entries read at a time while the state is taken up.
const CATCH_UP: usize = 2_000;
/// Changes that wait for the store at the most; beyond that the oldest are left to the ledger.
const PENDING_MAX: usize = 100_000;

/// The heart, as others see it.
pub struct Heart {
    state: Mutex<State>,
    /// The rules' numbers; SIGHUP swaps them.
    pub policy: ArcSwap<Policy>,
    shown_at: Mutex<Timestamp>,
}

impl Heart {
    /// A heart that knows nothing yet.
    pub fn new(state: State, policy: Policy, now: Timestamp) -> Self {
        Self { state: Mutex::new(state), policy: ArcSwap::from_pointee(policy), shown_at: Mutex::new(now) }
    }

    /// The state, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the gauges up to date, before they are scraped.
    pub fn show(&self, metrics: &Metrics, now: Timestamp) {
        let elapsed = {
            let mut shown_at = self.shown_at.lock().unwrap_or_else(PoisonError::into_inner);
            now.since(std::mem::replace(&mut *shown_at, now))
        };
        let state = self.state();
        let mut open: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in state.cases().values().filter(|case| case.failure.is_some()) {
            open.entry(state.session_of(&case.what).as_str()).or_default().push(case);
        }
        for (name, session) in state.sessions() {
            metrics.heart.session(session, elapsed);
            let cases = open.remove(name.as_str()).unwrap_or_default();
            metrics.heart.open(name.as_str(), cases.into_iter());
        }
    }
}

/// What the proxy must know of what was stored.
pub trait Recall: Send + Sync {
    /// A send that did not succeed and may be tried again.
    fn unsuccessful(&self, case: &Case);
    /// A success nobody heard of.
    fn unheard(&self, unheard: &Unheard);
}

/// The loop.
pub struct Watchdog {
    /// What it moves.
    pub heart: Arc<Heart>,
    /// Where it writes.
    pub store: Store,
    /// What comes in.
    pub feed: Feed,
    /// When it is.
    pub clock: Clock,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Who wants to know what was stored.
    pub recall: Arc<dyn Recall>,
    /// Told once the state is taken up.
    pub ready: CancellationToken,
}

/// Changes that wait to be committed.
#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    applied: Position,
    moved: bool,
}

impl Watchdog {
    /// Runs until the store is closed and everything it handed over is dealt with. Inside a `LocalSet`.
    pub async fn run(mut self) {
        let mut pending = Pending::default();
        match self.store.ready().await {
            Opening::Ready(_) => self.take_up(&mut pending).await,
            // The process is about to end.
            Opening::Refused(_) | Opening::Unavailable(_) => return,
        }
        self.ready.cancel();
        let mut quiet_since = self.clock.now();
        loop {
            let now = self.clock.now();
            let deadline = self.heart.state().next_deadline();
            let patience = if pending.moved { QUIET_COMMIT } else { Duration::from_secs(60) };
            let nap = deadline.since(now).min(patience);
            let mut notices = Vec::new();
            let closed = match timeout(nap, self.feed.next()).await {
                Ok(Some(handed)) => {
                    self.receive(handed, &mut pending, &mut notices);
                    false
                }
                Ok(None) => true,
                Err(_) => false,
            };
            let now = self.clock.now();
            let policy = self.heart.policy.load();
            let decision = self.heart.state().tick(now, &policy);
            pending.take(decision, &mut notices);
            let quiet = pending.changes.is_empty();
            if closed || !quiet || (pending.moved && now.since(quiet_since) >= QUIET_COMMIT) {
                self.commit(&mut pending).await;
                quiet_since = now;
            }
            notices.iter().for_each(|notice| self.tell(notice));
            if closed {
                return;
            }
        }
    }

    /// Takes up what was stored, meets what came after it, and writes down what an earlier process left open.
    async fn take_up(&mut self, pending: &mut Pending) {
        let reader = self.store.reader();
        let loaded = loop {
            match reader.load() {
                Ok(loaded) => break loaded,
                Err(error) => {
                    tracing::error!(%error, "what is stored cannot be read; trying again");
                    sleep(COMMIT_AGAIN).await;
                }
            }
        };
        let Loaded { cases, sessions, unheard, intents, applied, last } = loaded;
        let policy = self.heart.policy.load_full();
        {
            let mut state = self.heart.state();
            state.restore(cases, sessions, &unheard, &policy);
            for (position, intent) in intents {
                state.restore_intent(position, intent);
            }
        }
        self.feed.skip_to(last);
        self.catch_up(&reader, applied, last, &policy, pending).await;
        pending.applied = last;
        let now = self.clock.now();
        let left = self.heart.state().interrupted(now);
        if !left.is_empty() {
            tracing::warn!(
                attempts = left.len(),
                "attempts were cut off by the end of the last run: they may have been sent"
            );
        }
        let lane = self.store.lane();
        for ended in left {
            // Back through the ledger, like every other outcome.
            lane.note(Entry::Ended(Box::new(ended.clone())));
            self.recall.unsuccessful(&Case::open(&ended));
        }
        let state = self.heart.state();
        state.cases().values().for_each(|case| self.recall.unsuccessful(case));
        still_unheard(unheard, &pending.changes).iter().for_each(|unheard| self.recall.unheard(unheard));
    }

    /// The entries the stored state does not stand for yet.
    async fn catch_up(
        &self,
        reader: &Reader,
        applied: Position,
        last: Position,
        policy: &Policy,
        pending: &mut Pending,
    ) {
        let mut from = Position(applied.0 + 1);
        while from <= last {
            let entries = match reader.entries(from, last, CATCH_UP) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::error!(%error, "the ledger cannot be read; trying again");
                    sleep(COMMIT_AGAIN).await;
                    continue;
                }
            };
            let full = entries.len() == CATCH_UP;
            let upto = entries.last().map_or(last, |(position, _)| *position);
            let mut state = self.heart.state();
            for (position, entry) in entries {
                // Already counted by the process that lived through it: only what follows is taken.
                let decision = state.entry(position, entry, policy);
                pending.take(decision, &mut Vec::new());
            }
            from = if full { Position(upto.0 + 1) } else { Position(last.0 + 1) };
        }
    }

    fn receive(&self, handed: Handed, pending: &mut Pending, notices: &mut Vec<Notice>) {
        let policy = self.heart.policy.load();
        let mut state = self.heart.state();
        for (position, entry) in handed.entries {
            if let Entry::Ended(ended) = &entry {
                self.metrics.heart.attempt(state.session_of(&ended.what).as_str(), ended);
            }
            pending.take(state.entry(position, entry, &policy), notices);
        }
        pending.applied = pending.applied.max(handed.applied);
        pending.moved = true;
    }

    /// Commits what is pending; what cannot be committed stays so.
    async fn commit(&self, pending: &mut Pending) {
        let (moved, oldest) = {
            let mut state = self.heart.state();
            (state.checkpoint(), state.oldest_running())
        };
        pending.changes.extend(moved);
        let keep_from =
            oldest.unwrap_or(Position(pending.applied.0 + 1)).min(Position(pending.applied.0 + 1));
        match self.store.commit(pending.changes.clone(), pending.applied, keep_from).await {
            Ok(()) => {
                pending.changes.clear();
                pending.moved = false;
            }
            Err(error) => {
                let too_many = pending.changes.len().saturating_sub(PENDING_MAX);
                pending.changes.drain(..too_many);
                tracing::error!(%error, waiting = pending.changes.len(), "records cannot be written; trying again");
                sleep(COMMIT_AGAIN).await;
            }
        }
    }

    /// Counts a notice, and says it where somebody should read it.
    fn tell(&self, notice: &Notice) {
        let session = {
            let state = self.heart.state();
            match notice {
                Notice::Opened { what, .. }
                | Notice::Settled { what, .. }
                | Notice::GivenUp { what }
                | Notice::Retried { what }
                | Notice::Retry { what } => state.session_of(what).clone(),
                Notice::Status(change) => change.session.clone(),
            }
        };
        self.metrics.heart.notice(session.as_str(), notice);
        match notice {
            Notice::Opened { send, what, cause, attempts } => {
                let order = what.order.order_number.as_deref().unwrap_or("-");
                tracing::warn!(%session, %send, order, %cause, attempts, "a customer was not told: failed notification opened");
            }
            Notice::Settled { send, what, method } => {
                let order = what.order.order_number.as_deref().unwrap_or("-");
                tracing::info!(%session, %send, order, method = method.as_str(), "failed notification settled");
            }
            Notice::Status(change) => {
                let (from, to, reason) = (change.from, change.to.status, change.to.reason.as_str());
                if to.badness() > Status::Online.badness() {
                    tracing::warn!(%session, %from, %to, reason, "status changed");
                } else {
                    tracing::info!(%session, %from, %to, reason, "status changed");
                }
            }
            Notice::GivenUp { .. } | Notice::Retried { .. } | Notice::Retry { .. } => {}
        }
    }
}

/// The successes nobody heard of: those that were stored, and what the entries after them made of it.
fn still_unheard(stored: Vec<Unheard>, changes: &[Change]) -> Vec<Unheard> {
    let mut unheard: BTreeMap<_, _> = stored.into_iter().map(|one| (one.attempt.send, one)).collect();
    for change in changes {
        match change {
            Change::Unheard(one) => _ = unheard.insert(one.attempt.send, (**one).clone()),
            Change::Heard(send) => _ = unheard.remove(send),
            _ => {}
        }
    }
    unheard.into_values().collect()
}

impl Pending {
    fn take(&mut self, decision: Decision, notices: &mut Vec<Notice>) {
        self.changes.extend(decision.changes);
        notices.extend(decision.notices);
    }
}
