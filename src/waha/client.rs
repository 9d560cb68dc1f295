//! A client of WAHA's own: asks what the sidecar itself wants to know. Sends go through the proxy, never through here.
//!
//! Session bodies carry secrets in clear (webhook keys, proxy passwords): only the status is taken out of them, and nothing is logged.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, StatusCode};

use crate::domain::id::SessionName;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most of a body that is read, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// Asks WAHA.
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
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// The key is wrong, or may not read.
    #[error("the key is refused ({0}): set waha.api_key to one that may read sessions")]
    Unauthorized(StatusCode),
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
    /// Something else answers.
    #[error("the answer ({0}) is not WAHA's")]
    Strange(StatusCode),
}

impl WahaClient {
    /// A client for `base`, with the sidecar's own `key`; `ca` is a further certificate to trust, as PEM.
    ///
    /// # Errors
    /// Where no client can be made of these.
    pub fn new(base: String, key: Option<String>, ca: Option<&[u8]>) -> Result<Self, AskError> {
        let unusable = |error: reqwest::Error| AskError::Unreachable(error.to_string());
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE);
        for certificate in Certificate::from_pem_bundle(ca.unwrap_or_default()).map_err(unusable)? {
            client = client.add_root_certificate(certificate);
        }
        Ok(Self { client: client.build().map_err(unusable)?, base, key })
    }

    /// Does WAHA answer at all?
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ping(&self) -> Result<(), AskError> {
        let (status, body) = self.get("/ping").await?;
        if status.is_success() && body.get("message").is_some() {
            Ok(())
        } else {
            Err(AskError::Strange(status))
        }
    }

    /// The status of a session, in WAHA's own word.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn session_status(&self, session: &SessionName) -> Result<String, AskError> {
        let name = utf8_percent_encode(session.as_str(), NON_ALPHANUMERIC);
        let (status, body) = self.get(&format!("/api/sessions/{name}")).await?;
        match (status.as_u16(), body.get("status").and_then(serde_json::Value::as_str)) {
            (200, Some(word)) => Ok(word.chars().take(64).collect()),
            (401 | 403, _) => Err(AskError::Unauthorized(status)),
            (404, _) => Err(AskError::NoSession),
            _ => Err(AskError::Strange(status)),
        }
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, serde_json::Value), AskError> {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("X-Api-Key", key);
        }
        let unanswered = |error: reqwest::Error| {
            if error.is_timeout() { AskError::TimedOut } else { AskError::Unreachable(root(&error)) }
        };
        let mut answer = request.send().await.map_err(unanswered)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unanswered)? {
            body.extend_from_slice(&piece);
            if body.len() > BODY_MAX {
                return Err(AskError::Strange(status));
            }
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// The innermost cause: reqwest's own sentence repeats the URL.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
