//! The way back: the canary that shows whether the channel lives, and the paced replays (SPEC 4.4, 9).

use std::sync::Arc;
use std::time::Duration;

use super::super::case::Case;
use super::super::command::Pending;
use super::super::confirmation::FeedState;
use super::super::errand::{Errand, Letter, LetterText, NotReplayed, Replay};
use super::super::id::{ChatId, RecordId, SendId, SessionName};
use super::super::ledger::{AttemptId, Ended, Via};
use super::super::notification::{Method, Resolution};
use super::super::order::NotificationType;
use super::super::outcome::Outcome;
use super::super::probe::ProbeResult;
use super::super::recovery::{Recovery, held, jittered, message_id, pause_after};
use super::super::send::Description;
use super::super::session::Session;
use super::super::time::Timestamp;
use super::attempts::resolve;
use super::{Change, Decision, Ending, Held, LOOK_EVERY, Notice, Policy, State};

/// Healthy probes for so long end the paging where nothing else can show that the channel is back (SPEC 9).
const HEALTHY_FOR: Duration = Duration::from_secs(5 * 60);
/// A canary's ack is waited for so long.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// What is pending in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// May be sent again by us, now or when it is their turn.
    pub pending: usize,
    /// Wait for a person.
    pub held: usize,
    /// When the last pending one goes out, at the present pace; `None` where nothing is pending, or nothing goes out now.
    pub finish: Option<Timestamp>,
}

impl State {
    /// The way back of the session a send counts under.
    pub(super) fn recovery_of(&mut self, what: &Description) -> &mut Recovery {
        let name = self.session_of(what).clone();
        self.recoveries.entry(name).or_default()
    }

    /// When somebody must look again.
    pub(super) fn next_recovery(&self) -> Option<Timestamp> {
        let idle = self.recoveries.values().filter(|recovery| recovery.running.is_empty());
        idle.map(|recovery| recovery.look).min()
    }

    /// What is pending in a session, for people.
    pub fn outlook(&self, name: &SessionName, now: Timestamp, policy: &Policy) -> Outlook {
        let holds = self.open_cases(name).map(|case| self.held(case, now, policy));
        self.outlook_of(name, holds, now, policy)
    }

    /// The same, where it is known already what holds each.
    pub(super) fn outlook_of(
        &self,
        name: &SessionName,
        holds: impl Iterator<Item = Option<Held>>,
        now: Timestamp,
        policy: &Policy,
    ) -> Outlook {
        let (mut pending, mut waiting) = (0usize, 0);
        for held in holds {
            match held {
                None => pending += 1,
                Some(held) if held.passes_by_itself() => pending += 1,
                Some(_) => waiting += 1,
            }
        }
        let goes = pending > 0
            && self.replays_go(policy)
            && self.sessions.get(name).is_some_and(|one| self.is_back(one, policy));
        let steps = u32::try_from(pending).unwrap_or(u32::MAX);
        let finish = goes.then(|| now + policy.recovery.interval.saturating_mul(steps));
        Outlook { pending, held: waiting, finish }
    }

    /// Why a case is not sent again by itself; `None`: it is, when it is its turn.
    pub fn held(&self, case: &Case, now: Timestamp, policy: &Policy) -> Option<Held> {
        let session = self.sessions.get(self.session_of(&case.what))?;
        let holds_new = self.holds_new_contacts(session, now, policy);
        self.held_in(session, holds_new, case, now, policy)
    }

