//! Every row comes back as it was; what is damaged is an error and never a panic.

mod records;

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use smol_str::SmolStr;

use super::*;
use crate::domain::case::{AttemptLine, Case};
use crate::domain::day::{Day, Hour};
use crate::domain::decide::Unheard;
use crate::domain::id::{ChatId, Phone, SessionName};
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredAnswer, StoredRequest, Via};
use crate::domain::notification::{Attention, Failure, Method, Resolution};
use crate::domain::order::{NotificationType, OrderFacts};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::Health;
use crate::domain::send::{Content, Description, Identity, SendKind};
use crate::domain::session::{Session, Smoldering};
use crate::domain::status::{Assessment, Confidence, Reason, Status, StatusChange};
use crate::domain::window::{Latencies, Minute, Window};

fn moment() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(at)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "\\PC{0,40}", Just("\u{202e}\0\r\n".to_owned())]
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: impl AsRef<[T]>) -> impl Strategy<Value = T> {
    proptest::sample::select(all.as_ref().to_vec())
}

fn chat() -> impl Strategy<Value = Option<ChatId>> {
    text().prop_map(|text| ChatId::new(&text))
}

fn session_name_of() -> impl Strategy<Value = SessionName> {
    text().prop_filter_map("a name", |text| SessionName::new(&text))
}

prop_compose! {
    fn order()(
        facts in vec(of(text()), 4), phone in text(), notification_type in of(one_of(NotificationType::ALL)),
    ) -> OrderFacts {
        let mut facts = facts.into_iter();
        let mut next = || facts.next().flatten().map(SmolStr::from);
        OrderFacts {
            order_id: next(), order_number: next(), order_total: next(), customer_name: next(),
            customer_phone: Phone::new(&phone), notification_type,
        }
    }
}

prop_compose! {
    fn what()(
        identity in of(any::<[u8; 16]>()), session in of(session_name_of()), chat in chat(), kind in one_of(SendKind::ALL),
        path in text(), order in order(),
    ) -> Arc<Description> {
        Arc::new(Description { identity: identity.map(Identity::from_bytes), session, chat, kind, path: path.into(), order })
    }
}

prop_compose! {
    fn attempt()(send in any::<[u8; 16]>(), number in any::<u32>()) -> AttemptId {
        AttemptId { send: SendId::from_bytes(send), number }
    }
}

prop_compose! {
    fn request()(method in text(), target in text(), content_type in of(text()), body in vec(any::<u8>(), 0..100)) -> Arc<StoredRequest> {
        Arc::new(StoredRequest { method, target, content_type, body: body.into() })
    }
}

prop_compose! {
    fn answer()(
        status in any::<u16>(), content_type in of(text()), body in vec(any::<u8>(), 0..100), asked in any::<[u8; 16]>(),
    ) -> Arc<StoredAnswer> {
        Arc::new(StoredAnswer { status, content_type, body: body.into(), asked: Content::from_bytes(asked) })
    }
}

fn by() -> impl Strategy<Value = Via> {
    one_of([Via::Bot, Via::Retry, Via::Latch, Via::Replay, Via::Look])
}

prop_compose! {
    fn intents()(
        attempt in attempt(), via in by(), first_at in moment(), started in moment(), what in what(), request in of(request()),
    ) -> Entry {
        Entry::Intent(Intent { attempt, via, first_at, started, what, request })
    }
}

prop_compose! {
    fn outcomes()(
        (attempt, via, first_at, started, ended) in (attempt(), by(), moment(), moment(), moment()),
        (what, outcome, cause, status) in (what(), one_of(Outcome::ALL), of(one_of(Cause::ALL)), of(any::<u16>())),
        (detail, message_id, given_up) in (of(text()), of(text()), any::<bool>()),
        (unheard, request) in (of(answer()), of(request())),
    ) -> Entry {
        Entry::Ended(Box::new(Ended {
            attempt, via, first_at, started, ended, what, outcome, cause, status, detail, message_id: message_id.map(SmolStr::from), given_up, unheard, request,
        }))
    }
}

