//! What the mind sees: probes, signals, and what the event feed confirms.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::super::{
    Families, count, counter_vec, float, float_vec, gauge, gauge_vec, histogram_vec, moment, seconds,
};
use crate::domain::bot::BotFound;
use crate::domain::confirmation::{Confirmation, FeedState};
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

const PROBE: [f64; 6] = [0.05, 0.25, 1.0, 2.5, 5.0, 10.0];

/// What a probe came to, in few words: which state it was is told by the state set.
const RESULTS: [&str; 5] = ["working", "not_working", "unauthorized", "timeout", "error"];

/// What says that something fails.
const SIGNALS: [&str; 4] = ["healthcheck", "webhook", "confirmation", "key"];

/// What is seen.
pub(super) struct Senses {
    probes: IntCounterVec,
    probe_duration: HistogramVec,
    probe_success: GaugeVec,
    probe_failures: IntGaugeVec,
    bot_probes: IntCounterVec,
    bot_probe_failures: IntGauge,
    bot_life: Gauge,
    waha: IntGaugeVec,
    signals: IntGaugeVec,
    confirmations: IntCounterVec,
    server_ack: GaugeVec,
    device_ack: GaugeVec,
    unacknowledged: GaugeVec,
    awaiting: IntGaugeVec,
    feed: IntGauge,
    followed: IntGauge,
    blind: IntGaugeVec,
}

