//! Names of things, each its own type, so that a chat cannot be passed where a session is meant.
//!
//! Names that identify a person ([`ChatId`], [`Phone`]) print masked by type: only [`ChatId::expose`] and
//! [`Phone::expose`] give them whole, for the wire, the store and authorized eyes.

use std::fmt;
use std::str::FromStr;

use smol_str::{SmolStr, format_smolstr};

/// An id of 16 bytes, a UUID in text.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From raw bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The raw bytes, in the order that sorts by creation.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The text form, written into `buffer`.
            pub fn text<'a>(&self, buffer: &'a mut [u8; 36]) -> &'a str {
                write_id(&self.0, buffer)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text(&mut [0; 36]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            /// The dashes may be missing.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                read_id(text).map(Self)
            }
        }
    )+ };
}

ids! {
    /// Identifies a send over all its attempts. Made by the clock room (version 7), so that ids sort by creation.
    SendId,
    /// Identifies a record of the heart: a diagnosis, an incident, an alert.
    RecordId,
}

fn write_id<'a>(bytes: &[u8; 16], buffer: &'a mut [u8; 36]) -> &'a str {
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            buffer[at] = b'-';
            at += 1;
        }
        buffer[at] = HEX[usize::from(byte >> 4)];
        buffer[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    std::str::from_utf8(buffer).unwrap_or_else(|_| unreachable!("hexadecimal digits and dashes"))
}

fn read_id(text: &str) -> Result<[u8; 16], NotAnId> {
    let mut digits = text.bytes().filter(|byte| *byte != b'-');
    let mut bytes = [0u8; 16];
    for byte in &mut bytes {
        let (high, low) = (digits.next().ok_or(NotAnId)?, digits.next().ok_or(NotAnId)?);
        *byte = (hex(high)? << 4) | hex(low)?;
    }
    if digits.next().is_some() { Err(NotAnId) } else { Ok(bytes) }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a UUID such as 0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f")]
pub struct NotAnId;

fn hex(digit: u8) -> Result<u8, NotAnId> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(NotAnId)
}

/// The name of a WAHA session, as the bot spells it. At most [`SessionName::MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName(SmolStr);

impl SessionName {
    /// Longest name kept, in bytes; WAHA's own names are far shorter.
    pub const MAX: usize = 128;

    /// A name from untrusted text; `None` where it is empty or too long to be one.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= Self::MAX).then(|| Self(SmolStr::new(text)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A WhatsApp chat in one spelling: bare digits and `@s.whatsapp.net` become `@c.us` (WAHA-FACTS 5).
/// At most [`ChatId::MAX`] bytes. Prints masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatId(SmolStr);

impl ChatId {
    /// Longest chat id kept, in bytes.
    pub const MAX: usize = 128;

    /// A chat from untrusted text; `None` where it is empty or too long to be one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > Self::MAX {
            return None;
        }
        Some(Self(match text.split_once('@') {
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => format_smolstr!("{text}@c.us"),
            Some((user, "s.whatsapp.net")) => format_smolstr!("{user}@c.us"),
            None | Some(_) => SmolStr::new(text),
        }))
    }

    /// The chat id whole: personal data, for the wire, the store and authorized eyes only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The phone number of a person's chat; `None` for groups, channels and hidden ids.
    pub fn phone(&self) -> Option<Phone> {
        let (user, server) = self.0.split_once('@')?;
        (server == "c.us").then(|| Phone::new(user)).flatten()
    }
}

impl fmt::Debug for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('@') {
            Some((user, server)) => write!(f, "{}@{server}", Masked(user)),
            None => write!(f, "{}", Masked(&self.0)),
        }
    }
}

/// A customer's phone number as given, at most [`Phone::MAX`] bytes. Prints only its last four digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(SmolStr);

impl Phone {
    /// Longest number kept, in bytes.
    pub const MAX: usize = 64;

    /// A number from untrusted text; `None` where it is empty or too long to be one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.len() <= Self::MAX).then(|| Self(SmolStr::new(text)))
    }

    /// The number whole: personal data, for the wire, the store and authorized eyes only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its digits alone, for comparing two spellings of one number.
    pub fn digits(&self) -> String {
        self.0.chars().filter(char::is_ascii_digit).collect()
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Masked(&self.0))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Prints `…` and the last four characters of what identifies a person; nothing of it where it is shorter than eight.
struct Masked<'a>(&'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        if length < 8 {
            return f.write_str("…");
        }
        write!(f, "…{}", self.0.chars().skip(length - 4).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_ids_survive_text() {
        let id = SendId::from_bytes(*b"\x01\x92\xf0\xc1\x7b\x7e\x7c\xc3\x98\xc4\xdc\x0c\x0c\x07\x39\x8f");
        assert_eq!(id.to_string(), "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "0192f0c1",
            "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398",
            "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f0",
            "zz92f0c1-7b7e-7cc3-98c4-dc0c0c07398f",
        ] {
            assert_eq!(wrong.parse::<SendId>(), Err(NotAnId), "{wrong}");
        }
    }

    #[test]
    fn one_chat_has_one_spelling() {
        for spelling in
            ["5511988887777", "5511988887777@c.us", "5511988887777@s.whatsapp.net", " 5511988887777 "]
        {
            assert_eq!(ChatId::new(spelling).unwrap().expose(), "5511988887777@c.us", "{spelling}");
        }
        assert_eq!(ChatId::new("120363@g.us").unwrap().expose(), "120363@g.us");
        assert_eq!(ChatId::new("+55 11").unwrap().expose(), "+55 11");
        assert_eq!(ChatId::new(""), None);
        assert_eq!(ChatId::new(&"9".repeat(129)), None);
    }

    #[test]
    fn persons_print_masked() {
        let chat = ChatId::new("584241234567@c.us").unwrap();
        assert_eq!(format!("{chat:?}"), "…4567@c.us");
        assert_eq!(format!("{:?}", chat.phone().unwrap()), "…4567");
        assert_eq!(format!("{}", Phone::new("12345").unwrap()), "…");
        assert_eq!(ChatId::new("120363@g.us").unwrap().phone(), None);
    }
}
