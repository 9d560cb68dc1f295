//! *Notificaciones fallidas*: by type, open and settled.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::{self, Frame, Here};
use super::guard::Ask;
use super::orders::Choice;
use super::say::Say;
use super::shown::{self, Stamp};
use super::{Panel, page as render};
use crate::domain::case::Case;
use crate::domain::id::SendId;
use crate::domain::order::NotificationType;
use crate::domain::time::Timestamp;
use crate::store::{NotificationCursor, Notifications, Order};
use crate::words;

/// Notifications on a page.
const PAGE: usize = 50;

/// A notification in one line.
struct Line {
    id: String,
    order: Option<String>,
    customer: Option<String>,
    kind: &'static str,
    cause: &'static str,
    attempts: u32,
    created: Stamp,
    settled: Option<String>,
    settled_at: Option<Stamp>,
    claimed: Option<String>,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "failed.html")]
struct FailedPage {
    f: Frame,
    t: Say,
    open_url: String,
    settled_url: String,
    shows_open: bool,
    kinds: Vec<Choice>,
    lines: Vec<Line>,
    next: Option<String>,
    first: Option<String>,
}

/// `GET /panel/failed`.
pub(super) async fn page(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let (t, now) = (ask.say(), panel.now());
    let shows_open = ask.query.get("resolved") != "true";
    let kind = NotificationType::parse(ask.query.get("type"));
    let which = if shows_open { Notifications::Open } else { Notifications::Settled };
    let after = cursor(ask.query.get("after"));
    let wanted =
        |case: &Case| kind.is_none_or(|kind| case.what.order.notification_type.unwrap_or_default() == kind);
    let page = panel.admin.store.reader().notifications(which, Order::NewestFirst, after, PAGE, wanted);
    let Ok(page) = page else { return frame::unreadable(&panel, &ask) };
    let lines = page.items.iter().filter_map(|case| {
        let failure = case.failure.as_ref()?;
        let resolution = failure.resolution.as_ref();
        Some(Line {
            id: case.send.to_string(),
            order: shown::order(&case.what.order),
            customer: shown::plain(case.what.order.customer_name.as_deref()),
            kind: t.kind(case.what.order.notification_type.unwrap_or_default()),
            cause: words::cause(failure.cause, ask.language),
            attempts: case.attempts,
            created: Stamp::new(failure.created_at, now, t),
            settled: resolution.map(|one| t.settled(one.method, one.by.as_deref())),
            settled_at: resolution.map(|one| Stamp::new(one.at, now, t)),
            claimed: failure.claimed_by.clone(),
            is_open: failure.is_open(),
        })
    });
    let next = page.next.map(|at| format!("{}.{}", at.created_at.millis(), at.send));
    let kinds = NotificationType::ALL.into_iter().map(|one| Choice {
        value: one.as_str(),
        word: t.kind(one),
        chosen: kind == Some(one),
    });
    let page = FailedPage {
        t,
        open_url: frame::url(&ask, &[("resolved", ""), ("after", "")]),
        settled_url: frame::url(&ask, &[("resolved", "true"), ("after", "")]),
        shows_open,
        kinds: kinds.collect(),
        lines: lines.collect(),
        next: next.map(|next| frame::url(&ask, &[("after", &next)])),
        first: after.map(|_| frame::url(&ask, &[("after", "")])),
        f: Frame::new(&panel, &ask, Here::Failed, t.failed_notifications()),
    };
    render(StatusCode::OK, &page)
}

fn cursor(text: &str) -> Option<NotificationCursor> {
    let (at, send) = text.split_once('.')?;
    let created_at = Timestamp::from_millis(at.parse().ok()?);
    Some(NotificationCursor { created_at, send: send.parse::<SendId>().ok()? })
}
