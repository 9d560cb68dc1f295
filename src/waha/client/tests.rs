//! The client against the look-alike of WAHA.

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock::Clock;
use crate::domain::confirmation::{Confirmation, MessageId};
use crate::domain::errand::Looked;
use crate::domain::id::ChatId;
use crate::domain::ledger::StoredRequest;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{Engine, ProbeResult, Restriction, SessionState};
use crate::domain::time::Timestamp;
use crate::fake_waha::{self, AckDelays, FakeWaha, Fault, FaultKind, Options, SessionOptions, SessionStatus};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);
const CHAT: &str = "5511988887777@c.us";

async fn start(options: Options) -> (FakeWaha, WahaClient) {
    let options = Options { time_scale: 0.001, api_key: Some("ours".into()), ..options };
    let waha = FakeWaha::start(options).await.unwrap();
    let client = client_of(&waha.url(), Some("ours"));
    (waha, client)
}

fn client_of(url: &str, key: Option<&str>) -> WahaClient {
    WahaClient::new(url.to_owned(), key.map(str::to_owned), None).unwrap()
}

/// A place where nobody listens.
fn nowhere() -> WahaClient {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    client_of(&format!("http://127.0.0.1:{port}"), None)
}

/// A place that takes connections and says nothing, as long as the listener lives.
fn silent() -> (TcpListener, WahaClient) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client_of(&format!("http://{}", listener.local_addr().unwrap()), None);
    (listener, client)
}

fn session() -> SessionName {
    SessionName::new("default").unwrap()
}

