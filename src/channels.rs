//! The channels that alerts go out by, WhatsApp aside: each tells one alert to one outside address and says how that ended (SPEC 10).
//!
//! When, whether and how often is the heart's; what an alert says is `words`.

use crate::domain::delivery::Channel;
use crate::domain::errand::Telling;
use crate::domain::outcome::Outcome;

/// The channels there are.
#[derive(Debug, Default)]
pub struct Channels {}

impl Channels {
    /// Tells an alert. `Rejected`: it is not worth another try. `Ambiguous`: it may have arrived.
    pub async fn tell(&self, telling: &Telling) -> Outcome {
        match telling.channel {
            // Not ours: a letter of the hands.
            Channel::Whatsapp => Outcome::Rejected,
            // Not configured.
            Channel::Email | Channel::Sms | Channel::Webhook | Channel::Pagerduty | Channel::LogFile => {
                Outcome::Rejected
            }
        }
    }
}
