//! Short messages through a service that does as it is told.

use super::super::testing::outside::{Reply, Service};
use super::super::testing::{alert, channels, drill, loss, recovered, tell, tell_again};
use super::super::{Channels, Settings};
use super::*;
use crate::domain::alert::Says;
use crate::domain::delivery::Channel;
use crate::domain::outcome::Outcome;
use crate::words::{Language, Links};

async fn by(service: &Service, to: &[&str]) -> Channels {
    let sms = SmsSettings {
        url: service.url(""),
        account: "AC12".to_owned(),
        token: "secret".to_owned(),
        from: "+15550001111".to_owned(),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
    };
    channels(Settings { sms: Some(sms), ..Settings::default() })
}

fn fields(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

#[tokio::test]
async fn each_recipient_gets_one_that_says_what_to_do() {
    let service = Service::start(Reply::Status(201, "{}")).await;
    let channels = by(&service, &["+15550002222", "+15550003333"]).await;
    assert_eq!(tell(&channels, Channel::Sms, &loss(1, &["ORD-1"])).await, Outcome::Accepted);
    let asked = service.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].target, "/2010-04-01/Accounts/AC12/Messages.json");
    assert_eq!(asked[0].header("authorization"), "Basic QUMxMjpzZWNyZXQ=");
    let fields = fields(&asked[0].body);
    assert_eq!(fields[1], ("From".to_owned(), "+15550001111".to_owned()));
    assert_eq!(fields[2].0, "Body");
    let lines: Vec<_> = fields[2].1.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "BOT COMPLETAMENTE INCOMUNICADO (sesion default)");
    assert!(lines[1].contains("14:05 UTC") && lines[1].contains("1 aviso"), "{lines:?}");
    assert!(lines[2].starts_with("Qué hacer: "), "{lines:?}");
    assert_eq!(lines[3], "https://dog.example.com/panel/orders");
    assert_eq!(channels.reach().await.remove(0).1.unwrap(), "the account is known; 2 recipients");
}

#[tokio::test]
async fn who_has_it_is_not_told_again_with_the_next_try() {
    let service = Service::start(Reply::Status(201, "{}")).await;
    service.answer_next(Reply::Status(201, "{}"));
    service.answer_next(Reply::Status(503, ""));
    let channels = by(&service, &["+15550002222", "+15550003333"]).await;
    let mut alert = drill(1);
    assert_eq!(tell_again(&channels, Channel::Sms, &mut alert).await, Outcome::Failed);
    assert_eq!(tell_again(&channels, Channel::Sms, &mut alert).await, Outcome::Accepted);
    let to: Vec<_> = service.asked().iter().map(|asked| fields(&asked.body)[0].1.clone()).collect();
    assert_eq!(to.len(), 3);
    assert_ne!(to[0], to[1]);
    // Whose answer the failure was depends on who came first.
    assert!(to[2] == to[0] || to[2] == to[1], "{to:?}");
    // Another alert goes to both.
    assert_eq!(tell(&channels, Channel::Sms, &drill(2)).await, Outcome::Accepted);
    assert_eq!(service.asked().len(), 5);
}

#[tokio::test]
async fn what_the_service_says_decides() {
    let mut service = Service::start(Reply::Status(201, "{}")).await;
    let channels = by(&service, &["+15550002222"]).await;
    let bad_number = r#"{"code": 21211, "message": "The 'To' number +15550002222 is not valid"}"#;
    for (reply, expected) in [
        (Reply::Status(400, bad_number), Outcome::Rejected),
        (Reply::Status(401, "{}"), Outcome::Failed),
        (Reply::Status(429, ""), Outcome::Failed),
        (Reply::Drop, Outcome::Ambiguous),
    ] {
        service.answer_next(reply.clone());
        assert_eq!(tell(&channels, Channel::Sms, &drill(1)).await, expected, "{reply:?}");
    }
    service.go_down().await;
    assert_eq!(tell(&channels, Channel::Sms, &drill(1)).await, Outcome::Failed);
}

#[test]
fn no_message_is_longer_than_three_parts_and_the_link_is_whole() {
    let long = "x".repeat(400);
    let alerts =
        [loss(1, &[long.as_str()]), recovered(2), drill(3), alert(4, Says::Test { who: long.clone() })];
    let links = Links::new(Some(format!("https://{}.example.com", "long-name-".repeat(15))));
    for alert in &alerts {
        for language in Language::ALL {
            for links in [&links, &Links::default()] {
                let worded = worded(alert, Eyes::Others, language, links);
                let message = text(&worded);
                assert!(gsm::places(&message) <= PLACES_MAX, "{message}");
                assert_eq!(gsm::gsm(&message), message);
                if let Some(link) = &worded.link {
                    assert!(message.ends_with(link.as_str()), "{message}");
                }
            }
        }
    }
}
