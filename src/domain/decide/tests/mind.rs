//! Diagnosis, probes, confirmation, the way back, incidents and alerts, step by step.

use super::bench::{Bench, attempt};
use super::*;
use crate::domain::alert::Says;
use crate::domain::command::{Command, Refusal, Reply};
use crate::domain::confirmation::{Confirmation, FeedState, News};
use crate::domain::diagnosis::Verdict;
use crate::domain::errand::{Errand, LetterText, Looked};
use crate::domain::notification::Attention;
use crate::domain::order::NotificationType;
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::recovery::Held;
use crate::domain::status::Reason;

const DEAD: Cause = Cause::ConnectionRefused;

#[test]
fn nobody_is_reached_and_the_loss_is_total() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    assert!(matches!(bench.answer(Some(DEAD)), LetterText::QuickMessage(_)));
    assert!(matches!(bench.answer(Some(DEAD)), LetterText::AdminNotice { .. }));
    assert_eq!(bench.status(), (Status::IncommunicadoCritico, Reason::TotalLoss));
    let finding = bench.case(1).finding.clone().unwrap();
    assert_eq!(finding.verdict, Verdict::TotalLoss);
    assert_eq!(bench.case(1).failure.as_ref().unwrap().attention, Attention::Unnotified);
    assert_eq!(bench.raised(), ["total_loss"], "one alert, and it names the order");
    assert!(bench.letters().is_empty(), "a dead channel does not carry the news of its death");
}

#[test]
fn without_an_admin_a_total_loss_is_one_alert() {
    let mut bench = Bench::new();
    bench.policy.admin = None;
    bench.policy.alerts.routes.clear();
    bench.give_up(1, DEAD);
    bench.answer(Some(DEAD));
    bench.give_up(2, DEAD);
    assert_eq!(bench.status().0, Status::IncommunicadoCritico);
    assert_eq!(bench.raised(), ["total_loss"]);
}

#[test]
fn a_customer_who_is_reached_shows_that_the_channel_lives() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    assert!(matches!(bench.answer(None), LetterText::QuickMessage(_)));
    assert_eq!(bench.status(), (Status::Degraded, Reason::WebhookOnly));
    assert_eq!(bench.case(1).failure.as_ref().unwrap().attention, Attention::Manual);
    assert_eq!(bench.raised(), ["manual_attention"], "the admin is told in every case");
    bench.pass(31);
    let letters = bench.letters();
    assert!(letters.iter().any(|letter| letter.text.kind() == LetterKind::Alert), "{letters:?}");
}

#[test]
fn the_admin_who_was_asked_is_not_told_again() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    bench.answer(Some(Cause::NumberNotOnWhatsapp));
    let Errand::CheckNumber { diagnosis, .. } =
        bench.errands.iter().find(|errand| matches!(errand, Errand::CheckNumber { .. })).unwrap().clone()
    else {
        unreachable!()
    };
    assert!(matches!(bench.answer(None), LetterText::AdminNotice { .. }));
    bench.event(Event::Report(Report::NumberChecked { diagnosis, exists: Some(false) }));
    assert_eq!(bench.case(1).failure.as_ref().unwrap().cause, Cause::NumberNotOnWhatsapp);
    assert_eq!(bench.status().0, Status::Degraded);
    assert!(bench.raised().is_empty());
}

#[test]
fn what_may_have_arrived_gets_no_quick_message() {
    let mut bench = Bench::new();
    bench.give_up(1, Cause::ResponseTimeout);
    assert!(matches!(bench.answer(None), LetterText::AdminNotice { .. }));
    assert_eq!(bench.held(1), Some(Held::NotLooked));
}

