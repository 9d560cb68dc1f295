//! Does the bot live? By its own sign of life, or by asking its health URL; by its traffic alone nobody says that it does not (SPEC 7).

use std::time::Duration;

use super::super::bot::BotFound;
use super::super::errand::Errand;
use super::super::status::Reason;
use super::super::time::Timestamp;
use super::{Decision, Liveness, Notice, Policy, State};

/// After a restart a bot that was alive has so long to say that it still is: nobody could hear it meanwhile.
const HEARD_WITHIN: Duration = Duration::from_secs(2 * 60);

impl State {
    /// The bot's last sign of life: a heartbeat, or an answer of its health URL. `None` where there never was one.
    pub fn last_sign_of_life(&self) -> Option<Timestamp> {
        self.sessions.values().filter_map(|session| session.last_heartbeat).max()
    }

    /// How often in a row its health URL did not answer well.
    pub const fn bot_probe_failures(&self) -> u32 {
        self.bot.failures()
    }

    /// Has it been silent for too long? Where we ask it, a single answer that failed to come is no silence.
    pub(super) fn bot_gone(&self, now: Timestamp, policy: &Policy) -> bool {
        let silent = now.since(self.heartbeat) > policy.status.offline_after;
        match policy.liveness {
            Liveness::Traffic => false,
            Liveness::Heartbeat => silent,
            Liveness::Probe => silent && self.bot.fails(&policy.probe),
        }
    }

    /// It has given a sign of life.
    pub(super) fn bot_lives(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        self.heartbeat = now;
        let names: Vec<_> = self.sessions.keys().cloned().collect();
        for name in names {
            self.with_session(&name, |session| session.last_heartbeat = Some(now));
            self.look_at_session(&name, now, policy, decision);
        }
    }

    /// Whoever only now begins to listen for it has heard nothing so far, which is no silence.
    pub(super) fn watch_liveness(&mut self, now: Timestamp, policy: &Policy) {
        let before = self.liveness.replace(policy.liveness);
        if before.is_some_and(|before| before != policy.liveness) {
            self.heartbeat = now;
        }
    }

    /// When the bot is asked next.
    pub(super) fn next_bot_probe(&self, policy: &Policy) -> Option<Timestamp> {
        self.bot.due().filter(|_| policy.liveness == Liveness::Probe)
    }

    /// Asks it where it is time to.
    pub(super) fn probe_bot(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        if policy.liveness == Liveness::Probe && self.bot.is_due(now) {
            self.bot.begin();
            decision.errands.push(Errand::ProbeBot);
        }
    }

    /// It was asked.
    pub(super) fn bot_probed(
        &mut self,
        found: BotFound,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        self.bot.observe(found, now, &policy.probe);
        decision.notices.push(Notice::BotProbed { found });
        // One that was asked for while it still counted.
        if found == BotFound::Alive && policy.liveness == Liveness::Probe {
            self.bot_lives(now, policy, decision);
        }
    }

    /// Its last sign of life as it was stored; one that was gone still is.
    pub(super) fn restore_bot(&mut self, policy: &Policy) {
        let missed = self.sessions.values().filter(|session| session.assessment.reason == Reason::BotGone);
        let after = policy.status.offline_after;
        if let Some(gone) = missed.map(|session| session.since).min() {
            self.bot.was_gone(&policy.probe);
            self.heartbeat = self.last_sign_of_life().unwrap_or(gone - after);
        } else if let Some(heard) = self.last_sign_of_life() {
            self.heartbeat = heard.max(self.heartbeat - after.saturating_sub(HEARD_WITHIN));
        }
    }
}
