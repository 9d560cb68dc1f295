//! What WAHA knows of the messages it sent: its store, its listing with filters, and the forms of a message.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::chat::{chat_id, jid, serialized_id};
use super::options::Engine;
use super::session::SHOP;

/// Messages kept; the oldest go first.
const KEPT: usize = 100_000;

/// WAHA's acks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    Error,
    Pending,
    Server,
    Device,
    Read,
}

impl Ack {
    pub(super) fn number(self) -> i8 {
        match self {
            Self::Error => -1,
            Self::Pending => 0,
            Self::Server => 1,
            Self::Device => 2,
            Self::Read => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Pending => "PENDING",
            Self::Server => "SERVER",
            Self::Device => "DEVICE",
            Self::Read => "READ",
        }
    }
}

/// A message WAHA accepted.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) session: String,
    /// In WAHA's spelling.
    pub(super) chat: String,
    pub(super) id: String,
    /// What the customer reads.
    pub(super) text: String,
    /// The content in Baileys' form, `{"extendedTextMessage":{…}}`.
    pub(super) content: Value,
    pub(super) has_media: bool,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    pub(super) ack: Ack,
}

impl Message {
    pub(super) fn serialized_id(&self) -> String {
        serialized_id(true, &self.chat, &self.id)
    }

    fn key(&self) -> Value {
        json!({"remoteJid": jid(&self.chat), "fromMe": true, "id": self.id})
    }

    /// Baileys' own form: what NOWEB answers to most sends.
    pub(super) fn baileys(&self) -> Value {
        json!({
            "key": self.key(),
            "message": self.content,
            "messageTimestamp": self.timestamp.to_string(),
            "status": self.ack_of_baileys(),
        })
    }

    fn ack_of_baileys(&self) -> &'static str {
        match self.ack {
            Ack::Error => "ERROR",
            Ack::Pending => "PENDING",
            Ack::Server => "SERVER_ACK",
            Ack::Device => "DELIVERY_ACK",
            Ack::Read => "READ",
        }
    }

    /// whatsmeow's own form.
    fn whatsmeow(&self) -> Value {
        let time = DateTime::from_timestamp(self.timestamp, 0).unwrap_or_default();
        json!({
            "Info": {
                "Chat": jid(&self.chat),
                "Sender": jid(SHOP),
                "IsFromMe": true,
                "IsGroup": self.chat.ends_with("@g.us"),
                "ID": self.id,
                "Type": if self.has_media { "media" } else { "text" },
                "Timestamp": time.to_rfc3339_opts(SecondsFormat::Secs, true),
            },
            "Message": self.content,
        })
    }

    /// whatsapp-web.js' own form.
    fn webjs(&self) -> Value {
        let id = json!({
            "fromMe": true,
            "remote": self.chat,
            "id": self.id,
            "_serialized": self.serialized_id(),
        });
        let kind = if self.has_media { "image" } else { "chat" };
        json!({
            "_data": {
                "id": id, "body": self.text, "type": kind, "t": self.timestamp, "from": SHOP, "to": self.chat,
                "ack": self.ack.number(), "isNewMsg": true,
            },
            "id": id,
            "ack": self.ack.number(),
            "hasMedia": self.has_media,
            "body": self.text,
            "type": kind,
            "timestamp": self.timestamp,
            "from": SHOP,
            "to": self.chat,
            "deviceType": "web",
            "isForwarded": false,
            "fromMe": true,
        })
    }

    /// The answer to a send of this message.
    pub(super) fn sent(&self, engine: Engine, as_wa_message: bool) -> Value {
        match engine {
            Engine::Noweb if as_wa_message => self.wa_message(engine),
            Engine::Noweb => self.baileys(),
            Engine::Gows => json!({"id": self.serialized_id(), "_data": self.whatsmeow()}),
            Engine::Webjs => self.webjs(),
        }
    }

    /// WAHA's `WAMessage`: in listings and events.
    pub(super) fn wa_message(&self, engine: Engine) -> Value {
        let data = match engine {
            Engine::Noweb => self.baileys(),
            Engine::Gows => self.whatsmeow(),
            Engine::Webjs => self.webjs()["_data"].take(),
        };
        let mut message = json!({
            "id": self.serialized_id(),
            "timestamp": self.timestamp,
            "from": if engine == Engine::Webjs { SHOP } else { &self.chat },
            "fromMe": true,
            "source": "api",
            "body": self.text,
        });
        // As seen: NOWEB leaves `to` out of direct messages, GOWS has it as null.
        match engine {
            Engine::Noweb => {}
            Engine::Gows => message["to"] = Value::Null,
            Engine::Webjs => message["to"] = json!(self.chat),
        }
        message["participant"] = Value::Null;
        message["hasMedia"] = json!(self.has_media);
        message["media"] = Value::Null;
        message["ack"] = json!(self.ack.number());
        message["ackName"] = json!(self.ack.name());
        message["replyTo"] = Value::Null;
        message["_data"] = data;
        message
    }

    /// The payload of `message.ack`.
    pub(super) fn ack_payload(&self, engine: Engine) -> Value {
        let mut payload = json!({
            "id": self.serialized_id(),
            "from": if engine == Engine::Webjs { SHOP } else { &self.chat },
        });
        if engine == Engine::Webjs {
            payload["to"] = json!(self.chat);
        }
        payload["participant"] = Value::Null;
        payload["fromMe"] = json!(true);
        payload["ack"] = json!(self.ack.number());
        payload["ackName"] = json!(self.ack.name());
        payload
    }
}

/// Which messages a listing wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `None` is every chat.
    pub(super) chat: Option<String>,
    pub(super) from_me: Option<bool>,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) ack: Option<String>,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) oldest_first: bool,
}

