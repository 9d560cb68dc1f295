//! A send on its way: its body taken, its place among the live sends found, its attempts made and recorded, its bot told.
//!
//! The way of one send is told in `docs/ARCHITECTURE.md`. What runs after a send is joined runs in a task of its own, so that a bot that
//! goes away changes nothing but who hears the answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode, Version};
use tokio::sync::oneshot;

use super::Shared;
use super::attempt::{Attempted, attempt};
use super::body::{DownBody, Limited, Passage, UpBody};
use super::describe::{self, Described, Named, Taken};
use super::headers;
use super::settings::{Intents, Settings};
use super::worker::Worker;
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredAnswer, StoredRequest, Via};
use crate::domain::live::{Begin, RunEnd};
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::send::{Description, Identity};
use crate::domain::time::Timestamp;
use crate::waha::request::FieldScan;
use crate::waha::route::Route;

/// So much of a body that is too large to keep is held before it leaves: enough to see whom it goes to.
const BEGINNING_MAX: usize = 64 * 1024;

/// So long it may take until a bot that has gone is seen to be gone, by a worker that has much to do.
const SEEN_GOING: Duration = Duration::from_millis(50);

/// An answer that can be given again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Bytes,
}

impl KeptAnswer {
    /// From the store.
    pub fn from_stored(answer: &StoredAnswer) -> Self {
        Self {
            status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::CREATED),
            content_type: answer.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok()),
            body: answer.body.clone(),
        }
    }

    fn stored(&self) -> StoredAnswer {
        let content_type = self.content_type.as_ref().and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        StoredAnswer { status: self.status.as_u16(), content_type, body: self.body.clone() }
    }

    fn response(self) -> Response<DownBody> {
        let mut response = Response::new(DownBody::whole(self.body));
        *response.status_mut() = self.status;
        if let Some(kind) = self.content_type {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    }
}

/// Memory for bodies that are kept, shared by all workers.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(super) const fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }
}

