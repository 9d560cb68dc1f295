//! What a restart, our own key, and a session that nobody probes do to the status.

use super::bench::Bench;
use super::*;
use crate::domain::command::Command;
use crate::domain::confirmation::{Confirmation, News};
use crate::domain::errand::LetterText;
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::status::Reason;

#[test]
fn what_has_no_ack_is_carried_over_a_restart_and_ends_with_an_ack() {
    let mut bench = Bench::new();
    bench.event(Event::Feed(FeedState::Connected));
    for send in [1, 2] {
        bench.attempt(send, 1, Via::Bot, None);
        bench.hear(News::Echo(MessageId::new(&format!("3EB0{send:02}01")).unwrap()));
    }
    bench.pass(185);
    let before = bench.status();
    assert_eq!(before, (Status::IncommunicadoCritico, Reason::Unacknowledged));
    bench.restart();
    bench.event(Event::Feed(FeedState::Connected));
    bench.pass(1);
    assert_eq!(bench.status(), before, "at once");
    bench.pass(30);
    assert_eq!(bench.status(), before, "and as long as none comes");
    assert!(bench.raised().is_empty(), "{:?}", bench.raised());
    bench.hear(News::Ack(MessageId::new("3EB00201").unwrap(), Confirmation::Server));
    assert_eq!(bench.status().0, Status::Online);
}

#[test]
fn our_own_refused_key_is_trouble_of_the_watchdog_and_not_of_the_channel() {
    let mut bench = Bench::new();
    bench.policy.diagnose = false;
    bench.give_up(1, Cause::ConnectionRefused);
    bench.attempt(2, 1, Via::Bot, None);
    bench.pass(10);
    assert_eq!(bench.replays(), [1]);
    let before = bench.state.sessions()[&SessionName::new("default").unwrap()].clone();
    bench.attempt(1, 5, Via::Replay, Some(Cause::Unauthorized));
    let session = &bench.state.sessions()[&SessionName::new("default").unwrap()];
    let of = |session: &Session| (session.consecutive_failures, session.last_failed, session.sends_failing());
    assert_eq!(of(session), of(&before), "it says nothing of the channel");
    assert_eq!(bench.raised().iter().filter(|says| **says == "trouble").count(), 1);
    bench.pass(600);
    assert!(bench.replays().contains(&1), "it is tried again, at growing distances");
    bench.attempt(1, 6, Via::Replay, None);
    assert!(bench.raised().contains(&"trouble_over"), "{:?}", bench.raised());
    assert!(bench.state.cases().is_empty());
}

#[test]
fn letters_with_a_refused_key_tell_of_the_key() {
    let mut bench = Bench::new();
    bench.give_up(1, Cause::ConnectionRefused);
    assert!(matches!(bench.answer(Some(Cause::Unauthorized)), LetterText::QuickMessage(_)));
    assert!(bench.raised().contains(&"trouble"), "{:?}", bench.raised());
    bench.probe(ProbeResult::of(SessionState::Working));
    assert!(bench.raised().contains(&"trouble_over"), "{:?}", bench.raised());
}

/// Send `send` fails through a session that is not configured.
fn elsewhere(bench: &mut Bench, send: u8, number: u32) {
    let mut ended = super::bench::attempt(send, number, Via::Bot, Some(Cause::ConnectionRefused), bench.now);
    ended.what = Arc::new(Description { session: SessionName::new("second"), ..(*ended.what).clone() });
    ended.request = None;
    bench.end(ended);
}

#[test]
fn a_session_that_nobody_probes_is_believed_once_nothing_has_failed_for_five_minutes() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    (1..=4).for_each(|number| elsewhere(&mut bench, 1, number));
    bench.answer(Some(Cause::ConnectionRefused));
    bench.answer(Some(Cause::ConnectionRefused));
    assert_eq!(bench.status(), (Status::IncommunicadoCritico, Reason::TotalLoss));
    bench.pass(280);
    assert_eq!(bench.status().0, Status::IncommunicadoCritico);
    elsewhere(&mut bench, 2, 1);
    bench.pass(280);
    assert_eq!(bench.status().0, Status::IncommunicadoCritico, "a new failure begins it anew");
    bench.pass(30);
    assert_eq!(bench.status(), (Status::Degraded, Reason::Unproven));
}

#[test]
fn the_last_heartbeat_is_known_after_a_restart() {
    let gone = (Status::Offline, Reason::BotGone);
    let mut bench = Bench::new();
    bench.policy.liveness = Liveness::Heartbeat;
    bench.command(Command::Heartbeat);
    bench.pass(300);
    bench.restart();
    bench.pass(290);
    assert_ne!(bench.status(), gone);
    bench.pass(20);
    assert_eq!(bench.status(), gone, "ten minutes since its heartbeat, not since our start");
    bench.restart();
    bench.pass(10);
    assert_eq!(bench.status(), gone, "and a restart is no sign of life");
    bench.command(Command::Heartbeat);
    assert_ne!(bench.status(), gone);
}

#[test]
fn a_bot_that_nobody_could_hear_has_two_minutes() {
    let gone = (Status::Offline, Reason::BotGone);
    let mut bench = Bench::new();
    bench.policy.liveness = Liveness::Heartbeat;
    bench.command(Command::Heartbeat);
    bench.now = at(3600);
    bench.restart();
    bench.pass(110);
    assert_ne!(bench.status(), gone);
    bench.pass(20);
    assert_eq!(bench.status(), gone);
}

#[test]
fn a_bot_that_never_gave_a_sign_stays_gone_after_a_restart() {
    let gone = (Status::Offline, Reason::BotGone);
    let mut bench = Bench::new();
    bench.policy.liveness = Liveness::Heartbeat;
    bench.pass(610);
    assert_eq!(bench.status(), gone);
    assert_eq!(bench.raised(), ["bot_gone"]);
    bench.restart();
    bench.pass(10);
    assert_eq!(bench.status(), gone);
    assert_eq!(bench.raised(), [""; 0], "and tells nobody again");
}

#[test]
fn whoever_begins_to_listen_has_heard_no_silence() {
    let mut bench = Bench::new();
    bench.pass(3600);
    bench.policy.liveness = Liveness::Heartbeat;
    bench.pass(590);
    assert_ne!(bench.status(), (Status::Offline, Reason::BotGone));
    bench.pass(20);
    assert_eq!(bench.status(), (Status::Offline, Reason::BotGone));
}

#[test]
fn a_restart_keeps_the_pace() {
    let mut bench = Bench::new();
    bench.working();
    for send in 1..=3 {
        bench.give_up(send, Cause::ConnectionRefused);
    }
    bench.attempt(9, 1, Via::Bot, None);
    bench.pass(2);
    assert_eq!(bench.replays(), [1]);
    bench.attempt(1, 5, Via::Replay, Some(Cause::NumberNotOnWhatsapp));
    bench.restart();
    bench.pass(7);
    assert_eq!(bench.replays(), [0; 0], "one went out just before");
    bench.pass(6);
    assert_eq!(bench.replays(), [2]);
}

#[test]
fn a_rejected_send_that_our_own_end_cut_off_speaks_against_no_channel() {
    let mut bench = Bench::new();
    bench.attempt(9, 1, Via::Bot, None);
    for number in 1..=3 {
        bench.attempt(1, number, Via::Bot, Some(Cause::BadRequest));
    }
    bench.attempt(1, 4, Via::Bot, Some(Cause::Interrupted));
    bench.pass(120);
    assert_eq!(bench.status().0, Status::Online);
}