#[test]
fn a_hundred_share_one_diagnosis() {
    let mut bench = Bench::new();
    for send in 1..=100 {
        bench.give_up(send, DEAD);
    }
    let letters = bench.letters();
    assert_eq!(letters.len(), 1);
    bench.wrote(letters[0].id, LetterKind::QuickMessage, Some(DEAD));
    bench.answer(Some(DEAD));
    assert!(bench.state.cases().values().all(|case| case.finding.is_some()));
    let counts: Vec<_> = (bench.state.alerts().values())
        .map(|alert| match &alert.says {
            Says::TotalLoss { orders, .. } => ("total_loss", orders.count),
            says => (says.as_str(), 0),
        })
        .collect();
    assert_eq!(counts, [("total_loss", 100)]);
    bench.give_up(101, DEAD);
    assert!(bench.letters().is_empty(), "the verdict stands");
    assert!(bench.case(101).finding.is_some());
}

#[test]
fn a_step_that_takes_too_long_is_decided_and_a_late_success_corrects() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    let customer = bench.letters().remove(0);
    bench.pass(9);
    assert!(bench.letters().is_empty());
    bench.pass(1);
    bench.answer(Some(DEAD));
    assert_eq!(bench.status().0, Status::IncommunicadoCritico);
    bench.wrote(customer.id, LetterKind::QuickMessage, None);
    assert_eq!(bench.status(), (Status::Degraded, Reason::WebhookOnly));
    assert_eq!(bench.case(1).finding.as_ref().unwrap().verdict, Verdict::WebhookOnly);
}

#[test]
fn a_step_is_never_begun_twice_and_a_restart_tells_nobody() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    assert_eq!(bench.letters().len(), 1);
    bench.restart();
    bench.pass(1);
    let letters = bench.letters();
    assert!(
        matches!(&letters[..], [letter] if letter.text.kind() == LetterKind::AdminNotice),
        "the customer's step may have been sent: {letters:?}"
    );
    bench.wrote(letters[0].id, LetterKind::AdminNotice, Some(DEAD));
    let before = bench.status();
    assert_eq!(before.0, Status::IncommunicadoCritico);
    bench.restart();
    bench.pass(60);
    assert_eq!(bench.status(), before);
    assert!(bench.raised().is_empty(), "{:?}", bench.raised());
}

#[test]
fn a_customer_who_was_written_to_is_not_again_after_a_restart_whatever_became_of_the_record() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    let letter = bench.letters().remove(0);
    bench.pass(1);
    // Settled before the verdict: what is found is written to no record.
    bench.attempt(1, 5, Via::Bot, None);
    bench.wrote(letter.id, LetterKind::QuickMessage, Some(DEAD));
    // Another order's diagnosis takes the place of that one.
    bench.give_up(2, DEAD);
    assert!(matches!(bench.answer(None), LetterText::QuickMessage(_)));
    bench.restart();
    bench.pass(60);
    bench.errands.clear();
    let mut again = attempt(3, 1, Via::Bot, Some(DEAD), bench.now);
    again.what = Arc::new(Description {
        order: again.what.order.clone(),
        ..(*attempt(1, 1, Via::Bot, None, bench.now).what).clone()
    });
    again.given_up = true;
    bench.end(again);
    bench.pass(1);
    let kinds: Vec<_> = bench.letters().iter().map(|letter| letter.text.kind()).collect();
    assert_eq!(kinds, [LetterKind::AdminNotice]);
}

#[test]
fn an_order_that_was_told_otherwise_is_not_diagnosed() {
    let mut bench = Bench::new();
    let mut other = attempt(2, 1, Via::Bot, None, bench.now);
    other.what = Arc::clone(&attempt(1, 1, Via::Bot, None, bench.now).what);
    bench.end(other);
    bench.give_up(1, DEAD);
    assert!(bench.letters().is_empty());
    assert!(bench.case(1).finding.is_none());
    assert_eq!(bench.raised(), ["manual_attention"]);
}

