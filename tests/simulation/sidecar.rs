//! The heart's loop, as `watchdog` does it: decide, commit, act; and taking up what is stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use waha_watchdog::domain::alert::Says;
use waha_watchdog::domain::case::Case;
use waha_watchdog::domain::confirmation::FeedState;
use waha_watchdog::domain::decide::{
    AlertPolicy, Change, Decision, Event, Liveness, Notice, Policy, Reconciled, Retries, State, Stored,
    Unheard,
};
use waha_watchdog::domain::delivery::{Channel, Route};
use waha_watchdog::domain::diagnosis::{Rung, Step};
use waha_watchdog::domain::errand::{Errand, LetterText, Report};
use waha_watchdog::domain::id::{ChatId, SessionName};
use waha_watchdog::domain::incident::Announced;
use waha_watchdog::domain::ledger::{Entry, Position, StoredAnswer};
use waha_watchdog::domain::live::{LivePolicy, LiveSends, Standing};
use waha_watchdog::domain::outcome::Outcome;
use waha_watchdog::domain::probe::ProbePolicy;
use waha_watchdog::domain::recovery::{Ambiguity, MaxAge, RecoveryPolicy};
use waha_watchdog::domain::send::{Content, Description};
use waha_watchdog::domain::status::{Status, StatusPolicy};
use waha_watchdog::domain::time::Timestamp;
use waha_watchdog::metrics::Metrics;
use waha_watchdog::watchdog::desk::Desk;

use super::calls::{Latched, Run, chat_number};
use super::disk::Item;
use super::life::{Inner, Life};
use super::people::Asked;
use super::plan::{Plan, SESSIONS};
use super::planted::Planted;
use super::world::{Request, Sender, session_number};

/// When every life begins.
pub const EPOCH: i64 = 1_700_000_000_000;
const ADMIN: &str = "584249999999";

pub struct Sidecar {
    pub state: State,
    pub desk: Desk,
    pub live: LiveSends<usize, StoredAnswer>,
    pub runs: BTreeMap<u64, Run>,
    /// Calls that wait for a look, and for their turn in their chat.
    pub asking: BTreeMap<u64, Run>,
    pub queued: BTreeMap<u64, Run>,
    /// Whose turn it is in each chat of a session, where the proxy tries again.
    pub turns: BTreeMap<(usize, usize), VecDeque<u64>>,
    /// What people have asked for and not been told of yet.
    pub asked: Vec<Asked>,
    pub latched: BTreeMap<u64, Latched>,
    pub made: u64,
    /// What it counts, where somebody scrapes it.
    pub metrics: Option<Metrics>,
    pub started: Timestamp,
    pub shown: Timestamp,
    pub policy: Policy,
    committing: bool,
    commit_at: i64,
    wakes: i64,
}

pub fn policy(plan: &Plan, planted: Option<Planted>) -> Policy {
    let seconds = Duration::from_secs;
    Policy {
        attempts: 4,
        give_up_after: seconds(60),
        retries: if plan.proxy { Retries::ByProxy } else { Retries::ByBot },
        unheard_for: seconds(600),
        status: StatusPolicy {
            window: seconds(900),
            min_sends: 10,
            success_rate: 0.9,
            latency_p95: seconds(10),
            recover_after: seconds(120),
            incommunicado_failures: 3,
            incommunicado_window: seconds(300),
            offline_after: seconds(600),
            unacked_degraded: seconds(60),
            unacked_critical: seconds(180),
        },
        probe: ProbePolicy {
            enabled: true,
            interval: seconds(180),
            interval_failing: seconds(15),
            failure_threshold: 2,
        },
        admin: ChatId::new(ADMIN).filter(|_| plan.admin),
        confirm_within: seconds(900),
        diagnose: true,
        recovery: RecoveryPolicy {
            enabled: true,
            interval: seconds(if planted == Some(Planted::UnpacedReplay) { 0 } else { 6 }),
            max_age: MaxAge::all(seconds(24 * 3600)),
            ambiguous: if planted == Some(Planted::ResendAmbiguous) {
                Ambiguity::Resend
            } else {
                Ambiguity::Hold
            },
        },
        liveness: Liveness::Traffic,
        alerts: AlertPolicy {
            routes: [(plan.admin, Channel::Whatsapp), (plan.mail, Channel::Email)]
                .into_iter()
                .filter(|(there, _)| *there)
                .map(|(_, channel)| Route::usual(channel))
                .collect(),
            gather_for: seconds(30),
            every: seconds(300),
            remind_every: seconds(1800),
        },
    }
}

