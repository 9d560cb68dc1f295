//! Connections to WAHA: dialed, kept for a moment, used again. Nothing here knows what a call means.
//!
//! WAHA closes a connection that rests for five seconds; one that it closes just as we write is lost with an unknown end. So connections
//! are used again only while they are fresh (`proxy.upstream_idle_timeout`), and a call that surely was not written goes out on another.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use super::body::UpBody;
use super::pace::PacedWrites;
use crate::clock::instant;
use crate::domain::outcome::Cause;

/// Connections that rest, per worker: enough for every call that ran at once a moment ago.
const RESTING_MAX: usize = 512;

/// Where WAHA is.
#[derive(Clone)]
pub struct Upstream {
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({}:{}, tls {})", self.host, self.port, self.tls.is_some())
    }
}

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name cannot be a Host, or not one of a certificate.
    #[error("waha.url: {0} is not a name that can be asked for")]
    Name(String),
    /// The certificates cannot be read.
    #[error("waha.ca_file: {0}: {1}")]
    CaFile(String, String),
    /// No TLS can be set up.
    #[error("waha.url: TLS cannot be set up: {0}")]
    Tls(String),
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
    ) -> Result<Self, UpstreamError> {
        let authority = HeaderValue::from_str(authority).map_err(|_| UpstreamError::Name(host.to_owned()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = tls.then(|| connector(&bare, ca_file)).transpose()?;
        Ok(Self { host: bare, port, authority, tls })
    }

    /// The Host to ask for.
    pub(super) const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    async fn dial(&self) -> Result<Either<TcpStream, tokio_rustls::client::TlsStream<TcpStream>>, Cause> {
        let addresses: Vec<_> =
            tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|_| Cause::Dns)?.collect();
        let mut failure = Cause::Dns;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A send is one small write: waiting to fill a packet only costs time.
                    let _ = stream.set_nodelay(true);
                    let Some((connector, name)) = &self.tls else { return Ok(Either::Left(stream)) };
                    let tls = connector.connect(name.clone(), stream).await.map_err(|_| Cause::Tls)?;
                    return Ok(Either::Right(tls));
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => failure = Cause::ConnectTimeout,
                Err(_) => failure = Cause::ConnectionRefused,
            }
        }
        Err(failure)
    }
}

fn connector(
    host: &str,
    ca_file: Option<&Path>,
) -> Result<(TlsConnector, ServerName<'static>), UpstreamError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| UpstreamError::Name(host.to_owned()))?;
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are no fault of the configuration: those that can are enough, or none fits.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let fault = |error: String| UpstreamError::CaFile(path.display().to_string(), error);
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
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
        mut request: Request<UpBody>,
        limits: CallLimits,
    ) -> Result<Response<Incoming>, NoAnswer> {
        loop {
            let (mut sender, fresh) = match self.take(upstream, limits.idle) {
                Some(sender) => (sender, false),
                // Rare and large: in a box, so that the future of every call stays small.
                None => (Box::pin(connect(upstream, limits)).await.map_err(NoAnswer::NotSent)?, true),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.rest(sender, upstream);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    // Nothing was written: a connection that WAHA had just closed. The next one is tried, a fresh one at the last.
                    Some(unsent) if !fresh => request = unsent,
                    Some(_) => return Err(NoAnswer::NotSent(Cause::ConnectionRefused)),
                    None if failed.error().is_parse() => return Err(NoAnswer::Invalid),
                    None => return Err(NoAnswer::Lost(Cause::ConnectionLost)),
                },
            }
        }
    }

    /// The connection that rested least, if it is fresh enough. One whose answer is still being read is not ready yet and stays.
    fn take(&self, upstream: &Arc<Upstream>, idle: Duration) -> Option<SendRequest<UpBody>> {
        let mut resting = self.resting.borrow_mut();
        let mut at = resting.len();
        while at > 0 {
            at -= 1;
            let one = &resting[at];
            if (instant() - one.since) >= idle {
                // All below have rested longer.
                resting.drain(..=at);
                return None;
            }
            if one.sender.is_closed() || !Arc::ptr_eq(&one.upstream, upstream) {
                resting.remove(at);
            } else if one.sender.is_ready() {
                return Some(resting.remove(at).sender);
            }
        }
        None
    }

    fn rest(&self, sender: SendRequest<UpBody>, upstream: &Arc<Upstream>) {
        let mut resting = self.resting.borrow_mut();
        if resting.len() < RESTING_MAX {
            resting.push(Resting { sender, since: instant(), upstream: Arc::clone(upstream) });
        }
    }

    /// Lets go of connections that rested too long, so that WAHA sees them close in time.
    pub(super) fn sweep(&self, idle: Duration) {
        self.resting.borrow_mut().retain(|one| (instant() - one.since) < idle && !one.sender.is_closed());
    }
}

async fn connect(upstream: &Arc<Upstream>, limits: CallLimits) -> Result<SendRequest<UpBody>, Cause> {
    let handshake = async {
        let stream = upstream.dial().await?;
        http1::Builder::new()
            .preserve_header_case(true)
            .handshake::<_, UpBody>(TokioIo::new(PacedWrites::new(stream, limits.stall)))
            .await
            .map_err(|_| Cause::ConnectionRefused)
    };
    let (sender, connection) =
        timeout(limits.connect, handshake).await.map_err(|_| Cause::ConnectTimeout)??;
    tokio::task::spawn_local(async move {
        // How a connection ends shows in the call that used it.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}
