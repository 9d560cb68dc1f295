//! The bytes' end of a connection: a socket that can be reset, bodies that can be cut, and the idle clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Asks for a connection to be reset instead of closed.
#[derive(Clone, Debug, Default)]
pub(super) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A socket that resets its peer when it goes, if so asked.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, reset: ResetSwitch) -> Self {
        Self { stream, reset }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.0.load(Ordering::Relaxed) {
            // A socket that is already gone cannot be reset, which is as good.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A response body: whole, or cut after a part.
#[derive(Debug)]
pub(super) enum OutBody {
    Whole(Option<Bytes>),
    /// These bytes, then a broken connection.
    Part(Bytes),
    /// The part has been given; it is on its way.
    Flushing,
    /// Time to break.
    Broken,
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Part(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Flushing => {
                // One turn for the connection to write what it has; then the break.
                *self = Self::Broken;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Broken => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Part(_) | Self::Flushing | Self::Broken => SizeHint::default(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Use {
    /// An exchange is under way.
    busy: bool,
    /// When the last one ended; `None` before the first.
    ended: Option<Instant>,
}

/// Knows when a kept-alive connection has been idle for too long. Before its first request it never is, as in Node.
#[derive(Clone, Debug)]
pub(super) struct IdleClock(watch::Sender<Use>);

impl IdleClock {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Use { busy: false, ended: None }))
    }

    pub(super) fn begin(&self) -> Busy {
        self.0.send_modify(|now| now.busy = true);
        Busy(self.clone())
    }

    /// Ends when the connection has been idle for `keep_alive`.
    pub(super) async fn expired(&self, keep_alive: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let Use { busy, ended } = *changes.borrow_and_update();
            match ended.filter(|_| !busy) {
                None => {
                    // The sender lives as long as `self`.
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
                Some(ended) => tokio::select! {
                    () = sleep_until(ended + keep_alive) => return,
                    changed = changes.changed() => if changed.is_err() { return },
                },
            }
        }
    }
}

/// An exchange under way; the idle clock starts when it goes.
#[derive(Debug)]
pub(super) struct Busy(IdleClock);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|now| *now = Use { busy: false, ended: Some(Instant::now()) });
    }
}
