//! Seen working: WAHA away, restarting, flapping, and the probe that sees it first (SPEC 5, 6, 7, 9).

use waha_watchdog::fake_waha::{Fault, FaultKind, SessionStatus};

use super::scenario::{LOOKED_FOR, Play, chat, counts, knobs, order, text, word};

#[tokio::test]
async fn s01_waha_down_and_back() {
    let mut play = Play::start("01 WAHA down", knobs()).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    let answers = play.place(0..5).await;
    play.fact("answers to the bot", vec![502; 5], answers);
    play.when("verdicts", counts(&[("TOTAL_COMMUNICATION_LOSS", 5)]), async |play| {
        play.failed_by("finding.verdict").await
    })
    .await;
    play.status_is("incommunicado_critico").await;
    let attention = play.failed_by("attention").await;
    play.fact("attention", counts(&[("unnotified", 5)]), attention);
    let unnotified = play.items("/api/orders/unnotified").await.len();
    play.fact("orders not told", 5, unnotified);
    let kinds = play.alerts("total_loss").await;
    play.fact("alerts of a total loss", 1, kinds);

    play.waha.come_up().await.unwrap();
    play.when("resolved", counts(&[("bot_recovered", 5)]), async |play| {
        play.failed_by("resolution_method").await
    })
    .await;
    play.status_is("online").await;
    let shown = play.shown(0..5);
    play.fact("phones that show their message so often", vec![(1, 5)], shown);
    play.when("incidents that are over", 1, async |play| {
        play.incidents().await.iter().filter(|one| one["open"] == false).count()
    })
    .await;
    // A dead channel did not carry the news of its death; its end tells of both.
    let told = [("total_loss", "withdrawn"), ("recovery", "told")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    play.when("alerts", told.to_vec(), async |play| play.alerts_by_kind().await).await;
    let incident = play.incidents().await.remove(0);
    let sums = (word(&incident["affected"]), word(&incident["replayed"]), word(&incident["left"]));
    play.fact("affected, replayed, left", ("5".into(), "5".into(), "0".into()), sums);
    let told = play.waha.phones().chat(super::scenario::ADMIN).len();
    play.holds("messages to the admin", "1 (recovery)", told, told == 1);
    play.end();
}

#[tokio::test]
async fn s02_only_some_sends_fail() {
    let mut play = Play::start("02 some sends fail", knobs()).await;
    for bad in 0..2 {
        play.waha.faults().add(Fault::to_chat(&chat(bad), FaultKind::Status500("Timed Out".into())));
    }
    let good = play.place(10..14).await;
    play.fact("good answers", vec![201; 4], good);
    let bad = play.place(0..2).await;
    play.fact("bad answers", vec![500; 2], bad);
    let good = play.place(14..18).await;
    play.fact("good answers", vec![201; 4], good);
    play.when("attention", counts(&[("manual", 2)]), async |play| play.failed_by("attention").await).await;
    play.when("verdicts", counts(&[("WEBHOOK_ONLY", 2)]), async |play| {
        play.failed_by("finding.verdict").await
    })
    .await;
    play.probed(6).await;
    let worst = play.worst().await;
    play.holds("worst status", "degraded at most", &worst, matches!(worst.as_str(), "" | "degraded"));
    let loss = play.alerts("total_loss").await;
    play.fact("alerts of a total loss", 0, loss);
    play.when("the admin is told of the orders", true, async |play| {
        play.admin_told("ORD-0") > 0 && play.admin_told("ORD-1") > 0
    })
    .await;
    play.end();
}

#[tokio::test]
async fn s03_waha_restarts() {
    let mut play = Play::start("03 WAHA restarts", knobs()).await;
    play.status_is("online").await;
    play.waha.set_session("default", SessionStatus::Starting);
    let answers = play.place(0..2).await;
    play.fact("answers to the bot", vec![422; 2], answers);
    play.when("causes", counts(&[("session_not_working", 2)]), async |play| play.failed_by("cause").await)
        .await;
    play.when("WAHA's session as seen", "starting".to_owned(), async |play| {
        word(&play.sidecar.status().await["waha_session_status"])
    })
    .await;
    play.waha.set_session("default", SessionStatus::Working);
    play.when("resolved", counts(&[("bot_recovered", 2)]), async |play| {
        play.failed_by("resolution_method").await
    })
    .await;
    play.status_is("online").await;
    let shown = play.shown(0..2);
    play.fact("phones that show their message so often", vec![(1, 2)], shown);
    let incidents = play.incidents().await.len();
    play.fact("incidents", 1, incidents);
    play.end();
}

#[tokio::test]
async fn s04_one_number_is_bad() {
    let mut play = Play::start("04 one bad number", knobs()).await;
    play.waha.faults().add(Fault::to_chat(&chat(0), FaultKind::NoLid));
    play.waha.set_on_whatsapp(&chat(0), false);
    let good = play.place(10..13).await;
    play.fact("good answers", vec![201; 3], good);
    let bad = play.place(0..1).await;
    play.fact("bad answer", vec![500], bad);
    play.when("listed with its cause", counts(&[("number_not_on_whatsapp", 1)]), async |play| {
        play.failed_by("cause").await
    })
    .await;
    play.when("the admin is told", 1, async |play| play.admin_told("ORD-0")).await;
    play.probed(6).await;
    let told = play.admin_told("ORD-0");
    play.fact("and not again", 1, told);
    play.status_is("online").await;
    let incidents = play.incidents().await.len();
    play.fact("incidents", 0, incidents);
    play.end();
}

#[tokio::test]
async fn s05_flapping_network() {
    let config = knobs().set("status.recover_after", "8s");
    let mut play = Play::start("05 flapping", config).await;
    play.status_is("online").await;
    for round in 0..3 {
        play.waha.go_down().await;
        play.place(round * 10..round * 10 + 3).await;
        play.status_is("incommunicado_critico").await;
        play.waha.come_up().await.unwrap();
        let up = play.place(round * 10 + 3..round * 10 + 5).await;
        play.fact("the bot gets through", vec![201; 2], up);
    }
    // A replay may have been on its way.
    play.within(LOOKED_FOR, "incidents, open", vec![false], async |play| {
        play.incidents().await.iter().map(|one| one["open"] == true).collect()
    })
    .await;
    let incidents = play.incidents().await.len();
    play.fact("incidents", 1, incidents);
    play.when("loss and recovery alerts", (1, 1), async |play| {
        (play.alerts("total_loss").await, play.alerts("recovery").await)
    })
    .await;
    for round in 0..3 {
        let shown = play.shown(round * 10..round * 10 + 5);
        play.fact("phones that show their message so often", vec![(1, 5)], shown);
    }
    play.status_is("online").await;
    play.end();
}

#[tokio::test]
async fn s06_the_probe_warns_first() {
    let mut play = Play::start("06 probe warns first", knobs()).await;
    play.status_is("online").await;
    play.waha.set_session("default", SessionStatus::Failed);
    play.status_and_reason("degraded", "healthcheck_failing").await;
    play.when("preventive alerts", 1, async |play| play.alerts("preventive").await).await;
    let failed = play.sidecar.failed().await.len();
    play.fact("failed notifications", 0, failed);
    // The warning is not sent through what it warns of.
    play.probed(3).await;
    let tried = play.waha.calls().len();
    play.fact("messages tried through the session that fails", 0, tried);
    play.waha.set_session("default", SessionStatus::Working);
    play.status_is("online").await;
    play.when("recovery alerts", 1, async |play| play.alerts("recovery").await).await;
    play.when("messages to the admin", 1, async |play| play.admin_told("")).await;
    let all = play.alerts_by_kind().await.len();
    play.fact("alerts", 2, all);
    play.end();
}

#[tokio::test]
async fn s10_one_of_two_messages_of_an_order_failed() {
    let mut play = Play::start("10 one of two", knobs()).await;
    let at = chat(0);
    let first = play.sidecar.bot().text(&at, &text(&order(0))).await.status;
    play.waha.faults().add(Fault::to_chat(&at, FaultKind::NoLid).times(1));
    let second =
        play.sidecar.bot().text(&at, &format!("{}\nDetalle: 2 pizzas", text(&order(0)))).await.status;
    play.fact("answers", (201, 500), (first, second));
    play.when("recorded", 1, async |play| play.sidecar.failed().await.len()).await;
    play.when("told", 1, async |play| play.admin_told("ORD-0")).await;
    play.probed(3).await;
    let verdicts = play.failed_by("finding.verdict").await;
    play.fact("verdicts", counts(&[("-", 1)]), verdicts);
    let found = play.items("/api/communication-failures").await.len();
    play.fact("communication failures", 0, found);
    play.status_is("online").await;
    play.end();
}
