//! Which orders may wake somebody: each row of the rule, on its own and beside others.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::Metrics;
use super::*;
use crate::domain::decide::tests::POLICY;
use crate::domain::decide::{State, Stored};
use crate::domain::diagnosis::{Finding, NotTried, Reached};
use crate::domain::id::{RecordId, SendId, SessionName};
use crate::domain::order::{NotificationType, OrderFacts};
use crate::domain::send::{Description, SendKind};
use crate::domain::status::Status;

/// When everything here failed, and when it is looked at.
const FAILED: i64 = 1000;
const NOW: i64 = 10_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn default() -> SessionName {
    SessionName::new("default").unwrap()
}

/// An order given up for `cause`, to a chat of its own.
fn order(number: u8, cause: Cause) -> Case {
    let what = Description {
        identity: None,
        session: Some(default()),
        chat: ChatId::new(&format!("58424{number:07}")),
        kind: SendKind::Text,
        path: "/send".into(),
        order: OrderFacts {
            order_id: Some(format!("order {number}").into()),
            notification_type: Some(NotificationType::OrderConfirmed),
            ..OrderFacts::default()
        },
    };
    let mut case = Case::reported(SendId::from_bytes([number; 16]), Arc::new(what), at(FAILED));
    case.outcome = cause.outcome();
    case.failure = Some(Failure {
        cause,
        created_at: at(FAILED),
        status_at_creation: Status::Online,
        attention: Attention::Unnotified,
        claimed_by: None,
        resolution: None,
    });
    case
}

fn with(mut case: Case, change: impl FnOnce(&mut Case, &mut Failure)) -> Case {
    let mut failure = case.failure.take().unwrap();
    change(&mut case, &mut failure);
    Case { failure: Some(failure), ..case }
}

/// The same after a diagnosis.
fn found(case: Case, verdict: Verdict) -> Case {
    with(case, |case, failure| {
        failure.attention =
            if verdict == Verdict::WebhookOnly { Attention::Manual } else { Attention::Unnotified };
        case.finding = Some(Box::new(Finding {
            id: RecordId::from_bytes([1; 16]),
            verdict,
            at: at(FAILED + 20),
            user: Reached::NotTried(NotTried::Nobody),
            admin: Reached::NotTried(NotTried::Nobody),
            number_exists: None,
            attempts: 4,
            cause: failure.cause,
            probe: None,
            others_accepted: 0,
            others_failed: 1,
            resolved_at: None,
        }));
    })
}

fn lost(number: u8) -> Case {
    found(order(number, Cause::ConnectionRefused), Verdict::TotalLoss)
}

/// Kept and ours, so that it can be sent again.
fn replayable(case: Case) -> Case {
    with(case, |case, _| {
        case.replayable = true;
        case.ours_since = Some(at(FAILED + 60));
    })
}

struct World {
    cases: Vec<Case>,
    accepted: Option<i64>,
    paused: bool,
    policy: Policy,
}

impl World {
    fn of(cases: impl IntoIterator<Item = Case>) -> Self {
        Self { cases: cases.into_iter().collect(), accepted: None, paused: false, policy: POLICY.clone() }
    }

    /// Something was accepted since.
    fn back(mut self) -> Self {
        self.accepted = Some(NOW - 100);
        self
    }

    fn undiagnosed(mut self) -> Self {
        self.policy.diagnose = false;
        self
    }

