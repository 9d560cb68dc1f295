//! Confirmation: echoes and acks of accepted sends, the clocks they move, and what was never confirmed (SPEC 4.6).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::case::Case;
use super::super::confirmation::{Awaiting, Confirmation, Confirmed, FeedItem, FeedState, MessageId, News};
use super::super::errand::{Errand, Look, Looked};
use super::super::id::{ChatId, SendId, SessionName};
use super::super::ledger::Ended;
use super::super::notification::{Method, Resolution};
use super::super::outcome::{Cause, Outcome};
use super::super::recovery::message_id;
use super::super::time::Timestamp;
use super::attempts::{resolve, settled_by_look};
use super::{Change, Decision, Notice, Policy, Reconciled, State};

/// Most sends whose ack is waited for; what comes beyond is not confirmed.
const AWAITING_MAX: usize = 10_000;
/// A send without an echo for so long is asked about, or the feed is blind.
const ECHO_WITHIN: Duration = Duration::from_secs(50);
/// So many sends are asked about at a time, per session.
const ASKED_AT_A_TIME: usize = 2;

impl State {
    /// The event feed changed its state.
    pub(super) fn feed_changed(&mut self, state: FeedState, now: Timestamp) -> Decision {
        if self.feed.state != state {
            self.feed = super::Followed { state, since: now };
            // What it told meanwhile is lost: WAHA is asked anew.
            self.shown_waiting.clear();
            self.acks_asked.clear();
        }
        Decision::default()
    }

    /// The event feed told something.
    pub(super) fn heard(&mut self, item: FeedItem, now: Timestamp, policy: &Policy) -> Decision {
        let mut decision = Decision::default();
        match item.news {
            News::Echo(message) => match self.messages.get(&message) {
                Some(send) => match self.awaiting.get_mut(send) {
                    Some(awaiting) => awaiting.echoed = true,
                    None => self.early.put(message, Confirmation::None),
                },
                None => self.early.put(message, Confirmation::None),
            },
            News::Ack(message, confirmation) => match self.messages.get(&message).copied() {
                // The answer of our own attempt is on its way, and says more.
                Some(send) if self.is_being_replayed(send, &message) => self.early.put(message, confirmation),
                Some(send) => self.acked(send, confirmation, now, policy, &mut decision),
                None => self.early.put(message, confirmation),
            },
            News::Inbound(chat) => self.warm.add(&chat),
            // The probe is the judge; the event only says when to ask.
            News::State(_) => self.with_session(&item.session, |session| session.health.hurry(now)),
        }
        decision
    }

    /// WAHA accepted a send: its ack is waited for, where the feed is followed.
    pub(super) fn accepted_unconfirmed(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        let message = ended.message_id.as_deref().and_then(MessageId::new);
        let Some(message) =
            message.filter(|_| self.feed.state != FeedState::Off && ended.what.kind.notifies())
        else {
            return;
        };
        if self.awaiting.len() >= AWAITING_MAX {
            return;
        }
        let early = self.early.take(&message);
        let awaiting = Awaiting {
            send: ended.attempt.send,
            attempts: ended.attempt.number,
            what: std::sync::Arc::clone(&ended.what),
            first_at: ended.first_at,
            accepted_at: ended.ended,
            message,
            echoed: early.is_some(),
            acked: Confirmation::None,
        };
        decision.changes.push(Change::Awaiting(Box::new(awaiting.clone())));
        self.await_confirmation(awaiting, policy);
        if let Some(confirmation) = early.filter(|confirmation| *confirmation != Confirmation::None) {
            self.heard_of(ended.attempt.send, confirmation, ended.ended, policy, decision);
        }
    }

    fn is_being_replayed(&self, send: SendId, message: &MessageId) -> bool {
        !self.awaiting.contains_key(&send) && self.runs(send) && *message == message_id(send)
    }

    /// Our own attempt did not succeed as far as its answer tells; the feed may have told better.
    pub(super) fn replay_acked(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        let send = ended.attempt.send;
        if let Some(confirmation) = self.early.take(&message_id(send)) {
            self.acked(send, confirmation, ended.ended, policy, decision);
        }
    }

