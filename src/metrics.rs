//! Every metric family, declared once; label sets are created at start, so that no increase is missed (OBSERVABILITY 3).
//!
//! Labels come from closed lists: sessions are those of `waha.sessions` and `other`. No phone, name, chat, order or text is ever a label.
//! The registry is this process' own; encoding happens on the admin's thread.

mod families;
mod mind;
mod snapshot;
mod text;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

pub use families::{HeartMetrics, ProxyMetrics, StoreMetrics};
pub use mind::MindMetrics;
pub use snapshot::SnapshotMetrics;

use crate::clock::wall;
use crate::domain::decide::OTHER_SESSIONS;
use crate::domain::id::SessionName;
use crate::domain::time::Timestamp;

/// A text that grows a little needs no new room.
const ROOM: usize = 16 * 1024;

/// The prefix of all names.
pub const PREFIX: &str = "waha_watchdog";

/// Which source this was built from, where the one who builds says so: the image does.
const REVISION: &str = match option_env!("WAHA_WATCHDOG_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The families there are.
struct Families {
    /// Sees to it that no two have one name.
    registry: Registry,
    all: RefCell<Vec<Box<dyn Collector>>>,
}

impl Families {
    fn add<C: Collector + Clone + 'static>(&self, family: &C) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        self.all.borrow_mut().push(Box::new(family.clone()));
        Ok(())
    }

    /// In the order of their names.
    fn sorted(self) -> Vec<Box<dyn Collector>> {
        let mut all = self.all.into_inner();
        let name = |family: &dyn Collector| family.desc().first().map(|desc| desc.fq_name.clone());
        all.sort_by_cached_key(|family| name(&**family));
        all
    }
}

/// All families of this process.
pub struct Metrics {
    families: Vec<Box<dyn Collector>>,
    /// How long the last text was.
    length: AtomicUsize,
    /// Counted by the proxy's threads.
    pub proxy: ProxyMetrics,
    /// Counted by the heart.
    pub heart: HeartMetrics,
    /// Counted by the heart too: what it sees and does beside the sends.
    pub mind: MindMetrics,
    /// Counted by the store's writer.
    pub store: StoreMetrics,
    /// Counted by the panel, where it keeps the call list as a file.
    pub snapshot: SnapshotMetrics,
    /// 1 where the last reload of the configuration took effect.
    pub reload_successful: IntGauge,
    /// When the configuration was last loaded.
    pub reload_timestamp: IntGauge,
    admin_requests: IntCounterVec,
}

impl Metrics {
    /// Declares every family for these sessions.
    ///
    /// # Errors
    /// Where two families have one name: a fault of this program, seen by its first test.
    pub fn new(sessions: &[SessionName]) -> Result<Self, prometheus::Error> {
        let families = Families { registry: Registry::new(), all: RefCell::default() };
        let registry = &families;
        let build = gauge_vec(
            registry,
            "build_info",
            "Version and source revision of the running sidecar, always 1.",
            &["version", "revision"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION]).set(1);
        #[cfg(target_os = "linux")]
        registry.all.borrow_mut().push(Box::new(ProcessCollector::for_self()));
        let metrics = Self {
            proxy: ProxyMetrics::new(registry)?,
            heart: HeartMetrics::new(registry, sessions)?,
            mind: MindMetrics::new(registry, sessions)?,
            store: StoreMetrics::new(registry)?,
            snapshot: SnapshotMetrics::new(registry)?,
            reload_successful: gauge(
                registry,
                "config_last_reload_successful",
                "1 where the last load of the configuration took effect.",
            )?,
            reload_timestamp: gauge(
                registry,
                "config_last_reload_timestamp_seconds",
                "When the configuration in force was loaded.",
            )?,
            admin_requests: counter_vec(
                registry,
                "http_requests_total",
                "Calls of the admin listener.",
                &["handler", "code"],
            )?,
            families: Vec::new(),
            length: AtomicUsize::new(0),
        };
        Ok(Self { families: families.sorted(), ..metrics })
    }

    /// A call of the admin listener was answered. `handler` is a route's name, not a path.
    pub fn admin_request(&self, handler: &'static str, code: u16) {
        self.admin_requests.with_label_values(&[handler, code_label(code)]).inc();
    }

    /// The text of `/metrics`.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.length.load(Ordering::Relaxed) + ROOM);
        self.families.iter().for_each(|family| text::write(&**family, &mut text));
        self.length.store(text.len(), Ordering::Relaxed);
        text
    }
}

/// The label of an HTTP status: a closed list.
pub fn code_label(code: u16) -> &'static str {
    match code {
        200 => "200",
        201 => "201",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        413 => "413",
        422 => "422",
        429 => "429",
        500 => "500",
        501 => "501",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Families, family: C) -> Result<C, prometheus::Error> {
    registry.add(&family)?;
    Ok(family)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}_{name}"), help)
}

fn gauge(registry: &Families, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::with_opts(opts(name, help))?)
}

fn gauge_vec(
    registry: &Families,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(opts(name, help), labels)?)
}

fn counter_vec(
    registry: &Families,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(opts(name, help), labels)?)
}

fn float(registry: &Families, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    register(registry, Gauge::with_opts(opts(name, help))?)
}

fn float_vec(
    registry: &Families,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<GaugeVec, prometheus::Error> {
    register(registry, GaugeVec::new(opts(name, help), labels)?)
}

/// A histogram for each session.
fn histogram_vec(
    registry: &Families,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(opts, &["session"])?)
}

/// The sessions that label sets are created for.
fn with_other(sessions: &[SessionName]) -> impl Iterator<Item = &str> {
    sessions.iter().map(SessionName::as_str).chain([OTHER_SESSIONS])
}

/// A moment, for gauges, by the wall clock as Prometheus reads it; 0 where there was none.
fn moment(at: Option<Timestamp>) -> f64 {
    at.map_or(0.0, |at| wall::outside(at).seconds())
}

/// A number of things, for gauges.
fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}

/// Seconds, for gauges of moments and histograms of spans.
pub fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_help_and_the_prefix_and_starts_with_its_series() {
        let metrics = Metrics::new(&[SessionName::new("default").unwrap()]).unwrap();
        let text = String::from_utf8(metrics.encode()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(name.starts_with(PREFIX) || name.starts_with("process_"), "{name}");
            let kind = line.split(' ').nth(3).unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        }
        for series in [
            r#"waha_watchdog_sends_total{kind="text",result="exhausted",session="default"} 0"#,
            r#"waha_watchdog_bot_status{session="other",status="unknown"} 1"#,
            r#"waha_watchdog_bot_status_reason{reason="nothing_seen",session="default"} 1"#,
            r#"waha_watchdog_bot_status_reason{reason="total_loss",session="default"} 0"#,
            r#"waha_watchdog_upstream_requests_total{code="none",endpoint="text",error="connect",session="default"} 0"#,
            "waha_watchdog_store_unrecorded_total 0",
        ] {
            assert!(text.contains(series), "missing {series} in\n{text}");
        }
    }
}
