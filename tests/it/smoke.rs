//! The shortest way through everything: if this fails, look here first.

use super::harness::sidecar::{json_lines, stdout};
use super::harness::{CHAT, Config, pair};

#[tokio::test]
async fn a_text_goes_through_and_is_recorded() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    let answer = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!((answer.status, answer.outcome(), answer.recorded()), (201, "accepted", true));
    assert_eq!(waha.phones().times(CHAT, "hola"), 1);
    let export = stdout(&sidecar.cli(&["export"]).await);
    let sends = json_lines(&export);
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0]["send_id"], answer.send_id());
    sidecar.stop().await;
    assert_eq!(stdout(&sidecar.cli_alone(&["export"]).await), export);
}

#[tokio::test]
async fn what_is_seen_is_counted() {
    let (_waha, sidecar) = pair(Config::acting()).await;
    sidecar.metric_when(r#"waha_session_status{session="default",status="working"}"#, 1.0).await;
    sidecar.metric_when("event_feed_connected", 1.0).await;
    assert_eq!(sidecar.bot().text(CHAT, "hola").await.status, 201);
    sidecar.metric_when(r#"confirmations_total{level="server",session="default"}"#, 1.0).await;
    assert!(sidecar.metric(r#"last_server_ack_timestamp_seconds{session="default"}"#).await > 0.0);
    assert!(sidecar.metric(r#"healthchecks_total{result="working",session="default"}"#).await >= 1.0);
    assert_eq!(sidecar.metric(r#"incident_open{session="default"}"#).await, 0.0);
}
