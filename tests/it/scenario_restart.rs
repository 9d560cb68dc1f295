//! Seen working: a restart alone changes no status and sends no alert (SPEC 7).

use waha_watchdog::fake_waha::{Fault, FaultKind, SessionStatus};

use super::harness::outside::{Reply, Service};
use super::scenario::{Play, knobs};

/// Kills and starts it; everything is as it was.
async fn restart_changes_nothing(play: &mut Play) {
    let before = (play.status().await, play.alerts_by_kind().await.len(), play.incidents().await.len());
    let lines = play.incidents().await.first().map(|one| one["timeline"].as_array().unwrap().len());
    play.sidecar.kill9();
    play.sidecar.run().await;
    let at_once = play.status().await;
    play.fact("status at once", before.0.clone(), at_once);
    play.probed(2).await;
    let after = (play.status().await, play.alerts_by_kind().await.len(), play.incidents().await.len());
    play.fact("status, alerts, incidents after a while", before, after);
    let now = play.incidents().await.first().map(|one| one["timeline"].as_array().unwrap().len());
    play.fact("lines of the incident", lines, now);
}

#[tokio::test]
async fn s16_restart_while_online() {
    let mut play = Play::start("16 restart online", knobs()).await;
    play.place(0..3).await;
    play.status_is("online").await;
    restart_changes_nothing(&mut play).await;
    play.end();
}

#[tokio::test]
async fn s16_restart_while_degraded() {
    let mut play = Play::start("16 restart degraded", knobs()).await;
    play.place(0..3).await;
    play.waha.set_session("default", SessionStatus::ScanQrCode);
    play.status_and_reason("degraded", "healthcheck_failing").await;
    restart_changes_nothing(&mut play).await;
    play.end();
}

#[tokio::test]
async fn s16_restart_while_critical() {
    let mut play = Play::start("16 restart critical", knobs()).await;
    play.status_is("online").await;
    play.waha.go_down().await;
    play.place(0..3).await;
    play.status_is("incommunicado_critico").await;
    play.probed(1).await;
    restart_changes_nothing(&mut play).await;
    play.end();
}

#[tokio::test]
async fn s16_restart_while_nothing_is_acknowledged() {
    let config = knobs().set("status.unacked_degraded", "2s").set("status.unacked_critical", "5s");
    let mut play = Play::start("16 restart unacknowledged", config).await;
    play.status_is("online").await;
    play.waha.faults().add(Fault::always(FaultKind::NoAcks));
    play.place(0..3).await;
    play.status_and_reason("incommunicado_critico", "unacknowledged").await;
    play.when("written down", 1, async |play| play.alerts("total_loss").await).await;
    restart_changes_nothing(&mut play).await;
    play.end();
}

/// The bot is asked at its own health URL; its death is an incident and told once, also over a restart, and its return ends it.
#[tokio::test]
async fn s16_restart_while_the_bot_does_not_answer() {
    let mut bot = Service::start(Reply::Status(200, "ok")).await;
    let config = knobs()
        .set("offline.source", "probe")
        .set("offline.after", "2s")
        .set("bot.health_url", &bot.url("/health"));
    let mut play = Play::start("16 restart bot gone", config).await;
    play.status_is("online").await;
    let asked = bot.asked();
    play.holds(
        "asked so",
        "GET /health",
        &asked,
        asked.iter().all(|one| one.method == "GET" && one.target == "/health"),
    );
    let check = play.sidecar.cli(&["check"]).await;
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("bot.health_url")).unwrap_or("-").to_owned();
    play.holds("check", "ok", &line, line.starts_with("ok"));
    bot.answer(Reply::Status(503, ""));
    play.status_and_reason("offline", "bot_gone").await;
    play.when("alerts", 1, async |play| play.alerts("bot_gone").await).await;
    bot.go_down().await;
    restart_changes_nothing(&mut play).await;
    let check = play.sidecar.cli(&["check"]).await;
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    let line = said.lines().find(|line| line.contains("bot.health_url")).unwrap_or("-").to_owned();
    play.holds("check", "FAIL", &line, line.starts_with("FAIL"));
    play.holds("metrics", "failures counted", "", {
        let metrics = play.sidecar.metrics().await;
        metrics.lines().any(|line| {
            line.strip_prefix("waha_watchdog_bot_probe_consecutive_failures ")
                .is_some_and(|count| count.parse::<f64>().is_ok_and(|count| count >= 2.0))
        })
    });
    bot.answer(Reply::Status(200, "ok"));
    bot.come_up().await;
    play.status_is("online").await;
    play.when("incidents over", 0, async |play| {
        play.incidents().await.iter().filter(|one| one["end"].is_null()).count()
    })
    .await;
    play.fact("told that it is over", 1, play.alerts("recovery").await);
    play.fact("and told that it began", 1, play.alerts("bot_gone").await);
    play.end();
}
