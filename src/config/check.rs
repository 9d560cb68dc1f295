//! Every key: its limits, and what must fit together. The order here is the order of `watchdog.toml` and of
//! `config show`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::read::{Reader, Row, readable_file};
use super::settings::*;
use super::upstream;
use super::{alerts, extract};
use crate::domain::order::NotificationType as OrderType;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const M: Duration = Duration::from_secs(60);
const H: Duration = Duration::from_secs(60 * 60);
const D: Duration = Duration::from_secs(24 * 60 * 60);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Names become metric labels and lines of records.
const NAME_CHARS_MAX: usize = 64;

/// A token that can be guessed is none.
const TOKEN_CHARS_MIN: usize = 16;

/// Reads the whole configuration. Only without faults in the reader may it be used.
pub(super) fn config(r: &mut Reader) -> Config {
    let config = Config {
        locale: r.choice("locale"),
        waha: waha(r),
        proxy: proxy(r),
        admin: admin(r),
        store: store(r),
        sends: sends(r),
        events: events(r),
        retry: retry(r),
        status: status(r),
        incommunicado: IncommunicadoConfig {
            failures: r.int("incommunicado.failures", 1..=1000),
            window: r.duration("incommunicado.window", S..=24 * H),
        },
        offline: OfflineConfig {
            source: r.choice("offline.source"),
            after: r.duration("offline.after", S..=30 * D),
        },
        bot: bot(r),
        recovery: recovery(r),
        diagnosis: DiagnosisConfig { enabled: r.flag("diagnosis.enabled") },
        healthcheck: healthcheck(r),
        alerts: alerts::alerts(r),
        panel: panel(r),
        log: LogConfig {
            level: r.text("log.level", "a level or a list of target=level", log_level),
            format: r.choice("log.format"),
        },
        extract: extract::rules(r),
        shown: Vec::new(),
    };
    clashes(r, &config);
    config
}

fn waha(r: &mut Reader) -> WahaConfig {
    WahaConfig {
        url: r.url("waha.url", "a URL like http://127.0.0.1:3000", upstream::parse),
        api_key: r.secret("waha.api_key", 1),
        sessions: r.list("waha.sessions", "a list of 1 to 100 session names", 1..=100, name),
        ca_file: r.optional("waha.ca_file", "the path of a PEM file with certificates", readable_file),
    }
}

fn proxy(r: &mut Reader) -> ProxyConfig {
    ProxyConfig {
        listen: r.addr("proxy.listen"),
        workers: NonZeroUsize::new(r.int("proxy.workers", 0..=256)),
        max_connections: r.int("proxy.max_connections", 1..=1_000_000),
        header_timeout: r.duration("proxy.header_timeout", 100 * MS..=10 * M),
        body_timeout: r.duration("proxy.body_timeout", 100 * MS..=10 * M),
        idle_timeout: r.duration("proxy.idle_timeout", 100 * MS..=24 * H),
        connect_timeout: r.duration("proxy.connect_timeout", 10 * MS..=2 * M),
        response_timeout: r.duration("proxy.response_timeout", S..=H),
        upstream_idle_timeout: r.duration("proxy.upstream_idle_timeout", 10 * MS..=10 * M),
        max_body: r.size("proxy.max_body", KIB..=4 * GIB),
        max_head: r.size("proxy.max_head", 8 * KIB..=MIB),
        extra_send_paths: r.list(
            "proxy.extra_send_paths",
            "a list of up to 100 paths that begin with / and have no query",
            0..=100,
            |path| {
                let plain =
                    path.len() > 1 && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
                (path.starts_with('/') && plain).then(|| path.to_owned())
            },
        ),
    }
}

