//! The way to WAHA's WebSocket: name, TCP, TLS, handshake, all within one wait.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, http::Uri};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use crate::waha::events::{EVENT_MAX, feed_path};

/// Longest wait for a connection, from the name to the end of the handshake.
const DIAL_WAIT: Duration = Duration::from_secs(10);
/// Bytes read at once: events are small.
const READ_BUFFER: usize = 16 * 1024;

/// Where the feed is. Prints no key.
#[derive(Clone)]
pub struct SocketSettings {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// With the key in it.
    uri: Uri,
}

impl fmt::Debug for SocketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketSettings({}:{}, tls {})", self.host, self.port, self.tls.is_some())
    }
}

/// Why a feed cannot be followed at all.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
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

impl SocketSettings {
    /// The feed of the WAHA at `host:port`, called `authority`, over TLS or not; `ca_file` holds further certificates to trust, as PEM.
    /// `key` is the sidecar's own.
    ///
    /// # Errors
    /// Where the name or the certificates cannot be used.
    pub fn new(
        host: &str,
        port: u16,
        authority: &str,
        tls: bool,
        ca_file: Option<&Path>,
        key: Option<&str>,
    ) -> Result<Self, DialError> {
        let unnamed = || DialError::Name(host.to_owned());
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let scheme = if tls { "wss" } else { "ws" };
        // What is wrong is not told: the key is part of it.
        let uri = format!("{scheme}://{authority}{}", feed_path(key)).parse().map_err(|_| unnamed())?;
        let tls = if tls {
            let name = ServerName::try_from(bare.clone()).map_err(|_| unnamed())?;
            Some((connector(ca_file)?, name))
        } else {
            None
        };
        Ok(Self { host: bare, port, tls, uri })
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, DialError> {
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are no fault of the configuration: those that can are enough, or none fits.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let fault = |error: String| DialError::CaFile(path.display().to_string(), error);
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DialError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An open feed.
pub(super) type Socket = WebSocketStream<Stream>;
type Stream = Either<TcpStream, tokio_rustls::client::TlsStream<TcpStream>>;

/// Why there is no open feed now, as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoFeed {
    #[error("its name is not known")]
    Dns,
    #[error("nobody answers there")]
    Unreachable,
    #[error("TLS failed")]
    Tls,
    #[error("no connection within {} s", DIAL_WAIT.as_secs())]
    TooSlow,
    #[error("what answers speaks no WebSocket")]
    Strange,
    /// WAHA says so after the handshake; something in front of it, before.
    #[error("the key is refused")]
    Refused,
    #[error("it was closed")]
    Closed,
    #[error("the connection broke")]
    Broken,
    #[error("an event was too large")]
    TooLarge,
    #[error("it fell silent")]
    Silent,
}

/// Connects.
pub(super) async fn dial(settings: &SocketSettings) -> Result<Socket, NoFeed> {
    let dialing = async {
        let stream = connect(settings).await?;
        let request = settings.uri.clone().into_client_request().map_err(|_| NoFeed::Strange)?;
        match client_async_with_config(request, stream, Some(limits())).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer))
                if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
            {
                Err(NoFeed::Refused)
            }
            Err(Error::Io(_)) => Err(NoFeed::Unreachable),
            Err(_) => Err(NoFeed::Strange),
        }
    };
    // Rare and large: in a box, so that the future of the whole feed stays small.
    tokio::time::timeout(DIAL_WAIT, Box::pin(dialing)).await.unwrap_or(Err(NoFeed::TooSlow))
}

/// No event is larger than what is looked at of one, and little is written: pings, pongs, a close.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(READ_BUFFER)
        .max_message_size(Some(EVENT_MAX))
        .max_frame_size(Some(EVENT_MAX))
}

async fn connect(settings: &SocketSettings) -> Result<Stream, NoFeed> {
    let addresses = tokio::net::lookup_host((settings.host.as_str(), settings.port));
    let mut failure = NoFeed::Dns;
    for address in addresses.await.map_err(|_| NoFeed::Dns)? {
        let Ok(stream) = TcpStream::connect(address).await else {
            failure = NoFeed::Unreachable;
            continue;
        };
        let Some((connector, name)) = &settings.tls else { return Ok(Either::Left(stream)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(|_| NoFeed::Tls)?;
        return Ok(Either::Right(stream));
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_in_the_query_and_nowhere_else() {
        let settings =
            SocketSettings::new("::1", 3000, "[::1]:3000", false, None, Some("planted-key")).unwrap();
        let request = settings.uri.clone().into_client_request().unwrap();
        assert_eq!(request.uri().query().unwrap().split("x-api-key=").nth(1), Some("planted%2Dkey"));
        assert_eq!(request.headers()["host"], "[::1]:3000");
        let shown = format!("{settings:?}");
        assert!(!shown.contains("planted"), "{shown}");
    }

    #[test]
    fn what_cannot_be_a_feed_is_refused_at_once_and_without_the_key() {
        let error = SocketSettings::new("a b", 80, "a b", false, None, Some("planted")).unwrap_err();
        assert_eq!(error.to_string(), "waha.url: a b is not a name that can be asked for");
        let missing = Path::new("/nonexistent/ca.pem");
        let error = SocketSettings::new("w", 443, "w", true, Some(missing), None).unwrap_err();
        assert!(matches!(error, DialError::CaFile(..)), "{error}");
        assert!(SocketSettings::new("w", 443, "w", true, None, None).is_ok());
    }
}
