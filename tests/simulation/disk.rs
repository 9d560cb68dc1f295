//! The modelled store: a queue, one writer with group commit, and what is durable. A crash leaves only that.

use std::collections::BTreeMap;
use std::sync::Arc;

use waha_watchdog::domain::alert::Alert;
use waha_watchdog::domain::case::Case;
use waha_watchdog::domain::command::Audit;
use waha_watchdog::domain::confirmation::Awaiting;
use waha_watchdog::domain::decide::{Change, Unheard};
use waha_watchdog::domain::diagnosis::Diagnosis;
use waha_watchdog::domain::drill::Drill;
use waha_watchdog::domain::id::{RecordId, SendId, SessionName};
use waha_watchdog::domain::incident::Incident;
use waha_watchdog::domain::ledger::{Entry, Intent, Position, StoredRequest};
use waha_watchdog::domain::outcome::Outcome;
use waha_watchdog::domain::send::Description;
use waha_watchdog::domain::session::Session;
use waha_watchdog::domain::time::Timestamp;

use super::life::{Inner, Life, What};
use super::planted::Planted;

/// Who waits for an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiter {
    Intent(u64),
    Outcome(u64),
    Latch(u64),
}

pub enum Item {
    Entry(Entry, Option<Waiter>),
    Commit(Vec<Change>, Position, Position),
}

#[derive(Default)]
pub struct Disk {
    pub ledger: Vec<Entry>,
    pub cases: BTreeMap<SendId, Case>,
    pub requests: BTreeMap<SendId, Arc<StoredRequest>>,
    pub unheard: BTreeMap<SendId, Unheard>,
    pub sessions: BTreeMap<SessionName, Session>,
    pub diagnoses: BTreeMap<SessionName, Diagnosis>,
    pub incidents: BTreeMap<RecordId, Incident>,
    pub alerts: BTreeMap<RecordId, Alert>,
    pub drill: Option<Drill>,
    pub paused: bool,
    pub audits: BTreeMap<RecordId, Audit>,
    pub awaiting: BTreeMap<SendId, Awaiting>,
    pub applied: Position,
    keep_from: Position,
    /// Not durable from here on.
    queue: Vec<Item>,
    writing: Option<Vec<Item>>,
    late: Vec<Entry>,
    pub sick: bool,
    /// One wait was missed: nobody waits until the writer answers.
    pub bypass: bool,
}

impl Disk {
    pub fn last(&self) -> Position {
        Position(self.ledger.len() as u64)
    }

    fn write(&mut self, entry: &Entry, planted: Option<Planted>) -> Position {
        // The bug keeps the place, and loses what it says.
        let kept = match entry {
            Entry::Intent(intent) if planted == Some(Planted::ForgottenIntent) => {
                Entry::Begun(intent.attempt)
            }
            other => other.clone(),
        };
        self.ledger.push(kept);
        self.last()
    }

    pub fn is_busy(&self) -> bool {
        self.writing.is_some() || !self.queue.is_empty()
    }

    /// Intents up to `applied` whose end is not there yet.
    pub fn open_intents(&self) -> Vec<(Position, Intent)> {
        let mut open = BTreeMap::new();
        for at in self.keep_from.0.max(1)..=self.applied.0.min(self.last().0) {
            match &self.ledger[at as usize - 1] {
                Entry::Intent(intent) => _ = open.insert(intent.attempt, (Position(at), intent.clone())),
                Entry::Ended(ended) => _ = open.remove(&ended.attempt),
                Entry::Begun(_) => {}
            }
        }
        open.into_values().collect()
    }

    pub fn accepted_since(&self, from: Timestamp) -> Vec<(Arc<Description>, Timestamp)> {
        let accepted = self.ledger.iter().filter_map(|entry| match entry {
            Entry::Ended(ended) if ended.outcome == Outcome::Accepted && ended.ended >= from => {
                Some((Arc::clone(&ended.what), ended.ended))
            }
            _ => None,
        });
        accepted.collect()
    }

    fn apply(&mut self, changes: Vec<Change>, planted: Option<Planted>) {
        for change in changes {
            match change {
                Change::Case(mut case) => {
                    if planted == Some(Planted::ReplayBeforeHandOver) {
                        case.ours_since = None;
                    }
                    let case = match self.cases.remove(&case.send) {
                        Some(earlier) => case.after(earlier),
                        None => *case,
                    };
                    self.cases.insert(case.send, case);
                }
                Change::Keep(send, request) => _ = self.requests.insert(send, request),
                Change::Drop(send) => _ = self.requests.remove(&send),
                Change::Unheard(unheard) => _ = self.unheard.insert(unheard.attempt.send, *unheard),
                Change::Heard(send) => _ = self.unheard.remove(&send),
                Change::Session(mut session) => {
                    // Not stored: whoever takes it up asks anew.
                    (session.health.asking, session.health.next) = (false, None);
                    self.sessions.insert(session.name.clone(), *session);
                }
                Change::Diagnosis(one) => _ = self.diagnoses.insert(one.session.clone(), *one),
                Change::Incident(incident) => _ = self.incidents.insert(incident.id, *incident),
                Change::Alert(alert) if planted != Some(Planted::LostOutbox) => {
                    self.alerts.insert(alert.id, *alert);
                }
                Change::Awaiting(awaiting) => _ = self.awaiting.insert(awaiting.send, *awaiting),
                Change::Confirmed(confirmed) => _ = self.awaiting.remove(&confirmed.send),
                Change::Drill(drill) => self.drill = Some(*drill),
                Change::Paused(paused) => self.paused = paused,
                Change::Audit(audit) => _ = self.audits.insert(audit.id, *audit),
                Change::Alert(_) | Change::History(_) | Change::Forget(..) | Change::Rewrite => {}
            }
        }
    }
}

