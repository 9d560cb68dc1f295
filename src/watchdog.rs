//! The heart's loop: receive what the store has committed, decide, commit what follows, then act.
//!
//! One loop, one state, one sleep for every timer. It never waits for the store: entries are dealt with as they are handed over, recorded or not,
//! and what follows is committed when that is possible, with what came later on top. Once the store is open the loop takes up what was
//! stored, meets the entries that came after, and writes down the attempts an earlier process left open.

pub mod desk;
pub mod news;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::desk::{After, Desk};
use self::news::News;
use crate::clock::Clock;
use crate::domain::bot::BotFound;
use crate::domain::case::Case;
use crate::domain::command::{Command, Pending, Reply};
use crate::domain::confirmation::FeedEvent;
use crate::domain::decide::{
    Change, Decision, Ending, Event, Notice, Policy, Reconciled, State, Stored, Unheard,
};
use crate::domain::delivery::Delivered;
use crate::domain::diagnosis::Verdict;
use crate::domain::errand::{Errand, Report};
use crate::domain::id::SessionName;
use crate::domain::ledger::{Entry, Position, StoredAnswer};
use crate::domain::probe::ProbeResult;
use crate::domain::send::Content;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::store::{Feed, Handed, Lane, Loaded, Opening, ReadError, Reader, Store, StoreError};

/// What only moves clocks is committed no oftener than this: the ledger says it too.
const QUIET_COMMIT: Duration = Duration::from_millis(500);
/// How long to wait before a failed commit is tried again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// A commit that takes longer is not waited for any more by those who tell the admins; nor is a store that does not open.
const COMMIT_LONG: Duration = Duration::from_secs(30);
/// Entries read at a time while the state is taken up.
const CATCH_UP: usize = 2_000;
/// So much is taken out of each part of the inbox between two looks at the ledger.
const INBOX_AT_A_TIME: usize = 64;
/// Where sends end one upon the other, the heart hears of them so much later, and of more at once: each time it comes costs them time.
const LULL: Duration = Duration::from_millis(2);
/// So many at once are one upon the other.
const MANY: usize = 4;
/// Orders told so long ago are still known to be told after a restart.
const TOLD_WITHIN: Duration = Duration::from_secs(60 * 60);
/// So many diagnosed sends are looked at for customers that were written to lately.
const FOUND_MAX: usize = 1_000;
/// So long without another entry, and there are none left.
const DRAINED: Duration = Duration::from_millis(20);

/// The heart, as others see it.
pub struct Heart {
    state: Mutex<State>,
    /// The rules' numbers; SIGHUP swaps them.
    pub policy: ArcSwap<Policy>,
    /// What it told, for whoever listens.
    pub news: News,
    shown_at: Mutex<Timestamp>,
    /// How often records were written, or were to be.
    written: watch::Sender<u64>,
    /// When the loop last went round, in milliseconds.
    beat: AtomicI64,
    /// Told when something worth telling is on disk.
    pub moved: Notify,
}

impl Heart {
    /// A heart that knows nothing yet.
    pub fn new(state: State, policy: Policy, now: Timestamp) -> Self {
        Self {
            state: Mutex::new(state),
            policy: ArcSwap::from_pointee(policy),
            news: News::new(now),
            shown_at: Mutex::new(now),
            written: watch::Sender::new(0),
            beat: AtomicI64::new(now.millis()),
            moved: Notify::new(),
        }
    }

    /// Tells when the records may look different than before.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// The state, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the loop last went round: it does so every few seconds, however little happens.
    pub fn last_beat(&self) -> Timestamp {
        Timestamp::from_millis(self.beat.load(Ordering::Relaxed))
    }

    /// Brings the gauges up to date, before they are scraped.
    pub fn show(&self, metrics: &Metrics, now: Timestamp) {
        let elapsed = {
            let mut shown_at = self.shown_at.lock().unwrap_or_else(PoisonError::into_inner);
            now.since(std::mem::replace(&mut *shown_at, now))
        };
        let state = self.state();
        state.sessions().values().for_each(|session| metrics.heart.session(session, elapsed));
        metrics.mind.show(&state, now, &self.policy.load());
    }
}

