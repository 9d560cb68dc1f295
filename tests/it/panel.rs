//! The panel's door and its forms: who gets in, until when, what a page carries, what a stranger's page cannot do; and the call list as a file.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind};

use super::harness::http::{self, Connection};
use super::harness::{Answer, CHAT, Config, Sidecar, pair, settle, until};
use super::joining::received;

const ANA: &str = "secret-of-ana-the-operator";
const VERA: &str = "secret-of-vera-the-viewer";
const BOT: &str = "secret-of-the-bot-itself";

fn tokens(names: &[(&str, &str, &str)]) -> String {
    let token = |(name, role, secret): &(&str, &str, &str)| {
        format!(r#"{{ name = "{name}", role = "{role}", secret = "{secret}" }}"#)
    };
    format!("[{}]", names.iter().map(token).collect::<Vec<_>>().join(", "))
}

fn config() -> Config {
    let all = tokens(&[("ana", "operator", ANA), ("vera", "viewer", VERA), ("shop-bot", "bot", BOT)]);
    Config::new().raw("retry.attempts", "1").raw("admin.tokens", &all)
}

/// A browser: keeps its cookies, fills forms as they were given to it.
struct Browser<'a> {
    sidecar: &'a Sidecar,
    cookies: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(sidecar: &'a Sidecar) -> Self {
        Self { sidecar, cookies: Vec::new(), headers: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    async fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.extend(headers);
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let answer = http::call(self.sidecar.admin(), method, path, &all, body.as_bytes()).await.unwrap();
        for (name, value) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        {
            assert!(value.contains("; Path=/; HttpOnly; SameSite=Strict"), "{name}: {value}");
            let (key, rest) = value.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.retain(|(known, _)| known != key);
            if !value.is_empty() {
                self.cookies.push((key.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    /// What the forms of a page carry.
    async fn csrf(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        let text = page.text();
        let (_, rest) =
            text.split_once(r#"name="csrf" value=""#).unwrap_or_else(|| panic!("no form on {path}: {text}"));
        rest.split('"').next().unwrap().to_owned()
    }

    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.call("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], &body).await
    }

    async fn log_in(&mut self, secret: &str) -> Answer {
        let csrf = self.csrf("/panel/login").await;
        self.send("/panel/login", &[("csrf", &csrf), ("token", secret)]).await
    }
}

#[track_caller]
fn leads_to(answer: &Answer, target: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, Some(target)), "{}", answer.text());
}

#[tokio::test]
async fn every_page_has_its_headers_and_tells_nobody_anything_before_the_door() {
    let (_waha, sidecar) = pair(config()).await;
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.get("/").await, "/panel/");
    leads_to(&browser.get("/panel").await, "/panel/");
    leads_to(&browser.get("/panel/").await, "/panel/login");
    leads_to(
        &browser.get("/panel/orders?q=a%20b").await,
        "/panel/login?next=%2Fpanel%2Forders%3Fq%3Da%2520b",
    );
    leads_to(&browser.log_in(ANA).await, "/panel/");
    for path in ["/panel/login", "/panel/", "/panel/orders", "/panel/failed/nothing", "/panel/config"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "), "{policy}");
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'; base-uri 'none'"),
            "{policy}"
        );
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let text = answer.text();
        assert!(
            !text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"),
            "{path}"
        );
        assert!(!text.contains(ANA) && !text.contains(BOT), "{path} shows a secret");
    }
    assert_eq!(browser.get("/panel/nothing-here").await.status, 404);
    let page = browser.get("/panel/").await.text();
    for asset in page.split('"').filter(|part| part.starts_with("/panel/assets/")) {
        let answer = http::call(sidecar.admin(), "GET", asset, &[], b"").await.unwrap();
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("public, max-age=31536000, immutable"))
        );
    }
    assert_eq!(
        browser.get("/panel/assets/panel.css").await.status,
        404,
        "only under the name of its content"
    );
}

#[tokio::test]
async fn a_login_ends_by_log_out_and_with_its_token() {
    let (_waha, mut sidecar) = pair(config()).await;
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.log_in(ANA).await, "/panel/");
    assert_eq!(browser.get("/panel/").await.status, 200);
    let csrf = browser.csrf("/panel/").await;
    let stolen = browser.cookies.clone();
    leads_to(&browser.send("/panel/logout", &[("csrf", &csrf)]).await, "/panel/login");
    browser.cookies = stolen;
    leads_to(&browser.get("/panel/").await, "/panel/login");

    leads_to(&browser.log_in(ANA).await, "/panel/");
    let cookies = browser.cookies.clone();
    // The same name with another secret is another token.
    let others = tokens(&[("ana", "operator", "another-secret-of-ana"), ("vera", "viewer", VERA)]);
    sidecar.configure(|config| config.raw("admin.tokens", &others));
    sidecar.sighup();
    sidecar.log_when("configuration reloaded").await;
    let mut browser = Browser { cookies, ..Browser::new(&sidecar) };
    leads_to(&browser.get("/panel/").await, "/panel/login");
    assert_eq!(browser.log_in(ANA).await.status, 401);
    assert!(!sidecar.log().text().contains(ANA) && !sidecar.log().text().contains("another-secret"));
}

