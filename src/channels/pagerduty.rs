//! PagerDuty's Events API v2: one incident there for each of ours, under one key, which its end resolves.

use serde_json::{Value, json};

use super::Wording;
use super::outside::{self, Outside, call, judge};
use super::told::Told;
use super::webhook::{moment, severity};
use crate::domain::alert::{Alert, Says};
use crate::words::{Eyes, Worded, worded};

/// Longest summary that is taken.
const SUMMARY_MAX: usize = 1024;
/// Longest evidence, in characters.
const DETAIL_MAX: usize = 2000;

/// What the pager needs.
pub struct PagerdutySettings {
    /// The Events API.
    pub url: String,
    /// The service's key.
    pub routing_key: String,
}

/// The pager.
pub(super) struct Pagerduty {
    settings: PagerdutySettings,
    outside: Outside,
    wording: Wording,
}

/// What an event does.
#[derive(Clone, Copy)]
enum Action {
    Trigger,
    Resolve,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Resolve => "resolve",
        }
    }
}

impl Pagerduty {
    pub(super) fn new(settings: PagerdutySettings, outside: Outside, wording: &Wording) -> Self {
        Self { settings, outside, wording: wording.clone() }
    }

    pub(super) async fn tell(&self, alert: &Alert) -> Told {
        let action = if alert.says.ends() { Action::Resolve } else { Action::Trigger };
        self.send(alert, action).await?;
        // A test leaves nothing open. Where its end is lost, somebody closes it by hand.
        if matches!(alert.says, Says::Test { .. })
            && let Err(untold) = self.send(alert, Action::Resolve).await
        {
            tracing::warn!(channel = "pagerduty", "the test was taken, its end was not: {}", untold.why);
        }
        Ok(())
    }

    async fn send(&self, alert: &Alert, action: Action) -> Told {
        let Wording { language, links } = &self.wording;
        let event =
            event(&self.settings.routing_key, alert, &worded(alert, Eyes::Others, *language, links), action);
        let request = self.outside.post(&self.settings.url);
        judge(call(outside::json(request, event.to_string().into_bytes())).await?.status)
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let status = outside::answers(self.outside.head(&self.settings.url)).await?;
        Ok(format!("somebody answers there ({status} to HEAD); `alert test pagerduty` tries the key"))
    }
}

fn event(key: &str, alert: &Alert, worded: &Worded, action: Action) -> Value {
    let details: String = worded.details.join("\n").chars().take(DETAIL_MAX).collect();
    let orders = alert.says.orders().map_or(0, |orders| orders.count);
    let mut event = json!({
        "routing_key": key,
        "dedup_key": dedup_key(alert),
        "event_action": action.as_str(),
        "payload": {
            "summary": worded.summary(SUMMARY_MAX),
            "source": "waha-watchdog",
            "severity": severity(&alert.says),
            "timestamp": moment(alert.at),
            "component": "waha",
            "group": alert.session.as_str(),
            "class": alert.says.as_str(),
            "custom_details": {
                "facts": worded.facts,
                "action": worded.action,
                "details": details,
                "orders": orders,
                "alert": alert.id.to_string(),
            },
        },
        "client": "waha-watchdog",
    });
    if let Some(link) = &worded.link {
        event["client_url"] = json!(link);
        event["links"] = json!([{ "href": link, "text": "Panel" }]);
    }
    event
}

/// What all that is said of one thing has in common.
fn dedup_key(alert: &Alert) -> String {
    match (&alert.says, alert.incident) {
        (Says::Trouble(trouble) | Says::TroubleOver(trouble), _) => {
            format!("waha-watchdog/{}", trouble.as_str())
        }
        (_, Some(incident)) => format!("waha-watchdog/{incident}"),
        // Nothing ends it but a person.
        (_, None) => format!("waha-watchdog/{}", alert.id),
    }
}

#[cfg(test)]
mod tests;