#[test]
fn the_bots_success_opens_the_way_and_the_pace_is_kept() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.probe(ProbeResult::Unreachable);
    for send in 1..=3 {
        bench.give_up(send, DEAD);
        bench.pass(1);
    }
    let first = bench.letters().remove(0);
    bench.wrote(first.id, LetterKind::QuickMessage, Some(DEAD));
    bench.answer(Some(DEAD));
    bench.pass(30);
    assert!(bench.replays().is_empty(), "not while nothing shows that it is back");
    bench.attempt(50, 1, Via::Bot, None);
    assert_eq!(bench.status().0, Status::Online);
    bench.pass(1);
    assert_eq!(bench.replays(), [1], "the oldest first");
    bench.attempt(1, 5, Via::Replay, None);
    bench.pass(4);
    assert!(bench.replays().is_empty(), "paced");
    bench.pass(4);
    assert_eq!(bench.replays(), [2]);
    bench.attempt(2, 5, Via::Replay, Some(DEAD));
    bench.pass(20);
    assert!(bench.replays().is_empty(), "the first sign of a new outage stops it");
    bench.attempt(51, 1, Via::Bot, None);
    bench.pass(16);
    assert_eq!(bench.replays(), [3], "the least tried first");
    bench.attempt(3, 5, Via::Replay, None);
    bench.pass(20);
    assert_eq!(bench.replays(), [2]);
    bench.attempt(2, 6, Via::Replay, None);
    bench.pass(130);
    assert!(bench.state.cases().is_empty());
    assert!(bench.state.incidents().is_empty(), "closed");
    assert_eq!(bench.raised(), ["total_loss", "recovery"]);
    assert_eq!(bench.letters().len(), 1, "one message tells of an incident that opened and closed unheard");
}

#[test]
fn a_canary_needs_a_healthy_probe() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.give_up(1, DEAD);
    bench.letters();
    bench.pass(30);
    bench.probe(ProbeResult::Unreachable);
    bench.pass(60);
    assert!(bench.replays().is_empty());
    bench.working();
    bench.pass(6);
    assert_eq!(bench.replays(), [1]);
    bench.attempt(1, 5, Via::Replay, None);
    assert!(bench.state.cases().is_empty());
    assert!(bench.state.worst().total_loss_at.is_none());
}

#[test]
fn without_orders_to_send_the_admin_is_the_canary_after_a_restart_too() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        bench.policy.probe.enabled = true;
        bench.give_up(1, Cause::ResponseTimeout);
        bench.answer(Some(DEAD));
        assert_eq!(bench.status().0, Status::IncommunicadoCritico);
        if restarts {
            bench.restart();
        }
        bench.working();
        bench.pass(6);
        assert!(matches!(bench.answer(None), LetterText::Canary));
        assert_eq!(bench.status().0, Status::Online);
    }
}

#[test]
fn without_an_admin_healthy_probes_end_the_paging() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.policy.admin = None;
    bench.give_up(1, Cause::ResponseTimeout);
    bench.give_up(2, Cause::ResponseTimeout);
    bench.give_up(3, Cause::ResponseTimeout);
    assert_eq!(bench.status().0, Status::Incommunicado);
    bench.working();
    bench.pass(320);
    assert_eq!(bench.status(), (Status::Degraded, Reason::Unproven));
    bench.attempt(9, 1, Via::Bot, None);
    assert_eq!(bench.status().0, Status::Online);
}

#[test]
fn a_doubtful_send_waits_for_a_look_that_counts() {
    let mut bench = Bench::new();
    bench.give_up(1, Cause::ResponseTimeout);
    bench.answer(None);
    let look =
        |bench: &Bench| bench.errands.iter().filter(|errand| matches!(errand, Errand::Look(_))).count();
    bench.errands.clear();
    let looked = |bench: &mut Bench, found| {
        bench.event(Event::Report(Report::Looked { send: SendId::from_bytes([1; 16]), found }));
    };
    looked(&mut bench, Looked::Absent);
    assert_eq!(bench.held(1), Some(Held::NotLooked), "WAHA may still send it");
    bench.pass(131);
    assert_eq!(look(&bench), 1);
    bench.errands.clear();
    looked(&mut bench, Looked::Absent);
    bench.attempt(9, 1, Via::Bot, None);
    bench.pass(6);
    assert_eq!(bench.replays(), [1]);
}

