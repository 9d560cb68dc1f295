//! A moment in words, in UTC and saying so: the reader's time zone is not known here.

use chrono::DateTime;

use crate::clock::wall;
use crate::domain::time::Timestamp;

/// "14:05 UTC (2025-11-03)": written alike in all our languages.
pub fn moment(at: Timestamp) -> String {
    match DateTime::from_timestamp_millis(wall::outside(at).millis()) {
        Some(at) => at.format("%H:%M UTC (%Y-%m-%d)").to_string(),
        None => "--:-- UTC".to_owned(), // no moment that a clock shows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_first_then_the_day() {
        assert_eq!(moment(Timestamp::from_millis(1_762_178_700_000)), "14:05 UTC (2025-11-03)");
        assert_eq!(moment(Timestamp::EPOCH), "00:00 UTC (1970-01-01)");
        assert_eq!(moment(Timestamp::from_millis(i64::MAX)), "--:-- UTC");
    }
}
