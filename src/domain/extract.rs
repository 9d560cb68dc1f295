//! Order facts from a message's text, so that an existing bot needs no code change (SPEC 4.2).
//!
//! Rules are tried in order; the first that matches decides type and facts. What headers say goes before what rules find.

use regex::{Regex, RegexSet, RegexSetBuilder};
use regex_automata::meta;
use regex_automata::util::captures::Captures;

use super::id::Phone;
use super::order::{NotificationType, OrderFacts, fact};

/// Longest text a rule looks at, in bytes: the facts of an order stand at the top of a message.
pub const TEXT_MAX: usize = 16 * 1024;

/// Longest text in which an expression is looked for without automata, in bytes: there this way costs about half as much, and hardly more where
/// much follows the last fact.
const SHORT_MAX: usize = 128;
/// Largest program that may run so, in bytes: the steps of a search are bounded by its size times that of the text.
const SHORT_PROGRAM_MAX: usize = 16 * 1024;

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

/// The rules in the order they are tried.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Pattern>);

/// An expression, and the rules that follow each other with it: it runs once for them all.
#[derive(Debug, Clone)]
struct Pattern {
    expression: Expression,
    groups: Groups,
    /// What a match announces, by the number of what else must match.
    kinds: Vec<(Option<usize>, NotificationType)>,
    /// What else must match: looked for in one pass.
    whens: RegexSet,
}

/// An expression in the two ways it is run, which find the same.
#[derive(Debug, Clone)]
struct Expression {
    /// First one automaton finds the end of a match and a second one its beginning, then its groups are looked for in between.
    any: meta::Regex,
    /// The groups are looked for at once, by trying: more for each byte, but no automata, which are slow to start when other work has
    /// driven them out of the processor's caches. `None` where a try could take long, or where no literal tells where to try.
    short: Option<meta::Regex>,
}

/// Where the facts are in a match, found once by their names.
#[derive(Debug, Clone)]
struct Groups {
    order_id: Option<usize>,
    order_number: Option<usize>,
    order_total: Option<usize>,
    customer_name: Option<usize>,
    customer_phone: Option<usize>,
}

impl Rules {
    /// These, in this order.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let alike = rules.chunk_by(|one, next| one.pattern.as_str() == next.pattern.as_str());
        Self(alike.map(Pattern::of).collect())
    }

    /// The facts that they find in `text`; nothing where none matches.
    pub fn facts(&self, text: &str) -> OrderFacts {
        let text = &text[..text.floor_char_boundary(TEXT_MAX)];
        self.0.iter().find_map(|pattern| pattern.facts(text)).unwrap_or_default()
    }
}

impl Pattern {
    /// Of rules with one expression; there is one at least.
    fn of(rules: &[Rule]) -> Self {
        let expression = &rules[0].pattern;
        let mut whens = Vec::new();
        let kinds = rules.iter().map(|rule| {
            let when = rule.when.as_ref().map(|when| {
                whens.push(when.as_str());
                whens.len() - 1
            });
            (when, rule.kind)
        });
        let kinds = kinds.collect();
        // Each is an expression by itself, and not too large.
        let whens = RegexSetBuilder::new(whens).size_limit(usize::MAX).build();
        let whens = whens.unwrap_or_else(|error| unreachable!("{error}"));
        Self { groups: Groups::of(expression), expression: Expression::of(expression), kinds, whens }
    }

    fn facts(&self, text: &str) -> Option<OrderFacts> {
        // Most texts name no order: then what else must match is not looked at.
        let found = self.expression.captures(text)?;
        let held = self.whens.matches(text);
        let (_, kind) = self.kinds.iter().find(|(when, _)| when.is_none_or(|when| held.matched(when)))?;
        Some(self.groups.facts(text, &found, *kind))
    }
}

impl Expression {
    fn of(expression: &Regex) -> Self {
        let expression = expression.as_str();
        // It is one already.
        let any = meta::Regex::new(expression).unwrap_or_else(|error| unreachable!("{error}"));
        let plain = meta::Config::new().hybrid(false).dfa(false).nfa_size_limit(Some(SHORT_PROGRAM_MAX));
        let short = meta::Builder::new().configure(plain).build(expression).ok();
        Self { any, short: short.filter(meta::Regex::is_accelerated) }
    }

    fn captures(&self, text: &str) -> Option<Captures> {
        let short = self.short.as_ref().filter(|_| text.len() <= SHORT_MAX);
        let way = short.unwrap_or(&self.any);
        let mut found = way.create_captures();
        way.captures(text, &mut found);
        found.is_match().then_some(found)
    }
}

impl Groups {
    fn of(expression: &Regex) -> Self {
        let named = |name| expression.capture_names().position(|group| group == Some(name));
        Self {
            order_id: named("order_id"),
            order_number: named("order_number"),
            order_total: named("order_total"),
            customer_name: named("customer_name"),
            customer_phone: named("customer_phone"),
        }
    }

