//! A bot's connection: accepted, dealt to a worker, served call by call, let go when it is too slow or too idle.

use std::convert::Infallible;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::body::{AnswerBroke, DownBody, Limited};
use super::pace::PacedWrites;
use super::settings::Settings;
use super::worker::Worker;
use super::{Shared, forward, guard, headers, send, synthetic};
use crate::clock::instant;
use crate::domain::refusal::Refusal;
use crate::waha::route::classify;

/// A connection on its way to the worker that will serve it.
pub(super) struct Dealt {
    stream: std::net::TcpStream,
    permit: OwnedSemaphorePermit,
}

/// Accepts connections and deals them to the workers in turn.
pub(super) struct Dealer {
    pub(super) listener: TcpListener,
    pub(super) doors: Vec<mpsc::Sender<Dealt>>,
}

impl Dealer {
    /// Deals until `stop`.
    pub(super) async fn deal(self, shared: Arc<Shared>, stop: CancellationToken) {
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "the proxy's listener cannot be watched"),
        };
        for door in self.doors.iter().cycle() {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: those that are served free some.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
                shared.metrics.proxy.connections_refused.inc();
                shared.metrics.proxy.refused(Refusal::Overloaded);
                tokio::task::spawn_local(turn_away(stream));
                continue;
            };
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = stream.into_std() {
                // Closed only when its worker ended, and then we end too.
                let _ = door.send(Dealt { stream, permit }).await;
            }
        }
    }
}

async fn turn_away(mut stream: TcpStream) {
    let answer = synthetic::raw(Refusal::Overloaded);
    let say = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), say).await;
}

/// Serves one connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, dealt: Dealt) {
    let Dealt { stream, permit: _permit } = dealt;
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let settings = worker.settings();
    let stopping = worker.guests.enter();
    let gauge = &worker.shared.metrics.proxy.connections;
    gauge.inc();
    let turns = Arc::new(Turns::new(&settings));
    let stream = TimedReads { stream, turns: Arc::clone(&turns), timer: None };
    let io = TokioIo::new(PacedWrites::new(stream, settings.body_timeout));
    let of_calls = Rc::clone(&worker);
    let service = service_fn(move |request| {
        let turn = Turn::begin(&turns);
        let worker = Rc::clone(&of_calls);
        async move {
            let answer = handle(worker, request).await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                turn.becomes_tunnel();
            }
            Ok::<_, Infallible>(answer.map(|body| Held { body, _turn: turn }))
        }
    });
    let mut builder = http1::Builder::new();
    // hyper's own limit counts the rest between calls as well; ours are in `Turns`.
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    builder.auto_date_header(false).preserve_header_case(true).max_buf_size(settings.head_max + HEAD_SLACK);
    // hyper would read on while a call is served, to see its client going, into a second buffer beside the one that holds the call: we look
    // for that ourselves (`TimedReads`).
    builder.half_close(true);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service).with_upgrades());
    let stopped = tokio::select! {
        biased;
        _ = connection.as_mut() => false,
        _ = stopping.over() => true,
    };
    if stopped {
        Pin::new(&mut *connection).graceful_shutdown();
        let _ = connection.await;
    }
    gauge.dec();
}

/// A head a little too large still gets an answer that says so; hyper turns away what is larger still.
const HEAD_SLACK: usize = 16 * 1024;

async fn handle(worker: Rc<Worker>, mut request: Request<Incoming>) -> Response<DownBody> {
    let settings = worker.settings();
    if let Err(refusal) = guard::check(&request, settings.head_max, settings.body_max) {
        return worker.refuse(refusal);
    }
    let websocket = headers::asks_for_websocket(request.method(), request.headers());
    let upgrade = websocket.then(|| hyper::upgrade::on(&mut request));
    let route = classify(request.method(), request.uri().path(), &settings.extra_send_paths);
    let (parts, body) = request.into_parts();
    // In a box, so that what waits for its answer is small.
    let (parts, body) = (Box::new(parts), Limited::new(body, settings.body_max, settings.body_timeout));
    drop(settings);
    match (route, upgrade) {
        (Some(route), _) => send::send(worker, parts, body, route).await,
        (None, Some(upgrade)) => Box::pin(forward::upgrade(&worker, parts, body, upgrade)).await,
        (None, None) => forward::forward(&worker, parts, body).await,
    }
}

