//! The heart: what an event changes. Pure; the loop around it is `crate::watchdog`.
//!
//! A send that did not succeed at once gets a case. A case becomes a failed notification when the send is rejected, or when it is given
//! up: after so many attempts, or after so long a silence (SPEC 4.4). Later attempts of the bot are added to it, and a success settles
//! it. Each send moves the clocks of its session, from which the status follows.
//!
//! Replaying the same entries gives the same state: every moment comes from the entry, and only ticks look at the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::assess::reassess;
use super::case::Case;
use super::command::Audit;
use super::confirmation::{Awaiting, Confirmed};
use super::diagnosis::Diagnosis;
use super::id::{SendId, SessionName};
use super::incident::Incident;
use super::ledger::{AttemptId, Ended, Entry, Intent, Position, StoredAnswer, StoredRequest, Via};
use super::notification::{Attention, Failure, Method, Resolution};
use super::outcome::{Cause, Outcome};
use super::send::{Description, Identity};
use super::session::Session;
use super::status::{Status, StatusChange, StatusPolicy};
use super::time::Timestamp;

/// The rules' numbers.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `retry.attempts`: a send is given up after so many.
    pub attempts: u32,
    /// `retry.give_up_after`: or after so long without a new one.
    pub give_up_after: Duration,
    /// Who retries.
    pub retries: Retries,
    /// `sends.window`: how long an unheard success waits for its bot.
    pub unheard_for: Duration,
    /// Of the status.
    pub status: StatusPolicy,
}

/// Who retries (SPEC 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// The bot; we count.
    ByBot,
    /// The proxy; its last try says so.
    ByProxy,
}

/// How long a status may be wrong because nobody looked: windows and silences are looked at this often.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The name under which sessions outside `waha.sessions` are counted together.
pub const OTHER_SESSIONS: &str = "other";

/// Everything the heart remembers.
#[derive(Debug)]
pub struct State {
    /// Cases that are not settled.
    cases: BTreeMap<SendId, Case>,
    /// Sessions by name: those of `waha.sessions`, and one for all others.
    sessions: BTreeMap<SessionName, Session>,
    /// Successes nobody heard of yet, and when they ended.
    unheard: BTreeMap<SendId, Timestamp>,
    /// Attempts that run: where their intents stand, and what they say. Those without an intent are only known to run.
    running: BTreeMap<AttemptId, Running>,
    /// When to look whether a case is given up. May name one more than once, or one that has moved on.
    due: BTreeSet<(Timestamp, SendId)>,
    /// Sessions that moved since the last checkpoint.
    moved: BTreeSet<SessionName>,
    /// When all sessions were looked at, and when they are next.
    looked: Timestamp,
    next_look: Timestamp,
    other: SessionName,
}

/// An attempt that runs.
#[derive(Debug)]
struct Running {
    /// When it was heard of, at the latest.
    since: Timestamp,
    /// Its intent and where that stands, if it has one.
    intent: Option<(Position, Intent)>,
}

/// No attempt runs longer than this: a huge body moving at the slowest pace allowed, and then the wait for its answer. Whatever was not heard
/// of for so long has been cut off.
const RUN_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// What to write down.
#[derive(Clone, Debug)]
pub enum Change {
    /// This is the case now.
    Case(Box<Case>),
    /// Keep this request for the send.
    Keep(SendId, Arc<StoredRequest>),
    /// The send's request is not needed any more.
    Drop(SendId),
    /// Keep this answer for a bot that did not hear it.
    Unheard(Box<Unheard>),
    /// Nobody will ask for that answer any more.
    Heard(SendId),
    /// This is the session now.
    Session(Box<Session>),
    /// The status changed.
    History(StatusChange),
    /// This is the session's diagnosis now; kept once it is over, for late corrections.
    Diagnosis(Box<Diagnosis>),
    /// This is the incident now.
    Incident(Box<Incident>),
    /// This is the alert now.
    Alert(Box<Alert>),
    /// This send waits for its ack.
    Awaiting(Box<Awaiting>),
    /// It waits no longer: this is what was heard.
    Confirmed(Confirmed),
    /// Somebody did something.
    Audit(Box<Audit>),
    /// Replays wait for a person, or do not.
    Paused(bool),
}

