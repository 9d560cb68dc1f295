//! The JSON forms of what the heart made of the sends: unnotified orders, communication failures, incidents, alerts, the audit (SPEC 8).

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::word::{
    AttentionWord, CauseWord, ChannelWord, ConfidenceWord, MethodWord, ReasonWord, SaysWord, StatusWord,
    TypeWord, VerdictWord,
};
use super::{Moment, OrderView, order};
use crate::domain::alert::Alert;
use crate::domain::case::Case;
use crate::domain::command::Audit;
use crate::domain::delivery::{Delivery, Progress, Reach, Topic};
use crate::domain::drill::Drill;
use crate::domain::errand::LetterText;
use crate::domain::id::{ChatId, SendId, SessionName};
use crate::domain::incident::{Incident, Line};
use crate::domain::notification::{Attention, Failure, Method};
use crate::domain::order::NotificationType;
use crate::domain::time::Timestamp;
use crate::words::{self, Language};

/// Orders whose customers were not told, a page of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Orders {
    /// The longest waiting first.
    pub items: Vec<UnnotifiedOrder>,
    /// How many there are on all pages.
    pub total: usize,
    /// The `cursor` of the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// An order whose customer was not told.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnnotifiedOrder {
    order_id: Option<String>,
    order_number: Option<String>,
    order_total: Option<String>,
    customer_name: Option<String>,
    customer_phone: Option<String>,
    session: Option<String>,
    /// Since when the customer is not told.
    since: Moment,
    age_seconds: u64,
    attention: AttentionWord,
    claimed_by: Option<String>,
    causes: Vec<CauseWord>,
    types: Vec<TypeWord>,
    /// What the status was when its first notification failed.
    status_at_creation: StatusWord,
    /// The ids of its open failed notifications, the oldest first.
    notifications: Vec<String>,
}

/// An order whose customer was not told: its open failed notifications, the oldest first.
pub fn unnotified(cases: &[&Case], now: Timestamp) -> Option<UnnotifiedOrder> {
    let first = cases.first()?;
    let failures: Vec<&Failure> = cases.iter().filter_map(|case| case.failure.as_ref()).collect();
    let earliest = failures.iter().min_by_key(|failure| failure.created_at)?;
    let causes: BTreeSet<_> = failures.iter().map(|failure| failure.cause).collect();
    let types: BTreeSet<NotificationType> =
        cases.iter().map(|case| case.what.order.notification_type.unwrap_or_default()).collect();
    // Each notification may know something that the others do not.
    let facts = cases.iter().fold(first.what.order.clone(), |facts, case| facts.or(case.what.order.clone()));
    let manual = failures.iter().all(|failure| failure.attention == Attention::Manual);
    let OrderView { order_id, order_number, order_total, customer_name, customer_phone, .. } = order(&facts);
    Some(UnnotifiedOrder {
        order_id,
        order_number,
        order_total,
        customer_name,
        customer_phone,
        session: first.what.session.as_ref().map(SessionName::to_string),
        since: earliest.created_at.into(),
        age_seconds: now.since(earliest.created_at).as_secs(),
        attention: if manual { Attention::Manual } else { Attention::Unnotified }.into(),
        claimed_by: failures.iter().find_map(|failure| failure.claimed_by.clone()),
        causes: causes.into_iter().map(CauseWord::from).collect(),
        types: types.into_iter().map(TypeWord::from).collect(),
        status_at_creation: earliest.status_at_creation.into(),
        notifications: cases.iter().map(|case| case.send.to_string()).collect(),
    })
}

/// What a diagnosis found about a failed notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommunicationFailure {
    #[serde(flatten)]
    order: OrderView,
    /// That of the failed notification.
    id: String,
    /// Several that failed together share one.
    diagnosis_id: String,
    failure_type: VerdictWord,
    session: Option<String>,
    chat_id: Option<String>,
    /// Null: not tried, or nobody knows.
    diagnostic_user_reached: Option<bool>,
    /// Null: not tried, or nobody knows.
    diagnostic_admin_reached: Option<bool>,
    /// Is the number on WhatsApp? Null where that was not asked.
    number_exists: Option<bool>,
    /// All that speaks for it, as a sentence.
    evidence: String,
    created_at: Moment,
    resolved_at: Option<Moment>,
    resolution_method: Option<MethodWord>,
}

