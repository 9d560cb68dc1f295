//! Did a message go out? WAHA is asked for its id, and then for what the chat got (WAHA-FACTS 6).
//!
//! "It did not" is said only where the whole span was seen: it lets the message go out again. In doubt the answer is that WAHA cannot tell.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::wire::{Answer, Call, Missing};
use super::{WahaClient, encoded};
use crate::clock::wall;
use crate::domain::confirmation::{Confirmation, MessageId};
use crate::domain::errand::Looked;
use crate::domain::id::{ChatId, SessionName};
use crate::domain::outcome::{Cause, Said};
use crate::domain::time::Timestamp;
use crate::waha::reply;

/// Messages asked for at once.
const PAGE: usize = 100;
/// Pages looked through; a chat that got more in the span is a matter for people.
const PAGES_MAX: usize = 5;
/// Most of a page that is read, in bytes: each message carries its thumbnail.
const PAGE_MAX: usize = 16 * 1024 * 1024;
/// WAHA's clock may be behind ours by so much, and it tells whole seconds.
const SLACK: Duration = Duration::from_secs(2);

/// A message to look for.
pub struct Sought<'a> {
    /// Its session.
    pub session: &'a SessionName,
    /// Its chat.
    pub chat: &'a ChatId,
    /// Its id, where it is known.
    pub id: Option<&'a MessageId>,
    /// Its text, where it is known.
    pub text: Option<&'a str>,
    /// It went out then or later, if it did.
    pub since: Timestamp,
}

/// A message as WAHA lists it. What is not named here is not kept.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    timestamp: Value,
    #[serde(default, rename = "fromMe")]
    from_me: Value,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    ack: Value,
}

impl WahaClient {
    /// Looks for a message; each question may take `limit`.
    pub async fn look(&self, sought: &Sought<'_>, limit: Duration) -> Looked {
        if sought.id.is_none() && sought.text.is_none() {
            return Looked::Impossible;
        }
        if let Some(id) = sought.id {
            match self.message(sought, id, limit).await {
                Ok(Some(found)) => return found,
                // WAHA may have given it another id, or name a message of a group otherwise: what the chat got says more.
                Ok(None) => {}
                Err(none) => return none,
            }
        }
        self.search(sought, limit).await
    }

    /// The message of this id; `None` where it is not found so.
    async fn message(
        &self,
        sought: &Sought<'_>,
        id: &MessageId,
        limit: Duration,
    ) -> Result<Option<Looked>, Looked> {
        let full = format!("true_{}_{}", sought.chat.expose(), id.as_str());
        let target = format!("{}/{}?downloadMedia=false", messages_path(sought), encoded(&full));
        match self.ask_messages(&target, limit).await {
            Ok(answer) if answer.status == 200 => {
                let message = answer.read::<Message>();
                Ok(message.filter(|message| message.is(Some(id), None)).map(|message| message.found(id)))
            }
            // Said of the session, it holds for the chat too; said of the message, the chat may still tell.
            Ok(answer) if answer.status == 422 && no_answer(&answer) == Looked::Failed => Err(Looked::Failed),
            Ok(_) => Ok(None),
            Err(_) => Err(Looked::Failed),
        }
    }

    /// Looks through what went out to the chat.
    async fn search(&self, sought: &Sought<'_>, limit: Duration) -> Looked {
        let since = (wall::stamped_from(sought.since) - SLACK).millis().div_euclid(1000);
        let filters = "downloadMedia=false&filter.fromMe=true&sortBy=timestamp&sortOrder=desc";
        let mut failed: Option<Looked> = None;
        for page in 0..PAGES_MAX {
            let target = format!(
                "{}?limit={PAGE}&offset={}&{filters}&filter.timestamp.gte={since}",
                messages_path(sought),
                page * PAGE
            );
            let answer = match self.ask_messages(&target, limit).await {
                Ok(answer) if answer.status == 200 => answer,
                Ok(answer) => return no_answer(&answer),
                Err(_) => return Looked::Failed,
            };
            let Some(messages) = answer.read::<Vec<Message>>() else { return Looked::Impossible };
            let young = |message: &Message| message.seconds().is_none_or(|at| at >= since);
            for message in &messages {
                let fits = message.from_me != Value::Bool(false) && young(message);
                if !fits || !message.is(sought.id, sought.text) {
                    continue;
                }
                let Some(id) = message.bare_id().and_then(|id| MessageId::new(&id)) else { continue };
                match message.found(&id) {
                    // A copy that did go out says more than one that did not.
                    found @ Looked::Found { confirmation: Confirmation::Error, .. } => {
                        failed.get_or_insert(found);
                    }
                    found => return found,
                }
            }
            let seen_all = messages.len() < PAGE || messages.last().is_some_and(|last| !young(last));
            if seen_all {
                return failed.unwrap_or(Looked::Absent);
            }
        }
        failed.unwrap_or(Looked::Impossible)
    }

