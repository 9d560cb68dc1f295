//! Reads: status, failed notifications, sends.
//!
//! They run on the admin's thread and look at a page at a time, so none of them takes long.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::page::{PageQuery, notification_cursor, position_cursor};
use super::problem::{Problem, ProblemView};
use super::view::{BotStatus, FailedNotification, NotificationDetail, Page, SendView, Sight};
use super::{Admin, seen, tag, view};
use crate::domain::case::Case;
use crate::domain::id::SendId;
use crate::domain::order::NotificationType;
use crate::domain::outcome::Outcome;
use crate::store::{Notifications, Order, SendSummary};

/// Is the bot speaking, why not, since when?
#[utoipa::path(
    get,
    path = "/api/bot/status",
    tag = "status",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")),
    responses(
        (status = 200, description = "The status of the whole and of each session", body = BotStatus, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "Nothing has changed but the clock"),
    ),
)]
pub(super) async fn bot_status(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let health = admin.store.health();
    tag::answer(&headers, &seen(&admin, |sight| view::bot_status(sight, &health)))
}

/// Which failed notifications.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct NotificationQuery {
    /// `false`: open ones. `true`: settled ones. `all`. Open ones where nothing is said.
    resolved: Option<String>,
    /// One `notification_type`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// An order's id or number, exactly.
    order: Option<String>,
    /// A session's name, exactly.
    session: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageQuery,
}

/// Failed notifications: open ones, the newest first, unless asked otherwise.
#[utoipa::path(
    get,
    path = "/api/notifications/failed",
    tag = "notifications",
    params(
        NotificationQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<FailedNotification>, headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "Nothing has changed but the clock"),
    ),
)]
pub(super) async fn notifications(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    query: Result<Query<NotificationQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let which = match query.resolved.as_deref() {
        None | Some("" | "false") => Notifications::Open,
        Some("true") => Notifications::Settled,
        Some("all") => Notifications::All,
        Some(_) => return Err(Problem::bad_parameter("resolved", "false, true or all")),
    };
    let kind = match query.kind.as_deref().filter(|kind| !kind.is_empty()) {
        None => None,
        Some(kind) => Some(NotificationType::parse(kind).ok_or_else(|| {
            Problem::bad_parameter("type", "ORDER_RECEIVED, ORDER_CONFIRMED, ORDER_SHIPPED or OTHER")
        })?),
    };
    let wanted = |case: &Case| {
        let order = &case.what.order;
        let of_kind = kind.is_none_or(|kind| order.notification_type.unwrap_or_default() == kind);
        let of_order = query.order.as_deref().is_none_or(|wanted| {
            wanted.is_empty()
                || [&order.order_id, &order.order_number]
                    .into_iter()
                    .any(|known| known.as_deref() == Some(wanted))
        });
        of_kind
            && of_order
            && in_session(query.session.as_deref(), case.what.session.as_ref().map(|name| name.as_str()))
    };
    let order = query.page.order(Order::NewestFirst)?;
    let page = admin.store.reader().notifications(
        which,
        order,
        query.page.notification()?,
        query.page.limit()?,
        wanted,
    )?;
    let items = shown(&admin, &page.items)?;
    Ok(tag::answer(&headers, &Page { items, next_cursor: page.next.map(notification_cursor) }))
}

/// Failed notifications as the API shows them.
pub(super) fn shown(admin: &Admin, cases: &[Case]) -> Result<Vec<FailedNotification>, Problem> {
    let reader = admin.store.reader();
    let confirmations =
        cases.iter().map(|case| reader.confirmed(case.send)).collect::<Result<Vec<_>, _>>()?;
    let confirmations = confirmations.into_iter().map(|heard| heard.map(|heard| heard.confirmation));
    let shown = cases.iter().zip(confirmations);
    let one =
        |sight: Sight<'_>| shown.filter_map(|(case, heard)| view::notification(case, heard, sight)).collect();
    Ok(seen(admin, one))
}

/// One failed notification with its attempts, its diagnosis, and how far its message got.
#[utoipa::path(
    get,
    path = "/api/notifications/failed/{id}",
    tag = "notifications",
    params(("id" = String, Path, description = "The failed notification's id")),
    responses(
        (status = 200, description = "The failed notification", body = NotificationDetail),
        (status = 404, description = "No failed notification (`unknown_notification`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn notification(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<NotificationDetail>, Problem> {
    let reader = admin.store.reader();
    let id = send_id(&id)?;
    let case = reader.case(id)?.ok_or_else(unknown_notification)?;
    let heard = reader.confirmed(id)?.map(|heard| heard.confirmation);
    let shown = seen(&admin, |sight| view::notification_with_attempts(&case, heard, sight));
    shown.map(Json).ok_or_else(unknown_notification)
}

pub(super) fn unknown_notification() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_notification", "no failed notification has this id")
}

/// The id in a path.
pub(super) fn send_id(id: &str) -> Result<SendId, Problem> {
    id.parse().map_err(|_| unknown_notification())
}

/// Which sends.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SendQuery {
    /// One `outcome`.
    outcome: Option<String>,
    /// An order's id or number, exactly.
    order: Option<String>,
    /// A session's name, exactly.
    session: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageQuery,
}

/// Sends as they stand after their latest attempts: the newest first, unless asked otherwise.
#[utoipa::path(
    get,
    path = "/api/sends",
    tag = "sends",
    params(SendQuery, PageQuery),
    responses((status = 200, description = "A page", body = Page<SendView>)),
)]
pub(super) async fn sends(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<SendQuery>, QueryRejection>,
) -> Result<Json<Page<SendView>>, Problem> {
    let Query(query) = query?;
    let outcome = match query.outcome.as_deref().filter(|outcome| !outcome.is_empty()) {
        None => None,
        Some(word) => {
            Some(Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| {
                Problem::bad_parameter("outcome", "accepted, rejected, failed or ambiguous")
            })?)
        }
    };
    let wanted = |send: &SendSummary| {
        let order = &send.what.order;
        let of_order = query.order.as_deref().is_none_or(|wanted| {
            wanted.is_empty()
                || [&order.order_id, &order.order_number]
                    .into_iter()
                    .any(|known| known.as_deref() == Some(wanted))
        });
        outcome.is_none_or(|outcome| send.outcome == outcome)
            && of_order
            && in_session(query.session.as_deref(), send.what.session.as_ref().map(|name| name.as_str()))
    };
    let order = query.page.order(Order::NewestFirst)?;
    let page = admin.store.reader().sends(order, query.page.position()?, query.page.limit()?, wanted)?;
    let items = page.items.iter().map(view::send).collect();
    Ok(Json(Page { items, next_cursor: page.next.map(position_cursor) }))
}

fn in_session(wanted: Option<&str>, session: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted.is_empty() || session == Some(wanted))
}
