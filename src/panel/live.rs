//! Tells open pages that something moved, so that they look again: server-sent events without content.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::time::{sleep, timeout};

use super::Panel;

/// Pages told at once; the others look again from time to time.
pub(super) const WATCHERS_MAX: usize = 64;
/// Several movements within this are one.
const GATHER: Duration = Duration::from_millis(200);
/// A sign of life, so that a page knows that it is still told.
const ALIVE: Duration = Duration::from_secs(10);

/// `GET /panel/events`.
pub(super) async fn events(State(panel): State<Arc<Panel>>) -> Response {
    let Ok(place) = Arc::clone(&panel.watchers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open").into_response();
    };
    let (moved, closed) = (panel.admin.heart.moved(), panel.closed.clone());
    let hello = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"retry: 1000\nevent: moved\ndata:\n\n"))]);
    let rest = stream::unfold((moved, closed, place), |(mut moved, closed, place)| async move {
        let told = tokio::select! {
            () = closed.cancelled() => return None,
            told = timeout(ALIVE, moved.changed()) => told,
        };
        let line: &[u8] = match told {
            Ok(Ok(())) => {
                sleep(GATHER).await;
                moved.mark_unchanged();
                b"event: moved\ndata:\n\n"
            }
            Ok(Err(_)) => return None,
            Err(_) => b"event: alive\ndata:\n\n",
        };
        Some((Ok(Bytes::from_static(line)), (moved, closed, place)))
    });
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    ([kind], Body::from_stream(futures_util::StreamExt::chain(hello, rest))).into_response()
}