fn admin(r: &mut Reader) -> AdminConfig {
    AdminConfig {
        listen: r.addr("admin.listen"),
        tokens: r.tables("admin.tokens", &["name", "role", "secret", "secret_file"], token),
        allowed_hosts: r.list(
            "admin.allowed_hosts",
            "a list of up to 100 host names without scheme or port",
            0..=100,
            |host| {
                let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
                (plain && !host.is_empty()).then(|| host.to_ascii_lowercase())
            },
        ),
        trusted_header: r.optional("admin.trusted_header", "the name of a header", |header| {
            header_name(header)
                .ok_or_else(|| "must be the name of a header that nothing else uses".to_owned())
        }),
        trusted_proxies: addresses(r, "admin.trusted_proxies"),
        trusted_role: r.choice("admin.trusted_role"),
        trusted_operators: r.list("admin.trusted_operators", "a list of up to 100 names", 0..=100, name),
    }
}

fn addresses(r: &mut Reader, key: &str) -> Vec<IpAddr> {
    let allowed = "a list of up to 100 addresses like 127.0.0.1";
    let texts = r.list(key, allowed, 0..=100, |text| {
        text.parse().ok().map(|address: IpAddr| address.to_canonical().to_string())
    });
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// A header that means nothing else, in lower case.
fn header_name(text: &str) -> Option<String> {
    const TAKEN: [&str; 6] = ["authorization", "cookie", "host", "origin", "x-csrf-token", "x-forwarded-for"];
    let name = text.to_ascii_lowercase();
    let plain =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (plain && !TAKEN.contains(&name.as_str())).then_some(name)
}

fn token(row: &mut Row<'_>) -> Option<AdminToken> {
    let allowed = format!("a text of 1 to {NAME_CHARS_MAX} characters");
    // All three, so that each reports its own faults.
    let name = row.text("name", &allowed, |text| name(text).ok_or_else(|| format!("must be {allowed}")));
    let (role, secret) = (row.choice("role"), row.secret("secret", TOKEN_CHARS_MIN));
    Some(AdminToken { name: name?, role: role?, secret: secret? })
}

fn store(r: &mut Reader) -> StoreConfig {
    StoreConfig {
        path: r.text("store.path", "the path of a file", |path| match path {
            "" => Err("must be the path of a file".to_owned()),
            path if path.ends_with('/') => Err("must be the path of a file, not of a directory".to_owned()),
            path => Ok(PathBuf::from(path)),
        }),
        intent: r.choice("store.intent"),
        commit_wait: r.duration("store.commit_wait", MS..=10 * S),
        cache: r.size("store.cache", 64 * KIB..=4 * GIB),
        max_size: r.size("store.max_size", MIB..=TIB),
        resolved_for: r.duration("store.resolved_for", S..=3650 * D),
        sends_for: r.duration("store.sends_for", S..=3650 * D),
    }
}

fn sends(r: &mut Reader) -> SendsConfig {
    SendsConfig {
        window: r.duration("sends.window", S..=24 * H),
        copy_max: r.size("sends.copy_max", 0..=64 * MIB),
        copy_budget: r.size("sends.copy_budget", 0..=4 * GIB),
        live_max: r.int("sends.live_max", 100..=10_000_000),
        confirm_within: r.duration("sends.confirm_within", M..=24 * H),
    }
}

fn events(r: &mut Reader) -> EventsConfig {
    EventsConfig {
        mode: r.choice("events.mode"),
        webhook_secret: r.secret("events.webhook_secret", TOKEN_CHARS_MIN),
    }
}

fn retry(r: &mut Reader) -> RetryConfig {
    RetryConfig {
        mode: r.choice("retry.mode"),
        attempts: r.int("retry.attempts", 1..=20),
        give_up_after: r.duration("retry.give_up_after", 100 * MS..=24 * H),
        backoff: r.duration("retry.backoff", MS..=10 * M),
        factor: r.float("retry.factor", 1.0..=10.0),
        jitter: r.float("retry.jitter", 0.0..=1.0),
        budget: r.duration("retry.budget", 100 * MS..=10 * M),
        ambiguous: r.choice("retry.ambiguous"),
    }
}

fn recovery(r: &mut Reader) -> RecoveryConfig {
    RecoveryConfig {
        enabled: r.flag("recovery.enabled"),
        max_age: r.duration("recovery.max_age", S..=30 * D),
        pace: r.int("recovery.pace", 1..=600),
        max_age_for: ages(r),
    }
}

fn ages(r: &mut Reader) -> Vec<(&'static str, Duration)> {
    let types = OrderType::ALL.map(OrderType::as_str);
    let age = |word: &'static str| {
        let key = format!("recovery.max_age_for.{word}");
        Some((word, r.optional_duration(&key, S..=30 * D)?))
    };
    types.into_iter().filter_map(age).collect()
}

