//! Single orders whose customer was not told, for a table: the oldest hundred, one series each.
//!
//! The only labels that do not come from a closed list. They stay in Prometheus for its whole retention, so nothing of the customer is in them:
//! an order that is named after its customer goes without a name.

use prometheus::{GaugeVec, IntGaugeVec};

use super::super::{Families, count, float_vec, gauge_vec};
use super::waiting::Unnotified;
use crate::clock::wall;
use crate::domain::order::OrderFacts;

/// So many series, over all sessions.
pub(super) const SINGLES_MAX: usize = 100;

/// An order's name is short; what is longer is cut.
const NAME_MAX: usize = 64;

/// Stands for names that would give the customer away.
const NAMELESS: &str = "-";

/// From so many digits on a number may be somebody's phone.
const PHONE_MIN: usize = 7;

/// Single orders.
pub(super) struct Singles {
    info: GaugeVec,
    hidden: IntGaugeVec,
}

impl Singles {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            info: float_vec(
                registry,
                "order_unnotified_info",
                "The oldest orders with an open failed notification, and why: when that was opened.",
                &["session", "order", "reason"],
            )?,
            hidden: gauge_vec(
                registry,
                "orders_unnotified_hidden",
                "Orders with an open failed notification that have no series of their own: beyond the hundred oldest, or nameless.",
                &["session"],
            )?,
        })
    }

    /// Creates all label sets of a session.
    pub(super) fn create(&self, session: &str) {
        self.hidden.with_label_values(&[session]);
    }

    /// The orders of each session.
    pub(super) fn show(&self, sessions: Vec<(&str, Vec<Unnotified<'_>>)>) {
        self.info.reset();
        let mut left: Vec<_> = sessions.iter().map(|(session, orders)| (*session, orders.len())).collect();
        let mut all: Vec<_> = sessions
            .into_iter()
            .enumerate()
            .flat_map(|(at, (_, orders))| orders.into_iter().map(move |order| (at, order)))
            .collect();
        // Ties by the send's id, so that the same ones are shown each time.
        let age = |(_, order): &(usize, Unnotified<'_>)| (order.since, order.send);
        if all.len() > SINGLES_MAX {
            all.select_nth_unstable_by_key(SINGLES_MAX, age);
            all.truncate(SINGLES_MAX);
        }
        all.sort_unstable_by_key(age);
        let mut shown = std::collections::BTreeSet::new();
        for (at, order) in all {
            let name = name(&order);
            // Of several that would have one series, the oldest.
            if !shown.insert((at, name.clone(), order.cause)) {
                continue;
            }
            let labels = [left[at].0, name.as_str(), order.cause.as_str()];
            self.info.with_label_values(&labels).set(wall::outside(order.since).seconds());
            left[at].1 -= 1;
        }
        for (session, orders) in left {
            self.hidden.with_label_values(&[session]).set(count(orders));
        }
    }
}

/// What people call the order, as far as a label may say it.
fn name(order: &Unnotified<'_>) -> String {
    let what = &order.oldest.what;
    let phones = [
        what.order.customer_phone.as_ref().map(|phone| phone.digits()),
        what.chat.as_ref().and_then(|chat| chat.phone()).map(|phone| phone.digits()),
    ];
    let facts = &what.order;
    match facts.order_number.as_deref().or(facts.order_id.as_deref()) {
        Some(name) if !tells_customer(name, facts, &phones) => cut(name),
        _ => NAMELESS.to_owned(),
    }
}

fn tells_customer(name: &str, facts: &OrderFacts, phones: &[Option<String>]) -> bool {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let is_phone = digits.len() >= PHONE_MIN
        && phones.iter().flatten().any(|phone| phone.contains(&digits) || digits.contains(phone.as_str()));
    let customer = facts.customer_name.as_deref().map(str::to_lowercase);
    is_phone || customer.is_some_and(|customer| name.to_lowercase().contains(&customer))
}

fn cut(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests;