/// A communication failure: a failed notification with what its diagnosis found. `None` for a case without a diagnosis.
pub fn communication_failure(case: &Case, language: Language) -> Option<CommunicationFailure> {
    let finding = case.finding.as_deref()?;
    let resolution = case.failure.as_ref().and_then(|failure| failure.resolution.as_ref());
    let resolved_at = finding.resolved_at.or_else(|| resolution.map(|resolution| resolution.at));
    // The channel was back before anybody had settled the notification.
    let method = resolution.map(|resolution| resolution.method);
    let method = method.or_else(|| resolved_at.map(|_| Method::BotRecovered));
    Some(CommunicationFailure {
        order: order(&case.what.order),
        id: case.send.to_string(),
        diagnosis_id: finding.id.to_string(),
        failure_type: finding.verdict.into(),
        session: case.what.session.as_ref().map(SessionName::to_string),
        chat_id: case.what.chat.as_ref().map(|chat| ChatId::expose(chat).to_owned()),
        diagnostic_user_reached: finding.user.answer(),
        diagnostic_admin_reached: finding.admin.answer(),
        number_exists: finding.number_exists,
        evidence: words::evidence(finding, language),
        created_at: finding.at.into(),
        resolved_at: resolved_at.map(Moment),
        resolution_method: method.map(MethodWord::from),
    })
}

/// A time in which a session was not online.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentView {
    id: String,
    session: String,
    open: bool,
    start: Moment,
    end: Option<Moment>,
    downtime_seconds: u64,
    worst_status: StatusWord,
    /// How many customers were not told meanwhile.
    affected: u32,
    /// The ids of the first thousand of their notifications.
    affected_notifications: Vec<String>,
    /// How many of them were sent again by the sidecar.
    replayed: u32,
    /// How many were left for people at the end.
    left: u32,
    announced: AnnouncedView,
    timeline: Vec<TimelineView>,
}

/// Which alerts an incident called for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnnouncedView {
    preventive: bool,
    total_loss: bool,
    account_restricted: bool,
    bot_gone: bool,
}

/// A change of the status.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineView {
    at: Moment,
    status: StatusWord,
    confidence: ConfidenceWord,
    reason_code: ReasonWord,
    reason: &'static str,
}

/// An incident.
pub fn incident(incident: &Incident, language: Language, now: Timestamp) -> IncidentView {
    let announced = incident.announced;
    IncidentView {
        id: incident.id.to_string(),
        session: incident.session.to_string(),
        open: incident.end.is_none(),
        start: incident.start.into(),
        end: incident.end.map(Moment),
        downtime_seconds: incident.downtime(now).as_secs(),
        worst_status: incident.worst.into(),
        affected: incident.affected_count,
        affected_notifications: incident.affected.iter().map(SendId::to_string).collect(),
        replayed: incident.replayed,
        left: incident.left,
        announced: AnnouncedView {
            preventive: announced.preventive,
            total_loss: announced.loss,
            account_restricted: announced.restricted,
            bot_gone: announced.gone,
        },
        timeline: incident.timeline.iter().map(|line| line_of(line, language)).collect(),
    }
}

fn line_of(line: &Line, language: Language) -> TimelineView {
    TimelineView {
        at: line.at.into(),
        status: line.to.status.into(),
        confidence: line.to.confidence.into(),
        reason_code: line.to.reason.into(),
        reason: words::reason(line.to.reason, language),
    }
}

/// What the admins are told.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    id: String,
    session: String,
    incident: Option<String>,
    says: SaysWord,
    text: String,
    /// The orders it names.
    orders: Vec<AlertOrder>,
    orders_count: u32,
    at: Moment,
    /// When a channel first accepted it.
    told: Option<Moment>,
    /// When nothing was left to be done about it.
    over: Option<Moment>,
    /// How far it got on each channel.
    deliveries: Vec<DeliveryView>,
}

/// An order an alert names.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertOrder {
    notification: String,
    order: Option<String>,
}

/// How far an alert got on a channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    channel: ChannelWord,
    /// `waiting`, `under_way`, `told`; or why it was given up: `withdrawn`, `refused`, `too_old`.
    state: &'static str,
    tries: u32,
    due: Moment,
    settled: Option<Moment>,
    /// How many of several recipients have it already, while others are still to be told.
    reached: usize,
}

