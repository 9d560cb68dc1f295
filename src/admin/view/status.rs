//! The JSON form of the status, of the whole and of each session (SPEC 8), with the other names that SPEC 14 gives some fields.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Sight, moment};
use crate::domain::confirmation::Confirmation;
use crate::domain::decide::{Outlook, State};
use crate::domain::session::Session;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::store::{StoreHealth, StoreState};
use crate::words;

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

/// The status: of the worst session, and of all.
pub fn bot_status(sight: Sight<'_>, health: &StoreHealth) -> Value {
    let Sight { state, policy, language, now } = sight;
    let worst = state.worst();
    let open = state.cases().values().filter(|case| case.failure.is_some());
    let orders: BTreeSet<_> = open.clone().filter_map(|case| case.what.order.key()).collect();
    let sessions: Map<String, Value> = state
        .sessions()
        .iter()
        .map(|(name, one)| (name.as_str().to_owned(), Value::Object(session(one, sight))))
        .collect();
    let seen = |pick: fn(&Session) -> Option<Timestamp>| state.sessions().values().filter_map(pick).max();
    let last_success = seen(|session| session.last_accepted).map(moment);
    let mut reason = words::reason(worst.assessment.reason, language).to_owned();
    if !matches!(health.state, StoreState::Recording | StoreState::Closed) {
        reason = format!("{reason} {}", words::not_recording(&health.reason, language));
    }
    let outlooks: Vec<_> = state.sessions().keys().map(|name| state.outlook(name, now, policy)).collect();
    let outlook = Outlook {
        pending: outlooks.iter().map(|one| one.pending).sum(),
        held: outlooks.iter().map(|one| one.held).sum(),
        finish: outlooks.iter().filter_map(|one| one.finish).max(),
    };
    let mut shown = session(worst, sight);
    let more = json!({
        "reason": reason,
        "last_success": last_success,
        "waha_last_success": last_success,
        "last_webhook_success": last_success,
        "last_activity": seen(|session| session.last_activity).map(moment),
        "last_server_ack": seen(|session| session.last_server_ack).map(moment),
        "last_device_ack": seen(|session| session.last_device_ack).map(moment),
        "unacknowledged": unacknowledged(state, |_| true),
        "recovery": recovery(state, outlook),
        "failed_notifications": open.count(),
        "orders_unnotified": orders.len(),
        "sessions": sessions,
        "now": moment(now),
        "metadata": { "store": store(health), "version": env!("CARGO_PKG_VERSION") },
    });
    if let Value::Object(more) = more {
        shown.extend(more);
    }
    Value::Object(shown)
}

fn session(session: &Session, sight: Sight<'_>) -> Map<String, Value> {
    let Sight { state, policy, language, now } = sight;
    let (given, health) = (session.assessment, &session.health);
    let interpretation = words::interpretation(given, language);
    let ill = health.last.filter(|last| !last.is_healthy());
    let shown = json!({
        "session": session.name.as_str(),
        "status": given.status.as_str(),
        "confidence": given.confidence.as_str(),
        "reason": words::reason(given.reason, language),
        "reason_code": given.reason.as_str(),
        "interpretation": interpretation,
        "note": (!matches!(given.status, Status::Online | Status::Unknown)).then_some(interpretation),
        "instruction": ill.map(|last| words::instruction(last, language)),
        "last_update": moment(session.since),
        "since": moment(session.since),
        "waha_last_success": session.last_accepted.map(moment),
        "waha_last_failure": session.last_failed.map(moment),
        "waha_consecutive_failures": session.consecutive_failures,
        "consecutive_failures": session.consecutive_failures,
        "webhook_failing": session.sends_failing(),
        "waha_session_status": health.last.map(|last| last.as_str()),
        "healthcheck_failing": health.failing,
        "healthcheck_last_success": health.last_success.map(moment),
        "healthcheck_last_failure": health.last_failure.map(moment),
        "healthcheck_consecutive_failures": health.consecutive_failures,
        "last_healthcheck": health.at.map(moment),
        "events": { "state": state.feed().as_str(), "blind": state.is_blind(&session.name, now) },
        "last_server_ack": session.last_server_ack.map(moment),
        "last_device_ack": session.last_device_ack.map(moment),
        "unacknowledged": unacknowledged(state, |name| *name == session.name),
        "recovery": recovery(state, state.outlook(&session.name, now, policy)),
        "incident": state.incidents().get(&session.name).map(|incident| incident.id.to_string()),
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

/// Accepted sends that WhatsApp has not acknowledged yet.
fn unacknowledged(state: &State, of: impl Fn(&crate::domain::id::SessionName) -> bool) -> usize {
    let waiting = state.awaiting().values().filter(|awaiting| awaiting.acked == Confirmation::None);
    waiting.filter(|awaiting| of(state.session_of(&awaiting.what))).count()
}

fn recovery(state: &State, outlook: Outlook) -> Value {
    json!({
        "paused": state.is_paused(),
        "pending": outlook.pending,
        "held": outlook.held,
        "finish_at": outlook.finish.map(moment),
    })
}
