//! Seen working: a restart alone changes no status and sends no alert (SPEC 7).

use waha_watchdog::fake_waha::{Fault, FaultKind, SessionStatus};

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
