//! How long to wait before the next try. Chance is an argument.

use std::time::Duration;

/// A growing, jittered, bounded delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Delay before the second try.
    pub first: Duration,
    /// Growth from one delay to the next, at least 1.
    pub factor: f64,
    /// Share by which a delay may differ from its plan either way, 0 to 1.
    pub jitter: f64,
    /// No delay is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The delay after try number `tries` (1 = the first). `chance` lies in 0..1.
    pub fn after(&self, tries: u32, chance: f64) -> Duration {
        let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let planned = (self.first.as_secs_f64() * self.factor.powi(exponent)).min(self.longest.as_secs_f64());
        Duration::from_secs_f64(planned * (1.0 + self.jitter * (2.0 * chance - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_its_jitter_and_bound() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.2,
            longest: Duration::from_secs(30),
        };
        for (tries, chance, expected) in [
            (1, 0.5, 1.0),
            (2, 0.5, 2.0),
            (3, 0.0, 3.2),
            (3, 1.0, 4.8),
            (40, 0.5, 30.0),
            (u32::MAX, 0.5, 30.0),
        ] {
            let delay = backoff.after(tries, chance).as_secs_f64();
            assert!((delay - expected).abs() < 1e-9, "{tries} {chance}: {delay}");
        }
    }
}
