//! The call list as a file: is it written, and since when is it old?

use prometheus::{Gauge, IntCounter};

use super::{Families, PREFIX, register};
use crate::clock::wall;
use crate::domain::time::Timestamp;

/// What is counted of `panel.snapshot_file`.
pub struct SnapshotMetrics {
    at: Gauge,
    current: Gauge,
    failures: IntCounter,
}

impl SnapshotMetrics {
    pub(super) fn new(registry: &Families) -> Result<Self, prometheus::Error> {
        let at = Gauge::new(
            format!("{PREFIX}_snapshot_last_write_timestamp_seconds"),
            "When the call list was last written to panel.snapshot_file; 0 where it never was.",
        )?;
        let current = Gauge::new(
            format!("{PREFIX}_snapshot_current_timestamp_seconds"),
            "When panel.snapshot_file was last seen to say what the call list says; 0 where there is no such file.",
        )?;
        let failures = IntCounter::new(
            format!("{PREFIX}_snapshot_failures_total"),
            "Writes of the call list to panel.snapshot_file that failed.",
        )?;
        Ok(Self {
            at: register(registry, at)?,
            current: register(registry, current)?,
            failures: register(registry, failures)?,
        })
    }

    /// It was written.
    pub fn written(&self, now: Timestamp) {
        self.at.set(wall::outside(now).seconds());
        self.seen_current(now);
    }

    /// It says what the list says.
    pub fn seen_current(&self, now: Timestamp) {
        self.current.set(wall::outside(now).seconds());
    }

    /// None is wanted.
    pub fn unwanted(&self) {
        self.current.set(0.0);
    }

    /// It could not be.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
