//! Request bodies as Express' body parser sees them: JSON, urlencoded, plain or gzipped, 50 MiB at most.
//!
//! What is neither stays unparsed, and so `undefined` for WAHA's controllers; hence its TypeErrors.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use serde_json::{Map, Value};

use super::gzip::{self, GzipError};

/// WAHA's limit for a body, unpacked.
pub(super) const LIMIT: usize = 50 * 1024 * 1024;

/// How far a body beyond the limit is read and thrown away, so that the caller can read the answer.
const DRAINED: u64 = 512 * 1024 * 1024;

/// What the parser made of a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// No body, or one of a type WAHA does not parse.
    Undefined,
    /// An object or an array.
    Parsed(Value),
    /// Not JSON; with V8's message.
    Malformed(String),
    /// Beyond [`LIMIT`].
    TooLarge { announced: Option<u64>, received: u64 },
    /// In a `Content-Encoding` that is not understood.
    Encoded(String),
}

/// The connection broke, or ended early, while the body came.
#[derive(Debug)]
pub(super) struct BodyAborted;

/// Reads a body to its end and parses it.
pub(super) async fn read(headers: &HeaderMap, body: Incoming) -> Result<Body, BodyAborted> {
    Ok(match collect(headers, body, LIMIT).await? {
        Ok(bytes) => parse(headers, bytes),
        Err(too_large) => too_large,
    })
}

/// Reads a body of at most `limit` bytes; the inner error is [`Body::TooLarge`].
pub(super) async fn collect(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: usize,
) -> Result<Result<Bytes, Body>, BodyAborted> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_too_long = announced.is_some_and(|length| length > limit as u64);
    let mut bytes = BytesMut::new();
    let mut received = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyAborted)?.into_data() else { continue };
        received += data.len() as u64;
        if received > DRAINED {
            return Err(BodyAborted);
        }
        if !is_too_long && received <= limit as u64 {
            bytes.extend_from_slice(&data);
        }
    }
    if is_too_long || received > limit as u64 {
        return Ok(Err(Body::TooLarge { announced, received }));
    }
    Ok(Ok(bytes.freeze()))
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim().to_ascii_lowercase()
}

fn parse(headers: &HeaderMap, bytes: Bytes) -> Body {
    if bytes.is_empty() {
        return Body::Undefined;
    }
    let content_type = text_of(headers, header::CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = media_type == "application/json";
    if !is_json && media_type != "application/x-www-form-urlencoded" {
        return Body::Undefined;
    }
    let bytes = match text_of(headers, header::CONTENT_ENCODING).as_str() {
        "" | "identity" => bytes,
        "gzip" => match gzip::unpack(&bytes, LIMIT) {
            Ok(unpacked) => Bytes::from(unpacked),
            Err(GzipError::TooLarge) => {
                return Body::TooLarge { announced: None, received: LIMIT as u64 + 1 };
            }
            Err(GzipError::Damaged) => return Body::Malformed("incorrect header check".to_owned()),
        },
        other => return Body::Encoded(other.to_owned()),
    };
    if is_json { parse_json(&bytes) } else { Body::Parsed(parse_form(&bytes)) }
}

fn parse_json(bytes: &[u8]) -> Body {
    let text = String::from_utf8_lossy(bytes);
    match serde_json::from_str::<Value>(&text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Body::Parsed(value),
        // The parser is strict: a bare value is an error at its first character.
        Ok(_) => Body::Malformed(unexpected_token(&text, text.len() - text.trim_start().len())),
        Err(error) => Body::Malformed(v8_message(&text, &error)),
    }
}

/// The message V8 would give for what serde found.
fn v8_message(text: &str, error: &serde_json::Error) -> String {
    let at = position(text, error);
    let said = error.to_string();
    if said.starts_with("EOF while parsing a string") {
        format!("Unterminated string in JSON at position {}", text.chars().count())
    } else if error.is_eof() {
        "Unexpected end of JSON input".to_owned()
    } else if said.starts_with("key must be a string") {
        format!("Expected property name or '}}' in JSON at position {at}")
    } else if said.starts_with("expected `,` or `}`") {
        format!("Expected ',' or '}}' after property value in JSON at position {at}")
    } else if said.starts_with("expected `,` or `]`") {
        format!("Expected ',' or ']' after array element in JSON at position {at}")
    } else if said.starts_with("expected `:`") {
        format!("Expected ':' after property name in JSON at position {at}")
    } else if said.starts_with("trailing characters") {
        format!("Unexpected non-whitespace character after JSON at position {at}")
    } else {
        unexpected_token(text, at)
    }
}

fn unexpected_token(text: &str, at: usize) -> String {
    let token = text.chars().nth(at).unwrap_or(' ');
    let shown: String = text.chars().take(20).collect();
    let dots = if text.chars().count() > 20 { "..." } else { "" };
    format!("Unexpected token '{token}', \"{shown}\"{dots} is not valid JSON")
}

/// serde's line and column as an offset in characters from the start.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(|line| line.chars().count())
        .sum();
    before + error.column().saturating_sub(1)
}

/// `a=1&b=2` as an object of strings; a repeated key becomes an array.
pub(super) fn parse_form(bytes: &[u8]) -> Value {
    let mut object = Map::new();
    for (key, value) in form_urlencoded::parse(bytes) {
        let value = Value::String(value.into_owned());
        match object.get_mut(key.as_ref()) {
            None => {
                object.insert(key.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(single) => *single = Value::Array(vec![single.take(), value]),
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn parsed(content_type: &'static str, body: &[u8]) -> Body {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        parse(&headers, Bytes::copy_from_slice(body))
    }

    #[test]
    fn json_and_forms_are_understood_and_nothing_else() {
        assert_eq!(parsed("application/json; charset=utf-8", b"{\"a\":1}"), Body::Parsed(json!({"a": 1})));
        assert_eq!(
            parsed("application/x-www-form-urlencoded", b"a=1&b=x+y&b=%40"),
            Body::Parsed(json!({"a": "1", "b": ["x y", "@"]}))
        );
        assert_eq!(parsed("multipart/form-data; boundary=x", b"--x--"), Body::Undefined);
        assert_eq!(parsed("application/json", b""), Body::Undefined);
    }

    #[test]
    fn malformed_json_is_told_in_the_words_of_v8() {
        let cases = [
            ("{bad json", "Expected property name or '}' in JSON at position 1"),
            ("{\"a\":1", "Unexpected end of JSON input"),
            ("{\"a\" 1}", "Expected ':' after property name in JSON at position 5"),
            ("[1 2]", "Expected ',' or ']' after array element in JSON at position 3"),
            ("\"text\"", "Unexpected token '\"', \"\"text\"\" is not valid JSON"),
        ];
        for (body, message) in cases {
            assert_eq!(
                parsed("application/json", body.as_bytes()),
                Body::Malformed(message.into()),
                "{body}"
            );
        }
    }

    #[test]
    fn rubbish_never_panics() {
        for body in [&b"\xff\xfe"[..], "ñ{".as_bytes(), b"\n\n{\n}x", b"{\"\xc3"] {
            assert!(matches!(parsed("application/json", body), Body::Malformed(_)));
        }
    }
}
