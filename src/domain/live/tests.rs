//! Calls join, wait, are answered, and never swallow a message.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn table() -> LiveSends<u32, &'static str> {
    LiveSends::new(LivePolicy { window: 10 * MINUTE, max_age: 24 * 60 * MINUTE, live_max: 3 })
}

fn send(n: u8) -> SendId {
    SendId::from_bytes([n; 16])
}

fn identity(n: u8) -> Identity {
    Identity::from_bytes([n; 16])
}

/// A call by content, all of it known.
fn call(n: u8) -> Call {
    Call { identity: identity(n), named: false, content: Some(Content::from_bytes([n; 16])), looked: false }
}

fn named(n: u8, content: u8) -> Call {
    Call {
        identity: identity(n),
        named: true,
        content: Some(Content::from_bytes([content; 16])),
        looked: false,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn forwarded(begin: &Begin<&'static str>) -> Option<(SendId, u32)> {
    match begin {
        Begin::Forward { attempt, .. } => Some((attempt.send, attempt.number)),
        Begin::Look | Begin::Wait { .. } | Begin::Answer { .. } => None,
    }
}

#[test]
fn attempts_join_until_success_is_heard() {
    let mut live = table();
    for number in 1..=3 {
        let begin = live.begin(call(1), send(number), at(i64::from(number)), || 0);
        assert_eq!(forwarded(&begin), Some((send(1), u32::from(number))));
        assert!(
            live.end(identity(1), send(1), at(i64::from(number)), RunEnd::Unsuccessful { doubtful: false })
                .is_empty()
        );
    }
    live.begin(call(1), send(9), at(9), || 0);
    live.end(identity(1), send(1), at(9), RunEnd::Accepted("201"));
    live.release(identity(1), send(1));
    assert!(live.is_empty());
    assert_eq!(forwarded(&live.begin(call(1), send(10), at(10), || 0)), Some((send(10), 1)), "a new send");
}

#[test]
fn a_retry_latches_onto_an_orphan_and_gets_its_answer() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    live.orphan(identity(1), send(1));
    let begin = live.begin(call(1), send(2), at(2), || 7);
    assert_eq!(begin, Begin::Wait { first_at: at(0) });
    live.begin(call(1), send(3), at(3), || 8);
    let attempt = |number| AttemptId { send: send(1), number };
    let woken = live.end(identity(1), send(1), at(7), RunEnd::Accepted("201"));
    assert_eq!(woken, [(7, Some(attempt(2))), (8, Some(attempt(3)))], "each is an attempt of its own");
    for (number, now) in [(4, 8), (5, 9)] {
        let begin = live.begin(call(1), send(4), at(now), || 0);
        assert_eq!(begin, Begin::Answer { attempt: attempt(number), first_at: at(0), answer: "201" });
    }
    live.release(identity(1), send(1));
    assert_eq!(forwarded(&live.begin(call(1), send(4), at(9), || 0)), Some((send(4), 1)));
}

#[test]
fn a_success_heard_in_the_same_breath_frees_its_identity() {
    let mut live = table();
    let named = Call { named: true, ..call(1) };
    live.begin(named, send(1), at(0), || 0);
    assert_eq!(live.begin(named, send(2), at(1), || 7), Begin::Wait { first_at: at(0) });
    assert_eq!(live.end_heard(identity(1), send(1)), [(7, AttemptId { send: send(1), number: 2 })]);
    assert!(live.is_empty());
    let late = AttemptId { send: send(1), number: 1 };
    let begun = live.begin_replay(identity(1), call(1).content, late, at(0), at(2));
    assert_eq!(begun, None, "it needed a second attempt: the heart may not know of its success yet");
    assert_eq!(live.end_heard(identity(1), send(1)), []);
}

#[test]
fn equal_calls_at_once_are_two_messages_unless_named_alike() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    assert_eq!(forwarded(&live.begin(call(1), send(2), at(0), || 0)), Some((send(2), 1)));
    live.begin(named(2, 2), send(3), at(0), || 0);
    assert!(matches!(live.begin(named(2, 2), send(4), at(0), || 0), Begin::Wait { .. }));
}