impl Life {
    /// The sidecar's clock: anchored at its start, so that steps of the wall clock do not show.
    pub fn clock(&self) -> Timestamp {
        let step = if self.planted == Some(Planted::WallClockWindows) { self.wall } else { 0 };
        Timestamp::from_millis(EPOCH + self.now + step)
    }

    pub fn turn(&mut self) -> u64 {
        self.check.turns += 1;
        self.check.turns
    }

    /// The process starts and takes up what is stored.
    pub fn boots(&mut self) {
        let now = self.clock();
        self.story.tell(self.now, || "the sidecar starts".to_owned());
        let policy = policy(&self.plan, self.planted);
        let (sessions, seed) = (
            self.plan.listed().iter().filter_map(|name| SessionName::new(name)).collect::<Vec<_>>(),
            self.chance.bytes(),
        );
        let mut state = State::new(&sessions, now, seed);
        let disk = &self.disk;
        let unheard: Vec<Unheard> = disk.unheard.values().cloned().collect();
        let (applied, last) = (disk.applied, disk.last());
        let forgets = self.planted == Some(Planted::RestartAlerts);
        let mut incidents: Vec<_> =
            disk.incidents.values().filter(|one| one.end.is_none()).cloned().collect();
        let mut diagnoses: Vec<_> = disk.diagnoses.values().cloned().collect();
        if forgets {
            incidents.iter_mut().for_each(|incident| incident.announced = Announced::default());
        }
        if self.planted == Some(Planted::DoubleLadderStep) {
            for diagnosis in &mut diagnoses {
                for rung in [Rung::Customer, Rung::Admin] {
                    if matches!(diagnosis.step(rung), Step::Running { .. }) {
                        diagnosis.set(rung, Step::Waiting);
                    }
                }
            }
        }
        let stored = Stored {
            cases: disk.cases.values().filter(|case| !case.is_settled()).cloned().collect(),
            sessions: disk.sessions.values().cloned().collect(),
            unheard: unheard.clone(),
            diagnoses,
            incidents,
            alerts: disk.alerts.values().filter(|alert| alert.over().is_none()).cloned().collect(),
            awaiting: disk.awaiting.values().cloned().collect(),
            accepted: disk.accepted_since(now - Duration::from_secs(3600)),
            paused: disk.paused && self.planted != Some(Planted::ForgottenPause),
            drill: disk.drill.clone(),
            written: disk.cases.values().filter_map(Case::written_to).collect(),
            stepped: 0,
        };
        state.restore(stored, &policy);
        for (position, intent) in disk.open_intents() {
            state.restore_intent(position, intent);
        }
        let live_policy = LivePolicy {
            window: Duration::from_secs(600),
            max_age: policy.recovery.max_age.longest(),
            live_max: 1000,
        };
        let sidecar = Sidecar {
            state,
            desk: Desk::standing_at(applied),
            live: LiveSends::new(live_policy),
            runs: BTreeMap::new(),
            asking: BTreeMap::new(),
            queued: BTreeMap::new(),
            turns: BTreeMap::new(),
            asked: Vec::new(),
            latched: BTreeMap::new(),
            made: 0,
            metrics: self.counts(),
            started: now,
            shown: now,
            policy,
            committing: false,
            commit_at: self.now,
            wakes: i64::MAX,
        };
        self.sidecar = Some(sidecar);
        let after: Vec<_> = (applied.0 + 1..=last.0)
            .map(|at| (Position(at), self.disk.ledger[at as usize - 1].clone()))
            .collect();
        let mut heard: BTreeMap<_, _> = unheard.into_iter().map(|one| (one.attempt.send, one)).collect();
        for (position, entry) in after {
            let decision = self.decide_entry(position, entry);
            for change in decision.iter().flat_map(|one| &one.changes) {
                match change {
                    Change::Unheard(one) => _ = heard.insert(one.attempt.send, (**one).clone()),
                    Change::Heard(send) => _ = heard.remove(send),
                    _ => {}
                }
            }
            let Some(sidecar) = &mut self.sidecar else { return };
            decision.into_iter().for_each(|one| sidecar.desk.take(one));
        }
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.desk.applied(last);
        let left = sidecar.state.interrupted(now, now);
        self.check.taken_up(self.now, &self.disk, &left);
        let Some(sidecar) = &mut self.sidecar else { return };
        for case in
            left.iter().map(Case::open).collect::<Vec<_>>().iter().chain(sidecar.state.cases().values())
        {
            if let Some(identity) = case.what.identity.filter(|_| case.outcome != Outcome::Accepted) {
                sidecar.live.restore(
                    identity,
                    case.attempt(),
                    case.first_at,
                    case.last_at,
                    Standing::of(case),
                );
            }
        }
        for one in heard.into_values() {
            let (answer, asked) = ((*one.answer).clone(), one.answer.asked);
            sidecar.live.restore_unheard(
                one.identity,
                Some(asked),
                one.attempt,
                one.first_at,
                one.ended,
                answer,
            );
        }
        for ended in left {
            self.push(Item::Entry(Entry::Ended(Box::new(ended)), None));
        }
        if self.plan.follow {
            let state = if self.connected { FeedState::Connected } else { FeedState::Connecting };
            self.mine(50, Inner::Feed(state));
        }
        self.turns_round();
    }

