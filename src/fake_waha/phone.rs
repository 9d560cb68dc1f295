//! What each pretend phone displays: the truth against which "was it told, and how often?" is judged.
//!
//! A phone knows messages by id, as WhatsApp's do: the same id relayed twice is displayed once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::chat::chat_id;

/// Messages a phone keeps; the oldest go first.
const KEPT_PER_CHAT: usize = 50_000;

/// One message on a phone's screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The engine's id, without chat.
    pub message_id: String,
    /// The session that sent it.
    pub session: String,
    /// What the customer reads: text, caption, title or question.
    pub text: String,
    /// How often the customer sees it; the same id again adds nothing.
    pub times_displayed: u64,
    /// How often WhatsApp was given this id.
    pub times_relayed: u64,
    /// When it was displayed.
    pub at: DateTime<Utc>,
}

/// A snapshot of all phones, by chat in WAHA's spelling (`…@c.us`), oldest message first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phones {
    /// The messages by chat.
    pub by_chat: BTreeMap<String, Vec<Shown>>,
}

impl Phones {
    /// What one phone displays, its chat in any spelling.
    pub fn chat(&self, chat: &str) -> &[Shown] {
        self.by_chat.get(&chat_id(chat)).map_or(&[], Vec::as_slice)
    }

    /// How often one phone displays this very text.
    pub fn times(&self, chat: &str, text: &str) -> u64 {
        self.chat(chat).iter().filter(|shown| shown.text == text).map(|shown| shown.times_displayed).sum()
    }

    /// How many messages all phones display together.
    pub fn total(&self) -> u64 {
        self.by_chat.values().flatten().map(|shown| shown.times_displayed).sum()
    }
}

#[derive(Debug, Default)]
struct Phone {
    shown: VecDeque<Shown>,
    /// Place in `shown` by id, counted from the first message ever.
    places: HashMap<String, u64>,
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Shelf {
    phones: BTreeMap<String, Phone>,
    not_on_whatsapp: BTreeSet<String>,
}

/// The live phones behind [`Phones`].
#[derive(Debug, Default)]
pub(super) struct PhoneShelf(Mutex<Shelf>);

impl PhoneShelf {
    /// A message arrives at a phone.
    pub(super) fn display(&self, session: &str, chat: &str, message_id: &str, text: &str) {
        let mut shelf = self.lock();
        let phone = shelf.phones.entry(chat_id(chat)).or_default();
        if let Some(place) = phone.places.get(message_id)
            && let Some(shown) =
                usize::try_from(place - phone.forgotten).ok().and_then(|place| phone.shown.get_mut(place))
        {
            shown.times_relayed += 1;
            return;
        }
        if phone.shown.len() >= KEPT_PER_CHAT
            && let Some(oldest) = phone.shown.pop_front()
        {
            phone.places.remove(&oldest.message_id);
            phone.forgotten += 1;
        }
        phone.places.insert(message_id.to_owned(), phone.forgotten + phone.shown.len() as u64);
        phone.shown.push_back(Shown {
            message_id: message_id.to_owned(),
            session: session.to_owned(),
            text: text.to_owned(),
            times_displayed: 1,
            times_relayed: 1,
            at: Utc::now(),
        });
    }

    pub(super) fn snapshot(&self) -> Phones {
        let shelf = self.lock();
        let shown = |phone: &Phone| phone.shown.iter().cloned().collect();
        Phones { by_chat: shelf.phones.iter().map(|(chat, phone)| (chat.clone(), shown(phone))).collect() }
    }

    /// Marks a number as being on WhatsApp or not.
    pub(super) fn set_on_whatsapp(&self, chat: &str, on_whatsapp: bool) {
        let mut shelf = self.lock();
        if on_whatsapp {
            shelf.not_on_whatsapp.remove(&chat_id(chat));
        } else {
            shelf.not_on_whatsapp.insert(chat_id(chat));
        }
    }

    pub(super) fn is_on_whatsapp(&self, chat: &str) -> bool {
        !self.lock().not_on_whatsapp.contains(&chat_id(chat))
    }

    /// Wipes all screens; everybody is on WhatsApp again.
    pub(super) fn reset(&self) {
        *self.lock() = Shelf::default();
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_twice_is_displayed_once() {
        let shelf = PhoneShelf::default();
        shelf.display("default", "5511", "A", "hi");
        shelf.display("default", "5511@c.us", "A", "hi");
        shelf.display("default", "5511@s.whatsapp.net", "B", "hi");
        let phones = shelf.snapshot();
        assert_eq!(phones.times("5511", "hi"), 2);
        assert_eq!(phones.chat("5511")[0].times_relayed, 2);
        assert_eq!(phones.total(), 2);
        assert_eq!(phones.times("5512", "hi"), 0);
    }

    #[test]
    fn a_long_running_phone_forgets_its_oldest_messages_and_stays_right() {
        let shelf = PhoneShelf::default();
        for n in 0..=KEPT_PER_CHAT {
            shelf.display("default", "1", &n.to_string(), "x");
        }
        assert_eq!(shelf.snapshot().chat("1").len(), KEPT_PER_CHAT);
        shelf.display("default", "1", &KEPT_PER_CHAT.to_string(), "x");
        let phones = shelf.snapshot();
        assert_eq!(phones.chat("1")[0].message_id, "1");
        assert_eq!(phones.chat("1")[KEPT_PER_CHAT - 1].times_relayed, 2);
    }

    #[test]
    fn numbers_are_on_whatsapp_unless_marked() {
        let shelf = PhoneShelf::default();
        assert!(shelf.is_on_whatsapp("1"));
        shelf.set_on_whatsapp("1@c.us", false);
        assert!(!shelf.is_on_whatsapp("1"));
        shelf.set_on_whatsapp("1", true);
        assert!(shelf.is_on_whatsapp("1@s.whatsapp.net"));
    }
}