fn delivery(one: &Delivery) -> DeliveryView {
    DeliveryView {
        channel: one.channel.into(),
        state: match one.progress {
            Progress::Waiting => "waiting",
            Progress::UnderWay => "under_way",
            Progress::Told(_) => "told",
            Progress::Dropped(_, why) => why.as_str(),
        },
        tries: one.tries,
        due: one.due.into(),
        settled: one.settled().map(Moment),
        reached: one.reached.len(),
    }
}

/// An alert and what it says.
pub fn alert(alert: &Alert, language: Language) -> AlertView {
    let none = crate::domain::alert::Orders::default();
    let orders = alert.says.orders().unwrap_or(&none);
    let named = orders.named.iter();
    AlertView {
        id: alert.id.to_string(),
        session: alert.session.to_string(),
        incident: alert.incident.map(|incident| incident.to_string()),
        says: (&alert.says).into(),
        text: words::letter(&LetterText::Alert(Box::new(alert.clone())), language),
        orders: named
            .map(|line| AlertOrder { notification: line.send.to_string(), order: line.order.clone() })
            .collect(),
        orders_count: orders.count,
        at: alert.at.into(),
        told: alert.told().map(Moment),
        over: alert.over().map(Moment),
        deliveries: alert.deliveries.iter().map(delivery).collect(),
    }
}

/// A way out: what it takes, where it is configured, and how it has been.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    /// Its word: a channel's, or `alertmanager` or `heartbeat`.
    channel: &'static str,
    configured: bool,
    /// What it takes, as `alerts.<channel>.events`.
    events: Vec<&'static str>,
    /// Alerts that wait for it.
    queue: usize,
    /// When it last accepted one.
    last_success: Option<Moment>,
    /// Since when it has accepted none.
    failing_since: Option<Moment>,
    /// Why the last try failed, in English, without any address, name or secret.
    why: Option<String>,
}

/// How a way out is.
pub fn channel(name: &'static str, takes: Option<&[Topic]>, reach: Reach, queue: usize) -> ChannelView {
    ChannelView {
        channel: name,
        configured: takes.is_some(),
        events: takes.unwrap_or_default().iter().map(|topic| topic.as_str()).collect(),
        queue,
        last_success: reach.last_success.map(Moment),
        failing_since: reach.failing_since.map(Moment),
        why: reach.why,
    }
}

/// The alerts, and how the channels are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alerts {
    /// The newest first.
    pub items: Vec<AlertView>,
    /// Every way out, configured or not.
    pub channels: Vec<ChannelView>,
}

/// A drill.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillView {
    id: String,
    session: String,
    /// Who wanted it.
    who: String,
    active: bool,
    began: Moment,
    /// When it ends by itself.
    until: Moment,
    ended: Option<Moment>,
}

/// A drill, as it is.
pub fn drill(drill: &Drill) -> DrillView {
    DrillView {
        id: drill.id.to_string(),
        session: drill.session.to_string(),
        who: drill.who.clone(),
        active: drill.ended.is_none(),
        began: drill.began.into(),
        until: drill.until.into(),
        ended: drill.ended.map(Moment),
    }
}

/// The latest drill.
#[derive(Debug, Serialize, ToSchema)]
pub struct Drilled {
    /// `null` where there was none.
    pub drill: Option<DrillView>,
}

/// An alert was raised.
#[derive(Debug, Serialize, ToSchema)]
pub struct Raised {
    /// Always.
    pub success: bool,
    /// The alert whose deliveries tell how it goes.
    pub alert: Option<String>,
}

/// A drill began or ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillRaised {
    /// Always.
    pub success: bool,
    /// The alert whose deliveries tell how it goes.
    pub alert: Option<String>,
    /// The drill.
    pub drill: Option<DrillView>,
}

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditLine {
    id: String,
    at: Moment,
    /// The token's name.
    who: String,
    action: String,
    /// An id, or a session's name.
    target: Option<String>,
}

/// Who did what.
pub fn audit(line: &Audit) -> AuditLine {
    AuditLine {
        id: line.id.to_string(),
        at: line.at.into(),
        who: line.who.clone(),
        action: line.action.clone(),
        target: line.target.clone(),
    }
}
