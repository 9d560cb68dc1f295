//! Sends, one line each, out of a ledger that holds attempts (SPEC 13, `GET /api/sends`).
//!
//! A send stands where its latest attempt stands. Which attempt that is, the heart's tables say up to `applied`; for what comes after it,
//! and for attempts that still run, this looks at the ledger itself.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use redb::{ReadOnlyTable, ReadTransaction};
use smol_str::SmolStr;

use super::query::{Order, Page, ReadError, Reader, meta, readable};
use super::row::{self, Kind};
use super::table::{self, SendKey};
use crate::domain::case::Case;
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, Position, Via};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::send::Description;
use crate::domain::time::Timestamp;

/// One send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendSummary {
    /// The send.
    pub send: SendId,
    /// What it sends.
    pub what: Arc<Description>,
    /// How it ended; `Ambiguous` while its latest attempt runs.
    pub outcome: Outcome,
    /// Why, where it was not accepted.
    pub cause: Option<Cause>,
    /// How many attempts it has had.
    pub attempts: u32,
    /// When its first attempt started.
    pub first_at: Timestamp,
    /// When its latest attempt ended, or started, where that runs.
    pub last_at: Timestamp,
    /// HTTP status of the latest attempt, where an answer came.
    pub last_status: Option<u16>,
    /// WhatsApp's id of the message, where an answer named it.
    pub message_id: Option<SmolStr>,
    /// Who made the latest attempt.
    pub via: Via,
}

impl SendSummary {
    /// The send of a case.
    pub fn of_case(case: &Case) -> Self {
        let latest = case.lines.last();
        Self {
            send: case.send,
            what: Arc::clone(&case.what),
            outcome: case.outcome,
            cause: latest.and_then(|line| line.cause).filter(|_| case.outcome != Outcome::Accepted),
            attempts: case.attempts,
            first_at: case.first_at,
            last_at: case.last_at,
            last_status: latest.and_then(|line| line.status),
            message_id: case.lines.iter().rev().find_map(|line| line.message_id.clone()),
            via: latest.map_or(Via::Bot, |line| line.via),
        }
    }

    /// Takes up another attempt of the same send; as [`Case::add`] does.
    fn add(&mut self, other: Self) {
        let accepted = self.outcome == Outcome::Accepted;
        self.first_at = self.first_at.min(other.first_at);
        self.message_id = other.message_id.or(self.message_id.take());
        if other.attempts >= self.attempts {
            self.attempts = other.attempts;
            self.via = other.via;
            self.last_status = other.last_status;
            self.what = other.what;
        }
        self.last_at = self.last_at.max(other.last_at);
        if !accepted {
            self.outcome = other.outcome;
            self.cause = other.cause;
        }
    }
}

/// Most rows looked at for one page; a filter that fits nothing ends there and goes on with the next page.
const LOOKED_AT_MAX: usize = 10_000;

impl Reader {
    /// A page of sends, each at the place of its latest attempt, after (or before, where the newest come first) the row at `after`.
    /// `wanted` chooses among them. A send whose next attempt ends between two pages may be on both.
    pub fn sends(
        &self,
        order: Order,
        after: Option<Position>,
        limit: usize,
        wanted: impl Fn(&SendSummary) -> bool,
    ) -> Result<Page<SendSummary, Position>, ReadError> {
        self.latest(|health, transaction| {
            let view = View::open(self, transaction)?;
            let range: (Bound<u64>, Bound<u64>) = match (order, after) {
                (_, None) => (Bound::Unbounded, Bound::Unbounded),
                (Order::OldestFirst, Some(after)) => (Bound::Excluded(after.0), Bound::Unbounded),
                (Order::NewestFirst, Some(after)) => (Bound::Unbounded, Bound::Excluded(after.0)),
            };
            let mut rows = view.ledger.range(range)?;
            let mut page = Page { items: Vec::new(), next: None };
            let mut cursor = None;
            for _ in 0..LOOKED_AT_MAX {
                if page.items.len() == limit {
                    break;
                }
                let row = match order {
                    Order::OldestFirst => rows.next(),
                    Order::NewestFirst => rows.next_back(),
                };
                let Some(row) = row else { return Ok(page) };
                let (position, row) = row?;
                let position = Position(position.value());
                cursor = Some(position);
                let send = view.send_at(position, row.value())?;
                let send = readable(health, "ledger", &position.0, send).flatten();
                page.items.extend(send.filter(|send| wanted(send)));
            }
            page.next = cursor;
            Ok(page)
        })
    }

