//! How is a session? One question, and what of its answer is told (SPEC 6).
//!
//! The answer carries secrets in clear (WAHA-FACTS 2): only state, engine and restrictions are taken out of it.

use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

use super::wire::Answer;
use super::{WahaClient, session_path};
use crate::clock::wall;
use crate::domain::id::SessionName;
use crate::domain::outcome::{Cause, Reply};
use crate::domain::probe::{Engine, ProbeResult, Restriction, SessionState};
use crate::domain::time::Timestamp;

/// What is looked at of a session. Everything beyond its status may be missing, or of a form we do not know.
#[derive(Deserialize)]
struct Session {
    status: String,
    #[serde(default)]
    engine: Value,
    #[serde(default)]
    me: Value,
}

impl WahaClient {
    /// Asks how a session is.
    pub async fn probe(&self, session: &SessionName, now: Timestamp, limit: Duration) -> ProbeResult {
        match self.get(&session_path(session), limit).await {
            Ok(answer) => read(&answer, wall::outside(now)),
            Err(missing) => match missing.reply {
                Reply::Lost(Cause::ResponseTimeout) | Reply::NotSent(Cause::ConnectTimeout) => {
                    ProbeResult::TimedOut
                }
                // Somebody listens there, and what it says is no HTTP or nothing at all: a WAHA that dies, or none.
                Reply::NotSent(_) | Reply::Lost(_) | Reply::Answer { .. } => ProbeResult::Unreachable,
            },
        }
    }
}

fn read(answer: &Answer, now: Timestamp) -> ProbeResult {
    match (answer.status, answer.read::<Session>()) {
        (200, Some(session)) => ProbeResult::State {
            state: session_state(&session.status),
            engine: engine(&session.engine),
            restriction: restriction(&session.me, now),
        },
        (401 | 403, _) => ProbeResult::Unauthorized,
        (404, _) => ProbeResult::Missing,
        _ => ProbeResult::Strange,
    }
}

/// The state behind WAHA's word for it.
pub fn session_state(word: &str) -> SessionState {
    match word {
        "STOPPED" => SessionState::Stopped,
        "STARTING" => SessionState::Starting,
        "SCAN_QR_CODE" => SessionState::ScanQrCode,
        "WORKING" => SessionState::Working,
        "FAILED" => SessionState::Failed,
        word if word.starts_with("PASSKEY_") => SessionState::PasskeyRequired,
        _ => SessionState::Other,
    }
}

/// `engine: {engine: "NOWEB", …}`; empty while the session is stopped.
fn engine(told: &Value) -> Engine {
    match told.get("engine").and_then(Value::as_str) {
        Some("NOWEB") => Engine::Noweb,
        Some("GOWS") => Engine::Gows,
        Some(_) | None => Engine::Other,
    }
}

/// `me.reachoutTimelock` and `me.messageCapping`, since 2026.8. Their forms are documented nowhere, so several are understood.
fn restriction(me: &Value, now: Timestamp) -> Restriction {
    Restriction {
        locked: me.get("reachoutTimelock").is_some_and(|lock| is_locked(lock, now)),
        capped: me.get("messageCapping").is_some_and(is_capped),
    }
}

/// Baileys has `{isActive, timeEnforcementEnds, enforcementType}`. Where it does not say whether it is active, its end does.
fn is_locked(lock: &Value, now: Timestamp) -> bool {
    match lock {
        Value::Bool(locked) => *locked,
        Value::Object(fields) => {
            let active = fields.get("isActive").or_else(|| fields.get("is_active")).and_then(Value::as_bool);
            active.unwrap_or_else(|| fields.values().filter_map(moment).any(|end| end > now))
        }
        // Too small for a moment: a span that is left.
        Value::Number(number) => {
            moment(lock).map_or(number.as_f64().is_some_and(|left| left > 0.0), |end| end > now)
        }
        Value::String(_) => moment(lock).is_some_and(|end| end > now),
        Value::Null | Value::Array(_) => false,
    }
}