    /// Waits for the ack.
    pub(super) fn await_confirmation(&mut self, awaiting: Awaiting, policy: &Policy) {
        self.messages.insert(awaiting.message.clone(), awaiting.send);
        self.confirm_due.insert((awaiting.accepted_at + policy.confirm_within, awaiting.send));
        self.awaiting.insert(awaiting.send, awaiting);
        // Most are confirmed long before they are due.
        if self.confirm_due.len() > 2 * self.awaiting.len() + 1024 {
            self.confirm_due.retain(|(_, send)| self.awaiting.contains_key(send));
        }
    }

    fn forget_awaiting(&mut self, send: SendId) -> Option<Awaiting> {
        let awaiting = self.awaiting.remove(&send)?;
        self.messages.remove(&awaiting.message);
        self.acks_asked.remove(&send);
        self.shown_waiting.remove(&send);
        Some(awaiting)
    }

    /// Something was heard of a send's message: that may settle its record.
    fn acked(
        &mut self,
        send: SendId,
        confirmation: Confirmation,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        self.heard_of(send, confirmation, now, policy, decision);
        if confirmation.is_positive() {
            self.confirmed_late(send, now, decision);
        }
    }

    /// Something was heard of a send's message.
    fn heard_of(
        &mut self,
        send: SendId,
        confirmation: Confirmation,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let what = match (self.awaiting.get(&send), self.cases.get(&send)) {
            (Some(awaiting), _) => std::sync::Arc::clone(&awaiting.what),
            (None, Some(case)) => std::sync::Arc::clone(&case.what),
            (None, None) => return,
        };
        let name = self.session_of(&what).clone();
        if confirmation.is_positive() {
            self.with_session(&name, |session| {
                session.last_server_ack = session.last_server_ack.max(Some(now));
                if confirmation != Confirmation::Server {
                    session.last_device_ack = session.last_device_ack.max(Some(now));
                }
            });
            if let Some(chat) = &what.chat {
                self.warm.add(chat);
            }
            if self.unacknowledged.remove(&name).is_some() {
                self.look_at_session(&name, now, policy, decision);
            }
            self.canary_acked(&name, send);
        }
        // A phone has a message only through WhatsApp's servers: where their ack was not heard by itself, it counts here.
        let unheard = self.awaiting.get(&send).is_some_and(|one| one.acked == Confirmation::None);
        if unheard && matches!(confirmation, Confirmation::Device | Confirmation::Read) {
            let confirmation = Confirmation::Server;
            decision.notices.push(Notice::Confirmed { session: name.clone(), confirmation });
        }
        decision.notices.push(Notice::Confirmed { session: name, confirmation });
        decision.changes.push(Change::Confirmed(Confirmed { send, confirmation, at: now }));
        match confirmation {
            Confirmation::Error => {
                if let Some(awaiting) = self.forget_awaiting(send) {
                    self.not_confirmed(&awaiting, Cause::DeliveryFailed, now, policy, decision);
                }
            }
            Confirmation::None => {}
            // The phone's own ack may still follow.
            Confirmation::Server => {
                if let Some(awaiting) = self.awaiting.get_mut(&send) {
                    awaiting.acked = confirmation;
                }
            }
            Confirmation::Device | Confirmation::Read => _ = self.forget_awaiting(send),
        }
    }

    /// A late ack settles the record by itself (SPEC 8). One that overtakes the answer to our replay is that replay's success.
    fn confirmed_late(&mut self, send: SendId, now: Timestamp, decision: &mut Decision) {
        let Some(mut case) = self.cases.remove(&send) else { return };
        self.drop_request(&mut case, decision);
        let replayed = self.replay_runs(send);
        // A late retry of the bot must hear so, instead of being sent, after a restart too. A replay that runs tells it by itself.
        if !replayed
            && case.outcome != Outcome::Accepted
            && let Some(message) = self.message_of(send)
        {
            decision.notes.push(settled_by_look(&case, &message, now));
            decision.reconciled.push(Reconciled { send, what: std::sync::Arc::clone(&case.what), message });
        }
        let by = self.by_hand.get(&send).filter(|_| replayed).map(|wish| wish.who.clone());
        let method = match (replayed, &by) {
            (false, _) => Method::ConfirmedLate,
            (true, Some(_)) => Method::Retry,
            (true, None) => Method::BotRecovered,
        };
        let resolution = Resolution { at: now, method, by, note: None };
        resolve(&mut case, resolution, decision);
        case.doubt = None;
        self.file(case, decision);
    }

