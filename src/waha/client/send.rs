//! A message goes out through WAHA, and what comes back is judged as the proxy judges it (SPEC 4.3).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

use super::WahaClient;
use super::wire::{Answer, Call, End};
use crate::domain::confirmation::MessageId;
use crate::domain::id::{ChatId, SessionName};
use crate::domain::ledger::{StoredAnswer, StoredRequest};
use crate::domain::outcome::{Cause, Outcome, Reply, judge};
use crate::domain::send::Content;
use crate::waha::compose;
use crate::waha::reply::{LOOK_MAX, Reading, read};

/// Largest answer that is held whole, in bytes.
const HOLD_MAX: usize = 256 * 1024;
/// Largest answer that is kept for a bot that asks late, in bytes: as the proxy keeps them.
const KEEP_MAX: usize = 16 * 1024;

/// How a send went.
pub struct Sent {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it was not accepted.
    pub cause: Option<Cause>,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What the answer said. May name a number.
    pub detail: Option<String>,
    /// The message, where the answer named it.
    pub message_id: Option<MessageId>,
    /// The answer, where one came whole, or too long to be held.
    pub answer: Option<SentAnswer>,
}

/// WAHA's answer to a send.
pub struct SentAnswer {
    /// Content-Type, where there was one.
    pub content_type: Option<String>,
    /// The body; empty where it was too long.
    pub body: Bytes,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("outcome", &self.outcome)
            .field("cause", &self.cause)
            .field("status", &self.status)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

impl Sent {
    fn judged(reply: Reply, reading: Reading) -> Self {
        let (outcome, cause) = judge(reply);
        let status = if let Reply::Answer { status, .. } = reply { Some(status) } else { None };
        let message_id = reading.message_id.as_deref().and_then(MessageId::new);
        Self { outcome, cause, status, detail: reading.detail, message_id, answer: None }
    }

    fn unanswered(reply: Reply) -> Self {
        Self::judged(reply, Reading::default())
    }

    fn of(answer: Answer) -> Self {
        let status = answer.status;
        if !(200..=599).contains(&status) {
            return Self::unanswered(Reply::Lost(Cause::ConnectionLost));
        }
        let reading = if answer.compressed {
            Reading::default()
        } else {
            read(status, &answer.body[..answer.body.len().min(LOOK_MAX)])
        };
        let told = Reply::Answer { status, said: reading.said };
        if answer.end == End::Broken {
            // An answer that breaks off proves nothing, unless its status alone says that nothing was sent.
            let reply =
                if (300..=499).contains(&status) { told } else { Reply::Lost(Cause::TruncatedAnswer) };
            return Self { status: Some(status), ..Self::judged(reply, reading) };
        }
        let body = if answer.end == End::Whole { answer.body } else { Bytes::new() };
        let answer = Some(SentAnswer { content_type: answer.content_type, body });
        Self { answer, ..Self::judged(told, reading) }
    }

    /// The answer of a success, for a bot that asks for the same later. Of a large one only that it was a success is kept.
    pub fn kept(&self, asked: Content) -> Option<StoredAnswer> {
        let answer = self.answer.as_ref().filter(|_| self.outcome == Outcome::Accepted)?;
        let body = match answer.body.len() {
            1..=KEEP_MAX => answer.body.clone(),
            _ => Bytes::from_static(b"{}"),
        };
        Some(StoredAnswer { status: self.status?, content_type: answer.content_type.clone(), body, asked })
    }
}

impl WahaClient {
    /// Sends a kept request again, under `id` where its endpoint takes one and the bot chose none.
    pub async fn send(&self, request: &StoredRequest, id: Option<&MessageId>, limit: Duration) -> Sent {
        let Ok(method) = Method::from_bytes(request.method.as_bytes()) else {
            return Sent::unanswered(Reply::NotSent(Cause::BadRequest));
        };
        let named = id.and_then(|id| compose::with_message_id(request, id));
        let call = Call {
            method,
            target: &request.target,
            content_type: request.content_type.as_deref(),
            body: named.unwrap_or_else(|| request.body.clone()),
        };
        match self.exchange(call, HOLD_MAX, limit).await {
            Ok(answer) => Sent::of(answer),
            Err(missing) => Sent::unanswered(missing.reply),
        }
    }

    /// Sends a text of our own.
    pub async fn send_text(&self, session: &SessionName, chat: &ChatId, text: &str, limit: Duration) -> Sent {
        self.send(&compose::text_request(session, chat, text), None, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &[u8], end: End) -> Answer {
        let content_type = Some("application/json".to_owned());
        Answer { status, content_type, compressed: false, body: Bytes::copy_from_slice(body), end }
    }

    #[test]
    fn answers_are_judged_as_the_proxy_does() {
        let refusal = br#"{"error":"Session name is required"}"#;
        let success = br#"{"key":{"id":"3EB0AA"},"status":"PENDING"}"#;
        let rows = [
            (201, success.as_slice(), End::Whole, Outcome::Accepted, None),
            (201, success.as_slice(), End::Longer, Outcome::Accepted, None),
            (201, success.as_slice(), End::Broken, Outcome::Ambiguous, Some(Cause::TruncatedAnswer)),
            (201, b"", End::Whole, Outcome::Accepted, None),
            (422, refusal.as_slice(), End::Broken, Outcome::Rejected, Some(Cause::BadRequest)),
            (500, b"", End::Whole, Outcome::Ambiguous, Some(Cause::ServerError)),
            (302, b"", End::Whole, Outcome::Failed, Some(Cause::Redirected)),
            (101, b"", End::Whole, Outcome::Ambiguous, Some(Cause::ConnectionLost)),
        ];
        for (status, body, end, outcome, cause) in rows {
            let sent = Sent::of(answer(status, body, end));
            assert_eq!((sent.outcome, sent.cause), (outcome, cause), "{status} {end:?}");
        }
    }

    #[test]
    fn the_message_is_named_and_nothing_of_it_prints() {
        let sent = Sent::of(answer(201, br#"{"key":{"id":"3EB0AA"},"message":"hola"}"#, End::Whole));
        assert_eq!(sent.message_id, MessageId::new("3EB0AA"));
        assert!(!format!("{sent:?}").contains("hola"));
    }

    #[test]
    fn only_the_answer_of_a_success_is_kept_and_never_a_large_one() {
        let asked = Content::of("POST", "/", b"");
        let kept = |answer| Sent::of(answer).kept(asked).map(|kept| (kept.status, kept.body));
        let large = vec![b' '; KEEP_MAX + 1];
        assert_eq!(kept(answer(201, b"[1]", End::Whole)), Some((201, Bytes::from_static(b"[1]"))));
        assert_eq!(kept(answer(201, &large, End::Whole)), Some((201, Bytes::from_static(b"{}"))));
        assert_eq!(kept(answer(201, b"", End::Whole)), Some((201, Bytes::from_static(b"{}"))));
        assert_eq!(kept(answer(201, b"[1]", End::Longer)), Some((201, Bytes::from_static(b"{}"))));
        assert_eq!(kept(answer(422, b"[1]", End::Whole)), None);
        assert_eq!(kept(answer(201, b"[1]", End::Broken)), None);
    }
}
