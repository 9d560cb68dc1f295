//! `POST /hooks/waha`: WAHA delivers its events here, signed; whoever else comes is turned away (SPEC 4.6).

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::Admin;
use super::problem::{Problem, ProblemView};
use crate::clock::wall;
use crate::domain::confirmation::{FeedEvent, FeedState};
use crate::events::webhook::{BODY_MAX, Delivery, Hook, HookError};
use crate::waha::events::{ALGORITHM_HEADER, REQUEST_ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// Checks deliveries and hands on what they tell.
pub struct HookDoor {
    hook: Mutex<Hook>,
    told: mpsc::Sender<FeedEvent>,
}

impl HookDoor {
    /// What `hook` takes goes to `told`.
    pub const fn new(hook: Hook, told: mpsc::Sender<FeedEvent>) -> Self {
        Self { hook: Mutex::new(hook), told }
    }
}

/// WAHA delivers its events here where `events.mode` is `webhook`, signed with `events.webhook_secret`.
#[utoipa::path(
    post,
    path = "/hooks/waha",
    tag = "bot",
    security(()),
    request_body(content = String, content_type = "application/json", description = "As WAHA sends it"),
    responses(
        (status = 204, description = "Taken"),
        (status = 403, description = "Not signed by WAHA, or here before (`refused`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "`events.mode` is not `webhook` (`no_webhooks`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "Too large (`too_large`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "The sidecar is ending (`stopping`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn receive(
    State(admin): State<Arc<Admin>>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Some(door) = &admin.hook else {
        let why = "events.mode is not \"webhook\": nothing is received here";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_webhooks", why));
    };
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_MAX).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", HookError::TooLarge.to_string())
    })?;
    let events = accept(door, &parts.headers, &body, &admin).map_err(|why| {
        tracing::warn!(%why, "a webhook was refused");
        Problem::new(StatusCode::FORBIDDEN, "refused", why.to_string())
    })?;
    for event in events {
        // Where the heart takes nothing for a moment, WAHA waits; where it has ended, so do we.
        door.told.send(event).await.map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the watchdog is ending")
        })?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn accept(
    door: &HookDoor,
    headers: &HeaderMap,
    body: &Bytes,
    admin: &Admin,
) -> Result<Vec<FeedEvent>, HookError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let delivery = Delivery {
        signature: header(SIGNATURE_HEADER),
        algorithm: header(ALGORITHM_HEADER),
        timestamp: header(TIMESTAMP_HEADER),
        request_id: header(REQUEST_ID_HEADER),
        body,
    };
    let mut hook = door.hook.lock().unwrap_or_else(PoisonError::into_inner);
    let items = hook.accept(&delivery, wall::outside(admin.clock.now()))?;
    let connected = FeedEvent::State(FeedState::Connected);
    Ok(std::iter::once(connected).chain(items.into_iter().map(FeedEvent::Item)).collect())
}
