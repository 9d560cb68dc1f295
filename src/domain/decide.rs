//! The heart: what an event changes. Pure; the loop around it is `crate::watchdog`.
//!
//! A send that did not succeed at once gets a case. A case becomes a failed notification when the send is rejected, or when it is given
//! up: after so many attempts, or after so long a silence (SPEC 4.4). Later attempts of the bot are added to it, and a success settles
//! it. Each send moves the clocks of its session, from which the status follows.
//!
//! Replaying the same entries gives the same state: every moment comes from the entry, and only ticks look at the clock.
//!
//! What the heart wants done outside it says as an [`Errand`]; what came of it comes back as a report. Whatever writes to anybody is
//! done only after the change that justifies it is on disk.
//!
//! - here: the state, the events, and looking at the clock
//! - `decision`: what comes in and goes out
//! - `attempts`: a send's attempts, given up, settled, handed over
//! - `probing`: probes, and the watchdog's own trouble; `living`: whether the bot lives
//! - `diagnosing`: the ladder
//! - `confirming`: echoes and acks
//! - `looking`: looks at what may have arrived; `recovering`: the canary and the replays; `survey`: everything that waits, in one pass
//! - `incidents`: incidents, and which alerts they call for; `alerting`: the outbox
//! - `drilling`: drills and tests of channels
//! - `commanding`: what people ask for
//! - `storing`: what is stored, and taken up again

mod alerting;
mod attempts;
mod commanding;
mod confirming;
mod decision;
mod diagnosing;
mod drilling;
mod incidents;
mod living;
mod looking;
mod probing;
mod recovering;
mod storing;
mod survey;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use self::attempts::interrupted;
pub use self::decision::{Change, Decision, Ending, Event, Notice, Reconciled, Stored, Unheard};
use self::diagnosing::WRITE_EVERY;
pub use self::recovering::Outlook;
pub use self::survey::Waits;
use super::alert::Alert;
use super::assess::{Signals, reassess};
use super::bot::BotProbe;
use super::case::Case;
use super::confirmation::{Awaiting, Early, FeedState, MessageId};
use super::delivery::{Channel, Progress, Reach, Route};
use super::diagnosis::{Diagnosis, Rung};
use super::drill::Drill;
use super::errand::{LetterKind, Report};
use super::id::{ChatId, RecordId, SendId, SessionName};
use super::incident::Incident;
use super::ledger::{AttemptId, Ended, Entry, Intent, Position, Via};
use super::notification::Failure;
use super::outcome::Outcome;
use super::probe::ProbePolicy;
use super::recovery::{ByHand, Held, Recovery, RecoveryPolicy, Told, Warm};
use super::send::Description;
use super::session::Session;
use super::standing::{Standing, Stands};
use super::status::{Reason, Status, StatusChange, StatusPolicy};
use super::time::Timestamp;

/// The rules' numbers.
#[derive(Clone, Debug)]
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
    /// Of the probes.
    pub probe: ProbePolicy,
    /// `alerts.admin_phone`: who is written to.
    pub admin: Option<ChatId>,
    /// `sends.confirm_within`: how long an accepted send may wait for its ack.
    pub confirm_within: Duration,
    /// `diagnosis.enabled`: is anybody written to when a notification is given up?
    pub diagnose: bool,
    /// Of replays.
    pub recovery: RecoveryPolicy,
    /// What shows that the bot lives.
    pub liveness: Liveness,
    /// Of the alerts.
    pub alerts: AlertPolicy,
}

/// Where alerts go, and when.
#[derive(Clone, Debug)]
pub struct AlertPolicy {
    /// The channels there are.
    pub routes: Vec<Route>,
    /// So long an alert about single orders waits for more of them.
    pub gather_for: Duration,
    /// And so long after one before the next.
    pub every: Duration,
    /// While the channel is dead, so long between two messages about more orders.
    pub remind_every: Duration,
}

