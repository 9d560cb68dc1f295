//! Every verb of the API as a command: what it prints and how it exits (SPEC 13).

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, SessionStatus};

use super::harness::sidecar::{binary, json_lines, output, stdout};
use super::harness::{CHAT, Config, Sidecar, pair, until};
use super::joining::received;

const OTHER: &str = "584142222222@c.us";

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn config() -> Config {
    Config::new()
        .raw("retry.attempts", "1")
        .raw("diagnosis.enabled", "true")
        .raw("healthcheck.enabled", "true")
}

async fn json_of(sidecar: &Sidecar, args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&sidecar.cli(args).await)).unwrap()
}

#[tokio::test]
async fn lists_say_the_same_with_and_without_a_process() {
    let (waha, mut sidecar) = pair(config()).await;
    sidecar.bot().text(OTHER, &received("ORD-OK")).await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    sidecar.bot().text(CHAT, &received("ORD-1")).await;
    sidecar.failed_when(1).await;
    until("it is diagnosed", async || {
        sidecar.api("/api/communication-failures").await["items"].as_array().unwrap().len() == 1
    })
    .await;
    stdout(&sidecar.cli(&["recovery", "pause"]).await);
    let lists = ["orders", "failures", "sends", "audit"];
    let mut beside = Vec::new();
    for list in lists {
        let shown = stdout(&sidecar.cli(&[list]).await);
        beside.push((shown, json_of(&sidecar, &[list, "--json"]).await));
    }
    assert!(beside[0].0.contains("ORD-1") && beside[0].0.contains("5511988887777"), "{}", beside[0].0);
    assert_eq!(beside[1].1[0]["order_number"], "ORD-1");
    assert_eq!(beside[2].1.as_array().unwrap().len(), 2);
    assert_eq!(beside[3].1[0]["action"], "pause_recovery");
    let stats = json_of(&sidecar, &["stats", "--json"]).await;
    assert_eq!((&stats["open"]["total"], &stats["last_24h"]["sends"]["accepted"]), (&json!(1), &json!(1)));
    assert!(stdout(&sidecar.cli(&["stats"]).await).contains("last 24 hours    accepted 1"));
    sidecar.stop().await;
    for (list, (shown, listed)) in lists.iter().zip(&beside) {
        let without = stdout(&sidecar.cli_alone(&[list, "--json"]).await);
        let mut without: Value = serde_json::from_str(&without).unwrap();
        let mut listed = listed.clone();
        for item in [&mut without, &mut listed].into_iter().flat_map(|list| list.as_array_mut().unwrap()) {
            if let Some(item) = item.as_object_mut() {
                item.remove("age_seconds");
            }
        }
        assert_eq!(without, listed, "{list}");
        assert_eq!(&stdout(&sidecar.cli_alone(&[list]).await), shown, "{list}");
    }
    let without: Value =
        serde_json::from_str(&stdout(&sidecar.cli_alone(&["stats", "--json"]).await)).unwrap();
    assert_eq!(without["last_24h"], stats["last_24h"]);
    for live in ["logs", "events", "probe"] {
        let output = sidecar.cli_alone(&[live]).await;
        assert_eq!(code(&output), 1, "{live}");
        assert!(stderr(&output).contains("admin.listen"), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn acting_commands_say_how_it_went() {
    let (waha, sidecar) = pair(config()).await;
    let probe = sidecar.cli(&["probe"]).await;
    assert_eq!(code(&probe), 0, "{}", stderr(&probe));
    assert_eq!(json_of(&sidecar, &["probe", "default", "--json"]).await["result"], "working");
    waha.set_session("default", SessionStatus::Failed);
    let ill = sidecar.cli(&["probe"]).await;
    assert_eq!(code(&ill), 1);
    assert!(String::from_utf8_lossy(&ill.stdout).starts_with("default: failed."));
    let restarted = json_of(&sidecar, &["session", "restart", "default", "--json"]).await;
    assert_eq!((&restarted["success"], &restarted["was"]), (&json!(true), &json!("failed")));
    let unknown = sidecar.cli(&["session", "restart", "no/such"]).await;
    assert_eq!(code(&unknown), 1);
    assert!(stderr(&unknown).contains("waha.sessions"), "{}", stderr(&unknown));
    let bot = sidecar.cli(&["bot", "restart"]).await;
    assert_eq!(code(&bot), 1);
    assert!(stderr(&bot).contains("bot.restart_url"), "{}", stderr(&bot));
    stdout(&sidecar.cli(&["bot", "heartbeat"]).await);

    until("the session works again", async || code(&sidecar.cli(&["probe"]).await) == 0).await;
    let diagnosed = ["diagnose", "--order-number", "ORD-9", "--phone", "584142222222", "--json"];
    let found = json_of(&sidecar, &diagnosed).await;
    assert_eq!((&found["failure_type"], &found["user_reached"]), (&json!("WEBHOOK_ONLY"), &json!(true)));
    let nobody = sidecar.cli(&["diagnose"]).await;
    assert_eq!(code(&nobody), 2, "{}", stderr(&nobody));

    let logs = stdout(&sidecar.cli(&["logs", "--level", "warn", "--json"]).await);
    assert!(
        json_lines(&logs).iter().any(|line| line["message"] == "the session is restarted by hand"),
        "{logs}"
    );
    assert!(stdout(&sidecar.cli(&["logs", "--limit", "1"]).await).lines().count() == 1);
}

#[tokio::test]
async fn events_are_printed_as_they_happen() {
    let (_waha, sidecar) = pair(config()).await;
    let paused = async {
        // The command listens once it has its seat; whoever comes later goes on from an id.
        tokio::time::sleep(Duration::from_millis(10)).await;
        stdout(&sidecar.cli(&["recovery", "pause"]).await);
        let latest = sidecar.api("/api/audit").await;
        assert_eq!(latest["items"][0]["action"], "pause_recovery");
    };
    paused.await;
    let since = ["events", "--json", "--after", "0", "--count", "1"];
    let resync = json_lines(&stdout(&sidecar.cli(&since).await));
    assert_eq!(resync[0]["type"], "RESYNC");
    let id = resync[0]["id"].as_u64().unwrap().to_string();
    stdout(&sidecar.cli(&["recovery", "resume"]).await);
    stdout(&sidecar.cli(&["recovery", "pause"]).await);
    let told = stdout(&sidecar.cli(&["events", "--json", "--after", &id, "--count", "2"]).await);
    let told: Vec<_> = json_lines(&told).iter().map(|one| one["type"].clone()).collect();
    assert_eq!(told, ["RECOVERY_RESUMED", "RECOVERY_PAUSED"]);
    let shown = stdout(&sidecar.cli(&["events", "--after", &id, "--count", "1"]).await);
    assert!(shown.contains("RECOVERY_RESUMED") && shown.contains("who=local"), "{shown}");
}

#[tokio::test]
async fn a_customer_is_forgotten_but_for_what_is_open() {
    let (waha, mut sidecar) = pair(config()).await;
    let phone = "5511988887777";
    sidecar.bot().text(CHAT, &received("ORD-1")).await;
    sidecar.bot().text(OTHER, &received("ORD-2")).await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    let settled = sidecar.bot().text(CHAT, &received("ORD-3")).await.send_id();
    let open = sidecar.bot().text(CHAT, &received("ORD-4")).await.send_id();
    sidecar.failed_when(2).await;
    let note = ["failed", "resolve", &settled, "--method", "phone_call", "--note", "habla con 5511988887777"];
    stdout(&sidecar.cli(&note).await);
    let first = sidecar.cli(&["forget", "+55 11 98888-7777", "--json"]).await;
    assert_eq!(code(&first), 1, "one is open: {}", stderr(&first));
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&first["open"], &first["notifications"]), (&json!([open]), &json!(1)));
    assert!(first["attempts"].as_u64() >= Some(2), "{first}");
    let sends = sidecar.sends().await;
    let of = |order: &str| sends.iter().find(|send| send["order_number"] == order).unwrap();
    for order in ["ORD-1", "ORD-3"] {
        assert_eq!(
            (&of(order)["chat_id"], &of(order)["customer_phone"]),
            (&Value::Null, &Value::Null),
            "{order}"
        );
    }
    assert_eq!(of("ORD-2")["chat_id"], OTHER);
    assert_eq!(of("ORD-4")["customer_phone"], phone, "it is open, and needs its customer");

    stdout(&sidecar.cli(&["failed", "resolve", &open]).await);
    assert_eq!(code(&sidecar.cli(&["forget", phone]).await), 0);
    let audit = sidecar.api("/api/audit").await;
    let line = audit["items"].as_array().unwrap().iter().find(|line| line["action"] == "forget").unwrap();
    assert_eq!(line["target"], Value::Null);
    assert!(!sidecar.log().text().contains(phone), "the log names nobody");
    // Nothing of it comes back, and no byte of a record names the number.
    sidecar.restart().await;
    for path in [
        "/api/sends?limit=1000",
        "/api/notifications/failed?resolved=all",
        "/api/communication-failures",
        "/api/audit",
    ] {
        let answer = sidecar.admin_get(path).await;
        assert!(!answer.text().contains(phone), "{path}: {}", answer.text());
    }
    assert_eq!(sidecar.failed().await.len(), 2, "that there was something to tell stays");
    let wrong = sidecar.cli(&["forget", "nobody"]).await;
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("phone"), "{}", stderr(&wrong));
}

