//! The families themselves, one struct for each who counts.

use std::collections::HashMap;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

use super::{
    Families, code_label, counter_vec, float_vec, gauge, gauge_vec, histogram_vec, moment, opts, register,
    seconds, with_other,
};
use crate::clock::wall;
use crate::domain::decide::Notice;
use crate::domain::id::SessionName;
use crate::domain::ledger::{Ended, Via};
use crate::domain::notification::Method;
use crate::domain::order::NotificationType;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::send::SendKind;
use crate::domain::session::Session;
use crate::domain::status::{Reason, Status};

const LATENCY: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];
const SEND_DURATION: [f64; 9] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// From the bot's own late success to a customer who is called the day after the next.
const RESOLUTION: [f64; 8] = [60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 86_400.0, 259_200.0];
const COMMIT: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/// The answer to a send that WAHA takes.
const CREATED: (&str, &str) = ("201", "");

/// Answers that WAHA gives, and what stands in their place where none came.
const REPLIES: [(&str, &str); 24] = [
    ("200", ""),
    CREATED,
    ("201", "body"),
    ("304", ""),
    ("400", ""),
    ("401", ""),
    ("403", ""),
    ("404", ""),
    ("413", ""),
    ("422", ""),
    ("422", "session"),
    ("429", ""),
    ("500", ""),
    ("501", ""),
    ("502", ""),
    ("503", ""),
    ("504", ""),
    ("other", ""),
    ("none", "connect"),
    ("none", "dns"),
    ("none", "tls"),
    ("none", "timeout"),
    ("none", "reset"),
    ("none", "body"),
];

/// What the proxy's threads count.
pub struct ProxyMetrics {
    /// Connections of bots that are open now.
    pub connections: IntGauge,
    /// Connections refused because there were too many.
    pub connections_refused: IntCounter,
    /// Calls to WAHA that run now.
    pub inflight: IntGauge,
    /// Calls that the sidecar answered itself, by code word.
    synthetic: IntCounterVec,
    calls: IntCounterVec,
    call_duration: Histogram,
    /// Upgraded connections that are open now.
    pub tunnels: IntGauge,
    /// Calls whose client went away before their answer.
    pub clients_gone: IntCounter,
    /// Handlers that panicked; each cost one call.
    pub panics: IntCounter,
}

impl ProxyMetrics {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let calls = counter_vec(
            registry,
            "plain_calls_total",
            "Calls that are not sends, by the status WAHA gave.",
            &["code"],
        )?;
        for (code, error) in REPLIES {
            if error.is_empty() {
                calls.with_label_values(&[code]);
            }
        }
        let synthetic = counter_vec(
            registry,
            "proxy_errors_total",
            "Calls that the sidecar answered itself, by the code it gave.",
            &["code"],
        )?;
        for code in crate::domain::refusal::Refusal::ALL {
            synthetic.with_label_values(&[code.code()]);
        }
        Ok(Self {
            connections: gauge(registry, "proxy_connections", "Open connections of bots.")?,
            connections_refused: counter(
                registry,
                "proxy_connections_refused_total",
                "Connections refused because there were too many.",
            )?,
            inflight: gauge(registry, "upstream_inflight_requests", "Calls to WAHA that run now.")?,
            synthetic,
            calls,
            call_duration: histogram(
                registry,
                "plain_call_duration_seconds",
                "How long calls that are not sends took.",
                &LATENCY,
            )?,
            tunnels: gauge(registry, "proxy_tunnels", "Open upgraded connections (WebSocket).")?,
            clients_gone: counter(
                registry,
                "proxy_clients_gone_total",
                "Sends whose client went away before their answer; they ran on.",
            )?,
            panics: counter(registry, "panics_total", "Panics that were contained; each cost one call.")?,
        })
    }

    /// A call that is not a send was answered by WAHA.
    pub fn call(&self, code: u16, took: std::time::Duration) {
        self.calls.with_label_values(&[code_label(code)]).inc();
        self.call_duration.observe(seconds(took));
    }

    /// The sidecar answered a call itself.
    pub fn refused(&self, code: crate::domain::refusal::Refusal) {
        self.synthetic.with_label_values(&[code.code()]).inc();
    }
}