    async fn ask_messages(&self, target: &str, limit: Duration) -> Result<Answer, Missing> {
        let call = Call { method: Method::GET, target, content_type: None, body: Bytes::new() };
        self.ask(call, PAGE_MAX, limit).await
    }
}

fn messages_path(sought: &Sought<'_>) -> String {
    format!("/api/{}/chats/{}/messages", encoded(sought.session.as_str()), encoded(sought.chat.expose()))
}

/// WAHA does not say: not now, or not ever.
fn no_answer(answer: &Answer) -> Looked {
    let said = reply::read(answer.status, &answer.body).said;
    match (answer.status, said) {
        (_, Some(Said::Blames(Cause::SessionNotWorking | Cause::SessionMissing))) | (408 | 429, _) => {
            Looked::Failed
        }
        (_, Some(Said::Blames(Cause::NotImplemented))) | (501, _) => Looked::Impossible,
        (500.., _) => Looked::Failed,
        _ => Looked::Impossible,
    }
}

impl Message {
    /// The bare id: engines have it as text, or in an object.
    fn bare_id(&self) -> Option<String> {
        let id = self.id.as_str().or_else(|| self.id.get("_serialized").and_then(Value::as_str));
        id.map(|id| reply::bare_message_id(id).to_owned())
    }

    /// Is it the one of this id, or else of this text? Blanks at the ends may have been cut on the way.
    fn is(&self, id: Option<&MessageId>, text: Option<&str>) -> bool {
        let same_id = id.is_some_and(|id| self.bare_id().as_deref() == Some(id.as_str()));
        same_id || text.is_some_and(|text| self.body.as_str().is_some_and(|body| body.trim() == text.trim()))
    }

    /// When it went out, in seconds since 1970.
    fn seconds(&self) -> Option<i64> {
        /// Larger numbers are milliseconds.
        const SECONDS_MAX: i64 = 100_000_000_000;
        let number = match &self.timestamp {
            Value::String(text) => text.parse().ok(),
            number => number.as_i64(),
        }?;
        Some(if number > SECONDS_MAX { number / 1000 } else { number })
    }

    fn found(&self, id: &MessageId) -> Looked {
        Looked::Found { message: id.clone(), confirmation: confirmation(self.ack.as_i64()) }
    }
}

/// How far a message got, by WAHA's number for it (WAHA-FACTS 6).
pub const fn confirmation(ack: Option<i64>) -> Confirmation {
    match ack {
        Some(-1) => Confirmation::Error,
        Some(1) => Confirmation::Server,
        Some(2) => Confirmation::Device,
        Some(3 | 4) => Confirmation::Read,
        Some(_) | None => Confirmation::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(value: Value) -> Message {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn messages_in_the_forms_of_all_engines() {
        let id = MessageId::new("3EB0AA").unwrap();
        let noweb = message(json!({"id": "true_1@c.us_3EB0AA", "timestamp": 1_790_000_000, "body": "hola"}));
        let webjs = message(json!({"id": {"_serialized": "true_1@c.us_3EB0AA"}, "timestamp": "1790000000"}));
        for found in [&noweb, &webjs] {
            assert!(found.is(Some(&id), None));
            assert_eq!(found.seconds(), Some(1_790_000_000));
        }
        assert!(noweb.is(None, Some("hola\n")));
        assert!(!noweb.is(None, Some("hola!")) && !noweb.is(MessageId::new("3EB0").as_ref(), None));
        assert_eq!(message(json!({"timestamp": 1_790_000_000_123_i64})).seconds(), Some(1_790_000_000));
        assert_eq!(message(json!({})).seconds(), None);
    }

    #[test]
    fn acks() {
        let rows = [
            (Some(-1), Confirmation::Error),
            (Some(0), Confirmation::None),
            (Some(1), Confirmation::Server),
            (Some(2), Confirmation::Device),
            (Some(3), Confirmation::Read),
            (Some(4), Confirmation::Read),
            (Some(9), Confirmation::None),
            (None, Confirmation::None),
        ];
        for (ack, expected) in rows {
            assert_eq!(confirmation(ack), expected, "{ack:?}");
        }
    }
}
