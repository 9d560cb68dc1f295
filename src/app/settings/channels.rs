//! The alert channels in their rooms' own words: what the heart routes by, what tells, and whether all of it hangs on WAHA.

use anyhow::Context as _;

use super::language;
use crate::channels::{
    AlertmanagerSettings, Channels, EmailSettings, HeartbeatSettings, LogFileSettings, MailSecurity,
    PagerdutySettings, Settings, SmsSettings, WebhookSettings,
};
use crate::clock::Clock;
use crate::config::{self, Config, HeartbeatMethod, PagingOwner};
use crate::domain::delivery::{Channel, Route, Topic};
use crate::words::Links;

/// The channels there are, and what each takes.
pub(super) fn routes(config: &Config) -> Vec<Route> {
    let alerts = &config.alerts;
    let direct = alerts.owner == PagingOwner::Direct;
    let there = [
        (Channel::Whatsapp, alerts.admin_phone.as_ref().map(|_| &alerts.whatsapp_events)),
        (Channel::Email, alerts.email.as_ref().map(|one| &one.events)),
        (Channel::Sms, alerts.sms.as_ref().map(|one| &one.events)),
        (Channel::Webhook, alerts.webhook.as_ref().map(|one| &one.events)),
        (Channel::Pagerduty, alerts.pagerduty.as_ref().filter(|_| direct).map(|one| &one.events)),
        (Channel::LogFile, alerts.log_file.as_ref().map(|one| &one.events)),
    ];
    let route =
        |(channel, takes): (Channel, Option<&Vec<Topic>>)| Some(Route { channel, takes: takes?.clone() });
    there.into_iter().filter_map(route).collect()
}

/// Links into the panel.
pub(super) fn links(config: &Config) -> Links {
    Links::new(config.panel.public_url.clone())
}

/// What tells.
///
/// # Errors
/// Where a file cannot be read, or no client be made.
pub fn channels(config: &Config, clock: &Clock) -> anyhow::Result<Channels> {
    let alerts = &config.alerts;
    let secret = |secret: &config::Secret| secret.expose().to_owned();
    let email = alerts.email.as_ref().map(|email| {
        let ca = email.ca_file.as_ref().map(std::fs::read).transpose();
        Ok::<_, anyhow::Error>(EmailSettings {
            host: email.host.clone(),
            port: email.port,
            security: match email.security {
                config::MailSecurity::Tls => MailSecurity::Tls,
                config::MailSecurity::Starttls => MailSecurity::Starttls,
                config::MailSecurity::None => MailSecurity::None,
            },
            login: email.login.as_ref().map(|(user, password)| (user.clone(), secret(password))),
            ca: ca.context("failed to read alerts.email.ca_file")?,
            from: email.from.clone(),
            to: email.to.clone(),
        })
    });
    let push = alerts.owner == PagingOwner::Push;
    let settings = Settings {
        language: language(config),
        links: links(config),
        email: email.transpose()?,
        sms: alerts.sms.as_ref().map(|sms| SmsSettings {
            url: sms.url.clone(),
            account: sms.account.clone(),
            token: secret(&sms.token),
            from: sms.from.clone(),
            to: sms.to.clone(),
        }),
        webhook: (alerts.webhook.as_ref())
            .map(|hook| WebhookSettings { url: secret(&hook.url), secret: secret(&hook.secret) }),
        pagerduty: (alerts.pagerduty.as_ref()).map(|pager| PagerdutySettings {
            url: pager.url.clone(),
            routing_key: secret(&pager.routing_key),
        }),
        log_file: alerts.log_file.as_ref().map(|file| LogFileSettings { path: file.path.clone() }),
        alertmanager: alerts.alertmanager.as_ref().filter(|_| push).map(|manager| AlertmanagerSettings {
            urls: manager.urls.clone(),
            labels: manager.labels.clone(),
            keep_firing_for: manager.keep_firing_for,
        }),
        heartbeat: alerts.heartbeat.as_ref().map(|beat| HeartbeatSettings {
            url: secret(&beat.url),
            post: beat.method == HeartbeatMethod::Post,
            interval: beat.interval,
        }),
    };
    Ok(Channels::new(settings, clock)?)
}

/// Does the news of a dead channel reach somebody without that channel? If not, why not, and what to do.
pub fn shared_fate(config: &Config) -> Option<&'static str> {
    let routes = routes(config);
    let mut urgent = routes
        .iter()
        .filter(|route| route.channel.calls_somebody() && route.takes.contains(&Topic::TotalLoss));
    if config.alerts.owner == PagingOwner::Push || urgent.any(|route| route.channel != Channel::Whatsapp) {
        return None;
    }
    let over_whatsapp = routes
        .iter()
        .any(|route| route.channel == Channel::Whatsapp && route.takes.contains(&Topic::TotalLoss));
    Some(if over_whatsapp {
        "every urgent alert of ours goes through WAHA itself, and dies with what it would report: set up alerts.email, alerts.sms, alerts.webhook or a pager, unless Prometheus' rules page somebody"
    } else {
        "no channel of ours calls anybody when the bot is cut off: set up alerts.email, alerts.sms, alerts.webhook or a pager, unless Prometheus' rules page somebody"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Config {
        let named = |(key, value): &(&str, &str)| {
            let key = key.to_uppercase().replace('.', "__");
            (format!("WAHA_WATCHDOG__{key}"), (*value).to_owned())
        };
        let variables: Vec<_> = variables.iter().map(named).collect();
        config::load(None, &variables).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    #[test]
    fn the_documented_events_are_the_usual_ones() {
        let config = of(&[
            ("paging.owner", "direct"),
            ("alerts.admin_phone", "584240009999"),
            ("alerts.email.host", "mail.example.com"),
            ("alerts.email.from", "bot@example.com"),
            ("alerts.email.to", "ana@example.com"),
            ("alerts.sms.account", "AC1"),
            ("alerts.sms.token", "secret"),
            ("alerts.sms.from", "+15550001111"),
            ("alerts.sms.to", "+15550002222"),
            ("alerts.webhook.url", "https://hooks.example.com/x"),
            ("alerts.webhook.secret", "0123456789abcdef"),
            ("alerts.pagerduty.routing_key", "0123456789abcdef0123456789abcdef"),
            ("alerts.log_file.path", "failures.log"),
        ]);
        assert_eq!(routes(&config), Channel::ALL.map(Route::usual));
        assert_eq!(shared_fate(&config), None);
    }

    #[test]
    fn a_channel_that_dies_with_its_news_is_told_of() {
        let why = |variables: &[(&str, &str)]| shared_fate(&of(variables)).unwrap_or_default();
        assert!(why(&[]).starts_with("no channel of ours"));
        let phone = ("alerts.admin_phone", "584240009999");
        assert!(why(&[phone]).starts_with("every urgent alert"));
        let file = ("alerts.log_file.path", "failures.log");
        assert!(why(&[phone, file]).starts_with("every urgent alert"), "a file calls nobody");
        let mail = [
            ("alerts.email.host", "mail.example.com"),
            ("alerts.email.from", "bot@example.com"),
            ("alerts.email.to", "ana@example.com"),
        ];
        assert_eq!(why(&[mail[0], mail[1], mail[2], phone]), "");
        let preventive = ("alerts.email.events", "preventive");
        assert!(why(&[mail[0], mail[1], mail[2], preventive]).starts_with("no channel of ours"));
        let push = [("paging.owner", "push"), ("alerts.alertmanager.urls", "http://127.0.0.1:9093")];
        assert_eq!(why(&[phone, push[0], push[1]]), "");
    }
}
