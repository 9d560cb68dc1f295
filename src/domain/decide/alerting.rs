//! The outbox: alerts on disk before they are told, told at least once, gathered, and told once only where that is possible (SPEC 10).

use std::time::Duration;

use super::super::alert::{Alert, OrderLine, Orders, Says};
use super::super::case::Case;
use super::super::errand::{Errand, Letter, LetterText};
use super::super::id::{RecordId, SessionName};
use super::super::outcome::Outcome;
use super::super::status::Status;
use super::super::time::Timestamp;
use super::{Change, Decision, LOOK_EVERY, Notice, Policy, State};

/// A letter under way is not doubled: WAHA itself may take two minutes.
const UNDER_WAY: Duration = Duration::from_secs(180);
/// After a failure the alert is tried again: twice as long each time, within bounds.
const AGAIN_MIN: Duration = Duration::from_secs(30);
const AGAIN_MAX: Duration = Duration::from_secs(10 * 60);
/// An outage that ended so lately may be told of by its end alone.
const PAST_WITHIN: Duration = Duration::from_secs(120);
/// Most alerts that wait; beyond it the oldest about single orders are dropped, whose orders stay listed.
const ALERTS_MAX: usize = 1000;

impl State {
    /// Decides an alert.
    #[expect(clippy::too_many_arguments, reason = "what an alert consists of, and the usual three")]
    pub(super) fn raise(
        &mut self,
        says: Says,
        name: &SessionName,
        incident: Option<RecordId>,
        due: Timestamp,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let id = RecordId::from_bytes(self.ids.next(now));
        // With nobody to tell, the log and the panel are all there is.
        let told = policy.admin.is_none().then_some(now);
        let alert = Alert { id, session: name.clone(), incident, at: now, says, due, tries: 0, told };
        decision.changes.push(Change::Alert(Box::new(alert.clone())));
        decision.notices.push(Notice::Alerting(Box::new(alert.clone())));
        if told.is_none() {
            self.alerts.insert(id, alert);
        }
        if self.alerts.len() > ALERTS_MAX
            && let Some(oldest) = self.oldest_about_orders()
        {
            self.withdraw(oldest, now, decision);
        }
    }

    fn oldest_about_orders(&self) -> Option<RecordId> {
        let orders = self.alerts.values().find(|alert| matches!(alert.says, Says::ManualAttention(_)));
        orders.or_else(|| self.alerts.values().next()).map(|alert| alert.id)
    }

    /// An alert is needless before anybody told it.
    pub(super) fn withdraw(&mut self, id: RecordId, now: Timestamp, decision: &mut Decision) {
        if let Some(mut alert) = self.alerts.remove(&id) {
            alert.told = Some(now);
            decision.changes.push(Change::Alert(Box::new(alert)));
        }
    }

    /// A customer was not told, and a person has to know: with others, in one message.
    pub(super) fn tell_of_order(
        &mut self,
        case: &Case,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let name = self.session_of(&case.what).clone();
        let lost = self.sessions.get(&name).is_some_and(|session| {
            let bad = session.assessment.status.badness() >= Status::Incommunicado.badness();
            bad || session.total_loss_at.is_some()
        });
        if policy.admin.is_none() && lost {
            // Told at once, the loss gathers nothing; a second alert would say that the channel works.
            return;
        }
        let line = order_line(case);
        let gathers = |alert: &&mut Alert| alert.session == name && alert.tries == 0;
        for alert in self.alerts.values_mut().filter(gathers) {
            let opened = case.failure.as_ref().map_or(now, |failure| failure.created_at);
            let orders = match &mut alert.says {
                // A loss was raised with every order that was open then.
                Says::TotalLoss { .. } if opened <= alert.at => return,
                Says::ManualAttention(orders) | Says::TotalLoss { orders, .. } => orders,
                _ => continue,
            };
            let before = orders.count;
            orders.add(line.clone());
            if orders.count > before {
                decision.changes.push(Change::Alert(Box::new(alert.clone())));
            }
            return;
        }
        let after_last = self.orders_told.get(&name).map_or(now, |at| *at + policy.alerts.every);
        let due = after_last.max(now + policy.alerts.gather_for);
        self.orders_told.insert(name.clone(), due);
        let mut orders = Orders::default();
        orders.add(line);
        let incident = self.incidents.get(&name).map(|incident| incident.id);
        self.raise(Says::ManualAttention(orders), &name, incident, due, now, policy, decision);
    }

