//! The wall clock, which may be set while we run: by hand, or by NTP on a machine that did not know the time when it started.
//!
//! Inside, moments move with the monotonic clock whatever the wall clock does, and spans between them are true. Whoever stands outside (people,
//! Prometheus, WAHA) reads another clock: what goes out to them, and what comes in from them, is told by the wall clock as it stands now.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;

/// A wall clock that was set by less is not worth a word.
pub(super) const STEP_MIN_MS: i64 = 1000;
/// So many times it was set are remembered, for what was stamped before.
const STEPS_MAX: usize = 16;

/// There is one wall clock, and so one of these.
static WALL: Mutex<Wall> = Mutex::new(Wall::UNSET);

/// How far the wall clock stands from ours.
#[derive(Debug)]
struct Wall {
    /// Our first moment: what is older was told by an earlier process, from the wall clock as it stood then.
    born: Timestamp,
    /// What the wall clock shows more than ours, in milliseconds.
    ahead: i64,
    /// When it was set, and how far it stood from ours before.
    steps: VecDeque<(Timestamp, i64)>,
}

impl Wall {
    const UNSET: Self = Self { born: Timestamp::EPOCH, ahead: 0, steps: VecDeque::new() };

    fn heed(&mut self, now: Timestamp, shown: Timestamp) -> Option<i64> {
        let ahead = shown.millis().saturating_sub(now.millis());
        let step = ahead.saturating_sub(self.ahead);
        if step.abs() < STEP_MIN_MS {
            return None;
        }
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back((now, self.ahead));
        self.ahead = ahead;
        Some(step)
    }

    fn outside(&self, at: Timestamp) -> Timestamp {
        // The clock was wrong before it was set, so that what was seen before moves with it.
        if at >= self.born { at.stepped(self.ahead) } else { at.min(self.born.stepped(self.ahead)) }
    }

    fn inside(&self, at: Timestamp) -> Timestamp {
        let born = self.born.stepped(self.ahead);
        if at >= born { at.stepped(-self.ahead) } else { at.min(self.born) }
    }

    fn stamped_from(&self, at: Timestamp) -> Timestamp {
        let since = self.steps.iter().filter(|(set, _)| *set > at).map(|(_, before)| *before);
        at.stepped(since.chain([self.ahead]).min().unwrap_or(self.ahead))
    }
}

fn with<T>(ask: impl FnOnce(&mut Wall) -> T) -> T {
    ask(&mut WALL.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Our first moment.
pub(super) fn born(at: Timestamp) {
    with(|wall| {
        if wall.born == Timestamp::EPOCH {
            wall.born = at;
        }
    });
}

/// The wall clock shows `shown` now. By how many milliseconds it was set since that was last said, where it was.
pub(super) fn heed(now: Timestamp, shown: Timestamp) -> Option<i64> {
    with(|wall| wall.heed(now, shown))
}

/// A moment of ours as the wall clock tells it, for whoever stands outside.
pub fn outside(at: Timestamp) -> Timestamp {
    with(|wall| wall.outside(at))
}

/// A moment that somebody outside tells, as one of ours.
pub fn inside(at: Timestamp) -> Timestamp {
    with(|wall| wall.inside(at))
}

/// The earliest that a clock beside ours may have shown for what happened at `at` or later.
pub fn stamped_from(at: Timestamp) -> Timestamp {
    with(|wall| wall.stamped_from(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn wall() -> Wall {
        Wall { born: at(10 * HOUR), ..Wall::UNSET }
    }

    #[test]
    fn what_was_seen_on_a_clock_that_was_wrong_is_told_as_it_was() {
        for ahead in [HOUR, -HOUR] {
            let mut wall = wall();
            let now = at(11 * HOUR);
            assert_eq!(wall.heed(now, now), None);
            assert_eq!(wall.heed(now, now.stepped(999)), None, "a second is no step");
            assert_eq!(wall.heed(now, now.stepped(ahead)), Some(ahead));
            assert_eq!(wall.heed(now, now.stepped(ahead + 500)), None, "it stands where it was set to");
            assert_eq!(wall.outside(now), now.stepped(ahead));
            let seen = at(10 * HOUR + 60_000);
            assert_eq!(wall.outside(seen), seen.stepped(ahead), "a minute after the start");
            assert_eq!(wall.inside(wall.outside(seen)), seen);
            assert_eq!(wall.outside(at(5 * HOUR)), at(5 * HOUR), "that was told by another clock");
            assert_eq!(wall.inside(at(5 * HOUR)), at(5 * HOUR));
        }
    }

    #[test]
    fn what_happened_earlier_is_never_told_as_later() {
        for ahead in [HOUR, -HOUR] {
            let mut wall = wall();
            wall.heed(at(11 * HOUR), at(11 * HOUR + ahead));
            let told: Vec<_> = (0..24).map(|half| wall.outside(at(half * HOUR / 2))).collect();
            assert!(told.is_sorted(), "{told:?}");
            let heard: Vec<_> = (0..24).map(|half| wall.inside(at(half * HOUR / 2))).collect();
            assert!(heard.is_sorted(), "{heard:?}");
        }
    }

    #[test]
    fn what_another_stamped_before_or_after_the_clock_was_set_is_found() {
        let (sent, set) = (at(11 * HOUR), at(11 * HOUR + 5_000));
        let mut forward = wall();
        forward.heed(set, set.stepped(HOUR));
        assert_eq!(forward.stamped_from(sent), sent, "stamped before it was set");
        assert_eq!(forward.stamped_from(set), set.stepped(HOUR));
        let mut back = wall();
        back.heed(set, set.stepped(-HOUR));
        assert_eq!(back.stamped_from(sent), sent.stepped(-HOUR), "stamped after it was set");
        assert_eq!(back.stamped_from(set.stepped(1)), set.stepped(1 - HOUR));
    }

    #[test]
    fn it_is_set_more_than_once() {
        let mut wall = wall();
        for turn in 1..=40 {
            let now = at(10 * HOUR + turn * 60_000);
            assert_eq!(wall.heed(now, now.stepped(turn * 2_000)), Some(2_000));
        }
        assert_eq!(wall.steps.len(), STEPS_MAX);
        assert_eq!(wall.outside(at(11 * HOUR)), at(11 * HOUR + 80_000));
    }
}
