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
