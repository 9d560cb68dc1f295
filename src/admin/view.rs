//! The JSON forms of what the API and the command line show: promises to their readers, apart from the domain's types.
//!
//! Everything here is for authorized eyes: customers' names and phones are whole. Keys are added, never renamed.

use serde_json::{Map, Value, json};

use crate::domain::case::Case;
use crate::domain::decide::State;
use crate::domain::id::{ChatId, Phone, SessionName};
use crate::domain::order::OrderFacts;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::{SendSummary, StoreHealth, StoreState};
use crate::words::{self, Language};

/// A moment, RFC 3339 in UTC with milliseconds.
pub fn moment(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.millis())
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn order(order: &OrderFacts) -> Map<String, Value> {
    let facts = json!({
        "order_id": order.order_id,
        "order_number": order.order_number,
        "order_total": order.order_total,
        "customer_name": order.customer_name,
        "customer_phone": order.customer_phone.as_ref().map(Phone::expose),
        "notification_type": order.notification_type.unwrap_or_default().as_str(),
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

fn with(mut facts: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        facts.extend(more);
    }
    Value::Object(facts)
}

/// A send in one line (SPEC 13).
pub fn send(send: &SendSummary) -> Value {
    let what = &send.what;
    with(
        order(&what.order),
        json!({
            "send_id": send.send.to_string(),
            "session": what.session.as_ref().map(SessionName::as_str),
            "chat_id": what.chat.as_ref().map(ChatId::expose),
            "kind": what.kind.as_str(),
            "outcome": send.outcome.as_str(),
            "cause": send.cause.map(|cause| cause.as_str()),
            "attempts": send.attempts,
            "first_at": moment(send.first_at),
            "last_at": moment(send.last_at),
            "status": send.last_status,
            "message_id": send.message_id,
            "via": send.via.as_str(),
        }),
    )
}

/// A failed notification (SPEC 8); `None` for a case that is none.
pub fn notification(case: &Case) -> Option<Value> {
    let failure = case.failure.as_ref()?;
    let resolution = failure.resolution.as_ref();
    let kind = case.what.order.notification_type.unwrap_or_default().as_str();
    Some(with(
        order(&case.what.order),
        json!({
            "id": case.send.to_string(),
            "type": kind,
            "session": case.what.session.as_ref().map(SessionName::as_str),
            "chat_id": case.what.chat.as_ref().map(ChatId::expose),
            "attempts": case.attempts,
            "first_attempt": moment(case.first_at),
            "last_attempt": moment(case.last_at),
            "outcome": case.outcome.as_str(),
            "cause": failure.cause.as_str(),
            "attention": "unnotified",
            "status_at_creation": failure.status_at_creation.as_str(),
            "replayable": case.replayable,
            "claimed_by": null,
            "resolved": resolution.is_some(),
            "manually_resolved": resolution.is_some_and(|resolution| resolution.by.is_some()),
            "resolved_by": resolution.and_then(|resolution| resolution.by.as_deref()),
            "resolution_method": resolution.map(|resolution| resolution.method.as_str()),
            "note": resolution.and_then(|resolution| resolution.note.as_deref()),
            "created_at": moment(failure.created_at),
            "resolved_at": resolution.map(|resolution| moment(resolution.at)),
        }),
    ))
}

/// The same with its attempts, oldest first.
pub fn notification_with_attempts(case: &Case) -> Option<Value> {
    let mut shown = notification(case)?;
    let lines: Vec<_> = case
        .lines
        .iter()
        .map(|line| {
            json!({
                "number": line.number,
                "via": line.via.as_str(),
                "started_at": moment(line.started),
                "ended_at": moment(line.ended),
                "outcome": line.outcome.as_str(),
                "cause": line.cause.map(|cause| cause.as_str()),
                "status": line.status,
                "detail": line.detail,
                "message_id": line.message_id,
            })
        })
        .collect();
    shown["timeline"] = Value::Array(lines);
    Some(shown)
}

/// How recording goes.
pub fn store(health: &StoreHealth) -> Value {
    let state = match health.state {
        StoreState::Opening => "opening",
        StoreState::Recording => "recording",
        StoreState::Bypassed => "bypassed",
        StoreState::Unavailable => "unavailable",
        StoreState::Closed => "closed",
    };
    let reason = Some(&health.reason).filter(|reason| !reason.is_empty());
    json!({
        "state": state,
        "recording": health.state == StoreState::Recording,
        "reason": reason,
        "since": moment(health.since),
    })
}

/// The status (SPEC 8). What this version does not look at yet is `null`.
pub fn bot_status(state: &State, health: &StoreHealth, language: Language, now: Timestamp) -> Value {
    let worst = state.worst();
    let open = state.cases().values().filter(|case| case.failure.is_some());
    let orders: std::collections::BTreeSet<_> =
        open.clone().filter_map(|case| case.what.order.key()).collect();
    let sessions: Map<String, Value> = state
        .sessions()
        .iter()
        .map(|(name, one)| (name.as_str().to_owned(), session(one, language)))
        .collect();
    let seen = |pick: fn(&Session) -> Option<Timestamp>| state.sessions().values().filter_map(pick).max();
    let last_success = seen(|session| session.last_accepted).map(moment);
    let mut shown = session(worst, language);
    let troubled = !matches!(health.state, StoreState::Recording | StoreState::Closed);
    let reason = if troubled {
        format!(
            "{} {}",
            words::reason(worst.assessment.reason, language),
            words::not_recording(&health.reason, language)
        )
    } else {
        words::reason(worst.assessment.reason, language).to_owned()
    };
    let more = json!({
        "reason": reason,
        "last_success": last_success,
        "waha_last_success": last_success,
        "last_webhook_success": last_success,
        "last_activity": seen(|session| session.last_activity).map(moment),
        "healthcheck_failing": null,
        "healthcheck_last_success": null,
        "healthcheck_last_failure": null,
        "healthcheck_consecutive_failures": null,
        "last_healthcheck": null,
        "note": null,
        "failed_notifications": open.count(),
        "orders_unnotified": orders.len(),
        "sessions": sessions,
        "now": moment(now),
        "metadata": { "store": store(health), "version": env!("CARGO_PKG_VERSION") },
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

fn session(session: &Session, language: Language) -> Value {
    let given = session.assessment;
    json!({
        "session": session.name.as_str(),
        "status": given.status.as_str(),
        "confidence": given.confidence.as_str(),
        "reason": words::reason(given.reason, language),
        "reason_code": given.reason.as_str(),
        "interpretation": words::interpretation(given, language),
        "last_update": moment(session.since),
        "since": moment(session.since),
        "waha_last_success": session.last_accepted.map(moment),
        "waha_last_failure": session.last_failed.map(moment),
        "waha_consecutive_failures": session.consecutive_failures,
        "consecutive_failures": session.consecutive_failures,
        "webhook_failing": session.sends_failing(),
    })
}
