//! The stored forms of sessions and of status changes.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};

use super::description::{chat_id, session_name};
use super::ledger::cause;
use super::probe::ProbeRow;
use super::{RowError, at, codes, flag, listed, millis, to_bytes};
use crate::domain::day::{Day, Hour};
use crate::domain::id::ChatId;
use crate::domain::probe::Health;
use crate::domain::session::{Rejection, Session, Smoldering};
use crate::domain::status::{Assessment, Confidence, Reason, Status, StatusChange};
use crate::domain::window::{Latencies, Minute, Window};

codes!(status: Status {
    Unknown = 0, Online = 1, Degraded = 2, Offline = 3, Incommunicado = 4, IncommunicadoCritico = 5,
});
codes!(confidence: Confidence { Low = 1, Medium = 2, High = 3 });
codes!(reason: Reason {
    NothingSeen = 0, AllWell = 1, SendsGivenUp = 2, SendsFailing = 3, LowSuccessRate = 4, HighLatency = 5, RetriesNeeded = 6,
    BotSilent = 7, TotalLoss = 8, NothingWorks = 9, Unacknowledged = 10, HealthcheckFailing = 11, WebhookOnly = 12, AccountRestricted = 13,
    RejectedAlike = 14, BotGone = 15, Unproven = 16,
});

#[derive(Encode, Decode)]
#[cbor(map)]
struct SessionRow<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    assessment: AssessmentRow,
    #[n(2)]
    since: i64,
    #[n(3)]
    last_accepted: Option<i64>,
    #[n(4)]
    last_failed: Option<i64>,
    #[n(5)]
    last_activity: Option<i64>,
    #[n(6)]
    consecutive_failures: u32,
    #[b(7)]
    failing_chats: Vec<ChatRow<'a>>,
    #[b(8)]
    exhausted: Vec<ExhaustedRow<'a>>,
    #[n(9)]
    retried_at: Option<i64>,
    #[n(10)]
    low_rate: Option<i64>,
    #[n(11)]
    high_latency: Option<i64>,
    #[n(12)]
    minutes: Vec<MinuteRow>,
    #[n(13)]
    health: Option<HealthRow>,
    #[n(14)]
    total_loss_at: Option<i64>,
    #[n(15)]
    webhook_only_at: Option<i64>,
    #[b(16)]
    rejections: Option<Vec<RejectionRow<'a>>>,
    #[b(17)]
    restricted_chats: Option<Vec<RestrictedRow<'a>>>,
    #[n(18)]
    last_server_ack: Option<i64>,
    #[n(19)]
    last_device_ack: Option<i64>,
    #[n(20)]
    unproven_since: Option<i64>,
    #[n(21)]
    key_refused_since: Option<i64>,
    #[n(22)]
    hours: Option<Vec<HourRow>>,
    #[n(23)]
    last_heartbeat: Option<i64>,
}

