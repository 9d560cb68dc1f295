//! How a look-alike is set up: engine, release, key, sessions, waits. Plain values, no behaviour.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::session::SessionStatus;

/// WAHA's engine: it decides the form of every success and of most errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "UPPER")]
pub enum Engine {
    /// Baileys. Raw Baileys messages as answers; takes a caller's message id.
    Noweb,
    /// whatsmeow. `{"id","_data"}` as answers, errors at once; takes a caller's message id.
    Gows,
    /// A browser. Serialized whatsapp-web.js messages; no caller's message id.
    Webjs,
}

impl Engine {
    /// WAHA's own spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noweb => "NOWEB",
            Self::Gows => "GOWS",
            Self::Webjs => "WEBJS",
        }
    }

    /// Whether the engine sends under an id chosen by the caller; phones then drop the second copy.
    pub fn takes_message_id(self) -> bool {
        self != Self::Webjs
    }
}

/// Which WAHA is imitated. What differs is listed at each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Release {
    /// Core before Plus was merged into it: media and `/health` answer 422 "Plus only", the key is taken from
    /// the header alone, `new-message-id` does not exist and a caller's `id` is ignored.
    #[value(name = "2025.12.3")]
    V2025_12_3,
    /// Media, `/health`, `new-message-id`, a caller's `id`, `?x-api-key=`, a `traceparent` on each answer.
    #[value(name = "2026.9.2")]
    V2026_9_2,
}

impl Release {
    /// The version as WAHA reports it.
    pub fn version(self) -> &'static str {
        match self {
            Self::V2025_12_3 => "2025.12.3",
            Self::V2026_9_2 => "2026.9.2",
        }
    }

    /// Whether what was once "Plus only" is free.
    pub fn plus_is_free(self) -> bool {
        self == Self::V2026_9_2
    }
}

/// WAHA's own waits, as observed. All are multiplied by [`Options::time_scale`].
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// How long a call waits for a session that is missing or STOPPED before its 422.
    pub missing_session: Duration,
    /// How long a call waits for a running session to reach the status it needs before its 422.
    pub not_working: Duration,
    /// The fixed pause in stop, restart and logout of a running session.
    pub stop: Duration,
    /// From STARTING to the status the session settles in.
    pub connect: Duration,
    /// How long a session still says WORKING after its connection to WhatsApp broke.
    pub unnoticed_drop: Duration,
    /// How long a session command queues for the session's lock before its 500.
    pub lock_queue: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            missing_session: Duration::from_secs(5),
            not_working: Duration::from_secs(10),
            stop: Duration::from_secs(3),
            connect: Duration::from_secs(2),
            unnoticed_drop: Duration::from_secs(2),
            lock_queue: Duration::from_secs(5),
        }
    }
}

/// When WhatsApp confirms an accepted message, counted from its acceptance; `None` is never. Scaled like [`Waits`].
#[derive(Clone, Copy, Debug)]
pub struct AckDelays {
    /// Ack 1: WhatsApp's server has it.
    pub server: Option<Duration>,
    /// Ack 2: the customer's phone has it.
    pub device: Option<Duration>,
    /// Ack 3: the customer has read it.
    pub read: Option<Duration>,
}

impl Default for AckDelays {
    fn default() -> Self {
        Self { server: Some(Duration::from_millis(200)), device: Some(Duration::from_secs(1)), read: None }
    }
}

/// A session that exists from the start.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Its name; WAHA's usual one is `default`.
    pub name: String,
    /// Its status at the start.
    pub status: SessionStatus,
    /// The status it settles in after each (re)start.
    pub after_start: SessionStatus,
    /// WAHA's `config` object, webhooks included; shown as it is.
    pub config: Value,
}

impl SessionOptions {
    /// A session that works, keeps its messages (NOWEB's store is on) and works again after a restart.
    pub fn working(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: SessionStatus::Working,
            after_start: SessionStatus::Working,
            config: json!({"noweb": {"markOnline": true, "store": {"enabled": true, "fullSync": false}}}),
        }
    }

    /// The same with a webhook that gets `events`, signed with `hmac_key` if one is given.
    pub fn with_webhook(mut self, url: &str, events: &[&str], hmac_key: Option<&str>) -> Self {
        let mut hook = json!({"url": url, "events": events});
        if let Some(key) = hmac_key {
            hook["hmac"] = json!({"key": key});
        }
        match self.config.get_mut("webhooks").and_then(Value::as_array_mut) {
            Some(hooks) => hooks.push(hook),
            None => self.config["webhooks"] = json!([hook]),
        }
        self
    }
}

/// Everything a look-alike is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The engine all sessions use.
    pub engine: Engine,
    /// The key to insist on; `None` takes any, even none.
    pub api_key: Option<String>,
    /// The WAHA imitated.
    pub release: Release,
    /// The sessions that exist from the start.
    pub sessions: Vec<SessionOptions>,
    /// Where a session created through the API settles after its start. WAHA's waits for a scan of its QR code.
    pub new_session_settles: SessionStatus,
    /// Webhooks for every session, as WAHA has from its environment; in the form of a session's `webhooks`.
    pub webhooks: Vec<Value>,
    /// WAHA's own waits.
    pub waits: Waits,
    /// When messages are confirmed.
    pub acks: AckDelays,
    /// Factor on [`Waits`], [`AckDelays`] and the pauses between webhook retries; tests use a small one. Durations
    /// inside faults are taken as they are.
    pub time_scale: f64,
    /// After how long an idle connection is closed, and what `Keep-Alive: timeout=` says in whole seconds. Not scaled.
    pub keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            engine: Engine::Noweb,
            api_key: None,
            release: Release::V2026_9_2,
            sessions: vec![SessionOptions::working("default")],
            new_session_settles: SessionStatus::ScanQrCode,
            webhooks: Vec::new(),
            waits: Waits::default(),
            acks: AckDelays::default(),
            time_scale: 1.0,
            keep_alive: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// A duration of [`Waits`] or [`AckDelays`] as it really takes.
    pub(super) fn scaled(&self, duration: Duration) -> Duration {
        // A scale from a caller may be anything; a nonsensical one means "no wait".
        Duration::try_from_secs_f64(duration.as_secs_f64() * self.time_scale).unwrap_or(Duration::ZERO)
    }
}
