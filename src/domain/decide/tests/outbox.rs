//! The outbox over several channels: one delivery each, in turn, withdrawn, given up, taken up again.

use super::bench::{Bench, attempt};
use super::*;
use crate::domain::alert::Says;
use crate::domain::command::{Command, Refusal, Reply};
use crate::domain::delivery::{Dropped, Recipient, Topic};
use crate::domain::errand::{Errand, Telling};
use crate::domain::id::SessionName;
use crate::domain::ledger::Via;
use crate::domain::probe::{ProbeResult, SessionState};

const DEAD: Cause = Cause::ConnectionRefused;
const MAIL: Channel = Channel::Email;
const PAGER: Channel = Channel::Pagerduty;

/// A heart with these channels, each taking what it usually does. Nothing is sent again by itself.
fn bench(channels: &[Channel]) -> Bench {
    let mut bench = Bench::new();
    bench.policy.alerts.routes = channels.iter().copied().map(Route::usual).collect();
    bench.policy.recovery.enabled = false;
    bench
}

/// What is to be told now; other errands stay.
fn tellings(bench: &mut Bench) -> Vec<Telling> {
    let (told, others) = std::mem::take(&mut bench.errands)
        .into_iter()
        .partition::<Vec<_>, _>(|errand| matches!(errand, Errand::Tell(_)));
    bench.errands = others;
    let telling = |errand| match errand {
        Errand::Tell(telling) => Some(telling),
        _ => None,
    };
    told.into_iter().filter_map(telling).collect()
}

/// What each is, and on which channel.
fn kinds(tellings: &[Telling]) -> Vec<(&'static str, Channel)> {
    tellings.iter().map(|telling| (telling.alert.says.as_str(), telling.channel)).collect()
}

fn ends(bench: &mut Bench, telling: &Telling, outcome: Outcome) {
    let (alert, channel) = (telling.alert.id, telling.channel);
    let why = (outcome != Outcome::Accepted).then(|| "it answers 503".to_owned());
    bench.event(Event::Report(Report::Told { alert, channel, outcome, why, reached: Vec::new() }));
}

/// Order `send` is lost, and nobody can be reached.
fn lose(bench: &mut Bench, send: u8) {
    bench.give_up(send, DEAD);
    bench.answer(Some(DEAD));
    bench.answer(Some(DEAD));
    assert_eq!(bench.status().0, Status::IncommunicadoCritico);
}

/// The channel is well for good.
fn recover(bench: &mut Bench) {
    bench.attempt(200, 1, Via::Bot, None);
    bench.pass(150);
    assert!(bench.state.incidents().is_empty());
}

/// The way of the latest alert of a kind on a channel, as it was last written down.
fn progress(bench: &Bench, says: &str, channel: Channel) -> Option<Progress> {
    let alerts = bench.changes.iter().rev().filter_map(|change| match change {
        Change::Alert(alert) if alert.says.as_str() == says => Some(alert),
        _ => None,
    });
    alerts.map(|alert| alert.on(channel).map(|one| one.progress)).next().flatten()
}

#[test]
fn one_delivery_on_each_channel_and_none_twice() {
    let mut bench = bench(&[MAIL, Channel::Sms, PAGER, Channel::LogFile]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench);
    let all = [MAIL, Channel::Sms, PAGER, Channel::LogFile];
    assert_eq!(kinds(&first), all.map(|channel| ("total_loss", channel)));
    bench.pass(60);
    assert!(tellings(&mut bench).is_empty(), "under way");
    for telling in &first {
        ends(&mut bench, telling, Outcome::Accepted);
    }
    bench.pass(600);
    assert!(tellings(&mut bench).is_empty());
    assert!(bench.state.alerts().is_empty(), "told on all of them, it is over");
    assert!(bench.state.reach()[&MAIL].last_success.is_some());
}

#[test]
fn the_end_never_overtakes_the_beginning() {
    let mut bench = bench(&[MAIL, Channel::Webhook]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench);
    ends(&mut bench, &first[1], Outcome::Accepted);
    recover(&mut bench);
    assert_eq!(kinds(&tellings(&mut bench)), [("recovery", Channel::Webhook)], "the mail is still under way");
    ends(&mut bench, &first[0], Outcome::Accepted);
    bench.pass(1);
    assert_eq!(kinds(&tellings(&mut bench)), [("recovery", MAIL)]);
}

