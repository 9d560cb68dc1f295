//! The shop's bot: it tells a customer that the order came in, and tries four times before it gives up.
//!
//! It knows WAHA's API and the three headers that say whose order it is; that its WAHA URL is the sidecar's is all that ties it to us.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::RwLock;

use super::book::{Book, Ending, PageNumber};
use super::event::{AttemptFailed, Event, GaveUp, Told};
use super::order::Order;
use super::teller::Teller;
use crate::domain::id::SessionName;
use crate::waha::compose;

/// So often the bot tries, as the default of `retry.attempts` expects it.
pub(super) const ATTEMPTS: u32 = 4;
/// So long the bot waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pretend WAHA's session.
const SESSION: &str = "default";

/// The bot.
pub(super) struct Bot {
    client: reqwest::Client,
    url: String,
    session: SessionName,
    retry_wait: Duration,
    book: Arc<Book>,
    teller: Arc<Teller>,
    /// Held for reading by every attempt on its way. Who takes WAHA down holds it for writing, so that no attempt is cut in half: such
    /// a message may have arrived although the bot must think it did not, and this bot would send it a second time.
    pub(super) road: RwLock<()>,
}

/// How an attempt ended.
struct Answer {
    accepted: bool,
    status: Option<u16>,
    /// The sidecar's name for the send.
    send_id: Option<String>,
    /// Why not, in a word.
    error: String,
}

impl Bot {
    /// A bot whose WAHA is at `url`.
    pub(super) fn new(
        url: String,
        retry_wait: Duration,
        book: Arc<Book>,
        teller: Arc<Teller>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?,
            url: format!("{url}{}", compose::TEXT_PATH),
            session: SessionName::new(SESSION).unwrap_or_else(|| unreachable!("a constant that is a name")),
            retry_wait,
            book,
            teller,
            road: RwLock::default(),
        })
    }

    /// Tells the customer. Where the bot gave up: the sidecar's name for the send, if it said one.
    pub(super) async fn deliver(&self, page: PageNumber, order: &Order) -> Option<Option<String>> {
        let mut wait = self.retry_wait;
        for attempt in 1..=ATTEMPTS {
            self.book.attempt(page);
            let answer = self.attempt(order).await;
            if answer.accepted {
                self.book.end(page, Ending::Told);
                let told = Told { order: order.clone(), attempts: attempt, send_id: answer.send_id };
                self.teller.tell(&Event::OrderTold(told));
                return None;
            }
            let is_last = attempt == ATTEMPTS;
            self.teller.tell(&Event::AttemptFailed(AttemptFailed {
                order: order.clone(),
                attempt,
                of: ATTEMPTS,
                status: answer.status,
                error: answer.error,
                retry_in_ms: (!is_last).then_some(wait.as_millis()),
            }));
            if is_last {
                self.teller.tell(&Event::GaveUp(GaveUp { order: order.clone(), attempts: attempt }));
                return Some(answer.send_id);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        None
    }

    async fn attempt(&self, order: &Order) -> Answer {
        let _on_the_road = self.road.read().await;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let answer = self
            .client
            .post(&self.url)
            .header("X-Watchdog-Customer-Name", encoded(&order.customer_name))
            .header("X-Watchdog-Customer-Phone", encoded(&order.customer_phone))
            .json(&compose::text(&self.session, &order.chat, &order.text()))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let error = if error.is_timeout() { "timeout" } else { "no_answer" };
                return Answer { accepted: false, status: None, send_id: None, error: error.to_owned() };
            }
        };
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let error = header("X-Watchdog-Error").unwrap_or_else(|| format!("http_{}", status.as_u16()));
        let send_id = header("X-Watchdog-Send-Id");
        // Read to its end, so that the connection can be used again.
        let _ = answer.bytes().await;
        Answer { accepted: status.is_success(), status: Some(status.as_u16()), send_id, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_bot_gives_up_when_the_sidecar_expects_it() {
        assert_eq!(ATTEMPTS, Config::default().retry.attempts);
    }
}
