//! What the admin listener tells as it happens, what it keeps of the day, and what it says of itself (SPEC 11).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::http::{self, JSON, request};
use super::harness::upstream::Canned;
use super::harness::{Answer, CHAT, Config, PATIENCE, Sidecar, pair, settle, until};
use super::joining::received;

/// An event as a browser hears it.
#[derive(Debug, Clone)]
struct Heard {
    id: u64,
    name: String,
    data: Value,
}

/// A browser that listens.
struct Listener {
    stream: TcpStream,
    text: String,
    id: u64,
}

impl Listener {
    async fn open(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(sidecar.admin()).await.unwrap();
        stream.write_all(&request("GET", "/api/events", headers, b"")).await.unwrap();
        let mut listener = Self { stream, text: String::new(), id: 0 };
        // The head, and the id to go on from.
        while !listener.text.contains("\nid: ") || !listener.text.ends_with('\n') {
            assert!(listener.fill().await, "{}", listener.text);
        }
        assert!(listener.text.starts_with("HTTP/1.1 200"), "{}", listener.text);
        assert!(
            listener.text.to_lowercase().contains("content-type: text/event-stream"),
            "{}",
            listener.text
        );
        listener
    }

    async fn fill(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("something to hear in time") {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                true
            }
        }
    }

    /// The next event; `None` where the stream has ended.
    async fn next(&mut self) -> Option<Heard> {
        let mut name = String::new();
        loop {
            while let Some(end) = self.text.find('\n') {
                let line: String = self.text.drain(..=end).collect();
                if let Some(id) = line.strip_prefix("id: ") {
                    self.id = id.trim().parse().unwrap();
                } else if let Some(event) = line.strip_prefix("event: ") {
                    event.trim().clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(data["type"], name.as_str());
                    return Some(Heard { id: self.id, name, data });
                }
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn until(&mut self, name: &str) -> Heard {
        let hearing = async {
            loop {
                let heard = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
                if heard.name == name {
                    return heard;
                }
            }
        };
        // Signs of life come all the time.
        timeout(PATIENCE, hearing).await.unwrap_or_else(|_| panic!("waited in vain for {name}"))
    }
}

async fn post(sidecar: &Sidecar, path: &str) -> Answer {
    http::call(sidecar.admin(), "POST", path, &[JSON], b"{}").await.unwrap()
}

fn config() -> Config {
    Config::new().raw("retry.attempts", "1").raw("diagnosis.enabled", "true")
}

#[tokio::test]
async fn two_listeners_hear_the_same_and_nobody_is_named() {
    let (waha, sidecar) = pair(config()).await;
    let (mut one, mut two) = (Listener::open(&sidecar, &[]).await, Listener::open(&sidecar, &[]).await);
    waha.faults().add(Fault::always(FaultKind::Status422));
    let began = tokio::time::Instant::now();
    let id = sidecar.bot().text(CHAT, &received("ORD-7")).await.send_id();
    let wanted = ["INCIDENT_OPENED", "FAILED_CUSTOMER_NOTIFICATION", "COMMUNICATION_FAILURE"];
    let mut told: Vec<Heard> = Vec::new();
    while !wanted.iter().all(|name| told.iter().any(|heard| heard.name == *name)) {
        told.push(timeout(PATIENCE, one.next()).await.expect("news in time").expect("a stream"));
        if told.last().unwrap().name == wanted[1] {
            assert!(began.elapsed() < Duration::from_secs(2), "told after {:?}", began.elapsed());
        }
    }
    let [incident, failed, found] = wanted.map(|name| told.iter().find(|heard| heard.name == name).unwrap());
    assert_eq!(failed.data["notification"], id.as_str());
    assert_eq!((&failed.data["order_number"], &failed.data["session"]), (&json!("ORD-7"), &json!("default")));
    assert_eq!(failed.data["cause"], "session_not_working");
    assert_eq!(found.data["failure_type"], "TOTAL_COMMUNICATION_LOSS");
    assert_eq!(found.data["orders"], json!(["ORD-7"]));

    let same = two.until("FAILED_CUSTOMER_NOTIFICATION").await;
    assert_eq!((same.id, &same.data), (failed.id, &failed.data));
    assert!(failed.id < found.id, "ids ascend");
    for heard in [failed, found, incident] {
        let text = heard.data.to_string();
        assert!(!text.contains("5511988887777") && !text.contains("Orden recibida"), "{text}");
    }
    post(&sidecar, &format!("/api/notifications/failed/{id}/claim")).await;
    assert_eq!(two.until("NOTIFICATION_CLAIMED").await.data["who"], "local");
}

#[tokio::test]
async fn a_listener_goes_on_where_it_was_and_is_told_what_it_cannot_know() {
    let (_waha, mut sidecar) = pair(config()).await;
    let mut listener = Listener::open(&sidecar, &[]).await;
    post(&sidecar, "/api/recovery/pause").await;
    let paused = listener.until("RECOVERY_PAUSED").await;
    drop(listener);
    post(&sidecar, "/api/recovery/resume").await;
    post(&sidecar, "/api/recovery/pause").await;
    let id = paused.id.to_string();
    let mut again = Listener::open(&sidecar, &[("Last-Event-ID", &id)]).await;
    let (first, second) = (again.next().await.unwrap(), again.next().await.unwrap());
    assert_eq!((first.name.as_str(), second.name.as_str()), ("RECOVERY_RESUMED", "RECOVERY_PAUSED"));

    // Another process: its streams end with it, and what it told is not known to the next.
    sidecar.sigterm();
    while let Some(heard) = again.next().await {
        assert_ne!(heard.name, "RESYNC");
    }
    sidecar.ended().await;
    sidecar.run().await;
    let mut later = Listener::open(&sidecar, &[("Last-Event-ID", &id)]).await;
    assert_eq!(later.next().await.unwrap().name, "RESYNC");
    post(&sidecar, "/api/recovery/resume").await;
    let resumed = later.until("RECOVERY_RESUMED").await;
    assert!(resumed.id > paused.id, "ids ascend over restarts");
    let mut strange = Listener::open(&sidecar, &[("Last-Event-ID", "not a number")]).await;
    assert_eq!(strange.next().await.unwrap().name, "RESYNC");
}

#[tokio::test]
async fn tokens_that_are_exchanged_end_their_streams_and_seats_are_counted() {
    let token = |secret: &str| format!("[{{ name = \"ana\", role = \"viewer\", secret = \"{secret}\" }}]");
    let config = config().raw("admin.tokens", &token("secret-of-ana-0001"));
    let (_waha, mut sidecar) = pair(config).await;
    let answer = http::call(sidecar.admin(), "GET", "/api/events", &[], b"").await.unwrap();
    assert_eq!(answer.status, 401);
    let mut listener = Listener::open(&sidecar, &[("Authorization", "Bearer secret-of-ana-0001")]).await;
    sidecar.configure(|config| config.raw("admin.tokens", &token("secret-of-ana-0002")));
    sidecar.sighup();
    sidecar.log_when("configuration reloaded").await;
    // At the next word, or the next sign of life, it is let go.
    assert!(timeout(PATIENCE, listener.next()).await.unwrap().is_none());
    let mut seats = Vec::new();
    for _ in 0..256 {
        seats.push(Listener::open(&sidecar, &[("Authorization", "Bearer secret-of-ana-0002")]).await);
    }
    sidecar.bearer(Some("secret-of-ana-0002"));
    let full = sidecar.admin_get("/api/events").await;
    assert_eq!((full.status, full.json()["code"].as_str()), (503, Some("too_many_listeners")));
    drop(seats);
    until("a seat is free again", async || {
        let head = [("Authorization", "Bearer secret-of-ana-0002")];
        let mut connection = http::Connection::open(sidecar.admin()).await.unwrap();
        connection.write(&request("GET", "/api/events", &head, b"")).await;
        connection.take(15).await == b"HTTP/1.1 200 OK"
    })
    .await;
}

#[tokio::test]
async fn the_day_is_counted_and_survives_a_restart() {
    let (waha, mut sidecar) = pair(config()).await;
    for order in ["ORD-1", "ORD-2", "ORD-3"] {
        sidecar.bot().text(CHAT, &received(order)).await;
    }
    waha.faults().add(Fault::to_chat("584147777777@c.us", FaultKind::NoLid));
    sidecar.bot().text("584147777777@c.us", &received("ORD-4")).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    sidecar.bot().text(CHAT, &received("ORD-5")).await;
    let counted = async |sidecar: &Sidecar| {
        settle("all are counted", async || {
            let stats = sidecar.api("/api/stats").await;
            (stats["open"]["total"] == 2 && stats["last_24h"]["sends"]["failed"] == 1).then_some(stats)
        })
        .await
    };
    let stats = counted(&sidecar).await;
    assert_eq!(
        stats["last_24h"]["sends"],
        json!({"accepted": 3, "rejected": 1, "failed": 1, "ambiguous": 0})
    );
    assert_eq!(
        (&stats["last_24h"]["success_rate"], &stats["last_15m"]["success_rate"]),
        (&json!(0.75), &json!(0.75))
    );
    assert_eq!(stats["last_15m"]["sends"], stats["last_24h"]["sends"], "rejected ones too");
    let hours = stats["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    let accepted: i64 = hours.iter().map(|hour| hour["accepted"].as_i64().unwrap()).sum();
    assert_eq!(accepted, 3);
    assert_eq!(stats["open"]["by_type"]["ORDER_RECEIVED"], 2);
    assert!(stats["last_24h"]["latency_p95_ms"].as_u64() > Some(0));
    assert_eq!(stats["history"][0]["session"], "default");
    sidecar.restart().await;
    let after = counted(&sidecar).await;
    assert_eq!((&after["last_24h"], &after["hours"]), (&stats["last_24h"], &stats["hours"]));
}

#[tokio::test]
async fn the_log_is_read_followed_and_filtered() {
    let (_waha, sidecar) = pair(config()).await;
    let page = sidecar.api("/api/logs?limit=1000").await;
    let lines = page["items"].as_array().unwrap();
    assert!(
        lines.iter().any(|line| line["message"] == "accepting calls" && line["level"] == "info"),
        "{page}"
    );
    let newest = lines[0]["id"].as_u64().unwrap();
    post(&sidecar, "/api/sessions/default/restart").await;
    let path = format!("/api/logs?order_by=oldest&cursor={newest}&level=warn");
    let after = sidecar.api(&path).await;
    let said: Vec<_> = after["items"].as_array().unwrap().iter().map(|line| &line["message"]).collect();
    assert!(said.contains(&&json!("the session is restarted by hand")), "{after}");
    assert!(
        after["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["level"] == "warn" || line["level"] == "error")
    );
    let none = sidecar.api("/api/logs?since=2999-01-01T00:00:00Z").await;
    assert_eq!(none, json!({"items": [], "next_cursor": null}));
    for (query, code) in
        [("level=loud", "bad_parameter"), ("since=yesterday", "bad_parameter"), ("limit=0", "bad_parameter")]
    {
        let answer = sidecar.admin_get(&format!("/api/logs?{query}")).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some(code)), "{query}");
    }
}

#[tokio::test]
async fn the_bot_is_restarted_by_its_hosts_hook() {
    let (_waha, mut sidecar) = pair(config()).await;
    let answer = post(&sidecar, "/api/bot/restart").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("no_restart_hook")));
    let hook = Canned::start(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
    let url = format!("{}/restart", hook.url());
    sidecar.configure(|config| {
        config.set("bot.restart_url", &url).set("bot.restart_secret", "whsec_c2VjcmV0LW9mLXRoZS1ob29r")
    });
    sidecar.sighup();
    sidecar.log_when("configuration reloaded").await;
    for _ in 0..3 {
        let answer = post(&sidecar, "/api/bot/restart").await;
        assert_eq!((answer.status, answer.json()), (200, json!({"success": true, "status": 202})));
    }
    let seen = hook.seen();
    let called = &seen[0];
    assert_eq!(called.first_line(), "POST /restart HTTP/1.1");
    let body: Value = serde_json::from_slice(&called.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["who"]), (&json!("bot.restart"), &json!("local")));
    for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(called.header(header).is_some(), "{header} in {}", called.head);
    }
    assert!(called.header("webhook-signature").unwrap().starts_with("v1,"));
    assert_ne!(called.header("webhook-id"), seen[1].header("webhook-id"));
    let answer = post(&sidecar, "/api/bot/restart").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("too_many_restarts")));
    let audit = sidecar.api("/api/audit").await;
    let restarts = audit["items"].as_array().unwrap().iter().filter(|line| line["action"] == "restart_bot");
    assert_eq!(restarts.count(), 3);
}