#[test]
fn a_bot_that_is_heard_asking_before_it_is_seen_going_makes_no_second_message() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    assert_eq!(live.begin(call(1), send(2), at(1), || 0), Begin::Look);
    live.orphan(identity(1), send(1));
    let again = Call { looked: true, ..call(1) };
    assert_eq!(live.begin(again, send(2), at(1), || 0), Begin::Wait { first_at: at(0) });
    live.begin(call(2), send(3), at(1), || 0);
    let again = Call { looked: true, ..call(2) };
    assert_eq!(forwarded(&live.begin(again, send(4), at(2), || 0)), Some((send(4), 1)), "it listens");
    // The same where WAHA has answered, and the bot may be about to hear so or not.
    live.begin(call(3), send(5), at(2), || 0);
    live.end(identity(3), send(5), at(3), RunEnd::Accepted("201"));
    assert_eq!(live.begin(call(3), send(6), at(3), || 0), Begin::Look);
    live.orphan(identity(3), send(5));
    let again = Call { looked: true, ..call(3) };
    assert!(matches!(live.begin(again, send(6), at(3), || 0), Begin::Answer { .. }));
}

#[test]
fn an_unheard_answer_waits_only_for_the_window() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    live.end(identity(1), send(1), at(1), RunEnd::Accepted("201"));
    live.orphan(identity(1), send(1));
    assert_eq!(forwarded(&live.begin(call(1), send(2), at(601), || 0)), Some((send(2), 1)));
}

#[test]
fn the_table_is_bounded_and_forgets_the_oldest() {
    let mut live = table();
    for n in 1..=5 {
        live.begin(call(n), send(n), at(0), || 0);
        live.end(identity(n), send(n), at(0), RunEnd::Unsuccessful { doubtful: false });
    }
    assert_eq!(live.len(), 3);
    assert_eq!(forwarded(&live.begin(call(1), send(11), at(1), || 0)), Some((send(11), 1)), "forgotten");
    assert_eq!(forwarded(&live.begin(call(5), send(15), at(1), || 0)), Some((send(5), 2)), "kept");
}

#[test]
fn a_send_that_is_restored_twice_is_remembered_once() {
    let mut live = table();
    // An attempt that was cut off, and the case of those before it.
    live.restore(identity(1), AttemptId { send: send(1), number: 2 }, at(0), at(60), Standing::default());
    live.restore(identity(1), AttemptId { send: send(1), number: 1 }, at(0), at(50), Standing::default());
    assert_eq!(forwarded(&live.begin(call(1), send(2), at(61), || 0)), Some((send(1), 3)));
    live.end(identity(1), send(1), at(62), RunEnd::Accepted("201"));
    live.release(identity(1), send(1));
    assert!(live.is_empty(), "after its success the text is free");
}

#[test]
fn a_success_just_about_to_be_heard_swallows_nothing() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    live.end(identity(1), send(1), at(1), RunEnd::Accepted("201"));
    assert_eq!(
        forwarded(&live.begin(Call { looked: true, ..call(1) }, send(2), at(1), || 0)),
        Some((send(2), 1))
    );
    live.orphan(identity(1), send(1));
    assert!(matches!(live.begin(call(1), send(3), at(2), || 0), Begin::Answer { .. }), "now it is unheard");
}

#[test]
fn a_name_given_to_two_messages_swallows_neither() {
    let mut live = table();
    live.begin(named(1, 10), send(1), at(0), || 0);
    assert_eq!(forwarded(&live.begin(named(1, 11), send(2), at(0), || 0)), Some((send(2), 1)));
    live.orphan(identity(1), send(1));
    assert_eq!(forwarded(&live.begin(named(1, 12), send(3), at(1), || 0)), Some((send(3), 1)));
    live.end(identity(1), send(1), at(2), RunEnd::Accepted("201"));
    assert_eq!(forwarded(&live.begin(named(1, 13), send(4), at(3), || 0)), Some((send(4), 1)));
    assert!(matches!(live.begin(named(1, 10), send(5), at(3), || 0), Begin::Answer { .. }));
}