/// What the heart counts: sends, attempts, notifications, status.
pub struct HeartMetrics {
    status: IntGaugeVec,
    status_code: IntGaugeVec,
    status_reason: IntGaugeVec,
    status_since: GaugeVec,
    status_seconds: prometheus::CounterVec,
    transitions: IntCounterVec,
    last_success: GaugeVec,
    last_activity: GaugeVec,
    consecutive_failures: IntGaugeVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    attempts: IntCounterVec,
    causes: IntCounterVec,
    sends: IntCounterVec,
    send_duration: HistogramVec,
    latched: IntCounterVec,
    retries: IntCounterVec,
    recovered: IntCounterVec,
    exhausted: IntCounterVec,
    created: IntCounterVec,
    resolved: IntCounterVec,
    resolution: HistogramVec,
    usual: HashMap<String, Usual>,
}

/// What a text that WAHA accepted counts in, by session found once: most attempts are that, and finding each costs more than counting.
struct Usual {
    requests: IntCounter,
    request_duration: Histogram,
    attempts: IntCounter,
    sends: IntCounter,
    send_duration: Histogram,
}

impl Usual {
    fn is(ended: &Ended) -> bool {
        ended.via != Via::Latch
            && ended.outcome == Outcome::Accepted
            && ended.cause.is_none()
            && kind_label(ended.what.kind) == KINDS[0]
            && reply(ended) == CREATED
    }

    fn count(&self, ended: &Ended) {
        self.requests.inc();
        self.request_duration.observe(seconds(ended.ended.since(ended.started)));
        self.attempts.inc();
        self.sends.inc();
        self.send_duration.observe(seconds(ended.ended.since(ended.first_at)));
    }
}

