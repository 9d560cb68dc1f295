//! A duration in words. The units are written alike in all our languages.

use std::time::Duration;

/// "2 h 5 min", "45 s": the two largest units, as nobody needs the seconds of an outage of hours.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds == 0 {
        return if span.is_zero() { "0 s".to_owned() } else { "< 1 s".to_owned() };
    }
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let largest = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let shown = units[largest..].iter().take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_largest_units() {
        let rows = [
            (0, "0 s"),
            (45, "45 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3600, "1 h"),
            (3605, "1 h"),
            (7500, "2 h 5 min"),
            (86_400, "1 d"),
            (86_400 * 3 + 7_260, "3 d 2 h"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(duration(Duration::from_millis(300)), "< 1 s");
        assert!(!duration(Duration::MAX).is_empty());
    }
}
