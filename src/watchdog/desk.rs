//! What waits to be committed: one record for each thing that changed, the latest, however often it changed meanwhile.
//!
//! What is handed in stays here until the store says that it has it; what is taken in the meantime lies on top.
//!
//! Errands wait for it too, but not for ever: where a commit fails or takes too long, admins are told all the same, and the heart hears that
//! the rest was not done.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::alert::Alert;
use crate::domain::case::Case;
use crate::domain::command::{Audit, Reply};
use crate::domain::confirmation::{Awaiting, Confirmed};
use crate::domain::decide::{Change, Decision, Notice, Unheard};
use crate::domain::diagnosis::Diagnosis;
use crate::domain::drill::Drill;
use crate::domain::errand::Errand;
use crate::domain::forget::Forgotten;
use crate::domain::id::{RecordId, SendId, SessionName};
use crate::domain::incident::Incident;
use crate::domain::ledger::{Position, StoredRequest};
use crate::domain::session::Session;
use crate::domain::status::StatusChange;

/// Records that wait at the most. Beyond that (a store that cannot be written for days) the oldest sends' are left out, and the ledger is not
/// said to be applied any more: they are made again from it at the next start.
const SENDS_MAX: usize = 100_000;
/// Errands that wait for a commit at the most; beyond it the oldest are not done, and the heart is told so.
const ERRANDS_MAX: usize = 10_000;
/// Status changes that wait at the most.
const HISTORY_MAX: usize = 10_000;
/// Sends that wait for their acks are written in lots: at the latest when there are so many.
const AWAITING_LOT: usize = 512;

/// The desk.
#[derive(Default)]
pub struct Desk {
    open: Sheet,
    /// With the store, and not confirmed yet.
    handed_in: Sheet,
    /// Told and done when the present commit is over, and when the next one is.
    telling: After,
    to_tell: After,
    applied: Position,
    /// Positions moved since the last commit.
    moved: bool,
    /// Errands for which there was no room.
    crowded_out: Vec<Errand>,
    /// Something was left out: the ledger must not be said to be applied any more.
    frozen: bool,
    failed: bool,
}

/// What waits for a commit.
#[derive(Default)]
pub struct After {
    /// To be counted and told.
    pub notices: Vec<Notice>,
    /// To be done.
    pub errands: Vec<Errand>,
    /// Not to be done: nothing can be written down.
    pub undone: Vec<Errand>,
    /// To be answered.
    pub replies: Vec<(oneshot::Sender<Reply>, Reply)>,
}

impl After {
    fn append(&mut self, mut later: Self) {
        self.notices.append(&mut later.notices);
        self.errands.append(&mut later.errands);
        self.undone.append(&mut later.undone);
        self.replies.append(&mut later.replies);
    }
}

#[derive(Default)]
struct Sheet {
    cases: BTreeMap<SendId, Box<Case>>,
    requests: BTreeMap<SendId, Option<Arc<StoredRequest>>>,
    unheard: BTreeMap<SendId, Option<Box<Unheard>>>,
    sessions: BTreeMap<SessionName, Box<Session>>,
    history: Vec<StatusChange>,
    diagnoses: BTreeMap<SessionName, Box<Diagnosis>>,
    incidents: BTreeMap<RecordId, Box<Incident>>,
    alerts: BTreeMap<RecordId, Box<Alert>>,
    confirmations: BTreeMap<SendId, Awaited>,
    /// Something came of one of these.
    heard: bool,
    audit: Vec<Audit>,
    forgotten: Vec<(Forgotten, Vec<Position>)>,
    rewrite: bool,
    paused: Option<bool>,
    drill: Option<Box<Drill>>,
}

/// What is known of an accepted send's ack.
#[derive(Clone)]
enum Awaited {
    Still(Box<Awaiting>),
    Over(Confirmed),
}

impl Desk {
    /// An empty desk for a state that stands for the ledger up to `applied`.
    pub fn standing_at(applied: Position) -> Self {
        Self { applied, ..Self::default() }
    }

    /// Takes what follows from an event.
    pub fn take(&mut self, decision: Decision) {
        decision.changes.into_iter().for_each(|change| self.open.put(change));
        self.to_tell.notices.extend(decision.notices);
        self.to_tell.errands.extend(decision.errands);
        let waiting = self.telling.errands.len() + self.to_tell.errands.len();
        let mut excess = waiting.saturating_sub(ERRANDS_MAX);
        for oldest in [&mut self.telling.errands, &mut self.to_tell.errands] {
            let few = excess.min(oldest.len());
            self.crowded_out.extend(oldest.drain(..few));
            excess -= few;
        }
        self.frozen |= self.open.keep_within_bounds();
    }

