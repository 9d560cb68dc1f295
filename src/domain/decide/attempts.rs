//! A send's attempts: added up, judged, given up by count or by silence, handed over to us, settled.

use std::sync::Arc;

use super::super::case::Case;
use super::super::command::Audit;
use super::super::confirmation::MessageId;
use super::super::id::{RecordId, SendId};
use super::super::ledger::{AttemptId, Ended, Intent, Via};
use super::super::notification::{Attention, Failure, Method, Resolution};
use super::super::outcome::{Cause, Outcome};
use super::super::send::Description;
use super::super::session::Session;
use super::super::status::Status;
use super::super::time::Timestamp;
use super::{Change, Decision, Notice, Policy, Retries, SETTLED_MAX, State, Unheard};

impl State {
    pub(super) fn ended(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        let send = ended.attempt.send;
        self.taken_back_by(ended, decision);
        let intent = self.running.remove(&ended.attempt).and_then(|run| run.intent);
        let request = ended.request.clone().or_else(|| intent.and_then(|(_, intent)| intent.request));
        if ended.attempt.number > 1 {
            decision.notices.push(Notice::Retry { what: Arc::clone(&ended.what) });
        }
        let was_back =
            self.sessions.get(self.session_of(&ended.what)).is_some_and(|one| self.is_back(one, policy));
        self.observe(ended);
        self.remember_unheard(ended, decision);
        if ended.outcome == Outcome::Accepted && !was_back {
            self.recovery_of(&ended.what).hurry();
        }
        if ended.via == Via::Replay {
            self.replay_over(ended, policy, decision);
            let name = self.session_of(&ended.what).clone();
            self.own_key_used(&name, ended.outcome, ended.cause, ended.ended, policy, decision);
        }
        if ended.outcome == Outcome::Accepted {
            self.told_now(ended, policy, decision);
        }
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
            // Settled while our replay ran, by a person or an ack, or while a call of the bot did, by a success: that it did not get through
            // opens nothing again.
            None if ended.outcome != Outcome::Accepted
                && (ended.via == Via::Replay || self.succeeded.contains_key(&send)) =>
            {
                self.look_unless_online(&ended.what, ended.ended, policy, decision);
                return;
            }
            // Where a settled case went before, the store keeps what that one knew (`Case::after`).
            None => Case::open(ended),
        };
        match case.outcome {
            Outcome::Accepted => self.settle(&mut case, ended, decision),
            Outcome::Rejected | Outcome::Failed | Outcome::Ambiguous => {
                // What is rejected is never sent again (SPEC 4.3).
                if ended.outcome == Outcome::Rejected && case.replayable {
                    case.replayable = false;
                    decision.changes.push(Change::Drop(send));
                }
                let kept = request.filter(|_| !case.replayable && ended.outcome != Outcome::Rejected);
                if let Some(request) = kept {
                    case.replayable = true;
                    decision.changes.push(Change::Keep(send, request));
                }
                self.judge(&mut case, ended, policy, decision);
            }
        }
        self.expect_more(&case, policy);
        self.expect_news(&case);
        self.file(case, decision);
        if ended.via == Via::Replay && ended.outcome != Outcome::Accepted {
            self.replay_acked(ended, policy, decision);
        }
        self.look_unless_online(&ended.what, ended.ended, policy, decision);
    }

    /// A send was accepted: whom it told, and what that makes needless.
    fn told_now(&mut self, ended: &Ended, policy: &Policy, decision: &mut Decision) {
        self.told.add(&ended.what.order, ended.ended);
        if let Some(chat) = &ended.what.chat {
            self.warm.add(chat);
        }
        self.supersede(&ended.what, ended.attempt.send, ended.ended, decision);
        if !matches!(ended.via, Via::Latch | Via::Look) {
            self.accepted_unconfirmed(ended, policy, decision);
        }
    }

    /// The bot sends what was ours: it is its own again (SPEC 4.4).
    pub(super) fn taken_back(&mut self, send: SendId, decision: &mut Decision) {
        if let Some(case) = self.cases.get_mut(&send)
            && case.ours_since.take().is_some()
        {
            decision.changes.push(Change::Case(Box::new(case.clone())));
        }
    }

    fn taken_back_by(&mut self, ended: &Ended, decision: &mut Decision) {
        if matches!(ended.via, Via::Bot | Via::Retry) {
            self.taken_back(ended.attempt.send, decision);
        }
    }

    /// Moves the clocks of the send's session.
    fn observe(&mut self, ended: &Ended) {
        let name = self.session_of(&ended.what).clone();
        let latency = ended.ended.since(ended.started);
        self.with_session(&name, |session| {
            if !matches!(ended.via, Via::Replay | Via::Look) {
                session.active(ended.started);
            }
            match ended.outcome {
                // A latched call is the same message as the one it waited for; a look is about the past.
                _ if matches!(ended.via, Via::Latch | Via::Look) => {}
                Outcome::Accepted => {
                    // That an outage's sends needed more than one attempt is no news on the way back.
                    let retried = ended.attempt.number > 1 && ended.via != Via::Replay;
                    session.accepted(ended.ended, latency, ended.what.chat.as_ref(), retried);
                    session.day.ended(ended.ended, Outcome::Accepted);
                    session.day.took(ended.ended, latency);
                }
                // Cut off by our own end, which says nothing of the channel: a restart alone changes no status.
                _ if ended.cause == Some(Cause::Interrupted) => session.health.hurry(ended.ended),
                // Our own key: the bot's may well be taken.
                Outcome::Failed if ended.via == Via::Replay && ended.cause == Some(Cause::Unauthorized) => {}
                Outcome::Failed | Outcome::Ambiguous => {
                    session.failed(ended.ended, ended.what.chat.as_ref(), latency);
                    session.day.took(ended.ended, latency);
                    session.health.hurry(ended.ended);
                }
                Outcome::Rejected => {
                    session.rejected(ended.ended, ended.cause, ended.what.chat.as_ref());
                    session.day.ended(ended.ended, Outcome::Rejected);
                    session.window.rejected(ended.ended);
                }
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
            self.fail(case, last_cause(case), ended.ended, policy, decision);
        } else if spent && !case.exhausted && ended.via != Via::Replay {
            self.give_up(case, ended.ended, policy, decision);
        }
    }

    /// The send is given up at `at`.
    fn give_up(&mut self, case: &mut Case, at: Timestamp, policy: &Policy, decision: &mut Decision) {
        case.exhausted = true;
        decision.notices.push(Notice::GivenUp { what: Arc::clone(&case.what) });
        let name = self.session_of(&case.what).clone();
        // Where nothing else failed, our own end cut off the rest, and nobody knows how the channel is.
        let speaks = |outcome: Outcome, cause| outcome.against_channel() && cause != Some(Cause::Interrupted);
        let tells = case.lines.iter().any(|line| speaks(line.outcome, line.cause));
        self.with_session(&name, |session| {
            session.day.ended(at, case.outcome);
            if tells {
                session.exhausted(at, case.what.chat.as_ref());
                if case.outcome == Outcome::Ambiguous {
                    session.window.ambiguous(at);
                }
            }
        });
        self.look_at_session(&name, at, policy, decision);
        self.hand_over(case, at);
        self.fail(case, last_cause(case), at, policy, decision);
    }

    /// The bot has given it up: from now on it is ours to send again.
    fn hand_over(&mut self, case: &mut Case, at: Timestamp) {
        if case.replayable && case.what.kind.notifies() && case.outcome.against_channel() {
            case.ours_since = Some(at);
            self.recovery_of(&case.what).hurry();
        }
    }

    /// Opens the failed notification, where the send can notify anybody and has none yet.
    pub(super) fn fail(
        &mut self,
        case: &mut Case,
        cause: Cause,
        at: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        if !case.what.kind.notifies() || case.failure.is_some() {
            return;
        }
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
        // Somebody had settled it, and the bot has tried and failed again: that it is open again is written down.
        if self.settled.remove(&send).is_some() {
            let id = RecordId::from_bytes(self.ids.next(at));
            let (who, action) = ("bot".to_owned(), "reopen".to_owned());
            let audit = Audit { id, at, who, action, target: Some(send.to_string()) };
            decision.changes.push(Change::Audit(Box::new(audit)));
        }
        decision.notices.push(Notice::Opened { send, what, cause, attempts });
        self.failed_notification(case, at, policy, decision);
    }

    /// Has nobody tried this send again for too long?
    pub(super) fn look_at_case(
        &mut self,
        send: SendId,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let runs = self
            .running
            .range(AttemptId { send, number: 0 }..=AttemptId { send, number: u32::MAX })
            .next()
            .is_some();
        // One that runs comes back here when it ends.
        if runs || !self.cases.get(&send).is_some_and(waits_for_bot) {
            return;
        }
        let Some(mut case) = self.cases.remove(&send) else { return };
        let given_up_at = case.last_at + policy.give_up_after;
        if given_up_at > now {
            self.expect_more(&case, policy);
            self.cases.insert(send, case);
            return;
        }
        if case.exhausted {
            self.hand_over(&mut case, given_up_at);
        } else {
            self.give_up(&mut case, given_up_at, policy, decision);
        }
        self.expect_news(&case);
        self.file(case, decision);
    }

    /// Waits for the next attempt of a case that may still get one.
    pub(super) fn expect_more(&mut self, case: &Case, policy: &Policy) {
        if waits_for_bot(case) {
            self.due.insert((case.last_at + policy.give_up_after, case.send));
        }
    }

    pub(super) fn file(&mut self, case: Case, decision: &mut Decision) {
        if case.is_settled() {
            self.forget_case(&case);
            self.wish_is_over(&case, decision);
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

    /// A success was added to `case`.
    fn settle(&mut self, case: &mut Case, ended: &Ended, decision: &mut Decision) {
        if case.replayable {
            case.replayable = false;
            decision.changes.push(Change::Drop(case.send));
        }
        case.ours_since = None;
        case.doubt = None;
        self.succeeded.insert(case.send, ended.ended);
        if self.succeeded.len() > SETTLED_MAX {
            self.succeeded.pop_first();
        }
        if matches!(ended.via, Via::Bot | Via::Retry) {
            decision.notices.push(Notice::Retried { what: Arc::clone(&case.what) });
        }
        let by = match ended.via {
            Via::Replay => self.by_hand.remove(&case.send).map(|wish| wish.who),
            _ => None,
        };
        let method = match (ended.via, &by) {
            (Via::Look, _) => Method::ConfirmedLate,
            (Via::Replay, Some(_)) => Method::Retry,
            _ => Method::BotRecovered,
        };
        if ended.via == Via::Replay {
            self.count_replayed(case, decision);
        }
        resolve(case, Resolution { at: ended.ended, method, by, note: None }, decision);
    }
}

/// Neither accepted nor rejected, and neither given up nor handed over: the bot may try again.
const fn waits_for_bot(case: &Case) -> bool {
    case.outcome.against_channel() && (!case.exhausted || (case.replayable && case.ours_since.is_none()))
}

fn last_cause(case: &Case) -> Cause {
    case.lines.iter().rev().find_map(|line| line.cause).unwrap_or(Cause::Interrupted)
}

/// A look has shown that the doubtful attempt of `case` had gone out: the entry that says so.
pub(super) fn settled_by_look(case: &Case, message: &MessageId, now: Timestamp) -> Ended {
    Ended {
        attempt: AttemptId { send: case.send, number: case.attempts.saturating_add(1) },
        via: Via::Look,
        first_at: case.first_at,
        started: now,
        ended: now,
        what: Arc::clone(&case.what),
        outcome: Outcome::Accepted,
        cause: None,
        status: None,
        detail: None,
        message_id: Some(message.as_str().into()),
        given_up: false,
        unheard: None,
        request: None,
    }
}

/// Settles the failed notification of `case`, where there is an open one.
pub(super) fn resolve(case: &mut Case, resolution: Resolution, decision: &mut Decision) {
    let Some(failure) = case.failure.as_mut().filter(|failure| failure.is_open()) else { return };
    if let Some(finding) = &mut case.finding {
        finding.resolved_at.get_or_insert(resolution.at);
    }
    let (method, took) = (resolution.method, resolution.at.since(failure.created_at));
    failure.resolution = Some(resolution);
    let (send, what) = (case.send, Arc::clone(&case.what));
    decision.notices.push(Notice::Settled { send, what, method, took });
}

pub(super) fn interrupted(intent: &Intent, now: Timestamp) -> Ended {
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
