//! Looks: WAHA is asked about what may have arrived, before anything is sent again (SPEC 4.4).

use std::sync::Arc;
use std::time::Duration;

use super::super::errand::{Errand, LATE_MAX, Look, Looked};
use super::super::id::SendId;
use super::super::ledger::Via;
use super::super::outcome::Outcome;
use super::super::probe::ProbeResult;
use super::super::recovery::message_id;
use super::super::time::Timestamp;
use super::attempts::settled_by_look;
use super::recovering::is_open;
use super::{Change, Decision, LOOK_EVERY, Notice, Policy, Reconciled, State};

/// So many looks begin at a time.
const LOOKS_AT_A_TIME: usize = 10;
/// A look without an answer is tried again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// And a look under way is not doubled.
const LOOK_GUARD: Duration = Duration::from_secs(5 * 60);

impl State {
    /// Asks WAHA about what may have arrived.
    pub(super) fn begin_looks(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let due: Vec<_> = self.looks.iter().filter(|(_, at)| **at <= now).map(|(send, _)| *send).collect();
        for send in due.into_iter().take(LOOKS_AT_A_TIME) {
            let open = self.cases.get(&send).filter(|case| is_open(case) && !case.unlookable);
            let Some(case) = open.filter(|case| case.doubt.is_some()) else {
                self.looks.remove(&send);
                continue;
            };
            // A session that does not work cannot tell.
            let session = self.sessions.get(self.session_of(&case.what));
            let dead = policy.probe.enabled
                && session.and_then(|session| session.health.last).is_some_and(|last| !last.is_healthy());
            let wished = self.by_hand.contains_key(&send);
            if !wished && (dead || case.ours_since.is_none()) || self.runs(send) {
                self.looks.insert(send, now + LOOK_EVERY);
                continue;
            }
            self.begin_look(send, now, decision);
        }
    }

    /// Asks WAHA whether a send went out after all.
    pub(super) fn begin_look(&mut self, send: SendId, now: Timestamp, decision: &mut Decision) {
        if let Some(case) = self.cases.get(&send)
            && let Some(doubt) = case.doubt
        {
            let session = self.sessions.get(self.session_of(&case.what));
            // By our id only where all that may have arrived went out under it: that there is none of it proves nothing else.
            let takes_id = matches!(session.and_then(|session| session.health.last),
                Some(ProbeResult::State { engine, .. }) if engine.takes_message_id());
            let mut doubtful = case.lines.iter().filter(|line| line.outcome == Outcome::Ambiguous);
            let ours = case.replays > 0 && takes_id && doubtful.all(|line| line.via == Via::Replay);
            decision.errands.push(Errand::Look(Look {
                send,
                what: Arc::clone(&case.what),
                message: ours.then(|| message_id(send)),
                since: case.first_at,
                ended: doubt,
            }));
            self.looks.insert(send, now + LOOK_GUARD);
        }
    }

    /// WAHA was asked whether a send went out.
    pub(super) fn looked(
        &mut self,
        send: SendId,
        found: Looked,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let what = self.awaiting.get(&send).map(|one| &one.what);
        if let Some(what) = what.or_else(|| self.cases.get(&send).map(|case| &case.what)) {
            let session = self.session_of(what).clone();
            decision.notices.push(Notice::Looked { session, found: found.clone() });
        }
        if self.looked_for_ack(send, &found, now, policy, decision) {
            return;
        }
        self.looks.remove(&send);
        let Some(case) = self.cases.get_mut(&send) else { return };
        let Some(doubt) = case.doubt.filter(|_| is_open(case)) else { return };
        match found {
            Looked::Found { message, .. } => {
                decision.notes.push(settled_by_look(case, &message, now));
                decision.reconciled.push(Reconciled { send, what: Arc::clone(&case.what), message });
                // Should the note be lost, it is looked at again.
                self.looks.insert(send, now + LOOK_GUARD);
            }
            // WAHA may still send it: that it is not there proves nothing yet.
            Looked::Absent if now.since(doubt) < LATE_MAX => {
                self.looks.insert(send, doubt + LATE_MAX);
            }
            Looked::Absent => {
                case.doubt = None;
                let (case, what) = (case.clone(), Arc::clone(&case.what));
                decision.changes.push(Change::Case(Box::new(case)));
                self.recovery_of(&what).hurry();
                self.replay_by_hand(send, now, policy, decision);
                self.settle_if_needless(send, now, decision);
            }
            Looked::Impossible => {
                case.unlookable = true;
                decision.changes.push(Change::Case(Box::new(case.clone())));
                self.send_unchecked(send, now, policy, decision);
                self.settle_if_needless(send, now, decision);
            }
            Looked::Failed => {
                self.looks.insert(send, now + LOOK_AGAIN);
                self.send_unchecked(send, now, policy, decision);
            }
        }
    }

    /// WAHA cannot say whether it arrived: what a person wishes is done, and they are told so.
    fn send_unchecked(&mut self, send: SendId, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        if let Some(wish) = self.by_hand.get_mut(&send) {
            wish.unchecked = true;
            self.replay_by_hand(send, now, policy, decision);
        }
    }

    /// It is known of a send that it did not arrive, or that nobody can say: is it needless by now?
    fn settle_if_needless(&mut self, send: SendId, now: Timestamp, decision: &mut Decision) {
        let wished = self.by_hand.contains_key(&send);
        if self.cases.get(&send).is_some_and(|case| !wished && self.told.supersedes(&case.what.order)) {
            self.settle_needless(send, now, decision);
        }
    }
}
