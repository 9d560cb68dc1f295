//! The configuration in each room's own words, so that no room below knows the configuration.

mod channels;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

pub use self::channels::{channels as channels_of, shared_fate};
use crate::admin::{Access, RestartHook, Token, TokenRole, Trusted};
use crate::clock::Clock;
use crate::config::{
    Ambiguous, Config, EventsMode, IntentMode, LivenessSource, Locale, PagingOwner, RetryMode, Role,
};
use crate::domain::backoff::Backoff;
use crate::domain::decide::{AlertPolicy, Liveness, Policy, Retries};
use crate::domain::delivery::Steady;
use crate::domain::extract::{Rule, Rules};
use crate::domain::id::ChatId;
use crate::domain::live::LivePolicy;
use crate::domain::order::NotificationType;
use crate::domain::probe::ProbePolicy;
use crate::domain::recovery::{Ambiguity, MaxAge, RecoveryPolicy};
use crate::domain::retention::RetentionPolicy;
use crate::domain::status::StatusPolicy;
use crate::errands::{BotHealth, Limits, Setup};
use crate::events::SocketSettings;
use crate::events::webhook::Hook;
use crate::panel;
use crate::proxy::{Intents, Retry, Settings, Upstream};
use crate::store::StoreSettings;
use crate::waha::client::WahaClient;
use crate::words::Language;

/// The proxy's settings.
pub(super) fn proxy(config: &Config) -> anyhow::Result<Settings> {
    let url = &config.waha.url;
    let upstream =
        Upstream::new(&url.host, url.port, &url.authority(), url.tls, config.waha.ca_file.as_deref())
            .context("failed to prepare the upstream")?;
    let retry = &config.retry;
    let backoff =
        Backoff { first: retry.backoff, factor: retry.factor, jitter: retry.jitter, longest: retry.budget };
    let rules = config.extract.iter().map(|rule| {
        let kind = NotificationType::parse(&rule.notification_type.to_string()).unwrap_or_default();
        Rule { kind, pattern: rule.pattern.clone(), when: rule.when.clone() }
    });
    let proxy = &config.proxy;
    Ok(Settings {
        upstream: Arc::new(upstream),
        connections_max: proxy.max_connections,
        header_timeout: proxy.header_timeout,
        body_timeout: proxy.body_timeout,
        idle_timeout: proxy.idle_timeout,
        connect_timeout: proxy.connect_timeout,
        response_timeout: proxy.response_timeout,
        upstream_idle_timeout: proxy.upstream_idle_timeout,
        body_max: proxy.max_body,
        head_max: bytes(proxy.max_head),
        extra_send_paths: proxy.extra_send_paths.clone(),
        copy_max: bytes(config.sends.copy_max),
        copy_budget: bytes(config.sends.copy_budget),
        intent: match config.store.intent {
            IntentMode::Order => Intents::Order,
            IntentMode::Always => Intents::Always,
            IntentMode::Never => Intents::Never,
        },
        retry: (retry.mode == RetryMode::Proxy).then_some(Retry {
            attempts: retry.attempts,
            budget: retry.budget,
            backoff,
        }),
        rules: Rules::new(rules),
    })
}

/// While something is wrong, sessions are probed this often (SPEC 6).
const PROBE_FAILING_EVERY: Duration = Duration::from_secs(15);

