//! What we send through WAHA ourselves, in its spelling: our own texts, and kept requests under a message id of ours.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::route::classify;
use crate::domain::confirmation::MessageId;
use crate::domain::id::{ChatId, SessionName};
use crate::domain::ledger::StoredRequest;
use crate::domain::send::SendKind;
use crate::waha::reply::bare_message_id;

/// Where a text is posted.
pub const TEXT_PATH: &str = "/api/sendText";

/// Endpoints that send under the id they are given, on engines that take one (WAHA-FACTS 6): those whose form lists it, and the media
/// ones, whose code does. Lists, buttons and link previews of one's own strip it.
const TAKE_MESSAGE_ID: [&str; 12] = [
    "/api/sendtext",
    "/api/reply",
    "/api/sendimage",
    "/api/sendfile",
    "/api/sendvoice",
    "/api/sendvideo",
    "/api/sendsticker",
    "/api/sendlocation",
    "/api/sendcontactvcard",
    "/api/sendpoll",
    "/api/forwardmessage",
    "/api/sendlinkpreview",
];

/// The body that sends `text`.
pub fn text(session: &SessionName, chat: &ChatId, text: &str) -> Value {
    json!({ "session": session.as_str(), "chatId": chat.expose(), "text": text })
}

/// The request that sends `text`.
pub fn text_request(session: &SessionName, chat: &ChatId, body: &str) -> StoredRequest {
    StoredRequest {
        method: Method::POST.as_str().to_owned(),
        target: TEXT_PATH.to_owned(),
        content_type: Some("application/json".to_owned()),
        body: Bytes::from(text(session, chat, body).to_string()),
    }
}

/// The body of `request` with a message id in it; `None` where its endpoint takes none, or the bot has chosen its own. The rest of the
/// body stays as the bot wrote it, to the byte.
pub fn with_message_id(request: &StoredRequest, id: &MessageId) -> Option<Bytes> {
    let takes = request.method == Method::POST.as_str()
        && TAKE_MESSAGE_ID.iter().any(|path| path.eq_ignore_ascii_case(path_of(request)));
    let fields = takes.then(|| fields(request)).flatten()?;
    if !fields.id.is_null() {
        return None;
    }
    let end = request.body.iter().rposition(|byte| *byte == b'}')?;
    let before = request.body[..end].trim_ascii_end();
    // What comes last counts: an `"id": null` before it does not.
    let comma = if before.ends_with(b"{") { "" } else { "," };
    let id = Value::from(id.as_str());
    let mut body = Vec::with_capacity(request.body.len() + id.as_str().map_or(0, str::len) + 16);
    body.extend_from_slice(before);
    body.extend_from_slice(format!("{comma}\"id\":{id}}}").as_bytes());
    Some(Bytes::from(body))
}

/// What a message can be found by, as far as its request says it.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Traits {
    /// The id the bot chose, in its bare form.
    pub id: Option<MessageId>,
    /// The text that WAHA shows of it; only where that is surely this one.
    pub text: Option<String>,
}

/// What the message of `request` can be found by.
pub fn traits(request: &StoredRequest) -> Traits {
    let Ok(method) = Method::from_bytes(request.method.as_bytes()) else { return Traits::default() };
    let Some(route) = classify(&method, path_of(request), &[]) else { return Traits::default() };
    if route.in_query {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        return Traits { id: None, text: urlencoded_text(query.as_bytes()) };
    }
    let form = request
        .content_type
        .as_deref()
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form && route.kind == SendKind::Text {
        return Traits { id: None, text: urlencoded_text(&request.body) };
    }
    let Some(fields) = fields(request) else { return Traits::default() };
    let text = match route.kind {
        SendKind::Text => fields.text,
        SendKind::Media => fields.caption,
        // Their text is put together by WAHA, or shown in another form.
        _ => Value::Null,
    };
    Traits {
        id: fields.id.as_str().map(bare_message_id).and_then(MessageId::new),
        text: text.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned),
    }
}

fn urlencoded_text(pairs: &[u8]) -> Option<String> {
    super::request::urlencoded(pairs).text.filter(|text| !text.trim().is_empty())
}

/// Path without query, without the one trailing slash that is allowed.
fn path_of(request: &StoredRequest) -> &str {
    let path = request.target.split('?').next().unwrap_or_default();
    path.strip_suffix('/').unwrap_or(path)
}

/// Fields of a JSON body, whole.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    text: Value,
    #[serde(default)]
    caption: Value,
}

/// `None` where the body is not a JSON object that names each of them once at the most.
fn fields(request: &StoredRequest) -> Option<Fields> {
    let json = request.content_type.as_deref().is_none_or(|kind| kind.to_ascii_lowercase().contains("json"));
    let object = request.body.trim_ascii_start().starts_with(b"{");
    (json && object).then(|| serde_json::from_slice(&request.body).ok()).flatten()
}

