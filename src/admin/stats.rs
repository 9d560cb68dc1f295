//! How the last day went, and what the log says.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use tracing::Level;
use utoipa::IntoParams;

use super::page::PageQuery;
use super::problem::Problem;
use super::view::{self, LogLevel, LogLine, Page, Stats, StoreCounts};
use super::{Admin, seen};
use crate::clock::wall;
use crate::domain::time::Timestamp;
use crate::logging::{Line, recent};
use crate::store::{Order, ReadError};

/// Status changes shown.
const HISTORY_MAX: usize = 200;

/// How the last day went.
///
/// Counts and latencies are kept while sends happen: this costs the same whether there were ten or a million.
#[utoipa::path(
    get,
    path = "/api/stats",
    tag = "status",
    responses((status = 200, description = "How the last day went", body = Stats)),
)]
pub(super) async fn stats(State(admin): State<Arc<Admin>>) -> Result<Json<Stats>, Problem> {
    let now = admin.clock.now();
    let reader = admin.store.reader();
    // A store in trouble takes its part of the answer away, not the rest.
    let gone = |error: &ReadError| tracing::debug!(%error, "the store cannot be counted");
    let store = reader.stats().inspect_err(gone).ok();
    let store = store.map(|stats| StoreCounts::new(&stats, admin.store.figures().file_bytes));
    let mut history = reader.history(None, HISTORY_MAX + 1).unwrap_or_default();
    history.retain(|change| now.since(change.at) < view::DAY);
    let cut = history.len() > HISTORY_MAX;
    history.truncate(HISTORY_MAX);
    Ok(Json(seen(&admin, |sight| view::stats(sight, &history, cut, store))))
}

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// This level and graver ones.
    #[param(value_type = Option<LogLevel>)]
    level: Option<String>,
    /// Not before then, RFC 3339.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageQuery,
}

/// The newest lines of the sidecar's own log.
///
/// The last 2000 lines of this process are kept. `cursor` may be the `id` of any line: with `order_by=oldest` and the id of the newest line
/// seen, this is how a log is followed.
#[utoipa::path(
    get,
    path = "/api/logs",
    tag = "status",
    params(LogQuery, PageQuery),
    responses((status = 200, description = "Lines, the newest first unless asked otherwise", body = Page<LogLine>)),
)]
pub(super) async fn logs(
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Json<Page<LogLine>>, Problem> {
    let Query(query) = query?;
    let level = match query.level.as_deref().filter(|level| !level.is_empty()) {
        None => LogLevel::Trace,
        Some(word) => level_of(word)?,
    };
    let since = match query.since.as_deref().filter(|since| !since.is_empty()) {
        None => None,
        Some(since) => Some(moment_of(since)?),
    };
    let (limit, order) = (query.page.limit()?, query.page.order(Order::NewestFirst)?);
    let wanted = |line: &Line| shown_level(line.level) <= level && since.is_none_or(|since| line.at >= since);
    let from = query.page.position()?.map(|position| position.0);
    let lines = recent().lines(order == Order::OldestFirst, from, limit, wanted);
    let next_cursor = lines.last().filter(|_| lines.len() == limit).map(|last| last.id.to_string());
    Ok(Json(Page { items: lines.into_iter().map(shown).collect(), next_cursor }))
}

fn shown(line: Line) -> LogLine {
    LogLine {
        id: line.id,
        at: line.at.into(),
        level: shown_level(line.level),
        target: line.target,
        message: line.message,
        fields: line.fields,
    }
}

fn shown_level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

fn level_of(word: &str) -> Result<LogLevel, Problem> {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = levels.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
    level
        .map(|(_, level)| level)
        .ok_or_else(|| Problem::bad_parameter("level", "error, warn, info, debug or trace"))
}

fn moment_of(text: &str) -> Result<Timestamp, Problem> {
    let moment = chrono::DateTime::parse_from_rfc3339(text);
    moment.map(|moment| wall::inside(Timestamp::from_millis(moment.timestamp_millis()))).map_err(|_| {
        Problem::bad_parameter(
            "since",
            "a moment such as 2026-11-24T07:19:01Z (RFC 3339; a + must be written %2B)",
        )
    })
}
