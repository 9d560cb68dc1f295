//! Seen working: many orders at once, no acks, restrictions, a wrong key (SPEC 4.3, 4.6, 5, 6, 7).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use waha_watchdog::fake_waha::{Engine, Fault, FaultKind, Options};

use super::harness::http::{JSON, call};
use super::harness::{Bot, quick};
use super::scenario::{ADMIN, Play, chat, counts, knobs, order, text};

#[tokio::test]
async fn s07_a_hundred_orders_time_out() {
    let config = knobs().set("proxy.response_timeout", "1s");
    let mut play = Play::start("07 a hundred time out", config).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::always(FaultKind::Hang));
    let answers = play.place(0..100).await;
    play.holds("answers to the bot", "504 a hundred times", answers.len(), answers.iter().all(|s| *s == 504));
    let start = Instant::now();
    play.when("verdicts", counts(&[("TOTAL_COMMUNICATION_LOSS", 100)]), async |play| {
        play.failed_by("finding.verdict").await
    })
    .await;
    let took = start.elapsed();
    play.holds("time to the verdict", "at most 25 s", took, took <= Duration::from_secs(25));
    attempts_are_few(&mut play);
    play.status_is("incommunicado_critico").await;
    play.end();
}

#[tokio::test]
async fn s07_a_hundred_orders_are_refused() {
    let mut play = Play::start("07 a hundred refused", knobs()).await;
    play.status_is("online").await;
    // Refused as a gateway does it, so that the look-alike counts what was tried.
    play.waha.faults().add(Fault::to_chat(ADMIN, FaultKind::Refuse));
    for n in 0..100 {
        play.waha.faults().add(Fault::to_chat(&chat(n), FaultKind::Refuse));
    }
    let answers = play.place(0..100).await;
    play.holds("answers to the bot", "503 a hundred times", answers.len(), answers.iter().all(|s| *s == 503));
    let start = Instant::now();
    play.when("critical", "incommunicado_critico".to_owned(), async |play| play.status().await.0).await;
    let took = start.elapsed();
    play.holds("time to the verdict", "at most 1 s", took, took <= Duration::from_secs(1));
    play.when("verdicts", counts(&[("TOTAL_COMMUNICATION_LOSS", 100)]), async |play| {
        play.failed_by("finding.verdict").await
    })
    .await;
    attempts_are_few(&mut play);
    play.end();
}

#[tokio::test]
async fn s07_a_hundred_orders_fail_and_then_everything_hangs() {
    let config = knobs().set("proxy.response_timeout", "60s");
    let mut play = Play::start("07 a hundred, both steps hang", config).await;
    play.status_is("online").await;
    for n in 0..100 {
        play.waha.faults().add(Fault::to_chat(&chat(n), FaultKind::Status422).times(1));
    }
    play.waha.faults().add(Fault::always(FaultKind::Hang));
    let answers = play.place(0..100).await;
    play.holds("answers to the bot", "422 a hundred times", answers.len(), answers.iter().all(|s| *s == 422));
    let start = Instant::now();
    play.when("verdicts", counts(&[("TOTAL_COMMUNICATION_LOSS", 100)]), async |play| {
        play.failed_by("finding.verdict").await
    })
    .await;
    let took = start.elapsed();
    play.holds("time to the verdict", "at most 25 s", took, took <= Duration::from_secs(25));
    attempts_are_few(&mut play);
    play.status_is("incommunicado_critico").await;
    play.end();
}

/// Each customer got the bot's message and at most one of ours, the admin at most one.
fn attempts_are_few(play: &mut Play) {
    let (mut tries, mut canaries): (BTreeMap<String, usize>, _) = (BTreeMap::new(), 0);
    for call in play.waha.calls() {
        let at = call.chat.unwrap_or_default();
        // What has no text is a look, not a message; and while WAHA's own health looks well, a canary may go to the admin (SPEC 9).
        let canary = include_str!("../../src/words/templates/es/canary.txt").trim();
        let ours = |said: &str| (0..100).all(|n| said != text(&order(n)));
        match call.text.as_deref() {
            Some(said) if said.trim() == canary => canaries += 1,
            Some(said) if ours(said) => *tries.entry(at).or_insert(0) += 1,
            Some(_) | None => {}
        }
    }
    let admin: usize = tries.iter().filter(|(at, _)| at.contains(ADMIN)).map(|(_, count)| count).sum();
    let most = tries.iter().filter(|(at, _)| !at.contains(ADMIN)).map(|(_, count)| *count).max().unwrap_or(0);
    play.holds("quick messages to one customer, at most", "at most 1", most, most <= 1);
    play.holds("messages tried to the admin", "at most 1", admin, admin <= 1);
    // One, and another after fifteen seconds at the earliest.
    play.holds("canaries", "at most 2", canaries, canaries <= 2);
}

