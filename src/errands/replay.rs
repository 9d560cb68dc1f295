//! A kept request goes out again, under the name of its send (SPEC 4.4).
//!
//! The intent is on disk before the first byte leaves: without it a restart could not know that the customer may have been told, and would
//! tell twice. From then on the ledger tells how it ended.

use std::cell::Cell;
use std::sync::Arc;

use super::Hands;
use crate::domain::errand::{NotReplayed, Replay};
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredAnswer, Via};
use crate::domain::live::RunEnd;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::send::Content;
use crate::domain::time::Timestamp;

impl Hands {
    /// Sends again. Where it does not begin, nothing was sent.
    pub(super) async fn replay(&self, replay: &Replay, begun: &Cell<bool>) -> Result<(), NotReplayed> {
        let request = match self.reader.request(replay.attempt.send) {
            Ok(Some(request)) => request,
            Ok(None) => return Err(NotReplayed::NothingKept),
            // A store that cannot be read cannot be written either.
            Err(_) => return Err(NotReplayed::Unwritable),
        };
        let content = Content::of(&request.method, &request.target, &request.body);
        let identity = replay.what.identity;
        let attempt = self.live.begin(replay, content).ok_or(NotReplayed::BotHasIt)?;
        let started = self.clock.now();
        let mut place = Place { hands: self, replay, attempt, started, phase: Phase::Joined };
        let intent = Intent {
            attempt,
            via: Via::Replay,
            first_at: replay.first_at,
            started,
            what: Arc::clone(&replay.what),
            request: None,
        };
        if !self.lane.record(Entry::Intent(intent)).await {
            // It may be recorded later all the same, and must not look like a replay that runs.
            place.leave(RunEnd::NotBegun);
            return Err(NotReplayed::Unrecorded);
        }
        begun.set(true);
        place.phase = Phase::Begun;
        let setup = self.setup.load_full();
        let sent = setup.client.send(&request, replay.message.as_ref(), setup.limits.send).await;
        // Where nothing joins a retry of the bot to this send, nobody will ask for the answer.
        let accepted = sent.kept(content).filter(|_| identity.is_some());
        let ended = Ended {
            status: sent.status,
            detail: sent.detail,
            message_id: sent.message_id.map(|id| id.as_str().into()),
            unheard: accepted.clone().map(Arc::new),
            ..place.ended(sent.outcome, sent.cause)
        };
        place.phase = Phase::Told;
        self.lane.record(Entry::Ended(Box::new(ended))).await;
        let doubtful = matches!(sent.outcome, Outcome::Accepted | Outcome::Ambiguous);
        place.leave(accepted.map_or(RunEnd::Unsuccessful { doubtful }, RunEnd::Accepted));
        Ok(())
    }
}

/// How far a replay got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// In the table of live sends, not on disk.
    Joined,
    /// Its intent is on disk.
    Begun,
    /// Its end has been handed to the store.
    Told,
    /// Out of the table.
    Left,
}

/// A replay's place in the table of live sends and in the ledger. Where it ends without leaving it (a bug, or the end of the process), it
/// counts as one that may have been sent.
struct Place<'a> {
    hands: &'a Hands,
    replay: &'a Replay,
    attempt: AttemptId,
    started: Timestamp,
    phase: Phase,
}

impl Place<'_> {
    fn ended(&self, outcome: Outcome, cause: Option<Cause>) -> Ended {
        Ended {
            attempt: self.attempt,
            via: Via::Replay,
            first_at: self.replay.first_at,
            started: self.started,
            ended: self.hands.clock.now(),
            what: Arc::clone(&self.replay.what),
            outcome,
            cause,
            status: None,
            detail: None,
            message_id: None,
            given_up: false,
            unheard: None,
            request: None,
        }
    }

    fn leave(&mut self, end: RunEnd<StoredAnswer>) {
        self.phase = Phase::Left;
        self.hands.live.end(self.replay.what.identity, self.replay.attempt.send, end);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.phase == Phase::Begun {
            let ended = self.ended(Outcome::Ambiguous, Some(Cause::Interrupted));
            self.hands.lane.note(Entry::Ended(Box::new(ended)));
        }
        match self.phase {
            Phase::Joined => self.leave(RunEnd::NotBegun),
            Phase::Begun | Phase::Told => self.leave(RunEnd::Unsuccessful { doubtful: true }),
            Phase::Left => {}
        }
    }
}
