//! What people and the bot ask the heart to do (SPEC 11), and what it answers.

use std::time::Duration;

use super::case::Case;
use super::delivery::Channel;
use super::forget::Forgotten;
use super::id::{RecordId, SendId, SessionName};
use super::ledger::Position;
use super::notification::Method;
use super::order::OrderFacts;
use super::time::Timestamp;

/// Somebody's wish.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a failed notification again now.
    Retry(SendId),
    /// A person has settled a failed notification.
    Resolve {
        /// Which.
        send: SendId,
        /// How.
        method: Method,
        /// What they wrote down.
        note: Option<String>,
    },
    /// A person takes a failed notification.
    Claim(SendId),
    /// A settled one is open again: as it was stored.
    Reopen(Box<Case>),
    /// Probe now.
    Probe(SessionName),
    /// Send nothing again by yourself until resumed.
    PauseRecovery,
    /// Go on.
    ResumeRecovery,
    /// A session is about to be restarted by hand: to be written down before it is.
    NoteRestart(SessionName),
    /// A customer's number is about to be shown to a person: to be written down before it is.
    NoteReveal(SendId),
    /// The bot is about to be restarted by hand: to be written down before it is.
    NoteBotRestart,
    /// A customer is to be forgotten: to be written down before it is begun.
    NoteForget,
    /// Take a customer out of these settled cases, and of the ledger at these positions.
    Forget {
        /// Whom.
        customer: Forgotten,
        /// The cases, as they were stored.
        cases: Vec<Case>,
        /// The positions.
        positions: Vec<Position>,
    },
    /// Take a customer out of all that is remembered beside the cases: the end of forgetting them.
    ForgetRest(Forgotten),
    /// Nothing of what was taken out is to be left in the store's file.
    Rewrite,
    /// A copy of the records is about to be handed out.
    NoteBackup,
    /// The bot lives.
    Heartbeat,
    /// The bot could not tell a customer: find out why.
    Diagnose {
        /// Through which session it tried.
        session: SessionName,
        /// What it had to tell, and to whom.
        order: OrderFacts,
    },
    /// Try the way to the admins: an alert about an incident that is none.
    BeginDrill {
        /// The session it pretends to be about.
        session: SessionName,
        /// It ends by itself after so long, at most [`super::drill::LAST_MAX`].
        lasts: Duration,
    },
    /// The drill is over.
    EndDrill,
    /// Try channels: these, or all where none is named.
    TestChannels(Vec<Channel>),
}

impl Command {
    /// The word of the audit.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Resolve { .. } => "resolve",
            Self::Claim(_) => "claim",
            Self::Reopen(_) => "reopen",
            Self::Probe(_) => "probe",
            Self::PauseRecovery => "pause_recovery",
            Self::ResumeRecovery => "resume_recovery",
            Self::NoteRestart(_) => "restart_session",
            Self::NoteReveal(_) => "reveal_phone",
            Self::NoteBotRestart => "restart_bot",
            Self::NoteForget | Self::Forget { .. } | Self::ForgetRest(_) | Self::Rewrite => "forget",
            Self::NoteBackup => "backup",
            Self::Heartbeat => "heartbeat",
            Self::Diagnose { .. } => "diagnose",
            Self::BeginDrill { .. } => "begin_drill",
            Self::EndDrill => "end_drill",
            Self::TestChannels(_) => "test_channels",
        }
    }
}

/// What the heart says to a wish, once what follows from it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// It runs; its end is told by [`Ending`].
    Begun(Pending),
    /// An alert was raised; its deliveries tell how it goes.
    Alerted(RecordId),
    /// It cannot be done.
    Refused(Refusal),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pending {
    /// A replay of this send.
    Replay(SendId),
    /// A probe of this session.
    Probe(SessionName),
    /// The diagnosis of this send.
    Diagnosis(SendId),
}

/// Why a wish cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such open failed notification.
    #[error("there is no open failed notification with this id")]
    NotOpen,
    /// It is not settled.
    #[error("this failed notification is open already")]
    NotSettled,
    /// Its request is not kept.
    #[error(
        "its request is not kept, so it cannot be sent again: tell the customer another way and mark it contacted"
    )]
    NothingKept,
    /// WAHA's answer was final.
    #[error("WAHA rejected it for good: sending it again cannot help")]
    RejectedForGood,
    /// The bot is sending it right now.
    #[error("the bot is sending it itself right now")]
    BotHasIt,
    /// Somebody else has taken it.
    #[error("somebody else has taken it")]
    ClaimedByAnother,
    /// Not one of `waha.sessions`.
    #[error("this session is not one of waha.sessions")]
    UnknownSession,
    /// Nobody to write to: no phone.
    #[error("the report names no customer phone and no order, so there is nothing to diagnose")]
    NothingToDiagnose,
    /// One drill at a time.
    #[error("a drill is running already; end it first")]
    DrillRuns,
    /// None runs.
    #[error("no drill is running")]
    NoDrill,
    /// The channel is not configured.
    #[error("this alert channel is not configured: see [alerts] in the configuration")]
    NoChannel,
    /// It could not be recorded.
    #[error("the store cannot be written right now, and nothing is sent again unrecorded")]
    Unrecorded,
}

/// Who did what, and when. Append-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Its id.
    pub id: RecordId,
    /// When.
    pub at: Timestamp,
    /// Who: the token's name.
    pub who: String,
    /// What: [`Command::as_str`], or a word of the admin's own.
    pub action: String,
    /// On what: an id or a session's name.
    pub target: Option<String>,
}
