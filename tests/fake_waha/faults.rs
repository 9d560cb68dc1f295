//! Each fault over a real socket: how the exchange ends, and what the phone displays.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waha_watchdog::fake_waha::{
    AckDelays, CallOutcome, Engine, FakeWaha, Fault, FaultKind, FaultWhen, Options, SessionStatus,
};

use crate::client::{Answer, Broken, Connection, JSON, call, get, post, request, until};

const CHAT: &str = "5511988887777@c.us";

fn options() -> Options {
    Options {
        time_scale: 0.01,
        // Confirmed at once: what is not confirmed now never will be.
        acks: AckDelays { server: Some(Duration::ZERO), device: Some(Duration::ZERO), read: None },
        ..Options::default()
    }
}

async fn waha() -> FakeWaha {
    FakeWaha::start(options()).await.unwrap()
}

fn message(text: &str) -> Value {
    json!({"session": "default", "chatId": CHAT, "text": text})
}

async fn send(waha: &FakeWaha, text: &str) -> Result<Answer, Broken> {
    post(waha.addr(), "/api/sendText", &message(text)).await
}

fn outcomes(waha: &FakeWaha) -> Vec<CallOutcome> {
    waha.calls().iter().map(|call| call.outcome).collect()
}

/// The ack WAHA's store has for the newest message.
async fn ack(waha: &FakeWaha) -> Value {
    let listed = get(waha.addr(), "/api/default/chats/5511988887777/messages?limit=1").await.json();
    listed[0]["ackName"].clone()
}

#[tokio::test]
async fn without_a_fault_a_message_is_sent_displayed_and_confirmed() {
    let waha = waha().await;
    let answer = send(&waha, "hello").await.unwrap();
    assert_eq!(answer.status, 201);
    let shown = waha.phones().chat(CHAT)[0].clone();
    assert_eq!(answer.json()["key"]["id"], shown.message_id.as_str());
    assert_eq!((shown.text.as_str(), shown.times_displayed), ("hello", 1));
    until("it is confirmed", async || ack(&waha).await == "DEVICE").await;
    let call = waha.calls()[0].clone();
    assert_eq!((call.number, call.outcome), (1, CallOutcome::Answered(201)));
    assert_eq!((call.chat.as_deref(), call.text.as_deref()), (Some(CHAT), Some("hello")));
    waha.shutdown().await;
}

#[tokio::test]
async fn dropped_before_reading() {
    let waha = waha().await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::DropBeforeReading).times(1));
    assert_eq!(send(&waha, "a").await.unwrap_err(), Broken::Reset);
    assert_eq!(outcomes(&waha), [CallOutcome::DroppedUnprocessed]);
    waha.faults().add(Fault::always(FaultKind::DropBeforeReading).times(1));
    assert_eq!(send(&waha, "b").await.unwrap_err(), Broken::Reset);
    assert_eq!(waha.calls().len(), 1, "what is not read is not known");
    assert_eq!(send(&waha, "c").await.unwrap().status, 201);
    assert_eq!(waha.phones().total(), 1);
    waha.shutdown().await;
}

#[tokio::test]
async fn dropped_after_processing() {
    let waha = waha().await;
    waha.faults().add(Fault::always(FaultKind::DropAfterProcessing).times(1));
    assert!(matches!(send(&waha, "a").await, Err(Broken::Closed | Broken::Reset)));
    assert_eq!(waha.phones().times(CHAT, "a"), 1);
    assert_eq!(outcomes(&waha), [CallOutcome::DroppedProcessed]);
    waha.shutdown().await;
}

#[tokio::test]
async fn truncated_answer() {
    let waha = waha().await;
    waha.faults().add(Fault::always(FaultKind::TruncateAnswer));
    let Err(Broken::Truncated { promised, body }) = send(&waha, "a").await else { panic!("not truncated") };
    assert!(body.starts_with(b"{\"key\"") && body.len() < promised, "{} of {promised}", body.len());
    assert_eq!(waha.phones().times(CHAT, "a"), 1);
    waha.shutdown().await;
}