#[test]
fn refused_is_over_and_what_failed_is_tried_again_later_and_later() {
    let mut bench = bench(&[MAIL, Channel::Webhook]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench);
    ends(&mut bench, &first[0], Outcome::Rejected);
    ends(&mut bench, &first[1], Outcome::Failed);
    let mut waits = Vec::new();
    for outcome in [Outcome::Ambiguous, Outcome::Failed, Outcome::Failed] {
        let mut waited = 0;
        let again = loop {
            bench.pass(1);
            waited += 1;
            let mut again = tellings(&mut bench);
            if let Some(telling) = again.pop() {
                assert!(again.is_empty());
                break telling;
            }
        };
        assert_eq!((again.channel, again.alert.id), (Channel::Webhook, first[1].alert.id));
        waits.push(waited);
        ends(&mut bench, &again, outcome);
    }
    assert_eq!(waits, [5, 10, 20]);
    assert!(matches!(progress(&bench, "total_loss", MAIL), Some(Progress::Dropped(_, Dropped::Refused))));
    let reach = &bench.state.reach()[&Channel::Webhook];
    assert!(reach.failing_since.is_some());
    assert_eq!(reach.why.as_deref(), Some("it answers 503"));
}

#[test]
fn who_has_it_is_written_down_at_once_and_forgotten_when_all_have_it() {
    let mut bench = bench(&[MAIL]);
    lose(&mut bench, 1);
    let telling = tellings(&mut bench).into_iter().next().unwrap();
    let (alert, channel, who) = (telling.alert.id, telling.channel, Recipient::new(7));
    let reached = |bench: &Bench| {
        let written = bench.changes.iter().rev().find_map(|change| match change {
            Change::Alert(one) if one.id == alert => one.on(channel).map(|one| one.reached.clone()),
            _ => None,
        });
        written.unwrap()
    };
    for _ in 0..2 {
        bench.changes.clear();
        bench.event(Event::Report(Report::Reached { alert, channel, who }));
        if bench.changes.is_empty() {
            break;
        }
        assert_eq!(reached(&bench), [who]);
    }
    assert!(bench.changes.is_empty(), "the second time it is no news");
    ends(&mut bench, &telling, Outcome::Failed);
    bench.pass(10);
    let again = tellings(&mut bench).into_iter().next().unwrap();
    assert_eq!(again.alert.on(channel).unwrap().reached, [who], "the next try knows");
    ends(&mut bench, &again, Outcome::Accepted);
    assert!(reached(&bench).is_empty());
}

#[test]
fn an_outage_that_a_channel_slept_through_is_one_message_there() {
    let mut bench = bench(&[MAIL, Channel::Webhook]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench);
    ends(&mut bench, &first[1], Outcome::Accepted);
    ends(&mut bench, &first[0], Outcome::Failed);
    bench.attempt(200, 1, Via::Bot, None);
    for _ in 0..150 {
        bench.pass(1);
        for telling in tellings(&mut bench) {
            let awake = telling.channel == Channel::Webhook;
            ends(&mut bench, &telling, if awake { Outcome::Accepted } else { Outcome::Failed });
        }
    }
    assert!(matches!(progress(&bench, "total_loss", MAIL), Some(Progress::Dropped(_, Dropped::Withdrawn))));
    let mut told = Vec::new();
    for _ in 0..900 {
        bench.pass(1);
        for telling in tellings(&mut bench) {
            told.extend(kinds(std::slice::from_ref(&telling)));
            ends(&mut bench, &telling, Outcome::Accepted);
        }
    }
    assert_eq!(told, [("recovery", MAIL)]);
}

#[test]
fn the_pager_hears_no_end_of_what_it_never_heard_of() {
    // A warning is none of its topics: neither is the end of what was no more than that.
    let mut bench = bench(&[MAIL, PAGER]);
    bench.policy.probe.enabled = true;
    bench.attempt(1, 1, Via::Bot, None);
    bench.probe(ProbeResult::of(SessionState::Failed));
    bench.probe(ProbeResult::of(SessionState::Failed));
    assert_eq!(kinds(&tellings(&mut bench)), [("preventive", MAIL)]);
    bench.working();
    bench.pass(150);
    assert!(bench.state.incidents().is_empty());
    assert!(tellings(&mut bench).iter().all(|telling| telling.channel == MAIL));
}

