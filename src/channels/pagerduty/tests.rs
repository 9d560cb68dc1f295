//! Events to a pager that does as it is told.

use super::super::testing::outside::{Asked, Reply, Service};
use super::super::testing::{INCIDENT, alert, channels, drill, loss, recovered, tell};
use super::super::{Channels, Settings};
use super::*;
use crate::domain::alert::Trouble;
use crate::domain::delivery::Channel;
use crate::domain::outcome::Outcome;

fn by(service: &Service) -> Channels {
    let routing_key = "R0123456789abcdef0123456789abcde".to_owned();
    let pagerduty = PagerdutySettings { url: service.url("/v2/enqueue"), routing_key };
    channels(Settings { pagerduty: Some(pagerduty), ..Settings::default() })
}

async fn pager() -> Service {
    Service::start(Reply::Status(202, r#"{"status":"success"}"#)).await
}

#[tokio::test]
async fn the_end_resolves_what_the_beginning_opened() {
    let service = pager().await;
    let channels = by(&service);
    assert_eq!(tell(&channels, Channel::Pagerduty, &loss(1, &["ORD-1"])).await, Outcome::Accepted);
    assert_eq!(tell(&channels, Channel::Pagerduty, &recovered(2)).await, Outcome::Accepted);
    let events: Vec<_> = service.asked().iter().map(Asked::json).collect();
    assert_eq!(events[0]["event_action"], "trigger");
    assert_eq!(events[1]["event_action"], "resolve");
    for event in &events {
        assert_eq!(event["dedup_key"], format!("waha-watchdog/{INCIDENT}"));
        assert_eq!(event["routing_key"], "R0123456789abcdef0123456789abcde");
        let summary = event["payload"]["summary"].as_str().unwrap();
        assert!(summary.chars().count() <= 1024 && !summary.contains('\n'), "{summary}");
    }
    let payload = &events[0]["payload"];
    assert_eq!((&payload["severity"], &payload["source"]), (&json!("critical"), &json!("waha-watchdog")));
    assert_eq!(payload["group"], "default");
    assert_eq!(payload["custom_details"]["orders"], 1);
    assert!(payload["summary"].as_str().unwrap().starts_with("BOT COMPLETAMENTE INCOMUNICADO"));
    assert_eq!(events[0]["links"][0]["href"], "https://dog.example.com/panel/orders");
}

#[tokio::test]
async fn trouble_has_a_key_of_its_own_and_a_test_leaves_nothing_open() {
    let service = pager().await;
    let channels = by(&service);
    let mut trouble = [1, 2].map(|id| alert(id, Says::Trouble(Trouble::KeyRefused)));
    trouble[1].says = Says::TroubleOver(Trouble::KeyRefused);
    let mut test = alert(3, Says::Test { who: "Ana Secreta".to_owned() });
    test.incident = None;
    for alert in trouble.iter().chain([&test, &drill(4)]) {
        assert_eq!(tell(&channels, Channel::Pagerduty, alert).await, Outcome::Accepted);
    }
    let seen: Vec<_> = service.asked().iter().map(Asked::json).collect();
    let seen: Vec<_> = (seen.iter())
        .map(|event| (event["event_action"].as_str().unwrap(), event["dedup_key"].as_str().unwrap()))
        .collect();
    let (test, drill) = (format!("waha-watchdog/{}", test.id), format!("waha-watchdog/{INCIDENT}"));
    let expected = [
        ("trigger", "waha-watchdog/key_refused"),
        ("resolve", "waha-watchdog/key_refused"),
        ("trigger", test.as_str()),
        ("resolve", test.as_str()),
        ("trigger", drill.as_str()),
    ];
    assert_eq!(seen, expected);
    assert!(service.asked().iter().all(|asked| !asked.text().contains("Ana")));
}

#[tokio::test]
async fn what_the_pager_says_decides() {
    let mut service = pager().await;
    let channels = by(&service);
    for (reply, expected) in [
        (Reply::Status(400, r#"{"status":"invalid event"}"#), Outcome::Rejected),
        (Reply::Status(429, ""), Outcome::Failed),
        (Reply::Status(500, ""), Outcome::Failed),
        (Reply::Drop, Outcome::Ambiguous),
    ] {
        service.answer_next(reply.clone());
        assert_eq!(tell(&channels, Channel::Pagerduty, &loss(1, &[])).await, expected, "{reply:?}");
    }
    assert!(channels.reach().await.remove(0).1.is_ok());
    service.go_down().await;
    assert_eq!(tell(&channels, Channel::Pagerduty, &loss(1, &[])).await, Outcome::Failed);
}
