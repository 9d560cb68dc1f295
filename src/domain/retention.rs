//! What may be forgotten, and when. Open records never are (SPEC 8).

use std::time::Duration;

use super::case::Case;
use super::time::Timestamp;

/// Nothing is looked at oftener than this.
const EVERY_MIN: Duration = Duration::from_millis(500);

/// For how long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// `store.sends_for`: ledger entries.
    pub sends_for: Duration,
    /// `store.resolved_for`: settled failed notifications.
    pub resolved_for: Duration,
    /// `store.max_size`: largest file, in bytes; beyond it the oldest sends go before their time.
    pub max_size: u64,
}

impl RetentionPolicy {
    /// Ledger entries of attempts that ended before this moment may go.
    pub fn sends_before(&self, now: Timestamp) -> Timestamp {
        now - self.sends_for
    }

    /// How often the oldest ledger entries are looked at: a quarter of their time, and at least every minute.
    pub fn entries_every(&self) -> Duration {
        (self.sends_for / 4).clamp(EVERY_MIN, Duration::from_secs(60))
    }

    /// How often all cases are looked at: a quarter of their time, and at least every hour.
    pub fn cases_every(&self) -> Duration {
        (self.sends_for.min(self.resolved_for) / 4).clamp(EVERY_MIN, Duration::from_secs(60 * 60))
    }

    /// May this case go?
    pub fn may_forget(&self, case: &Case, now: Timestamp) -> bool {
        match &case.failure {
            None => case.is_settled() && now.since(case.last_at) >= self.sends_for,
            Some(failure) => failure
                .resolution
                .as_ref()
                .is_some_and(|resolution| now.since(resolution.at) >= self.resolved_for),
        }
    }
}
