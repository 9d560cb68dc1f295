//! Incidents: opened when a session leaves `online`, closed when it is back for good, and what of them is alerted (SPEC 2, 10).

use super::super::alert::{Orders, Says};
use super::super::delivery::{Channel, Progress, Route, Topic};
use super::super::diagnosis::Verdict;
use super::super::id::{RecordId, SessionName};
use super::super::incident::{Announced, Incident};
use super::super::status::{Assessment, Reason, Status};
use super::super::time::Timestamp;
use super::alerting::order_line;
use super::{Change, Decision, Notice, Policy, State};

impl State {
    /// The status of a session moved, or the reason for it.
    pub(super) fn status_moved(
        &mut self,
        name: &SessionName,
        to: Assessment,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let well = to.is_well();
        match self.incidents.get_mut(name) {
            None if well => return,
            None => {
                let id = RecordId::from_bytes(self.ids.next(now));
                let incident = Incident::open(id, name.clone(), now, to);
                decision.notices.push(Notice::IncidentOpened(Box::new(incident.clone())));
                self.incidents.insert(name.clone(), incident);
                // Back means more than one good moment: somebody has to look for it.
                self.recoveries.entry(name.clone()).or_default();
            }
            Some(incident) => {
                incident.note(now, to);
                incident.well_since = well.then(|| incident.well_since.unwrap_or(now));
            }
        }
        self.announce(name, to, now, policy, decision);
        self.keep_incident(name, decision);
    }

    fn keep_incident(&self, name: &SessionName, decision: &mut Decision) {
        if let Some(incident) = self.incidents.get(name) {
            decision.changes.push(Change::Incident(Box::new(incident.clone())));
        }
    }

    /// Alerts what has not been alerted of this incident.
    fn announce(
        &mut self,
        name: &SessionName,
        to: Assessment,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let Some(mut announced) = self.incidents.get(name).map(|incident| incident.announced) else { return };
        let says = match (to.status, to.reason) {
            (Status::IncommunicadoCritico, _) if !announced.loss => {
                announced.loss = true;
                self.loss(name, to, now)
            }
            // Until a diagnosis has spoken, or where none can.
            (Status::Incommunicado, _) if !announced.loss && !self.diagnoses_run(name) => {
                announced.loss = true;
                self.loss(name, to, now)
            }
            (Status::Degraded, Reason::AccountRestricted) if !announced.restricted => {
                announced.restricted = true;
                Says::Restricted(self.orders_of(name))
            }
            (Status::Degraded, Reason::HealthcheckFailing) if !announced.preventive && !announced.loss => {
                let Some(result) = self.sessions.get(name).and_then(|session| session.health.last) else {
                    return;
                };
                announced.preventive = true;
                Says::Preventive(result)
            }
            (Status::Offline, Reason::BotGone) if !announced.gone => {
                // There is one bot: the first session that misses it tells, and tells of its end.
                if self.incidents.values().any(|incident| incident.announced.gone) {
                    return;
                }
                announced.gone = true;
                Says::BotGone { since: self.heartbeat }
            }
            _ => return,
        };
        self.note_announced(name, announced);
        if matches!(says, Says::TotalLoss { .. }) {
            self.loss_told(name, now);
            self.loss_covers_orders(name, now, policy, decision);
        }
        let id = self.incidents.get(name).map(|incident| incident.id);
        self.raise(says, name, id, now, now, policy, decision);
    }

    fn note_announced(&mut self, name: &SessionName, announced: Announced) {
        if let Some(incident) = self.incidents.get_mut(name) {
            incident.announced = announced;
        }
    }

    pub(super) fn diagnoses_run(&self, name: &SessionName) -> bool {
        self.undiagnosed.contains_key(name)
            || self.diagnoses.get(name).is_some_and(|diagnosis| diagnosis.verdict.is_none())
    }

    fn loss(&self, name: &SessionName, assessment: Assessment, now: Timestamp) -> Says {
        let diagnosis = self.diagnoses.get(name).filter(|one| one.verdict == Some(Verdict::TotalLoss));
        let finding = diagnosis.map(|one| Box::new(one.finding(Verdict::TotalLoss, now, true)));
        Says::TotalLoss { orders: self.orders_of(name), finding, assessment }
    }

    fn orders_of(&self, name: &SessionName) -> Orders {
        let mut orders = Orders::default();
        self.open_cases(name).for_each(|case| orders.add(order_line(case)));
        orders
    }

