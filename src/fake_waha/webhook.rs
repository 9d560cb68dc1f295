//! Webhooks: which are configured, and their delivery with signature and retries.
//!
//! As in WAHA: any answer but 2xx is tried again, then dropped; no order is kept; nothing is stored.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha512;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::chance::{now_ms, ulid};
use super::options::Options;

/// Deliveries under way at once; further events are dropped, as by a WAHA out of memory.
const MAX_UNDER_WAY: usize = 10_000;

/// WAHA sets no limit; one of ours keeps a dead receiver from holding a task for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Constant,
    Linear,
    Exponential,
}

/// One entry of a `webhooks` array.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Webhook {
    url: String,
    events: Vec<String>,
    key: Option<String>,
    policy: Policy,
    delay: Duration,
    attempts: u64,
    headers: Vec<(String, String)>,
}

impl Webhook {
    /// Reads one entry; what is left out has WAHA's defaults. `None` without a URL.
    fn read(entry: &Value) -> Option<Self> {
        let retries = &entry["retries"];
        let strings = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let header =
            |value: &Value| Some((value["name"].as_str()?.to_owned(), value["value"].as_str()?.to_owned()));
        Some(Self {
            url: entry["url"].as_str()?.to_owned(),
            events: strings(&entry["events"]),
            key: entry["hmac"]["key"].as_str().map(str::to_owned),
            policy: match retries["policy"].as_str() {
                Some("linear") => Policy::Linear,
                Some("exponential") => Policy::Exponential,
                _ => Policy::Constant,
            },
            delay: retries["delaySeconds"]
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or(Duration::from_secs(2)),
            attempts: retries["attempts"].as_u64().unwrap_or(15),
            headers: entry["customHeaders"].as_array().into_iter().flatten().filter_map(header).collect(),
        })
    }

    /// Reads the `webhooks` array of a session's config, or one from the environment.
    pub(super) fn read_all(entries: Option<&Value>) -> Vec<Self> {
        entries.and_then(Value::as_array).into_iter().flatten().filter_map(Self::read).collect()
    }

    pub(super) fn wants(&self, event: &str) -> bool {
        wants(&self.events, event)
    }

    fn pause(&self, retry: u64) -> Duration {
        let factor = match self.policy {
            Policy::Constant => 1.0,
            Policy::Linear => retry as f64,
            Policy::Exponential => 2_f64.powf(retry as f64 - 1.0),
        };
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }
}

/// Whether a list of events, with `*` for all that is not an engine's internal, has this one.
pub(super) fn wants(events: &[String], event: &str) -> bool {
    events.iter().any(|wanted| wanted == event || (wanted == "*" && event != "engine.event"))
}

/// Delivers webhooks; one for the life of a look-alike.
#[derive(Clone, Debug)]
pub(super) struct Deliverer {
    client: reqwest::Client,
    tasks: TaskTracker,
    stop: CancellationToken,
    user_agent: String,
}

impl Deliverer {
    pub(super) fn new(options: &Options, stop: CancellationToken) -> std::io::Result<Self> {
        // Receivers of a look-alike are on this machine: plain HTTP, no proxy, no roots.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(std::io::Error::other)?;
        let user_agent = format!("WAHA/{}", options.release.version());
        Ok(Self { client, tasks: TaskTracker::new(), stop, user_agent })
    }

    /// Starts the delivery of one event to one receiver.
    pub(super) fn deliver(&self, hook: Webhook, body: Bytes, options: &Arc<super::options::Options>) {
        if self.tasks.len() >= MAX_UNDER_WAY {
            return;
        }
        let this = self.clone();
        let options = Arc::clone(options);
        self.tasks.spawn(async move {
            let stop = this.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = this.try_until_taken(&hook, body, &options) => {}
            }
        });
    }

    async fn try_until_taken(&self, hook: &Webhook, body: Bytes, options: &Options) {
        let request_id = ulid();
        let signature = hook.key.as_deref().and_then(|key| signature(key, &body));
        for attempt in 0..=hook.attempts {
            if attempt > 0 {
                tokio::time::sleep(options.scaled(hook.pause(attempt))).await;
            }
            let mut request = self
                .client
                .post(&hook.url)
                .header("Content-Type", "application/json")
                .header("User-Agent", &self.user_agent)
                .header("X-Webhook-Request-Id", &request_id)
                .header("X-Webhook-Timestamp", now_ms().to_string());
            if let Some(signature) = &signature {
                request =
                    request.header("X-Webhook-Hmac", signature).header("X-Webhook-Hmac-Algorithm", "sha512");
            }
            for (name, value) in &hook.headers {
                request = request.header(name, value);
            }
            if let Ok(answer) = request.body(body.clone()).send().await
                && answer.status().is_success()
            {
                return;
            }
        }
    }
}

/// HMAC-SHA512 of the body, in hex.
fn signature(key: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(body);
    let mut hex = String::with_capacity(128);
    for byte in mac.finalize().into_bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_wahas() {
        let hooks = Webhook::read_all(Some(&json!([{"url": "http://h", "events": ["*"]}, {"events": []}])));
        assert_eq!(hooks.len(), 1, "an entry without URL is none");
        assert_eq!((hooks[0].attempts, hooks[0].pause(1)), (15, Duration::from_secs(2)));
        assert!(hooks[0].wants("message.ack") && !hooks[0].wants("engine.event"));
    }

    #[test]
    fn pauses_follow_the_policy() {
        let pauses = |policy: &str| {
            let entry =
                json!([{"url": "u", "retries": {"policy": policy, "delaySeconds": 3, "attempts": 4}}]);
            let hooks = Webhook::read_all(Some(&entry));
            (1..=3).map(|retry| hooks[0].pause(retry).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(pauses("constant"), [3, 3, 3]);
        assert_eq!(pauses("linear"), [3, 6, 9]);
        assert_eq!(pauses("exponential"), [3, 6, 12]);
    }

    #[test]
    fn the_signature_is_the_documented_one() {
        // WAHA's documentation: key `my-secret-key`, this body, this signature.
        let body = br#"{"event":"message","session":"default","engine":"WEBJS"}"#;
        assert_eq!(
            signature("my-secret-key", body).unwrap(),
            "208f8a55dde9e05519e898b10b89bf0d0b3b0fdf11fdbf09b6b90476301b98d8097c462b2b17a6ce93b6b47a136cf2e78a33a63f6752c2c1631777076153fa89"
        );
    }
}
