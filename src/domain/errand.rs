//! What the heart wants done outside, and what came of it. Nothing here does anything: the hands are `crate::errands`.

use std::sync::Arc;
use std::time::Duration;

use super::alert::Alert;
use super::bot::BotFound;
use super::confirmation::{Confirmation, MessageId};
use super::delivery::{Channel, Recipient};
use super::id::{ChatId, RecordId, SendId, SessionName};
use super::ledger::AttemptId;
use super::outcome::{Cause, Outcome};
use super::probe::ProbeResult;
use super::send::Description;
use super::time::Timestamp;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Ask WAHA how the session is.
    Probe(SessionName),
    /// Ask the bot's health URL whether the bot lives.
    ProbeBot,
    /// Ask WAHA whether a send went out after all.
    Look(Look),
    /// Send a kept request again, under the name of its send.
    Replay(Replay),
    /// Write a message of our own.
    Write(Letter),
    /// Tell the admins of an alert, but over WhatsApp.
    Tell(Telling),
    /// Ask WAHA whether a chat's number is on WhatsApp.
    CheckNumber {
        /// For which diagnosis.
        diagnosis: RecordId,
        /// The session to ask through.
        session: SessionName,
        /// The chat.
        chat: ChatId,
    },
}

impl Errand {
    /// Does it wait until all that was decided is on disk? What only asks need not; a look reads the kept request there.
    pub const fn waits_for_disk(&self) -> bool {
        match self {
            Self::Probe(_) | Self::ProbeBot | Self::CheckNumber { .. } => false,
            Self::Look(_) | Self::Replay(_) | Self::Write(_) | Self::Tell(_) => true,
        }
    }

    /// Is it done even where nothing can be written down? Admins are told rather twice than not at all; customers never unrecorded.
    pub const fn goes_unrecorded(&self) -> bool {
        match self {
            Self::Write(letter) => matches!(letter.text.kind(), LetterKind::Alert | LetterKind::AdminNotice),
            Self::Look(_) | Self::Replay(_) => false,
            Self::Probe(_) | Self::ProbeBot | Self::Tell(_) | Self::CheckNumber { .. } => true,
        }
    }

    /// The report of one that was not begun, because nothing can be written down.
    pub fn undone(self) -> Report {
        match self {
            Self::Probe(session) => {
                Report::Probed { session, result: ProbeResult::Strange, took: Duration::ZERO }
            }
            Self::ProbeBot => Report::BotProbed { found: BotFound::NotAsked },
            Self::CheckNumber { diagnosis, .. } => Report::NumberChecked { diagnosis, exists: None },
            Self::Look(look) => Report::Looked { send: look.send, found: Looked::Failed },
            Self::Replay(replay) => {
                Report::NotReplayed { send: replay.attempt.send, why: NotReplayed::Unwritable }
            }
            Self::Write(letter) => Report::NotWritten { id: letter.id, kind: letter.text.kind() },
            Self::Tell(Telling { alert, channel }) => {
                let why = Some("nothing can be written down".to_owned());
                Report::Told { alert: alert.id, channel, outcome: Outcome::Failed, why, reached: Vec::new() }
            }
        }
    }
}

/// Whether a send went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The send.
    pub send: SendId,
    /// Its session and chat.
    pub what: Arc<Description>,
    /// The message's id, where it is known.
    pub message: Option<MessageId>,
    /// From then on.
    pub since: Timestamp,
    /// The last attempt ended then: until 130 s later "not found" proves nothing.
    pub ended: Timestamp,
}

/// WAHA may send late: not found counts only so long after the attempt ended (SPEC 4.4).
pub const LATE_MAX: Duration = Duration::from_secs(130);

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It went out.
    Found {
        /// Its message.
        message: MessageId,
        /// How far it got.
        confirmation: Confirmation,
    },
    /// It did not.
    Absent,
    /// WAHA cannot tell: no store, no such endpoint, nothing to look for.
    Impossible,
    /// No answer now; worth another look.
    Failed,
}

impl Looked {
    /// Its message, where it went out.
    pub fn message(self) -> Option<MessageId> {
        match self {
            Self::Found { message, .. } => Some(message),
            Self::Absent | Self::Impossible | Self::Failed => None,
        }
    }

