//! Every exchange of the transcripts, replayed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use waha_watchdog::fake_waha::{
    Engine, FakeWaha, Fault, FaultKind, FaultWhen, Options, Release, SessionOptions, SessionStatus, Waits,
};

use crate::client::{Answer, Connection, JSON, PATIENCE, call, get, post, request, until};
use crate::transcript::{Exchange, Given, Likeness, assert_alike, bodies, exchanges, narrated, transcript};

/// Makes WAHA's 10 s a third of a second.
const FAST: f64 = 0.03;
/// Leaves a tenth of a second between the end of the lock's queue and the end of the second restart.
const TURNS: f64 = 0.1;
/// Makes any wait one that ends long after the test has failed.
const SLOW: f64 = 1000.0;

const KEY: &str = "testkey";

fn options(time_scale: f64, release: Release) -> Options {
    Options {
        api_key: Some(KEY.to_owned()),
        engine: Engine::Noweb,
        release,
        sessions: Vec::new(),
        // The observed sessions had no WhatsApp to reach.
        new_session_settles: SessionStatus::Starting,
        time_scale,
        ..Options::default()
    }
}

async fn old_waha(time_scale: f64) -> FakeWaha {
    FakeWaha::start(options(time_scale, Release::V2025_12_3)).await.unwrap()
}

/// The files the transcript names but does not show.
fn file(name: &str) -> Vec<u8> {
    // `{"session":"","chatId":"1@c.us"}` packed by gzip.
    const GZIPPED: &str = "1f8b0800000000000203ab562a4e2d2ececccf53b25252d2514ace482cf14c01b20d1d92f54a8b956a01c5c1175d20000000";
    let image = |length: usize| {
        let head = r#"{"session":"nosuch","chatId":"1@c.us","file":{"mimetype":"image/jpeg","data":""#;
        let tail = r#""}}"#;
        format!("{head}{}{tail}", "A".repeat(length - head.len() - tail.len())).into_bytes()
    };
    match name {
        "@20mb.json" => image(20_971_609),
        "@51mb.json" => image(53_477_465),
        "@/dev/fd/63" => gzip_bytes(GZIPPED),
        other => panic!("what is in {other}?"),
    }
}

fn gzip_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