/// A success the bot has not heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// Its latest attempt.
    pub attempt: AttemptId,
    /// What joins calls to it.
    pub identity: Identity,
    /// When the send's first attempt started.
    pub first_at: Timestamp,
    /// When it succeeded.
    pub ended: Timestamp,
    /// What to answer.
    pub answer: Arc<StoredAnswer>,
}

/// Worth counting or telling, once the changes are on disk.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// A failed notification was opened.
    Opened {
        /// The send.
        send: SendId,
        /// What it was.
        what: Arc<Description>,
        /// Why.
        cause: Cause,
        /// After how many attempts.
        attempts: u32,
    },
    /// A failed notification was settled.
    Settled {
        /// The send.
        send: SendId,
        /// What it was.
        what: Arc<Description>,
        /// How.
        method: Method,
    },
    /// A send was given up, whether or not it notifies anybody.
    GivenUp {
        /// What it was.
        what: Arc<Description>,
    },
    /// A send succeeded after retries.
    Retried {
        /// What it was.
        what: Arc<Description>,
    },
    /// An attempt that was not a send's first.
    Retry {
        /// What it was.
        what: Arc<Description>,
    },
    /// A session's status changed.
    Status(StatusChange),
}

/// What an event led to.
#[derive(Debug, Default)]
#[must_use]
pub struct Decision {
    /// To be committed together.
    pub changes: Vec<Change>,
    /// To be counted and told after that.
    pub notices: Vec<Notice>,
}

