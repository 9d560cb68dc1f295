//! Reads of what the heart made of the sends: unnotified orders, communication failures, incidents, the audit.
//!
//! What is open is shown from the heart, what is over from the store, a page at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::page::{PageQuery, before_cursor, notification_cursor};
use super::problem::{Problem, ProblemView};
use super::view::{AuditLine, CommunicationFailure, IncidentView, Orders, Page};
use super::{Admin, tag, view};
use crate::domain::case::Case;
use crate::domain::notification::Failure;
use crate::store::{NotificationCursor, Order};

/// A list that is kept by moment goes from the newest on.
fn newest_first(page: &PageQuery) -> Result<(), Problem> {
    match page.order(Order::NewestFirst)? {
        Order::NewestFirst => Ok(()),
        Order::OldestFirst => Err(Problem::bad_parameter("order_by", "newest: this list has no other order")),
    }
}

/// Open failed notifications by order, the longest waiting first: whom to call.
#[utoipa::path(
    get,
    path = "/api/orders/unnotified",
    tag = "notifications",
    params(PageQuery, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")),
    responses(
        (status = 200, description = "A page", body = Orders, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "Nothing has changed but the clock"),
    ),
)]
pub(super) async fn unnotified(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(page) = query?;
    let (limit, after) = (page.limit()?, page.notification()?);
    let now = admin.clock.now();
    let state = admin.heart.state();
    let mut orders: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in state.cases().values().filter(|case| case.failure.as_ref().is_some_and(Failure::is_open)) {
        let key = case.what.order.key().map_or_else(|| case.send.to_string(), str::to_owned);
        orders.entry(key).or_default().push(case);
    }
    let total = orders.len();
    let mut waiting: Vec<(NotificationCursor, Vec<&Case>)> = Vec::with_capacity(total);
    for mut cases in orders.into_values() {
        cases.sort_unstable_by_key(|case| (case.failure.as_ref().map(|one| one.created_at), case.send));
        if let Some(first) = cases.first()
            && let Some(failure) = &first.failure
        {
            waiting.push((NotificationCursor { created_at: failure.created_at, send: first.send }, cases));
        }
    }
    let key = |cursor: &NotificationCursor| (cursor.created_at, cursor.send);
    waiting.retain(|(at, _)| after.as_ref().is_none_or(|after| key(at) > key(after)));
    waiting.sort_unstable_by_key(|(at, _)| key(at));
    let more = waiting.len() > limit;
    waiting.truncate(limit);
    let items = waiting.iter().filter_map(|(_, cases)| view::unnotified(cases, now)).collect();
    let next_cursor = waiting.pop().filter(|_| more).map(|(at, _)| notification_cursor(at));
    Ok(tag::answer(&headers, &Orders { items, total, next_cursor }))
}

/// What diagnoses found, the newest first.
#[utoipa::path(
    get,
    path = "/api/communication-failures",
    tag = "notifications",
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<CommunicationFailure>)),
)]
pub(super) async fn communication_failures(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page<CommunicationFailure>>, Problem> {
    let Query(query) = query?;
    newest_first(&query)?;
    let page = admin.store.reader().communication_failures(query.notification()?, query.limit()?)?;
    let language = **admin.language.load();
    let items = page.items.iter().filter_map(|case| view::communication_failure(case, language)).collect();
    Ok(Json(Page { items, next_cursor: page.next.map(notification_cursor) }))
}

/// Times in which a session was not online, the newest first.
#[utoipa::path(
    get,
    path = "/api/incidents",
    tag = "incidents",
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<IncidentView>)),
)]
pub(super) async fn incidents(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page<IncidentView>>, Problem> {
    let Query(query) = query?;
    newest_first(&query)?;
    let limit = query.limit()?;
    let incidents = admin.store.reader().incidents(query.before()?, limit)?;
    let (language, now) = (**admin.language.load(), admin.clock.now());
    let items = incidents.iter().map(|one| view::incident(one, language, now)).collect();
    let next = incidents.last().filter(|_| incidents.len() == limit);
    Ok(Json(Page { items, next_cursor: next.map(|last| before_cursor(last.start, last.id)) }))
}

/// One incident.
#[utoipa::path(
    get,
    path = "/api/incidents/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The incident's id")),
    responses(
        (status = 200, description = "The incident", body = IncidentView),
        (status = 404, description = "No incident has this id (`unknown_incident`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn incident(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<IncidentView>, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "unknown_incident", "no incident has this id");
    let id = id.parse().map_err(|_| unknown())?;
    let incident = admin.store.reader().incident(id)?.ok_or_else(unknown)?;
    Ok(Json(view::incident(&incident, **admin.language.load(), admin.clock.now())))
}

/// Who did what, the newest first.
#[utoipa::path(
    get,
    path = "/api/audit",
    tag = "incidents",
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page<AuditLine>)),
)]
pub(super) async fn audit(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page<AuditLine>>, Problem> {
    let Query(query) = query?;
    newest_first(&query)?;
    let limit = query.limit()?;
    let lines = admin.store.reader().audit(query.before()?, limit)?;
    let items = lines.iter().map(view::audit).collect();
    let next = lines.last().filter(|_| lines.len() == limit);
    Ok(Json(Page { items, next_cursor: next.map(|last| before_cursor(last.at, last.id)) }))
}
