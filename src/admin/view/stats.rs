//! The JSON form of `GET /api/stats`: how the last day went. Everything in it is kept by the heart while it happens, or is a bounded read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::status::all_recoveries;
use super::word::{ConfidenceWord, ReasonWord, StatusWord};
use super::{Moment, RecoveryView, Sight};
use crate::domain::day::{Hour, Total};
use crate::domain::decide::Outlook;
use crate::domain::notification::Attention;
use crate::domain::order::NotificationType;
use crate::domain::outcome::Outcome;
use crate::domain::status::StatusChange;
use crate::domain::time::Timestamp;
use crate::domain::window::Latencies;
use crate::store::StoreStats;
use crate::words;

/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);

/// How the last day went.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    now: Moment,
    /// The hour under way and the 23 before it.
    last_24h: SpanView,
    /// The last 15 minutes, by when sends ended.
    last_15m: SpanView,
    /// The last 24 hours, the oldest first, quiet ones among them.
    hours: Vec<HourView>,
    /// Failed notifications that wait for somebody.
    open: OpenView,
    recovery: RecoveryView,
    /// Changes of the status in the last 24 hours, the newest first.
    history: Vec<ChangeView>,
    /// Older changes within these 24 hours were left out.
    history_cut: bool,
    /// Rows in the store; null while it cannot be read.
    store: Option<StoreCounts>,
}

/// How some time went. A send that was given up and accepted later counts as both.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpanView {
    sends: SendCounts,
    /// Share accepted of what was accepted or given up, 0 to 1; null where there was nothing.
    success_rate: Option<f64>,
    /// So many milliseconds or less took half of the attempts; null where there were none.
    latency_p50_ms: Option<u64>,
    /// And 95 of 100.
    latency_p95_ms: Option<u64>,
}

/// Sends by how they ended.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct SendCounts {
    accepted: u32,
    rejected: u32,
    /// Given up: surely not sent.
    failed: u32,
    /// Given up: may have been sent.
    ambiguous: u32,
}

/// An hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct HourView {
    start: Moment,
    #[serde(flatten)]
    sends: SendCounts,
}

/// Open failed notifications.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenView {
    total: usize,
    /// By `notification_type`.
    by_type: BTreeMap<&'static str, usize>,
    /// By `attention`.
    by_attention: BTreeMap<&'static str, usize>,
    claimed: usize,
    /// How long the longest waits.
    oldest_seconds: u64,
}

/// A change of the status.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    at: Moment,
    session: String,
    from: StatusWord,
    status: StatusWord,
    confidence: ConfidenceWord,
    reason_code: ReasonWord,
    reason: &'static str,
}

/// Rows in the store.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct StoreCounts {
    /// Rows of the ledger: one for each attempt, and two for those of the last moments.
    ledger_rows: u64,
    /// Failed notifications, open or settled.
    notifications: u64,
    /// Requests kept to be sent again.
    requests: u64,
    /// Size of the file, in bytes.
    file_bytes: u64,
}

impl StoreCounts {
    /// From what the store says of itself.
    pub const fn new(stats: &StoreStats, file_bytes: u64) -> Self {
        Self {
            ledger_rows: stats.ledger_rows,
            notifications: stats.notifications,
            requests: stats.requests,
            file_bytes,
        }
    }
}

/// How the last day went. `history` is the newest first.
pub fn stats(sight: Sight<'_>, history: &[StatusChange], cut: bool, store: Option<StoreCounts>) -> Stats {
    let Sight { state, policy, language, now } = sight;
    let outlooks: Vec<Outlook> =
        state.sessions().keys().map(|name| state.outlook(name, now, policy)).collect();
    Stats {
        now: now.into(),
        last_24h: day(sight),
        last_15m: quarter(sight),
        hours: hours(sight),
        open: open(sight),
        recovery: all_recoveries(state, outlooks.iter()),
        history: history
            .iter()
            .map(|change| ChangeView {
                at: change.at.into(),
                session: change.session.to_string(),
                from: change.from.into(),
                status: change.to.status.into(),
                confidence: change.to.confidence.into(),
                reason_code: change.to.reason.into(),
                reason: words::reason(change.to.reason, language),
            })
            .collect(),
        history_cut: cut,
        store,
    }
}