#[tokio::test]
async fn who_polls_hears_of_changes_alone() {
    let (waha, sidecar) = pair(config()).await;
    let paths = ["/api/bot/status", "/api/notifications/failed", "/api/orders/unnotified"];
    let ask = async |path: &str, tag: &str| {
        http::call(sidecar.admin(), "GET", path, &[("If-None-Match", tag)], b"").await.unwrap()
    };
    until("the status stands still", async || {
        let before = sidecar.admin_get(paths[0]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        before.header("etag") == sidecar.admin_get(paths[0]).await.header("etag")
    })
    .await;
    let mut tags = Vec::new();
    for path in paths {
        let tag = sidecar.admin_get(path).await.header("etag").unwrap().to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        let same = ask(path, &tag).await;
        assert_eq!((same.status, same.body.len()), (304, 0), "{path}");
        tags.push(tag);
    }
    waha.faults().add(Fault::always(FaultKind::Status422));
    sidecar.bot().text(CHAT, &received("ORD-1")).await;
    sidecar.failed_when(1).await;
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(ask(path, tag).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_listener_describes_itself_and_takes_no_other_method() {
    let (_waha, sidecar) = pair(config()).await;
    let served = sidecar.admin_get("/api/openapi.json").await;
    assert_eq!(served.text(), include_str!("../../docs/openapi.json"));
    let described = served.json();
    for (path, item) in described["paths"].as_object().unwrap() {
        let path =
            path.replace("{id}", "01a20c6c-1aec-71fb-a705-282467461712").replace("{session}", "default");
        let takes = item.as_object().unwrap();
        for method in ["TRACE", "PUT", "DELETE", "PATCH", "GET", "POST"] {
            if takes.contains_key(&method.to_lowercase()) {
                continue;
            }
            let answer = http::call(sidecar.admin(), method, &path, &[JSON], b"").await.unwrap();
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (405, Some("method_not_allowed")),
                "{method} {path}"
            );
            let allow = answer.header("allow").unwrap_or_default();
            let known = takes.keys().all(|method| allow.contains(&method.to_uppercase()));
            assert!(known, "{method} {path}: Allow: {allow}");
        }
    }
}