    fn facts(&self, text: &str, found: &Captures, kind: NotificationType) -> OrderFacts {
        let group = |at: Option<usize>| fact(&text[found.get_group(at?)?.range()]);
        OrderFacts {
            order_id: group(self.order_id),
            order_number: group(self.order_number),
            order_total: group(self.order_total),
            customer_name: group(self.customer_name),
            customer_phone: group(self.customer_phone).and_then(|phone| Phone::new(&phone)),
            notification_type: Some(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let rules = Rules::new([
            rule(NotificationType::OrderShipped, Some("(?i)enviad")),
            rule(NotificationType::OrderReceived, None),
        ]);
        let facts = rules.facts("🤝 *Hemos recibido tu orden*\n\n*Orden:* ORD-123\n*Total:* $45.00\n");
        assert_eq!(facts.order_number.as_deref(), Some("ORD-123"));
        assert_eq!(facts.order_total.as_deref(), Some("$45.00"));
        assert_eq!(facts.notification_type, Some(NotificationType::OrderReceived));
        let facts = rules.facts("Tu pedido fue enviado. *Orden:* ORD-9");
        assert_eq!(facts.notification_type, Some(NotificationType::OrderShipped));
        assert_eq!(facts.order_total, None);
        assert_eq!(rules.facts("hola"), OrderFacts::default());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = format!("*Orden:* ORD-1 {}", "ñ".repeat(TEXT_MAX));
        let rules = Rules::new([rule(NotificationType::Other, None)]);
        assert_eq!(rules.facts(&text).order_number.as_deref(), Some("ORD-1"));
    }

    /// The pattern of the rules that are there by themselves (`config/watchdog.toml`).
    fn usual() -> Regex {
        let defaults = include_str!("../../config/watchdog.toml");
        let pattern = defaults.lines().find_map(|line| line.strip_prefix("pattern = '")).unwrap();
        Regex::new(pattern.trim_end_matches('\'')).unwrap()
    }

    #[test]
    fn what_could_take_long_is_always_looked_for_by_automata() {
        let has_short = |expression: &str| Expression::of(&Regex::new(expression).unwrap()).short.is_some();
        assert!(has_short(usual().as_str()));
        assert!(!has_short(r"(?P<order_number>[0-9]{4})"), "nothing tells where to begin");
        assert!(!has_short(r"#(?P<order_number>\w{1,99})"), "too large");
    }

    /// One rule after the other, as they are told.
    fn plainly(rules: &[Rule], text: &str) -> OrderFacts {
        let facts = |rule: &Rule| {
            if rule.when.as_ref().is_some_and(|when| !when.is_match(text)) {
                return None;
            }
            let found = rule.pattern.captures(text)?;
            let group = |name| found.name(name).and_then(|value| fact(value.as_str()));
            Some(OrderFacts {
                order_id: group("order_id"),
                order_number: group("order_number"),
                order_total: group("order_total"),
                customer_name: group("customer_name"),
                customer_phone: group("customer_phone").and_then(|phone| Phone::new(&phone)),
                notification_type: Some(rule.kind),
            })
        };
        rules.iter().find_map(facts).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn patterns_that_run_once_find_the_same(
            rules in proptest::collection::vec((0..3usize, proptest::option::of("[ab]{1,2}"), 0..4usize), 0..8),
            text in "[ab1# ]{0,12}",
        ) {
            let patterns =
                [r"#(?P<order_number>\d+)", r"(?P<order_id>a+)(?: (?P<customer_name>b+))?", r"(?P<customer_phone>1+)|(b)"];
            let rules: Vec<Rule> = (rules.into_iter())
                .map(|(pattern, when, kind)| Rule {
                    kind: NotificationType::ALL[kind],
                    pattern: Regex::new(patterns[pattern]).unwrap(),
                    when: when.map(|when| Regex::new(&when).unwrap()),
                })
                .collect();
            prop_assert!(plainly(&rules, &text) == Rules::new(rules).facts(&text));
        }

        #[test]
        fn short_texts_are_read_as_all_are(
            text in r"(\*(Orden|PEDIDO|order|total):\*|[ \n*]|ORD-[0-9]{1,3}|\$[0-9]{1,2}[.,]|ñ|🤝){0,30}",
            more in 0..2 * SHORT_MAX,
        ) {
            let Expression { any, short } = Expression::of(&usual());
            let short = short.expect("the usual pattern begins with a literal");
            // Each way in texts of any length: which of them takes the other way is nobody's to see.
            let text = text + &"x".repeat(more);
            let groups = |way: &meta::Regex| {
                let mut found = way.create_captures();
                way.captures(&text, &mut found);
                found.is_match().then(|| found.iter().map(|group| Some(group?.range())).collect::<Vec<_>>())
            };
            let plainly = usual().captures(&text);
            let plainly = plainly.map(|found| found.iter().map(|group| Some(group?.range())).collect());
            prop_assert_eq!(groups(&any), plainly.clone());
            prop_assert_eq!(groups(&short), plainly);
        }
    }
}
