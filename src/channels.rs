//! The channels that alerts go out by, WhatsApp aside: each tells one alert to one outside address and says how that ended (SPEC 10).
//!
//! - `email`, `sms`, `webhook`, `pagerduty`, `log_file`: one file each. `alertmanager` and `heartbeat` are told what stands, again and again.
//! - `outside`: one exchange over HTTP, judged. `told`: what several recipients came to. `recipients`: who of them has an alert already.
//!
//! When, whether and how often is the heart's; what an alert says is `words`. Names and phones of customers go into e-mail alone; no secret,
//! address or text is logged.

mod alertmanager;
mod email;
mod gsm;
mod heartbeat;
mod log_file;
mod outside;
mod pagerduty;
mod recipients;
mod signature;
mod sms;
#[cfg(test)]
mod testing;
mod told;
mod webhook;

use std::time::Duration;

use tokio::time::timeout;

pub use alertmanager::{AlertmanagerSettings, DRILL as DRILL_ALERT, push_on};
pub use email::{EmailSettings, MailSecurity};
pub use heartbeat::{HeartbeatSettings, beat_on};
pub use log_file::LogFileSettings;
pub use outside::ClientError;
pub use pagerduty::PagerdutySettings;
pub use signature::{NoBase64, Signer};
pub use sms::SmsSettings;
pub use steady::SteadyBoard;
pub use webhook::WebhookSettings;

mod steady;

use crate::clock::Clock;
use crate::domain::delivery::{Channel, Recipient};
use crate::domain::errand::Telling;
use crate::domain::outcome::Outcome;
use crate::words::{Language, Links};
use alertmanager::Alertmanager;
use email::Email;
use heartbeat::Heartbeat;
use log_file::LogFile;
use outside::Outside;
use pagerduty::Pagerduty;
use recipients::Recipients;
use sms::Sms;
use told::{Told, Untold};
use webhook::Webhook;

/// No alert may take longer on one channel: the heart believes it lost after three minutes, and would tell it twice.
const TELL_MAX: Duration = Duration::from_secs(150);

/// What channels are made of.
#[derive(Default)]
pub struct Settings {
    /// Of all texts.
    pub language: Language,
    /// Into the panel.
    pub links: Links,
    /// E-mail.
    pub email: Option<EmailSettings>,
    /// Short messages.
    pub sms: Option<SmsSettings>,
    /// A webhook.
    pub webhook: Option<WebhookSettings>,
    /// The pager.
    pub pagerduty: Option<PagerdutySettings>,
    /// A file.
    pub log_file: Option<LogFileSettings>,
    /// Alertmanager, where it is pushed to.
    pub alertmanager: Option<AlertmanagerSettings>,
    /// A dead man's switch.
    pub heartbeat: Option<HeartbeatSettings>,
}

/// How a text is worded.
#[derive(Clone, Debug, Default)]
struct Wording {
    language: Language,
    links: Links,
}

/// The channels there are.
#[derive(Default)]
pub struct Channels {
    email: Option<Email>,
    sms: Option<Sms>,
    webhook: Option<Webhook>,
    pagerduty: Option<Pagerduty>,
    log_file: Option<LogFile>,
    alertmanager: Option<Alertmanager>,
    heartbeat: Option<Heartbeat>,
}

/// What a try came to.
#[derive(Debug)]
pub struct Tried {
    /// `Rejected`: it is not worth another try. `Ambiguous`: it may have arrived.
    pub outcome: Outcome,
    /// Why it was not accepted: words without any address, name or secret.
    pub why: Option<String>,
    /// Who of several recipients has it since this try.
    pub reached: Vec<Recipient>,
}

