//! Reads: status, failed notifications, sends.
//!
//! They run on the admin's thread and look at a page at a time, so none of them takes long.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{PageQuery, notification_cursor, position_cursor};
use super::problem::Problem;
use super::view::Sight;
use super::{Admin, view};
use crate::domain::case::Case;
use crate::domain::id::SendId;
use crate::domain::order::NotificationType;
use crate::domain::outcome::Outcome;
use crate::store::{Notifications, Order, SendSummary};

/// `GET /api/bot/status`.
pub(super) async fn bot_status(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let health = admin.store.health();
    let (policy, language) = (admin.heart.policy.load_full(), **admin.language.load());
    let state = admin.heart.state();
    let sight = Sight { state: &state, policy: &policy, language, now: admin.clock.now() };
    Json(view::bot_status(sight, &health))
}

/// Which failed notifications.
#[derive(Debug, Deserialize)]
pub(super) struct NotificationQuery {
    resolved: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    order: Option<String>,
    session: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// `GET /api/notifications/failed`: open ones, the newest first, unless asked otherwise.
pub(super) async fn notifications(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<NotificationQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
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
    Ok(Json(json!({ "items": items, "next_cursor": page.next.map(notification_cursor) })))
}

/// Failed notifications as the API shows them.
pub(super) fn shown(admin: &Admin, cases: &[Case]) -> Result<Vec<Value>, Problem> {
    let reader = admin.store.reader();
    let confirmations =
        cases.iter().map(|case| reader.confirmed(case.send)).collect::<Result<Vec<_>, _>>()?;
    let (policy, language) = (admin.heart.policy.load_full(), **admin.language.load());
    let state = admin.heart.state();
    let sight = Sight { state: &state, policy: &policy, language, now: admin.clock.now() };
    let confirmations = confirmations.into_iter().map(|heard| heard.map(|heard| heard.confirmation));
    let shown = cases.iter().zip(confirmations);
    Ok(shown.filter_map(|(case, heard)| view::notification(case, heard, sight)).collect())
}

/// `GET /api/notifications/failed/{id}`.
pub(super) async fn notification(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let reader = admin.store.reader();
    let id = send_id(&id)?;
    let case = reader.case(id)?.ok_or_else(unknown_notification)?;
    let heard = reader.confirmed(id)?.map(|heard| heard.confirmation);
    let (policy, language) = (admin.heart.policy.load_full(), **admin.language.load());
    let state = admin.heart.state();
    let sight = Sight { state: &state, policy: &policy, language, now: admin.clock.now() };
    view::notification_with_attempts(&case, heard, sight).map(Json).ok_or_else(unknown_notification)
}

pub(super) fn unknown_notification() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_notification", "no failed notification has this id")
}

/// The id in a path.
pub(super) fn send_id(id: &str) -> Result<SendId, Problem> {
    id.parse().map_err(|_| unknown_notification())
}

/// Which sends.
#[derive(Debug, Deserialize)]
pub(super) struct SendQuery {
    outcome: Option<String>,
    order: Option<String>,
    session: Option<String>,
    #[serde(flatten)]
    page: PageQuery,
}

/// `GET /api/sends`: the newest first, unless asked otherwise.
pub(super) async fn sends(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<SendQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
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
    let items: Vec<_> = page.items.iter().map(view::send).collect();
    Ok(Json(json!({ "items": items, "next_cursor": page.next.map(position_cursor) })))
}

fn in_session(wanted: Option<&str>, session: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted.is_empty() || session == Some(wanted))
}
