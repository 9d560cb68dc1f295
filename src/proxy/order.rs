//! One send of a chat at a time, where the proxy retries: a later message must not overtake one that is being tried again.
//!
//! Where the bot retries, order is the bot's own: its calls pass as they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::domain::id::{ChatId, SessionName};

type Key = (Option<SessionName>, ChatId);

/// Whose turn it is in each chat.
#[derive(Debug, Default)]
pub(super) struct ChatOrder(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// A send's turn in its chat; the next one has its turn when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl ChatOrder {
    /// Waits for the turn; those who wait are served as they came.
    pub(super) async fn turn(&self, session: Option<&SessionName>, chat: &ChatId) -> Turn {
        let queue = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody else holds a queue that only this table knows: its chat is at rest.
            if queues.len() >= SWEEP_AT {
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }
            Arc::clone(queues.entry((session.cloned(), chat.clone())).or_default())
        };
        Turn { _held: queue.lock_owned().await }
    }
}

/// So many chats are remembered before those at rest are forgotten.
const SWEEP_AT: usize = 1024;
