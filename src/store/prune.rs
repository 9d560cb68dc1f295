//! Keeps the file small: what nobody needs any more goes, in small steps, when nothing waits.
//!
//! - Intents whose attempt has ended and is applied, and requests that outcomes still hold although they are applied (the heart keeps its
//!   own copy where one is needed): only outcome rows stay.
//! - Ledger rows older than `store.sends_for`, and cases that may be forgotten. Open notifications never go.
//! - The oldest ledger rows before their time, where the file would outgrow `store.max_size`. Confirmations go with the rows of their send.
//! - What is over of the heart's other records: `records`.
//!
//! Freed pages are written again, so the file stops growing; it is not made smaller while it is open, because that would hold up every
//! send for as long as it takes to copy the file. When nothing happens for a moment, one commit with redb's *quick repair* is made: it
//! costs two syncs once, and an idle process that is killed opens in milliseconds instead of reading its whole file.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::PoisonError;
use std::time::Duration;

use redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use tokio::time::Instant;

use self::records::Sweep;
use super::apply::forget_case;
use super::query::Running;
use super::queue::Commit;
use super::row::{self, Kind};
use super::table::{self, SendKey};
use super::write_error::WriteError;
use super::{Shared, query};
use crate::clock::instant;
use crate::domain::ledger::{AttemptId, Position};
use crate::domain::retention::RetentionPolicy;

/// Most rows looked at in one step.
const STEP_ROWS: usize = 2_048;
/// Most rows changed in one step: about five milliseconds.
const STEP_CHANGES: usize = 256;
/// After a step that took so long, at least four times that is left to the others.
const REST: u32 = 4;
/// Between two steps while there is much to do, at the least.
const PACE: Duration = Duration::from_millis(5);
/// Between two steps while there is little to do.
const LEISURE: Duration = Duration::from_secs(2);
/// So many applied rows are much to do.
const MUCH: u64 = 1_024;
/// How long nothing must have happened before an idle file is made quick to open.
const QUIET: Duration = Duration::from_secs(1);
/// How often that is done at the most.
const SETTLE_EVERY: Duration = Duration::from_secs(10);
/// Share of the room a ledger may fill before its oldest rows go, in percent; and what is left then.
const FULL: u64 = 85;
const ROOMY: u64 = 80;
/// A byte of the ledger takes so much of the file, in percent: pages are not full.
const SPREAD: u64 = 140;
/// What a confirmation and a send that waits for one take of the file, in bytes: there are many of them, and they come and go with the
/// ledger's rows.
const CONFIRMED_BYTES: u64 = 64;
const AWAITING_BYTES: u64 = 512;

/// What is pruned, and how far that has come.
pub(super) struct Pruner {
    pub(super) applied: u64,
    keep_from: u64,
    pruned_to: u64,
    /// Before this, `unended` are all intents without a recorded outcome that the pruning has not come to.
    ended_to: u64,
    unended: BTreeSet<u64>,
    /// Bytes of the ledger's values.
    ledger_bytes: u64,
    /// The next position.
    pub(super) next: u64,
    /// From here on, nothing in the ledger has to be looked at: this process wrote neither intents nor requests there.
    plain_from: u64,
    /// Something was written since the file was last made quick to open.
    unsettled: bool,
    crowded: bool,
    stepped: Instant,
    pace: Duration,
    wrote: Instant,
    settled: Option<Instant>,
    aged: Option<Instant>,
    cases: Round,
    records: Sweep,
}

/// Where the look at all cases stands.
enum Round {
    Done(Option<Instant>),
    At(SendKey),
}

impl Default for Pruner {
    fn default() -> Self {
        let now = instant();
        Self {
            applied: 0,
            keep_from: 0,
            pruned_to: 0,
            ended_to: 0,
            unended: BTreeSet::new(),
            ledger_bytes: 0,
            next: 1,
            plain_from: u64::MAX,
            // An open file that is killed is slow to open, even where nothing was written.
            unsettled: true,
            crowded: false,
            stepped: now,
            pace: PACE,
            wrote: now,
            settled: None,
            aged: None,
            cases: Round::Done(None),
            records: Sweep::Done(None),
        }
    }
}

