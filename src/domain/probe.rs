//! What a probe of a session finds, and the clocks of its health (SPEC 6).
//!
//! Asking is `crate::waha`'s; when to ask, and what follows, is decided here and in `decide`.

use std::time::Duration;

use super::time::Timestamp;

/// The state of a session, as WAHA says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Switched off by somebody.
    Stopped,
    /// On its way.
    Starting,
    /// Waits for somebody to scan a code with the phone.
    ScanQrCode,
    /// Waits for somebody to confirm with a passkey.
    PasskeyRequired,
    /// Works.
    Working,
    /// Broken, or logged out.
    Failed,
    /// A word we do not know.
    Other,
}

impl SessionState {
    /// All states, in the order that label sets are created.
    pub const ALL: [Self; 7] = [
        Self::Working,
        Self::Starting,
        Self::ScanQrCode,
        Self::PasskeyRequired,
        Self::Failed,
        Self::Stopped,
        Self::Other,
    ];

    /// The word of API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::ScanQrCode => "scan_qr_code",
            Self::PasskeyRequired => "passkey_required",
            Self::Working => "working",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }
}

/// What drives WhatsApp behind WAHA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Takes the caller's message id.
    Noweb,
    /// Takes the caller's message id.
    Gows,
    /// Any other.
    #[default]
    Other,
}

impl Engine {
    /// Does a send that names its message id get that id, so that a second one is the same message (WAHA-FACTS 6)?
    pub const fn takes_message_id(self) -> bool {
        matches!(self, Self::Noweb | Self::Gows)
    }
}

/// What WhatsApp restricts on this account, where WAHA exposes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// New contacts must not be written to (reach-out lock).
    pub locked: bool,
    /// The quota of new chats is spent.
    pub capped: bool,
}

impl Restriction {
    /// Must messages to new contacts wait?
    pub const fn holds_new_contacts(self) -> bool {
        self.locked || self.capped
    }
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// WAHA told the session's state.
    State {
        /// The state.
        state: SessionState,
        /// What drives it.
        engine: Engine,
        /// What is restricted.
        restriction: Restriction,
    },
    /// There is no such session.
    Missing,
    /// Our own key is refused: trouble of the watchdog, not of the channel (SPEC 6).
    Unauthorized,
    /// No connection: refused, no such name, TLS.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Whatever answered is not WAHA.
    Strange,
}

impl ProbeResult {
    /// A session in this state, of an unknown engine and unrestricted.
    pub fn of(state: SessionState) -> Self {
        Self::State { state, engine: Engine::Other, restriction: Restriction::default() }
    }

    /// Healthy, and only then: the session works (SPEC 6).
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::State { state: SessionState::Working, .. })
    }

    /// The word of API and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State { state, .. } => state.as_str(),
            Self::Missing => "missing",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Strange => "strange",
        }
    }

    /// Can restarting the session help (SPEC 11)? A code wants a phone, a lost login a person, a refused key a key.
    pub const fn restart_may_help(self) -> bool {
        matches!(
            self,
            Self::State { state: SessionState::Working | SessionState::Starting | SessionState::Failed, .. }
        )
    }
}

/// When to probe, and when a session is called unhealthy.
#[derive(Clone, Copy, Debug)]
pub struct ProbePolicy {
    /// `healthcheck.enabled`.
    pub enabled: bool,
    /// `healthcheck.interval`.
    pub interval: Duration,
    /// While something is wrong.
    pub interval_failing: Duration,
    /// `healthcheck.failure_threshold`: so many failures in a row make it failing.
    pub failure_threshold: u32,
}

/// Failed sends cause no more than one probe in so long.
const HURRY_EVERY: Duration = Duration::from_secs(5);

/// The health of one session, as probes see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What the last probe found.
    pub last: Option<ProbeResult>,
    /// When it did.
    pub at: Option<Timestamp>,
    /// The last healthy one.
    pub last_success: Option<Timestamp>,
    /// The last unhealthy one.
    pub last_failure: Option<Timestamp>,
    /// Unhealthy ones in a row.
    pub consecutive_failures: u32,
    /// Called failing: so many in a row that it is no accident.
    pub failing: bool,
    /// Healthy without a break since then.
    pub healthy_since: Option<Timestamp>,
    /// When the next probe is due, and whether one is under way.
    pub next: Option<Timestamp>,
    /// A probe is under way.
    pub asking: bool,
}

impl Health {
    /// A probe came back.
    pub fn observe(&mut self, result: ProbeResult, now: Timestamp, policy: &ProbePolicy) {
        self.asking = false;
        self.last = Some(result);
        self.at = Some(now);
        if result.is_healthy() {
            self.last_success = Some(now);
            self.consecutive_failures = 0;
            self.failing = false;
            self.healthy_since.get_or_insert(now);
        } else if result != ProbeResult::Unauthorized {
            self.last_failure = Some(now);
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
            self.failing |= self.consecutive_failures >= policy.failure_threshold;
            self.healthy_since = None;
        }
        let again =
            if result.is_healthy() { policy.interval } else { policy.interval_failing.min(policy.interval) };
        self.next = Some(now + again);
    }

    /// Taken up from an earlier process, whose last probe may not have been stored: failures on both sides of that are not in a row.
    pub const fn taken_up(&mut self) {
        if !self.failing {
            self.consecutive_failures = 0;
        }
    }

    /// Something failed: look at once, but not oftener than every [`HURRY_EVERY`].
    pub fn hurry(&mut self, now: Timestamp) {
        let at = self.at.map_or(now, |last| now.max(last + HURRY_EVERY));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Should a probe begin?
    pub fn is_due(&self, now: Timestamp, policy: &ProbePolicy) -> bool {
        policy.enabled && !self.asking && self.next.is_none_or(|next| next <= now)
    }
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
    fn one_failure_is_an_accident_and_two_are_not() {
        let mut health = Health::default();
        assert!(health.is_due(at(0), &POLICY));
        health.observe(ProbeResult::Unreachable, at(0), &POLICY);
        assert!(!health.failing && !health.is_due(at(14), &POLICY) && health.is_due(at(15), &POLICY));
        health.observe(ProbeResult::TimedOut, at(15), &POLICY);
        assert!(health.failing);
        health.observe(ProbeResult::of(SessionState::Working), at(30), &POLICY);
        assert!(!health.failing && !health.is_due(at(209), &POLICY) && health.is_due(at(210), &POLICY));
        assert_eq!(health.healthy_since, Some(at(30)));
    }

    #[test]
    fn a_failure_before_a_restart_and_one_after_it_are_not_in_a_row() {
        let mut health = Health::default();
        health.observe(ProbeResult::Unreachable, at(0), &POLICY);
        health.taken_up();
        health.observe(ProbeResult::Unreachable, at(15), &POLICY);
        assert!(!health.failing);
        health.observe(ProbeResult::Unreachable, at(30), &POLICY);
        health.taken_up();
        assert!(health.failing, "what was called failing stays so until a probe is well");
    }

    #[test]
    fn a_refused_key_says_nothing_of_the_channel() {
        let mut health = Health::default();
        for second in 0..5 {
            health.observe(ProbeResult::Unauthorized, at(second), &POLICY);
        }
        assert!(!health.failing);
        assert_eq!(health.consecutive_failures, 0);
    }
}