/// What the proxy must know of what was stored.
pub trait Recall: Send + Sync {
    /// A send that did not succeed and may be tried again.
    fn unsuccessful(&self, case: &Case);
    /// How the case of an unsuccessful send stands now: whose it is, and whether it may have arrived.
    fn stands(&self, case: &Case);
    /// A success nobody heard of.
    fn unheard(&self, unheard: &Unheard);
    /// A send that was thought unsuccessful and had gone out. Gives the answer that now waits for its bot, if one can: `asked` is what the
    /// bot asked for.
    fn reconciled(&self, reconciled: &Reconciled, asked: Content) -> Option<StoredAnswer>;
}

/// Who does what the heart wants done, and reports.
pub trait Hands {
    /// Begins; never waits.
    fn begin(&self, errand: Errand);
}

/// What comes in beside the ledger.
pub struct Inbox {
    /// What came of errands.
    pub reports: mpsc::Receiver<Report>,
    /// What WAHA's event feed says.
    pub events: mpsc::Receiver<FeedEvent>,
    /// What people and the bot want.
    pub wishes: mpsc::Receiver<Wish>,
}

/// Somebody's wish, and where the answers go.
pub struct Wish {
    /// What.
    pub command: Command,
    /// Who: the token's name.
    pub who: String,
    /// Answered once what follows from it is on disk.
    pub reply: oneshot::Sender<Reply>,
    /// Told how it ended, where it takes time.
    pub ending: Option<oneshot::Sender<Ending>>,
}

/// Things waited for at once.
const WAITING_MAX: usize = 1000;

/// The loop.
pub struct Watchdog {
    /// What it moves.
    pub heart: Arc<Heart>,
    /// Where it writes.
    pub store: Store,
    /// Where it notes what it knows of attempts.
    pub lane: Lane,
    /// What comes in.
    pub feed: Feed,
    /// When it is.
    pub clock: Clock,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// The sessions of `waha.sessions`.
    pub sessions: Vec<SessionName>,
    /// Who wants to know what was stored.
    pub recall: Arc<dyn Recall>,
    /// Who does what is to be done.
    pub hands: Box<dyn Hands>,
    /// What comes in beside the ledger.
    pub inbox: Inbox,
    /// Who waits for what.
    pub waiting: RefCell<BTreeMap<Pending, Vec<oneshot::Sender<Ending>>>>,
    /// Told once the state is taken up.
    pub ready: CancellationToken,
    /// Says that nothing more will be recorded: deal with what is there, and end.
    pub finish: CancellationToken,
}

type Committing = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

