//! Modelled WAHA and phones: what is accepted, refused, hangs or leaves late; probes, looks, echoes and acks. A phone shows one message per id.

use std::collections::BTreeSet;

use waha_watchdog::domain::confirmation::{Confirmation, FeedItem, MessageId, News};
use waha_watchdog::domain::errand::{Letter, Look, Looked, Report};
use waha_watchdog::domain::id::{ChatId, SendId, SessionName};
use waha_watchdog::domain::ledger::AttemptId;
use waha_watchdog::domain::outcome::{Cause, Reply, Said, judge};
use waha_watchdog::domain::probe::{Engine, ProbeResult, Restriction, SessionState};
use waha_watchdog::domain::time::Timestamp;

use super::life::{Inner, Life, What};
use super::month::Kind;
use super::plan::{Chance, Plan, SESSIONS, Weather};

/// So long a sidecar waits for an answer.
const ANSWER_MAX: i64 = 150_000;

/// Who wants to hear the answer.
pub enum Sender {
    Run(u64),
    Letter(Box<Letter>),
}

/// A call that has reached WAHA.
pub struct Request {
    pub boot: u32,
    pub sender: Sender,
    pub session: usize,
    /// `None` is the admin.
    pub chat: Option<usize>,
    pub text: String,
    pub id: Option<String>,
    pub message: Option<usize>,
    pub send: Option<SendId>,
    pub replay: Option<SendId>,
    /// The attempt it is, where it is a send's.
    pub attempt: Option<AttemptId>,
    /// When its turn began, and when it left.
    pub started: i64,
    pub begun: i64,
    /// Somebody wants it although it may arrive twice.
    pub wished: bool,
}

/// A message WAHA has taken.
pub struct Sent {
    pub id: String,
    pub session: usize,
    pub chat: Option<usize>,
    pub text: String,
    pub message: Option<usize>,
    pub replay: bool,
    pub attempt: Option<AttemptId>,
    /// A person wanted it sent again, and was told that WAHA cannot say whether it arrived.
    pub wished: bool,
    /// The send it was sent under, where it has one.
    pub send: Option<SendId>,
    pub started: i64,
    pub begun: i64,
    /// On its way to WhatsApp since then; `None` while it waits.
    pub left: Option<i64>,
    pub acked: Confirmation,
    /// WAHA has it among its messages, on its way or not.
    pub stored: bool,
}

pub struct Waha {
    /// Per session.
    pub weather: Vec<Weather>,
    pub sent: Vec<Sent>,
    /// Chats by what is wrong with them.
    pub bad: Vec<(usize, Cause)>,
    shown: BTreeSet<(usize, Option<usize>, String)>,
    pub state: SessionState,
    ids: u64,
}

impl Waha {
    pub fn new(plan: &Plan, chance: &mut Chance) -> Self {
        let causes = [Cause::NumberNotOnWhatsapp, Cause::ContactRestricted, Cause::BadRequest];
        let bad =
            (0..plan.bad_chats).map(|chat| (chat as usize, causes[chance.below(causes.len())])).collect();
        let states =
            [SessionState::ScanQrCode, SessionState::Failed, SessionState::Starting, SessionState::Stopped];
        let state = states[chance.below(states.len())];
        let weather = vec![Weather::Fair; plan.sessions];
        Self { weather, sent: Vec::new(), bad, shown: BTreeSet::new(), state, ids: 0 }
    }
}

/// The place of a session among all.
pub fn session_number(name: &SessionName) -> usize {
    SESSIONS.iter().position(|one| *one == name.as_str()).unwrap_or(0)
}

impl Life {
    /// The sidecar sends something. Where nobody listens, it hears so at once.
    pub fn sends(&mut self, request: Request) {
        if self.waha.weather[request.session] == Weather::Down {
            self.answers(&request.sender, 2, Reply::NotSent(Cause::ConnectionRefused), None);
        } else {
            let way = self.chance.between(1, 20);
            self.later(way, What::Arrives(Box::new(request)));
        }
    }

    fn answers(&mut self, to: &Sender, wait: i64, reply: Reply, id: Option<String>) {
        let (wait, reply, id) = if wait > ANSWER_MAX {
            (ANSWER_MAX, Reply::Lost(Cause::ResponseTimeout), None)
        } else {
            (wait, reply, id)
        };
        match to {
            Sender::Run(run) => self.mine(wait, Inner::Answered(*run, reply, id)),
            Sender::Letter(letter) => {
                let (outcome, cause) = judge(reply);
                let message = id.as_deref().and_then(MessageId::new);
                let report =
                    Report::Wrote { id: letter.id, kind: letter.text.kind(), outcome, cause, message };
                self.mine(wait, Inner::Reported(report));
            }
        }
    }

