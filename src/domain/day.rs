//! How sends went over the last day: counts by outcome and latencies, an hour at a time. What people look at, not what anything is decided by.
//!
//! Kept while it happens, so that nobody ever has to count a day's sends.

use std::collections::VecDeque;
use std::time::Duration;

use super::outcome::Outcome;
use super::time::Timestamp;
use super::window::Latencies;

/// The hours kept: those of a day, and the one under way.
pub const HOURS_MAX: usize = 25;

/// One hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// When it began.
    pub start: Timestamp,
    /// Sends by how they ended, in the order of [`Outcome::ALL`]: those that were not accepted once they are rejected or given up.
    pub sends: [u32; Outcome::ALL.len()],
    /// Attempts that were answered, or not, by how long they took.
    pub latencies: Latencies,
}

/// The hours of the last day that saw anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Oldest first, at most [`HOURS_MAX`].
    pub hours: VecDeque<Hour>,
}

/// What some hours add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Sends, in the order of [`Outcome::ALL`].
    pub sends: [u32; Outcome::ALL.len()],
    /// Attempts by how long they took.
    pub latencies: Latencies,
}

impl Day {
    /// A send ended.
    pub fn ended(&mut self, at: Timestamp, outcome: Outcome) {
        let place = place(outcome);
        let count = &mut self.hour(at).sends[place];
        *count = count.saturating_add(1);
    }

    /// An attempt took so long.
    pub fn took(&mut self, at: Timestamp, latency: Duration) {
        self.hour(at).latencies.add(latency);
    }

    /// What began within `span` before `now`, added to `total`.
    pub fn add_to(&self, total: &mut Total, now: Timestamp, span: Duration) {
        let from = now - span;
        for hour in self.hours.iter().filter(|hour| hour.start > from) {
            total.add(hour);
        }
    }

    /// The hour of `at`; time that runs backwards falls into the newest.
    fn hour(&mut self, at: Timestamp) -> &mut Hour {
        let start = at.hour();
        if self.hours.back().is_none_or(|last| last.start < start) {
            while self.hours.len() >= HOURS_MAX {
                self.hours.pop_front();
            }
            self.hours.push_back(Hour { start, sends: Default::default(), latencies: Latencies::default() });
        }
        let last = self.hours.len() - 1;
        &mut self.hours[last]
    }
}

impl Total {
    /// Takes in an hour.
    pub fn add(&mut self, hour: &Hour) {
        for (sum, count) in self.sends.iter_mut().zip(hour.sends) {
            *sum = sum.saturating_add(count);
        }
        self.latencies.merge(&hour.latencies);
    }

    /// How many sends ended so.
    pub fn of(&self, outcome: Outcome) -> u32 {
        self.sends[place(outcome)]
    }

    /// Share accepted of what was accepted or given up; `None` where there was nothing. Rejected ones count nowhere (SPEC 7).
    pub fn success_rate(&self) -> Option<f64> {
        let accepted = self.of(Outcome::Accepted);
        let lost = self.of(Outcome::Failed).saturating_add(self.of(Outcome::Ambiguous));
        let all = accepted.saturating_add(lost);
        (all > 0).then(|| f64::from(accepted) / f64::from(all))
    }
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Accepted => 0,
        Outcome::Rejected => 1,
        Outcome::Failed => 2,
        Outcome::Ambiguous => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut day = Day::default();
        for hour in 0..100 {
            day.ended(at(hour * 60 + 7), Outcome::Accepted);
            day.ended(at(hour * 60 + 8), Outcome::Failed);
            day.took(at(hour * 60 + 8), Duration::from_millis(80));
        }
        assert_eq!(day.hours.len(), HOURS_MAX);
        let mut total = Total::default();
        day.add_to(&mut total, at(99 * 60 + 30), DAY);
        assert_eq!((total.of(Outcome::Accepted), total.of(Outcome::Failed)), (24, 24));
        assert_eq!(total.success_rate(), Some(0.5));
        assert_eq!(total.latencies.quantile(50), Some(Duration::from_millis(100)));
    }

    #[test]
    fn nothing_has_no_rate_and_no_latency() {
        let total = Total::default();
        assert_eq!((total.success_rate(), total.latencies.quantile(95)), (None, None));
        let mut day = Day::default();
        day.ended(at(1), Outcome::Rejected);
        let mut total = Total::default();
        day.add_to(&mut total, at(2), DAY);
        assert_eq!(total.success_rate(), None, "what is rejected is outside the rate");
    }

    #[test]
    fn places_are_those_of_the_list() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(place(outcome), at);
        }
    }

    #[test]
    fn a_clock_that_steps_back_adds_no_hour() {
        let mut day = Day::default();
        day.ended(at(600), Outcome::Accepted);
        day.ended(at(3), Outcome::Accepted);
        assert_eq!((day.hours.len(), day.hours[0].sends[0]), (1, 2));
    }
}
