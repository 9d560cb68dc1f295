//! How an attempt ended, by phase and body (SPEC 4.3): what the bot gets, what the header says, what is recorded.

use std::time::Duration;

use serde_json::{Value, json};
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, Options, SessionOptions};

use super::harness::upstream::Canned;
use super::harness::{Answer, Bot, Config, Sidecar, pair, quick, until};

async fn recorded(sidecar: &Sidecar, answer: &Answer) -> (String, Value, Value) {
    let send = sidecar.send_when(&answer.send_id(), |_| true).await;
    (send["outcome"].as_str().unwrap().to_owned(), send["cause"].clone(), send["status"].clone())
}

/// A body that is not kept, and has come as a whole, must not keep the limit for its answer from running.
#[tokio::test]
async fn a_hang_ends_where_nothing_of_the_body_is_kept() {
    let config = Config::new().set("proxy.response_timeout", "1s").set("sends.copy_max", "0B");
    let (waha, sidecar) = pair(config).await;
    waha.faults().add(Fault::always(FaultKind::Hang));
    let answer = sidecar.bot().text("584241234567@c.us", "hola").await;
    assert_eq!((answer.status, answer.error(), answer.outcome()), (504, "upstream_timeout", "ambiguous"));
}

#[tokio::test]
async fn every_fault_has_its_outcome() {
    let config = Config::new().set("proxy.response_timeout", "1s");
    let (mut waha, sidecar) = pair(config).await;
    let error = |message: &str| FaultKind::Status500(message.to_owned());
    // fault, status for the bot, our error code, outcome, cause, status in the record
    let rows = [
        (None, 201, "-", "accepted", Value::Null, json!(201)),
        (
            Some(FaultKind::DropBeforeReading),
            502,
            "upstream_lost",
            "ambiguous",
            json!("connection_lost"),
            Value::Null,
        ),
        (
            Some(FaultKind::DropAfterProcessing),
            502,
            "upstream_lost",
            "ambiguous",
            json!("connection_lost"),
            Value::Null,
        ),
        (Some(FaultKind::Hang), 504, "upstream_timeout", "ambiguous", json!("response_timeout"), Value::Null),
        (
            Some(FaultKind::TruncateAnswer),
            502,
            "upstream_lost",
            "ambiguous",
            json!("truncated_answer"),
            json!(201),
        ),
        (
            Some(error("2 UNKNOWN: server returned error 463")),
            500,
            "-",
            "rejected",
            json!("contact_restricted"),
            json!(500),
        ),
        (
            Some(error("2 UNKNOWN: server returned error 475")),
            500,
            "-",
            "rejected",
            json!("contact_restricted"),
            json!(500),
        ),
        (
            Some(error("2 UNKNOWN: server returned error 400")),
            500,
            "-",
            "rejected",
            json!("refused_by_whatsapp"),
            json!(500),
        ),
        (Some(FaultKind::NoLid), 500, "-", "rejected", json!("number_not_on_whatsapp"), json!(500)),
        (Some(error("Timed Out")), 500, "-", "ambiguous", json!("server_error"), json!(500)),
        (Some(error("Connection Closed")), 500, "-", "ambiguous", json!("server_error"), json!(500)),
        (Some(FaultKind::Status422), 422, "-", "failed", json!("session_not_working"), json!(422)),
        (Some(FaultKind::Refuse), 503, "-", "failed", json!("unavailable"), json!(503)),
        (Some(FaultKind::Unauthorized), 401, "-", "failed", json!("unauthorized"), json!(401)),
        (Some(FaultKind::EmptyBody), 201, "-", "accepted", Value::Null, json!(201)),
        (Some(FaultKind::BadBody), 201, "-", "accepted", Value::Null, json!(201)),
    ];
    for (nth, (fault, status, code, outcome, cause, seen)) in rows.into_iter().enumerate() {
        let chat = format!("5511{nth:09}@c.us");
        let name = format!("{fault:?}");
        if let Some(fault) = fault {
            waha.faults().add(Fault::to_chat(&chat, fault));
        }
        let answer = sidecar.bot().text(&chat, "hola").await;
        assert_eq!((answer.status, answer.error(), answer.outcome()), (status, code, outcome), "{name}");
        assert!(answer.recorded(), "{name}");
        assert_eq!(recorded(&sidecar, &answer).await, (outcome.to_owned(), cause, seen), "{name}");
        if code != "-" {
            assert_eq!(answer.json()["error"]["code"], code, "{name}");
        }
    }
    for (body, status, outcome, cause) in [
        (json!({"session": "default", "chatId": null, "text": "x"}), 500, "rejected", "bad_request"),
        (json!({"session": "nosuch", "chatId": "5511@c.us", "text": "x"}), 422, "failed", "session_missing"),
        (json!({"chatId": "5511@c.us", "text": "x"}), 422, "rejected", "bad_request"),
    ] {
        let answer = sidecar.bot().post("/api/sendText", &[], &body).await.unwrap();
        assert_eq!((answer.status, answer.outcome()), (status, outcome), "{body}");
        assert_eq!(recorded(&sidecar, &answer).await.1, cause, "{body}");
    }
    let number = "551144444444";
    waha.faults().add(Fault::always(FaultKind::DropBeforeReading).times(1));
    let answer = sidecar.bot().text(number, "unread").await;
    assert_eq!((answer.status, answer.error(), answer.outcome()), (502, "upstream_lost", "ambiguous"));
    waha.go_down().await;
    let answer = sidecar.bot().text(number, "nobody there").await;
    assert_eq!((answer.status, answer.error(), answer.outcome()), (502, "upstream_unreachable", "failed"));
    assert_eq!(recorded(&sidecar, &answer).await.1, "connection_refused");
    let answer = sidecar.bot().get("/api/sessions").await;
    assert_eq!((answer.status, answer.error()), (502, "upstream_unreachable"), "plain calls too");
}

