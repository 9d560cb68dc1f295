//! Listening, connections, and the way of one exchange over a connection.
//!
//! An exchange is served in a task of its own once its body has been read: WAHA does not stop when its client goes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, etag};
use super::api::{self, Reply};
use super::body;
use super::chance::traceparent;
use super::control;
use super::request::Request;
use super::wire::{IdleClock, OutBody, ResetSwitch, Wire};
use super::world::World;
use super::ws;

/// Node's limit for a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Node's limit for the number of headers.
const MAX_HEADERS: usize = 2000;

/// Pauses between attempts to listen again, if something else holds the port for a moment.
const REBIND_PAUSE: Duration = Duration::from_millis(20);
const REBIND_ATTEMPTS: u32 = 100;

/// Whether the server listens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listening {
    Up,
    Down,
    /// The port was taken by somebody else meanwhile.
    Failed(io::ErrorKind),
}

/// Listens, stops and starts again as the world wants, until the world ends.
pub(super) async fn run(
    world: Arc<World>,
    first: TcpListener,
    address: SocketAddr,
    listening: watch::Sender<Listening>,
) {
    let mut by_hand = world.taken_down.subscribe();
    let mut by_fault = world.faults.refusing();
    let mut next = Some(first);
    loop {
        let is_down = *by_hand.borrow_and_update() || *by_fault.borrow_and_update();
        if !is_down {
            let bound = match next.take() {
                Some(listener) => Ok(listener),
                None => bind_again(address).await,
            };
            match bound {
                Ok(listener) => {
                    listening.send_replace(Listening::Up);
                    tokio::select! {
                        () = world.stop.cancelled() => return,
                        () = accept_until_changed(&world, listener, &mut by_hand, &mut by_fault) => {}
                    }
                    continue;
                }
                Err(error) => {
                    listening.send_replace(Listening::Failed(error.kind()));
                }
            }
        } else {
            next = None;
            listening.send_replace(Listening::Down);
        }
        tokio::select! {
            () = world.stop.cancelled() => return,
            _ = by_hand.changed() => {}
            _ = by_fault.changed() => {}
        }
    }
}

async fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 1..REBIND_ATTEMPTS {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
        tokio::time::sleep(REBIND_PAUSE).await;
    }
    TcpListener::bind(address).await
}

/// Accepts connections until somebody wants the server down; then all of them are cut before this returns.
async fn accept_until_changed(
    world: &Arc<World>,
    listener: TcpListener,
    by_hand: &mut watch::Receiver<bool>,
    by_fault: &mut watch::Receiver<bool>,
) {
    let cut = world.stop.child_token();
    let _cut_in_any_case = cut.clone().drop_guard();
    let connections = TaskTracker::new();
    loop {
        tokio::select! {
            _ = by_hand.changed() => if *by_hand.borrow_and_update() { break },
            _ = by_fault.changed() => if *by_fault.borrow_and_update() { break },
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(world), stream, cut.clone()));
                }
                // Out of descriptors: a moment's rest lets some come back.
                Err(_) => tokio::time::sleep(REBIND_PAUSE).await,
            },
        }
    }
    drop(listener);
    cut.cancel();
    connections.close();
    connections.wait().await;
}

/// What an exchange needs of its connection.
#[derive(Clone, Debug)]
struct Connection {
    world: Arc<World>,
    reset: ResetSwitch,
    idle: IdleClock,
    cut: CancellationToken,
}