    /// The same, by who knows its session already, and whether that holds new contacts.
    pub(super) fn held_in(
        &self,
        session: &Session,
        holds_new: bool,
        case: &Case,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<Held> {
        if let Some(held) = held(case, now, &policy.recovery) {
            return Some(held);
        }
        if self.told.supersedes(&case.what.order) || self.later_pends(case) {
            return Some(Held::Superseded);
        }
        let chat = case.what.chat.as_ref()?;
        let restricted =
            session.restricts(chat, now, policy.status.window) || holds_new && !self.warm.has(chat);
        restricted.then_some(Held::Restricted)
    }

    pub(super) fn holds_new_contacts(&self, session: &Session, now: Timestamp, policy: &Policy) -> bool {
        let told = match session.health.last {
            Some(ProbeResult::State { restriction, .. }) => restriction.holds_new_contacts(),
            _ => false,
        };
        told || session.account_restricted(now, policy.status.window)
    }

    /// Does a later notification of the same order wait as well? Then only that one is worth sending.
    fn later_pends(&self, case: &Case) -> bool {
        let kind = case.what.order.notification_type.unwrap_or_default();
        kind != NotificationType::Other
            && self.same_order(&case.what).any(|other| {
                other.what.order.notification_type.unwrap_or_default() > kind && other.send != case.send
            })
    }

    /// Open failed notifications of the same order.
    fn same_order<'a>(&'a self, what: &Description) -> impl Iterator<Item = &'a Case> {
        let sends = what.order.key().and_then(|key| self.pending_orders.get(key)).into_iter().flatten();
        sends.filter_map(|send| self.cases.get(send)).filter(|case| is_open(case))
    }

    /// Open failed notifications of a session.
    pub(super) fn open_cases<'a>(&'a self, name: &'a SessionName) -> impl Iterator<Item = &'a Case> {
        self.cases.values().filter(move |case| is_open(case) && self.session_of(&case.what) == name)
    }

    /// A later notification of an order was accepted: the earlier ones are needless.
    pub(super) fn supersede(
        &mut self,
        what: &Description,
        by: SendId,
        at: Timestamp,
        decision: &mut Decision,
    ) {
        if self.pending_orders.is_empty() {
            return;
        }
        let kind = what.order.notification_type.unwrap_or_default();
        let earlier = |case: &&Case| {
            let theirs = case.what.order.notification_type.unwrap_or_default();
            theirs != NotificationType::Other && theirs < kind && case.send != by
        };
        let needless: Vec<_> = self.same_order(what).filter(earlier).map(|case| case.send).collect();
        for send in needless {
            self.settle_needless(send, at, decision);
        }
    }

    /// Settles what a later notification has made needless, but for what may be on its way to the customer by our doing: while WAHA can be
    /// asked, that keeps its identity, so that a late retry of the bot finds it and makes no second one (SPEC 4.2).
    pub(super) fn settle_needless(&mut self, send: SendId, at: Timestamp, decision: &mut Decision) {
        let on_its_way = |case: &Case| case.replays > 0 && case.doubt.is_some() && !case.unlookable;
        if self.cases.get(&send).is_none_or(on_its_way) {
            return;
        }
        let Some(mut case) = self.cases.remove(&send) else { return };
        self.drop_request(&mut case, decision);
        let resolution = Resolution { at, method: Method::Superseded, by: None, note: None };
        resolve(&mut case, resolution, decision);
        self.file(case, decision);
    }

    /// The request of a settled case is not needed any more.
    pub(super) fn drop_request(&mut self, case: &mut Case, decision: &mut Decision) {
        if case.replayable {
            case.replayable = false;
            decision.changes.push(Change::Drop(case.send));
        }
        case.ours_since = None;
    }

    /// A case is settled: nothing more is expected of it.
    pub(super) fn forget_case(&mut self, case: &Case) {
        self.unbegun.remove(&case.send);
        self.looks.remove(&case.send);
        if let Some(key) = case.what.order.key()
            && let Some(sends) = self.pending_orders.get_mut(key)
        {
            sends.retain(|send| *send != case.send);
            if sends.is_empty() {
                self.pending_orders.remove(key);
            }
        }
        // What was accepted in the end may still be acknowledged.
        if !self.awaiting.contains_key(&case.send) {
            self.messages.remove(&message_id(case.send));
            for id in case.lines.iter().filter_map(|line| line.message_id.as_deref()) {
                if let Some(message) = super::MessageId::new(id) {
                    self.messages.remove(&message);
                }
            }
        }
    }

    /// A case was filed, or taken up: what may still be heard of it.
    pub(super) fn expect_news(&mut self, case: &Case) {
        if !is_open(case) {
            return;
        }
        if let Some(key) = case.what.order.key() {
            let sends = self.pending_orders.entry(key.to_owned()).or_default();
            sends.retain(|send| *send != case.send && self.cases.contains_key(send));
            sends.push(case.send);
        }
        if case.replays > 0 {
            self.messages.insert(message_id(case.send), case.send);
        }
        for id in case.lines.iter().filter_map(|line| line.message_id.as_deref()) {
            if let Some(message) = super::MessageId::new(id) {
                self.messages.insert(message, case.send);
            }
        }
        if let Some((chat, at)) = case.written_to() {
            self.note_written(chat, at);
        }
        if case.doubt.is_some() && case.ours_since.is_some() && !case.unlookable {
            self.looks.entry(case.send).or_insert(Timestamp::EPOCH);
        }
        if case.ours_since.is_some() {
            self.recovery_of(&case.what).hurry();
        }
    }

    /// Looks, canaries, replays: whatever is due.
    pub(super) fn move_recoveries(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        self.begin_looks(now, policy, decision);
        let due = self.recoveries.iter().filter(|(_, one)| one.running.is_empty() && one.look <= now);
        let names: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(recovery) = self.recoveries.get_mut(&name) {
                recovery.look = now + LOOK_EVERY;
            }
            if self.replays_go(policy) {
                self.move_recovery(&name, now, policy, decision);
            }
        }
    }

    /// May anything be sent again without a person's wish?
    pub(super) const fn replays_go(&self, policy: &Policy) -> bool {
        policy.recovery.enabled && !self.paused
    }

    fn move_recovery(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        if self.waits_for_ack(name, now) {
            return;
        }
        let (Some(session), Some(recovery)) = (self.sessions.get(name), self.recoveries.get(name)) else {
            return;
        };
        let paced = recovery.paced.max(self.paced);
        if now < paced {
            if let Some(recovery) = self.recoveries.get_mut(name) {
                recovery.look = paced;
            }
            return;
        }
        let is_back = self.is_back(session, policy);
        let run = recovery.run;
        if is_back {
            let next = self.next_replay(name, now, policy);
            if let Some(send) = next {
                self.replay(send, now, policy, decision);
            }
            self.run_goes_on(name, next.is_some(), false, decision);
            return;
        }
        if run {
            self.run_goes_on(name, false, true, decision);
        }
        let (Some(session), Some(recovery)) = (self.sessions.get(name), self.recoveries.get(name)) else {
            return;
        };
        // Not back as far as sends tell: something has to be tried, but only where a probe says that it may work.
        let healthy = session.health.last.is_some_and(ProbeResult::is_healthy)
            && session.health.at.is_some_and(|at| session.last_failed.is_none_or(|failed| at >= failed));
        let unprobed = !policy.probe.enabled || *name == self.other;
        let rested = session.last_failed.is_none_or(|failed| now.since(failed) >= pause_after(0));
        let promising = healthy || (unprobed && rested);
        // A diagnosis finds out more, and is under way already.
        if !promising || self.diagnoses_run(name) || recovery.canary.is_some() || now < recovery.next_canary {
            return;
        }
        if let Some(send) = self.next_replay(name, now, policy) {
            self.replay(send, now, policy, decision);
        } else if session.sends_failing() || session.total_loss_at.is_some() {
            self.prove_without_orders(name, now, policy, decision);
        }
    }

    /// A run of replays begins, goes on, or is over.
    fn run_goes_on(&mut self, name: &SessionName, goes_on: bool, cut: bool, decision: &mut Decision) {
        let Some(recovery) = self.recoveries.get_mut(name) else { return };
        if recovery.run && !goes_on {
            decision.notices.push(Notice::RunOver { session: name.clone(), cut });
        }
        recovery.run = goes_on;
    }

    /// Nothing to send again can show that the channel is back: the admin's phone may, or time.
    fn prove_without_orders(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        if let Some(chat) = policy.admin.clone().filter(|_| *name != self.other) {
            let id = RecordId::from_bytes(self.ids.next(now));
            let letter = Letter { id, session: name.clone(), chat, text: LetterText::Canary };
            decision.errands.push(Errand::Write(letter));
            if let Some(recovery) = self.recoveries.get_mut(name) {
                recovery.canary = Some((id, now));
            }
            return;
        }
        let Some(session) = self.sessions.get(name) else { return };
        // One that nobody probes is believed once nothing has failed for as long.
        let unprobed = !policy.probe.enabled || *name == self.other;
        let quiet_since = session.last_failed.max(session.total_loss_at).filter(|_| unprobed);
        let since = session.health.healthy_since.filter(|_| !unprobed).or(quiet_since);
        if since.is_some_and(|since| now.since(since) >= HEALTHY_FOR) {
            self.with_session(name, |session| {
                session.proven();
                session.unproven_since = Some(now);
            });
            self.look_at_session(name, now, policy, decision);
        }
    }

    /// Nothing speaks against the channel: the last thing that was sent got through.
    pub(super) fn is_back(&self, session: &Session, policy: &Policy) -> bool {
        let unacknowledged = self.unacknowledged.get(&session.name).copied().unwrap_or_default();
        session.consecutive_failures == 0
            && !session.sends_failing()
            && session.total_loss_at.is_none()
            && unacknowledged < policy.status.unacked_degraded
    }

    /// Is the ack of a canary still waited for? Where it does not come, the canary has failed.
    fn waits_for_ack(&mut self, name: &SessionName, now: Timestamp) -> bool {
        let Some(recovery) = self.recoveries.get_mut(name) else { return false };
        let Some((_, since)) = recovery.unacked else { return false };
        if now.since(since) < ACK_WAIT {
            return true;
        }
        recovery.unacked = None;
        recovery.tries = recovery.tries.saturating_add(1);
        recovery.next_canary = now + pause_after(recovery.tries);
        recovery.look = recovery.next_canary;
        true
    }

    /// The canary's ack came.
    pub(super) fn canary_acked(&mut self, name: &SessionName, send: SendId) {
        if let Some(recovery) = self.recoveries.get_mut(name)
            && recovery.unacked.is_some_and(|(canary, _)| canary == send)
        {
            recovery.unacked = None;
            recovery.hurry();
        }
    }

    /// Which is next: of each chat the oldest, of these the least tried, of these the oldest.
    fn next_replay(&self, name: &SessionName, now: Timestamp, policy: &Policy) -> Option<SendId> {
        let mut heads: std::collections::BTreeMap<Option<&ChatId>, &Case> = std::collections::BTreeMap::new();
        for case in self.open_cases(name).filter(|case| self.held(case, now, policy).is_none()) {
            let head = heads.entry(case.what.chat.as_ref()).or_insert(case);
            if age(case) < age(head) {
                *head = case;
            }
        }
        let ready = |case: &&Case| {
            (case.replays == 0 || now.since(case.last_at) >= pause_after(case.replays))
                && !self.runs(case.send)
        };
        let next = heads.into_values().filter(ready).min_by_key(|case| (case.replays, age(case)));
        next.map(|case| case.send)
    }

    pub(super) fn runs(&self, send: SendId) -> bool {
        let attempts = AttemptId { send, number: 0 }..=AttemptId { send, number: u32::MAX };
        self.running.range(attempts).next().is_some()
    }

    /// Is it being sent again by us?
    pub(super) fn replay_runs(&self, send: SendId) -> bool {
        let attempts = AttemptId { send, number: 0 }..=AttemptId { send, number: u32::MAX };
        let mut intents = self.running.range(attempts).filter_map(|(_, run)| run.intent.as_ref());
        intents.any(|(_, intent)| intent.via == Via::Replay)
    }

    /// Is a replay of it on its way, from the errand to its end?
    pub(super) fn replay_begun(&self, send: SendId) -> bool {
        self.recoveries.values().any(|recovery| recovery.running.contains(&send))
    }

    /// Sends it again. That it is ours is committed, again, before the errand begins.
    pub(super) fn replay(&mut self, send: SendId, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let Some(case) = self.cases.get(&send) else { return };
        let session = self.session_of(&case.what);
        let engine = match self.sessions.get(session).and_then(|session| session.health.last) {
            Some(ProbeResult::State { engine, .. }) => engine.takes_message_id(),
            _ => false,
        };
        let replay = Replay {
            attempt: AttemptId { send, number: case.attempts.saturating_add(1) },
            first_at: case.first_at,
            what: Arc::clone(&case.what),
            message: engine.then(|| message_id(send)),
        };
        decision.changes.push(Change::Case(Box::new(case.clone())));
        decision.errands.push(Errand::Replay(replay));
        self.messages.insert(message_id(send), send);
        let interval = jittered(policy.recovery.interval, send);
        let what = Arc::clone(&self.cases[&send].what);
        let recovery = self.recovery_of(&what);
        recovery.running.insert(send);
        recovery.paced = now + interval;
    }

    /// A replay ended; what it means for its case is settled like any other attempt.
    pub(super) fn replay_over(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        let (send, at) = (ended.attempt.send, ended.ended);
        decision.notices.push(Notice::Replayed { what: Arc::clone(&ended.what), outcome: ended.outcome });
        let unchecked = self.by_hand.get(&send).is_some_and(|wish| wish.unchecked);
        let ending = if unchecked { Ending::ReplayedUnchecked } else { Ending::Replayed };
        let ending = ending(ended.outcome, ended.cause);
        decision.endings.push((Pending::Replay(send), ending));
        if ended.outcome != Outcome::Accepted {
            self.by_hand.remove(&send);
        }
        let confirms = self.feed.state == FeedState::Connected && ended.message_id.is_some();
        let interval = jittered(policy.recovery.interval, send);
        let recovery = self.recovery_of(&ended.what);
        if recovery.running.remove(&send) {
            recovery.paced = recovery.paced.max(ended.started + interval);
            recovery.look = recovery.paced;
        }
        match ended.outcome {
            Outcome::Accepted => {
                // The first one through is the canary; the run goes on once WhatsApp has it too.
                if recovery.tries > 0 && confirms {
                    recovery.unacked = Some((send, at));
                }
                recovery.tries = 0;
            }
            // The destination's fault: the next one may be the canary.
            Outcome::Rejected => {}
            Outcome::Failed | Outcome::Ambiguous => {
                recovery.tries = recovery.tries.saturating_add(1);
                recovery.next_canary = at + pause_after(recovery.tries.saturating_sub(1));
            }
        }
    }

    /// A replay did not begin.
    pub(super) fn not_replayed(
        &mut self,
        send: SendId,
        why: NotReplayed,
        now: Timestamp,
        decision: &mut Decision,
    ) {
        decision.endings.push((Pending::Replay(send), Ending::NotReplayed(why)));
        self.by_hand.remove(&send);
        if let Some(case) = self.cases.get(&send) {
            decision.notices.push(Notice::NotReplayed { session: self.session_of(&case.what).clone() });
        }
        // An intent that could not be recorded in time: nothing was sent under it, whether it was heard of already or comes later.
        let before = self.running.len();
        if why == NotReplayed::Unrecorded {
            self.running.retain(|attempt, run| {
                attempt.send != send
                    || run.intent.as_ref().is_none_or(|(_, intent)| intent.via != Via::Replay)
            });
        }
        if why == NotReplayed::Unrecorded && self.running.len() == before && self.cases.contains_key(&send) {
            *self.unbegun.entry(send).or_default() += 1;
        }
        let begun = self.recoveries.values_mut().find(|recovery| recovery.running.contains(&send));
        if let Some(recovery) = begun {
            recovery.running.remove(&send);
            recovery.look = now + LOOK_EVERY;
        }
        if why == NotReplayed::NothingKept
            && let Some(case) = self.cases.get_mut(&send)
        {
            case.replayable = false;
            decision.changes.push(Change::Case(Box::new(case.clone())));
        }
    }

    /// Is this the intent of a replay that did not begin?
    pub(super) fn came_too_late(&mut self, send: SendId) -> bool {
        let Some(expected) = self.unbegun.get_mut(&send) else { return false };
        *expected -= 1;
        if *expected == 0 {
            self.unbegun.remove(&send);
        }
        true
    }

    /// The canary's letter ended.
    pub(super) fn canary_over(
        &mut self,
        id: RecordId,
        outcome: Outcome,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let ours = |recovery: &Recovery| recovery.canary.is_some_and(|(canary, _)| canary == id);
        let Some((name, recovery)) = self.recoveries.iter_mut().find(|(_, one)| ours(one)) else { return };
        recovery.canary = None;
        let name = name.clone();
        if outcome == Outcome::Accepted {
            recovery.tries = 0;
            recovery.hurry();
            self.with_session(&name, |session| {
                session.proven();
                session.unproven_since = None;
            });
        } else {
            recovery.tries = recovery.tries.saturating_add(1);
            recovery.next_canary = now + pause_after(recovery.tries);
        }
        self.look_at_session(&name, now, policy, decision);
    }

    /// The canary's letter was not begun: that says nothing, and it is tried again.
    pub(super) fn canary_not_tried(&mut self, id: RecordId, now: Timestamp) {
        let ours = |recovery: &&mut Recovery| recovery.canary.is_some_and(|(canary, _)| canary == id);
        if let Some(recovery) = self.recoveries.values_mut().find(ours) {
            (recovery.canary, recovery.next_canary) = (None, now + pause_after(0));
        }
    }

    /// Sends again what a person wants sent, where somebody does; nothing speaks against it any more.
    pub(super) fn replay_by_hand(
        &mut self,
        send: SendId,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        // One look more may have been under way: what is sent again already is sent once.
        if !self.by_hand.contains_key(&send) || self.replay_begun(send) {
            return;
        }
        if self.runs(send) {
            self.by_hand.remove(&send);
            let ending = Ending::NotReplayed(NotReplayed::BotHasIt);
            return decision.endings.push((Pending::Replay(send), ending));
        }
        if let Some(case) = self.cases.get_mut(&send) {
            case.ours_since.get_or_insert(now);
        }
        self.replay(send, now, policy, decision);
    }

    /// A case is settled otherwise than by the replay that somebody waits for.
    pub(super) fn wish_is_over(&mut self, case: &Case, decision: &mut Decision) {
        // One that runs tells by itself how it ends.
        if !self.replay_begun(case.send)
            && !self.replay_runs(case.send)
            && self.by_hand.remove(&case.send).is_some()
        {
            let method = case.failure.as_ref().and_then(|failure| failure.resolution.as_ref());
            let ending = match method.map(|resolution| resolution.method) {
                Some(Method::ConfirmedLate | Method::BotRecovered) => Ending::HadGoneOut,
                _ => Ending::NotReplayed(NotReplayed::Settled),
            };
            decision.endings.push((Pending::Replay(case.send), ending));
        }
    }
}

pub(super) fn is_open(case: &Case) -> bool {
    case.failure.as_ref().is_some_and(super::Failure::is_open)
}

fn age(case: &Case) -> (Timestamp, SendId) {
    (case.first_at, case.send)
}
