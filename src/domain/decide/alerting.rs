//! The outbox: alerts on disk before they are told, told at least once on each of their channels, gathered, and told once only where that is
//! possible (SPEC 10).

use std::time::Duration;

use super::super::alert::{Alert, OrderLine, Orders, Says};
use super::super::case::Case;
use super::super::delivery::{Channel, Delivered, Delivery, Dropped, Progress, Recipient, Route, Topic};
use super::super::errand::{Errand, Letter, LetterText, Telling};
use super::super::id::{ChatId, RecordId, SessionName};
use super::super::outcome::Outcome;
use super::super::status::Status;
use super::super::time::Timestamp;
use super::{Change, Decision, LOOK_EVERY, Notice, Policy, State};

/// A delivery under way is not doubled: WAHA itself may take two minutes.
const UNDER_WAY: Duration = Duration::from_secs(180);
/// After a failure a channel is tried again: twice as long each time, within bounds. WAHA is not hurried.
const AGAIN_MIN: Duration = Duration::from_secs(5);
const AGAIN_MIN_WAHA: Duration = Duration::from_secs(60);
const AGAIN_MAX: Duration = Duration::from_secs(10 * 60);
/// While a channel carries one alert of a session, its others wait so long: the end never overtakes the beginning.
const IN_TURN: Duration = Duration::from_millis(500);
/// News so old help nobody any more.
const TOO_OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// An outage that ended so lately may be told of by its end alone.
const PAST_WITHIN: Duration = Duration::from_secs(120);
/// Most alerts that wait; beyond it the oldest about single orders are dropped, whose orders stay listed.
const ALERTS_MAX: usize = 1000;