async fn run(address: SocketAddr, exchange: &Exchange) -> Answer {
    let mut headers: Vec<(&str, &str)> =
        exchange.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut connection = Connection::open(address).await.unwrap();
    let body = match &exchange.body {
        None => Vec::new(),
        Some(Given::Text(text)) => text.clone().into_bytes(),
        Some(Given::File(name)) => file(name),
        Some(Given::Form(fields)) => {
            headers.push(("Content-Type", "multipart/form-data; boundary=XX"));
            let part = |field: &String| {
                let (name, value) = field.split_once('=').unwrap();
                format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            (fields.iter().map(part).collect::<String>() + "--XX--\r\n").into_bytes()
        }
    };
    let start = Instant::now();
    if exchange.expects_continue {
        headers.push(("Expect", "100-continue"));
    }
    let bytes = request(&exchange.method, &exchange.target, &headers, &body);
    let (head, body) = bytes.split_at(bytes.len() - body.len());
    if exchange.expects_continue {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        connection.write(head).await;
        assert_eq!(connection.at_least(CONTINUE.len()).await, CONTINUE, "{}", exchange.line);
        connection.write(body).await;
    } else {
        connection.write(&bytes).await;
    }
    connection.answer(exchange.method == "HEAD", start).await.unwrap()
}

fn assert_answers_alike(exchange: &Exchange, answer: &Answer) {
    let what = &exchange.line;
    assert_eq!(Some(answer.status), exchange.status, "{what}: {}", answer.text());
    assert_eq!(answer.header("X-Powered-By").is_some(), answer.status != 101, "{what}");
    let likeness = if exchange.method == "HEAD" || exchange.status == Some(101) {
        Likeness::Same
    } else {
        assert_alike(what, &exchange.answer_body, &answer.text())
    };
    for (name, value) in &exchange.answer_headers {
        let is_length = name == "Content-Length";
        // Express sends a length with 204, which HTTP forbids and hyper therefore does not.
        if is_length && (likeness == Likeness::Alike || answer.status == 204) {
            continue;
        }
        assert_eq!(answer.header(name), Some(value.as_str()), "{what}: {name}");
    }
}

/// Replays one transcript's commands in order.
async fn replay(number: u32, time_scale: f64, is_wanted: impl Fn(&Exchange) -> bool) -> usize {
    let waha = old_waha(time_scale).await;
    let mut replayed = 0;
    for exchange in exchanges(number).iter().filter(|exchange| is_wanted(exchange)) {
        let answer = run(waha.addr(), exchange).await;
        assert_answers_alike(exchange, &answer);
        // WAHA's waits are of whole seconds; what took milliseconds more was the network's.
        let wait = Duration::from_secs_f64(exchange.seconds.floor() * time_scale);
        if exchange.seconds > 2.5 && !exchange.line.contains("-m 2") {
            assert!(answer.took >= wait, "{}: {:?} is less than {wait:?}", exchange.line, answer.took);
        }
        replayed += 1;
    }
    waha.shutdown().await;
    replayed
}

fn is_websocket(exchange: &Exchange) -> bool {
    exchange.line.contains("Upgrade: websocket")
}

#[tokio::test]
async fn transcript_1_reads_keys_and_errors() {
    assert_eq!(replay(1, FAST, |_| true).await, 25);
}

#[tokio::test]
async fn transcript_1_waits_only_where_waha_waits() {
    // With waits of more than an hour, whatever still answers does so at once.
    assert_eq!(replay(1, SLOW, |exchange| exchange.seconds < 1.0).await, 22);
}

#[tokio::test]
async fn transcript_2_the_life_of_a_session() {
    assert_eq!(replay(2, FAST, |_| true).await, 19);
}

#[tokio::test]
async fn transcript_3_bodies_methods_and_upgrades() {
    let is_plain = |exchange: &Exchange| !is_websocket(exchange) && exchange.status.is_some();
    assert_eq!(replay(3, FAST, is_plain).await, 9);
}

#[tokio::test]
async fn transcript_3_the_feed_closes_on_whoever_has_no_key_in_the_query() {
    let waha = old_waha(FAST).await;
    let feeds: Vec<Exchange> = exchanges(3).into_iter().filter(is_websocket).collect();
    assert_eq!(feeds.len(), 3);
    for exchange in &feeds {
        let headers: Vec<(&str, &str)> =
            exchange.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut connection = Connection::open(waha.addr()).await.unwrap();
        let answer = connection.exchange("GET", &exchange.target, &headers, b"").await.unwrap();
        assert_answers_alike(exchange, &answer);
        if exchange.answer_body.contains("Unauthorized") {
            // A close frame: 1008 and its reason.
            let frame = connection.at_least(16).await;
            assert_eq!(frame, b"\x88\x0e\x03\xf0Unauthorized", "{}", exchange.line);
        } else {
            // A client with a key is heard: its ping has a pong.
            connection.write(b"\x89\x80\0\0\0\0").await;
            assert_eq!(connection.at_least(2).await, b"\x8a\0", "{}", exchange.line);
        }
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_3_no_http_2_without_tls() {
    let waha = old_waha(FAST).await;
    let mut connection = Connection::open(waha.addr()).await.unwrap();
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let said = connection.until_closed().await;
    assert!(!said.starts_with(b"HTTP/1.1 2") && !said.starts_with(b"\0"), "{said:?}");
    waha.shutdown().await;
}

fn observed_session(settles: SessionStatus) -> SessionOptions {
    let mut session = SessionOptions::working("default");
    session.config["webhooks"] = json!([{
        "url": "http://127.0.0.1:1/hook",
        "events": ["session.status", "message.any", "message.ack"],
        "hmac": {"key": "my-secret-key"},
        "retries": {"policy": "constant", "delaySeconds": 2, "attempts": 0},
    }]);
    session.after_start = settles;
    session
}

async fn working_waha(time_scale: f64) -> FakeWaha {
    let sessions = vec![observed_session(SessionStatus::Working)];
    // A broken connection goes unnoticed for long enough to send into it on a busy machine.
    let waits = Waits { unnoticed_drop: Duration::from_secs(20), ..Waits::default() };
    let options = options(time_scale, Release::V2026_9_2);
    FakeWaha::start(Options { sessions, api_key: None, waits, ..options }).await.unwrap()
}

fn send(text: &str) -> Value {
    json!({"session": "default", "chatId": "55119880006@c.us", "text": text})
}

async fn restarted(waha: &FakeWaha) -> Answer {
    post(waha.addr(), "/api/sessions/default/restart", &json!({})).await.unwrap()
}

#[tokio::test]
async fn transcript_5_waha_goes_on_when_its_client_has_gone() {
    let lines = narrated(5, "client gives up after 2 s on a send that takes 7 s, then retries");
    let waha = working_waha(FAST).await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(300))));
    let mut impatient = Connection::open(waha.addr()).await.unwrap();
    impatient.write(&request("POST", "/api/sendText", &[JSON], send("dup-me").to_string().as_bytes())).await;
    until("the call has arrived", async || waha.calls().len() == 1).await;
    drop(impatient);
    let answer = post(waha.addr(), "/api/sendText", &send("dup-me")).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_alike("the retry", bodies(&lines)[0], &answer.text());
    until("the first message is out", async || waha.phones().times("55119880006", "dup-me") == 2).await;
    // The ground truth: two messages of different ids.
    let phones = waha.phones();
    let shown = phones.chat("55119880006");
    assert_ne!(shown[0].message_id, shown[1].message_id);
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_5_a_dropped_connection_is_noticed_late() {
    let seen = narrated(5, "drop the WhatsApp connection, reconnect allowed: status polled every 0.25 s");
    let mut observed: Vec<&str> = seen[0].split(' ').filter(|status| !status.is_empty()).collect();
    observed.dedup();
    assert_eq!(observed, ["WORKING", "STARTING", "WORKING"]);
    let waha = working_waha(FAST).await;
    let mut feed = connect_async(format!("ws://{}/ws?events=session.status", waha.addr())).await.unwrap().0;
    waha.drop_link("default", Some(Duration::ZERO));
    let lines = narrated(5, "drop, then send at once");
    let answer = post(waha.addr(), "/api/sendText", &send("x")).await.unwrap();
    assert_eq!((answer.status, waha.session("default")), (500, Some(SessionStatus::Working)));
    assert_alike("a send right after", bodies(&lines)[0], &answer.text());
    for status in &observed[1..] {
        let event = tokio::time::timeout(PATIENCE, feed.next()).await.expect("an event in time");
        let event: Value = serde_json::from_str(event.unwrap().unwrap().to_text().unwrap()).unwrap();
        assert_eq!(event["payload"]["status"], *status);
    }
    assert_eq!(post(waha.addr(), "/api/sendText", &send("x")).await.unwrap().status, 201);
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_5_a_network_that_stays_away() {
    let waha = working_waha(FAST).await;
    for heading in [
        "drop, network does not come back: send",
        "comes back after client gave up at 3 s of a 10 s wait (message sent later, client saw a timeout)",
    ] {
        let lines = narrated(5, heading);
        assert!(lines.contains(&"status: WORKING"));
        waha.set_session("default", SessionStatus::Working);
        waha.drop_link("default", None);
        let answer = post(waha.addr(), "/api/sendText", &send("x")).await.unwrap();
        assert_eq!(answer.status, 500);
        assert_alike(heading, bodies(&lines)[0], &answer.text());
        if lines.iter().any(|line| line.starts_with("restart 201")) {
            assert_eq!(restarted(&waha).await.status, 201);
            until("it works again", async || waha.session("default") == Some(SessionStatus::Working)).await;
        }
    }
    assert_eq!(waha.phones().total(), 0, "the ground truth is empty");
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_5_a_session_that_needs_a_person() {
    let waha = working_waha(FAST).await;
    for (heading, status) in [("QR needed", SessionStatus::ScanQrCode), ("logged out", SessionStatus::Failed)]
    {
        let lines = narrated(5, heading);
        assert!(lines.contains(&format!("status: {status}").as_str()));
        waha.set_after_start("default", status);
        let answer = restarted(&waha).await;
        assert_eq!(answer.status, 201);
        assert!(answer.took >= Duration::from_secs_f64(3.0 * FAST));
        until("it has settled", async || waha.session("default") == Some(status)).await;
        let answer = post(waha.addr(), "/api/sendText", &send("x")).await.unwrap();
        assert_eq!(answer.status, 422);
        assert!(answer.took >= Duration::from_secs_f64(10.0 * FAST));
        assert_eq!(assert_alike(heading, bodies(&lines)[0], &answer.text()), Likeness::Same);
        if status == SessionStatus::ScanQrCode {
            let answer = get(waha.addr(), "/api/default/auth/qr?format=raw").await;
            assert_alike("the code", bodies(&lines)[1], &answer.text());
        }
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_5_restarts_at_once_take_turns_until_one_gives_up() {
    let lines = narrated(5, "concurrent restarts");
    let waha = working_waha(TURNS).await;
    let (first, second, third) = tokio::join!(restarted(&waha), restarted(&waha), restarted(&waha));
    let mut answers = [first, second, third];
    answers.sort_by_key(|answer| answer.took);
    // In the order they ended: the first, the one that gave up, the second.
    let observed: Vec<u16> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|line| line[..3].parse().unwrap())
        .collect();
    assert_eq!(observed, [201, 500, 201]);
    for ((answer, status), (body, seconds)) in
        answers.iter().zip(&observed).zip(bodies(&lines).into_iter().zip([3.0, 5.0, 6.0]))
    {
        assert_eq!(answer.status, *status);
        assert_alike("a restart", body, &answer.text());
        assert_eq!(answer.header("Keep-Alive"), Some("timeout=5"));
        assert!(answer.took >= Duration::from_secs_f64(seconds * TURNS), "{seconds}: {:?}", answer.took);
    }
    until("it works in the end", async || waha.session("default") == Some(SessionStatus::Working)).await;
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_6_ids_media_and_listings() {
    let lines = narrated(6, "");
    let observed = bodies(&lines);
    let waha = working_waha(FAST).await;
    let at = waha.addr();
    assert_alike("health", observed[0], &get(at, "/health").await.text());
    assert_alike("sessions", observed[1], &get(at, "/api/sessions").await.text());
    assert_alike("a new id", observed[2], &get(at, "/api/default/new-message-id").await.text());

    let chat = "5511988887777@c.us";
    let id = "3EB0AAAABBBBCCCCDDDD11";
    let with_id = json!({"session": "default", "chatId": chat, "text": "with id", "id": id});
    for body in &observed[3..5] {
        let answer = post(at, "/api/sendText", &with_id).await.unwrap();
        assert_eq!(answer.status, 201);
        assert_alike("a chosen id", body, &answer.text());
        assert_eq!(answer.json()["key"]["id"], id, "the chosen id is taken");
    }
    let listed =
        get(at, &format!("/api/default/chats/{}/messages?limit=10", chat.replace('@', "%40"))).await.json();
    let listed = &listed.as_array().unwrap()[..];
    assert_eq!(listed.len(), 1, "one row for one id");
    let noted = lines.iter().find(|line| line.starts_with("true_")).unwrap();
    let told = format!(
        "{} {} {} {}",
        listed[0]["id"].as_str().unwrap(),
        listed[0]["body"].as_str().unwrap(),
        listed[0]["ackName"].as_str().unwrap(),
        listed[0]["timestamp"],
    );
    let (told, noted) = (told.rsplit_once(' ').unwrap(), noted.rsplit_once(' ').unwrap());
    // The observed one had no WhatsApp to confirm it; this one may be confirmed already.
    assert_eq!(told.0.replace("SERVER", "PENDING").replace("DEVICE", "PENDING"), noted.0);
    assert_eq!(told.1.len(), noted.1.len(), "seconds, not milliseconds");

    let image = |file: Value, caption: Option<&str>| {
        let mut body = json!({"session": "default", "chatId": chat, "file": file});
        if let Some(caption) = caption {
            body["caption"] = json!(caption);
        }
        body
    };
    let small = json!({"mimetype": "image/jpeg", "data": "AAAA"});
    let answer = post(at, "/api/sendImage", &image(small, Some("c"))).await.unwrap();
    assert_alike("an image", observed[5], &answer.text());
    let none = json!({"mimetype": "image/jpeg"});
    let answer = post(at, "/api/sendImage", &image(none, None)).await.unwrap();
    assert_eq!(answer.status, 422);
    assert_eq!(assert_alike("no image", observed[6], &answer.text()), Likeness::Same);
    let big = json!({"mimetype": "image/jpeg", "data": "A".repeat(5_000_000)});
    let answer = post(at, "/api/sendImage", &image(big, None)).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_alike("a big image", observed[7], &answer.text());
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_6_errors_echo_the_whole_body() {
    let line = narrated(6, "500 error echo of a big body: 20 MB file with a chatId that fails")[0];
    let length: usize = line.split(' ').nth(2).unwrap().parse().unwrap();
    let waha = working_waha(FAST).await;
    let data = "A".repeat(20_971_520);
    let body = json!({"session": "default", "chatId": 1, "file": {"mimetype": "image/jpeg", "data": data}});
    let answer = post(waha.addr(), "/api/sendImage", &body).await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.len().abs_diff(length) < 2000, "{} instead of {length}", answer.body.len());
    let start = String::from_utf8_lossy(&answer.body[..300]);
    assert!(start.contains("phone.includes is not a function"), "the message comes first: {start}");
    waha.shutdown().await;
}

#[tokio::test]
async fn transcript_6_a_network_down_for_six_seconds() {
    let lines = narrated(6, "network down 6s; client gives up at 3 s; comes back; WAHA still sends");
    assert!(lines.iter().any(|line| line.contains(r#""body":"late""#)));
    // No wait ends by itself: the session comes back inside it, however busy the machine is.
    let waha = working_waha(SLOW).await;
    waha.set_session("default", SessionStatus::Starting);
    let mut impatient = Connection::open(waha.addr()).await.unwrap();
    impatient.write(&request("POST", "/api/sendText", &[JSON], send("late").to_string().as_bytes())).await;
    until("the call has arrived", async || waha.calls().len() == 1).await;
    drop(impatient);
    assert_eq!(waha.phones().total(), 0);
    waha.set_session("default", SessionStatus::Working);
    until("the message is out", async || waha.phones().times("55119880006", "late") == 1).await;

    let patient = narrated(6, "same, patient client");
    waha.set_session("default", SessionStatus::Starting);
    let message = send("patient");
    let sending = post(waha.addr(), "/api/sendText", &message);
    let returning = async {
        until("the call has arrived", async || waha.calls().len() == 2).await;
        waha.set_session("default", SessionStatus::Working);
    };
    let (answer, ()) = tokio::join!(sending, returning);
    let answer = answer.unwrap();
    assert_eq!(answer.status, 201);
    let observed = bodies(&patient)[0].replace("5511988887777", "55119880006");
    assert_alike("the patient client", &observed, &answer.text());
    waha.shutdown().await;
}

#[test]
fn nothing_of_the_transcripts_is_left_out() {
    let counts = [1, 2, 3, 5, 6].map(|number| (number, exchanges(number).len()));
    assert_eq!(counts, [(1, 25), (2, 19), (3, 13), (5, 0), (6, 0)]);
    let headings: Vec<&str> = [5, 6]
        .iter()
        .flat_map(|number| transcript(*number).lines())
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(headings.len(), 11, "each has a test above: {headings:?}");
}

#[tokio::test]
async fn the_wait_for_a_stopped_session_ends_before_that_for_a_starting_one() {
    let waha = working_waha(FAST).await;
    waha.set_session("stopped", SessionStatus::Stopped);
    waha.set_session("starting", SessionStatus::Starting);
    let body = |session: &str| json!({"session": session, "chatId": "1", "text": "x"});
    let (stopped, starting) = (body("stopped"), body("starting"));
    let (stopped, starting) = tokio::join!(
        post(waha.addr(), "/api/sendText", &stopped),
        post(waha.addr(), "/api/sendText", &starting)
    );
    assert!(stopped.unwrap().took < starting.unwrap().took);
    waha.shutdown().await;
}

#[tokio::test]
async fn a_key_wanted_by_a_fault_is_wanted_of_whoever_has_it() {
    let waha = old_waha(FAST).await;
    waha.faults().add(Fault {
        when: FaultWhen { path: Some("*".into()), ..FaultWhen::default() },
        what: FaultKind::Unauthorized,
    });
    let answer = call(waha.addr(), "GET", "/api/sessions", &[("X-Api-Key", KEY)], b"").await.unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (401, r#"{"message":"Unauthorized","statusCode":401}"#)
    );
    assert_eq!(get(waha.addr(), "/ping").await.status, 200, "what needs no key needs none now");
    waha.shutdown().await;
}
