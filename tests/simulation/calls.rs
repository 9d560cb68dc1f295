//! The proxy's part, as `proxy::send` and `proxy::run` do it: a call's place among the live sends, intent, exchange, outcome, answer; and
//! replays, as `errands::replay` does them.

use std::sync::Arc;

use bytes::Bytes;
use waha_watchdog::domain::confirmation::MessageId;
use waha_watchdog::domain::decide::Event;
use waha_watchdog::domain::errand::{Looked, NotReplayed, Replay, Report};
use waha_watchdog::domain::id::SendId;
use waha_watchdog::domain::id::{ChatId, SessionName};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredAnswer, StoredRequest, Via};
use waha_watchdog::domain::live::{Begin, Call, RunEnd};
use waha_watchdog::domain::order::OrderFacts;
use waha_watchdog::domain::outcome::{Outcome, Reply, judge};
use waha_watchdog::domain::recovery::message_id;
use waha_watchdog::domain::send::{Content, Description, Identity, SendKind};
use waha_watchdog::domain::time::Timestamp;

use super::bot::Message;
use super::disk::{Item, Waiter};
use super::life::{Inner, Life, What};
use super::plan::SESSIONS;
use super::planted::Planted;
use super::world::{Request, Sender, Sent};

const PATH: &str = "/text";
/// So long a call of the bot waits for a look.
const ASK_MAX: i64 = 8_000;

/// An exchange under way, of the bot's or ours.
pub struct Run {
    /// `None`: a replay.
    pub call: Option<usize>,
    pub message: usize,
    pub session: usize,
    /// The chat of the bot's own calls, where the proxy keeps their order.
    pub chat: usize,
    pub ask_first: bool,
    /// Since when it runs, and the attempts it has made; when it makes another.
    pub began: i64,
    pub tries: u32,
    pub again: Option<i64>,
    /// It has left for WAHA, and how that ended is not recorded yet.
    pub left: bool,
    pub attempt: AttemptId,
    pub first_at: Timestamp,
    pub started: Timestamp,
    pub what: Arc<Description>,
    pub content: Content,
    pub replay: Option<Replay>,
    pub ended: Option<(Outcome, Option<StoredAnswer>)>,
    /// Nobody listened when it ended, and so its record says.
    pub unheard: bool,
}

/// A call that is answered with what another achieved.
pub struct Latched {
    call: usize,
    attempt: AttemptId,
    what: Arc<Description>,
}

pub fn chat_of(chat: usize) -> String {
    format!("58424000000{chat}")
}

pub fn chat_number(chat: &ChatId) -> Option<usize> {
    chat.expose().strip_prefix("58424000000")?.strip_suffix("@c.us")?.parse().ok()
}

/// Session and chat stand in the target, and the text is the body.
fn request(told: &Message) -> StoredRequest {
    StoredRequest {
        method: "POST".into(),
        target: format!("{PATH}/{}/{}", SESSIONS[told.session], chat_of(told.chat)),
        content_type: None,
        body: Bytes::from(told.text.clone()),
    }
}

impl Life {
    fn describe(&self, message: usize) -> (Description, Content) {
        let told = &self.bot.messages[message];
        let (session, chat) = (SessionName::new(SESSIONS[told.session]), ChatId::new(&chat_of(told.chat)));
        let request = request(told);
        let (identity, content) = Identity::whole(&request.method, &request.target, &request.body);
        let order = told.order.map_or_else(OrderFacts::default, |(order, kind)| OrderFacts {
            order_id: Some(format!("O{order}").into()),
            notification_type: Some(kind),
            ..OrderFacts::default()
        });
        let what = Description {
            identity: Some(identity),
            session,
            chat,
            kind: SendKind::Text,
            path: PATH.into(),
            order,
        };
        (what, content)
    }

    /// A call of the bot arrives, or looks again, or has waited in vain.
    pub fn call_arrives(&mut self, call: usize) {
        let message = self.bot.calls[call].message;
        let (what, content) = self.describe(message);
        let (what, now) = (Arc::new(what), self.clock());
        let fresh = self.fresh_send();
        let Some(identity) = what.identity else { return };
        let looked = self.bot.calls[call].looked;
        let asked = Call { identity, named: false, content: Some(content), looked };
        let (session, chat, began) =
            (self.bot.messages[message].session, self.bot.messages[message].chat, self.now);
        let Some(sidecar) = &mut self.sidecar else { return };
        match sidecar.live.begin(asked, fresh, now, || call) {
            Begin::Forward { attempt, first_at, ask_first } => {
                self.check.belongs(attempt.send, message);
                let run = Run {
                    call: Some(call),
                    message,
                    session,
                    chat,
                    ask_first,
                    began,
                    tries: 1,
                    again: None,
                    left: false,
                    attempt,
                    first_at,
                    started: now,
                    what,
                    content,
                    replay: None,
                    ended: None,
                    unheard: false,
                };
                self.takes_turn(run);
            }
            Begin::Answer { attempt, first_at, .. } => self.latched(call, attempt, first_at, what),
            Begin::Look => {
                self.bot.calls[call].looked = true;
                self.mine(50, Inner::LookAgain(call));
            }
            Begin::Wait { .. } => {
                self.story.tell(self.now, || format!("proxy: message {message} waits for the call that runs"))
            }
        }
    }

