//! What comes into the heart and what goes out: events, changes, notices, decisions.

use std::sync::Arc;
use std::time::Duration;

use super::super::alert::Alert;
use super::super::bot::BotFound;
use super::super::case::Case;
use super::super::command::{Audit, Pending};
use super::super::confirmation::{Awaiting, Confirmation, Confirmed, FeedItem, FeedState, MessageId};
use super::super::delivery::{Channel, Delivered};
use super::super::diagnosis::{Diagnosis, Finding};
use super::super::drill::Drill;
use super::super::errand::{Errand, Looked, NotReplayed, Report};
use super::super::forget::Forgotten;
use super::super::id::{ChatId, RecordId, SendId, SessionName};
use super::super::incident::Incident;
use super::super::ledger::{AttemptId, Ended, Entry, Position, StoredAnswer, StoredRequest};
use super::super::notification::Method;
use super::super::outcome::{Cause, Outcome};
use super::super::probe::ProbeResult;
use super::super::send::{Description, Identity};
use super::super::session::Session;
use super::super::status::StatusChange;
use super::super::time::Timestamp;

/// What to write down.
#[derive(Clone, Debug)]
pub enum Change {
    /// This is the case now.
    Case(Box<Case>),
    /// Keep this request for the send.
    Keep(SendId, Arc<StoredRequest>),
    /// The send's request is not needed any more.
    Drop(SendId),
    /// Keep this answer for a bot that did not hear it.
    Unheard(Box<Unheard>),
    /// Nobody will ask for that answer any more.
    Heard(SendId),
    /// This is the session now.
    Session(Box<Session>),
    /// The status changed.
    History(StatusChange),
    /// This is the session's diagnosis now; kept once it is over, for late corrections.
    Diagnosis(Box<Diagnosis>),
    /// This is the incident now.
    Incident(Box<Incident>),
    /// This is the alert now.
    Alert(Box<Alert>),
    /// This send waits for its ack.
    Awaiting(Box<Awaiting>),
    /// It waits no longer: this is what was heard.
    Confirmed(Confirmed),
    /// Somebody did something.
    Audit(Box<Audit>),
    /// Take the customer out of what the ledger says at these positions.
    Forget(Forgotten, Vec<Position>),
    /// What was taken out is to be gone from the file too, and not only from its rows.
    Rewrite,
    /// Replays wait for a person, or do not.
    Paused(bool),
    /// This is the latest drill now.
    Drill(Box<Drill>),
}

/// What a store knows, for a heart that takes it up.
#[derive(Debug, Default)]
pub struct Stored {
    /// Cases that are not settled.
    pub cases: Vec<Case>,
    /// Sessions.
    pub sessions: Vec<Session>,
    /// Successes nobody heard of.
    pub unheard: Vec<Unheard>,
    /// The latest diagnosis of each session.
    pub diagnoses: Vec<Diagnosis>,
    /// Open incidents.
    pub incidents: Vec<Incident>,
    /// Alerts not told.
    pub alerts: Vec<Alert>,
    /// Accepted sends that wait for their ack.
    pub awaiting: Vec<Awaiting>,
    /// What was accepted lately.
    pub accepted: Vec<(Arc<Description>, Timestamp)>,
    /// Customers a quick message was written to lately.
    pub written: Vec<(ChatId, Timestamp)>,
    /// People want no replays.
    pub paused: bool,
    /// The latest drill.
    pub drill: Option<Drill>,
    /// By how many milliseconds the wall clock was set since this was written.
    pub stepped: i64,
}

/// A success the bot has not heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// Its latest attempt.
    pub attempt: AttemptId,
    /// What joins calls to it.
    pub identity: Identity,
    /// When the send's first attempt started.
    pub first_at: Timestamp,
    /// When it succeeded.
    pub ended: Timestamp,
    /// What to answer.
    pub answer: Arc<StoredAnswer>,
}