/// When the next probe is due is not here: a process that starts finds out for itself.
#[derive(Encode, Decode)]
#[cbor(map)]
struct HealthRow {
    #[n(0)]
    last: Option<ProbeRow>,
    #[n(1)]
    at: Option<i64>,
    #[n(2)]
    last_success: Option<i64>,
    #[n(3)]
    last_failure: Option<i64>,
    #[n(4)]
    consecutive_failures: u32,
    #[n(5)]
    failing: Option<bool>,
    #[n(6)]
    healthy_since: Option<i64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RejectionRow<'a> {
    #[n(0)]
    at: i64,
    #[n(1)]
    cause: u8,
    #[b(2)]
    chat: &'a str,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RestrictedRow<'a> {
    #[b(0)]
    chat: &'a str,
    #[n(1)]
    at: i64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct AssessmentRow {
    #[n(0)]
    status: u8,
    #[n(1)]
    confidence: u8,
    #[n(2)]
    reason: u8,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ChatRow<'a> {
    #[b(0)]
    chat: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ExhaustedRow<'a> {
    #[n(0)]
    at: i64,
    #[b(1)]
    chat: Option<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct MinuteRow {
    #[n(0)]
    start: i64,
    #[n(1)]
    accepted: u32,
    #[n(2)]
    exhausted: u32,
    #[n(3)]
    latencies: Vec<u32>,
    #[n(4)]
    ambiguous: Option<u32>,
    #[n(5)]
    rejected: Option<u32>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct HourRow {
    #[n(0)]
    start: i64,
    #[n(1)]
    sends: Vec<u32>,
    #[n(2)]
    latencies: Vec<u32>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ChangeRow<'a> {
    #[b(0)]
    session: &'a str,
    #[n(1)]
    at: i64,
    #[n(2)]
    from: u8,
    #[n(3)]
    to: AssessmentRow,
}

impl From<Assessment> for AssessmentRow {
    fn from(assessment: Assessment) -> Self {
        Self {
            status: status::code(assessment.status),
            confidence: confidence::code(assessment.confidence),
            reason: reason::code(assessment.reason),
        }
    }
}

impl AssessmentRow {
    pub(super) fn to_domain(&self) -> Result<Assessment, RowError> {
        Ok(Assessment {
            status: status::of(self.status)?,
            confidence: confidence::of(self.confidence)?,
            reason: reason::of(self.reason)?,
        })
    }
}

impl MinuteRow {
    fn to_domain(&self) -> Result<Minute, RowError> {
        let latencies = self.latencies.as_slice().try_into();
        Ok(Minute {
            start: at(self.start),
            accepted: self.accepted,
            exhausted: self.exhausted,
            ambiguous: self.ambiguous.unwrap_or(0),
            rejected: self.rejected.unwrap_or(0),
            latencies: Latencies(latencies.map_err(|_| RowError::Invalid("latency buckets"))?),
        })
    }
}

impl HourRow {
    fn to_domain(&self) -> Result<Hour, RowError> {
        let (sends, latencies) = (self.sends.as_slice().try_into(), self.latencies.as_slice().try_into());
        Ok(Hour {
            start: at(self.start),
            sends: sends.map_err(|_| RowError::Invalid("outcomes of an hour"))?,
            latencies: Latencies(latencies.map_err(|_| RowError::Invalid("latency buckets"))?),
        })
    }
}

impl From<&Health> for HealthRow {
    fn from(health: &Health) -> Self {
        Self {
            last: health.last.map(ProbeRow::from),
            at: millis(health.at),
            last_success: millis(health.last_success),
            last_failure: millis(health.last_failure),
            consecutive_failures: health.consecutive_failures,
            failing: flag(health.failing),
            healthy_since: millis(health.healthy_since),
        }
    }
}

impl HealthRow {
    fn to_domain(&self) -> Result<Health, RowError> {
        Ok(Health {
            last: self.last.as_ref().map(ProbeRow::to_domain).transpose()?,
            at: self.at.map(at),
            last_success: self.last_success.map(at),
            last_failure: self.last_failure.map(at),
            consecutive_failures: self.consecutive_failures,
            failing: self.failing.unwrap_or(false),
            healthy_since: self.healthy_since.map(at),
            next: None,
            asking: false,
        })
    }
}

impl RejectionRow<'_> {
    fn to_domain(&self) -> Result<Rejection, RowError> {
        Ok(Rejection { at: at(self.at), cause: cause::of(self.cause)?, chat: chat_id(self.chat)? })
    }
}

pub(in crate::store) fn session_row(session: &Session) -> Vec<u8> {
    to_bytes(&SessionRow {
        name: session.name.as_str(),
        assessment: session.assessment.into(),
        since: session.since.millis(),
        last_accepted: millis(session.last_accepted),
        last_failed: millis(session.last_failed),
        last_activity: millis(session.last_activity),
        consecutive_failures: session.consecutive_failures,
        failing_chats: (session.failing_chats.iter())
            .map(|chat| ChatRow { chat: chat.as_ref().map(ChatId::expose) })
            .collect(),
        exhausted: (session.exhausted.iter())
            .map(|(at, chat)| ExhaustedRow { at: at.millis(), chat: chat.as_ref().map(ChatId::expose) })
            .collect(),
        retried_at: millis(session.retried_at),
        low_rate: millis(session.low_rate.last_bad),
        high_latency: millis(session.high_latency.last_bad),
        minutes: (session.window.minutes.iter())
            .map(|minute| MinuteRow {
                start: minute.start.millis(),
                accepted: minute.accepted,
                exhausted: minute.exhausted,
                latencies: minute.latencies.0.to_vec(),
                ambiguous: (minute.ambiguous > 0).then_some(minute.ambiguous),
                rejected: (minute.rejected > 0).then_some(minute.rejected),
            })
            .collect(),
        health: (session.health != Health::default()).then(|| HealthRow::from(&session.health)),
        total_loss_at: millis(session.total_loss_at),
        webhook_only_at: millis(session.webhook_only_at),
        rejections: listed(
            (session.rejections.iter())
                .map(|rejection| RejectionRow {
                    at: rejection.at.millis(),
                    cause: cause::code(rejection.cause),
                    chat: rejection.chat.expose(),
                })
                .collect(),
        ),
        restricted_chats: listed(
            (session.restricted_chats.iter())
                .map(|(chat, at)| RestrictedRow { chat: chat.expose(), at: at.millis() })
                .collect(),
        ),
        last_server_ack: millis(session.last_server_ack),
        last_device_ack: millis(session.last_device_ack),
        unproven_since: millis(session.unproven_since),
        key_refused_since: millis(session.key_refused_since),
        hours: listed(
            (session.day.hours.iter())
                .map(|hour| HourRow {
                    start: hour.start.millis(),
                    sends: hour.sends.to_vec(),
                    latencies: hour.latencies.0.to_vec(),
                })
                .collect(),
        ),
        last_heartbeat: millis(session.last_heartbeat),
    })
}

pub(in crate::store) fn session_of(bytes: &[u8]) -> Result<Session, RowError> {
    let row: SessionRow<'_> = minicbor::decode(bytes)?;
    let chat = |chat: Option<&str>| chat.map(chat_id).transpose();
    Ok(Session {
        name: session_name(row.name)?,
        assessment: row.assessment.to_domain()?,
        since: at(row.since),
        last_accepted: row.last_accepted.map(at),
        last_failed: row.last_failed.map(at),
        last_activity: row.last_activity.map(at),
        consecutive_failures: row.consecutive_failures,
        failing_chats: row.failing_chats.iter().map(|row| chat(row.chat)).collect::<Result<_, _>>()?,
        exhausted: (row.exhausted.iter())
            .map(|row| Ok((at(row.at), chat(row.chat)?)))
            .collect::<Result<VecDeque<_>, RowError>>()?,
        retried_at: row.retried_at.map(at),
        low_rate: Smoldering { last_bad: row.low_rate.map(at) },
        high_latency: Smoldering { last_bad: row.high_latency.map(at) },
        window: Window { minutes: row.minutes.iter().map(MinuteRow::to_domain).collect::<Result<_, _>>()? },
        health: row.health.as_ref().map(HealthRow::to_domain).transpose()?.unwrap_or_default(),
        total_loss_at: row.total_loss_at.map(at),
        webhook_only_at: row.webhook_only_at.map(at),
        rejections: (row.rejections.iter().flatten())
            .map(RejectionRow::to_domain)
            .collect::<Result<_, _>>()?,
        restricted_chats: (row.restricted_chats.iter().flatten())
            .map(|row| Ok((chat_id(row.chat)?, at(row.at))))
            .collect::<Result<_, RowError>>()?,
        last_server_ack: row.last_server_ack.map(at),
        last_device_ack: row.last_device_ack.map(at),
        unproven_since: row.unproven_since.map(at),
        key_refused_since: row.key_refused_since.map(at),
        day: Day { hours: (row.hours.iter().flatten()).map(HourRow::to_domain).collect::<Result<_, _>>()? },
        last_heartbeat: row.last_heartbeat.map(at),
    })
}

pub(in crate::store) fn change_row(change: &StatusChange) -> Vec<u8> {
    to_bytes(&ChangeRow {
        session: change.session.as_str(),
        at: change.at.millis(),
        from: status::code(change.from),
        to: change.to.into(),
    })
}

pub(in crate::store) fn change_of(bytes: &[u8]) -> Result<StatusChange, RowError> {
    let row: ChangeRow<'_> = minicbor::decode(bytes)?;
    Ok(StatusChange {
        session: session_name(row.session)?,
        at: at(row.at),
        from: status::of(row.from)?,
        to: row.to.to_domain()?,
    })
}
