//! What WhatsApp says after a send was accepted (SPEC 4.6): echoes, acks, and the three clocks of a session.
//!
//! An accepted send is not a delivered one. Where WAHA's event feed is followed, each accepted send waits here for its ack.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::id::{ChatId, SendId, SessionName};
use super::probe::SessionState;
use super::send::Description;
use super::time::Timestamp;

/// WhatsApp's id of a message in the bare form that all engines share. Prints, because it names nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(SmolStr);

impl MessageId {
    /// Longest, in bytes.
    pub const MAX: usize = 128;

    /// From the bare form; `None` where it is empty or too long.
    pub fn new(bare: &str) -> Option<Self> {
        (!bare.is_empty() && bare.len() <= Self::MAX).then(|| Self(SmolStr::new(bare)))
    }

    /// The bare form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far a message got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confirmation {
    /// Nothing was heard.
    #[default]
    None,
    /// WhatsApp's servers have it.
    Server,
    /// The customer's phone has it.
    Device,
    /// The customer has read it.
    Read,
    /// WhatsApp says that it failed.
    Error,
}

impl Confirmation {
    /// All, in the order that label sets are created.
    pub const ALL: [Self; 5] = [Self::None, Self::Server, Self::Device, Self::Read, Self::Error];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Device => "device",
            Self::Read => "read",
            Self::Error => "error",
        }
    }

    /// WhatsApp has taken the message.
    pub const fn is_positive(self) -> bool {
        matches!(self, Self::Server | Self::Device | Self::Read)
    }
}

/// Something the event feed told about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedItem {
    /// The session.
    pub session: SessionName,
    /// What.
    pub news: News,
}

/// What the event feed tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A message of ours went out.
    Echo(MessageId),
    /// A message of ours got so far.
    Ack(MessageId, Confirmation),
    /// Somebody wrote to us: not a new contact.
    Inbound(ChatId),
    /// The session changed its state.
    State(SessionState),
}

/// What the follower of the event feed says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The feed changed its state.
    State(FeedState),
    /// It told something.
    Item(FeedItem),
}

/// The event feed itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedState {
    /// Nobody follows it: delivery is not confirmed.
    #[default]
    Off,
    /// Being connected, for the first time or again.
    Connecting,
    /// Connected, or fed by webhooks.
    Connected,
    /// Our key is refused.
    Refused,
}

impl FeedState {
    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Refused => "refused",
        }
    }
}

/// An accepted send that waits for its ack.
#[derive(Clone, PartialEq, Eq)]
pub struct Awaiting {
    /// The send.
    pub send: SendId,
    /// The attempt that was accepted.
    pub attempts: u32,
    /// What was sent.
    pub what: Arc<Description>,
    /// When its first attempt started.
    pub first_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its message.
    pub message: MessageId,
    /// The feed has shown it going out.
    pub echoed: bool,
    /// How far it got.
    pub acked: Confirmation,
}

impl fmt::Debug for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaiting")
            .field("send", &self.send)
            .field("accepted_at", &self.accepted_at)
            .field("echoed", &self.echoed)
            .finish_non_exhaustive()
    }
}

/// What the feed told of messages nobody has claimed yet: an ack can be faster than the answer it belongs to. Bounded.
#[derive(Debug, Default)]
pub struct Early {
    heard: BTreeMap<MessageId, Confirmation>,
    order: VecDeque<MessageId>,
}

const EARLY_MAX: usize = 4096;

impl Early {
    /// Something was heard of a message.
    pub fn put(&mut self, message: MessageId, confirmation: Confirmation) {
        if let Some(known) = self.heard.get_mut(&message) {
            *known = (*known).max(confirmation);
            return;
        }
        self.heard.insert(message.clone(), confirmation);
        self.order.push_back(message);
        if self.order.len() > EARLY_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.remove(&oldest);
        }
    }

    /// What was heard of it, once.
    pub fn take(&mut self, message: &MessageId) -> Option<Confirmation> {
        self.heard.remove(message)
    }
}

/// What is known of the confirmation of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The send.
    pub send: SendId,
    /// How far it got.
    pub confirmation: Confirmation,
    /// When that was heard.
    pub at: Timestamp,
}