/// A customer whom every kind of record knows: told, and no ack came; given up and diagnosed; rejected, with WAHA quoting the number; and all
/// of it settled, with a note that quotes it too.
async fn known_everywhere(waha: &FakeWaha, sidecar: &Sidecar) {
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::NoAcks));
    let told = sidecar.bot().text(CHAT, &received("ORD-1")).await;
    assert_eq!(told.status, 201);
    waha.faults().clear();
    sidecar.bot().text(OTHER, &received("ORD-2")).await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    let lost = sidecar.bot().text(CHAT, &received("ORD-3")).await.send_id();
    sidecar.failed_when(1).await;
    until("it is diagnosed", async || {
        !sidecar.api("/api/communication-failures").await["items"].as_array().unwrap().is_empty()
    })
    .await;
    waha.faults().clear();
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Restricted463));
    let rejected = sidecar.bot().text(CHAT, &received("ORD-4")).await.send_id();
    sidecar.failed_when(2).await;
    for id in [&lost, &rejected] {
        let note = "llamado al +55 11 98888-7777, 5511988887777";
        // What WhatsApp says late may have settled one of them already.
        sidecar.cli(&["failed", "resolve", id, "--method", "phone_call", "--note", note]).await;
    }
    until("all are settled", async || {
        let open = sidecar.api("/api/notifications/failed?resolved=false").await;
        open["items"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    assert!(names(&sidecar.store_path()), "or this proves nothing");
}

const PHONE: &str = "5511988887777";

/// Is the number anywhere in the file, free pages included?
fn names(path: &std::path::Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(PHONE.len()).any(|window| window == PHONE.as_bytes())
}

fn thorough() -> Config {
    config().set("events.mode", "websocket").set("panel.snapshot_file", "call-list.html")
}

#[tokio::test]
async fn nothing_is_left_of_a_customer_in_rows_or_file() {
    let (waha, mut sidecar) = pair(thorough()).await;
    until("the feed is followed", async || sidecar.status().await["events"]["state"] == "connected").await;
    known_everywhere(&waha, &sidecar).await;
    let mut forgot = Value::Null;
    // What the bot sent a moment ago may still be on its way through the heart.
    until("nothing is left", async || {
        let answer = sidecar.cli(&["forget", PHONE, "--json"]).await;
        forgot = serde_json::from_slice(&answer.stdout).unwrap();
        code(&answer) == 0
    })
    .await;
    assert_eq!(
        (&forgot["open_count"], &forgot["rows_left"], &forgot["files_left"]),
        (&json!(0), &json!(0), &json!([]))
    );
    until("the file is written anew", async || !names(&sidecar.store_path())).await;
    let export = stdout(&sidecar.cli(&["export"]).await);
    assert!(!export.contains(PHONE) && export.contains("ORD-1") && export.contains(OTHER), "{export}");
    for file in ["call-list.html", "call-list.csv"] {
        let snapshot = std::fs::read_to_string(sidecar.directory().join(file)).unwrap();
        assert!(!snapshot.contains(PHONE), "{snapshot}");
    }
    // It goes on, and a new send of that customer is one like any other.
    waha.faults().clear();
    assert_eq!(sidecar.bot().text(CHAT, &received("ORD-5")).await.status, 201);
    sidecar.restart().await;
    let sends = sidecar.sends().await;
    assert_eq!(sends.iter().filter(|send| send["chat_id"] == CHAT).count(), 1, "{sends:?}");
    assert_eq!(sends.len(), 5);
    assert!(!sidecar.log().text().contains(PHONE));
}

#[tokio::test]
async fn a_customer_is_forgotten_without_a_process() {
    let (waha, mut sidecar) = pair(thorough()).await;
    until("the feed is followed", async || sidecar.status().await["events"]["state"] == "connected").await;
    known_everywhere(&waha, &sidecar).await;

    // A process that runs but is not found at that address still has the store.
    let held = sidecar.cli_alone(&["forget", PHONE]).await;
    assert_eq!(code(&held), 3, "{}", stderr(&held));
    assert!(
        stderr(&held).contains("is in use") && stderr(&held).contains("admin.listen"),
        "{}",
        stderr(&held)
    );

    sidecar.stop().await;
    let done = sidecar.cli_alone(&["forget", "+55 (11) 98888-7777"]).await;
    assert_eq!(code(&done), 0, "{}{}", String::from_utf8_lossy(&done.stdout), stderr(&done));
    assert!(!names(&sidecar.store_path()), "not even in free pages");
    let left = std::fs::read_dir(sidecar.store_path().parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".anew")), "{left:?}");
    let export = stdout(&sidecar.cli_alone(&["export"]).await);
    assert!(!export.contains(PHONE) && export.contains("ORD-3"), "{export}");
    let audit: Value = serde_json::from_str(&stdout(&sidecar.cli_alone(&["audit", "--json"]).await)).unwrap();
    assert_eq!((&audit[0]["action"], &audit[0]["who"]), (&json!("forget"), &json!("cli")));
    sidecar.run().await;
    assert_eq!(sidecar.failed().await.len(), 2, "that there was something to tell stays");
    assert_eq!(sidecar.sends().await.len(), 4);
}

