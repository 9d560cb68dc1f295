//! WAHA's events: what is asked of its feed, and what an event says in our words (WAHA-FACTS 7).
//!
//! Events are hostile JSON like everything of WAHA's: size and depth are bounded, what is no event of ours yields nothing, and nothing
//! is kept but ids and states. No text, name or media is ever taken out.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use super::reply::bare_message_id;
use super::scan::{Pick, Scan};
use crate::domain::confirmation::{Confirmation, FeedItem, MessageId, News};
use crate::domain::id::{ChatId, SessionName};
use crate::domain::probe::SessionState;

/// Largest event looked at, in bytes. A larger one is no event of ours: media come as links.
pub const EVENT_MAX: usize = 1024 * 1024;
/// Longest value taken out of an event: an id holds up to two chats.
const VALUE_MAX: usize = 512;

/// The feed's path. The events are one list with commas, which every WAHA takes; those it does not know, it ignores.
const FEED: &str = "/ws?session=*&events=message.any,message.ack,message.ack.group,session.status";

/// Header of a webhook: the signature of its body, in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-webhook-hmac";
/// Header of a webhook: how it is signed.
pub const ALGORITHM_HEADER: &str = "x-webhook-hmac-algorithm";
/// Header of a webhook: when it was sent, in milliseconds.
pub const TIMESTAMP_HEADER: &str = "x-webhook-timestamp";
/// Header of a webhook: its name, the same each time it is delivered again.
pub const REQUEST_ID_HEADER: &str = "x-webhook-request-id";

const EVENT: usize = 0;
const SESSION: usize = 1;
const ID: usize = 2;
const ID_SERIALIZED: usize = 3;
const ID_ID: usize = 4;
const ID_FROM_ME: usize = 5;
const FROM_ME: usize = 6;
const ACK: usize = 7;
const FROM: usize = 8;
const STATUS: usize = 9;

const WANTED: &[Pick] = &[
    Pick::value("event", EVENT),
    Pick::value("session", SESSION),
    Pick::object(
        "payload",
        &[
            Pick::value_or_object(
                "id",
                ID,
                &[
                    Pick::value("_serialized", ID_SERIALIZED),
                    Pick::value("id", ID_ID),
                    Pick::value("fromMe", ID_FROM_ME),
                ],
            ),
            Pick::value("fromMe", FROM_ME),
            Pick::value("ack", ACK),
            Pick::value("from", FROM),
            Pick::value("status", STATUS),
        ],
    ),
];

/// The path and query that follow all sessions. WAHA takes the key from the query alone: never log it.
pub fn feed_path(key: Option<&str>) -> String {
    match key {
        Some(key) => format!("{FEED}&x-api-key={}", utf8_percent_encode(key, NON_ALPHANUMERIC)),
        None => FEED.to_owned(),
    }
}

/// What an event says, where it is one that we follow.
pub fn parse(event: &[u8]) -> Option<FeedItem> {
    // The scan takes anything; only a whole and sound event counts.
    if event.len() > EVENT_MAX || serde_json::from_slice::<IgnoredAny>(event).is_err() {
        return None;
    }
    let mut scan = Scan::new(WANTED, VALUE_MAX);
    scan.feed(event);
    let news = match scan.text(EVENT)? {
        "message" | "message.any" => message(&scan),
        "message.ack" | "message.ack.group" => ack(&scan),
        "session.status" => Some(News::State(state(scan.text(STATUS)?))),
        _ => None,
    }?;
    Some(FeedItem { session: SessionName::new(scan.text(SESSION)?)?, news })
}

/// A session's state by WAHA's word for it.
pub fn state(word: &str) -> SessionState {
    match word {
        "STOPPED" => SessionState::Stopped,
        "STARTING" => SessionState::Starting,
        "SCAN_QR_CODE" => SessionState::ScanQrCode,
        "PASSKEY_REQUIRED" | "PASSKEY_CONFIRMATION_REQUIRED" => SessionState::PasskeyRequired,
        "WORKING" => SessionState::Working,
        "FAILED" => SessionState::Failed,
        _ => SessionState::Other,
    }
}

fn message(scan: &Scan) -> Option<News> {
    if is_ours(scan)? {
        message_id(scan).map(News::Echo)
    } else {
        scan.text(FROM).and_then(ChatId::new).map(News::Inbound)
    }
}