#[tokio::test]
async fn only_our_own_pages_change_anything() {
    let (waha, sidecar) = pair(config()).await;
    let id = one_failed(&waha, &sidecar).await;
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.log_in(ANA).await, "/panel/");
    let csrf = browser.csrf("/panel/orders").await;
    let claim = [("id", id.as_str()), ("back", "/panel/orders")];
    let with = |csrf: &str| {
        [&[("csrf".to_owned(), csrf.to_owned())][..], &claim.map(|(n, v)| (n.to_owned(), v.to_owned()))]
            .concat()
    };
    let strange = Browser::new(&sidecar).csrf("/panel/login").await;
    for wrong in ["", "x", &strange, &csrf[1..]] {
        let fields = with(wrong);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(browser.send("/panel/act/claim", &fields).await.status, 403, "{wrong:?}");
    }
    let fields = with(&csrf);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for headers in [
        [form, ("Origin", "https://evil.example")],
        [form, ("Sec-Fetch-Site", "cross-site")],
        [("Content-Type", "text/plain"), ("Origin", "http://localhost")],
    ] {
        let answer = browser.call("POST", "/panel/act/claim", &headers, &body).await;
        assert!(matches!(answer.status, 400 | 403), "{headers:?}: {}", answer.status);
    }
    let answer = browser.call("POST", "/panel/act/claim", &[form, ("Host", "evil.example")], &body).await;
    assert_eq!(answer.status, 421);
    let huge = format!("{body}&note={}", "x".repeat(70_000));
    assert_eq!(browser.call("POST", "/panel/act/claim", &[form], &huge).await.status, 400);
    assert_eq!(api(&sidecar, &format!("/api/notifications/failed/{id}")).await["claimed_by"], Value::Null);

    let hidden = browser
        .call(
            "POST",
            "/panel/act/claim",
            &[form, ("Origin", "null"), ("Sec-Fetch-Site", "same-origin")],
            &body,
        )
        .await;
    leads_to(&hidden, "/panel/orders?said=claimed");
    assert_eq!(api(&sidecar, &format!("/api/notifications/failed/{id}")).await["claimed_by"], "ana");
    let astray = browser
        .send("/panel/act/claim", &[("csrf", &csrf), ("id", &id), ("back", "https://evil.example/")])
        .await;
    leads_to(&astray, "/panel/?said=claimed");
}

