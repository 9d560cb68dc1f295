//! What the ledger says: one entry for an attempt about to start, one for how it ended.
//!
//! The ledger is the truth; everything else that is stored follows from it. An intent without an outcome is an attempt that may
//! have been sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;

use super::id::SendId;
use super::outcome::{Cause, Outcome};
use super::send::{Content, Description};
use super::time::Timestamp;

/// Position of an entry in the ledger, ascending from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// One attempt of a send, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The send.
    pub send: SendId,
    /// Which attempt of it.
    pub number: u32,
}

/// Who made an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The bot's call, forwarded.
    Bot,
    /// A further try of ours before the bot has its answer (`retry.mode = "proxy"`).
    Retry,
    /// A call of the bot that was not forwarded, because an earlier call of the same send was still running or had
    /// already succeeded: it got that one's answer.
    Latch,
    /// Sent again by us after the bot had given it up.
    Replay,
    /// No exchange at all: a look at what WAHA sent showed that an earlier attempt had gone out.
    Look,
}

impl Via {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Retry => "retry",
            Self::Latch => "latch",
            Self::Replay => "replay",
            Self::Look => "look",
        }
    }
}

/// The request as it can be sent again. Holds a customer's text, so it prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// HTTP method.
    pub method: String,
    /// Path and query, without any key.
    pub target: String,
    /// Content-Type, where there was one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for StoredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRequest({} bytes)", self.body.len())
    }
}

/// An answer kept for a bot that went away before it heard it. Prints nothing of its content.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Content-Type, where there was one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
    /// What was asked: only the very same call gets it.
    pub asked: Content,
}

impl fmt::Debug for StoredAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// An attempt is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Who makes it.
    pub via: Via,
    /// When the send's first attempt started.
    pub first_at: Timestamp,
    /// When this attempt starts.
    pub started: Timestamp,
    /// What is sent.
    pub what: Arc<Description>,
    /// The request, where it may have to be sent again.
    pub request: Option<Arc<StoredRequest>>,
}

/// An attempt has ended. Prints nothing of what the answer said.
#[derive(Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Who made it.
    pub via: Via,
    /// When the send's first attempt started.
    pub first_at: Timestamp,
    /// When this attempt started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What was sent.
    pub what: Arc<Description>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it was not accepted.
    pub cause: Option<Cause>,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What the answer said, at most [`DETAIL_MAX`] bytes. May name a number: for authorized eyes only.
    pub detail: Option<String>,
    /// WhatsApp's id of the message, where the answer named it.
    pub message_id: Option<SmolStr>,
    /// Nobody will try this send again before it is replayed: the proxy has spent its own tries.
    pub given_up: bool,
    /// The answer, where the send succeeded and the bot went away before it heard so.
    pub unheard: Option<Arc<StoredAnswer>>,
    /// The request, where it may have to be sent again and no intent holds it.
    pub request: Option<Arc<StoredRequest>>,
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("attempt", &self.attempt)
            .field("via", &self.via)
            .field("started", &self.started)
            .field("ended", &self.ended)
            .field("what", &self.what)
            .field("outcome", &self.outcome)
            .field("cause", &self.cause)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Longest detail kept of an answer, in bytes.
pub const DETAIL_MAX: usize = 300;

/// What the send path hands to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Recorded before the request leaves.
    Intent(Intent),
    /// A further attempt starts without an intent: not recorded, but the heart must know that the bot has not given up.
    Begun(AttemptId),
    /// Recorded before the bot has its answer.
    Ended(Box<Ended>),
}