impl State {
    /// Decides an alert, for all channels that take it.
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
    ) -> RecordId {
        let takes = |route: &&Route| route.takes.contains(&says.topic());
        let channels: Vec<_> = policy.alerts.routes.iter().filter(takes).map(|route| route.channel).collect();
        self.raise_on(&channels, says, name, incident, due, now, decision)
    }

    /// Decides an alert for these channels.
    #[expect(clippy::too_many_arguments, reason = "what an alert consists of, and the usual two")]
    pub(super) fn raise_on(
        &mut self,
        channels: &[Channel],
        says: Says,
        name: &SessionName,
        incident: Option<RecordId>,
        due: Timestamp,
        now: Timestamp,
        decision: &mut Decision,
    ) -> RecordId {
        let id = RecordId::from_bytes(self.ids.next(now));
        // With nobody to tell, the log and the panel are all there is.
        let deliveries = channels.iter().map(|channel| Delivery::new(*channel, due)).collect();
        let alert = Alert { id, session: name.clone(), incident, at: now, says, deliveries };
        decision.changes.push(Change::Alert(Box::new(alert.clone())));
        decision.notices.push(Notice::Alerting(Box::new(alert.clone())));
        if alert.over().is_none() {
            self.alerts.insert(id, alert);
        }
        if self.alerts.len() > ALERTS_MAX
            && let Some(oldest) = self.oldest_about_orders()
            && let Some(mut alert) = self.alerts.remove(&oldest)
        {
            for delivery in alert.deliveries.iter_mut().filter(|one| one.settled().is_none()) {
                delivery.progress = Progress::Dropped(now, Dropped::Withdrawn);
            }
            decision.changes.push(Change::Alert(Box::new(alert)));
        }
        id
    }

    fn oldest_about_orders(&self) -> Option<RecordId> {
        let orders = self.alerts.values().find(|alert| matches!(alert.says, Says::ManualAttention(_)));
        orders.or_else(|| self.alerts.values().next()).map(|alert| alert.id)
    }

    /// What an alert says is over: where nobody was told yet, nobody needs to be. What is under way ends first.
    pub(super) fn withdraw(&mut self, id: RecordId, now: Timestamp, decision: &mut Decision) {
        self.withdraw_where(id, now, decision, |_| true);
    }

    fn withdraw_where(
        &mut self,
        id: RecordId,
        now: Timestamp,
        decision: &mut Decision,
        there: impl Fn(&Delivery) -> bool,
    ) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        let session = alert.session.clone();
        let waits = |one: &&mut Delivery| one.progress == Progress::Waiting && there(one);
        for delivery in alert.deliveries.iter_mut().filter(waits) {
            delivery.progress = Progress::Dropped(now, Dropped::Withdrawn);
            let (channel, how) = (delivery.channel, Delivered::Suppressed);
            decision.notices.push(Notice::Delivered { session: session.clone(), alert: id, channel, how });
        }
        self.alert_moved(id, decision);
    }

    /// A loss names all orders that are open: what waits to tell of those of its incident, and that the channel works, is not told where the
    /// loss is.
    pub(super) fn loss_covers_orders(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let told_of_loss = |channel: Channel| {
            let mut routes = policy.alerts.routes.iter();
            routes.any(|route| route.channel == channel && route.takes.contains(&Topic::TotalLoss))
        };
        let Some(incident) = self.incidents.get(name).map(|incident| incident.id) else { return };
        let about_orders = |alert: &&Alert| {
            alert.incident == Some(incident) && matches!(alert.says, Says::ManualAttention(_))
        };
        let covered: Vec<_> = self.alerts.values().filter(about_orders).map(|alert| alert.id).collect();
        for id in covered {
            self.withdraw_where(id, now, decision, |one| told_of_loss(one.channel));
        }
    }

    /// An alert moved on: stored, and forgotten where it is over.
    fn alert_moved(&mut self, id: RecordId, decision: &mut Decision) {
        if let Some(alert) = self.alerts.get(&id) {
            decision.changes.push(Change::Alert(Box::new(alert.clone())));
            if alert.over().is_some() {
                self.alerts.remove(&id);
            }
        }
    }

    /// A customer was not told, and a person has to know: with others, in one message. `known_on` is where they know it already.
    pub(super) fn tell_of_order(
        &mut self,
        case: &Case,
        known_on: Option<Channel>,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let name = self.session_of(&case.what).clone();
        let lost = self.sessions.get(&name).is_some_and(|session| {
            let bad = session.assessment.status.badness() >= Status::Incommunicado.badness();
            bad || session.total_loss_at.is_some()
        });
        let announced = self.incidents.get(&name).filter(|incident| lost && incident.announced.loss);
        let since = announced.map(|incident| incident.start);
        if policy.alerts.routes.is_empty() && lost {
            // Told at once, the loss gathers nothing; a second alert would say that the channel works.
            return;
        }
        let line = order_line(case);
        let gathers = |alert: &&mut Alert| {
            let misses = known_on.is_none_or(|channel| alert.on(channel).is_none());
            alert.session == name && alert.gathers() && misses
        };
        for alert in self.alerts.values_mut().filter(gathers) {
            let opened = case.failure.as_ref().map_or(now, |failure| failure.created_at);
            let orders = match &mut alert.says {
                // A loss was raised with every order that was open then.
                Says::TotalLoss { .. } if opened <= alert.at => return,
                // What a loss adds is no news of a channel that works.
                Says::ManualAttention(_) if lost && alert.incident.is_none() => continue,
                Says::ManualAttention(orders)
                | Says::TotalLoss { orders, .. }
                | Says::StillLost { orders, .. } => orders,
                _ => continue,
            };
            let before = orders.count;
            orders.add(line.clone());
            if orders.count > before {
                decision.changes.push(Change::Alert(Box::new(alert.clone())));
            }
            return;
        }
        let mut orders = Orders::default();
        orders.add(line);
        // A reminder that is far ahead must not keep single orders waiting once the loss is over.
        let (says, last, every) = match since {
            Some(since) => {
                (Says::StillLost { since, orders }, &mut self.reminded, policy.alerts.remind_every)
            }
            None => (Says::ManualAttention(orders), &mut self.orders_told, policy.alerts.every),
        };
        let takes = |route: &&Route| route.takes.contains(&says.topic()) && Some(route.channel) != known_on;
        let channels: Vec<_> = policy.alerts.routes.iter().filter(takes).map(|route| route.channel).collect();
        if channels.is_empty() && (known_on.is_some() || since.is_some()) {
            return;
        }
        let after_last = last.get(&name).map_or(now, |at| *at + every);
        let due = after_last.max(now + policy.alerts.gather_for);
        last.insert(name.clone(), due);
        let incident = self.incidents.get(&name).map(|incident| incident.id);
        self.raise_on(&channels, says, &name, incident, due, now, decision);
    }

    /// A loss was told: reminders are counted from then.
    pub(super) fn loss_told(&mut self, name: &SessionName, now: Timestamp) {
        self.reminded.insert(name.clone(), now);
    }

    /// When the next delivery is due.
    pub(super) fn next_alert(&self) -> Option<Timestamp> {
        let waiting = self.alerts.values().flat_map(|alert| &alert.deliveries);
        waiting.filter(|one| one.settled().is_none()).map(|one| one.due).min()
    }

    /// Tells what is due, where it can be told: a dead channel does not carry the news of its death.
    pub(super) fn send_alerts(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let due = |one: &&Delivery| one.settled().is_none() && one.due <= now;
        let due: Vec<(RecordId, Channel)> = self
            .alerts
            .values()
            .flat_map(|alert| alert.deliveries.iter().filter(due).map(|one| (alert.id, one.channel)))
            .collect();
        for (id, channel) in due {
            let step = self.next_step_of(id, channel, now, policy);
            let Some(alert) = self.alerts.get_mut(&id) else { continue };
            let Some(delivery) = alert.on_mut(channel) else { continue };
            match step {
                // Looked at again then, which is not worth a commit.
                Step::Later(at) => {
                    (delivery.progress, delivery.due) = (Progress::Waiting, at);
                    continue;
                }
                Step::Drop(why) => {
                    delivery.progress = Progress::Dropped(now, why);
                    let how = if why == Dropped::TooOld { Delivered::Failed } else { Delivered::Suppressed };
                    let session = alert.session.clone();
                    decision.notices.push(Notice::Delivered { session, alert: id, channel, how });
                    self.alert_moved(id, decision);
                    continue;
                }
                Step::Tell | Step::Write(..) => {
                    delivery.tries = delivery.tries.saturating_add(1);
                    delivery.due = now + UNDER_WAY;
                    delivery.progress = Progress::UnderWay;
                }
            }
            decision.changes.push(Change::Alert(Box::new(alert.clone())));
            let alert = Box::new(alert.clone());
            decision.errands.push(match step {
                Step::Write(session, chat) => {
                    Errand::Write(Letter { id, session, chat, text: LetterText::Alert(alert) })
                }
                _ => Errand::Tell(Telling { alert, channel }),
            });
        }
    }

    /// What is to be done about a delivery that is due.
    fn next_step_of(&self, id: RecordId, channel: Channel, now: Timestamp, policy: &Policy) -> Step {
        let Some(alert) = self.alerts.get(&id) else { return Step::Drop(Dropped::Withdrawn) };
        if !policy.alerts.routes.iter().any(|route| route.channel == channel) {
            return Step::Drop(Dropped::Withdrawn);
        }
        if now.since(alert.at) >= TOO_OLD {
            return Step::Drop(Dropped::TooOld);
        }
        if self.is_past(alert, now) {
            return Step::Later(now + LOOK_EVERY);
        }
        let carries = |other: &Alert| {
            let busy = |one: &Delivery| one.progress == Progress::UnderWay && one.due > now;
            other.id != id && other.session == alert.session && other.on(channel).is_some_and(busy)
        };
        if self.alerts.values().any(carries) {
            return Step::Later(now + IN_TURN);
        }
        match (channel, &policy.admin) {
            (Channel::Whatsapp, Some(admin)) => match self.carrier(&alert.session) {
                Some(session) => Step::Write(session, admin.clone()),
                None => Step::Later(now + LOOK_EVERY),
            },
            (Channel::Whatsapp, None) => Step::Drop(Dropped::Withdrawn),
            _ => Step::Tell,
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
            Says::Preventive(_) | Says::Restricted(_) | Says::BotGone { .. } | Says::StillLost { .. } => {
                incident.well_since.is_some()
            }
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

    /// Some of several recipients have an alert: written down at once, so that after a crash they are not told again.
    pub(super) fn alert_reaches(
        &mut self,
        id: RecordId,
        channel: Channel,
        who: &[Recipient],
        decision: &mut Decision,
    ) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        if alert.on_mut(channel).is_some_and(|delivery| delivery.reaches(who)) {
            decision.changes.push(Change::Alert(Box::new(alert.clone())));
        }
    }

    /// A try to tell an alert ended.
    pub(super) fn alert_over(
        &mut self,
        id: RecordId,
        channel: Channel,
        outcome: Outcome,
        why: Option<String>,
        now: Timestamp,
        decision: &mut Decision,
    ) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        // Nobody needs to hear of an incident's beginning after its end.
        let drill = self.drill.as_ref().filter(|drill| drill.ended.is_none()).map(|drill| drill.id);
        let open = |id: RecordId| drill == Some(id) || self.incidents.values().any(|open| open.id == id);
        let ended = alert.says.stands() && alert.incident.is_some_and(|id| !open(id));
        let session = alert.session.clone();
        let Some(delivery) = alert.on_mut(channel) else { return };
        let reach = self.reach.entry(channel).or_default();
        match outcome {
            Outcome::Accepted => reach.accepted(now),
            Outcome::Rejected | Outcome::Failed | Outcome::Ambiguous => reach.failed(why, now),
        }
        let how = match outcome {
            Outcome::Accepted => {
                delivery.progress = Progress::Told(now);
                Delivered::Ok
            }
            Outcome::Rejected => {
                delivery.progress = Progress::Dropped(now, Dropped::Refused);
                Delivered::Failed
            }
            Outcome::Failed | Outcome::Ambiguous if ended => {
                delivery.progress = Progress::Dropped(now, Dropped::Withdrawn);
                Delivered::Failed
            }
            Outcome::Failed | Outcome::Ambiguous => {
                let first = if channel == Channel::Whatsapp { AGAIN_MIN_WAHA } else { AGAIN_MIN };
                let doubled = 1 << delivery.tries.saturating_sub(1).min(7);
                delivery.progress = Progress::Waiting;
                delivery.due = now + first.saturating_mul(doubled).min(AGAIN_MAX);
                Delivered::Retried
            }
        };
        if delivery.settled().is_some() {
            delivery.reached.clear();
        }
        decision.notices.push(Notice::Delivered { session, alert: id, channel, how });
        self.alert_moved(id, decision);
    }
}

/// What is to be done about a delivery.
enum Step {
    /// To be looked at again then.
    Later(Timestamp),
    /// Given up.
    Drop(Dropped),
    /// Told.
    Tell,
    /// Written through this session to this chat.
    Write(SessionName, ChatId),
}

/// Messages get through, as far as anybody knows.
const fn speaks_again(status: Status) -> bool {
    !matches!(status, Status::Incommunicado | Status::IncommunicadoCritico)
}

/// What an alert says of a case: the order's number, and no name or phone.
pub(super) fn order_line(case: &Case) -> OrderLine {
    let order = case.what.order.order_number.clone().or_else(|| case.what.order.order_id.clone());
    OrderLine { send: case.send, order: order.map(String::from) }
}
