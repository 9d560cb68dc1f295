//! The way from the writer to the heart: every entry, in the order of the ledger, without ever holding the writer up.
//!
//! The buffer between them is bounded. Where the heart lags further, recorded batches are not kept but only remembered as a gap, and read
//! back from the ledger when the heart comes to them: it sees the same entries in the same order, and never knows. What is not in the
//! ledger (`Begun`, and entries that could not be recorded) is dropped in that case, and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::query::Reader;
use crate::domain::ledger::{Entry, Position};

/// Most entries between writer and heart.
const ENTRIES_MAX: usize = 8_192;
/// Most bytes between writer and heart.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries handed over, or read back, at a time.
const CHUNK: usize = 1_000;
/// How long to wait before the ledger is asked again, where it could not be read.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// What the heart gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// Entries in the ledger's order. Position zero: not recorded, or not to be recorded.
    pub entries: Vec<(Position, Entry)>,
    /// Once these are dealt with, the ledger is applied up to here. Ahead of the entries' own positions where earlier ones, handed over
    /// as not recorded, have been recorded since.
    pub applied: Position,
}

#[derive(Default)]
pub(super) struct Buffer {
    held: Mutex<Held>,
    arrived: Notify,
}

#[derive(Default)]
struct Held {
    batches: VecDeque<(Handed, usize)>,
    entries: usize,
    bytes: usize,
    /// Recorded entries that come after the batches, and are not kept here.
    gap: Option<(Position, Position)>,
    /// Unrecorded entries that were dropped.
    dropped: u64,
    closed: bool,
}

impl Buffer {
    /// Hands a batch over. `bytes` is about what it holds.
    pub(super) fn push(&self, handed: Handed, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = held.entries + handed.entries.len() <= ENTRIES_MAX && held.bytes + bytes <= BYTES_MAX;
        if held.gap.is_none() && (fits || held.batches.is_empty()) {
            held.entries += handed.entries.len();
            held.bytes += bytes;
            held.batches.push_back((handed, bytes));
        } else {
            held.set_aside(&handed);
        }
        drop(held);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Popped {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn close(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.arrived.notify_one();
    }
}

impl Held {
    fn pop(&mut self) -> Popped {
        if let Some((mut handed, mut bytes)) = self.batches.pop_front() {
            // What has gathered goes together.
            while let Some((next, _)) = self.batches.front()
                && handed.entries.len() + next.entries.len() <= CHUNK
                && let Some((next, more)) = self.batches.pop_front()
            {
                handed.entries.extend(next.entries);
                // What could not be recorded stands nowhere.
                handed.applied = handed.applied.max(next.applied);
                bytes += more;
            }
            self.entries -= handed.entries.len();
            self.bytes -= bytes;
            return Popped::Batch(handed);
        }
        match self.gap.take() {
            Some((from, upto)) => Popped::Gap(from, upto),
            None if self.closed => Popped::Closed,
            None => Popped::Nothing,
        }
    }

    fn set_aside(&mut self, handed: &Handed) {
        let recorded = handed.entries.iter().map(|(position, _)| *position).filter(|at| at.0 > 0);
        let first = recorded.min().unwrap_or(handed.applied);
        if self.gap.is_none() {
            tracing::warn!("the heart lags: it will read the ledger");
        }
        let from = self.gap.map_or(first, |(from, _)| from);
        self.gap = Some((from, handed.applied.max(self.gap.map_or(Position(0), |(_, upto)| upto))));
        let unrecorded = handed.entries.iter().filter(|(position, _)| position.0 == 0).count();
        self.dropped += u64::try_from(unrecorded).unwrap_or(u64::MAX);
    }
}

/// The heart's end.
pub struct Feed {
    buffer: Arc<Buffer>,
    reader: Reader,
    /// The heart knows everything up to here.
    known: Position,
    /// Being read back from the ledger: next position, and last.
    reading: Option<(Position, Position)>,
}

impl Feed {
    pub(super) const fn new(buffer: Arc<Buffer>, reader: Reader) -> Self {
        Self { buffer, reader, known: Position(0), reading: None }
    }

    /// The heart has read the ledger up to `position` itself: recorded entries up to there are not handed over any more.
    pub fn skip_to(&mut self, position: Position) {
        self.known = self.known.max(position);
    }

    /// Unrecorded entries that were dropped because the heart lagged.
    pub fn dropped(&self) -> u64 {
        self.buffer.held.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// What comes next; `None` once the store is closed and all is handed over. Nothing is lost where the wait is given up.
    pub async fn next(&mut self) -> Option<Handed> {
        loop {
            if let Some((from, upto)) = self.reading {
                match self.reader.entries(from, upto, CHUNK) {
                    Ok(mut entries) => {
                        let more = entries.len() == CHUNK;
                        let last = entries.last().map_or(upto, |(position, _)| *position);
                        let applied = if more { last } else { upto };
                        self.reading = more.then_some((Position(last.0 + 1), upto));
                        entries.retain(|(position, _)| *position > self.known);
                        self.known = self.known.max(applied);
                        return Some(Handed { entries, applied });
                    }
                    Err(_) if self.reader.is_closed() => self.reading = None,
                    Err(_) => tokio::time::sleep(ASK_AGAIN).await,
                }
                continue;
            }
            match self.buffer.pop() {
                Popped::Batch(mut handed) => {
                    handed.entries.retain(|(position, _)| position.0 == 0 || *position > self.known);
                    handed.applied = handed.applied.max(self.known);
                    self.known = handed.applied;
                    return Some(handed);
                }
                Popped::Gap(from, upto) => self.reading = Some((from, upto)),
                Popped::Closed => return None,
                Popped::Nothing => self.buffer.arrived.notified().await,
            }
        }
    }
}

enum Popped {
    Batch(Handed),
    Gap(Position, Position),
    Closed,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::accepted;

    #[test]
    fn what_has_gathered_is_handed_over_together() {
        let buffer = Buffer::default();
        let batch = |numbers: std::ops::RangeInclusive<u64>, recorded: bool| {
            let applied = Position(if recorded { *numbers.end() } else { 0 });
            let entry = |n| (Position(if recorded { n } else { 0 }), accepted(n));
            buffer.push(Handed { entries: numbers.map(entry).collect(), applied }, 7);
        };
        let handed = || match buffer.pop() {
            Popped::Batch(handed) => {
                (handed.entries.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), handed.applied.0)
            }
            Popped::Gap(..) | Popped::Closed | Popped::Nothing => (Vec::new(), 0),
        };
        batch(1..=2, true);
        batch(3..=3, true);
        batch(4..=4, false);
        assert_eq!(handed(), (vec![1, 2, 3, 0], 3), "what could not be recorded takes nothing back");
        batch(4..=703, true);
        batch(704..=1_203, true);
        batch(1_204..=1_204, true);
        assert_eq!(handed(), ((4..=703).collect(), 703), "not more than the heart deals with at a time");
        assert_eq!(handed(), ((704..=1_204).collect(), 1_204));
        assert!(matches!(buffer.pop(), Popped::Nothing));
        let held = buffer.held.lock().unwrap();
        assert_eq!((held.entries, held.bytes), (0, 0));
    }
}