impl Pruner {
    pub(super) fn start(
        transaction: &ReadTransaction,
    ) -> Result<(BTreeMap<AttemptId, Position>, Self), query::ReadError> {
        let tail = query::tail(transaction)?;
        let pruner = Self {
            applied: query::meta(transaction, table::APPLIED)?,
            keep_from: query::meta(transaction, table::KEEP_FROM)?,
            pruned_to: query::meta(transaction, table::PRUNED_TO)?,
            ended_to: query::meta(transaction, table::ENDED_TO)?,
            unended: query::unended(transaction)?,
            ledger_bytes: tail.ledger_bytes,
            ..Self::default()
        };
        Ok((tail.running, pruner))
    }

    /// How long from now until there is something to do here, if nothing else happens.
    pub(super) fn patience(&self, retention: &RetentionPolicy) -> Duration {
        let pending = self.floor().saturating_sub(self.pruned_to);
        let idle = retention.entries_every().min(retention.cases_every());
        let pace = if self.has_much_to_do() {
            self.pace
        } else if pending > 0 {
            LEISURE.min(idle)
        } else {
            idle
        };
        let step = pace.saturating_sub(instant() - self.stepped);
        match self.may_settle_in() {
            Some(settle) => step.min(settle),
            None => step,
        }
    }

    fn has_much_to_do(&self) -> bool {
        let pending = self.floor().saturating_sub(self.pruned_to);
        pending >= MUCH
            || self.crowded
            || self.aged.is_none()
            || matches!(self.cases, Round::At(_))
            || self.records.is_under_way()
    }

    /// The file is taken over; the next position is `next`.
    pub(super) const fn begin_at(&mut self, next: u64) {
        self.next = next;
        self.plain_from = next;
    }

    /// A transaction has put `bytes` into the ledger. `plain`: neither intents nor requests are in there.
    pub(super) fn wrote(&mut self, bytes: usize, next: u64, plain: bool, commit: Option<&Commit>) {
        self.ledger_bytes += wide(bytes);
        self.next = next;
        if !plain {
            self.plain_from = next;
        }
        self.unsettled = true;
        self.wrote = instant();
        if let Some(commit) = commit {
            self.applied = commit.applied.0;
            if commit.keep_from.0 > 0 {
                self.keep_from = commit.keep_from.0;
            }
        }
    }

    /// Stores how far this is, as it will be once `bytes` more are in the ledger and `next` is the next position. `running`: the intents
    /// without an outcome of what was in the ledger before.
    pub(super) fn note(
        &mut self,
        transaction: &WriteTransaction,
        next: u64,
        bytes: usize,
        running: &Running,
    ) -> Result<(), WriteError> {
        self.note_unended(transaction, running)?;
        let mut meta = transaction.open_table(table::META)?;
        meta.insert(table::PRUNED_TO, self.pruned_to)?;
        meta.insert(table::LEDGER_BYTES, self.ledger_bytes + wide(bytes))?;
        meta.insert(table::COUNTED_TO, next)?;
        Ok(())
    }

    /// Most sends of the ledger have ended long before they are pruned: what has not is noted, so that a start need not read them all.
    fn note_unended(&mut self, transaction: &WriteTransaction, running: &Running) -> Result<(), WriteError> {
        let ended_to = self.keep_from.min(self.next);
        if ended_to <= self.ended_to.max(self.pruned_to) {
            return Ok(());
        }
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = self.pruned_to..ended_to;
        let positions = running.values().map(|position| position.0);
        let unended: BTreeSet<u64> = positions.filter(|position| concerned.contains(position)).collect();
        drop(running);
        if unended != self.unended {
            let mut table = transaction.open_table(table::UNENDED)?;
            for position in self.unended.difference(&unended) {
                table.remove(position)?;
            }
            for position in unended.difference(&self.unended) {
                table.insert(position, ())?;
            }
            self.unended = unended;
        }
        transaction.open_table(table::META)?.insert(table::ENDED_TO, ended_to)?;
        self.ended_to = ended_to;
        Ok(())
    }