#[test]
fn a_single_order_wakes_nobody() {
    let mut bench = bench(&[MAIL, Channel::Sms, PAGER]);
    bench.attempt(7, 1, Via::Bot, None);
    bench.attempt(1, 1, Via::Bot, Some(Cause::NumberNotOnWhatsapp));
    bench.pass(120);
    assert_eq!(kinds(&tellings(&mut bench)), [("manual_attention", MAIL)]);
}

#[test]
fn orders_that_come_on_top_of_a_loss_are_one_reminder() {
    let mut bench = bench(&[MAIL, Channel::Sms]);
    lose(&mut bench, 1);
    for telling in tellings(&mut bench) {
        ends(&mut bench, &telling, Outcome::Accepted);
    }
    for send in 2..=51 {
        bench.give_up(send, DEAD);
    }
    bench.pass(1700);
    assert!(tellings(&mut bench).is_empty(), "not yet");
    bench.pass(200);
    let reminders = tellings(&mut bench);
    assert_eq!(kinds(&reminders), [("still_lost", MAIL)], "once, and nobody is woken for it");
    assert_eq!(reminders[0].alert.says.orders().unwrap().count, 50);
}

#[test]
fn news_of_yesterday_are_given_up() {
    let mut bench = bench(&[MAIL]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench).remove(0);
    ends(&mut bench, &first, Outcome::Failed);
    bench.now = bench.now + Duration::from_secs(24 * 3600);
    bench.pass(1);
    assert!(tellings(&mut bench).iter().all(|telling| telling.alert.id != first.alert.id));
    assert!(matches!(progress(&bench, "total_loss", MAIL), Some(Progress::Dropped(_, Dropped::TooOld))));
}

#[test]
fn a_restart_tells_what_was_cut_off_and_nothing_else() {
    let mut bench = bench(&[MAIL, Channel::Webhook, PAGER]);
    lose(&mut bench, 1);
    let first = tellings(&mut bench);
    ends(&mut bench, &first[0], Outcome::Accepted);
    ends(&mut bench, &first[1], Outcome::Failed);
    bench.restart();
    bench.pass(1);
    let again = tellings(&mut bench);
    assert_eq!(kinds(&again), [("total_loss", PAGER)], "under way when it was cut off");
    assert_eq!(again[0].alert.id, first[0].alert.id, "the same one");
    ends(&mut bench, &again[0], Outcome::Accepted);
    bench.pass(10);
    let again = tellings(&mut bench);
    assert_eq!(kinds(&again), [("total_loss", Channel::Webhook)], "what waited goes on waiting");
    ends(&mut bench, &again[0], Outcome::Accepted);
    bench.restart();
    bench.pass(60);
    assert!(tellings(&mut bench).is_empty());
}

#[test]
fn a_channel_that_is_gone_from_the_configuration_is_not_waited_for() {
    let mut bench = bench(&[MAIL, PAGER]);
    lose(&mut bench, 1);
    for telling in tellings(&mut bench) {
        ends(&mut bench, &telling, Outcome::Failed);
    }
    bench.policy.alerts.routes = vec![Route { channel: MAIL, takes: vec![Topic::TotalLoss] }];
    bench.pass(10);
    assert_eq!(kinds(&tellings(&mut bench)), [("total_loss", MAIL)]);
    assert!(matches!(progress(&bench, "total_loss", PAGER), Some(Progress::Dropped(_, Dropped::Withdrawn))));
}

fn command(bench: &mut Bench, command: Command) -> Reply {
    let (decision, reply) = bench.state.command(command, "ana", bench.now, &bench.policy);
    bench.take(decision);
    bench.pass(1);
    reply
}

