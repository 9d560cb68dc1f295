//! `GET /api/events`: news as server-sent events, resumed where a listener left off (SPEC 11).
//!
//! Nothing is kept for a listener but where it is: who reads more slowly than the ring turns is let go, and finds on its return that it missed
//! something. Whoever listens costs a send nothing.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use utoipa::{IntoParams, ToSchema};

use super::access::cookie;
use super::problem::Problem;
use super::{Access, Admin};
use crate::clock::rfc3339;
use crate::watchdog::news::{Item, Since, Told};

/// Listeners at once; a panel in every browser of the shop, and then some.
const LISTENERS_MAX: usize = 256;
/// So often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What happens within this goes out together: in an outage much does, and two hundred listeners must not cost the bot's sends anything. Each has
/// a pace of its own between the two, so that not all of them are written to at once.
const GATHER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// After so long a listener whose connection broke asks again.
const RETRY: Duration = Duration::from_secs(2);
/// The header by which a listener says what it heard last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Seats for those who listen.
#[derive(Debug)]
pub struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The id of the last event heard, for clients that cannot send the header `Last-Event-ID`.
    #[param(value_type = Option<u64>)]
    last_event_id: Option<String>,
}

/// `RESYNC`: what happened in between is not known any more; read the records again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Resync {
    /// `RESYNC`.
    r#type: &'static str,
    /// When, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    timestamp: String,
}

/// News as they happen.
///
/// A stream of server-sent events. `event` is the event's name, `id` ascends over restarts too, `data` is JSON. With `Last-Event-ID` it goes
/// on after that one; where that is not known any more, a `RESYNC` comes first, and the records are to be read again.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event heard."),
    ),
    responses(
        (status = 200, description = "The stream; each `data` is one of these", content_type = "text/event-stream", body = Told),
        (status = 503, description = "Too many listen already (`too_many_listeners`)", body = super::problem::ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let header = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let heard = header.or(query.last_event_id.as_deref()).filter(|id| !id.is_empty());
    let Ok(seat) = Arc::clone(&admin.listeners.0).try_acquire_owned() else {
        let detail = "256 listen already; close some, or poll GET /api/bot/status";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners", detail)
            .with_header(RETRY_AFTER, "30"));
    };
    let listener = Listener::new(Arc::clone(&admin), seat, heard, login(&admin, &headers));
    let frames = stream::unfold(listener, |mut listener| async move {
        let frame = listener.next().await?;
        Some((Ok::<_, Infallible>(frame), listener))
    });
    let head = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // A proxy that gathers what comes in small pieces would hold the news back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((head, Body::from_stream(frames)).into_response())
}

/// The login that let this browser in, where one did.
fn login(admin: &Admin, headers: &HeaderMap) -> Option<String> {
    let name = cookie(headers, &admin.access.load().login_cookie())?;
    let lets_in = !headers.contains_key(AUTHORIZATION) && admin.logins.lives(name, admin.clock.now());
    lets_in.then(|| name.to_owned())
}

struct Listener {
    admin: Arc<Admin>,
    /// The login of the browser that listens.
    login: Option<String>,
    _seat: OwnedSemaphorePermit,
    /// Who might see what when it began.
    access: Arc<Access>,
    latest: watch::Receiver<u64>,
    /// So long it lets news gather.
    gathers: Duration,
    /// The last that was handed to the connection.
    heard: u64,
    first: Option<String>,
}

impl Listener {
    fn new(
        admin: Arc<Admin>,
        seat: OwnedSemaphorePermit,
        heard: Option<&str>,
        login: Option<String>,
    ) -> Self {
        let (news, access) = (&admin.heart.news, Guard::into_inner(admin.access.load()));
        let latest = news.listen();
        let mut first = format!("retry: {}\n", RETRY.as_millis());
        // An id that is no number is none of ours, and as good as forgotten.
        let since = heard.map(|heard| news.since(heard.parse().unwrap_or(0)));
        let heard = match since {
            None => news.latest(),
            Some(Since::News(_)) => heard.and_then(|heard| heard.parse().ok()).unwrap_or(0),
            Some(Since::Missed(latest)) => latest,
        };
        // An id alone is no event, but a connection that breaks now goes on from here.
        let _ = write!(first, "id: {heard}\n\n");
        if matches!(since, Some(Since::Missed(_))) {
            let told = Resync { r#type: "RESYNC", timestamp: rfc3339(admin.clock.now()) };
            let data = serde_json::to_string(&told).unwrap_or_default();
            let _ = write!(first, "id: {heard}\nevent: RESYNC\ndata: {data}\n\n");
        }
        let gathers = GATHER[0] + (GATHER[1] - GATHER[0]).mul_f64(admin.clock.chance().clamp(0.0, 1.0));
        Self { admin, login, gathers, _seat: seat, access, latest, heard, first: Some(first) }
    }

    /// What goes out next; `None` ends the stream.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let admin = Arc::clone(&self.admin);
        loop {
            // Whoever was let in by tokens that are not in force any more asks again.
            if admin.closing.is_cancelled() || !Arc::ptr_eq(&self.access, &admin.access.load()) {
                return None;
            }
            // So does whoever has logged out, or whose login is over.
            let now = admin.clock.now();
            if self.login.as_ref().is_some_and(|login| !admin.logins.lives(login, now)) {
                return None;
            }
            self.latest.borrow_and_update();
            // Who is too slow is let go.
            let Since::News(items) = admin.heart.news.since(self.heard) else { return None };
            if let Some(last) = items.last() {
                self.heard = last.id;
                return Some(items.iter().map(frame).collect());
            }
            let woken = tokio::select! {
                () = admin.closing.cancelled() => return None,
                woken = timeout(HEARTBEAT, self.latest.changed()) => woken,
            };
            if woken.is_err() {
                return Some(": still here\n\n".to_owned());
            }
            sleep(self.gathers).await;
        }
    }
}

fn frame(item: &Item) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", item.id, item.name, item.data)
}