    pub fn look_again(&mut self, call: usize) {
        if self.bot.calls[call].open {
            self.call_arrives(call);
        }
    }

    /// Where the proxy tries again, a chat's sends go one after the other, so that none overtakes one that is being tried again.
    fn takes_turn(&mut self, run: Run) {
        let in_turn = self.plan.proxy;
        let hasty = self.planted == Some(Planted::OvertakenInChat);
        let key = (run.session, run.chat);
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.made += 1;
        let id = sidecar.made;
        sidecar.queued.insert(id, run);
        if in_turn {
            self.check.queues(key, id);
            let queue = sidecar.turns.entry(key).or_default();
            queue.push_back(id);
            if queue.front() != Some(&id) && !hasty {
                return self.story.tell(self.now, || "proxy: it waits for its turn in its chat".to_owned());
            }
        }
        self.has_turn(id);
    }

    fn has_turn(&mut self, id: u64) {
        let now = self.clock();
        let Some(mut run) = self.sidecar.as_mut().and_then(|sidecar| sidecar.queued.remove(&id)) else {
            return;
        };
        run.started = now;
        if run.ask_first { self.asks(id, run) } else { self.may_run(id, run) }
    }

    /// A call of the bot is over: the next one of its chat has its turn.
    fn turn_over(&mut self, id: u64, run: &Run) {
        if run.call.is_none() || !self.plan.proxy {
            return;
        }
        let key = (run.session, run.chat);
        self.check.dequeues(key, id);
        let Some(sidecar) = &mut self.sidecar else { return };
        let Some(queue) = sidecar.turns.get_mut(&key) else { return };
        queue.retain(|one| *one != id);
        if let Some(next) = queue.front().copied() {
            self.has_turn(next);
        }
    }

    /// What was ours may have arrived: WAHA is asked, for a while, before it is forwarded.
    fn asks(&mut self, id: u64, run: Run) {
        let (send, since) = (run.attempt.send, run.first_at);
        let kept = self.disk.requests.get(&send);
        let text = kept.map(|kept| String::from_utf8_lossy(&kept.body).into_owned());
        let chat = run.what.chat.clone();
        let message = message_id(send);
        let (found, took) = self.finds(send, run.session, chat.as_ref(), Some(&message), text, since);
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.asking.insert(id, run);
        let (wait, found) = if took > ASK_MAX { (ASK_MAX, Looked::Failed) } else { (took, found) };
        self.mine(wait, Inner::Asked(id, found));
    }

    /// WAHA has said whether it had gone out, or has not.
    pub fn asked(&mut self, id: u64, found: Looked) {
        let Some(sidecar) = &mut self.sidecar else { return };
        let Some(run) = sidecar.asking.remove(&id) else { return };
        let unseen = |sent: &Sent| sent.message == Some(run.message) && !sent.stored;
        if matches!(found, Looked::Impossible | Looked::Failed) || self.waha.sent.iter().any(unseen) {
            self.check.unsaid(run.attempt);
        }
        let blind = self.planted == Some(Planted::RetryWithoutLook);
        let Some(message) = found.message().filter(|_| !blind) else { return self.may_run(id, run) };
        let answer = StoredAnswer { status: 201, content_type: None, body: Bytes::new(), asked: run.content };
        self.is_found(id, run, Some(message), answer);
    }

    /// A call that has waited: somebody may have found meanwhile that it had gone out.
    fn may_run(&mut self, id: u64, run: Run) {
        let found = run.what.identity.and_then(|identity| {
            let live = &mut self.sidecar.as_mut()?.live;
            live.found(identity, run.attempt.send)
        });
        match found {
            Some(answer) => self.is_found(id, run, None, answer),
            None => self.run(id, run, Via::Bot),
        }
    }

