//! The people's side: JSON API, `/metrics`, `/healthz`, `/readyz`, on a listener of its own (SPEC 11).
//!
//! | route | who may | what |
//! | --- | --- | --- |
//! | `GET /healthz` | all | the process answers |
//! | `GET /readyz` | all | it accepts calls; how recording goes |
//! | `GET /metrics` | all | Prometheus' text, no personal data |
//! | `POST /hooks/waha` | WAHA, by signature | its webhooks, where `events.mode = "webhook"` |
//! | `GET /api/openapi.json` | viewer | what this table says, for programs |
//! | `GET /api/bot/status` | viewer | the status, why, since when |
//! | `GET /api/stats` | viewer | how the last day went |
//! | `GET /api/logs` | viewer | the newest lines of our own log |
//! | `GET /api/events` | viewer | what happens, as it happens |
//! | `GET /api/notifications/failed` | viewer | failed notifications, a page at a time |
//! | `GET /api/notifications/failed/{id}` | viewer | one of them with its attempts |
//! | `GET /api/sends` | viewer | sends, a page at a time |
//! | `GET /api/orders/unnotified` | viewer | orders whose customer was not told |
//! | `GET /api/communication-failures` | viewer | what diagnoses found, a page at a time |
//! | `GET /api/incidents` | viewer | incidents, a page at a time |
//! | `GET /api/incidents/{id}` | viewer | one of them |
//! | `GET /api/alerts` | viewer | the newest alerts, and how the channels are |
//! | `GET /api/alerts/{id}` | viewer | one of them |
//! | `GET /api/drill` | viewer | the latest drill |
//! | `GET /api/audit` | viewer | who did what, a page at a time |
//! | `POST /api/notifications/failed/{id}/retry` | operator | sends it again now, and says how that ended |
//! | `POST /api/notifications/failed/{id}/mark_resolved` | operator | a person has told the customer |
//! | `POST /api/notifications/failed/{id}/claim` | operator | a person is about to |
//! | `POST /api/notifications/failed/{id}/reopen` | operator | it was not settled after all |
//! | `POST /api/recovery/pause` | operator | nothing is sent again by itself |
//! | `POST /api/recovery/resume` | operator | it is again |
//! | `POST /api/healthcheck` | operator | probes a session now |
//! | `POST /api/sessions/{session}/restart` | operator | restarts it, where that may help |
//! | `POST /api/bot/restart` | operator | asks the hook of the bot's host to restart it |
//! | `POST /api/forget` | operator | takes a customer out of what is settled |
//! | `GET /api/backup` | operator | a copy of the store |
//! | `POST /api/alerts/test` | operator | sends a test through alert channels |
//! | `POST /api/drill` | operator | begins a drill |
//! | `POST /api/drill/end` | operator | ends it |
//! | `POST /api/diagnoses` | bot, operator | why could a customer not be told? |
//! | `POST /api/heartbeat` | bot, operator | the bot lives |
//!
//! Operators may look too. Errors are RFC 9457 problems. What is asked for goes to the heart as a wish and is answered once it is on disk.

pub mod access;
mod alerting;
mod body;
mod channel;
mod command;
mod deed;
mod events;
pub mod forgetting;
mod health;
mod hook;
mod keeping;
mod login;
mod masking;
mod openapi;
mod page;
mod patience;
mod problem;
mod query;
mod records;
mod restart;
mod stats;
mod tag;
pub mod view;

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::{Access, Token, TokenRole, Trusted};
use access::{Needs, Peer};
pub use alerting::{Outlet, Way, outlets};
pub use deed::{Deeds, Undone};
pub use events::Listeners;
pub use hook::HookDoor;
pub use keeping::Turn;
pub use login::{LASTS_MAX, Logins, RESTS_MAX};
pub use openapi::document as openapi_document;
use patience::Patient;
pub use restart::{HookFault, RestartHook, Restarts};
use view::Sight;

use crate::channels::SteadyBoard;
use crate::clock::Clock;
use crate::domain::delivery::Steady;
use crate::domain::id::SessionName;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::waha::client::WahaClient;
use crate::watchdog::{Heart, Wish};
use crate::words::Language;

/// What the admin listener shows.
pub struct Admin {
    /// The heart's state.
    pub heart: Arc<Heart>,
    /// The records.
    pub store: Store,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// When it is.
    pub clock: Clock,
    /// Who may see what; SIGHUP swaps it.
    pub access: ArcSwap<Access>,
    /// Who has logged in to the panel.
    pub logins: Logins,
    /// The language of sentences; SIGHUP swaps it.
    pub language: ArcSwap<Language>,
    /// Where wishes go.
    pub wishes: mpsc::Sender<Wish>,
    /// The sessions of `waha.sessions`, in its order.
    pub sessions: Vec<SessionName>,
    /// WAHA, asked with the sidecar's own key; SIGHUP swaps it.
    pub waha: ArcSwap<WahaClient>,
    /// What was restarted lately.
    pub restarts: Restarts,
    /// Who restarts the bot, if anybody; SIGHUP swaps it.
    pub restart_hook: ArcSwapOption<RestartHook>,
    /// Whose turn it is to go through all records.
    pub turn: Turn,
    /// Seats for those who listen to news.
    pub listeners: Listeners,
    /// Where WAHA's webhooks come in, if it delivers them.
    pub hook: Option<HookDoor>,
    /// How what is told again and again has been.
    pub steady: Arc<SteadyBoard>,
    /// What of it is configured; SIGHUP swaps it.
    pub routes: ArcSwap<Vec<Steady>>,
    /// Told once the proxy accepts calls.
    pub ready: CancellationToken,
    /// Says that it is over.
    pub closing: CancellationToken,
}

