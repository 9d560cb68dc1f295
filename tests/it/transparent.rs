//! The proxy is invisible: what a client gets through it is what it gets from WAHA, but for `X-Watchdog-*`.

use std::net::SocketAddr;

use regex::Regex;
use serde_json::json;
use waha_watchdog::fake_waha::{Engine, FakeWaha, Options, SessionOptions, SessionStatus};

use super::harness::http::{self, Connection, JSON, chunks, request};
use super::harness::upstream::Canned;
use super::harness::{Answer, Broken, CHAT, Config, Sidecar, quick};

const KEY: (&str, &str) = ("X-Api-Key", "the-key-of-the-bot");
/// An id makes an answer the same each time.
const ID: &str = "3EB0AAAAAAAAAAAAAAAAAA";

/// A WAHA with a key, and sessions in several states.
async fn waha(engine: Engine) -> FakeWaha {
    let with =
        |name: &str, status| SessionOptions { status, after_start: status, ..SessionOptions::working(name) };
    let sessions = vec![
        SessionOptions::working("default"),
        with("stopped", SessionStatus::Stopped),
        with("scan", SessionStatus::ScanQrCode),
    ];
    let options = Options { sessions, engine, api_key: Some(KEY.1.to_owned()), ..quick() };
    FakeWaha::start(options).await.unwrap()
}

struct Exchange {
    name: &'static str,
    bytes: Vec<u8>,
    is_head: bool,
    is_send: bool,
}

fn plain(name: &'static str, method: &str, target: &str) -> Exchange {
    with(name, method, target, &[KEY, JSON], b"")
}

fn with(name: &'static str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Exchange {
    let bytes = request(method, target, headers, body);
    Exchange { name, bytes, is_head: method == "HEAD", is_send: false }
}

fn send(name: &'static str, target: &str, body: &serde_json::Value) -> Exchange {
    Exchange { is_send: true, ..with(name, "POST", target, &[KEY, JSON], body.to_string().as_bytes()) }
}

fn sending(exchange: Exchange) -> Exchange {
    Exchange { is_send: true, ..exchange }
}

