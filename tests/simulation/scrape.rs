//! What Prometheus would see of a life: `/metrics` as the real registry writes it, scrape after scrape, kept as series that `promtool` reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use waha_watchdog::domain::id::SessionName;
use waha_watchdog::metrics::Metrics;

use super::life::Life;
use super::sidecar::EPOCH;

const TARGET: &str = r#"instance="127.0.0.1:9478",job="waha-watchdog""#;
/// The rules take what is not above zero for "none".
const ABOVE_ZERO: &str = "waha_watchdog_orders_unnotified_critical_oldest_timestamp_seconds";

/// Series, by what changed in them at which scrape.
#[derive(Default)]
pub struct Recorder {
    /// Only these are kept.
    wanted: BTreeSet<String>,
    series: Vec<Series>,
    known: HashMap<String, usize>,
    scrapes: usize,
}

struct Series {
    name: String,
    /// From this scrape on; `None` where it is not there any more.
    values: Vec<(usize, Option<f64>)>,
    seen: usize,
}

impl Recorder {
    /// Keeps the series of these names.
    pub fn keep(&mut self, names: impl IntoIterator<Item = String>) {
        self.wanted.extend(names);
    }

    pub fn scrapes(&self) -> usize {
        self.scrapes
    }

    pub fn series(&self) -> usize {
        self.series.len()
    }

    fn record(&mut self, series: &str, value: f64) {
        let at = match self.known.get(series) {
            Some(at) => *at,
            None => {
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let comma = if labels == "}" { "" } else { "," };
                let name = format!("{name}{{{TARGET}{comma}{labels}");
                self.series.push(Series { name, values: vec![(0, None)], seen: 0 });
                self.known.insert(series.to_owned(), self.series.len() - 1);
                self.series.len() - 1
            }
        };
        let one = &mut self.series[at];
        one.seen = self.scrapes;
        if one.values.last().and_then(|(_, last)| *last) != Some(value) {
            one.values.push((self.scrapes, Some(value)));
        }
    }

    /// What one scrape found: `/metrics`, or nothing where nobody answered. `started` is when the process began, in seconds.
    fn scraped(&mut self, text: Option<&str>, started: f64) {
        self.record("up", f64::from(u8::from(text.is_some())));
        for line in text.unwrap_or_default().lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split_once('{').map_or(series, |(name, _)| name);
            if !self.wanted.contains(name) {
                continue;
            }
            let value = match name {
                // The simulation's process is not the one that is simulated.
                "process_start_time_seconds" => started,
                _ => value.parse().unwrap_or(f64::NAN),
            };
            self.record(series, value);
        }
        let now = self.scrapes;
        for one in self.series.iter_mut().filter(|one| one.seen != now) {
            if one.values.last().is_some_and(|(_, last)| last.is_some()) {
                one.values.push((now, None));
            }
        }
        self.scrapes += 1;
    }

    /// The input series of scrapes `from..until`, with all moments counted from the first of them, as `promtool` counts. `every`: seconds.
    pub fn input(&self, from: usize, until: usize, every: i64) -> String {
        let shift = EPOCH as f64 / 1000.0 + (from as f64) * every as f64;
        let mut text = String::new();
        for one in &self.series {
            let (name, moment) = (
                one.name.as_str(),
                one.name.contains("timestamp_seconds") || one.name.contains("start_time"),
            );
            let shown = |value: f64| {
                let shown = if moment && value > 0.0 { value - shift } else { value };
                assert!(
                    value == 0.0 || shown > 0.0 || !name.starts_with(ABOVE_ZERO),
                    "{name} is older than what is judged"
                );
                shown
            };
            let mut values = String::new();
            let first = one.values.partition_point(|(at, _)| *at <= from).saturating_sub(1);
            let mut there = false;
            for (number, (at, value)) in one.values.iter().enumerate().skip(first) {
                let begin = (*at).max(from);
                let end = one.values.get(number + 1).map_or(until, |(next, _)| (*next).min(until));
                if *at >= until {
                    break;
                }
                if begin >= end {
                    continue;
                }
                let more = end - begin - 1;
                match value {
                    Some(value) => write!(values, "{}+0x{more} ", shown(*value)),
                    None if there && more > 0 => write!(values, "stale _x{more} "),
                    None if there => write!(values, "stale "),
                    None => write!(values, "_x{} ", more + 1),
                }
                .unwrap_or_default();
                there = value.is_some();
            }
            let quoted = name.replace('\'', "''");
            writeln!(text, "    - series: '{quoted}'\n      values: '{}'", values.trim_end())
                .unwrap_or_default();
        }
        text
    }

    /// The last value of each series of a name, by labels.
    pub fn last(&self, name: &str) -> BTreeMap<&str, f64> {
        let of_name = self.series.iter().filter(|one| one.name.split('{').next() == Some(name));
        of_name.filter_map(|one| Some((one.name.as_str(), one.values.last()?.1?))).collect()
    }
}

impl Life {
    /// The families of a new process.
    pub fn counts(&self) -> Option<Metrics> {
        self.month.as_ref()?;
        Metrics::new(&SessionName::new("default").into_iter().collect::<Vec<_>>()).ok()
    }

    /// Prometheus asks: as the admin's `/metrics` answers.
    pub fn is_scraped(&mut self) {
        let now = self.clock();
        let (sick, up) = (self.disk.sick, !self.disk.sick && !self.disk.bypass);
        let Some(month) = &mut self.month else { return };
        let Some(sidecar) = &mut self.sidecar else { return month.recorder.scraped(None, 0.0) };
        let started = sidecar.started;
        let elapsed = now.since(std::mem::replace(&mut sidecar.shown, now));
        let Some(metrics) = &sidecar.metrics else { return };
        sidecar.state.sessions().values().for_each(|session| metrics.heart.session(session, elapsed));
        metrics.mind.show(&sidecar.state, now, &sidecar.policy);
        metrics.store.up.set(i64::from(up));
        if sick {
            // The real one tries to open its file again and again.
            metrics.store.errors.with_label_values(&["open"]).inc();
        }
        let text = metrics.encode();
        month.recorder.scraped(std::str::from_utf8(&text).ok(), started.seconds());
    }
}
