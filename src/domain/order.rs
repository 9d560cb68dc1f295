//! What a send tells about an order: facts from headers or from the text, all optional, all bounded.

use std::fmt;

use smol_str::SmolStr;

use super::id::Phone;

/// What a notification announces (SPEC 2). Ordered by how far the order has come: a later type supersedes an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotificationType {
    /// Anything else; neither supersedes nor is superseded.
    #[default]
    Other,
    /// The order arrived.
    OrderReceived,
    /// The payment was confirmed.
    OrderConfirmed,
    /// The order is on its way.
    OrderShipped,
}

impl NotificationType {
    /// All types, in the order that label sets are created.
    pub const ALL: [Self; 4] = [Self::OrderReceived, Self::OrderConfirmed, Self::OrderShipped, Self::Other];

    /// The word of the API, the metrics and the store's users.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "OTHER",
            Self::OrderReceived => "ORDER_RECEIVED",
            Self::OrderConfirmed => "ORDER_CONFIRMED",
            Self::OrderShipped => "ORDER_SHIPPED",
        }
    }

    /// The type of a word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word.trim()))
    }
}

/// Longest single fact kept, in bytes: an order number is short, a name may be long, neither is a novel.
pub const FACT_MAX: usize = 512;

/// What is known of the order a send is about. Everything may be missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OrderFacts {
    /// The shop's internal id.
    pub order_id: Option<SmolStr>,
    /// The number that people say, `ORD-123`.
    pub order_number: Option<SmolStr>,
    /// The total as written, with its currency where it had one.
    pub order_total: Option<SmolStr>,
    /// The customer's name: personal data and hostile text.
    pub customer_name: Option<SmolStr>,
    /// The customer's phone.
    pub customer_phone: Option<Phone>,
    /// What is announced; `None` where nobody said.
    pub notification_type: Option<NotificationType>,
}

impl OrderFacts {
    /// Does this send have order data, in the sense of SPEC 4.5 (its intent goes on disk first)?
    pub fn names_order(&self) -> bool {
        self.order_id.is_some() || self.order_number.is_some()
    }

    /// Takes from `other` what is missing here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            order_id: self.order_id.or(other.order_id),
            order_number: self.order_number.or(other.order_number),
            order_total: self.order_total.or(other.order_total),
            customer_name: self.customer_name.or(other.customer_name),
            customer_phone: self.customer_phone.or(other.customer_phone),
            notification_type: self.notification_type.or(other.notification_type),
        }
    }

    /// What joins the notifications of one order: its id, else its number.
    pub fn key(&self) -> Option<&str> {
        self.order_id.as_deref().or(self.order_number.as_deref())
    }
}

/// One fact from untrusted text: trimmed, cut at [`FACT_MAX`] on a character's edge, `None` where nothing is left.
pub fn fact(text: &str) -> Option<SmolStr> {
    let text = text.trim();
    (!text.is_empty()).then(|| SmolStr::new(&text[..text.floor_char_boundary(FACT_MAX)]))
}

/// Order numbers may be shown; the customer may not.
impl fmt::Debug for OrderFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderFacts")
            .field("order_id", &self.order_id)
            .field("order_number", &self.order_number)
            .field("notification_type", &self.notification_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_trimmed_and_cut_between_characters() {
        assert_eq!(fact("  ORD-1 "), Some("ORD-1".into()));
        assert_eq!(fact("   "), None);
        let long = "ñ".repeat(FACT_MAX);
        assert_eq!(fact(&long).unwrap().len(), FACT_MAX);
    }

    #[test]
    fn types_have_an_order_and_words() {
        assert!(NotificationType::OrderReceived < NotificationType::OrderShipped);
        for kind in NotificationType::ALL {
            assert_eq!(NotificationType::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(NotificationType::parse("order_shipped "), Some(NotificationType::OrderShipped));
        assert_eq!(NotificationType::parse("nope"), None);
    }

    #[test]
    fn the_customer_does_not_print() {
        let facts = OrderFacts {
            customer_name: Some("Juan".into()),
            customer_phone: Phone::new("+584241234567"),
            ..OrderFacts::default()
        };
        let shown = format!("{facts:?}");
        assert!(!shown.contains("Juan") && !shown.contains("4567"), "{shown}");
    }
}
