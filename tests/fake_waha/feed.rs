//! Events: the WebSocket feed and webhooks.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha512;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use waha_watchdog::fake_waha::{
    AckDelays, FakeWaha, Fault, FaultKind, Options, SessionOptions, SessionStatus,
};

use crate::client::{PATIENCE, post, until};

const CHAT: &str = "5511988887777@c.us";

fn options() -> Options {
    Options {
        time_scale: 0.01,
        acks: AckDelays { read: Some(Duration::from_secs(2)), ..AckDelays::default() },
        ..Options::default()
    }
}

type Feed = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn listen(waha: &FakeWaha, query: &str) -> Feed {
    connect_async(format!("ws://{}/ws?{query}", waha.addr())).await.unwrap().0
}

async fn next(feed: &mut Feed) -> Value {
    let received = tokio::time::timeout(PATIENCE, feed.next()).await.expect("an event in time");
    serde_json::from_str(received.unwrap().unwrap().to_text().unwrap()).unwrap()
}

async fn send(waha: &FakeWaha, text: &str) -> Value {
    let body = json!({"session": "default", "chatId": CHAT, "text": text});
    post(waha.addr(), "/api/sendText", &body).await.unwrap().json()
}

#[tokio::test]
async fn a_message_is_echoed_and_confirmed_step_by_step() {
    let waha = FakeWaha::start(options()).await.unwrap();
    let mut feed = listen(&waha, "session=*&events=message.any,message.ack").await;
    let sent = send(&waha, "hello").await;
    let echo = next(&mut feed).await;
    assert_eq!(
        (&echo["event"], &echo["session"], &echo["engine"]),
        (&json!("message.any"), &json!("default"), &json!("NOWEB"))
    );
    assert!(echo["id"].as_str().unwrap().starts_with("evt_"));
    assert!(echo["timestamp"].as_i64().unwrap() > 1_500_000_000_000, "milliseconds");
    assert_eq!(echo["environment"]["engine"], "NOWEB");
    assert_eq!(echo["me"]["id"], "5511900000000@c.us");
    assert_eq!((&echo["payload"]["body"], &echo["payload"]["fromMe"]), (&json!("hello"), &json!(true)));
    let id = format!("true_{CHAT}_{}", sent["key"]["id"].as_str().unwrap());
    assert_eq!(echo["payload"]["id"], id.as_str());
    for (ack, name) in [(1, "SERVER"), (2, "DEVICE"), (3, "READ")] {
        let event = next(&mut feed).await;
        assert_eq!((&event["event"], &event["payload"]["ack"]), (&json!("message.ack"), &json!(ack)));
        assert_eq!((&event["payload"]["ackName"], &event["payload"]["id"]), (&json!(name), &json!(id)));
    }
    waha.shutdown().await;
    assert!(!matches!(feed.next().await, Some(Ok(Message::Text(_)))), "the feed ends with WAHA");
}