    /// Answers once everything taken so far is on disk.
    pub fn answer(&mut self, to: oneshot::Sender<Reply>, reply: Reply) {
        self.moved = true;
        self.to_tell.replies.push((to, reply));
    }

    /// The state stands for the ledger up to here.
    pub fn applied(&mut self, position: Position) {
        if !self.frozen {
            self.applied = self.applied.max(position);
        }
        self.moved = true;
    }

    /// Is there anything to commit, or anything that waits for a commit?
    pub fn has_work(&self) -> bool {
        let waits = !self.open.confirmations.is_empty() || !self.to_tell.notices.is_empty();
        self.moved || waits || self.is_urgent()
    }

    /// Is there more to commit than what the ledger says too, or does somebody wait for it? That clocks moved, and that accepted sends wait
    /// for their acks, follows from the ledger after a crash as well: it need not cost a commit for every send.
    pub fn is_urgent(&self) -> bool {
        self.open.is_urgent() || !self.to_tell.errands.is_empty() || !self.to_tell.replies.is_empty()
    }

    /// Does anything wait to be done, or told, until a commit is over?
    pub fn keeps_waiting(&self) -> bool {
        let after = |after: &After| !after.errands.is_empty() || !after.notices.is_empty();
        after(&self.telling) || after(&self.to_tell)
    }

    /// Errands for which there was no room: not to be done.
    pub fn crowded_out(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.crowded_out)
    }

    /// No commit has succeeded for too long. Gives what is done without, and what is not done at all; nobody waits any longer.
    pub fn without_disk(&mut self) -> After {
        let mut after = std::mem::take(&mut self.telling);
        after.append(std::mem::take(&mut self.to_tell));
        self.moved = true;
        unrecorded(after)
    }

    /// Did the last commit fail?
    pub const fn failed(&self) -> bool {
        self.failed
    }

    /// Hands everything in, with the sessions that `moved`, and up to where it stands.
    pub fn hand_in(&mut self, moved: Vec<Change>) -> (Vec<Change>, Position) {
        moved.into_iter().for_each(|change| self.open.put(change));
        self.handed_in.cover(std::mem::take(&mut self.open));
        let to_tell = std::mem::take(&mut self.to_tell);
        self.telling.append(to_tell);
        self.moved = false;
        (self.handed_in.changes(), self.applied)
    }

    /// The store has it, or has not. Gives what is to be told and done now: where nothing was stored, only what tells the admins.
    pub fn handed_in(&mut self, stored: bool) -> After {
        self.failed = !stored;
        let later = std::mem::take(&mut self.open);
        if stored {
            self.handed_in = Sheet::default();
        } else {
            self.moved = true;
            self.open = std::mem::take(&mut self.handed_in);
        }
        self.open.cover(later);
        if stored {
            return std::mem::take(&mut self.telling);
        }
        unrecorded(std::mem::take(&mut self.telling))
    }
}

/// What becomes of what waited, where nothing was stored. Whoever waits for an answer stops waiting in time.
fn unrecorded(after: After) -> After {
    let (errands, undone) = after.errands.into_iter().partition(Errand::goes_unrecorded);
    After { notices: after.notices, errands, undone, replies: Vec::new() }
}

impl Sheet {
    fn put(&mut self, change: Change) {
        match change {
            Change::Case(case) => self.put_case(case),
            Change::Keep(send, request) => _ = self.requests.insert(send, Some(request)),
            Change::Drop(send) => _ = self.requests.insert(send, None),
            Change::Unheard(unheard) => _ = self.unheard.insert(unheard.attempt.send, Some(unheard)),
            Change::Heard(send) => _ = self.unheard.insert(send, None),
            Change::Session(session) => _ = self.sessions.insert(session.name.clone(), session),
            Change::History(change) => self.history.push(change),
            Change::Diagnosis(diagnosis) => {
                self.diagnoses.insert(diagnosis.session.clone(), diagnosis);
            }
            Change::Incident(incident) => _ = self.incidents.insert(incident.id, incident),
            Change::Alert(alert) => _ = self.alerts.insert(alert.id, alert),
            Change::Awaiting(awaiting) => {
                self.confirmations.insert(awaiting.send, Awaited::Still(awaiting));
            }
            Change::Confirmed(confirmed) => {
                self.confirmations.insert(confirmed.send, Awaited::Over(confirmed));
                self.heard = true;
            }
            Change::Audit(audit) => self.audit.push(*audit),
            Change::Forget(customer, positions) => self.forgotten.push((customer, positions)),
            Change::Rewrite => self.rewrite = true,
            Change::Paused(paused) => self.paused = Some(paused),
            Change::Drill(drill) => self.drill = Some(drill),
        }
    }

