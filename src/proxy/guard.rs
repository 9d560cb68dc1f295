//! What must never pass: requests that name another upstream, or whose framing can be read two ways.
//!
//! hyper has already refused what it cannot parse. Here stands what it lets through and a proxy must not.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};
use hyper::Request;

use crate::domain::refusal::Refusal;

/// Bytes a header line takes beside its name and value: `: ` and the line's end.
const LINE: usize = 4;

/// May this request go on?
pub(super) fn check<B>(request: &Request<B>, head_max: usize, body_max: u64) -> Result<(), Refusal> {
    if *request.method() == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let uri = request.uri();
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Refusal::AbsoluteForm);
    }
    let path = uri.path();
    let asterisk = path == "*" && *request.method() == Method::OPTIONS;
    if !asterisk && !path.starts_with('/') {
        return Err(Refusal::BadRequest);
    }
    let headers = request.headers();
    if head_bytes(request) > head_max {
        return Err(Refusal::HeadTooLarge);
    }
    host(headers, request.version())?;
    framing(headers, request.version())?;
    match headers
        .get(CONTENT_LENGTH)
        .map(|length| length.to_str().ok().and_then(|length| length.parse::<u64>().ok()))
    {
        Some(None) => Err(Refusal::BadRequest),
        Some(Some(length)) if length > body_max => Err(Refusal::BodyTooLarge),
        Some(Some(_)) | None => Ok(()),
    }
}

fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let lines = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + LINE);
    target + lines.sum::<usize>()
}

/// Exactly one Host in HTTP/1.1, at most one in 1.0, and one that can be a host.
fn host(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let sound = match first {
        None => version == Version::HTTP_10,
        Some(host) => {
            let odd = |byte: &u8| matches!(byte, b'/' | b'\\' | b'@' | b'?' | b'#' | b' ' | b'\t' | b',');
            second.is_none() && host.to_str().is_ok() && !host.as_bytes().iter().any(odd)
        }
    };
    if sound { Ok(()) } else { Err(Refusal::BadRequest) }
}

/// One framing only: a length or chunks, each said once.
fn framing(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let alone = encodings.next().is_none() && !headers.contains_key(CONTENT_LENGTH);
        if !chunked || !alone || version == Version::HTTP_10 {
            return Err(Refusal::BadRequest);
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    lengths.next();
    if lengths.next().is_some() { Err(Refusal::BadRequest) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(request: http::request::Builder) -> Option<Refusal> {
        check(&request.body(()).unwrap(), 1000, 100).err()
    }

    #[test]
    fn what_passes_and_what_does_not() {
        let with_host = || Request::builder().uri("/api").header("host", "waha");
        let rows = [
            (with_host(), None),
            (Request::builder().uri("/api"), Some(Refusal::BadRequest)),
            (Request::builder().uri("/api").version(Version::HTTP_10), None),
            (with_host().header("host", "other"), Some(Refusal::BadRequest)),
            (Request::builder().uri("/api").header("host", "a/b"), Some(Refusal::BadRequest)),
            (Request::builder().uri("http://other/").header("host", "waha"), Some(Refusal::AbsoluteForm)),
            (Request::builder().method("CONNECT").uri("other:443"), Some(Refusal::Connect)),
            (with_host().method("OPTIONS").uri("*"), None),
            (with_host().uri("*"), Some(Refusal::BadRequest)),
            (with_host().header("content-length", "100"), None),
            (with_host().header("content-length", "101"), Some(Refusal::BodyTooLarge)),
            (with_host().header("content-length", "x"), Some(Refusal::BadRequest)),
            (
                with_host().header("content-length", "1").header("content-length", "1"),
                Some(Refusal::BadRequest),
            ),
            (with_host().header("transfer-encoding", "Chunked"), None),
            (with_host().header("transfer-encoding", "chunked, chunked"), Some(Refusal::BadRequest)),
            (
                with_host().header("transfer-encoding", "chunked").header("content-length", "1"),
                Some(Refusal::BadRequest),
            ),
            (
                with_host().version(Version::HTTP_10).header("transfer-encoding", "chunked"),
                Some(Refusal::BadRequest),
            ),
            (with_host().header("x-large", "x".repeat(1000)), Some(Refusal::HeadTooLarge)),
        ];
        for (request, expected) in rows {
            let shown = format!("{request:?}");
            assert_eq!(verdict(request), expected, "{shown}");
        }
    }
}
