//! An incident: from leaving `online` to being back, with what happened in between (SPEC 2, 8).

use std::time::Duration;

use super::id::{RecordId, SendId, SessionName};
use super::status::{Assessment, Status};
use super::time::Timestamp;

/// Most lines of the timeline that are kept; of a longer one the middle goes.
pub const LINES_MAX: usize = 200;
/// Most affected sends that are kept by name; beyond it they are only counted.
pub const AFFECTED_MAX: usize = 1000;

/// An incident of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: RecordId,
    /// Its session.
    pub session: SessionName,
    /// When the session left `online`.
    pub start: Timestamp,
    /// When it was back; open while `None`.
    pub end: Option<Timestamp>,
    /// The worst it came to.
    pub worst: Status,
    /// What happened.
    pub timeline: Vec<Line>,
    /// Sends whose customers were not told meanwhile, the first [`AFFECTED_MAX`].
    pub affected: Vec<SendId>,
    /// How many there were.
    pub affected_count: u32,
    /// How many of them were sent again by us.
    pub replayed: u32,
    /// How many were left for people when it ended.
    pub left: u32,
    /// Well again since then, and not long enough to believe it.
    pub well_since: Option<Timestamp>,
    /// What of it was alerted.
    pub announced: Announced,
}

/// What of an incident was alerted: each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// That probes fail.
    pub preventive: bool,
    /// That the channel is dead.
    pub loss: bool,
    /// That the account is restricted.
    pub restricted: bool,
    /// That the bot is gone.
    pub gone: bool,
}

impl Announced {
    /// Was anything?
    pub const fn anything(self) -> bool {
        self.preventive || self.loss || self.restricted || self.gone
    }
}

/// A line of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What the status was from then on.
    pub to: Assessment,
}

impl Incident {
    /// It begins.
    pub fn open(id: RecordId, session: SessionName, at: Timestamp, to: Assessment) -> Self {
        Self {
            id,
            session,
            start: at,
            end: None,
            worst: to.status,
            timeline: vec![Line { at, to }],
            affected: Vec::new(),
            affected_count: 0,
            replayed: 0,
            left: 0,
            well_since: None,
            announced: Announced::default(),
        }
    }

    /// The status changed.
    pub fn note(&mut self, at: Timestamp, to: Assessment) {
        if to.status.badness() > self.worst.badness() {
            self.worst = to.status;
        }
        if self.timeline.len() == LINES_MAX {
            self.timeline.remove(LINES_MAX / 2);
        }
        self.timeline.push(Line { at, to });
    }

    /// A customer was not told.
    pub fn affect(&mut self, send: SendId) {
        if self.affected.contains(&send) {
            return;
        }
        self.affected_count = self.affected_count.saturating_add(1);
        if self.affected.len() < AFFECTED_MAX {
            self.affected.push(send);
        }
    }

    /// The wall clock was set by `step` milliseconds while nothing ran: it lasts as long as it lasts.
    pub fn stepped(&mut self, step: i64) {
        self.start = self.start.stepped(step);
        self.well_since = self.well_since.map(|at| at.stepped(step));
        self.timeline.iter_mut().for_each(|line| line.at = line.at.stepped(step));
    }

    /// How long it lasted, or lasts. Never negative.
    pub fn downtime(&self, now: Timestamp) -> Duration {
        self.end.unwrap_or(now).since(self.start)
    }
}
