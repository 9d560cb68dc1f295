//! The same for what the heart makes of sends: findings, diagnoses, incidents, alerts, confirmations, the audit.

use super::*;
use crate::domain::alert::{Alert, OrderLine, Orders, Says, Trouble};
use crate::domain::command::Audit;
use crate::domain::confirmation::{Awaiting, Confirmation, Confirmed, MessageId};
use crate::domain::delivery::{Channel, Delivery, Dropped, Progress, Recipient};
use crate::domain::diagnosis::{Diagnosis, Finding, NotTried, Reached, Step, Verdict};
use crate::domain::id::RecordId;
use crate::domain::incident::{Announced, Incident, Line};
use crate::domain::probe::{Engine, Health, ProbeResult, Restriction, SessionState};
use crate::domain::session::Rejection;

fn record() -> impl Strategy<Value = RecordId> {
    any::<[u8; 16]>().prop_map(RecordId::from_bytes)
}

fn sends() -> impl Strategy<Value = Vec<SendId>> {
    vec(any::<[u8; 16]>().prop_map(SendId::from_bytes), 0..5)
}

fn probe() -> impl Strategy<Value = ProbeResult> {
    let engines = [Engine::Other, Engine::Noweb, Engine::Gows];
    let state = (one_of(SessionState::ALL), one_of(engines), any::<bool>(), any::<bool>());
    prop_oneof![
        state.prop_map(|(state, engine, locked, capped)| ProbeResult::State {
            state,
            engine,
            restriction: Restriction { locked, capped }
        }),
        one_of([
            ProbeResult::Missing,
            ProbeResult::Unauthorized,
            ProbeResult::Unreachable,
            ProbeResult::TimedOut,
            ProbeResult::Strange,
        ]),
    ]
}

fn reached() -> impl Strategy<Value = Reached> {
    let reasons = [
        NotTried::MayHaveArrived,
        NotTried::WrittenToLately,
        NotTried::Restricted,
        NotTried::Nobody,
        NotTried::NotNeeded,
        NotTried::Shared,
        NotTried::Unrecorded,
    ];
    prop_oneof![
        Just(Reached::Yes),
        one_of(Cause::ALL).prop_map(Reached::No),
        one_of(Cause::ALL).prop_map(Reached::Unknown),
        one_of(reasons).prop_map(Reached::NotTried),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Waiting),
        moment().prop_map(|since| Step::Running { since }),
        reached().prop_map(Step::Ended),
    ]
}

prop_compose! {
    pub(super) fn finding()(
        (id, verdict, at, resolved_at) in (record(), one_of(Verdict::ALL), moment(), of(moment())),
        (user, admin, number_exists) in (reached(), reached(), of(any::<bool>())),
        (attempts, cause, probe) in (any::<u32>(), one_of(Cause::ALL), of(probe())),
        (others_accepted, others_failed) in (any::<u32>(), any::<u32>()),
    ) -> Finding {
        Finding {
            id, verdict, at, user, admin, number_exists, attempts, cause, probe, others_accepted, others_failed, resolved_at,
        }
    }
}

prop_compose! {
    fn diagnosis()(
        (id, session, began, sends) in (record(), session_name_of(), moment(), sends()),
        (customer_chat, written, customer, admin) in (chat(), vec((some_chat(), moment()), 0..3), step(), step()),
        number_exists in of(any::<bool>()),
        (attempts, cause, probe) in (any::<u32>(), one_of(Cause::ALL), of(probe())),
        (others_accepted, others_failed, verdict) in (any::<u32>(), any::<u32>(), of(one_of(Verdict::ALL))),
    ) -> Diagnosis {
        Diagnosis {
            id, session, began, sends, customer_chat, written, customer, admin, number_exists, attempts, cause, probe, others_accepted,
            others_failed, verdict,
        }
    }
}

prop_compose! {
    fn incident()(
        (id, session, start, end) in (record(), session_name_of(), moment(), of(moment())),
        (worst, timeline) in (one_of(Status::ALL), vec((moment(), assessments()), 0..4)),
        (affected, affected_count, replayed, left) in (sends(), any::<u32>(), any::<u32>(), any::<u32>()),
        (well_since, announced) in (of(moment()), any::<[bool; 4]>()),
    ) -> Incident {
        let timeline = timeline.into_iter().map(|(at, to)| Line { at, to }).collect();
        let [preventive, loss, restricted, gone] = announced;
        let announced = Announced { preventive, loss, restricted, gone };
        Incident {
            id, session, start, end, worst, timeline, affected, affected_count, replayed, left, well_since, announced,
        }
    }
}

fn orders() -> impl Strategy<Value = Orders> {
    let line = (any::<[u8; 16]>(), of(text()))
        .prop_map(|(send, order)| OrderLine { send: SendId::from_bytes(send), order });
    (vec(line, 0..4), any::<u32>()).prop_map(|(named, count)| Orders { named, count })
}

