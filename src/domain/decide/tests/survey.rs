//! What is counted: the one pass over everything that waits gives what the single questions give; looks and runs of replays are told.

use super::*;
use crate::domain::confirmation::{Confirmation, FeedItem, News};
use crate::domain::errand::{Errand, Looked};
use crate::domain::ledger::StoredRequest;

struct Life {
    state: State,
    now: Timestamp,
    position: u64,
    notices: Vec<Notice>,
    errands: Vec<Errand>,
}

impl Life {
    fn new() -> Self {
        let state =
            State::new(&["default", "ventas"].map(|name| SessionName::new(name).unwrap()), at(0), [0; 16]);
        Self { state, now: at(0), position: 0, notices: Vec::new(), errands: Vec::new() }
    }

    fn event(&mut self, event: Event) {
        for event in [event, Event::Tick] {
            let decision = self.state.decide(event, self.now, &POLICY);
            self.notices.extend(decision.notices);
            self.errands.extend(decision.errands);
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.event(Event::Tick);
        }
    }

    /// An attempt of a send to a chat of its own, in this session, ends now.
    fn attempt(&mut self, session: &str, send: u8, number: u32, via: Via, cause: Option<Cause>) {
        let Entry::Ended(mut ended) = ended(send, number, 0, cause) else { unreachable!() };
        let order = OrderFacts { order_id: Some(send.to_string().into()), ..OrderFacts::default() };
        ended.what =
            Arc::new(Description { session: SessionName::new(session), order, ..(*ended.what).clone() });
        (ended.first_at, ended.started, ended.ended, ended.via) = (self.now, self.now, self.now, via);
        ended.message_id = cause.is_none().then(|| format!("3EB0{send:02}{number:02}").into());
        ended.request = Some(Arc::new(StoredRequest {
            method: "POST".into(),
            target: "/send".into(),
            content_type: None,
            body: bytes::Bytes::new(),
        }));
        self.position += 1;
        self.event(Event::Entry(Position(self.position), Entry::Ended(ended)));
    }

    fn give_up(&mut self, session: &str, send: u8, cause: Cause) {
        (1..=4).for_each(|number| self.attempt(session, send, number, Via::Bot, Some(cause)));
    }

    /// The replays that begin until then, all of which succeed.
    fn replay_all(&mut self, seconds: u64) -> Vec<u8> {
        let mut replayed = Vec::new();
        for _ in 0..seconds {
            self.pass(1);
            for errand in std::mem::take(&mut self.errands) {
                if let Errand::Replay(replay) = errand {
                    let send = replay.attempt.send.as_bytes()[0];
                    self.attempt("default", send, replay.attempt.number, Via::Replay, None);
                    replayed.push(send);
                }
            }
        }
        replayed
    }

    fn runs(&self) -> Vec<bool> {
        let cut = |notice: &Notice| match notice {
            Notice::RunOver { cut, .. } => Some(*cut),
            _ => None,
        };
        self.notices.iter().filter_map(cut).collect()
    }
}

#[test]
fn the_survey_says_what_the_single_questions_say() {
    let mut life = Life::new();
    life.event(Event::Feed(FeedState::Connected));
    for send in 1..=3 {
        life.attempt("default", send, 1, Via::Bot, None);
    }
    life.attempt("ventas", 4, 1, Via::Bot, None);
    let session = SessionName::new("ventas").unwrap();
    let news = News::Echo(MessageId::new("3EB00401").unwrap());
    life.event(Event::Heard(FeedItem { session, news }));
    life.give_up("default", 10, Cause::ConnectionRefused);
    life.give_up("default", 11, Cause::ResponseTimeout);
    life.give_up("ventas", 12, Cause::ConnectionRefused);
    life.attempt("somebody else's", 13, 1, Via::Bot, Some(Cause::NumberNotOnWhatsapp));
    life.pass(200);
    let (state, now) = (&life.state, life.now);
    let survey = state.survey(now, &POLICY);
    assert_eq!(survey.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["default", "other", "ventas"]);
    let mut open = 0;
    for (name, waits) in &survey {
        assert_eq!(waits.outlook, state.outlook(name, now, &POLICY), "{name}");
        assert_eq!(waits.is_blind, state.is_blind(name, now), "{name}");
        for (case, held) in &waits.open {
            assert_eq!(*held, state.held(case, now, &POLICY));
            assert_eq!(state.session_of(&case.what), *name);
        }
        open += waits.open.len();
    }
    assert_eq!(open, 4);
    let of = |name: &str| &survey[&SessionName::new(name).unwrap()];
    assert!(of("default").is_blind && !of("ventas").is_blind);
    assert_eq!((of("default").unconfirmed, of("ventas").unconfirmed, of("other").unconfirmed), (3, 1, 0));
}

#[test]
fn a_run_of_replays_is_told_once_it_is_over() {
    let mut life = Life::new();
    (1..=3).for_each(|send| life.give_up("default", send, Cause::ConnectionRefused));
    life.pass(30);
    assert!(life.runs().is_empty(), "the canary is no run");
    life.attempt("default", 50, 1, Via::Bot, None);
    life.attempt("default", 1, 5, Via::Replay, None);
    life.pass(10);
    assert!(life.runs().is_empty(), "the next one is under way");
    life.attempt("default", 2, 5, Via::Replay, None);
    // A new outage, before the last one went out.
    life.attempt("default", 60, 1, Via::Bot, REFUSED);
    life.errands.clear();
    // Not so long that a canary goes out.
    life.pass(10);
    assert_eq!(life.runs(), [true], "cut");
    life.attempt("default", 60, 2, Via::Bot, None);
    assert_eq!(life.replay_all(60), [3]);
    assert_eq!(life.runs(), [true, false], "and complete, once");
}

#[test]
fn a_look_is_told_with_what_it_found() {
    let mut life = Life::new();
    life.give_up("ventas", 1, Cause::ResponseTimeout);
    let message = MessageId::new("3EB0AA").unwrap();
    for found in [Looked::Failed, Looked::Found { message, confirmation: Confirmation::Server }] {
        life.event(Event::Report(Report::Looked { send: SendId::from_bytes([1; 16]), found }));
    }
    let looks: Vec<_> = life
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Looked { session, found } => Some((session.as_str(), found.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(looks, [("ventas", "failed"), ("ventas", "found")]);
}
