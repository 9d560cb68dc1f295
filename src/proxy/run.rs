//! A send that runs, whoever listens: its attempts made, recorded and joined, its answer handed over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use hyper::{Request, Response, Version};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::attempt::{self, Attempted};
use super::body::{DownBody, Passage, UpBody};
use super::budget::Reserved;
use super::describe::{self, Beginning, Repeatable, Taken};
use super::doubt;
use super::headers;
use super::kept::KeptAnswer;
use super::settings::{Intents, Settings};
use super::worker::Worker;
use crate::domain::confirmation::MessageId;
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, Via};
use crate::domain::live::RunEnd;
use crate::domain::outcome::Outcome;
use crate::domain::send::{Content, Description, Identity};
use crate::domain::time::Timestamp;
use crate::waha::compose::sent_already;
use crate::waha::request::FieldScan;
use crate::waha::route::Route;

/// A send that is about to run.
pub(super) struct Run {
    pub(super) worker: Rc<Worker>,
    pub(super) settings: Rc<Settings>,
    pub(super) attempt: AttemptId,
    pub(super) first_at: Timestamp,
    /// When it begins.
    pub(super) began: Timestamp,
    /// An earlier attempt of ours may have arrived: that is found out first.
    pub(super) ask_first: bool,
    pub(super) what: Arc<Description>,
    /// All that was asked, where that is known.
    pub(super) asked: Option<Content>,
    pub(super) parts: Box<Parts>,
    pub(super) taken: Taken,
    pub(super) route: Route,
    /// Is its call still there to be told?
    pub(super) listens: Rc<Cell<bool>>,
    /// The memory its body takes.
    pub(super) reserved: Reserved,
    /// What is drained waits for it.
    pub(super) counted: TaskTrackerToken,
}

impl Run {
    /// Runs to the end. In a box, since a future holds what it is given twice.
    pub(super) async fn run(self: Box<Self>) -> Response<DownBody> {
        let Self {
            worker,
            settings,
            mut attempt,
            first_at,
            began,
            ask_first,
            what,
            asked,
            mut parts,
            taken,
            route,
            listens,
            reserved: _reserved,
            counted: _counted,
        } = *self;
        let place = Place::new(&worker, what.identity, attempt.send);
        let turn = match (&settings.retry, &what.chat) {
            (Some(_), Some(chat)) => Some(worker.shared.order.turn(what.session.as_ref(), chat).await),
            _ => None,
        };
        let arrived =
            if ask_first { Box::pin(doubt::arrived(&worker, attempt, first_at, &what)).await } else { None };
        // Whoever looked while it waited may have found it as well.
        let waited = ask_first || turn.is_some();
        let said = |message| what.chat.as_ref().map_or_else(String::new, |chat| sent_already(chat, message));
        let answer = arrived.as_ref().map(|message| KeptAnswer::json(201, said(message)));
        if let Some(answer) = answer.or_else(|| waited.then(|| place.found()).flatten()) {
            let found = Found { attempt, first_at, what, asked, message: arrived, answer };
            return Box::pin(found.tell(&worker, place, &listens)).await;
        }
        let repeatable = match &taken {
            Taken::Whole(body) => Some(Repeatable::of(&parts, body)),
            Taken::Beginning(_) => None,
        };
        headers::for_upstream(&mut parts.headers, settings.upstream.authority());
        parts.version = Version::HTTP_11;
        let mut cargo = Cargo::new(parts, taken);
        let (mut tries, mut via) = (1, Via::Bot);
        let mut started = if waited { worker.shared.clock.now() } else { began };
        loop {
            let holds = wants_intent(&settings, &what);
            if holds {
                let request = repeatable.as_ref().and_then(Repeatable::stored);
                let intent = Intent { attempt, via, first_at, started, what: Arc::clone(&what), request };
                worker.lane.record(Entry::Intent(intent)).await;
            } else if attempt.number > 1 {
                // Not recorded, but the heart must know that the bot has not given up.
                worker.lane.note(Entry::Begun(attempt));
            }
            let (request, passage) = cargo.load(&worker, &settings);
            let attempted = attempt::attempt(&worker, &settings, request, &passage).await;
            let ended = worker.shared.clock.now();
            let again = next_try(&worker, &settings, &attempted, repeatable.is_some(), tries, began, ended);
            let accepted = attempted.outcome == Outcome::Accepted;
            let unheard = asked.filter(|_| accepted && !listens.get());
            let entry = Ended {
                attempt,
                via,
                first_at,
                started,
                ended,
                what: cargo.seen(&what, &route, &settings),
                outcome: attempted.outcome,
                cause: attempted.cause,
                status: attempted.status,
                detail: attempted.reading.detail,
                message_id: attempted.reading.message_id,
                given_up: settings.retry.is_some() && !accepted && again.is_none(),
                unheard: unheard.map(|asked| Arc::new(KeptAnswer::of(&attempted.response).stored(asked))),
                request: repeatable.as_ref().filter(|_| !accepted && !holds).and_then(Repeatable::stored),
            };
            let recorded = worker.lane.record(Entry::Ended(Box::new(entry))).await;
            if let Some(delay) = again {
                tokio::time::sleep(delay).await;
                attempt = place.again(attempt);
                (tries, via, started) = (tries + 1, Via::Retry, worker.shared.clock.now());
                continue;
            }
            let mut response = attempted.response;
            headers::mark(response.headers_mut(), attempt.send, attempted.outcome, recorded);
            if accepted {
                place.leave_accepted(ended, &listens, &response);
            } else {
                let doubtful = attempted.outcome == Outcome::Ambiguous;
                place.leave(ended, RunEnd::Unsuccessful { doubtful });
            }
            return response;
        }
    }
}

