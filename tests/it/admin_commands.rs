//! What people and the bot can ask for: sent again truly, settled, taken, opened again; probes, restarts, diagnoses; and who may (SPEC 11).

use std::time::Duration;

use serde_json::{Value, json};
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, SessionStatus};

use super::harness::http::{self, JSON};
use super::harness::sidecar::{json_lines, stdout};
use super::harness::{Answer, CHAT, Config, Sidecar, pair, settle, until};
use super::joining::received;

/// Given up at once, and nothing is sent again unless a test wants it.
fn config() -> Config {
    Config::new()
        .raw("retry.attempts", "1")
        .raw("diagnosis.enabled", "true")
        .raw("recovery.enabled", "true")
        .raw("healthcheck.enabled", "true")
}

async fn post_as(sidecar: &Sidecar, token: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    http::call(sidecar.admin(), "POST", path, &headers, body.to_string().as_bytes()).await.unwrap()
}

async fn post(sidecar: &Sidecar, path: &str, body: &Value) -> Answer {
    http::call(sidecar.admin(), "POST", path, &[JSON], body.to_string().as_bytes()).await.unwrap()
}

async fn done(sidecar: &Sidecar, path: &str, body: &Value) -> Value {
    let answer = post(sidecar, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

fn on(id: &str, verb: &str) -> String {
    format!("/api/notifications/failed/{id}/{verb}")
}

/// One failed notification in a chat of its own; replays by itself are paused.
async fn one_failed(waha: &FakeWaha, sidecar: &Sidecar, order: &str, fault: FaultKind) -> String {
    assert_eq!(done(sidecar, "/api/recovery/pause", &json!({})).await["paused"], true);
    waha.faults().add(Fault::to_chat(CHAT, fault));
    let id = sidecar.bot().text(CHAT, &received(order)).await.send_id();
    sidecar.failed_when(1).await;
    id
}

#[tokio::test]
async fn a_retry_tells_how_it_truly_ended_and_two_clicks_are_one_message() {
    let (waha, sidecar) = pair(config()).await;
    let id = one_failed(&waha, &sidecar, "ORD-1", FaultKind::Status422).await;
    let shown = sidecar.failed_one(&id).await;
    for key in ["attention", "held", "replays", "ours_since", "confirmation", "claimed_by", "finding"] {
        assert!(shown.get(key).is_some(), "{key} in {shown}");
    }

    let answer = done(&sidecar, &on(&id, "retry"), &json!({})).await;
    assert_eq!((&answer["success"], &answer["outcome"]), (&false.into(), &"failed".into()), "{answer}");
    assert_eq!(answer["cause"], "session_not_working");
    assert_eq!(sidecar.failed_one(&id).await["resolved"], false);

    waha.faults().clear();
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Delay(Duration::from_millis(400))));
    let path = on(&id, "retry");
    let nothing = json!({});
    let (one, other) = tokio::join!(done(&sidecar, &path, &nothing), done(&sidecar, &path, &nothing));
    for answer in [one, other] {
        assert_eq!((&answer["success"], &answer["outcome"]), (&true.into(), &"accepted".into()), "{answer}");
    }
    assert_eq!(waha.phones().times(CHAT, &received("ORD-1")), 1);
    let settled = sidecar.failed_one(&id).await;
    assert_eq!((&settled["resolved"], &settled["resolution_method"]), (&true.into(), &"retry".into()));
    assert_eq!(settled["resolved_by"], "local");
    refused(&post(&sidecar, &path, &json!({})).await, 404, "not_open");
    refused(&post(&sidecar, &on("x", "retry"), &json!({})).await, 404, "unknown_notification");
}

#[tokio::test]
async fn what_was_rejected_is_not_sent_again() {
    let (waha, sidecar) = pair(config()).await;
    let id = one_failed(&waha, &sidecar, "ORD-1", FaultKind::NoLid).await;
    let answer = post(&sidecar, &on(&id, "retry"), &json!({})).await;
    refused(&answer, 409, "rejected_for_good");
    assert!(answer.json()["message"].is_string());
    let output = sidecar.cli(&["failed", "retry", &id]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("rejected"), "{output:?}");
}

const ANA: &str = "secret-of-ana-the-operator";
const LUIS: &str = "secret-of-luis-the-operator";
const VIEWER: &str = "secret-of-the-viewer";
const BOT: &str = "secret-of-the-bot-itself";