    /// As the store does it: what a settled one knew stays, where the send's next case lies on top of it.
    fn put_case(&mut self, case: Box<Case>) {
        let case = match self.cases.remove(&case.send) {
            Some(earlier) => Box::new(case.after(*earlier)),
            None => case,
        };
        self.cases.insert(case.send, case);
    }

    /// Lays `later` on top.
    fn cover(&mut self, later: Self) {
        later.cases.into_values().for_each(|case| self.put_case(case));
        self.requests.extend(later.requests);
        self.unheard.extend(later.unheard);
        self.sessions.extend(later.sessions);
        self.history.extend(later.history);
        self.diagnoses.extend(later.diagnoses);
        self.incidents.extend(later.incidents);
        self.alerts.extend(later.alerts);
        self.confirmations.extend(later.confirmations);
        self.heard |= later.heard;
        self.audit.extend(later.audit);
        self.forgotten.extend(later.forgotten);
        self.rewrite |= later.rewrite;
        self.paused = later.paused.or(self.paused);
        self.drill = later.drill.or(self.drill.take());
    }

    fn is_urgent(&self) -> bool {
        let nothing = self.cases.is_empty()
            && self.forgotten.is_empty()
            && !self.rewrite
            && self.requests.is_empty()
            && self.unheard.is_empty()
            && self.sessions.is_empty()
            && self.history.is_empty()
            && self.diagnoses.is_empty()
            && self.incidents.is_empty()
            && self.alerts.is_empty()
            && self.audit.is_empty()
            && self.paused.is_none()
            && self.drill.is_none();
        !nothing || self.heard || self.confirmations.len() >= AWAITING_LOT
    }

    fn changes(&self) -> Vec<Change> {
        let requests = self.requests.iter().map(|(send, request)| match request {
            Some(request) => Change::Keep(*send, Arc::clone(request)),
            None => Change::Drop(*send),
        });
        let unheard = self.unheard.iter().map(|(send, unheard)| match unheard {
            Some(unheard) => Change::Unheard(unheard.clone()),
            None => Change::Heard(*send),
        });
        let cases = self.cases.values().cloned().map(Change::Case);
        let sessions = self.sessions.values().cloned().map(Change::Session);
        let history = self.history.iter().cloned().map(Change::History);
        let confirmations = self.confirmations.values().cloned().map(|awaited| match awaited {
            Awaited::Still(awaiting) => Change::Awaiting(awaiting),
            Awaited::Over(confirmed) => Change::Confirmed(confirmed),
        });
        let records = (self.diagnoses.values().cloned().map(Change::Diagnosis))
            .chain(self.incidents.values().cloned().map(Change::Incident))
            .chain(self.alerts.values().cloned().map(Change::Alert))
            .chain(self.audit.iter().cloned().map(|audit| Change::Audit(Box::new(audit))))
            .chain(
                self.forgotten
                    .iter()
                    .cloned()
                    .map(|(customer, positions)| Change::Forget(customer, positions)),
            )
            .chain(self.rewrite.then_some(Change::Rewrite))
            .chain(self.paused.map(Change::Paused))
            .chain(self.drill.clone().map(Change::Drill));
        let sends = cases.chain(requests).chain(unheard).chain(confirmations);
        sends.chain(sessions).chain(history).chain(records).collect()
    }