    /// Something happens inside the process.
    pub fn inside(&mut self, inner: Inner) {
        match inner {
            Inner::LookAgain(call) => self.look_again(call),
            Inner::Waited(waiter, durable) => self.waited(waiter, durable),
            Inner::Unwaited(waiter) => self.unwaited(waiter),
            Inner::Written => self.written(),
            Inner::Asked(run, found) => self.asked(run, found),
            Inner::Answered(run, reply, id) => self.answered(run, reply, id),
            Inner::Reported(report) => {
                self.check.reported(&report, self.now);
                self.decides(Event::Report(report));
            }
            Inner::Heard(item) => {
                self.check.heard(&item, self.now);
                self.decides(Event::Heard(item));
            }
            Inner::Feed(state) => self.decides(Event::Feed(state)),
            Inner::Wished(who, wish) => self.obeys(who, wish),
            Inner::TryAgain(id) => self.tries_again(id),
            Inner::Wake => match &mut self.sidecar {
                // One that was overtaken by an earlier one.
                Some(sidecar) if self.now < sidecar.wakes || sidecar.wakes == i64::MAX => return,
                Some(sidecar) => sidecar.wakes = i64::MAX,
                None => return,
            },
        }
        self.turns_round();
    }

    fn decides(&mut self, event: Event) {
        let now = self.clock();
        let Some(sidecar) = &mut self.sidecar else { return };
        let decision = sidecar.state.decide(event, now, &sidecar.policy);
        self.take(decision);
    }

    fn decide_entry(&mut self, position: Position, entry: Entry) -> Vec<Decision> {
        self.check.entry(&entry, position, self.now);
        let now = self.clock();
        let entry = if self.planted == Some(Planted::SessionsMixed) { self.mixed(entry) } else { entry };
        let events = self.feed_entry(Event::Entry(position, entry));
        let Some(sidecar) = &mut self.sidecar else { return Vec::new() };
        let decisions: Vec<_> =
            events.into_iter().map(|event| sidecar.state.decide(event, now, &sidecar.policy)).collect();
        for decision in &decisions {
            self.check.decided(decision, self.now, &self.waha);
        }
        decisions
    }

