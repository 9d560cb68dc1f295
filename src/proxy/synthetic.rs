//! The answers we write ourselves, with a header that says so (SPEC 4.1).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::DownBody;
use crate::domain::refusal::Refusal;

/// Marks an answer of the sidecar.
pub(super) const ERROR: HeaderName = HeaderName::from_static("x-watchdog-error");

/// The answer for `refusal`. Where the request was not read to its end, the connection closes behind it.
pub(super) fn answer(refusal: Refusal) -> Response<DownBody> {
    let mut response = Response::new(DownBody::whole(Bytes::from(text(refusal))));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(ERROR, HeaderValue::from_static(refusal.code()));
    if closes(refusal) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same as raw bytes, for a connection that is turned away before anything is read.
pub(super) fn raw(refusal: Refusal) -> String {
    let body = text(refusal);
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\
         x-watchdog-error: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
        refusal.code()
    )
}

fn text(refusal: Refusal) -> String {
    format!(r#"{{"error":{{"code":"{}","message":"{}"}}}}"#, refusal.code(), refusal.message())
}

const fn closes(refusal: Refusal) -> bool {
    match refusal {
        Refusal::UpstreamUnreachable
        | Refusal::UpstreamTimeout
        | Refusal::UpstreamLost
        | Refusal::UpstreamInvalid
        | Refusal::Internal => false,
        Refusal::AbsoluteForm
        | Refusal::Connect
        | Refusal::BadRequest
        | Refusal::HeadTooLarge
        | Refusal::BodyTooLarge
        | Refusal::BodyTooSlow
        | Refusal::BodyIncomplete
        | Refusal::Stopping
        | Refusal::Overloaded => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_that_names_its_code() {
        for refusal in Refusal::ALL {
            let parsed: serde_json::Value = serde_json::from_str(&text(refusal)).unwrap();
            assert_eq!(parsed["error"]["code"], refusal.code());
            assert!(raw(refusal).starts_with("HTTP/1.1 "));
        }
    }
}
