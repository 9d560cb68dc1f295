//! What the simulation found: each a life in miniature.

use super::*;
use crate::domain::diagnosis::Verdict;
use crate::domain::errand::{Errand, LetterKind, NotReplayed};
use crate::domain::ledger::StoredRequest;

/// Given up, kept and ours.
fn given_up(send: u8, from: i64) -> (State, Policy) {
    let policy = Policy { admin: None, ..POLICY.clone() };
    let mut state = state();
    for number in 1..=4 {
        let Entry::Ended(mut last) = ended(send, number, from + i64::from(number), REFUSED) else {
            unreachable!()
        };
        last.request = Some(Arc::new(StoredRequest {
            method: "POST".into(),
            target: "/".into(),
            content_type: None,
            body: bytes::Bytes::new(),
        }));
        let _ = state.entry(Position(0), Entry::Ended(last), &policy);
    }
    (state, policy)
}

fn replay_of(decision: &Decision) -> Option<AttemptId> {
    decision.errands.iter().find_map(|errand| match errand {
        Errand::Replay(replay) => Some(replay.attempt),
        _ => None,
    })
}

#[test]
fn the_intent_of_a_replay_that_did_not_begin_may_come_late_and_blocks_nothing() {
    let (mut state, policy) = given_up(1, 0);
    let mut first = None;
    for second in 5..120 {
        first = first.or(replay_of(&state.tick(at(second), &policy)));
    }
    let attempt = first.expect("a canary");
    let why = NotReplayed::Unrecorded;
    let report = Report::NotReplayed { send: attempt.send, why };
    let _ = state.decide(Event::Report(report), at(121), &policy);
    let what = Arc::clone(&state.cases()[&attempt.send].what);
    let intent = Intent { attempt, via: Via::Replay, first_at: at(0), started: at(120), what, request: None };
    let _ = state.entry(Position(9), Entry::Intent(intent), &policy);
    assert_eq!(state.oldest_running(), None, "nothing was sent under it");
    let again = (122..200).find_map(|second| replay_of(&state.tick(at(second), &policy)));
    assert!(again.is_some(), "it has its turn again");
}

#[test]
fn it_blocks_nothing_either_where_the_bot_got_through_meanwhile() {
    let (mut state, policy) = given_up(1, 0);
    let attempt = (5..120).find_map(|second| replay_of(&state.tick(at(second), &policy))).expect("a canary");
    let what = Arc::clone(&state.cases()[&attempt.send].what);
    let report = Report::NotReplayed { send: attempt.send, why: NotReplayed::Unrecorded };
    let _ = state.decide(Event::Report(report), at(121), &policy);
    let _ = state.entry(Position(8), ended(1, 6, 122, None), &policy);
    assert!(state.cases().is_empty(), "the bot's own retry settled it");
    let intent = Intent { attempt, via: Via::Replay, first_at: at(0), started: at(120), what, request: None };
    let _ = state.entry(Position(9), Entry::Intent(intent), &policy);
    assert_eq!(state.oldest_running(), None, "nothing was sent under it, and nothing waits for its end");
}

#[test]
fn what_our_own_end_cut_off_does_not_speak_against_the_channel() {
    let policy = Policy { admin: None, diagnose: false, ..POLICY.clone() };
    let mut state = state();
    let _ = state.entry(Position(1), ended(9, 1, 1, None), &policy);
    let _ = state.tick(at(1), &policy);
    assert_eq!(status(&state), Status::Online);
    for send in 1..=4 {
        let _ = state.entry(Position(0), ended(send, 1, 2, Some(Cause::Interrupted)), &policy);
    }
    let mut alerts = Vec::new();
    for second in 3..120 {
        let decision = state.tick(at(second), &policy);
        assert_eq!(status(&state), Status::Online, "{second}");
        alerts.extend(decision.changes.into_iter().filter_map(|change| match change {
            Change::Alert(alert) => Some(alert.says.as_str()),
            _ => None,
        }));
    }
    assert_eq!(state.cases().values().filter(|case| case.failure.is_some()).count(), 4, "they are listed");
    assert!(!alerts.contains(&"total_loss"), "{alerts:?}");
}