#[tokio::test]
async fn a_restart_is_told_status_by_status() {
    let waha = FakeWaha::start(options()).await.unwrap();
    let mut feed = listen(&waha, "session=default&events=session.status").await;
    post(waha.addr(), "/api/sessions/default/restart", &json!({})).await.unwrap();
    for status in ["STOPPED", "STARTING", "WORKING"] {
        let event = next(&mut feed).await;
        assert_eq!(
            (&event["event"], &event["payload"]["status"]),
            (&json!("session.status"), &json!(status))
        );
        assert_eq!(event["payload"]["name"], "default");
        let statuses = event["payload"]["statuses"].as_array().unwrap();
        assert!(statuses.len() <= 3);
        assert_eq!(statuses.last().unwrap()["status"], status);
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn a_blind_feed_says_nothing_while_it_is_blind() {
    let waha = FakeWaha::start(options()).await.unwrap();
    let mut feed = listen(&waha, "").await;
    waha.faults().add(Fault::always(FaultKind::BlindFeed));
    send(&waha, "unseen").await;
    waha.set_session("default", SessionStatus::Failed);
    waha.faults().clear();
    waha.set_session("default", SessionStatus::Working);
    let event = next(&mut feed).await;
    assert_eq!(event["payload"]["status"], "WORKING", "{event}");
    waha.shutdown().await;
}

#[tokio::test]
async fn the_feed_takes_its_key_from_the_query_alone() {
    let waha = FakeWaha::start(Options { api_key: Some("k".into()), ..options() }).await.unwrap();
    let mut feed = listen(&waha, "session=*").await;
    let Some(Ok(Message::Close(Some(frame)))) = feed.next().await else { panic!("not closed") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "Unauthorized"));
    let mut feed = listen(&waha, "session=*&x-api-key=k").await;
    waha.set_session("default", SessionStatus::Failed);
    assert_eq!(next(&mut feed).await["payload"]["status"], "FAILED");
    feed.send(Message::Close(None)).await.unwrap();
    waha.shutdown().await;
}

#[tokio::test]
async fn an_outage_cuts_the_feed() {
    let mut waha = FakeWaha::start(options()).await.unwrap();
    let mut feed = listen(&waha, "").await;
    waha.go_down().await;
    let ended = tokio::time::timeout(PATIENCE, feed.next()).await.expect("the end of the feed");
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    waha.shutdown().await;
}

/// Head, in lower case, and body.
type Delivery = (String, Vec<u8>);

/// A receiver of webhooks that answers as told and keeps what it got.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    async fn start(answers: &'static [&'static str]) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let this = Self::default();
        let receiver = this.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    stream.read_buf(&mut bytes).await.unwrap();
                    let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                    let head = String::from_utf8(bytes[..at].to_vec()).unwrap().to_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                    if bytes.len() >= at + 4 + length {
                        break (head, bytes[at + 4..].to_vec());
                    }
                };
                receiver.got.lock().unwrap().push((head, body));
                let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (this, url)
    }

    fn got(&self) -> Vec<Delivery> {
        self.got.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_until_it_is_taken() {
    let (receiver, url) = Receiver::start(&["500 Oops", "404 Not Found", "204 No Content"]).await;
    let session = SessionOptions::working("default").with_webhook(&url, &["session.status"], Some("secret"));
    let waha = FakeWaha::start(Options { sessions: vec![session], ..options() }).await.unwrap();
    let start = Instant::now();
    send(&waha, "not asked for").await;
    waha.set_session("default", SessionStatus::Failed);
    until("it is taken", async || receiver.got().len() == 3).await;
    assert!(start.elapsed() >= Duration::from_millis(2 * 20), "two pauses of WAHA's 2 s, scaled");
    let got = receiver.got();
    for (head, body) in &got {
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
        };
        let mut mac = Hmac::<Sha512>::new_from_slice(b"secret").unwrap();
        mac.update(body);
        let signature: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header("x-webhook-hmac"), Some(signature));
        assert_eq!(header("x-webhook-hmac-algorithm").as_deref(), Some("sha512"));
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        assert!(header("user-agent").unwrap().starts_with("waha/"));
        assert!(header("x-webhook-timestamp").unwrap().parse::<i64>().unwrap() > 1_500_000_000_000);
        assert!(header("x-webhook-request-id").is_some());
        assert_eq!(body, &got[0].1, "each attempt carries the same event");
    }
    let event: Value = serde_json::from_slice(&got[0].1).unwrap();
    assert_eq!((&event["event"], &event["payload"]["status"]), (&json!("session.status"), &json!("FAILED")));
    waha.shutdown().await;
}

#[tokio::test]
async fn a_webhook_of_the_environment_hears_of_every_session() {
    let (receiver, url) = Receiver::start(&["200 OK"]).await;
    let webhooks = vec![json!({"url": url, "events": ["*"]})];
    let waha = FakeWaha::start(Options { webhooks, ..options() }).await.unwrap();
    waha.set_session("another", SessionStatus::Stopped);
    until("it is told", async || receiver.got().len() == 1).await;
    let event: Value = serde_json::from_slice(&receiver.got()[0].1).unwrap();
    assert_eq!(event["session"], "another");
    waha.shutdown().await;
}
