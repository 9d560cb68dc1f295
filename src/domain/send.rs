//! A send: what the bot wants delivered, and what makes two calls the same send (SPEC 4.2).

use std::fmt;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::id::{ChatId, Phone, SessionName};
use super::order::OrderFacts;

/// What makes two calls the same send: 128 bits of a digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity([u8; 16]);

impl Identity {
    /// From raw bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From a name the bot gave: `X-Watchdog-Notification-Id` or `Idempotency-Key`.
    pub fn named(header: &str, value: &[u8]) -> Self {
        Self(digest(&[b"named", header.as_bytes(), value]))
    }

    /// From what is sent: method, target (WAHA's key left out), the body's length, and its beginning, cut at [`BEGINNING`]; session and chat
    /// are named in them. Two large bodies that begin alike and are as long count as attempts of one send; that they are the same, only
    /// [`Content`] can say.
    pub fn content(method: &str, target: &str, length: u64, beginning: &[u8]) -> Self {
        let beginning = &beginning[..beginning.len().min(BEGINNING)];
        Self(digest(&[b"content", method.as_bytes(), target.as_bytes(), &length.to_le_bytes(), beginning]))
    }

    /// The same from a whole body, and what the call says: of most bodies one digest is both.
    pub fn whole(method: &str, target: &str, body: &[u8]) -> (Self, Content) {
        let identity = Self::content(method, target, body.len() as u64, body);
        let content = if body.len() <= BEGINNING {
            identity.0
        } else {
            digest(&[b"whole", method.as_bytes(), target.as_bytes(), body])
        };
        (identity, Content(content))
    }
}

/// So much of a body makes its send's identity, in bytes.
pub const BEGINNING: usize = 64 * 1024;

/// The digest of everything a call says: two calls with one content ask for the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content([u8; 16]);

impl Content {
    /// Of a call's method, target (WAHA's key left out) and body.
    pub fn of(method: &str, target: &str, body: &[u8]) -> Self {
        Identity::whole(method, target, body).1
    }

    /// From raw bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Each part goes in with its length, so that no two lists of parts run together alike.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// What a sending endpoint sends; a closed list, so that it can be a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendKind {
    /// Plain text.
    Text,
    /// An image, file, voice, video or sticker.
    Media,
    /// A location.
    Location,
    /// A contact card.
    Contact,
    /// A poll.
    Poll,
    /// A vote in a poll.
    PollVote,
    /// A list message.
    List,
    /// Buttons, or the press of one.
    Buttons,
    /// A link with a preview.
    Link,
    /// A forwarded message.
    Forward,
    /// A calendar event.
    Event,
    /// A reaction to a message.
    Reaction,
    /// An edit, a revocation, a pin: changes to a message that exists.
    Edit,
    /// A status post, seen by many.
    Status,
    /// A path named in `proxy.extra_send_paths`.
    Extra,
}

impl SendKind {
    /// All kinds, in the order that label sets are created.
    pub const ALL: [Self; 15] = [
        Self::Text,
        Self::Media,
        Self::Location,
        Self::Contact,
        Self::Poll,
        Self::PollVote,
        Self::List,
        Self::Buttons,
        Self::Link,
        Self::Forward,
        Self::Event,
        Self::Reaction,
        Self::Edit,
        Self::Status,
        Self::Extra,
    ];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Media => "media",
            Self::Location => "location",
            Self::Contact => "contact",
            Self::Poll => "poll",
            Self::PollVote => "poll_vote",
            Self::List => "list",
            Self::Buttons => "buttons",
            Self::Link => "link",
            Self::Forward => "forward",
            Self::Event => "event",
            Self::Reaction => "reaction",
            Self::Edit => "edit",
            Self::Status => "status",
            Self::Extra => "extra",
        }
    }

    /// Can a send of this kind tell a customer about an order? Reactions, edits, votes and status posts cannot: their failure is
    /// recorded, but nobody waits for them.
    pub const fn notifies(self) -> bool {
        !matches!(self, Self::PollVote | Self::Reaction | Self::Edit | Self::Status)
    }
}

