//! The JSON forms of what the heart made of the sends: unnotified orders, communication failures, incidents, alerts, the audit (SPEC 8).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{moment, order, with};
use crate::domain::alert::{Alert, Orders};
use crate::domain::case::Case;
use crate::domain::command::Audit;
use crate::domain::delivery::{Delivery, Progress};
use crate::domain::errand::LetterText;
use crate::domain::id::{ChatId, Phone, SendId, SessionName};
use crate::domain::incident::{Incident, Line};
use crate::domain::notification::{Attention, Failure, Method};
use crate::domain::order::NotificationType;
use crate::domain::time::Timestamp;
use crate::words::{self, Language};

/// An order whose customer was not told: its open failed notifications, the oldest first.
pub fn unnotified(cases: &[&Case], now: Timestamp) -> Option<Value> {
    let first = cases.first()?;
    let failures: Vec<&Failure> = cases.iter().filter_map(|case| case.failure.as_ref()).collect();
    let since = failures.iter().map(|failure| failure.created_at).min()?;
    let causes: BTreeSet<_> = failures.iter().map(|failure| failure.cause.as_str()).collect();
    let types: BTreeSet<NotificationType> =
        cases.iter().map(|case| case.what.order.notification_type.unwrap_or_default()).collect();
    // Each notification may know something that the others do not.
    let facts = cases.iter().fold(first.what.order.clone(), |facts, case| facts.or(case.what.order.clone()));
    let manual = failures.iter().all(|failure| failure.attention == Attention::Manual);
    Some(json!({
        "order_id": facts.order_id,
        "order_number": facts.order_number,
        "order_total": facts.order_total,
        "customer_name": facts.customer_name,
        "customer_phone": facts.customer_phone.as_ref().map(Phone::expose),
        "session": first.what.session.as_ref().map(SessionName::as_str),
        "since": moment(since),
        "age_seconds": now.since(since).as_secs(),
        "attention": if manual { Attention::Manual } else { Attention::Unnotified }.as_str(),
        "claimed_by": failures.iter().find_map(|failure| failure.claimed_by.as_deref()),
        "causes": causes,
        "types": types.into_iter().map(NotificationType::as_str).collect::<Vec<_>>(),
        "notifications": cases.iter().map(|case| case.send.to_string()).collect::<Vec<_>>(),
    }))
}

/// A communication failure: a failed notification with what its diagnosis found. `None` for a case without a diagnosis.
pub fn communication_failure(case: &Case, language: Language) -> Option<Value> {
    let finding = case.finding.as_deref()?;
    let resolution = case.failure.as_ref().and_then(|failure| failure.resolution.as_ref());
    let resolved_at = finding.resolved_at.or_else(|| resolution.map(|resolution| resolution.at));
    // The channel was back before anybody had settled the notification.
    let method = resolution.map(|resolution| resolution.method);
    let method = method.or_else(|| resolved_at.map(|_| Method::BotRecovered));
    Some(with(
        order(&case.what.order),
        json!({
            "id": case.send.to_string(),
            "diagnosis_id": finding.id.to_string(),
            "failure_type": finding.verdict.as_str(),
            "session": case.what.session.as_ref().map(SessionName::as_str),
            "chat_id": case.what.chat.as_ref().map(ChatId::expose),
            "diagnostic_user_reached": finding.user.answer(),
            "diagnostic_admin_reached": finding.admin.answer(),
            "number_exists": finding.number_exists,
            "evidence": words::evidence(finding, language),
            "created_at": moment(finding.at),
            "resolved_at": resolved_at.map(moment),
            "resolution_method": method.map(Method::as_str),
        }),
    ))
}

/// An incident.
pub fn incident(incident: &Incident, language: Language, now: Timestamp) -> Value {
    let timeline: Vec<_> = incident.timeline.iter().map(|line| line_of(line, language)).collect();
    let announced = incident.announced;
    json!({
        "id": incident.id.to_string(),
        "session": incident.session.as_str(),
        "open": incident.end.is_none(),
        "start": moment(incident.start),
        "end": incident.end.map(moment),
        "downtime_seconds": incident.downtime(now).as_secs(),
        "worst_status": incident.worst.as_str(),
        "affected": incident.affected_count,
        "affected_notifications": incident.affected.iter().map(SendId::to_string).collect::<Vec<_>>(),
        "replayed": incident.replayed,
        "left": incident.left,
        "announced": {
            "preventive": announced.preventive,
            "total_loss": announced.loss,
            "account_restricted": announced.restricted,
            "bot_gone": announced.gone,
        },
        "timeline": timeline,
    })
}

fn line_of(line: &Line, language: Language) -> Value {
    json!({
        "at": moment(line.at),
        "status": line.to.status.as_str(),
        "confidence": line.to.confidence.as_str(),
        "reason_code": line.to.reason.as_str(),
        "reason": words::reason(line.to.reason, language),
    })
}

/// How far an alert got on a channel.
fn delivery(one: &Delivery) -> Value {
    let state = match one.progress {
        Progress::Waiting => "waiting",
        Progress::UnderWay => "under_way",
        Progress::Told(_) => "told",
        Progress::Dropped(_, why) => why.as_str(),
    };
    json!({
        "channel": one.channel.as_str(),
        "state": state,
        "tries": one.tries,
        "due": moment(one.due),
        "settled": one.settled().map(moment),
    })
}

/// An alert and what it says.
pub fn alert(alert: &Alert, language: Language) -> Value {
    let none = Orders::default();
    let orders = alert.says.orders().unwrap_or(&none);
    let named: Vec<_> = orders
        .named
        .iter()
        .map(|line| json!({ "notification": line.send.to_string(), "order": line.order }))
        .collect();
    json!({
        "id": alert.id.to_string(),
        "session": alert.session.as_str(),
        "incident": alert.incident.map(|incident| incident.to_string()),
        "says": alert.says.as_str(),
        "text": words::letter(&LetterText::Alert(Box::new(alert.clone())), language),
        "orders": named,
        "orders_count": orders.count,
        "at": moment(alert.at),
        "told": alert.told().map(moment),
        "over": alert.over().map(moment),
        "deliveries": alert.deliveries.iter().map(delivery).collect::<Vec<_>>(),
    })
}

/// Who did what.
pub fn audit(line: &Audit) -> Value {
    json!({
        "id": line.id.to_string(),
        "at": moment(line.at),
        "who": line.who,
        "action": line.action,
        "target": line.target,
    })
}
