//! Plain calls: streamed both ways, counted, timed, never held. And WebSocket upgrades, tunnelled.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::request::Parts;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy};
use tokio::time::{Instant, sleep_until, timeout};

use super::body::{DownBody, Limited, Passage, UpBody};
use super::headers;
use super::settings::Settings;
use super::upstream::NoAnswer;
use super::waits::Over;
use super::worker::Worker;
use crate::clock::instant;
use crate::domain::refusal::Refusal;

/// A tunnel in which nothing moves for so long is closed; WAHA pings every 60 s.
const TUNNEL_IDLE: Duration = Duration::from_secs(180);
/// Tunnels open at once, per worker.
const TUNNELS_MAX: usize = 64;

/// Forwards a call that is not a send.
pub(super) async fn forward(worker: &Rc<Worker>, parts: Box<Parts>, body: Limited) -> Response<DownBody> {
    let settings = worker.settings();
    match exchange(worker, &settings, parts, body, None).await {
        Ok(answer) => pass(answer, &settings),
        Err(refusal) => worker.refuse(refusal),
    }
}

/// Forwards a call that asks for a WebSocket; where WAHA agrees, what follows passes both ways.
pub(super) async fn upgrade(
    worker: &Rc<Worker>,
    parts: Box<Parts>,
    body: Limited,
    bot: OnUpgrade,
) -> Response<DownBody> {
    let settings = worker.settings();
    if worker.tunnels.len() >= TUNNELS_MAX {
        return worker.refuse(Refusal::Overloaded);
    }
    let protocol = parts.headers.get(UPGRADE).cloned();
    let mut answer = match exchange(worker, &settings, parts, body, protocol.clone()).await {
        Ok(answer) => answer,
        Err(refusal) => return worker.refuse(refusal),
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return pass(answer, &settings);
    }
    let waha = hyper::upgrade::on(&mut answer);
    let worker_of_tunnel = Rc::clone(worker);
    worker.tunnels.spawn_local(async move {
        let tunnels = &worker_of_tunnel.shared.metrics.proxy.tunnels;
        tunnels.inc();
        if let (Ok(bot), Ok(waha)) = tokio::join!(bot, waha) {
            tokio::select! {
                () = tunnel(TokioIo::new(bot), TokioIo::new(waha)) => {}
                () = worker_of_tunnel.stop.cancelled() => {}
            }
        }
        tunnels.dec();
    });
    let (mut head, _) = answer.into_parts();
    headers::strip(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    Response::from_parts(head, DownBody::Whole(None))
}

async fn exchange(
    worker: &Rc<Worker>,
    settings: &Settings,
    mut parts: Box<Parts>,
    body: Limited,
    upgrade: Option<HeaderValue>,
) -> Result<Response<Incoming>, Refusal> {
    headers::for_upstream(&mut parts.headers, settings.upstream.authority());
    let asked = upgrade.is_some();
    if let Some(protocol) = upgrade {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, protocol);
    }
    parts.version = Version::HTTP_11;
    let passage = Rc::new(Passage::new(worker.calls.enter(), settings.response_timeout));
    let body = UpBody::passing(VecDeque::new(), body, &passage, None);
    let request = Box::new(Request::from_parts(*parts, body));
    let metrics = &worker.shared.metrics.proxy;
    let started = instant();
    let _running = Running::new(worker);
    let call = worker.pool.call(&settings.upstream, request, settings.call_limits());
    let answer = tokio::select! {
        biased;
        answer = call => answer.map_err(|missing| passage.fault().unwrap_or(match missing {
            NoAnswer::NotSent(_) => Refusal::UpstreamUnreachable,
            NoAnswer::Lost(_) => Refusal::UpstreamLost,
            NoAnswer::Invalid => Refusal::UpstreamInvalid,
        }))?,
        over = passage.over() => return Err(match over {
            Over::Late => Refusal::UpstreamTimeout,
            Over::CalledOff => Refusal::Stopping,
        }),
    };
    metrics.call(answer.status().as_u16(), instant() - started);
    let sound = (200..=599).contains(&answer.status().as_u16());
    // An answer that switches protocols unasked would be read as the bot's next answers.
    let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS && asked;
    if sound || switches { Ok(answer) } else { Err(Refusal::UpstreamInvalid) }
}

fn pass(answer: Response<Incoming>, settings: &Settings) -> Response<DownBody> {
    let (mut head, body) = answer.into_parts();
    headers::strip(&mut head.headers);
    Response::from_parts(head, DownBody::passing(VecDeque::new(), body, settings.response_timeout))
}

/// A call that runs, in the gauge.
struct Running(Rc<Worker>);

impl Running {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.shared.metrics.proxy.inflight.inc();
        Self(Rc::clone(worker))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shared.metrics.proxy.inflight.dec();
    }
}

/// Once one side has ended, the other has so long to say its last.
const TUNNEL_END: Duration = Duration::from_secs(2);

/// Passes bytes both ways until one side ends, or [`TUNNEL_IDLE`] of silence.
async fn tunnel<A, B>(bot: A, waha: B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Rc::new(Cell::new(instant()));
    let (from_bot, to_bot) = tokio::io::split(Watched { stream: bot, moved: Rc::clone(&moved) });
    let (from_waha, to_waha) = tokio::io::split(Watched { stream: waha, moved: Rc::clone(&moved) });
    let mut up = std::pin::pin!(pass_on(from_bot, to_waha));
    let mut down = std::pin::pin!(pass_on(from_waha, to_bot));
    let silence = async {
        loop {
            let until = moved.get() + TUNNEL_IDLE;
            sleep_until(until).await;
            if moved.get() + TUNNEL_IDLE <= until {
                return;
            }
        }
    };
    tokio::select! {
        () = up.as_mut() => drop(timeout(TUNNEL_END, down).await),
        () = down.as_mut() => drop(timeout(TUNNEL_END, up).await),
        () = silence => {}
    }
}

/// Passes bytes on until the end, and the end as well.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // How a side ends makes no difference to the other.
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Notes when bytes last came out of a stream.
struct Watched<S> {
    stream: S,
    moved: Rc<Cell<Instant>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.moved.set(instant());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
