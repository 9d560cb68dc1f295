//! What passes through and what must never stay: order data by header, keys, phones, names, texts (SPEC 4.2, 12, invariant 6).

use std::time::Duration;

use serde_json::json;
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, Options};

use super::harness::http::{self, JSON};
use super::harness::upstream::Canned;
use super::harness::{Bot, Config, Sidecar, quick, until};

#[tokio::test]
async fn order_headers_are_recorded_and_never_forwarded() {
    let waha = Canned::start(b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 0\r\n\r\n").await;
    let sidecar = Sidecar::start(Config::new().raw("retry.attempts", "1").upstream(&waha.url())).await;
    let headers = [
        ("X-Watchdog-Order-Id", "42"),
        ("X-Watchdog-Order-Number", "ORD-%C3%B1"),
        ("X-Watchdog-Order-Total", "%E2%82%AC%2045,00"),
        ("X-Watchdog-Customer-Name", "Mar%C3%ADa%20G%C3%B3mez"),
        ("X-Watchdog-Customer-Phone", "%2B58%20424%20123%204567"),
        ("X-Watchdog-Notification-Type", "order_shipped"),
        ("X-Watchdog-Notification-Id", "ship-42"),
        ("Idempotency-Key", "key-42"),
        ("X-Api-Key", "secret-42"),
    ];
    let answer = sidecar.bot().text_with("5511", "sin datos", &headers).await;
    assert_eq!(answer.status, 422);
    let seen = waha.seen().pop().unwrap();
    assert!(!seen.head.to_lowercase().contains("x-watchdog"), "{}", seen.head);
    assert_eq!(seen.header("idempotency-key").as_deref(), Some("key-42"));
    assert_eq!(seen.header("x-api-key").as_deref(), Some("secret-42"));
    let failed = sidecar.failed_when(1).await;
    let one = &failed[0];
    for (key, value) in [
        ("order_id", "42"),
        ("order_number", "ORD-ñ"),
        ("order_total", "€ 45,00"),
        ("customer_name", "María Gómez"),
        ("notification_type", "ORDER_SHIPPED"),
    ] {
        assert_eq!(one[key], value, "{one}");
    }
    let digits: String =
        one["customer_phone"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, "584241234567");

    // The bot's name for it decides, whatever else differs.
    let mut others = headers.to_vec();
    others.retain(|(name, _)| *name != "Idempotency-Key");
    others.push(("Idempotency-Key", "another"));
    let again = sidecar.bot().text_with("5511", "con otro texto", &others).await;
    assert_eq!(again.send_id(), answer.send_id());
    // Header and text complete each other; the header wins.
    let text = "*Orden:* ORD-7\n*Total:* $1.00";
    let answer = sidecar.bot().text_with("5511", text, &[("X-Watchdog-Order-Total", "$2.00")]).await;
    let send = sidecar.send_when(&answer.send_id(), |_| true).await;
    assert_eq!((&send["order_number"], &send["order_total"]), (&json!("ORD-7"), &json!("$2.00")));
}

/// What is planted, and nowhere else in the world.
const BOT_KEY: &str = "canary-key-of-the-bot-7f3a";
const QUERY_KEY: &str = "canary-key-in-a-query-9c1d";
const OWN_KEY: &str = "canary-key-of-the-sidecar-2b8e";
const TOKEN: &str = "canary-token-of-an-admin-5d6f";
const COOKIE: &str = "canary-cookie-11aa";
const PHONE: &str = "5511973184620";
const OTHER_PHONE: &str = "584249173355";
const NAME: &str = "Canaria Apellidez";
const TEXT: &str = "canary-text-of-a-message";

#[tokio::test]
async fn keys_stay_nowhere_and_customers_only_where_they_belong() {
    let waha = FakeWaha::start(Options { api_key: Some(BOT_KEY.to_owned()), ..quick() }).await.unwrap();
    let config = Config::new()
        .set("log.level", "trace")
        .set("waha.api_key", OWN_KEY)
        .set("retry.give_up_after", "300ms")
        .set("proxy.response_timeout", "1s")
        .raw("admin.tokens", &format!(r#"[{{ name = "ana", role = "viewer", secret = "{TOKEN}" }}]"#));
    let mut sidecar = Sidecar::prepare(config.upstream(&waha.url()));
    sidecar.bearer(Some(TOKEN));
    sidecar.run().await;
    let name = NAME.replace(' ', "%20");
    let headers = [
        ("X-Api-Key", BOT_KEY),
        ("Authorization", BOT_KEY),
        ("Cookie", COOKIE),
        ("X-Watchdog-Customer-Name", name.as_str()),
        ("X-Watchdog-Customer-Phone", OTHER_PHONE),
    ];
    let chat = format!("{PHONE}@c.us");
    let faults = [
        None,
        Some(FaultKind::Status422),
        Some(FaultKind::Status500(format!("no LID found for {PHONE}@s.whatsapp.net"))),
        Some(FaultKind::Status500(format!("about {TEXT}"))),
        Some(FaultKind::DropAfterProcessing),
        Some(FaultKind::Hang),
        Some(FaultKind::BadBody),
    ];
    for (nth, fault) in faults.into_iter().enumerate() {
        waha.faults().clear();
        if let Some(fault) = fault {
            waha.faults().add(Fault::always(fault));
        }
        let text = format!("*Orden recibida*\n*Orden:* ORD-{nth}\n{TEXT} {nth}");
        sidecar.bot().text_with(&chat, &text, &headers).await;
    }
    waha.faults().clear();
    // Bad requests, keys in queries, a bot that goes away, plain calls, a large body.
    let bot = sidecar.bot();
    let body = Bot::body(&chat, TEXT).to_string();
    let target = format!("/api/sendText?x-api-key={QUERY_KEY}");
    http::call(bot.at, "POST", &target, &[JSON], body.as_bytes()).await.unwrap();
    let get = format!("/api/sendText?phone={PHONE}&text={TEXT}&session=default&x-api-key={QUERY_KEY}");
    http::call(bot.at, "GET", &get, &[], b"").await.unwrap();
    http::call(bot.at, "POST", "/api/sendText", &headers, format!("{{{TEXT} {PHONE}").as_bytes())
        .await
        .unwrap();
    http::call(bot.at, "GET", &format!("/api/contacts/{PHONE}?x-api-key={QUERY_KEY}"), &headers, b"")
        .await
        .unwrap();
    http::call(bot.at, "GET", &format!("http://x/{PHONE}?k={QUERY_KEY}"), &headers, b"").await.unwrap();
    bot.text_and_give_up(&chat, TEXT, Duration::from_millis(1)).await;
    let large = format!("{TEXT}{}", "x".repeat(2_000_000));
    bot.text_with(&chat, &large, &headers).await;
    http::call(sidecar.admin(), "GET", "/api/sends", &[("Authorization", "Bearer canary-wrong")], b"")
        .await
        .unwrap();
    sidecar.failed_when(5).await;
    sidecar.sighup();
    sidecar.log_when("configuration reloaded").await;

    let mut shown = String::new();
    for path in [
        "/api/bot/status",
        "/api/sends?limit=1000",
        "/api/notifications/failed?resolved=all",
        "/metrics",
        "/readyz",
        "/healthz",
    ] {
        shown.push_str(&sidecar.admin_get(path).await.text());
    }
    let mut details = String::new();
    for one in sidecar.failed().await {
        details.push_str(&sidecar.failed_one(one["id"].as_str().unwrap()).await.to_string());
    }
    let open = [sidecar.metrics().await, sidecar.admin_get("/readyz").await.text()].concat();
    sidecar.kill9();
    sidecar.run().await;
    until("it is up again", async || sidecar.admin_get("/readyz").await.status == 200).await;
    let open = [open, sidecar.metrics().await].concat();
    sidecar.stop().await;
    let log = sidecar.log().text();

    let mut kept = Vec::new();
    for entry in std::fs::read_dir(sidecar.store_path().parent().unwrap()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let kept_has = |what: &str| kept.windows(what.len()).any(|window| window == what.as_bytes());
    assert!(kept_has("ORD-1"), "the store is what was read");
    for key in [BOT_KEY, QUERY_KEY, OWN_KEY, TOKEN, COOKIE] {
        assert!(!kept_has(key), "{key} is in the store");
        for (place, text) in [("the API", &shown), ("the API's details", &details), ("the log", &log)] {
            assert!(!text.contains(key), "{key} is in {place}");
        }
    }
    // Of the customer, the log may have the last four digits; what is open to all has nothing.
    for (place, text) in [("the log", &log), ("what is open to all", &open)] {
        for personal in [PHONE, OTHER_PHONE, NAME, "Canaria", TEXT] {
            let line = text.lines().find(|line| line.contains(personal));
            assert!(line.is_none(), "{personal} is in {place}: {}", line.unwrap_or_default());
        }
    }
    assert!(shown.contains(OTHER_PHONE) && shown.contains(NAME), "for authorized eyes the customer is whole");
    assert!(!shown.contains(TEXT), "nobody needs the text");
    let show = sidecar.cli_alone(&["config", "show"]).await;
    let show = String::from_utf8(show.stdout).unwrap();
    for key in [OWN_KEY, TOKEN] {
        assert!(!show.contains(key), "{show}");
    }
}
