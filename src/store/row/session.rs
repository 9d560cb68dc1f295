//! The stored forms of sessions and of status changes.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};

use super::description::{chat_id, session_name};
use super::{RowError, at, codes, to_bytes};
use crate::domain::id::ChatId;
use crate::domain::session::{Session, Smoldering};
use crate::domain::status::{Assessment, Confidence, Reason, Status, StatusChange};
use crate::domain::time::Timestamp;
use crate::domain::window::{Minute, Window};

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
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AssessmentRow {
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
    fn to_domain(&self) -> Result<Assessment, RowError> {
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
            latencies: latencies.map_err(|_| RowError::Invalid("latency buckets"))?,
        })
    }
}

fn millis(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::millis)
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
                latencies: minute.latencies.to_vec(),
            })
            .collect(),
    })
}

pub(in crate::store) fn session_of(bytes: &[u8]) -> Result<Session, RowError> {
    let row: SessionRow<'_> = minicbor::decode(bytes)?;
    let chat = |chat: Option<&str>| chat.map(chat_id).transpose();
    let name = session_name(row.name)?;
    Ok(Session {
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
        ..Session::new(name, at(row.since))
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
