//! The only reader of time and of chance.
//!
//! Moments are anchored at the start of the process and move with the monotonic clock, so that a step of the wall clock makes no span
//! negative and no window jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng as _;

use crate::domain::id::SendId;
use crate::domain::time::Timestamp;

/// Tells the time and draws chance. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System { wall_at_start: Timestamp, start: Instant },
    Manual { millis: AtomicI64 },
}

impl Clock {
    /// The real clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
    pub fn system() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(Arc::new(Source::System { wall_at_start: Timestamp::EPOCH + wall, start: Instant::now() }))
    }

    /// A clock that stands at `now` until it is moved: for tests.
    pub fn manual(now: Timestamp) -> Self {
        Self(Arc::new(Source::Manual { millis: AtomicI64::new(now.millis()) }))
    }

    /// Moves a manual clock; a real one does not listen.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { millis } = &*self.0 {
            millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::System { wall_at_start, start } => *wall_at_start + start.elapsed(),
            Source::Manual { millis } => Timestamp::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// A number in 0..1, for jitter.
    pub fn chance(&self) -> f64 {
        f64::from(rand::rng().next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// A fresh name for a send: a version 7 UUID, so that names sort by creation to the millisecond.
    pub fn send_id(&self) -> SendId {
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        let mut random = [0; 10];
        rand::rng().fill_bytes(&mut random);
        SendId::from_bytes(
            uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes(),
        )
    }
}

/// A mark on the monotonic clock, for timers and for how long something took. Waits follow it, and tests may pause it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_sort_by_time() {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let (first, second) = (clock.send_id(), clock.send_id());
        assert_ne!(first, second);
        clock.advance(Duration::from_millis(1));
        assert!(clock.send_id() > first.max(second));
    }

    #[test]
    fn chance_is_a_share() {
        let clock = Clock::system();
        assert!((0..100).map(|_| clock.chance()).all(|chance| (0.0..1.0).contains(&chance)));
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(Timestamp::EPOCH);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().millis(), 2_000);
    }
}