#[test]
fn what_a_look_finds_is_settled_and_what_it_cannot_tell_is_held() {
    let mut bench = Bench::new();
    bench.give_up(1, Cause::ResponseTimeout);
    bench.give_up(2, Cause::ResponseTimeout);
    let message = MessageId::new("3EB0AA").unwrap();
    let found = Looked::Found { message, confirmation: Confirmation::Server };
    bench.event(Event::Report(Report::Looked { send: SendId::from_bytes([1; 16]), found }));
    assert!(!bench.state.cases().contains_key(&SendId::from_bytes([1; 16])));
    let looked = Report::Looked { send: SendId::from_bytes([2; 16]), found: Looked::Impossible };
    bench.event(Event::Report(looked));
    assert_eq!(bench.held(2), Some(Held::MayHaveArrived));
    bench.attempt(9, 1, Via::Bot, None);
    bench.pass(300);
    assert!(bench.replays().is_empty());
}

#[test]
fn an_earlier_notification_is_superseded_and_an_old_one_is_held() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    let mut later = attempt(2, 1, Via::Bot, Some(DEAD), bench.now);
    let order = OrderFacts {
        notification_type: Some(NotificationType::OrderShipped),
        ..bench.case(1).what.order.clone()
    };
    later.what = Arc::new(Description { order, ..(*later.what).clone() });
    for number in 1..=4 {
        let attempt = AttemptId { number, ..later.attempt };
        bench.end(Ended { attempt, ..later.clone() });
    }
    assert_eq!(bench.held(1), Some(Held::Superseded));
    assert_eq!(bench.held(2), None);
    bench.pass(24 * 3600);
    assert_eq!(bench.held(2), Some(Held::TooOld));
    let accepted = Ended { outcome: Outcome::Accepted, cause: None, ..later };
    bench.end(Ended { attempt: AttemptId { number: 5, ..accepted.attempt }, ..accepted });
    assert!(bench.state.cases().is_empty(), "told of the later one, the earlier is needless");
}

#[test]
fn a_late_retry_of_the_bot_takes_its_send_back() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    assert_eq!(bench.held(1), None);
    let send = SendId::from_bytes([1; 16]);
    bench.event(Event::Entry(Position(0), Entry::Begun(AttemptId { send, number: 5 })));
    assert_eq!(bench.held(1), Some(Held::BotHasIt));
    bench.attempt(1, 5, Via::Bot, Some(DEAD));
    bench.pass(59);
    assert_eq!(bench.held(1), Some(Held::BotHasIt));
    bench.pass(1);
    assert_eq!(bench.held(1), None, "and after a silence it is ours again");
}

#[test]
fn probes_warn_before_the_first_order_fails() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.pass(1);
    assert!(bench.errands.iter().any(|errand| matches!(errand, Errand::Probe(_))));
    bench.working();
    assert_eq!(bench.status().0, Status::Online);
    let asleep = ProbeResult::of(SessionState::ScanQrCode);
    bench.probe(asleep);
    assert_eq!(bench.status().0, Status::Online, "one is an accident");
    bench.probe(asleep);
    assert_eq!(bench.status(), (Status::Degraded, Reason::HealthcheckFailing));
    assert_eq!(bench.raised(), ["preventive"]);
    bench.give_up(1, Cause::SessionNotWorking);
    assert_eq!(bench.status(), (Status::IncommunicadoCritico, Reason::NothingWorks));
}

#[test]
fn a_refused_key_is_our_own_trouble() {
    let mut bench = Bench::new();
    bench.attempt(9, 1, Via::Bot, None);
    for _ in 0..5 {
        bench.probe(ProbeResult::Unauthorized);
    }
    assert_eq!(bench.status().0, Status::Online);
    assert_eq!(bench.raised(), ["trouble"]);
    bench.working();
    assert_eq!(bench.raised(), ["trouble", "trouble_over"]);
}

