//! A send arrives: its body is taken, its place among the live sends found, and its bot told how it went.
//!
//! The way of one send is told in `docs/ARCHITECTURE.md`. Once a send has its place it runs in a task of its own (`run`), so that a bot that
//! goes away changes nothing but who hears the answer.

use std::cell::RefCell;
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

use super::Shared;
use super::body::{DownBody, Limited};
use super::budget::Reserved;
use super::describe::{self, Described, Taken};
use super::headers;
use super::kept::KeptAnswer;
use super::run::{Run, Told};
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
    parts: Parts,
    body: Limited,
    route: Route,
) -> Response<DownBody> {
    let settings = worker.shared.settings.load_full();
    let mut reserved = Reserved::none(Arc::clone(&worker.shared.budget));
    let taken = match take(&parts, body, &settings, &mut reserved).await {
        Ok(taken) => taken,
        Err(refusal) => return worker.refuse(refusal),
    };
    let Described { what, mut call } = describe::describe(&parts, &route, &taken, &settings);
    let mut looks = 0;
    let (attempt, first_at, ask_first) = loop {
        let now = worker.shared.clock.now();
        let fresh = worker.shared.clock.send_id();
        let Some(call) = &mut call else { break (AttemptId { send: fresh, number: 1 }, now, false) };
        let mut waker = None;
        let begin = worker.shared.live().begin(*call, fresh, now, || {
            let (wake, woken) = oneshot::channel();
            waker = Some(woken);
            wake
        });
        match begin {
            Begin::Forward { attempt, first_at, ask_first } => break (attempt, first_at, ask_first),
            Begin::Answer { attempt, first_at, answer } => {
                return latched(&worker, attempt, first_at, now, what, answer).await;
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
                    return latched(&worker, attempt, first_at, now, what, answer).await;
                }
            }
        }
    };
    let (tell, told) = oneshot::channel();
    let shared = Arc::clone(&worker.shared);
    let listening = Listening { shared, identity: what.identity, send: attempt.send, heard: false };
    let asked = call.and_then(|call| call.content);
    let run = Run {
        worker: Rc::clone(&worker),
        settings,
        attempt,
        first_at,
        ask_first,
        what: Arc::new(what),
        asked,
        parts,
        taken,
        route,
        tell,
    };
    worker.tasks.spawn_local(run.run(reserved));
    match told.await {
        Ok(told) => listening.hear(told),
        Err(_) => {
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
            return Ok(Taken::Beginning { before: frames, scan: Rc::new(RefCell::new(scan)), rest: body });
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
