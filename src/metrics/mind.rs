//! What the mind sees and does, counted: its notices as they are told, and its state as it is when somebody scrapes.

mod deeds;
mod senses;
mod singles;
mod waiting;

use std::time::Duration;

use self::deeds::{Deeds, Open};
use self::senses::Senses;
use self::singles::Singles;
use self::waiting::Waiting;
use super::{Families, with_other};
use crate::domain::decide::{Notice, Policy, State};
use crate::domain::delivery::{Delivered, Steady};
use crate::domain::id::SessionName;
use crate::domain::time::Timestamp;

/// What the mind counts.
pub struct MindMetrics {
    senses: Senses,
    deeds: Deeds,
    waiting: Waiting,
    singles: Singles,
}

impl MindMetrics {
    pub(super) fn new(registry: &Families, sessions: &[SessionName]) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            senses: Senses::new(registry)?,
            deeds: Deeds::new(registry)?,
            waiting: Waiting::new(registry)?,
            singles: Singles::new(registry)?,
        };
        metrics.senses.create_all();
        for session in with_other(sessions) {
            metrics.senses.create(session);
            metrics.deeds.create(session);
            metrics.waiting.create(session);
            metrics.singles.create(session);
        }
        Ok(metrics)
    }

    /// Something is worth counting.
    pub fn notice(&self, session: &str, notice: &Notice, now: Timestamp) {
        match notice {
            Notice::Probed { result, took, .. } => self.senses.probed(session, *result, *took),
            Notice::BotProbed { found } => self.senses.bot_probed(*found),
            Notice::Confirmed { confirmation, .. } => self.senses.confirmed(session, *confirmation),
            Notice::Diagnosed { finding, took, sends, .. } => {
                self.deeds.diagnosed(session, finding, *took, *sends);
            }
            Notice::Replayed { outcome, .. } => self.deeds.replayed(session, *outcome),
            Notice::NotReplayed { .. } => self.deeds.not_replayed(session),
            Notice::RunOver { cut, .. } => self.deeds.run_over(session, *cut),
            Notice::Looked { found, .. } => self.deeds.looked(session, found),
            Notice::IncidentClosed(incident) => self.deeds.incident_over(session, incident.worst),
            Notice::Alerting(alert) => self.deeds.alerting(&alert.says),
            Notice::Delivered { channel, how, .. } => self.deeds.delivered(channel.as_str(), *how, now),
            // Shown by a gauge until it is over, and its worst known.
            Notice::IncidentOpened(_)
            | Notice::Acted(_)
            // The heart's.
            | Notice::Opened { .. }
            | Notice::Settled { .. }
            | Notice::GivenUp { .. }
            | Notice::Retried { .. }
            | Notice::Retry { .. }
            | Notice::Status(_) => {}
        }
    }

    /// What is told again and again was told, or was not; so much of it waits.
    pub fn steady(&self, to: Steady, how: Delivered, waiting: usize, now: Timestamp) {
        self.deeds.delivered(to.as_str(), how, now);
        self.deeds.waits(to.as_str(), waiting);
    }

    /// Brings the gauges up to date, before they are scraped.
    pub fn show(&self, state: &State, now: Timestamp, policy: &Policy) {
        self.senses.feed(state.feed());
        self.senses.bot(state.last_sign_of_life(), state.bot_probe_failures());
        self.deeds.paused(state.is_paused());
        self.deeds.alerts_waiting(state.alerts().values(), now);
        self.deeds.drill(state.drill());
        let mut waiting = state.survey(now, policy);
        let mut orders = Vec::new();
        for (name, session) in state.sessions() {
            let waits = waiting.remove(name).unwrap_or_default();
            let unacknowledged = state.unacknowledged(name);
            self.senses.session(session);
            self.senses.waiting(
                name.as_str(),
                waits.unconfirmed,
                unacknowledged,
                is_overdue(unacknowledged, policy),
                waits.is_blind,
            );
            let mut diagnosed = Open::default();
            waits
                .open
                .iter()
                .filter_map(|(case, _)| case.finding.as_ref())
                .for_each(|one| diagnosed.add(one));
            self.deeds.open(name.as_str(), diagnosed);
            orders.push((name.as_str(), self.waiting.show(session, &waits, policy)));
            self.deeds.outlook(name.as_str(), &waits.outlook);
            let drill = state.drill().filter(|drill| drill.ended.is_none());
            self.deeds.drill_runs(name.as_str(), drill.is_some_and(|drill| drill.session == *name));
            self.deeds.incident(name.as_str(), state.incidents().get(name));
        }
        self.singles.show(orders);
    }
}

/// Have acks been missing for so long that the status says so?
fn is_overdue(unacknowledged: Duration, policy: &Policy) -> bool {
    !unacknowledged.is_zero() && unacknowledged >= policy.status.unacked_degraded
}

#[cfg(test)]
mod tests;
