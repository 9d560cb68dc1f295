//! Whether the bot lives, as its own health URL says: what asking it finds, when to ask again, and from when on its silence counts (SPEC 7).
//!
//! Asking is `crate::errands`'; what follows is decided in `decide`.

use std::time::Duration;

use super::probe::ProbePolicy;
use super::time::Timestamp;

/// What asking the bot found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotFound {
    /// It answered 2xx.
    Alive,
    /// It answered something else.
    Unwell,
    /// No connection: refused, no such name, TLS.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Nobody asked after all: that says nothing.
    NotAsked,
}

impl BotFound {
    /// The words of all answers, in the order that label sets are created.
    pub const WORDS: [&'static str; 5] = ["alive", "unwell", "unreachable", "timed_out", "not_asked"];

    /// The word of logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Unwell => "unwell",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::NotAsked => "not_asked",
        }
    }
}

/// How asking the bot goes. Its last sign of life is kept beside it: a heartbeat is one too.
#[derive(Debug, Default)]
pub struct BotProbe {
    failures: u32,
    asking: bool,
    next: Option<Timestamp>,
}

impl BotProbe {
    /// Should it be asked now?
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.asking && self.next.is_none_or(|next| next <= now)
    }

    /// When it should be asked next; `None` while somebody does.
    pub fn due(&self) -> Option<Timestamp> {
        (!self.asking).then(|| self.next.unwrap_or(Timestamp::EPOCH))
    }

    /// It is asked now.
    pub const fn begin(&mut self) {
        self.asking = true;
    }

    /// It was asked.
    pub fn observe(&mut self, found: BotFound, now: Timestamp, policy: &ProbePolicy) {
        self.asking = false;
        match found {
            BotFound::Alive => self.failures = 0,
            BotFound::NotAsked => {}
            BotFound::Unwell | BotFound::Unreachable | BotFound::TimedOut => {
                self.failures = self.failures.saturating_add(1);
            }
        }
        let failing = found != BotFound::Alive;
        self.next = Some(now + if failing { soon(policy) } else { policy.interval });
    }

    /// Did it fail so often in a row that it is no accident?
    pub const fn fails(&self, policy: &ProbePolicy) -> bool {
        self.failures >= policy.failure_threshold
    }

    /// Unsuccessful ones in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// It was called gone when the process ended: so it stays, until it answers.
    pub const fn was_gone(&mut self, policy: &ProbePolicy) {
        self.failures = policy.failure_threshold;
    }
}

fn soon(policy: &ProbePolicy) -> Duration {
    policy.interval_failing.min(policy.interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ProbePolicy = ProbePolicy {
        enabled: true,
        interval: Duration::from_secs(180),
        interval_failing: Duration::from_secs(15),
        failure_threshold: 2,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn one_failure_is_an_accident_and_is_looked_into_soon() {
        let mut probe = BotProbe::default();
        assert!(probe.is_due(at(0)) && probe.due() == Some(Timestamp::EPOCH));
        probe.begin();
        assert!(!probe.is_due(at(9)) && probe.due().is_none(), "one at a time");
        probe.observe(BotFound::Unreachable, at(10), &POLICY);
        assert!(!probe.fails(&POLICY) && !probe.is_due(at(24)) && probe.is_due(at(25)));
        probe.observe(BotFound::NotAsked, at(25), &POLICY);
        assert!(!probe.fails(&POLICY) && probe.is_due(at(40)), "says nothing, and is made up for");
        probe.observe(BotFound::Unwell, at(40), &POLICY);
        assert!(probe.fails(&POLICY));
        probe.observe(BotFound::Alive, at(55), &POLICY);
        assert!(!probe.fails(&POLICY) && !probe.is_due(at(234)) && probe.is_due(at(235)));
    }
}