    fn message_of(&self, send: SendId) -> Option<MessageId> {
        self.messages.iter().find(|(_, of)| **of == send).map(|(message, _)| message.clone())
    }

    /// An accepted send did not arrive, or nobody knows: for people.
    fn not_confirmed(
        &mut self,
        awaiting: &Awaiting,
        cause: Cause,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        if cause == Cause::DeliveryFailed {
            let name = self.session_of(&awaiting.what).clone();
            let chat = awaiting.what.chat.clone();
            self.with_session(&name, |session| session.rejected(now, Some(cause), chat.as_ref()));
        }
        let mut case = Case::unconfirmed(awaiting);
        self.fail(&mut case, cause, now, policy, decision);
        self.messages.insert(awaiting.message.clone(), awaiting.send);
        self.file(case, decision);
    }

    /// Which sends have waited too long, and which sessions have had no ack.
    pub(super) fn look_for_acks(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        while let Some((at, send)) = self.confirm_due.first().copied()
            && at <= now
        {
            self.confirm_due.remove(&(at, send));
            self.confirmation_due(send, now, policy, decision);
        }
        if self.feed.state == FeedState::Off {
            self.unacknowledged.clear();
        }
        // A feed that is away shows nothing, and proves nothing.
        if self.feed.state != FeedState::Connected {
            return;
        }
        let mut waiting: BTreeMap<&SessionName, BTreeMap<&ChatId, Timestamp>> = BTreeMap::new();
        let mut unseen: BTreeMap<&SessionName, Vec<SendId>> = BTreeMap::new();
        for awaiting in self.awaiting.values().filter(|one| one.acked == Confirmation::None) {
            let name = self.session_of(&awaiting.what);
            let acked_since =
                self.sessions[name].last_server_ack.is_some_and(|ack| ack >= awaiting.accepted_at);
            let Some(chat) = awaiting.what.chat.as_ref().filter(|_| !acked_since) else { continue };
            // An ack that came while nobody followed was not heard: then only WAHA can say that there was none.
            let followed = self.feed.since <= awaiting.accepted_at;
            if awaiting.echoed && (followed || self.shown_waiting.contains(&awaiting.send)) {
                let oldest = waiting.entry(name).or_default().entry(chat).or_insert(awaiting.accepted_at);
                *oldest = (*oldest).min(awaiting.accepted_at);
            } else if now.since(awaiting.accepted_at) >= ECHO_WITHIN
                && !self.acks_asked.contains(&awaiting.send)
            {
                unseen.entry(name).or_default().push(awaiting.send);
            }
        }
        let ages = waiting.into_iter().filter_map(|(name, chats)| {
            // The second chat decides: one alone may be switched off.
            let mut since: Vec<_> = chats.into_values().collect();
            since.sort_unstable();
            since.get(1).map(|at| (name.clone(), now.since(*at)))
        });
        let mut unacknowledged: BTreeMap<_, _> = ages.collect();
        // What is not waited for any longer was not acknowledged by that: an outage ends with an ack.
        for (name, age) in &self.unacknowledged {
            if *age >= policy.status.unacked_degraded {
                let kept = unacknowledged.entry(name.clone()).or_default();
                *kept = (*kept).max(*age);
            }
        }
        let ask: Vec<_> =
            unseen.into_values().flat_map(|sends| sends.into_iter().take(ASKED_AT_A_TIME)).collect();
        self.unacknowledged = unacknowledged;
        for send in ask {
            self.ask_for_ack(send, now, decision);
        }
    }

