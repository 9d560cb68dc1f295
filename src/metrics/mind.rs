//! What the mind sees and does, counted: its notices as they are told, and its state as it is when somebody scrapes.

mod deeds;
mod senses;

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::Registry;

use self::deeds::{Deeds, Open};
use self::senses::Senses;
use super::with_other;
use crate::domain::confirmation::Confirmation;
use crate::domain::decide::{Notice, Policy, State};
use crate::domain::id::SessionName;
use crate::domain::time::Timestamp;

/// What the mind counts.
pub struct MindMetrics {
    senses: Senses,
    deeds: Deeds,
}

impl MindMetrics {
    pub(super) fn new(registry: &Registry, sessions: &[SessionName]) -> Result<Self, prometheus::Error> {
        let metrics = Self { senses: Senses::new(registry)?, deeds: Deeds::new(registry)? };
        for session in with_other(sessions) {
            metrics.senses.create(session);
            metrics.deeds.create(session);
        }
        Ok(metrics)
    }

    /// Something is worth counting.
    pub fn notice(&self, session: &str, notice: &Notice, now: Timestamp) {
        match notice {
            Notice::Probed { result, took, .. } => self.senses.probed(session, *result, *took),
            Notice::Confirmed { confirmation, .. } => self.senses.confirmed(session, *confirmation),
            Notice::Diagnosed { finding, took, sends, .. } => {
                self.deeds.diagnosed(session, finding, *took, *sends);
            }
            Notice::Replayed { outcome, .. } => self.deeds.replayed(session, *outcome),
            Notice::IncidentClosed(incident) => self.deeds.incident_over(session, incident.worst),
            Notice::Alerting(alert) => self.deeds.alerting(&alert.says),
            Notice::Delivered { channel, how, .. } => self.deeds.delivered(*channel, *how, now),
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

    /// Brings the gauges up to date, before they are scraped.
    pub fn show(&self, state: &State, now: Timestamp, policy: &Policy) {
        self.senses.feed(state.feed());
        self.deeds.paused(state.is_paused());
        self.deeds.alerts_waiting(state.alerts().values());
        self.deeds.drill(state.drill());
        let mut open: BTreeMap<&SessionName, Open> = BTreeMap::new();
        for case in
            state.cases().values().filter(|case| case.failure.as_ref().is_some_and(|one| one.is_open()))
        {
            if let Some(finding) = &case.finding {
                open.entry(state.session_of(&case.what)).or_default().add(finding);
            }
        }
        let mut unconfirmed: BTreeMap<&SessionName, usize> = BTreeMap::new();
        for awaiting in state.awaiting().values().filter(|one| one.acked == Confirmation::None) {
            *unconfirmed.entry(state.session_of(&awaiting.what)).or_default() += 1;
        }
        for (name, session) in state.sessions() {
            let unacknowledged = state.unacknowledged(name);
            self.senses.session(session);
            self.senses.waiting(
                name.as_str(),
                unconfirmed.get(name).copied().unwrap_or_default(),
                unacknowledged,
                is_overdue(unacknowledged, policy),
                state.is_blind(name, now),
            );
            self.deeds.open(name.as_str(), open.get(name).copied().unwrap_or_default());
            self.deeds.outlook(name.as_str(), &state.outlook(name, now, policy));
            let drill = state.drill().filter(|drill| drill.ended.is_none());
            self.deeds.drill_runs(name.as_str(), drill.is_some_and(|drill| drill.session == *name));
            self.deeds.incident(name.as_str(), state.incidents().get(name));
        }
    }
}

/// Have acks been missing for so long that the status says so?
fn is_overdue(unacknowledged: Duration, policy: &Policy) -> bool {
    !unacknowledged.is_zero() && unacknowledged >= policy.status.unacked_degraded
}

#[cfg(test)]
mod tests;