#[test]
fn what_is_known_by_its_beginning_alone_joins_but_never_waits() {
    let mut live = table();
    let large = Call { content: None, ..call(1) };
    live.begin(large, send(1), at(0), || 0);
    live.orphan(identity(1), send(1));
    assert_eq!(forwarded(&live.begin(large, send(2), at(1), || 0)), Some((send(2), 1)));
    live.end(identity(1), send(1), at(2), RunEnd::Unsuccessful { doubtful: false });
    assert_eq!(forwarded(&live.begin(large, send(3), at(3), || 0)), Some((send(1), 2)));
}

#[test]
fn a_late_call_waits_for_our_replay_and_a_replay_leaves_a_running_call_alone() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    let attempt = AttemptId { send: send(1), number: 2 };
    let content = call(1).content;
    assert_eq!(live.begin_replay(identity(1), content, attempt, at(0), at(1)), None, "the bot has it");
    live.end(identity(1), send(1), at(2), RunEnd::Unsuccessful { doubtful: false });
    assert_eq!(live.begin_replay(identity(1), content, attempt, at(0), at(3)), Some(attempt));
    assert_eq!(live.begin_replay(identity(1), content, attempt, at(0), at(3)), None, "once at a time");
    assert_eq!(live.begin(call(1), send(2), at(4), || 7), Begin::Wait { first_at: at(0) });
    let woken = live.end(identity(1), send(1), at(5), RunEnd::Accepted("201"));
    assert_eq!(woken, [(7, Some(AttemptId { send: send(1), number: 3 }))]);
    assert!(matches!(live.begin(call(1), send(3), at(6), || 0), Begin::Answer { .. }), "and later ones");
}

#[test]
fn a_replay_after_a_restart_is_waited_for_too() {
    let mut live = table();
    live.restore(identity(1), AttemptId { send: send(1), number: 4 }, at(0), at(60), Standing::default());
    let next = AttemptId { send: send(1), number: 5 };
    assert_eq!(live.begin_replay(identity(1), call(1).content, next, at(0), at(61)), Some(next));
    assert_eq!(live.begin(call(1), send(2), at(62), || 7), Begin::Wait { first_at: at(0) });
    // One nobody remembers any more is put in.
    let forgotten = AttemptId { send: send(8), number: 5 };
    assert_eq!(live.begin_replay(identity(8), call(8).content, forgotten, at(0), at(63)), Some(forgotten));
    assert_eq!(live.begin(call(8), send(9), at(64), || 7), Begin::Wait { first_at: at(0) });
}

#[test]
fn what_a_look_found_is_answered() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    live.end(identity(1), send(1), at(1), RunEnd::Unsuccessful { doubtful: false });
    live.reconcile(identity(1), None, send(1), at(200), "201");
    assert!(matches!(live.begin(call(1), send(2), at(201), || 0), Begin::Answer { .. }));
}

