//! Drills, and tests of single channels: alerts about nothing, by the way that real ones go (SPEC 13). No status and no counter moves.

use std::time::Duration;

use super::super::alert::Says;
use super::super::command::{Refusal, Reply};
use super::super::delivery::{Channel, Route, Topic};
use super::super::drill::{Drill, LAST_MAX};
use super::super::id::{RecordId, SessionName};
use super::super::time::Timestamp;
use super::{Change, Decision, Policy, State};

impl State {
    /// A drill begins.
    pub(super) fn begin_drill(
        &mut self,
        session: SessionName,
        lasts: Duration,
        who: &str,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        self.configured(&session)?;
        if self.drill.as_ref().is_some_and(|drill| drill.ended.is_none()) {
            return Err(Refusal::DrillRuns);
        }
        let id = RecordId::from_bytes(self.ids.next(now));
        let (who, until) = (who.to_owned(), now + lasts.min(LAST_MAX));
        let drill = Drill { id, session: session.clone(), who: who.clone(), began: now, until, ended: None };
        decision.changes.push(Change::Drill(Box::new(drill.clone())));
        self.drill = Some(drill);
        let alert = self.raise(Says::Drill { who }, &session, Some(id), now, now, policy, decision);
        Ok(Reply::Alerted(alert))
    }

    /// It ends: by its time, by whoever wanted it, or by a crash.
    pub(super) fn end_drill(
        &mut self,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        let running = self.drill.as_mut().filter(|drill| drill.ended.is_none());
        let drill = running.ok_or(Refusal::NoDrill)?;
        drill.ended = Some(now);
        let drill = drill.clone();
        decision.changes.push(Change::Drill(Box::new(drill.clone())));
        let untold: Vec<_> = (self.alerts.values())
            .filter(|alert| alert.incident == Some(drill.id))
            .map(|alert| alert.id)
            .collect();
        // Where the beginning never was, the end says nothing.
        let unbegun: Vec<Channel> = untold
            .iter()
            .filter_map(|id| self.alerts.get(id))
            .flat_map(|alert| &alert.deliveries)
            .filter(|one| one.tries == 0)
            .map(|one| one.channel)
            .collect();
        for id in untold {
            self.withdraw(id, now, decision);
        }
        let takes = |route: &&Route| route.takes.contains(&Topic::Drill) && !unbegun.contains(&route.channel);
        let channels: Vec<_> = policy.alerts.routes.iter().filter(takes).map(|route| route.channel).collect();
        let says = Says::DrillOver { start: drill.began };
        let alert = self.raise_on(&channels, says, &drill.session, Some(drill.id), now, now, decision);
        Ok(Reply::Alerted(alert))
    }

    /// Nobody has to end a drill.
    pub(super) fn move_drill(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        if self.drill.as_ref().is_some_and(|drill| drill.ended.is_none() && drill.until <= now) {
            // It runs, so that it can end.
            let _ended = self.end_drill(now, policy, decision);
        }
    }

    /// Somebody tries channels: those, or all.
    pub(super) fn test_channels(
        &mut self,
        channels: &[Channel],
        who: &str,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        let there: Vec<_> = policy.alerts.routes.iter().map(|route| route.channel).collect();
        let wanted = if channels.is_empty() { &there } else { channels };
        if wanted.is_empty() || wanted.iter().any(|channel| !there.contains(channel)) {
            return Err(Refusal::NoChannel);
        }
        let name = self.worst().name.clone();
        let says = Says::Test { who: who.to_owned() };
        let alert = self.raise_on(wanted, says, &name, None, now, now, decision);
        Ok(Reply::Alerted(alert))
    }
}