#[tokio::test]
async fn the_api_takes_a_login_with_what_only_our_pages_know() {
    let (_waha, sidecar) = pair(config()).await;
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.log_in(ANA).await, "/panel/");
    assert_eq!(browser.get("/api/bot/status").await.status, 200);
    let json = ("Content-Type", "application/json");
    let bare = browser.call("POST", "/api/recovery/pause", &[json], "{}").await;
    assert_eq!((bare.status, bare.json()["code"].as_str()), (403, Some("csrf")));
    let csrf = browser.csrf("/panel/").await;
    let done = browser.call("POST", "/api/recovery/pause", &[json, ("X-CSRF-Token", &csrf)], "{}").await;
    assert_eq!((done.status, done.json()["paused"].as_bool()), (200, Some(true)));
    // A wrong token is not made good by a login beside it.
    let wrong =
        browser.call("GET", "/api/bot/status", &[("Authorization", "Bearer nobody-knows-this")], "").await;
    assert_eq!(wrong.status, 401);
}

#[tokio::test]
async fn no_way_around_the_masked_numbers_leads_through_the_api() {
    let (waha, sidecar) = pair(config()).await;
    let id = one_failed(&waha, &sidecar).await;
    let number = "5511988887777";
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.log_in(VERA).await, "/panel/");
    let one = format!("/api/notifications/failed/{id}");
    let paths = [
        "/api/notifications/failed",
        &one,
        "/api/sends",
        "/api/orders/unnotified",
        "/api/communication-failures",
    ];
    for path in paths {
        let seen = browser.get(path).await;
        assert_eq!(seen.status, 200, "{path}");
        assert!(!seen.text().contains(number), "{path}: {}", seen.text());
    }
    assert!(browser.get(&one).await.text().contains("7777"), "masked, not left out");
    let whole = api(&sidecar, &one).await;
    assert_eq!(whole["chat_id"], CHAT, "a program is told all");
}

#[tokio::test]
async fn whoever_has_logged_out_hears_nothing_more() {
    let (waha, sidecar) = pair(config()).await;
    let mut browser = Browser::new(&sidecar);
    leads_to(&browser.log_in(ANA).await, "/panel/");
    let csrf = browser.csrf("/panel/").await;
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    let mut stream = tokio::net::TcpStream::connect(sidecar.admin()).await.unwrap();
    stream.write_all(&http::request("GET", "/api/events", &[("Cookie", &cookies)], b"")).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("retry:") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "{}", String::from_utf8_lossy(&heard));
    }
    leads_to(&browser.send("/panel/logout", &[("csrf", &csrf)]).await, "/panel/login");
    one_failed(&waha, &sidecar).await;
    // It is closed, and told nothing of that.
    let rest = stream.read_to_end(&mut heard);
    tokio::time::timeout(std::time::Duration::from_secs(60), rest).await.unwrap().unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("200 OK") && !heard.contains("event:"), "{heard}");
}

#[tokio::test]
async fn viewers_look_and_the_bot_stays_out() {
    let (waha, sidecar) = pair(config()).await;
    let id = one_failed(&waha, &sidecar).await;
    let mut vera = Browser::new(&sidecar);
    leads_to(&vera.log_in(VERA).await, "/panel/");
    let page = vera.get("/panel/orders").await.text();
    assert!(page.contains("ORD-1") && !page.contains("/panel/act/"), "{page}");
    let csrf = vera.csrf("/panel/orders").await;
    for act in [
        "retry",
        "resolve",
        "claim",
        "reopen",
        "reveal",
        "healthcheck",
        "restart",
        "restart-bot",
        "test",
        "pause",
        "resume",
    ] {
        let answer = vera.send(&format!("/panel/act/{act}"), &[("csrf", &csrf), ("id", &id)]).await;
        assert_eq!(answer.status, 403, "{act}");
    }
    let mut bot = Browser::new(&sidecar);
    assert_eq!(bot.log_in(BOT).await.status, 403);
    leads_to(&bot.get("/panel/").await, "/panel/login");
    let mut bearer = Browser::new(&sidecar).with("Authorization", &format!("Bearer {BOT}"));
    assert_eq!(bearer.get("/panel/").await.status, 403);
}

#[tokio::test]
async fn whoever_guesses_is_slowed_down() {
    let (_waha, sidecar) = pair(config()).await;
    let mut browser = Browser::new(&sidecar);
    for _ in 0..10 {
        assert_eq!(browser.log_in("a-guess-that-is-wrong").await.status, 401);
    }
    let slowed = browser.log_in(ANA).await;
    assert_eq!(slowed.status, 429);
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait));
    let mut other = Browser::new(&sidecar);
    assert_eq!(other.log_in(ANA).await.status, 429, "another browser of the same client");
}

