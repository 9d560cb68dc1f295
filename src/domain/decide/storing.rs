//! What is stored of the heart's state, and taken up again. By itself, taking it up changes nothing and tells nobody.

use super::super::recovery::JITTER_MAX;
use super::*;

impl State {
    /// Takes up what was stored. Sessions that are not configured any more are left out.
    pub fn restore(&mut self, stored: Stored, policy: &Policy) {
        for case in stored.cases {
            self.expect_more(&case, policy);
            self.expect_news(&case);
            self.cases.insert(case.send, case);
        }
        for mut session in stored.sessions {
            session.stepped(stored.stepped);
            session.health.taken_up();
            if let Some(known) = self.sessions.get_mut(&session.name) {
                *known = session;
            }
        }
        self.restore_bot(policy);
        // One may have gone out just before the process ended.
        if self.cases.values().any(|case| case.replays > 0) || !stored.accepted.is_empty() {
            self.paced = self.looked + policy.recovery.interval.mul_f64(JITTER_MAX);
        }
        // What had no ack before has none now: it ends with an ack, not with a restart.
        for session in self.sessions.values().filter(|one| one.assessment.reason == Reason::Unacknowledged) {
            let critical = session.assessment.status == Status::IncommunicadoCritico;
            let least =
                if critical { policy.status.unacked_critical } else { policy.status.unacked_degraded };
            self.unacknowledged.insert(session.name.clone(), least);
        }
        self.unheard = stored.unheard.iter().map(|unheard| (unheard.attempt.send, unheard.ended)).collect();
        for (what, at) in stored.accepted {
            self.told.add(&what.order, at);
        }
        for (chat, at) in stored.written {
            self.note_written(chat, at);
        }
        for diagnosis in stored.diagnoses {
            // One of a session that is not configured any more has nowhere to conclude.
            if self.sessions.contains_key(&diagnosis.session) {
                self.restore_diagnosis(diagnosis);
            }
        }
        for awaiting in stored.awaiting {
            self.await_confirmation(awaiting, policy);
        }
        let known = |name: &SessionName| self.sessions.contains_key(name);
        let incidents = stored.incidents.into_iter().filter(|incident| known(&incident.session));
        let incidents = incidents.map(|mut incident| {
            incident.stepped(stored.stepped);
            (incident.session.clone(), incident)
        });
        self.incidents = incidents.collect();
        // Somebody has to look for the way back, whether or not anything can be sent again.
        for name in self.incidents.keys() {
            self.recoveries.entry(name.clone()).or_default();
        }
        self.restore_alerts(stored.alerts);
        // One that a crash cut off is over.
        let cut_off = |mut drill: Drill| {
            drill.until = drill.began;
            drill
        };
        self.drill = stored.drill.map(|drill| if drill.ended.is_none() { cut_off(drill) } else { drill });
        self.paused = stored.paused;
    }

    /// What was on its way through another channel than WAHA can be told again at once: who hears it twice knows it by its id.
    fn restore_alerts(&mut self, alerts: Vec<Alert>) {
        for mut alert in alerts {
            let at = alert.at;
            let cut_off = |one: &&mut super::super::delivery::Delivery| {
                one.progress == Progress::UnderWay && one.channel != Channel::Whatsapp
            };
            for delivery in alert.deliveries.iter_mut().filter(cut_off) {
                (delivery.progress, delivery.due) = (Progress::Waiting, at);
            }
            self.alerts.insert(alert.id, alert);
        }
    }

    /// A diagnosis wrote to this customer.
    pub(super) fn note_written(&mut self, chat: ChatId, at: Timestamp) {
        let latest = self.written_to.entry(chat).or_insert(at);
        *latest = at.max(*latest);
    }

    /// An intent from before the checkpoint whose outcome is not there yet: known, not counted again.
    pub fn restore_intent(&mut self, position: Position, intent: Intent) {
        let since = intent.started;
        self.running.insert(intent.attempt, Running { since, intent: Some((position, intent)) });
    }

    /// Where the oldest intent stands whose attempt still runs.
    pub fn oldest_running(&self) -> Option<Position> {
        let intents = self.running.values().filter_map(|run| run.intent.as_ref());
        // Zero stands for an intent that could not be recorded.
        intents.map(|(position, _)| *position).filter(|position| position.0 > 0).min()
    }

    /// Attempts that began before `before` and whose end an earlier process did not see: they may have been sent (SPEC 4.5).
    pub fn interrupted(&self, before: Timestamp, now: Timestamp) -> Vec<Ended> {
        let intents = self.running.values().filter_map(|run| run.intent.as_ref());
        let mut left: Vec<_> = intents.filter(|(_, intent)| intent.started < before).collect();
        left.sort_unstable_by_key(|(position, _)| *position);
        left.into_iter().map(|(_, intent)| interrupted(intent, now)).collect()
    }

    /// Everything that is not settled, for a store that has lost it.
    pub fn everything(&mut self) -> Decision {
        self.moved.extend(self.sessions.keys().cloned());
        let changes = (self.cases.values().map(|case| Change::Case(Box::new(case.clone()))))
            .chain(self.incidents.values().map(|incident| Change::Incident(Box::new(incident.clone()))))
            .chain(self.alerts.values().map(|alert| Change::Alert(Box::new(alert.clone()))))
            .chain(self.diagnoses.values().map(|diagnosis| Change::Diagnosis(Box::new(diagnosis.clone()))))
            .chain(self.awaiting.values().map(|awaiting| Change::Awaiting(Box::new(awaiting.clone()))))
            .chain(self.drill.iter().map(|drill| Change::Drill(Box::new(drill.clone()))))
            .chain([Change::Paused(self.paused)])
            .collect();
        Decision { changes, ..Decision::default() }
    }

    /// The sessions that moved since the last checkpoint, to be stored with the position the state stands for.
    pub fn checkpoint(&mut self) -> Vec<Change> {
        let moved = std::mem::take(&mut self.moved);
        moved
            .iter()
            .filter_map(|name| self.sessions.get(name))
            .map(|session| Change::Session(Box::new(session.clone())))
            .collect()
    }

    /// What is known of the event feed goes over to a state that is made anew.
    pub const fn follow_like(&mut self, earlier: &Self) {
        self.feed = earlier.feed;
    }
}
