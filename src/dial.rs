//! The way to WAHA: its name, TCP, TLS. What is said over a connection, and how long it may take to have one, is the caller's.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

/// A connection.
pub type Stream = Either<TcpStream, tokio_rustls::client::TlsStream<TcpStream>>;

/// Where WAHA is.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, tls {}", self.host, self.port, self.tls.is_some())
    }
}

/// Why it cannot be dialed at all.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The name cannot be asked for, or is none of a certificate.
    #[error("waha.url: {0} is not a name that can be asked for")]
    Name(String),
    /// The certificates cannot be read.
    #[error("waha.ca_file: {0}: {1}")]
    CaFile(String, String),
    /// No TLS can be set up.
    #[error("waha.url: TLS cannot be set up: {0}")]
    Tls(String),
}

/// Why there is no connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// The name is not known.
    Dns,
    /// Nobody listens there, or nobody lets us through.
    Refused,
    /// The system gave up waiting.
    TimedOut,
    /// TLS failed.
    Tls,
}

impl Target {
    /// `host:port`, over TLS or not; `ca_file` holds further certificates to trust, as PEM.
    ///
    /// # Errors
    /// Where the name or the certificates cannot be used.
    pub fn new(host: &str, port: u16, tls: bool, ca_file: Option<&Path>) -> Result<Self, TargetError> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = tls.then(|| secured(&host, ca_file)).transpose()?;
        Ok(Self { host, port, tls })
    }

    /// Connects: the first of its addresses that takes us.
    ///
    /// # Errors
    /// Where none does.
    pub async fn connect(&self) -> Result<Stream, NoConnection> {
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut failure = NoConnection::Dns;
        for address in addresses.map_err(|_| NoConnection::Dns)? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A send is one small write: waiting to fill a packet only costs time.
                    let _ = stream.set_nodelay(true);
                    let Some((connector, name)) = &self.tls else { return Ok(Either::Left(stream)) };
                    let stream =
                        connector.connect(name.clone(), stream).await.map_err(|_| NoConnection::Tls)?;
                    return Ok(Either::Right(stream));
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => failure = NoConnection::TimedOut,
                Err(_) => failure = NoConnection::Refused,
            }
        }
        Err(failure)
    }
}

fn secured(host: &str, ca_file: Option<&Path>) -> Result<(TlsConnector, ServerName<'static>), TargetError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TargetError::Name(host.to_owned()))?;
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are no fault of the configuration: those that can are enough, or none fits.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let fault = |error: String| TargetError::CaFile(path.display().to_string(), error);
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TargetError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}