    /// The words of all answers, in the order that label sets are created.
    pub const WORDS: [&'static str; 4] = ["found", "absent", "impossible", "failed"];

    /// The word of the metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::Absent => "absent",
            Self::Impossible => "impossible",
            Self::Failed => "failed",
        }
    }
}

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The attempt it makes.
    pub attempt: AttemptId,
    /// When the send's first attempt started.
    pub first_at: Timestamp,
    /// What is sent.
    pub what: Arc<Description>,
    /// The message id that all replays of this send share, where the engine takes one.
    pub message: Option<MessageId>,
}

/// An alert for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// What is told.
    pub alert: Box<Alert>,
    /// How; never [`Channel::Whatsapp`], which a [`Letter`] goes by.
    pub channel: Channel,
}

/// A message of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its id: of the diagnosis, the alert, or its own.
    pub id: RecordId,
    /// The session to send it through.
    pub session: SessionName,
    /// To whom.
    pub chat: ChatId,
    /// What.
    pub text: LetterText,
}

/// What a message of our own says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterText {
    /// To the customer of a send that was given up.
    QuickMessage(Arc<Description>),
    /// To the admin: this customer could not be told.
    AdminNotice {
        /// What was not told.
        what: Arc<Description>,
        /// After how many attempts.
        attempts: u32,
        /// Why.
        cause: Cause,
        /// How many other sends wait for the same verdict.
        others: u32,
    },
    /// To the admin: an alert.
    Alert(Box<Alert>),
    /// To the admin: is the channel back?
    Canary,
}

/// What came of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A probe.
    Probed {
        /// The session.
        session: SessionName,
        /// What it found.
        result: ProbeResult,
        /// How long it took.
        took: Duration,
    },
    /// The bot was asked.
    BotProbed {
        /// What that found.
        found: BotFound,
    },
    /// A look.
    Looked {
        /// The send.
        send: SendId,
        /// What it found.
        found: Looked,
    },
    /// A replay did not begin. One that did is told by the ledger.
    NotReplayed {
        /// The send.
        send: SendId,
        /// Why.
        why: NotReplayed,
    },
    /// A letter.
    Wrote {
        /// Its id.
        id: RecordId,
        /// The kind of letter, and for whom.
        kind: LetterKind,
        /// How it ended.
        outcome: Outcome,
        /// Why, where it was not accepted.
        cause: Option<Cause>,
        /// Its message, where the answer named it.
        message: Option<MessageId>,
    },
    /// An alert was told, or was not.
    Told {
        /// The alert.
        alert: RecordId,
        /// The channel.
        channel: Channel,
        /// How it ended: accepted, rejected for good, failed, or nobody knows.
        outcome: Outcome,
        /// Why, where it was not accepted: words without any address, name or secret.
        why: Option<String>,
        /// Who of several recipients has it since this try.
        reached: Vec<Recipient>,
    },
    /// One of several recipients of an alert has it; the others are still being told.
    Reached {
        /// The alert.
        alert: RecordId,
        /// The channel.
        channel: Channel,
        /// Who.
        who: Recipient,
    },
    /// A letter was not begun: it could not be recorded.
    NotWritten {
        /// Its id.
        id: RecordId,
        /// The kind of letter, and for whom.
        kind: LetterKind,
    },
    /// A number was asked about; `None` where there was no answer.
    NumberChecked {
        /// For which diagnosis.
        diagnosis: RecordId,
        /// Is it on WhatsApp?
        exists: Option<bool>,
    },
}

/// The kind of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterKind {
    /// [`LetterText::QuickMessage`].
    QuickMessage,
    /// [`LetterText::AdminNotice`].
    AdminNotice,
    /// [`LetterText::Alert`].
    Alert,
    /// [`LetterText::Canary`].
    Canary,
}

impl LetterText {
    /// Its kind.
    pub const fn kind(&self) -> LetterKind {
        match self {
            Self::QuickMessage(_) => LetterKind::QuickMessage,
            Self::AdminNotice { .. } => LetterKind::AdminNotice,
            Self::Alert(_) => LetterKind::Alert,
            Self::Canary => LetterKind::Canary,
        }
    }
}

/// Why a replay did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReplayed {
    /// The bot is sending it itself right now, or has just succeeded.
    BotHasIt,
    /// Its intent could not be recorded in time; it may still be.
    Unrecorded,
    /// Nothing can be written down: there was not even an intent.
    Unwritable,
    /// Its request is not kept any more.
    NothingKept,
    /// It was settled meanwhile.
    Settled,
}
