//! Engines, client bodies, sessions, listings, and HTTP itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waha_watchdog::fake_waha::{
    CallOutcome, Engine, FakeWaha, Options, Release, SessionOptions, SessionStatus,
};

use crate::client::{Connection, JSON, call, get, post, request, until};

const CHAT: &str = "5511988887777@c.us";

fn options() -> Options {
    Options { time_scale: 0.01, ..Options::default() }
}

async fn waha() -> FakeWaha {
    FakeWaha::start(options()).await.unwrap()
}

#[tokio::test]
async fn each_engine_answers_in_its_own_form_and_dedups_where_it_has_ids() {
    for (engine, displayed) in [(Engine::Noweb, 1), (Engine::Gows, 1), (Engine::Webjs, 2)] {
        let waha = FakeWaha::start(Options { engine, ..options() }).await.unwrap();
        let body = json!({"session": "default", "chatId": CHAT, "text": "x", "id": "3EB0AAAABBBBCCCCDDDD11"});
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = post(waha.addr(), "/api/sendText", &body).await.unwrap();
            assert_eq!(answer.status, 201);
            answers.push(answer.json());
        }
        let answer = &answers[0];
        let id = match engine {
            Engine::Noweb => &answer["key"]["id"],
            Engine::Gows => &answer["_data"]["Info"]["ID"],
            Engine::Webjs => &answer["_data"]["id"]["id"],
        };
        assert_eq!(id == "3EB0AAAABBBBCCCCDDDD11", engine.takes_message_id(), "{answer}");
        assert_eq!(waha.phones().times(CHAT, "x"), displayed);
        let status = get(waha.addr(), "/api/default/new-message-id").await.status;
        assert_eq!(status, if engine.takes_message_id() { 200 } else { 501 });
        assert_eq!(get(waha.addr(), "/api/version").await.json()["engine"], engine.name());
        waha.shutdown().await;
    }
}

#[tokio::test]
async fn the_old_release_ignores_ids_and_refuses_media() {
    let waha = FakeWaha::start(Options { release: Release::V2025_12_3, ..options() }).await.unwrap();
    let body = json!({"session": "default", "chatId": CHAT, "text": "x", "id": "MINE"});
    let answer = post(waha.addr(), "/api/sendText", &body).await.unwrap();
    assert_ne!(answer.json()["key"]["id"], "MINE");
    let body = json!({"session": "default", "chatId": CHAT, "file": {"data": "AA"}});
    let answer = post(waha.addr(), "/api/sendImage", &body).await.unwrap();
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("available only in Plus"));
    assert_eq!(get(waha.addr(), "/api/default/new-message-id").await.status, 404);
    waha.shutdown().await;
}

#[tokio::test]
async fn the_bodies_of_the_python_clients_are_taken() {
    let waha = waha().await;
    // waha-py writes every field it knows, the unset ones as null; the other two only what was given.
    let explicit = json!({
        "session": "default", "chatId": CHAT, "text": "explicit", "id": null, "mentions": null, "reply_to": null,
        "linkPreview": true, "linkPreviewHighQuality": false,
    });
    let sparse = json!({"session": "default", "chatId": CHAT, "text": "sparse"});
    let headers = [
        JSON,
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
        ("User-Agent", "python-httpx/0.28.1"),
        ("X-Api-Key", "any"),
    ];
    for (body, text) in [(explicit, "explicit"), (sparse, "sparse")] {
        let body = body.to_string();
        let answer = call(waha.addr(), "POST", "/api/sendText", &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(waha.phones().times(CHAT, text), 1);
    }
    assert!(waha.calls().iter().all(|call| call.given_id.is_none()));
    // A GET with a content type but no body.
    let answer = call(waha.addr(), "GET", "/api/sessions/default", &headers, b"").await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("WORKING")));
    waha.shutdown().await;
}