    /// The bot hears that it had gone out, and nothing is sent.
    fn is_found(&mut self, id: u64, mut run: Run, message: Option<MessageId>, answer: StoredAnswer) {
        let now = self.clock();
        let Some(sidecar) = &mut self.sidecar else { return };
        let gone = run.call.is_none_or(|call| !self.bot.calls[call].open);
        run.ended = Some((Outcome::Accepted, Some(answer.clone())));
        let ended = Ended {
            attempt: run.attempt,
            via: Via::Look,
            first_at: run.first_at,
            started: now,
            ended: now,
            what: Arc::clone(&run.what),
            outcome: Outcome::Accepted,
            cause: None,
            status: None,
            detail: None,
            message_id: message.map(|message| message.as_str().into()),
            given_up: false,
            unheard: gone.then(|| Arc::new(answer)),
            request: None,
        };
        sidecar.runs.insert(id, run);
        self.record(Entry::Ended(Box::new(ended)), Waiter::Outcome(id));
    }

    fn run(&mut self, id: u64, run: Run, via: Via) {
        let Some(sidecar) = &mut self.sidecar else { return };
        let holds = via == Via::Replay || run.what.order.names_order();
        let kept = (via != Via::Replay).then(|| Arc::new(request(&self.bot.messages[run.message])));
        let (attempt, first_at, started, what) =
            (run.attempt, run.first_at, run.started, Arc::clone(&run.what));
        sidecar.runs.insert(id, run);
        if holds {
            let intent = Intent { attempt, via, first_at, started, what, request: kept };
            self.record(Entry::Intent(intent), Waiter::Intent(id));
        } else {
            if attempt.number > 1 {
                self.push(Item::Entry(Entry::Begun(attempt), None));
            }
            self.leaves_for_waha(id);
        }
    }

    /// Somebody's entry is durable, or was waited for long enough.
    pub fn waited(&mut self, waiter: Waiter, durable: bool) {
        if let (false, Some(metrics)) = (durable, self.sidecar.as_ref().and_then(|one| one.metrics.as_ref()))
        {
            metrics.store.waits_missed.inc();
        }
        match waiter {
            Waiter::Intent(id) => {
                let Some(sidecar) = &mut self.sidecar else { return };
                let Some(run) = sidecar.runs.get(&id) else { return };
                if durable {
                    self.check.intends(run.attempt);
                } else if run.replay.is_none() {
                    self.check.unrecorded(run);
                } else {
                    let Some(run) = sidecar.runs.remove(&id) else { return };
                    self.leave(&run, RunEnd::NotBegun);
                    let report = Report::NotReplayed { send: run.attempt.send, why: NotReplayed::Unrecorded };
                    self.mine(0, Inner::Reported(report));
                    return;
                }
                self.leaves_for_waha(id);
            }
            Waiter::Outcome(id) => {
                let Some(run) = self.sidecar.as_mut().and_then(|sidecar| sidecar.runs.remove(&id)) else {
                    return;
                };
                self.told(id, run, durable);
            }
            Waiter::Latch(id) => {
                let Some(latched) = self.sidecar.as_mut().and_then(|sidecar| sidecar.latched.remove(&id))
                else {
                    return;
                };
                if durable {
                    self.check.claims(latched.attempt);
                }
                if self.bot.calls[latched.call].open {
                    if let (Some(identity), Some(sidecar)) = (latched.what.identity, &mut self.sidecar) {
                        sidecar.live.release(identity, latched.attempt.send);
                    }
                    self.later(0, What::Hears(latched.call, true));
                }
            }
        }
    }

    fn leaves_for_waha(&mut self, id: u64) {
        let Some(run) = self.sidecar.as_mut().and_then(|sidecar| sidecar.runs.get_mut(&id)) else { return };
        run.left = true;
        let started = run.started.millis() - super::sidecar::EPOCH;
        let replay = run.replay.as_ref().map(|replay| replay.attempt.send);
        let session = run.session;
        let wished = replay.is_some_and(|send| self.check.replay_leaves(self.now, send, session, started));
        let message = &self.bot.messages[run.message];
        let request = Request {
            boot: self.boot,
            sender: Sender::Run(id),
            session: run.session,
            attempt: Some(run.attempt),
            started,
            wished,
            chat: Some(message.chat),
            text: message.text.clone(),
            id: run
                .replay
                .as_ref()
                .and_then(|replay| replay.message.as_ref())
                .map(|id| id.as_str().to_owned()),
            message: Some(run.message),
            send: Some(run.attempt.send),
            replay,
            begun: self.now,
        };
        self.sends(request);
    }

