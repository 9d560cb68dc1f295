//! Facts as people see them: moments with their age, statuses with colour, icon and word, numbers masked, texts of strangers made plain.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::say::Say;
use crate::clock::wall;
use crate::domain::case::Case;
use crate::domain::id::Phone;
use crate::domain::order::OrderFacts;
use crate::domain::outcome::Outcome;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::words;

/// Most characters shown of a stranger's text.
const NAME_MAX: usize = 80;

/// A moment.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    /// For machines; the page's script turns it into the reader's own time.
    pub(super) iso: String,
    /// In UTC.
    pub(super) clock: String,
    /// How long ago.
    pub(super) age: String,
}

impl Stamp {
    pub(super) fn new(at: Timestamp, now: Timestamp, t: Say) -> Self {
        let date = chrono::DateTime::from_timestamp_millis(wall::outside(at).millis()).unwrap_or_default();
        let age = if at > now { t.in_time(at.since(now)) } else { t.ago(now.since(at)) };
        Self {
            iso: date.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            clock: date.format("%Y-%m-%d %H:%M UTC").to_string(),
            age,
        }
    }
}

/// How something looks: never by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// `good`, `warn`, `bad` or `calm`.
    pub(super) tone: &'static str,
    /// An icon's name.
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
}

impl Look {
    pub(super) const fn good(word: &'static str) -> Self {
        Self { tone: "good", icon: "check", word }
    }

    pub(super) const fn warn(word: &'static str) -> Self {
        Self { tone: "warn", icon: "alert", word }
    }

    pub(super) const fn bad(word: &'static str) -> Self {
        Self { tone: "bad", icon: "stop", word }
    }

    pub(super) const fn calm(word: &'static str) -> Self {
        Self { tone: "calm", icon: "dots", word }
    }
}

/// A status.
pub(super) const fn status(status: Status, t: Say) -> Look {
    match status {
        Status::Online => Look::good(t.online()),
        Status::Degraded => Look::warn(t.degraded()),
        Status::Incommunicado => Look::bad(t.incommunicado()),
        Status::IncommunicadoCritico => Look::bad(t.incommunicado_critico()),
        Status::Offline => Look { tone: "warn", icon: "moon", word: t.offline() },
        Status::Unknown => Look::calm(t.unknown()),
    }
}

/// How an attempt ended.
pub(super) const fn outcome(outcome: Outcome, t: Say) -> Look {
    match outcome {
        Outcome::Accepted => Look::good(t.accepted()),
        Outcome::Rejected => Look::bad(t.rejected()),
        Outcome::Failed => Look::bad(t.failed()),
        Outcome::Ambiguous => Look::warn(t.ambiguous()),
    }
}

/// A stranger's text on one line; `None` where nothing is left to see.
pub(super) fn plain(text: Option<&str>) -> Option<String> {
    text.and_then(|text| words::plain(text, NAME_MAX))
}

/// What an order is called: its number, else its id.
pub(super) fn order(facts: &OrderFacts) -> Option<String> {
    plain(facts.order_number.as_deref()).or_else(|| plain(facts.order_id.as_deref()))
}

/// A customer's number, masked unless somebody asked for it.
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub(super) masked: String,
    pub(super) whole: Option<Whole>,
}

/// A number as it is called.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) text: String,
    pub(super) link: String,
}

/// The number of a case's customer, and how it reads.
pub(super) fn phone(case: &Case) -> Option<(Phone, String)> {
    let phone = case.what.phone()?;
    let text = words::plain(phone.expose(), Phone::MAX)?;
    Some((phone, text))
}

/// The same for a page.
pub(super) fn number(case: &Case, shown: bool) -> Option<Number> {
    let (phone, text) = phone(case)?;
    let whole = shown.then(|| Whole { link: dial(&text), text });
    Some(Number { masked: phone.to_string().replace('…', "••• "), whole })
}

/// What a phone dials: digits, and the plus where it was written.
fn dial(text: &str) -> String {
    let plus = if text.trim_start().starts_with('+') { "+" } else { "" };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    format!("tel:{plus}{digits}")
}

/// Everything that could end a part of a link.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The order in the shop, where the shop said how that is linked and the facts are known.
pub(super) fn order_link(template: Option<&str>, facts: &OrderFacts) -> Option<String> {
    let mut link = template?.to_owned();
    for (name, fact) in [("{order_id}", &facts.order_id), ("{order_number}", &facts.order_number)] {
        if link.contains(name) {
            link = link.replace(name, &utf8_percent_encode(fact.as_deref()?, PART).to_string());
        }
    }
    Some(link)
}

/// A share as people read it.
pub(super) fn percent(share: f64) -> String {
    let shown = (share * 1000.0 + 1e-6).floor() / 10.0;
    if (shown - shown.round()).abs() < 0.05 { format!("{shown:.0} %") } else { format!("{shown:.1} %") }
}

/// A short span, such as a latency.
pub(super) fn span(span: Duration) -> String {
    if span < Duration::from_secs(1) { format!("{} ms", span.as_millis()) } else { words::duration(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_orders_cannot_be_led_astray() {
        let facts = OrderFacts { order_id: Some("a/../b?c=\"'<é".into()), ..OrderFacts::default() };
        let link = |template| order_link(Some(template), &facts);
        assert_eq!(
            link("https://shop.example/orders/{order_id}").unwrap(),
            "https://shop.example/orders/a%2F..%2Fb%3Fc%3D%22%27%3C%C3%A9"
        );
        assert_eq!(link("https://shop.example/{order_number}"), None, "nobody said it");
        assert_eq!(order_link(None, &facts), None);
    }

    #[test]
    fn numbers_are_dialled_as_digits() {
        assert_eq!(dial("+58 424-123.4567"), "tel:+584241234567");
        assert_eq!(dial("(0424) 123"), "tel:0424123");
        assert_eq!(dial("javascript:alert(1)"), "tel:1");
    }

    #[test]
    fn shares_are_never_rounded_up_to_all() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.9999), "99.9 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.0), "0 %");
    }
}