    /// `true` where something had to be left out.
    fn keep_within_bounds(&mut self) -> bool {
        let mut left_out = false;
        while self.cases.len() > SENDS_MAX {
            if let Some((send, _)) = self.cases.pop_first() {
                self.requests.remove(&send);
                left_out = true;
            }
        }
        while self.unheard.len() > SENDS_MAX {
            left_out |= self.unheard.pop_first().is_some();
        }
        while self.confirmations.len() > SENDS_MAX {
            left_out |= self.confirmations.pop_first().is_some();
        }
        if self.history.len() > HISTORY_MAX {
            self.history.drain(..HISTORY_MAX / 10);
        }
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::confirmation::{Confirmation, MessageId};
    use crate::domain::errand::{Letter, LetterText, Replay};
    use crate::domain::id::ChatId;
    use crate::domain::ledger::AttemptId;
    use crate::domain::notification::{Attention, Failure, Method, Resolution};
    use crate::domain::order::OrderFacts;
    use crate::domain::outcome::Cause;
    use crate::domain::send::{Description, SendKind};
    use crate::domain::status::Status;
    use crate::domain::time::Timestamp;

    fn session(name: &str, failures: u32) -> Change {
        let mut session = Session::new(SessionName::new(name).unwrap(), Timestamp::EPOCH);
        session.consecutive_failures = failures;
        Change::Session(Box::new(session))
    }

    fn failures(changes: &[Change]) -> Vec<u32> {
        changes
            .iter()
            .filter_map(|change| match change {
                Change::Session(session) => Some(session.consecutive_failures),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_could_not_be_stored_lies_under_what_came_later() {
        let mut desk = Desk::default();
        let (changes, _) = desk.hand_in(vec![session("a", 1), session("b", 1)]);
        assert_eq!(failures(&changes), [1, 1]);
        desk.take(Decision { changes: vec![session("a", 2)], ..Decision::default() });
        desk.handed_in(false);
        assert!(desk.failed() && desk.has_work());
        let (changes, _) = desk.hand_in(Vec::new());
        assert_eq!(failures(&changes), [2, 1], "the later one of a, and b as it was");
        desk.handed_in(true);
        assert!(!desk.has_work());
    }

    #[test]
    fn what_a_person_settled_is_not_lost_under_the_next_case_of_the_send() {
        let settled = |send: u8| {
            let mut case = Case::reported(SendId::from_bytes([send; 16]), what(), Timestamp::EPOCH);
            let at = Timestamp::EPOCH;
            let resolution =
                Resolution { at, method: Method::PhoneCall, by: Some("ana".to_owned()), note: None };
            case.failure = Some(Failure {
                cause: Cause::Unavailable,
                created_at: at,
                status_at_creation: Status::Online,
                attention: Attention::Unnotified,
                claimed_by: None,
                resolution: Some(resolution),
            });
            Decision { changes: vec![Change::Case(Box::new(case))], ..Decision::default() }
        };
        // A look finds it afterwards, or the bot succeeds: that case has no notification.
        let found = |send: u8| {
            let case = Case::reported(SendId::from_bytes([send; 16]), what(), Timestamp::EPOCH);
            Decision { changes: vec![Change::Case(Box::new(case))], ..Decision::default() }
        };
        let mut desk = Desk::default();
        desk.take(settled(1));
        desk.take(found(1));
        desk.take(settled(2));
        let _changes = desk.hand_in(Vec::new());
        desk.take(found(2));
        desk.handed_in(false);
        let (changes, _) = desk.hand_in(Vec::new());
        let by = |change: &Change| match change {
            Change::Case(case) => case.failure.as_ref()?.resolution.as_ref()?.by.clone(),
            _ => None,
        };
        let by: Vec<_> = changes.iter().filter_map(by).collect();
        assert_eq!(by, ["ana", "ana"], "in one lot, and over one that could not be stored");
    }

    #[test]
    fn an_errand_that_nothing_changed_for_waits_for_a_commit_all_the_same() {
        let mut desk = Desk::default();
        assert!(!desk.has_work());
        let errand = Errand::Probe(SessionName::new("a").unwrap());
        desk.take(Decision { errands: vec![errand.clone()], ..Decision::default() });
        assert!(desk.has_work() && desk.is_urgent());
        desk.hand_in(Vec::new());
        assert_eq!(desk.handed_in(true).errands, [errand]);
        assert!(!desk.has_work());
    }

    #[test]
    fn nothing_is_done_nor_answered_before_it_is_on_disk() {
        let mut desk = Desk::default();
        let errand = replay();
        desk.take(Decision { errands: vec![errand.clone()], ..Decision::default() });
        let (to, mut answer) = oneshot::channel();
        desk.answer(to, Reply::Done);
        let _changes = desk.hand_in(Vec::new());
        let after = desk.handed_in(false);
        assert!(after.errands.is_empty() && after.replies.is_empty());
        assert!(answer.try_recv().is_err(), "whoever asked is not told that it is done");
        assert_eq!(after.undone, [errand], "the heart hears that it was not done");
        let _changes = desk.hand_in(Vec::new());
        assert!(desk.handed_in(true).errands.is_empty(), "and it is not done later");
    }

    fn replay() -> Errand {
        Errand::Replay(Replay {
            attempt: AttemptId { send: SendId::from_bytes([1; 16]), number: 5 },
            first_at: Timestamp::EPOCH,
            what: what(),
            message: None,
        })
    }

    fn what() -> Arc<Description> {
        Arc::new(Description {
            identity: None,
            session: None,
            chat: None,
            kind: SendKind::Text,
            path: "/".into(),
            order: OrderFacts::default(),
        })
    }

    fn letter(text: LetterText) -> Errand {
        Errand::Write(Letter {
            id: RecordId::from_bytes([1; 16]),
            session: SessionName::new("a").unwrap(),
            chat: ChatId::new("584240000001").unwrap(),
            text,
        })
    }

    fn notice() -> Errand {
        letter(LetterText::AdminNotice { what: what(), attempts: 4, cause: Cause::Unavailable, others: 0 })
    }

    #[test]
    fn a_disk_that_cannot_be_written_keeps_no_admin_in_the_dark_and_writes_to_no_customer() {
        let quick = letter(LetterText::QuickMessage(what()));
        let canary = letter(LetterText::Canary);
        let mut desk = Desk::default();
        let errands = vec![quick.clone(), notice(), canary.clone(), replay()];
        desk.take(Decision { errands, ..Decision::default() });
        let _changes = desk.hand_in(Vec::new());
        let after = desk.handed_in(false);
        assert_eq!(after.errands, [notice()]);
        assert_eq!(after.undone, [quick, canary, replay()]);
        let _changes = desk.hand_in(Vec::new());
        let after = desk.handed_in(true);
        assert!(after.errands.is_empty() && after.undone.is_empty(), "each only once");
    }

    #[test]
    fn a_commit_that_does_not_end_is_not_waited_for_for_ever() {
        let mut desk = Desk::default();
        desk.take(Decision { errands: vec![notice()], ..Decision::default() });
        let _changes = desk.hand_in(Vec::new());
        desk.take(Decision { errands: vec![replay()], ..Decision::default() });
        assert!(desk.keeps_waiting());
        let after = desk.without_disk();
        assert_eq!((after.errands, after.undone), (vec![notice()], vec![replay()]));
        assert!(!desk.keeps_waiting());
        let after = desk.handed_in(true);
        assert!(
            after.errands.is_empty() && after.undone.is_empty(),
            "it ends after all: nothing is done twice"
        );
    }

    #[test]
    fn what_finds_no_room_is_not_done_and_said_so() {
        let mut desk = Desk::default();
        desk.take(Decision { errands: vec![notice()], ..Decision::default() });
        let _changes = desk.hand_in(Vec::new());
        desk.take(Decision { errands: vec![replay(); ERRANDS_MAX + 1], ..Decision::default() });
        assert_eq!(desk.crowded_out(), [notice(), replay()], "the oldest, with the store or not");
        let kept = desk.without_disk();
        assert_eq!(kept.errands.len() + kept.undone.len(), ERRANDS_MAX);
    }

    #[test]
    fn that_an_ack_is_waited_for_hurries_nobody_until_there_are_many() {
        let awaiting = |number: u8, low: u8| {
            let send = SendId::from_bytes([number, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            let at = Timestamp::EPOCH;
            let what = Arc::new(Description {
                identity: None,
                session: None,
                chat: None,
                kind: SendKind::Text,
                path: "/api/sendText".into(),
                order: OrderFacts::default(),
            });
            let message = MessageId::new("3EB0").unwrap();
            let acked = Confirmation::None;
            let awaiting = Awaiting {
                send,
                attempts: 1,
                what,
                first_at: at,
                accepted_at: at,
                message,
                echoed: false,
                acked,
            };
            Decision { changes: vec![Change::Awaiting(Box::new(awaiting))], ..Decision::default() }
        };
        let mut desk = Desk::default();
        desk.take(awaiting(0, 0));
        assert!(desk.has_work() && !desk.is_urgent());
        let over = Confirmed {
            send: SendId::from_bytes([0; 16]),
            confirmation: Confirmation::Server,
            at: Timestamp::EPOCH,
        };
        desk.take(Decision { changes: vec![Change::Confirmed(over)], ..Decision::default() });
        assert!(desk.is_urgent(), "the ledger does not say this");
        let (changes, _) = desk.hand_in(Vec::new());
        assert!(
            matches!(&*changes, [Change::Confirmed(_)]),
            "and that one was waited for needs not be said any more"
        );
        assert!(!desk.is_urgent());
        desk.handed_in(false);
        assert!(desk.is_urgent(), "it is still to be written");
        desk.hand_in(Vec::new());
        desk.handed_in(true);
        for number in 0..AWAITING_LOT {
            assert!(!desk.is_urgent());
            let [low, high, ..] = number.to_le_bytes();
            desk.take(awaiting(high, low));
        }
        assert!(desk.is_urgent());
    }

    #[test]
    fn positions_only_move_on() {
        let mut desk = Desk::standing_at(Position(5));
        desk.applied(Position(3));
        assert_eq!(desk.hand_in(Vec::new()).1, Position(5));
        desk.applied(Position(9));
        assert_eq!(desk.hand_in(Vec::new()).1, Position(9));
    }
}
