//! What people and the bot ask for (SPEC 11): granted or refused at once; what takes time is told when it is over.

use std::sync::Arc;

use super::super::case::Case;
use super::super::command::{Audit, Command, Pending, Refusal, Reply};
use super::super::forget::Forgotten;
use super::super::id::{ChatId, RecordId, SendId, SessionName};
use super::super::notification::Resolution;
use super::super::order::OrderFacts;
use super::super::outcome::{Cause, Outcome};
use super::super::recovery::ByHand;
use super::super::send::{Description, SendKind};
use super::super::time::Timestamp;
use super::attempts::resolve;
use super::{Change, Decision, Notice, Policy, SETTLED_MAX, State};

impl State {
    /// Does what is asked, or says why not. `who` is the name of the token.
    pub fn command(
        &mut self,
        command: Command,
        who: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> (Decision, Reply) {
        let mut decision = Decision::default();
        let action = command.as_str();
        let target = target_of(&command);
        let audited = !matches!(
            command,
            Command::Heartbeat | Command::Forget { .. } | Command::ForgetRest(_) | Command::Rewrite
        );
        let done = self.obey(command, who, now, policy, &mut decision);
        let reply = done.unwrap_or_else(Reply::Refused);
        if audited && !matches!(reply, Reply::Refused(_)) {
            let id = RecordId::from_bytes(self.ids.next(now));
            let audit = Audit { id, at: now, who: who.to_owned(), action: action.to_owned(), target };
            decision.notices.push(Notice::Acted(Box::new(audit.clone())));
            decision.changes.push(Change::Audit(Box::new(audit)));
        }
        (decision, reply)
    }

    fn obey(
        &mut self,
        command: Command,
        who: &str,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        match command {
            Command::Retry(send) => self.retry(send, who, now, policy, decision),
            Command::Resolve { send, method, note } => {
                let mut case = self.open(send)?.clone();
                self.cases.remove(&send);
                self.drop_request(&mut case, decision);
                self.settled.insert(send, now);
                if self.settled.len() > SETTLED_MAX {
                    self.settled.pop_first();
                }
                let resolution = Resolution { at: now, method, by: Some(who.to_owned()), note };
                resolve(&mut case, resolution, decision);
                self.file(case, decision);
                Ok(Reply::Done)
            }
            Command::Claim(send) => {
                self.open(send)?;
                let case = self.cases.get_mut(&send).ok_or(Refusal::NotOpen)?;
                let failure = case.failure.as_mut().ok_or(Refusal::NotOpen)?;
                if failure.claimed_by.as_deref().is_some_and(|by| by != who) {
                    return Err(Refusal::ClaimedByAnother);
                }
                failure.claimed_by = Some(who.to_owned());
                decision.changes.push(Change::Case(Box::new(case.clone())));
                Ok(Reply::Done)
            }
            Command::Reopen(case) => self.reopen(*case, decision),
            Command::NoteRestart(name) => self.configured(&name).map(|()| Reply::Done),
            Command::NoteReveal(_) | Command::NoteBotRestart | Command::NoteForget | Command::NoteBackup => {
                Ok(Reply::Done)
            }
            Command::Forget { customer, cases, positions } => {
                // One that was opened again meanwhile needs its customer.
                let settled = cases.into_iter().filter(|case| !self.cases.contains_key(&case.send));
                for case in settled {
                    decision.changes.push(Change::Drop(case.send));
                    decision.changes.push(Change::Case(Box::new(customer.forget_in_case(case))));
                }
                decision.changes.push(Change::Forget(customer, positions));
                Ok(Reply::Done)
            }
            Command::ForgetRest(customer) => {
                self.forget_rest(&customer, decision);
                Ok(Reply::Done)
            }
            Command::Rewrite => {
                decision.changes.push(Change::Rewrite);
                Ok(Reply::Done)
            }
            Command::Probe(name) => {
                self.configured(&name)?;
                self.ask(&name, decision);
                Ok(Reply::Begun(Pending::Probe(name)))
            }
            Command::PauseRecovery => Ok(self.pause(true, decision)),
            Command::ResumeRecovery => Ok(self.pause(false, decision)),
            Command::Heartbeat => {
                self.bot_lives(now, policy, decision);
                Ok(Reply::Done)
            }
            Command::Diagnose { session, order } => self.report_order(session, order, now, policy, decision),
            Command::BeginDrill { session, lasts } => {
                self.begin_drill(session, lasts, who, now, policy, decision)
            }
            Command::EndDrill => self.end_drill(now, policy, decision),
            Command::TestChannels(channels) => self.test_channels(&channels, who, now, policy, decision),
        }
    }

    pub(super) fn configured(&self, name: &SessionName) -> Result<(), Refusal> {
        let known = *name != self.other && self.sessions.contains_key(name);
        if known { Ok(()) } else { Err(Refusal::UnknownSession) }
    }

    fn open(&self, send: SendId) -> Result<&Case, Refusal> {
        let open = |case: &&Case| case.failure.as_ref().is_some_and(super::Failure::is_open);
        self.cases.get(&send).filter(open).ok_or(Refusal::NotOpen)
    }

    /// A person wants it sent again: now, whatever the pace, and whatever the channel looks like.
    fn retry(
        &mut self,
        send: SendId,
        who: &str,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        let case = self.open(send)?;
        if case.outcome == Outcome::Rejected {
            return Err(Refusal::RejectedForGood);
        }
        if !case.replayable {
            return Err(Refusal::NothingKept);
        }
        let doubtful = case.doubt.is_some();
        // Two clicks are one send, and one look.
        if !self.replay_begun(send) && !self.by_hand.contains_key(&send) {
            if self.runs(send) {
                return Err(Refusal::BotHasIt);
            }
            self.by_hand.insert(send, ByHand { who: who.to_owned(), unchecked: false });
            if doubtful {
                self.begin_look(send, now, decision);
            } else {
                self.replay_by_hand(send, now, policy, decision);
            }
        }
        Ok(Reply::Begun(Pending::Replay(send)))
    }

    fn reopen(&mut self, mut case: Case, decision: &mut Decision) -> Result<Reply, Refusal> {
        if self.cases.contains_key(&case.send) {
            return Err(Refusal::NotSettled);
        }
        let Some(failure) = &mut case.failure else { return Err(Refusal::NotOpen) };
        failure.resolution = None;
        failure.claimed_by = None;
        if let Some(finding) = &mut case.finding {
            finding.resolved_at = None;
        }
        self.succeeded.remove(&case.send);
        // Its request went when it was settled: it waits for a person.
        case.replayable = false;
        self.expect_news(&case);
        self.file(case, decision);
        Ok(Reply::Done)
    }

    /// Does anything still need this send's customer: a person, its bot, or ourselves?
    pub fn needs_customer(&self, send: SendId) -> bool {
        self.cases.contains_key(&send) || self.unheard.contains_key(&send) || self.runs(send)
    }

    /// Takes a customer out of everything but the cases that are open.
    fn forget_rest(&mut self, customer: &Forgotten, decision: &mut Decision) {
        for session in self.sessions.values_mut() {
            if customer.forget_in_session(session) {
                self.moved.insert(session.name.clone());
                decision.changes.push(Change::Session(Box::new(session.clone())));
            }
        }
        for diagnosis in self.diagnoses.values_mut() {
            if customer.forget_in_diagnosis(diagnosis) {
                decision.changes.push(Change::Diagnosis(Box::new(diagnosis.clone())));
            }
        }
        for awaiting in self.awaiting.values_mut() {
            if let Some(what) = customer.without(&awaiting.what) {
                awaiting.what = what;
                decision.changes.push(Change::Awaiting(Box::new(awaiting.clone())));
            }
        }
        // An open case may write to them once more, and must know that it was done a moment ago.
        if !self.cases.values().any(|case| customer.is_in(&case.what)) {
            self.written_to.retain(|chat, _| !customer.is_chat(chat));
        }
        self.warm.forget(customer);
    }

    fn pause(&mut self, paused: bool, decision: &mut Decision) -> Reply {
        self.paused = paused;
        decision.changes.push(Change::Paused(paused));
        self.recoveries.values_mut().for_each(super::Recovery::hurry);
        Reply::Done
    }

    /// The bot says that it could not tell a customer.
    fn report_order(
        &mut self,
        session: SessionName,
        order: OrderFacts,
        now: Timestamp,
        policy: &Policy,
        decision: &mut Decision,
    ) -> Result<Reply, Refusal> {
        let chat = order.customer_phone.as_ref().and_then(|phone| ChatId::new(&phone.digits()));
        if chat.is_none() && !order.names_order() {
            return Err(Refusal::NothingToDiagnose);
        }
        // The order it reports is most likely one whose send we have seen fail.
        let known = self.pending_order(&order);
        if let Some(send) = known {
            let name = self.session_of(&self.cases[&send].what).clone();
            let waits = self.undiagnosed.get(&name).is_some_and(|waiting| waiting.contains(&send));
            let running = self
                .diagnoses
                .get(&name)
                .is_some_and(|one| one.verdict.is_none() && one.sends.contains(&send));
            if !waits && !running {
                self.undiagnosed.entry(name).or_default().push_back(send);
            }
            return Ok(Reply::Begun(Pending::Diagnosis(send)));
        }
        let send = SendId::from_bytes(self.ids.next(now));
        let what = Description {
            identity: None,
            session: Some(session),
            chat,
            kind: SendKind::Text,
            path: "".into(),
            order,
        };
        let mut case = Case::reported(send, Arc::new(what), now);
        self.fail(&mut case, Cause::ReportedByBot, now, policy, decision);
        self.expect_news(&case);
        // That its order was told otherwise does not answer the bot's question.
        let name = self.session_of(&case.what).clone();
        let waiting = self.undiagnosed.entry(name).or_default();
        if !waiting.contains(&send) {
            waiting.push_back(send);
        }
        self.file(case, decision);
        Ok(Reply::Begun(Pending::Diagnosis(send)))
    }

    fn pending_order(&self, order: &OrderFacts) -> Option<SendId> {
        let sends = self.pending_orders.get(order.key()?)?;
        sends.iter().rev().copied().find(|send| self.open(*send).is_ok())
    }
}

fn target_of(command: &Command) -> Option<String> {
    match command {
        Command::Retry(send)
        | Command::Claim(send)
        | Command::NoteReveal(send)
        | Command::Resolve { send, .. } => Some(send.to_string()),
        Command::Reopen(case) => Some(case.send.to_string()),
        Command::Probe(session)
        | Command::NoteRestart(session)
        | Command::BeginDrill { session, .. }
        | Command::Diagnose { session, .. } => Some(session.as_str().to_owned()),
        Command::TestChannels(channels) => {
            let words: Vec<_> = channels.iter().map(|channel| channel.as_str()).collect();
            (!words.is_empty()).then(|| words.join(","))
        }
        Command::NoteBotRestart
        | Command::NoteForget
        | Command::Forget { .. }
        | Command::ForgetRest(_)
        | Command::Rewrite
        | Command::NoteBackup
        | Command::EndDrill
        | Command::PauseRecovery
        | Command::ResumeRecovery
        | Command::Heartbeat => None,
    }
}