fn says() -> impl Strategy<Value = Says> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>());
    prop_oneof![
        probe().prop_map(Says::Preventive),
        orders().prop_map(Says::ManualAttention),
        (orders(), of(finding().prop_map(Box::new)), assessments())
            .prop_map(|(orders, finding, assessment)| Says::TotalLoss { orders, finding, assessment }),
        orders().prop_map(Says::Restricted),
        (moment(), moment(), one_of(Status::ALL), numbers).prop_map(
            |(start, end, worst, (affected, replayed, left))| Says::Recovered {
                start,
                end,
                worst,
                affected,
                replayed,
                left
            }
        ),
        Just(Says::Trouble(Trouble::KeyRefused)),
        Just(Says::TroubleOver(Trouble::KeyRefused)),
        (moment(), orders()).prop_map(|(since, orders)| Says::StillLost { since, orders }),
        moment().prop_map(|since| Says::BotGone { since }),
        text().prop_map(|who| Says::Drill { who }),
        moment().prop_map(|start| Says::DrillOver { start }),
        text().prop_map(|who| Says::Test { who }),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let progress = prop_oneof![
        Just(Progress::Waiting),
        Just(Progress::UnderWay),
        moment().prop_map(Progress::Told),
        (moment(), one_of([Dropped::Withdrawn, Dropped::Refused, Dropped::TooOld]))
            .prop_map(|(at, why)| Progress::Dropped(at, why)),
    ];
    let reached = vec(any::<u64>().prop_map(Recipient::new), 0..3);
    (one_of(Channel::ALL), any::<u32>(), moment(), progress, reached).prop_map(
        |(channel, tries, due, progress, reached)| Delivery { channel, tries, due, progress, reached },
    )
}

prop_compose! {
    fn alert()(
        (id, session, incident, at) in (record(), session_name_of(), of(record()), moment()),
        (says, deliveries) in (says(), vec(delivery(), 0..4)),
    ) -> Alert {
        Alert { id, session, incident, at, says, deliveries }
    }
}

prop_compose! {
    fn awaiting()(
        (attempt, what, first_at, accepted_at) in (attempt(), what(), moment(), moment()),
        message in "[ -~]{1,128}", echoed in any::<bool>(), acked in one_of(Confirmation::ALL),
    ) -> Awaiting {
        let message = MessageId::new(&message).unwrap();
        Awaiting { send: attempt.send, attempts: attempt.number, what, first_at, accepted_at, message, echoed, acked }
    }
}

prop_compose! {
    fn audit()(id in record(), at in moment(), who in text(), action in text(), target in of(text())) -> Audit {
        Audit { id, at, who, action, target }
    }
}

prop_compose! {
    pub(super) fn health()(
        (last, at, last_success, last_failure) in (of(probe()), of(moment()), of(moment()), of(moment())),
        (consecutive_failures, failing, healthy_since) in (any::<u32>(), any::<bool>(), of(moment())),
    ) -> Health {
        Health {
            last, at, last_success, last_failure, consecutive_failures, failing, healthy_since, next: None, asking: false,
        }
    }
}

prop_compose! {
    pub(super) fn rejections()(
        rejections in vec((moment(), one_of(Cause::ALL), some_chat()), 0..3),
    ) -> VecDeque<Rejection> {
        rejections.into_iter().map(|(at, cause, chat)| Rejection { at, cause, chat }).collect()
    }
}

pub(super) fn some_chat() -> impl Strategy<Value = ChatId> {
    chat().prop_filter_map("a chat", |chat| chat)
}

proptest! {
    #[test]
    fn records_come_back(
        diagnosis in diagnosis(), incident in incident(), alert in alert(), awaiting in awaiting(), audit in audit(),
        confirmation in one_of(Confirmation::ALL), at in moment(),
    ) {
        let confirmed = Confirmed { send: awaiting.send, confirmation, at };
        prop_assert_eq!(confirmed_of(awaiting.send, &confirmed_row(&confirmed)).unwrap(), confirmed);
        prop_assert_eq!(diagnosis_of(&diagnosis_row(&diagnosis)).unwrap(), diagnosis);
        prop_assert_eq!(incident_of(&incident_row(&incident)).unwrap(), incident);
        prop_assert_eq!(alert_of(&alert_row(&alert)).unwrap(), alert);
        prop_assert_eq!(awaiting_of(&awaiting_row(&awaiting)).unwrap(), awaiting);
        prop_assert_eq!(audit_of(&audit_row(&audit)).unwrap(), audit);
    }

    /// Whatever a damaged page holds, reading it is an error and not a panic.
    #[test]
    fn damaged_records_are_errors(
        diagnosis in diagnosis(), incident in incident(), alert in alert(), awaiting in awaiting(), audit in audit(),
        at in any::<usize>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let rows =
            [diagnosis_row(&diagnosis), incident_row(&incident), alert_row(&alert), awaiting_row(&awaiting), audit_row(&audit)];
        for mut row in rows {
            let at = at % row.len();
            if cut { row.truncate(at); } else { row[at] = byte; }
            let _ = (diagnosis_of(&row), incident_of(&row), alert_of(&row), awaiting_of(&row), audit_of(&row));
            let _ = confirmed_of(awaiting.send, &row);
        }
    }
}