prop_compose! {
    fn line()(
        (number, via, started, ended) in (any::<u32>(), by(), moment(), moment()),
        (outcome, cause, status) in (one_of(Outcome::ALL), of(one_of(Cause::ALL)), of(any::<u16>())),
        (detail, message_id) in (of(text()), of(text())),
    ) -> AttemptLine {
        AttemptLine { number, via, started, ended, outcome, cause, status, detail, message_id: message_id.map(SmolStr::from) }
    }
}

prop_compose! {
    fn failure()(
        cause in one_of(Cause::ALL), created_at in moment(), status_at_creation in one_of(Status::ALL),
        resolution in of((moment(), one_of(Method::ALL), of(text()), of(text()))),
        (attention, claimed_by) in (one_of([Attention::Unnotified, Attention::Manual]), of(text())),
    ) -> Failure {
        let resolution = resolution.map(|(at, method, by, note)| Resolution { at, method, by, note });
        Failure { cause, created_at, status_at_creation, attention, claimed_by, resolution }
    }
}

prop_compose! {
    fn cases()(
        (attempt, what, first_at, last_at) in (attempt(), what(), moment(), moment()),
        (outcome, lines, failure) in (one_of(Outcome::ALL), vec(line(), 0..5), of(failure())),
        (exhausted, replayable) in (any::<bool>(), any::<bool>()),
        (ours_since, doubt, unlookable, replays) in (of(moment()), of(moment()), any::<bool>(), any::<u32>()),
        finding in of(records::finding().prop_map(Box::new)),
    ) -> Case {
        Case {
            send: attempt.send, attempts: attempt.number, what, first_at, last_at, outcome, lines, exhausted, replayable, failure,
            ours_since, doubt, unlookable, replays, finding,
        }
    }
}

fn assessments() -> impl Strategy<Value = Assessment> {
    let confidences = [Confidence::Low, Confidence::Medium, Confidence::High];
    (one_of(Status::ALL), one_of(confidences), one_of(Reason::ALL))
        .prop_map(|(status, confidence, reason)| Assessment { status, confidence, reason })
}

prop_compose! {
    fn minutes()(
        start in moment(),
        [accepted, exhausted, ambiguous, rejected] in any::<[u32; 4]>(),
        latencies in any::<[u32; 14]>(),
    ) -> Minute {
        Minute { start, accepted, exhausted, ambiguous, rejected, latencies: Latencies(latencies) }
    }
}

prop_compose! {
    fn hours()(start in moment(), sends in any::<[u32; 4]>(), latencies in any::<[u32; 14]>()) -> Hour {
        Hour { start, sends, latencies: Latencies(latencies) }
    }
}

prop_compose! {
    fn sessions()(
        (name, assessment, since) in (session_name_of(), assessments(), moment()),
        moments in vec(of(moment()), 13),
        (consecutive_failures, failing_chats) in (any::<u32>(), vec(chat(), 0..4)),
        exhausted in vec((moment(), chat()), 0..4), minutes in vec(minutes(), 0..4), hours in vec(hours(), 0..4),
        (health, rejections) in (prop_oneof![Just(Health::default()), records::health()], records::rejections()),
        restricted_chats in vec((records::some_chat(), moment()), 0..3),
    ) -> Session {
        Session {
            name, assessment, since,
            last_accepted: moments[0], last_failed: moments[1], last_activity: moments[2],
            consecutive_failures, failing_chats, exhausted: VecDeque::from(exhausted), retried_at: moments[3],
            low_rate: Smoldering { last_bad: moments[4] }, high_latency: Smoldering { last_bad: moments[5] },
            window: Window { minutes: minutes.into() },
            day: Day { hours: hours.into() },
            health, rejections, restricted_chats,
            total_loss_at: moments[6], webhook_only_at: moments[7], last_server_ack: moments[8], last_device_ack: moments[9],
            unproven_since: moments[10], key_refused_since: moments[11], last_heartbeat: moments[12],
        }
    }
}