impl Watchdog {
    /// Runs until it is told to finish, and has. Inside a `LocalRuntime`.
    pub async fn run(mut self) {
        let began = self.clock.now();
        let store = self.store.clone();
        let mut opening: Option<Pin<Box<dyn Future<Output = Opening>>>> =
            Some(Box::pin(async move { store.ready().await }));
        let mut desk = Desk::default();
        let mut committing: Option<Committing> = None;
        let mut commit_at = began;
        let mut waits_since = began;
        let mut hears_from = began;
        let mut files_replaced = 0;
        loop {
            let policy = self.heart.policy.load_full();
            let now = self.clock.now();
            let mut nap = self.heart.state().next_deadline(&policy).since(now);
            if desk.has_work() && committing.is_none() {
                nap = nap.min(commit_at.since(now));
            }
            let lull = hears_from.since(now);
            if !lull.is_zero() {
                nap = nap.min(lull);
            }
            tokio::select! {
                biased;
                () = self.finish.cancelled() => break,
                opened = async { Some(opening.as_mut()?.await) }, if opening.is_some() => {
                    opening = None;
                    if matches!(opened, Some(Opening::Ready(_))) {
                        self.take_up(&mut desk, began).await;
                        self.ready.cancel();
                    }
                }
                done = async { Some(committing.as_mut()?.await) }, if committing.is_some() => {
                    committing = None;
                    let now = self.clock.now();
                    commit_at = now + self.committed(&mut desk, done.unwrap_or(Err(StoreError::Closed)));
                    waits_since = now;
                }
                handed = self.feed.next(), if lull.is_zero() => match handed {
                    Some(handed) => {
                        if handed.entries.len() >= MANY {
                            hears_from = self.clock.now() + LULL;
                        }
                        self.receive(handed, &mut desk);
                    }
                    // The store has ended by itself.
                    None => break,
                },
                Some(report) = self.inbox.reports.recv() => self.happened(Event::Report(report), &mut desk),
                Some(event) = self.inbox.events.recv() => self.happened(heard(event), &mut desk),
                Some(wish) = self.inbox.wishes.recv() => self.obey(wish, &mut desk),
                () = sleep(nap) => {}
            }
            self.empty_inbox(&mut desk);
            let now = self.clock.now();
            self.heart.beat.store(now.millis(), Ordering::Relaxed);
            self.happened(Event::Tick, &mut desk);
            self.waiting.borrow_mut().retain(|_, ends| {
                ends.retain(|end| !end.is_closed());
                !ends.is_empty()
            });
            let replaced = self.store.set_aside().len();
            if replaced > files_replaced && opening.is_none() {
                // The new file knows nothing: it is told everything that is not settled.
                desk.take(self.heart.state().everything());
            }
            files_replaced = replaced;
            let due = desk.is_urgent() && !desk.failed() || now >= commit_at;
            if committing.is_none() && opening.is_none() && desk.has_work() && due {
                committing = Some(self.commit(&mut desk));
                waits_since = now;
            }
            let hangs = (committing.is_some() || opening.is_some()) && now.since(waits_since) >= COMMIT_LONG;
            if hangs && desk.keeps_waiting() {
                let after = desk.without_disk();
                self.act(after, &mut desk);
            }
            for errand in desk.crowded_out() {
                self.happened(Event::Report(errand.undone()), &mut desk);
            }
        }
        self.end(&mut desk, committing).await;
    }

    /// A ledger that never rests must not keep the rest waiting.
    fn empty_inbox(&mut self, desk: &mut Desk) {
        for _ in 0..INBOX_AT_A_TIME {
            let Ok(event) = self.inbox.events.try_recv() else { break };
            self.happened(heard(event), desk);
        }
        for _ in 0..INBOX_AT_A_TIME {
            let Ok(report) = self.inbox.reports.try_recv() else { break };
            self.happened(Event::Report(report), desk);
        }
        for _ in 0..INBOX_AT_A_TIME {
            let Ok(wish) = self.inbox.wishes.try_recv() else { break };
            self.obey(wish, desk);
        }
    }

    /// Deals with what is left, and commits it if the store still takes it.
    async fn end(&mut self, desk: &mut Desk, committing: Option<Committing>) {
        if let Some(committing) = committing {
            let done = committing.await;
            self.committed(desk, done);
        }
        // What waits in front of this commit is committed and handed over by it.
        let flushed = self.commit(desk).await;
        self.committed(desk, flushed);
        while let Ok(Some(handed)) = timeout(DRAINED, self.feed.next()).await {
            self.receive(handed, desk);
        }
        self.happened(Event::Tick, desk);
        let done = self.commit(desk).await;
        if let Err(error) = &done {
            tracing::warn!(%error, "the last records were not written; they are made again from the ledger at the next start");
        }
        self.committed(desk, done);
    }