/// How far a message of ours got. That we have read somebody else's is an ack too, and none of these.
fn ack(scan: &Scan) -> Option<News> {
    let confirmation = match scan.bare(ACK)? {
        "-1" => Confirmation::Error,
        "1" => Confirmation::Server,
        "2" => Confirmation::Device,
        // Played is read: only voice has it.
        "3" | "4" => Confirmation::Read,
        // Pending says nothing, and what we do not know neither.
        _ => return None,
    };
    if is_ours(scan)? { message_id(scan).map(|id| News::Ack(id, confirmation)) } else { None }
}

/// Did the shop write it? Where that is not said, the id says it; `None` where neither does.
fn is_ours(scan: &Scan) -> Option<bool> {
    match scan.bare(FROM_ME).or_else(|| scan.bare(ID_FROM_ME)) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => match whole_id(scan)?.split_once('_') {
            Some(("true", _)) => Some(true),
            Some(("false", _)) => Some(false),
            _ => None,
        },
    }
}

fn whole_id(scan: &Scan) -> Option<&str> {
    [ID, ID_SERIALIZED, ID_ID].into_iter().find_map(|index| scan.text(index))
}

fn message_id(scan: &Scan) -> Option<MessageId> {
    whole_id(scan).map(bare_message_id).and_then(MessageId::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What an event of the session `shop` says.
    fn news(event: &str, payload: &str) -> Option<News> {
        let item = parse(format!(r#"{{"id":"evt_01","timestamp":1795484594000,"event":"{event}","session":"shop","me":{{"id":"5511900000000@c.us"}},"payload":{payload},"engine":"NOWEB"}}"#).as_bytes());
        item.map(|item| {
            assert_eq!(item.session.as_str(), "shop");
            item.news
        })
    }

    fn id(bare: &str) -> MessageId {
        MessageId::new(bare).unwrap()
    }

    #[test]
    fn messages_of_all_engines() {
        let ours = Some(News::Echo(id("3EB0A1")));
        let theirs = Some(News::Inbound(ChatId::new("5511988887777@c.us").unwrap()));
        let rows = [
            // NOWEB and GOWS
            (
                r#"{"id":"true_5511988887777@c.us_3EB0A1","timestamp":1,"from":"5511988887777@c.us","fromMe":true,"source":"api","body":"hi","_data":{"id":"no","fromMe":false}}"#,
                &ours,
            ),
            (r#"{"id":"true_120363@g.us_3EB0A1_5511900000000@c.us","fromMe":true,"to":null}"#, &ours),
            // WEBJS, and older ones
            (
                r#"{"id":{"fromMe":true,"remote":"1@c.us","id":"3EB0A1","_serialized":"true_1@c.us_3EB0A1"},"fromMe":true}"#,
                &ours,
            ),
            (r#"{"id":{"fromMe":true,"remote":"1@c.us","id":"3EB0A1"}}"#, &ours),
            (r#"{"id":"3EB0A1","fromMe":true}"#, &ours),
            (r#"{"id":"true_1@c.us_3EB0A1"}"#, &ours),
            // from the customer
            (
                r#"{"id":"false_5511988887777@c.us_3EB0B","from":"5511988887777@s.whatsapp.net","fromMe":false}"#,
                &theirs,
            ),
            (r#"{"id":"false_5511988887777@c.us_3EB0B","from":"5511988887777@c.us"}"#, &theirs),
            // what says too little
            (r#"{"id":"3EB0A1"}"#, &None),
            (r#"{"id":"","fromMe":true}"#, &None),
            (r#"{"fromMe":true}"#, &None),
            (r#"{"fromMe":false}"#, &None),
            (r#"{"id":7,"fromMe":true}"#, &None),
            (r#"[{"id":"true_1@c.us_3EB0A1"}]"#, &None),
            ("null", &None),
        ];
        for (payload, expected) in rows {
            for event in ["message", "message.any"] {
                assert_eq!(&news(event, payload), expected, "{event} {payload}");
            }
            assert_eq!(news("message.reaction", payload), None);
        }
    }

    #[test]
    fn acks() {
        let rows = [
            ("-1", Some(Confirmation::Error)),
            ("0", None),
            ("1", Some(Confirmation::Server)),
            ("2", Some(Confirmation::Device)),
            ("3", Some(Confirmation::Read)),
            ("4", Some(Confirmation::Read)),
            ("5", None),
            ("\"2\"", None),
            ("null", None),
        ];
        for (ack, expected) in rows {
            let expected = expected.map(|confirmation| News::Ack(id("3EB0A1"), confirmation));
            for event in ["message.ack", "message.ack.group"] {
                let payload = |from_me: &str| {
                    format!(
                        r#"{{"id":"true_1@c.us_3EB0A1","from":"1@c.us","participant":null{from_me},"ack":{ack},"ackName":"X"}}"#
                    )
                };
                assert_eq!(news(event, &payload(r#","fromMe":true"#)), expected, "{event} {ack}");
                assert_eq!(news(event, &payload("")), expected, "{event} {ack} without fromMe");
                assert_eq!(news(event, &payload(r#","fromMe":false"#)), None, "of a message that we read");
            }
        }
        assert_eq!(news("message.ack", r#"{"id":"false_1@c.us_3EB0A1","ack":3}"#), None);
        let long = format!(r#"{{"id":"true_1@c.us_{}","ack":3}}"#, "A".repeat(200));
        assert_eq!(news("message.ack", &long), None, "no id is that long");
    }

    #[test]
    fn states_in_wahas_words() {
        let rows = [
            ("STOPPED", SessionState::Stopped),
            ("STARTING", SessionState::Starting),
            ("SCAN_QR_CODE", SessionState::ScanQrCode),
            ("PASSKEY_REQUIRED", SessionState::PasskeyRequired),
            ("PASSKEY_CONFIRMATION_REQUIRED", SessionState::PasskeyRequired),
            ("WORKING", SessionState::Working),
            ("FAILED", SessionState::Failed),
            ("DREAMING", SessionState::Other),
        ];
        for (word, expected) in rows {
            let payload = format!(
                r#"{{"name":"shop","status":"{word}","statuses":[{{"status":"FAILED","timestamp":1}}]}}"#
            );
            assert_eq!(news("session.status", &payload), Some(News::State(expected)));
        }
        assert_eq!(news("session.status", r#"{"name":"shop"}"#), None);
    }

    #[test]
    fn what_is_no_sound_event_yields_nothing() {
        let sound = r#"{"event":"session.status","session":"shop","payload":{"status":"WORKING"}}"#;
        assert!(parse(sound.as_bytes()).is_some());
        for cut in 0..sound.len() {
            assert_eq!(parse(&sound.as_bytes()[..cut]), None, "{cut}");
        }
        // What stands beyond an abyss is found all the same.
        let deep =
            sound.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(100_000), "]".repeat(100_000)), 1);
        assert_eq!(parse(deep.as_bytes()), parse(sound.as_bytes()));
        let large = format!("{sound}{}", " ".repeat(EVENT_MAX));
        let nameless = sound.replace("shop", "");
        let long = sound.replace("shop", &"s".repeat(200));
        for event in ["[]", "null", "\"message\"", &large, &nameless, &long, "{\"event\":{}}"] {
            assert_eq!(parse(event.as_bytes()), None);
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    #[test]
    fn the_key_stands_escaped_in_the_query() {
        assert_eq!(feed_path(None), FEED);
        assert_eq!(feed_path(Some("a&b=c d")), format!("{FEED}&x-api-key=a%26b%3Dc%20d"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn whatever_stands_in_an_event_it_is_taken_or_left(
            event in prop_oneof!["message(\\.any|\\.ack|\\.ack\\.group)?", Just("session.status".to_owned()), ".{0,20}"],
            session in ".{0,140}", id in ".{0,140}", from in ".{0,140}", ack in -3i64..7, from_me in any::<Option<bool>>(), object in any::<bool>(),
        ) {
            let id_form = if object { serde_json::json!({"_serialized": id, "id": from}) } else { serde_json::json!(id) };
            let mut payload = serde_json::json!({"id": id_form, "from": from, "ack": ack, "status": id});
            if let Some(from_me) = from_me {
                payload["fromMe"] = from_me.into();
            }
            let text = serde_json::json!({"event": event, "session": session, "payload": payload}).to_string();
            if let Some(item) = parse(text.as_bytes()) {
                prop_assert_eq!(item.session.as_str(), &session);
                match item.news {
                    News::Echo(found) | News::Ack(found, _) => {
                        prop_assert!(id.contains(found.as_str()));
                        prop_assert_ne!(from_me, Some(false));
                    }
                    News::Inbound(_) => prop_assert_ne!(from_me, Some(true)),
                    News::State(_) => prop_assert_eq!(event, "session.status"),
                }
            }
        }
    }
}