impl HeartMetrics {
    pub(super) fn new(registry: &Families, sessions: &[SessionName]) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| counter_vec(registry, name, help, labels);
        let gauges = |name: &str, help: &str, labels: &[&str]| gauge_vec(registry, name, help, labels);
        let float = |name: &str, help: &str| float_vec(registry, name, help, &["session"]);
        let mut metrics = Self {
            status: gauges(
                "bot_status",
                "The bot's status: 1 for the present one, 0 for the others.",
                &["session", "status"],
            )?,
            status_code: gauges(
                "bot_status_code",
                "The status as a number, for timelines: -1 unknown, 0 online, 1 degraded, 2 incommunicado, 3 incommunicado_critico, 4 offline.",
                &["session"],
            )?,
            status_reason: gauges(
                "bot_status_reason",
                "Why the status is what it is: 1 for the present reason, 0 for the others.",
                &["session", "reason"],
            )?,
            status_since: float("bot_status_since_timestamp_seconds", "When the present status began.")?,
            status_seconds: register(
                registry,
                prometheus::CounterVec::new(
                    opts("bot_status_seconds_total", "Time spent in each status."),
                    &["session", "status"],
                )?,
            )?,
            transitions: counters(
                "bot_status_transitions_total",
                "Changes of status.",
                &["session", "from", "to"],
            )?,
            last_success: float(
                "bot_last_success_timestamp_seconds",
                "When WAHA last accepted a send; 0 where never.",
            )?,
            last_activity: float(
                "bot_last_activity_timestamp_seconds",
                "When the bot last sent anything; 0 where never.",
            )?,
            consecutive_failures: gauges(
                "bot_consecutive_failures",
                "Failed or ambiguous attempts in a row.",
                &["session"],
            )?,
            requests: counters(
                "upstream_requests_total",
                "Attempts to send through WAHA, by answer.",
                &["session", "endpoint", "code", "error"],
            )?,
            request_duration: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::from(opts("upstream_request_duration_seconds", "How long attempts took."))
                        .buckets(LATENCY.to_vec()),
                    &["session", "endpoint"],
                )?,
            )?,
            attempts: counters("attempts_total", "Attempts by outcome.", &["session", "outcome"])?,
            causes: counters(
                "attempt_failures_total",
                "Attempts that were not accepted, by cause.",
                &["session", "cause"],
            )?,
            sends: counters(
                "sends_total",
                "Sends that were accepted, rejected or given up.",
                &["session", "kind", "result"],
            )?,
            send_duration: histogram_vec(
                registry,
                "send_duration_seconds",
                "From a send's first attempt to its acceptance.",
                &SEND_DURATION,
            )?,
            latched: counters(
                "sends_latched_total",
                "Calls that got the answer of an earlier call of the same send instead of making a second message.",
                &["session"],
            )?,
            retries: counters(
                "retries_total",
                "Attempts that were not a send's first.",
                &["session", "kind"],
            )?,
            recovered: counters(
                "retries_recovered_total",
                "Sends that were accepted after retries.",
                &["session", "kind"],
            )?,
            exhausted: counters(
                "retries_exhausted_total",
                "Sends that were given up.",
                &["session", "kind"],
            )?,
            created: counters(
                "failed_notifications_total",
                "Failed notifications opened.",
                &["session", "notification"],
            )?,
            resolved: counters(
                "notifications_resolved_total",
                "Failed notifications settled, by method.",
                &["session", "method"],
            )?,
            resolution: histogram_vec(
                registry,
                "notification_resolution_seconds",
                "From the opening of a failed notification to its settlement.",
                &RESOLUTION,
            )?,
            usual: HashMap::new(),
        };
        for session in with_other(sessions) {
            metrics.create(session);
            metrics.usual.insert(session.to_owned(), metrics.usual(session));
        }
        Ok(metrics)
    }

    /// Creates all label sets of a session.
    fn create(&self, session: &str) {
        for status in Status::ALL {
            self.status
                .with_label_values(&[session, status.as_str()])
                .set(i64::from(status == Status::Unknown));
            self.status_seconds.with_label_values(&[session, status.as_str()]);
            for to in Status::ALL.into_iter().filter(|to| *to != status) {
                self.transitions.with_label_values(&[session, status.as_str(), to.as_str()]);
            }
        }
        self.status_code.with_label_values(&[session]).set(i64::from(Status::Unknown.code()));
        for reason in Reason::ALL {
            self.status_reason
                .with_label_values(&[session, reason.as_str()])
                .set(i64::from(reason == Reason::NothingSeen));
        }
        for gauge in [&self.status_since, &self.last_success, &self.last_activity] {
            gauge.with_label_values(&[session]);
        }
        self.consecutive_failures.with_label_values(&[session]);
        self.latched.with_label_values(&[session]);
        self.send_duration.with_label_values(&[session]);
        self.resolution.with_label_values(&[session]);
        for outcome in Outcome::ALL {
            self.attempts.with_label_values(&[session, outcome.as_str()]);
        }
        for cause in Cause::ALL {
            self.causes.with_label_values(&[session, cause.as_str()]);
        }
        // The others are rare: a session that sends no media has no series for it.
        let usual = KINDS[0];
        self.request_duration.with_label_values(&[session, usual]);
        for (code, error) in REPLIES {
            self.requests.with_label_values(&[session, usual, code, error]);
        }
        for kind in KINDS {
            self.requests.with_label_values(&[session, kind, CREATED.0, CREATED.1]);
            for result in ["accepted", "rejected", "exhausted"] {
                self.sends.with_label_values(&[session, kind, result]);
            }
            for family in [&self.retries, &self.recovered, &self.exhausted] {
                family.with_label_values(&[session, kind]);
            }
        }
        for kind in NotificationType::ALL {
            self.created.with_label_values(&[session, kind.as_str()]);
        }
        for method in Method::ALL {
            self.resolved.with_label_values(&[session, method.as_str()]);
        }
    }

    fn usual(&self, session: &str) -> Usual {
        let (kind, (code, error)) = (KINDS[0], CREATED);
        let accepted = Outcome::Accepted.as_str();
        Usual {
            requests: self.requests.with_label_values(&[session, kind, code, error]),
            request_duration: self.request_duration.with_label_values(&[session, kind]),
            attempts: self.attempts.with_label_values(&[session, accepted]),
            sends: self.sends.with_label_values(&[session, kind, "accepted"]),
            send_duration: self.send_duration.with_label_values(&[session]),
        }
    }

    /// An attempt ended.
    pub fn attempt(&self, session: &str, ended: &Ended) {
        if Usual::is(ended)
            && let Some(usual) = self.usual.get(session)
        {
            return usual.count(ended);
        }
        if ended.via == Via::Latch {
            self.latched.with_label_values(&[session]).inc();
            return;
        }
        let endpoint = kind_label(ended.what.kind);
        let (code, error) = reply(ended);
        self.requests.with_label_values(&[session, endpoint, code, error]).inc();
        self.request_duration
            .with_label_values(&[session, endpoint])
            .observe(seconds(ended.ended.since(ended.started)));
        self.attempts.with_label_values(&[session, ended.outcome.as_str()]).inc();
        if let Some(cause) = ended.cause {
            self.causes.with_label_values(&[session, cause.as_str()]).inc();
        }
        let result = match ended.outcome {
            Outcome::Accepted => {
                self.send_duration
                    .with_label_values(&[session])
                    .observe(seconds(ended.ended.since(ended.first_at)));
                "accepted"
            }
            Outcome::Rejected => "rejected",
            Outcome::Failed | Outcome::Ambiguous => return,
        };
        self.sends.with_label_values(&[session, kind_label(ended.what.kind), result]).inc();
    }

    /// Something is worth counting.
    pub fn notice(&self, session: &str, notice: &Notice) {
        let notification = |kind: Option<NotificationType>| kind.unwrap_or_default().as_str();
        match notice {
            // The mind's.
            Notice::Probed { .. }
            | Notice::BotProbed { .. }
            | Notice::Diagnosed { .. }
            | Notice::Confirmed { .. }
            | Notice::Replayed { .. }
            | Notice::NotReplayed { .. }
            | Notice::RunOver { .. }
            | Notice::Looked { .. }
            | Notice::IncidentOpened(_)
            | Notice::IncidentClosed(_)
            | Notice::Alerting(_)
            | Notice::Acted(_)
            | Notice::Delivered { .. } => {}
            Notice::Opened { what, .. } => {
                self.created.with_label_values(&[session, notification(what.order.notification_type)]).inc();
            }
            Notice::Settled { method, took, .. } => {
                self.resolved.with_label_values(&[session, method.as_str()]).inc();
                self.resolution.with_label_values(&[session]).observe(seconds(*took));
            }
            Notice::GivenUp { what } => {
                self.sends.with_label_values(&[session, kind_label(what.kind), "exhausted"]).inc();
                self.exhausted.with_label_values(&[session, kind_label(what.kind)]).inc();
            }
            Notice::Retried { what } => {
                self.recovered.with_label_values(&[session, kind_label(what.kind)]).inc()
            }
            Notice::Retry { what } => self.retries.with_label_values(&[session, kind_label(what.kind)]).inc(),
            Notice::Status(change) => {
                let (from, to) = (change.from.as_str(), change.to.status.as_str());
                self.transitions.with_label_values(&[session, from, to]).inc();
            }
        }
    }

    /// The session as it is now; `elapsed` since it was last shown.
    pub fn session(&self, session: &Session, elapsed: std::time::Duration) {
        let name = session.name.as_str();
        for status in Status::ALL {
            self.status
                .with_label_values(&[name, status.as_str()])
                .set(i64::from(status == session.assessment.status));
        }
        self.status_code.with_label_values(&[name]).set(i64::from(session.assessment.status.code()));
        for reason in Reason::ALL {
            self.status_reason
                .with_label_values(&[name, reason.as_str()])
                .set(i64::from(reason == session.assessment.reason));
        }
        self.status_since.with_label_values(&[name]).set(wall::outside(session.since).seconds());
        self.status_seconds
            .with_label_values(&[name, session.assessment.status.as_str()])
            .inc_by(elapsed.as_secs_f64());
        self.last_success.with_label_values(&[name]).set(moment(session.last_accepted));
        self.last_activity.with_label_values(&[name]).set(moment(session.last_activity));
        self.consecutive_failures.with_label_values(&[name]).set(i64::from(session.consecutive_failures));
    }
}