/// What is known about a send, shared by all its records. Prints neither chat nor path, which may name one.
#[derive(Clone, PartialEq, Eq)]
pub struct Description {
    /// What joins attempts to this send; `None` where nothing can (a large body that names its chat last).
    pub identity: Option<Identity>,
    /// The session it goes through, where the request names one.
    pub session: Option<SessionName>,
    /// The chat it goes to, where it has one.
    pub chat: Option<ChatId>,
    /// What is sent.
    pub kind: SendKind,
    /// The path of the call, without query.
    pub path: SmolStr,
    /// What is known of the order.
    pub order: OrderFacts,
}

impl Description {
    /// The customer's number as people call it: as the shop wrote it, else the chat's. One that is the chat's is whole, and gets the `+` that
    /// makes it a link on a phone, whoever left it out.
    pub fn phone(&self) -> Option<Phone> {
        let chat = self.chat.as_ref().and_then(ChatId::phone).map(|phone| phone.digits());
        let chat = chat.filter(|digits| !digits.is_empty());
        let is_chats = |phone: &Phone| chat.as_ref().is_some_and(|chat| *chat == phone.digits());
        let written = self.order.customer_phone.as_ref();
        match written.filter(|phone| phone.expose().trim_start().starts_with('+') || !is_chats(phone)) {
            Some(phone) => Some(phone.clone()),
            None => Phone::new(&format!("+{}", chat?)),
        }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("identity", &self.identity)
            .field("session", &self.session)
            .field("chat", &self.chat)
            .field("kind", &self.kind)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_it_was_written_or_whole() {
        let number = |chat: Option<&str>, written: Option<&str>| {
            let what = Description {
                identity: None,
                session: None,
                chat: chat.and_then(ChatId::new),
                kind: SendKind::Text,
                path: "".into(),
                order: OrderFacts { customer_phone: written.and_then(Phone::new), ..OrderFacts::default() },
            };
            what.phone().map(|phone| phone.expose().to_owned())
        };
        let chat = Some("584241234567@c.us");
        for (chat, written, shown) in [
            (chat, None, Some("+584241234567")),
            (chat, Some("584241234567"), Some("+584241234567")),
            (chat, Some("+58 424-1234567"), Some("+58 424-1234567")),
            (chat, Some("0424-1234567"), Some("0424-1234567")),
            (None, Some("0424-1234567"), Some("0424-1234567")),
            (Some("1203630@g.us"), None, None),
            (None, None, None),
        ] {
            assert_eq!(number(chat, written).as_deref(), shown, "{chat:?} {written:?}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        let base = Identity::content("POST", "/a", 1, b"x");
        assert_eq!(base, Identity::content("POST", "/a", 1, b"x"));
        for other in [
            Identity::content("POST", "/ax", 1, b""),
            Identity::content("POST/", "a", 1, b"x"),
            Identity::content("POST", "/a", 2, b"x"),
            Identity::named("idempotency-key", b"x"),
        ] {
            assert_ne!(base, other);
        }
        assert_ne!(Content::of("POST", "/a", b"x"), Content::of("PUT", "/a", b"x"));
        assert_ne!(Identity::named("a", b"bc"), Identity::named("ab", b"c"));
    }

    #[test]
    fn large_bodies_that_begin_alike_are_one_send_and_two_contents() {
        let (one, mut other) = ([0; BEGINNING + 1], [0; BEGINNING + 1]);
        other[BEGINNING] = 1;
        let whole = |body: &[u8]| Identity::whole("POST", "/a", body);
        assert_eq!(whole(&one).0, whole(&other).0);
        assert_ne!(whole(&one).1, whole(&other).1);
        let length = one.len() as u64;
        let read = Identity::content("POST", "/a", length, &one[..BEGINNING]);
        assert_eq!(whole(&one).0, read, "however much of it was read");
        assert_ne!(whole(&one[1..]).1, whole(&other[1..]).1);
        assert_ne!(whole(&one[1..]).0, whole(&other[1..]).0, "all of it is its beginning");
    }
}