/// A part of the budget, given back when dropped.
struct Reserved {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Reserved {
    fn grow(&mut self, bytes: usize) -> bool {
        let budget = &self.shared.budget;
        if budget.used.fetch_add(bytes, Ordering::Relaxed) + bytes > budget.max {
            budget.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shared.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Forwards a send and answers its bot.
pub(super) async fn send(
    worker: Rc<Worker>,
    parts: Parts,
    body: Limited,
    route: Route,
) -> Response<DownBody> {
    let settings = worker.shared.settings.load_full();
    let mut reserved = Reserved { shared: Arc::clone(&worker.shared), bytes: 0 };
    let (taken, rest) = match take(&parts, body, &settings, &mut reserved).await {
        Ok(taken) => taken,
        Err(refusal) => return worker.refuse(refusal),
    };
    let Described { what, named } = describe::describe(&parts, &route, &taken, &settings);
    let identity = what.identity;
    let mut looked = false;
    loop {
        let now = worker.shared.clock.now();
        let fresh = worker.shared.clock.send_id();
        let mut waker = None;
        let begin = identity.map(|identity| {
            worker.shared.live().begin(identity, named == Named::ByBot, looked, fresh, now, || {
                let (wake, woken) = oneshot::channel();
                waker = Some(woken);
                wake
            })
        });
        let (attempt, first_at) = match begin {
            None => (AttemptId { send: fresh, number: 1 }, now),
            Some(Begin::Forward { attempt, first_at }) => (attempt, first_at),
            Some(Begin::Answer { attempt, first_at, answer }) => {
                return latched(&worker, attempt, first_at, now, what, answer).await;
            }
            Some(Begin::Look) => {
                tokio::time::sleep(SEEN_GOING).await;
                looked = true;
                continue;
            }
            Some(Begin::Wait { first_at }) => {
                let answer = match waker {
                    Some(woken) => woken.await.ok().flatten(),
                    None => None,
                };
                match answer {
                    Some((attempt, answer)) => {
                        return latched(&worker, attempt, first_at, now, what, answer).await;
                    }
                    // The one it waited for did not succeed: now it is this call's turn.
                    None => continue,
                }
            }
        };
        let (tell, told) = oneshot::channel();
        let listening =
            Listening { shared: Arc::clone(&worker.shared), identity, send: attempt.send, heard: false };
        let cargo = Cargo { parts, taken, rest, route, reserved };
        let run = Run {
            worker: Rc::clone(&worker),
            settings,
            attempt,
            first_at,
            what: Arc::new(what),
            cargo,
            tell,
        };
        worker.tasks.spawn_local(run.run());
        return match told.await {
            Ok(told) => listening.hear(told),
            Err(_) => {
                worker.shared.metrics.proxy.panics.inc();
                worker.refuse(Refusal::Internal)
            }
        };
    }
}

/// Takes the body: whole, or its beginning where it is too large to keep.
async fn take(
    parts: &Parts,
    mut body: Limited,
    settings: &Settings,
    reserved: &mut Reserved,
) -> Result<(Taken, Option<Limited>), Refusal> {
    let announced =
        body.size_hint().exact().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    let hold_max =
        if announced > settings.copy_max { BEGINNING_MAX.min(settings.copy_max) } else { settings.copy_max };
    let mut frames: VecDeque<Bytes> = VecDeque::new();
    let mut length = 0;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(bytes) = frame.map_err(|fault| fault.0)?.into_data() else { continue };
        length += bytes.len();
        let kept = reserved.grow(bytes.len());
        frames.push_back(bytes);
        if length > hold_max || !kept {
            let mut scan = describe::scan(parts);
            frames.iter().for_each(|bytes| scan.feed(bytes));
            return Ok((Taken::Beginning(frames, Rc::new(RefCell::new(scan))), Some(body)));
        }
    }
    let whole = match frames.pop_front() {
        None => Bytes::new(),
        Some(only) if frames.is_empty() => only,
        Some(first) => {
            let mut all = BytesMut::with_capacity(length);
            all.extend_from_slice(&first);
            frames.iter().for_each(|bytes| all.extend_from_slice(bytes));
            all.freeze()
        }
    };
    Ok((Taken::Whole(whole), None))
}

/// Answers a call with what an earlier call of the same send achieved.
async fn latched(
    worker: &Worker,
    attempt: AttemptId,
    first_at: Timestamp,
    started: Timestamp,
    what: Description,
    answer: KeptAnswer,
) -> Response<DownBody> {
    let identity = what.identity;
    let entry = Ended {
        attempt,
        via: Via::Latch,
        first_at,
        started,
        ended: worker.shared.clock.now(),
        what: Arc::new(what),
        outcome: Outcome::Accepted,
        cause: None,
        status: Some(answer.status.as_u16()),
        detail: None,
        message_id: None,
        given_up: false,
        unheard: None,
        request: None,
    };
    let recorded = worker.lane.record(Entry::Ended(Box::new(entry))).await;
    let mut response = answer.response();
    headers::mark(response.headers_mut(), attempt.send, Outcome::Accepted, recorded);
    if let Some(identity) = identity {
        worker.shared.live().release(identity, attempt.send);
    }
    response
}

/// What a run hands to the call that waits for it.
struct Told {
    response: Response<DownBody>,
    outcome: Outcome,
}

/// The call that waits for a run. Where it is dropped before it heard the answer, its client has gone.
struct Listening {
    shared: Arc<Shared>,
    identity: Option<Identity>,
    send: SendId,
    heard: bool,
}

impl Listening {
    fn hear(mut self, told: Told) -> Response<DownBody> {
        self.heard = true;
        if let Some(identity) = self.identity.filter(|_| told.outcome == Outcome::Accepted) {
            self.shared.live().release(identity, self.send);
        }
        told.response
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.heard {
            self.shared.metrics.proxy.clients_gone.inc();
            if let Some(identity) = self.identity {
                self.shared.live().orphan(identity, self.send);
            }
        }
    }
}

/// What is sent.
struct Cargo {
    parts: Parts,
    taken: Taken,
    rest: Option<Limited>,
    route: Route,
    reserved: Reserved,
}

/// A send that runs, whoever listens.
struct Run {
    worker: Rc<Worker>,
    settings: Arc<Settings>,
    attempt: AttemptId,
    first_at: Timestamp,
    what: Arc<Description>,
    cargo: Cargo,
    tell: oneshot::Sender<Told>,
}

impl Run {
    async fn run(self) {
        let Self { worker, settings, mut attempt, first_at, what, cargo, tell } = self;
        let Cargo { mut parts, taken, rest, route, reserved: _reserved } = cargo;
        let mut place = Place {
            shared: Arc::clone(&worker.shared),
            identity: what.identity,
            send: attempt.send,
            held: true,
        };
        let _turn = match (&settings.retry, &what.chat) {
            (Some(_), Some(chat)) => Some(worker.shared.order.turn(what.session.as_ref(), chat).await),
            _ => None,
        };
        let request = match &taken {
            Taken::Whole(body) => Some(Arc::new(describe::stored(&parts, body))),
            Taken::Beginning(..) => None,
        };
        headers::for_upstream(&mut parts.headers, settings.upstream.authority());
        parts.version = Version::HTTP_11;
        let mut cargo = Loaded::new(parts, taken, rest);
        let began = worker.shared.clock.now();
        let (mut tries, mut via) = (1, Via::Bot);
        loop {
            let started = worker.shared.clock.now();
            let noted =
                announce(&worker, &settings, attempt, via, first_at, started, &what, request.as_ref()).await;
            let Some((upstream_request, passage)) = cargo.load(settings.retry.is_some()) else { return };
            let attempted = attempt_counted(&worker, &settings, upstream_request, &passage).await;
            let ended = worker.shared.clock.now();
            let again = next_try(&worker, &settings, &attempted, request.is_some(), tries, began, ended);
            let what = cargo.seen(&what, &route, &settings);
            let accepted = attempted.outcome == Outcome::Accepted;
            let unheard = attempted.kept.as_ref().filter(|_| accepted && tell.is_closed());
            let entry = Ended {
                attempt,
                via,
                first_at,
                started,
                ended,
                what,
                outcome: attempted.outcome,
                cause: attempted.cause,
                status: attempted.status,
                detail: attempted.reading.detail,
                message_id: attempted.reading.message_id,
                given_up: settings.retry.is_some() && !accepted && again.is_none(),
                unheard: unheard.map(|kept| Arc::new(kept.stored())),
                request: request.clone().filter(|_| !accepted && !noted),
            };
            let recorded = worker.lane.record(Entry::Ended(Box::new(entry))).await;
            if let Some(delay) = again {
                tokio::time::sleep(delay).await;
                attempt = place.again(attempt);
                (tries, via) = (tries + 1, Via::Retry);
                continue;
            }
            let mut response = attempted.response;
            headers::mark(response.headers_mut(), attempt.send, attempted.outcome, recorded);
            place.leave(ended, attempted.outcome, attempted.kept);
            // Nobody may listen any more: then the answer is kept for whoever asks next.
            let _ = tell.send(Told { response, outcome: attempted.outcome });
            return;
        }
    }
}

async fn attempt_counted(
    worker: &Rc<Worker>,
    settings: &Settings,
    request: Request<UpBody>,
    passage: &Passage,
) -> Attempted {
    let inflight = &worker.shared.metrics.proxy.inflight;
    inflight.inc();
    let attempted = attempt(worker, settings, request, passage).await;
    inflight.dec();
    attempted
}

/// Says that an attempt is about to start: on disk where its intent is wanted, else only to the heart. `true` where the intent holds the
/// request.
#[expect(clippy::too_many_arguments, reason = "the fields of an intent, each from another hand")]
async fn announce(
    worker: &Worker,
    settings: &Settings,
    attempt: AttemptId,
    via: Via,
    first_at: Timestamp,
    started: Timestamp,
    what: &Arc<Description>,
    request: Option<&Arc<StoredRequest>>,
) -> bool {
    let wanted = match settings.intent {
        Intents::Always => true,
        Intents::Order => what.order.names_order(),
        Intents::Never => false,
    };
    if wanted {
        let intent =
            Intent { attempt, via, first_at, started, what: Arc::clone(what), request: request.cloned() };
        worker.lane.record(Entry::Intent(intent)).await;
    } else if attempt.number > 1 {
        worker.lane.note(Entry::Begun(attempt));
    }
    wanted
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

/// A run's place among the live sends. Where the run ends without leaving it (a bug), it counts as unsuccessful.
struct Place {
    shared: Arc<Shared>,
    identity: Option<Identity>,
    send: SendId,
    held: bool,
}

impl Place {
    fn again(&self, attempt: AttemptId) -> AttemptId {
        let joined = self.identity.and_then(|identity| self.shared.live().again(identity, self.send));
        joined.unwrap_or(AttemptId { number: attempt.number.saturating_add(1), ..attempt })
    }

    fn leave(&mut self, now: Timestamp, outcome: Outcome, kept: Option<KeptAnswer>) {
        self.held = false;
        let Some(identity) = self.identity else { return };
        let (end, answer) = match (outcome, kept) {
            // Unheard until the call that waits says otherwise.
            (Outcome::Accepted, Some(kept)) => (RunEnd::Unheard(kept.clone()), Some(kept)),
            (Outcome::Accepted, None) => (RunEnd::Heard, None),
            _ => (RunEnd::Unsuccessful, None),
        };
        let waiting = self.shared.live().end(identity, self.send, now, end);
        for (wake, attempt) in waiting {
            let _ = wake.send(attempt.zip(answer.clone()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.held {
            let now = self.shared.clock.now();
            self.leave(now, Outcome::Ambiguous, None);
        }
    }
}

/// The request in the form it leaves in.
enum Loaded {
    /// Can be sent again as often as wanted.
    Whole { parts: Option<Parts>, body: Bytes },
    /// Passes once.
    Passing { once: Option<(Parts, VecDeque<Bytes>, Limited)>, scan: Rc<RefCell<FieldScan>> },
}

impl Loaded {
    fn new(parts: Parts, taken: Taken, rest: Option<Limited>) -> Self {
        match (taken, rest) {
            (Taken::Beginning(before, scan), Some(rest)) => {
                Self::Passing { once: Some((parts, before, rest)), scan }
            }
            (Taken::Whole(body), _) => Self::Whole { parts: Some(parts), body },
            (Taken::Beginning(before, _), None) => Self::Whole {
                parts: Some(parts),
                body: before.into_iter().collect::<Vec<_>>().concat().into(),
            },
        }
    }

    /// The request to send; `again` where another may follow.
    fn load(&mut self, again: bool) -> Option<(Request<UpBody>, Rc<Passage>)> {
        let passage = Rc::new(Passage::default());
        let (parts, body) = match self {
            Self::Whole { parts, body } => {
                let parts = if again { parts.clone() } else { parts.take() };
                passage.end(None);
                (parts?, UpBody::whole(body.clone()))
            }
            Self::Passing { once, scan } => {
                let (parts, before, rest) = once.take()?;
                (parts, UpBody::passing(before, rest, &passage, Some(scan)))
            }
        };
        Some((Request::from_parts(parts, body), passage))
    }

    /// What the send is, as far as its body has passed.
    fn seen(&self, what: &Arc<Description>, route: &Route, settings: &Settings) -> Arc<Description> {
        match self {
            Self::Whole { .. } => Arc::clone(what),
            Self::Passing { scan, .. } => Arc::new(describe::complete(what, route, &scan.borrow(), settings)),
        }
    }
}
