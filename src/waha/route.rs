//! Is this call a send? The table of WAHA's sending endpoints (SPEC 4.2).
//!
//! Express matches case-insensitively and allows one trailing slash; `//` matches nothing; a GET route answers HEAD too, so both
//! `GET` and `HEAD /api/sendText` send. Channels, groups and `/mcp` are not messages of a bot and stay plain calls.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::domain::send::SendKind;

/// A call that sends.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Route {
    /// What it sends.
    pub kind: SendKind,
    /// The session, where the path names it.
    pub session: Option<String>,
    /// The chat, where the path names it.
    pub chat: Option<String>,
    /// Are its fields in the query instead of the body?
    pub in_query: bool,
}

impl Route {
    const fn of(kind: SendKind) -> Self {
        Self { kind, session: None, chat: None, in_query: false }
    }
}

/// `POST /api/{name}`: fields in the body.
const BY_NAME: [(&str, SendKind); 17] = [
    ("sendtext", SendKind::Text),
    ("reply", SendKind::Text),
    ("sendimage", SendKind::Media),
    ("sendfile", SendKind::Media),
    ("sendvoice", SendKind::Media),
    ("sendvideo", SendKind::Media),
    ("sendsticker", SendKind::Media),
    ("sendlocation", SendKind::Location),
    ("sendcontactvcard", SendKind::Contact),
    ("sendpoll", SendKind::Poll),
    ("sendpollvote", SendKind::PollVote),
    ("sendlist", SendKind::List),
    ("sendbuttons", SendKind::Buttons),
    ("sendlinkpreview", SendKind::Link),
    ("forwardmessage", SendKind::Forward),
    ("send/link-custom-preview", SendKind::Link),
    ("send/buttons/reply", SendKind::Buttons),
];

/// Is this call a send? `extra` are the paths of `proxy.extra_send_paths`.
pub fn classify(method: &Method, path: &str, extra: &[String]) -> Option<Route> {
    let bare = path.strip_suffix('/').unwrap_or(path);
    if *method == Method::POST
        && extra.iter().any(|extra| extra.trim_end_matches('/').eq_ignore_ascii_case(bare))
    {
        return Some(Route::of(SendKind::Extra));
    }
    let rest =
        bare.get(..5).filter(|start| start.eq_ignore_ascii_case("/api/")).and_then(|_| bare.get(5..))?;
    match *method {
        Method::POST => by_name(rest).or_else(|| posted_in_session(rest)),
        Method::GET | Method::HEAD if rest.eq_ignore_ascii_case("sendText") => {
            Some(Route { in_query: true, ..Route::of(SendKind::Text) })
        }
        Method::PUT if rest.eq_ignore_ascii_case("reaction") => Some(Route::of(SendKind::Reaction)),
        Method::PUT | Method::DELETE => {
            let mut parts = rest.split('/');
            let (session, chat) = message_of_chat(&mut parts)?;
            parts.next().is_none().then(|| in_chat(SendKind::Edit, session, chat))
        }
        _ => None,
    }
}

fn by_name(rest: &str) -> Option<Route> {
    BY_NAME.iter().find(|(name, _)| rest.eq_ignore_ascii_case(name)).map(|(_, kind)| Route::of(*kind))
}

fn posted_in_session(rest: &str) -> Option<Route> {
    let (session, after) = rest.split_once('/').filter(|(session, _)| !session.is_empty())?;
    let in_session = |kind| Route { session: Some(decode(session)), ..Route::of(kind) };
    if after.eq_ignore_ascii_case("events") {
        return Some(in_session(SendKind::Event));
    }
    if let Some((status, what)) = after.split_once('/')
        && status.eq_ignore_ascii_case("status")
    {
        let posts = ["text", "image", "voice", "video", "delete"];
        return posts
            .iter()
            .any(|post| what.eq_ignore_ascii_case(post))
            .then(|| in_session(SendKind::Status));
    }
    let mut parts = rest.split('/');
    let (session, chat) = message_of_chat(&mut parts)?;
    let verb = parts.next()?;
    let pins = verb.eq_ignore_ascii_case("pin") || verb.eq_ignore_ascii_case("unpin");
    (pins && parts.next().is_none()).then(|| in_chat(SendKind::Edit, session, chat))
}

/// `{session}/chats/{chat}/messages/{message}`.
fn message_of_chat<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let mut full = || parts.next().filter(|part| !part.is_empty());
    let session = full()?;
    full().filter(|word| word.eq_ignore_ascii_case("chats"))?;
    let chat = full()?;
    full().filter(|word| word.eq_ignore_ascii_case("messages"))?;
    full()?;
    Some((session, chat))
}

fn in_chat(kind: SendKind, session: &str, chat: &str) -> Route {
    Route { session: Some(decode(session)), chat: Some(decode(chat)), ..Route::of(kind) }
}

fn decode(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: &str, path: &str) -> Option<SendKind> {
        classify(&method.parse().unwrap(), path, &["/api/custom/Thing".into()]).map(|route| route.kind)
    }

    #[test]
    fn what_sends_and_what_does_not() {
        let rows = [
            ("POST", "/api/sendText", Some(SendKind::Text)),
            ("POST", "/API/SENDTEXT", Some(SendKind::Text)),
            ("POST", "/api/sendText/", Some(SendKind::Text)),
            ("POST", "/api/sendText//", None),
            ("POST", "/api//sendText", None),
            ("GET", "/api/sendText", Some(SendKind::Text)),
            ("HEAD", "/api/sendtext/", Some(SendKind::Text)),
            ("PUT", "/api/sendText", None),
            ("OPTIONS", "/api/sendText", None),
            ("POST", "/api/sendImage", Some(SendKind::Media)),
            ("POST", "/api/send/link-custom-preview", Some(SendKind::Link)),
            ("POST", "/api/send/buttons/reply", Some(SendKind::Buttons)),
            ("PUT", "/api/reaction", Some(SendKind::Reaction)),
            ("POST", "/api/reaction", None),
            ("PUT", "/api/default/chats/1@c.us/messages/true_1", Some(SendKind::Edit)),
            ("DELETE", "/api/default/chats/1%40c.us/messages/true_1/", Some(SendKind::Edit)),
            ("GET", "/api/default/chats/1@c.us/messages/true_1", None),
            ("DELETE", "/api/default/chats/1@c.us/messages", None),
            ("POST", "/api/default/chats/1@c.us/messages/true_1/pin", Some(SendKind::Edit)),
            ("POST", "/api/default/chats/1@c.us/messages/true_1/star", None),
            ("POST", "/api/default/status/text", Some(SendKind::Status)),
            ("POST", "/api/default/status/other", None),
            ("POST", "/api/default/events", Some(SendKind::Event)),
            ("POST", "/api/custom/thing", Some(SendKind::Extra)),
            ("POST", "/api/sendSeen", None),
            ("POST", "/api/startTyping", None),
            ("GET", "/api/sessions", None),
            ("POST", "/api/", None),
            ("POST", "/api", None),
            ("POST", "", None),
            ("POST", "/ñpi/sendText", None),
            ("GET", "/ws", None),
            ("POST", "/mcp", None),
        ];
        for (method, path, expected) in rows {
            assert_eq!(kind(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn paths_name_session_and_chat() {
        let route = classify(&Method::PUT, "/api/ventas/chats/584241234567%40c.us/messages/x", &[]).unwrap();
        assert_eq!(route.session.as_deref(), Some("ventas"));
        assert_eq!(route.chat.as_deref(), Some("584241234567@c.us"));
        assert!(classify(&Method::GET, "/api/sendText", &[]).unwrap().in_query);
    }
}
