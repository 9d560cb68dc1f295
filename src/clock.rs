//! The only reader of time and of chance.
//!
//! Moments are anchored at the start of the process and move with the monotonic clock, so that a step of the wall clock makes no span
//! negative and no window jump. How far the wall clock has come to stand from them is kept in [`wall`], for what goes out and comes in.

pub mod wall;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
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
        let (wall_at_start, start) = (wall_now(), Instant::now());
        wall::born(wall_at_start);
        Self(Arc::new(Source::System { wall_at_start, start }))
    }

    /// Looks at the wall clock. By how many milliseconds it was set since it was last looked at; `None` where it was not.
    pub fn heed(&self) -> Option<i64> {
        match &*self.0 {
            Source::System { .. } => wall::heed(self.now(), wall_now()),
            Source::Manual { .. } => None,
        }
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

    /// Thirty-two bytes that nobody can guess.
    pub fn secret(&self) -> [u8; 32] {
        let mut random = [0; 32];
        rand::rng().fill_bytes(&mut random);
        random
    }

    /// A fresh name for a send: a version 7 UUID, so that names sort by creation to the millisecond.
    pub fn send_id(&self) -> SendId {
        self.send_id_at(self.now())
    }

    /// The same for a send that begins `now`.
    pub fn send_id_at(&self, now: Timestamp) -> SendId {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let mut random = [0; 10];
        rand::rng().fill_bytes(&mut random);
        SendId::from_bytes(
            uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes(),
        )
    }
}

/// Where the clock stood at some moment of this boot of the machine: what a later process needs to see that the wall clock was set meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What the clock said.
    pub now: Timestamp,
    /// How long the machine had been up, sleep included.
    pub up: Duration,
    /// Which boot of the machine it was.
    pub boot: u64,
}

impl Clock {
    /// Where the clock stands; `None` where the system does not tell how long it is up.
    pub fn mark(&self) -> Option<Mark> {
        match &*self.0 {
            Source::System { .. } => {
                let (up, boot) = (uptime()?, boot()?);
                Some(Mark { now: self.now(), up, boot })
            }
            Source::Manual { .. } => None,
        }
    }

    /// By how many milliseconds the clock was set since an earlier process left `mark`; 0 where it was not, or nobody knows.
    pub fn stepped_since(&self, mark: Mark) -> i64 {
        self.mark().map_or(0, |here| stepped(mark, here))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
fn wall_now() -> Timestamp {
    Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

fn stepped(mark: Mark, here: Mark) -> i64 {
    if mark.boot != here.boot {
        return 0;
    }
    let expected = mark.now + here.up.saturating_sub(mark.up);
    let step = here.now.millis().saturating_sub(expected.millis());
    if step.abs() < wall::STEP_MIN_MS { 0 } else { step }
}

fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn boot() -> Option<u64> {
    static BOOT: OnceLock<Option<u64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).ok()
    })
}

/// A moment as machines outside read it: by the wall clock, RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(wall::outside(at).millis())
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
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
    fn a_clock_that_was_set_between_two_processes_is_seen() {
        let mark =
            |now, up, boot| Mark { now: Timestamp::from_millis(now), up: Duration::from_secs(up), boot };
        let before = mark(1_000_000, 100, 7);
        assert_eq!(stepped(before, mark(1_060_000, 160, 7)), 0);
        assert_eq!(stepped(before, mark(1_060_400, 160, 7)), 0, "no step");
        assert_eq!(stepped(before, mark(4_660_000, 160, 7)), 3_600_000);
        assert_eq!(stepped(before, mark(400_000, 160, 7)), -660_000);
        assert_eq!(stepped(before, mark(4_660_000, 160, 8)), 0, "another boot: nobody knows");
        assert!(Clock::system().mark().is_some());
    }

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