#[tokio::test]
async fn s08_accepted_and_never_acknowledged() {
    let config = knobs().set("status.unacked_degraded", "2s").set("status.unacked_critical", "5s");
    let mut play = Play::start("08 no acks", config).await;
    play.status_is("online").await;
    play.when("event feed", "connected".to_owned(), async |play| {
        super::scenario::word(&play.sidecar.status().await["events"]["state"])
    })
    .await;
    play.waha.faults().add(Fault::always(FaultKind::LateAcks(Duration::from_secs(15))));
    let answers = play.place(0..4).await;
    play.fact("answers to the bot", vec![201; 4], answers);
    let start = Instant::now();
    play.status_and_reason("degraded", "unacknowledged").await;
    play.status_and_reason("incommunicado_critico", "unacknowledged").await;
    play.waha.faults().clear();
    let took = start.elapsed();
    play.holds("time to critical", "5 to 14 s", took, (5.0..14.0).contains(&took.as_secs_f64()));
    play.status_is("online").await;
    let took = start.elapsed();
    play.holds("back on acks", "after 14 s", took, took > Duration::from_secs(14));
    let shown = play.shown(0..4);
    play.fact("phones that show their message so often", vec![(1, 4)], shown);
    play.when("loss and recovery alerts", (1, 1), async |play| {
        (play.alerts("total_loss").await, play.alerts("recovery").await)
    })
    .await;
    play.end();
}

#[tokio::test]
async fn s09_a_restricted_contact_then_a_restricted_account() {
    let options = Options { engine: Engine::Gows, ..quick() };
    let mut play = Play::with("09 restricted", knobs(), options).await;
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::Restricted463));
    for _ in 0..3 {
        play.place(0..1).await;
    }
    let good = play.place(10..20).await;
    play.fact("ten others", vec![201; 10], good);
    play.when("listed", true, async |play| !play.sidecar.failed().await.is_empty()).await;
    play.status_is("online").await;
    play.when("messages to the admin of it", 1, async |play| play.admin_told("ORD-0")).await;
    play.probed(4).await;
    let told = play.admin_told("ORD-0");
    play.fact("and not again", 1, told);
    let causes = play.failed_by("cause").await;
    eprintln!("[09 restricted] causes: {causes:?}");
    play.status_is("online").await;

    for n in 1..4 {
        play.waha.faults().add(Fault::to_chat(&chat(n), FaultKind::Restricted463));
    }
    play.place(1..4).await;
    play.status_and_reason("degraded", "account_restricted").await;
    play.when("alerts of a restricted account", 1, async |play| play.alerts("account_restricted").await)
        .await;
    play.probed(4).await;
    let alerts = play.alerts("account_restricted").await;
    play.fact("and not again", 1, alerts);
    let worst = play.worst().await;
    play.fact("worst status", "degraded".to_owned(), worst);
    play.end();
}

#[tokio::test]
async fn s12_our_own_key_is_wrong() {
    let options = Options { api_key: Some("the-right-key".into()), ..quick() };
    let config = knobs().set("waha.api_key", "a-wrong-key").set("events.mode", "off");
    let mut play = Play::with("12 own key wrong", config, options).await;
    play.when("trouble alerts", 1, async |play| play.alerts("trouble").await).await;
    let body = Bot::body(&chat(0), &text(&order(0))).to_string();
    let headers = [JSON, ("X-Api-Key", "the-right-key")];
    let answer =
        call(play.sidecar.proxy(), "POST", "/api/sendText", &headers, body.as_bytes()).await.unwrap();
    play.fact("the bot's own key is passed on", 201, answer.status);
    play.status_is("online").await;
    play.probed(2).await;
    let status = play.sidecar.status().await;
    play.fact("healthcheck_failing", false, status["healthcheck_failing"] == true);
    let (trouble, incidents) = (play.alerts("trouble").await, play.incidents().await.len());
    play.fact("trouble alerts, incidents", (1, 0), (trouble, incidents));
    play.end();
}