    fn ask_for_ack(&mut self, send: SendId, now: Timestamp, decision: &mut Decision) {
        let Some(awaiting) = self.awaiting.get(&send) else { return };
        self.acks_asked.insert(send);
        decision.errands.push(Errand::Look(Look {
            send,
            what: std::sync::Arc::clone(&awaiting.what),
            message: Some(awaiting.message.clone()),
            since: awaiting.first_at,
            ended: now,
        }));
    }

    /// Accepted long ago: was it confirmed?
    fn confirmation_due(&mut self, send: SendId, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let Some(awaiting) = self.awaiting.get(&send) else { return };
        let seen_throughout = self.feed.state == FeedState::Connected
            && self.feed.since <= awaiting.accepted_at
            && awaiting.echoed;
        if awaiting.acked.is_positive() {
            self.forget_awaiting(send);
        } else if seen_throughout {
            if let Some(awaiting) = self.forget_awaiting(send) {
                decision.changes.push(confirmed(send, Confirmation::None, now));
                self.not_confirmed(&awaiting, Cause::NeverConfirmed, now, policy, decision);
            }
        } else if self.acks_asked.contains(&send) {
            self.give_up_on_ack(send, now, decision);
        } else {
            // The feed may have missed it: WAHA is asked once.
            self.ask_for_ack(send, now, decision);
            self.confirm_due.insert((now + Duration::from_secs(60), send));
        }
    }

    /// Nobody can say whether it arrived: nothing is claimed.
    fn give_up_on_ack(&mut self, send: SendId, now: Timestamp, decision: &mut Decision) {
        if self.forget_awaiting(send).is_some() {
            decision.changes.push(confirmed(send, Confirmation::None, now));
        }
    }

    /// WAHA was asked about a send that waits for its ack. `false` where it does not.
    pub(super) fn looked_for_ack(
        &mut self,
        send: SendId,
        found: &Looked,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> bool {
        let Some(awaiting) = self.awaiting.get_mut(&send) else { return false };
        let overdue = now.since(awaiting.accepted_at) >= policy.confirm_within;
        match found {
            Looked::Found { confirmation: Confirmation::None, .. } => {
                awaiting.echoed = true;
                self.shown_waiting.insert(send);
                if overdue && let Some(awaiting) = self.forget_awaiting(send) {
                    decision.changes.push(confirmed(send, Confirmation::None, now));
                    self.not_confirmed(&awaiting, Cause::NeverConfirmed, now, policy, decision);
                }
            }
            Looked::Found { confirmation, .. } => self.acked(send, *confirmation, now, policy, decision),
            Looked::Absent | Looked::Impossible | Looked::Failed if overdue => {
                self.give_up_on_ack(send, now, decision);
            }
            Looked::Absent | Looked::Impossible | Looked::Failed => {}
        }
        true
    }

    /// The feed is connected, and shows nothing of what is sent (SPEC 4.6).
    pub fn is_blind(&self, name: &SessionName, now: Timestamp) -> bool {
        let mut echoes = Echoes::default();
        let of_session = self.awaiting.values().filter(|one| self.session_of(&one.what) == name);
        of_session.for_each(|one| echoes.add(one, now));
        echoes.show_nothing(self.feed.state)
    }
}

/// What the feed shows of the sends of a session that wait for their ack.
#[derive(Default)]
pub(super) struct Echoes {
    any: bool,
    missing: bool,
}

impl Echoes {
    /// One more such send.
    pub(super) fn add(&mut self, awaiting: &Awaiting, now: Timestamp) {
        self.any |= awaiting.echoed;
        self.missing |= !awaiting.echoed && now.since(awaiting.accepted_at) >= ECHO_WITHIN;
    }

    /// Is the feed connected, and shows none of them?
    pub(super) fn show_nothing(&self, feed: FeedState) -> bool {
        feed == FeedState::Connected && self.missing && !self.any
    }
}

const fn confirmed(send: SendId, confirmation: Confirmation, at: Timestamp) -> Change {
    Change::Confirmed(Confirmed { send, confirmation, at })
}
