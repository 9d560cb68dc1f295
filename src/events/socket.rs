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

use super::dial::{NoFeed, SocketSettings, dial};
use crate::clock::{Clock, instant};
use crate::domain::backoff::Backoff;
use crate::domain::confirmation::FeedEvent;
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

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc::{Receiver, channel};
    use tokio::task::JoinHandle;
    use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

    use super::super::dial::limits;
    use super::*;
    use crate::domain::confirmation::{Confirmation, MessageId, News};

    const ACK: &str = r#"{"event":"message.ack","session":"shop","payload":{"id":"true_1@c.us_3EB0","fromMe":true,"ack":2}}"#;

    /// WAHA's end, what is told of the feed, and how it ended. Time is paused: it passes where all wait.
    struct Bench {
        waha: WebSocketStream<DuplexStream>,
        told: Receiver<FeedEvent>,
        end: JoinHandle<Result<NoFeed, Unheard>>,
    }

    impl Bench {
        async fn start(channel_size: usize) -> Self {
            let (ours, theirs) = tokio::io::duplex(4 * 1024 * 1024);
            let socket = WebSocketStream::from_raw_socket(ours, Role::Client, Some(limits())).await;
            let waha = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
            let (sender, told) = channel(channel_size);
            let end = tokio::spawn(async move {
                let mut teller = Teller::new(&sender);
                teller.state(FeedState::Connecting).await?;
                let end = listen(socket, &mut teller).await?;
                teller.ended(end).await?;
                Ok(end)
            });
            let mut bench = Self { waha, told, end };
            assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connecting));
            bench
        }

        async fn next(&mut self) -> FeedEvent {
            self.told.recv().await.unwrap()
        }

        async fn end(self) -> NoFeed {
            self.end.await.unwrap().unwrap()
        }
    }

    fn acked() -> FeedEvent {
        let FeedEvent::Item(item) = parse(ACK.as_bytes()).map(FeedEvent::Item).unwrap() else {
            unreachable!()
        };
        assert_eq!(item.news, News::Ack(MessageId::new("3EB0").unwrap(), Confirmation::Device));
        FeedEvent::Item(item)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_is_told_in_order_and_noise_is_not() {
        let mut bench = Bench::start(16).await;
        for text in ["hola", ACK, "{}", ACK] {
            bench.waha.send(Message::text(text)).await.unwrap();
        }
        bench.waha.send(Message::binary(ACK.as_bytes())).await.unwrap();
        bench.waha.close(None).await.unwrap();
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connected));
        assert_eq!(bench.next().await, acked());
        assert_eq!(bench.next().await, acked());
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connecting));
        assert_eq!(bench.end().await, NoFeed::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_never_told_as_a_connection() {
        let mut bench = Bench::start(16).await;
        sleep(PROOF / 2).await;
        let frame = CloseFrame { code: CloseCode::Policy, reason: "Unauthorized".into() };
        bench.waha.close(Some(frame)).await.unwrap();
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Refused));
        assert_eq!(bench.end().await, NoFeed::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_feed_is_asked_and_then_given_up() {
        let mut bench = Bench::start(16).await;
        let began = instant();
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connected));
        assert_eq!(instant() - began, PROOF);
        // Asked, it answers: pongs are sent where somebody reads.
        assert!(matches!(bench.waha.next().await, Some(Ok(Message::Ping(_)))));
        assert_eq!(instant() - began, PROOF + QUIET);
        bench.waha.flush().await.unwrap();
        // Asked again, it does not.
        sleep(QUIET * 2).await;
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connecting));
        assert_eq!(bench.end().await, NoFeed::Silent);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_waha_keep_a_quiet_feed_and_are_answered() {
        let mut bench = Bench::start(16).await;
        for _ in 0..10 {
            sleep(Duration::from_secs(60)).await;
            bench.waha.send(Message::Ping(Bytes::new())).await.unwrap();
            assert!(matches!(bench.waha.next().await, Some(Ok(Message::Pong(_)))));
        }
        assert!(!bench.end.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_reader_holds_us_and_nothing_is_lost() {
        let mut bench = Bench::start(1).await;
        for _ in 0..100 {
            bench.waha.send(Message::text(ACK)).await.unwrap();
        }
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(bench.next().await, FeedEvent::State(FeedState::Connected));
        for _ in 0..100 {
            assert_eq!(bench.next().await, acked());
        }
        bench.told.close();
        bench.waha.send(Message::text(ACK)).await.unwrap();
        assert_eq!(bench.end.await.unwrap(), Err(Unheard));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_too_large_ends_the_connection() {
        let mut bench = Bench::start(16).await;
        let large = "x".repeat(crate::waha::events::EVENT_MAX + 1);
        bench.waha.send(Message::text(large)).await.unwrap();
        assert_eq!(bench.end().await, NoFeed::TooLarge);
    }
}