#[test]
fn accepted_and_never_acknowledged_is_an_outage() {
    let mut bench = Bench::new();
    bench.event(Event::Feed(FeedState::Connected));
    for send in 1..=2 {
        bench.attempt(send, 1, Via::Bot, None);
        bench.hear(News::Echo(MessageId::new(&format!("3EB0{send:02}01")).unwrap()));
    }
    bench.pass(55);
    assert_eq!(bench.status().0, Status::Online);
    bench.pass(11);
    assert_eq!(bench.status(), (Status::Degraded, Reason::Unacknowledged));
    bench.pass(120);
    assert_eq!(bench.status(), (Status::IncommunicadoCritico, Reason::Unacknowledged));
    bench.event(Event::Feed(FeedState::Connecting));
    bench.pass(10);
    assert_eq!(bench.status().0, Status::IncommunicadoCritico, "a feed that is away proves nothing");
    bench.event(Event::Feed(FeedState::Connected));
    bench.hear(News::Ack(MessageId::new("3EB00101").unwrap(), Confirmation::Server));
    assert_eq!(bench.status().0, Status::Online);
}

#[test]
fn an_ack_that_came_while_nobody_listened_makes_no_outage_after_a_restart() {
    for waits in [false, true] {
        let mut bench = Bench::new();
        bench.event(Event::Feed(FeedState::Connected));
        for send in 1..=2 {
            bench.attempt(send, 1, Via::Bot, None);
            bench.hear(News::Echo(MessageId::new(&format!("3EB0{send:02}01")).unwrap()));
        }
        bench.restart();
        bench.pass(5);
        bench.event(Event::Feed(FeedState::Connected));
        bench.pass(60);
        assert_eq!(bench.status().0, Status::Online, "their acks may have come meanwhile");
        assert_eq!(bench.looks(), 2, "WAHA is asked");
        for send in 1..=2 {
            let message = MessageId::new(&format!("3EB0{send:02}01")).unwrap();
            let confirmation = if waits { Confirmation::None } else { Confirmation::Server };
            bench.looked(send, Looked::Found { message, confirmation });
        }
        bench.pass(6);
        assert_eq!(bench.status().1 == Reason::Unacknowledged, waits);
    }
}

#[test]
fn a_blind_feed_is_no_outage_and_an_unconfirmed_send_is_for_people() {
    let mut bench = Bench::new();
    bench.event(Event::Feed(FeedState::Connected));
    for send in 1..=3 {
        bench.attempt(send, 1, Via::Bot, None);
    }
    bench.pass(200);
    assert_eq!(bench.status().0, Status::Online);
    assert!(bench.state.is_blind(&SessionName::new("default").unwrap(), bench.now));
    bench.hear(News::Echo(MessageId::new("3EB00101").unwrap()));
    bench.pass(705);
    assert_eq!(bench.case(1).failure.as_ref().unwrap().cause, Cause::NeverConfirmed);
    assert_eq!(bench.held(1), Some(Held::NotConfirmed));
    bench.hear(News::Ack(MessageId::new("3EB00101").unwrap(), Confirmation::Device));
    assert!(!bench.state.cases().contains_key(&SendId::from_bytes([1; 16])), "a late ack settles it");
}

#[test]
fn an_ack_may_be_faster_than_the_answer() {
    let mut bench = Bench::new();
    bench.event(Event::Feed(FeedState::Connected));
    for confirmation in [Confirmation::Server, Confirmation::Device] {
        bench.hear(News::Ack(MessageId::new("3EB00101").unwrap(), confirmation));
    }
    let accepted = attempt(1, 1, Via::Bot, None, bench.now);
    let entry = Event::Entry(Position(1), Entry::Ended(Box::new(accepted)));
    let decision = bench.state.decide(entry, bench.now, &bench.policy);
    assert!(bench.state.awaiting().is_empty());
    // Each way station counts, whenever it is told of.
    let levels: Vec<_> = (decision.notices.iter())
        .filter_map(|notice| match notice {
            Notice::Confirmed { confirmation, .. } => Some(*confirmation),
            _ => None,
        })
        .collect();
    assert_eq!(levels, [Confirmation::Server, Confirmation::Device]);
}

