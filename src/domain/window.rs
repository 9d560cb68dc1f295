//! How sends went over the last minutes: counts and latencies in one-minute buckets.
//!
//! Like a shop's till roll: each minute has its own line, old lines are torn off, and the last so-many lines are summed when
//! somebody asks. A quiet gap empties the window by itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Timestamp;

/// Upper edges of the latency buckets, in milliseconds; what is slower falls into a last, open one.
pub const LATENCY_EDGES: [u32; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 7_500, 10_000, 15_000, 30_000, 60_000, 120_000];

/// Longest span a window can be asked about.
pub const SPAN_MAX: Duration = Duration::from_secs(60 * 60);

/// Attempts by how long they took, per edge and one beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies(pub [u32; LATENCY_EDGES.len() + 1]);

impl Latencies {
    /// One more.
    pub fn add(&mut self, latency: Duration) {
        let millis = u32::try_from(latency.as_millis()).unwrap_or(u32::MAX);
        let bucket = LATENCY_EDGES.partition_point(|edge| *edge < millis);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    /// Takes in others.
    pub fn merge(&mut self, others: &Self) {
        for (sum, count) in self.0.iter_mut().zip(others.0) {
            *sum = sum.saturating_add(count);
        }
    }

    /// The latency that so many of 100 attempts did not exceed, as the upper edge of its bucket; `None` where there were none.
    pub fn quantile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().copied().map(u64::from).sum();
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += u64::from(*count);
            if total > 0 && seen >= rank {
                let beyond = LATENCY_EDGES[LATENCY_EDGES.len() - 1] + 1;
                let edge = LATENCY_EDGES.get(bucket).copied().unwrap_or(beyond);
                return Some(Duration::from_millis(u64::from(edge)));
            }
        }
        None
    }
}

/// One minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub start: Timestamp,
    /// Sends accepted.
    pub accepted: u32,
    /// Sends given up.
    pub exhausted: u32,
    /// Of these, such as may have been sent.
    pub ambiguous: u32,
    /// Sends rejected: outside the success rate (SPEC 7).
    pub rejected: u32,
    /// Attempts by how long they took.
    pub latencies: Latencies,
}

/// The minutes of the last hour that saw anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Oldest first, at most an hour.
    pub minutes: VecDeque<Minute>,
}

/// What a span of the window adds up to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Sends that were accepted or given up.
    pub sends: u32,
    /// Of these, accepted.
    pub accepted: u32,
    /// Of these, given up although they may have been sent.
    pub ambiguous: u32,
    /// Sends that were rejected, beside these.
    pub rejected: u32,
    /// Share accepted, 0 to 1; 1 where there were none.
    pub success_rate: f64,
    /// Attempts by how long they took.
    pub latencies: Latencies,
    /// The latency that 95 of 100 attempts did not exceed, as the upper edge of its bucket.
    pub latency_p95: Duration,
}

impl Window {
    /// A send was accepted, its last attempt having taken `latency`.
    pub fn accepted(&mut self, at: Timestamp, latency: Duration) {
        let minute = self.minute(at);
        minute.accepted = minute.accepted.saturating_add(1);
        self.latency(at, latency);
    }

    /// An attempt that was not accepted took `latency`.
    pub fn latency(&mut self, at: Timestamp, latency: Duration) {
        self.minute(at).latencies.add(latency);
    }

    /// A send was given up.
    pub fn exhausted(&mut self, at: Timestamp) {
        let minute = self.minute(at);
        minute.exhausted = minute.exhausted.saturating_add(1);
    }

    /// One that was given up may have been sent.
    pub fn ambiguous(&mut self, at: Timestamp) {
        let minute = self.minute(at);
        minute.ambiguous = minute.ambiguous.saturating_add(1);
    }

    /// A send was rejected.
    pub fn rejected(&mut self, at: Timestamp) {
        let minute = self.minute(at);
        minute.rejected = minute.rejected.saturating_add(1);
    }

    /// What the last `span` before `now` adds up to.
    pub fn summary(&self, now: Timestamp, span: Duration) -> Summary {
        let from = now - span;
        let (mut accepted, mut exhausted, mut latencies) = (0u32, 0u32, Latencies::default());
        let (mut ambiguous, mut rejected) = (0u32, 0u32);
        for minute in self.minutes.iter().filter(|minute| minute.start > from) {
            accepted = accepted.saturating_add(minute.accepted);
            exhausted = exhausted.saturating_add(minute.exhausted);
            ambiguous = ambiguous.saturating_add(minute.ambiguous);
            rejected = rejected.saturating_add(minute.rejected);
            latencies.merge(&minute.latencies);
        }
        let sends = accepted.saturating_add(exhausted);
        let success_rate = if sends == 0 { 1.0 } else { f64::from(accepted) / f64::from(sends) };
        let latency_p95 = latencies.quantile(95).unwrap_or_default();
        Summary { sends, accepted, ambiguous, rejected, success_rate, latencies, latency_p95 }
    }

    /// The bucket of `at`; time that runs backwards falls into the newest.
    fn minute(&mut self, at: Timestamp) -> &mut Minute {
        let start = at.minute();
        if self.minutes.back().is_none_or(|last| last.start < start) {
            while self.minutes.front().is_some_and(|first| start.since(first.start) >= SPAN_MAX) {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute {
                start,
                accepted: 0,
                exhausted: 0,
                ambiguous: 0,
                rejected: 0,
                latencies: Latencies::default(),
            });
        }
        let last = self.minutes.len() - 1;
        &mut self.minutes[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    const QUARTER: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn old_minutes_leave() {
        let mut window = Window::default();
        window.exhausted(at(0));
        for minute in 1..=9 {
            window.accepted(at(minute), Duration::from_millis(30));
        }
        assert!((window.summary(at(10), QUARTER).success_rate - 0.9).abs() < 1e-9);
        assert_eq!(window.summary(at(10), QUARTER).sends, 10);
        assert_eq!(window.summary(at(15), QUARTER).sends, 9, "the first minute is out");
        assert_eq!(window.summary(at(500), QUARTER).sends, 0);
        window.accepted(at(500), Duration::ZERO);
        assert_eq!(window.minutes.len(), 1, "torn off after an hour");
    }

    #[test]
    fn what_is_rejected_is_counted_and_outside_the_rate() {
        let mut window = Window::default();
        window.accepted(at(1), Duration::ZERO);
        window.rejected(at(1));
        window.exhausted(at(2));
        window.ambiguous(at(2));
        let summary = window.summary(at(3), QUARTER);
        assert_eq!((summary.sends, summary.accepted, summary.ambiguous, summary.rejected), (2, 1, 1, 1));
        assert!((summary.success_rate - 0.5).abs() < 1e-9);
    }

    #[test]
    fn p95_is_an_upper_edge() {
        let mut window = Window::default();
        assert_eq!(window.summary(at(0), QUARTER).latency_p95, Duration::ZERO);
        for _ in 0..94 {
            window.latency(at(1), Duration::from_millis(40));
        }
        for _ in 0..6 {
            window.latency(at(1), Duration::from_secs(12));
        }
        assert_eq!(window.summary(at(1), QUARTER).latency_p95, Duration::from_secs(15));
    }

    #[test]
    fn a_clock_that_steps_back_adds_no_lines() {
        let mut window = Window::default();
        window.accepted(at(10), Duration::ZERO);
        window.accepted(at(3), Duration::ZERO);
        assert_eq!(window.minutes.len(), 1);
        assert_eq!(window.summary(at(10), QUARTER).sends, 2);
    }
}