impl State {
    /// Nothing known but the sessions' names.
    pub fn new<'a>(sessions: impl IntoIterator<Item = &'a SessionName>, now: Timestamp) -> Self {
        let other =
            SessionName::new(OTHER_SESSIONS).unwrap_or_else(|| unreachable!("a constant that is a name"));
        let names = sessions.into_iter().cloned().chain([other.clone()]);
        Self {
            cases: BTreeMap::new(),
            sessions: names.map(|name| (name.clone(), Session::new(name, now))).collect(),
            unheard: BTreeMap::new(),
            running: BTreeMap::new(),
            due: BTreeSet::new(),
            moved: BTreeSet::new(),
            looked: now,
            next_look: now + LOOK_EVERY,
            other,
        }
    }

    /// Takes up what was stored. Sessions that are not configured any more are left out.
    pub fn restore(
        &mut self,
        cases: Vec<Case>,
        sessions: Vec<Session>,
        unheard: &[Unheard],
        policy: &Policy,
    ) {
        for case in cases {
            self.expect_more(&case, policy);
            self.cases.insert(case.send, case);
        }
        for session in sessions {
            if let Some(known) = self.sessions.get_mut(&session.name) {
                *known = session;
            }
        }
        self.unheard = unheard.iter().map(|unheard| (unheard.attempt.send, unheard.ended)).collect();
    }

    /// An intent from before the checkpoint whose outcome is not there yet: known, not counted again.
    pub fn restore_intent(&mut self, position: Position, intent: Intent) {
        let since = intent.started;
        self.running.insert(intent.attempt, Running { since, intent: Some((position, intent)) });
    }

    /// Where the oldest intent stands whose attempt still runs.
    pub fn oldest_running(&self) -> Option<Position> {
        let intents = self.running.values().filter_map(|run| run.intent.as_ref());
        // Zero stands for an intent that could not be recorded.
        intents.map(|(position, _)| *position).filter(|position| position.0 > 0).min()
    }

    /// Attempts that began before `before` and whose end an earlier process did not see: they may have been sent (SPEC 4.5).
    pub fn interrupted(&self, before: Timestamp, now: Timestamp) -> Vec<Ended> {
        let intents = self.running.values().filter_map(|run| run.intent.as_ref());
        let mut left: Vec<_> = intents.filter(|(_, intent)| intent.started < before).collect();
        left.sort_unstable_by_key(|(position, _)| *position);
        left.into_iter().map(|(_, intent)| interrupted(intent, now)).collect()
    }

    /// Cases that are not settled, by send.
    pub const fn cases(&self) -> &BTreeMap<SendId, Case> {
        &self.cases
    }

    /// All sessions, by name.
    pub const fn sessions(&self) -> &BTreeMap<SessionName, Session> {
        &self.sessions
    }

    /// When something is due without any event.
    pub fn next_deadline(&self) -> Timestamp {
        self.due.first().map_or(self.next_look, |(at, _)| (*at).min(self.next_look))
    }

    /// The session a send counts under.
    pub fn session_of(&self, what: &Description) -> &SessionName {
        match &what.session {
            Some(name) => self.sessions.get_key_value(name).map_or(&self.other, |(name, _)| name),
            None => &self.other,
        }
    }

    /// The session with the worst status: the status of the whole. Of several, the one that was active last; a configured one before the
    /// others.
    pub fn worst(&self) -> &Session {
        let rank = |session: &&Session| {
            (session.assessment.status.badness(), session.last_activity, session.name != self.other)
        };
        let worst = self.sessions.values().max_by_key(rank);
        worst.unwrap_or_else(|| unreachable!("there is always the session for all others"))
    }

    /// Everything that is not settled, for a store that has lost it.
    pub fn everything(&mut self) -> Decision {
        self.moved.extend(self.sessions.keys().cloned());
        let changes = self.cases.values().map(|case| Change::Case(Box::new(case.clone()))).collect();
        Decision { changes, notices: Vec::new() }
    }

    /// The sessions that moved since the last checkpoint, to be stored with the position the state stands for.
    pub fn checkpoint(&mut self) -> Vec<Change> {
        let moved = std::mem::take(&mut self.moved);
        moved
            .iter()
            .filter_map(|name| self.sessions.get(name))
            .map(|session| Change::Session(Box::new(session.clone())))
            .collect()
    }

    /// An entry of the ledger, in its order. `position` is zero for what could not be recorded.
    pub fn entry(&mut self, position: Position, entry: Entry, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        match entry {
            Entry::Intent(intent) => {
                let name = self.session_of(&intent.what).clone();
                self.with_session(&name, |session| session.active(intent.started));
                let since = intent.started;
                self.running.insert(intent.attempt, Running { since, intent: Some((position, intent)) });
            }
            Entry::Begun(attempt) => {
                self.running.insert(attempt, Running { since: self.looked, intent: None });
            }
            Entry::Ended(ended) => self.ended(&ended, policy, &mut decision),
        }
        decision
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        while let Some((at, send)) = self.due.first().copied()
            && at <= now
        {
            self.due.remove(&(at, send));
            self.look_at_case(send, now, policy, &mut decision);
        }
        if now >= self.next_look {
            (self.looked, self.next_look) = (now, now + LOOK_EVERY);
            self.give_up_lost_runs(now, policy, &mut decision);
            let names: Vec<_> = self.sessions.keys().cloned().collect();
            for name in names {
                self.look_at_session(&name, now, policy, &mut decision);
            }
            let gone = |ended: Timestamp| now.since(ended) >= policy.unheard_for;
            let heard = self.unheard.extract_if(.., |_, ended| gone(*ended));
            decision.changes.extend(heard.map(|(send, _)| Change::Heard(send)));
        }
        decision
    }

    /// Runs whose end was lost on the way here must not keep their sends waiting for ever.
    fn give_up_lost_runs(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let lost: Vec<_> = self
            .running
            .iter()
            .filter(|(_, run)| now.since(run.since) >= RUN_MAX)
            .map(|(id, _)| *id)
            .collect();
        for attempt in lost {
            if let Some(Running { intent: Some((_, intent)), .. }) = self.running.remove(&attempt) {
                self.ended(&interrupted(&intent, now), policy, decision);
            } else if let Some(case) = self.cases.get(&attempt.send) {
                let case = case.clone();
                self.expect_more(&case, policy);
            }
        }
    }

    fn ended(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        let send = ended.attempt.send;
        let intent = self.running.remove(&ended.attempt).and_then(|run| run.intent);
        let request = ended.request.clone().or_else(|| intent.and_then(|(_, intent)| intent.request));
        if ended.attempt.number > 1 {
            decision.notices.push(Notice::Retry { what: Arc::clone(&ended.what) });
        }
        self.observe(ended);
        self.remember_unheard(ended, decision);
        if ended.outcome == Outcome::Accepted && ended.attempt.number == 1 && !self.cases.contains_key(&send)
        {
            self.look_unless_online(&ended.what, ended.ended, policy, decision);
            return;
        }
        let mut case = match self.cases.remove(&send) {
            Some(mut case) => {
                case.add(ended);
                case
            }
            // Where a settled case went before, the store keeps what that one knew (`Case::after`).
            None => Case::open(ended),
        };
        match case.outcome {
            Outcome::Accepted => settle(&mut case, ended, decision),
            Outcome::Rejected | Outcome::Failed | Outcome::Ambiguous => {
                // What is rejected is never sent again (SPEC 4.3).
                let kept = request.filter(|_| !case.replayable && ended.outcome != Outcome::Rejected);
                if let Some(request) = kept {
                    case.replayable = true;
                    decision.changes.push(Change::Keep(send, request));
                }
                self.judge(&mut case, ended, policy, decision);
            }
        }
        self.expect_more(&case, policy);
        self.file(case, decision);
        self.look_unless_online(&ended.what, ended.ended, policy, decision);
    }

    /// Moves the clocks of the send's session.
    fn observe(&mut self, ended: &Ended) {
        let name = self.session_of(&ended.what).clone();
        let latency = ended.ended.since(ended.started);
        self.with_session(&name, |session| {
            session.active(ended.started);
            match ended.outcome {
                // A latched call is the same message as the one it waited for.
                Outcome::Accepted if ended.via == Via::Latch => {}
                Outcome::Accepted => session.accepted(ended.ended, latency, ended.attempt.number > 1),
                Outcome::Failed | Outcome::Ambiguous => {
                    session.failed(ended.ended, ended.what.chat.as_ref(), latency)
                }
                Outcome::Rejected => {}
            }
        });
    }

    fn remember_unheard(&mut self, ended: &Ended, decision: &mut Decision) {
        let send = ended.attempt.send;
        if let (Some(answer), Some(identity)) = (&ended.unheard, ended.what.identity) {
            self.unheard.insert(send, ended.ended);
            decision.changes.push(Change::Unheard(Box::new(Unheard {
                attempt: ended.attempt,
                identity,
                first_at: ended.first_at,
                ended: ended.ended,
                answer: Arc::clone(answer),
            })));
        } else if ended.outcome == Outcome::Accepted && self.unheard.remove(&send).is_some() {
            decision.changes.push(Change::Heard(send));
        }
    }

    /// An unsuccessful attempt was added to `case`: is it rejected, or given up?
    fn judge(&mut self, case: &mut Case, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        if let Some(failure) = &mut case.failure {
            failure.cause = ended.cause.unwrap_or(failure.cause);
        }
        let spent = ended.given_up || (policy.retries == Retries::ByBot && case.attempts >= policy.attempts);
        if ended.outcome == Outcome::Rejected {
            self.fail(case, ended.ended, decision);
        } else if spent && !case.exhausted {
            self.give_up(case, ended.ended, policy, decision);
        }
    }

    /// The send is given up at `at`.
    fn give_up(&mut self, case: &mut Case, at: Timestamp, policy: &Policy, decision: &mut Decision) {
        case.exhausted = true;
        decision.notices.push(Notice::GivenUp { what: Arc::clone(&case.what) });
        let name = self.session_of(&case.what).clone();
        self.with_session(&name, |session| session.exhausted(at, case.what.chat.as_ref()));
        self.look_at_session(&name, at, policy, decision);
        self.fail(case, at, decision);
    }

    /// Opens the failed notification, where the send can notify anybody and has none yet.
    fn fail(&self, case: &mut Case, at: Timestamp, decision: &mut Decision) {
        if !case.what.kind.notifies() || case.failure.is_some() {
            return;
        }
        let cause = case.lines.iter().rev().find_map(|line| line.cause).unwrap_or(Cause::Interrupted);
        let status_at_creation = self
            .sessions
            .get(self.session_of(&case.what))
            .map_or(Status::Unknown, |session| session.assessment.status);
        case.failure = Some(Failure {
            cause,
            created_at: at,
            status_at_creation,
            attention: Attention::Unnotified,
            claimed_by: None,
            resolution: None,
        });
        let (send, what, attempts) = (case.send, Arc::clone(&case.what), case.attempts);
        decision.notices.push(Notice::Opened { send, what, cause, attempts });
    }

    /// Has nobody tried this send again for too long?
    fn look_at_case(&mut self, send: SendId, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let runs = self
            .running
            .range(AttemptId { send, number: 0 }..=AttemptId { send, number: u32::MAX })
            .next()
            .is_some();
        // One that runs comes back here when it ends.
        if runs || !self.cases.get(&send).is_some_and(may_be_given_up) {
            return;
        }
        let Some(mut case) = self.cases.remove(&send) else { return };
        let given_up_at = case.last_at + policy.give_up_after;
        if given_up_at > now {
            self.expect_more(&case, policy);
            self.cases.insert(send, case);
            return;
        }
        self.give_up(&mut case, given_up_at, policy, decision);
        self.file(case, decision);
    }

    /// Waits for the next attempt of a case that may still get one.
    fn expect_more(&mut self, case: &Case, policy: &Policy) {
        if may_be_given_up(case) {
            self.due.insert((case.last_at + policy.give_up_after, case.send));
        }
    }

    fn file(&mut self, case: Case, decision: &mut Decision) {
        if case.is_settled() {
            decision.changes.push(Change::Case(Box::new(case)));
        } else {
            decision.changes.push(Change::Case(Box::new(case.clone())));
            self.cases.insert(case.send, case);
        }
    }

    fn look_unless_online(
        &mut self,
        what: &Description,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let name = self.session_of(what).clone();
        // A send that needed retries is news as well, and not only at the next look.
        let news = |session: &Session| {
            let online = session.assessment.status == Status::Online;
            !online || session.sends_failing() || session.retried_at == Some(now)
        };
        if self.sessions.get(&name).is_some_and(news) {
            self.look_at_session(&name, now, policy, decision);
        }
    }

    fn look_at_session(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let from = session.assessment.status;
        if reassess(session, now, &policy.status) {
            let change = StatusChange { session: name.clone(), at: now, from, to: session.assessment };
            self.moved.insert(name.clone());
            decision.changes.push(Change::History(change.clone()));
            decision.notices.push(Notice::Status(change));
        }
    }

    fn with_session(&mut self, name: &SessionName, act: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(name) {
            act(session);
            if !self.moved.contains(name) {
                self.moved.insert(name.clone());
            }
        }
    }
}