/// Kinds of sends, in few groups: the series are many enough. The usual one first.
const KINDS: [&str; 3] = ["text", "media", "other"];

/// One of [`KINDS`].
const fn kind_label(kind: SendKind) -> &'static str {
    match kind {
        SendKind::Text => "text",
        SendKind::Media => "media",
        _ => "other",
    }
}

/// The labels of an answer, or of what stood in its place: always one of [`REPLIES`].
fn reply(ended: &Ended) -> (&'static str, &'static str) {
    let Some(status) = ended.status else {
        return ("none", missing_answer(ended.cause));
    };
    match (code_label(status), ended.cause) {
        ("201", Some(_)) => ("201", "body"),
        ("422", Some(Cause::SessionMissing | Cause::SessionNotWorking)) => ("422", "session"),
        ("204", _) => ("other", ""),
        (code, _) => (code, ""),
    }
}

const fn missing_answer(cause: Option<Cause>) -> &'static str {
    match cause {
        Some(Cause::Dns) => "dns",
        Some(Cause::Tls) => "tls",
        Some(Cause::ConnectionRefused | Cause::ConnectTimeout) => "connect",
        Some(Cause::ResponseTimeout) => "timeout",
        Some(Cause::TruncatedAnswer | Cause::IncompleteRequest) => "body",
        _ => "reset",
    }
}

