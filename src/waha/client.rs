//! A client of WAHA's own, with the sidecar's own key: what the sidecar wants to know, and what it sends itself. The bot's calls go
//! through the proxy, never through here.
//!
//! - `wire`: one exchange, and how it failed. `probe`: how a session is. `send`: a message goes out. `look`: did one go out?
//!
//! Session bodies carry secrets in clear (webhook keys, proxy passwords), others carry customers' texts: only what is asked for is taken
//! out of them, and nothing is logged. Only the configured address is ever contacted: redirects are not followed.

mod look;
mod probe;
mod send;
mod wire;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Method};
use serde::Deserialize;

use crate::domain::id::{Phone, SessionName};
use crate::domain::outcome::{Cause, Reply};

pub use look::{Sought, confirmation};
pub use probe::session_state;
pub use send::{Sent, SentAnswer};

use wire::{Answer, Call, Missing, NameResolver};

/// Longest wait for the answer to a question of the command line.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a restart: WAHA itself sleeps three seconds, and may queue and run one for half a minute.
const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// Most of a body that is read, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// Asks WAHA, and sends through it. A connection for each call: one that rested may be closed just as we write, and nobody would know what
/// became of the message.
pub struct WahaClient {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers there.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It takes too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The key is wrong, or may not read.
    #[error("the key is refused ({0}): set waha.api_key to one that may read sessions")]
    Unauthorized(u16),
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
    /// WAHA has trouble of its own.
    #[error("WAHA answers {0}")]
    Trouble(u16),
    /// Something else answers.
    #[error("the answer ({0}) is not WAHA's")]
    Strange(u16),
}

impl WahaClient {
    /// A client for `base`, with the sidecar's own `key`; `ca` is a further certificate to trust, as PEM.
    ///
    /// # Errors
    /// Where no client can be made of these.
    pub fn new(base: String, key: Option<String>, ca: Option<&[u8]>) -> Result<Self, AskError> {
        // Where another part has set it already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |error: reqwest::Error| AskError::Unreachable(wire::root(&error));
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .dns_resolver(NameResolver)
            .connect_timeout(CONNECT_PATIENCE);
        for certificate in Certificate::from_pem_bundle(ca.unwrap_or_default()).map_err(unusable)? {
            client = client.add_root_certificate(certificate);
        }
        if !base.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
            // Reading the system's certificates is a third of the whole start, and here nobody would ask for them.
            client = client.tls_certs_only([]);
        }
        Ok(Self { client: client.build().map_err(unusable)?, base, key })
    }

    /// Does WAHA answer at all?
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ping(&self) -> Result<(), AskError> {
        /// The answer to a ping.
        #[derive(Deserialize)]
        struct Pong {
            #[serde(rename = "message")]
            _message: serde::de::IgnoredAny,
        }
        let answer = self.get("/ping", PATIENCE).await.map_err(|missing| missing.asked(PATIENCE))?;
        let pong = (200..300).contains(&answer.status) && answer.read::<Pong>().is_some();
        if pong { Ok(()) } else { Err(AskError::Strange(answer.status)) }
    }

    /// The status of a session, in WAHA's own word.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn session_status(&self, session: &SessionName) -> Result<String, AskError> {
        /// A session.
        #[derive(Deserialize)]
        struct Session {
            status: String,
        }
        let answer =
            self.get(&session_path(session), PATIENCE).await.map_err(|missing| missing.asked(PATIENCE))?;
        match (answer.status, answer.read::<Session>()) {
            (200, Some(session)) => Ok(session.status.chars().take(64).collect()),
            (status @ (401 | 403), _) => Err(AskError::Unauthorized(status)),
            (404, _) => Err(AskError::NoSession),
            (status, _) => Err(AskError::Strange(status)),
        }
    }

    /// Restarts a session. WAHA answers while it is still starting.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn restart_session(&self, session: &SessionName) -> Result<(), AskError> {
        let target = format!("{}/restart", session_path(session));
        let call = Call { method: Method::POST, target: &target, content_type: None, body: Bytes::new() };
        let limit = RESTART_PATIENCE;
        match self.ask(call, BODY_MAX, limit).await.map_err(|missing| missing.asked(limit))?.status {
            200..=299 => Ok(()),
            status @ (401 | 403) => Err(AskError::Unauthorized(status)),
            404 => Err(AskError::NoSession),
            status => Err(AskError::Trouble(status)),
        }
    }

    /// Is this number on WhatsApp? `None` where WAHA does not tell.
    pub async fn check_exists(&self, session: &SessionName, phone: &Phone, limit: Duration) -> Option<bool> {
        /// What is known of a number.
        #[derive(Deserialize)]
        struct Known {
            #[serde(rename = "numberExists")]
            number_exists: bool,
        }
        let target = format!(
            "/api/contacts/check-exists?phone={}&session={}",
            encoded(&phone.digits()),
            encoded(session.as_str())
        );
        let answer = self.get(&target, limit).await.ok().filter(|answer| answer.status == 200)?;
        Some(answer.read::<Known>()?.number_exists)
    }

    async fn get(&self, target: &str, limit: Duration) -> Result<Answer, Missing> {
        let call = Call { method: Method::GET, target, content_type: None, body: Bytes::new() };
        self.ask(call, BODY_MAX, limit).await
    }

    /// One exchange, over in `limit`.
    async fn ask(&self, call: Call<'_>, most: usize, limit: Duration) -> Result<Answer, Missing> {
        tokio::time::timeout(limit, self.exchange(call, most, limit))
            .await
            .unwrap_or_else(|_| Err(Missing::of(Reply::Lost(Cause::ResponseTimeout))))
    }
}

/// Where a session is asked for.
fn session_path(session: &SessionName) -> String {
    format!("/api/sessions/{}", encoded(session.as_str()))
}

/// As a part of a path, or a value in a query.
fn encoded(part: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(part, NON_ALPHANUMERIC)
}