#[test]
fn an_ack_during_a_replay_settles_nothing_before_the_answer_and_is_not_lost() {
    for (cause, method) in [(None, Method::Retry), (Some(Cause::ResponseTimeout), Method::ConfirmedLate)] {
        let mut bench = Bench::new();
        bench.event(Event::Feed(FeedState::Connected));
        bench.give_up(1, DEAD);
        bench.letters();
        let send = SendId::from_bytes([1; 16]);
        let (decision, _) = bench.state.command(Command::Retry(send), "ana", bench.now, &bench.policy);
        bench.take(decision);
        let ended = attempt(1, 5, Via::Replay, cause, bench.now);
        let message = crate::domain::recovery::message_id(send);
        let ended = Ended { message_id: cause.is_none().then(|| message.as_str().into()), ..ended };
        let intent = Intent {
            attempt: ended.attempt,
            via: Via::Replay,
            first_at: ended.first_at,
            started: ended.started,
            what: ended.what.clone(),
            request: None,
        };
        bench.position += 1;
        bench.event(Event::Entry(Position(bench.position), Entry::Intent(intent)));
        bench.hear(News::Ack(message, Confirmation::Device));
        assert!(bench.case(1).failure.as_ref().unwrap().is_open());
        bench.end(ended);
        let settled = bench.changes.iter().rev().find_map(|change| match change {
            Change::Case(case) => case.failure.as_ref()?.resolution.clone(),
            _ => None,
        });
        assert_eq!(settled.unwrap().method, method, "{cause:?}");
        assert!(bench.state.cases().is_empty() && bench.state.awaiting().is_empty());
    }
}

#[test]
fn one_restricted_contact_is_listed_and_four_are_an_account() {
    let mut bench = Bench::new();
    bench.attempt(9, 1, Via::Bot, None);
    for number in 1..=5 {
        bench.attempt(1, number, Via::Bot, Some(Cause::ContactRestricted));
    }
    assert_eq!(bench.status().0, Status::Online);
    assert_eq!(bench.raised(), ["manual_attention"]);
    for send in 2..=4 {
        bench.attempt(send, 1, Via::Bot, Some(Cause::ContactRestricted));
    }
    bench.pass(5);
    assert_eq!(bench.status(), (Status::Degraded, Reason::AccountRestricted));
    assert_eq!(bench.raised(), ["manual_attention", "account_restricted"]);
}

#[test]
fn people_settle_take_and_reopen() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    let send = SendId::from_bytes([1; 16]);
    let say = |bench: &mut Bench, command, who: &str| {
        let (decision, reply) = bench.state.command(command, who, bench.now, &bench.policy);
        bench.take(decision);
        reply
    };
    assert_eq!(say(&mut bench, Command::Claim(send), "ana"), Reply::Done);
    assert_eq!(say(&mut bench, Command::Claim(send), "luis"), Reply::Refused(Refusal::ClaimedByAnother));
    let status = bench.status();
    let resolve = Command::Resolve { send, method: Method::PhoneCall, note: Some("ok".into()) };
    let case = bench.case(1).clone();
    assert_eq!(say(&mut bench, resolve, "ana"), Reply::Done);
    assert_eq!(bench.status(), status, "by hand moves no status");
    assert_eq!(say(&mut bench, Command::Claim(send), "ana"), Reply::Refused(Refusal::NotOpen));
    assert_eq!(say(&mut bench, Command::Reopen(Box::new(case)), "ana"), Reply::Done);
    assert_eq!(say(&mut bench, Command::Retry(send), "ana"), Reply::Refused(Refusal::NothingKept));
}