/// What the store's writer counts.
#[derive(Clone)]
pub struct StoreMetrics {
    /// 1 while sends are recorded.
    pub up: IntGauge,
    /// How long commits took.
    pub commit_duration: Histogram,
    /// Entries committed.
    pub entries: IntCounter,
    /// Sends that went on without their record on disk: `store.commit_wait` missed, or no store.
    pub waits_missed: IntCounter,
    /// Entries that were never recorded.
    pub unrecorded: IntCounter,
    /// Entries recorded later than they should have been.
    pub recorded_late: IntCounter,
    /// Store errors, by what was being done.
    pub errors: IntCounterVec,
    /// Entries waiting to be committed.
    pub queue: IntGauge,
    /// Size of the store's file.
    pub size: IntGauge,
    /// When the last commit succeeded.
    pub last_commit: Gauge,
    /// Attempts forgotten by age or for room.
    pub pruned: IntCounter,
}

impl StoreMetrics {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let errors =
            counter_vec(registry, "store_errors_total", "Store errors, by what was being done.", &["op"])?;
        for op in ["open", "row"] {
            errors.with_label_values(&[op]);
        }
        Ok(Self {
            up: gauge(
                registry,
                "store_up",
                "1 while sends are recorded, 0 while they go through unrecorded.",
            )?,
            commit_duration: histogram(
                registry,
                "store_commit_duration_seconds",
                "How long commits took, fsync included.",
                &COMMIT,
            )?,
            entries: counter(registry, "store_entries_total", "Ledger entries committed.")?,
            waits_missed: counter(
                registry,
                "store_waits_missed_total",
                "Sends that went on without waiting longer for their record.",
            )?,
            unrecorded: counter(
                registry,
                "store_unrecorded_total",
                "Ledger entries that were never recorded.",
            )?,
            recorded_late: counter(
                registry,
                "store_recorded_late_total",
                "Ledger entries recorded after the store came back.",
            )?,
            errors,
            queue: gauge(registry, "store_queue_entries", "Entries waiting to be committed.")?,
            size: gauge(registry, "store_size_bytes", "Size of the store's file.")?,
            pruned: counter(registry, "store_pruned_total", "Attempts forgotten by age or for room.")?,
            last_commit: register(
                registry,
                Gauge::with_opts(opts(
                    "store_last_commit_timestamp_seconds",
                    "When the last commit succeeded; 0 where none did.",
                ))?,
            )?,
        })
    }
}

fn counter(registry: &Families, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::with_opts(opts(name, help))?)
}

fn histogram(
    registry: &Families,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    register(registry, Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec()))?)
}
