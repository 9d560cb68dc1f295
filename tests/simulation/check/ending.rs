//! What must hold half an hour after the last fault: everything is well, or somebody knows.

use std::collections::BTreeSet;

use waha_watchdog::domain::case::Case;
use waha_watchdog::domain::decide::{Policy, State};
use waha_watchdog::domain::id::{RecordId, SessionName};
use waha_watchdog::domain::ledger::Entry;
use waha_watchdog::domain::notification::Failure;
use waha_watchdog::domain::outcome::Outcome;
use waha_watchdog::domain::recovery::Held;
use waha_watchdog::domain::session::Session;
use waha_watchdog::domain::status::Reason;
use waha_watchdog::domain::time::Timestamp;

use super::super::bot::Bot;
use super::super::disk::Disk;
use super::super::plan::Plan;
use super::super::sidecar::{EPOCH, Sidecar};
use super::super::world::Waha;
use super::{Check, LOOKED_WITHIN, PACE_MAX};

impl Check {
    /// Half an hour after the last fault: everything is well, or somebody knows.
    #[expect(clippy::too_many_arguments, reason = "everybody is asked")]
    pub fn at_the_end(
        &mut self,
        now: i64,
        clock: Timestamp,
        sidecar: &Sidecar,
        disk: &Disk,
        bot: &Bot,
        waha: &Waha,
        plan: &Plan,
    ) {
        let Sidecar { state, policy, runs, .. } = sidecar;
        // One that the proxy is just making (a bot may call until the last moment) runs indeed.
        let oldest = state.oldest_running().and_then(|at| disk.ledger.get(usize::try_from(at.0).ok()? - 1));
        let lost = oldest.is_some_and(|entry| match entry {
            Entry::Intent(intent) => !runs.values().any(|run| run.attempt == intent.attempt),
            Entry::Begun(_) | Entry::Ended(_) => true,
        });
        self.holds(now, !lost, || "an attempt still runs for the heart".to_owned());
        for session in state.sessions().values() {
            let (status, reason) = (session.assessment.status, session.assessment.reason);
            let well = session.assessment.is_well() || reason == Reason::Unproven || mute(session);
            self.holds(now, well, || {
                format!("still {status} ({}) half an hour after the last fault", reason.as_str())
            });
        }
        for case in state.cases().values() {
            let message = self.message_of(case.send);
            let held = state.held(case, clock, policy);
            let stuck = match (&case.failure, held) {
                (None, _) => now - (case.last_at.millis() - EPOCH) > 120_000,
                // One that was held until a moment ago goes out when all before it have: as long as the pace makes that.
                (Some(_), None) if state.sessions().get(state.session_of(&case.what)).is_some_and(mute) => {
                    false
                }
                (Some(failure), None) => {
                    let turn = PACE_MAX * turns(state, case, clock, policy) + LOOKED_WITHIN;
                    failure.is_open() && state.held(case, clock - turn, policy).is_none()
                }
                (Some(_), Some(Held::NotLooked)) => plan.looks,
                (Some(_), Some(Held::BotHasIt)) => case.outcome != Outcome::Accepted,
                _ => false,
            };
            self.holds(now, !stuck, || {
                format!("message {message:?} still waits: held {held:?}, {:?}", case.failure.is_some())
            });
        }
        let undecided = state.diagnoses().values().any(|diagnosis| diagnosis.verdict.is_none());
        self.holds(now, !undecided, || "a diagnosis is not over".to_owned());
        // One that nothing could end but a send that gets through, and none did: healthy probes end the paging, not more (SPEC 9).
        let unproven = |name: &SessionName| {
            let proofless = |one: &Session| one.assessment.reason == Reason::Unproven || mute(one);
            state.sessions().get(name).is_some_and(proofless)
        };
        let mut left = state.incidents().values().filter(|incident| !unproven(&incident.session));
        let open = left.next().map(|incident| {
            let outlook = state.outlook(&incident.session, clock, policy);
            let well = incident.well_since.map(|at| at.millis() - EPOCH);
            format!("{}, well since {well:?}, {} pending", incident.session, outlook.pending)
        });
        self.holds(now, open.is_none(), || format!("an incident is still open: {open:?}"));
        let old = state.alerts().values().find(|alert| now - (alert.at.millis() - EPOCH) > 900_000);
        let word = old.map(|alert| alert.says.as_str());
        self.holds(now, word.is_none(), || format!("an alert was never told: {word:?}"));
        for ((id, channel), (incident, kind)) in self.raised.clone() {
            // The end of an incident tells it all, and a loss names the orders that waited to be told of then: ids begin with their moment.
            let moment = |id: &RecordId| id.as_bytes()[..6].to_vec();
            let told_since = |kind| {
                let other = incident.and_then(|one| self.kinds.get(&(one, kind)));
                other.is_some_and(|one| {
                    moment(one) >= moment(&id) && self.delivered.contains(&(*one, channel))
                })
            };
            let over = told_since("recovery") || kind == "manual_attention" && told_since("total_loss");
            let told = self.delivered.contains(&(id, channel));
            let there = told || over || state.alerts().contains_key(&id);
            let channel = channel.as_str();
            self.holds(now, there, || format!("an alert was raised and never told by {channel}: {kind}"));
        }
        let broken = self.pledges.at_the_end(disk);
        broken.into_iter().for_each(|what| self.breaks(now, what));
        self.no_order_is_lost(now, state, disk, bot, waha);
    }

    /// Every order is accepted, open, or resolved with a reason.
    fn no_order_is_lost(&mut self, now: i64, state: &State, disk: &Disk, bot: &Bot, waha: &Waha) {
        let promised = self.intended.iter().chain(&self.claimed).map(|attempt| attempt.send);
        let known: BTreeSet<_> = promised.chain(self.heard_of.iter().copied()).collect();
        for send in known {
            let Some(message) = self.message_of(send) else { continue };
            let told = &bot.messages[message];
            let taken = told.heard.is_some() || waha.sent.iter().any(|one| one.message == Some(message));
            let case = disk.cases.get(&send).or_else(|| state.cases().get(&send));
            let listed = case.is_some_and(|case| case.failure.is_some() || !case.is_settled());
            self.holds(now, taken || listed || !told.over, || format!("message {message} is lost silently"));
        }
    }
}
/// An outage for want of acks ends with an ack (SPEC 4.6), and none has come since: nothing was sent there that could have one.
fn mute(session: &Session) -> bool {
    let acked = session.last_server_ack.is_some_and(|ack| ack >= session.since);
    session.assessment.reason == Reason::Unacknowledged && !acked
}

/// How many notifications of its session may go out, this one included.
fn turns(state: &State, case: &Case, clock: Timestamp, policy: &Policy) -> u32 {
    let session = state.session_of(&case.what);
    let goes = |other: &&Case| {
        let open = other.failure.as_ref().is_some_and(Failure::is_open);
        open && state.session_of(&other.what) == session && state.held(other, clock, policy).is_none()
    };
    u32::try_from(state.cases().values().filter(goes).count()).unwrap_or(u32::MAX)
}
