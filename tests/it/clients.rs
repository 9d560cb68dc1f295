//! Programs on WAHA's published Python clients see no difference (`tests/clients`).
//!
//! Each client has a venv of its own, for both install a module named `waha`. CI makes them (`.ci/run`); elsewhere:
//! `python3 -m venv target/clients/waha-py && target/clients/waha-py/bin/pip install waha-py==2026.9.2`, and the same for `waha==1.0.5`.

use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, Options, SessionOptions, SessionStatus};

use super::harness::sidecar::{json_lines, output, stdout};
use super::harness::{CHAT, Config, Sidecar, cannot, quick};

const KEY: &str = "the-key-of-the-bot";

async fn same_through_the_sidecar(client: &str, script: &str, calls: usize, sends: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/clients").join(client).join("bin/python");
    if !python.exists() {
        return cannot(&format!("the client {client} is not installed: {} is missing", python.display()));
    }
    let stopped = SessionOptions {
        status: SessionStatus::Stopped,
        after_start: SessionStatus::Stopped,
        ..SessionOptions::working("stopped")
    };
    let sessions = vec![SessionOptions::working("default"), stopped];
    let options = Options { sessions, api_key: Some(KEY.to_owned()), ..quick() };
    let waha = FakeWaha::start(options).await.unwrap();
    let error = FaultKind::Status500("2 UNKNOWN: server returned error 463".to_owned());
    waha.faults().add(Fault::to_chat("5511900000463", error));
    let sidecar = Sidecar::start(Config::new().upstream(&waha.url())).await;
    let run = async |url: &str| {
        let mut command = Command::new(&python);
        command.arg(root.join("tests/clients").join(script)).args([url, KEY, CHAT]);
        // Whatever proxy this machine has is not between these two.
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        calm(&stdout(&output(command).await))
    };
    let direct = run(&waha.url()).await;
    let through = run(&sidecar.proxy_url()).await;
    assert_eq!(direct.len(), calls, "{direct:#?}");
    for (through, direct) in through.iter().zip(&direct) {
        assert_eq!(through, direct);
    }
    assert_eq!(through.len(), calls);
    assert_eq!(waha.calls().len(), 2 * sends, "the client really sent");
    assert_eq!(sidecar.sends().await.len(), sends);
}

/// Without what differs from moment to moment, and without the address.
fn calm(text: &str) -> Vec<Value> {
    let moments = [
        (r"3EB0[0-9A-F]{18}", "ID"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "MOMENT"),
        (r"\b1[0-9]{9}(?:[0-9]{3})?\b", "1"),
        // One of them shows the ends of what it could not read.
        (r"'55\.\.\.[0-9]+'", "'55...'"),
        (r"http://127\.0\.0\.1:\d+", "URL"),
    ];
    let calm = moments.iter().fold(text.to_owned(), |text, (pattern, instead)| {
        Regex::new(pattern).unwrap().replace_all(&text, *instead).into_owned()
    });
    json_lines(&calm)
}

#[tokio::test]
async fn waha_py_sees_no_difference() {
    same_through_the_sidecar("waha-py", "through_waha_py.py", 9, 6).await;
}

#[tokio::test]
async fn waha_sees_no_difference() {
    same_through_the_sidecar("waha", "through_waha.py", 7, 5).await;
}
