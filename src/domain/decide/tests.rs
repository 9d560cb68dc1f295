//! What events change: given up by count and by silence, rejected, settled, and the status that follows.

mod bench;
mod by_hand;
mod carried;
mod found;
mod hanging;
mod living;
mod mind;
mod outbox;
mod survey;

use std::sync::{Arc, LazyLock};

use super::*;
use crate::domain::notification::Method;
use crate::domain::order::OrderFacts;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::recovery::{Ambiguity, MaxAge};
use crate::domain::send::SendKind;
use crate::domain::status::Status;

pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    attempts: 4,
    give_up_after: Duration::from_secs(60),
    retries: Retries::ByBot,
    unheard_for: Duration::from_secs(600),
    status: StatusPolicy {
        window: Duration::from_secs(900),
        min_sends: 10,
        success_rate: 0.9,
        latency_p95: Duration::from_secs(10),
        recover_after: Duration::from_secs(120),
        incommunicado_failures: 3,
        incommunicado_window: Duration::from_secs(300),
        offline_after: Duration::from_secs(600),
        unacked_degraded: Duration::from_secs(60),
        unacked_critical: Duration::from_secs(180),
    },
    probe: ProbePolicy {
        enabled: false,
        interval: Duration::from_secs(180),
        interval_failing: Duration::from_secs(15),
        failure_threshold: 2,
    },
    admin: ChatId::new("584240009999"),
    confirm_within: Duration::from_secs(900),
    diagnose: true,
    recovery: RecoveryPolicy {
        enabled: true,
        interval: Duration::from_secs(6),
        max_age: MaxAge::all(Duration::from_secs(24 * 3600)),
        ambiguous: Ambiguity::Hold,
    },
    liveness: Liveness::Traffic,
    alerts: AlertPolicy {
        routes: vec![Route::usual(Channel::Whatsapp)],
        gather_for: Duration::from_secs(30),
        every: Duration::from_secs(300),
        remind_every: Duration::from_secs(1800),
    },
});

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn state() -> State {
    State::new(&[SessionName::new("default").unwrap()], at(0), [0; 16])
}

/// Attempt `number` of send `send` to chat `send`, ended after a second with `cause` or accepted.
fn ended(send: u8, number: u32, seconds: i64, cause: Option<Cause>) -> Entry {
    let what = Description {
        identity: None,
        session: SessionName::new("default"),
        chat: ChatId::new(&format!("58424{send:07}")),
        kind: SendKind::Text,
        path: "/send".into(),
        order: OrderFacts::default(),
    };
    Entry::Ended(Box::new(Ended {
        attempt: AttemptId { send: SendId::from_bytes([send; 16]), number },
        via: Via::Bot,
        first_at: at(seconds - 1),
        started: at(seconds - 1),
        ended: at(seconds),
        what: Arc::new(what),
        outcome: cause.map_or(Outcome::Accepted, Cause::outcome),
        cause,
        status: None,
        detail: None,
        message_id: None,
        given_up: false,
        unheard: None,
        request: None,
    }))
}

fn status(state: &State) -> Status {
    state.worst().assessment.status
}

fn opened(decision: &Decision) -> usize {
    decision.notices.iter().filter(|notice| matches!(notice, Notice::Opened { .. })).count()
}

const REFUSED: Option<Cause> = Some(Cause::ConnectionRefused);

#[test]
fn four_attempts_are_one_failed_notification_and_a_late_success_settles_it() {
    let mut state = state();
    let opened_by: Vec<_> = (1..=5)
        .map(|n| opened(&state.entry(Position(u64::from(n)), ended(1, n, i64::from(n), REFUSED), &POLICY)))
        .collect();
    assert_eq!(opened_by, [0, 0, 0, 1, 0]);
    let case = state.cases().values().next().unwrap();
    assert_eq!((case.attempts, case.lines.len()), (5, 5));
    let decision = state.entry(Position(6), ended(1, 6, 6, None), &POLICY);
    assert!(
        decision
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Settled { method: Method::BotRecovered, .. }))
    );
    assert!(state.cases().is_empty());
}

#[test]
fn silence_gives_up_and_a_running_attempt_is_no_silence() {
    let mut state = state();
    let _ = state.entry(Position(1), ended(1, 1, 10, REFUSED), &POLICY);
    let _ = state.entry(
        Position(0),
        Entry::Begun(AttemptId { send: SendId::from_bytes([1; 16]), number: 2 }),
        &POLICY,
    );
    assert_eq!(opened(&state.tick(at(200), &POLICY)), 0, "attempt 2 runs");
    let _ = state.entry(Position(2), ended(1, 2, 210, REFUSED), &POLICY);
    assert_eq!(opened(&state.tick(at(269), &POLICY)), 0);
    assert_eq!(opened(&state.tick(at(270), &POLICY)), 1);
}

#[test]
fn a_rejected_send_is_listed_at_once_and_moves_no_status() {
    let mut state = state();
    let _ = state.entry(Position(1), ended(9, 1, 1, None), &POLICY);
    assert_eq!(status(&state), Status::Online);
    for n in 1..=20 {
        let decision = state.entry(Position(1), ended(n, 1, 2, Some(Cause::NumberNotOnWhatsapp)), &POLICY);
        assert_eq!(opened(&decision), 1, "{n}");
    }
    assert_eq!(status(&state), Status::Online);
}

#[test]
fn one_chat_alone_never_makes_an_outage_and_two_do() {
    let mut state = state();
    for n in 1..=50 {
        let _ = state.entry(Position(1), ended(1, n, i64::from(n), REFUSED), &POLICY);
    }
    assert_eq!(status(&state), Status::Degraded);
    for send in 2..=3 {
        for n in 1..=4 {
            let _ = state.entry(Position(1), ended(send, n, 60, REFUSED), &POLICY);
        }
    }
    assert_eq!(status(&state), Status::Incommunicado);
}

#[test]
fn a_success_after_retries_is_degraded_at_once_and_online_after_the_window() {
    let mut state = state();
    let _ = state.entry(Position(1), ended(9, 1, 1, None), &POLICY);
    let _ = state.entry(Position(2), ended(1, 1, 2, REFUSED), &POLICY);
    let _ = state.entry(Position(3), ended(1, 2, 3, None), &POLICY);
    assert_eq!(status(&state), Status::Degraded);
    let _ = state.entry(Position(4), ended(8, 1, 900, None), &POLICY);
    let _ = state.tick(at(904), &POLICY);
    assert_eq!(status(&state), Status::Online);
}
