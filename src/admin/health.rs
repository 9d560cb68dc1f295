//! Does it live, does it serve, and what it counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::view::{self, Readiness};
use crate::store::StoreState;

/// The process answers. It says nothing of WAHA or the store.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "The text `ok`", body = String, content_type = "text/plain")),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The proxy accepts calls. A store in trouble is told here and does not make it unready: sends go through.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "Calls are accepted", body = Readiness),
        (status = 503, description = "Not yet", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Readiness>) {
    let ready = admin.ready.is_cancelled();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, store: view::store(&admin.store.health()) }))
}

/// Prometheus' text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
    ),
)]
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    admin.heart.show(&admin.metrics, admin.clock.now());
    show_store(&admin);
    let text = admin.metrics.encode();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn show_store(admin: &Admin) {
    let (health, figures, gauges) = (admin.store.health(), admin.store.figures(), &admin.metrics.store);
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    gauges.up.set(i64::from(health.state == StoreState::Recording));
    gauges.queue.set(whole(figures.queued));
    gauges.size.set(whole(figures.file_bytes));
    for (op, count) in [("open", figures.reopened), ("row", figures.unreadable_rows)] {
        let counter = gauges.errors.with_label_values(&[op]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }
}
