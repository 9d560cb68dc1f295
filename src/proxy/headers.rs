//! Headers on their way: what belongs to one connection is taken out, what the bot says to us alone is read and removed.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode;

use crate::domain::id::{Phone, SendId};
use crate::domain::order::{NotificationType, OrderFacts, fact};
use crate::domain::outcome::Outcome;

/// All of ours begin so.
const OURS: &str = "x-watchdog-";
/// The bot's name for a send; the second, which others know too, is forwarded as it is.
const SEND_NAMES: [&str; 2] = ["x-watchdog-notification-id", "idempotency-key"];

const SEND_ID: HeaderName = HeaderName::from_static("x-watchdog-send-id");
const OUTCOME: HeaderName = HeaderName::from_static("x-watchdog-outcome");
const RECORDED: HeaderName = HeaderName::from_static("x-watchdog-recorded");

/// Takes out what belongs to this connection alone (RFC 9110, 7.6.1): the fixed names and those that `Connection` names; the length too,
/// where chunks said otherwise; and names of ours, which only we may say.
pub(super) fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    // Most messages name none but the fixed ones: then nothing is allocated.
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !is_fixed(name));
    let named: Vec<HeaderName> = named.filter_map(|name| name.parse().ok()).collect();
    while let Some(name) = headers.keys().find(|name| stays_here(name.as_str())).cloned() {
        headers.remove(name);
    }
    for name in named {
        headers.remove(name);
    }
}

fn stays_here(name: &str) -> bool {
    is_fixed(name) || name.starts_with(OURS)
}

/// Spelled small, as in a map.
fn is_fixed(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Makes a bot's request headers WAHA's: `upstream` as Host, nothing of this connection, nothing of ours.
pub(super) fn for_upstream(headers: &mut HeaderMap, upstream: &HeaderValue) {
    strip(headers);
    headers.remove(EXPECT);
    headers.insert(HOST, upstream.clone());
}

/// Does the bot ask for a WebSocket?
pub(super) fn asks_for_websocket(method: &Method, headers: &HeaderMap) -> bool {
    let websocket =
        headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let upgrade = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    *method == Method::GET
        && websocket
        && upgrade.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"))
}

/// The name the bot gave its send, and the header it gave it in. A blank one is none.
pub(super) fn send_name(headers: &HeaderMap) -> Option<(&'static str, &[u8])> {
    let given = |name: &'static str| Some((name, headers.get(name)?.as_bytes().trim_ascii()));
    // Most calls have neither, and to look a name up costs more than to see that it is not there.
    headers.keys().find(|name| SEND_NAMES.contains(&name.as_str()))?;
    SEND_NAMES.into_iter().filter_map(given).find(|(_, value)| !value.is_empty())
}

/// What the bot says of the order, in `X-Watchdog-*` headers: UTF-8, percent-encoded (SPEC 4.2).
pub(super) fn order_facts(headers: &HeaderMap) -> OrderFacts {
    let read = |name: &str| {
        let value = percent_decode(headers.get(name)?.as_bytes()).decode_utf8_lossy().into_owned();
        fact(&value)
    };
    if !headers.keys().any(|name| name.as_str().starts_with(OURS)) {
        return OrderFacts::default();
    }
    OrderFacts {
        order_id: read("x-watchdog-order-id"),
        order_number: read("x-watchdog-order-number"),
        order_total: read("x-watchdog-order-total"),
        customer_name: read("x-watchdog-customer-name"),
        customer_phone: read("x-watchdog-customer-phone").and_then(|phone| Phone::new(&phone)),
        notification_type: read("x-watchdog-notification-type")
            .and_then(|kind| NotificationType::parse(&kind)),
    }
}

/// Says what became of a send.
pub(super) fn mark(headers: &mut HeaderMap, send: SendId, outcome: Outcome, recorded: bool) {
    let mut text = [0u8; 36];
    let id = HeaderValue::from_str(send.text(&mut text));
    headers.insert(SEND_ID, id.unwrap_or_else(|_| unreachable!("hexadecimal digits and dashes")));
    headers.insert(OUTCOME, HeaderValue::from_static(outcome.as_str()));
    headers.insert(RECORDED, HeaderValue::from_static(if recorded { "1" } else { "0" }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let mut headers = map(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-api-key2"),
            ("x-hop", "1"),
            ("x-api-key2", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("x-api-key", "secret"),
            ("expect", "100-continue"),
            ("x-watchdog-order-id", "7"),
            ("host", "bot-side"),
        ]);
        for_upstream(&mut headers, &HeaderValue::from_static("waha:3000"));
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(headers["x-api-key"], "secret");
        assert_eq!(headers["host"], "waha:3000");
    }

    #[test]
    fn order_facts_are_percent_encoded_utf8() {
        let facts = order_facts(&map(&[
            ("x-watchdog-order-id", "42"),
            ("x-watchdog-customer-name", "Mar%C3%ADa%20G%C3%B3mez"),
            ("x-watchdog-customer-phone", "+584241234567"),
            ("x-watchdog-notification-type", "order_confirmed"),
        ]));
        assert_eq!(facts.customer_name.as_deref(), Some("María Gómez"));
        assert_eq!(facts.notification_type, Some(NotificationType::OrderConfirmed));
        assert_eq!(facts.key(), Some("42"));
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let asks = |pairs| asks_for_websocket(&Method::GET, &map(pairs));
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!asks(&[("upgrade", "websocket")]));
    }
}
