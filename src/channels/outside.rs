//! One exchange over HTTP with a service outside: made, bounded, and judged by how far it got. Which service it is does not matter here.

use std::error::Error;
use std::time::Duration;

use tokio::time::timeout;

use super::told::{Told, Untold};

/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for an answer's head.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most of an answer's body that is read, in bytes, and longest wait for it.
const BODY_MAX: usize = 64 * 1024;
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// Why channels cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare the alert channels: {0}")]
pub struct ClientError(pub(super) String);

/// The client that all channels share: redirects are not followed, so only configured addresses are ever contacted.
#[derive(Clone)]
pub(super) struct Outside(reqwest::Client);

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its beginning. May quote what was sent: never logged.
    pub(super) body: Vec<u8>,
}

impl Outside {
    pub(super) fn new() -> Result<Self, ClientError> {
        // Where another part has set it already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // One that rested may be closed just as we write, and nobody would know what became of the alert.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("waha-watchdog/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_PATIENCE);
        client.build().map(Self).map_err(|error| ClientError(root(&error)))
    }

    pub(super) fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.0.get(url)
    }

    pub(super) fn post(&self, url: &str) -> reqwest::RequestBuilder {
        self.0.post(url)
    }

    pub(super) fn head(&self, url: &str) -> reqwest::RequestBuilder {
        self.0.head(url)
    }
}

/// Posts JSON under these headers.
pub(super) fn json(request: reqwest::RequestBuilder, body: Vec<u8>) -> reqwest::RequestBuilder {
    request.header(http::header::CONTENT_TYPE, "application/json").body(body)
}

/// Makes an exchange. Without an answer it says whether the request may have arrived.
pub(super) async fn call(request: reqwest::RequestBuilder) -> Result<Answer, Untold> {
    let sent = timeout(PATIENCE, request.send()).await;
    let mut response = match sent {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_builder() => return Err(Untold::for_good("its address cannot be called")),
        Ok(Err(error)) if error.is_connect() => return Err(Untold::this_time(root(&error))),
        Ok(Err(error)) => return Err(Untold::unknown(root(&error))),
        Err(_late) => return Err(Untold::unknown(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(piece)) = response.chunk().await {
            let room = BODY_MAX - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() == BODY_MAX {
                break;
            }
        }
    };
    // The status is all that must be known.
    let _late = timeout(BODY_PATIENCE, reading).await;
    Ok(Answer { status, body })
}

/// What a status says of an alert: taken, not this time, or never. What only its sender can mend is not "never": they may.
pub(super) fn judge(status: u16) -> Told {
    match status {
        200..=299 => Ok(()),
        400 | 410 | 413 | 422 => Err(Untold::for_good(format!("it answers {status}"))),
        401 | 403 => Err(Untold::this_time(format!("it answers {status}: the secret is wrong"))),
        _ => Err(Untold::this_time(format!("it answers {status}"))),
    }
}

/// Any answer shows that somebody is there.
pub(super) async fn answers(request: reqwest::RequestBuilder) -> Result<u16, String> {
    call(request).await.map(|answer| answer.status).map_err(|untold| untold.why)
}

/// The innermost cause: the outer sentences repeat the URL.
pub(super) fn root(error: &dyn Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
