//! The JSON form of the status, of the whole and of each session (SPEC 8), with the other names that SPEC 14 gives some fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::word::{ConfidenceWord, FeedWord, ProbeWord, ReasonWord, StatusWord, StoreWord};
use super::{Moment, Sight};
use crate::domain::confirmation::Confirmation;
use crate::domain::decide::{Outlook, State};
use crate::domain::id::SessionName;
use crate::domain::session::Session;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::store::{StoreHealth, StoreState};
use crate::words;

/// How recording goes.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreView {
    state: StoreWord,
    recording: bool,
    /// Why not; null where it does.
    reason: Option<String>,
    since: Moment,
}

/// How recording goes.
pub fn store(health: &StoreHealth) -> StoreView {
    StoreView {
        state: health.state.into(),
        recording: health.state == StoreState::Recording,
        reason: Some(health.reason.clone()).filter(|reason| !reason.is_empty()),
        since: health.since.into(),
    }
}

/// The status of the whole, that is of its worst session, and of each session.
#[derive(Debug, Serialize, ToSchema)]
pub struct BotStatus {
    #[serde(flatten)]
    worst: SessionStatus,
    /// When anything was last accepted.
    last_success: Option<Moment>,
    /// The same.
    last_webhook_success: Option<Moment>,
    /// When the bot last sent anything.
    last_activity: Option<Moment>,
    /// Open failed notifications.
    failed_notifications: usize,
    /// Orders with at least one of them.
    orders_unnotified: usize,
    /// Each session by its name; all that are not in `waha.sessions` are `other`.
    sessions: BTreeMap<String, SessionStatus>,
    now: Moment,
    metadata: Metadata,
}

/// What else there is to know.
#[derive(Debug, Serialize, ToSchema)]
pub struct Metadata {
    store: StoreView,
    version: &'static str,
}

/// The status of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionStatus {
    session: String,
    status: StatusWord,
    confidence: ConfidenceWord,
    /// A sentence.
    reason: String,
    reason_code: ReasonWord,
    /// What to make of it, as a sentence.
    interpretation: &'static str,
    /// The interpretation, where the status is neither `online` nor `unknown`.
    note: Option<&'static str>,
    /// What to do about the session, where the last probe found it ill.
    instruction: Option<&'static str>,
    /// Since when it has this status.
    last_update: Moment,
    /// The same.
    since: Moment,
    waha_last_success: Option<Moment>,
    waha_last_failure: Option<Moment>,
    waha_consecutive_failures: u32,
    /// The same.
    consecutive_failures: u32,
    /// Sends are failing.
    webhook_failing: bool,
    /// What the last probe found; null where none was made.
    waha_session_status: Option<ProbeWord>,
    healthcheck_failing: bool,
    healthcheck_last_success: Option<Moment>,
    healthcheck_last_failure: Option<Moment>,
    healthcheck_consecutive_failures: u32,
    last_healthcheck: Option<Moment>,
    events: EventsView,
    last_server_ack: Option<Moment>,
    last_device_ack: Option<Moment>,
    /// Sends that WAHA accepted and WhatsApp has not acknowledged yet.
    unacknowledged: usize,
    recovery: RecoveryView,
    /// The open incident.
    incident: Option<String>,
}

/// Whether WAHA's events are followed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsView {
    state: FeedWord,
    /// They show nothing of what is sent.
    blind: bool,
}

/// What goes out again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryView {
    /// People want nothing sent again by itself.
    paused: bool,
    /// How many go out by themselves.
    pending: usize,
    /// How many wait for a person.
    held: usize,
    /// When the last one goes out at about; null where nothing does.
    finish_at: Option<Moment>,
}

