//! The status of a session: a pure function of what was seen and of time (SPEC 7).
//!
//! This version knows what sends tell. The rows of SPEC 7 that need probes, diagnoses or confirmations are not here yet, and nothing
//! pretends to know them.

use super::session::Session;
use super::status::{Assessment, Confidence, Reason, Status, StatusPolicy};
use super::time::Timestamp;

/// Looks at the clock and the windows again. `true` where the session's status changed.
pub fn reassess(session: &mut Session, now: Timestamp, policy: &StatusPolicy) -> bool {
    let summary = session.window.summary(now, policy.window);
    let enough = summary.sends >= policy.min_sends;
    session.low_rate.observe(enough && summary.success_rate < policy.success_rate, now);
    session.high_latency.observe(enough && summary.latency_p95 > policy.latency_p95, now);
    let assessment = assess(session, now, policy);
    let changed = assessment.status != session.assessment.status;
    if changed {
        session.since = now;
    }
    session.assessment = assessment;
    changed
}

/// The table of SPEC 7, first match wins.
pub fn assess(session: &Session, now: Timestamp, policy: &StatusPolicy) -> Assessment {
    let given = |status, confidence, reason| Assessment { status, confidence, reason };
    if session.exhausted_chats(now, policy.incommunicado_window, policy.incommunicado_failures) >= 2 {
        return given(Status::Incommunicado, Confidence::Medium, Reason::SendsGivenUp);
    }
    if session.sends_failing() {
        return given(Status::Degraded, Confidence::Medium, Reason::SendsFailing);
    }
    if session.low_rate.is_bad(now, policy.recover_after) {
        return given(Status::Degraded, Confidence::Medium, Reason::LowSuccessRate);
    }
    if session.high_latency.is_bad(now, policy.recover_after) {
        return given(Status::Degraded, Confidence::Medium, Reason::HighLatency);
    }
    if session.retried_at.is_some_and(|at| now.since(at) < policy.window) {
        return given(Status::Degraded, Confidence::Medium, Reason::RetriesNeeded);
    }
    match session.last_activity {
        None => Assessment::UNKNOWN,
        Some(at) if now.since(at) > policy.offline_after => {
            given(Status::Offline, Confidence::Low, Reason::BotSilent)
        }
        Some(_) => given(Status::Online, Confidence::High, Reason::AllWell),
    }
}
