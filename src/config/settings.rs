//! What the rest of the program sees of the configuration: plain, checked values.
//!
//! Every figure here is possible and no two clash; nobody downstream checks again. What a key means for a person is
//! told in `config/watchdog.toml`, its limits in [`super::check`].

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::alerts::AlertsConfig;
use super::secret::Secret;
use super::upstream::Upstream;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Language of everything written for people.
    pub locale: Locale,
    /// WAHA: where the bot's calls go.
    pub waha: WahaConfig,
    /// The bot's side.
    pub proxy: ProxyConfig,
    /// The people's side.
    pub admin: AdminConfig,
    /// The file that keeps everything.
    pub store: StoreConfig,
    /// What belongs to one send, and what is kept of it.
    pub sends: SendsConfig,
    /// How accepted sends are confirmed.
    pub events: EventsConfig,
    /// Who tries again, how often, how long.
    pub retry: RetryConfig,
    /// When success rate and latency mean `degraded`.
    pub status: StatusConfig,
    /// When exhausted sends mean `incommunicado`.
    pub incommunicado: IncommunicadoConfig,
    /// When a silent bot is `offline`.
    pub offline: OfflineConfig,
    /// The bot itself.
    pub bot: BotConfig,
    /// How long failed sends keep their identity.
    pub recovery: RecoveryConfig,
    /// How failures are diagnosed.
    pub diagnosis: DiagnosisConfig,
    /// Probes of WAHA's sessions.
    pub healthcheck: HealthcheckConfig,
    /// Who pages, what admins are told, and how.
    pub alerts: AlertsConfig,
    /// Links for people.
    pub panel: PanelConfig,
    /// What is logged and how.
    pub log: LogConfig,
    /// Rules that take order data out of texts, in the order they are tried.
    pub extract: Vec<ExtractRule>,
    /// The same for people: every key with its value as text, secrets masked.
    pub shown: Vec<ShownKey>,
}

/// A key as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// Its name.
    pub key: String,
    /// Its value as in a file, secrets masked.
    pub value: String,
    /// Which layer said so; `None` where the default holds.
    pub layer: Option<String>,
}

/// `[waha]`
#[derive(Debug, Clone)]
pub struct WahaConfig {
    /// The only address ever contacted.
    pub url: Upstream,
    /// The watchdog's own key; not the bot's.
    pub api_key: Option<Secret>,
    /// Session names with a metric label of their own; all others are "other". Never empty, no name twice.
    pub sessions: Vec<String>,
    /// PEM file with further authorities to trust for an https upstream; readable when the configuration was loaded.
    pub ca_file: Option<PathBuf>,
}

/// `[proxy]`
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Where the bot connects. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Threads that carry requests; none given: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Connections from bots open at once.
    pub max_connections: usize,
    /// Longest time for the head of a request.
    pub header_timeout: Duration,
    /// Span within which a body must bring 4 KiB or its end, in either direction.
    pub body_timeout: Duration,
    /// Longest time a bot's connection stays open without a request.
    pub idle_timeout: Duration,
    /// Longest time for connecting to WAHA.
    pub connect_timeout: Duration,
    /// Longest time until WAHA's answer begins.
    pub response_timeout: Duration,
    /// Longest time an unused connection to WAHA is kept.
    pub upstream_idle_timeout: Duration,
    /// Largest request body, in bytes.
    pub max_body: u64,
    /// Largest head, in bytes; at least 8 KiB.
    pub max_head: u64,
    /// Further paths that send, as written in the file.
    pub extra_send_paths: Vec<String>,
}

/// `[admin]`
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where people connect: loopback unless there are tokens. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may use it; names and secrets are unique. Empty: everyone on this machine.
    pub tokens: Vec<AdminToken>,
    /// Further `Host` names accepted, in lower case, without port.
    pub allowed_hosts: Vec<String>,
    /// A header in which a proxy says who asks; only with tokens and proxies.
    pub trusted_header: Option<String>,
    /// The proxies it is believed from.
    pub trusted_proxies: Vec<IpAddr>,
    /// What those may do whom it names.
    pub trusted_role: Role,
    /// Those of them who may act all the same.
    pub trusted_operators: Vec<String>,
}