/// Whose turn it is on a connection, and until when: the bot's, to begin or to end a head, or ours.
///
/// Never shared between threads in fact, but hyper wants its sockets to be: hence the lock, which nobody ever waits for.
#[derive(Debug)]
struct Turns {
    header_timeout: Duration,
    idle_timeout: Duration,
    now: Mutex<TurnOf>,
}

#[derive(Debug, Clone, Copy)]
enum TurnOf {
    /// A call is being served: then nothing is expected of the bot but its body, which has its own pace.
    Ours,
    /// The connection is a tunnel now, which has its own limits.
    Tunnel,
    /// The bot may begin a call, until then.
    BotAtRest(Instant),
    /// The bot has begun a head and must end it, until then.
    BotInHead(Instant),
}

impl Turns {
    fn new(settings: &Settings) -> Self {
        let (header_timeout, idle_timeout) = (settings.header_timeout, settings.idle_timeout);
        let first = TurnOf::BotInHead(instant() + header_timeout);
        Self { header_timeout, idle_timeout, now: Mutex::new(first) }
    }

    fn now(&self) -> MutexGuard<'_, TurnOf> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn byte_came(&self) {
        let mut now = self.now();
        if matches!(*now, TurnOf::BotAtRest(_)) {
            *now = TurnOf::BotInHead(instant() + self.header_timeout);
        }
    }

    /// A call is being served.
    fn are_ours(&self) -> bool {
        matches!(*self.now(), TurnOf::Ours)
    }

    /// Until when the bot must have sent something.
    fn until(&self) -> Option<Instant> {
        match *self.now() {
            TurnOf::Ours | TurnOf::Tunnel => None,
            TurnOf::BotAtRest(until) | TurnOf::BotInHead(until) => Some(until),
        }
    }
}

/// A call is being served, from its head to the last byte of its answer.
struct Turn(Arc<Turns>);

impl Turn {
    fn begin(turns: &Arc<Turns>) -> Self {
        *turns.now() = TurnOf::Ours;
        Self(Arc::clone(turns))
    }
}

impl Turn {
    /// The answer agrees to another protocol: the bot has no turns any more.
    fn becomes_tunnel(&self) {
        *self.0.now() = TurnOf::Tunnel;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut now = self.0.now();
        if matches!(*now, TurnOf::Ours) {
            *now = TurnOf::BotAtRest(instant() + self.0.idle_timeout);
        }
    }
}

/// A socket that gives up when the bot lets its turn pass, and when the bot goes while its call is served.
struct TimedReads {
    stream: TcpStream,
    turns: Arc<Turns>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for TimedReads {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if buf.filled().len() > before {
                    this.turns.byte_came();
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                // One timer serves the whole connection. It goes on while a call is served, because hyper need not read again when that
                // is over; it is moved only when it goes off too early.
                let first = this.turns.until();
                let timer = this.timer.get_or_insert_with(|| {
                    Box::pin(sleep_until(first.unwrap_or_else(|| instant() + LOOK_AGAIN)))
                });
                while timer.as_mut().poll(cx).is_ready() {
                    let until = this.turns.until().unwrap_or_else(|| instant() + LOOK_AGAIN);
                    if instant() >= until {
                        return Poll::Ready(Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            "the client let its turn pass",
                        )));
                    }
                    timer.as_mut().reset(until);
                }
                Poll::Pending
            }
        }
    }
}

/// How often it is looked whose turn it is, while it is ours.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl TimedReads {
    /// The bot has closed its side, and all it sent has been read. Its next call, which may come before this one's answer, stays where it is.
    fn has_ended(&self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut next = [MaybeUninit::uninit()];
        match self.stream.poll_peek(cx, &mut ReadBuf::uninit(&mut next)) {
            Poll::Ready(bytes) => Ok(bytes? == 0),
            Poll::Pending => Ok(false),
        }
    }
}

impl AsyncWrite for TimedReads {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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

    /// hyper flushes whenever it is woken: here it is seen that nobody will read the answer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.turns.are_ours() && self.has_ended(cx)? {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client has gone")));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An answer's body, with the turn it ends.
struct Held {
    body: DownBody,
    _turn: Turn,
}

impl Body for Held {
    type Data = Bytes;
    type Error = AnswerBroke;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerBroke>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