#[tokio::test]
async fn without_tokens_whoever_is_on_this_machine_may_and_forms_are_checked_all_the_same() {
    let (waha, sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    let id = one_failed(&waha, &sidecar).await;
    let mut browser = Browser::new(&sidecar);
    assert_eq!(browser.send("/panel/act/claim", &[("id", &id)]).await.status, 403);
    let csrf = browser.csrf("/panel/orders").await;
    leads_to(
        &browser.send("/panel/act/claim", &[("csrf", &csrf), ("id", &id)]).await,
        "/panel/?said=claimed",
    );
    let mut other = Browser::new(&sidecar);
    other.get("/panel/").await;
    assert_eq!(
        other.send("/panel/act/claim", &[("csrf", &csrf), ("id", &id)]).await.status,
        403,
        "made for another browser"
    );
}

#[tokio::test]
async fn cookies_go_over_https_alone_where_the_panel_is_reached_so() {
    let (_waha, sidecar) = pair(config().set("panel.public_url", "https://panel.example")).await;
    let mut browser = Browser::new(&sidecar).with("Host", "panel.example");
    let answer = browser.log_in(ANA).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-watchdog_login=") && cookie.contains("; Secure"), "{cookie}");
    assert_eq!(browser.get("/panel/").await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    let config = config()
        .set("admin.trusted_header", "X-Remote-User")
        .raw("admin.trusted_proxies", r#"["127.0.0.1"]"#)
        .raw("admin.trusted_operators", r#"["luis@shop.example"]"#);
    let (waha, sidecar) = pair(config).await;
    let id = one_failed(&waha, &sidecar).await;
    let mut luis = Browser::new(&sidecar).with("X-Remote-User", "luis@shop.example");
    let csrf = luis.csrf("/panel/orders").await;
    leads_to(&luis.send("/panel/act/claim", &[("csrf", &csrf), ("id", &id)]).await, "/panel/?said=claimed");
    assert_eq!(
        api(&sidecar, &format!("/api/notifications/failed/{id}")).await["claimed_by"],
        "luis@shop.example"
    );
    let mut rosa = Browser::new(&sidecar).with("X-Remote-User", "rosa@shop.example");
    let csrf = rosa.csrf("/panel/orders").await;
    assert_eq!(rosa.send("/panel/act/claim", &[("csrf", &csrf), ("id", &id)]).await.status, 403, "a viewer");
    let json = ("Content-Type", "application/json");
    let bare = luis.call("POST", "/api/recovery/pause", &[json], "{}").await;
    assert_eq!(bare.json()["code"], "csrf");
    leads_to(&Browser::new(&sidecar).get("/panel/").await, "/panel/login");
}

#[tokio::test]
async fn ten_thousand_orders_are_a_page_at_a_time() {
    let (waha, sidecar) =
        pair(config().set("store.intent", "never").raw("store.commit_wait", r#""1ms""#)).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    let count: usize = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
    let mut connection = Connection::open(sidecar.proxy()).await.unwrap();
    for n in 0..count {
        let number = format!("ORD-{n}");
        let body =
            json!({"session": "default", "chatId": format!("58412{n:07}@c.us"), "text": received(&number)})
                .to_string();
        connection.write(&http::request("POST", "/api/sendText", &[http::JSON], body.as_bytes())).await;
        connection.answer(false).await.unwrap();
    }
    until("all are open", async || api(&sidecar, "/api/orders/unnotified?limit=1").await["total"] == count)
        .await;
    let mut browser = Browser::new(&sidecar);
    browser.log_in(VERA).await;
    let mut fastest = std::time::Duration::MAX;
    for _ in 0..5 {
        let began = std::time::Instant::now();
        let page = browser.get("/panel/orders").await;
        fastest = fastest.min(began.elapsed());
        assert_eq!(page.text().matches("<article").count(), 50);
    }
    eprintln!("the first page of {count} took {fastest:?}");
    assert!(fastest.as_millis() < 100, "{fastest:?}");
    let last = browser.get(&format!("/panel/orders?page={}", count / 50)).await.text();
    assert!(last.contains(&format!("ORD-{}", count - 1)));
    let beyond = browser.get("/panel/orders?page=99999").await.text();
    assert!(beyond.contains(&format!("ORD-{}", count - 1)), "the last page");
}

#[tokio::test]
async fn the_call_list_is_a_file_when_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("lists/call-list.html");
    let config = config().set("panel.snapshot_file", &page.display().to_string());
    let (waha, mut sidecar) = pair(config.clone()).await;
    settle("an empty list is written", async || std::fs::read_to_string(&page).ok()).await;
    let id = one_failed(&waha, &sidecar).await;
    let read = || std::fs::read_to_string(&page).unwrap_or_default();
    until("the order is on it", async || read().contains("ORD-1")).await;
    let table = std::fs::read_to_string(page.with_extension("csv")).unwrap();
    assert!(
        table.starts_with("order,customer,phone,amount,since,cause,claimed_by,attention\r\n\"ORD-1\","),
        "{table}"
    );
    assert!(table.contains("\"+5511988887777\""), "{table}");
    for file in [&page, &page.with_extension("csv")] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let bearer = format!("Bearer {ANA}");
    let path = format!("/api/notifications/failed/{id}/mark_resolved");
    let headers = [http::JSON, ("Authorization", bearer.as_str())];
    http::call(sidecar.admin(), "POST", &path, &headers, br#"{"resolution_method":"phone_call"}"#)
        .await
        .unwrap();
    until("it is off again", async || !read().contains("ORD-1")).await;

    // Taken away by somebody, it is written again, change or no change.
    std::fs::remove_file(&page).unwrap();
    until("it is there again", async || page.exists()).await;
    let current = async || gauge(&sidecar, "waha_watchdog_snapshot_current_timestamp_seconds").await;
    let before = current().await;
    assert!(before > 0.0);
    until("it is seen to be current", async || current().await > before).await;

    // Where it cannot be written, that is loud, and holds up nothing.
    std::fs::remove_dir_all(folder.path().join("lists")).unwrap();
    std::fs::write(folder.path().join("lists"), b"in the way").unwrap();
    waha.faults().clear();
    waha.faults().add(Fault::always(FaultKind::Status422));
    sidecar.bot().text("5511977776666@c.us", &received("ORD-2")).await;
    until("the failure is told", async || sidecar.log().has("the call list cannot be written")).await;
    let metrics = http::call(sidecar.admin(), "GET", "/metrics", &[], b"").await.unwrap().text();
    let failures =
        metrics.lines().find(|line| line.starts_with("waha_watchdog_snapshot_failures_total")).unwrap();
    assert!(!failures.ends_with(" 0"), "{failures}");
    std::fs::remove_file(folder.path().join("lists")).unwrap();
    until("it is written again", async || read().contains("ORD-2")).await;
    sidecar.kill9();
    assert!(read().contains("ORD-2"), "readable when nothing runs");
}

/// A gauge without labels.
async fn gauge(sidecar: &Sidecar, name: &str) -> f64 {
    let metrics = http::call(sidecar.admin(), "GET", "/metrics", &[], b"").await.unwrap().text();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn api(sidecar: &Sidecar, path: &str) -> Value {
    let bearer = format!("Bearer {ANA}");
    http::call(sidecar.admin(), "GET", path, &[("Authorization", &bearer)], b"").await.unwrap().json()
}

/// One open failed notification.
async fn one_failed(waha: &FakeWaha, sidecar: &Sidecar) -> String {
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    let id = sidecar.bot().text(CHAT, &received("ORD-1")).await.send_id();
    until("it is open", async || {
        api(sidecar, "/api/notifications/failed").await["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1)
    })
    .await;
    id
}