    /// Takes up what was stored, meets what came after it, and writes down what an earlier process left open. What was dealt with before
    /// the store was open is in the ledger by now, or lost: the state is made anew from what is stored.
    async fn take_up(&mut self, desk: &mut Desk, began: Timestamp) {
        while let Ok(Some(_)) = timeout(Duration::ZERO, self.feed.next()).await {}
        let reader = self.store.reader();
        let Some(loaded) = self.patiently(|| reader.load()).await else { return };
        let told_from = self.clock.now() - TOLD_WITHIN;
        let Some(accepted) = self.patiently(|| reader.accepted_since(told_from)).await else { return };
        let Some(found) = self.patiently(|| reader.communication_failures(None, FOUND_MAX)).await else {
            return;
        };
        let written = found.items.iter().filter_map(Case::written_to).collect();
        let Loaded { stored, clock, intents, applied, last } = loaded;
        let unheard = stored.unheard.clone();
        let stepped = clock.map_or(0, |mark| self.clock.stepped_since(mark));
        if stepped != 0 {
            tracing::warn!(
                milliseconds = stepped,
                "the wall clock was set since what is stored was written; spans are kept as they are"
            );
        }
        let policy = self.heart.policy.load_full();
        *desk = Desk::standing_at(applied);
        {
            let mut state = self.heart.state();
            let seed = *self.clock.send_id().as_bytes();
            let earlier = std::mem::replace(&mut *state, State::new(&self.sessions, self.clock.now(), seed));
            state.follow_like(&earlier);
            state.restore(Stored { accepted, written, stepped, ..stored }, &policy);
            for (position, intent) in intents {
                state.restore_intent(position, intent);
            }
            // The mark that tells of it is written anew with the next commit: what it tells of goes with it.
            if stepped != 0 {
                desk.take(state.everything());
            }
        }
        self.feed.skip_to(last);
        let mut changes = Vec::new();
        self.catch_up(&reader, applied, last, &policy, desk, &mut changes).await;
        desk.applied(last);
        let left = self.heart.state().interrupted(began, self.clock.now());
        if !left.is_empty() {
            tracing::warn!(
                attempts = left.len(),
                "attempts were cut off by the end of the last run: they may have been sent"
            );
        }
        for ended in left {
            self.recall.unsuccessful(&Case::open(&ended));
            // Back through the ledger, like every other outcome.
            self.lane.note(Entry::Ended(Box::new(ended)));
        }
        let state = self.heart.state();
        state.cases().values().for_each(|case| self.recall.unsuccessful(case));
        still_unheard(unheard, &changes).iter().for_each(|unheard| self.recall.unheard(unheard));
    }

    /// The entries the stored state does not stand for yet. What follows from them was not told by the process that lived through them.
    async fn catch_up(
        &self,
        reader: &Reader,
        applied: Position,
        last: Position,
        policy: &Policy,
        desk: &mut Desk,
        changes: &mut Vec<Change>,
    ) {
        let mut from = Position(applied.0 + 1);
        while from <= last {
            let Some(entries) = self.patiently(|| reader.entries(from, last, CATCH_UP)).await else { return };
            let full = entries.len() == CATCH_UP;
            let upto = entries.last().map_or(last, |(position, _)| *position);
            let mut state = self.heart.state();
            for (position, entry) in entries {
                let decision = state.entry(position, entry, policy);
                changes.extend(
                    decision
                        .changes
                        .iter()
                        .filter(|change| matches!(change, Change::Unheard(_) | Change::Heard(_)))
                        .cloned(),
                );
                desk.take(decision);
            }
            from = if full { Position(upto.0 + 1) } else { Position(last.0 + 1) };
        }
    }

    /// Reads until it succeeds; `None` where the end comes first.
    async fn patiently<T>(&self, read: impl Fn() -> Result<T, ReadError>) -> Option<T> {
        loop {
            match read() {
                Ok(read) => return Some(read),
                Err(error) => tracing::error!(%error, "what is stored cannot be read; trying again"),
            }
            tokio::select! {
                () = self.finish.cancelled() => return None,
                () = sleep(COMMIT_AGAIN) => {}
            }
        }
    }

    fn receive(&self, handed: Handed, desk: &mut Desk) {
        let (policy, now) = (self.heart.policy.load(), self.clock.now());
        let mut decisions = Vec::with_capacity(handed.entries.len());
        let mut state = self.heart.state();
        for (position, entry) in handed.entries {
            if let Entry::Ended(ended) = &entry {
                self.metrics.heart.attempt(state.session_of(&ended.what).as_str(), ended);
            }
            decisions.push(state.decide(Event::Entry(position, entry), now, &policy));
        }
        drop(state);
        decisions.into_iter().for_each(|decision| self.take(decision, desk));
        desk.applied(handed.applied);
    }

    /// Decides what follows, and begins what need not wait for it to be on disk.
    fn happened(&self, event: Event, desk: &mut Desk) {
        let policy = self.heart.policy.load();
        let decision = self.heart.state().decide(event, self.clock.now(), &policy);
        self.take(decision, desk);
    }

