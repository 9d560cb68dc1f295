//! What the tests of the mind stand on: a heart, its clock, and what it has asked for.

use super::*;
use crate::domain::command::{Command, Reply};
use crate::domain::confirmation::{FeedItem, News};
use crate::domain::errand::{Errand, LetterText, Looked};
use crate::domain::ledger::StoredRequest;
use crate::domain::order::NotificationType;
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::recovery::Held;
use crate::domain::status::Reason;

/// A heart, its clock, and what it has asked for.
pub(super) struct Bench {
    pub(super) state: State,
    pub(super) policy: Policy,
    pub(super) now: Timestamp,
    pub(super) position: u64,
    pub(super) errands: Vec<Errand>,
    pub(super) changes: Vec<Change>,
    pub(super) endings: Vec<Ending>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            state: state(),
            policy: POLICY.clone(),
            now: at(0),
            position: 0,
            errands: Vec::new(),
            changes: Vec::new(),
            endings: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, decision: Decision) {
        self.errands.extend(decision.errands);
        self.changes.extend(decision.changes);
        self.endings.extend(decision.endings.into_iter().map(|(_, ending)| ending));
        decision.notes.into_iter().for_each(|ended| self.end(ended));
    }

    pub(super) fn event(&mut self, event: Event) {
        let decision = self.state.decide(event, self.now, &self.policy);
        self.take(decision);
        let decision = self.state.decide(Event::Tick, self.now, &self.policy);
        self.take(decision);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            let decision = self.state.decide(Event::Tick, self.now, &self.policy);
            self.take(decision);
        }
    }

    pub(super) fn end(&mut self, entry: Ended) {
        self.position += 1;
        self.event(Event::Entry(Position(self.position), Entry::Ended(Box::new(entry))));
    }

    /// Attempt `number` of send `send`, of order `send`, ends now.
    pub(super) fn attempt(&mut self, send: u8, number: u32, via: Via, cause: Option<Cause>) {
        self.end(attempt(send, number, via, cause, self.now));
    }

    pub(super) fn give_up(&mut self, send: u8, cause: Cause) {
        for number in 1..=4 {
            self.attempt(send, number, Via::Bot, Some(cause));
        }
    }

    pub(super) fn letters(&mut self) -> Vec<crate::domain::errand::Letter> {
        let errands = std::mem::take(&mut self.errands);
        let letter = |errand| match errand {
            Errand::Write(letter) => Some(letter),
            _ => None,
        };
        errands.into_iter().filter_map(letter).collect()
    }

    pub(super) fn replays(&mut self) -> Vec<u8> {
        let errands = std::mem::take(&mut self.errands);
        let replay = |errand| match errand {
            Errand::Replay(replay) => Some(replay.attempt.send.as_bytes()[0]),
            _ => None,
        };
        errands.into_iter().filter_map(replay).collect()
    }

    pub(super) fn wrote(&mut self, id: RecordId, kind: LetterKind, cause: Option<Cause>) {
        let outcome = cause.map_or(Outcome::Accepted, Cause::outcome);
        self.event(Event::Report(Report::Wrote { id, kind, outcome, cause, message: None }));
    }

    /// The next letter ends so.
    pub(super) fn answer(&mut self, cause: Option<Cause>) -> LetterText {
        let mut letters = self.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        let letter = letters.remove(0);
        self.wrote(letter.id, letter.text.kind(), cause);
        letter.text
    }

    pub(super) fn probe(&mut self, result: ProbeResult) {
        let session = SessionName::new("default").unwrap();
        self.event(Event::Report(Report::Probed { session, result, took: Duration::ZERO }));
    }

    pub(super) fn working(&mut self) {
        self.probe(ProbeResult::of(SessionState::Working));
    }

    pub(super) fn hear(&mut self, news: News) {
        let session = SessionName::new("default").unwrap();
        self.event(Event::Heard(FeedItem { session, news }));
    }

    pub(super) fn status(&self) -> (Status, Reason) {
        let given = self.state.worst().assessment;
        (given.status, given.reason)
    }

    pub(super) fn case(&self, send: u8) -> &Case {
        &self.state.cases()[&SendId::from_bytes([send; 16])]
    }

    pub(super) fn held(&self, send: u8) -> Option<Held> {
        self.state.held(self.case(send), self.now, &self.policy)
    }

    pub(super) fn raised(&self) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for change in &self.changes {
            if let Change::Alert(alert) = change
                && !seen.iter().any(|(id, _)| *id == alert.id)
            {
                seen.push((alert.id, alert.says.as_str()));
            }
        }
        seen.into_iter().map(|(_, says)| says).collect()
    }

    /// As a restart does it: what was committed is taken up by a new state.
    pub(super) fn restart(&mut self) {
        self.restart_with(None);
    }

    pub(super) fn restart_with(&mut self, drill: Option<Drill>) {
        let mut fresh = State::new(&[SessionName::new("default").unwrap()], self.now, [1; 16]);
        let old = &self.state;
        let stored = Stored {
            cases: old.cases().values().cloned().collect(),
            sessions: old.sessions().values().cloned().collect(),
            diagnoses: old.diagnoses().values().cloned().collect(),
            incidents: old.incidents().values().cloned().collect(),
            alerts: old.alerts().values().cloned().collect(),
            awaiting: old.awaiting().values().cloned().collect(),
            paused: old.is_paused(),
            drill,
            ..Stored::default()
        };
        fresh.restore(stored, &self.policy);
        self.state = fresh;
        self.errands.clear();
        self.changes.clear();
    }
}

pub(super) fn attempt(send: u8, number: u32, via: Via, cause: Option<Cause>, now: Timestamp) -> Ended {
    let Entry::Ended(mut ended) = ended(send, number, 0, cause) else { unreachable!() };
    let order = OrderFacts {
        order_id: Some(send.to_string().into()),
        notification_type: Some(NotificationType::OrderReceived),
        ..OrderFacts::default()
    };
    ended.what = Arc::new(Description { order, ..(*ended.what).clone() });
    (ended.first_at, ended.started, ended.ended, ended.via) = (now, now, now, via);
    ended.message_id = cause.is_none().then(|| format!("3EB0{send:02}{number:02}").into());
    ended.request = Some(Arc::new(StoredRequest {
        method: "POST".into(),
        target: "/send".into(),
        content_type: None,
        body: bytes::Bytes::new(),
    }));
    *ended
}

impl Bench {
    /// Somebody wants something.
    pub(super) fn command(&mut self, command: Command) -> Reply {
        let (decision, reply) = self.state.command(command, "ana", self.now, &self.policy);
        self.take(decision);
        reply
    }

    /// The looks that were asked for.
    pub(super) fn looks(&mut self) -> usize {
        let errands = std::mem::take(&mut self.errands);
        errands.iter().filter(|errand| matches!(errand, Errand::Look(_))).count()
    }

    pub(super) fn looked(&mut self, send: u8, found: Looked) {
        self.event(Event::Report(Report::Looked { send: SendId::from_bytes([send; 16]), found }));
    }
}
