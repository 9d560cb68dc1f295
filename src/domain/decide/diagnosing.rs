//! The diagnosis: one at a time per session, its steps begun once, its verdict written to every send that waits for it (SPEC 5).

use std::sync::Arc;
use std::time::Duration;

use super::super::case::Case;
use super::super::command::Pending;
use super::super::delivery::Channel;
use super::super::diagnosis::{Diagnosis, Finding, Next, NotTried, Reached, Rung, SENDS_MAX, Step, Verdict};
use super::super::errand::{Errand, Letter, LetterText};
use super::super::id::{ChatId, RecordId, SendId, SessionName};
use super::super::notification::Attention;
use super::super::outcome::{Cause, Outcome};
use super::super::session::Session;
use super::super::time::Timestamp;
use super::{Change, Decision, Ending, Notice, Policy, State};

/// No customer gets two simple messages within so long.
pub(super) const WRITE_EVERY: Duration = Duration::from_secs(10 * 60);
/// A total loss stands for so long for sends that fail after it, where nothing was accepted since.
const STANDS_FOR: Duration = Duration::from_secs(10 * 60);
/// What other chats did so long before is evidence.
const OTHERS_WITHIN: Duration = Duration::from_secs(60);

impl State {
    /// A failed notification was opened on `case`, which is not filed yet: what follows?
    pub(super) fn failed_notification(
        &mut self,
        case: &Case,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let name = self.session_of(&case.what).clone();
        if let Some(incident) = self.incidents.get_mut(&name) {
            incident.affect(case.send);
            decision.changes.push(Change::Incident(Box::new(incident.clone())));
        }
        // An order of which another message was accepted is told already; a rejected destination says enough by itself.
        let told = case.what.order.names_order() && self.told.knows(&case.what.order);
        if !policy.diagnose || !case.outcome.against_channel() || told {
            self.tell_of_order(case, None, now, policy, decision);
        } else {
            self.undiagnosed.entry(name).or_default().push_back(case.send);
        }
    }

    /// When a running step is decided.
    pub(super) fn next_step(&self) -> Option<Timestamp> {
        let running = self.diagnoses.values().filter(|diagnosis| diagnosis.verdict.is_none());
        let waits = running.filter_map(|diagnosis| match diagnosis.next() {
            Next::Wait(until) => Some(until),
            Next::Begin(_) | Next::Conclude(_) => None,
        });
        waits.min()
    }

    /// Begins, moves on and concludes.
    pub(super) fn move_diagnoses(&mut self, now: Timestamp, policy: &Policy, decision: &mut Decision) {
        let running = self.diagnoses.values().filter(|diagnosis| diagnosis.verdict.is_none());
        let mut names: Vec<_> = running.map(|diagnosis| diagnosis.session.clone()).collect();
        names.extend(self.undiagnosed.keys().cloned());
        names.sort_unstable();
        names.dedup();
        for name in names {
            while self.move_diagnosis(&name, now, policy, decision) {}
        }
    }