fn chat() -> ChatId {
    ChatId::new(CHAT).unwrap()
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn request(target: &str, body: &str) -> StoredRequest {
    StoredRequest {
        method: "POST".into(),
        target: target.into(),
        content_type: Some("application/json".into()),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn hola() -> StoredRequest {
    request("/api/sendText", r#"{"session":"default","chatId":"5511988887777@c.us","text":"hola"}"#)
}

#[tokio::test]
async fn a_probe_in_every_state() {
    let (waha, client) = start(Options { engine: fake_waha::Engine::Gows, ..Options::default() }).await;
    let rows = [
        (SessionStatus::Working, SessionState::Working, Engine::Gows),
        (SessionStatus::Starting, SessionState::Starting, Engine::Gows),
        (SessionStatus::ScanQrCode, SessionState::ScanQrCode, Engine::Gows),
        (SessionStatus::PasskeyRequired, SessionState::PasskeyRequired, Engine::Gows),
        (SessionStatus::PasskeyConfirmationRequired, SessionState::PasskeyRequired, Engine::Gows),
        (SessionStatus::Failed, SessionState::Failed, Engine::Gows),
        (SessionStatus::Stopped, SessionState::Stopped, Engine::Other),
    ];
    for (status, state, engine) in rows {
        waha.set_session("default", status);
        let expected = ProbeResult::State { state, engine, restriction: Restriction::default() };
        assert_eq!(client.probe(&session(), now(), LONG).await, expected);
    }
}

#[tokio::test]
async fn probes_without_a_state() {
    let (waha, client) = start(Options::default()).await;
    let other = SessionName::new("../other ñ").unwrap();
    assert_eq!(client.probe(&other, now(), LONG).await, ProbeResult::Missing);
    let stranger = client_of(&waha.url(), Some("wrong"));
    assert_eq!(stranger.probe(&session(), now(), LONG).await, ProbeResult::Unauthorized);
    assert_eq!(nowhere().probe(&session(), now(), LONG).await, ProbeResult::Unreachable);
    let (_listener, mute) = silent();
    assert_eq!(mute.probe(&session(), now(), SHORT).await, ProbeResult::TimedOut);
    let broken = Fault {
        when: fake_waha::FaultWhen { path: Some("/api/sessions".into()), ..Default::default() },
        what: FaultKind::Status500("x".into()),
    };
    waha.faults().add(broken);
    assert_eq!(client.probe(&session(), now(), LONG).await, ProbeResult::Strange);
}

#[tokio::test]
async fn a_send_that_is_accepted_names_its_message() {
    let (waha, client) = start(Options::default()).await;
    let sent = client.send_text(&session(), &chat(), "pedido listo", LONG).await;
    assert_eq!((sent.outcome, sent.cause, sent.status), (Outcome::Accepted, None, Some(201)));
    assert_eq!(waha.phones().times(CHAT, "pedido listo"), 1);
    let shown = waha.phones().chat(CHAT)[0].clone();
    assert_eq!(sent.message_id.as_ref().map(MessageId::as_str), Some(shown.message_id.as_str()));
    assert!(!sent.answer.unwrap().body.is_empty());
}

#[tokio::test]
async fn a_send_goes_out_under_our_id_but_never_over_the_bots() {
    let (waha, client) = start(Options::default()).await;
    let id = MessageId::new("3EB0AAAAAAAAAAAAAAAAAA").unwrap();
    for _ in 0..2 {
        assert_eq!(client.send(&hola(), Some(&id), LONG).await.message_id, Some(id.clone()));
    }
    let shown = waha.phones().chat(CHAT)[0].clone();
    assert_eq!((shown.times_displayed, shown.times_relayed), (1, 2), "to the phone both are one message");
    let named = request(
        "/api/sendText",
        r#"{"session":"default","chatId":"5511988887777","text":"b","id":"3EB0BB"}"#,
    );
    assert_eq!(client.send(&named, Some(&id), LONG).await.message_id, MessageId::new("3EB0BB"));
    let nulled =
        request("/api/sendText", r#"{"id":null,"session":"default","chatId":"5511900000001","text":"c"}"#);
    assert_eq!(client.send(&nulled, Some(&id), LONG).await.message_id, Some(id));
}

#[tokio::test]
async fn sends_that_fail_are_judged_by_phase_and_body() {
    let (waha, client) = start(Options { engine: fake_waha::Engine::Gows, ..Options::default() }).await;
    let cases = [
        (FaultKind::DropBeforeReading, Outcome::Ambiguous, Cause::ConnectionLost),
        (FaultKind::DropAfterProcessing, Outcome::Ambiguous, Cause::ConnectionLost),
        (FaultKind::TruncateAnswer, Outcome::Ambiguous, Cause::TruncatedAnswer),
        (FaultKind::Hang, Outcome::Ambiguous, Cause::ResponseTimeout),
        (FaultKind::Status500("Timed Out".into()), Outcome::Ambiguous, Cause::ServerError),
        (FaultKind::Status422, Outcome::Failed, Cause::SessionNotWorking),
        (FaultKind::Restricted463, Outcome::Rejected, Cause::ContactRestricted),
        (FaultKind::NoLid, Outcome::Rejected, Cause::NumberNotOnWhatsapp),
        (FaultKind::Unauthorized, Outcome::Failed, Cause::Unauthorized),
    ];
    for (fault, outcome, cause) in cases {
        let id = waha.faults().add(Fault::always(fault.clone()));
        let limit = if fault == FaultKind::Hang { SHORT } else { LONG };
        let sent = client.send(&hola(), None, limit).await;
        assert_eq!((sent.outcome, sent.cause), (outcome, Some(cause)), "{fault:?}");
        waha.faults().remove(id);
    }
    let empty = waha.faults().add(Fault::always(FaultKind::EmptyBody));
    let sent = client.send(&hola(), None, LONG).await;
    assert_eq!((sent.outcome, sent.message_id), (Outcome::Accepted, None));
    waha.faults().remove(empty);
}

#[tokio::test]
async fn what_surely_was_not_sent() {
    let failed = async |client: WahaClient, target: &str| {
        let sent = client.send(&request(target, "{}"), None, LONG).await;
        (sent.outcome, sent.cause, sent.status)
    };
    let refused = Some(Cause::ConnectionRefused);
    assert_eq!(failed(nowhere(), "/api/sendText").await, (Outcome::Failed, refused, None));
    let nameless = client_of("http://waha.invalid:3000", None);
    assert_eq!(failed(nameless, "/api/sendText").await, (Outcome::Failed, Some(Cause::Dns), None));
    let (waha, client) = start(Options::default()).await;
    let plain = client_of(&waha.url().replace("http:", "https:"), None);
    assert_eq!(failed(plain, "/api/sendText").await, (Outcome::Failed, Some(Cause::Tls), None));
    // A kept target can never name another place.
    let bad = Some(Cause::BadRequest);
    assert_eq!(failed(client, "@127.0.0.1:1/api/sendText").await, (Outcome::Rejected, bad, None));
}

fn sought<'a>(
    session: &'a SessionName,
    chat: &'a ChatId,
    id: Option<&'a MessageId>,
    text: Option<&'a str>,
) -> Sought<'a> {
    Sought { session, chat, id, text, since: now() - Duration::from_secs(1) }
}

#[tokio::test]
async fn a_look_finds_what_went_out_by_id_and_by_text() {
    let acks = AckDelays { server: Some(Duration::ZERO), device: Some(Duration::ZERO), read: None };
    for engine in [fake_waha::Engine::Noweb, fake_waha::Engine::Gows, fake_waha::Engine::Webjs] {
        let (waha, client) = start(Options { engine, acks, ..Options::default() }).await;
        waha.faults().add(Fault::always(FaultKind::DropAfterProcessing));
        assert_eq!(client.send(&hola(), None, LONG).await.outcome, Outcome::Ambiguous);
        let id = MessageId::new(&waha.phones().chat(CHAT)[0].message_id).unwrap();
        let other = MessageId::new("3EB0BB").unwrap();
        let (session, chat) = (session(), chat());
        let found = async |id: Option<&MessageId>, text: Option<&str>| {
            client.look(&sought(&session, &chat, id, text), LONG).await
        };
        // Acks come by themselves.
        let delivered = Looked::Found { message: id.clone(), confirmation: Confirmation::Device };
        let all = async { while found(Some(&id), None).await != delivered {} };
        tokio::time::timeout(LONG, all).await.unwrap();
        assert_eq!(found(None, Some("hola")).await, delivered);
        assert_eq!(found(Some(&other), Some("hola")).await, delivered, "WAHA may ignore our id");
        assert_eq!(found(None, Some("hola?")).await, Looked::Absent);
        assert_eq!(found(Some(&other), None).await, Looked::Absent);
        let later = Sought { since: now() + LONG, ..sought(&session, &chat, None, Some("hola")) };
        assert_eq!(client.look(&later, LONG).await, Looked::Absent, "that one was another");
        assert_eq!(found(None, None).await, Looked::Impossible);
    }
}

#[tokio::test]
async fn a_message_that_whatsapp_refused_is_found_so() {
    let (waha, client) = start(Options::default()).await;
    waha.faults().add(Fault::always(FaultKind::AckError).times(1));
    let sent = client.send(&hola(), None, LONG).await;
    let (session, chat) = (session(), chat());
    let look = async || client.look(&sought(&session, &chat, None, Some("hola")), LONG).await;
    let error = Looked::Found { message: sent.message_id.unwrap(), confirmation: Confirmation::Error };
    let refused = async { while look().await != error {} };
    tokio::time::timeout(LONG, refused).await.unwrap();
    // A second copy that did go out says more.
    let second = client.send(&hola(), None, LONG).await.message_id.unwrap();
    assert!(matches!(look().await, Looked::Found { message, .. } if message == second));
}

#[tokio::test]
async fn looks_that_tell_nothing() {
    let mut storeless = SessionOptions::working("default");
    storeless.config = serde_json::json!({});
    let (waha, client) = start(Options { sessions: vec![storeless], ..Options::default() }).await;
    let (session, chat, id) = (session(), chat(), MessageId::new("3EB0BB").unwrap());
    let by_text = sought(&session, &chat, None, Some("hola"));
    let by_id = sought(&session, &chat, Some(&id), None);
    assert_eq!(client.look(&by_text, LONG).await, Looked::Impossible, "its store is off");
    assert_eq!(client.look(&by_id, LONG).await, Looked::Impossible);
    let stranger = client_of(&waha.url(), Some("wrong"));
    assert_eq!(stranger.look(&by_text, LONG).await, Looked::Impossible);
    waha.set_session("default", SessionStatus::ScanQrCode);
    assert_eq!(client.look(&by_text, LONG).await, Looked::Failed);
    assert_eq!(client.look(&by_id, LONG).await, Looked::Failed);
    assert_eq!(nowhere().look(&by_id, LONG).await, Looked::Failed);
    let (_listener, mute) = silent();
    assert_eq!(mute.look(&by_text, SHORT).await, Looked::Failed);
    let missing = SessionName::new("other").unwrap();
    assert_eq!(
        client.look(&sought(&missing, &chat, None, Some("hola")), LONG).await,
        Looked::Failed,
        "it may come back"
    );
}

#[tokio::test]
async fn a_chat_with_more_than_is_looked_through_is_left_to_people() {
    let (_waha, client) = start(Options::default()).await;
    let first = client.send_text(&session(), &chat(), "first", LONG).await.message_id.unwrap();
    let (session, chat) = (session(), chat());
    let look = async |text| client.look(&sought(&session, &chat, None, Some(text)), LONG).await;
    for _ in 0..100 {
        client.send_text(&session, &chat, "more", LONG).await;
    }
    let on_page_two = look("first").await;
    assert!(matches!(on_page_two, Looked::Found { message, .. } if message == first));
    assert_eq!(look("never").await, Looked::Absent);
    for _ in 0..400 {
        client.send_text(&session, &chat, "more", LONG).await;
    }
    assert_eq!(look("never").await, Looked::Impossible);
}

#[tokio::test]
async fn numbers_are_asked_about() {
    let (waha, client) = start(Options::default()).await;
    let phone = chat().phone().unwrap();
    assert_eq!(client.check_exists(&session(), &phone, LONG).await, Some(true));
    waha.set_on_whatsapp(CHAT, false);
    assert_eq!(client.check_exists(&session(), &phone, LONG).await, Some(false));
    waha.set_session("default", SessionStatus::Failed);
    assert_eq!(client.check_exists(&session(), &phone, LONG).await, None);
    assert_eq!(nowhere().check_exists(&session(), &phone, LONG).await, None);
}

#[tokio::test]
async fn a_session_is_restarted() {
    let (waha, client) = start(Options::default()).await;
    waha.set_session("default", SessionStatus::Failed);
    client.restart_session(&session()).await.unwrap();
    let works = async {
        while waha.session("default") != Some(SessionStatus::Working) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, works).await.unwrap();
    let other = SessionName::new("other").unwrap();
    assert!(matches!(client.restart_session(&other).await, Err(AskError::NoSession)));
    let stranger = client_of(&waha.url(), Some("wrong"));
    assert!(matches!(stranger.restart_session(&session()).await, Err(AskError::Unauthorized(401))));
    assert!(matches!(nowhere().restart_session(&session()).await, Err(AskError::Unreachable(_))));
}