/// The first hour that is shown.
fn first_hour(now: Timestamp) -> Timestamp {
    now.hour() - HOUR * 23
}

fn day(sight: Sight<'_>) -> SpanView {
    let mut total = Total::default();
    let from = first_hour(sight.now);
    let hours = sight.state.sessions().values().flat_map(|session| &session.day.hours);
    hours.filter(|hour| hour.start >= from).for_each(|hour| total.add(hour));
    span(counts(&total), total.success_rate(), &total.latencies)
}

fn quarter(sight: Sight<'_>) -> SpanView {
    let (mut sends, mut all, mut latencies) = (SendCounts::default(), 0u32, Latencies::default());
    for session in sight.state.sessions().values() {
        let summary = session.window.summary(sight.now, QUARTER);
        let lost = summary.sends.saturating_sub(summary.accepted);
        all = all.saturating_add(summary.sends);
        sends.accepted = sends.accepted.saturating_add(summary.accepted);
        sends.rejected = sends.rejected.saturating_add(summary.rejected);
        sends.ambiguous = sends.ambiguous.saturating_add(summary.ambiguous);
        sends.failed = sends.failed.saturating_add(lost.saturating_sub(summary.ambiguous));
        latencies.merge(&summary.latencies);
    }
    let rate = (all > 0).then(|| f64::from(sends.accepted) / f64::from(all));
    span(sends, rate, &latencies)
}

fn span(sends: SendCounts, success_rate: Option<f64>, latencies: &Latencies) -> SpanView {
    let quantile =
        |percent| latencies.quantile(percent).map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    SpanView { sends, success_rate, latency_p50_ms: quantile(50), latency_p95_ms: quantile(95) }
}

fn counts(total: &Total) -> SendCounts {
    SendCounts {
        accepted: total.of(Outcome::Accepted),
        rejected: total.of(Outcome::Rejected),
        failed: total.of(Outcome::Failed),
        ambiguous: total.of(Outcome::Ambiguous),
    }
}

/// Every hour of the last day has its place, so that whoever draws them need not count.
fn hours(sight: Sight<'_>) -> Vec<HourView> {
    let first = first_hour(sight.now);
    let starts = (0..24u32).map(|hour| first + HOUR * hour);
    starts
        .map(|start| {
            let mut total = Total::default();
            let within = |hour: &&Hour| hour.start.hour() == start;
            let hours = sight.state.sessions().values().flat_map(|session| &session.day.hours);
            hours.filter(within).for_each(|hour| total.add(hour));
            HourView { start: start.into(), sends: counts(&total) }
        })
        .collect()
}

fn open(sight: Sight<'_>) -> OpenView {
    let mut shown = OpenView {
        total: 0,
        by_type: NotificationType::ALL.into_iter().map(|kind| (kind.as_str(), 0)).collect(),
        by_attention: [Attention::Manual, Attention::Unnotified].map(|one| (one.as_str(), 0)).into(),
        claimed: 0,
        oldest_seconds: 0,
    };
    for case in sight.state.cases().values() {
        let Some(failure) = case.failure.as_ref().filter(|failure| failure.is_open()) else { continue };
        let kind = case.what.order.notification_type.unwrap_or_default();
        shown.total += 1;
        *shown.by_type.entry(kind.as_str()).or_default() += 1;
        *shown.by_attention.entry(failure.attention.as_str()).or_default() += 1;
        shown.claimed += usize::from(failure.claimed_by.is_some());
        shown.oldest_seconds = shown.oldest_seconds.max(sight.now.since(failure.created_at).as_secs());
    }
    shown
}