#[derive(Debug, Default)]
struct Shelf {
    last: u64,
    by_place: BTreeMap<u64, Message>,
    places: HashMap<(String, String), u64>,
}

/// WAHA's chat store.
#[derive(Debug, Default)]
pub(super) struct MessageStore(Mutex<Shelf>);

impl MessageStore {
    /// Keeps a message; one of the same session and id is replaced in its place.
    pub(super) fn keep(&self, message: &Message) {
        let mut shelf = self.lock();
        let key = (message.session.clone(), message.id.clone());
        if let Some(place) = shelf.places.get(&key).copied() {
            shelf.by_place.insert(place, message.clone());
            return;
        }
        shelf.last += 1;
        let place = shelf.last;
        shelf.by_place.insert(place, message.clone());
        shelf.places.insert(key, place);
        if shelf.by_place.len() > KEPT
            && let Some((_, oldest)) = shelf.by_place.pop_first()
        {
            shelf.places.remove(&(oldest.session, oldest.id));
        }
    }

    /// Notes an ack and gives the message back as it now is.
    pub(super) fn acked(&self, session: &str, id: &str, ack: Ack) -> Option<Message> {
        let mut shelf = self.lock();
        let place = *shelf.places.get(&(session.to_owned(), id.to_owned()))?;
        let message = shelf.by_place.get_mut(&place)?;
        message.ack = ack;
        Some(message.clone())
    }

    pub(super) fn find(&self, session: &str, chat: &str, id: &str) -> Option<Message> {
        let shelf = self.lock();
        let place = shelf.places.get(&(session.to_owned(), id.to_owned()))?;
        shelf.by_place.get(place).filter(|message| message.chat == chat_id(chat)).cloned()
    }

    pub(super) fn list(&self, session: &str, wanted: &Wanted) -> Vec<Message> {
        let shelf = self.lock();
        let fits = |message: &&Message| {
            message.session == session
                && wanted.chat.as_deref().is_none_or(|chat| message.chat == chat_id(chat))
                && wanted.from_me != Some(false)
                && wanted.since.is_none_or(|since| message.timestamp >= since)
                && wanted.until.is_none_or(|until| message.timestamp <= until)
                && wanted.ack.as_deref().is_none_or(|ack| message.ack.name() == ack)
        };
        if wanted.oldest_first {
            shelf.by_place.values().filter(fits).skip(wanted.offset).take(wanted.limit).cloned().collect()
        } else {
            let newest_first = shelf.by_place.values().rev();
            newest_first.filter(fits).skip(wanted.offset).take(wanted.limit).cloned().collect()
        }
    }

    pub(super) fn reset(&self) {
        let mut shelf = self.lock();
        shelf.by_place.clear();
        shelf.places.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, chat: &str, timestamp: i64) -> Message {
        Message {
            session: "default".into(),
            chat: chat_id(chat),
            id: id.into(),
            text: format!("text {id}"),
            content: json!({"extendedTextMessage": {"text": format!("text {id}")}}),
            has_media: false,
            timestamp,
            ack: Ack::Pending,
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            chat: Some("1".into()),
            from_me: None,
            since: None,
            until: None,
            ack: None,
            limit: 10,
            offset: 0,
            oldest_first: false,
        }
    }

    fn ids(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.id.as_str()).collect()
    }

    #[test]
    fn listings_filter_sort_and_page() {
        let store = MessageStore::default();
        for (id, chat, timestamp) in [("A", "1", 10), ("B", "1", 20), ("C", "2", 30), ("D", "1", 40)] {
            store.keep(&message(id, chat, timestamp));
        }
        store.acked("default", "B", Ack::Device);
        assert_eq!(ids(&store.list("default", &wanted())), ["D", "B", "A"]);
        assert_eq!(ids(&store.list("default", &Wanted { oldest_first: true, ..wanted() })), ["A", "B", "D"]);
        assert_eq!(ids(&store.list("default", &Wanted { limit: 1, offset: 1, ..wanted() })), ["B"]);
        assert_eq!(
            ids(&store.list("default", &Wanted { since: Some(20), until: Some(39), ..wanted() })),
            ["B"]
        );
        assert_eq!(ids(&store.list("default", &Wanted { ack: Some("DEVICE".into()), ..wanted() })), ["B"]);
        assert_eq!(store.list("default", &Wanted { from_me: Some(false), ..wanted() }).len(), 0);
        assert_eq!(store.list("default", &Wanted { chat: None, ..wanted() }).len(), 4);
        assert_eq!(store.list("other", &wanted()).len(), 0);
    }

    #[test]
    fn one_id_is_one_row_and_belongs_to_its_chat() {
        let store = MessageStore::default();
        store.keep(&message("A", "1", 10));
        store.keep(&message("A", "1", 11));
        assert_eq!(store.list("default", &wanted()).len(), 1);
        assert!(store.find("default", "1@s.whatsapp.net", "A").is_some());
        assert!(store.find("default", "2", "A").is_none());
    }

    #[test]
    fn each_engine_has_its_own_place_for_the_id() {
        let sent = message("A", "1", 10);
        assert_eq!(sent.sent(Engine::Noweb, false)["key"]["id"], "A");
        assert_eq!(sent.sent(Engine::Noweb, true)["id"], "true_1@c.us_A");
        assert_eq!(sent.sent(Engine::Gows, false)["_data"]["Info"]["ID"], "A");
        assert_eq!(sent.sent(Engine::Webjs, false)["id"]["_serialized"], "true_1@c.us_A");
        assert_eq!(sent.wa_message(Engine::Noweb)["from"], "1@c.us");
        assert_eq!(sent.wa_message(Engine::Webjs)["to"], "1@c.us");
    }
}