/// Neither accepted nor rejected nor given up yet: the bot may try again.
fn may_be_given_up(case: &Case) -> bool {
    case.outcome.against_channel() && !case.exhausted
}

/// A success was added to `case`.
fn settle(case: &mut Case, ended: &Ended, decision: &mut Decision) {
    if case.replayable {
        case.replayable = false;
        decision.changes.push(Change::Drop(case.send));
    }
    if ended.outcome == Outcome::Accepted && ended.via != Via::Latch {
        decision.notices.push(Notice::Retried { what: Arc::clone(&case.what) });
    }
    if let Some(failure) = case.failure.as_mut().filter(|failure| failure.is_open()) {
        failure.resolution =
            Some(Resolution { at: ended.ended, method: Method::BotRecovered, by: None, note: None });
        let (send, what) = (case.send, Arc::clone(&case.what));
        decision.notices.push(Notice::Settled { send, what, method: Method::BotRecovered });
    }
}

fn interrupted(intent: &Intent, now: Timestamp) -> Ended {
    Ended {
        attempt: intent.attempt,
        via: intent.via,
        first_at: intent.first_at,
        started: intent.started,
        ended: now,
        what: Arc::clone(&intent.what),
        outcome: Outcome::Ambiguous,
        cause: Some(Cause::Interrupted),
        status: None,
        detail: None,
        message_id: None,
        given_up: false,
        unheard: None,
        request: intent.request.clone(),
    }
}

#[cfg(test)]
mod tests;
