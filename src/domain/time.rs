//! Moments as plain values. Who reads the clock is `crate::clock`; here time only arrives as an argument.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch; older than anything that is recorded.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, with fraction.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// How long ago `earlier` was; zero where it lies in the future, so that no age is ever negative.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of the minute this moment lies in.
    pub const fn minute(self) -> Self {
        Self(self.0.div_euclid(60_000) * 60_000)
    }

    /// The start of the hour this moment lies in.
    pub const fn hour(self) -> Self {
        Self(self.0.div_euclid(3_600_000) * 3_600_000)
    }
}

/// Milliseconds of a span, saturating: no wait of this program is longer than 292 million years.
impl Timestamp {
    /// The same moment on a clock that was set by `step` milliseconds.
    #[must_use]
    pub const fn stepped(self, step: i64) -> Self {
        Self(self.0.saturating_add(step))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_never_negative() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(4_000));
        assert_eq!(late.since(early), Duration::from_secs(3));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn minutes_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_millis(61_500).minute().millis(), 60_000);
        assert_eq!(Timestamp::from_millis(-1).minute().millis(), -60_000);
    }
}