    /// One send; `None` where nothing is known of it. Looks at its case and at what the heart has not applied yet, so an old send that
    /// was accepted at once is not found.
    pub fn send(&self, send: SendId) -> Result<Option<SendSummary>, ReadError> {
        self.latest(|_, transaction| {
            let view = View::open(self, transaction)?;
            if let Some((summary, _)) = view.recent.get(&send) {
                return Ok(Some(summary.clone()));
            }
            Ok(view.case(send)?.map(|case| SendSummary::of_case(&case)))
        })
    }
}

/// What is needed to tell at which row a send stands.
struct View {
    ledger: ReadOnlyTable<u64, &'static [u8]>,
    cases: ReadOnlyTable<SendKey, &'static [u8]>,
    pruned_to: u64,
    /// Intents without an outcome, from `pruned_to` on.
    running: HashMap<AttemptId, Position>,
    /// Sends with attempts the heart's tables do not know of, as they are now, and the row where they stand.
    recent: HashMap<SendId, (SendSummary, Position)>,
}

impl View {
    fn open(reader: &Reader, transaction: &ReadTransaction) -> Result<Self, ReadError> {
        let mut view = Self {
            ledger: transaction.open_table(table::LEDGER)?,
            cases: transaction.open_table(table::CASES)?,
            pruned_to: meta(transaction, table::PRUNED_TO)?,
            running: HashMap::new(),
            recent: HashMap::new(),
        };
        let running = reader.running().lock().unwrap_or_else(PoisonError::into_inner);
        view.running = running.iter().map(|(attempt, position)| (*attempt, *position)).collect();
        drop(running);
        let applied = meta(transaction, table::APPLIED)?;
        let mut before: Vec<_> =
            view.running.values().copied().filter(|position| position.0 <= applied).collect();
        before.sort_unstable();
        for position in before {
            if let Some(row) = view.ledger.get(position.0)? {
                view.take_up(position, row.value())?;
            }
        }
        let ledger = transaction.open_table(table::LEDGER)?;
        for row in ledger.range(applied + 1..)? {
            let (position, row) = row?;
            view.take_up(Position(position.value()), row.value())?;
        }
        Ok(view)
    }

    /// A row the heart's tables do not stand for.
    fn take_up(&mut self, position: Position, row: &[u8]) -> Result<(), ReadError> {
        // Unreadable ones are told of when their page is turned.
        let (Ok(glance), Ok(summary)) = (row::glance(row), row::summary_of(row)) else { return Ok(()) };
        if glance.kind == Kind::Intent && !self.running.contains_key(&glance.attempt) {
            return Ok(());
        }
        let number = summary.attempts;
        let send = summary.send;
        if let Some((known, stands)) = self.recent.get_mut(&send) {
            if number >= known.attempts {
                *stands = position;
            }
            known.add(summary);
            return Ok(());
        }
        let case = self.case(send)?.map(|case| SendSummary::of_case(&case));
        let entry = match case {
            // The case knows of this attempt, or of a later one.
            Some(case) if case.attempts > number => return Ok(()),
            Some(mut case) => {
                if !(glance.kind == Kind::Intent && case.attempts == number) {
                    case.add(summary);
                }
                case
            }
            // Its own row says all there is: not worth the memory.
            None if number == 1 && summary.outcome == Outcome::Accepted => return Ok(()),
            None => summary,
        };
        self.recent.insert(send, (entry, position));
        Ok(())
    }

    /// The send that stands at this row, where one does.
    fn send_at(
        &self,
        position: Position,
        row: &[u8],
    ) -> Result<Result<Option<SendSummary>, row::RowError>, ReadError> {
        let glance = match row::glance(row) {
            Ok(glance) => glance,
            Err(error) => return Ok(Err(error)),
        };
        let AttemptId { send, number } = glance.attempt;
        if let Some((summary, stands)) = self.recent.get(&send) {
            return Ok(Ok((*stands == position).then(|| summary.clone())));
        }
        let is_open = position.0 < self.pruned_to || self.running.contains_key(&glance.attempt);
        if glance.kind == Kind::Intent && !is_open {
            return Ok(Ok(None));
        }
        Ok(match self.case(send)? {
            Some(case) if case.attempts == number => Ok(Some(SendSummary::of_case(&case))),
            Some(case) if case.attempts > number => Ok(None),
            Some(_) | None => row::summary_of(row).map(Some),
        })
    }

    fn case(&self, send: SendId) -> Result<Option<Case>, ReadError> {
        let row = self.cases.get(send.as_bytes())?;
        Ok(row.and_then(|row| row::case_of(row.value()).ok()))
    }
}
