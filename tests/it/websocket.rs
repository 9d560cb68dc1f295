//! WAHA's event feed passes: the bot's own listener must not notice that we are there.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use waha_watchdog::fake_waha::{FakeWaha, Options};

use super::harness::{CHAT, Config, PATIENCE, Sidecar, quick};

type Socket = WebSocketStream<TcpStream>;

async fn listen(sidecar: &Sidecar, query: &str) -> Socket {
    let stream = TcpStream::connect(sidecar.proxy()).await.unwrap();
    let url = format!("ws://waha.example/ws?{query}");
    let (socket, response) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    assert_eq!(response.status(), 101);
    socket
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("a frame in time").expect("a frame").expect("a sound frame")
}

#[tokio::test]
async fn frames_pass_both_ways() {
    let waha = FakeWaha::start(Options { api_key: Some("k".to_owned()), ..quick() }).await.unwrap();
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let mut socket = listen(&sidecar, "session=*&events=message.any&x-api-key=k").await;

    socket.send(Message::Ping("are you there?".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("are you there?".into()));
    sidecar.metric_when("proxy_tunnels", 1.0).await;

    let answer = sidecar.bot().text_with(CHAT, "hola", &[("X-Api-Key", "k")]).await;
    assert_eq!(answer.status, 201);
    let Message::Text(event) = next(&mut socket).await else { panic!("a text frame") };
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["event"], &event["payload"]["body"]), (&"message.any".into(), &"hola".into()));

    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.unwrap() {}
    sidecar.metric_when("proxy_tunnels", 0.0).await;
    waha.shutdown().await;
}

#[tokio::test]
async fn a_wrong_key_is_closed_as_waha_closes_it() {
    let waha = FakeWaha::start(Options { api_key: Some("k".to_owned()), ..quick() }).await.unwrap();
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let mut socket = listen(&sidecar, "session=*&x-api-key=wrong").await;
    let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("a close frame with a code") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Policy, "Unauthorized"));
    waha.shutdown().await;
}

#[tokio::test]
async fn a_tunnel_does_not_keep_the_sidecar_from_stopping() {
    let waha = FakeWaha::start(quick()).await.unwrap();
    let mut sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let mut socket = listen(&sidecar, "session=*").await;
    sidecar.metric_when("proxy_tunnels", 1.0).await;
    sidecar.stop().await;
    while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.unwrap() {}
    waha.shutdown().await;
}
