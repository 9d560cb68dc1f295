//! `retry.mode = "proxy"`: the sidecar tries again and answers the bot once (SPEC 4.4).

use std::time::{Duration, Instant};

use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind};

use super::harness::{CHAT, Config, Sidecar, pair, until, without_store};
use super::joining::received;

fn retrying() -> Config {
    Config::new().set("retry.mode", "proxy").set("retry.backoff", "50ms").raw("retry.jitter", "0.0")
}

#[tokio::test]
async fn the_bot_gets_one_answer_after_the_recovery() {
    let (waha, sidecar) = pair(retrying()).await;
    for kind in [FaultKind::Refuse, FaultKind::Status422] {
        waha.reset();
        waha.faults().add(Fault::to_chat(CHAT, kind).times(2));
        let answer = sidecar.bot().text(CHAT, &received("ORD-1")).await;
        assert_eq!((answer.status, answer.outcome(), answer.recorded()), (201, "accepted", true));
        assert_eq!(waha.phones().times(CHAT, &received("ORD-1")), 1);
        assert_eq!(waha.calls().len(), 3);
        let send = sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 3).await;
        assert_eq!((&send["outcome"], &send["via"]), (&"accepted".into(), &"retry".into()));
    }
    assert!(sidecar.failed().await.is_empty());
    sidecar.metric_when(r#"retries_recovered_total{kind="text",session="default"}"#, 2.0).await;
}

#[tokio::test]
async fn an_outage_shorter_than_the_budget_is_bridged() {
    let config =
        retrying().raw("retry.attempts", "10").set("retry.backoff", "300ms").raw("retry.factor", "1.0");
    let (mut waha, sidecar) = pair(config).await;
    waha.go_down().await;
    let bot = sidecar.bot();
    let sending = tokio::spawn(async move { bot.text(CHAT, "hola").await });
    sidecar.metric_when(r#"attempts_total{outcome="failed",session="default"}"#, 2.0).await;
    waha.come_up().await.unwrap();
    let answer = sending.await.unwrap();
    assert_eq!((answer.status, answer.outcome()), (201, "accepted"));
    assert_eq!(waha.phones().times(CHAT, "hola"), 1);
}

#[tokio::test]
async fn what_is_exhausted_is_a_failed_notification_at_once() {
    let (waha, sidecar) = pair(retrying()).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    let answer = sidecar.bot().text(CHAT, &received("ORD-1")).await;
    assert_eq!((answer.status, answer.outcome()), (422, "failed"), "WAHA's own last answer");
    let failed = sidecar.failed_when(1).await;
    assert_eq!((&failed[0]["attempts"], &failed[0]["id"]), (&4.into(), &answer.send_id().as_str().into()));
    assert_eq!(waha.calls().len(), 4);
    // The bot's own later call goes on with the same send.
    waha.faults().clear();
    let answer = sidecar.bot().text(CHAT, &received("ORD-1")).await;
    assert_eq!((answer.status, answer.send_id().as_str()), (201, failed[0]["id"].as_str().unwrap()));
    until("it is settled", async || sidecar.failed().await[0]["resolved"] == true).await;
    assert_eq!(sidecar.failed().await[0]["attempts"], 5);
}

#[tokio::test]
async fn the_budget_ends_the_tries() {
    let config =
        retrying().set("retry.backoff", "400ms").raw("retry.factor", "1.0").set("retry.budget", "1s");
    let (waha, sidecar) = pair(config.raw("retry.attempts", "20")).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    let started = Instant::now();
    let answer = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!(answer.status, 422);
    assert!(waha.calls().len() <= 3, "{}", waha.calls().len());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    let waha = FakeWaha::start(without_store()).await.unwrap();
    let config = retrying().set("proxy.response_timeout", "1s").upstream(&waha.url());
    let sidecar = Sidecar::start(config).await;
    for (nth, kind) in
        [FaultKind::DropAfterProcessing, FaultKind::TruncateAnswer, FaultKind::Hang].into_iter().enumerate()
    {
        waha.reset();
        waha.faults().add(Fault::always(kind));
        let answer = sidecar.bot().text(CHAT, &received(&format!("ORD-{nth}"))).await;
        assert_eq!(answer.outcome(), "ambiguous");
        assert_eq!(waha.calls().len(), 1, "sent once");
        let failed = sidecar.failed_when(nth + 1).await;
        assert_eq!((&failed[nth]["attempts"], &failed[nth]["outcome"]), (&1.into(), &"ambiguous".into()));
    }
    // Nor what is rejected.
    waha.reset();
    waha.faults().add(Fault::always(FaultKind::NoLid));
    assert_eq!(sidecar.bot().text(CHAT, "hola").await.outcome(), "rejected");
    assert_eq!(waha.calls().len(), 1);
}

#[tokio::test]
async fn the_order_within_a_chat_is_kept() {
    let config = retrying().set("retry.backoff", "700ms").raw("retry.factor", "1.0");
    let (waha, sidecar) = pair(config).await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422).times(1));
    let bot = sidecar.bot();
    let first = tokio::spawn(async move { bot.text(CHAT, "first").await });
    until("the first try failed", async || waha.calls().len() == 1).await;
    let second = tokio::spawn(async move { bot.text(CHAT, "second").await });
    // Another chat does not wait.
    assert_eq!(bot.text("5599", "elsewhere").await.status, 201);
    assert!(waha.phones().chat(CHAT).is_empty(), "the first still waits for its next try");
    assert_eq!((first.await.unwrap().status, second.await.unwrap().status), (201, 201));
    let texts: Vec<_> = waha.phones().chat(CHAT).iter().map(|shown| shown.text.clone()).collect();
    assert_eq!(texts, ["first", "second"]);
}

#[tokio::test]
async fn a_bot_that_gives_up_meanwhile_is_served_all_the_same() {
    let (waha, sidecar) = pair(retrying().set("retry.backoff", "500ms")).await;
    waha.faults().add(Fault::always(FaultKind::Status422).times(1));
    assert!(sidecar.bot().text_and_give_up(CHAT, "hola", Duration::from_millis(200)).await.is_none());
    until("it is told", async || waha.phones().times(CHAT, "hola") == 1).await;
    let answer = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!(answer.status, 201);
    assert_eq!(waha.phones().times(CHAT, "hola"), 1);
    sidecar.send_when(&answer.send_id(), |send| send["attempts"] == 3).await;
}

#[tokio::test]
async fn a_crash_between_two_tries_leaves_one_failed_notification() {
    let config = retrying().set("retry.backoff", "20s").set("retry.give_up_after", "500ms");
    let (waha, mut sidecar) = pair(config).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    let bot = sidecar.bot();
    let sending = tokio::spawn(async move { bot.try_text(CHAT, &received("ORD-1"), &[]).await });
    sidecar.metric_when(r#"attempts_total{outcome="failed",session="default"}"#, 1.0).await;
    sidecar.kill9();
    assert!(sending.await.unwrap().is_err());
    sidecar.run().await;
    let failed = sidecar.failed_when(1).await;
    assert_eq!((&failed[0]["attempts"], &failed[0]["cause"]), (&1.into(), &"session_not_working".into()));
    sidecar.restart().await;
    assert_eq!(sidecar.failed().await.len(), 1);
}
