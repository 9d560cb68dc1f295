//! `[paging]` and `[alerts]`: who pages, the channels, what each carries, and what must fit together.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

use super::check::people_url;
use super::read::{Reader, readable_file};
use super::secret::Secret;
use super::settings::{HeartbeatMethod, MailSecurity, PagingOwner};
use crate::domain::delivery::Topic;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const H: Duration = Duration::from_secs(60 * 60);

/// A key that can be guessed is none.
const KEY_CHARS_MIN: usize = 16;

/// `[alerts]`
#[derive(Debug, Clone)]
pub struct AlertsConfig {
    /// `paging.owner`: who owns the pager.
    pub owner: PagingOwner,
    /// The admin's number, digits only.
    pub admin_phone: Option<String>,
    /// How long a message about single orders waits for more.
    pub gather_for: Duration,
    /// How long after one before the next.
    pub every: Duration,
    /// How long between two messages about a channel that stays dead.
    pub remind_every: Duration,
    /// What goes to `admin_phone`.
    pub whatsapp_events: Vec<Topic>,
    /// E-mail, where it is configured; so it is with the others.
    pub email: Option<EmailConfig>,
    /// Short messages.
    pub sms: Option<SmsConfig>,
    /// A webhook of the shop's.
    pub webhook: Option<WebhookConfig>,
    /// The pager. There only where we own it.
    pub pagerduty: Option<PagerdutyConfig>,
    /// Alertmanager. Acted on only where the owner is push; else it is looked at by drills alone.
    pub alertmanager: Option<AlertmanagerConfig>,
    /// A file.
    pub log_file: Option<LogFileConfig>,
    /// A dead man's switch.
    pub heartbeat: Option<HeartbeatConfig>,
}

/// `[alerts.email]`
#[derive(Debug, Clone)]
pub struct EmailConfig {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others' eyes.
    pub security: MailSecurity,
    /// Name and password, where it wants them.
    pub login: Option<(String, Secret)>,
    /// Further authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients; never empty.
    pub to: Vec<Mailbox>,
    /// What it carries.
    pub events: Vec<Topic>,
}

/// `[alerts.sms]`
#[derive(Debug, Clone)]
pub struct SmsConfig {
    /// The service, without a trailing slash.
    pub url: String,
    /// The account.
    pub account: String,
    /// Its secret.
    pub token: Secret,
    /// The sender.
    pub from: String,
    /// The recipients; never empty.
    pub to: Vec<String>,
    /// What it carries.
    pub events: Vec<Topic>,
}

/// `[alerts.webhook]`
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Where it goes.
    pub url: Secret,
    /// What signs it.
    pub secret: Secret,
    /// What it carries.
    pub events: Vec<Topic>,
}

/// `[alerts.pagerduty]`
#[derive(Debug, Clone)]
pub struct PagerdutyConfig {
    /// The Events API.
    pub url: String,
    /// The service's key.
    pub routing_key: Secret,
    /// What it carries.
    pub events: Vec<Topic>,
}

/// `[alerts.alertmanager]`
#[derive(Debug, Clone)]
pub struct AlertmanagerConfig {
    /// All of its addresses, without a trailing slash.
    pub urls: Vec<String>,
    /// Labels beside our own.
    pub labels: Vec<(String, String)>,
    /// How long an alert stands after its end.
    pub keep_firing_for: Duration,
}

/// `[alerts.log_file]`
#[derive(Debug, Clone)]
pub struct LogFileConfig {
    /// The file.
    pub path: PathBuf,
    /// What it carries.
    pub events: Vec<Topic>,
}

/// `[alerts.heartbeat]`
#[derive(Debug, Clone)]
pub struct HeartbeatConfig {
    /// Where it goes: whoever knows it can pretend that we live.
    pub url: Secret,
    /// How.
    pub method: HeartbeatMethod,
    /// How often.
    pub interval: Duration,
}

pub(super) fn alerts(r: &mut Reader) -> AlertsConfig {
    let owner = r.choice("paging.owner");
    let digits = "digits, a + in front if wanted, or empty";
    AlertsConfig {
        owner,
        admin_phone: r.optional("alerts.admin_phone", digits, |phone| {
            let bare = phone.strip_prefix('+').unwrap_or(phone);
            let sound = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
            if sound {
                Ok(bare.to_owned())
            } else {
                Err("must be digits, with a + in front if wanted".to_owned())
            }
        }),
        gather_for: r.duration("alerts.gather_for", 100 * MS..=H),
        every: r.duration("alerts.every", 100 * MS..=24 * H),
        remind_every: r.duration("alerts.remind_every", 100 * MS..=24 * H),
        whatsapp_events: events(r, "alerts.whatsapp.events"),
        email: email(r),
        sms: sms(r),
        webhook: webhook(r),
        pagerduty: pagerduty(r, owner),
        alertmanager: alertmanager(r, owner),
        log_file: log_file(r),
        heartbeat: heartbeat(r),
    }
}

