//! News: what the heart has told and committed, for whoever listens right now (`GET /api/events`). A bounded ring in memory; who wants
//! more than it holds reads the records again.
//!
//! Ids only, and order numbers as people say them: no customer's name, phone or text is ever in here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use smol_str::SmolStr;

use crate::clock::rfc3339;
use crate::domain::case::Case;
use crate::domain::command::Audit;
use crate::domain::decide::{Notice, Policy, State};
use crate::domain::delivery::Delivered;
use crate::domain::id::{SendId, SessionName};
use crate::domain::order::OrderFacts;
use crate::domain::time::Timestamp;

/// News kept; who was away for longer reads the records again.
const NEWS_MAX: usize = 1_000;
/// News handed out at a time.
const AT_A_TIME: usize = 100;
/// Orders a communication failure names.
const ORDERS_MAX: usize = 20;

/// One piece of news.
#[derive(Debug, Clone)]
pub struct Item {
    /// Ascending, over restarts too.
    pub id: u64,
    /// Its name.
    pub name: &'static str,
    /// [`Told`] as JSON.
    pub data: Arc<str>,
}

/// What there is to read.
#[derive(Debug)]
pub enum Since {
    /// These came after it; perhaps none.
    News(Vec<Item>),
    /// What came after it is not known any more: read the records again, and go on from here.
    Missed(u64),
}

