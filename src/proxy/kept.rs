//! An answer kept for a bot that went away before it heard it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::DownBody;
use crate::domain::ledger::StoredAnswer;
use crate::domain::send::Content;

/// Largest answer that is kept for a bot that did not hear it, in bytes.
const KEEP_MAX: usize = 16 * 1024;

/// An answer that can be given again. Cheap to clone.
#[derive(Clone)]
pub struct KeptAnswer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl std::fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

impl KeptAnswer {
    /// Copied, so that it does not hold a connection's buffer. Of a large answer only that it was a success is kept.
    pub(super) fn of(response: &Response<DownBody>) -> Self {
        let body = match response.body() {
            DownBody::Whole(Some(body)) if body.len() <= KEEP_MAX => Bytes::copy_from_slice(body),
            DownBody::Whole(_) | DownBody::Passing(_) => Bytes::from_static(b"{}"),
        };
        Self { status: response.status(), content_type: response.headers().get(CONTENT_TYPE).cloned(), body }
    }

    /// JSON of our own, where WAHA's answer never came.
    pub fn json(status: u16, body: String) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::CREATED),
            content_type: Some(HeaderValue::from_static("application/json; charset=utf-8")),
            body: Bytes::from(body),
        }
    }

    /// From the store.
    pub fn from_stored(answer: &StoredAnswer) -> Self {
        Self {
            status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED),
            content_type: answer.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok()),
            body: answer.body.clone(),
        }
    }

    /// The form that is stored, for whoever asked this.
    pub fn stored(&self, asked: Content) -> StoredAnswer {
        let content_type = self.content_type.as_ref().and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        StoredAnswer { status: self.status.as_u16(), content_type, body: self.body.clone(), asked }
    }

    /// Its HTTP status.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn response(self) -> Response<DownBody> {
        let mut response = Response::new(DownBody::whole(self.body));
        *response.status_mut() = self.status;
        if let Some(kind) = self.content_type {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }
}
