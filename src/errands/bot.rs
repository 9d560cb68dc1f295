//! Does the bot live? Its own health URL is asked; any answer 2xx says so.

use std::time::Duration;

use tokio::time::timeout;

use crate::domain::bot::BotFound;

/// Where the bot is asked.
pub struct BotHealth {
    client: reqwest::Client,
    url: String,
}

impl BotHealth {
    /// It is asked at `url`.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(url: String) -> Result<Self, reqwest::Error> {
        // Where another part has set it already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // One that rested may be closed just as we write, and that would say nothing of the bot.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("waha-watchdog/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, url })
    }

    /// Asks, and waits for so long. What it says beside the status is not read.
    pub async fn ask(&self, limit: Duration) -> BotFound {
        match timeout(limit, self.client.get(&self.url).send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => BotFound::Alive,
            Ok(Ok(_)) => BotFound::Unwell,
            Ok(Err(_)) => BotFound::Unreachable,
            Err(_) => BotFound::TimedOut,
        }
    }
}