#[tokio::test]
async fn every_sending_endpoint_sends() {
    let waha = waha().await;
    let file = json!({"mimetype": "image/png", "filename": "f.png", "data": "AA"});
    let calls = [
        ("/api/sendText", json!({"text": "t1"}), "t1"),
        ("/api/reply", json!({"text": "t2", "reply_to": "x"}), "t2"),
        ("/API/SENDTEXT/", json!({"text": "t3"}), "t3"),
        ("/api/sendImage", json!({"file": file, "caption": "image"}), "image"),
        ("/api/sendFile", json!({"file": file}), "f.png"),
        ("/api/sendVoice", json!({"file": {"url": "http://h/v.ogg"}, "convert": true}), "http://h/v.ogg"),
        ("/api/sendVideo", json!({"file": file, "caption": "video"}), "video"),
        ("/api/sendLocation", json!({"latitude": 1.5, "longitude": 2.5, "title": "here"}), "here"),
        ("/api/sendContactVcard", json!({"contacts": [{"fullName": "Ana"}]}), "Ana"),
        ("/api/sendPoll", json!({"poll": {"name": "When?", "options": ["a", "b"]}}), "When?"),
        ("/api/sendList", json!({"message": {"title": "list", "sections": []}}), "list"),
        ("/api/sendButtons", json!({"body": "buttons", "buttons": []}), "buttons"),
        ("/api/send/link-custom-preview", json!({"text": "link", "preview": {}}), "link"),
        ("/api/send/buttons/reply", json!({"selectedDisplayText": "yes", "selectedButtonID": "1"}), "yes"),
        ("/api/sendLinkPreview", json!({"url": "http://shop"}), "http://shop"),
        ("/api/default/events", json!({"event": {"name": "party"}}), "party"),
    ];
    for (path, mut body, text) in calls {
        body["chatId"] = json!(CHAT);
        body["session"] = json!("default");
        let answer = post(waha.addr(), path, &body).await.unwrap();
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        assert_eq!(waha.phones().times(CHAT, text), 1, "{path}");
    }
    let answer = get(waha.addr(), "/api/sendText?phone=5511988887777&text=by+get&session=default").await;
    assert_eq!((answer.status, waha.phones().times(CHAT, "by get")), (200, 1));
    let answer = post(waha.addr(), "/api/default/status/text", &json!({"text": "status"})).await.unwrap();
    assert_eq!((answer.status, waha.phones().times("status@broadcast", "status")), (201, 1));

    // What changes messages instead of making one.
    let id = format!("true_{CHAT}_{}", waha.phones().chat(CHAT)[0].message_id);
    let body = json!({"session": "default", "messageId": id, "reaction": "👍"}).to_string();
    let answer = call(waha.addr(), "PUT", "/api/reaction", &[JSON], body.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let path = format!("/api/default/chats/{}/messages/{id}", CHAT.replace('@', "%40"));
    assert_eq!(call(waha.addr(), "PUT", &path, &[JSON], br#"{"text":"edit"}"#).await.unwrap().status, 200);
    assert_eq!(call(waha.addr(), "DELETE", &path, &[], b"").await.unwrap().status, 200);
    let body = json!({"session": "default", "chatId": "5511", "messageId": id});
    let answer = post(waha.addr(), "/api/forwardMessage", &body).await.unwrap();
    assert_eq!((answer.status, waha.phones().times("5511", "t1")), (201, 1));
    assert_eq!(answer.json()["id"].as_str().unwrap().split('_').next(), Some("true"), "a WAMessage");
    let body = json!({"session": "default", "chatId": "5511", "messageId": "true_1@c.us_NONE"});
    assert_eq!(post(waha.addr(), "/api/forwardMessage", &body).await.unwrap().status, 422);
    assert_eq!(post(waha.addr(), "/api/sendList", &json!({"session": "default"})).await.unwrap().status, 400);
    waha.shutdown().await;
}

#[tokio::test]
async fn bad_chat_ids_are_wahas_type_errors() {
    let waha = waha().await;
    for (body, message) in [
        (
            json!({"session": "default", "text": "x"}),
            "Cannot read properties of undefined (reading 'includes')",
        ),
        (
            json!({"session": "default", "chatId": null}),
            "Cannot read properties of null (reading 'includes')",
        ),
        (json!({"session": "default", "chatId": [1]}), "phone.includes is not a function"),
    ] {
        let answer = post(waha.addr(), "/api/sendText", &body).await.unwrap();
        assert_eq!((answer.status, &answer.json()["exception"]["message"]), (500, &json!(message)));
    }
    assert_eq!(waha.calls()[2].outcome, CallOutcome::Answered(500));
    waha.shutdown().await;
}

#[tokio::test]
async fn listings_filter_and_find() {
    let waha = waha().await;
    for text in ["a", "b", "c"] {
        let body = json!({"session": "default", "chatId": CHAT, "text": text});
        post(waha.addr(), "/api/sendText", &body).await.unwrap();
    }
    let chat = "/api/default/chats/5511988887777%40c.us/messages";
    let bodies = async |query: &str| -> Vec<String> {
        let listed = get(waha.addr(), &format!("{chat}?downloadMedia=false&{query}")).await.json();
        listed.as_array().unwrap().iter().map(|m| m["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies("limit=2&sortBy=timestamp&sortOrder=desc&filter.fromMe=true").await, ["c", "b"]);
    assert_eq!(bodies("offset=1&sortOrder=asc").await, ["b", "c"]);
    assert_eq!(bodies("filter.timestamp.gte=99999999999").await, [""; 0]);
    assert_eq!(bodies("filter.fromMe=false").await, [""; 0]);
    assert_eq!(get(waha.addr(), &format!("{chat}?limit=many")).await.status, 400);
    let old = get(waha.addr(), "/api/messages?session=default&chatId=5511988887777&limit=10").await.json();
    assert_eq!(old.as_array().unwrap().len(), 3);
    let id = waha.phones().chat(CHAT)[0].message_id.clone();
    let one = get(waha.addr(), &format!("{chat}/true_{CHAT}_{id}")).await;
    assert_eq!((one.status, &one.json()["body"]), (200, &json!("a")));
    let none = get(waha.addr(), &format!("{chat}/true_{CHAT}_NONE")).await;
    assert_eq!(none.text(), r#"{"message":"Message not found","error":"Not Found","statusCode":404}"#);
    waha.shutdown().await;

    let mut session = SessionOptions::working("default");
    session.config = json!({});
    let waha = FakeWaha::start(Options { sessions: vec![session], ..options() }).await.unwrap();
    let refused = get(waha.addr(), chat).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Enable NOWEB store"));
    waha.shutdown().await;
}

#[tokio::test]
async fn sessions_live_their_whole_life() {
    let waha = waha().await;
    let at = waha.addr();
    let status = async || get(at, "/api/sessions/s").await.json()["status"].as_str().map(str::to_owned);
    let config = json!({"metadata": {"shop": "1"}});
    let answer =
        post(at, "/api/sessions", &json!({"name": "s", "start": true, "config": config})).await.unwrap();
    assert_eq!((answer.status, &answer.json()["config"]), (201, &config));
    until("it wants a scan", async || status().await.as_deref() == Some("SCAN_QR_CODE")).await;
    let picture = get(at, "/api/s/auth/qr").await;
    assert_eq!((picture.status, picture.header("Content-Type")), (200, Some("image/png")));
    assert!(picture.body.starts_with(b"\x89PNG"));
    // Somebody scans it.
    post(at, "/__fake/sessions/s", &json!({"status": "WORKING", "after_start": "WORKING"})).await.unwrap();
    assert_eq!(get(at, "/api/sessions/s/me").await.json()["pushName"], "Fake Shop");
    let answer = call(at, "PUT", "/api/sessions/s", &[JSON], br#"{"config":{}}"#).await.unwrap();
    assert_eq!((answer.status, &answer.json()["config"]), (200, &json!({})));
    until("it works again", async || status().await.as_deref() == Some("WORKING")).await;
    assert_eq!(post(at, "/api/sessions/s/logout", &json!({})).await.unwrap().status, 201);
    until("it wants a scan", async || status().await.as_deref() == Some("SCAN_QR_CODE")).await;
    assert_eq!(post(at, "/api/sessions/stop", &json!({"name": "s"})).await.unwrap().status, 201);
    assert_eq!(waha.session("s"), Some(SessionStatus::Stopped));
    assert_eq!(post(at, "/api/sessions/start", &json!({"name": "s"})).await.unwrap().status, 201);
    assert_eq!(post(at, "/api/sessions/start", &json!({"name": "s"})).await.unwrap().status, 422);
    assert_eq!(post(at, "/api/sessions/logout", &json!({"name": "s"})).await.unwrap().status, 201);
    assert_eq!(get(at, "/api/sessions/s").await.status, 404);
    assert_eq!(call(at, "PUT", "/api/sessions/s", &[JSON], b"{}").await.unwrap().status, 404);
    let names = |list: Value| list.as_array().unwrap().iter().map(|s| s["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(get(at, "/api/sessions?all=true").await.json()), ["default"]);
    waha.shutdown().await;
}

#[tokio::test]
async fn http_itself() {
    let waha =
        FakeWaha::start(Options { keep_alive: Duration::from_millis(200), ..options() }).await.unwrap();
    let at = waha.addr();

    // Idle sockets are closed, used ones are not.
    let mut connection = Connection::open(at).await.unwrap();
    let start = Instant::now();
    let answer = connection.exchange("GET", "/ping", &[], b"").await.unwrap();
    assert_eq!(answer.header("Keep-Alive"), Some("timeout=1"), "whole seconds");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert!(answer.header("Date").is_some());
    assert_eq!(connection.until_closed().await, b"");
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());

    // A caller that has the answer already.
    let tag = answer.header("ETag").unwrap();
    let again = call(at, "GET", "/ping", &[("If-None-Match", tag)], b"").await.unwrap();
    assert_eq!((again.status, again.body.len()), (304, 0));

    // Two requests at once.
    let mut connection = Connection::open(at).await.unwrap();
    let ping = request("GET", "/ping", &[], b"");
    connection.write(&[ping.clone(), ping].concat()).await;
    for _ in 0..2 {
        assert_eq!(connection.answer(false, Instant::now()).await.unwrap().status, 200);
    }

    // An answer with `Connection: close` means it.
    let mut connection = Connection::open(at).await.unwrap();
    let answer = connection.exchange("GET", "/ping", &[("Connection", "close")], b"").await.unwrap();
    assert_eq!((answer.header("Connection"), answer.header("Keep-Alive")), (Some("close"), None));
    assert_eq!(connection.until_closed().await, b"");

    // Heads beyond Node's limit.
    let long = "a".repeat(17_000);
    let mut connection = Connection::open(at).await.unwrap();
    let answer = connection.exchange("GET", "/ping", &[("X-Long", &long)], b"").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (431, 0));
    assert_eq!(connection.until_closed().await, b"");
    let fits = "a".repeat(15_000);
    assert_eq!(call(at, "GET", "/ping", &[("X-Long", &fits)], b"").await.unwrap().status, 200);

    // Doubled slashes are no path, and every answer of the newer release is traced.
    let doubled = call(at, "POST", "/api//sendText", &[JSON], b"{}").await.unwrap();
    assert_eq!(
        doubled.text(),
        r#"{"message":"Cannot POST /api//sendText","error":"Not Found","statusCode":404}"#
    );
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = call(at, "GET", "/ping", &[("traceparent", trace)], b"").await.unwrap();
    assert!(traced.header("traceparent").unwrap().starts_with(&trace[..36]));

    // An empty body of a POST that wants one, and rubbish instead of HTTP.
    assert_eq!(call(at, "POST", "/api/sendText", &[], b"").await.unwrap().status, 500);
    let mut connection = Connection::open(at).await.unwrap();
    connection.write(b"\0\x01rubbish\r\n\r\n").await;
    let said = connection.until_closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{said:?}");
    assert_eq!(get(at, "/ping").await.status, 200);
    waha.shutdown().await;
}

#[tokio::test]
async fn the_key_in_the_query_is_taken_by_the_newer_release() {
    let waha = FakeWaha::start(Options { api_key: Some("k".into()), ..options() }).await.unwrap();
    assert_eq!(get(waha.addr(), "/api/sessions").await.status, 401);
    assert_eq!(get(waha.addr(), "/api/sessions?x-api-key=k").await.status, 200);
    assert_eq!(get(waha.addr(), "/health").await.status, 401);
    assert_eq!(get(waha.addr(), "/ping").await.status, 200);
    assert_eq!(get(waha.addr(), "/metrics").await.status, 404);
    waha.shutdown().await;
}

#[tokio::test]
async fn a_fake_that_is_dropped_is_gone() {
    let waha = waha().await;
    let address = waha.addr();
    drop(waha);
    until("it is gone", async || Connection::open(address).await.is_err()).await;
}
