//! Connections to WAHA: dialed, kept for a moment, used again. Nothing here knows what a call means.
//!
//! WAHA closes a connection that rests for five seconds; one that it closes just as we write is lost with an unknown end. So connections
//! are used again only while they are fresh (`proxy.upstream_idle_timeout`), and a call that surely was not written goes out on another.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::body::UpBody;
use super::pace::PacedWrites;
use crate::clock::instant;
use crate::dial::{NoConnection, Target, TargetError};
use crate::domain::outcome::Cause;

/// Connections that rest, per worker: enough for every call that ran at once a moment ago.
const RESTING_MAX: usize = 512;

/// Where WAHA is.
#[derive(Clone)]
pub struct Upstream {
    target: Target,
    authority: HeaderValue,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({:?})", self.target)
    }
}

impl Upstream {
    /// `host:port`, over TLS or not; `ca_file` holds further certificates to trust, as PEM.
    ///
    /// # Errors
    /// Where the name or the certificates cannot be used.
    pub fn new(
        host: &str,
        port: u16,
        authority: &str,
        tls: bool,
        ca_file: Option<&Path>,
    ) -> Result<Self, TargetError> {
        let authority = HeaderValue::from_str(authority).map_err(|_| TargetError::Name(host.to_owned()))?;
        Ok(Self { target: Target::new(host, port, tls, ca_file)?, authority })
    }

    /// The Host to ask for.
    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Surely nothing of it left.
    NotSent(Cause),
    /// It may have left.
    Lost(Cause),
    /// It may have left, and what came back is not HTTP.
    Invalid,
}

/// How long a call may take where it is WAHA's turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLimits {
    /// To have a connection.
    pub(super) connect: Duration,
    /// For a connection to rest and still be used.
    pub(super) idle: Duration,
    /// Without taking anything of what we write.
    pub(super) stall: Duration,
}

/// A worker's connections to WAHA.
#[derive(Debug, Default)]
pub(super) struct Pool {
    resting: RefCell<Vec<Resting>>,
}

#[derive(Debug)]
struct Resting {
    sender: SendRequest<UpBody>,
    since: Instant,
    upstream: Arc<Upstream>,
}

impl Pool {
    /// Makes one call. Does not bound the wait for its answer; that is the caller's.
    pub(super) async fn call(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        mut request: Box<Request<UpBody>>,
        limits: CallLimits,
    ) -> Result<Response<Incoming>, NoAnswer> {
        loop {
            let (mut one, fresh) = match self.take(upstream, limits.idle) {
                Some(one) => (one, false),
                // Rare and large: in a box, so that the future of every call stays small.
                None => (Box::pin(connect(upstream, limits)).await.map_err(NoAnswer::NotSent)?, true),
            };
            match one.sender.try_send_request(*request).await {
                Ok(response) => {
                    self.rest(one);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    // Nothing was written: a connection that WAHA had just closed. The next one is tried, a fresh one at the last.
                    Some(unsent) if !fresh => *request = unsent,
                    Some(_) => return Err(NoAnswer::NotSent(Cause::ConnectionRefused)),
                    None if failed.error().is_parse() => return Err(NoAnswer::Invalid),
                    None => return Err(NoAnswer::Lost(Cause::ConnectionLost)),
                },
            }
        }
    }

    /// The connection that rested least, if it is fresh enough. One whose answer is still being read is not ready yet and stays.
    fn take(&self, upstream: &Arc<Upstream>, idle: Duration) -> Option<Resting> {
        let mut resting = self.resting.borrow_mut();
        let now = instant();
        let mut at = resting.len();
        while at > 0 {
            at -= 1;
            let one = &resting[at];
            if now - one.since >= idle {
                // All below have rested longer.
                resting.drain(..=at);
                return None;
            }
            if one.sender.is_closed() || !Arc::ptr_eq(&one.upstream, upstream) {
                resting.remove(at);
            } else if one.sender.is_ready() {
                return Some(resting.remove(at));
            }
        }
        None
    }

    fn rest(&self, one: Resting) {
        let mut resting = self.resting.borrow_mut();
        if resting.len() < RESTING_MAX {
            resting.push(Resting { since: instant(), ..one });
        }
    }

    /// Lets go of connections that rested too long, so that WAHA sees them close in time.
    pub(super) fn sweep(&self, idle: Duration) {
        let now = instant();
        self.resting.borrow_mut().retain(|one| now - one.since < idle && !one.sender.is_closed());
    }
}

const fn cause(none: NoConnection) -> Cause {
    match none {
        NoConnection::Dns => Cause::Dns,
        NoConnection::Refused => Cause::ConnectionRefused,
        NoConnection::TimedOut => Cause::ConnectTimeout,
        NoConnection::Tls => Cause::Tls,
    }
}

async fn connect(upstream: &Arc<Upstream>, limits: CallLimits) -> Result<Resting, Cause> {
    let handshake = async {
        let stream = upstream.target.connect().await.map_err(cause)?;
        http1::Builder::new()
            .preserve_header_case(true)
            .handshake::<_, UpBody>(TokioIo::new(PacedWrites::new(stream, limits.stall)))
            .await
            .map_err(|_| Cause::ConnectionRefused)
    };
    let (sender, connection) =
        timeout(limits.connect, handshake).await.map_err(|_| Cause::ConnectTimeout)??;
    // How a connection ends shows in the call that used it. Not in an async block, which would hold the connection twice.
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(Resting { sender, since: instant(), upstream: Arc::clone(upstream) })
}