/// The status: of the worst session, and of all.
pub fn bot_status(sight: Sight<'_>, health: &StoreHealth) -> BotStatus {
    let Sight { state, language, now, .. } = sight;
    let open = state.cases().values().filter(|case| case.failure.is_some());
    let orders: BTreeSet<_> = open.clone().filter_map(|case| case.what.order.key()).collect();
    let waiting = waiting_by_session(state);
    let unacknowledged = |name: &SessionName| waiting.get(name).copied().unwrap_or(0);
    let outlooks: BTreeMap<&SessionName, Outlook> =
        state.sessions().keys().map(|name| (name, state.outlook(name, now, sight.policy))).collect();
    let outlook = |name: &SessionName| outlooks.get(name).copied().unwrap_or_default();
    let one = |session: &Session| {
        self::session(session, sight, outlook(&session.name), unacknowledged(&session.name))
    };
    let seen = |pick: fn(&Session) -> Option<Timestamp>| {
        state.sessions().values().filter_map(pick).max().map(Moment)
    };
    let last_success = seen(|session| session.last_accepted);
    let mut worst = one(state.worst());
    if !matches!(health.state, StoreState::Recording | StoreState::Closed) {
        worst.reason = format!("{} {}", worst.reason, words::not_recording(&health.reason, language));
    }
    worst.waha_last_success = last_success;
    worst.last_server_ack = seen(|session| session.last_server_ack);
    worst.last_device_ack = seen(|session| session.last_device_ack);
    worst.unacknowledged = waiting.values().sum();
    worst.recovery = all_recoveries(state, outlooks.values());
    BotStatus {
        worst,
        last_success,
        last_webhook_success: last_success,
        last_activity: seen(|session| session.last_activity),
        failed_notifications: open.count(),
        orders_unnotified: orders.len(),
        sessions: state.sessions().iter().map(|(name, session)| (name.to_string(), one(session))).collect(),
        now: now.into(),
        metadata: Metadata { store: store(health), version: env!("CARGO_PKG_VERSION") },
    }
}

fn session(session: &Session, sight: Sight<'_>, outlook: Outlook, unacknowledged: usize) -> SessionStatus {
    let Sight { state, language, now, .. } = sight;
    let (given, health) = (session.assessment, &session.health);
    let interpretation = words::interpretation(given, language);
    let ill = health.last.filter(|last| !last.is_healthy());
    SessionStatus {
        session: session.name.to_string(),
        status: given.status.into(),
        confidence: given.confidence.into(),
        reason: words::reason(given.reason, language).to_owned(),
        reason_code: given.reason.into(),
        interpretation,
        note: (!matches!(given.status, Status::Online | Status::Unknown)).then_some(interpretation),
        instruction: ill.map(|last| words::instruction(last, language)),
        last_update: session.since.into(),
        since: session.since.into(),
        waha_last_success: session.last_accepted.map(Moment),
        waha_last_failure: session.last_failed.map(Moment),
        waha_consecutive_failures: session.consecutive_failures,
        consecutive_failures: session.consecutive_failures,
        webhook_failing: session.sends_failing(),
        waha_session_status: health.last.map(ProbeWord::from),
        healthcheck_failing: health.failing,
        healthcheck_last_success: health.last_success.map(Moment),
        healthcheck_last_failure: health.last_failure.map(Moment),
        healthcheck_consecutive_failures: health.consecutive_failures,
        last_healthcheck: health.at.map(Moment),
        events: EventsView { state: state.feed().into(), blind: state.is_blind(&session.name, now) },
        last_server_ack: session.last_server_ack.map(Moment),
        last_device_ack: session.last_device_ack.map(Moment),
        unacknowledged,
        recovery: recovery(state, outlook),
        incident: state.incidents().get(&session.name).map(|incident| incident.id.to_string()),
    }
}

/// Accepted sends that WhatsApp has not acknowledged yet.
fn waiting_by_session(state: &State) -> BTreeMap<&SessionName, usize> {
    let mut waiting = BTreeMap::new();
    for awaiting in state.awaiting().values().filter(|awaiting| awaiting.acked == Confirmation::None) {
        *waiting.entry(state.session_of(&awaiting.what)).or_default() += 1;
    }
    waiting
}

/// The way back of all sessions together.
pub(super) fn all_recoveries<'a>(state: &State, outlooks: impl Iterator<Item = &'a Outlook>) -> RecoveryView {
    let all = outlooks.fold(Outlook::default(), |all, one| Outlook {
        pending: all.pending + one.pending,
        held: all.held + one.held,
        finish: all.finish.max(one.finish),
    });
    recovery(state, all)
}

fn recovery(state: &State, outlook: Outlook) -> RecoveryView {
    RecoveryView {
        paused: state.is_paused(),
        pending: outlook.pending,
        held: outlook.held,
        finish_at: outlook.finish.map(Moment),
    }
}