#[test]
fn a_drill_goes_the_real_way_ends_by_itself_and_moves_nothing() {
    let mut bench = bench(&[MAIL, PAGER]);
    bench.attempt(1, 1, Via::Bot, None);
    let session = SessionName::new("default").unwrap();
    let (status, lasts) = (bench.status(), Duration::from_secs(60));
    let begin = Command::BeginDrill { session: session.clone(), lasts };
    assert!(matches!(command(&mut bench, begin.clone()), Reply::Alerted(_)));
    assert_eq!(command(&mut bench, begin.clone()), Reply::Refused(Refusal::DrillRuns));
    assert_eq!(bench.state.standing().len(), 1);
    let told = tellings(&mut bench);
    assert_eq!(kinds(&told), [("drill", MAIL), ("drill", PAGER)]);
    for telling in &told {
        ends(&mut bench, telling, Outcome::Accepted);
    }
    bench.pass(60);
    let over = tellings(&mut bench);
    assert_eq!(kinds(&over), [("drill_over", MAIL), ("drill_over", PAGER)]);
    assert_eq!(over[0].alert.incident, told[0].alert.incident, "known by the same id");
    assert!(bench.state.standing().is_empty());
    assert_eq!(bench.status(), status);
    assert!(bench.state.incidents().is_empty() && bench.state.cases().is_empty());
    assert_eq!(command(&mut bench, Command::EndDrill), Reply::Refused(Refusal::NoDrill));
    // One that a crash cuts off ends with the next start.
    assert!(matches!(command(&mut bench, begin), Reply::Alerted(_)));
    let drill = bench.state.drill().cloned();
    bench.restart_with(drill);
    bench.pass(1);
    assert!(bench.state.standing().is_empty());
    assert!(kinds(&tellings(&mut bench)).iter().all(|(says, _)| *says != "drill"));
}

#[test]
fn what_stands_is_what_was_announced() {
    let mut bench = bench(&[MAIL]);
    let standing = |bench: &Bench| bench.state.standing().into_iter().map(|one| one.what).collect::<Vec<_>>();
    for send in 1..=3 {
        bench.give_up(send, DEAD);
    }
    assert_eq!(bench.status().0, Status::Incommunicado);
    assert!(standing(&bench).is_empty(), "a diagnosis runs: it may be worse, or nothing");
    bench.answer(Some(DEAD));
    bench.answer(Some(DEAD));
    assert_eq!(standing(&bench), [Stands::IncommunicadoCritico]);
    bench.restart();
    assert_eq!(standing(&bench), [Stands::IncommunicadoCritico]);
    bench.attempt(200, 1, Via::Bot, None);
    assert!(standing(&bench).is_empty());
}

#[test]
fn a_test_goes_where_it_is_sent_and_nowhere_else() {
    let mut bench = bench(&[MAIL, Channel::Sms]);
    let test = |channels: &[Channel]| Command::TestChannels(channels.to_vec());
    assert_eq!(command(&mut bench, test(&[PAGER])), Reply::Refused(Refusal::NoChannel));
    assert!(matches!(command(&mut bench, test(&[Channel::Sms])), Reply::Alerted(_)));
    let told = tellings(&mut bench);
    assert_eq!(kinds(&told), [("test", Channel::Sms)]);
    assert_eq!(told[0].alert.says, Says::Test { who: "ana".to_owned() });
    ends(&mut bench, &told[0], Outcome::Accepted);
    assert!(matches!(command(&mut bench, test(&[])), Reply::Alerted(_)));
    assert_eq!(kinds(&tellings(&mut bench)), [("test", MAIL), ("test", Channel::Sms)]);
}

#[test]
fn what_a_loss_tells_of_is_not_told_again_as_if_the_channel_worked() {
    let mut bench = bench(&[Channel::Whatsapp, MAIL]);
    // Of an order of two messages one got through: the other is told of, and not diagnosed.
    bench.attempt(1, 1, Via::Bot, None);
    for number in 1..=4 {
        let mut second = attempt(3, number, Via::Bot, Some(DEAD), bench.now);
        let order = attempt(1, 1, Via::Bot, None, bench.now).what.order.clone();
        second.what = Arc::new(Description { order, ..(*second.what).clone() });
        bench.end(second);
    }
    lose(&mut bench, 2);
    assert_eq!(bench.raised(), ["manual_attention", "total_loss"]);
    let told = tellings(&mut bench);
    assert_eq!(kinds(&told), [("total_loss", MAIL)]);
    assert_eq!(told[0].alert.says.orders().map(|orders| orders.count), Some(2), "both are named there");
    ends(&mut bench, &told[0], Outcome::Accepted);
    bench.pass(60);
    assert_eq!(kinds(&tellings(&mut bench)), []);
    for channel in [Channel::Whatsapp, MAIL] {
        let way = progress(&bench, "manual_attention", channel);
        assert!(matches!(way, Some(Progress::Dropped(_, Dropped::Withdrawn))), "{way:?}");
    }
}
