//! One attempt: the request goes to WAHA, what comes back is held as far as it tells the outcome, and judged.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::time::sleep;

use super::body::{DownBody, Passage, UpBody};
use super::headers;
use super::settings::Settings;
use super::upstream::NoAnswer;
use super::waits::Over;
use super::worker::Worker;
use crate::domain::outcome::{Cause, Outcome, Reply, judge};
use crate::domain::refusal::Refusal;
use crate::waha::reply::{LOOK_MAX, Reading, read};

/// Largest answer that is held whole, in bytes; of a larger one the rest passes through.
const HOLD_MAX: usize = 256 * 1024;

/// How an attempt went, and what the bot gets.
pub(super) struct Attempted {
    pub(super) outcome: Outcome,
    pub(super) cause: Option<Cause>,
    pub(super) status: Option<u16>,
    pub(super) reading: Reading,
    pub(super) response: Response<DownBody>,
}

/// Makes one attempt. Ends when its outcome is known, or at the latest when `worker.kill` says so.
pub(super) async fn attempt(
    worker: &Rc<Worker>,
    settings: &Settings,
    request: Box<Request<UpBody>>,
    passage: &Passage,
) -> Attempted {
    let inflight = InFlight::new(worker);
    let asked_for_head = *request.method() == Method::HEAD;
    let whole = async {
        // Until its answer is held: then its connection is free.
        let _passed = worker.turnstile.pass().await;
        match worker.pool.call(&settings.upstream, request, settings.call_limits()).await {
            Ok(answer) => {
                passage.answered();
                answered(worker, answer, asked_for_head, settings).await
            }
            Err(missing) => unanswered(worker, missing, passage),
        }
    };
    let attempted = tokio::select! {
        biased;
        attempted = whole => attempted,
        over = passage.over() => match over {
            Over::Late => without_answer(worker, Reply::Lost(Cause::ResponseTimeout), Refusal::UpstreamTimeout),
            Over::CalledOff => without_answer(worker, Reply::Lost(Cause::Interrupted), Refusal::Stopping),
        },
    };
    drop(inflight);
    attempted
}

fn unanswered(worker: &Worker, missing: NoAnswer, passage: &Passage) -> Attempted {
    // WAHA cannot read half a request: the bot's fault, and surely not sent.
    if let Some(fault) = passage.fault() {
        return without_answer(worker, Reply::NotSent(Cause::IncompleteRequest), fault);
    }
    match missing {
        NoAnswer::NotSent(cause) => {
            without_answer(worker, Reply::NotSent(cause), Refusal::UpstreamUnreachable)
        }
        NoAnswer::Lost(cause) => without_answer(worker, Reply::Lost(cause), Refusal::UpstreamLost),
        NoAnswer::Invalid => {
            without_answer(worker, Reply::Lost(Cause::ConnectionLost), Refusal::UpstreamInvalid)
        }
    }
}

fn without_answer(worker: &Worker, reply: Reply, refusal: Refusal) -> Attempted {
    let (outcome, cause) = judge(reply);
    let response = worker.refuse(refusal);
    Attempted { outcome, cause, status: None, reading: Reading::default(), response }
}

async fn answered(
    worker: &Worker,
    answer: Response<Incoming>,
    asked_for_head: bool,
    settings: &Settings,
) -> Attempted {
    let (mut head, body) = answer.into_parts();
    let status = head.status.as_u16();
    if !(200..=599).contains(&status) {
        return without_answer(worker, Reply::Lost(Cause::ConnectionLost), Refusal::UpstreamInvalid);
    }
    headers::strip(&mut head.headers);
    let held = hold(body, settings.response_timeout).await;
    let beginning = match &held {
        Held::Whole(bytes) | Held::Broken(bytes) => bytes.clone(),
        Held::Beginning(frames, _) => gather(frames, LOOK_MAX),
    };
    // A compressed answer is never inflated: its status has to do.
    let compressed = head.headers.contains_key(CONTENT_ENCODING);
    let reading = if compressed { Reading::default() } else { read(status, &beginning) };
    match held {
        // An answer that breaks off proves nothing, unless its status alone says that nothing was sent.
        Held::Broken(_) => {
            let reply = match status {
                300..=499 => Reply::Answer { status, said: reading.said },
                _ => Reply::Lost(Cause::TruncatedAnswer),
            };
            Attempted {
                status: Some(status),
                reading,
                ..without_answer(worker, reply, Refusal::UpstreamLost)
            }
        }
        Held::Whole(bytes) => {
            // The length is what was held, whatever was announced: the next answer begins right behind it.
            if !asked_for_head && !bytes.is_empty() {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            judged(status, reading, Response::from_parts(head, DownBody::whole(bytes)))
        }
        Held::Beginning(frames, rest) => {
            let body = DownBody::passing(VecDeque::from(frames), rest, settings.response_timeout);
            judged(status, reading, Response::from_parts(head, body))
        }
    }
}

fn judged(status: u16, reading: Reading, response: Response<DownBody>) -> Attempted {
    let (outcome, cause) = judge(Reply::Answer { status, said: reading.said });
    Attempted { outcome, cause, status: Some(status), reading, response }
}

/// An answer read as far as it is worth holding.
enum Held {
    /// All of it.
    Whole(Bytes),
    /// Its beginning; the rest passes through.
    Beginning(Vec<Bytes>, Incoming),
    /// It broke off after this.
    Broken(Bytes),
}

/// Holds the answer whole up to [`HOLD_MAX`], for no longer than `limit`.
async fn hold(mut body: Incoming, limit: Duration) -> Held {
    let mut frames: Vec<Bytes> = Vec::new();
    let mut length = 0;
    // Made where it is needed: most answers come with their head.
    let mut late = None;
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => late.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx).map(Err),
        });
        match next.await {
            Ok(None) => return Held::Whole(gather(&frames, usize::MAX)),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    length += bytes.len();
                    // Most answers are one frame.
                    if frames.is_empty() && length <= HOLD_MAX && body.is_end_stream() {
                        return Held::Whole(bytes);
                    }
                    frames.push(bytes);
                }
                if length > HOLD_MAX {
                    return Held::Beginning(frames, body);
                }
            }
            Ok(Some(Err(_))) | Err(()) => return Held::Broken(gather(&frames, LOOK_MAX)),
        }
    }
}

/// The frames as one piece, cut at `max`; a single one is not copied.
fn gather(frames: &[Bytes], max: usize) -> Bytes {
    if let [one] = frames {
        return one.slice(..one.len().min(max));
    }
    let mut all = BytesMut::new();
    for frame in frames {
        let room = max.saturating_sub(all.len());
        all.extend_from_slice(&frame[..frame.len().min(room)]);
    }
    all.freeze()
}

/// A call that runs, in the gauge.
struct InFlight<'a>(&'a Worker);

impl<'a> InFlight<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.shared.metrics.proxy.inflight.inc();
        Self(worker)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.shared.metrics.proxy.inflight.dec();
    }
}
