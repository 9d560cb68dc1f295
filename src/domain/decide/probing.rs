//! Probes: when to ask WAHA for a session, what its answer changes, and our own key being refused (SPEC 6).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::alert::{Says, Trouble};
use super::super::command::Pending;
use super::super::errand::Errand;
use super::super::id::{RecordId, SessionName};
use super::super::outcome::{Cause, Outcome};
use super::super::probe::ProbeResult;
use super::super::recovery::Recovery;
use super::super::time::Timestamp;
use super::{Decision, Ending, Notice, Policy, State};

impl State {
    /// When the next probe is due.
    pub(super) fn next_probe(&self, policy: &Policy) -> Option<Timestamp> {
        let waiting = self.probed_sessions(policy).map(|name| &self.sessions[name].health);
        waiting.filter(|health| !health.asking).map(|health| health.next.unwrap_or(Timestamp::EPOCH)).min()
    }

    /// The sessions that are probed: those of `waha.sessions`.
    fn probed_sessions(&self, policy: &Policy) -> impl Iterator<Item = &SessionName> {
        self.sessions.keys().filter(|name| policy.probe.enabled && **name != self.other)
    }

    /// Asks where it is time to.
    pub(super) fn send_probes(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let health = |name: &SessionName| &self.sessions[name].health;
        let due: Vec<_> = self
            .probed_sessions(policy)
            .filter(|name| health(name).is_due(now, &policy.probe))
            .cloned()
            .collect();
        for name in due {
            self.ask(&name, decision);
        }
    }

    /// A send that takes longer than WAHA should may hang for minutes before it fails: how WAHA is, is asked before, once for each of them.
    pub(super) fn probe_where_sends_hang(&mut self, now: Timestamp, policy: &Policy) {
        let slow = policy.status.latency_p95;
        let intents = self.running.values().filter_map(|run| run.intent.as_ref());
        let late: BTreeMap<_, _> = intents
            .filter(|(_, intent)| now.since(intent.started) >= slow)
            .map(|(_, intent)| (self.session_of(&intent.what), intent.started + slow))
            .fold(BTreeMap::new(), |mut latest, (name, since)| {
                let known = latest.entry(name.clone()).or_insert(since);
                *known = since.max(*known);
                latest
            });
        for (name, since) in late {
            self.with_session(&name, |session| {
                if session.health.at.is_none_or(|at| at < since) {
                    session.health.hurry(now);
                }
            });
        }
    }

    /// Asks now, unless somebody does already.
    pub(super) fn ask(&mut self, name: &SessionName, decision: &mut Decision) {
        if let Some(session) = self.sessions.get_mut(name).filter(|session| !session.health.asking) {
            session.health.asking = true;
            decision.errands.push(Errand::Probe(name.clone()));
        }
    }

    /// A probe came back.
    pub(super) fn probed(
        &mut self,
        name: &SessionName,
        result: ProbeResult,
        took: Duration,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        self.with_session(name, |session| session.health.observe(result, now, &policy.probe));
        decision.notices.push(Notice::Probed { session: name.clone(), result, took });
        decision.endings.push((Pending::Probe(name.clone()), Ending::Probed(result)));
        self.watch_key(name, result, now, policy, decision);
        self.look_at_session(name, now, policy, decision);
        if result.is_healthy()
            && let Some(recovery) = self.recoveries.get_mut(name)
        {
            recovery.hurry();
        }
    }

    /// What we sent ourselves, with our own key, ended: whether it takes the key is news of the watchdog, and none of the channel.
    pub(super) fn own_key_used(
        &mut self,
        name: &SessionName,
        outcome: Outcome,
        cause: Option<Cause>,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        if cause == Some(Cause::Unauthorized) {
            self.watch_key(name, ProbeResult::Unauthorized, now, policy, decision);
        } else if outcome == Outcome::Accepted {
            self.watch_key(name, ProbeResult::Missing, now, policy, decision);
        }
    }

    /// The session that a letter of ours went through, or is about.
    pub(super) fn session_of_letter(&self, id: RecordId) -> Option<SessionName> {
        let diagnosed = self.diagnoses.values().find(|one| one.id == id).map(|one| &one.session);
        let canary = |recovery: &Recovery| recovery.canary.is_some_and(|(canary, _)| canary == id);
        let tried = || self.recoveries.iter().find(|(_, recovery)| canary(recovery)).map(|(name, _)| name);
        let told = || self.alerts.get(&id).map(|alert| &alert.session);
        diagnosed.or_else(tried).or_else(told).cloned()
    }

    /// A refused key is trouble of the watchdog, with an alert of its own, and no outage.
    fn watch_key(
        &mut self,
        name: &SessionName,
        result: ProbeResult,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let says = match (result, session.key_refused_since) {
            (ProbeResult::Unauthorized, None) => {
                session.key_refused_since = Some(now);
                Says::Trouble(Trouble::KeyRefused)
            }
            // Only an answer shows that the key is taken again.
            (ProbeResult::State { .. } | ProbeResult::Missing, Some(_)) => {
                session.key_refused_since = None;
                Says::TroubleOver(Trouble::KeyRefused)
            }
            _ => return,
        };
        // One key for all sessions: the first that it is refused for tells.
        let others = self.sessions.values().filter(|session| session.name != *name);
        if others.into_iter().any(|session| session.key_refused_since.is_some()) {
            return;
        }
        self.raise(says, name, None, now, now, policy, decision);
    }
}
