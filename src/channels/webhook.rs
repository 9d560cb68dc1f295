//! Signed JSON to an address of the shop's, after Standard Webhooks: the id is the alert's at every try, so that a receiver knows a second
//! copy for one.

use serde_json::{Value, json};

use super::Wording;
use super::outside::{self, ClientError, Outside, call, judge};
use super::signature::Signer;
use super::told::Told;
use crate::clock::{self, Clock, wall};
use crate::domain::alert::{Alert, Says};
use crate::domain::time::Timestamp;
use crate::words::{Eyes, Worded, worded};

/// Longest summary, in characters.
const SUMMARY_MAX: usize = 500;

/// What a webhook needs.
pub struct WebhookSettings {
    /// Where it goes.
    pub url: String,
    /// What signs it: as it is, or `whsec_` and base64.
    pub secret: String,
}

/// A webhook.
pub(super) struct Webhook {
    url: String,
    signer: Signer,
    outside: Outside,
    wording: Wording,
    clock: Clock,
}

impl Webhook {
    pub(super) fn new(
        settings: WebhookSettings,
        outside: Outside,
        wording: &Wording,
        clock: &Clock,
    ) -> Result<Self, ClientError> {
        let signer = Signer::new(&settings.secret)
            .map_err(|error| ClientError(format!("alerts.webhook.secret: {error}")))?;
        Ok(Self { url: settings.url, signer, outside, wording: wording.clone(), clock: clock.clone() })
    }

    pub(super) async fn tell(&self, alert: &Alert) -> Told {
        let Wording { language, links } = &self.wording;
        let worded = worded(alert, Eyes::Others, *language, links);
        let body = body(alert, &worded).to_string();
        let (id, now) = (alert.id.to_string(), wall::outside(self.clock.now()).millis() / 1000);
        let signature = self.signer.sign(&id, now, &body);
        let request = self
            .outside
            .post(&self.url)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signature);
        judge(call(outside::json(request, body.into_bytes())).await?.status)
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let status = outside::answers(self.outside.head(&self.url)).await?;
        Ok(format!("somebody answers there ({status} to HEAD)"))
    }
}

/// An alert in JSON: facts for programs, texts for people.
fn body(alert: &Alert, worded: &Worded) -> Value {
    let orders = alert.says.orders();
    let named: Vec<_> =
        orders.iter().flat_map(|orders| &orders.named).filter_map(|line| line.order.as_deref()).collect();
    json!({
        "type": format!("alert.{}", alert.says.as_str()),
        "timestamp": moment(alert.at),
        "data": {
            "id": alert.id.to_string(),
            "says": alert.says.as_str(),
            "topic": alert.says.topic().as_str(),
            "severity": severity(&alert.says),
            "ends": alert.says.ends(),
            "session": alert.session.as_str(),
            "incident_id": alert.incident.map(|incident| incident.to_string()),
            "since": since(alert).map(moment),
            "summary": worded.summary(SUMMARY_MAX),
            "text": worded.text(),
            "action": worded.action,
            "orders": named,
            "orders_count": orders.map_or(0, |orders| orders.count),
            "link": worded.link,
        },
    })
}

/// How urgent it is, in the words of pagers.
pub(super) const fn severity(says: &Says) -> &'static str {
    match says {
        // A drill that rings less than the real thing tries nothing.
        Says::TotalLoss { .. } | Says::StillLost { .. } | Says::BotGone { .. } | Says::Drill { .. } => {
            "critical"
        }
        Says::Preventive(_) | Says::ManualAttention(_) | Says::Restricted(_) | Says::Trouble(_) => "warning",
        Says::Recovered { .. } | Says::TroubleOver(_) | Says::DrillOver { .. } | Says::Test { .. } => "info",
    }
}

/// Since when what it says is so.
fn since(alert: &Alert) -> Option<Timestamp> {
    match &alert.says {
        Says::StillLost { since, .. } | Says::BotGone { since } => Some(*since),
        Says::Recovered { start, .. } | Says::DrillOver { start } => Some(*start),
        _ => Some(alert.at),
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn moment(at: Timestamp) -> String {
    clock::rfc3339(at)
}

#[cfg(test)]
mod tests;