async fn connection(world: Arc<World>, stream: TcpStream, cut: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let this = Connection { world, reset: ResetSwitch::default(), idle: IdleClock::new(), cut };
    let wire = TokioIo::new(Wire::new(stream, this.reset.clone()));
    let service = {
        let this = this.clone();
        service_fn(move |request| exchange(this.clone(), request))
    };
    let mut builder = http1::Builder::new();
    builder
        .title_case_headers(true)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .header_read_timeout(None);
    let mut conn = pin!(builder.serve_connection(wire, service).with_upgrades());
    let keep_alive = this.world.options.keep_alive;
    let mut expired = pin!(this.idle.expired(keep_alive));
    let mut is_expired = false;
    loop {
        tokio::select! {
            // Errors are the client's affair, or a fault's deed.
            _ = conn.as_mut() => return,
            () = this.cut.cancelled() => return,
            () = expired.as_mut(), if !is_expired => {
                is_expired = true;
                conn.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
struct CutOff;

async fn exchange(this: Connection, request: hyper::Request<Incoming>) -> Result<Response<OutBody>, CutOff> {
    let busy = this.idle.begin();
    let (mut parts, incoming) = request.into_parts();
    let head = Head {
        is_head: parts.method == Method::HEAD,
        keeps_alive: keeps_alive(&parts),
        keep_alive: this.world.options.keep_alive,
    };
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let mut request = Request::new(parts.method, &parts.uri, parts.headers);

    if request.path.starts_with(control::PREFIX) {
        let answer = control::serve(&this.world, &request, incoming).await;
        return Ok(head.finish(answer, &request, None));
    }
    if let Some(upgrade) = upgrade.filter(|_| ws::is_wanted(&request)) {
        return Ok(ws::accept(&this.world, &request, upgrade, this.cut.child_token()));
    }
    if this.world.faults.drops_unread(&request.path, api::is_send(&request)) {
        this.reset.set();
        return Err(CutOff);
    }
    let Ok(body) = body::read(&request.headers, incoming).await else {
        // Node says no more than this to a body that ends early.
        let answer = Answer::empty(StatusCode::BAD_REQUEST);
        return Ok(Head { keeps_alive: false, ..head }.finish(answer, &request, None));
    };
    request.body = body;
    let trace = this.world.options.release.plus_is_free().then(|| traceparent(request.header("traceparent")));
    if request.method == Method::OPTIONS {
        return Ok(head.finish(preflight(), &request, trace));
    }

    let (done, reply) = oneshot::channel();
    let request = Arc::new(request);
    this.world.spawn({
        let (world, request) = (Arc::clone(&this.world), Arc::clone(&request));
        async move {
            // Whoever asked may have gone; the deed is done all the same.
            let _ = done.send(api::serve(&world, &request).await);
        }
    });
    let reply = reply.await.unwrap_or(Reply::Cut);
    drop(busy);
    match reply {
        Reply::Answer(answer) => Ok(head.finish(answer, &request, trace)),
        Reply::Truncated(answer) => Ok(head.truncate(answer, &request, trace)),
        Reply::Cut => Err(CutOff),
        Reply::Reset => {
            this.reset.set();
            Err(CutOff)
        }
        Reply::Hang => {
            let _busy = this.idle.begin();
            let never: Infallible = std::future::pending().await;
            match never {}
        }
    }
}

fn preflight() -> Answer {
    use hyper::header::{ACCESS_CONTROL_ALLOW_METHODS, VARY};
    Answer::empty(StatusCode::NO_CONTENT)
        .with(ACCESS_CONTROL_ALLOW_METHODS, "GET,HEAD,PUT,PATCH,POST,DELETE")
        .with(VARY, "Access-Control-Request-Headers")
}

fn keeps_alive(parts: &hyper::http::request::Parts) -> bool {
    let says = |word: &str| {
        let mut said = parts.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        said.any(|value| value.split(',').any(|said| said.trim().eq_ignore_ascii_case(word)))
    };
    if parts.version == Version::HTTP_10 { says("keep-alive") } else { !says("close") }
}

/// What the answer's head needs to know of the request's.
#[derive(Clone, Copy, Debug)]
struct Head {
    is_head: bool,
    keeps_alive: bool,
    keep_alive: Duration,
}

impl Head {
    /// Adds what Express and Node add to every answer.
    fn finish(self, answer: Answer, request: &Request, trace: Option<String>) -> Response<OutBody> {
        let tag = (answer.content_type.is_some() && !answer.body.is_empty()).then(|| etag(&answer.body));
        let is_fresh = request.method == Method::GET
            && answer.status == StatusCode::OK
            && tag.as_deref().is_some_and(|tag| is_known(request, tag));
        let mut response = Response::new(OutBody::Whole(None));
        let has_no_body = is_fresh || answer.status == StatusCode::NO_CONTENT;
        *response.status_mut() = if is_fresh { StatusCode::NOT_MODIFIED } else { answer.status };
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-powered-by"), HeaderValue::from_static("Express"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        for (name, value) in answer.extra {
            headers.insert(name, value);
        }
        if let Some(value) = trace.and_then(|trace| HeaderValue::try_from(trace).ok()) {
            headers.insert(HeaderName::from_static("traceparent"), value);
        }
        if let Some(content_type) = answer.content_type.filter(|_| !has_no_body) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if !has_no_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
        }
        if let Some(value) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
            headers.insert(ETAG, value);
        }
        if self.keeps_alive {
            let seconds = self.keep_alive.as_secs_f64().ceil();
            headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            if let Ok(value) = HeaderValue::try_from(format!("timeout={seconds}")) {
                headers.insert(HeaderName::from_static("keep-alive"), value);
            }
        } else {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !has_no_body && !self.is_head && !answer.body.is_empty() {
            *response.body_mut() = OutBody::Whole(Some(answer.body));
        }
        response
    }

    /// The same head, but only half the body before the connection breaks.
    fn truncate(self, answer: Answer, request: &Request, trace: Option<String>) -> Response<OutBody> {
        let whole = answer.body.clone();
        let mut response = self.finish(answer, request, trace);
        let promised = whole.len().max(2);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(promised));
        let part: Bytes = whole.slice(..whole.len() / 2);
        *response.body_mut() = if part.is_empty() { OutBody::Flushing } else { OutBody::Part(part) };
        response
    }
}

/// Whether the caller has this very answer already, by Express' rule.
fn is_known(request: &Request, tag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    request
        .header(IF_NONE_MATCH.as_str())
        .is_some_and(|known| known.split(',').any(|known| known.trim() == "*" || weak(known) == weak(tag)))
}
