//! The series of single orders: how many, which, and what they do not say.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::SINGLES_MAX;
use crate::domain::decide::tests::POLICY;
use crate::domain::decide::{Event, State};
use crate::domain::id::{ChatId, Phone, SendId, SessionName};
use crate::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use crate::domain::order::OrderFacts;
use crate::domain::outcome::Cause;
use crate::domain::send::{Description, SendKind};
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;

fn session(name: &str) -> SessionName {
    SessionName::new(name).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// WhatsApp does not know the number: an open failed notification at once.
fn rejected(state: &mut State, number: u32, to: &str, order: OrderFacts) {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let moment = at(1_000 + i64::from(number));
    let what = Description {
        identity: None,
        session: SessionName::new(to),
        chat: ChatId::new(&format!("58424{number:07}")),
        kind: SendKind::Text,
        path: "/send".into(),
        order,
    };
    let ended = Ended {
        attempt: AttemptId { send: SendId::from_bytes(id), number: 1 },
        via: Via::Bot,
        first_at: moment,
        started: moment,
        ended: moment,
        what: Arc::new(what),
        outcome: Cause::NumberNotOnWhatsapp.outcome(),
        cause: Some(Cause::NumberNotOnWhatsapp),
        status: None,
        detail: None,
        message_id: None,
        given_up: false,
        unheard: None,
        request: None,
    };
    let entry = Entry::Ended(Box::new(ended));
    let _ = state.decide(Event::Entry(Position(u64::from(number) + 1), entry), moment, &POLICY);
}

fn numbered(number: &str) -> OrderFacts {
    OrderFacts { order_number: Some(number.into()), ..OrderFacts::default() }
}

struct Shop {
    state: State,
    metrics: Metrics,
}

impl Shop {
    fn new() -> Self {
        let names = [session("default"), session("ventas")];
        Self { state: State::new(&names, at(0), [0; 16]), metrics: Metrics::new(&names).unwrap() }
    }

    fn scrape(&self) -> Vec<String> {
        self.metrics.mind.show(&self.state, at(100_000), &POLICY);
        let text = String::from_utf8(self.metrics.encode()).unwrap();
        let of_ours = |line: &&str| !line.starts_with('#') && !line.starts_with("process_");
        let mut lines: Vec<_> = text.lines().filter(of_ours).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn of(&self, family: &str) -> Vec<String> {
        let start = format!("waha_watchdog_{family}{{");
        self.scrape().into_iter().filter(|line| line.starts_with(&start)).collect()
    }
}

#[test]
fn the_oldest_hundred_are_shown_and_the_others_counted() {
    let mut shop = Shop::new();
    for number in 0..130 {
        let to = if number % 2 == 0 { "default" } else { "ventas" };
        rejected(&mut shop.state, number, to, numbered(&format!("ORD-{number}")));
    }
    let shown = shop.of("order_unnotified_info");
    assert_eq!(shown.len(), SINGLES_MAX);
    assert!(
        shown.contains(&r#"waha_watchdog_order_unnotified_info{order="ORD-0",reason="number_not_on_whatsapp",session="default"} 1000"#.to_owned()),
        "{shown:#?}"
    );
    assert!(!shown.iter().any(|line| line.contains("ORD-100\"")), "beyond the hundred oldest");
    let hidden = shop.of("orders_unnotified_hidden");
    let expected = ["default\"} 15", "other\"} 0", "ventas\"} 15"];
    assert!(hidden.iter().zip(expected).all(|(line, end)| line.ends_with(end)), "{hidden:?}");
    // Two notifications of one order are one order, since the older.
    rejected(&mut shop.state, 500, "default", numbered("ORD-0"));
    assert_eq!(shop.of("order_unnotified_info"), shown);
}

#[test]
fn a_settled_order_has_no_series_any_more() {
    let mut shop = Shop::new();
    rejected(&mut shop.state, 1, "default", numbered("ORD-1"));
    assert_eq!(shop.of("order_unnotified_info").len(), 1);
    shop.state = State::new(&[session("default")], at(0), [0; 16]);
    assert_eq!(shop.of("order_unnotified_info"), Vec::<String>::new());
}

#[test]
fn the_number_of_series_depends_on_sessions_alone() {
    let series = |orders: u32| {
        let mut shop = Shop::new();
        for number in 0..orders {
            rejected(&mut shop.state, number, "default", numbered(&format!("ORD-{number}")));
        }
        let names = shop.scrape().into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
        names.filter(|name| !name.contains("order_unnotified_info")).collect::<BTreeSet<_>>()
    };
    let without = series(0);
    assert!(without.len() > 500, "{}", without.len());
    assert_eq!(without, series(10));
    // A hundred of these at the most, and nothing else grows with orders and chats.
    assert_eq!(without, series(3_000));
}

#[test]
fn nothing_of_the_customer_is_a_label() {
    let mut shop = Shop::new();
    let phone = OrderFacts { customer_phone: Phone::new("+58 424-555 12 34"), ..numbered("4245551234") };
    let name =
        OrderFacts { customer_name: Some("María Gómez".into()), ..numbered("pedido de maría gómez") };
    rejected(&mut shop.state, 1, "default", phone);
    rejected(&mut shop.state, 2, "default", name);
    rejected(&mut shop.state, 3, "default", numbered("584240000003"));
    rejected(&mut shop.state, 4, "default", numbered("20250101-004"));
    rejected(&mut shop.state, 5, "default", numbered(&"9\u{7}\n\"".repeat(100)));
    let shown = shop.of("order_unnotified_info");
    let named: Vec<_> = shown.iter().map(|line| line.split("order=\"").nth(1).unwrap()).collect();
    assert_eq!(named.len(), 3, "{shown:#?}");
    assert!(named[0].starts_with("-\","), "{shown:#?}");
    assert!(named[1].starts_with("20250101-004\","), "{shown:#?}");
    assert!(named[2].starts_with("9\\\"9") && named[2].len() < 3 * 64 + 100, "{shown:#?}");
    let hidden = shop.of("orders_unnotified_hidden");
    assert!(hidden[0].ends_with(" 2"), "of three without a name one series is left: {hidden:?}");
}
