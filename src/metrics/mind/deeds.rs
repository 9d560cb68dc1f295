//! What the mind finds and does: diagnoses, the way back, incidents, alerts.

use std::time::Duration;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::super::{
    Families, count, counter_vec, float_vec, gauge, gauge_vec, histogram_vec, moment, seconds,
};
use crate::clock::wall;
use crate::domain::alert::{Alert, Says};
use crate::domain::decide::Outlook;
use crate::domain::delivery::{Channel, Delivered, Delivery, Steady};
use crate::domain::diagnosis::{Finding, Reached, Verdict};
use crate::domain::drill::Drill;
use crate::domain::errand::Looked;
use crate::domain::incident::Incident;
use crate::domain::outcome::Outcome;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// Two steps of ten seconds, and corrections by what WAHA sends late.
const DIAGNOSIS: [f64; 7] = [1.0, 5.0, 10.0, 15.0, 20.0, 60.0, 150.0];

/// What a diagnosis came to.
const RESULTS: [&str; 4] = ["user_reached", "admin_reached", "total_loss", "inconclusive"];

/// Verdicts that are a communication failure.
const FAILURES: [Verdict; 2] = [Verdict::WebhookOnly, Verdict::TotalLoss];

/// What an incident can come to.
const WORST: [Status; 4] =
    [Status::Degraded, Status::Incommunicado, Status::IncommunicadoCritico, Status::Offline];

/// A replay that did not begin.
const SKIPPED: &str = "skipped";

/// What is due within so long waits already.
const SOON: Duration = Duration::from_secs(60);

/// Open communication failures of a session.
#[derive(Clone, Copy, Default)]
pub(super) struct Open([usize; FAILURES.len()]);

impl Open {
    /// One more.
    pub(super) fn add(&mut self, finding: &Finding) {
        if finding.resolved_at.is_none()
            && let Some(at) = FAILURES.iter().position(|known| *known == finding.verdict)
        {
            self.0[at] += 1;
        }
    }
}

/// What is found and done.
pub(super) struct Deeds {
    diagnoses: IntCounterVec,
    diagnosis_duration: HistogramVec,
    failures: IntCounterVec,
    failures_open: IntGaugeVec,
    replays: IntCounterVec,
    runs: IntCounterVec,
    looks: IntCounterVec,
    pending: IntGaugeVec,
    held: IntGaugeVec,
    paused: IntGauge,
    finish: GaugeVec,
    incidents: IntCounterVec,
    incident_open: IntGaugeVec,
    incident_start: GaugeVec,
    alerts: IntCounterVec,
    alerts_sent: IntCounterVec,
    queue: IntGaugeVec,
    last_told: GaugeVec,
    drill_active: IntGaugeVec,
    drill_last: IntGauge,
}

