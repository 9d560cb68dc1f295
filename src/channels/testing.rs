//! What the tests of this room share: alerts, and services outside that do as they are told.

#[allow(missing_docs, unreachable_pub, dead_code)]
#[path = "../../tests/it/harness/outside.rs"]
pub(super) mod outside;
#[allow(missing_docs, unreachable_pub, dead_code)]
#[path = "../../tests/it/harness/smtp.rs"]
pub(super) mod smtp;

use std::cell::RefCell;

use super::{Channels, Settings};
use crate::clock::Clock;
use crate::domain::alert::{Alert, OrderLine, Orders, Says};
use crate::domain::delivery::{Channel, Delivery};
use crate::domain::errand::Telling;
use crate::domain::id::{RecordId, SendId, SessionName};
use crate::domain::outcome::Outcome;
use crate::domain::status::{Assessment, Confidence, Reason, Status};
use crate::domain::time::Timestamp;
use crate::words::{Language, Links};

/// 2025-11-03T14:05:00Z
pub(super) const AT: Timestamp = Timestamp::from_millis(1_762_178_700_000);
/// The incident of [`loss`] and [`recovered`].
pub(super) const INCIDENT: RecordId = RecordId::from_bytes([9; 16]);

pub(super) fn alert(id: u8, says: Says) -> Alert {
    Alert {
        id: RecordId::from_bytes([id; 16]),
        session: SessionName::new("default").unwrap(),
        incident: Some(INCIDENT),
        at: AT,
        says,
        deliveries: Vec::new(),
    }
}

pub(super) fn orders(names: &[&str]) -> Orders {
    let mut orders = Orders::default();
    for (at, name) in names.iter().enumerate() {
        let send = SendId::from_bytes([u8::try_from(at).unwrap(); 16]);
        orders.add(OrderLine { send, order: Some((*name).to_owned()) });
    }
    orders
}

pub(super) fn loss(id: u8, names: &[&str]) -> Alert {
    let assessment = Assessment {
        status: Status::IncommunicadoCritico,
        confidence: Confidence::High,
        reason: Reason::TotalLoss,
    };
    alert(id, Says::TotalLoss { orders: orders(names), finding: None, assessment })
}

pub(super) fn recovered(id: u8) -> Alert {
    let worst = Status::IncommunicadoCritico;
    alert(id, Says::Recovered { start: AT, end: AT, worst, affected: 3, replayed: 1, left: 2 })
}

pub(super) fn drill(id: u8) -> Alert {
    alert(id, Says::Drill { who: "Ana Secreta".to_owned() })
}

/// Channels in Spanish, with a panel.
pub(super) fn channels(settings: Settings) -> Channels {
    let links = Links::new(Some("https://dog.example.com".to_owned()));
    let settings = Settings { language: Language::Es, links, ..settings };
    Channels::new(settings, &Clock::manual(AT)).unwrap()
}

/// Tells it through a channel.
pub(super) async fn tell(channels: &Channels, channel: Channel, alert: &Alert) -> Outcome {
    tell_again(channels, channel, &mut alert.clone()).await
}

/// The same; who has it now is written down in the alert, as the heart does it.
pub(super) async fn tell_again(channels: &Channels, channel: Channel, alert: &mut Alert) -> Outcome {
    let telling = Telling { alert: Box::new(alert.clone()), channel };
    let reported = RefCell::new(Vec::new());
    let tried = channels.tell(&telling, &|who| reported.borrow_mut().push(who)).await;
    assert_eq!(tried.reached, *reported.borrow(), "each is reported at once");
    assert_eq!(tried.why.is_none(), tried.outcome == Outcome::Accepted, "{tried:?}");
    if alert.on(channel).is_none() {
        alert.deliveries.push(Delivery::new(channel, AT));
    }
    alert.on_mut(channel).unwrap().reaches(&tried.reached);
    tried.outcome
}