    /// A call reaches WAHA.
    pub fn arrives(&mut self, request: Request) {
        self.check.seen(self.now, &request, self.boot, &self.disk, &self.bot, self.sidecar.as_ref());
        let here = request.boot == self.boot;
        let lost = self.in_faults() && self.chance.percent(self.plan.lost_answer);
        let error = |status| Reply::Answer { status, said: None };
        let blames = |status, cause| Reply::Answer { status, said: Some(Said::Blames(cause)) };
        let weather = self.waha.weather[request.session];
        let bad = self.waha.bad.iter().find(|(chat, _)| request.chat == Some(*chat)).map(|(_, cause)| *cause);
        let outage = self.month.as_ref().and_then(|month| month.now);
        let half = request.chat.is_some_and(|chat| chat % 2 == 1);
        let hiccup = self.month.is_some() && self.chance.below(200) == 0;
        let (wait, reply, leaves) = match (weather, bad) {
            _ if outage == Some(Kind::KeyRefused) => (10, error(401), None),
            (Weather::Fair, _) if hiccup || half && outage == Some(Kind::HalfLost) => (20, error(500), None),
            (Weather::NotWorking, _) => {
                (self.chance.between(10, 9_000), blames(422, Cause::SessionNotWorking), None)
            }
            (Weather::Hangs, _) => {
                let leaves = self.chance.percent(50).then(|| self.chance.between(0, 119_000));
                (120_000, error(500), leaves)
            }
            (Weather::Errors, _) => {
                let late = self.chance.percent(40);
                let leaves =
                    self.chance.percent(60).then(|| if late { self.chance.between(0, 118_000) } else { 50 });
                (self.chance.between(20, 2_000), error(500), leaves)
            }
            (_, Some(cause)) => (self.chance.between(10, 500), blames(500, cause), None),
            (Weather::AckDead, None) => (self.chance.between(20, 400), error(201), Some(-1)),
            (Weather::Fair | Weather::Down, None) => (self.chance.between(20, 400), error(201), Some(0)),
        };
        let mut id = None;
        if let Some(leaves) = leaves {
            let wanted = request.id.clone().filter(|_| self.plan.takes_id);
            self.waha.ids += 1;
            let name = wanted.unwrap_or_else(|| format!("WAHA{}", self.waha.ids));
            id = Some(name.clone());
            self.waha.sent.push(Sent {
                id: name,
                session: request.session,
                chat: request.chat,
                text: request.text.clone(),
                message: request.message,
                replay: request.replay.is_some(),
                attempt: request.attempt,
                wished: request.wished,
                send: request.send,
                started: request.started,
                begun: request.begun,
                left: None,
                acked: Confirmation::None,
                stored: leaves < 0,
            });
            let at = self.waha.sent.len() - 1;
            if leaves >= 0 {
                self.later(leaves, What::Leaves(at));
            } else {
                self.echo(at);
            }
        }
        let accepted = matches!(reply, Reply::Answer { status: 201, .. });
        self.story.tell(self.now, || {
            let what = request.replay.map_or("call", |_| "replay");
            format!(
                "WAHA: {what} for {:?} of {} {:?} -> {reply:?}{}",
                request.chat,
                SESSIONS[request.session],
                request.text,
                if lost { ", lost" } else { "" }
            )
        });
        if lost {
            self.answers(&request.sender, wait, Reply::Lost(Cause::ConnectionLost), None);
        } else if here {
            let id = id.filter(|_| accepted);
            self.answers(&request.sender, wait, reply, id);
        }
    }

    /// A message leaves: the phone shows it.
    pub fn leaves(&mut self, at: usize) {
        let sent = &mut self.waha.sent[at];
        (sent.left, sent.stored) = (Some(self.now), true);
        let key = (sent.session, sent.chat, sent.id.clone());
        if self.waha.shown.insert(key) {
            self.check.shown(self.now, at, &self.waha);
            self.story.tell(self.now, || {
                format!("phone {:?} shows {:?}", self.waha.sent[at].chat, self.waha.sent[at].text)
            });
        }
        self.echo(at);
        self.acks(at);
    }

    /// What was stuck in WAHA leaves.
    pub fn stuck_leave(&mut self, session: usize) {
        for at in 0..self.waha.sent.len() {
            if self.waha.sent[at].session == session
                && self.waha.sent[at].stored
                && self.waha.sent[at].left.is_none()
            {
                let wait = self.chance.between(100, 3_000);
                self.later(wait, What::Leaves(at));
            }
        }
    }