    /// One step; nothing else is to be written.
    pub(super) fn idle(&mut self, db: &Database, shared: &Shared) -> Result<(), WriteError> {
        if self.may_settle_in() == Some(Duration::ZERO) {
            return self.settle(db, &shared.running);
        }
        if (instant() - self.stepped) < self.pace {
            return Ok(());
        }
        let began = instant();
        shared.measure();
        let mut step = Step::default();
        let transaction = db.begin_write()?;
        let pruned_to = self.drop_intents(&transaction, &mut step, shared)?;
        self.drop_old(&transaction, &mut step, shared, pruned_to)?;
        self.drop_cases(&transaction, &mut step, shared)?;
        let retention = &shared.settings.retention;
        let every = retention.cases_every();
        self.records.step(&transaction, retention, every, shared.clock.now(), &mut step)?;
        let ledger_bytes = self.ledger_bytes.saturating_sub(step.freed);
        if step.changed {
            let mut meta = transaction.open_table(table::META)?;
            meta.insert(table::PRUNED_TO, pruned_to)?;
            meta.insert(table::LEDGER_BYTES, ledger_bytes)?;
            meta.insert(table::COUNTED_TO, self.next)?;
            drop(meta);
            transaction.commit()?;
            self.unsettled = true;
        } else {
            transaction.abort()?;
        }
        // Where nothing changed, the next commit of the heart stores how far this is, or the next settling.
        self.unsettled |= pruned_to - self.pruned_to >= MUCH;
        (self.pruned_to, self.ledger_bytes) = (pruned_to, ledger_bytes);
        let mut running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        shared.meter.pruned(wide(step.forgotten.len()));
        for attempt in step.forgotten {
            running.remove(&attempt);
        }
        drop(running);
        self.stepped = instant();
        self.pace = ((self.stepped - began) * REST).max(PACE);
        Ok(())
    }

    /// Rows before this are applied, and their attempts have ended.
    fn floor(&self) -> u64 {
        (self.applied + 1).min(if self.keep_from == 0 { u64::MAX } else { self.keep_from })
    }

    fn may_settle_in(&self) -> Option<Duration> {
        if self.has_much_to_do() {
            return None;
        }
        let again = self.settled.map_or(Duration::ZERO, |at| SETTLE_EVERY.saturating_sub(instant() - at));
        self.unsettled.then(|| again.max(QUIET.saturating_sub(instant() - self.wrote)))
    }

    /// Makes an idle file quick to open.
    fn settle(&mut self, db: &Database, running: &Running) -> Result<(), WriteError> {
        let mut transaction = db.begin_write()?;
        transaction.set_quick_repair(true);
        self.note(&transaction, self.next, 0, running)?;
        transaction.commit()?;
        self.unsettled = false;
        self.settled = Some(instant());
        Ok(())
    }