#[tokio::test]
async fn delayed_and_late_answered() {
    let waha = waha().await;
    let pause = Duration::from_millis(400);
    let id = waha.faults().add(Fault::always(FaultKind::Delay(pause)));
    let (answer, ()) = tokio::join!(send(&waha, "a"), async {
        until("it has arrived", async || waha.calls().len() == 1).await;
        assert_eq!(waha.phones().total(), 0, "not processed yet");
    });
    assert!(answer.unwrap().took >= pause);
    waha.faults().remove(id);
    waha.faults().add(Fault::always(FaultKind::LateAnswer(pause)));
    let (answer, ()) = tokio::join!(send(&waha, "b"), async {
        until("it is out", async || waha.phones().times(CHAT, "b") == 1).await;
        assert_eq!(waha.calls()[1].outcome, CallOutcome::Running, "not answered yet");
    });
    assert!(answer.unwrap().took >= pause);
    waha.shutdown().await;
}

#[tokio::test]
async fn hung_until_somebody_ends_it() {
    let waha = waha().await;
    waha.faults().add(Fault::always(FaultKind::Hang).times(1));
    let mut connection = Connection::open(waha.addr()).await.unwrap();
    connection.write(&request("POST", "/api/sendText", &[JSON], message("a").to_string().as_bytes())).await;
    until("it hangs", async || outcomes(&waha) == [CallOutcome::Hung]).await;
    assert_eq!(send(&waha, "b").await.unwrap().status, 201, "others are served");
    assert_eq!(waha.phones().times(CHAT, "a"), 0);
    waha.shutdown().await;
    assert_eq!(connection.until_closed().await, b"");
}

#[tokio::test]
async fn unhandled_errors_in_the_forms_of_their_engines() {
    let waha = waha().await;
    for (message, field) in [("Timed Out", "isBoom"), ("2 UNKNOWN: server returned error 400", "code")] {
        waha.faults().clear();
        waha.faults().add(Fault::always(FaultKind::Status500(message.to_owned())));
        let answer = send(&waha, "echo me").await.unwrap();
        assert_eq!(answer.status, 500);
        let body = answer.json();
        assert_eq!(body["exception"]["message"], message);
        assert!(body["exception"].get(field).is_some(), "{body}");
        assert_eq!(body["request"]["body"]["text"], "echo me");
    }
    assert_eq!(waha.phones().total(), 0);
    waha.shutdown().await;
}

#[tokio::test]
async fn session_not_working_and_unauthorized() {
    let waha = waha().await;
    let id = waha.faults().add(Fault::always(FaultKind::Status422));
    let answer = send(&waha, "a").await.unwrap();
    assert_eq!((answer.status, &answer.json()["expected"]), (422, &json!(["WORKING"])));
    waha.faults().remove(id);
    waha.faults().add(Fault::always(FaultKind::Unauthorized));
    let answer = send(&waha, "a").await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(get(waha.addr(), "/api/sessions").await.status, 200, "only sends");
    assert_eq!(waha.phones().total(), 0);
    waha.shutdown().await;
}

#[tokio::test]
async fn restrictions_are_told_at_once_or_by_an_ack() {
    for (kind, number) in [(FaultKind::Restricted463, "463"), (FaultKind::Restricted475, "475")] {
        let gows = FakeWaha::start(Options { engine: Engine::Gows, ..options() }).await.unwrap();
        gows.faults().add(Fault::always(kind.clone()));
        let answer = send(&gows, "a").await.unwrap();
        assert_eq!(answer.status, 500);
        let message = format!("2 UNKNOWN: server returned error {number}");
        assert_eq!(answer.json()["exception"]["message"], message);
        gows.shutdown().await;

        let noweb = waha().await;
        noweb.faults().add(Fault::always(kind));
        assert_eq!(send(&noweb, "a").await.unwrap().status, 201);
        until("the error is known", async || ack(&noweb).await == "ERROR").await;
        assert_eq!(noweb.phones().total(), 0);
        noweb.shutdown().await;
    }
}

