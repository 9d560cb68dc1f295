//! The JSON forms of sends and of failed notifications (SPEC 8, 13).

use serde::Serialize;
use utoipa::ToSchema;

use super::word::{
    AttentionWord, CauseWord, ConfirmationWord, HeldWord, KindWord, MethodWord, OutcomeWord, StatusWord,
    TypeWord, VerdictWord, ViaWord,
};
use super::{Moment, OrderView, Sight, order};
use crate::domain::case::{AttemptLine, Case};
use crate::domain::confirmation::Confirmation;
use crate::domain::diagnosis::Finding;
use crate::domain::id::{ChatId, SessionName};
use crate::store::SendSummary;
use crate::words::{self, Language};

/// A send in one line.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendView {
    #[serde(flatten)]
    order: OrderView,
    send_id: String,
    session: Option<String>,
    chat_id: Option<String>,
    kind: KindWord,
    /// `ambiguous` while its latest attempt runs.
    outcome: OutcomeWord,
    cause: Option<CauseWord>,
    attempts: u32,
    first_at: Moment,
    last_at: Moment,
    /// HTTP status of WAHA's latest answer.
    status: Option<u16>,
    /// WhatsApp's id of the message.
    message_id: Option<String>,
    via: ViaWord,
}

/// A send in one line (SPEC 13).
pub fn send(send: &SendSummary) -> SendView {
    let what = &send.what;
    SendView {
        order: order(&what.order),
        send_id: send.send.to_string(),
        session: what.session.as_ref().map(|name| name.as_str().to_owned()),
        chat_id: what.chat.as_ref().map(|chat| chat.expose().to_owned()),
        kind: what.kind.into(),
        outcome: send.outcome.into(),
        cause: send.cause.map(CauseWord::from),
        attempts: send.attempts,
        first_at: send.first_at.into(),
        last_at: send.last_at.into(),
        status: send.last_status,
        message_id: send.message_id.as_ref().map(ToString::to_string),
        via: send.via.into(),
    }
}

/// A failed notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedNotification {
    #[serde(flatten)]
    order: OrderView,
    /// The send's id: `X-Watchdog-Send-Id` of the bot's answers.
    id: String,
    /// The same as `notification_type`.
    r#type: TypeWord,
    session: Option<String>,
    chat_id: Option<String>,
    attempts: u32,
    first_attempt: Moment,
    last_attempt: Moment,
    outcome: OutcomeWord,
    cause: CauseWord,
    attention: AttentionWord,
    status_at_creation: StatusWord,
    /// The whole request is kept.
    replayable: bool,
    /// Why it is not sent again by itself; null: it is, when it is its turn.
    held: Option<HeldWord>,
    /// How often the sidecar sent it again.
    replays: u32,
    /// Since when the bot tries no more.
    ours_since: Option<Moment>,
    confirmation: Option<ConfirmationWord>,
    claimed_by: Option<String>,
    resolved: bool,
    manually_resolved: bool,
    resolved_by: Option<String>,
    resolution_method: Option<MethodWord>,
    note: Option<String>,
    created_at: Moment,
    resolved_at: Option<Moment>,
    finding: Option<FindingView>,
}

/// What a diagnosis found.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingView {
    id: String,
    verdict: VerdictWord,
    at: Moment,
    /// Null: not tried, or nobody knows.
    user_reached: Option<bool>,
    /// Null: not tried, or nobody knows.
    admin_reached: Option<bool>,
    /// Is the number on WhatsApp? Null where that was not asked.
    number_exists: Option<bool>,
    /// All that speaks for it, as a sentence.
    evidence: String,
    resolved_at: Option<Moment>,
}

/// A failed notification with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationDetail {
    #[serde(flatten)]
    notification: FailedNotification,
    /// Its attempts, the oldest first; of more than 16 the middle is left out.
    timeline: Vec<AttemptView>,
}

/// An attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    number: u32,
    via: ViaWord,
    started_at: Moment,
    ended_at: Moment,
    outcome: OutcomeWord,
    cause: Option<CauseWord>,
    /// HTTP status of WAHA's answer.
    status: Option<u16>,
    /// What WAHA's answer said; may name a number.
    detail: Option<String>,
    /// WhatsApp's id of the message.
    message_id: Option<String>,
}

/// A failed notification (SPEC 8) and how far its message got, where that is known; `None` for a case that is none.
pub fn notification(
    case: &Case,
    confirmation: Option<Confirmation>,
    sight: Sight<'_>,
) -> Option<FailedNotification> {
    let failure = case.failure.as_ref()?;
    let held = failure.is_open().then(|| sight.state.held(case, sight.now, sight.policy)).flatten();
    let resolution = failure.resolution.as_ref();
    Some(FailedNotification {
        order: order(&case.what.order),
        id: case.send.to_string(),
        r#type: case.what.order.notification_type.unwrap_or_default().into(),
        session: case.what.session.as_ref().map(SessionName::to_string),
        chat_id: case.what.chat.as_ref().map(|chat| ChatId::expose(chat).to_owned()),
        attempts: case.attempts,
        first_attempt: case.first_at.into(),
        last_attempt: case.last_at.into(),
        outcome: case.outcome.into(),
        cause: failure.cause.into(),
        attention: failure.attention.into(),
        status_at_creation: failure.status_at_creation.into(),
        replayable: case.replayable,
        held: held.map(HeldWord::from),
        replays: case.replays,
        ours_since: case.ours_since.map(Moment),
        confirmation: confirmation.map(ConfirmationWord::from),
        claimed_by: failure.claimed_by.clone(),
        resolved: resolution.is_some(),
        manually_resolved: resolution.is_some_and(|resolution| resolution.by.is_some()),
        resolved_by: resolution.and_then(|resolution| resolution.by.clone()),
        resolution_method: resolution.map(|resolution| resolution.method.into()),
        note: resolution.and_then(|resolution| resolution.note.clone()),
        created_at: failure.created_at.into(),
        resolved_at: resolution.map(|resolution| resolution.at.into()),
        finding: case.finding.as_deref().map(|found| finding(found, sight.language)),
    })
}

fn finding(finding: &Finding, language: Language) -> FindingView {
    FindingView {
        id: finding.id.to_string(),
        verdict: finding.verdict.into(),
        at: finding.at.into(),
        user_reached: finding.user.answer(),
        admin_reached: finding.admin.answer(),
        number_exists: finding.number_exists,
        evidence: words::evidence(finding, language),
        resolved_at: finding.resolved_at.map(Moment),
    }
}

/// The same with its attempts, oldest first.
pub fn notification_with_attempts(
    case: &Case,
    confirmation: Option<Confirmation>,
    sight: Sight<'_>,
) -> Option<NotificationDetail> {
    let notification = notification(case, confirmation, sight)?;
    Some(NotificationDetail { notification, timeline: case.lines.iter().map(attempt).collect() })
}

fn attempt(line: &AttemptLine) -> AttemptView {
    AttemptView {
        number: line.number,
        via: line.via.into(),
        started_at: line.started.into(),
        ended_at: line.ended.into(),
        outcome: line.outcome.into(),
        cause: line.cause.map(CauseWord::from),
        status: line.status,
        detail: line.detail.clone(),
        message_id: line.message_id.as_ref().map(ToString::to_string),
    }
}