#[test]
fn unheard_answers_are_bounded() {
    let mut live = table();
    for n in 0..=u8::MAX {
        for m in 0..8 {
            let identity = Identity::from_bytes([n, m, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            let send = SendId::from_bytes([n, m, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            live.begin(Call { identity, ..call(1) }, send, at(0), || 0);
            live.orphan(identity, send);
            live.end(identity, send, at(0), RunEnd::Accepted("201"));
        }
    }
    assert_eq!(live.len(), UNHEARD_MAX);
}

#[test]
fn an_age_ends_every_identity() {
    let mut live = table();
    live.restore(identity(1), AttemptId { send: send(1), number: 4 }, at(0), at(60), Standing::default());
    assert_eq!(forwarded(&live.begin(call(1), send(2), at(120), || 0)), Some((send(1), 5)));
    live.end(identity(1), send(1), at(121), RunEnd::Unsuccessful { doubtful: false });
    assert_eq!(forwarded(&live.begin(call(1), send(3), at(121 + 24 * 3600), || 0)), Some((send(3), 1)));
}

#[test]
fn what_a_look_has_settled_answers_a_late_call_after_a_restart_too() {
    let mut live = table();
    live.restore(identity(1), AttemptId { send: send(1), number: 4 }, at(0), at(9), Standing::default());
    live.reconcile(identity(1), call(1).content, send(1), at(10), "201");
    let begin = live.begin(call(1), send(9), at(11), || 0);
    assert!(
        matches!(begin, Begin::Answer { attempt, .. } if attempt == AttemptId { send: send(1), number: 5 })
    );
}

#[test]
fn a_success_counts_more_than_an_attempt_that_was_cut_off() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    // The intent of a replay that did not begin was written late, and the next one succeeded.
    live.restore(identity(1), attempt(5), at(0), at(60), OURS);
    live.restore_unheard(identity(1), call(1).content, attempt(6), at(0), at(50), "201");
    let begin = live.begin(call(1), send(9), at(70), || 0);
    assert_eq!(begin, Begin::Answer { attempt: attempt(7), first_at: at(0), answer: "201" });
}

#[test]
fn a_send_whose_success_was_heard_is_not_replayed() {
    let mut live = table();
    for (number, end) in [(1, RunEnd::Unsuccessful { doubtful: false }), (2, RunEnd::Accepted("201"))] {
        live.begin(call(1), send(number), at(i64::from(number)), || 0);
        live.end(identity(1), send(1), at(i64::from(number)), end);
    }
    live.release(identity(1), send(1));
    // The heart decided before it knew.
    let stale = AttemptId { send: send(1), number: 2 };
    assert_eq!(live.begin_replay(identity(1), call(1).content, stale, at(1), at(3)), None);
}

fn asks_first(begin: &Begin<&'static str>) -> Option<bool> {
    match begin {
        Begin::Forward { ask_first, .. } => Some(*ask_first),
        Begin::Look | Begin::Wait { .. } | Begin::Answer { .. } => None,
    }
}

const OURS: Standing = Standing { hands: Hands::Ours, doubtful: true };

#[test]
fn a_late_retry_of_what_is_ours_and_may_have_arrived_asks_first_and_once() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.begin(call(1), send(1), at(0), || 0);
    live.end(identity(1), send(1), at(1), RunEnd::Unsuccessful { doubtful: true });
    let begin = live.begin(call(1), send(2), at(2), || 0);
    assert_eq!(asks_first(&begin), Some(false), "while the bot has it, it is the bot's to know");
    live.end(identity(1), send(1), at(3), RunEnd::Unsuccessful { doubtful: false });
    live.stands(identity(1), attempt(2), OURS);
    assert_eq!(asks_first(&live.begin(call(1), send(2), at(70), || 0)), Some(true));
    live.end(identity(1), send(1), at(71), RunEnd::Unsuccessful { doubtful: false });
    assert_eq!(asks_first(&live.begin(call(1), send(2), at(72), || 0)), Some(false), "it is the bot's again");
}

#[test]
fn a_retry_of_what_we_have_sent_again_asks_each_time_while_that_may_have_arrived() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.restore(identity(1), attempt(4), at(0), at(60), Standing { hands: Hands::Ours, doubtful: false });
    live.begin_replay(identity(1), call(1).content, attempt(5), at(0), at(120));
    live.end(identity(1), send(1), at(121), RunEnd::Unsuccessful { doubtful: true });
    for second in [130, 132] {
        let begin = live.begin(call(1), send(9), at(second), || 0);
        assert_eq!(asks_first(&begin), Some(true), "the copy of ours may come at any time");
        live.end(identity(1), send(1), at(second + 1), RunEnd::Unsuccessful { doubtful: false });
        live.stands(identity(1), attempt(7), Standing { hands: Hands::Resent, doubtful: true });
    }
    live.stands(identity(1), attempt(7), Standing { hands: Hands::Resent, doubtful: false });
    assert_eq!(
        asks_first(&live.begin(call(1), send(9), at(300), || 0)),
        Some(false),
        "a look has shown that it did not"
    );
}

#[test]
fn what_became_ours_before_the_run_left_its_place_asks_first_all_the_same() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.begin(call(1), send(1), at(0), || 0);
    // The ledger tells the heart how it ended before the run says so here.
    live.stands(identity(1), attempt(1), OURS);
    live.end(identity(1), send(1), at(1), RunEnd::Unsuccessful { doubtful: true });
    assert_eq!(asks_first(&live.begin(call(1), send(2), at(2), || 0)), Some(true));
    // What it says of an earlier attempt is no news of the one that runs.
    live.stands(identity(1), attempt(1), OURS);
    live.end(identity(1), send(1), at(3), RunEnd::Unsuccessful { doubtful: false });
    assert_eq!(asks_first(&live.begin(call(1), send(2), at(4), || 0)), Some(false));
}