fn row_of(entry: &Entry) -> Vec<u8> {
    let mut row = b"before".to_vec();
    assert!(entry_row(entry, &mut row));
    row.split_off(b"before".len())
}

proptest! {
    #[test]
    fn entries_come_back(entry in prop_oneof![intents(), outcomes()]) {
        let row = row_of(&entry);
        prop_assert_eq!(&entry_of(&row).unwrap(), &entry);
        let lighter = without_request(&row).unwrap();
        let glance = glance(&lighter).unwrap();
        prop_assert!(!glance.holds_request);
        let summary = summary_of(&row).unwrap();
        let (attempt, at, had_request) = match &entry {
            Entry::Intent(intent) => (intent.attempt, intent.started, intent.request.is_some()),
            Entry::Ended(ended) => (ended.attempt, ended.ended, ended.request.is_some()),
            Entry::Begun(_) => unreachable!(),
        };
        prop_assert_eq!((glance.attempt, glance.at), (attempt, at));
        prop_assert_eq!((summary.send, summary.attempts, summary.last_at), (attempt.send, attempt.number, at));
        prop_assert_eq!(super::glance(&row).unwrap().holds_request, had_request);
    }

    #[test]
    fn cases_come_back(case in cases()) {
        prop_assert_eq!(case_of(&case_row(&case)).unwrap(), case);
    }

    #[test]
    fn sessions_come_back(session in sessions()) {
        prop_assert_eq!(session_of(&session_row(&session)).unwrap(), session);
    }

    #[test]
    fn the_rest_comes_back(
        request in request(), answer in answer(), attempt in attempt(), identity in any::<[u8; 16]>(), first_at in moment(),
        ended in moment(), session in session_name_of(), to in assessments(), from in one_of(Status::ALL),
    ) {
        prop_assert_eq!(&request_of(&request_row(&request)).unwrap(), &*request);
        let unheard = Unheard { attempt, identity: Identity::from_bytes(identity), first_at, ended, answer };
        prop_assert_eq!(unheard_of(&unheard_row(&unheard)).unwrap(), unheard);
        let change = StatusChange { session, at: ended, from, to };
        prop_assert_eq!(change_of(&change_row(&change)).unwrap(), change);
    }

    /// Whatever a damaged page holds, reading it is an error and not a panic.
    #[test]
    fn damaged_rows_are_errors(
        entry in prop_oneof![intents(), outcomes()], case in cases(), session in sessions(), at in any::<usize>(), byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        for mut row in [row_of(&entry), case_row(&case), session_row(&session)] {
            let at = at % row.len();
            if cut { row.truncate(at); } else { row[at] = byte; }
            let _ = (entry_of(&row), glance(&row), without_request(&row), summary_of(&row), case_of(&row), session_of(&row));
            let _ = (request_of(&row), unheard_of(&row), change_of(&row));
        }
    }
}

#[test]
fn what_a_later_version_adds_is_passed_over_and_its_kinds_are_named() {
    // {0: h'..16', 99: "new"} around a status change.
    let change = StatusChange {
        session: SessionName::new("default").unwrap(),
        at: at(5),
        from: Status::Online,
        to: Assessment::UNKNOWN,
    };
    let mut row = change_row(&change);
    assert_eq!(row[0], 0xa4, "a map of four");
    row[0] = 0xa5;
    row.extend_from_slice(&[0x18, 99, 0x63, b'n', b'e', b'w']);
    assert_eq!(change_of(&row).unwrap(), change);
    let error = status::of_code(77).unwrap_err().to_string();
    assert_eq!(error, "unknown status 77; a later version may have written it");
}

mod status {
    use super::*;

    pub(super) fn of_code(code: u8) -> Result<Status, RowError> {
        crate::store::row::session::status::of(code)
    }
}
