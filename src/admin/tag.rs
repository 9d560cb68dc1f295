//! Answers that are asked for again and again: with a weak ETag, and 304 while nothing has changed.
//!
//! What only says how late it is does not count as a change.

use axum::Json;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::view;

/// Keys whose values follow the clock alone.
const CLOCKS: [&str; 3] = ["now", "age_seconds", "finish_at"];

/// `shown` as JSON, or 304 where whoever asks has it.
pub(super) fn answer(headers: &HeaderMap, shown: &impl Serialize) -> Response {
    let value = view::json(shown);
    let tag = tag_of(&value);
    let asked = headers.get_all(IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    let known = asked.flat_map(|known| known.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == tag.trim_start_matches("W/")
    });
    let tag = HeaderValue::from_str(&tag).map(|tag| [(ETAG, tag)]);
    match (known, tag) {
        (true, Ok(tag)) => (StatusCode::NOT_MODIFIED, tag).into_response(),
        (false, Ok(tag)) => (tag, Json(value)).into_response(),
        (_, Err(_)) => Json(value).into_response(),
    }
}

fn tag_of(value: &Value) -> String {
    let mut digest = Sha256::new();
    take_in(value, &mut digest);
    let hex = digest.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("W/\"{hex}\"")
}

fn take_in(value: &Value, digest: &mut Sha256) {
    match value {
        Value::Object(object) => {
            digest.update(b"{");
            for (key, value) in object.iter().filter(|(key, _)| !CLOCKS.contains(&key.as_str())) {
                digest.update(key.as_bytes());
                digest.update(b":");
                take_in(value, digest);
            }
            digest.update(b"}");
        }
        Value::Array(items) => {
            digest.update(b"[");
            items.iter().for_each(|item| take_in(item, digest));
            digest.update(b"]");
        }
        simple => {
            digest.update(simple.to_string().as_bytes());
            digest.update(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_follows_what_is_shown_and_not_the_clock() {
        let tag = tag_of(&json!({"a": [1, 2], "now": "07:00", "orders": [{"age_seconds": 1}]}));
        assert_eq!(tag, tag_of(&json!({"a": [1, 2], "now": "08:00", "orders": [{"age_seconds": 2}]})));
        for other in [json!({"a": [1, 3]}), json!({"a": [12]}), json!({"a": ["1", 2]}), json!({"b": [1, 2]})]
        {
            assert_ne!(tag, tag_of(&other), "{other}");
        }
    }

    #[test]
    fn whoever_has_it_is_told_so() {
        let shown = json!({"a": 1});
        let tag = tag_of(&shown);
        let answered = |known: &str| {
            let known = [(IF_NONE_MATCH, HeaderValue::from_str(known).unwrap())];
            let answer = answer(&HeaderMap::from_iter(known), &shown);
            assert_eq!(answer.headers()[ETAG], tag.as_str());
            answer.status().as_u16()
        };
        assert_eq!(answered(&tag), 304);
        assert_eq!(answered(tag.trim_start_matches("W/")), 304, "weakly the same");
        assert_eq!(answered(&format!("\"x\", {tag}")), 304);
        assert_eq!(answered("*"), 304);
        assert_eq!(answered("W/\"x\""), 200);
    }
}