fn events(r: &mut Reader, key: &str) -> Vec<Topic> {
    let words = Topic::ALL.map(Topic::as_str).join(", ");
    let allowed = format!("a list of one or more of {words}");
    let listed = r.list(key, &allowed, 1..=Topic::ALL.len(), |word| Topic::of(word).map(|_| word.to_owned()));
    listed.iter().filter_map(|word| Topic::of(word)).collect()
}

fn email(r: &mut Reader) -> Option<EmailConfig> {
    let host = r.optional("alerts.email.host", "a name or an address of a mail server", |host| {
        let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
        if plain {
            Ok(host.to_owned())
        } else {
            Err("must be a name or an address, without a port".to_owned())
        }
    });
    let port: u16 = r.int("alerts.email.port", 0..=65535);
    let security: MailSecurity = r.choice("alerts.email.security");
    let user = r.optional("alerts.email.user", "a text", |user| Ok(user.to_owned()));
    let password = r.secret("alerts.email.password", 1);
    let ca_file =
        r.optional("alerts.email.ca_file", "the path of a PEM file with certificates", readable_file);
    let address = "an address like bot@example.com or Bot <bot@example.com>";
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|_| format!("must be {address}"));
    let from = r.optional("alerts.email.from", address, mailbox);
    let to = r.list("alerts.email.to", "a list of up to 20 addresses", 0..=20, |text| {
        text.parse::<Mailbox>().ok().map(|_| text.to_owned())
    });
    let to: Vec<Mailbox> = to.iter().filter_map(|text| text.parse().ok()).collect();
    let events = events(r, "alerts.email.events");
    needs(
        r,
        ("alerts.email.host", host.is_some()),
        &[("alerts.email.from", from.is_some()), ("alerts.email.to", !to.is_empty())],
    );
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (user, _) => {
            let (there, missing) = if user.is_some() { ("user", "password") } else { ("password", "user") };
            let keys = [format!("alerts.email.{there}"), format!("alerts.email.{missing}")];
            r.clash(&[&keys[0], &keys[1], "alerts.email.password_file"], |_| {
                format!("needs alerts.email.{missing} as well")
            });
            None
        }
    };
    let near = host.as_deref().is_none_or(|host| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    });
    if login.is_some() && security == MailSecurity::None && !near {
        r.clash(&["alerts.email.security", "alerts.email.user"], |_| {
            "would send the password in the clear: use \"tls\" or \"starttls\"".to_owned()
        });
    }
    let port = match (port, security) {
        (0, MailSecurity::Tls) => 465,
        (0, MailSecurity::Starttls) => 587,
        (0, MailSecurity::None) => 25,
        (port, _) => port,
    };
    Some(EmailConfig { host: host?, port, security, login, ca_file, from: from?, to, events })
}

fn sms(r: &mut Reader) -> Option<SmsConfig> {
    let url = r.url("alerts.sms.url", "an http or https URL", |url| {
        people_url(url).map(|url| url.trim_end_matches('/').to_owned())
    });
    let account = r.optional("alerts.sms.account", "letters and digits", |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain { Ok(text.to_owned()) } else { Err("must be letters and digits".to_owned()) }
    });
    let token = r.secret("alerts.sms.token", 1);
    let from = r.optional("alerts.sms.from", "a number like +15550001111, or a sender's name", |text| {
        let sound = text.len() <= 64 && text.chars().all(|c| c.is_alphanumeric() || "+ -_".contains(c));
        if sound { Ok(text.to_owned()) } else { Err("must be a number or a sender's name".to_owned()) }
    });
    let to = r.list("alerts.sms.to", "a list of up to 20 numbers like +15550001111", 0..=20, |text| {
        let digits = text.strip_prefix('+')?;
        let sound = (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        sound.then(|| text.to_owned())
    });
    let events = events(r, "alerts.sms.events");
    needs(
        r,
        ("alerts.sms.account", account.is_some()),
        &[
            ("alerts.sms.token", token.is_some()),
            ("alerts.sms.from", from.is_some()),
            ("alerts.sms.to", !to.is_empty()),
        ],
    );
    Some(SmsConfig { url, account: account?, token: token?, from: from?, to, events })
}

