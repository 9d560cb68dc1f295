//! How Alertmanager and the dead man's switch have been lately, for whoever looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::delivery::{Reach, Steady};
use crate::domain::time::Timestamp;

/// What is known of each.
#[derive(Debug, Default)]
pub struct SteadyBoard(Mutex<BTreeMap<Steady, Noted>>);

/// What is known of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// How it has been.
    pub reach: Reach,
    /// So much of it waits.
    pub waiting: usize,
}

impl SteadyBoard {
    /// A try ended so, or failed for that reason, and so much waits.
    pub(super) fn note(&self, to: Steady, told: Result<(), String>, waiting: usize, now: Timestamp) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = board.entry(to).or_default();
        match told {
            Ok(()) => noted.reach.accepted(now),
            Err(why) => noted.reach.failed(Some(why), now),
        }
        noted.waiting = waiting;
    }

    /// What is known of it.
    pub fn of(&self, to: Steady) -> Noted {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&to).cloned().unwrap_or_default()
    }
}