impl Senses {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let times = |name: &str, help: &str| float_vec(registry, name, help, &["session"]);
        let whole = |name: &str, help: &str| gauge_vec(registry, name, help, &["session"]);
        Ok(Self {
            probes: counter_vec(
                registry,
                "healthchecks_total",
                "Probes of the session, by what they came to.",
                &["session", "result"],
            )?,
            probe_duration: histogram_vec(
                registry,
                "healthcheck_duration_seconds",
                "How long probes took.",
                &PROBE,
            )?,
            probe_success: times(
                "healthcheck_last_success_timestamp_seconds",
                "When a probe last found the session working; 0 where never.",
            )?,
            probe_failures: whole("healthcheck_consecutive_failures", "Unhealthy probes in a row.")?,
            bot_probes: counter_vec(
                registry,
                "bot_probes_total",
                "How often the bot was asked at bot.health_url, by what that found.",
                &["result"],
            )?,
            bot_probe_failures: gauge(
                registry,
                "bot_probe_consecutive_failures",
                "Times in a row that bot.health_url did not answer well.",
            )?,
            bot_life: float(
                registry,
                "bot_last_sign_of_life_timestamp_seconds",
                "When the bot last gave a sign of life, by its heartbeat or bot.health_url; 0 where never.",
            )?,
            waha: gauge_vec(
                registry,
                "waha_session_status",
                "WAHA's state of the session as the last probe found it: 1 for that one; all 0 where WAHA told none.",
                &["session", "status"],
            )?,
            signals: gauge_vec(
                registry,
                "signal_failing",
                "1 where a signal fails: probes, sends, acks that are missing, or our own key.",
                &["session", "signal"],
            )?,
            confirmations: counter_vec(
                registry,
                "confirmations_total",
                "What was heard of accepted sends, by how far they got.",
                &["session", "level"],
            )?,
            server_ack: times(
                "last_server_ack_timestamp_seconds",
                "When WhatsApp's servers last confirmed a send; 0 where never.",
            )?,
            device_ack: times(
                "last_device_ack_timestamp_seconds",
                "When a customer's phone last confirmed a send; 0 where never.",
            )?,
            unacknowledged: times(
                "unacknowledged_seconds",
                "How long accepted sends to two chats or more have had no ack; 0 where all is well.",
            )?,
            awaiting: whole("awaiting_confirmation", "Accepted sends without any ack yet.")?,
            feed: gauge(
                registry,
                "event_feed_connected",
                "1 while WAHA's event feed is connected, 0 also where it is not followed.",
            )?,
            followed: gauge(
                registry,
                "event_feed_followed",
                "1 where WAHA's event feed is followed, connected or not.",
            )?,
            blind: whole(
                "event_feed_blind",
                "1 where the feed is connected and shows nothing of what is sent.",
            )?,
        })
    }

    /// Creates the label sets of no session.
    pub(super) fn create_all(&self) {
        for word in BotFound::WORDS {
            self.bot_probes.with_label_values(&[word]);
        }
    }

    /// Creates all label sets of a session.
    pub(super) fn create(&self, session: &str) {
        for result in RESULTS {
            self.probes.with_label_values(&[session, result]);
        }
        self.probe_duration.with_label_values(&[session]);
        for gauge in [&self.probe_success, &self.server_ack, &self.device_ack, &self.unacknowledged] {
            gauge.with_label_values(&[session]);
        }
        for gauge in [&self.probe_failures, &self.awaiting, &self.blind] {
            gauge.with_label_values(&[session]);
        }
        for state in SessionState::ALL {
            self.waha.with_label_values(&[session, state.as_str()]);
        }
        for signal in SIGNALS {
            self.signals.with_label_values(&[session, signal]);
        }
        for level in Confirmation::ALL {
            self.confirmations.with_label_values(&[session, level.as_str()]);
        }
    }

    /// A probe came back.
    pub(super) fn probed(&self, session: &str, result: ProbeResult, took: Duration) {
        self.probes.with_label_values(&[session, word(result)]).inc();
        self.probe_duration.with_label_values(&[session]).observe(seconds(took));
    }

    /// The bot was asked.
    pub(super) fn bot_probed(&self, found: BotFound) {
        self.bot_probes.with_label_values(&[found.as_str()]).inc();
    }

    /// How the bot is.
    pub(super) fn bot(&self, last_sign: Option<Timestamp>, failures: u32) {
        self.bot_life.set(moment(last_sign));
        self.bot_probe_failures.set(i64::from(failures));
    }

    /// Something was heard of an accepted send.
    pub(super) fn confirmed(&self, session: &str, confirmation: Confirmation) {
        self.confirmations.with_label_values(&[session, confirmation.as_str()]).inc();
    }

    /// How the event feed is.
    pub(super) fn feed(&self, state: FeedState) {
        self.feed.set(i64::from(state == FeedState::Connected));
        self.followed.set(i64::from(state != FeedState::Off));
    }

    /// The session's health and clocks.
    pub(super) fn session(&self, session: &Session) {
        let name = session.name.as_str();
        let health = &session.health;
        self.probe_success.with_label_values(&[name]).set(moment(health.last_success));
        self.probe_failures.with_label_values(&[name]).set(i64::from(health.consecutive_failures));
        let present = match health.last {
            Some(ProbeResult::State { state, .. }) => Some(state),
            _ => None,
        };
        for state in SessionState::ALL {
            self.waha.with_label_values(&[name, state.as_str()]).set(i64::from(present == Some(state)));
        }
        self.signal(name, "healthcheck", health.failing);
        self.signal(name, "webhook", session.sends_failing());
        self.signal(name, "key", session.key_refused_since.is_some());
        self.server_ack.with_label_values(&[name]).set(moment(session.last_server_ack));
        self.device_ack.with_label_values(&[name]).set(moment(session.last_device_ack));
    }

    /// What waits for an ack: how many sends, since when, whether that is too long, and whether the feed shows anything.
    pub(super) fn waiting(&self, name: &str, sends: usize, since: Duration, overdue: bool, blind: bool) {
        self.awaiting.with_label_values(&[name]).set(count(sends));
        self.unacknowledged.with_label_values(&[name]).set(seconds(since));
        self.signal(name, "confirmation", overdue);
        self.blind.with_label_values(&[name]).set(i64::from(blind));
    }

    fn signal(&self, session: &str, signal: &str, failing: bool) {
        self.signals.with_label_values(&[session, signal]).set(i64::from(failing));
    }
}

/// One of [`RESULTS`].
const fn word(result: ProbeResult) -> &'static str {
    match result {
        ProbeResult::State { state: SessionState::Working, .. } => "working",
        ProbeResult::State { .. } | ProbeResult::Missing => "not_working",
        ProbeResult::Unauthorized => "unauthorized",
        ProbeResult::TimedOut => "timeout",
        ProbeResult::Unreachable | ProbeResult::Strange => "error",
    }
}