fn webhook(r: &mut Reader) -> Option<WebhookConfig> {
    let url =
        r.hidden_url("alerts.webhook.url", "an http or https URL", |url| people_url(url).map(Secret::new));
    let secret = r.secret("alerts.webhook.secret", KEY_CHARS_MIN);
    let events = events(r, "alerts.webhook.events");
    needs(r, ("alerts.webhook.url", url.is_some()), &[("alerts.webhook.secret", secret.is_some())]);
    Some(WebhookConfig { url: url?, secret: secret?, events })
}

fn pagerduty(r: &mut Reader, owner: PagingOwner) -> Option<PagerdutyConfig> {
    let routing_key = r.secret("alerts.pagerduty.routing_key", KEY_CHARS_MIN);
    let url = r.url("alerts.pagerduty.url", "an http or https URL", |url| people_url(url).map(str::to_owned));
    let events = events(r, "alerts.pagerduty.events");
    let keys = ["paging.owner", "alerts.pagerduty.routing_key", "alerts.pagerduty.routing_key_file"];
    match (owner, &routing_key) {
        (PagingOwner::Direct, None) => r.clash(&keys, |_| {
            "needs alerts.pagerduty.routing_key or alerts.pagerduty.routing_key_file: nobody would be paged"
                .to_owned()
        }),
        (PagingOwner::Alertmanager | PagingOwner::Push, Some(_)) => r.clash(&keys, |_| {
            "says that Alertmanager pages, and alerts.pagerduty.routing_key would page a second time: set paging.owner = \"direct\", or take the key away".to_owned()
        }),
        _ => {}
    }
    Some(PagerdutyConfig { url, routing_key: routing_key?, events })
}

fn alertmanager(r: &mut Reader, owner: PagingOwner) -> Option<AlertmanagerConfig> {
    let urls = r.list("alerts.alertmanager.urls", "a list of up to 10 http or https URLs", 0..=10, |url| {
        people_url(url).ok().map(|url| url.trim_end_matches('/').to_owned())
    });
    let labels =
        r.list("alerts.alertmanager.labels", "a list of up to 20 texts like name=value", 0..=20, |text| {
            label(text).map(|_| text.to_owned())
        });
    let keep_firing_for = r.duration("alerts.alertmanager.keep_firing_for", Duration::ZERO..=H);
    if owner == PagingOwner::Push && urls.is_empty() {
        r.clash(&["paging.owner", "alerts.alertmanager.urls"], |_| {
            "needs alerts.alertmanager.urls: there is nowhere to push to".to_owned()
        });
    }
    let labels = labels.iter().filter_map(|text| label(text)).collect();
    (!urls.is_empty()).then_some(AlertmanagerConfig { urls, labels, keep_firing_for })
}

/// `name=value`, a name that Prometheus takes and that is not ours to set.
fn label(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let plain = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    let ours = ["alertname", "session", "severity"].contains(&name);
    (plain && !ours && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

fn log_file(r: &mut Reader) -> Option<LogFileConfig> {
    let path = r.optional("alerts.log_file.path", "the path of a file", |path| {
        if path.ends_with('/') {
            return Err("must be the path of a file, not of a directory".to_owned());
        }
        Ok(PathBuf::from(path))
    });
    let events = events(r, "alerts.log_file.events");
    Some(LogFileConfig { path: path?, events })
}

fn heartbeat(r: &mut Reader) -> Option<HeartbeatConfig> {
    let url =
        r.hidden_url("alerts.heartbeat.url", "an http or https URL", |url| people_url(url).map(Secret::new));
    let method = r.choice("alerts.heartbeat.method");
    let interval = r.duration("alerts.heartbeat.interval", S..=H);
    Some(HeartbeatConfig { url: url?, method, interval })
}

/// Where the first key is set, the others must be too; where it is not, they are not for anything.
fn needs(r: &mut Reader, (first, is_set): (&str, bool), others: &[(&str, bool)]) {
    for (key, there) in others {
        if is_set && !there {
            r.clash(&[first, key], |_| format!("needs {key} as well"));
        } else if !is_set && *there {
            r.clash(&[key, first], |_| format!("is for nothing without {first}"));
        }
    }
}

#[cfg(test)]
mod tests;
