//! WAHA's sending endpoints: the table of paths, and where each keeps session, chat and text.

use hyper::Method;
use serde_json::{Value, json};

/// What kind of message an endpoint sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Image,
    File,
    Voice,
    Video,
    Sticker,
    Location,
    Contact,
    Poll,
    PollVote,
    List,
    Buttons,
    CustomPreview,
    ButtonsReply,
    Forward,
    LinkPreview,
    Reaction,
    Edit,
    Revoke,
    StatusText,
    StatusMedia,
    StatusDelete,
    Event,
    Pin,
}

/// A call of a sending endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SendRoute {
    pub(super) kind: Kind,
    /// The session, where the path carries it.
    pub(super) session: Option<String>,
    /// The chat, where the path carries it.
    pub(super) chat: Option<String>,
    /// The message acted upon, where the path carries it.
    pub(super) message: Option<String>,
    /// The deprecated GET that sends: everything is in the query.
    pub(super) in_query: bool,
}

impl SendRoute {
    fn plain(kind: Kind) -> Self {
        Self { kind, session: None, chat: None, message: None, in_query: false }
    }
}

/// Recognizes a sending endpoint. `path` is the path's parts as called; the fixed words match in any case.
pub(super) fn recognize(method: &Method, path: &[String]) -> Option<SendRoute> {
    let words: Vec<String> = path.iter().map(|part| part.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let at = |place: usize| path.get(place).cloned();
    let is_post = *method == Method::POST;
    let route = match words.as_slice() {
        ["api", "sendtext"] if *method == Method::GET => {
            SendRoute { in_query: true, ..SendRoute::plain(Kind::Text) }
        }
        ["api", "reaction"] if *method == Method::PUT => SendRoute::plain(Kind::Reaction),
        ["api", word] if is_post => SendRoute::plain(match *word {
            "sendtext" | "reply" => Kind::Text,
            "sendimage" => Kind::Image,
            "sendfile" => Kind::File,
            "sendvoice" => Kind::Voice,
            "sendvideo" => Kind::Video,
            "sendsticker" => Kind::Sticker,
            "sendlocation" => Kind::Location,
            "sendcontactvcard" => Kind::Contact,
            "sendpoll" => Kind::Poll,
            "sendpollvote" => Kind::PollVote,
            "sendlist" => Kind::List,
            "sendbuttons" => Kind::Buttons,
            "forwardmessage" => Kind::Forward,
            "sendlinkpreview" => Kind::LinkPreview,
            _ => return None,
        }),
        ["api", "send", "link-custom-preview"] if is_post => SendRoute::plain(Kind::CustomPreview),
        ["api", "send", "buttons", "reply"] if is_post => SendRoute::plain(Kind::ButtonsReply),
        ["api", _, "status", word] if is_post => {
            let kind = match *word {
                "text" => Kind::StatusText,
                "image" | "voice" | "video" => Kind::StatusMedia,
                "delete" => Kind::StatusDelete,
                _ => return None,
            };
            let chat = Some("status@broadcast".to_owned());
            SendRoute { session: at(1), chat, ..SendRoute::plain(kind) }
        }
        ["api", _, "events"] if is_post => SendRoute { session: at(1), ..SendRoute::plain(Kind::Event) },
        ["api", _, "chats", _, "messages", _] => {
            let kind = match *method {
                Method::PUT => Kind::Edit,
                Method::DELETE => Kind::Revoke,
                _ => return None,
            };
            SendRoute { session: at(1), chat: at(3), message: at(5), ..SendRoute::plain(kind) }
        }
        ["api", _, "chats", _, "messages", _, "pin" | "unpin"] if is_post => {
            SendRoute { session: at(1), chat: at(3), message: at(5), ..SendRoute::plain(Kind::Pin) }
        }
        _ => return None,
    };
    Some(route)
}

impl Kind {
    /// Media was "Plus only" once.
    pub(super) fn is_media(self) -> bool {
        matches!(
            self,
            Self::Image | Self::File | Self::Voice | Self::Video | Self::Sticker | Self::StatusMedia
        )
    }

    /// Whether a phone displays something new. Reactions, votes, edits, deletions and pins are answered, no more.
    pub(super) fn is_displayed(self) -> bool {
        !matches!(
            self,
            Self::PollVote | Self::Reaction | Self::Edit | Self::Revoke | Self::StatusDelete | Self::Pin
        )
    }

    /// Whether the endpoint's whitelist strips a caller's `id`.
    pub(super) fn strips_id(self) -> bool {
        matches!(self, Self::List | Self::Buttons | Self::CustomPreview | Self::ButtonsReply)
    }

    /// NOWEB answers these with a `WAMessage` instead of Baileys' own message.
    pub(super) fn answers_wa_message(self) -> bool {
        matches!(self, Self::Poll | Self::Forward)
    }

    /// What the validated endpoints insist on: field and the type its error message names.
    pub(super) fn required(self) -> &'static [(&'static str, FieldType)] {
        use FieldType::{Array, Object, Text};
        match self {
            Self::PollVote => &[("chatId", Text), ("pollMessageId", Text), ("votes", Array)],
            Self::List => &[("chatId", Text), ("message", Object)],
            Self::Buttons => &[("chatId", Text), ("body", Text), ("buttons", Array)],
            Self::CustomPreview => &[("chatId", Text), ("text", Text), ("preview", Object)],
            Self::ButtonsReply => {
                &[("chatId", Text), ("selectedDisplayText", Text), ("selectedButtonID", Text)]
            }
            _ => &[],
        }
    }
}

/// A type the validator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Text,
    Array,
    Object,
}

