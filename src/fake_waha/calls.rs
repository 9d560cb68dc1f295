//! The log of send calls: what reached the look-alike, and how each call ended for its caller.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Calls kept; the oldest go first.
const KEPT: usize = 100_000;

/// One call of a sending endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendCall {
    /// Counted from 1 since the start or the last reset.
    pub number: u64,
    /// When its body was read.
    pub at: DateTime<Utc>,
    /// The path as called, without query.
    pub path: String,
    /// The session asked for, if it was a string.
    pub session: Option<String>,
    /// The chat as the caller wrote it, if it was a string.
    pub chat: Option<String>,
    /// Text, caption, title or question.
    pub text: Option<String>,
    /// The message id chosen by the caller.
    pub given_id: Option<String>,
    /// How it ended so far.
    pub outcome: CallOutcome,
}

/// How a send call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// Not yet.
    Running,
    /// With this status, whether the caller was still there or not.
    Answered(u16),
    /// Cut before anything happened.
    DroppedUnprocessed,
    /// Cut after it was processed.
    DroppedProcessed,
    /// Processed, with an answer cut in the middle.
    Truncated,
    /// It never will.
    Hung,
}

#[derive(Debug, Default)]
struct Log {
    received: u64,
    calls: VecDeque<SendCall>,
}

/// The live log behind a snapshot of [`SendCall`]s.
#[derive(Debug, Default)]
pub(super) struct CallLog(Mutex<Log>);

/// Names a call whose end is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallNumber(u64);

impl CallLog {
    /// Writes down a call; its `number` is given here.
    pub(super) fn begin(&self, mut call: SendCall) -> CallNumber {
        let mut log = self.lock();
        log.received += 1;
        call.number = log.received;
        if log.calls.len() >= KEPT {
            log.calls.pop_front();
        }
        log.calls.push_back(call);
        CallNumber(log.received)
    }

    pub(super) fn end(&self, number: CallNumber, outcome: CallOutcome) {
        let mut log = self.lock();
        let behind = usize::try_from(log.received.saturating_sub(number.0)).unwrap_or(usize::MAX);
        // A reset in between leaves nothing of that number.
        if let Some(place) = log.calls.len().checked_sub(behind.saturating_add(1))
            && let Some(call) = log.calls.get_mut(place)
            && call.number == number.0
        {
            call.outcome = outcome;
        }
    }

    pub(super) fn snapshot(&self) -> Vec<SendCall> {
        self.lock().calls.iter().cloned().collect()
    }

    pub(super) fn reset(&self) {
        *self.lock() = Log::default();
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> SendCall {
        SendCall {
            number: 0,
            at: Utc::now(),
            path: "/api/sendText".into(),
            session: None,
            chat: None,
            text: None,
            given_id: None,
            outcome: CallOutcome::Running,
        }
    }

    #[test]
    fn each_call_gets_its_own_end() {
        let log = CallLog::default();
        let (first, second) = (log.begin(call()), log.begin(call()));
        log.end(second, CallOutcome::Answered(201));
        log.end(first, CallOutcome::Hung);
        let outcomes: Vec<_> = log.snapshot().iter().map(|call| call.outcome).collect();
        assert_eq!(outcomes, [CallOutcome::Hung, CallOutcome::Answered(201)]);
    }

    #[test]
    fn the_end_of_a_call_before_a_reset_touches_no_later_one() {
        let log = CallLog::default();
        log.begin(call());
        let old = log.begin(call());
        log.reset();
        log.begin(call());
        log.end(old, CallOutcome::Hung);
        assert_eq!(log.snapshot()[0].outcome, CallOutcome::Running);
    }
}