/// The heart's numbers.
pub fn policy(config: &Config) -> Policy {
    let (status, retry) = (&config.status, &config.retry);
    Policy {
        attempts: config.retry.attempts,
        give_up_after: config.retry.give_up_after,
        retries: match config.retry.mode {
            RetryMode::Observe => Retries::ByBot,
            RetryMode::Proxy => Retries::ByProxy,
        },
        unheard_for: config.sends.window,
        status: StatusPolicy {
            window: status.window,
            min_sends: status.min_sends,
            success_rate: status.success_rate,
            latency_p95: status.latency_p95,
            recover_after: status.recover_after,
            incommunicado_failures: config.incommunicado.failures,
            incommunicado_window: config.incommunicado.window,
            offline_after: config.offline.after,
            unacked_degraded: status.unacked_degraded,
            unacked_critical: status.unacked_critical,
        },
        probe: ProbePolicy {
            enabled: config.healthcheck.enabled,
            interval: config.healthcheck.interval,
            interval_failing: PROBE_FAILING_EVERY,
            failure_threshold: config.healthcheck.failure_threshold,
        },
        admin: config.alerts.admin_phone.as_deref().and_then(ChatId::new),
        confirm_within: config.sends.confirm_within,
        diagnose: config.diagnosis.enabled,
        recovery: RecoveryPolicy {
            enabled: config.recovery.enabled,
            interval: Duration::from_secs(60) / config.recovery.pace.max(1),
            max_age: max_age(config),
            ambiguous: match retry.ambiguous {
                Ambiguous::Hold => Ambiguity::Hold,
                Ambiguous::Resend => Ambiguity::Resend,
            },
        },
        liveness: match config.offline.source {
            LivenessSource::Traffic => Liveness::Traffic,
            LivenessSource::Heartbeat => Liveness::Heartbeat,
            LivenessSource::Probe => Liveness::Probe,
        },
        alerts: AlertPolicy {
            routes: channels::routes(config),
            gather_for: config.alerts.gather_for,
            every: config.alerts.every,
            remind_every: config.alerts.remind_every,
        },
    }
}

fn max_age(config: &Config) -> MaxAge {
    let ages = config.recovery.max_age_for.iter();
    let ages = ages.filter_map(|(word, age)| Some((NotificationType::parse(word)?, *age)));
    ages.fold(MaxAge::all(config.recovery.max_age), |all, (kind, age)| all.but(kind, age))
}

/// WAHA's event feed, where it is followed by us.
pub(super) fn follow(config: &Config) -> anyhow::Result<Option<SocketSettings>> {
    if config.events.mode != EventsMode::Websocket {
        return Ok(None);
    }
    let (url, key) = (&config.waha.url, config.waha.api_key.as_ref());
    let (authority, ca, key) = (url.authority(), config.waha.ca_file.as_deref(), key.map(|key| key.expose()));
    let settings = SocketSettings::new(&url.host, url.port, &authority, url.tls, ca, key);
    settings.map(Some).context("failed to prepare the event feed")
}

/// The receiver of WAHA's webhooks, where it delivers them.
pub(super) fn hook(config: &Config) -> Option<Hook> {
    let secret =
        config.events.webhook_secret.as_ref().filter(|_| config.events.mode == EventsMode::Webhook)?;
    Some(Hook::new(secret.expose()))
}

/// What the heart's hands work with.
pub(super) fn hands(config: &Config, clock: &Clock) -> anyhow::Result<Setup> {
    let waha = &config.waha;
    let key = waha.api_key.as_ref().map(|key| key.expose().to_owned());
    let ca = waha.ca_file.as_ref().map(std::fs::read).transpose().context("failed to read waha.ca_file")?;
    let client = WahaClient::new(waha.url.to_string(), key, ca.as_deref())
        .context("failed to prepare the client of WAHA")?;
    Ok(Setup {
        client: Arc::new(client),
        bot: bot_health(config)?,
        language: language(config),
        links: channels::links(config),
        channels: Arc::new(channels::channels(config, clock)?),
        limits: Limits {
            probe: config.healthcheck.timeout,
            send: config.proxy.response_timeout,
            ..Limits::default()
        },
    })
}

/// Where the bot is asked whether it lives, if anywhere.
pub fn bot_health(config: &Config) -> anyhow::Result<Option<BotHealth>> {
    let Some(url) = config.bot.health_url.clone() else { return Ok(None) };
    BotHealth::new(url).map(Some).context("failed to prepare bot.health_url")
}

/// Who restarts the bot, if anybody.
pub(super) fn restart_hook(config: &Config) -> anyhow::Result<Option<RestartHook>> {
    let Some(url) = config.bot.restart_url.clone() else { return Ok(None) };
    let secret = config.bot.restart_secret.as_ref().map(|secret| secret.expose());
    RestartHook::new(url, secret).map(Some).context("failed to prepare bot.restart_url")
}

