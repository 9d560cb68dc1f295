//! WAHA's event feed at `/ws`: the key in the query alone, filters by session and event, no replay.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};
use tokio_util::sync::CancellationToken;

use super::request::Request;
use super::webhook::wants;
use super::wire::OutBody;
use super::world::{Event, World};

/// WAHA pings this often and gives up on a client that missed the pong before. Not scaled.
const PING_EVERY: Duration = Duration::from_secs(60);

/// Which events a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    sessions: Vec<String>,
    events: Vec<String>,
}

impl Filter {
    fn read(request: &Request) -> Self {
        Self { sessions: listed(request.query.get("session")), events: listed(request.query.get("events")) }
    }

    fn passes(&self, event: &Event) -> bool {
        self.sessions.iter().any(|session| session == "*" || *session == event.session)
            && wants(&self.events, event.name)
    }
}

/// `a,b`, or the parameter several times, or nothing, which is all.
fn listed(value: Option<&Value>) -> Vec<String> {
    let values: Vec<&Value> = match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.iter().collect(),
        Some(single) => vec![single],
    };
    let names: Vec<String> = values
        .into_iter()
        .filter_map(Value::as_str)
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() { vec!["*".to_owned()] } else { names }
}

/// Whether this is a client's handshake; anything else at `/ws` is a route that does not exist.
pub(super) fn is_wanted(request: &Request) -> bool {
    request.method == Method::GET
        && request.path.trim_end_matches('/').eq_ignore_ascii_case("/ws")
        && request.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
        && request.header("sec-websocket-key").is_some()
}

/// Answers the handshake and serves the client from then on. Without the key it is closed right after.
pub(super) fn accept(
    world: &Arc<World>,
    request: &Request,
    upgrade: OnUpgrade,
    cut: CancellationToken,
) -> Response<OutBody> {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let accepted = derive_accept_key(key.as_bytes());
    let filter = world
        .options
        .api_key
        .as_deref()
        .is_none_or(|key| request.query("x-api-key") == Some(key))
        .then(|| Filter::read(request));
    // Subscribed before the client has its 101: it misses nothing from then on.
    let events = world.subscribe();
    world.spawn(async move {
        tokio::select! {
            () = cut.cancelled() => {}
            () = serve(upgrade, filter, events) => {}
        }
    });
    let mut response = Response::new(OutBody::Whole(None));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(value) = HeaderValue::try_from(accepted) {
        headers.insert(HeaderName::from_static("sec-websocket-accept"), value);
    }
    response
}

async fn serve(upgrade: OnUpgrade, filter: Option<Filter>, mut events: broadcast::Receiver<Arc<Event>>) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let Some(filter) = filter else {
        let frame = CloseFrame { code: CloseCode::Policy, reason: "Unauthorized".into() };
        let _ = socket.close(Some(frame)).await;
        // The client's close frame, or its end.
        while let Some(Ok(_)) = socket.next().await {}
        return;
    };
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut has_answered = true;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if filter.passes(&event) => {
                    if socket.send(Message::text(event.text.as_str())).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            received = socket.next() => match received {
                Some(Ok(Message::Pong(_))) => has_answered = true,
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
            _ = ping.tick() => {
                if !has_answered || socket.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return;
                }
                has_answered = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_lists_in_any_of_their_forms() {
        assert_eq!(listed(None), ["*"]);
        assert_eq!(listed(Some(&json!(""))), ["*"]);
        assert_eq!(listed(Some(&json!("message.ack,session.status"))), ["message.ack", "session.status"]);
        assert_eq!(listed(Some(&json!(["a", "b,c"]))), ["a", "b", "c"]);
    }

    #[test]
    fn only_what_was_asked_for_passes() {
        let event = Event { name: "message.ack", session: "shop".into(), text: String::new() };
        let filter = |sessions: &str, events: &str| Filter {
            sessions: listed(Some(&json!(sessions))),
            events: listed(Some(&json!(events))),
        };
        assert!(filter("*", "*").passes(&event));
        assert!(filter("shop", "message.any,message.ack").passes(&event));
        assert!(!filter("other", "*").passes(&event));
        assert!(!filter("*", "message.any").passes(&event));
    }
}
