//! The status of a session: a pure function of what was seen and of time (SPEC 7).

use std::time::Duration;

use super::session::Session;
use super::status::{Assessment, Confidence, Reason, Status, StatusPolicy};
use super::time::Timestamp;

/// What the status depends on beside the session's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    /// Accepted sends to two chats or more have had no server ack for so long (SPEC 4.6).
    pub unacknowledged: Duration,
    /// The bot's own sign of life is missing.
    pub bot_gone: bool,
}

/// Looks at the clock and the windows again. `true` where the session's status changed.
pub fn reassess(session: &mut Session, signals: &Signals, now: Timestamp, policy: &StatusPolicy) -> bool {
    let summary = session.window.summary(now, policy.window);
    let enough = summary.sends >= policy.min_sends;
    session.low_rate.observe(enough && summary.success_rate < policy.success_rate, now);
    session.high_latency.observe(enough && summary.latency_p95 > policy.latency_p95, now);
    let assessment = assess(session, signals, now, policy);
    let changed = assessment.status != session.assessment.status;
    if changed {
        session.since = now;
    }
    session.assessment = assessment;
    changed
}

/// The table of SPEC 7, first match wins.
pub fn assess(session: &Session, signals: &Signals, now: Timestamp, policy: &StatusPolicy) -> Assessment {
    let (status, confidence, reason) = critical(session, signals, policy)
        .or_else(|| silent(session, signals, now, policy))
        .or_else(|| degraded(session, signals, now, policy))
        .unwrap_or_else(|| well(session, now, policy));
    Assessment { status, confidence, reason }
}

type Row = (Status, Confidence, Reason);

/// Nothing gets through, and that is sure.
fn critical(session: &Session, signals: &Signals, policy: &StatusPolicy) -> Option<Row> {
    let row = |reason| Some((Status::IncommunicadoCritico, Confidence::High, reason));
    match () {
        () if session.total_loss_at.is_some() => row(Reason::TotalLoss),
        () if session.health.failing && session.sends_failing() => row(Reason::NothingWorks),
        () if signals.unacknowledged >= policy.unacked_critical => row(Reason::Unacknowledged),
        () => None,
    }
}

/// Sends to several chats were given up, or the bot itself is gone.
fn silent(session: &Session, signals: &Signals, now: Timestamp, policy: &StatusPolicy) -> Option<Row> {
    if session.exhausted_chats(now, policy.incommunicado_window, policy.incommunicado_failures) >= 2 {
        return Some((Status::Incommunicado, Confidence::Medium, Reason::SendsGivenUp));
    }
    signals.bot_gone.then_some((Status::Offline, Confidence::High, Reason::BotGone))
}

/// Something is wrong, and something still works.
fn degraded(session: &Session, signals: &Signals, now: Timestamp, policy: &StatusPolicy) -> Option<Row> {
    let lately = |at: Option<Timestamp>| at.is_some_and(|at| now.since(at) < policy.window);
    let reason = match () {
        () if session.health.failing => Reason::HealthcheckFailing,
        () if session.sends_failing() => Reason::SendsFailing,
        () if session.account_restricted(now, policy.window) => Reason::AccountRestricted,
        () if signals.unacknowledged >= policy.unacked_degraded => Reason::Unacknowledged,
        () if session.rejected_alike(now, policy.incommunicado_window) => Reason::RejectedAlike,
        () if session.unproven_since.is_some() => Reason::Unproven,
        () if session.low_rate.is_bad(now, policy.recover_after) => Reason::LowSuccessRate,
        () if session.high_latency.is_bad(now, policy.recover_after) => Reason::HighLatency,
        () if lately(session.webhook_only_at) => Reason::WebhookOnly,
        () if lately(session.retried_at) => Reason::RetriesNeeded,
        () => return None,
    };
    Some((Status::Degraded, Confidence::Medium, reason))
}

fn well(session: &Session, now: Timestamp, policy: &StatusPolicy) -> Row {
    let online = (Status::Online, Confidence::High, Reason::AllWell);
    match session.last_activity {
        Some(at) if now.since(at) > policy.offline_after => {
            (Status::Offline, Confidence::Low, Reason::BotSilent)
        }
        Some(_) => online,
        // A probe has seen it work; the bot has only nothing to say yet.
        None if session.health.last_success.is_some() => online,
        None => (Status::Unknown, Confidence::Low, Reason::NothingSeen),
    }
}

impl Assessment {
    /// Nothing is wrong, as far as anybody can tell: no incident.
    pub fn is_well(&self) -> bool {
        match self.status {
            Status::Online | Status::Unknown => true,
            Status::Offline => self.confidence == Confidence::Low,
            Status::Degraded | Status::Incommunicado | Status::IncommunicadoCritico => false,
        }
    }
}
