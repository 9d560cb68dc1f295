//! The sidecar as its users see it: its API.

use std::time::Duration;

use serde_json::Value;

/// It answers from memory, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// The API at one address.
pub(super) struct Api {
    client: reqwest::Client,
    base: String,
}

/// What `/api/bot/status` says.
#[derive(Debug)]
pub(super) struct BotStatus {
    pub(super) status: String,
    pub(super) reason_code: String,
    pub(super) reason: String,
    pub(super) interpretation: String,
    pub(super) orders_unnotified: u64,
    /// Pending ones are being sent again.
    pub(super) going_out: bool,
}

/// What is told of a failed notification.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) id: String,
    pub(super) cause: String,
    pub(super) attempts: u64,
}

impl Api {
    pub(super) fn new(base: String) -> anyhow::Result<Self> {
        Ok(Self { client: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?, base })
    }

    /// The status; `None` where there is no answer just now.
    pub(super) async fn status(&self) -> Option<BotStatus> {
        let shown = self.get("/api/bot/status").await?;
        Some(BotStatus {
            status: text(&shown, "status")?,
            reason_code: text(&shown, "reason_code")?,
            reason: text(&shown, "reason")?,
            interpretation: text(&shown, "interpretation")?,
            orders_unnotified: shown.get("orders_unnotified")?.as_u64()?,
            going_out: !shown.get("recovery")?.get("finish_at")?.is_null(),
        })
    }

    /// The failed notification of a send, where it is one.
    pub(super) async fn notification(&self, send_id: &str) -> Option<Notification> {
        let shown = self.get(&format!("/api/notifications/failed/{send_id}")).await?;
        Some(Notification {
            id: text(&shown, "id")?,
            cause: text(&shown, "cause")?,
            attempts: shown.get("attempts")?.as_u64()?,
        })
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }
}

fn text(shown: &Value, key: &str) -> Option<String> {
    shown.get(key)?.as_str().map(str::to_owned)
}