    /// Applied intents whose outcome is recorded go, and so do requests. Returns how far that came.
    fn drop_intents(
        &self,
        transaction: &WriteTransaction,
        step: &mut Step,
        shared: &Shared,
    ) -> Result<u64, WriteError> {
        let floor = self.floor();
        if self.pruned_to >= floor {
            return Ok(self.pruned_to);
        }
        let mut ledger = transaction.open_table(table::LEDGER)?;
        let (mut gone, mut lighter) = (Vec::new(), Vec::new());
        let mut pruned_to = floor;
        let until = floor.min(self.plain_from.max(self.pruned_to));
        for (looked_at, row) in ledger.range(self.pruned_to..until)?.enumerate() {
            let (position, row) = row?;
            let (position, row) = (position.value(), row.value());
            if looked_at == STEP_ROWS || gone.len() + lighter.len() == STEP_CHANGES {
                pruned_to = position;
                break;
            }
            match row::glance(row) {
                Ok(glance) if glance.kind == Kind::Intent => gone.push((position, row.len(), glance.attempt)),
                Ok(glance) if glance.holds_request => {
                    if let Ok(without) = row::without_request(row) {
                        lighter.push((position, row.len().saturating_sub(without.len()), without));
                    }
                }
                // Unreadable rows are left to those who read them.
                Ok(_) | Err(_) => {}
            }
        }
        // What nobody recorded the end of stays: it is all there is of that attempt.
        let running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|(_, _, attempt)| !running.contains_key(attempt));
        drop(running);
        for (position, bytes, _) in gone {
            ledger.remove(position)?;
            step.free(bytes);
        }
        for (position, bytes, row) in lighter {
            ledger.insert(position, row.as_slice())?;
            step.free(bytes);
        }
        Ok(pruned_to)
    }

    /// Rows that are too old go, or the oldest where there is no room.
    fn drop_old(
        &mut self,
        transaction: &WriteTransaction,
        step: &mut Step,
        shared: &Shared,
        pruned_to: u64,
    ) -> Result<(), WriteError> {
        let retention = &shared.settings.retention;
        let mut confirmed = transaction.open_table(table::CONFIRMED)?;
        let confirmations = confirmed.len()?;
        let awaiting = transaction.open_table(table::AWAITING)?.len()?;
        self.crowded = self.is_crowded(shared, confirmations * CONFIRMED_BYTES + awaiting * AWAITING_BYTES);
        if !self.crowded && self.aged.is_some_and(|at| instant() - at < retention.entries_every()) {
            return Ok(());
        }
        let cutoff = retention.sends_before(shared.clock.now());
        let mut ledger = transaction.open_table(table::LEDGER)?;
        let mut gone = Vec::new();
        let mut unreadable = Vec::new();
        for row in ledger.range(..pruned_to)?.take(STEP_CHANGES) {
            let (position, row) = row?;
            let Ok(glance) = row::glance(row.value()) else {
                // Its age is that of its neighbours.
                unreadable.push((position.value(), row.value().len(), None));
                continue;
            };
            if !self.crowded && glance.at >= cutoff {
                break;
            }
            gone.append(&mut unreadable);
            gone.push((position.value(), row.value().len(), Some(glance.attempt)));
        }
        // A whole step of them: there is more.
        self.aged = (gone.len() < STEP_CHANGES).then(instant);
        // What is left is not ours to take: looking again at once would find no more.
        self.crowded &= !gone.is_empty();
        for (position, bytes, attempt) in gone {
            ledger.remove(position)?;
            step.free(bytes);
            if let Some(attempt) = attempt.filter(|_| confirmations > 0) {
                confirmed.remove(attempt.send.as_bytes())?;
            }
            step.forgotten.extend(attempt);
        }
        Ok(())
    }

    /// Would the ledger, and what else grows with it, make the file outgrow its limit? redb doubles a file that is full.
    fn is_crowded(&self, shared: &Shared, besides: u64) -> bool {
        let limit = shared.settings.retention.max_size;
        let file = shared.health.file_bytes.load(std::sync::atomic::Ordering::Relaxed);
        if file.saturating_mul(2) <= limit {
            return false;
        }
        let used = self.ledger_bytes / 100 * SPREAD + besides;
        used > file.min(limit) / 100 * if self.crowded { ROOMY } else { FULL }
    }

    /// Cases that may be forgotten go; never before the ledger rows of their send.
    fn drop_cases(
        &mut self,
        transaction: &WriteTransaction,
        step: &mut Step,
        shared: &Shared,
    ) -> Result<(), WriteError> {
        let from = match self.cases {
            Round::Done(Some(at)) if instant() - at < shared.settings.retention.cases_every() => {
                return Ok(());
            }
            Round::Done(_) => Bound::Unbounded,
            Round::At(key) => Bound::Excluded(key),
        };
        let now = shared.clock.now();
        let retention = &shared.settings.retention;
        let mut gone = Vec::new();
        let mut last = None;
        let cases = transaction.open_table(table::CASES)?;
        for row in cases.range::<SendKey>((from, Bound::Unbounded))?.take(STEP_CHANGES) {
            let (key, row) = row?;
            last = Some(key.value());
            let case = row::case_of(row.value()).ok();
            gone.extend(case.filter(|case| {
                retention.may_forget(case, now) && now.since(case.last_at) >= retention.sends_for
            }));
        }
        drop(cases);
        for case in gone {
            forget_case(transaction, &case)?;
            step.changed = true;
        }
        self.cases = last.map_or_else(|| Round::Done(Some(instant())), Round::At);
        Ok(())
    }
}

/// What one step did.
#[derive(Default)]
struct Step {
    freed: u64,
    changed: bool,
    forgotten: Vec<AttemptId>,
}

impl Step {
    fn free(&mut self, bytes: usize) {
        self.freed += wide(bytes);
        self.changed = true;
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