impl FieldType {
    /// The validator's complaint about a field, if it has one.
    pub(super) fn complaint(self, field: &str, value: Option<&Value>) -> Option<String> {
        let (fits, name): (fn(&Value) -> bool, _) = match self {
            Self::Text => (Value::is_string, "a string"),
            Self::Array => (Value::is_array, "an array"),
            Self::Object => (Value::is_object, "an object"),
        };
        if value.is_some_and(fits) { None } else { Some(format!("{field} must be {name}")) }
    }
}

/// What the customer reads of a message: its text, or what stands for it.
pub(super) fn visible_text(kind: Kind, fields: &Value) -> Option<String> {
    let path: &[&str] = match kind {
        Kind::Text | Kind::Edit | Kind::CustomPreview | Kind::StatusText => &["/text"],
        Kind::Image | Kind::File | Kind::Voice | Kind::Video | Kind::Sticker | Kind::StatusMedia => {
            &["/caption", "/file/filename", "/file/url"]
        }
        Kind::Location => &["/title"],
        Kind::Contact => &["/contacts/0/fullName", "/contacts/0/vcard"],
        Kind::Poll => &["/poll/name"],
        Kind::PollVote => &["/votes/0"],
        Kind::List => &["/message/title", "/message/description"],
        Kind::Buttons => &["/body"],
        Kind::ButtonsReply => &["/selectedDisplayText"],
        Kind::LinkPreview => &["/url", "/title"],
        Kind::Reaction => &["/reaction"],
        Kind::Event => &["/event/name"],
        Kind::Forward | Kind::Revoke | Kind::StatusDelete | Kind::Pin => &[],
    };
    path.iter().find_map(|pointer| fields.pointer(pointer)?.as_str().map(str::to_owned))
}

/// The message's content in Baileys' form.
pub(super) fn content(kind: Kind, fields: &Value, text: &str) -> Value {
    let media = |name: &str| {
        let mut media =
            json!({"mimetype": fields["file"]["mimetype"].as_str().unwrap_or(default_mimetype(kind))});
        if let Some(caption) = fields["caption"].as_str() {
            media["caption"] = json!(caption);
        }
        json!({name: media})
    };
    match kind {
        Kind::Image | Kind::StatusMedia => media("imageMessage"),
        Kind::File => media("documentMessage"),
        Kind::Voice => media("audioMessage"),
        Kind::Video => media("videoMessage"),
        Kind::Sticker => media("stickerMessage"),
        Kind::Location => json!({"locationMessage": {
            "degreesLatitude": fields["latitude"], "degreesLongitude": fields["longitude"], "name": text,
        }}),
        Kind::Contact => json!({"contactsArrayMessage": {"contacts": fields["contacts"]}}),
        Kind::Poll => json!({"pollCreationMessageV3": {"name": text, "options": fields["poll"]["options"]}}),
        Kind::PollVote => json!({"pollUpdateMessage": {"votes": fields["votes"]}}),
        Kind::List => json!({"listMessage": fields["message"]}),
        Kind::Buttons => {
            json!({"interactiveMessage": {"body": {"text": text}, "buttons": fields["buttons"]}})
        }
        Kind::ButtonsReply => json!({"templateButtonReplyMessage": {"selectedDisplayText": text}}),
        Kind::Reaction => json!({"reactionMessage": {"text": text}}),
        Kind::Event => json!({"eventMessage": fields["event"]}),
        Kind::Edit | Kind::Revoke | Kind::StatusDelete | Kind::Pin => {
            json!({"protocolMessage": {"editedMessage": text}})
        }
        Kind::Text | Kind::CustomPreview | Kind::Forward | Kind::LinkPreview | Kind::StatusText => {
            json!({"extendedTextMessage": {"text": text}})
        }
    }
}

fn default_mimetype(kind: Kind) -> &'static str {
    match kind {
        Kind::Voice => "audio/ogg; codecs=opus",
        Kind::Video => "video/mp4",
        Kind::Sticker => "image/webp",
        Kind::File => "application/octet-stream",
        _ => "image/jpeg",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, path: &str) -> Option<SendRoute> {
        let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        recognize(&method, &parts)
    }

    #[test]
    fn fixed_words_match_in_any_case_and_names_keep_theirs() {
        assert_eq!(route(Method::POST, "API/SENDTEXT").unwrap().kind, Kind::Text);
        let edit = route(Method::PUT, "api/Shop/chats/5511@c.us/messages/true_5511@c.us_AA").unwrap();
        assert_eq!((edit.kind, edit.session.as_deref()), (Kind::Edit, Some("Shop")));
        assert_eq!(edit.message.as_deref(), Some("true_5511@c.us_AA"));
    }

    #[test]
    fn the_method_belongs_to_the_route() {
        assert!(route(Method::GET, "api/sendText").unwrap().in_query);
        assert_eq!(route(Method::GET, "api/sendImage"), None);
        assert_eq!(route(Method::PUT, "api/sendText"), None);
        assert_eq!(route(Method::GET, "api/s/chats/1/messages/x"), None);
        assert_eq!(
            route(Method::POST, "api/s/status/text").unwrap().chat.as_deref(),
            Some("status@broadcast")
        );
    }

    #[test]
    fn the_visible_text_is_found_where_each_kind_keeps_it() {
        let fields = json!({"caption": null, "file": {"filename": "bill.pdf"}, "poll": {"name": "When?"}});
        assert_eq!(visible_text(Kind::File, &fields).as_deref(), Some("bill.pdf"));
        assert_eq!(visible_text(Kind::Poll, &fields).as_deref(), Some("When?"));
        assert_eq!(visible_text(Kind::Text, &fields), None);
    }
}
