//! Whose customers wait, and which of them because the channel is at fault: the only ones that may wake anybody (SPEC 10, 12).
//!
//! A bad number, a restricted contact, an order of which somebody was reached or that somebody has taken: a notice, however old.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prometheus::{GaugeVec, IntGaugeVec};

use super::super::{Families, count, float_vec, gauge_vec, moment};
use crate::domain::case::Case;
use crate::domain::decide::{Policy, Waits};
use crate::domain::diagnosis::Verdict;
use crate::domain::id::{ChatId, SendId};
use crate::domain::notification::{Attention, Failure};
use crate::domain::order::NotificationType;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::recovery::Held;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// Priorities of orders, in the order that label sets are created.
const PRIORITIES: [&str; 2] = ["normal", "critical"];

/// One chat alone proves nothing against the channel.
const CHATS: usize = 2;

/// Who waits.
pub(super) struct Waiting {
    by_type: IntGaugeVec,
    holds: IntGaugeVec,
    orders: IntGaugeVec,
    oldest: GaugeVec,
    oldest_critical: GaugeVec,
}

/// An order whose customer was not told.
pub(super) struct Unnotified<'a> {
    /// Its oldest open failed notification.
    pub(super) oldest: &'a Case,
    /// When that was opened.
    pub(super) since: Timestamp,
    /// Why.
    pub(super) cause: Cause,
    /// Of which send.
    pub(super) send: SendId,
    critical: bool,
}

/// An open failed notification.
#[derive(Clone, Copy)]
struct Open<'a> {
    case: &'a Case,
    failure: &'a Failure,
}

/// What kept a message from its customer, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The channel.
    Channel,
    /// The channel, where other chats say the same.
    Unclear,
    /// Something of its own; or nobody needs to be told of it.
    Own,
}

impl Waiting {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let float = |name: &str, help: &str| float_vec(registry, name, help, &["session"]);
        Ok(Self {
            by_type: gauge_vec(
                registry,
                "failed_notifications",
                "Open failed notifications.",
                &["session", "notification"],
            )?,
            holds: gauge_vec(
                registry,
                "recovery_holds",
                "Open failed notifications that are not sent again now, by what holds them.",
                &["session", "held"],
            )?,
            orders: gauge_vec(
                registry,
                "orders_unnotified",
                "Orders with an open failed notification; critical where the channel is at fault and nobody is at it.",
                &["session", "priority"],
            )?,
            oldest: float(
                "orders_unnotified_oldest_timestamp_seconds",
                "When the oldest open failed notification of an order was opened; 0 where none.",
            )?,
            oldest_critical: float(
                "orders_unnotified_critical_oldest_timestamp_seconds",
                "The same of orders of critical priority; 0 where none.",
            )?,
        })
    }

    /// Creates all label sets of a session.
    pub(super) fn create(&self, session: &str) {
        for priority in PRIORITIES {
            self.orders.with_label_values(&[session, priority]);
        }
        for kind in NotificationType::ALL {
            self.by_type.with_label_values(&[session, kind.as_str()]);
        }
        for held in Held::ALL {
            self.holds.with_label_values(&[session, held.as_str()]);
        }
        for gauge in [&self.oldest, &self.oldest_critical] {
            gauge.with_label_values(&[session]);
        }
    }

    /// What waits in a session. Gives its orders.
    pub(super) fn show<'a>(
        &self,
        session: &Session,
        waits: &Waits<'a>,
        policy: &Policy,
    ) -> Vec<Unnotified<'a>> {
        let name = session.name.as_str();
        // What is pending goes out by itself now.
        let going = waits.outlook.finish.is_some();
        let open = || waits.open.iter().filter_map(|(case, held)| Some((Open::of(case)?, *held)));
        let unclear: BTreeSet<&Option<ChatId>> = open()
            .filter(|(one, _)| one.fault(session, policy.diagnose) == Fault::Unclear)
            .map(|(one, _)| &one.case.what.chat)
            .collect();
        let mut orders: HashMap<&str, Unnotified<'_>> = HashMap::with_capacity(waits.open.len());
        let (mut oldest, mut oldest_critical) = (None, None);
        let (mut by_type, mut by_hold) = (BTreeMap::new(), BTreeMap::new());
        for (one, held) in open() {
            let kind = one.case.what.order.notification_type.unwrap_or_default();
            *by_type.entry(kind).or_insert(0) += 1;
            *by_hold.entry(held).or_insert(0) += 1;
            let Some(order) = one.case.what.order.key() else { continue };
            let at_fault = match one.fault(session, policy.diagnose) {
                Fault::Channel => true,
                Fault::Unclear => unclear.len() >= CHATS,
                Fault::Own => false,
            };
            let critical = at_fault && !takes_care_of_itself(held, going);
            let since = one.failure.created_at;
            older(&mut oldest, since);
            if critical {
                older(&mut oldest_critical, since);
            }
            let (cause, send) = (one.failure.cause, one.case.send);
            let this = Unnotified { oldest: one.case, since, cause, send, critical };
            match orders.get_mut(order) {
                None => _ = orders.insert(order, this),
                Some(known) => {
                    let critical = known.critical || critical;
                    if since < known.since {
                        *known = this;
                    }
                    known.critical = critical;
                }
            }
        }
        let critical = orders.values().filter(|order| order.critical).count();
        for (priority, orders) in PRIORITIES.into_iter().zip([orders.len() - critical, critical]) {
            self.orders.with_label_values(&[name, priority]).set(count(orders));
        }
        self.oldest.with_label_values(&[name]).set(moment(oldest));
        self.oldest_critical.with_label_values(&[name]).set(moment(oldest_critical));
        let held = |why: Held| by_hold.get(&Some(why)).copied().unwrap_or_default();
        for why in Held::ALL {
            self.holds.with_label_values(&[name, why.as_str()]).set(held(why));
        }
        for kind in NotificationType::ALL {
            let open = by_type.get(&kind).copied().unwrap_or_default();
            self.by_type.with_label_values(&[name, kind.as_str()]).set(open);
        }
        orders.into_values().collect()
    }
}

