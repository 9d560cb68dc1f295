//! The JSON forms of what the API and the command line show: promises to their readers, apart from the domain's types.
//!
//! Everything here is for authorized eyes: customers' names and phones are whole. Keys are added, never renamed.

mod records;
mod status;

use serde_json::{Map, Value, json};

pub use self::records::{alert, audit, channel, communication_failure, drill, incident, unnotified};
pub use self::status::{bot_status, store};
use crate::domain::case::Case;
use crate::domain::confirmation::Confirmation;
use crate::domain::decide::{Policy, State};
use crate::domain::diagnosis::Finding;
use crate::domain::id::{ChatId, Phone, SessionName};
use crate::domain::order::OrderFacts;
use crate::domain::time::Timestamp;
use crate::store::SendSummary;
use crate::words::{self, Language};

/// What a record is seen with: what the heart knows, and for whom it is worded.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The heart's state.
    pub state: &'a State,
    /// The rules' numbers.
    pub policy: &'a Policy,
    /// Of sentences.
    pub language: Language,
    /// When it is.
    pub now: Timestamp,
}

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

/// A failed notification (SPEC 8) and how far its message got, where that is known; `None` for a case that is none.
pub fn notification(case: &Case, confirmation: Option<Confirmation>, sight: Sight<'_>) -> Option<Value> {
    let failure = case.failure.as_ref()?;
    let held = failure.is_open().then(|| sight.state.held(case, sight.now, sight.policy)).flatten();
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
            "attention": failure.attention.as_str(),
            "status_at_creation": failure.status_at_creation.as_str(),
            "replayable": case.replayable,
            "held": held.map(|held| held.as_str()),
            "replays": case.replays,
            "ours_since": case.ours_since.map(moment),
            "confirmation": confirmation.map(Confirmation::as_str),
            "claimed_by": failure.claimed_by,
            "resolved": resolution.is_some(),
            "manually_resolved": resolution.is_some_and(|resolution| resolution.by.is_some()),
            "resolved_by": resolution.and_then(|resolution| resolution.by.as_deref()),
            "resolution_method": resolution.map(|resolution| resolution.method.as_str()),
            "note": resolution.and_then(|resolution| resolution.note.as_deref()),
            "created_at": moment(failure.created_at),
            "resolved_at": resolution.map(|resolution| moment(resolution.at)),
            "finding": case.finding.as_deref().map(|found| finding(found, sight.language)),
        }),
    ))
}

/// What a diagnosis found.
fn finding(finding: &Finding, language: Language) -> Value {
    json!({
        "id": finding.id.to_string(),
        "verdict": finding.verdict.as_str(),
        "at": moment(finding.at),
        "user_reached": finding.user.answer(),
        "admin_reached": finding.admin.answer(),
        "number_exists": finding.number_exists,
        "evidence": words::evidence(finding, language),
        "resolved_at": finding.resolved_at.map(moment),
    })
}

/// The same with its attempts, oldest first.
pub fn notification_with_attempts(
    case: &Case,
    confirmation: Option<Confirmation>,
    sight: Sight<'_>,
) -> Option<Value> {
    let mut shown = notification(case, confirmation, sight)?;
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
