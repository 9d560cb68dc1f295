//! What a sending request says: session, chat, text, and the message id the bot chose.

use std::borrow::Cow;

use super::scan::{Pick, Scan};
use crate::domain::extract::TEXT_MAX;

const SESSION: usize = 0;
/// The chat, by the names it has.
const CHAT: [usize; 2] = [1, 2];
/// What a person reads, by the names it has.
const TEXT: [usize; 4] = [3, 4, 5, 6];

const WANTED: &[Pick] = &[
    Pick::value("session", SESSION),
    Pick::value("chatId", CHAT[0]),
    Pick::value("phone", CHAT[1]),
    Pick::value("text", TEXT[0]),
    Pick::value("caption", TEXT[1]),
    Pick::value("body", TEXT[2]),
    Pick::object("message", &[Pick::value("description", TEXT[3])]),
];

/// What was found; everything may be missing.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct SendFields {
    /// The session.
    pub session: Option<String>,
    /// The chat, as spelled.
    pub chat: Option<String>,
    /// The text a person reads.
    pub text: Option<String>,
}

/// Reads the fields of a body that passes by.
#[derive(Debug)]
pub enum FieldScan {
    /// A JSON body.
    Json(Scan),
    /// A body that says nothing: compressed, or of another type.
    Opaque,
}

impl FieldScan {
    /// A scan for a body of this type and coding. Compressed bodies are never inflated (a bomb costs nothing) and say nothing.
    pub fn new(content_type: Option<&str>, compressed: bool) -> Self {
        let says_json =
            |kind: &str| kind.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"json"));
        let json = content_type.is_none_or(says_json);
        if json && !compressed { Self::Json(Scan::new(WANTED, TEXT_MAX)) } else { Self::Opaque }
    }

    /// The next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Json(scan) => scan.feed(bytes),
            Self::Opaque => {}
        }
    }

    /// What was found so far.
    pub fn fields(&self) -> SendFields {
        let Self::Json(scan) = self else { return SendFields::default() };
        let text = |number| scan.text(number).map(str::to_owned);
        SendFields {
            session: text(SESSION),
            chat: CHAT.into_iter().find_map(text),
            text: TEXT.into_iter().find_map(text),
        }
    }

    /// What was found, at the end.
    pub fn into_fields(self) -> SendFields {
        let Self::Json(mut scan) = self else { return SendFields::default() };
        let mut text = |number| scan.take_text(number);
        SendFields {
            session: text(SESSION),
            chat: CHAT.into_iter().find_map(&mut text),
            text: TEXT.into_iter().find_map(&mut text),
        }
    }
}

/// The fields of a query, or of a urlencoded body.
pub fn urlencoded(pairs: &[u8]) -> SendFields {
    let mut fields = SendFields::default();
    for (key, value) in form_urlencoded::parse(pairs) {
        let slot = match &*key {
            "session" => &mut fields.session,
            "chatId" | "phone" => &mut fields.chat,
            "text" | "caption" => &mut fields.text,
            _ => continue,
        };
        *slot = Some(value.into_owned());
    }
    fields
}

/// Path and query as they may be stored: without the key, which WAHA takes in the query since 2026.4.3.
pub fn without_key(path_and_query: &str) -> Cow<'_, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return Cow::Borrowed(path_and_query) };
    let kept: Vec<_> = query.split('&').filter(|pair| !is_key(pair)).collect();
    if kept.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{path}?{}", kept.join("&"))) }
}

fn is_key(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .is_some_and(|(name, _)| name.eq_ignore_ascii_case("x-api-key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_bodies() {
        let mut scan = FieldScan::new(Some("application/json; charset=utf-8"), false);
        scan.feed(br#"{"session":"default","chatId":"1@c.us","reply_to":null,"text":"hola"}"#);
        let fields = scan.fields();
        assert_eq!(fields.session.as_deref(), Some("default"));
        assert_eq!(fields.chat.as_deref(), Some("1@c.us"));
        assert_eq!(fields.text.as_deref(), Some("hola"));
        let mut opaque = FieldScan::new(Some("application/json"), true);
        opaque.feed(br#"{"session":"default"}"#);
        assert_eq!(opaque.fields(), SendFields::default());
    }

    #[test]
    fn queries() {
        let fields = urlencoded(b"phone=584241234567&text=hola%20t%C3%BA&session=default");
        assert_eq!(fields.chat.as_deref(), Some("584241234567"));
        assert_eq!(fields.text.as_deref(), Some("hola tú"));
    }

    #[test]
    fn keys_are_not_kept() {
        assert_eq!(without_key("/api/sendText?x-api-key=secret&text=a"), "/api/sendText?text=a");
        assert_eq!(without_key("/api/sendText?X%2DApi-Key=secret"), "/api/sendText");
        assert_eq!(without_key("/api/sendText"), "/api/sendText");
    }
}