/// One `{ name, role, secret }` of `admin.tokens`.
#[derive(Debug, Clone)]
pub struct AdminToken {
    /// Written beside what its holder does (`resolved_by`).
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The Bearer token: visible ASCII, 16 or more characters.
    pub secret: Secret,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The store's file.
    pub path: PathBuf,
    /// Which sends are on disk before they leave.
    pub intent: IntentMode,
    /// Longest time a send waits for a commit.
    pub commit_wait: Duration,
    /// Cache, in bytes.
    pub cache: u64,
    /// Largest size of the file, in bytes.
    pub max_size: u64,
    /// How long resolved failed notifications are kept.
    pub resolved_for: Duration,
    /// How long records of sends are kept.
    pub sends_for: Duration,
}

/// `[sends]`
#[derive(Debug, Clone)]
pub struct SendsConfig {
    /// Time within which attempts of one identity are one send.
    pub window: Duration,
    /// Largest body kept, in bytes. May be above `proxy.max_body` or `copy_budget` where it is the default.
    pub copy_max: u64,
    /// All kept bodies together, in bytes.
    pub copy_budget: u64,
    /// Sends remembered in memory at once.
    pub live_max: usize,
    /// How long an accepted send may stay unconfirmed, where events are followed.
    pub confirm_within: Duration,
}

/// `[events]`
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// How they are followed.
    pub mode: EventsMode,
    /// What signs webhooks: visible ASCII, 16 or more characters. There where the mode is webhook.
    pub webhook_secret: Option<Secret>,
}

/// `[retry]`
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// Who tries again.
    pub mode: RetryMode,
    /// Attempts after which a send is exhausted, at least 1.
    pub attempts: u32,
    /// Quiet time after an unsuccessful attempt that makes a send exhausted; not above `sends.window`.
    pub give_up_after: Duration,
    /// Pause before the second attempt (proxy mode).
    pub backoff: Duration,
    /// Factor from pause to pause, at least 1 (proxy mode).
    pub factor: f64,
    /// Share of a pause it may be moved by at random, 0 to 1 (proxy mode).
    pub jitter: f64,
    /// Time for all attempts together (proxy mode).
    pub budget: Duration,
    /// What becomes of a send that may have arrived, where no look is possible.
    pub ambiguous: Ambiguous,
}

/// `[status]`
#[derive(Debug, Clone)]
pub struct StatusConfig {
    /// Time looked back on for rate and latency.
    pub window: Duration,
    /// Fewer sends in the window decide nothing.
    pub min_sends: u32,
    /// Share of accepted sends, 0 to 1, below which the channel is degraded.
    pub success_rate: f64,
    /// 95th percentile of the time per send above which the channel is degraded.
    pub latency_p95: Duration,
    /// Accepted sends without an ack for so long are degraded.
    pub unacked_degraded: Duration,
    /// And for so long critical.
    pub unacked_critical: Duration,
    /// How long both must be good before degraded ends.
    pub recover_after: Duration,
}

/// `[incommunicado]`
#[derive(Debug, Clone)]
pub struct IncommunicadoConfig {
    /// Exhausted sends that mean incommunicado, at least 1.
    pub failures: u32,
    /// Time within which they must happen.
    pub window: Duration,
}

/// `[offline]`
#[derive(Debug, Clone)]
pub struct OfflineConfig {
    /// What shows that the bot lives.
    pub source: LivenessSource,
    /// Silence of the bot that means offline.
    pub after: Duration,
}

/// `[bot]`
#[derive(Debug, Clone)]
pub struct BotConfig {
    /// Where it is asked whether it lives.
    pub health_url: Option<String>,
    /// Who is asked to restart it.
    pub restart_url: Option<String>,
    /// What signs that: visible ASCII, 16 or more characters.
    pub restart_secret: Option<Secret>,
}

