//! `[[extract]]`: reading the rules that take order data out of message texts. Applying them is not done here.

use regex::{Regex, RegexBuilder};

use super::read::{Reader, Row};
use super::settings::{EXTRACT_GROUPS, ExtractRule};

/// A compiled expression may take this much memory, in bytes; each text runs through all rules.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The rules in the order they are tried.
pub(super) fn rules(r: &mut Reader) -> Vec<ExtractRule> {
    r.tables("extract", &["type", "pattern", "when"], |row| {
        // All three, so that each reports its own faults.
        let (kind, pattern, when) = (row.choice("type"), pattern(row), when(row));
        Some(ExtractRule { notification_type: kind?, pattern: pattern?, when: when? })
    })
}

fn pattern(row: &mut Row<'_>) -> Option<Regex> {
    row.text("pattern", "a regular expression with named groups", |text| {
        let regex = regex(text)?;
        let allowed = EXTRACT_GROUPS.join(", ");
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        match names.iter().find(|name| !EXTRACT_GROUPS.contains(name)) {
            Some(unknown) => Err(format!("has an unknown group {unknown}; groups are {allowed}")),
            None if names.is_empty() => {
                Err(format!("must have a named group such as (?P<order_number>\\S+); groups are {allowed}"))
            }
            None => Ok(regex),
        }
    })
}

fn when(row: &mut Row<'_>) -> Option<Option<Regex>> {
    row.optional("when", "a regular expression", regex)
}

fn regex(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("is a regular expression that takes more than {limit} bytes")
        }
        // The last line of a syntax error says what is wrong, those before show where with a caret.
        error => {
            let text = error.to_string();
            let reason =
                text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("is no regular expression: {reason}")
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ExtractRule, NotificationType, load};

    /// What the rules find in a text: type, order number, total.
    fn find(rules: &[ExtractRule], text: &str) -> Option<(NotificationType, String, Option<String>)> {
        let applies = |rule: &&ExtractRule| rule.when.as_ref().is_none_or(|when| when.is_match(text));
        rules.iter().filter(applies).find_map(|rule| {
            let found = rule.pattern.captures(text)?;
            let group = |name| found.name(name).map(|group| group.as_str().to_owned());
            Some((rule.notification_type, group("order_number").unwrap_or_default(), group("order_total")))
        })
    }

    #[test]
    fn default_rules_understand_the_usual_texts() {
        use NotificationType::{OrderConfirmed, OrderReceived, OrderShipped, Other};
        let rules = Config::default().extract;
        for (text, kind, number, total) in [
            (
                "🤝 *Hemos recibido tu orden*\n\n*Orden:* ORD-123\n*Total:* $45.00\n\nUn agente se comunicará contigo \
                 pronto para completar tu pedido.\n¡Gracias por tu paciencia! 😊",
                OrderReceived,
                "ORD-123",
                Some("$45.00"),
            ),
            ("✅ *¡Pago recibido!*\n\n*Orden:* ORD-7", OrderConfirmed, "ORD-7", None),
            (
                "✅ *Orden confirmada*\n*Pedido:* #991\n*Total:* USD 1,234.50.",
                OrderConfirmed,
                "#991",
                Some("USD 1,234.50"),
            ),
            (
                "Hola Ana:\n\nTu pedido va en camino 🚚\n\n*Pedido:* P/5\n*Total:* $ 9",
                OrderShipped,
                "P/5",
                Some("$ 9"),
            ),
            (
                "📦 *TU ORDEN FUE ENVIADA*\r\n\r\n*ORDEN:* ORD-1\r\n*TOTAL:* 45,00 €",
                OrderShipped,
                "ORD-1",
                Some("45,00"),
            ),
            ("Your order has shipped\n*Order:* A-1\n*Total:* £3.20", OrderShipped, "A-1", Some("£3.20")),
            ("Payment confirmed\n*Order:* A-2", OrderConfirmed, "A-2", None),
            // What is said further down, about the future, does not decide.
            (
                "🤝 *Hemos recibido tu orden*\n\n*Orden:* ORD-8\n*Total:* $1\n\nTe avisamos cuando sea enviada.",
                OrderReceived,
                "ORD-8",
                Some("$1"),
            ),
            (
                "🚨 *Atención Requerida*\n\n*Orden:* ORD-9\n*Cliente:* Sin nombre\n*Teléfono:* 5215550000\n*Total:* $45.00",
                Other,
                "ORD-9",
                Some("$45.00"),
            ),
            ("*Orden:* ORD-2\n*Total:* gratis", Other, "ORD-2", None),
        ] {
            let expected = Some((kind, number.to_owned(), total.map(str::to_owned)));
            assert_eq!(find(&rules, text), expected, "{text}");
        }
        for text in ["", "Hola, ¿cómo va tu orden?", "*Orden:*\n*Total:* $5", "Orden: ORD-1"] {
            assert_eq!(find(&rules, text), None, "{text}");
        }
    }

    #[test]
    fn faults_of_rules() {
        let rule = |pattern: &str, when: &str| {
            let list = format!(r#"[{{ type = "OTHER", pattern = '{pattern}', when = '{when}' }}]"#);
            load(None, &[("WAHA_WATCHDOG__EXTRACT".to_owned(), list)])
                .map(|_| ())
                .map_err(|faults| faults.to_string().replace(" (environment WAHA_WATCHDOG__EXTRACT)", ""))
        };
        let groups = "groups are order_id, order_number, order_total, customer_name, customer_phone";
        assert_eq!(rule(r"#(?P<order_id>\d+) (?<customer_name>\w+)", ""), Ok(()));
        for (pattern, when, fault) in [
            ("", "", "extract[0].pattern: is missing; must be a regular expression with named groups".to_owned()),
            (
                r"#\d+",
                "",
                format!(r"extract[0].pattern = '#\d+': must have a named group such as (?P<order_number>\S+); {groups}"),
            ),
            (
                r"(?P<order_id>\d+)(?P<total>x)",
                "",
                format!(r"extract[0].pattern = '(?P<order_id>\d+)(?P<total>x)': has an unknown group total; {groups}"),
            ),
            (
                r"(?P<order_id>\d+)",
                "[a",
                "extract[0].when = \"[a\": is no regular expression: unclosed character class".to_owned(),
            ),
            (
                r"(?P<order_id>\w{5000})",
                "",
                r"extract[0].pattern = '(?P<order_id>\w{5000})': is a regular expression that takes more than 1048576 bytes"
                    .to_owned(),
            ),
        ] {
            assert_eq!(rule(pattern, when).unwrap_err(), fault);
        }
    }
}
