//! The command line, beside a running process and without one; and who may look (SPEC 11, 13).

use std::process::Output;

use waha_watchdog::fake_waha::{Fault, FaultKind};

use super::harness::http;
use super::harness::sidecar::{binary, json_lines, output, stdout};
use super::harness::{CHAT, Config, Ended, Sidecar, pair, until};
use super::joining::received;

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn reading_commands_say_the_same_with_and_without_a_process() {
    let (waha, mut sidecar) = pair(Config::new().raw("retry.attempts", "2")).await;
    sidecar.bot().text(CHAT, &received("ORD-OK")).await;
    waha.faults().add(Fault::always(FaultKind::Status422));
    for order in ["ORD-1", "ORD-1", "ORD-2", "ORD-2", "ORD-3", "ORD-3"] {
        sidecar.bot().text(CHAT, &received(order)).await;
    }
    waha.faults().clear();
    sidecar.bot().text(CHAT, &received("ORD-3")).await;
    waha.faults().add(Fault::always(FaultKind::DropAfterProcessing));
    sidecar.bot().text(CHAT, "ambiguo").await;
    sidecar.failed_when(3).await;
    until("one is settled", async || sidecar.failed().await.iter().any(|one| one["resolved"] == true)).await;
    let id = sidecar.failed().await[0]["id"].as_str().unwrap().to_owned();

    let commands: Vec<Vec<&str>> = vec![
        vec!["export"],
        vec!["export", "--json"],
        vec!["failed", "list"],
        vec!["failed", "list", "--json"],
        vec!["failed", "list", "--json", "--all"],
        vec!["failed", "list", "--json", "--resolved"],
        vec!["failed", "list", "--json", "--oldest", "--limit", "1"],
        vec!["failed", "show", &id],
        vec!["failed", "show", &id, "--json"],
    ];
    let mut beside = Vec::new();
    for command in &commands {
        beside.push(stdout(&sidecar.cli(command).await));
    }
    let open = json_lines(&beside[3])[0].clone();
    let orders: Vec<_> = open.as_array().unwrap().iter().map(|one| one["order_number"].clone()).collect();
    assert_eq!(orders, ["ORD-2", "ORD-1"], "open ones, the newest first");
    for part in ["ORD-1", "$45.00", "5511988887777", "ORDER_RECEIVED", "session_not_working", &id] {
        assert!(beside[2].contains(part), "{part} in\n{}", beside[2]);
    }
    assert_eq!(json_lines(&beside[4])[0].as_array().unwrap().len(), 3);
    assert_eq!(json_lines(&beside[5])[0][0]["order_number"], "ORD-3");
    assert_eq!(json_lines(&beside[6])[0][0]["order_number"], "ORD-1");
    assert!(beside[7].contains("attempt 1") && beside[7].contains("attempt 2"), "{}", beside[7]);
    assert_eq!(json_lines(&beside[8])[0]["timeline"].as_array().unwrap().len(), 2);
    let sends = json_lines(&beside[0]);
    assert_eq!(sends.len(), 5);
    for send in &sends {
        for key in [
            "send_id",
            "session",
            "order_number",
            "notification_type",
            "outcome",
            "attempts",
            "first_at",
            "last_at",
        ] {
            assert!(send.get(key).is_some(), "{key} in {send}");
        }
    }

    // The API turns pages.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("/api/notifications/failed?resolved=all&order_by=oldest&limit=1&cursor={cursor}");
        let page = sidecar.api(&path).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    let all: Vec<_> = sidecar.failed().await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(seen, all);
    for (query, count) in
        [("type=ORDER_RECEIVED", 2), ("type=ORDER_SHIPPED", 0), ("order=ORD-2", 1), ("session=other", 0)]
    {
        let page = sidecar.api(&format!("/api/notifications/failed?{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }

    sidecar.stop().await;
    for (command, before) in commands.iter().zip(&beside) {
        let alone = stdout(&sidecar.cli_alone(command).await);
        assert_eq!(alone, *before, "{command:?}");
    }
    // After a crash, too.
    sidecar.run().await;
    sidecar.kill9();
    for (command, before) in commands.iter().zip(&beside) {
        let alone = stdout(&sidecar.cli_alone(command).await);
        assert_eq!(alone, *before, "{command:?}");
    }
    let unknown = sidecar.cli_alone(&["failed", "show", "018f0000-0000-7000-8000-000000000000"]).await;
    assert_eq!(code(&unknown), 1);
    assert!(stderr(&unknown).contains("no failed notification has the id"), "{}", stderr(&unknown));
}

#[tokio::test]
async fn an_export_of_many_pages_is_whole() {
    let (_waha, mut sidecar) = pair(Config::new()).await;
    let bot = sidecar.bot();
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            tokio::spawn(async move {
                for nth in 0..300 {
                    bot.text(&format!("5511{sender}"), &format!("{nth}")).await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let export = stdout(&sidecar.cli(&["export"]).await);
    let mut ids: Vec<_> = json_lines(&export).iter().map(|send| send["send_id"].to_string()).collect();
    assert_eq!(ids.len(), 1200);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1200);
    sidecar.stop().await;
    assert!(stdout(&sidecar.cli_alone(&["export"]).await) == export, "the same from the file");
}

#[tokio::test]
async fn status_and_healthcheck_end_with_their_codes() {
    let (mut waha, mut sidecar) = pair(Config::new().raw("retry.attempts", "1").set("locale", "es")).await;
    assert_eq!(code(&sidecar.cli(&["healthcheck"]).await), 0);
    let unknown = sidecar.cli(&["status"]).await;
    assert_eq!(code(&unknown), 0);
    assert!(stdout(&unknown).starts_with("unknown"));
    sidecar.bot().text(CHAT, "hola").await;
    until("it is online", async || sidecar.status().await["status"] == "online").await;
    let status = json_lines(&stdout(&sidecar.cli(&["status", "--json"]).await)).remove(0);
    assert_eq!((&status["status"], &status["confidence"]), (&"online".into(), &"high".into()));
    assert!(status["interpretation"].as_str().unwrap().contains("acepta lo que el bot"), "{status}");

    waha.go_down().await;
    for chat in ["551", "552", "553"] {
        sidecar.bot().text(chat, &received(chat)).await;
    }
    until("it is incommunicado", async || sidecar.status().await["status"] == "incommunicado").await;
    let output = sidecar.cli(&["status"]).await;
    assert_eq!(code(&output), 1);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("incommunicado") && text.contains("customer was not told: 3"), "{text}");
    assert_eq!(code(&sidecar.cli(&["healthcheck"]).await), 0, "the sidecar itself is ready");
    assert_eq!(sidecar.metric(r#"bot_status{session="default",status="incommunicado"}"#).await, 1.0);

    let beside = sidecar.status().await;
    sidecar.stop().await;
    let output = sidecar.cli_alone(&["healthcheck"]).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("admin.listen"), "{}", stderr(&output));
    // Without a process, what the last one left.
    let output = sidecar.cli_alone(&["status"]).await;
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(code(&output), 1, "{text}");
    assert!(text.starts_with("nothing runs at") && text.contains("\nincommunicado "), "{text}");
    let output = sidecar.cli_alone(&["status", "--json"]).await;
    let alone: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["status", "since", "confidence", "orders_unnotified", "failed_notifications", "last_success"]
    {
        assert_eq!(alone[key], beside[key], "{key}");
    }
    assert_eq!(alone["metadata"]["store"]["recording"], false);
    waha.shutdown().await;
}

#[tokio::test]
async fn a_restart_alone_changes_no_status() {
    let (mut waha, mut sidecar) = pair(Config::new().raw("retry.attempts", "1")).await;
    waha.go_down().await;
    for chat in ["551", "552", "553"] {
        sidecar.bot().text(chat, &received(chat)).await;
    }
    until("it is incommunicado", async || sidecar.status().await["status"] == "incommunicado").await;
    let before = sidecar.status().await;
    let changes = |sidecar: &Sidecar| sidecar.log().text().matches("status changed").count();
    sidecar.log_when(r#""to":"incommunicado""#).await;
    let told = changes(&sidecar);
    for by_force in [false, true] {
        if by_force {
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            sidecar.kill9();
        }
        sidecar.restart().await;
        let after = sidecar.status().await;
        for key in
            ["status", "since", "confidence", "reason", "waha_consecutive_failures", "failed_notifications"]
        {
            assert_eq!(after[key], before[key], "{key}, by force: {by_force}");
        }
    }
    assert_eq!(changes(&sidecar), told, "and nobody is told of any");
}

#[tokio::test]
async fn usage_and_configuration_faults_end_with_2_and_name_everything() {
    let mut sidecar = Sidecar::prepare(
        Config::new()
            .set("proxy.lisen", "127.0.0.1:0")
            .raw("retry.attempts", "0")
            .set("store.commit_wait", "soon"),
    );
    assert_eq!(sidecar.run_to_end().await, Ended::Code(2));
    let log = sidecar.log().text();
    for part in [
        "proxy.lisen",
        "proxy.listen",
        "retry.attempts",
        "store.commit_wait",
        "the configuration cannot be used",
    ] {
        assert!(log.contains(part), "{part} in\n{log}");
    }
    let mut missing = binary();
    missing.args(["--config", "/nonexistent/watchdog.toml", "run"]);
    let missing = output(missing).await;
    assert_eq!(code(&missing), 2, "{}", stderr(&missing));
    for args in [&["frobnicate"][..], &["failed", "list", "--limit", "0"], &["failed", "show", "no-id"], &[]]
    {
        let mut command = binary();
        command.args(args);
        assert_eq!(code(&output(command).await), 2, "{args:?}");
    }
    let mut beyond = Sidecar::prepare(Config::new().set("admin.listen", "0.0.0.0:0"));
    assert_eq!(beyond.run_to_end().await, Ended::Code(2), "no tokens, no foreign listener");
    assert!(beyond.log().has("admin.tokens"), "{}", beyond.log().text());
}

#[tokio::test]
async fn configuration_comes_in_layers_and_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("w.toml");
    std::fs::write(&file, "retry.attempts = 7\nwaha.api_key = \"a-key-nobody-should-see\"\n").unwrap();
    let mut command = binary();
    command.args(["config", "show", "--json", "--config"]).arg(&file);
    command.env("WAHA_WATCHDOG__RETRY__GIVE_UP_AFTER", "17s").env("WAHA_WATCHDOG__PROXY__WORKERS", "3");
    let text = stdout(&output(command).await);
    assert!(!text.contains("a-key-nobody-should-see"), "{text}");
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    let config = &shown["config"];
    assert_eq!((&config["retry"]["attempts"], &config["proxy"]["workers"]), (&7.into(), &3.into()));
    assert_eq!(
        (&config["retry"]["give_up_after"], &config["waha"]["api_key"]),
        (&"17s".into(), &"***".into())
    );
}

const VIEWER: &str = "secret-of-the-viewer";
const OPERATOR: &str = "secret-of-the-operator";
const BOT: &str = "secret-of-the-bot-itself";

#[tokio::test]
async fn tokens_and_names_guard_the_api() {
    let tokens = format!(
        r#"[{{ name = "v", role = "viewer", secret = "{VIEWER}" }}, {{ name = "o", role = "operator", secret = "{OPERATOR}" }},
            {{ name = "b", role = "bot", secret = "{BOT}" }}]"#
    )
    .replace('\n', " ");
    let config =
        Config::new().raw("admin.tokens", &tokens).raw("admin.allowed_hosts", r#"["panel.example"]"#);
    let (_waha, mut sidecar) = pair(config).await;
    let paths = ["/api/bot/status", "/api/sends", "/api/notifications/failed", "/api/notifications/failed/x"];
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        http::call(sidecar.admin(), "GET", path, headers, b"").await.unwrap()
    };
    for path in paths {
        for (token, status) in [
            ("", 401),
            ("Bearer wrong", 401),
            ("Bearer", 401),
            (&format!("Basic {VIEWER}"), 401),
            (&format!("Bearer {BOT}"), 403),
        ] {
            let answer = ask(path, &[("Authorization", token)]).await;
            assert_eq!(answer.status, status, "{path} {token}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path} {token}");
            assert!(answer.json()["detail"].is_string());
        }
        let bearer = format!("Bearer {VIEWER}");
        let good = if path.ends_with('x') { 404 } else { 200 };
        for (host, status) in [
            ("127.0.0.1", good),
            ("localhost:9478", good),
            ("panel.example", good),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
        ] {
            let answer = ask(path, &[("Host", host), ("Authorization", &bearer)]).await;
            assert_eq!(answer.status, status, "{path} {host}");
        }
        let answer = ask(path, &[("Authorization", &format!("bearer {OPERATOR}"))]).await;
        assert_eq!(answer.status, good);
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(ask(path, &[]).await.status, 200, "{path} is open");
    }
    assert_eq!(ask("/api/nothing", &[("Authorization", &format!("Bearer {VIEWER}"))]).await.status, 404);
    let answer = http::call(
        sidecar.admin(),
        "POST",
        "/api/sends",
        &[("Authorization", &format!("Bearer {VIEWER}"))],
        b"",
    )
    .await;
    assert_eq!(answer.unwrap().status, 405);
    // The command line has a token from the configuration.
    assert_eq!(code(&sidecar.cli(&["status"]).await), 0);
    assert_eq!(code(&sidecar.cli(&["export"]).await), 0);
    sidecar.bearer(Some(VIEWER));
    for path in [
        "/api/sends?limit=0",
        "/api/sends?cursor=x",
        "/api/sends?outcome=y",
        "/api/notifications/failed?type=z",
    ] {
        assert_eq!(sidecar.admin_get(path).await.status, 400, "{path}");
    }
}