/// A fact with its moment, as it is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Told {
    #[serde(flatten)]
    fact: Fact,
    /// When it was told, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// Declares the facts with their names, so that name and `type` cannot differ.
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:literal $variant:ident { $($(#[doc = $field_doc:literal])+ $field:ident: $kind:ty,)+ })+) => {
        /// What happened. `type` is the event's name.
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(tag = "type")]
        pub enum Fact {$(
            $(#[doc = $doc])+
            #[serde(rename = $name)]
            $variant { $($(#[doc = $field_doc])+ $field: $kind,)+ },
        )+}

        impl Fact {
            /// The names of all events that are told.
            pub const NAMES: &[&'static str] = &[$($name),+];

            /// The event's name.
            pub const fn name(&self) -> &'static str {
                match self {$(Self::$variant { .. } => $name),+}
            }
        }
    };
}

facts! {
    /// The status of a session changed.
    "STATUS_CHANGED" StatusChanged {
        /// The session.
        session: String,
        /// The status it had.
        from: &'static str,
        /// The status it has.
        status: &'static str,
        /// How sure that is.
        confidence: &'static str,
        /// Why.
        reason_code: &'static str,
    }
    /// A customer was not told: a failed notification was opened.
    "FAILED_CUSTOMER_NOTIFICATION" FailedCustomerNotification {
        /// Its id.
        notification: String,
        /// The shop's internal id of the order.
        order_id: Option<String>,
        /// The number that people say.
        order_number: Option<String>,
        /// What the customer was not told.
        notification_type: &'static str,
        /// The session.
        session: String,
        /// Why the last attempt failed.
        cause: &'static str,
        /// After how many attempts.
        attempts: u32,
    }
    /// A failed notification was settled, by whatever means.
    "NOTIFICATION_RESOLVED" NotificationResolved {
        /// Its id.
        notification: String,
        /// The shop's internal id of the order.
        order_id: Option<String>,
        /// The number that people say.
        order_number: Option<String>,
        /// The session.
        session: String,
        /// How.
        resolution_method: &'static str,
    }
    /// Somebody has taken a failed notification.
    "NOTIFICATION_CLAIMED" NotificationClaimed {
        /// Its id.
        notification: String,
        /// The number that people say.
        order_number: Option<String>,
        /// Whose token it was.
        who: String,
    }
    /// A settled failed notification is open again.
    "NOTIFICATION_REOPENED" NotificationReopened {
        /// Its id.
        notification: String,
        /// The number that people say.
        order_number: Option<String>,
        /// Whose token it was.
        who: String,
    }
    /// A diagnosis is over, or its verdict was corrected.
    "COMMUNICATION_FAILURE" CommunicationFailure {
        /// The session.
        session: String,
        /// The diagnosis.
        diagnosis_id: String,
        /// What it found.
        failure_type: &'static str,
        /// Why the send it began with had failed.
        cause: &'static str,
        /// Was the customer reached? Null: not tried, or nobody knows.
        diagnostic_user_reached: Option<bool>,
        /// Was the admin reached? Null: not tried, or nobody knows.
        diagnostic_admin_reached: Option<bool>,
        /// How many failed notifications share it.
        count: usize,
        /// The numbers of the first orders among them.
        orders: Vec<String>,
    }
    /// A session is not online any more.
    "INCIDENT_OPENED" IncidentOpened {
        /// The session.
        session: String,
        /// The incident.
        incident: String,
        /// The status it began with.
        status: &'static str,
    }
    /// A session is well again.
    "INCIDENT_CLOSED" IncidentClosed {
        /// The session.
        session: String,
        /// The incident.
        incident: String,
        /// How long it lasted.
        downtime_seconds: u64,
        /// How many customers were not told meanwhile.
        affected: u32,
        /// How many of them were sent again by the sidecar.
        replayed: u32,
        /// How many were left for people.
        left: u32,
    }
    /// Something was sent again by the sidecar, and this is how it ended.
    "RECOVERY_PROGRESS" RecoveryProgress {
        /// The session.
        session: String,
        /// The number that people say.
        order_number: Option<String>,
        /// How it ended.
        outcome: &'static str,
        /// How many go out by themselves.
        pending: usize,
        /// How many wait for a person.
        held: usize,
        /// When the last one goes out at about; null where nothing does.
        finish_at: Option<String>,
    }
    /// Nothing is sent again by itself until resumed.
    "RECOVERY_PAUSED" RecoveryPaused {
        /// Whose token it was.
        who: String,
    }
    /// What is pending is sent again in turn.
    "RECOVERY_RESUMED" RecoveryResumed {
        /// Whose token it was.
        who: String,
    }
    /// A probe came back.
    "HEALTHCHECK" Healthcheck {
        /// The session.
        session: String,
        /// What it found.
        result: &'static str,
        /// Is that well?
        healthy: bool,
        /// How long it took, in milliseconds.
        took_ms: u64,
    }
    /// The admins are to be told something.
    "ALERT_RAISED" AlertRaised {
        /// The session.
        session: String,
        /// The alert.
        alert: String,
        /// The incident it belongs to.
        incident: Option<String>,
        /// What it says.
        says: &'static str,
    }
    /// A channel has told an alert.
    "ALERT_TOLD" AlertTold {
        /// The session.
        session: String,
        /// The alert.
        alert: String,
        /// The channel.
        channel: &'static str,
    }
    /// A channel could not tell an alert.
    "ALERT_FAILED" AlertFailed {
        /// The session.
        session: String,
        /// The alert.
        alert: String,
        /// The channel.
        channel: &'static str,
        /// Is it tried again?
        retried: bool,
    }
    /// Somebody restarts a session of WAHA.
    "SESSION_RESTARTED" SessionRestarted {
        /// The session.
        session: String,
        /// Whose token it was.
        who: String,
    }
    /// Somebody restarts the bot.
    "BOT_RESTARTED" BotRestarted {
        /// Whose token it was.
        who: String,
    }
}

/// The ring. Whoever publishes never waits for anybody who reads.
#[derive(Debug)]
pub struct News {
    ring: Mutex<Ring>,
    latest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    /// All news after this one are in the ring.
    known_from: u64,
    items: VecDeque<Item>,
}

impl News {
    /// An empty ring. Ids go on from `now`, so that those of an earlier process are recognized.
    pub fn new(now: Timestamp) -> Self {
        let first = id_at(now);
        let ring = Ring { known_from: first, items: VecDeque::new() };
        Self { ring: Mutex::new(ring), latest: watch::Sender::new(first) }
    }

    /// Wakes whenever something was published.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The id of the latest news.
    pub fn latest(&self) -> u64 {
        *self.latest.borrow()
    }

    /// What came after `id`.
    pub fn since(&self, id: u64) -> Since {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = ring.items.back().map_or(ring.known_from, |item| item.id);
        if id < ring.known_from || id > latest {
            return Since::Missed(latest);
        }
        let from = ring.items.partition_point(|item| item.id <= id);
        Since::News(ring.items.iter().skip(from).take(AT_A_TIME).cloned().collect())
    }

    /// Tells whoever listens.
    pub fn publish(&self, fact: Fact, now: Timestamp) {
        let name = fact.name();
        let Ok(data) = serde_json::to_string(&Told { fact, timestamp: rfc3339(now) }) else { return };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = ring.items.back().map_or(ring.known_from, |item| item.id);
        let id = id_at(now).max(latest + 1);
        if ring.items.len() == NEWS_MAX
            && let Some(oldest) = ring.items.pop_front()
        {
            ring.known_from = oldest.id;
        }
        ring.items.push_back(Item { id, name, data: data.into() });
        drop(ring);
        self.latest.send_replace(id);
    }
}

/// Microseconds: more than a process can publish, less than 2^53.
fn id_at(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1_000)
}

/// What of a notice is news; most sends are none.
pub(super) fn fact(
    notice: &Notice,
    session: &SessionName,
    state: &State,
    policy: &Policy,
    now: Timestamp,
) -> Option<Fact> {
    let session = session.to_string();
    Some(match notice {
        Notice::Status(change) => Fact::StatusChanged {
            session,
            from: change.from.as_str(),
            status: change.to.status.as_str(),
            confidence: change.to.confidence.as_str(),
            reason_code: change.to.reason.as_str(),
        },
        Notice::Opened { send, what, cause, attempts } => Fact::FailedCustomerNotification {
            notification: send.to_string(),
            order_id: text(what.order.order_id.as_ref()),
            order_number: text(what.order.order_number.as_ref()),
            notification_type: what.order.notification_type.unwrap_or_default().as_str(),
            session,
            cause: cause.as_str(),
            attempts: *attempts,
        },
        Notice::Settled { send, what, method, .. } => Fact::NotificationResolved {
            notification: send.to_string(),
            order_id: text(what.order.order_id.as_ref()),
            order_number: text(what.order.order_number.as_ref()),
            session,
            resolution_method: method.as_str(),
        },
        Notice::Diagnosed { finding, sends, .. } => {
            let shares = |case: &&Case| case.finding.as_ref().is_some_and(|one| one.id == finding.id);
            let orders = state.cases().values().filter(shares).filter_map(|case| number(&case.what.order));
            Fact::CommunicationFailure {
                session,
                diagnosis_id: finding.id.to_string(),
                failure_type: finding.verdict.as_str(),
                cause: finding.cause.as_str(),
                diagnostic_user_reached: finding.user.answer(),
                diagnostic_admin_reached: finding.admin.answer(),
                count: *sends,
                orders: orders.take(ORDERS_MAX).collect(),
            }
        }
        Notice::IncidentOpened(incident) => Fact::IncidentOpened {
            session,
            incident: incident.id.to_string(),
            status: incident.worst.as_str(),
        },
        Notice::IncidentClosed(incident) => Fact::IncidentClosed {
            session,
            incident: incident.id.to_string(),
            downtime_seconds: incident.downtime(now).as_secs(),
            affected: incident.affected_count,
            replayed: incident.replayed,
            left: incident.left,
        },
        Notice::Replayed { what, outcome } => {
            let outlook = state.outlook(state.session_of(what), now, policy);
            Fact::RecoveryProgress {
                session,
                order_number: number(&what.order),
                outcome: outcome.as_str(),
                pending: outlook.pending,
                held: outlook.held,
                finish_at: outlook.finish.map(rfc3339),
            }
        }
        Notice::Probed { result, took, .. } => Fact::Healthcheck {
            session,
            result: result.as_str(),
            healthy: result.is_healthy(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        },
        Notice::Alerting(alert) => Fact::AlertRaised {
            session,
            alert: alert.id.to_string(),
            incident: alert.incident.map(|incident| incident.to_string()),
            says: alert.says.as_str(),
        },
        Notice::Delivered { alert, channel, how, .. } => {
            let (alert, channel) = (alert.to_string(), channel.as_str());
            match how {
                Delivered::Ok => Fact::AlertTold { session, alert, channel },
                Delivered::Retried => Fact::AlertFailed { session, alert, channel, retried: true },
                Delivered::Failed => Fact::AlertFailed { session, alert, channel, retried: false },
                Delivered::Suppressed => return None,
            }
        }
        Notice::Acted(audit) => return acted(audit, state),
        Notice::Confirmed { .. }
        | Notice::BotProbed { .. }
        | Notice::GivenUp { .. }
        | Notice::Retried { .. }
        | Notice::Retry { .. }
        | Notice::NotReplayed { .. }
        | Notice::RunOver { .. }
        | Notice::Looked { .. } => {
            return None;
        }
    })
}

/// Somebody did something that others should see; most of it shows in what it leads to.
fn acted(audit: &Audit, state: &State) -> Option<Fact> {
    let who = audit.who.clone();
    let target = audit.target.clone().unwrap_or_default();
    let order_number = || {
        let send: SendId = target.parse().ok()?;
        number(&state.cases().get(&send)?.what.order)
    };
    Some(match audit.action.as_str() {
        "claim" => {
            Fact::NotificationClaimed { order_number: order_number(), notification: target.clone(), who }
        }
        "reopen" => {
            Fact::NotificationReopened { order_number: order_number(), notification: target.clone(), who }
        }
        "pause_recovery" => Fact::RecoveryPaused { who },
        "resume_recovery" => Fact::RecoveryResumed { who },
        "restart_session" => Fact::SessionRestarted { session: target, who },
        "restart_bot" => Fact::BotRestarted { who },
        _ => return None,
    })
}

fn number(order: &OrderFacts) -> Option<String> {
    text(order.order_number.as_ref().or(order.order_id.as_ref()))
}

fn text(fact: Option<&SmolStr>) -> Option<String> {
    fact.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_504_741_144);

    fn paused(who: usize) -> Fact {
        Fact::RecoveryPaused { who: who.to_string() }
    }

    fn ids(since: Since) -> Vec<u64> {
        match since {
            Since::News(items) => items.into_iter().map(|item| item.id).collect(),
            Since::Missed(at) => panic!("missed, at {at}"),
        }
    }

    #[test]
    fn who_was_here_before_misses_nothing() {
        let news = News::new(NOW);
        let start = news.latest();
        assert!(ids(news.since(start)).is_empty());
        for who in 0..3 {
            news.publish(paused(who), NOW);
        }
        let all = ids(news.since(start));
        assert_eq!(all, [start + 1, start + 2, start + 3], "ascending within a millisecond");
        assert_eq!(ids(news.since(all[0])), all[1..]);
        assert!(ids(news.since(news.latest())).is_empty());
    }

    #[test]
    fn the_ring_is_bounded_and_says_what_it_lost() {
        let news = News::new(NOW);
        let start = news.latest();
        for who in 0..NEWS_MAX + 1 {
            news.publish(paused(who), NOW);
        }
        assert!(matches!(news.since(start), Since::Missed(at) if at == news.latest()));
        assert_eq!(ids(news.since(start + 1)).len(), AT_A_TIME, "the oldest that is known to the end");
    }

    #[test]
    fn ids_of_another_run_are_recognized() {
        let (before, after) = (News::new(NOW), News::new(NOW + std::time::Duration::from_secs(5)));
        before.publish(paused(0), NOW);
        assert!(matches!(after.since(before.latest()), Since::Missed(_)));
        assert!(matches!(before.since(after.latest()), Since::Missed(_)), "a clock that was set back");
    }

    #[test]
    fn name_and_type_are_one() {
        let news = News::new(NOW);
        let start = news.latest();
        news.publish(paused(7), NOW);
        let Since::News(items) = news.since(start) else { panic!("news") };
        let data: serde_json::Value = serde_json::from_str(&items[0].data).unwrap();
        assert_eq!((items[0].name, &data["type"]), ("RECOVERY_PAUSED", &"RECOVERY_PAUSED".into()));
        assert_eq!((&data["who"], &data["timestamp"]), (&"7".into(), &"2026-11-24T07:19:01.144Z".into()));
        assert!(Fact::NAMES.contains(&items[0].name));
    }
}