    fn take(&self, mut decision: Decision, desk: &mut Desk) {
        decision.errands.retain(|errand| {
            let waits = errand.waits_for_disk();
            if !waits {
                self.hands.begin(errand.clone());
            }
            waits
        });
        for one in std::mem::take(&mut decision.reconciled) {
            let Ok(Some(kept)) = self.store.reader().request(one.send) else { continue };
            let asked = Content::of(&kept.method, &kept.target, &kept.body);
            let answer = self.recall.reconciled(&one, asked).map(Arc::new);
            // It waits for its bot over a restart as well.
            let note = decision.notes.iter_mut().find(|ended| ended.attempt.send == one.send);
            if let (Some(note), Some(answer)) = (note, answer) {
                note.unheard = Some(answer);
            }
        }
        for change in &decision.changes {
            if let Change::Case(case) = change {
                self.recall.stands(case);
            }
        }
        for ended in std::mem::take(&mut decision.notes) {
            self.lane.note(Entry::Ended(Box::new(ended)));
        }
        let endings = std::mem::take(&mut decision.endings);
        let mut waiting = self.waiting.borrow_mut();
        for (pending, ending) in endings {
            for end in waiting.remove(&pending).into_iter().flatten() {
                // Whoever waited may have gone.
                let _gone = end.send(ending.clone());
            }
        }
        desk.take(decision);
    }

    /// Somebody wants something.
    fn obey(&self, wish: Wish, desk: &mut Desk) {
        let policy = self.heart.policy.load();
        let (decision, reply) =
            self.heart.state().command(wish.command, &wish.who, self.clock.now(), &policy);
        if let (Reply::Begun(pending), Some(end)) = (&reply, wish.ending) {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.len() < WAITING_MAX {
                waiting.entry(pending.clone()).or_default().push(end);
            }
        }
        self.take(decision, desk);
        desk.answer(wish.reply, reply);
    }

    /// Begins to commit what lies on the desk.
    fn commit(&self, desk: &mut Desk) -> Committing {
        let (moved, oldest) = {
            let mut state = self.heart.state();
            (state.checkpoint(), state.oldest_running())
        };
        let (changes, applied) = desk.hand_in(moved);
        let next = Position(applied.0 + 1);
        let keep_from = oldest.unwrap_or(next).min(next);
        let store = self.store.clone();
        Box::pin(async move { store.commit(changes, applied, keep_from).await })
    }

    /// A commit is over. Gives how long to wait before the next.
    fn committed(&self, desk: &mut Desk, done: Result<(), StoreError>) -> Duration {
        let failed = done.as_ref().err().filter(|error| **error != StoreError::Closed);
        if let Some(error) = failed
            && !desk.failed()
        {
            tracing::error!(%error, "records cannot be written; trying again");
        }
        let after = desk.handed_in(done.is_ok());
        self.heart.written.send_modify(|times| *times = times.wrapping_add(1));
        self.act(after, desk);
        if done.is_ok() { QUIET_COMMIT } else { COMMIT_AGAIN }
    }

    /// What waited for a commit is told and done.
    fn act(&self, after: After, desk: &mut Desk) {
        after.notices.iter().for_each(|notice| self.tell(notice));
        if !after.notices.is_empty() || !after.replies.is_empty() {
            self.heart.moved.notify_one();
        }
        after.errands.into_iter().for_each(|errand| self.hands.begin(errand));
        for errand in after.undone {
            self.happened(Event::Report(errand.undone()), desk);
        }
        for (to, reply) in after.replies {
            // Whoever asked may have gone.
            let _gone = to.send(reply);
        }
    }

