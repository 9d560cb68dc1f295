//! The minimum-progress rule: whoever sends or reads slower than a few bytes a second is let go.
//!
//! Within each span something must move: [`PROGRESS_MIN`] bytes, or the end. The clock runs only while we wait for the other side.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::clock::instant;

/// What must move within one span, in bytes: a phone on a bad network does thousands of times that.
pub(super) const PROGRESS_MIN: u64 = 4 * 1024;

/// Watches one direction of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    span: Duration,
    progress_min: u64,
    /// Since the last time enough had moved: bytes moved, and how long was waited for them.
    moved: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub(super) const fn new(span: Duration, progress_min: u64) -> Self {
        Self { span, progress_min, moved: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Bytes moved: we do not wait any more.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if let Some((since, _)) = self.waiting.take() {
            self.waited += instant() - since;
        }
        if self.moved >= self.progress_min {
            (self.moved, self.waited) = (0, Duration::ZERO);
        }
    }

    /// We wait for the other side: ready once it has been too slow.
    pub(super) fn too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.span.saturating_sub(self.waited);
        let (_, timer) = self.waiting.get_or_insert_with(|| (instant(), Box::pin(sleep(left))));
        timer.as_mut().poll(cx)
    }
}

/// A socket whose reader must keep reading what we write.
#[derive(Debug)]
pub(super) struct PacedWrites<S> {
    stream: S,
    pace: Pace,
}

impl<S> PacedWrites<S> {
    pub(super) const fn new(stream: S, span: Duration) -> Self {
        Self { stream, pace: Pace::new(span, PROGRESS_MIN) }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                self.pace.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.pace.too_slow(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its answer",
                )))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedWrites<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedWrites<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