#[test]
fn what_is_found_while_a_call_of_it_waits_is_told_to_that_call_and_to_the_next() {
    let mut live = table();
    live.begin(call(1), send(1), at(0), || 0);
    live.end(identity(1), send(1), at(1), RunEnd::Unsuccessful { doubtful: true });
    live.begin(call(1), send(2), at(2), || 0);
    assert_eq!(live.found(identity(1), send(1)), None);
    live.reconcile(identity(1), call(1).content, send(1), at(3), "201");
    assert_eq!(live.found(identity(1), send(1)), Some("201"));
    // One that had left already, and failed: the bot's next call hears of the success all the same.
    live.end(identity(1), send(1), at(4), RunEnd::Unsuccessful { doubtful: false });
    let begin = live.begin(call(1), send(3), at(5), || 0);
    assert!(matches!(begin, Begin::Answer { answer: "201", .. }), "{begin:?}");
}

#[test]
fn a_replay_that_may_have_arrived_is_asked_about_before_anybody_says_so() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.restore(identity(1), attempt(4), at(0), at(60), Standing { hands: Hands::Ours, doubtful: false });
    let content = call(1).content;
    assert_eq!(live.begin_replay(identity(1), content, attempt(5), at(0), at(120)), Some(attempt(5)));
    live.end(identity(1), send(1), at(121), RunEnd::Unsuccessful { doubtful: true });
    live.stands(identity(1), attempt(4), Standing { hands: Hands::Ours, doubtful: false });
    assert_eq!(
        asks_first(&live.begin(call(1), send(9), at(122), || 0)),
        Some(true),
        "what the heart knew before proves nothing"
    );
}

#[test]
fn a_look_that_found_nothing_lets_the_next_retry_pass() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.restore(identity(1), attempt(4), at(0), at(60), OURS);
    live.stands(identity(1), attempt(4), Standing { hands: Hands::Ours, doubtful: false });
    assert_eq!(asks_first(&live.begin(call(1), send(9), at(200), || 0)), Some(false));
}

#[test]
fn a_replay_that_did_not_begin_changes_nothing_but_its_number() {
    let mut live = table();
    let attempt = |number| AttemptId { send: send(1), number };
    live.restore(identity(1), attempt(4), at(0), at(60), Standing { hands: Hands::Ours, doubtful: false });
    live.begin_replay(identity(1), call(1).content, attempt(5), at(0), at(120));
    live.end(identity(1), send(1), at(121), RunEnd::NotBegun);
    live.stands(identity(1), attempt(4), OURS);
    assert_eq!(
        asks_first(&live.begin(call(1), send(9), at(122), || 0)),
        Some(true),
        "the heart knows all of it"
    );
}