    /// The proxy's own next try.
    pub fn tries_again(&mut self, id: u64) {
        let now = self.clock();
        let Some(sidecar) = &mut self.sidecar else { return };
        let Some(mut run) = sidecar.runs.remove(&id) else { return };
        let again = run.what.identity.and_then(|identity| sidecar.live.again(identity, run.attempt.send));
        run.attempt = again.unwrap_or(AttemptId { number: run.attempt.number + 1, ..run.attempt });
        run.tries += 1;
        run.started = now;
        self.run(id, run, Via::Retry);
    }

    /// WAHA has answered, or surely will not.
    pub fn answered(&mut self, id: u64, reply: Reply, message_id: Option<String>) {
        let now = self.clock();
        let (outcome, cause) = judge(reply);
        let proxy = self.plan.proxy;
        let jitter = self.chance.between(80, 121);
        let Some(run) = self.sidecar.as_mut().and_then(|sidecar| sidecar.runs.get_mut(&id)) else { return };
        // As `proxy::run` does: what surely was not sent, four times in all, within thirty seconds.
        let tried = self.now - run.began;
        let delay = (1000 << (run.tries - 1)) * jitter / 100;
        let tries_on = proxy && run.replay.is_none() && outcome == Outcome::Failed && run.tries < 4;
        run.again = (tries_on && tried + delay <= 30_000).then_some(delay);
        let again = run.again.is_some();
        let (accepted, replays) = (outcome == Outcome::Accepted, run.replay.is_some());
        let answer = StoredAnswer { status: 201, content_type: None, body: Bytes::new(), asked: run.content };
        let answer = accepted.then_some(answer);
        let gone = run.call.is_none_or(|call| !self.bot.calls[call].open);
        run.unheard = gone;
        run.ended = Some((outcome, answer.clone()));
        let (message, attempt) = (run.message, run.attempt.number);
        self.story
            .tell(self.now, || format!("proxy: attempt {attempt} of message {message} ends: {outcome}"));
        let holds = replays || run.what.order.names_order();
        let kept = (!accepted && !holds).then(|| Arc::new(request(&self.bot.messages[run.message])));
        let ended = Ended {
            attempt: run.attempt,
            via: if replays {
                Via::Replay
            } else if run.tries > 1 {
                Via::Retry
            } else {
                Via::Bot
            },
            first_at: run.first_at,
            started: run.started,
            ended: now,
            what: Arc::clone(&run.what),
            outcome,
            cause,
            status: None,
            detail: None,
            message_id: message_id.map(Into::into),
            given_up: proxy && !replays && !accepted && !again,
            unheard: answer.filter(|_| gone).map(Arc::new),
            request: kept,
        };
        if self.planted == Some(Planted::AnswerBeforeCommit) && !replays && !again {
            self.check.claims(ended.attempt);
            if let Some(call) = run.call.filter(|call| self.bot.calls[*call].open) {
                self.later(0, What::Hears(call, accepted));
            }
        }
        self.record(Entry::Ended(Box::new(ended)), Waiter::Outcome(id));
    }

    /// The outcome is recorded as far as it will be: whoever waits is told.
    fn told(&mut self, id: u64, mut run: Run, durable: bool) {
        let Some((outcome, answer)) = run.ended.clone() else { return };
        if durable {
            self.check.claims(run.attempt);
        } else {
            self.check.unrecorded(&run);
        }
        if let Some(delay) = run.again.take() {
            (run.left, run.ended) = (false, None);
            if let Some(sidecar) = &mut self.sidecar {
                sidecar.runs.insert(id, run);
            }
            return self.mine(delay, Inner::TryAgain(id));
        }
        let accepted = outcome == Outcome::Accepted;
        let doubtful = outcome == Outcome::Ambiguous;
        if accepted {
            let listens = run.call.is_some_and(|call| self.bot.calls[call].open);
            self.check.succeeds(run.message, self.now, self.boot, durable && !listens && run.unheard);
        }
        self.leave(&run, answer.map_or(RunEnd::Unsuccessful { doubtful }, RunEnd::Accepted));
        self.turn_over(id, &run);
        let Some(call) = run.call.filter(|call| self.bot.calls[*call].open) else { return };
        if let (true, Some(identity), Some(sidecar)) = (accepted, run.what.identity, &mut self.sidecar) {
            sidecar.live.release(identity, run.attempt.send);
        }
        self.later(0, What::Hears(call, accepted));
    }