/// An earlier attempt had gone out: the bot hears so, and nothing is sent.
struct Found {
    attempt: AttemptId,
    first_at: Timestamp,
    what: Arc<Description>,
    asked: Option<Content>,
    /// What it made, where WAHA says so.
    message: Option<MessageId>,
    answer: KeptAnswer,
}

impl Found {
    async fn tell(self, worker: &Worker, place: Place, listens: &Cell<bool>) -> Response<DownBody> {
        let Self { attempt, first_at, what, asked, message, answer } = self;
        let now = worker.shared.clock.now();
        let unheard = asked.filter(|_| !listens.get()).map(|asked| Arc::new(answer.stored(asked)));
        let entry = Ended {
            attempt,
            via: Via::Look,
            first_at,
            started: now,
            ended: now,
            what,
            outcome: Outcome::Accepted,
            cause: None,
            status: None,
            detail: None,
            message_id: message.map(|message| message.as_str().into()),
            given_up: false,
            unheard,
            request: None,
        };
        let recorded = worker.lane.record(Entry::Ended(Box::new(entry))).await;
        let mut response = answer.response();
        headers::mark(response.headers_mut(), attempt.send, Outcome::Accepted, recorded);
        place.leave_accepted(now, listens, &response);
        response
    }
}

/// Must this send be on disk before it leaves (SPEC 4.5)?
fn wants_intent(settings: &Settings, what: &Description) -> bool {
    match settings.intent {
        Intents::Always => true,
        Intents::Order => what.order.names_order(),
        Intents::Never => false,
    }
}

/// How long to wait before the next try of ours, if there is to be one.
fn next_try(
    worker: &Worker,
    settings: &Settings,
    attempted: &Attempted,
    repeatable: bool,
    tries: u32,
    began: Timestamp,
    now: Timestamp,
) -> Option<Duration> {
    let retry = settings.retry.filter(|retry| repeatable && tries < retry.attempts)?;
    // An ambiguous one may have arrived: it waits for a look, or for a person.
    if attempted.outcome != Outcome::Failed || worker.kill.is_cancelled() {
        return None;
    }
    let delay = retry.backoff.after(tries, worker.shared.clock.chance());
    (now.since(began) + delay <= retry.budget).then_some(delay)
}