/// `[recovery]`
#[derive(Debug, Clone)]
pub struct RecoveryConfig {
    /// Is anything sent again?
    pub enabled: bool,
    /// How long a failed send keeps its identity, and may be sent again.
    pub max_age: Duration,
    /// The same for single types of notification, by their words; a type that is not there goes by `max_age`.
    pub max_age_for: Vec<(&'static str, Duration)>,
    /// Replays a minute.
    pub pace: u32,
}

/// `[diagnosis]`
#[derive(Debug, Clone)]
pub struct DiagnosisConfig {
    /// Is anybody written to?
    pub enabled: bool,
}

/// `[healthcheck]`
#[derive(Debug, Clone)]
pub struct HealthcheckConfig {
    /// Are sessions probed?
    pub enabled: bool,
    /// How often.
    pub interval: Duration,
    /// How long a probe waits.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failure_threshold: u32,
}

/// `[panel]`
#[derive(Debug, Clone)]
pub struct PanelConfig {
    /// The panel's address as people reach it, without a trailing slash.
    pub public_url: Option<String>,
    /// Link to an order, with `{order_id}` or `{order_number}` to be filled in.
    pub order_url: Option<String>,
    /// Where the open call list is written as a file; its table of plain values lies beside it.
    pub snapshot_file: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter directive `tracing_subscriber::EnvFilter` takes.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// One `[[extract]]`: a text that matches tells of an order.
#[derive(Debug, Clone)]
pub struct ExtractRule {
    /// What a matching text tells the customer.
    pub notification_type: NotificationType,
    /// Has one or more named groups, all of them out of [`EXTRACT_GROUPS`].
    pub pattern: Regex,
    /// Must match too, where given.
    pub when: Option<Regex>,
}

/// The named groups a pattern of `[[extract]]` may have.
pub const EXTRACT_GROUPS: [&str; 5] =
    ["order_id", "order_number", "order_total", "customer_name", "customer_phone"];

/// A closed set of words that a key may have.
pub(super) trait Choice: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

/// Declares an enum together with its words, so that neither can be forgotten.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            /// The word as it stands in the file.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    )+};
}

choices! {
    /// What shows that the bot lives.
    LivenessSource {
        /// Its traffic.
        Traffic = "traffic",
        /// Its heartbeat.
        Heartbeat = "heartbeat",
        /// That it answers when it is asked.
        Probe = "probe",
    }
}

choices! {
    /// How a connection to a mail server is kept from others' eyes.
    MailSecurity {
        /// TLS from the first byte.
        Tls = "tls",
        /// TLS after a greeting in the clear.
        Starttls = "starttls",
        /// Not at all.
        None = "none",
    }
    /// How a dead man's switch is called.
    HeartbeatMethod {
        /// GET.
        Get = "get",
        /// POST.
        Post = "post",
    }
}

choices! {
    /// Who owns the pager.
    PagingOwner {
        /// Alertmanager, from Prometheus' rules alone.
        Alertmanager = "alertmanager",
        /// Alertmanager, from rules and our push.
        Push = "push",
        /// We alone.
        Direct = "direct",
    }
    /// Language of everything written for people.
    Locale {
        /// Spanish.
        Es = "es",
        /// English.
        En = "en",
        /// Portuguese.
        Pt = "pt",
    }
    /// What the holder of a token may do.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Reads and acts.
        Operator = "operator",
        /// Reports heartbeats and asks for diagnoses, nothing else.
        Bot = "bot",
    }
    /// Which sends are on disk before they leave.
    IntentMode {
        /// Those with order data.
        Order = "order",
        /// All.
        Always = "always",
        /// None.
        Never = "never",
    }
    /// How WAHA's events are followed.
    EventsMode {
        /// Not at all.
        Off = "off",
        /// We listen to WAHA.
        Websocket = "websocket",
        /// WAHA delivers to us.
        Webhook = "webhook",
    }
    /// Who tries again.
    RetryMode {
        /// The bot; the watchdog counts.
        Observe = "observe",
        /// The watchdog, which answers the bot once.
        Proxy = "proxy",
    }
    /// What becomes of a send that may have arrived, where no look is possible.
    Ambiguous {
        /// It waits for a person.
        Hold = "hold",
        /// It is sent again.
        Resend = "resend",
    }
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// For machines, one object per line.
        Json = "json",
    }
    /// What a notification tells the customer.
    NotificationType {
        /// The order came in.
        OrderReceived = "ORDER_RECEIVED",
        /// The order or its payment is confirmed.
        OrderConfirmed = "ORDER_CONFIRMED",
        /// The order is on its way.
        OrderShipped = "ORDER_SHIPPED",
        /// Anything else about an order.
        Other = "OTHER",
    }
}