    /// Out of the table, and whoever waited for it goes on.
    fn leave(&mut self, run: &Run, end: RunEnd<StoredAnswer>) {
        let now = self.clock();
        let (Some(identity), Some(sidecar)) = (run.what.identity, &mut self.sidecar) else { return };
        for (call, attempt) in sidecar.live.end(identity, run.attempt.send, now, end) {
            if self.bot.calls[call].open {
                match attempt {
                    Some(attempt) => self.latched(call, attempt, run.first_at, Arc::clone(&run.what)),
                    None => self.mine(0, Inner::LookAgain(call)),
                }
            }
        }
    }

    fn latched(&mut self, call: usize, attempt: AttemptId, first_at: Timestamp, what: Arc<Description>) {
        let now = self.clock();
        self.story.tell(self.now, || {
            format!("proxy: message {} gets the answer of an earlier call", self.bot.calls[call].message)
        });
        let ended = Ended {
            attempt,
            via: Via::Latch,
            first_at,
            started: now,
            ended: now,
            what: Arc::clone(&what),
            outcome: Outcome::Accepted,
            cause: None,
            status: Some(201),
            detail: None,
            message_id: None,
            given_up: false,
            unheard: None,
            request: None,
        };
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.made += 1;
        let id = sidecar.made;
        sidecar.latched.insert(id, Latched { call, attempt, what });
        self.record(Entry::Ended(Box::new(ended)), Waiter::Latch(id));
    }

    /// The bot has left a call.
    pub fn client_gone(&mut self, call: usize) {
        if self.planted == Some(Planted::OrphanNotAwaited) {
            return;
        }
        let Some(sidecar) = &mut self.sidecar else { return };
        let mut all = sidecar.runs.values().chain(sidecar.asking.values()).chain(sidecar.queued.values());
        let run = all.find(|run| run.call == Some(call));
        let place = run.and_then(|run| Some((run.what.identity?, run.attempt.send)));
        if let Some((identity, send)) = place {
            sidecar.live.orphan(identity, send);
        }
    }

    /// A replay, as the hands do it.
    pub fn replays(&mut self, replay: Replay) {
        let send = replay.attempt.send;
        let Some(kept) = self.disk.requests.get(&send).cloned() else {
            let report = Report::NotReplayed { send, why: NotReplayed::NothingKept };
            return self.mine(0, Inner::Reported(report));
        };
        let content = Content::of(&kept.method, &kept.target, &kept.body);
        let now = self.clock();
        let (Some(identity), Some(sidecar)) = (replay.what.identity, &mut self.sidecar) else { return };
        let begun = sidecar.live.begin_replay(identity, Some(content), replay.attempt, replay.first_at, now);
        let Some(attempt) = begun else {
            let report = Report::NotReplayed { send, why: NotReplayed::BotHasIt };
            return self.mine(0, Inner::Reported(report));
        };
        let Some(message) = self.check.message_of(send) else { return };
        self.story.tell(self.now, || format!("replay of message {message} begins"));
        let what = Arc::clone(&replay.what);
        let first_at = replay.first_at;
        let run = Run {
            call: None,
            message,
            session: self.bot.messages[message].session,
            chat: self.bot.messages[message].chat,
            ask_first: false,
            began: self.now,
            tries: 1,
            again: None,
            left: false,
            attempt,
            first_at,
            started: now,
            what,
            content,
            replay: Some(replay),
            ended: None,
            unheard: false,
        };
        let Some(sidecar) = &mut self.sidecar else { return };
        sidecar.made += 1;
        let id = sidecar.made;
        self.run(id, run, Via::Replay);
    }

    fn fresh_send(&mut self) -> SendId {
        let mut bytes = self.chance.bytes();
        bytes[..8].copy_from_slice(&self.turn().to_be_bytes());
        SendId::from_bytes(bytes)
    }

    /// What the heart is fed, which a planted bug may bend.
    pub fn feed_entry(&mut self, event: Event) -> Vec<Event> {
        let mut events = vec![event];
        if self.planted == Some(Planted::ResetOnAmbiguous)
            && let Event::Entry(_, Entry::Ended(ended)) = &events[0]
            && ended.outcome == Outcome::Ambiguous
        {
            let mut success = (**ended).clone();
            success.attempt = AttemptId { send: SendId::from_bytes(self.chance.bytes()), number: 1 };
            success.what = Arc::new(Description {
                identity: None,
                chat: None,
                order: OrderFacts::default(),
                ..(*ended.what).clone()
            });
            (success.outcome, success.cause, success.via) = (Outcome::Accepted, None, Via::Bot);
            success.unheard = None;
            events.push(Event::Entry(
                waha_watchdog::domain::ledger::Position(0),
                Entry::Ended(Box::new(success)),
            ));
        }
        events
    }
}
