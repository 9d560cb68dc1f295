//! One attempt: the request goes to WAHA, what comes back is held as far as it tells the outcome, and judged.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::response::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::time::timeout;

use super::body::{DownBody, Passage, UpBody};
use super::headers;
use super::send::KeptAnswer;
use super::settings::Settings;
use super::synthetic;
use super::upstream::{Held, NoAnswer};
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
    /// The answer in a form that can be given again; `None` where it is too large.
    pub(super) kept: Option<KeptAnswer>,
}

/// Makes one attempt. Ends when its outcome is known, or at the latest when `worker.kill` says so.
pub(super) async fn attempt(
    worker: &Rc<Worker>,
    settings: &Settings,
    request: Request<UpBody>,
    passage: &Passage,
) -> Attempted {
    let call = worker.pool.call(
        &settings.upstream,
        request,
        settings.connect_timeout,
        settings.upstream_idle_timeout,
    );
    let late = async {
        passage.gone().await;
        tokio::time::sleep(settings.response_timeout).await;
    };
    tokio::select! {
        biased;
        answer = call => match answer {
            Ok(answer) => answered(answer, settings).await,
            Err(missing) => unanswered(missing, passage),
        },
        () = late => without_answer(Reply::Lost(Cause::ResponseTimeout), Refusal::UpstreamTimeout),
        () = worker.kill.cancelled() => without_answer(Reply::Lost(Cause::Interrupted), Refusal::Internal),
    }
}

fn unanswered(missing: NoAnswer, passage: &Passage) -> Attempted {
    // WAHA cannot read half a request: the bot's fault, and surely not sent.
    if let Some(fault) = passage.fault() {
        return without_answer(Reply::NotSent(Cause::IncompleteRequest), fault);
    }
    match missing {
        NoAnswer::NotSent(cause) => without_answer(Reply::NotSent(cause), Refusal::UpstreamUnreachable),
        NoAnswer::Lost(cause) => without_answer(Reply::Lost(cause), Refusal::UpstreamLost),
        NoAnswer::Invalid => without_answer(Reply::Lost(Cause::ConnectionLost), Refusal::UpstreamInvalid),
    }
}

fn without_answer(reply: Reply, refusal: Refusal) -> Attempted {
    let (outcome, cause) = judge(reply);
    let response = synthetic::answer(refusal);
    Attempted { outcome, cause, status: None, reading: Reading::default(), response, kept: None }
}

async fn answered(answer: Response<Incoming>, settings: &Settings) -> Attempted {
    let (mut head, body) = answer.into_parts();
    let status = head.status.as_u16();
    if !(200..=599).contains(&status) {
        return without_answer(Reply::Lost(Cause::ConnectionLost), Refusal::UpstreamInvalid);
    }
    headers::strip_hop_by_hop(&mut head.headers);
    let held = hold(body, settings.response_timeout).await;
    let beginning = match &held {
        Held::Whole(bytes) | Held::Broken(bytes) => bytes.clone(),
        Held::Beginning(frames, _) => gather(frames, LOOK_MAX),
    };
    // A compressed answer is never inflated: its status has to do.
    let reading = if head.headers.contains_key(CONTENT_ENCODING) {
        Reading::default()
    } else {
        read(status, &beginning)
    };
    match held {
        Held::Broken(_) => broken(status, reading),
        Held::Whole(bytes) => {
            let kept = KeptAnswer::of(&head, &bytes);
            judged(status, reading, Response::from_parts(head, DownBody::whole(bytes)), Some(kept))
        }
        Held::Beginning(frames, rest) => {
            let body = DownBody::passing(VecDeque::from(frames), rest, settings.response_timeout);
            judged(status, reading, Response::from_parts(head, body), None)
        }
    }
}

fn judged(
    status: u16,
    reading: Reading,
    response: Response<DownBody>,
    kept: Option<KeptAnswer>,
) -> Attempted {
    let (outcome, cause) = judge(Reply::Answer { status, said: reading.said });
    Attempted { outcome, cause, status: Some(status), reading, response, kept }
}

/// An answer that breaks off proves nothing, unless its status alone says that nothing was sent.
fn broken(status: u16, reading: Reading) -> Attempted {
    let reply = match status {
        300..=499 => Reply::Answer { status, said: reading.said },
        _ => Reply::Lost(Cause::TruncatedAnswer),
    };
    Attempted { status: Some(status), reading, ..without_answer(reply, Refusal::UpstreamLost) }
}

/// Holds the answer whole up to [`HOLD_MAX`]; WAHA may pause no longer than `pause`.
async fn hold(mut body: Incoming, pause: Duration) -> Held {
    let mut frames: Vec<Bytes> = Vec::new();
    let mut length = 0;
    loop {
        match timeout(pause, body.frame()).await {
            Ok(None) => return Held::Whole(gather(&frames, usize::MAX)),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    length += bytes.len();
                    frames.push(bytes);
                }
                if length > HOLD_MAX {
                    return Held::Beginning(frames, body);
                }
            }
            Ok(Some(Err(_))) | Err(_) => return Held::Broken(gather(&frames, LOOK_MAX)),
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

impl KeptAnswer {
    fn of(head: &Parts, body: &Bytes) -> Self {
        Self {
            status: head.status,
            content_type: head.headers.get(http::header::CONTENT_TYPE).cloned(),
            body: body.clone(),
        }
    }
}
