//! Webhooks to a receiver that does as it is told.

use super::super::testing::outside::{Reply, Service};
use super::super::testing::{INCIDENT, channels, drill, loss, recovered, tell};
use super::super::{Channels, Settings};
use super::*;
use crate::domain::delivery::Channel;
use crate::domain::outcome::Outcome;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

fn by(service: &Service, secret: &str) -> Channels {
    let webhook = WebhookSettings { url: service.url("/hook?x=1"), secret: secret.to_owned() };
    channels(Settings { webhook: Some(webhook), ..Settings::default() })
}

#[tokio::test]
async fn whoever_knows_the_secret_can_tell_that_it_is_ours() {
    let service = Service::start(Reply::Status(204, "")).await;
    // "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" in the words of the standard's own example.
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let plain = b"0123456789abcdef".to_vec();
    for (secret, key) in [("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key), ("0123456789abcdef", plain)] {
        let told = loss(1, &["ORD-1"]);
        assert_eq!(tell(&by(&service, secret), Channel::Webhook, &told).await, Outcome::Accepted);
        let asked = service.asked().pop().unwrap();
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/hook?x=1"));
        assert_eq!(asked.header("webhook-id"), told.id.to_string());
        assert_eq!(asked.header("webhook-timestamp"), "1762178700");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.1762178700.{}", told.id, asked.text()).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(asked.header("webhook-signature"), expected);
    }
}

#[tokio::test]
async fn it_carries_order_and_link_and_no_name() {
    let service = Service::start(Reply::Status(200, "ok")).await;
    let channels = by(&service, "0123456789abcdef");
    for alert in [loss(1, &["ORD-1", "ORD-2"]), recovered(2), drill(3)] {
        tell(&channels, Channel::Webhook, &alert).await;
    }
    let told: Vec<_> = service.asked().iter().map(super::super::testing::outside::Asked::json).collect();
    assert_eq!(told[0]["type"], "alert.total_loss");
    assert_eq!(told[0]["timestamp"], "2025-11-03T14:05:00.000Z");
    let data = &told[0]["data"];
    assert_eq!(data["orders"], json!(["ORD-1", "ORD-2"]));
    assert_eq!((&data["orders_count"], &data["ends"]), (&json!(2), &json!(false)));
    assert_eq!(data["incident_id"], INCIDENT.to_string());
    assert_eq!(data["severity"], "critical");
    assert_eq!(data["link"], "https://dog.example.com/panel/orders");
    assert_eq!((&told[1]["data"]["ends"], &told[1]["data"]["severity"]), (&json!(true), &json!("info")));
    assert!(!service.asked()[2].text().contains("Ana"), "{}", told[2]);
}

#[tokio::test]
async fn what_the_receiver_says_decides() {
    let service = Service::start(Reply::Status(200, "")).await;
    let channels = by(&service, "0123456789abcdef");
    for (reply, expected) in [
        (Reply::Status(400, ""), Outcome::Rejected),
        (Reply::Status(410, ""), Outcome::Rejected),
        (Reply::Status(302, ""), Outcome::Failed),
        (Reply::Status(404, ""), Outcome::Failed),
        (Reply::Status(500, ""), Outcome::Failed),
        (Reply::Drop, Outcome::Ambiguous),
    ] {
        service.answer_next(reply.clone());
        assert_eq!(tell(&channels, Channel::Webhook, &drill(1)).await, expected, "{reply:?}");
    }
    assert!(channels.reach().await.remove(0).1.unwrap().contains("200 to HEAD"));
}
