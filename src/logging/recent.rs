//! The newest lines of the log, in memory: bounded, and never waited for.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// Lines kept.
const LINES_MAX: usize = 2_000;
/// Longest text of a field, in bytes; what is longer is cut.
const TEXT_MAX: usize = 1_000;

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Ascending, over restarts too.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// How grave.
    pub level: Level,
    /// Which part of the program.
    pub target: &'static str,
    /// What it says.
    pub message: String,
    /// And about what.
    pub fields: BTreeMap<&'static str, String>,
}

/// The newest lines.
#[derive(Debug)]
pub struct Recent {
    clock: Clock,
    lines: Mutex<VecDeque<Line>>,
}

/// The newest lines of this process. A log is the process' own, like its standard error.
pub fn recent() -> &'static Recent {
    static RECENT: OnceLock<Recent> = OnceLock::new();
    RECENT.get_or_init(|| Recent { clock: Clock::system(), lines: Mutex::default() })
}

impl Recent {
    /// Up to `limit` lines that are `wanted`, the newest first; or, where `oldest_first`, the oldest. Those before (or after) the line `from`.
    pub fn lines(
        &self,
        oldest_first: bool,
        from: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Line) -> bool,
    ) -> Vec<Line> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |line: &&Line| {
            let on_this_side =
                from.is_none_or(|from| if oldest_first { line.id > from } else { line.id < from });
            on_this_side && wanted(line)
        };
        if oldest_first {
            lines.iter().filter(wanted).take(limit).cloned().collect()
        } else {
            lines.iter().rev().filter(wanted).take(limit).cloned().collect()
        }
    }

    fn keep(&self, level: Level, target: &'static str, said: Said) {
        let at = self.clock.now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = u64::try_from(at.millis()).unwrap_or(0).saturating_mul(1_000);
        let id = lines.back().map_or(micros, |last| micros.max(last.id + 1));
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(Line { id, at, level, target, message: said.message, fields: said.fields });
    }
}

/// Keeps what is logged.
pub(super) struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        recent().keep(*event.metadata().level(), event.metadata().target(), said);
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.take(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }
}

impl Said {
    fn take(&mut self, field: &Field, mut text: String) {
        if text.len() > TEXT_MAX {
            text.truncate(text.floor_char_boundary(TEXT_MAX));
            text.push('…');
        }
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.insert(field.name(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_are_kept_bounded_and_read_both_ways() {
        let subscriber = tracing_subscriber::registry().with(Keep);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..LINES_MAX + 5 {
                tracing::info!(target: "kept", number, word = "w", "line {number}");
            }
            tracing::error!(target: "kept", long = "ñ".repeat(TEXT_MAX), "last");
        });
        // Other tests may log meanwhile.
        let ours = |line: &Line| line.target == "kept";
        let newest = recent().lines(false, None, 3, ours);
        assert_eq!((newest[0].message.as_str(), newest[0].level), ("last", Level::ERROR));
        assert!(newest[0].fields["long"].len() <= TEXT_MAX + '…'.len_utf8());
        assert_eq!(newest[1].message, format!("line {}", LINES_MAX + 4));
        assert_eq!((newest[1].fields["number"].as_str(), newest[1].fields["word"].as_str()), ("2004", "w"));
        assert_eq!(recent().lines(true, None, usize::MAX, |_| true).len(), LINES_MAX);
        let after = recent().lines(true, Some(newest[2].id), 10, ours);
        let before = recent().lines(false, Some(newest[1].id), 1, ours);
        assert_eq!((after[0].id, after[1].id, before[0].id), (newest[1].id, newest[0].id, newest[2].id));
    }
}