    /// Alerts what waited for a diagnosis, and closes what is over.
    pub(super) fn move_incidents(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let names: Vec<_> = self.incidents.keys().cloned().collect();
        for name in names {
            let Some(session) = self.sessions.get(&name) else { continue };
            let to = session.assessment;
            if to.status == Status::Incommunicado && !self.incidents[&name].announced.loss {
                self.announce(&name, to, now, policy, decision);
                if self.incidents[&name].announced.loss {
                    self.keep_incident(&name, decision);
                }
            }
            let settled = |since: Timestamp| now.since(since) >= policy.status.recover_after;
            let over = to.is_well() && self.incidents[&name].well_since.is_some_and(settled);
            if over && !self.still_recovering(&name, now, policy) {
                self.close_incident(&name, now, policy, decision);
            }
        }
    }

    /// Are there still notifications that go out by themselves?
    fn still_recovering(&self, name: &SessionName, now: Timestamp, policy: &Policy) -> bool {
        let runs = self.recoveries.get(name).is_some_and(|recovery| !recovery.running.is_empty());
        // The first one is enough: with thousands open, counting them at every event takes too long.
        let goes =
            |case: &super::Case| self.held(case, now, policy).is_none_or(super::Held::passes_by_itself);
        runs || self.replays_go(policy) && self.open_cases(name).any(goes)
    }

    fn close_incident(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let Some(mut incident) = self.incidents.remove(name) else { return };
        let end = incident.well_since.unwrap_or(now).max(incident.start);
        incident.end = Some(end);
        let open = |send: &&super::SendId| self.cases.contains_key(send);
        incident.left = u32::try_from(incident.affected.iter().filter(open).count()).unwrap_or(u32::MAX);
        decision.changes.push(Change::Incident(Box::new(incident.clone())));
        decision.notices.push(Notice::IncidentClosed(Box::new(incident.clone())));
        // What was never told of it is told by this one message.
        let untold: Vec<_> = self
            .alerts
            .values()
            .filter(|alert| alert.incident == Some(incident.id))
            .map(|alert| alert.id)
            .collect();
        // But the pager needs no end of what it never heard of.
        let began = |id: &RecordId| {
            let delivery = self.alerts.get(id).and_then(|alert| alert.on(Channel::Pagerduty));
            delivery.map(|one| one.tries > 0 || one.progress != Progress::Waiting)
        };
        let pager: Vec<_> = untold.iter().filter_map(began).collect();
        let unpaged = !pager.is_empty() && pager.iter().all(|began| !began);
        for id in untold {
            self.withdraw(id, now, decision);
        }
        if incident.announced.anything() || incident.affected_count > 0 {
            let says = Says::Recovered {
                start: incident.start,
                end,
                worst: incident.worst,
                affected: incident.affected_count,
                replayed: incident.replayed,
                left: incident.left,
            };
            let channels: Vec<_> = (policy.alerts.routes.iter())
                .filter(|route| hears_the_end(route, &incident))
                .map(|route| route.channel)
                .filter(|channel| !(unpaged && *channel == Channel::Pagerduty))
                .collect();
            self.raise_on(&channels, says, name, Some(incident.id), now, now, decision);
        }
    }

    /// One of its sends went out again by us.
    pub(super) fn count_replayed(&mut self, case: &super::Case, decision: &mut Decision) {
        let name = self.session_of(&case.what).clone();
        if let Some(incident) = self.incidents.get_mut(&name)
            && incident.affected.contains(&case.send)
        {
            incident.replayed = incident.replayed.saturating_add(1);
            decision.changes.push(Change::Incident(Box::new(incident.clone())));
        }
    }
}

/// Does a channel hear of the end of an incident? Where it heard of the beginning, or would have.
fn hears_the_end(route: &Route, incident: &Incident) -> bool {
    let announced = incident.announced;
    let heard = [
        (announced.preventive, Topic::Preventive),
        (announced.loss, Topic::TotalLoss),
        (announced.restricted, Topic::Restricted),
        (announced.gone, Topic::BotGone),
        (incident.affected_count > 0, Topic::ManualAttention),
    ];
    let takes = |topic: Topic| route.takes.contains(&topic);
    takes(Topic::Recovery) && heard.into_iter().any(|(announced, topic)| announced && takes(topic))
}