#[test]
fn a_replay_that_had_not_even_an_intent_swallows_no_later_one() {
    let (mut state, policy) = given_up(1, 0);
    let attempt = (5..120).find_map(|second| replay_of(&state.tick(at(second), &policy))).expect("a canary");
    let report = Report::NotReplayed { send: attempt.send, why: NotReplayed::Unwritable };
    let _ = state.decide(Event::Report(report), at(121), &policy);
    let again = (122..200).find_map(|second| replay_of(&state.tick(at(second), &policy)));
    assert_eq!(again, Some(attempt), "it has its turn again");
    let what = Arc::clone(&state.cases()[&attempt.send].what);
    let intent = Intent { attempt, via: Via::Replay, first_at: at(0), started: at(200), what, request: None };
    let _ = state.entry(Position(9), Entry::Intent(intent), &policy);
    assert_eq!(state.oldest_running(), Some(Position(9)), "and this one may be sent");
}

#[test]
fn what_got_through_while_the_ladder_ran_speaks_against_a_total_loss() {
    let mut state = state();
    for number in 1..=4 {
        let _ = state.entry(Position(0), ended(1, number, i64::from(number), REFUSED), &POLICY);
    }
    let _ = state.tick(at(5), &POLICY);
    // Another chat's message gets through; then both steps end in vain.
    let _ = state.entry(Position(0), ended(2, 1, 7, None), &POLICY);
    let id = state.diagnoses().values().next().expect("one runs").id;
    let mut found = None;
    for (second, kind) in [(8, LetterKind::QuickMessage), (10, LetterKind::AdminNotice)] {
        let cause = Some(Cause::ConnectionRefused);
        let report = Report::Wrote { id, kind, outcome: Outcome::Failed, cause, message: None };
        let _ = state.decide(Event::Report(report), at(second), &POLICY);
        let _ = state.tick(at(second + 1), &POLICY);
        found = state.diagnoses().values().next().and_then(|diagnosis| diagnosis.verdict);
    }
    assert_eq!(found, Some(Verdict::TotalLoss));
    assert_ne!(status(&state), Status::IncommunicadoCritico);
}

#[test]
fn what_a_person_settles_during_a_replay_stays_settled_when_that_fails() {
    let (mut state, policy) = given_up(1, 0);
    let attempt = (5..120).find_map(|second| replay_of(&state.tick(at(second), &policy))).expect("a canary");
    let method = crate::domain::notification::Method::PhoneCall;
    let command = crate::domain::command::Command::Resolve { send: attempt.send, method, note: None };
    let (_, reply) = state.command(command, "ana", at(121), &policy);
    assert_eq!(reply, crate::domain::command::Reply::Done);
    let Entry::Ended(mut last) = ended(1, attempt.number, 122, REFUSED) else { unreachable!() };
    (last.attempt, last.via) = (attempt, Via::Replay);
    let mut opened_again = opened(&state.entry(Position(9), Entry::Ended(last), &policy));
    for second in 123..300 {
        opened_again += opened(&state.tick(at(second), &policy));
    }
    assert_eq!((opened_again, state.cases().len()), (0, 0));
}

#[test]
fn an_outage_without_acks_ends_with_an_ack_and_not_with_giving_up_on_them() {
    let mut state = state();
    let _ = state.decide(Event::Feed(crate::domain::confirmation::FeedState::Connected), at(0), &POLICY);
    for send in 1..=2 {
        let Entry::Ended(mut accepted) = ended(send, 1, 0, None) else { unreachable!() };
        let message = format!("3EB0{send}");
        accepted.message_id = Some(message.as_str().into());
        let _ = state.entry(Position(0), Entry::Ended(accepted), &POLICY);
        let news = crate::domain::confirmation::News::Echo(MessageId::new(&message).expect("an id"));
        let session = SessionName::new("default").expect("a name");
        let item = crate::domain::confirmation::FeedItem { session, news };
        let _ = state.decide(Event::Heard(item), at(0), &POLICY);
    }
    for second in 1..=1200 {
        let _ = state.tick(at(second), &POLICY);
    }
    assert!(state.awaiting().is_empty(), "they are for people now");
    assert_eq!(status(&state), Status::IncommunicadoCritico);
}

