//! `waha-watchdog demo`, as a user runs it: the real binary, told in JSON lines, its numbers counted again by somebody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A short outage, and a bot whose patience is shorter still: both told and given up must happen.
const SHORT: [&str; 8] =
    ["--outage-after", "2s", "--outage-for", "3s", "--every", "250ms", "--retry-wait", "200ms"];

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waha-watchdog"));
    // What the developer has set must not reach the program.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WAHA_WATCHDOG_") {
            command.env_remove(name);
        }
    }
    command
}

fn demo(args: &[&str]) -> Output {
    program().arg("demo").args(SHORT).args(args).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn place(events: &[Value], fits: impl Fn(&Value) -> bool) -> usize {
    events.iter().position(fits).expect("it is told")
}

fn orders<'a>(events: &[&'a Value]) -> BTreeSet<&'a str> {
    let orders: BTreeSet<_> = events.iter().map(|event| event["order_number"].as_str().unwrap()).collect();
    assert_eq!(orders.len(), events.len(), "each once");
    orders
}

/// The store's own account, by the commands a user has, where nothing runs.
fn offline(store: &Path, args: &[&str]) -> String {
    let output = program()
        .args(args)
        .env("WAHA_WATCHDOG__STORE__PATH", store)
        .env("WAHA_WATCHDOG__ADMIN__LISTEN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_story_the_store_and_the_phones_agree() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("kept.redb");
    let output = demo(&["--json", "--for", "9s", "--store", store.to_str().unwrap()]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert_eq!(complaint, "", "the sidecar's log stays out of it");
    let events = lines(&output);

    // Every line has its moment, and time goes forward.
    let moments: Vec<_> = events
        .iter()
        .map(|event| chrono::DateTime::parse_from_rfc3339(event["at"].as_str().unwrap()).unwrap())
        .collect();
    assert!(moments.is_sorted(), "{moments:?}");

    // It begins with the addresses and ends with the summary.
    assert_eq!(events[0]["event"], "started");
    for address in ["proxy", "admin", "waha"] {
        assert!(events[0][address].as_str().unwrap().starts_with("http://127.0.0.1:"), "{}", events[0]);
    }
    let summary = events.last().unwrap();
    assert_eq!((&summary["event"], &summary["agree"]), (&"summary".into(), &true.into()));
    assert_eq!(named(&events, "summary").len(), 1);

    // Each order ends in one of two ways, and both happen.
    let (placed, told) = (orders(&named(&events, "order_placed")), orders(&named(&events, "order_told")));
    let given_up = orders(&named(&events, "gave_up"));
    let listed = orders(&named(&events, "notification_failed"));
    assert!(!told.is_empty() && !given_up.is_empty());
    assert!(told.is_disjoint(&given_up));
    assert_eq!(told.union(&given_up).copied().collect::<BTreeSet<_>>(), placed);
    assert_eq!(listed, given_up, "the API lists what the bot gave up");
    assert_eq!(named(&events, "notification_missing").len(), 0);

    // Before the outage and after it all goes well; within it, nothing.
    let down = place(&events, |event| event["event"] == "outage_began");
    let up = place(&events, |event| event["event"] == "outage_ended");
    assert!(down < up);
    let within = |name| named(&events[down..up], name).len();
    assert!(
        !named(&events[..down], "order_told").is_empty() && !named(&events[up..], "order_told").is_empty()
    );
    assert_eq!(within("order_told"), 0);
    assert_eq!(named(&events[..down], "attempt_failed").len(), 0);
    let outage = moments[up] - moments[down];
    assert!(outage >= chrono::TimeDelta::milliseconds(2_900), "{outage}");
    assert!(events[up]["orders_unnotified"].as_u64().unwrap() <= given_up.len() as u64);

    // The status follows, as the API says it.
    let statuses: Vec<_> =
        named(&events, "status_changed").iter().map(|event| event["to"].as_str().unwrap()).collect();
    // Whether somebody asked before the first order is a matter of milliseconds.
    let seen = statuses.strip_prefix(&["unknown"]).unwrap_or(&statuses);
    // What the diagnosis or the probe find makes it critical, whichever is first.
    assert_eq!((seen.first(), seen.last()), (Some(&"online"), Some(&"degraded")));
    let silent = place(&events, |event| event["to"] == "incommunicado_critico");
    assert!(down < silent && silent < up);

    // The summary counts what was told.
    let attempts = told_attempts(&events);
    let made: u64 = attempts.values().sum();
    let sent_again = summary.pointer("/store/sent_again").and_then(Value::as_u64).unwrap();
    let reached = told.len() as u64 + sent_again;
    assert!(sent_again > 0, "WAHA was back long enough");
    for (key, expected) in [
        ("/bot/orders", placed.len() as u64),
        ("/bot/told", told.len() as u64),
        ("/bot/given_up", given_up.len() as u64),
        ("/bot/attempts", made),
        ("/bot/cut_short", 0),
        ("/store/sends", placed.len() as u64),
        ("/store/accepted", reached),
        ("/store/failed_notifications_open", given_up.len() as u64 - sent_again),
        ("/phones/orders_displayed", reached),
        ("/phones/displayed_twice", 0),
    ] {
        assert_eq!(summary.pointer(key).and_then(Value::as_u64), Some(expected), "{key}");
    }

    // And so does the file that is left, read by somebody else.
    let sends: Vec<Value> =
        offline(&store, &["export"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stored: BTreeMap<_, _> = sends
        .iter()
        .map(|send| (send["order_number"].as_str().unwrap(), send["attempts"].as_u64().unwrap()))
        .collect();
    assert_eq!(sends.len(), stored.len());
    for order in &told {
        assert_eq!(stored[order], attempts[order], "{order}");
    }
    assert!(given_up.iter().all(|order| stored[order] >= attempts[order]));
    let accepted = sends.iter().filter(|send| send["outcome"] == "accepted");
    let accepted: BTreeSet<_> = accepted.map(|send| send["order_number"].as_str().unwrap()).collect();
    assert!(accepted.is_superset(&told));
    assert_eq!(accepted.len() as u64, reached);
    let open: Value = serde_json::from_str(&offline(&store, &["failed", "list", "--json"])).unwrap();
    let open: Vec<_> = open.as_array().unwrap().iter().collect();
    assert_eq!(orders(&open), placed.difference(&accepted).copied().collect::<BTreeSet<_>>());
    for one in open {
        let event = listed_event(&events, one["order_number"].as_str().unwrap());
        for key in ["id", "cause", "attempts", "customer_name", "customer_phone", "order_total"] {
            assert_eq!(one[key], event[key], "{key}");
        }
    }
}

/// How often each order was tried, by the events.
fn told_attempts(events: &[Value]) -> BTreeMap<&str, u64> {
    let mut attempts = BTreeMap::new();
    for event in events {
        if event["event"] == "attempt_failed" || event["event"] == "order_told" {
            *attempts.entry(event["order_number"].as_str().unwrap()).or_default() += 1;
        }
    }
    attempts
}

fn listed_event<'a>(events: &'a [Value], order: &str) -> &'a Value {
    events
        .iter()
        .find(|event| event["event"] == "notification_failed" && event["order_number"] == order)
        .unwrap()
}

#[test]
fn it_can_be_ended_at_any_time_and_leaves_nothing() {
    // In the outage, with orders that are still being tried: the first signal waits for them, the second does not.
    for hurried in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let child = program()
            .args(["demo", "--json", "--outage-after", "500ms", "--every", "200ms", "--retry-wait", "700ms"])
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        wait_until(|| std::fs::read_dir(folder.path()).unwrap().count() == 1);
        std::thread::sleep(Duration::from_millis(2_500));
        kill(pid, Signal::SIGINT).unwrap();
        if hurried {
            std::thread::sleep(Duration::from_millis(300));
            kill(pid, Signal::SIGINT).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let events = lines(&output);
        let summary = events.last().unwrap();
        let count = |key| summary.pointer(key).and_then(Value::as_u64).unwrap();
        assert_eq!(summary["event"], "summary");
        let placed = named(&events, "order_placed").len() as u64;
        assert_eq!(count("/bot/orders") + count("/bot/cut_short"), placed);
        assert_eq!(named(&events, "finishing").len(), 1);
        assert_eq!(count("/bot/cut_short") > 0, hurried, "{summary}");
        assert_eq!(count("/bot/given_up"), named(&events, "notification_failed").len() as u64);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the store went with it");
    }
}

fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_story_is_told_without_colour_to_a_pipe_and_in_the_language_asked_for() {
    for (lang, begins, ends) in
        [("es", "WAHA SE CAE", "Las cuentas cuadran"), ("en", "WAHA GOES DOWN", "The numbers agree")]
    {
        let output = demo(&["--for", "3s", "--lang", lang]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains('\x1b'), "{text}");
        assert!(text.contains(begins) && text.contains(ends), "{text}");
        assert!(text.contains("ORD-001  María González"), "{text}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_begins() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there.redb");
    std::fs::write(&there, "mine").unwrap();
    for (args, code, says) in [
        (vec!["--store", there.to_str().unwrap()], 1, "is there already"),
        (vec!["--admin", "0.0.0.0:0"], 2, "admin.listen"),
        (vec!["--for", "0s"], 2, "above zero"),
        (vec!["--for", "1"], 2, "a whole number and a unit"),
    ] {
        let output = demo(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{args:?}");
        assert_eq!(output.stdout, b"", "{args:?}");
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "mine");
}