    /// Normal and critical orders, and since when the oldest critical one waits.
    fn orders(self) -> (u64, u64, u64) {
        let metrics = self.shown();
        let value = |series: &str| {
            let line = format!("waha_watchdog_{series} ");
            let value = metrics.lines().find_map(|one| one.strip_prefix(&line)).unwrap();
            value.parse().unwrap()
        };
        (
            value(r#"orders_unnotified{priority="normal",session="default"}"#),
            value(r#"orders_unnotified{priority="critical",session="default"}"#),
            value(r#"orders_unnotified_critical_oldest_timestamp_seconds{session="default"}"#),
        )
    }

    fn shown(self) -> String {
        let mut session = Session::new(default(), at(0));
        session.failed(at(FAILED), ChatId::new("584240000001").as_ref(), Duration::from_secs(1));
        session.total_loss_at = Some(at(FAILED + 20));
        if let Some(accepted) = self.accepted {
            session.accepted(at(accepted), Duration::from_secs(1), None, false);
        }
        let mut state = State::new(&[default()], at(0), [0; 16]);
        let stored =
            Stored { cases: self.cases, sessions: vec![session], paused: self.paused, ..Stored::default() };
        state.restore(stored, &self.policy);
        let metrics = Metrics::new(&[default()]).unwrap();
        metrics.mind.show(&state, at(NOW), &self.policy);
        String::from_utf8(metrics.encode()).unwrap()
    }
}

#[test]
fn a_total_loss_is_critical_and_one_destinations_fault_is_not() {
    let since = u64::try_from(FAILED).unwrap();
    assert_eq!(World::of([]).orders(), (0, 0, 0));
    assert_eq!(World::of([lost(1)]).orders(), (0, 1, since));
    let rows = [
        ("a bad number", order(1, Cause::NumberNotOnWhatsapp)),
        ("a restricted contact", order(1, Cause::ContactRestricted)),
        ("a malformed message", order(1, Cause::BadRequest)),
        (
            "never confirmed",
            with(order(1, Cause::NeverConfirmed), |case, _| case.outcome = Outcome::Accepted),
        ),
        ("somebody was reached", found(order(1, Cause::ServerError), Verdict::WebhookOnly)),
        ("told by another message", order(1, Cause::ConnectionRefused)),
        ("claimed", with(lost(1), |_, failure| failure.claimed_by = Some("ana".to_owned()))),
        (
            "the diagnosis found that the number does not exist",
            with(lost(1), |_, failure| failure.cause = Cause::NumberNotOnWhatsapp),
        ),
    ];
    for (what, case) in rows {
        assert_eq!(World::of([case]).orders(), (1, 0, 0), "{what}");
    }
    assert_eq!(World::of([lost(1), order(2, Cause::NumberNotOnWhatsapp)]).orders(), (1, 1, since));
}

#[test]
fn where_no_diagnosis_can_tell_one_chat_is_not_the_channel_and_two_are() {
    let unclear = |number| found(order(number, Cause::ServerError), Verdict::Inconclusive);
    assert_eq!(World::of([unclear(1)]).orders().1, 0);
    assert_eq!(World::of([unclear(1), unclear(2)]).orders().1, 2);
    assert_eq!(World::of([unclear(1), unclear(2)]).back().orders().1, 0, "the channel has spoken since");
    let cut = |number| found(order(number, Cause::Interrupted), Verdict::Inconclusive);
    assert_eq!(World::of([cut(1), cut(2)]).orders().1, 0, "our own restart is no evidence");
    let refused = |number| order(number, Cause::ConnectionRefused);
    assert_eq!(World::of([refused(1), refused(2)]).undiagnosed().orders().1, 2);
    assert_eq!(World::of([refused(1)]).undiagnosed().orders().1, 0);
}

#[test]
fn two_messages_of_one_order_are_one_order_and_the_worse_counts() {
    let mut second = order(2, Cause::NumberNotOnWhatsapp);
    second.what = Arc::clone(&lost(1).what);
    assert_eq!(World::of([lost(1), second]).orders().0, 0);
}

#[test]
fn what_fails_again_while_others_get_through_is_its_own_fault_and_stays_it() {
    let again = |at_second| with(replayable(lost(1)), |case, _| case.last_at = at(at_second));
    let paused = |world: World| World { paused: true, ..world };
    assert_eq!(paused(World::of([again(FAILED)]).back()).orders().1, 1, "not tried again yet");
    assert_eq!(World::of([again(NOW - 50)]).orders().1, 1, "nothing gets through");
    // Tried again before and after the last success: it must not come and go with each success of others.
    for tried in [NOW - 200, NOW - 50] {
        assert_eq!(paused(World::of([again(tried)]).back()).orders().1, 0, "{tried}");
    }
}

#[test]
fn what_goes_out_by_itself_now_wakes_nobody() {
    let pending = || replayable(lost(1));
    assert_eq!(World::of([pending()]).orders().1, 1, "nothing goes out yet");
    assert_eq!(World::of([pending()]).back().orders().1, 0);
    assert_eq!(World { paused: true, ..World::of([pending()]).back() }.orders().1, 1);
    assert_eq!(World::of([lost(1)]).back().orders().1, 1, "nothing kept: left for a person");
    let old = with(pending(), |case, _| case.first_at = at(NOW - 25 * 3600));
    assert_eq!(World::of([old]).back().orders().1, 1, "too old to go out by itself");
}

#[test]
fn what_waits_for_a_decision_or_for_an_ack_is_counted() {
    let doubtful = with(replayable(lost(1)), |case, _| {
        case.doubt = Some(at(FAILED));
        case.unlookable = true;
    });
    let unconfirmed = with(order(2, Cause::NeverConfirmed), |case, _| case.outcome = Outcome::Accepted);
    let text = World::of([doubtful, unconfirmed, order(3, Cause::BadRequest)]).shown();
    for line in [
        r#"waha_watchdog_recovery_holds{held="may_have_arrived",session="default"} 1"#,
        r#"waha_watchdog_recovery_holds{held="not_confirmed",session="default"} 1"#,
        r#"waha_watchdog_recovery_holds{held="may_have_arrived",session="other"} 0"#,
        r#"waha_watchdog_orders_unnotified_oldest_timestamp_seconds{session="default"} 1000"#,
    ] {
        assert!(text.lines().any(|one| one == line), "no {line}");
    }
}
