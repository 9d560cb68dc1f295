//! WAHA's feed over its WebSocket: connected, watched, connected again, for as long as the sidecar runs.
//!
//! A feed that is silent is not told from one that is dead but by asking: WAHA pings every minute, and where it does not, we do. Whoever
//! reads the channel late makes us read WAHA late; nothing is piled up here.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use super::FeedEvent;
use super::dial::{NoFeed, SocketSettings, dial};
use crate::clock::{Clock, instant};
use crate::domain::backoff::Backoff;
use crate::domain::confirmation::FeedState;
use crate::waha::events::parse;

/// A good room for the channel: what WAHA tells in a busy minute.
pub const CHANNEL: usize = 4096;

/// How long to wait before connecting again.
const AGAIN: Backoff =
    Backoff { first: Duration::from_secs(1), factor: 2.0, jitter: 0.2, longest: Duration::from_secs(30) };
/// The same where our key is refused: a person has to act first.
const AGAIN_REFUSED: Duration = Duration::from_secs(60);
/// WAHA refuses a key only after the handshake: one that was not refused for this long is taken.
const PROOF: Duration = Duration::from_secs(1);
/// A connection that held for this long was a good one: the next wait is the first again.
const STEADY: Duration = Duration::from_secs(30);
/// Neither an event nor a ping for this long: we ask.
const QUIET: Duration = Duration::from_secs(90);
/// No sign for this long after we asked: it is dead.
const PONG_WAIT: Duration = Duration::from_secs(30);

/// Follows the feed until `stop`, or until nobody listens to `sender` any more.
pub async fn follow(
    settings: SocketSettings,
    clock: Clock,
    sender: Sender<FeedEvent>,
    stop: CancellationToken,
) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = sender.closed() => {}
        _ = keep_following(&settings, &clock, Teller::new(&sender)) => {}
    }
}

async fn keep_following(
    settings: &SocketSettings,
    clock: &Clock,
    mut teller: Teller<'_>,
) -> Result<Infallible, Unheard> {
    teller.state(FeedState::Connecting).await?;
    let mut tries = 0_u32;
    loop {
        let began = instant();
        let end = match dial(settings).await {
            Ok(socket) => listen(socket, &mut teller).await?,
            Err(end) => end,
        };
        teller.ended(end).await?;
        let wait = if end == NoFeed::Refused {
            tries = 0;
            AGAIN_REFUSED
        } else {
            tries = if instant() - began >= STEADY { 1 } else { tries.saturating_add(1) };
            AGAIN.after(tries, clock.chance())
        };
        sleep(wait).await;
    }
}

/// Listens until the feed ends, and says why it did.
async fn listen<S>(mut socket: WebSocketStream<S>, teller: &mut Teller<'_>) -> Result<NoFeed, Unheard>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut proven, mut asked) = (false, false);
    loop {
        let patience = match (proven, asked) {
            (false, _) => PROOF,
            (true, false) => QUIET,
            (true, true) => PONG_WAIT,
        };
        let message = match timeout(patience, socket.next()).await {
            Ok(Some(Ok(Message::Close(frame)))) => {
                let refused = frame.is_some_and(|frame| frame.code == CloseCode::Policy);
                return Ok(if refused { NoFeed::Refused } else { NoFeed::Closed });
            }
            Ok(Some(Ok(message))) => Some(message),
            Ok(Some(Err(Error::Capacity(_)))) => return Ok(NoFeed::TooLarge),
            Ok(Some(Err(_))) => return Ok(NoFeed::Broken),
            Ok(None) => return Ok(NoFeed::Closed),
            Err(_) if asked => return Ok(NoFeed::Silent),
            Err(_) => None,
        };
        match message {
            // Not refused all this time: our key is good.
            None if !proven => {}
            None => {
                let ping = socket.send(Message::Ping(Bytes::new()));
                if !matches!(timeout(PONG_WAIT, ping).await, Ok(Ok(()))) {
                    return Ok(NoFeed::Silent);
                }
                asked = true;
            }
            Some(_) => asked = false,
        }
        proven = true;
        teller.connected().await?;
        if let Some(Message::Text(text)) = message
            && let Some(item) = parse(text.as_bytes())
        {
            teller.tell(FeedEvent::Item(item)).await?;
        }
    }
}

/// Nobody listens to us any more.
#[derive(Debug, PartialEq, Eq)]
struct Unheard;

/// Tells what was heard, and the feed's state where it changes.
struct Teller<'a> {
    sender: &'a Sender<FeedEvent>,
    state: FeedState,
    /// The log knows that there is no feed, and why.
    complained: bool,
}

impl<'a> Teller<'a> {
    const fn new(sender: &'a Sender<FeedEvent>) -> Self {
        Self { sender, state: FeedState::Off, complained: false }
    }

    async fn tell(&self, event: FeedEvent) -> Result<(), Unheard> {
        self.sender.send(event).await.map_err(|_| Unheard)
    }

    async fn state(&mut self, state: FeedState) -> Result<(), Unheard> {
        if self.state == state {
            return Ok(());
        }
        self.state = state;
        self.tell(FeedEvent::State(state)).await
    }

    async fn connected(&mut self) -> Result<(), Unheard> {
        if self.state != FeedState::Connected {
            self.complained = false;
            tracing::info!("following WAHA's events");
        }
        self.state(FeedState::Connected).await
    }

    /// A connection ended, or came to nothing.
    async fn ended(&mut self, end: NoFeed) -> Result<(), Unheard> {
        let state = if end == NoFeed::Refused { FeedState::Refused } else { FeedState::Connecting };
        // Once for each outage; and again where its nature changes, since then somebody else has to act.
        if !self.complained || state != self.state {
            self.complained = true;
            tracing::warn!(reason = %end, "WAHA's events are not heard: delivery is not confirmed meanwhile");
        }
        self.state(state).await
    }
}
