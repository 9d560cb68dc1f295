//! What people ask for, step by step: above all a retry of what may have arrived.

use super::bench::Bench;
use super::*;
use crate::domain::command::{Command, Pending, Reply};
use crate::domain::confirmation::Confirmation;
use crate::domain::errand::Looked;

const SEND: SendId = SendId::from_bytes([1; 16]);
const MAYBE: Cause = Cause::ResponseTimeout;

fn found() -> Looked {
    Looked::Found { message: MessageId::new("3EB0AA").unwrap(), confirmation: Confirmation::Server }
}

/// Send 1 may have arrived, is ours, and the heart's own look has failed.
fn in_doubt() -> Bench {
    let mut bench = Bench::new();
    bench.policy.diagnose = false;
    bench.give_up(1, MAYBE);
    bench.looked(1, Looked::Failed);
    bench.errands.clear();
    bench
}

#[test]
fn a_wish_for_what_may_have_arrived_looks_first_and_two_clicks_look_once() {
    let mut bench = in_doubt();
    for _ in 0..2 {
        assert_eq!(bench.command(Command::Retry(SEND)), Reply::Begun(Pending::Replay(SEND)));
    }
    assert_eq!(bench.looks(), 1, "and nothing is sent");
    bench.looked(1, found());
    assert!(bench.state.cases().is_empty(), "it is settled");
    assert_eq!(bench.endings, [Ending::HadGoneOut]);
    assert!(bench.replays().is_empty());
}

#[test]
fn a_call_that_was_under_way_when_its_send_was_found_opens_nothing_when_it_fails() {
    let mut bench = in_doubt();
    bench.pass(130);
    bench.looked(1, found());
    assert!(bench.state.cases().is_empty(), "it is settled");
    bench.errands.clear();
    bench.attempt(1, 9, Via::Bot, Some(Cause::ConnectionRefused));
    bench.pass(600);
    assert!(bench.state.cases().is_empty());
    assert!(bench.replays().is_empty());
}

#[test]
fn where_waha_cannot_say_the_wish_counts_and_is_told_so() {
    for cannot in [Looked::Impossible, Looked::Failed] {
        let mut bench = in_doubt();
        bench.command(Command::Retry(SEND));
        bench.errands.clear();
        bench.looked(1, cannot);
        assert_eq!(bench.replays(), [1]);
        bench.attempt(1, 5, Via::Replay, None);
        assert_eq!(bench.endings, [Ending::ReplayedUnchecked(Outcome::Accepted, None)]);
        assert!(bench.state.cases().is_empty());
    }
}

#[test]
fn a_second_wish_does_not_forget_the_replay_that_is_on_its_way() {
    let mut bench = Bench::new();
    bench.policy.diagnose = false;
    (1..=2).for_each(|send| bench.give_up(send, Cause::ConnectionRefused));
    bench.errands.clear();
    for send in [1, 2, 1] {
        let send = SendId::from_bytes([send; 16]);
        assert_eq!(bench.command(Command::Retry(send)), Reply::Begun(Pending::Replay(send)));
    }
    assert_eq!(bench.replays(), [1, 2]);
}

#[test]
fn that_it_is_not_there_counts_only_once_waha_cannot_send_it_any_more() {
    let mut bench = in_doubt();
    bench.pass(10);
    bench.command(Command::Retry(SEND));
    assert_eq!(bench.looks(), 1);
    bench.looked(1, Looked::Absent);
    bench.pass(100);
    assert_eq!(bench.looks(), 0, "it may still leave");
    bench.pass(30);
    assert_eq!(bench.looks(), 1);
    bench.looked(1, Looked::Absent);
    assert_eq!(bench.replays(), [1]);
    bench.attempt(1, 5, Via::Replay, Some(Cause::Unavailable));
    assert_eq!(bench.endings, [Ending::Replayed(Outcome::Failed, Some(Cause::Unavailable))]);
}

#[test]
fn a_wish_that_waits_hears_how_it_was_settled_otherwise() {
    let mut bench = in_doubt();
    bench.command(Command::Retry(SEND));
    let resolve = Command::Resolve { send: SEND, method: Method::PhoneCall, note: None };
    assert_eq!(bench.command(resolve), Reply::Done);
    assert_eq!(bench.endings, [Ending::NotReplayed(crate::domain::errand::NotReplayed::Settled)]);
    bench.errands.clear();
    bench.looked(1, Looked::Absent);
    assert!(bench.errands.is_empty(), "nothing is sent of what is settled");
}

#[test]
fn a_wish_that_waits_leaves_it_to_the_bot_that_sends_it() {
    let mut bench = in_doubt();
    bench.command(Command::Retry(SEND));
    bench.errands.clear();
    bench.event(Event::Entry(Position(0), Entry::Begun(AttemptId { send: SEND, number: 5 })));
    bench.looked(1, Looked::Impossible);
    assert!(bench.replays().is_empty());
    assert_eq!(bench.endings, [Ending::NotReplayed(crate::domain::errand::NotReplayed::BotHasIt)]);
}

/// What is written down about send 1 since then: is its notification open, and who did what.
fn written(bench: &Bench) -> (Option<bool>, Vec<(String, String)>) {
    let (mut open, mut audit) = (None, Vec::new());
    for change in &bench.changes {
        match change {
            Change::Case(case) => open = case.failure.as_ref().map(|failure| failure.is_open()),
            Change::Audit(one) => audit.push((one.who.clone(), one.action.clone())),
            _ => {}
        }
    }
    (open, audit)
}

#[test]
fn what_a_person_settled_stays_settled_where_the_bot_succeeds_and_opens_again_where_it_fails() {
    for (cause, expected) in [(None, None), (Some(Cause::ConnectionRefused), Some(true))] {
        let mut bench = Bench::new();
        bench.policy.diagnose = false;
        bench.give_up(1, Cause::ConnectionRefused);
        bench.command(Command::Resolve { send: SEND, method: Method::PhoneCall, note: None });
        bench.changes.clear();
        bench.attempt(1, 5, Via::Bot, cause);
        let (open, audit) = written(&bench);
        assert_eq!(open, expected, "no notification of its own: what is stored stays");
        let reopened = ("bot".to_owned(), "reopen".to_owned());
        assert_eq!(audit.contains(&reopened), cause.is_some(), "{audit:?}");
    }
}

#[test]
fn a_number_that_is_shown_is_written_down_and_changes_nothing_else() {
    let mut bench = in_doubt();
    let before = bench.state.cases()[&SEND].clone();
    bench.changes.clear();
    assert_eq!(bench.command(Command::NoteReveal(SEND)), Reply::Done);
    let [Change::Audit(audit)] = bench.changes.as_slice() else { panic!("{:?}", bench.changes) };
    assert_eq!((audit.who.as_str(), audit.action.as_str()), ("ana", "reveal_phone"));
    assert_eq!(audit.target, Some(SEND.to_string()));
    assert_eq!(bench.state.cases()[&SEND], before);
    assert!(bench.errands.is_empty());
}

/// Two looks under way, both without an answer: one replay, and one true ending.
#[test]
fn a_second_look_without_an_answer_begins_no_second_replay() {
    let mut bench = in_doubt();
    bench.command(Command::Retry(SEND));
    bench.errands.clear();
    bench.looked(1, Looked::Impossible);
    bench.looked(1, Looked::Impossible);
    assert_eq!(bench.replays(), [1]);
    assert_eq!(bench.endings, [], "it is under way");
    bench.attempt(1, 5, Via::Replay, None);
    assert_eq!(bench.endings, [Ending::ReplayedUnchecked(Outcome::Accepted, None)]);
}
