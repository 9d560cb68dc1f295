//! Bodies on their way: requests up to WAHA, answers down to the bot. Frames are passed on, never gathered here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pace::{PROGRESS_MIN, Pace};
use super::waits::{Over, Wait};
use crate::domain::refusal::Refusal;
use crate::waha::request::FieldScan;

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.message())]
pub(super) struct BodyFault(pub(super) Refusal);

/// A bot's body, held to its limits.
#[derive(Debug)]
pub(super) struct Limited {
    body: Incoming,
    left: u64,
    pace: Pace,
}

impl Limited {
    pub(super) const fn new(body: Incoming, max: u64, span: Duration) -> Self {
        Self { body, left: max, pace: Pace::new(span, PROGRESS_MIN) }
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.pace.moved(length);
                let Some(left) = this.left.checked_sub(length as u64) else {
                    return Poll::Ready(Some(Err(BodyFault(Refusal::BodyTooLarge))));
                };
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(BodyFault(Refusal::BodyIncomplete)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(this.pace.too_slow(cx));
                Poll::Ready(Some(Err(BodyFault(Refusal::BodyTooSlow))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How far a request body has come, and how long its answer may take; shared by the body, which hyper owns, and whoever waits for the answer.
#[derive(Debug)]
pub(super) struct Passage {
    fault: Cell<Option<Refusal>>,
    wait: Wait,
    /// How long the answer's head may take once the body has gone; `None` once it has come.
    limit: Cell<Option<Duration>>,
}

impl Passage {
    pub(super) const fn new(wait: Wait, limit: Duration) -> Self {
        Self { fault: Cell::new(None), wait, limit: Cell::new(Some(limit)) }
    }

    /// Why the body broke off, if it did.
    pub(super) fn fault(&self) -> Option<Refusal> {
        self.fault.get()
    }

    /// The body's last byte was handed on, or it broke off.
    pub(super) fn end(&self, fault: Option<Refusal>) {
        self.fault.set(fault);
        if let Some(limit) = self.limit.take() {
            self.wait.limit(limit);
        }
    }

    /// The answer's head has come: what follows has a limit of its own.
    pub(super) fn answered(&self) {
        self.limit.set(None);
        self.wait.unlimit();
    }

    /// Ready once nobody should wait for the answer any more.
    pub(super) async fn over(&self) -> Over {
        self.wait.over().await
    }
}

/// A request body on its way to WAHA.
#[derive(Debug)]
pub(super) enum UpBody {
    /// In memory.
    Whole(Option<Bytes>),
    /// Passing through.
    Passing(Box<Passing>),
}

/// A body that passes through: what was read of it already, then the rest.
#[derive(Debug)]
pub(super) struct Passing {
    before: VecDeque<Bytes>,
    rest: Limited,
    passage: Rc<Passage>,
    scan: Option<Rc<RefCell<FieldScan>>>,
}

impl UpBody {
    /// A body in memory.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// A body that passes through; `scan` sees what passes.
    pub(super) fn passing(
        before: VecDeque<Bytes>,
        rest: Limited,
        passage: &Rc<Passage>,
        scan: Option<&Rc<RefCell<FieldScan>>>,
    ) -> Self {
        if rest.is_end_stream() {
            // What is left lies in memory: nobody will look at the end of the rest again.
            passage.end(None);
            if before.is_empty() {
                return Self::Whole(None);
            }
        }
        Self::Passing(Box::new(Passing {
            before,
            rest,
            passage: Rc::clone(passage),
            scan: scan.map(Rc::clone),
        }))
    }
}

impl Body for UpBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let passing = match &mut *self {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(passing) => passing,
        };
        if let Some(bytes) = passing.before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let polled = ready!(Pin::new(&mut passing.rest).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let (Some(scan), Some(bytes)) = (&passing.scan, frame.data_ref()) {
                    scan.borrow_mut().feed(bytes);
                }
                if passing.rest.is_end_stream() {
                    passing.passage.end(None);
                }
            }
            Some(Err(fault)) => passing.passage.end(Some(fault.0)),
            None => passing.passage.end(None),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Passing(passing) => passing.before.is_empty() && passing.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Passing(passing) => hint(&passing.before, &passing.rest),
        }
    }
}

/// An answer that breaks off: hyper then cuts the connection, so that the bot sees it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("WAHA's answer broke off")]
pub(super) struct AnswerBroke;

/// An answer's body on its way to the bot.
#[derive(Debug)]
pub(super) enum DownBody {
    /// In memory.
    Whole(Option<Bytes>),
    /// Passing through. In a box, so that an answer is small wherever it is moved.
    Passing(Box<PassingDown>),
}

/// An answer's body that passes through.
#[derive(Debug)]
pub(super) struct PassingDown {
    /// Read already.
    before: VecDeque<Bytes>,
    /// Still to come.
    rest: Incoming,
    /// WAHA must move on as well.
    pace: Pace,
}

impl DownBody {
    /// A body in memory.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// A body that passes through and may pause no longer than `pause`: what was read of it already, then the rest.
    pub(super) fn passing(before: VecDeque<Bytes>, rest: Incoming, pause: Duration) -> Self {
        Self::Passing(Box::new(PassingDown { before, rest, pace: Pace::new(pause, 1) }))
    }
}

impl Body for DownBody {
    type Data = Bytes;
    type Error = AnswerBroke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBroke>>> {
        let PassingDown { before, rest, pace } = match &mut *self {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(passing) => &mut **passing,
        };
        if let Some(bytes) = before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match Pin::new(rest).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                pace.moved(frame.data_ref().map_or(1, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(AnswerBroke))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(pace.too_slow(cx));
                Poll::Ready(Some(Err(AnswerBroke)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Passing(passing) => passing.before.is_empty() && passing.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Passing(passing) => hint(&passing.before, &passing.rest),
        }
    }
}

/// The length of what was read already and of the rest, where that is known.
fn hint(before: &VecDeque<Bytes>, rest: &impl Body) -> SizeHint {
    let before = before.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
    rest.size_hint().exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(before + rest))
}