impl Life {
    /// Hands in an entry that somebody waits for, for a while.
    pub fn record(&mut self, entry: Entry, waiter: Waiter) {
        if self.disk.bypass {
            self.push(Item::Entry(entry, None));
            self.mine(0, Inner::Waited(waiter, false));
        } else {
            self.push(Item::Entry(entry, Some(waiter)));
            self.mine(250, Inner::Unwaited(waiter));
        }
    }

    pub fn push(&mut self, item: Item) {
        self.disk.queue.push(item);
        self.write();
    }

    /// The waiter has waited long enough.
    pub fn unwaited(&mut self, waiter: Waiter) {
        let all = self.disk.queue.iter_mut().chain(self.disk.writing.iter_mut().flatten());
        let mut missed = false;
        for item in all {
            if let Item::Entry(_, who) = item
                && *who == Some(waiter)
            {
                (*who, missed) = (None, true);
            }
        }
        if missed {
            self.disk.bypass = true;
            self.story.tell(self.now, || "disk: a wait was missed".to_owned());
            self.waited(waiter, false);
        }
    }

    fn write(&mut self) {
        if self.disk.writing.is_none() && !self.disk.queue.is_empty() {
            self.disk.writing = Some(std::mem::take(&mut self.disk.queue));
            let most = if self.in_faults() { self.plan.slow_disk } else { 6 };
            let takes = self.chance.between(1, most.max(2));
            self.mine(takes, Inner::Written);
        }
    }

    /// A batch is durable, or could not be written.
    pub fn written(&mut self) {
        let Some(batch) = self.disk.writing.take() else { return };
        let sick = self.disk.sick;
        let (mut handed, mut waited, mut commits) = (Vec::new(), Vec::new(), 0);
        if !sick {
            self.disk.bypass = false;
            let late = std::mem::take(&mut self.disk.late);
            for entry in &late {
                self.disk.write(entry, self.planted);
            }
        }
        for item in batch {
            match item {
                Item::Entry(entry, waiter) => {
                    let stored = !matches!(entry, Entry::Begun(_));
                    let position =
                        if stored && !sick { self.disk.write(&entry, self.planted) } else { Position(0) };
                    if stored && sick {
                        self.disk.late.push(entry.clone());
                    }
                    handed.push((position, entry));
                    waited.extend(waiter);
                }
                Item::Commit(changes, applied, keep_from) => {
                    commits += 1;
                    if !sick {
                        self.check.before_commit(&self.disk, &changes, &self.bot, &self.waha);
                        self.disk.apply(changes, self.planted);
                        self.disk.applied = applied;
                        self.disk.keep_from = keep_from;
                    }
                }
            }
        }
        let applied = self.disk.last();
        for waiter in waited {
            self.waited(waiter, !sick);
        }
        self.receive(handed, applied);
        for _ in 0..commits {
            self.committed(!sick);
        }
        self.write();
    }

    /// The process dies. What was being written is durable or not.
    pub fn disk_crashes(&mut self) {
        let writing = self.disk.writing.take();
        if let Some(batch) = writing
            && !self.disk.sick
            && self.chance.percent(50)
        {
            for entry in std::mem::take(&mut self.disk.late) {
                self.disk.write(&entry, self.planted);
            }
            for item in batch {
                match item {
                    Item::Entry(Entry::Begun(_), _) => {}
                    Item::Entry(entry, _) => _ = self.disk.write(&entry, self.planted),
                    Item::Commit(changes, applied, keep_from) => {
                        self.disk.apply(changes, self.planted);
                        self.disk.applied = applied;
                        self.disk.keep_from = keep_from;
                    }
                }
            }
        }
        self.disk.queue.clear();
        self.disk.late.clear();
        self.disk.bypass = false;
    }

    /// Faults of the disk begin and end.
    pub fn disk_sick(&mut self, sick: bool) {
        self.disk.sick = sick;
        self.story
            .tell(self.now, || format!("disk: {}", if sick { "cannot be written" } else { "is well again" }));
        if sick {
            let lasts = self.chance.between(1_000, 60_000);
            self.later(lasts, What::DiskSick(false));
        }
    }
}
