//! Order facts from a message's text, so that an existing bot needs no code change (SPEC 4.2).
//!
//! Rules are tried in order; the first that matches decides type and facts. What headers say goes before what rules find.

use regex::Regex;

use super::id::Phone;
use super::order::{NotificationType, OrderFacts, fact};

/// Longest text a rule looks at, in bytes: the facts of an order stand at the top of a message.
pub const TEXT_MAX: usize = 16 * 1024;

/// One `[[extract]]` rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What a matching text announces.
    pub kind: NotificationType,
    /// Named groups `order_id`, `order_number`, `order_total`, `customer_name`, `customer_phone` give the facts.
    pub pattern: Regex,
    /// A second expression that must match too, where given.
    pub when: Option<Regex>,
}

/// The facts that `rules` find in `text`; nothing where none matches.
pub fn extract(rules: &[Rule], text: &str) -> OrderFacts {
    let end = (0..=text.len().min(TEXT_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = &text[..end];
    rules.iter().find_map(|rule| rule.apply(text)).unwrap_or_default()
}

impl Rule {
    fn apply(&self, text: &str) -> Option<OrderFacts> {
        if self.when.as_ref().is_some_and(|when| !when.is_match(text)) {
            return None;
        }
        let found = self.pattern.captures(text)?;
        let group = |name| found.name(name).and_then(|value| fact(value.as_str()));
        Some(OrderFacts {
            order_id: group("order_id"),
            order_number: group("order_number"),
            order_total: group("order_total"),
            customer_name: group("customer_name"),
            customer_phone: group("customer_phone").and_then(|phone| Phone::new(&phone)),
            notification_type: Some(self.kind),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: NotificationType, when: Option<&str>) -> Rule {
        Rule {
            kind,
            pattern: Regex::new(
                r"(?s)\*Orden:\*\s*(?P<order_number>\S+)(?:.*?\*Total:\*\s*(?P<order_total>\S+))?",
            )
            .unwrap(),
            when: when.map(|when| Regex::new(when).unwrap()),
        }
    }

    #[test]
    fn first_matching_rule_decides() {
        let rules = [
            rule(NotificationType::OrderShipped, Some("(?i)enviad")),
            rule(NotificationType::OrderReceived, None),
        ];
        let facts = extract(&rules, "🤝 *Hemos recibido tu orden*\n\n*Orden:* ORD-123\n*Total:* $45.00\n");
        assert_eq!(facts.order_number.as_deref(), Some("ORD-123"));
        assert_eq!(facts.order_total.as_deref(), Some("$45.00"));
        assert_eq!(facts.notification_type, Some(NotificationType::OrderReceived));
        let facts = extract(&rules, "Tu pedido fue enviado. *Orden:* ORD-9");
        assert_eq!(facts.notification_type, Some(NotificationType::OrderShipped));
        assert_eq!(facts.order_total, None);
        assert_eq!(extract(&rules, "hola"), OrderFacts::default());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = format!("*Orden:* ORD-1 {}", "ñ".repeat(TEXT_MAX));
        assert_eq!(
            extract(&[rule(NotificationType::Other, None)], &text).order_number.as_deref(),
            Some("ORD-1")
        );
    }
}
