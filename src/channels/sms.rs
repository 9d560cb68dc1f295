//! Short messages, by Twilio's Messages API or a service that speaks like it.

use futures_util::future::join_all;
use serde::Deserialize;

use super::outside::{Outside, call, judge};
use super::recipients::Recipients;
use super::told::{Told, Untold, sum_up};
use super::{Wording, gsm};
use crate::domain::alert::Alert;
use crate::words::{Eyes, Worded, worded};

/// Most places of a message: three parts, as phones join them.
const PLACES_MAX: usize = 3 * 153;

/// What short messages need.
pub struct SmsSettings {
    /// The service, without a trailing slash.
    pub url: String,
    /// The account.
    pub account: String,
    /// Its secret.
    pub token: String,
    /// The sender: a number, a name, or a messaging service.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}

/// Short messages.
pub(super) struct Sms {
    settings: SmsSettings,
    outside: Outside,
    wording: Wording,
}

/// What the service says where it does not take one.
#[derive(Deserialize)]
struct Refusal {
    code: u32,
}

impl Sms {
    pub(super) fn new(settings: SmsSettings, outside: Outside, wording: &Wording) -> Self {
        Self { settings, outside, wording: wording.clone() }
    }

    pub(super) async fn tell(&self, alert: &Alert, recipients: &Recipients<'_>) -> Told {
        let Wording { language, links } = &self.wording;
        let text = text(&worded(alert, Eyes::Others, *language, links));
        let each = self.settings.to.iter().map(|to| async {
            if recipients.has(to) {
                return Ok(());
            }
            let told = self.send(to, &text).await;
            if told.is_ok() {
                recipients.note(to);
            }
            told
        });
        sum_up(join_all(each).await)
    }

    async fn send(&self, to: &str, text: &str) -> Told {
        let SmsSettings { url, account, token, from, .. } = &self.settings;
        let service = from.len() == 34 && from.starts_with("MG");
        let from_field = if service { "MessagingServiceSid" } else { "From" };
        let fields = [("To", to), (from_field, from.as_str()), ("Body", text)];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .outside
            .post(&format!("{url}/2010-04-01/Accounts/{account}/Messages.json"))
            .basic_auth(account, Some(token))
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = call(request).await?;
        judge(answer.status).map_err(|untold| match serde_json::from_slice::<Refusal>(&answer.body) {
            // Its sentence quotes the number, its code does not.
            Ok(Refusal { code }) => Untold { why: format!("{}, error {code}", untold.why), ..untold },
            Err(_) => untold,
        })
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let SmsSettings { url, account, token, to, .. } = &self.settings;
        let request = self.outside.get(&format!("{url}/2010-04-01/Accounts/{account}.json"));
        let answer = call(request.basic_auth(account, Some(token))).await.map_err(|untold| untold.why)?;
        match answer.status {
            200..=299 => Ok(format!("the account is known; {} recipients", to.len())),
            401 | 403 => Err(format!("it answers {}: alerts.sms.token is wrong", answer.status)),
            404 => Err("it answers 404: it knows no such account, or speaks another language".to_owned()),
            status => Err(format!("it answers {status}")),
        }
    }
}

/// What is worth a message: what happened, since when, what to do, where to look. The link is never cut.
fn text(worded: &Worded) -> String {
    let link = worded.link.as_deref().map(|link| format!("\n{link}")).unwrap_or_default();
    let link = if gsm::gsm(&link) == link { link } else { String::new() };
    let [headline, facts, action] = worded.short().map(gsm::gsm);
    let room = PLACES_MAX.saturating_sub(gsm::places(&link));
    let headline = gsm::cut(&headline, room / 3);
    // What to do is worth more than why.
    let action = gsm::cut(&action, room / 2);
    let left = room.saturating_sub(gsm::places(&headline) + gsm::places(&action) + 2);
    let facts = gsm::cut(&facts, left);
    format!("{headline}\n{facts}\n{action}{link}")
}

#[cfg(test)]
mod tests;
