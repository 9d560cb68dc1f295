//! Seen working: what waits for the way back goes out once, in its turn, or stays with its reason (SPEC 4.4, 9).

use std::time::Duration;

use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::{until, without_store};
use super::scenario::{Play, chat, counts, knobs, later, order, text, word};

#[tokio::test]
async fn s11_everything_is_held() {
    let config = knobs().set("events.mode", "off");
    let mut play = Play::with("11 all held", config, without_store()).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::always(FaultKind::DropAfterProcessing));
    let answers = play.place(0..3).await;
    play.holds("answers to the bot", "502 each", &answers, answers.iter().all(|status| *status == 502));
    play.status_is("incommunicado_critico").await;
    play.waha.faults().clear();
    let before = play.admin_told("");
    play.when("a canary for the admin", true, async |play| play.admin_told("") > before).await;
    play.status_is("online").await;
    play.when("held", counts(&[("may_have_arrived", 3)]), async |play| play.failed_by("held").await).await;
    let shown = play.shown(0..3);
    play.fact("phones that show their message so often", vec![(1, 3)], shown);
    play.end();
}

#[tokio::test]
async fn s13_the_bot_retries_and_waha_returns() {
    let config = knobs().raw("retry.attempts", "4").set("retry.give_up_after", "30s");
    let mut play = Play::start("13 bot retries", config).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    let (at, said) = (chat(0), text(&order(0)));
    // The bot's own waits.
    for wait in [0, 1, 2, 4] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let status = play.sidecar.bot().text(&at, &said).await.status;
        play.fact("attempt of the bot", 502, status);
    }
    play.when("listed", 1, async |play| play.sidecar.failed().await.len()).await;
    play.status_is("incommunicado_critico").await;
    play.waha.faults().add(Fault::to_chat(&at, FaultKind::LateAnswer(Duration::from_secs(3))).times(1));
    play.waha.come_up().await.unwrap();
    until("the replay is at WAHA", async || {
        play.waha.calls().iter().any(|call| call.text.as_deref() == Some(&said))
    })
    .await;
    let fifth = play.sidecar.bot().text(&at, &said).await;
    play.fact("the bot's fifth attempt", (201, "accepted"), (fifth.status, fifth.outcome()));
    play.when("resolved", counts(&[("bot_recovered", 1)]), async |play| {
        play.failed_by("resolution_method").await
    })
    .await;
    let shown = play.waha.phones().times(&at, &said);
    play.fact("times shown", 1, shown);
    for expected in [2, 3] {
        let status = play.sidecar.bot().text(&at, &said).await.status;
        let shown = play.waha.phones().times(&at, &said);
        play.fact("an equal text after the success", (201, expected), (status, shown));
    }
    play.end();
}

#[tokio::test]
async fn s14_a_hundred_and_twenty_wait_and_waha_fails_again() {
    let mut play = Play::start("14 120 wait", knobs()).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    // The first customer's order moved on: the earlier message is needless.
    play.place(0..1).await;
    play.sidecar.bot().text(&chat(0), &later(&order(0))).await;
    play.place(1..120).await;
    play.when("listed", 121, async |play| play.sidecar.failed().await.len()).await;
    play.status_is("incommunicado_critico").await;
    let again = play.waha.faults().add(Fault::always(FaultKind::Status422).from_call(21));
    play.waha.come_up().await.unwrap();
    until("twenty are out and it fails again", async || {
        play.waha.faults().list().iter().any(|(_, _, matched)| *matched > 21)
    })
    .await;
    let shown = play.waha.phones().total();
    play.fact("messages out before it fails again", 20, shown);
    let failed = play.waha.calls().len();
    play.probed(1).await;
    let tries = play.waha.calls().len() - failed;
    play.holds("calls during the second outage", "a few canaries", tries, tries <= 4);
    let open = play.failed_by("resolved").await;
    eprintln!("[14 120 wait] resolved: {open:?}");
    play.waha.faults().remove(again);
    until("sixty are out", async || play.waha.phones().total() >= 60).await;
    play.sidecar.kill9();
    play.sidecar.run().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(170);
    while play.shown(1..120) != [(1, 119)] && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let shown = play.shown(1..120);
    play.fact("phones that show their message so often", vec![(1, 119)], shown);
    let first = play.waha.phones();
    let first = (first.times(&chat(0), &text(&order(0))), first.times(&chat(0), &later(&order(0))));
    play.fact("the superseded one, and the later one", (0, 1), first);
    play.when("resolved at all", counts(&[("true", 121)]), async |play| play.failed_by("resolved").await)
        .await;
    let methods = play.failed_by("resolution_method").await;
    let of = |method: &str| methods.iter().find(|(word, _)| word == method).map_or(0, |(_, count)| *count);
    let (replayed, late) = (of("bot_recovered"), of("confirmed_late"));
    // The one that was under way when it was killed is known by its ack or a look.
    let so = replayed + late == 120 && late <= 1 && of("superseded") == 1;
    play.holds("resolved", "120 bot_recovered, but for the one under way, and 1 superseded", &methods, so);
    // The pace: a minute has 600, a fifth more or less, measured where they arrived.
    let phones = play.waha.phones();
    let mut at: Vec<_> = (0..120)
        .flat_map(|n| phones.chat(&chat(n)).iter().filter(|shown| shown.text.contains("Orden:")))
        .map(|shown| shown.at)
        .collect();
    at.sort_unstable();
    let gaps: Vec<_> = at.windows(2).map(|two| (two[1] - two[0]).num_milliseconds()).collect();
    let (least, short) = (gaps.iter().min().copied(), gaps.iter().filter(|gap| **gap < 60).count());
    play.holds(
        "shortest gap in ms; how many under 60",
        "80 or more, but for a busy machine",
        (least, short),
        short <= 3,
    );
    play.end();
}

#[tokio::test]
async fn s15_timed_out_after_it_was_processed_and_found() {
    let config = knobs().set("proxy.response_timeout", "1s").set("events.mode", "off");
    let mut play = Play::start("15 found by a look", config).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::always(FaultKind::LateAnswer(Duration::from_secs(4))).times(1));
    let answers = play.place(0..1).await;
    play.fact("answer to the bot", vec![504], answers);
    play.when("settled", counts(&[("true", 1)]), async |play| play.failed_by("resolved").await).await;
    let one = play.sidecar.failed().await.remove(0);
    play.holds("how", "a resolution", word(&one["resolution_method"]), !one["resolution_method"].is_null());
    let sends = play.sidecar.sends().await;
    play.fact("outcome", "accepted".to_owned(), word(&sends[0]["outcome"]));
    play.probed(5).await;
    let shown = play.shown(0..1);
    play.fact("phones that show their message so often", vec![(1, 1)], shown);
    play.end();
}

#[tokio::test]
async fn s15_timed_out_after_it_was_processed_and_nobody_can_look() {
    let config = knobs().set("proxy.response_timeout", "1s").set("events.mode", "off");
    let mut play = Play::with("15 no store", config, without_store()).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::always(FaultKind::LateAnswer(Duration::from_secs(4))).times(1));
    let answers = play.place(0..1).await;
    play.fact("answer to the bot", vec![504], answers);
    play.when("held", counts(&[("may_have_arrived", 1)]), async |play| play.failed_by("held").await).await;
    play.place(10..12).await;
    play.probed(7).await;
    let shown = play.shown(0..1);
    play.fact("phones that show their message so often", vec![(1, 1)], shown);
    let calls = play.waha.calls();
    let calls = calls.iter().filter(|call| call.text.as_deref() == Some(&text(&order(0)))).count();
    play.fact("calls with it", 1, calls);
    play.end();
}