/// What shows that the bot lives (SPEC 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Its sends: silence may be a quiet night.
    Traffic,
    /// Its own sign of life.
    Heartbeat,
    /// That its health URL answers.
    Probe,
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

/// So many sends that people have settled are remembered: a bot may still come back to them.
const SETTLED_MAX: usize = 4096;

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
    /// Replays that did not begin because their intents were not recorded in time, and how many of those may still come.
    unbegun: BTreeMap<SendId, u32>,
    /// When to look whether a case is given up, or handed over. May name one more than once, or one that has moved on.
    due: BTreeSet<(Timestamp, SendId)>,
    /// Sessions that moved since the last checkpoint.
    moved: BTreeSet<SessionName>,
    /// When all sessions were looked at, and when they are next.
    looked: Timestamp,
    next_look: Timestamp,
    other: SessionName,
    ids: Ids,
    /// Per session, the latest diagnosis, over or not.
    diagnoses: BTreeMap<SessionName, Diagnosis>,
    /// Sends of a session that wait for the diagnosis after the present one.
    undiagnosed: BTreeMap<SessionName, VecDeque<SendId>>,
    /// Customers a quick message was written to, and when.
    written_to: BTreeMap<ChatId, Timestamp>,
    /// Orders and types that were accepted lately.
    told: Told,
    /// Accepted sends that wait for their ack.
    awaiting: BTreeMap<SendId, Awaiting>,
    /// What the feed told of messages before their answers came.
    early: Early,
    /// Awaiting sends WAHA was asked about.
    acks_asked: BTreeSet<SendId>,
    /// Those that WAHA has shown to wait for their ack, since the feed is as it is.
    shown_waiting: BTreeSet<SendId>,
    /// Whose message is this? Of those that wait, and of open cases that an ack may still settle.
    messages: BTreeMap<MessageId, SendId>,
    /// When to look at an awaiting send. May name one that is gone.
    confirm_due: BTreeSet<(Timestamp, SendId)>,
    /// Per session, how long accepted sends to several chats have had no server ack.
    unacknowledged: BTreeMap<SessionName, Duration>,
    feed: Followed,
    /// Chats that are no new contacts: something was accepted or acknowledged there, or they wrote.
    warm: Warm,
    /// Open failed notifications by order.
    pending_orders: BTreeMap<String, Vec<SendId>>,
    /// Per session, how the way back goes.
    recoveries: BTreeMap<SessionName, Recovery>,
    /// After a restart nothing is sent again by itself before then: the pace is kept.
    paced: Timestamp,
    /// When to look for a send that may have arrived.
    looks: BTreeMap<SendId, Timestamp>,
    /// Replays that people asked for, and who.
    by_hand: BTreeMap<SendId, ByHand>,
    /// People want no replays for now.
    paused: bool,
    /// Open incidents.
    incidents: BTreeMap<SessionName, Incident>,
    /// Alerts not told yet.
    alerts: BTreeMap<RecordId, Alert>,
    /// The latest drill.
    drill: Option<Drill>,
    /// How channels have been.
    reach: BTreeMap<Channel, Reach>,
    /// When orders were last told of, by session.
    orders_told: BTreeMap<SessionName, Timestamp>,
    /// When a loss, or what came on top of it, was last told of, by session.
    reminded: BTreeMap<SessionName, Timestamp>,
    /// The bot's last sign of life, or our start.
    heartbeat: Timestamp,
    /// How asking the bot goes.
    bot: BotProbe,
    /// What showed at the last tick that the bot lives.
    liveness: Option<Liveness>,
    /// Sends that people have settled, and when: should the bot fail with one again, it is open again.
    settled: BTreeMap<SendId, Timestamp>,
    /// Sends that succeeded after they had failed, and when: a call of theirs that was under way meanwhile, and fails, opens nothing again.
    succeeded: BTreeMap<SendId, Timestamp>,
}

/// The event feed, as the heart knows it.
#[derive(Clone, Copy, Debug)]
struct Followed {
    state: FeedState,
    /// Since when.
    since: Timestamp,
}