/// A run's place among the live sends. Where the run ends without leaving it (a bug), it counts as one that may have arrived.
struct Place {
    worker: Rc<Worker>,
    identity: Option<Identity>,
    send: SendId,
    held: bool,
}

impl Place {
    fn new(worker: &Rc<Worker>, identity: Option<Identity>, send: SendId) -> Self {
        Self { worker: Rc::clone(worker), identity, send, held: true }
    }

    fn again(&self, attempt: AttemptId) -> AttemptId {
        let joined = self.identity.and_then(|identity| self.worker.shared.live().again(identity, self.send));
        joined.unwrap_or(AttemptId { number: attempt.number.saturating_add(1), ..attempt })
    }

    /// An earlier attempt turned out to have gone out: the answer that says so.
    fn found(&self) -> Option<KeptAnswer> {
        self.worker.shared.live().found(self.identity?, self.send)
    }

    fn leave(mut self, now: Timestamp, end: RunEnd<KeptAnswer>) {
        self.end(now, end);
    }

    /// It was accepted, as `response` says. Where its call listens, the bot hears so in the same breath. Where nobody listens any more, the answer
    /// stays for whoever asks next.
    fn leave_accepted(mut self, now: Timestamp, listens: &Cell<bool>, response: &Response<DownBody>) {
        if !listens.get() {
            return self.end(now, RunEnd::Accepted(KeptAnswer::of(response)));
        }
        self.held = false;
        let Some(identity) = self.identity else { return };
        let waiting = self.worker.shared.live().end_heard(identity, self.send);
        for (wake, attempt) in waiting {
            // Whoever waited may have gone.
            let _gone = wake.send(Some((attempt, KeptAnswer::of(response))));
        }
    }

    fn end(&mut self, now: Timestamp, end: RunEnd<KeptAnswer>) {
        self.held = false;
        let Some(identity) = self.identity else { return };
        self.worker.shared.finish_run(identity, self.send, now, end);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.held {
            let now = self.worker.shared.clock.now();
            self.end(now, RunEnd::Unsuccessful { doubtful: true });
        }
    }
}

/// The request in the form it leaves in.
enum Cargo {
    /// Can be sent again.
    Whole { parts: Option<Box<Parts>>, body: Bytes },
    /// Passes once.
    Passing { once: Option<(Box<Parts>, Box<Beginning>)>, scan: Rc<RefCell<FieldScan>> },
}

impl Cargo {
    fn new(parts: Box<Parts>, taken: Taken) -> Self {
        match taken {
            Taken::Whole(body) => Self::Whole { parts: Some(parts), body },
            Taken::Beginning(beginning) => {
                let scan = Rc::clone(&beginning.scan);
                Self::Passing { once: Some((parts, beginning)), scan }
            }
        }
    }

    /// The request to send.
    fn load(&mut self, worker: &Worker, settings: &Settings) -> (Box<Request<UpBody>>, Rc<Passage>) {
        let passage = Rc::new(Passage::new(worker.calls.enter(), settings.response_timeout));
        // Another may follow.
        let again = settings.retry.is_some();
        let (parts, body) = match self {
            Self::Whole { parts, body } => {
                passage.end(None);
                (if again { parts.clone() } else { parts.take() }, UpBody::whole(body.clone()))
            }
            Self::Passing { once, scan } => match once.take() {
                Some((parts, beginning)) => {
                    let Beginning { before, rest, .. } = *beginning;
                    (Some(parts), UpBody::passing(before, rest, &passage, Some(scan)))
                }
                None => (None, UpBody::Whole(None)),
            },
        };
        let parts = parts.unwrap_or_else(|| unreachable!("only what can be loaded again is"));
        (Box::new(Request::from_parts(*parts, body)), passage)
    }

    /// What the send is, as far as its body has passed.
    fn seen(&self, what: &Arc<Description>, route: &Route, settings: &Settings) -> Arc<Description> {
        match self {
            Self::Whole { .. } => Arc::clone(what),
            Self::Passing { scan, .. } => Arc::new(describe::complete(what, route, &scan.borrow(), settings)),
        }
    }
}