/// Connections open at once; people and scrapers are few.
const CONNECTIONS_MAX: usize = 512;
/// Longest wait for a request's head, a rest between calls included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most that waits for a reader who takes his time, in bytes.
const BUFFER_MAX: usize = 64 * 1024;

/// Serves `listener` until [`Admin::closing`]: the API, and the routes of the panel. Inside a `LocalRuntime`.
///
/// # Errors
/// Where the listener cannot be watched.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, panel: Router) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stop = admin.closing.clone();
    let service = TowerToHyperService::new(router(admin, panel));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, most likely: those that are served free some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (service, stop) = (service.clone(), stop.clone());
        tokio::task::spawn_local(async move {
            let _place = place;
            let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(Peer(peer.ip()));
                let answer = service.call(request);
                async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(BUFFER_MAX);
            let stream = TokioIo::new(Patient::new(stream));
            let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}

fn router(admin: Arc<Admin>, panel: Router) -> Router {
    let guarded = |routes: OpenApiRouter<Arc<Admin>>, needs: Needs| {
        Router::from(routes).layer(from_fn_with_state((Arc::clone(&admin), needs), access::check))
    };
    Router::from(open())
        .merge(guarded(looking(), Needs::Look))
        .merge(guarded(acting(), Needs::Act))
        .merge(guarded(reporting(), Needs::Report))
        .with_state(Arc::clone(&admin))
        .merge(panel)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(admin, count))
}

/// All routes, as they describe themselves.
fn described() -> utoipa::openapi::OpenApi {
    open().merge(looking()).merge(acting()).merge(reporting()).into_openapi()
}

/// What takes no token.
fn open() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(hook::receive))
}

fn looking() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new()
        .routes(routes!(openapi::openapi))
        .routes(routes!(query::bot_status))
        .routes(routes!(stats::stats))
        .routes(routes!(stats::logs))
        .routes(routes!(events::events))
        .routes(routes!(query::notifications))
        .routes(routes!(query::notification))
        .routes(routes!(query::sends))
        .routes(routes!(records::unnotified))
        .routes(routes!(records::communication_failures))
        .routes(routes!(records::incidents))
        .routes(routes!(records::incident))
        .routes(routes!(alerting::alerts))
        .routes(routes!(alerting::alert))
        .routes(routes!(alerting::drill))
        .routes(routes!(records::audit))
}

/// What changes something: for programs behind their guard, for the panel behind its own.
fn acting() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new()
        .routes(routes!(command::retry))
        .routes(routes!(command::mark_resolved))
        .routes(routes!(command::claim))
        .routes(routes!(command::reopen))
        .routes(routes!(command::pause))
        .routes(routes!(command::resume))
        .routes(routes!(alerting::test))
        .routes(routes!(alerting::begin_drill))
        .routes(routes!(alerting::end_drill))
        .routes(routes!(channel::healthcheck))
        .routes(routes!(restart::restart_session))
        .routes(routes!(restart::restart_bot))
        .routes(routes!(keeping::forget))
        .routes(routes!(keeping::backup))
}

fn reporting() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new().routes(routes!(channel::diagnose)).routes(routes!(channel::heartbeat))
}

/// Shows something with what the heart knows now.
fn seen<T>(admin: &Admin, show: impl FnOnce(Sight<'_>) -> T) -> T {
    let (policy, language) = (admin.heart.policy.load_full(), **admin.language.load());
    let state = admin.heart.state();
    show(Sight { state: &state, policy: &policy, language, now: admin.clock.now() })
}

/// Counts the call under its route's name, and keeps its answer out of caches.
async fn count(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let handler = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let handler = handler.as_deref().map_or("other", handler_of);
    admin.metrics.admin_request(handler, response.status().as_u16());
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The name of a route in the metrics.
fn handler_of(route: &str) -> &'static str {
    match route {
        "/" => "panel",
        route if route.starts_with("/panel") => "panel",
        "/healthz" => "healthz",
        "/readyz" => "readyz",
        "/metrics" => "metrics",
        "/hooks/waha" => "hook",
        "/api/openapi.json" => "openapi",
        "/api/bot/status" => "bot_status",
        "/api/bot/restart" => "bot_restart",
        "/api/forget" => "forget",
        "/api/backup" => "backup",
        "/api/stats" => "stats",
        "/api/logs" => "logs",
        "/api/events" => "events",
        "/api/notifications/failed" => "notifications_failed",
        "/api/notifications/failed/{id}" => "notification_failed",
        "/api/notifications/failed/{id}/retry" => "notification_retry",
        "/api/notifications/failed/{id}/mark_resolved" => "notification_mark_resolved",
        "/api/notifications/failed/{id}/claim" => "notification_claim",
        "/api/notifications/failed/{id}/reopen" => "notification_reopen",
        "/api/sends" => "sends",
        "/api/orders/unnotified" => "orders_unnotified",
        "/api/communication-failures" => "communication_failures",
        "/api/incidents" => "incidents",
        "/api/incidents/{id}" => "incident",
        "/api/alerts" => "alerts",
        "/api/alerts/{id}" => "alert",
        "/api/alerts/test" => "alerts_test",
        "/api/drill" => "drill",
        "/api/drill/end" => "drill_end",
        "/api/audit" => "audit",
        "/api/recovery/pause" => "recovery_pause",
        "/api/recovery/resume" => "recovery_resume",
        "/api/healthcheck" => "healthcheck",
        "/api/sessions/{session}/restart" => "session_restart",
        "/api/diagnoses" => "diagnoses",
        "/api/heartbeat" => "heartbeat",
        _ => "other",
    }
}