/// Makes ids that sort by time; the seed comes from outside.
#[derive(Debug)]
struct Ids {
    seed: [u8; 16],
    made: u64,
}

impl Ids {
    fn next(&mut self, now: Timestamp) -> [u8; 16] {
        self.made += 1;
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.made.to_le_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now.millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&digest[..10]);
        // The marks of a version 7 UUID.
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
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

impl State {
    /// Nothing known but the sessions' names. `seed` is chance: no two states may have the same.
    pub fn new<'a>(
        sessions: impl IntoIterator<Item = &'a SessionName>,
        now: Timestamp,
        seed: [u8; 16],
    ) -> Self {
        let other =
            SessionName::new(OTHER_SESSIONS).unwrap_or_else(|| unreachable!("a constant that is a name"));
        let names = sessions.into_iter().cloned().chain([other.clone()]);
        Self {
            cases: BTreeMap::new(),
            sessions: names.map(|name| (name.clone(), Session::new(name, now))).collect(),
            unheard: BTreeMap::new(),
            running: BTreeMap::new(),
            unbegun: BTreeMap::new(),
            due: BTreeSet::new(),
            moved: BTreeSet::new(),
            looked: now,
            next_look: now + LOOK_EVERY,
            other,
            ids: Ids { seed, made: 0 },
            diagnoses: BTreeMap::new(),
            undiagnosed: BTreeMap::new(),
            written_to: BTreeMap::new(),
            told: Told::default(),
            awaiting: BTreeMap::new(),
            early: Early::default(),
            acks_asked: BTreeSet::new(),
            shown_waiting: BTreeSet::new(),
            messages: BTreeMap::new(),
            confirm_due: BTreeSet::new(),
            unacknowledged: BTreeMap::new(),
            feed: Followed { state: FeedState::Off, since: now },
            warm: Warm::default(),
            pending_orders: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            paced: Timestamp::EPOCH,
            looks: BTreeMap::new(),
            by_hand: BTreeMap::new(),
            paused: false,
            incidents: BTreeMap::new(),
            alerts: BTreeMap::new(),
            drill: None,
            reach: BTreeMap::new(),
            orders_told: BTreeMap::new(),
            reminded: BTreeMap::new(),
            heartbeat: now,
            bot: BotProbe::default(),
            liveness: None,
            settled: BTreeMap::new(),
            succeeded: BTreeMap::new(),
        }
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
    pub fn next_deadline(&self, policy: &Policy) -> Timestamp {
        let at = self.due.first().map_or(self.next_look, |(at, _)| (*at).min(self.next_look));
        let at = at.min(self.next_probe(policy).unwrap_or(at));
        let at = at.min(self.next_bot_probe(policy).unwrap_or(at));
        let at = at.min(self.next_step().unwrap_or(at));
        let at = at.min(self.next_recovery().unwrap_or(at));
        let at = at.min(self.next_alert().unwrap_or(at));
        at.min(self.drill.as_ref().filter(|drill| drill.ended.is_none()).map_or(at, |drill| drill.until))
    }

    /// Open incidents, by session.
    pub const fn incidents(&self) -> &BTreeMap<SessionName, Incident> {
        &self.incidents
    }

    /// Alerts not told yet.
    pub const fn alerts(&self) -> &BTreeMap<RecordId, Alert> {
        &self.alerts
    }

    /// The latest drill.
    pub const fn drill(&self) -> Option<&Drill> {
        self.drill.as_ref()
    }

    /// How each channel has been since the start, as far as it was tried.
    pub const fn reach(&self) -> &BTreeMap<Channel, Reach> {
        &self.reach
    }

    /// What is wrong right now. Like its alert, a loss waits for the diagnosis that may yet find it worse, or none: what becomes another within
    /// a second pages twice.
    pub fn standing(&self) -> Vec<Standing> {
        let announced =
            |name: &SessionName| self.incidents.get(name).is_some_and(|incident| incident.announced.loss);
        let of_status = |session: &Session| {
            if !announced(&session.name) {
                return None;
            }
            let what = match session.assessment.status {
                Status::IncommunicadoCritico => Stands::IncommunicadoCritico,
                Status::Incommunicado => Stands::Incommunicado,
                _ => return None,
            };
            Some(Standing { what, session: session.name.clone(), since: session.since })
        };
        let running = self.drill.iter().filter(|drill| drill.ended.is_none());
        let drill = running.map(|drill| Standing {
            what: Stands::Drill,
            session: drill.session.clone(),
            since: drill.began,
        });
        self.sessions.values().filter_map(of_status).chain(drill).collect()
    }

    /// How the event feed is.
    pub const fn feed(&self) -> FeedState {
        self.feed.state
    }

    /// Accepted sends that wait for their ack.
    pub const fn awaiting(&self) -> &BTreeMap<SendId, Awaiting> {
        &self.awaiting
    }

    /// How long accepted sends of a session, to two chats or more, have had no server ack.
    pub fn unacknowledged(&self, name: &SessionName) -> Duration {
        self.unacknowledged.get(name).copied().unwrap_or_default()
    }

    /// Do people want no replays?
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The latest diagnosis of each session.
    pub const fn diagnoses(&self) -> &BTreeMap<SessionName, Diagnosis> {
        &self.diagnoses
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

    /// The heart of the heart: something happened, what follows?
    pub fn decide(&mut self, event: Event, now: Timestamp, policy: &Policy) -> Decision {
        match event {
            Event::Entry(position, entry) => self.entry(position, entry, policy),
            Event::Report(report) => self.report(report, now, policy),
            Event::Feed(state) => self.feed_changed(state, now),
            Event::Heard(item) => self.heard(item, now, policy),
            Event::Tick => self.tick(now, policy),
        }
    }

    /// An errand is done.
    fn report(&mut self, report: Report, now: Timestamp, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        match report {
            Report::Probed { session, result, took } => {
                self.probed(&session, result, took, now, policy, &mut decision);
            }
            Report::BotProbed { found } => self.bot_probed(found, now, policy, &mut decision),
            Report::Looked { send, found } => self.looked(send, found, now, policy, &mut decision),
            Report::NotReplayed { send, why } => self.not_replayed(send, why, now, &mut decision),
            Report::Wrote { id, kind, outcome, cause, message: _ } => {
                let through = self.session_of_letter(id);
                match kind {
                    LetterKind::QuickMessage => {
                        self.step_over(id, Rung::Customer, outcome, cause, now, policy, &mut decision);
                    }
                    LetterKind::AdminNotice => {
                        self.step_over(id, Rung::Admin, outcome, cause, now, policy, &mut decision);
                    }
                    LetterKind::Alert => {
                        let why = cause.map(|cause| cause.as_str().to_owned());
                        self.alert_over(id, Channel::Whatsapp, outcome, why, now, &mut decision);
                    }
                    LetterKind::Canary => self.canary_over(id, outcome, now, policy, &mut decision),
                }
                if let Some(name) = through {
                    self.own_key_used(&name, outcome, cause, now, policy, &mut decision);
                }
            }
            Report::NotWritten { id, kind } => match kind {
                LetterKind::QuickMessage => self.step_not_tried(id, Rung::Customer, &mut decision),
                LetterKind::AdminNotice => self.step_not_tried(id, Rung::Admin, &mut decision),
                LetterKind::Alert => {
                    self.alert_over(id, Channel::Whatsapp, Outcome::Failed, None, now, &mut decision);
                }
                LetterKind::Canary => self.canary_not_tried(id, now),
            },
            Report::Told { alert, channel, outcome, why, reached } => {
                self.alert_reaches(alert, channel, &reached, &mut decision);
                self.alert_over(alert, channel, outcome, why, now, &mut decision);
            }
            Report::Reached { alert, channel, who } => {
                self.alert_reaches(alert, channel, &[who], &mut decision);
            }
            Report::NumberChecked { diagnosis, exists } => {
                self.number_checked(diagnosis, exists, &mut decision);
            }
        }
        decision
    }

    /// An entry of the ledger, in its order. `position` is zero for what could not be recorded.
    pub fn entry(&mut self, position: Position, entry: Entry, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        match entry {
            Entry::Intent(intent) => {
                if intent.via == Via::Replay {
                    let send = intent.attempt.send;
                    // Only what is open is sent again: the intent of a replay of anything else is that of one that did not begin.
                    if self.came_too_late(send) || !self.cases.contains_key(&send) {
                        return decision;
                    }
                } else {
                    let name = self.session_of(&intent.what).clone();
                    self.with_session(&name, |session| session.active(intent.started));
                    self.taken_back(intent.attempt.send, &mut decision);
                }
                let since = intent.started;
                self.running.insert(intent.attempt, Running { since, intent: Some((position, intent)) });
            }
            Entry::Begun(attempt) => {
                self.taken_back(attempt.send, &mut decision);
                self.running.insert(attempt, Running { since: self.looked, intent: None });
            }
            Entry::Ended(ended) => self.ended(&ended, policy, &mut decision),
        }
        decision
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        self.watch_liveness(now, policy);
        while let Some((at, send)) = self.due.first().copied()
            && at <= now
        {
            self.due.remove(&(at, send));
            self.look_at_case(send, now, policy, &mut decision);
        }
        if now >= self.next_look {
            (self.looked, self.next_look) = (now, now + LOOK_EVERY);
            self.give_up_lost_runs(now, policy, &mut decision);
            self.probe_where_sends_hang(now, policy);
            self.look_for_acks(now, policy, &mut decision);
            let names: Vec<_> = self.sessions.keys().cloned().collect();
            for name in names {
                self.look_at_session(&name, now, policy, &mut decision);
            }
            let gone = |ended: Timestamp| now.since(ended) >= policy.unheard_for;
            let heard = self.unheard.extract_if(.., |_, ended| gone(*ended));
            decision.changes.extend(heard.map(|(send, _)| Change::Heard(send)));
            self.forget_old(now, policy);
        }
        self.send_probes(now, policy, &mut decision);
        self.probe_bot(now, policy, &mut decision);
        self.move_diagnoses(now, policy, &mut decision);
        self.move_recoveries(now, policy, &mut decision);
        self.move_incidents(now, policy, &mut decision);
        self.move_drill(now, policy, &mut decision);
        self.send_alerts(now, policy, &mut decision);
        decision
    }

    /// What only mattered for a while.
    fn forget_old(&mut self, now: Timestamp, policy: &Policy) {
        let keep_for = policy.recovery.max_age.longest();
        self.settled.retain(|_, at| now.since(*at) < keep_for);
        self.succeeded.retain(|_, at| now.since(*at) < keep_for);
        self.written_to.retain(|_, at| now.since(*at) < WRITE_EVERY);
        self.told.forget(now);
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

    fn look_at_session(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let signals = self.signals(name, now, policy);
        let Some(session) = self.sessions.get_mut(name) else { return };
        let from = session.assessment;
        let changed = reassess(session, &signals, now, &policy.status);
        let to = session.assessment;
        if changed {
            let change = StatusChange { session: name.clone(), at: now, from: from.status, to };
            self.moved.insert(name.clone());
            decision.changes.push(Change::History(change.clone()));
            decision.notices.push(Notice::Status(change));
        }
        if changed || from.reason != to.reason {
            self.status_moved(name, to, now, policy, decision);
        }
    }

    /// What the status of a session depends on beside its own clocks.
    fn signals(&self, name: &SessionName, now: Timestamp, policy: &Policy) -> Signals {
        Signals {
            unacknowledged: self.unacknowledged(name),
            bot_gone: *name != self.other && self.bot_gone(now, policy),
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

#[cfg(test)]
pub(crate) mod tests;
