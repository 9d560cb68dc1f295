//! WAHA's events as the sidecar follows them: through a real socket, from a look-alike that fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use waha_watchdog::clock::Clock;
use waha_watchdog::domain::confirmation::FeedEvent;
use waha_watchdog::domain::confirmation::{Confirmation, FeedState, MessageId, News};
use waha_watchdog::domain::probe::SessionState;
use waha_watchdog::events::SocketSettings;
use waha_watchdog::events::socket::{CHANNEL, follow};
use waha_watchdog::fake_waha::{AckDelays, Engine, FakeWaha, Fault, FaultKind, Options, SessionStatus};

use super::harness::{Bot, CHAT, PATIENCE, quick};

struct Feed {
    told: Receiver<FeedEvent>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Feed {
    /// Of a look-alike, over plain TCP.
    fn start(waha: &FakeWaha, key: Option<&str>) -> Self {
        let address = waha.addr();
        let settings = SocketSettings::new(
            &address.ip().to_string(),
            address.port(),
            &address.to_string(),
            false,
            None,
            key,
        )
        .unwrap();
        Self::follow(settings)
    }

    fn follow(settings: SocketSettings) -> Self {
        let (sender, told) = channel(CHANNEL);
        let stop = CancellationToken::new();
        let task = tokio::task::spawn_local(follow(settings, Clock::system(), sender, stop.clone()));
        Self { told, stop, task }
    }

    async fn next(&mut self) -> FeedEvent {
        timeout(PATIENCE, self.told.recv()).await.expect("an event in time").expect("a feed that runs")
    }

    async fn state(&mut self, expected: FeedState) {
        assert_eq!(self.next().await, FeedEvent::State(expected));
    }

    async fn connected(&mut self) {
        self.state(FeedState::Connecting).await;
        self.state(FeedState::Connected).await;
    }

    async fn news(&mut self) -> News {
        match self.next().await {
            FeedEvent::Item(item) => {
                assert_eq!(item.session.as_str(), "default");
                item.news
            }
            FeedEvent::State(state) => panic!("{state:?}"),
        }
    }

    /// Nothing is told for a while.
    async fn is_quiet(&mut self) {
        let heard = timeout(Duration::from_millis(300), self.told.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    async fn stop(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("the end in time").unwrap();
        assert_eq!(self.told.recv().await, None);
    }
}

/// Sends, and tells the message's id.
async fn send(waha: &FakeWaha, text: &str) -> MessageId {
    let answer = Bot { at: waha.addr() }.text(CHAT, text).await;
    assert_eq!(answer.status, 201);
    let reading = waha_watchdog::waha::reply::read(201, &answer.body);
    MessageId::new(&reading.message_id.unwrap()).unwrap()
}

fn options() -> Options {
    Options { acks: AckDelays { read: Some(Duration::from_secs(2)), ..AckDelays::default() }, ..quick() }
}

#[tokio::test]
async fn a_send_is_echoed_and_acked_with_every_engine() {
    for engine in [Engine::Noweb, Engine::Gows, Engine::Webjs] {
        LocalSet::new()
            .run_until(async {
                let waha = FakeWaha::start(Options { engine, ..options() }).await.unwrap();
                let mut feed = Feed::start(&waha, None);
                feed.connected().await;
                let id = send(&waha, "hola").await;
                assert_eq!(feed.news().await, News::Echo(id.clone()), "{engine:?}");
                for ack in [Confirmation::Server, Confirmation::Device, Confirmation::Read] {
                    assert_eq!(feed.news().await, News::Ack(id.clone(), ack), "{engine:?}");
                }
                feed.stop().await;
                waha.shutdown().await;
            })
            .await;
    }
}

#[tokio::test]
async fn acks_that_fail_or_stay_away_show_as_they_are() {
    LocalSet::new()
        .run_until(async {
            let waha = FakeWaha::start(options()).await.unwrap();
            let mut feed = Feed::start(&waha, None);
            feed.connected().await;

            waha.faults().add(Fault::always(FaultKind::NoAcks));
            let id = send(&waha, "never acked").await;
            assert_eq!(feed.news().await, News::Echo(id));
            feed.is_quiet().await;

            waha.faults().clear();
            waha.faults().add(Fault::always(FaultKind::AckError));
            let id = send(&waha, "failed").await;
            assert_eq!(feed.news().await, News::Echo(id.clone()));
            assert_eq!(feed.news().await, News::Ack(id, Confirmation::Error));

            waha.faults().clear();
            waha.faults().add(Fault::always(FaultKind::BlindFeed));
            send(&waha, "unseen").await;
            feed.is_quiet().await;

            waha.faults().clear();
            waha.set_session("default", SessionStatus::ScanQrCode);
            assert_eq!(feed.news().await, News::State(SessionState::ScanQrCode));
            feed.stop().await;
            waha.shutdown().await;
        })
        .await;
}

#[tokio::test]
async fn a_waha_that_was_away_is_followed_again() {
    LocalSet::new()
        .run_until(async {
            let mut waha = FakeWaha::start(options()).await.unwrap();
            let mut feed = Feed::start(&waha, None);
            feed.connected().await;
            waha.go_down().await;
            feed.state(FeedState::Connecting).await;
            waha.come_up().await.unwrap();
            feed.state(FeedState::Connected).await;
            let id = send(&waha, "after the outage").await;
            assert_eq!(feed.news().await, News::Echo(id));

            // One that is away from the start is waited for too.
            feed.stop().await;
            waha.go_down().await;
            let mut feed = Feed::start(&waha, None);
            feed.state(FeedState::Connecting).await;
            feed.is_quiet().await;
            waha.come_up().await.unwrap();
            feed.state(FeedState::Connected).await;
            feed.stop().await;
            waha.shutdown().await;
        })
        .await;
}

#[tokio::test]
async fn a_wrong_key_is_said_to_be_refused() {
    LocalSet::new()
        .run_until(async {
            let waha =
                FakeWaha::start(Options { api_key: Some("k&=ñ".to_owned()), ..options() }).await.unwrap();
            for key in [None, Some("wrong")] {
                let mut feed = Feed::start(&waha, key);
                feed.state(FeedState::Connecting).await;
                feed.state(FeedState::Refused).await;
                feed.is_quiet().await;
                feed.stop().await;
            }
            let mut feed = Feed::start(&waha, Some("k&=ñ"));
            feed.connected().await;
            // Of every session.
            waha.set_session("another", SessionStatus::Working);
            let FeedEvent::Item(item) = feed.next().await else { panic!("a state of the feed") };
            assert_eq!((item.session.as_str(), item.news), ("another", News::State(SessionState::Working)));
            feed.stop().await;
            waha.shutdown().await;
        })
        .await;
}

/// A gateway that speaks TLS with a certificate of the authority in `tests/data/tls`, before a look-alike.
async fn tls_gateway(waha: &FakeWaha) -> u16 {
    let certificate = CertificateDer::from_pem_file(tls_file("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("localhost-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), waha.addr());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

#[tokio::test]
async fn over_tls_the_authority_of_the_file_is_trusted_and_no_other() {
    LocalSet::new()
        .run_until(async {
            let waha = FakeWaha::start(options()).await.unwrap();
            let port = tls_gateway(&waha).await;
            let settings = |ca_file: Option<&Path>| {
                SocketSettings::new("localhost", port, &format!("localhost:{port}"), true, ca_file, None)
                    .unwrap()
            };
            let mut feed = Feed::follow(settings(Some(&tls_file("ca.pem"))));
            feed.connected().await;
            let id = send(&waha, "hola").await;
            assert_eq!(feed.news().await, News::Echo(id));
            feed.stop().await;

            let mut feed = Feed::follow(settings(None));
            feed.state(FeedState::Connecting).await;
            feed.is_quiet().await;
            feed.stop().await;
            waha.shutdown().await;
        })
        .await;
}