/// Worth counting or telling, once the changes are on disk.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// A failed notification was opened.
    Opened {
        /// The send.
        send: SendId,
        /// What it was.
        what: Arc<Description>,
        /// Why.
        cause: Cause,
        /// After how many attempts.
        attempts: u32,
    },
    /// A failed notification was settled.
    Settled {
        /// The send.
        send: SendId,
        /// What it was.
        what: Arc<Description>,
        /// How.
        method: Method,
        /// How long it was open.
        took: Duration,
    },
    /// A send was given up, whether or not it notifies anybody.
    GivenUp {
        /// What it was.
        what: Arc<Description>,
    },
    /// A send succeeded after retries.
    Retried {
        /// What it was.
        what: Arc<Description>,
    },
    /// An attempt that was not a send's first.
    Retry {
        /// What it was.
        what: Arc<Description>,
    },
    /// A session's status changed.
    Status(StatusChange),
    /// A probe came back.
    Probed {
        /// The session.
        session: SessionName,
        /// What it found.
        result: ProbeResult,
        /// How long it took.
        took: Duration,
    },
    /// The bot was asked whether it lives.
    BotProbed {
        /// What that found.
        found: BotFound,
    },
    /// A diagnosis is over.
    Diagnosed {
        /// The session.
        session: SessionName,
        /// What it found.
        finding: Box<Finding>,
        /// How long it took.
        took: Duration,
        /// How many sends share it.
        sends: usize,
    },
    /// Something was heard of an accepted send.
    Confirmed {
        /// The session.
        session: SessionName,
        /// What.
        confirmation: Confirmation,
    },
    /// A replay is over.
    Replayed {
        /// What it was.
        what: Arc<Description>,
        /// How it ended.
        outcome: Outcome,
    },
    /// A replay did not begin.
    NotReplayed {
        /// The session.
        session: SessionName,
    },
    /// A run of replays is over: nothing more may go out, or a new outage cut it.
    RunOver {
        /// The session.
        session: SessionName,
        /// Was it cut?
        cut: bool,
    },
    /// WAHA was asked whether a send had gone out.
    Looked {
        /// The session.
        session: SessionName,
        /// What it said.
        found: Looked,
    },
    /// An incident was opened.
    IncidentOpened(Box<Incident>),
    /// An incident is over.
    IncidentClosed(Box<Incident>),
    /// An alert is on its way.
    Alerting(Box<Alert>),
    /// Somebody did something.
    Acted(Box<Audit>),
    /// A channel told an alert, or did not.
    Delivered {
        /// The session it is about.
        session: SessionName,
        /// The alert.
        alert: RecordId,
        /// The channel.
        channel: Channel,
        /// How it ended.
        how: Delivered,
    },
}

/// What an event led to.
#[derive(Debug, Default)]
#[must_use]
pub struct Decision {
    /// To be committed together.
    pub changes: Vec<Change>,
    /// To be counted and told after that.
    pub notices: Vec<Notice>,
    /// To be done: after that, but for those that only ask.
    pub errands: Vec<Errand>,
    /// What somebody waited for.
    pub endings: Vec<(Pending, Ending)>,
    /// To be noted in the ledger: what is known of an attempt without anybody having made one. It comes back like every other entry.
    pub notes: Vec<Ended>,
    /// Sends that a look has shown to have gone out: a late retry of the bot must hear so.
    pub reconciled: Vec<Reconciled>,
}

/// A look has shown that a send had gone out after all.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// The send.
    pub send: SendId,
    /// What it was.
    pub what: Arc<Description>,
    /// Its message.
    pub message: MessageId,
}

/// How something that somebody waited for ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The replay ended so.
    Replayed(Outcome, Option<Cause>),
    /// The same, and it may have arrived before: WAHA could not say.
    ReplayedUnchecked(Outcome, Option<Cause>),
    /// It was not sent again: it had gone out already.
    HadGoneOut,
    /// The replay did not begin.
    NotReplayed(NotReplayed),
    /// The probe found this.
    Probed(ProbeResult),
    /// The diagnosis found this.
    Diagnosed(Box<Finding>),
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An entry of the ledger, in its order; position zero for what could not be recorded.
    Entry(Position, Entry),
    /// An errand is done.
    Report(Report),
    /// The event feed changed its state.
    Feed(FeedState),
    /// The event feed told something.
    Heard(FeedItem),
    /// Time passed.
    Tick,
}