fn healthcheck(r: &mut Reader) -> HealthcheckConfig {
    HealthcheckConfig {
        enabled: r.flag("healthcheck.enabled"),
        interval: r.duration("healthcheck.interval", S..=24 * H),
        timeout: r.duration("healthcheck.timeout", 100 * MS..=10 * M),
        failure_threshold: r.int("healthcheck.failure_threshold", 1..=100),
    }
}

fn status(r: &mut Reader) -> StatusConfig {
    StatusConfig {
        window: r.duration("status.window", 60 * S..=H),
        min_sends: r.int("status.min_sends", 1..=100_000),
        success_rate: r.float("status.success_rate", 0.0..=1.0),
        latency_p95: r.duration("status.latency_p95", 10 * MS..=10 * M),
        unacked_degraded: r.duration("status.unacked_degraded", S..=H),
        unacked_critical: r.duration("status.unacked_critical", S..=H),
        recover_after: r.duration("status.recover_after", Duration::ZERO..=24 * H),
    }
}

fn bot(r: &mut Reader) -> BotConfig {
    BotConfig {
        health_url: r
            .hidden_url("bot.health_url", "an http or https URL", |url| people_url(url).map(str::to_owned)),
        restart_url: r.optional_url("bot.restart_url", "an http or https URL", |url| {
            people_url(url).map(str::to_owned)
        }),
        restart_secret: r.secret("bot.restart_secret", TOKEN_CHARS_MIN),
    }
}

fn panel(r: &mut Reader) -> PanelConfig {
    let order_allowed = "an http or https URL with {order_id} or {order_number}";
    PanelConfig {
        public_url: r.optional_url("panel.public_url", "an http or https URL", |url| {
            people_url(url).map(|url| url.trim_end_matches('/').to_owned())
        }),
        order_url: r.optional_url("panel.order_url", order_allowed, |url| {
            let filled = url.replace("{order_id}", "1").replace("{order_number}", "1");
            if filled == url || filled.contains(['{', '}']) {
                return Err(format!("must be {order_allowed}, and no other braces"));
            }
            people_url(&filled).map(|_| url.to_owned())
        }),
        snapshot_file: r.optional("panel.snapshot_file", "the path of a file that ends in .html", |path| {
            let path = PathBuf::from(path);
            let named = path.extension().is_some_and(|kind| kind == "html") && path.file_stem().is_some();
            named.then_some(path).ok_or_else(|| "must be the path of a file that ends in .html".to_owned())
        }),
    }
}

