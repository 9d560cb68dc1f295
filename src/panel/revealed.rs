//! Numbers that somebody has asked for: for a while, and in that person's browser alone, they are shown whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::id::SendId;
use crate::domain::time::Timestamp;

/// So long a number stays visible.
const SHOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// So many at once; beyond them the oldest is masked again.
const SHOWN_MAX: usize = 4096;

/// Which numbers are shown to whom, and until when. Browsers are known by what their forms carry.
#[derive(Debug, Default)]
pub(super) struct Revealed(Mutex<BTreeMap<(String, SendId), Timestamp>>);

impl Revealed {
    /// From now on, for a while.
    pub(super) fn reveal(&self, browser: &str, send: SendId, now: Timestamp) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|_, until| *until > now);
        if shown.len() >= SHOWN_MAX
            && let Some(oldest) = shown.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone())
        {
            shown.remove(&oldest);
        }
        shown.insert((browser.to_owned(), send), now + SHOWN_FOR);
    }

    /// Is it?
    pub(super) fn is_shown(&self, browser: &str, send: SendId, now: Timestamp) -> bool {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.get(&(browser.to_owned(), send)).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_for_a_while_to_one_browser() {
        let (shown, at) = (Revealed::default(), |minutes: i64| Timestamp::from_millis(minutes * 60_000));
        let [one, other] = [1, 2].map(|n| SendId::from_bytes([n; 16]));
        shown.reveal("ana", one, at(0));
        assert!(shown.is_shown("ana", one, at(9)));
        assert!(!shown.is_shown("ana", one, at(10)));
        assert!(!shown.is_shown("luis", one, at(0)) && !shown.is_shown("ana", other, at(0)));
    }

    #[test]
    fn they_are_bounded() {
        let shown = Revealed::default();
        for n in 0..=SHOWN_MAX {
            let now = Timestamp::from_millis(i64::try_from(n).unwrap());
            shown.reveal(&n.to_string(), SendId::from_bytes([1; 16]), now);
        }
        assert_eq!(shown.0.lock().unwrap().len(), SHOWN_MAX);
        assert!(!shown.is_shown("0", SendId::from_bytes([1; 16]), Timestamp::EPOCH));
    }
}