#[tokio::test]
async fn numbers_that_are_not_on_whatsapp() {
    for (engine, status, exception) in [
        (Engine::Noweb, 201, None),
        (Engine::Gows, 500, Some("2 UNKNOWN: no LID found for 5511988887777@s.whatsapp.net from server")),
        (Engine::Webjs, 500, Some("No LID for user")),
    ] {
        let waha = FakeWaha::start(Options { engine, ..options() }).await.unwrap();
        let path = "/api/contacts/check-exists?session=default&phone=5511988887777";
        assert_eq!(get(waha.addr(), path).await.json(), json!({"numberExists": true, "chatId": CHAT}));
        let order = json!({"on_whatsapp": false});
        post(waha.addr(), "/__fake/chats/5511988887777", &order).await.unwrap();
        assert_eq!(get(waha.addr(), path).await.json(), json!({"numberExists": false}));
        let answer = send(&waha, "a").await.unwrap();
        assert_eq!(answer.status, status);
        if let Some(exception) = exception {
            assert_eq!(answer.json()["exception"]["message"], exception);
        }
        assert_eq!(waha.phones().total(), 0);
        waha.set_on_whatsapp(CHAT, true);
        waha.faults().add(Fault::always(FaultKind::NoLid));
        assert_eq!(send(&waha, "b").await.unwrap().status, 500);
        waha.shutdown().await;
    }
}

#[tokio::test]
async fn spoilt_and_empty_bodies() {
    let waha = waha().await;
    let id = waha.faults().add(Fault::always(FaultKind::BadBody));
    let answer = send(&waha, "a").await.unwrap();
    assert_eq!(answer.status, 201);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
    waha.faults().remove(id);
    waha.faults().add(Fault::always(FaultKind::EmptyBody));
    let answer = send(&waha, "b").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (201, 0));
    assert_eq!(waha.phones().total(), 2);
    waha.shutdown().await;
}

#[tokio::test]
async fn acks_that_fail_come_late_or_never() {
    let waha = waha().await;
    let only = |what| {
        waha.faults().clear();
        waha.faults().add(Fault::always(what));
    };
    only(FaultKind::AckError);
    send(&waha, "error").await.unwrap();
    until("it failed", async || ack(&waha).await == "ERROR").await;

    let late = Duration::from_millis(60);
    only(FaultKind::LateAcks(late));
    let start = Instant::now();
    send(&waha, "late").await.unwrap();
    until("it is confirmed", async || ack(&waha).await == "DEVICE").await;
    assert!(start.elapsed() >= late);

    only(FaultKind::NoAcks);
    send(&waha, "unconfirmed").await.unwrap();
    only(FaultKind::Swallow);
    send(&waha, "swallowed").await.unwrap();
    // A later message that is confirmed shows that the time for the earlier ones has come and gone.
    waha.faults().clear();
    send(&waha, "good").await.unwrap();
    until("it is confirmed", async || ack(&waha).await == "DEVICE").await;
    let listed = get(waha.addr(), "/api/default/chats/5511988887777/messages?sortOrder=asc").await.json();
    let acks: Vec<&str> = listed.as_array().unwrap().iter().map(|m| m["ackName"].as_str().unwrap()).collect();
    assert_eq!(acks, ["ERROR", "DEVICE", "PENDING", "PENDING", "DEVICE"]);
    let phones = waha.phones();
    let displayed: Vec<&str> = phones.chat(CHAT).iter().map(|shown| shown.text.as_str()).collect();
    assert_eq!(displayed, ["late", "unconfirmed", "good"]);
    waha.shutdown().await;
}

#[tokio::test]
async fn refusing_everything_and_refusing_some() {
    let mut waha = waha().await;
    waha.faults().add(Fault::to_chat("1", FaultKind::Refuse));
    let refused = json!({"session": "default", "chatId": "1", "text": "x"});
    assert_eq!(post(waha.addr(), "/api/sendText", &refused).await.unwrap().status, 503);
    assert_eq!(send(&waha, "a").await.unwrap().status, 201);

    let address = waha.addr();
    let mut kept = Connection::open(address).await.unwrap();
    assert_eq!(kept.exchange("GET", "/ping", &[], b"").await.unwrap().status, 200);
    waha.faults().add(Fault::always(FaultKind::Refuse));
    until("it refuses", async || Connection::open(address).await.is_err()).await;
    assert_eq!(kept.until_closed().await, b"", "what was open is cut");
    waha.faults().clear();
    until("it listens", async || Connection::open(address).await.is_ok()).await;

    waha.go_down().await;
    assert_eq!(call(address, "GET", "/ping", &[], b"").await.unwrap_err(), Broken::Refused);
    waha.come_up().await.unwrap();
    assert_eq!(get(address, "/ping").await.status, 200);
    waha.shutdown().await;
    assert_eq!(call(address, "GET", "/ping", &[], b"").await.unwrap_err(), Broken::Refused);
}