#[tokio::test]
async fn answers_are_judged_by_what_they_say() {
    let json_answer = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let rows = [
        (
            json_answer("201 Created", r#"{"id":"true_1@c.us_3EB0","ack":-1}"#),
            201,
            "ambiguous",
            "said_failed",
        ),
        (json_answer("201 Created", r#"{"success":false}"#), 201, "ambiguous", "said_failed"),
        (
            json_answer("201 Created", r#"{"statusCode":500,"exception":{"message":"Timed Out"}}"#),
            201,
            "ambiguous",
            "said_failed",
        ),
        (json_answer("201 Created", ""), 201, "accepted", ""),
        (json_answer("200 OK", "[]"), 200, "accepted", ""),
        (json_answer("302 Found", ""), 302, "failed", "redirected"),
        (json_answer("403 Forbidden", "{}"), 403, "failed", "unauthorized"),
        (json_answer("404 Not Found", "{}"), 404, "rejected", "not_found"),
        (json_answer("413 Payload Too Large", "{}"), 413, "rejected", "too_large"),
        (json_answer("429 Too Many Requests", "{}"), 429, "failed", "too_many_requests"),
        (json_answer("501 Not Implemented", "{}"), 501, "rejected", "not_implemented"),
        (json_answer("502 Bad Gateway", "<html>"), 502, "ambiguous", "server_error"),
        (json_answer("504 Gateway Time-out", "<html>"), 504, "ambiguous", "server_error"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), 502, "ambiguous", "connection_lost"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
            502,
            "ambiguous",
            "connection_lost",
        ),
    ];
    // One process after another would take long; one upstream after another does not.
    let waha = Canned::start(b"").await;
    let mut sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    for (bytes, status, outcome, cause) in rows {
        let waha = Canned::start(bytes.as_bytes()).await;
        let before = sidecar.log().text().matches("configuration reloaded").count();
        sidecar.configure(|config| config.upstream(&waha.url()));
        sidecar.sighup();
        until("it is reloaded", async || {
            sidecar.log().text().matches("configuration reloaded").count() > before
        })
        .await;
        let answer = sidecar.bot().text("5511", &bytes).await;
        assert_eq!((answer.status, answer.outcome()), (status, outcome), "{bytes}");
        let (_, said, _) = recorded(&sidecar, &answer).await;
        assert_eq!(said.as_str().unwrap_or_default(), cause, "{bytes}");
        assert_eq!(waha.seen().len(), 1, "sent once");
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_a_failure_that_was_surely_not_sent() {
    let waha = FakeWaha::start(quick()).await.unwrap();
    let config = Config::new().upstream(&waha.url().replace("http:", "https:"));
    let sidecar = Sidecar::start(config.set("proxy.connect_timeout", "2s")).await;
    let answer = sidecar.bot().text("5511", "hola").await;
    assert_eq!((answer.status, answer.error(), answer.outcome()), (502, "upstream_unreachable", "failed"));
    assert_eq!(recorded(&sidecar, &answer).await.1, "tls");
    assert!(waha.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_message() {
    let (waha, sidecar) = pair(Config::new().set("sends.copy_max", "1KiB")).await;
    // Small: never joined, never sent. Large: its beginning has left already, and WAHA cannot read half a request.
    for length in [500, 200_000] {
        let body = Bot::body("5511", &"x".repeat(length)).to_string();
        let mut connection = super::harness::http::Connection::open(sidecar.proxy()).await.unwrap();
        let announced = (body.len() + 10).to_string();
        let headers = [("Content-Type", "application/json"), ("Content-Length", announced.as_str())];
        connection
            .write(&super::harness::http::request("POST", "/api/sendText", &headers, body.as_bytes()))
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(connection);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(waha.phones().total(), 0);
    assert_eq!(sidecar.bot().text("5511", "still there").await.status, 201);
}

#[tokio::test]
async fn a_rejection_is_a_failed_notification_at_once_and_moves_no_status() {
    let (waha, sidecar) = pair(Config::new()).await;
    sidecar.bot().text("5511", "hola").await;
    waha.faults().add(Fault::to_chat("5512", FaultKind::NoLid));
    let answer = sidecar.bot().text("5512", &super::joining::received("ORD-9")).await;
    let failed = sidecar.failed_when(1).await;
    assert_eq!(failed[0]["id"], answer.send_id().as_str());
    assert_eq!((&failed[0]["cause"], &failed[0]["attempts"]), (&"number_not_on_whatsapp".into(), &1.into()));
    assert_eq!(sidecar.status().await["status"], "online");
}

#[tokio::test]
async fn sessions_beside_the_configured_ones_count_as_other() {
    let sessions = vec![SessionOptions::working("default"), SessionOptions::working("ventas")];
    let waha = FakeWaha::start(Options { sessions, ..quick() }).await.unwrap();
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let body = json!({"session": "ventas", "chatId": "5511", "text": "x"});
    assert_eq!(sidecar.bot().post("/api/sendText", &[], &body).await.unwrap().status, 201);
    sidecar.metric_when(r#"attempts_total{outcome="accepted",session="other"}"#, 1.0).await;
    assert_eq!(sidecar.sends().await[0]["session"], "ventas");
}