    /// The store hands entries over.
    pub fn receive(&mut self, handed: Vec<(Position, Entry)>, applied: Position) {
        for (position, entry) in handed {
            if let (Entry::Ended(ended), Some(sidecar)) = (&entry, &self.sidecar)
                && let Some(metrics) = &sidecar.metrics
            {
                metrics.heart.attempt(sidecar.state.session_of(&ended.what).as_str(), ended);
            }
            let decisions = self.decide_entry(position, entry);
            decisions.into_iter().for_each(|decision| self.act(decision));
        }
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.desk.applied(applied);
        }
    }

    pub fn take(&mut self, decision: Decision) {
        if self.sidecar.is_some() {
            self.check.decided(&decision, self.now, &self.waha);
        }
        self.act(decision);
    }

    pub fn act(&mut self, mut decision: Decision) {
        for (pending, ending) in &decision.endings {
            let broken = self.check.pledges.ended(pending, ending, &self.check.messages, &self.waha);
            broken.into_iter().for_each(|what| self.check.breaks(self.now, what.to_owned()));
        }
        for notice in &decision.notices {
            self.story.tell(self.now, || format!("heart: {}", super::story::line(notice)));
            if let (Notice::Status(change), Some(month)) = (notice, &mut self.month)
                && matches!(change.to.status, Status::Incommunicado | Status::IncommunicadoCritico)
            {
                month.alarming.push((self.now, change.to.status));
            }
        }
        let hasty = self.planted == Some(Planted::ReplayBeforeHandOver);
        let (now_, later): (Vec<_>, Vec<_>) = std::mem::take(&mut decision.errands)
            .into_iter()
            .partition(|errand| !errand.waits_for_disk() || hasty && matches!(errand, Errand::Replay(_)));
        decision.errands = later;
        for one in std::mem::take(&mut decision.reconciled) {
            let answer = self.reconciled(&one).map(Arc::new);
            let note = decision.notes.iter_mut().find(|ended| ended.attempt.send == one.send);
            note.into_iter().for_each(|note| note.unheard = answer.clone());
        }
        for change in &decision.changes {
            if let (Change::Case(case), Some(sidecar)) = (change, &mut self.sidecar)
                && let Some(identity) = case.what.identity
            {
                sidecar.live.stands(identity, case.attempt(), Standing::of(case));
            }
        }
        for ended in std::mem::take(&mut decision.notes) {
            self.push(Item::Entry(Entry::Ended(Box::new(ended)), None));
        }
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.desk.take(decision);
        }
        now_.into_iter().for_each(|errand| self.errand(errand));
    }

    fn reconciled(&mut self, one: &Reconciled) -> Option<StoredAnswer> {
        let now = self.clock();
        let kept = self.disk.requests.get(&one.send)?;
        let asked = Content::of(&kept.method, &kept.target, &kept.body);
        let answer = StoredAnswer { status: 201, content_type: None, body: Bytes::new(), asked };
        let (identity, sidecar) = (one.what.identity?, self.sidecar.as_mut()?);
        sidecar.live.reconcile(identity, Some(asked), one.send, now, answer.clone());
        Some(answer)
    }

    fn errand(&mut self, errand: Errand) {
        match errand {
            Errand::Probe(session) => self.probe(session),
            // By its traffic, here.
            Errand::ProbeBot => {}
            Errand::Look(look) => {
                let kept = self.disk.requests.get(&look.send);
                let text = kept.map(|kept| String::from_utf8_lossy(&kept.body).into_owned());
                self.look(&look, text);
            }
            Errand::CheckNumber { diagnosis, .. } => {
                self.mine(30, Inner::Reported(Report::NumberChecked { diagnosis, exists: Some(true) }));
            }
            Errand::Write(letter) => {
                let text = match &letter.text {
                    LetterText::QuickMessage(_) => "quick message".to_owned(),
                    LetterText::AdminNotice { .. } => "admin notice".to_owned(),
                    LetterText::Canary => "canary".to_owned(),
                    LetterText::Alert(alert) => match &alert.says {
                        Says::TotalLoss { orders, .. } => format!("total loss, {} orders", orders.count),
                        Says::ManualAttention(orders) => format!("attention, {} orders", orders.count),
                        says => says.as_str().to_owned(),
                    },
                };
                let chat = chat_number(&letter.chat);
                let session = session_number(&letter.session);
                let sender = Sender::Letter(Box::new(letter));
                let begun = self.now;
                self.sends(Request {
                    boot: self.boot,
                    sender,
                    session,
                    attempt: None,
                    started: begun,
                    wished: false,
                    chat,
                    text,
                    id: None,
                    message: None,
                    send: None,
                    replay: None,
                    begun,
                });
            }
            Errand::Replay(replay) => self.replays(replay),
            Errand::Tell(telling) => {
                let outcome = match self.chance.percent(self.plan.mail_trouble) {
                    true if self.now < self.plan.end => Outcome::Failed,
                    _ => Outcome::Accepted,
                };
                let (alert, channel) = (telling.alert.id, telling.channel);
                if outcome == Outcome::Accepted {
                    self.check.mailed(alert, channel, self.boot, &self.disk);
                }
                let took = self.chance.between(20, 2000);
                self.mine(
                    took,
                    Inner::Reported(Report::Told { alert, channel, outcome, why: None, reached: Vec::new() }),
                );
            }
        }
    }

    /// The end of each turn of the loop: time has passed, and what is to be committed is handed in.
    fn turns_round(&mut self) {
        self.decides(Event::Tick);
        let wall = self.clock();
        let Some(sidecar) = &mut self.sidecar else { return };
        let due = sidecar.desk.is_urgent() && !sidecar.desk.failed() || self.now >= sidecar.commit_at;
        if !sidecar.committing && sidecar.desk.has_work() && due {
            sidecar.committing = true;
            let moved = sidecar.state.checkpoint();
            let oldest = sidecar.state.oldest_running();
            let (changes, applied) = sidecar.desk.hand_in(moved);
            let next = Position(applied.0 + 1);
            let keep_from = oldest.unwrap_or(next).min(next);
            self.push(Item::Commit(changes, applied, keep_from));
        }
        let Some(sidecar) = &mut self.sidecar else { return };
        let nap = sidecar.state.next_deadline(&sidecar.policy).millis() - wall.millis();
        let mut at = self.now + nap.max(1);
        if sidecar.desk.has_work() && !sidecar.committing {
            at = at.min(sidecar.commit_at.max(self.now + 1));
        }
        if at < sidecar.wakes {
            sidecar.wakes = at;
            self.mine(at - self.now, Inner::Wake);
        }
    }

    /// A commit is over.
    pub fn committed(&mut self, stored: bool) {
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.committing = false;
        sidecar.commit_at = self.now + if stored { 500 } else { 1000 };
        let after = sidecar.desk.handed_in(stored);
        if let Some(metrics) = &sidecar.metrics {
            let now = Timestamp::from_millis(EPOCH + self.now);
            for notice in &after.notices {
                metrics.heart.notice("default", notice);
                metrics.mind.notice("default", notice, now);
            }
        }
        if stored {
            self.check.told(&after.notices);
            self.check.committed(&self.disk);
        } else {
            self.check.goes_unrecorded(&after.errands);
        }
        after.errands.into_iter().for_each(|errand| self.errand(errand));
        // Whoever asked may have gone.
        after.replies.into_iter().for_each(|(to, reply)| _ = to.send(reply));
        self.people_hear();
        for errand in after.undone {
            self.story.tell(self.now, || "heart: an errand is not done, nothing can be written".to_owned());
            self.decides(Event::Report(errand.undone()));
        }
    }

    /// The bug: what happens in one session is counted under another.
    fn mixed(&self, entry: Entry) -> Entry {
        let Entry::Ended(mut ended) = entry else { return entry };
        if ended.outcome != Outcome::Accepted {
            ended.what =
                Arc::new(Description { session: SessionName::new(SESSIONS[0]), ..(*ended.what).clone() });
        }
        Entry::Ended(ended)
    }

    /// At the end: what does the sidecar know?
    pub fn look_back(&mut self) {
        let now = self.clock();
        let Some(sidecar) = &self.sidecar else {
            return self.check.breaks(self.now, "the sidecar is not there".to_owned());
        };
        self.check.at_the_end(self.now, now, sidecar, &self.disk, &self.bot, &self.waha, &self.plan);
    }
}