    /// Counts a notice, and says it where somebody should read it.
    fn tell(&self, notice: &Notice) {
        let (policy, now) = (self.heart.policy.load(), self.clock.now());
        let (session, fact) = {
            let state = self.heart.state();
            let session = match notice {
                Notice::Opened { what, .. }
                | Notice::Settled { what, .. }
                | Notice::GivenUp { what }
                | Notice::Retried { what }
                | Notice::Retry { what }
                | Notice::Replayed { what, .. } => state.session_of(what).clone(),
                Notice::Status(change) => change.session.clone(),
                Notice::Probed { session, .. }
                | Notice::Diagnosed { session, .. }
                | Notice::Confirmed { session, .. }
                | Notice::NotReplayed { session }
                | Notice::RunOver { session, .. }
                | Notice::Looked { session, .. } => session.clone(),
                Notice::IncidentOpened(incident) | Notice::IncidentClosed(incident) => {
                    incident.session.clone()
                }
                Notice::Alerting(alert) => alert.session.clone(),
                Notice::Delivered { session, .. } => session.clone(),
                // Of no session, or of one that does not matter here.
                Notice::Acted(_) | Notice::BotProbed { .. } => state.worst().name.clone(),
            };
            let fact = news::fact(notice, &session, &state, &policy, now);
            (session, fact)
        };
        if let Some(fact) = fact {
            self.heart.news.publish(fact, now);
        }
        self.metrics.heart.notice(session.as_str(), notice);
        self.metrics.mind.notice(session.as_str(), notice, now);
        match notice {
            Notice::Opened { send, what, cause, attempts } => {
                let order = what.order.order_number.as_deref().unwrap_or("-");
                tracing::warn!(%session, %send, order, %cause, attempts, "a customer was not told: failed notification opened");
            }
            Notice::Settled { send, what, method, took: _ } => {
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
            Notice::Diagnosed { finding, sends, .. } => {
                let (verdict, cause) = (finding.verdict.as_str(), finding.cause);
                if finding.verdict == Verdict::TotalLoss {
                    tracing::error!(%session, verdict, %cause, sends, attempts = finding.attempts,
                        probe = finding.probe.map_or("none", ProbeResult::as_str),
                        "CRITICAL: nobody can be reached, neither customer nor admin");
                } else {
                    tracing::warn!(%session, verdict, %cause, sends, "diagnosis");
                }
            }
            Notice::Probed { result, .. } if !result.is_healthy() => {
                tracing::warn!(%session, found = result.as_str(), "probe");
            }
            Notice::BotProbed { found } if !matches!(found, BotFound::Alive | BotFound::NotAsked) => {
                tracing::warn!(found = found.as_str(), "the bot does not answer well on bot.health_url");
            }
            Notice::Replayed { what, outcome } => {
                let order = what.order.order_number.as_deref().unwrap_or("-");
                tracing::info!(%session, order, %outcome, "sent again");
            }
            Notice::IncidentOpened(incident) => {
                tracing::warn!(%session, incident = %incident.id, "incident opened")
            }
            Notice::IncidentClosed(incident) => {
                let seconds = incident.downtime(self.clock.now()).as_secs();
                let (affected, replayed, left) = (incident.affected_count, incident.replayed, incident.left);
                tracing::info!(%session, incident = %incident.id, seconds, affected, replayed, left, "incident closed");
            }
            Notice::Alerting(alert) => {
                let says = alert.says.as_str();
                tracing::warn!(%session, alert = %alert.id, says, told = alert.over().is_some(), "alert");
            }
            Notice::Delivered { alert, channel, how, .. } => {
                let channel = channel.as_str();
                match how {
                    Delivered::Ok => tracing::info!(%session, %alert, channel, "alert told"),
                    Delivered::Retried => {
                        tracing::warn!(%session, %alert, channel, "alert not told; it is tried again")
                    }
                    Delivered::Failed => {
                        tracing::error!(%session, %alert, channel, "alert not told, and given up")
                    }
                    Delivered::Suppressed => {
                        tracing::info!(%session, %alert, channel, "alert needless by now")
                    }
                }
            }
            Notice::Acted(_)
            | Notice::Probed { .. }
            | Notice::BotProbed { .. }
            | Notice::Confirmed { .. }
            | Notice::NotReplayed { .. }
            | Notice::RunOver { .. }
            | Notice::Looked { .. }
            | Notice::GivenUp { .. }
            | Notice::Retried { .. }
            | Notice::Retry { .. } => {}
        }
    }
}

fn heard(event: FeedEvent) -> Event {
    match event {
        FeedEvent::State(state) => Event::Feed(state),
        FeedEvent::Item(item) => Event::Heard(item),
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