#[test]
fn a_diagnosis_of_a_session_that_is_gone_is_left() {
    let mut old = state();
    for number in 1..=4 {
        let _ = old.entry(Position(0), ended(1, number, i64::from(number), REFUSED), &POLICY);
    }
    let _ = old.tick(at(5), &POLICY);
    let diagnoses: Vec<_> = old.diagnoses().values().cloned().collect();
    assert_eq!(diagnoses.len(), 1);
    let mut fresh = State::new(&[SessionName::new("another").expect("a name")], at(6), [1; 16]);
    fresh.restore(Stored { diagnoses, ..Stored::default() }, &POLICY);
    for second in 6..30 {
        let _ = fresh.tick(at(second), &POLICY);
    }
    assert!(fresh.diagnoses().is_empty());
}

#[test]
fn a_restricted_account_writes_no_quick_message_to_new_contacts() {
    use super::bench::{Bench, attempt};
    use crate::domain::errand::LetterKind;
    for (known, first) in [(true, LetterKind::QuickMessage), (false, LetterKind::AdminNotice)] {
        let mut bench = Bench::new();
        if known {
            bench.attempt(5, 1, Via::Bot, None);
        }
        for send in 1..=3 {
            bench.attempt(send, 1, Via::Bot, Some(Cause::ContactRestricted));
        }
        bench.letters();
        for number in 1..=4 {
            // The second message to that chat.
            let mut failed = attempt(6, number, Via::Bot, Some(Cause::Unavailable), bench.now);
            let chat = ChatId::new("584240000005");
            failed.what = Arc::new(Description { chat, ..(*failed.what).clone() });
            bench.end(failed);
        }
        let kinds: Vec<_> = bench.letters().iter().map(|letter| letter.text.kind()).collect();
        assert_eq!(kinds.first(), Some(&first), "known: {known}");
    }
}

/// Send 1 has been sent again, and that may have arrived; then a later notification of its order gets through.
fn needless_but_in_doubt(bench: &mut super::bench::Bench) {
    use super::bench::attempt;
    bench.policy.diagnose = false;
    bench.give_up(1, Cause::ConnectionRefused);
    bench.working();
    bench.pass(30);
    assert_eq!(bench.replays(), [1]);
    bench.attempt(1, 5, Via::Replay, Some(Cause::ResponseTimeout));
    let mut later = attempt(2, 1, Via::Bot, None, bench.now);
    let notification_type = Some(crate::domain::order::NotificationType::OrderShipped);
    let order = OrderFacts { notification_type, ..bench.case(1).what.order.clone() };
    later.what = Arc::new(Description { order, ..(*later.what).clone() });
    bench.end(later);
    assert!(bench.case(1).failure.as_ref().is_some_and(|failure| failure.is_open()), "it may be on its way");
}

#[test]
fn what_became_needless_while_a_copy_of_ours_may_be_on_its_way_is_settled_once_that_is_known() {
    use crate::domain::errand::Looked;
    let found = || Looked::Found {
        message: MessageId::new("3EB0AA").unwrap(),
        confirmation: crate::domain::confirmation::Confirmation::Server,
    };
    for (seconds, found, method) in [
        (1, found(), Some(Method::ConfirmedLate)),
        (1, Looked::Impossible, Some(Method::Superseded)),
        (1, Looked::Absent, None),
        (131, Looked::Absent, Some(Method::Superseded)),
    ] {
        let mut bench = super::bench::Bench::new();
        needless_but_in_doubt(&mut bench);
        bench.pass(seconds);
        bench.looked(1, found.clone());
        let of_first = |change: &Change| match change {
            Change::Case(case) if case.send == SendId::from_bytes([1; 16]) => case
                .failure
                .as_ref()
                .and_then(|failure| failure.resolution.as_ref())
                .map(|resolution| resolution.method),
            _ => None,
        };
        assert_eq!(
            bench.changes.iter().filter_map(of_first).next_back(),
            method,
            "{found:?} after {seconds} s"
        );
        assert_eq!(bench.replays().len(), 0, "nothing of it is sent any more");
    }
}
