//! Who has an alert already: where one recipient of several could not be told, the others are not told again with the next try.
//!
//! Kept in memory, bounded: after a restart an alert that not everybody had goes to all of them once more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::delivery::Channel;
use crate::domain::id::RecordId;

/// Most that are remembered; the oldest go first.
const REMEMBERED_MAX: usize = 4096;

/// What is remembered. Prints nothing: it holds phones and addresses.
#[derive(Default)]
pub struct Recipients(Mutex<VecDeque<(RecordId, Channel, String)>>);

impl Recipients {
    /// Has this one the alert?
    pub(super) fn has(&self, alert: RecordId, channel: Channel, who: &str) -> bool {
        self.lock().iter().any(|(id, on, known)| *id == alert && *on == channel && known == who)
    }

    /// This one has it.
    pub(super) fn note(&self, alert: RecordId, channel: Channel, who: &str) {
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back((alert, channel, who.to_owned()));
    }

    /// All have it, or never will.
    pub(super) fn forget(&self, alert: RecordId, channel: Channel) {
        self.lock().retain(|(id, on, _)| *id != alert || *on != channel);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(RecordId, Channel, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_until_all_have_it_and_never_without_bound() {
        let (recipients, id) = (Recipients::default(), RecordId::from_bytes([1; 16]));
        recipients.note(id, Channel::Sms, "+1");
        assert!(recipients.has(id, Channel::Sms, "+1"));
        assert!(!recipients.has(id, Channel::Email, "+1") && !recipients.has(id, Channel::Sms, "+2"));
        recipients.forget(id, Channel::Sms);
        assert!(!recipients.has(id, Channel::Sms, "+1"));
        for number in 0..2 * REMEMBERED_MAX {
            recipients.note(id, Channel::Sms, &number.to_string());
        }
        assert_eq!(recipients.lock().len(), REMEMBERED_MAX);
    }
}
