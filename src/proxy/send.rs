//! A send arrives: its body is taken, its place among the live sends found, and its bot told how it went.
//!
//! The way of one send is told in `docs/ARCHITECTURE.md`. Once a send has its place it runs to its end (`run`, `outlive`), so that a bot that goes
//! away changes nothing but who hears the answer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::Response;
use tokio::sync::oneshot;

use super::body::{DownBody, Limited};
use super::budget::Reserved;
use super::describe::{self, Beginning, Described, Taken};
use super::headers;
use super::kept::KeptAnswer;
use super::outlive::{Outlive, Panicked};
use super::run::Run;
use super::settings::Settings;
use super::worker::Worker;
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, Ended, Entry, Via};
use crate::domain::live::Begin;
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::send::{BEGINNING, Description, Identity};
use crate::domain::time::Timestamp;
use crate::waha::route::Route;

/// How often it is looked whether the client of a call like this one has gone.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// After so many looks it has been seen going, even on a busy machine. A bot that means two equal messages at once has the second so much later.
const LOOKS: u32 = 12;

/// Forwards a send and answers its bot.
pub(super) async fn send(
    worker: Rc<Worker>,
    parts: Box<Parts>,
    body: Limited,
    route: Route,
) -> Response<DownBody> {
    let settings = worker.settings();
    let mut reserved = Reserved::none(Arc::clone(&worker.shared.budget));
    let taken = match take(&parts, body, &settings, &mut reserved).await {
        Ok(taken) => taken,
        Err(refusal) => return worker.refuse(refusal),
    };
    let Described { what, mut call } = describe::describe(&parts, &route, &taken, &settings);
    let mut looks = 0;
    let (attempt, first_at, began, ask_first) = loop {
        let now = worker.shared.clock.now();
        let fresh = worker.shared.clock.send_id_at(now);
        let Some(call) = &mut call else { break (AttemptId { send: fresh, number: 1 }, now, now, false) };
        let mut waker = None;
        let begin = worker.shared.live().begin(*call, fresh, now, || {
            let (wake, woken) = oneshot::channel();
            waker = Some(woken);
            wake
        });
        match begin {
            Begin::Forward { attempt, first_at, ask_first } => break (attempt, first_at, now, ask_first),
            Begin::Answer { attempt, first_at, answer } => {
                return Box::pin(latched(&worker, attempt, first_at, now, what, answer)).await;
            }
            Begin::Look => {
                tokio::time::sleep(LOOK_EVERY).await;
                looks += 1;
                call.looked = looks == LOOKS;
            }
            Begin::Wait { first_at } => {
                let answer = match waker {
                    Some(woken) => woken.await.ok().flatten(),
                    None => None,
                };
                // Where the one it waited for did not succeed, it is this call's turn.
                if let Some((attempt, answer)) = answer {
                    return Box::pin(latched(&worker, attempt, first_at, now, what, answer)).await;
                }
            }
        }
    };
    let listens = Rc::new(Cell::new(true));
    let listening = Listening {
        worker: Rc::clone(&worker),
        identity: what.identity,
        send: attempt.send,
        listens: Rc::clone(&listens),
    };
    let run = Box::new(Run {
        worker: Rc::clone(&worker),
        settings,
        attempt,
        first_at,
        began,
        ask_first,
        what,
        asked: call.and_then(|call| call.content),
        parts,
        taken,
        route,
        listens,
        reserved,
        counted: worker.tasks.token(),
    });
    match Outlive::new(run.run()).await {
        Ok(response) => {
            listening.heard();
            response
        }
        Err(Panicked) => {
            worker.shared.metrics.proxy.panics.inc();
            worker.refuse(Refusal::Internal)
        }
    }
}

/// Takes the body: whole, or its beginning where it is too large to keep.
async fn take(
    parts: &Parts,
    mut body: Limited,
    settings: &Settings,
    reserved: &mut Reserved,
) -> Result<Taken, Refusal> {
    let announced =
        body.size_hint().exact().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    let hold_max =
        if announced > settings.copy_max { BEGINNING.min(settings.copy_max) } else { settings.copy_max };
    let mut frames: VecDeque<Bytes> = VecDeque::new();
    let mut length = 0;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(bytes) = frame.map_err(|fault| fault.0)?.into_data() else { continue };
        length += bytes.len();
        let kept = reserved.grow(bytes.len());
        // Most bodies are one frame.
        if kept && frames.is_empty() && length <= hold_max && body.is_end_stream() {
            return Ok(Taken::Whole(bytes));
        }
        frames.push_back(bytes);
        // Its beginning is always held to the same byte, so that it names the same send however it comes in pieces.
        if length > hold_max || (!kept && length >= BEGINNING) {
            let mut scan = describe::scan(parts);
            frames.iter().for_each(|bytes| scan.feed(bytes));
            let beginning = Beginning { before: frames, scan: Rc::new(RefCell::new(scan)), rest: body };
            return Ok(Taken::Beginning(Box::new(beginning)));
        }
    }
    Ok(Taken::Whole(match frames.pop_front() {
        None => Bytes::new(),
        Some(only) if frames.is_empty() => only,
        Some(first) => {
            let mut all = BytesMut::with_capacity(length);
            all.extend_from_slice(&first);
            frames.iter().for_each(|bytes| all.extend_from_slice(bytes));
            all.freeze()
        }
    }))
}

/// Answers a call with what an earlier call of the same send achieved.
async fn latched(
    worker: &Worker,
    attempt: AttemptId,
    first_at: Timestamp,
    started: Timestamp,
    what: Arc<Description>,
    answer: KeptAnswer,
) -> Response<DownBody> {
    let identity = what.identity;
    let entry = Ended {
        attempt,
        via: Via::Latch,
        first_at,
        started,
        ended: worker.shared.clock.now(),
        what,
        outcome: Outcome::Accepted,
        cause: None,
        status: Some(answer.status().as_u16()),
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

/// The call that waits for a run. Where it is dropped before it heard the answer, its client has gone.
struct Listening {
    worker: Rc<Worker>,
    identity: Option<Identity>,
    send: SendId,
    /// Asked by the run, which has ended where it was heard.
    listens: Rc<Cell<bool>>,
}

impl Listening {
    fn heard(self) {
        self.listens.set(false);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.listens.replace(false) {
            self.worker.shared.metrics.proxy.clients_gone.inc();
            if let Some(identity) = self.identity {
                self.worker.shared.live().orphan(identity, self.send);
            }
        }
    }
}