impl<'a> Open<'a> {
    /// The case as an open failed notification, if it is one.
    fn of(case: &'a Case) -> Option<Self> {
        let failure = case.failure.as_ref().filter(|failure| failure.is_open())?;
        Some(Self { case, failure })
    }

    /// `diagnosed`: whatever speaks against the channel is diagnosed, unless the order was told by another message.
    fn fault(&self, session: &Session, diagnosed: bool) -> Fault {
        let Self { case, failure } = self;
        let blames_channel = case.outcome.against_channel() && failure.cause.outcome() != Outcome::Rejected;
        if !blames_channel || failure.attention == Attention::Manual || failure.claimed_by.is_some() {
            return Fault::Own;
        }
        let found = case.finding.as_ref().map(|finding| finding.at);
        let (tried_since, spoke_since) = (Some(case.last_at) > found, session.last_accepted > found);
        match case.finding.as_ref().map(|finding| finding.verdict) {
            // Sent again since, in vain, and others got through: each further success of theirs says the same.
            Some(Verdict::TotalLoss) if tried_since && spoke_since => Fault::Own,
            Some(Verdict::TotalLoss) => Fault::Channel,
            Some(Verdict::WebhookOnly) => Fault::Own,
            None if diagnosed => Fault::Own,
            // Cut by our own restart, or the channel has spoken since.
            _ if failure.cause == Cause::Interrupted => Fault::Own,
            _ if session.last_accepted >= Some(case.last_at) => Fault::Own,
            Some(Verdict::Inconclusive) | None => Fault::Unclear,
        }
    }
}

/// Sent in its turn, or needless, or held because of its contact: nobody has to be woken for it.
const fn takes_care_of_itself(held: Option<Held>, going: bool) -> bool {
    match held {
        None => going,
        Some(Held::Superseded | Held::Restricted) => true,
        Some(held) => going && held.passes_by_itself(),
    }
}

fn older(oldest: &mut Option<Timestamp>, at: Timestamp) {
    *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
}

#[cfg(test)]
mod tests;
