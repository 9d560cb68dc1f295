//! What all tests here stand on: a sidecar process, bots that speak plain HTTP, upstreams that do as they are told.

pub mod bot;
pub mod http;
pub mod manager;
#[allow(dead_code, reason = "shared with the unit tests of channels")]
pub mod outside;
pub mod prometheus;
pub mod rules;
pub mod sidecar;
#[allow(dead_code, reason = "shared with the unit tests of channels")]
pub mod smtp;
pub mod upstream;

use std::time::Duration;

use serde_json::json;
use waha_watchdog::fake_waha::{FakeWaha, Options, SessionOptions};

pub use bot::Bot;
pub use http::{Answer, Broken};
pub use sidecar::{Config, Ended, Sidecar};

/// Longer than anything may take on a busy machine: a wait in vain becomes a failure with a name.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A chat like any other.
pub const CHAT: &str = "5511988887777@c.us";

/// A look-alike whose own waits take a hundredth.
pub fn quick() -> Options {
    Options { time_scale: 0.01, ..Options::default() }
}

/// A look-alike that keeps no messages: nobody can look there.
pub fn without_store() -> Options {
    let mut session = SessionOptions::working("default");
    session.config = json!({"noweb": {"markOnline": true, "store": {"enabled": false}}});
    Options { sessions: vec![session], ..quick() }
}

/// A look-alike and a sidecar before it.
pub async fn pair(config: Config) -> (FakeWaha, Sidecar) {
    let waha = FakeWaha::start(quick()).await.unwrap();
    let sidecar = Sidecar::start(config.upstream(&waha.url())).await;
    (waha, sidecar)
}

/// Polls until `look` finds something.
pub async fn settle<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, polling).await {
        Ok(found) => found,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Polls until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    settle(what, async || is_so().await.then_some(())).await;
}

/// Where a test cannot run: fails in CI, is skipped loudly elsewhere.
pub fn cannot(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("\n!! SKIPPED: {why}\n");
}