/// What must fit together across keys.
fn clashes(r: &mut Reader, config: &Config) {
    let Config { waha, proxy, admin, sends, events, retry, .. } = config;
    if same_socket(proxy.listen, admin.listen) {
        r.clash(&["admin.listen", "proxy.listen"], |others| {
            format!("clashes with {}: the two listeners need different ports", others.join(", "))
        });
    }
    for (key, listener) in [("proxy.listen", proxy.listen), ("admin.listen", admin.listen)] {
        if waha.url.reaches(listener) {
            r.clash(&["waha.url", key], |others| {
                format!("leads back to our own {}: must be the address of WAHA itself", others.join(", "))
            });
        }
    }
    if admin.tokens.is_empty() && !admin.listen.ip().to_canonical().is_loopback() {
        r.clash(&["admin.listen", "admin.tokens"], |_| {
            "must be a loopback address (127.0.0.1 or [::1]) while there are no admin.tokens".to_owned()
        });
    }
    if admin.trusted_header.is_some() && admin.trusted_proxies.is_empty() {
        r.clash(&["admin.trusted_header", "admin.trusted_proxies"], |_| {
            "needs admin.trusted_proxies: anybody could send it".to_owned()
        });
    }
    if admin.trusted_header.is_some() && admin.tokens.is_empty() {
        r.clash(&["admin.trusted_header", "admin.tokens"], |_| {
            "needs admin.tokens: without one, whoever reaches the listener past the proxy may do everything"
                .to_owned()
        });
    }
    if admin.trusted_role == Role::Bot {
        r.clash(&["admin.trusted_role"], |_| "must be viewer or operator: people are no bots".to_owned());
    }
    for (what, same) in [("name", same_name as fn(&AdminToken, &AdminToken) -> bool), ("secret", same_secret)]
    {
        let pairs = |(index, token): (usize, &AdminToken)| {
            admin.tokens[..index]
                .iter()
                .position(|earlier| same(earlier, token))
                .map(|earlier| (earlier, index))
        };
        if let Some((earlier, index)) = admin.tokens.iter().enumerate().find_map(pairs) {
            r.clash(&["admin.tokens"], |_| {
                format!("must have different {what}s: those of [{earlier}] and [{index}] are the same")
            });
        }
    }
    if retry.give_up_after > sends.window {
        r.clash(&["retry.give_up_after", "sends.window"], |others| {
            format!(
                "must not be longer than {}: the send would be forgotten before it is given up",
                others.join(", ")
            )
        });
    }
    if events.mode == EventsMode::Webhook && events.webhook_secret.is_none() {
        r.clash(&["events.mode", "events.webhook_secret", "events.webhook_secret_file"], |_| {
            "needs events.webhook_secret or events.webhook_secret_file: anybody could deliver".to_owned()
        });
    }
    if config.offline.source == LivenessSource::Probe && config.bot.health_url.is_none() {
        r.clash(&["offline.source", "bot.health_url"], |_| {
            "needs bot.health_url: where else should the bot be asked whether it lives?".to_owned()
        });
    }
    // A limit nobody wrote does not clash with a smaller one that somebody did: the smaller one simply decides.
    let written = r.is_written("sends.copy_max");
    if written && sends.copy_max > proxy.max_body {
        r.clash(&["sends.copy_max", "proxy.max_body"], |others| {
            format!("must not be larger than {}: no such body ever passes", others.join(", "))
        });
    }
    if written && sends.copy_max > sends.copy_budget {
        r.clash(&["sends.copy_max", "sends.copy_budget"], |others| {
            format!("must not be larger than {}: there would be no room for one such body", others.join(", "))
        });
    }
}

/// Whether the second could not be bound beside the first.
fn same_socket(a: SocketAddr, b: SocketAddr) -> bool {
    let all = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (all || a.ip().to_canonical() == b.ip().to_canonical())
}

fn same_name(a: &AdminToken, b: &AdminToken) -> bool {
    a.name == b.name
}

fn same_secret(a: &AdminToken, b: &AdminToken) -> bool {
    a.secret.expose() == b.secret.expose()
}

/// A name that can stand in a label and on a line.
fn name(text: &str) -> Option<String> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count());
    (fits && text.trim() == text && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A filter directive takes any word for the name of a target, so that "inof" would silently log next to nothing:
/// a part on its own must be a level.
fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: &str = "off, error, warn, info, debug or trace";
    if text.trim().is_empty() {
        return Err(format!("must be {LEVELS}"));
    }
    for part in text.split(',').map(str::trim) {
        if !part.contains(['=', '[', ']']) && part.parse::<LevelFilter>().is_err() {
            return Err(format!("must be {LEVELS}, or a list like \"info,waha_watchdog::proxy=debug\""));
        }
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(format!("must be a list like \"info,waha_watchdog::proxy=debug\": {e}")),
    }
}

/// A link people follow: http or https, a host, no user or password.
pub(super) fn people_url(text: &str) -> Result<&str, String> {
    let wrong = || "must be an http or https URL, without user or password".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if web && host && plain { Ok(text) } else { Err(wrong()) }
}
