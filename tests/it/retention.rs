//! The file stays small: what is old and done goes, what waits for people never does (SPEC 8).

use std::time::Duration;

use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::{CHAT, Config, pair, until};
use super::joining::received;

#[tokio::test]
async fn old_sends_go_and_open_notifications_stay() {
    let config =
        Config::new().set("store.sends_for", "2s").set("store.resolved_for", "1s").raw("retry.attempts", "1");
    let (waha, mut sidecar) = pair(config).await;
    for nth in 0..20 {
        sidecar.bot().text(CHAT, &format!("accepted {nth}")).await;
    }
    waha.faults().add(Fault::always(FaultKind::Status422).times(2));
    for order in ["ORD-OPEN", "ORD-SETTLED"] {
        sidecar.bot().text(CHAT, &received(order)).await;
    }
    sidecar.bot().text(CHAT, &received("ORD-SETTLED")).await;
    sidecar.failed_when(2).await;
    until("one is settled", async || sidecar.failed().await.iter().any(|one| one["resolved"] == true)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // What is old is looked for at the start, and then every now and then.
    sidecar.restart().await;
    until("the accepted ones are gone", async || {
        !sidecar.sends().await.iter().any(|send| send["order_number"].is_null())
    })
    .await;
    until("the settled one is gone", async || sidecar.failed().await.len() == 1).await;
    for _ in 0..2 {
        let failed = sidecar.failed().await;
        assert_eq!((failed.len(), &failed[0]["order_number"]), (1, &"ORD-OPEN".into()));
        assert_eq!(failed[0]["resolved"], false);
        assert_eq!(sidecar.failed_one(failed[0]["id"].as_str().unwrap()).await["timeline"][0]["number"], 1);
        sidecar.restart().await;
    }
    // The bot tries once more, as late as that: it is still the same send.
    let id = sidecar.failed().await[0]["id"].clone();
    assert_eq!(sidecar.bot().text(CHAT, &received("ORD-OPEN")).await.send_id(), id.as_str().unwrap());
}