fn exchanges() -> Vec<Exchange> {
    let text = json!({"session": "default", "chatId": CHAT, "text": "hola ñ 👍", "id": ID});
    let bytes = text.to_string().into_bytes();
    let file = json!({"mimetype": "image/png", "filename": "f.png", "data": "AA"});
    // gzip -n of {"session":"default","chatId":"5511988887777@c.us","text":"zipped","id":"3EB0AAAAAAAAAAAAAAAAAA"}
    let zipped = hex(
        "1f8b08000000000002ffab562a4e2d2ececccf53b2524a494d4b2ccd2951d2514ace482cf14c010a999a1a1a5a5a008139103824\
         eb951603654b522b4a807255990505a929407e2648a5b1ab9381230650aa0500778b1dfc61000000",
    );
    let urlencoded = format!("session=default&chatId={}&text=form+%C3%B1&id={ID}", CHAT.replace('@', "%40"));
    let mut chunked = request("POST", "/api/sendText", &[KEY, JSON, ("Transfer-Encoding", "chunked")], b"");
    chunked.extend(chunks(&bytes, 7));
    let long = "a".repeat(17_000);
    let quoted = CHAT.replace('@', "%40");
    vec![
        plain("ping", "GET", "/ping"),
        plain("ping's head", "HEAD", "/ping"),
        plain("health", "GET", "/health"),
        plain("version", "GET", "/api/version"),
        plain("sessions", "GET", "/api/sessions"),
        plain("all sessions", "GET", "/api/sessions?all=true"),
        plain("a session", "GET", "/api/sessions/default"),
        plain("a session's head", "HEAD", "/api/sessions/default"),
        plain("a session's account", "GET", "/api/sessions/default/me"),
        plain("no such session", "GET", "/api/sessions/nosuch"),
        plain("a picture", "GET", "/api/scan/auth/qr"),
        plain("a number", "GET", "/api/contacts/check-exists?phone=5511988887777&session=default"),
        plain(
            "messages",
            "GET",
            &format!("/api/default/chats/{quoted}/messages?limit=0&downloadMedia=false"),
        ),
        plain("no such message", "GET", &format!("/api/default/chats/{quoted}/messages/true_{CHAT}_NONE")),
        plain("no such page", "GET", "/api/nothing?x=%20y"),
        plain("no upgrade", "GET", "/ws"),
        plain("doubled slash", "POST", "/api//sendText"),
        with("no key", "GET", "/api/sessions", &[], b""),
        sending(with("no key to send with", "POST", "/api/sendText", &[JSON], &bytes)),
        with("a key in the query", "GET", &format!("/api/sessions?x-api-key={}", KEY.1), &[], b""),
        with(
            "cors",
            "OPTIONS",
            "/api/sendText",
            &[("Origin", "http://shop"), ("Access-Control-Request-Method", "POST")],
            b"",
        ),
        with("known already", "GET", "/ping", &[("If-None-Match", "*")], b""),
        with("a head beyond Node's limit", "GET", "/ping", &[("X-Long", &long)], b""),
        with("closing", "GET", "/ping", &[("Connection", "close")], b""),
        send("a text", "/api/sendText", &text),
        send("a text, oddly spelled", "/API/SENDTEXT/", &text),
        sending(plain(
            "a text by GET",
            "GET",
            "/api/sendText?phone=5511988887777&text=by+get&session=default",
        )),
        send(
            "an image",
            "/api/sendImage",
            &json!({"session": "default", "chatId": CHAT, "file": file, "caption": "c", "id": ID}),
        ),
        send("a file without a file", "/api/sendFile", &json!({"session": "default", "chatId": CHAT})),
        send(
            "a poll",
            "/api/sendPoll",
            &json!({"session": "default", "chatId": CHAT, "poll": {"name": "When?", "options": ["a", "b"]}, "id": ID}),
        ),
        send("a list without its fields", "/api/sendList", &json!({"session": "default"})),
        send("no session", "/api/sendText", &json!({"chatId": CHAT, "text": "x"})),
        send(
            "a missing session",
            "/api/sendText",
            &json!({"session": "nosuch", "chatId": CHAT, "text": "x"}),
        ),
        send(
            "a stopped session",
            "/api/sendText",
            &json!({"session": "stopped", "chatId": CHAT, "text": "x"}),
        ),
        send(
            "a session without a phone",
            "/api/sendText",
            &json!({"session": "scan", "chatId": CHAT, "text": "x"}),
        ),
        send("no chat", "/api/sendText", &json!({"session": "default", "text": "x"})),
        send("an odd chat", "/api/sendText", &json!({"session": "default", "chatId": [1], "text": "x"})),
        sending(with("bad JSON", "POST", "/api/sendText", &[KEY, JSON], b"{session")),
        sending(with("no body", "POST", "/api/sendText", &[KEY], b"")),
        sending(with(
            "another type",
            "POST",
            "/api/sendText",
            &[KEY, ("Content-Type", "text/plain")],
            &bytes,
        )),
        sending(with(
            "a form",
            "POST",
            "/api/sendText",
            &[KEY, ("Content-Type", "application/x-www-form-urlencoded")],
            urlencoded.as_bytes(),
        )),
        sending(with("zipped", "POST", "/api/sendText", &[KEY, JSON, ("Content-Encoding", "gzip")], &zipped)),
        Exchange { name: "in chunks", bytes: chunked, is_head: false, is_send: true },
        sending(with(
            "after a 100",
            "POST",
            "/api/sendText",
            &[KEY, JSON, ("Expect", "100-continue")],
            &bytes,
        )),
    ]
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

async fn exchange(at: SocketAddr, exchange: &Exchange) -> Result<Answer, Broken> {
    let mut connection = Connection::open(at).await?;
    connection.write(&exchange.bytes).await;
    connection.answer(exchange.is_head).await
}

/// What must be the same: all but what belongs to one connection or one moment. Names keep their case.
#[derive(Debug, PartialEq)]
struct Shape {
    status: (u16, String),
    interim: Vec<u16>,
    headers: Vec<(String, String)>,
    body: String,
}

fn shape(answer: &Answer, is_head: bool) -> Shape {
    let moments = [
        (r"3EB0[0-9A-F]{18}", "ID"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "MOMENT"),
        (r"\b1[0-9]{9}(?:[0-9]{3})?\b", "MOMENT"),
    ];
    let text = match String::from_utf8(answer.body.clone()) {
        Ok(text) => text,
        Err(_) => format!("{:?}", answer.body),
    };
    let body = moments.iter().fold(text.clone(), |text, (pattern, instead)| {
        Regex::new(pattern).unwrap().replace_all(&text, *instead).into_owned()
    });
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in &answer.headers {
        let value = match name.to_ascii_lowercase().as_str() {
            "connection" | "keep-alive" | "transfer-encoding" => continue,
            known if known.starts_with("x-watchdog-") => continue,
            "date" | "traceparent" => "of the moment",
            "etag" if body != text || is_head => "of the moment",
            _ => value,
        };
        headers.push((name.clone(), value.to_owned()));
    }
    headers.sort();
    let status = (answer.status, answer.reason.clone());
    Shape { status, interim: answer.interim.clone(), headers, body }
}

#[tokio::test]
async fn every_exchange_is_the_same_through_the_sidecar() {
    for engine in [Engine::Noweb, Engine::Webjs] {
        let waha = waha(engine).await;
        let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
        let mut exchanges = exchanges();
        if engine == Engine::Webjs {
            // What differs by engine.
            exchanges.retain(|exchange| matches!(exchange.name, "a text" | "an odd chat" | "ping"));
            exchanges.push(plain("not of this engine", "GET", "/api/default/new-message-id"));
        }
        for one in &exchanges {
            let direct = exchange(waha.addr(), one).await.unwrap();
            let through = exchange(sidecar.proxy(), one).await;
            let through = through.unwrap_or_else(|broken| panic!("{}: {broken:?}", one.name));
            assert_eq!(shape(&through, one.is_head), shape(&direct, one.is_head), "{engine:?}: {}", one.name);
            let ours: Vec<_> = through
                .headers
                .iter()
                .filter(|(name, _)| name.to_lowercase().starts_with("x-watchdog"))
                .collect();
            assert_eq!(ours.len(), if one.is_send { 3 } else { 0 }, "{}: {ours:?}", one.name);
        }
        waha.shutdown().await;
    }
}

#[tokio::test]
async fn one_connection_serves_many_calls_pipelined_too() {
    let waha = waha(Engine::Noweb).await;
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
    let mut bytes = Vec::new();
    let exchanges: Vec<_> = exchanges()
        .into_iter()
        .filter(|one| !one.bytes.windows(17).any(|w| w == b"Connection: close") && one.bytes.len() < 16_000)
        .filter(|one| !matches!(one.name, "after a 100" | "another type"))
        .collect();
    exchanges.iter().for_each(|one| bytes.extend_from_slice(&one.bytes));
    connection.write(&bytes).await;
    for one in &exchanges {
        let answer = connection.answer(one.is_head).await.unwrap_or_else(|b| panic!("{}: {b:?}", one.name));
        let direct = exchange(waha.addr(), one).await.unwrap();
        assert_eq!(answer.status, direct.status, "{}", one.name);
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn twenty_megabytes_pass_both_ways() {
    let waha = waha(Engine::Noweb).await;
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    // No chat: WAHA's 500 echoes it all.
    let large = "ab".repeat(10 * 1024 * 1024);
    let body = json!({"session": "default", "text": large}).to_string();
    let ask =
        async |at| http::call(at, "POST", "/api/sendText", &[KEY, JSON], body.as_bytes()).await.unwrap();
    let direct = ask(waha.addr()).await;
    let through = ask(sidecar.proxy()).await;
    assert_eq!(direct.status, 500);
    assert!(direct.body.len() > large.len());
    let (direct, same) = (shape(&direct, false), shape(&through, false));
    // Not by `assert_eq`: nobody wants to read that.
    assert!(direct == same, "{:?} {:?}", direct.headers, same.headers);
    assert_eq!((through.outcome(), through.recorded()), ("rejected", true));
    waha.shutdown().await;
}

#[tokio::test]
async fn the_very_bytes_of_heads_pass_but_for_what_belongs_to_a_connection() {
    let answer = b"HTTP/1.1 201 Made Up\r\nX-ODD-Case: a\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\n\
        x-empty:\r\nContent-TYPE: application/json\r\nX-Powered-By: Express\r\nContent-Length: 13\r\n\
        Keep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: gone\r\n\r\n{\"id\":\"3EB0\"}";
    let waha = Canned::start(answer).await;
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let headers = [
        ("Host", "bot-side:1"),
        ("X-aPi-KEY", "k"),
        ("X-Multi", "1"),
        ("x-multi", "2"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "gone"),
        ("Keep-Alive", "timeout=1"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "gone"),
        ("Idempotency-Key", "kept"),
        ("X-Watchdog-Order-Id", "7"),
        ("X-Watchdog-Notification-Id", "n"),
        ("x-watchdog-of-tomorrow", "x"),
        ("Content-Type", "application/json"),
    ];
    for path in ["/api/sendText?a=%20b&c", "/api/plain?a=%20b&c"] {
        let got = http::call(sidecar.proxy(), "POST", path, &headers, b"{ }").await.unwrap();
        assert_eq!(
            (got.status, got.reason.as_str(), got.text().as_str()),
            (201, "Made Up", r#"{"id":"3EB0"}"#)
        );
        let theirs: Vec<(&str, &str)> = got
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !name.to_lowercase().starts_with("x-watchdog-"))
            .collect();
        let expected = [
            ("X-ODD-Case", "a"),
            ("set-cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("x-empty", ""),
            ("Content-TYPE", "application/json"),
            ("X-Powered-By", "Express"),
            ("Content-Length", "13"),
        ];
        let sorted = |mut list: Vec<(&str, &str)>| {
            list.sort_unstable();
            list.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(sorted(theirs), sorted(expected.to_vec()), "{path}");

        let seen = waha.seen().pop().unwrap();
        assert_eq!(seen.first_line(), format!("POST {path} HTTP/1.1"));
        assert_eq!(seen.body, b"{ }");
        let host = waha.address.to_string();
        let mut expected = vec![
            ("X-aPi-KEY", "k"),
            ("X-Multi", "1"),
            ("x-multi", "2"),
            ("Accept-Encoding", "gzip, deflate"),
            ("Idempotency-Key", "kept"),
            ("Content-Type", "application/json"),
        ];
        expected.push(("Host", &host));
        let headers = seen.headers();
        let theirs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let theirs: Vec<_> =
            theirs.filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")).collect();
        assert_eq!(sorted(theirs), sorted(expected), "{path}");
    }
}

#[tokio::test]
async fn every_form_of_body_passes() {
    let chunked = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
        &chunks(b"in several pieces", 4),
    ]
    .concat();
    let forms: [(&str, &[u8], u16, &str); 5] = [
        ("chunked", &chunked, 200, "in several pieces"),
        ("until the end", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", 200, "until the end"),
        ("by an old server", b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nold", 200, "old"),
        ("none", b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("of length 0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
    ];
    for (name, answer, status, body) in forms {
        let waha = Canned::start(answer).await;
        let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
        for path in ["/api/sendText", "/api/plain"] {
            let got = http::call(sidecar.proxy(), "POST", path, &[JSON], b"{}").await.unwrap();
            assert_eq!((got.status, got.text().as_str()), (status, body), "{name} {path}");
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served() {
    let waha = waha(Engine::Noweb).await;
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
    connection.write(b"GET /ping HTTP/1.0\r\n\r\n").await;
    let answer = connection.answer(false).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"message":"pong"}"#));
    assert!(connection.until_closed().await.is_empty());
    waha.shutdown().await;
}

#[tokio::test]
async fn only_the_upstream_is_ever_contacted() {
    let (waha, other) =
        (Canned::start(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await, Canned::start(b"").await);
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let elsewhere = other.address;
    let asked = [
        (
            format!("GET http://{elsewhere}/api/sessions HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"),
            400,
            "absolute_form_refused",
        ),
        (format!("CONNECT {elsewhere} HTTP/1.1\r\nHost: {elsewhere}\r\n\r\n"), 405, "connect_refused"),
        ("GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET /ping HTTP/1.1\r\n\r\n".to_owned(), 400, "bad_request"),
    ];
    for (bytes, status, code) in asked {
        let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
        connection.write(bytes.as_bytes()).await;
        let answer = connection.answer(false).await.unwrap();
        assert_eq!((answer.status, answer.error()), (status, code), "{bytes}");
        assert_eq!(answer.json()["error"]["code"], code, "{bytes}");
    }
    // A foreign Host alone changes nothing.
    let host = elsewhere.to_string();
    let answer = http::call(sidecar.proxy(), "GET", "/ping", &[("Host", &host)], b"").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(waha.seen().len(), 1);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn limits_answer_clearly() {
    let waha = Canned::start(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let config = Config::new().set("proxy.max_body", "64KiB").set("proxy.header_timeout", "300ms");
    let sidecar = Sidecar::start(config.set("proxy.body_timeout", "300ms").upstream(&waha.url())).await;
    let long = "a".repeat(66_000);
    let body = vec![b'x'; 65 * 1024];
    let too_much = [
        (request("GET", "/ping", &[("X-Long", &long)], b""), 431, "head_too_large"),
        (request("POST", "/api/sendText", &[JSON], &body), 413, "body_too_large"),
        (request("POST", "/api/plain", &[JSON], &body), 413, "body_too_large"),
        (
            [
                &request("POST", "/api/sendText", &[("Transfer-Encoding", "chunked")], b"")[..],
                &chunks(&body, 8192),
            ]
            .concat(),
            413,
            "body_too_large",
        ),
        // A body that never comes, and one that stops.
        (request("POST", "/api/sendText", &[("Content-Length", "10")], b""), 408, "body_too_slow"),
        (request("POST", "/api/sendText", &[("Content-Length", "10")], b"abc"), 408, "body_too_slow"),
    ];
    for (bytes, status, code) in too_much {
        let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
        connection.write(&bytes).await;
        let answer = connection.answer(false).await.unwrap_or_else(|broken| panic!("{code}: {broken:?}"));
        assert_eq!((answer.status, answer.error()), (status, code));
    }
    // A head that never ends is cut.
    let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
    connection.write(b"GET /ping HTTP/1.1\r\nHost: w\r\n").await;
    connection.until_closed().await;
    assert!(waha.seen().is_empty(), "nothing of it reached WAHA");
}

#[tokio::test]
async fn connections_to_waha_are_used_again_only_while_they_are_fresh() {
    let keep_alive = std::time::Duration::from_millis(400);
    let waha = FakeWaha::start(Options { keep_alive, ..quick() }).await.unwrap();
    let config = Config::new().set("proxy.upstream_idle_timeout", "100ms").raw("proxy.workers", "1");
    let sidecar = Sidecar::start(config.upstream(&waha.url())).await;
    for nth in 0..12 {
        let answer = sidecar.bot().text(CHAT, &format!("{nth}")).await;
        assert_eq!(answer.outcome(), "accepted", "never into a connection that WAHA is closing");
        tokio::time::sleep(std::time::Duration::from_millis(40 * (nth % 12))).await;
    }
    waha.shutdown().await;
}

#[tokio::test]
async fn more_bots_than_allowed_are_told_so() {
    let waha = waha(Engine::Noweb).await;
    let config = Config::new().raw("proxy.max_connections", "2");
    let sidecar = Sidecar::start(config.upstream(&waha.url())).await;
    let mut first = Connection::open(sidecar.proxy()).await.unwrap();
    let mut second = Connection::open(sidecar.proxy()).await.unwrap();
    for open in [&mut first, &mut second] {
        open.write(&request("GET", "/ping", &[], b"")).await;
        assert_eq!(open.answer(false).await.unwrap().status, 200);
    }
    let answer = Connection::open(sidecar.proxy()).await.unwrap().answer(false).await.unwrap();
    assert_eq!((answer.status, answer.error()), (503, "overloaded"));
    drop(first);
    super::harness::until("a place is free", async || {
        let answer = http::call(sidecar.proxy(), "GET", "/ping", &[], b"").await;
        answer.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    waha.shutdown().await;
}

#[tokio::test]
async fn a_client_that_waits_for_the_100_gets_it() {
    let waha = waha(Engine::Noweb).await;
    let sidecar = Sidecar::start(Config::new().set("proxy.max_body", "1MiB").upstream(&waha.url())).await;
    let body = json!({"session": "default", "chatId": CHAT, "text": "x".repeat(300_000)}).to_string();
    let length = body.len().to_string();
    let headers = [KEY, JSON, ("Expect", "100-continue"), ("Content-Length", length.as_str())];
    for path in ["/api/sendText", "/api/sessions/default"] {
        let method = if path.contains("send") { "POST" } else { "PUT" };
        let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
        connection.write(&request(method, path, &headers, b"")).await;
        assert_eq!(connection.take(25).await, b"HTTP/1.1 100 Continue\r\n\r\n", "{path}");
        connection.write(body.as_bytes()).await;
        assert!(matches!(connection.answer(false).await.unwrap().status, 200 | 201), "{path}");
    }
    // One that is too large is told so instead.
    let headers = [KEY, JSON, ("Expect", "100-continue"), ("Content-Length", "2000000")];
    let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
    connection.write(&request("POST", "/api/sendText", &headers, b"")).await;
    let answer = connection.answer(false).await.unwrap();
    assert_eq!((answer.status, answer.error(), answer.interim.len()), (413, "body_too_large", 0));
    waha.shutdown().await;
}

#[tokio::test]
async fn a_plain_answer_passes_piece_by_piece() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sidecar = Sidecar::start(Config::new().upstream(&url)).await;
    let mut bot = Connection::open(sidecar.proxy()).await.unwrap();
    bot.write(&request("GET", "/api/files/large", &[], b"")).await;
    let (mut waha, _) = listener.accept().await.unwrap();
    let mut asked = [0; 1024];
    assert!(tokio::io::AsyncReadExt::read(&mut waha, &mut asked).await.unwrap() > 0);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
    tokio::io::AsyncWriteExt::write_all(&mut waha, head).await.unwrap();
    // The rest is only sent once the beginning has arrived.
    let mut seen = Vec::new();
    while !seen.ends_with(b"first") {
        seen.extend(bot.take(1).await);
    }
    tokio::io::AsyncWriteExt::write_all(&mut waha, b" last").await.unwrap();
    assert_eq!(bot.take(5).await, b" last");
}