#[tokio::test]
async fn a_send_under_way_survives_the_outage_it_is_caught_in() {
    let mut waha = waha().await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(50))));
    let mut connection = Connection::open(waha.addr()).await.unwrap();
    connection.write(&request("POST", "/api/sendText", &[JSON], message("a").to_string().as_bytes())).await;
    until("it has arrived", async || waha.calls().len() == 1).await;
    waha.go_down().await;
    until("it is out", async || waha.phones().times(CHAT, "a") == 1).await;
    waha.shutdown().await;
}

#[tokio::test]
async fn faults_of_reads() {
    let waha = waha().await;
    let path = Some("/api/sessions".to_owned());
    waha.faults().add(Fault {
        when: FaultWhen { path, ..FaultWhen::default() },
        what: FaultKind::Status500("Protocol error".into()),
    });
    assert_eq!(get(waha.addr(), "/api/sessions/default").await.status, 500);
    assert_eq!(send(&waha, "a").await.unwrap().status, 201);
    waha.shutdown().await;
}

#[tokio::test]
async fn the_switchboard_does_what_the_library_does() {
    let waha = waha().await;
    let at = waha.addr();
    // As curl sends it: without a JSON content type.
    let order = br#"{"when":{"chat":"5511988887777","count":1},"what":"drop_after_processing"}"#;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let answer = call(at, "POST", "/__fake/faults", &[form], order).await.unwrap();
    assert_eq!((answer.status, answer.json()), (201, json!({"id": 1})));
    assert!(send(&waha, "a").await.is_err());
    let listed = get(at, "/__fake/faults").await.json();
    assert_eq!((&listed[0]["what"], &listed[0]["matched"]), (&json!("drop_after_processing"), &json!(1)));
    let phones = get(at, "/__fake/phones").await.json();
    assert_eq!(phones[CHAT][0]["times_displayed"], 1);
    let calls = get(at, "/__fake/calls").await.json();
    assert_eq!((&calls["count"], &calls["calls"][0]["outcome"]), (&json!(1), &json!("dropped_processed")));
    assert_eq!(call(at, "DELETE", "/__fake/faults/1", &[], b"").await.unwrap().status, 200);
    assert_eq!(call(at, "DELETE", "/__fake/faults/1", &[], b"").await.unwrap().status, 404);
    let answer = post(at, "/__fake/faults", &json!({"what": "explode"})).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("drop_before_reading"), "the words it knows are told: {}", answer.text());

    let answer = post(at, "/__fake/sessions/default", &json!({"status": "FAILED"})).await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("FAILED")));
    assert_eq!(waha.session("default"), Some(SessionStatus::Failed));
    assert_eq!(post(at, "/__fake/sessions/new", &json!({"drop_link": true})).await.unwrap().status, 404);
    assert_eq!(post(at, "/__fake/reset", &json!({})).await.unwrap().status, 200);
    assert_eq!(waha.session("default"), Some(SessionStatus::Working));
    assert_eq!((waha.phones().total(), waha.calls().len(), waha.faults().list().len()), (0, 0, 0));
    assert!(get(at, "/__fake/").await.text().contains("/__fake/phones"), "a lost caller is helped");

    assert_eq!(post(at, "/__fake/down", &json!({"for_ms": 600})).await.unwrap().status, 200);
    until("it refuses", async || Connection::open(at).await.is_err()).await;
    until("it listens", async || Connection::open(at).await.is_ok()).await;
    waha.shutdown().await;
}