    /// When the next alert is due.
    pub(super) fn next_alert(&self, policy: &Policy) -> Option<Timestamp> {
        let due = self.alerts.values().map(|alert| alert.due).min();
        due.filter(|_| policy.admin.is_some())
    }

    /// Tells what is due, where it can be told: a dead channel does not carry the news of its death.
    pub(super) fn send_alerts(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let Some(admin) = &policy.admin else { return };
        let due: Vec<_> =
            self.alerts.values().filter(|alert| alert.due <= now).map(|alert| alert.id).collect();
        for id in due {
            let through = self
                .alerts
                .get(&id)
                .filter(|alert| !self.is_past(alert, now))
                .and_then(|alert| self.carrier(&alert.session));
            let Some(alert) = self.alerts.get_mut(&id) else { continue };
            let Some(session) = through else {
                alert.due = now + LOOK_EVERY;
                continue;
            };
            alert.tries = alert.tries.saturating_add(1);
            alert.due = now + UNDER_WAY;
            decision.changes.push(Change::Alert(Box::new(alert.clone())));
            let text = LetterText::Alert(Box::new(alert.clone()));
            decision.errands.push(Errand::Write(Letter { id, session, chat: admin.clone(), text }));
        }
    }

    /// What an alert says is over already, and the end of its incident will tell of it in one message.
    fn is_past(&self, alert: &Alert, now: Timestamp) -> bool {
        let incident = self.incidents.values().find(|incident| Some(incident.id) == alert.incident);
        let Some((incident, session)) = incident.zip(self.sessions.get(&alert.session)) else { return false };
        let settling = now.since(session.since) < PAST_WITHIN;
        match alert.says {
            // An incident that lasts on after its worst is told of late rather than not at all.
            Says::TotalLoss { .. } => {
                incident.well_since.is_some() || (settling && speaks_again(session.assessment.status))
            }
            Says::Preventive(_) | Says::Restricted(_) => incident.well_since.is_some(),
            _ => false,
        }
    }

    /// The session a letter to the admin goes through: its own, where that speaks; else one that does.
    fn carrier(&self, name: &SessionName) -> Option<SessionName> {
        let speaks = |session: &&super::Session| {
            session.name != self.other
                && session.key_refused_since.is_none()
                && !session.health.failing
                && speaks_again(session.assessment.status)
        };
        let own = self.sessions.get(name).filter(speaks);
        own.or_else(|| self.sessions.values().find(speaks)).map(|session| session.name.clone())
    }

    /// The letter of an alert ended.
    pub(super) fn alert_over(
        &mut self,
        id: RecordId,
        outcome: Outcome,
        now: Timestamp,
        decision: &mut Decision,
    ) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        if outcome == Outcome::Accepted {
            alert.told = Some(now);
            decision.notices.push(Notice::Alerted(Box::new(alert.clone())));
        } else {
            alert.due = now + AGAIN_MIN.saturating_mul(1 << alert.tries.min(6)).min(AGAIN_MAX);
        }
        decision.changes.push(Change::Alert(Box::new(alert.clone())));
        if outcome == Outcome::Accepted {
            self.alerts.remove(&id);
        }
    }
}

/// Messages get through, as far as anybody knows.
const fn speaks_again(status: Status) -> bool {
    !matches!(status, Status::Incommunicado | Status::IncommunicadoCritico)
}

/// What an alert says of a case: the order's number, and no name or phone.
pub(super) fn order_line(case: &Case) -> OrderLine {
    let order = case.what.order.order_number.clone().or_else(|| case.what.order.order_id.clone());
    OrderLine { send: case.send, order }
}
