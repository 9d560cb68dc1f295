//! One exchange with WAHA: a call goes out, its answer is held up to a limit, and where there is none it is said how far the call got.
//! Nothing here knows what a call means.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::Method;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::de::DeserializeOwned;
use tokio::time::{timeout, timeout_at};

use super::{AskError, WahaClient};
use crate::clock::instant;
use crate::domain::outcome::{Cause, Reply};

/// A call to make.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: Bytes,
}

/// An answer whose head came. Holds what customers are told, so it prints nothing.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// Compressed answers are never inflated: their status has to do.
    pub(super) compressed: bool,
    pub(super) body: Bytes,
    pub(super) end: End,
}

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it is held.
    Whole,
    /// It is longer than what is held.
    Longer,
    /// It broke off.
    Broken,
}

impl Answer {
    /// The body as JSON of this form; `None` where it is not, or not all there.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let whole = self.end == End::Whole && !self.compressed;
        whole.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }
}

/// No head of an answer came.
#[derive(Debug)]
pub(super) struct Missing {
    /// How far the call got.
    pub(super) reply: Reply,
    /// The fault in the system's words, without any address.
    pub(super) why: String,
}

impl Missing {
    pub(super) const fn of(reply: Reply) -> Self {
        Self { reply, why: String::new() }
    }

    /// For one who asked and gave it so long.
    pub(super) fn asked(self, limit: Duration) -> AskError {
        match self.reply {
            Reply::NotSent(Cause::ConnectTimeout) => AskError::TimedOut(super::CONNECT_PATIENCE.min(limit)),
            Reply::Lost(Cause::ResponseTimeout) => AskError::TimedOut(limit),
            Reply::NotSent(_) | Reply::Lost(_) | Reply::Answer { .. } => AskError::Unreachable(self.why),
        }
    }

    fn from_error(error: &reqwest::Error) -> Self {
        let reply = if error.is_builder() {
            // No URL, no header that could be sent: nothing has left.
            Reply::NotSent(Cause::BadRequest)
        } else if error.is_connect() {
            Reply::NotSent(connect_cause(error))
        } else if error.is_timeout() {
            Reply::Lost(Cause::ResponseTimeout)
        } else {
            Reply::Lost(Cause::ConnectionLost)
        };
        Self { reply, why: root(error) }
    }
}

impl WahaClient {
    /// Makes a call. Its head may take `limit`, and then its body as long again; of the body `most` bytes are held.
    pub(super) async fn exchange(
        &self,
        call: Call<'_>,
        most: usize,
        limit: Duration,
    ) -> Result<Answer, Missing> {
        // A target that is no path would make another address of ours.
        if !call.target.starts_with('/') {
            return Err(Missing::of(Reply::NotSent(Cause::BadRequest)));
        }
        let mut request = self.client.request(call.method, format!("{}{}", self.base, call.target));
        if let Some(key) = &self.key {
            request = request.header("X-Api-Key", key);
        }
        if let Some(kind) = call.content_type {
            request = request.header(CONTENT_TYPE, kind);
        }
        if !call.body.is_empty() {
            request = request.body(call.body);
        }
        let mut response = timeout(limit, request.send())
            .await
            .map_err(|_| Missing::of(Reply::Lost(Cause::ResponseTimeout)))?
            .map_err(|error| Missing::from_error(&error))?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: kind.map(str::to_owned),
            compressed: response.headers().contains_key(CONTENT_ENCODING),
            body: Bytes::new(),
            end: End::Whole,
        };
        let until = instant() + limit;
        let mut body = Vec::new();
        loop {
            match timeout_at(until, response.chunk()).await {
                Ok(Ok(None)) => break,
                Ok(Ok(Some(piece))) => {
                    let room = most - body.len();
                    body.extend_from_slice(&piece[..piece.len().min(room)]);
                    if piece.len() > room {
                        answer.end = End::Longer;
                        break;
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    answer.end = End::Broken;
                    break;
                }
            }
        }
        answer.body = Bytes::from(body);
        Ok(answer)
    }
}

/// Why no connection could be had.
fn connect_cause(error: &reqwest::Error) -> Cause {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(known) = known_cause(cause) {
            return known;
        }
        next = cause.source();
        // An error inside an I/O error is passed over by `source`.
        if let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            next = Some(inner);
        }
    }
    if error.is_timeout() { Cause::ConnectTimeout } else { Cause::ConnectionRefused }
}

fn known_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.is::<NoSuchName>() {
        return Some(Cause::Dns);
    }
    if error.is::<rustls::Error>() {
        return Some(Cause::Tls);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::TimedOut => Some(Cause::ConnectTimeout),
        io::ErrorKind::ConnectionRefused => Some(Cause::ConnectionRefused),
        // A connection that was there and ended in its handshake.
        io::ErrorKind::UnexpectedEof => Some(Cause::Tls),
        _ => None,
    }
}

/// The innermost cause: reqwest's own sentence repeats the URL.
pub(super) fn root(error: &dyn Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The name of WAHA has no address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoSuchName(String);

/// Looks names up as the system does, and says so where there is none: a wrong name is not a refused connection.
pub(super) struct NameResolver;

impl Resolve for NameResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let missing = |error: io::Error| NoSuchName(error.to_string());
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(missing)?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