/// What a bot hears of a send whose answer was lost, once a look has shown that it went out.
pub fn sent_already(chat: &ChatId, message: &MessageId) -> String {
    let id = format!("true_{}_{}", chat.expose(), message.as_str());
    json!({ "id": id, "fromMe": true, "to": chat.expose(), "key": { "id": message.as_str(), "fromMe": true } }).to_string()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::domain::send::SendKind;
    use crate::waha::request::FieldScan;
    use crate::waha::route::classify;

    #[test]
    fn what_we_compose_is_what_we_recognize() {
        let route = classify(&Method::POST, TEXT_PATH, &[]).unwrap();
        assert_eq!(route.kind, SendKind::Text);
        let chat = ChatId::new("584125550001").unwrap();
        let body = text(&SessionName::new("default").unwrap(), &chat, "hola");
        let mut scan = FieldScan::new(Some("application/json"), false);
        scan.feed(body.to_string().as_bytes());
        let fields = scan.fields();
        assert_eq!(fields.session.as_deref(), Some("default"));
        assert_eq!(fields.chat.as_deref(), Some(chat.expose()));
        assert_eq!(fields.text.as_deref(), Some("hola"));
    }

    fn request(target: &str, body: &str) -> StoredRequest {
        StoredRequest {
            method: "POST".into(),
            target: target.into(),
            content_type: Some("application/json; charset=utf-8".into()),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn with_id(target: &str, body: &str) -> Option<String> {
        let id = MessageId::new("3EB0AA").unwrap();
        with_message_id(&request(target, body), &id).map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn an_id_goes_in_at_the_end_and_nothing_else_changes() {
        let rows = [
            ("/api/sendText", r#"{"text":"a}"}"#, Some(r#"{"text":"a}","id":"3EB0AA"}"#)),
            ("/API/sendtext/?x=1", "{\"n\": 1.10 }\n", Some(r#"{"n": 1.10,"id":"3EB0AA"}"#)),
            ("/api/sendImage", "{ }", Some(r#"{"id":"3EB0AA"}"#)),
            ("/api/sendPoll", r#"{"id":null,"x":1}"#, Some(r#"{"id":null,"x":1,"id":"3EB0AA"}"#)),
            ("/api/sendText", r#"{"id":"3EB0BB"}"#, None),
            ("/api/sendText", r#"{"id":7}"#, None),
            ("/api/sendText", r#"{"id":null,"id":null}"#, None),
            ("/api/sendText", r#"["a"]"#, None),
            ("/api/sendText", "{", None),
            ("/api/sendText", "", None),
            ("/api/sendList", "{}", None),
            ("/api/send/link-custom-preview", "{}", None),
            ("/api/default/events", "{}", None),
        ];
        for (target, body, expected) in rows {
            assert_eq!(with_id(target, body).as_deref(), expected, "{target} {body}");
        }
        let form =
            StoredRequest { content_type: Some("text/plain".into()), ..request("/api/sendText", "{}") };
        assert_eq!(with_message_id(&form, &MessageId::new("3EB0AA").unwrap()), None);
        let get = StoredRequest { method: "GET".into(), ..request("/api/sendText", "{}") };
        assert_eq!(with_message_id(&get, &MessageId::new("3EB0AA").unwrap()), None);
    }

    #[test]
    fn what_a_message_can_be_found_by() {
        let rows = [
            ("/api/sendText", r#"{"text":"hola","id":"true_1@c.us_3EB0BB"}"#, Some("hola"), Some("3EB0BB")),
            ("/api/sendImage", r#"{"caption":"foto","text":"no"}"#, Some("foto"), None),
            ("/api/sendImage", r#"{"caption":null}"#, None, None),
            ("/api/sendText", r#"{"text":"  "}"#, None, None),
            ("/api/sendText", r#"{"text":7}"#, None, None),
            ("/api/sendLocation", r#"{"title":"x","text":"y","id":"3EB0BB"}"#, None, Some("3EB0BB")),
            ("/api/default/status/text", r#"{"text":"x"}"#, None, None),
            ("/api/other", r#"{"text":"x"}"#, None, None),
        ];
        for (target, body, text, id) in rows {
            let found = traits(&request(target, body));
            assert_eq!(found.text.as_deref(), text, "{target} {body}");
            assert_eq!(found.id, id.and_then(MessageId::new), "{target} {body}");
        }
        let get = StoredRequest { method: "GET".into(), ..request("/api/sendText?phone=1&text=hola+a", "") };
        assert_eq!(traits(&get).text.as_deref(), Some("hola a"));
        let form = StoredRequest {
            content_type: Some("application/x-www-form-urlencoded".into()),
            ..request("/api/sendText", "chatId=1&text=hola%20a")
        };
        assert_eq!(traits(&form).text.as_deref(), Some("hola a"));
    }
}