#[test]
fn two_clicks_are_one_send() {
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    bench.letters();
    let send = SendId::from_bytes([1; 16]);
    for _ in 0..2 {
        let (decision, reply) = bench.state.command(Command::Retry(send), "ana", bench.now, &bench.policy);
        bench.take(decision);
        assert!(matches!(reply, Reply::Begun(_)));
    }
    assert_eq!(bench.replays(), [1]);
    bench.attempt(1, 5, Via::Replay, None);
    let settled = bench.changes.iter().rev().find_map(|change| match change {
        Change::Case(case) => case.failure.as_ref()?.resolution.clone(),
        _ => None,
    });
    let settled = settled.unwrap();
    assert_eq!((settled.method, settled.by.as_deref()), (Method::Retry, Some("ana")));
}

#[test]
fn an_incident_lasts_as_long_as_it_lasts_whatever_the_wall_clock_says() {
    for step in [-3_600_000, 0, 3_600_000] {
        let mut bench = Bench::new();
        bench.now = at(10_000);
        bench.give_up(1, DEAD);
        let name = SessionName::new("default").unwrap();
        bench.pass(30);
        let incident = bench.state.incidents()[&name].clone();
        // A process that begins a minute later, on a clock that was set meanwhile.
        bench.now = (bench.now + Duration::from_secs(60)).stepped(step);
        let mut fresh = State::new(std::slice::from_ref(&name), bench.now, [1; 16]);
        let sessions = bench.state.sessions().values().cloned().collect();
        let stored = Stored { sessions, incidents: vec![incident], stepped: step, ..Stored::default() };
        fresh.restore(stored, &bench.policy);
        assert_eq!(fresh.incidents()[&name].downtime(bench.now), Duration::from_secs(90), "{step}");
        assert_eq!(fresh.sessions()[&name].since, bench.state.sessions()[&name].since.stepped(step));
        // The process after that finds it written down as this one understood it.
        let incidents = fresh.everything().changes.into_iter().filter_map(|change| match change {
            Change::Incident(incident) => Some(*incident),
            _ => None,
        });
        let incidents = incidents.collect();
        let sessions = fresh.checkpoint().into_iter().filter_map(|change| match change {
            Change::Session(session) => Some(*session),
            _ => None,
        });
        let stored = Stored { sessions: sessions.collect(), incidents, ..Stored::default() };
        let mut third = State::new(std::slice::from_ref(&name), bench.now, [2; 16]);
        third.restore(stored, &bench.policy);
        assert_eq!(third.incidents()[&name].downtime(bench.now), Duration::from_secs(90), "{step}");
        assert_eq!(third.sessions()[&name].since, fresh.sessions()[&name].since);
    }
}

#[test]
fn a_quiet_night_pages_nobody() {
    let mut bench = Bench::new();
    bench.policy.probe.enabled = true;
    bench.working();
    bench.attempt(9, 1, Via::Bot, None);
    for _ in 0..8 * 20 {
        bench.pass(180);
        bench.working();
    }
    assert_eq!(bench.status(), (Status::Offline, Reason::BotSilent));
    assert!(bench.raised().is_empty() && bench.state.incidents().is_empty());
}

#[test]
fn each_type_of_notification_has_its_own_age() {
    use crate::domain::recovery::MaxAge;
    let mut bench = Bench::new();
    bench.give_up(1, DEAD);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    bench.now = at(3 * 3600);
    assert_eq!(bench.held(1), None);
    bench.policy.recovery.max_age = MaxAge::all(hours(24)).but(NotificationType::OrderReceived, hours(2));
    assert_eq!(bench.held(1), Some(Held::TooOld));
    bench.policy.recovery.max_age = MaxAge::all(hours(2)).but(NotificationType::OrderReceived, hours(24));
    assert_eq!(bench.held(1), None);
    assert_eq!(bench.policy.recovery.max_age.longest(), hours(24));
    assert_eq!(bench.policy.recovery.max_age.of(NotificationType::Other), hours(2));
}
