//! The case of a send whose first attempt did not succeed: its attempts, and the failed notification it became, if it did.
//!
//! A send that is accepted at once has no case; its ledger entry says all.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::confirmation::Awaiting;
use super::diagnosis::{Finding, Reached};
use super::id::{ChatId, SendId};
use super::ledger::{AttemptId, Ended, Via};
use super::notification::Failure;
use super::outcome::{Cause, Outcome};
use super::send::Description;
use super::time::Timestamp;

/// Most attempts whose lines a case keeps: the first few tell how it began, the last how it ended.
pub const LINES_MAX: usize = 16;

/// Everything known of one send that did not succeed at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The send.
    pub send: SendId,
    /// What it sends.
    pub what: Arc<Description>,
    /// When its first attempt started.
    pub first_at: Timestamp,
    /// When its latest attempt ended.
    pub last_at: Timestamp,
    /// How many attempts it has had.
    pub attempts: u32,
    /// How the latest attempt ended.
    pub outcome: Outcome,
    /// Its attempts, oldest first; the middle is left out beyond [`LINES_MAX`].
    pub lines: Vec<AttemptLine>,
    /// Given up by the bot, and not merely unsuccessful so far.
    pub exhausted: bool,
    /// Is its request kept, so that it can be sent again?
    pub replayable: bool,
    /// The failed notification it became.
    pub failure: Option<Failure>,
    /// Ours since then, to send again; the bot's while `None`. On disk before anything of it is sent (SPEC 4.4).
    pub ours_since: Option<Timestamp>,
    /// The last attempt that may have arrived ended then, and no look has shown that it did not.
    pub doubt: Option<Timestamp>,
    /// A look was tried, and WAHA cannot tell.
    pub unlookable: bool,
    /// How often it was sent again by us.
    pub replays: u32,
    /// What the diagnosis found.
    pub finding: Option<Box<Finding>>,
}

/// One attempt in a case. Prints nothing of what the answer said.
#[derive(Clone, PartialEq, Eq)]
pub struct AttemptLine {
    /// Which attempt.
    pub number: u32,
    /// Who made it.
    pub via: Via,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it was not accepted.
    pub cause: Option<Cause>,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What the answer said. May name a number.
    pub detail: Option<String>,
    /// WhatsApp's id of the message, where the answer named it.
    pub message_id: Option<SmolStr>,
}

impl Case {
    /// Opens a case with its first ended attempt.
    pub fn open(ended: &Ended) -> Self {
        Self {
            send: ended.attempt.send,
            what: Arc::clone(&ended.what),
            first_at: ended.first_at,
            last_at: ended.ended,
            attempts: ended.attempt.number,
            outcome: ended.outcome,
            lines: vec![AttemptLine::of(ended)],
            exhausted: false,
            replayable: false,
            failure: None,
            ours_since: None,
            doubt: (ended.outcome == Outcome::Ambiguous).then_some(ended.ended),
            unlookable: false,
            replays: u32::from(ended.via == Via::Replay),
            finding: None,
        }
    }

    /// The case of an accepted send that was never confirmed, or failed after all.
    pub fn unconfirmed(awaiting: &Awaiting) -> Self {
        let line = AttemptLine {
            number: awaiting.attempts,
            via: Via::Bot,
            started: awaiting.first_at,
            ended: awaiting.accepted_at,
            outcome: Outcome::Accepted,
            cause: None,
            status: None,
            detail: None,
            message_id: Some(awaiting.message.as_str().into()),
        };
        Self {
            attempts: awaiting.attempts,
            outcome: Outcome::Accepted,
            last_at: awaiting.accepted_at,
            lines: vec![line],
            ..Self::reported(awaiting.send, Arc::clone(&awaiting.what), awaiting.first_at)
        }
    }

    /// The customer whom a diagnosis wrote to, and when.
    pub fn written_to(&self) -> Option<(ChatId, Timestamp)> {
        let finding =
            self.finding.as_ref().filter(|finding| !matches!(finding.user, Reached::NotTried(_)))?;
        Some((self.what.chat.clone()?, finding.at))
    }

    /// The case of a send that the bot says it could not make.
    pub fn reported(send: SendId, what: Arc<Description>, at: Timestamp) -> Self {
        Self {
            send,
            what,
            first_at: at,
            last_at: at,
            attempts: 0,
            outcome: Outcome::Failed,
            lines: Vec::new(),
            exhausted: true,
            replayable: false,
            failure: None,
            ours_since: None,
            doubt: None,
            unlookable: false,
            replays: 0,
            finding: None,
        }
    }

    /// Adds an attempt. Attempts may end out of order; one that is already there is replaced.
    pub fn add(&mut self, ended: &Ended) {
        let line = AttemptLine::of(ended);
        match self.lines.binary_search_by_key(&line.number, |line| line.number) {
            Ok(at) => self.lines[at] = line,
            Err(at) => self.lines.insert(at, line),
        }
        if self.lines.len() > LINES_MAX {
            self.lines.remove(LINES_MAX / 2);
        }
        self.attempts = self.attempts.max(ended.attempt.number);
        if ended.ended >= self.last_at {
            self.last_at = ended.ended;
            self.what = Arc::clone(&ended.what);
        }
        if ended.outcome == Outcome::Ambiguous {
            self.doubt = self.doubt.max(Some(ended.ended));
            self.unlookable = false;
        }
        self.replays = self.replays.saturating_add(u32::from(ended.via == Via::Replay));
        // A success is not undone by an attempt that ran beside it and ended later.
        if self.outcome != Outcome::Accepted {
            self.outcome = ended.outcome;
        }
    }

    /// This case with what an earlier record of the same send knew: attempts made before it was settled and opened again, and above all its
    /// failed notification, which is never forgotten.
    #[must_use]
    pub fn after(mut self, earlier: Self) -> Self {
        self.first_at = self.first_at.min(earlier.first_at);
        if self.failure.is_none() && earlier.failure.is_some() {
            self.failure = earlier.failure;
            self.exhausted |= earlier.exhausted;
        }
        self.finding = self.finding.or(earlier.finding);
        self.replays = self.replays.max(earlier.replays);
        for line in earlier.lines {
            if let Err(at) = self.lines.binary_search_by_key(&line.number, |known| known.number) {
                self.lines.insert(at, line);
            }
        }
        while self.lines.len() > LINES_MAX {
            self.lines.remove(LINES_MAX / 2);
        }
        self
    }

    /// Is there nothing left to do or to wait for?
    pub fn is_settled(&self) -> bool {
        match &self.failure {
            Some(failure) => !failure.is_open(),
            None => matches!(self.outcome, Outcome::Accepted | Outcome::Rejected) || self.exhausted,
        }
    }

    /// Its latest attempt.
    pub const fn attempt(&self) -> AttemptId {
        AttemptId { send: self.send, number: self.attempts }
    }
}

impl fmt::Debug for AttemptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptLine")
            .field("number", &self.number)
            .field("outcome", &self.outcome)
            .field("cause", &self.cause)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl AttemptLine {
    fn of(ended: &Ended) -> Self {
        Self {
            number: ended.attempt.number,
            via: ended.via,
            started: ended.started,
            ended: ended.ended,
            outcome: ended.outcome,
            cause: ended.cause,
            status: ended.status,
            detail: ended.detail.clone(),
            message_id: ended.message_id.clone(),
        }
    }
}