    /// One step on; `false` where there is nothing to do now.
    fn move_diagnosis(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> bool {
        let Some(mut diagnosis) = self.diagnoses.get(name).filter(|one| one.verdict.is_none()).cloned()
        else {
            return self.begin_diagnosis(name, now, policy, decision);
        };
        let joined = self.join_waiting(name, &mut diagnosis);
        match diagnosis.next() {
            Next::Wait(until) if until > now => {
                if joined {
                    self.keep_diagnosis(diagnosis, decision);
                }
                return false;
            }
            // Decided; it runs on, and may still correct the verdict.
            Next::Wait(_) => {
                let rung = if matches!(diagnosis.customer, Step::Running { .. }) {
                    Rung::Customer
                } else {
                    Rung::Admin
                };
                diagnosis.set(rung, Step::Ended(Reached::Unknown(Cause::ResponseTimeout)));
                self.keep_diagnosis(diagnosis, decision);
            }
            Next::Begin(rung) => {
                let letter = self.step(&diagnosis, rung, now, policy);
                match letter {
                    Ok(letter) => {
                        diagnosis.set(rung, Step::Running { since: now });
                        if rung == Rung::Admin {
                            decision.errands.extend(check_number(&diagnosis));
                        } else {
                            self.written_to.insert(letter.chat.clone(), now);
                            diagnosis.writes_to(letter.chat.clone(), now);
                        }
                        decision.errands.push(Errand::Write(letter));
                    }
                    Err(why) => diagnosis.set(rung, Step::Ended(Reached::NotTried(why))),
                }
                self.keep_diagnosis(diagnosis, decision);
            }
            Next::Conclude(verdict) => {
                diagnosis.verdict = Some(verdict);
                let health = &self.sessions[name].health;
                diagnosis.probe =
                    health.last.filter(|_| health.at >= Some(diagnosis.began)).or(diagnosis.probe);
                self.keep_diagnosis(diagnosis.clone(), decision);
                self.conclude(&diagnosis, verdict, now, policy, decision);
            }
        }
        true
    }

    fn keep_diagnosis(&mut self, diagnosis: Diagnosis, decision: &mut Decision) {
        decision.changes.push(Change::Diagnosis(Box::new(diagnosis.clone())));
        self.diagnoses.insert(diagnosis.session.clone(), diagnosis);
    }

    /// Sends that failed meanwhile share the verdict.
    fn join_waiting(&mut self, name: &SessionName, diagnosis: &mut Diagnosis) -> bool {
        let Some(waiting) = self.undiagnosed.get_mut(name) else { return false };
        let before = diagnosis.sends.len();
        while diagnosis.sends.len() < SENDS_MAX
            && let Some(send) = waiting.pop_front()
        {
            diagnosis.sends.push(send);
        }
        if waiting.is_empty() {
            self.undiagnosed.remove(name);
        }
        diagnosis.sends.len() > before
    }

    fn begin_diagnosis(
        &mut self,
        name: &SessionName,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> bool {
        let Some(waiting) = self.undiagnosed.get_mut(name) else { return false };
        let Some(send) = waiting.pop_front() else {
            self.undiagnosed.remove(name);
            return false;
        };
        // One that was settled meanwhile needs none.
        let Some(case) = self.cases.get(&send).filter(|case| is_open(case)) else { return true };
        let session = &self.sessions[name];
        if let Some(standing) = self.diagnoses.get(name)
            && session.total_loss_at.is_some_and(|at| now.since(at) < STANDS_FOR)
            && standing.verdict == Some(Verdict::TotalLoss)
        {
            let finding = standing.finding(Verdict::TotalLoss, now, false);
            self.find(send, &finding, now, policy, decision);
            return true;
        }
        let others = |chat: &&Option<ChatId>| **chat != case.what.chat;
        let accepted = session.last_accepted.is_some_and(|at| now.since(at) < OTHERS_WITHIN);
        let chat = case.what.chat.clone().filter(|chat| chat.phone().is_some()).or_else(|| {
            case.what.order.customer_phone.as_ref().and_then(|phone| ChatId::new(&phone.digits()))
        });
        let diagnosis = Diagnosis {
            id: RecordId::from_bytes([0; 16]),
            session: name.clone(),
            began: now,
            sends: vec![send],
            customer_chat: chat,
            written: self.written_lately(name, now),
            customer: Step::Waiting,
            admin: Step::Waiting,
            number_exists: None,
            attempts: case.attempts,
            cause: case.failure.as_ref().map_or(Cause::Interrupted, |failure| failure.cause),
            // What was seen before it failed is no evidence.
            probe: session.health.last.filter(|_| session.health.at.is_some_and(|at| at >= case.first_at)),
            others_accepted: u32::from(accepted),
            others_failed: u32::try_from(session.failing_chats.iter().filter(others).count())
                .unwrap_or(u32::MAX),
            verdict: None,
        };
        let id = RecordId::from_bytes(self.ids.next(now));
        self.keep_diagnosis(Diagnosis { id, ..diagnosis }, decision);
        true
    }

    /// Whom the diagnoses before this one wrote to, and must not be written to again.
    fn written_lately(&self, name: &SessionName, now: Timestamp) -> Vec<(ChatId, Timestamp)> {
        let before = self.diagnoses.get(name).into_iter().flat_map(|earlier| &earlier.written);
        before.filter(|(_, at)| now.since(*at) < WRITE_EVERY).cloned().collect()
    }

    /// The letter of a step, or why it is left out.
    fn step(
        &self,
        diagnosis: &Diagnosis,
        rung: Rung,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Letter, NotTried> {
        let send = diagnosis.sends.first().ok_or(NotTried::NotNeeded)?;
        // The bot got through meanwhile, or a person settled it.
        let case = self.cases.get(send).filter(|case| is_open(case)).ok_or(NotTried::NotNeeded)?;
        let what = Arc::clone(&case.what);
        let (chat, text) = match rung {
            Rung::Customer => {
                let chat = diagnosis.customer_chat.as_ref().ok_or(NotTried::Nobody)?;
                if case.doubt.is_some() {
                    return Err(NotTried::MayHaveArrived);
                }
                if self.written_to.get(chat).is_some_and(|at| now.since(*at) < WRITE_EVERY) {
                    return Err(NotTried::WrittenToLately);
                }
                if self.is_restricted(&self.sessions[&diagnosis.session], chat, now, policy) {
                    return Err(NotTried::Restricted);
                }
                (chat, LetterText::QuickMessage(what))
            }
            Rung::Admin => {
                let chat = policy.admin.as_ref().ok_or(NotTried::Nobody)?;
                let others = u32::try_from(diagnosis.sends.len().saturating_sub(1)).unwrap_or(u32::MAX);
                let (attempts, cause) = (diagnosis.attempts, diagnosis.cause);
                (chat, LetterText::AdminNotice { what, attempts, cause, others })
            }
        };
        let session = case.what.session.clone().unwrap_or_else(|| diagnosis.session.clone());
        Ok(Letter { id: diagnosis.id, session, chat: chat.clone(), text })
    }

    /// Must WhatsApp's restrictions keep us from writing there: of this contact, or of all that are new?
    pub(super) fn is_restricted(
        &self,
        session: &Session,
        chat: &ChatId,
        now: Timestamp,
        policy: &Policy,
    ) -> bool {
        session.restricts(chat, now, policy.status.window)
            || self.holds_new_contacts(session, now, policy) && !self.warm.has(chat)
    }

    /// A letter of a diagnosis has ended, in time or late.
    #[expect(clippy::too_many_arguments, reason = "what came of a letter, and the usual three")]
    pub(super) fn step_over(
        &mut self,
        id: RecordId,
        rung: Rung,
        outcome: Outcome,
        cause: Option<Cause>,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        let Some(mut diagnosis) = self.diagnoses.values().find(|one| one.id == id).cloned() else { return };
        let reached = Reached::of(outcome, cause);
        if reached == Reached::Yes {
            self.with_session(&diagnosis.session, |session| session.proven());
        }
        diagnosis.set(rung, Step::Ended(reached));
        let corrected =
            diagnosis.verdict.filter(|verdict| *verdict != Verdict::WebhookOnly && reached == Reached::Yes);
        if corrected.is_some() {
            diagnosis.verdict = Some(Verdict::WebhookOnly);
        }
        self.keep_diagnosis(diagnosis.clone(), decision);
        if corrected.is_some() {
            self.conclude(&diagnosis, Verdict::WebhookOnly, now, policy, decision);
        }
    }

    /// A letter of a diagnosis was not begun: nothing of it was sent, and nothing follows from that.
    pub(super) fn step_not_tried(&mut self, id: RecordId, rung: Rung, decision: &mut Decision) {
        let Some(mut diagnosis) = self.diagnoses.values().find(|one| one.id == id).cloned() else { return };
        if diagnosis.verdict.is_some() {
            return;
        }
        if let (Rung::Customer, Some(chat)) = (rung, diagnosis.customer_chat.clone()) {
            self.written_to.remove(&chat);
            diagnosis.written.retain(|(to, _)| *to != chat);
        }
        diagnosis.set(rung, Step::Ended(Reached::NotTried(NotTried::Unrecorded)));
        self.keep_diagnosis(diagnosis, decision);
    }

    /// The verdict is there, or is corrected.
    fn conclude(
        &mut self,
        diagnosis: &Diagnosis,
        verdict: Verdict,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        self.with_session(&diagnosis.session, |session| match verdict {
            // What got through while the ladder ran speaks against it.
            Verdict::TotalLoss if session.last_accepted.is_some_and(|at| at > diagnosis.began) => {}
            Verdict::TotalLoss => session.total_loss_at = Some(now),
            Verdict::WebhookOnly => {
                session.total_loss_at = None;
                session.webhook_only_at = Some(now);
            }
            Verdict::Inconclusive => {}
        });
        let finding = diagnosis.finding(verdict, now, true);
        decision.notices.push(Notice::Diagnosed {
            session: diagnosis.session.clone(),
            finding: Box::new(finding.clone()),
            took: now.since(diagnosis.began),
            sends: diagnosis.sends.len(),
        });
        // First the status, whose alert gathers the orders; then each order, which finds it there.
        self.look_at_session(&diagnosis.session, now, policy, decision);
        for (index, send) in diagnosis.sends.iter().enumerate() {
            let finding = if index == 0 { finding.clone() } else { diagnosis.finding(verdict, now, false) };
            self.find(*send, &finding, now, policy, decision);
        }
    }

    /// Writes what was found to a send that waits for it, and tells the admins of its order.
    fn find(
        &mut self,
        send: SendId,
        finding: &Finding,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) {
        decision.endings.push((Pending::Diagnosis(send), Ending::Diagnosed(Box::new(finding.clone()))));
        let Some(case) = self.cases.get_mut(&send) else { return };
        let Some(failure) = case.failure.as_mut().filter(|failure| failure.is_open()) else { return };
        failure.attention = match finding.verdict {
            Verdict::WebhookOnly => Attention::Manual,
            Verdict::TotalLoss | Verdict::Inconclusive => Attention::Unnotified,
        };
        if finding.number_exists == Some(false) {
            failure.cause = Cause::NumberNotOnWhatsapp;
        }
        case.finding = Some(Box::new(finding.clone()));
        let case = case.clone();
        decision.changes.push(Change::Case(Box::new(case.clone())));
        // The admin's step has told of it already, over WhatsApp.
        let told =
            finding.admin == Reached::Yes && !matches!(finding.user, Reached::NotTried(NotTried::Shared));
        let known_on = told.then_some(Channel::Whatsapp);
        self.tell_of_order(&case, known_on, now, policy, decision);
    }

    /// WAHA has said whether the number exists.
    pub(super) fn number_checked(&mut self, id: RecordId, exists: Option<bool>, decision: &mut Decision) {
        let Some(mut diagnosis) = self.diagnoses.values().find(|one| one.id == id).cloned() else { return };
        diagnosis.number_exists = exists;
        let first = diagnosis.sends.first().copied();
        self.keep_diagnosis(diagnosis, decision);
        let case = first.and_then(|send| self.cases.get_mut(&send));
        if let Some(case) = case.filter(|case| is_open(case) && case.finding.is_some())
            && exists == Some(false)
        {
            if let Some(finding) = &mut case.finding {
                finding.number_exists = exists;
            }
            if let Some(failure) = &mut case.failure {
                failure.cause = Cause::NumberNotOnWhatsapp;
            }
            decision.changes.push(Change::Case(Box::new(case.clone())));
        }
    }

    /// A diagnosis an earlier process began: a step that was under way may have been sent, and is not sent again.
    pub(super) fn restore_diagnosis(&mut self, mut diagnosis: Diagnosis) {
        if let Some(chat) = &diagnosis.customer_chat
            && !matches!(diagnosis.customer, Step::Waiting | Step::Ended(Reached::NotTried(_)))
        {
            self.note_written(chat.clone(), diagnosis.began);
        }
        for (chat, at) in &diagnosis.written {
            self.note_written(chat.clone(), *at);
        }
        for rung in [Rung::Customer, Rung::Admin] {
            if matches!(diagnosis.step(rung), Step::Running { .. }) {
                diagnosis.set(rung, Step::Ended(Reached::Unknown(Cause::Interrupted)));
            }
        }
        self.diagnoses.insert(diagnosis.session.clone(), diagnosis);
    }
}

fn is_open(case: &Case) -> bool {
    case.failure.as_ref().is_some_and(super::Failure::is_open)
}

/// Whether the number exists is asked beside the admin's step: it costs the customer nothing.
fn check_number(diagnosis: &Diagnosis) -> Option<Errand> {
    let chat = diagnosis.customer_chat.clone()?;
    Some(Errand::CheckNumber { diagnosis: diagnosis.id, session: diagnosis.session.clone(), chat })
}