    fn echo(&mut self, at: usize) {
        if let Some(id) = MessageId::new(&self.waha.sent[at].id) {
            let session = self.waha.sent[at].session;
            self.news(session, News::Echo(id), 30);
        }
    }

    fn acks(&mut self, at: usize) {
        self.waha.sent[at].acked = Confirmation::Device;
        // A phone that is off.
        let off = self.month.is_some() && self.chance.percent(3);
        if let Some(id) = MessageId::new(&self.waha.sent[at].id) {
            let session = self.waha.sent[at].session;
            self.news(session, News::Ack(id.clone(), Confirmation::Server), 120);
            if off {
                return;
            }
            self.news(session, News::Ack(id, Confirmation::Device), 900);
        }
    }

    fn news(&mut self, session: usize, news: News, wait: i64) {
        if !self.plan.follow {
            return;
        }
        let Some(session) = SessionName::new(SESSIONS[session]) else { return };
        let trouble = if self.in_faults() { self.plan.feed_trouble } else { 0 };
        let mut times = 1 + usize::from(self.chance.percent(trouble));
        if self.chance.percent(trouble / 2) || !self.connected {
            times = 0;
        }
        for _ in 0..times {
            let late = if self.chance.percent(trouble) { self.chance.between(0, 90_000) } else { 0 };
            let item = FeedItem { session: session.clone(), news: news.clone() };
            self.mine(wait + late, Inner::Heard(item));
        }
    }

    /// WAHA is asked how the session is.
    pub fn probe(&mut self, session: SessionName) {
        let engine = if self.plan.takes_id { Engine::Noweb } else { Engine::Other };
        let state = |state| ProbeResult::State { state, engine, restriction: Restriction::default() };
        let outage = self.month.as_ref().and_then(|month| month.now);
        let (result, took) = match self.waha.weather[session_number(&session)] {
            _ if outage == Some(Kind::KeyRefused) => (ProbeResult::Unauthorized, 10),
            Weather::Down => (ProbeResult::Unreachable, 2),
            Weather::NotWorking => (state(self.waha.state), 20),
            Weather::Hangs if self.chance.percent(50) => (ProbeResult::TimedOut, 10_000),
            _ if self.in_faults() && self.chance.percent(self.plan.lost_answer / 2) => {
                (ProbeResult::TimedOut, 10_000)
            }
            _ => (state(SessionState::Working), 20),
        };
        let report = Report::Probed { session, result, took: std::time::Duration::from_millis(took) };
        self.mine(took as i64, Inner::Reported(report));
    }

    /// The heart asks WAHA whether a send went out.
    pub fn look(&mut self, look: &Look, text: Option<String>) {
        let chat = look.what.chat.as_ref();
        let Some(session) = look.what.session.as_ref().map(session_number) else { return };
        let (found, took) = self.finds(look.send, session, chat, look.message.as_ref(), text, look.since);
        self.mine(took, Inner::Reported(Report::Looked { send: look.send, found }));
    }

    /// WAHA is asked for a message, and takes its time.
    pub fn finds(
        &mut self,
        send: SendId,
        session: usize,
        chat: Option<&ChatId>,
        message: Option<&MessageId>,
        text: Option<String>,
        since: Timestamp,
    ) -> (Looked, i64) {
        let weather = self.waha.weather[session];
        let took = if weather == Weather::Hangs { 30_000 } else { 40 };
        let found = if matches!(weather, Weather::Down | Weather::Hangs | Weather::NotWorking) {
            Looked::Failed
        } else if !self.plan.looks || (message.is_none() && text.is_none()) {
            Looked::Impossible
        } else {
            let since = since.millis() - super::sidecar::EPOCH - 2_000;
            let chat = chat.and_then(super::calls::chat_number);
            let is_it = |sent: &&Sent| {
                let named = message.is_some_and(|id| id.as_str() == sent.id);
                let same = text.as_deref() == Some(sent.text.as_str()) && sent.begun >= since;
                sent.session == session && sent.chat == chat && sent.stored && (named || same)
            };
            let it = self.waha.sent.iter().find(is_it);
            match it.and_then(|sent| Some((MessageId::new(&sent.id)?, sent.acked))) {
                Some((message, confirmation)) => Looked::Found { message, confirmation },
                None => Looked::Absent,
            }
        };
        self.story.tell(self.now, || {
            let message = self.check.message_of(send);
            let since = (since.millis() - super::sidecar::EPOCH) / 1000;
            format!("look for message {message:?} since {since}: {found:?}")
        });
        (found, took)
    }
}
