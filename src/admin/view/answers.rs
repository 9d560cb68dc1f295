//! The JSON forms of answers to what somebody asked for, and of what is no record: readiness, lines of the log.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::word::{CauseWord, OutcomeWord, ProbeWord, StatusWord, VerdictWord};
use super::{FailedNotification, Moment, StoreView};

/// Does it serve?
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Calls of the bot are accepted.
    pub ready: bool,
    /// How recording goes.
    pub store: StoreView,
}

/// Done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// Always.
    pub success: bool,
}

impl Done {
    /// Done.
    pub const YES: Self = Self { success: true };
}

/// Done, and the record as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Acted {
    /// Always.
    pub success: bool,
    /// The record as it is now.
    pub notification: Option<FailedNotification>,
}

/// How sending again ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// It was accepted.
    pub success: bool,
    /// How it truly ended.
    pub outcome: OutcomeWord,
    /// Why it was not accepted.
    pub cause: Option<CauseWord>,
    /// The cause, for people.
    pub message: Option<&'static str>,
    /// A look has shown that it had gone out: nothing was sent again.
    pub reconciled: bool,
    /// It may have gone out before, and WAHA could not tell: it was sent all the same.
    pub unchecked: bool,
}

/// Whether anything is sent again by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoverySet {
    /// Always.
    pub success: bool,
    /// Nothing is, until resumed.
    pub paused: bool,
}

/// What a probe found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Probed {
    /// The session.
    pub session: String,
    /// What was found.
    pub result: ProbeWord,
    /// Is that well?
    pub healthy: bool,
    /// The same as a sentence.
    pub message: &'static str,
    /// What to do about it; null where it is well.
    pub instruction: Option<&'static str>,
}

/// A session was restarted.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionRestarted {
    /// Always.
    pub success: bool,
    /// The session.
    pub session: String,
    /// What it was before.
    pub was: ProbeWord,
}

/// The restart hook has taken the wish.
#[derive(Debug, Serialize, ToSchema)]
pub struct BotRestarted {
    /// Always.
    pub success: bool,
    /// The hook's HTTP status.
    pub status: u16,
}

/// Why a customer could not be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Diagnosed {
    /// True: the channel lives. False: nobody could be reached. Null: there was nobody to write to.
    pub bot_reachable: Option<bool>,
    /// Was the message to the customer accepted?
    pub user_reached: bool,
    /// And that to the admin? Null where none was written.
    pub admin_reached: Option<bool>,
    /// `degraded` or `incommunicado_critico`; where it proves nothing, that of the session.
    pub status: StatusWord,
    /// The failed notification it is recorded as.
    pub failure_id: Option<String>,
    /// What was found.
    pub failure_type: VerdictWord,
    /// All that speaks for it, as a sentence.
    pub evidence: String,
    /// When.
    pub created_at: Moment,
}

/// A customer was forgotten.
#[derive(Debug, Serialize, ToSchema)]
pub struct Forgot {
    /// Always.
    pub success: bool,
    /// Attempts that do not name the customer any more.
    pub attempts: usize,
    /// Settled failed notifications that do not.
    pub notifications: usize,
    /// Records that are open and still do.
    pub open_count: usize,
    /// The ids of the first hundred of them.
    pub open: Vec<String>,
    /// Rows of the store that still hold the number: those of what is open, or still running.
    pub rows_left: usize,
    /// Broken stores that were once set aside beside this one, and may hold it too: for you to delete.
    pub files_left: Vec<String>,
}

/// A line of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// Ascending, over restarts too.
    pub id: u64,
    /// When.
    pub at: Moment,
    /// How grave it is.
    pub level: LogLevel,
    /// Which part of the program says it.
    pub target: &'static str,
    /// What it says.
    pub message: String,
    /// And about what.
    pub fields: BTreeMap<&'static str, String>,
}

/// How grave a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Somebody should act.
    Error,
    /// Something is wrong.
    Warn,
    /// Something happened.
    Info,
    /// For whoever looks closely.
    Debug,
    /// And closer.
    Trace,
}