/// The ways out that are told what stands.
pub(super) fn outside_routes(config: &Config) -> Vec<Steady> {
    let push = config.alerts.owner == PagingOwner::Push;
    let manager = push.then_some(Steady::Alertmanager);
    manager.into_iter().chain(config.alerts.heartbeat.as_ref().map(|_| Steady::Heartbeat)).collect()
}

/// How long and how many sends are joined.
pub(super) fn live(config: &Config) -> LivePolicy {
    LivePolicy {
        window: config.sends.window,
        max_age: max_age(config).longest(),
        live_max: config.sends.live_max,
    }
}

/// The store's settings.
pub fn store(config: &Config) -> StoreSettings {
    let store = &config.store;
    StoreSettings {
        path: store.path.clone(),
        commit_wait: store.commit_wait.max(Duration::from_millis(1)),
        cache_bytes: bytes(store.cache),
        retention: RetentionPolicy {
            sends_for: store.sends_for,
            resolved_for: store.resolved_for,
            max_size: store.max_size,
        },
    }
}

/// Who may look.
pub(super) fn access(config: &Config) -> Access {
    let admin = &config.admin;
    let role = |role| match role {
        Role::Viewer => TokenRole::Viewer,
        Role::Operator => TokenRole::Operator,
        Role::Bot => TokenRole::Bot,
    };
    let tokens = admin
        .tokens
        .iter()
        .map(|token| Token::new(token.name.clone(), role(token.role), token.secret.expose()));
    let public = config.panel.public_url.as_deref().and_then(host_of);
    let hosts = admin.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).chain(public);
    let header = admin.trusted_header.as_deref().and_then(|header| header.parse().ok());
    Access {
        tokens: tokens.collect(),
        hosts: hosts.chain([admin.listen.ip().to_string()]).collect(),
        trusted: header.map(|header| Trusted {
            header,
            proxies: admin.trusted_proxies.clone(),
            role: role(admin.trusted_role),
            operators: admin.trusted_operators.clone(),
        }),
        secure: config.panel.public_url.as_deref().is_some_and(|url| url.starts_with("https://")),
    }
}

/// The panel's settings.
pub(super) fn panel(config: &Config) -> panel::Settings {
    panel::Settings {
        order_url: config.panel.order_url.clone(),
        snapshot_file: config.panel.snapshot_file.clone(),
        shown: config.shown.clone(),
    }
}

/// The keys that differ and are read only at the start.
pub(super) fn needing_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let differs = [
        ("proxy.listen", before.proxy.listen != after.proxy.listen),
        ("proxy.workers", before.proxy.workers != after.proxy.workers),
        ("proxy.max_connections", before.proxy.max_connections != after.proxy.max_connections),
        ("admin.listen", before.admin.listen != after.admin.listen),
        ("store.path", before.store.path != after.store.path),
        ("store.commit_wait", before.store.commit_wait != after.store.commit_wait),
        ("store.cache", before.store.cache != after.store.cache),
        ("store.max_size", before.store.max_size != after.store.max_size),
        ("store.resolved_for", before.store.resolved_for != after.store.resolved_for),
        ("store.sends_for", before.store.sends_for != after.store.sends_for),
        ("sends.copy_budget", before.sends.copy_budget != after.sends.copy_budget),
        ("waha.sessions", before.waha.sessions != after.waha.sessions),
        ("events.mode", before.events.mode != after.events.mode),
        ("log.level", before.log.level != after.log.level),
        ("log.format", before.log.format != after.log.format),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// The language of sentences.
pub fn language(config: &Config) -> Language {
    match config.locale {
        Locale::Es => Language::Es,
        Locale::En => Language::En,
        Locale::Pt => Language::Pt,
    }
}

fn host_of(url: &str) -> Option<String> {
    url.parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase)
}

/// Sizes are checked to fit when the configuration is read.
fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