#[tokio::test]
async fn a_backup_is_whole_and_writes_over_nothing() {
    let (waha, mut sidecar) = pair(config()).await;
    waha.faults().add(Fault::to_chat(CHAT, FaultKind::Status422));
    sidecar.bot().text(CHAT, &received("ORD-1")).await;
    for order in 0..20 {
        sidecar.bot().text(OTHER, &received(&format!("ORD-2{order}"))).await;
    }
    sidecar.failed_when(1).await;
    let exported = json_lines(&stdout(&sidecar.cli(&["export"]).await));
    let copied = json_of(&sidecar, &["backup", "copy.redb", "--json"]).await;
    assert!(copied["ledger_rows"].as_u64() >= Some(21), "{copied}");
    assert_eq!(copied["notifications"], 1);
    let again = sidecar.cli(&["backup", "copy.redb"]).await;
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("writes over nothing"), "{}", stderr(&again));
    let nowhere = sidecar.cli(&["backup", "no/such/place.redb"]).await;
    assert_eq!(code(&nowhere), 1);
    assert_eq!(sidecar.api("/api/audit").await["items"][0]["action"], "backup");

    // A sidecar runs on the copy, and knows what the other knew.
    let copy = sidecar.directory().join("copy.redb");
    sidecar.stop().await;
    stdout(&sidecar.cli_alone(&["backup", "second.redb"]).await);
    sidecar.configure(|config| config.set("store.path", copy.to_str().unwrap()));
    sidecar.run().await;
    assert_eq!(json_lines(&stdout(&sidecar.cli(&["export"]).await)), exported);
    assert_eq!(sidecar.failed().await.len(), 1);
}

#[tokio::test]
async fn shells_and_manuals_are_served() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = binary();
        command.args(["completions", shell]);
        let script = stdout(&output(command).await);
        assert!(script.contains("mark") || script.contains("failed"), "{shell}");
        assert!(script.contains("recovery"), "{shell}");
    }
    let man = async |words: &[&str]| {
        let mut command = binary();
        command.arg("man").args(words);
        output(command).await
    };
    assert!(stdout(&man(&[]).await).contains(".TH waha-watchdog 1"));
    assert!(stdout(&man(&["failed", "list"]).await).contains("List failed notifications"));
    let unknown = man(&["nope"]).await;
    assert_eq!((code(&unknown), stderr(&unknown).contains("no command `nope`")), (2, true));
}
