//! The way to WAHA's WebSocket: a connection and a handshake, within one wait.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, http::Uri};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::dial::{NoConnection, Stream, Target, TargetError};
use crate::waha::events::{EVENT_MAX, feed_path};

/// Longest wait for a connection, from the name to the end of the handshake.
const DIAL_WAIT: Duration = Duration::from_secs(10);
/// Bytes read at once: events are small.
const READ_BUFFER: usize = 16 * 1024;

/// Where the feed is. Prints no key.
#[derive(Clone)]
pub struct SocketSettings {
    target: Target,
    /// With the key in it.
    uri: Uri,
}

impl fmt::Debug for SocketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketSettings({:?})", self.target)
    }
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
    ) -> Result<Self, TargetError> {
        let unnamed = || TargetError::Name(host.to_owned());
        let scheme = if tls { "wss" } else { "ws" };
        // What is wrong is not told: the key is part of it.
        let uri = format!("{scheme}://{authority}{}", feed_path(key)).parse().map_err(|_| unnamed())?;
        Ok(Self { target: Target::new(host, port, tls, ca_file)?, uri })
    }
}

/// An open feed.
pub(super) type Socket = WebSocketStream<Stream>;

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
        let stream = settings.target.connect().await.map_err(without)?;
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

const fn without(none: NoConnection) -> NoFeed {
    match none {
        NoConnection::Dns => NoFeed::Dns,
        NoConnection::Refused | NoConnection::TimedOut => NoFeed::Unreachable,
        NoConnection::Tls => NoFeed::Tls,
    }
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
        assert!(matches!(error, TargetError::CaFile(..)), "{error}");
        assert!(SocketSettings::new("w", 443, "w", true, None, None).is_ok());
    }
}
