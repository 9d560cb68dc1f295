//! Answers in WAHA's words: the headers of Express, and its three different forms of errors.

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::options::{Engine, Release};

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// An answer before the connection's own headers are added.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Bytes,
    pub(super) extra: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::raw(status, Some(JSON), Bytes::from(body.to_string()))
    }

    pub(super) fn raw(status: StatusCode, content_type: Option<&'static str>, body: Bytes) -> Self {
        Self { status, content_type, body, extra: Vec::new() }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::raw(status, None, Bytes::new())
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.extra.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Form A: Nest's `HttpException`.
    pub(super) fn exception(status: StatusCode, message: impl Into<Value>) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let message: Value = message.into();
        Self::json(status, &json!({"message": message, "error": reason, "statusCode": status.as_u16()}))
    }

    /// Form A without `error`, as the key guard says it.
    pub(super) fn unauthorized() -> Self {
        Self::json(StatusCode::UNAUTHORIZED, &json!({"message": "Unauthorized", "statusCode": 401}))
    }

    /// What guards everything that is neither API nor health: the dashboard's basic auth.
    pub(super) fn basic_auth() -> Self {
        Self::raw(StatusCode::UNAUTHORIZED, Some("text/html; charset=utf-8"), Bytes::new())
            .with(header::WWW_AUTHENTICATE, "Basic")
    }

    pub(super) fn no_route(method: &str, url: &str) -> Self {
        Self::exception(StatusCode::NOT_FOUND, format!("Cannot {method} {url}"))
    }

    pub(super) fn plus_only(engine: Engine) -> Self {
        let engine = engine.name();
        Self::exception(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "The feature is available only in Plus version for '{engine}' engine. Check this out: https://waha.devlike.pro/"
            ),
        )
    }

    pub(super) fn not_implemented() -> Self {
        Self::exception(StatusCode::NOT_IMPLEMENTED, "The method is not implemented by the engine.")
    }

    /// Form B: WAHA's own 422, a bare object.
    pub(super) fn refusal(body: &Value) -> Self {
        Self::json(StatusCode::UNPROCESSABLE_ENTITY, body)
    }

    /// Form C: an unhandled error, with the echo of the whole request.
    pub(super) fn unhandled(exception: &Value, echo: &Echo, version: &Value) -> Self {
        let mut request = Map::new();
        request.insert("path".into(), json!(echo.path));
        request.insert("method".into(), json!(echo.method));
        if let Some(body) = &echo.body {
            request.insert("body".into(), body.clone());
        }
        request.insert("query".into(), echo.query.clone());
        let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        Self::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({
                "statusCode": 500,
                "timestamp": timestamp,
                "exception": exception,
                "request": request,
                "version": version,
            }),
        )
    }
}

/// The part of the request that form C throws back.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    pub(super) path: String,
    pub(super) method: String,
    pub(super) body: Option<Value>,
    pub(super) query: Value,
}

/// What `/api/version`, events and form C say of the build.
pub(super) fn version(engine: Engine, release: Release) -> Value {
    let browser = if engine == Engine::Webjs { json!("/usr/bin/chromium") } else { Value::Null };
    json!({
        "version": release.version(),
        "engine": engine.name(),
        "tier": "CORE",
        "browser": browser,
        "platform": "linux/x64",
    })
}

fn stack(name: &str, message: &str) -> String {
    format!("{name}: {message}\n    at WAHA (/app/dist/fake-waha.js:1:1)")
}

/// A JavaScript error of a plain kind, as form C shows it.
pub(super) fn thrown(name: &str, message: &str) -> Value {
    json!({"message": message, "name": name, "stack": stack(name, message)})
}

/// An engine's error, as form C shows it: Baileys' `Boom`, gRPC's `2 UNKNOWN: …` with its code, else a plain one.
pub(super) fn engine_error(message: &str) -> Value {
    if matches!(message, "Connection Closed" | "Timed Out" | "Connection Terminated" | "Connection Failure") {
        return json!({
            "message": message,
            "data": null,
            "isBoom": true,
            "isServer": false,
            "output": {},
            "name": "Error",
            "stack": stack("Error", message),
        });
    }
    if let Some((code, details)) = message
        .split_once(": ")
        .and_then(|(kind, details)| Some((kind.split_once(' ')?.0.parse::<u32>().ok()?, details)))
    {
        return json!({
            "message": message,
            "code": code,
            "details": details,
            "metadata": {},
            "name": "Error",
            "stack": stack("Error", message),
        });
    }
    thrown("Error", message)
}

/// raw-body's error for more bytes than the limit; the length is known only if it was announced.
pub(super) fn too_large(announced: Option<u64>, received: u64, limit: usize) -> Value {
    let message = "request entity too large";
    let stack = stack("PayloadTooLargeError", message);
    match announced {
        Some(length) => json!({
            "message": message, "name": "PayloadTooLargeError", "expected": length, "length": length, "limit": limit,
            "type": "entity.too.large", "stack": stack,
        }),
        None => json!({
            "message": message, "name": "PayloadTooLargeError", "limit": limit, "received": received,
            "type": "entity.too.large", "stack": stack,
        }),
    }
}

/// Express' weak entity tag: length in hex and the start of SHA-1 in base64.
pub(super) fn etag(body: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, body);
    let mut tag = base64(digest.as_ref());
    tag.truncate(27);
    format!("W/\"{:x}-{tag}\"", body.len())
}

/// Plain base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().chain([0, 0].iter()).take(3).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        for place in 0..4_usize {
            if place <= chunk.len() {
                text.push(char::from(ALPHABET[(value >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_usual() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn the_entity_tag_is_the_one_express_makes() {
        // The constant Express sends with an empty body.
        assert_eq!(etag(b""), "W/\"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk\"");
    }

    #[test]
    fn form_a_and_the_guard_are_word_for_word() {
        let missing = Answer::exception(StatusCode::NOT_FOUND, "Session not found");
        assert_eq!(
            &missing.body[..],
            br#"{"message":"Session not found","error":"Not Found","statusCode":404}"#
        );
        assert_eq!(&Answer::unauthorized().body[..], br#"{"message":"Unauthorized","statusCode":401}"#);
    }

    #[test]
    fn form_c_says_its_message_early_and_echoes_the_request() {
        let echo = Echo {
            path: "/api/sendText".into(),
            method: "POST".into(),
            body: Some(json!({"zeta": 1, "alpha": 2})),
            query: json!({}),
        };
        let answer = Answer::unhandled(&engine_error("Timed Out"), &echo, &json!({}));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.starts_with(r#"{"statusCode":500,"timestamp":""#), "{text}");
        assert!(text.contains(r#""exception":{"message":"Timed Out","data":null,"isBoom":true"#), "{text}");
        assert!(
            text.contains(r#""body":{"zeta":1,"alpha":2}"#),
            "the caller's order of keys is kept: {text}"
        );
    }

    #[test]
    fn grpc_errors_carry_their_code() {
        let error = engine_error("2 UNKNOWN: server returned error 463");
        assert_eq!(error["code"], 2);
        assert_eq!(error["details"], "server returned error 463");
        assert_eq!(engine_error("No LID for user")["name"], "Error");
    }
}