fn with_tokens() -> Config {
    let token =
        |(name, role, secret)| format!(r#"{{ name = "{name}", role = "{role}", secret = "{secret}" }}"#);
    let tokens = [
        ("ana", "operator", ANA),
        ("luis", "operator", LUIS),
        ("vera", "viewer", VIEWER),
        ("shop-bot", "bot", BOT),
    ];
    config().raw("admin.tokens", &format!("[{}]", tokens.map(token).join(", ")))
}

#[tokio::test]
async fn people_take_settle_and_reopen_under_their_names() {
    let (waha, mut sidecar) = pair(with_tokens()).await;
    sidecar.bearer(Some(VIEWER));
    assert_eq!(post_as(&sidecar, ANA, "/api/recovery/pause", &json!({})).await.status, 200);
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    let id = sidecar.bot().text(CHAT, &received("ORD-1")).await.send_id();
    sidecar.failed_when(1).await;

    let claimed = post_as(&sidecar, ANA, &on(&id, "claim"), &json!({})).await;
    assert_eq!(claimed.json()["notification"]["claimed_by"], "ana", "{}", claimed.text());
    refused(&post_as(&sidecar, LUIS, &on(&id, "claim"), &json!({})).await, 409, "claimed_by_another");
    let orders = sidecar.api("/api/orders/unnotified").await;
    assert_eq!(orders["total"], 1);
    assert_eq!(orders["items"][0]["order_number"], "ORD-1");
    assert_eq!(orders["items"][0]["claimed_by"], "ana");
    assert_eq!(orders["items"][0]["notifications"], json!([id]));

    let resolve = on(&id, "mark_resolved");
    for bad in [
        json!({}),
        json!({"resolution_method": "bot_recovered"}),
        json!({"resolution_method": "phone_call", "note": "x".repeat(1001)}),
        json!({"resolution_method": "phone_call", "by": "ana"}),
        json!([]),
    ] {
        assert_eq!(post_as(&sidecar, ANA, &resolve, &bad).await.status, 400, "{bad}");
    }
    let large = json!({"resolution_method": "sms", "note": "x".repeat(70_000)});
    refused(&post_as(&sidecar, ANA, &resolve, &large).await, 413, "too_large");
    let bearer = format!("Bearer {ANA}");
    let form = http::call(
        sidecar.admin(),
        "POST",
        &resolve,
        &[("Authorization", &bearer), ("Content-Type", "application/x-www-form-urlencoded")],
        b"resolution_method=sms",
    )
    .await;
    refused(&form.unwrap(), 415, "not_json");
    let body = json!({"resolution_method": "phone_call", "note": " habló con Juan "});
    let answer = post_as(&sidecar, LUIS, &resolve, &body).await.json();
    let one = &answer["notification"];
    assert_eq!((&one["resolution_method"], &one["resolved_by"]), (&"phone_call".into(), &"luis".into()));
    assert_eq!((&one["note"], &one["manually_resolved"]), (&"habló con Juan".into(), &true.into()));
    refused(&post_as(&sidecar, LUIS, &resolve, &body).await, 404, "not_open");

    let reopened = post_as(&sidecar, ANA, &on(&id, "reopen"), &json!({})).await.json();
    assert_eq!(reopened["notification"]["resolved"], false, "{reopened}");
    refused(&post_as(&sidecar, ANA, &on(&id, "reopen"), &json!({})).await, 409, "not_settled");
    refused(&post_as(&sidecar, ANA, &on(&id, "retry"), &json!({})).await, 409, "nothing_kept");

    // The first operator of the configuration acts on the command line.
    let printed = stdout(&sidecar.cli(&["failed", "claim", &id]).await);
    assert!(printed.contains("ana"), "{printed}");
    let args = ["failed", "resolve", &id, "--method", "sms", "--note", "listo", "--json"];
    let printed = json_lines(&stdout(&sidecar.cli(&args).await));
    assert_eq!(printed[0]["notification"]["resolution_method"], "sms");
    stdout(&sidecar.cli(&["failed", "reopen", &id]).await);
    let audit = sidecar.api("/api/audit?limit=3").await;
    let did: Vec<_> = audit["items"].as_array().unwrap().iter().map(|line| line["action"].clone()).collect();
    assert_eq!(did, ["reopen", "resolve", "claim"]);
    let page = sidecar.api(&format!("/api/audit?cursor={}", audit["next_cursor"].as_str().unwrap())).await;
    assert_eq!(page["items"][0]["who"], "ana");
    let alone = sidecar.cli_alone(&["failed", "claim", &id]).await;
    assert_eq!(alone.status.code(), Some(1), "nothing runs there");
}

#[tokio::test]
async fn each_role_may_do_its_own_and_no_other_site_anything() {
    let (_waha, sidecar) = pair(with_tokens()).await;
    let acting = [
        "/api/recovery/pause",
        "/api/recovery/resume",
        "/api/healthcheck",
        "/api/sessions/default/restart",
        "/api/notifications/failed/x/retry",
        "/api/notifications/failed/x/mark_resolved",
        "/api/notifications/failed/x/claim",
        "/api/notifications/failed/x/reopen",
    ];
    for path in acting {
        for token in [VIEWER, BOT] {
            refused(&post_as(&sidecar, token, path, &json!({})).await, 403, "role");
        }
        refused(&post(&sidecar, path, &json!({})).await, 401, "unauthorized");
    }
    for path in ["/api/heartbeat", "/api/diagnoses"] {
        refused(&post_as(&sidecar, VIEWER, path, &json!({})).await, 403, "role");
    }
    for token in [BOT, ANA] {
        assert_eq!(post_as(&sidecar, token, "/api/heartbeat", &json!({})).await.status, 200);
        refused(&post_as(&sidecar, token, "/api/diagnoses", &json!({})).await, 400, "nothing_to_diagnose");
    }
    let bearer = format!("Bearer {ANA}");
    for (header, status) in [
        (("Origin", "https://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Sec-Fetch-Site", "cross-site"), 403),
        (("Origin", "http://localhost:9478"), 200),
        (("Sec-Fetch-Site", "same-origin"), 200),
    ] {
        let headers = [("Authorization", bearer.as_str()), header];
        let answer = http::call(sidecar.admin(), "POST", "/api/recovery/pause", &headers, b"").await.unwrap();
        assert_eq!(answer.status, status, "{header:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn probes_and_restarts_by_hand() {
    let (waha, sidecar) = pair(config()).await;
    let found = done(&sidecar, "/api/healthcheck", &json!({})).await;
    assert_eq!(found["session"], "default");
    assert_eq!((&found["healthy"], &found["instruction"]), (&true.into(), &Value::Null), "{found}");
    for session in ["other", "nobody"] {
        refused(
            &post(&sidecar, "/api/healthcheck", &json!({ "session": session })).await,
            404,
            "unknown_session",
        );
    }
    refused(&post(&sidecar, "/api/sessions/nobody/restart", &json!({})).await, 404, "unknown_session");

    waha.set_session("default", SessionStatus::ScanQrCode);
    let found = done(&sidecar, "/api/healthcheck", &json!({ "session": "default" })).await;
    assert_eq!((&found["healthy"], &found["result"]), (&false.into(), &"scan_qr_code".into()));
    assert!(found["instruction"].is_string());
    let status = sidecar.status().await;
    assert_eq!(status["sessions"]["default"]["waha_session_status"], "scan_qr_code", "{status}");
    assert_eq!(status["sessions"]["default"]["instruction"], found["instruction"]);
    let restart = "/api/sessions/default/restart";
    refused(&post(&sidecar, restart, &json!({})).await, 409, "restart_cannot_help");

    waha.set_session("default", SessionStatus::Working);
    for _ in 0..3 {
        assert_eq!(done(&sidecar, restart, &json!({})).await["success"], true);
        until("the session works again", async || waha.session("default") == Some(SessionStatus::Working))
            .await;
    }
    refused(&post(&sidecar, restart, &json!({})).await, 429, "too_many_restarts");
    let audit = sidecar.api("/api/audit").await;
    let restarts = audit["items"].as_array().unwrap().iter().filter(|one| one["action"] == "restart_session");
    assert_eq!(restarts.count(), 3, "{audit}");
}

#[tokio::test]
async fn the_bot_asks_for_a_diagnosis() {
    let (mut waha, sidecar) = pair(config()).await;
    let report = json!({
        "order_id": 77, "order_number": "ORD-77", "customer_name": "Ana", "customer_phone": "+58 424 0000001",
        "order_total": 45.5, "session": "default",
    });
    let found = done(&sidecar, "/api/diagnoses", &report).await;
    assert_eq!((&found["bot_reachable"], &found["user_reached"]), (&true.into(), &true.into()), "{found}");
    assert_eq!((&found["admin_reached"], &found["status"]), (&Value::Null, &"degraded".into()));
    let id = found["failure_id"].as_str().unwrap();
    let failure = settle("the failure", async || {
        let page = sidecar.api("/api/communication-failures").await;
        page["items"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned()
    })
    .await;
    assert_eq!(failure["failure_type"], "WEBHOOK_ONLY");
    assert_eq!((&failure["order_id"], &failure["order_total"]), (&"77".into(), &"45.5".into()));
    assert_eq!(failure["diagnostic_user_reached"], true);
    assert_eq!(failure["resolved_at"], Value::Null);
    assert_eq!(sidecar.failed_one(id).await["cause"], "reported_by_bot");

    waha.go_down().await;
    let report = json!({ "order_number": "ORD-78", "customer_phone": "584240000002" });
    let found = done(&sidecar, "/api/diagnoses", &report).await;
    assert_eq!((&found["bot_reachable"], &found["user_reached"]), (&false.into(), &false.into()), "{found}");
    assert_eq!(found["status"], "incommunicado_critico");
    refused(&post(&sidecar, "/api/diagnoses", &json!({ "orden": "1" })).await, 400, "bad_body");
}

#[tokio::test]
async fn an_outage_is_an_incident_and_shows_in_status_and_on_the_command_line() {
    let (mut waha, mut sidecar) = pair(config()).await;
    sidecar.bot().text(CHAT, "hola").await;
    waha.go_down().await;
    for chat in ["551100000001", "551100000002", "551100000003"] {
        sidecar.bot().text(&format!("{chat}@c.us"), &received(chat)).await;
    }
    let incident = settle("an incident", async || {
        let page = sidecar.api("/api/incidents").await;
        page["items"].as_array().unwrap().first().filter(|one| one["affected"] == 3).cloned()
    })
    .await;
    assert_eq!((&incident["open"], &incident["end"]), (&true.into(), &Value::Null), "{incident}");
    assert!(incident["timeline"][0]["reason"].is_string(), "{incident}");
    let id = incident["id"].as_str().unwrap();
    assert_eq!(sidecar.api(&format!("/api/incidents/{id}")).await["start"], incident["start"]);
    let unknown = sidecar.admin_get("/api/incidents/018f0000-0000-7000-8000-000000000000").await;
    refused(&unknown, 404, "unknown_incident");

    assert_eq!(stdout(&sidecar.cli(&["recovery", "pause"]).await).lines().count(), 1);
    let status = sidecar.status().await;
    assert_eq!(status["recovery"]["paused"], true);
    assert_eq!(status["sessions"]["default"]["incident"], id);
    assert_eq!(status["webhook_failing"], true);
    assert_eq!(status["orders_unnotified"], 3);
    for key in ["events", "instruction", "last_server_ack", "last_device_ack", "unacknowledged", "note"] {
        assert!(status.get(key).is_some(), "{key} in {status}");
    }
    let said = sidecar.cli(&["status"]).await;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("paused") && said.contains(id), "{said}");
    assert!(sidecar.api("/api/alerts").await["items"].is_array());

    let listed = stdout(&sidecar.cli(&["incidents"]).await);
    assert!(listed.contains(id) && listed.contains("so far"), "{listed}");
    let shown = stdout(&sidecar.cli(&["incidents", "show", id]).await);
    assert!(shown.contains("  affected: "), "{shown}");
    sidecar.stop().await;
    let alone = json_lines(&stdout(&sidecar.cli_alone(&["incidents", "--json"]).await));
    assert_eq!((&alone[0][0]["id"], &alone[0][0]["affected"]), (&incident["id"], &3.into()));

    // Paused it stays, and resumed it goes out.
    waha.come_up().await.unwrap();
    sidecar.run().await;
    assert_eq!(sidecar.status().await["recovery"]["paused"], true);
    assert_eq!(done(&sidecar, "/api/recovery/resume", &json!({})).await["paused"], false);
    until("the first is sent again", async || {
        sidecar.failed().await.iter().any(|one| one["resolution_method"] == "bot_recovered")
    })
    .await;
}