/// The word itself, or a field that says it.
fn is_capped(capping: &Value) -> bool {
    let says_so = |value: &Value| value.as_str().is_some_and(|word| word.eq_ignore_ascii_case("CAPPED"));
    says_so(capping) || capping.as_object().is_some_and(|fields| fields.values().any(says_so))
}

/// A moment in seconds or milliseconds since 1970, or as text.
fn moment(value: &Value) -> Option<Timestamp> {
    /// Seconds below it are no moment of our time, milliseconds above it are.
    const YEAR_2001: f64 = 1e9;
    if let Some(text) = value.as_str() {
        let moment = DateTime::parse_from_rfc3339(text).ok()?;
        return Some(Timestamp::from_millis(moment.timestamp_millis()));
    }
    let number = value.as_f64().filter(|number| *number >= YEAR_2001)?;
    let millis = if number >= YEAR_2001 * 100.0 { number } else { number * 1000.0 };
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, and so far off it does not matter")]
    Some(Timestamp::from_millis(millis as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn words_of_sessions() {
        let rows = [
            ("STOPPED", SessionState::Stopped),
            ("STARTING", SessionState::Starting),
            ("SCAN_QR_CODE", SessionState::ScanQrCode),
            ("PASSKEY_REQUIRED", SessionState::PasskeyRequired),
            ("PASSKEY_CONFIRMATION_REQUIRED", SessionState::PasskeyRequired),
            ("WORKING", SessionState::Working),
            ("FAILED", SessionState::Failed),
            ("working", SessionState::Other),
            ("", SessionState::Other),
        ];
        for (word, state) in rows {
            assert_eq!(session_state(word), state, "{word}");
        }
    }

    #[test]
    fn locks_in_many_forms() {
        let rows = [
            (json!(null), false),
            (json!({}), false),
            (json!({"isActive": true}), true),
            (json!({"isActive": false, "timeEnforcementEnds": "2100-01-01T00:00:00Z"}), false),
            (json!({"isActive": true, "timeEnforcementEnds": "2001-01-01T00:00:00.000Z"}), true),
            (json!({"timeEnforcementEnds": "2100-01-01T00:00:00.000Z"}), true),
            (json!({"timeEnforcementEnds": "2001-01-01T00:00:00.000Z"}), false),
            (json!({"end": 1_790_000_001, "isActive": null}), true),
            (json!({"end": 1_789_999_999}), false),
            (json!({"end": 1_790_000_000_001_i64}), true),
            (json!(1_790_000_001), true),
            (json!(1_789_999_999), false),
            (json!(3600), true),
            (json!(0), false),
            (json!(true), true),
            (json!("2100-01-01T00:00:00+02:00"), true),
            (json!("soon"), false),
            (json!([1]), false),
            (json!({"end": 1e300}), true),
        ];
        for (lock, expected) in rows {
            let restriction = restriction(&json!({"id": "1@c.us", "reachoutTimelock": lock}), NOW);
            assert_eq!(restriction, Restriction { locked: expected, capped: false }, "{lock}");
        }
    }

    #[test]
    fn caps_in_two_forms() {
        for (capping, expected) in [
            (json!(null), false),
            (json!("NONE"), false),
            (json!("CAPPED"), true),
            (json!({"cappingStatus": "CAPPED", "totalQuota": 10}), true),
            (json!({"cappingStatus": "FIRST_WARNING"}), false),
            (json!(7), false),
        ] {
            let restriction = restriction(&json!({"messageCapping": capping}), NOW);
            assert_eq!(restriction, Restriction { locked: false, capped: expected }, "{capping}");
        }
        assert_eq!(restriction(&json!(null), NOW), Restriction::default());
    }

    #[test]
    fn engines_that_take_an_id_are_known() {
        assert_eq!(engine(&json!({"engine": "NOWEB", "grpc": null})), Engine::Noweb);
        assert_eq!(engine(&json!({"engine": "GOWS"})), Engine::Gows);
        for other in [json!({"engine": "WEBJS"}), json!({}), json!(null), json!("NOWEB")] {
            assert_eq!(engine(&other), Engine::Other, "{other}");
        }
    }
}