/// What `check` says of a way out: its name, and how it can be reached, or why not.
pub type Reachable = (&'static str, Result<String, String>);

impl Channels {
    /// The channels of `settings`.
    ///
    /// # Errors
    /// Where no HTTP client or no TLS can be made of them.
    pub fn new(settings: Settings, clock: &Clock) -> Result<Self, ClientError> {
        let wording = Wording { language: settings.language, links: settings.links };
        let speaks_http = settings.sms.is_some()
            || settings.webhook.is_some()
            || settings.pagerduty.is_some()
            || settings.alertmanager.is_some()
            || settings.heartbeat.is_some();
        let outside = if speaks_http { Some(Outside::new()?) } else { None };
        let with = |outside: &Option<Outside>| outside.clone();
        let email = settings.email.map(|email| Email::new(email, &wording)).transpose()?;
        Ok(Self {
            email,
            sms: settings.sms.zip(with(&outside)).map(|(sms, outside)| Sms::new(sms, outside, &wording)),
            webhook: settings
                .webhook
                .zip(with(&outside))
                .map(|(webhook, outside)| Webhook::new(webhook, outside, &wording, clock))
                .transpose()?,
            pagerduty: settings
                .pagerduty
                .zip(with(&outside))
                .map(|(pagerduty, outside)| Pagerduty::new(pagerduty, outside, &wording)),
            log_file: settings.log_file.map(LogFile::new),
            alertmanager: settings
                .alertmanager
                .zip(with(&outside))
                .map(|(manager, outside)| Alertmanager::new(manager, outside, &wording)),
            heartbeat: settings.heartbeat.zip(outside).map(|(beat, outside)| Heartbeat::new(beat, outside)),
        })
    }

    /// Tells an alert. `report` hears at once of each of several recipients who has it.
    pub async fn tell(&self, telling: &Telling, report: &dyn Fn(Recipient)) -> Tried {
        let recipients = Recipients::new(&telling.alert, telling.channel, report);
        let told = timeout(TELL_MAX, self.tell_on(telling, &recipients)).await;
        let told = told.unwrap_or_else(|_| Err(Untold::unknown("it takes too long")));
        let reached = recipients.into_new();
        match told {
            Ok(()) => Tried { outcome: Outcome::Accepted, why: None, reached },
            Err(Untold { outcome, why }) => {
                let (channel, alert) = (telling.channel.as_str(), telling.alert.id);
                tracing::warn!(channel, %alert, outcome = outcome.as_str(), "an alert was not taken: {why}");
                Tried { outcome, why: Some(why), reached }
            }
        }
    }

    async fn tell_on(&self, telling: &Telling, recipients: &Recipients<'_>) -> Told {
        let alert = &telling.alert;
        match telling.channel {
            Channel::Email => there(&self.email)?.tell(alert, recipients).await,
            Channel::Sms => there(&self.sms)?.tell(alert, recipients).await,
            Channel::Webhook => there(&self.webhook)?.tell(alert).await,
            Channel::Pagerduty => there(&self.pagerduty)?.tell(alert).await,
            Channel::LogFile => there(&self.log_file)?.tell(alert).await,
            // Not ours: a letter of the hands.
            Channel::Whatsapp => Err(Untold::for_good("WhatsApp goes another way")),
        }
    }

    /// Can each way out be reached? Nobody is told anything.
    pub async fn reach(&self) -> Vec<Reachable> {
        let mut ways = Vec::new();
        if let Some(email) = &self.email {
            ways.push((Channel::Email.as_str(), email.reach().await));
        }
        if let Some(sms) = &self.sms {
            ways.push((Channel::Sms.as_str(), sms.reach().await));
        }
        if let Some(webhook) = &self.webhook {
            ways.push((Channel::Webhook.as_str(), webhook.reach().await));
        }
        if let Some(pagerduty) = &self.pagerduty {
            ways.push((Channel::Pagerduty.as_str(), pagerduty.reach().await));
        }
        if let Some(log_file) = &self.log_file {
            ways.push((Channel::LogFile.as_str(), log_file.reach().await));
        }
        if let Some(alertmanager) = &self.alertmanager {
            ways.push(("alertmanager", alertmanager.reach().await));
        }
        if let Some(heartbeat) = &self.heartbeat {
            ways.push(("heartbeat", heartbeat.reach().await));
        }
        ways
    }
}

fn there<T>(channel: &Option<T>) -> Result<&T, Untold> {
    channel.as_ref().ok_or_else(|| Untold::for_good("the channel is not configured any more"))
}