impl Deeds {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let deeds = Self {
            diagnoses: counter_vec(
                registry,
                "diagnostics_total",
                "Diagnoses by what they came to; one that is corrected late counts again.",
                &["session", "result"],
            )?,
            diagnosis_duration: histogram_vec(
                registry,
                "diagnostic_duration_seconds",
                "From the beginning of a diagnosis to its verdict.",
                &DIAGNOSIS,
            )?,
            failures: counter_vec(
                registry,
                "communication_failures_total",
                "Sends that a diagnosis spoke about, by its verdict.",
                &["session", "failure"],
            )?,
            failures_open: gauge_vec(
                registry,
                "communication_failures_open",
                "Open failed notifications that were diagnosed, by the verdict.",
                &["session", "failure"],
            )?,
            replays: counter_vec(
                registry,
                "recovery_orders_total",
                "Kept requests that were sent again, by how that went; skipped ones did not begin.",
                &["session", "result"],
            )?,
            runs: counter_vec(
                registry,
                "recovery_runs_total",
                "Runs of replays that are over: complete where nothing more may go out, cut by a new outage.",
                &["session", "result"],
            )?,
            looks: counter_vec(
                registry,
                "looks_total",
                "Questions to WAHA whether a send had gone out, by what it said.",
                &["session", "result"],
            )?,
            pending: gauge_vec(
                registry,
                "recovery_pending",
                "Open failed notifications that go out by themselves when it is their turn.",
                &["session"],
            )?,
            held: gauge_vec(
                registry,
                "recovery_held",
                "Open failed notifications that wait for a person.",
                &["session"],
            )?,
            paused: gauge(registry, "recovery_paused", "1 while a person has stopped sending again.")?,
            finish: float_vec(
                registry,
                "recovery_finish_timestamp_seconds",
                "When the last pending one goes out at the present pace; 0 where none is pending or none goes out now.",
                &["session"],
            )?,
            incidents: counter_vec(
                registry,
                "incidents_total",
                "Incidents that are over, by the worst status they came to.",
                &["session", "worst"],
            )?,
            incident_open: gauge_vec(
                registry,
                "incident_open",
                "1 while an incident is open.",
                &["session"],
            )?,
            incident_start: float_vec(
                registry,
                "incident_start_timestamp_seconds",
                "When the open incident began; 0 where none is open.",
                &["session"],
            )?,
            alerts: counter_vec(
                registry,
                "alerts_total",
                "Alerts that were decided, by what they say; told or not.",
                &["says"],
            )?,
            alerts_sent: counter_vec(
                registry,
                "alerts_sent_total",
                "Alerts told through a channel: accepted (ok), to be tried again, given up, or needless before they were told.",
                &["channel", "result"],
            )?,
            queue: gauge_vec(
                registry,
                "alert_queue_length",
                "Alerts that are due, or soon, and were not told yet.",
                &["channel"],
            )?,
            last_told: float_vec(
                registry,
                "alert_channel_last_success_timestamp_seconds",
                "When the channel last accepted an alert; 0 where none since the start.",
                &["channel"],
            )?,
            drill_active: gauge_vec(
                registry,
                "drill_active",
                "1 while a drill pretends that the session is cut off; nothing real is wrong.",
                &["session"],
            )?,
            drill_last: gauge(
                registry,
                "drill_last_timestamp_seconds",
                "When the last drill began; 0 where there was none.",
            )?,
        };
        for says in Says::WORDS {
            deeds.alerts.with_label_values(&[says]);
        }
        let channels = Channel::ALL.map(Channel::as_str).into_iter().chain(Steady::ALL.map(Steady::as_str));
        for channel in channels {
            for how in Delivered::ALL {
                deeds.alerts_sent.with_label_values(&[channel, how.as_str()]);
            }
            deeds.queue.with_label_values(&[channel]);
            deeds.last_told.with_label_values(&[channel]);
        }
        Ok(deeds)
    }

    /// Creates all label sets of a session.
    pub(super) fn create(&self, session: &str) {
        for result in RESULTS {
            self.diagnoses.with_label_values(&[session, result]);
        }
        self.diagnosis_duration.with_label_values(&[session]);
        for failure in FAILURES.map(Verdict::as_str) {
            self.failures.with_label_values(&[session, failure]);
            self.failures_open.with_label_values(&[session, failure]);
        }
        for result in ["sent", "failed", SKIPPED] {
            self.replays.with_label_values(&[session, result]);
        }
        for cut in [false, true] {
            self.runs.with_label_values(&[session, run_result(cut)]);
        }
        for result in Looked::WORDS {
            self.looks.with_label_values(&[session, result]);
        }
        for gauge in [&self.pending, &self.held, &self.incident_open, &self.drill_active] {
            gauge.with_label_values(&[session]);
        }
        for gauge in [&self.finish, &self.incident_start] {
            gauge.with_label_values(&[session]);
        }
        for worst in WORST {
            self.incidents.with_label_values(&[session, worst.as_str()]);
        }
    }

    /// A diagnosis is over, and so many sends share it.
    pub(super) fn diagnosed(&self, session: &str, finding: &Finding, took: Duration, sends: usize) {
        self.diagnoses.with_label_values(&[session, result(finding)]).inc();
        self.diagnosis_duration.with_label_values(&[session]).observe(seconds(took));
        if FAILURES.contains(&finding.verdict) {
            let sends = u64::try_from(sends).unwrap_or(u64::MAX);
            self.failures.with_label_values(&[session, finding.verdict.as_str()]).inc_by(sends);
        }
    }

    /// A replay is over.
    pub(super) fn replayed(&self, session: &str, outcome: Outcome) {
        let result = if outcome == Outcome::Accepted { "sent" } else { "failed" };
        self.replays.with_label_values(&[session, result]).inc();
    }

    /// A replay did not begin.
    pub(super) fn not_replayed(&self, session: &str) {
        self.replays.with_label_values(&[session, SKIPPED]).inc();
    }

    /// A run of replays is over.
    pub(super) fn run_over(&self, session: &str, cut: bool) {
        self.runs.with_label_values(&[session, run_result(cut)]).inc();
    }

    /// WAHA was asked whether a send had gone out.
    pub(super) fn looked(&self, session: &str, found: &Looked) {
        self.looks.with_label_values(&[session, found.as_str()]).inc();
    }

    /// An incident is over.
    pub(super) fn incident_over(&self, session: &str, worst: Status) {
        self.incidents.with_label_values(&[session, worst.as_str()]).inc();
    }

    /// An alert was decided.
    pub(super) fn alerting(&self, says: &Says) {
        self.alerts.with_label_values(&[says.as_str()]).inc();
    }

    /// A channel told an alert, or did not.
    pub(super) fn delivered(&self, channel: &str, how: Delivered, now: Timestamp) {
        self.alerts_sent.with_label_values(&[channel, how.as_str()]).inc();
        if how == Delivered::Ok {
            self.last_told.with_label_values(&[channel]).set(moment(Some(now)));
        }
    }

    /// So much was not told yet.
    pub(super) fn waits(&self, channel: &str, waiting: usize) {
        self.queue.with_label_values(&[channel]).set(count(waiting));
    }

    /// The latest drill.
    pub(super) fn drill(&self, drill: Option<&Drill>) {
        self.drill_last.set(drill.map_or(0, |drill| wall::outside(drill.began).millis() / 1000));
    }

    /// Does a drill pretend that something is wrong with this session?
    pub(super) fn drill_runs(&self, session: &str, runs: bool) {
        self.drill_active.with_label_values(&[session]).set(i64::from(runs));
    }

    /// Do people want no replays?
    pub(super) fn paused(&self, paused: bool) {
        self.paused.set(i64::from(paused));
    }

    /// The alerts that are not told yet.
    pub(super) fn alerts_waiting<'a>(&self, alerts: impl Iterator<Item = &'a Alert>, now: Timestamp) {
        let mut waiting = [0_usize; Channel::ALL.len()];
        // A reminder for later keeps nobody waiting; what was tried in vain does, and what no channel carries, which is due soon again and again.
        let is_due = |one: &&Delivery| one.settled().is_none() && (one.tries > 0 || one.due <= now + SOON);
        let open = alerts.flat_map(|alert| &alert.deliveries).filter(is_due);
        for delivery in open {
            if let Some(at) = Channel::ALL.iter().position(|channel| *channel == delivery.channel) {
                waiting[at] += 1;
            }
        }
        for (channel, waiting) in Channel::ALL.into_iter().zip(waiting) {
            self.waits(channel.as_str(), waiting);
        }
    }

    /// The open communication failures of a session.
    pub(super) fn open(&self, session: &str, open: Open) {
        for (failure, sends) in FAILURES.into_iter().zip(open.0) {
            self.failures_open.with_label_values(&[session, failure.as_str()]).set(count(sends));
        }
    }

    /// What is pending in a session.
    pub(super) fn outlook(&self, session: &str, outlook: &Outlook) {
        self.pending.with_label_values(&[session]).set(count(outlook.pending));
        self.held.with_label_values(&[session]).set(count(outlook.held));
        self.finish.with_label_values(&[session]).set(moment(outlook.finish));
    }

    /// The session's open incident, if there is one.
    pub(super) fn incident(&self, session: &str, incident: Option<&Incident>) {
        self.incident_open.with_label_values(&[session]).set(i64::from(incident.is_some()));
        self.incident_start.with_label_values(&[session]).set(moment(incident.map(|one| one.start)));
    }
}

/// How a run of replays ended.
const fn run_result(cut: bool) -> &'static str {
    if cut { "cut" } else { "complete" }
}

/// One of [`RESULTS`].
fn result(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::WebhookOnly if finding.user == Reached::Yes => "user_reached",
        Verdict::WebhookOnly => "admin_reached",
        Verdict::TotalLoss => "total_loss",
        Verdict::Inconclusive => "inconclusive",
    }
}
