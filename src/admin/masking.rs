//! What a browser's login is told of customers by the API: their numbers masked, as on the panel's pages, where each one that is shown whole is
//! asked for and written down. Programs with a token of their own are told all.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use serde_json::Value;

use super::problem::Problem;
use crate::domain::id::{ChatId, Phone};

/// Largest answer that is looked through, in bytes: a thousand records.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// An answer without numbers. What is no JSON (news, the file of a backup) passes as it is.
pub(super) async fn masked(answer: Response) -> Result<Response, Problem> {
    let is_json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_json {
        return Ok(answer);
    }
    let (mut head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, ANSWER_MAX).await.ok();
    let Some(mut shown) = body.and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        let detail = "this answer is too large for a browser; ask for a smaller page";
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "answer_too_large", detail));
    };
    mask(&mut shown);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(shown.to_string())))
}

fn mask(shown: &mut Value) {
    match shown {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (name, value) in fields {
                let Value::String(text) = &*value else {
                    mask(value);
                    continue;
                };
                *value = match name.as_str() {
                    "customer_phone" => Phone::new(text).map(|phone| phone.to_string()).into(),
                    "chat_id" => ChatId::new(text).map(|chat| format!("{chat:?}")).into(),
                    // They quote WAHA, and may name the chat.
                    "detail" | "message_id" => Value::Null,
                    _ => continue,
                };
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_masked_wherever_they_are() {
        let mut shown = json!({
            "items": [{
                "customer_phone": "+584241234567", "chat_id": "584241234567@c.us", "customer_name": "Juan",
                "timeline": [{ "detail": "no 584241234567", "message_id": "true_584241234567@c.us_A", "number": 1 }],
            }],
            "customer_phone": null,
        });
        mask(&mut shown);
        let text = shown.to_string();
        assert!(!text.contains("584241234567"), "{text}");
        assert!(text.contains("4567") && text.contains("Juan") && text.contains("\"number\":1"), "{text}");
    }
}
