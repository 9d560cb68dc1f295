//! What the scenarios share: a sidecar with short waits before a look-alike, and facts told as "expected … | seen …".

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde_json::Value;
use waha_watchdog::fake_waha::{FakeWaha, Options};

use super::harness::{Config, Sidecar, quick, until};

/// The admin's number.
pub const ADMIN: &str = "5511900000099";
/// As long as a fact may take to become true: the slowest probe is 15 s away, and the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(70);
/// The same where something was on its way when WAHA went down: it is looked for, and sent again after 130 s at the earliest.
pub const LOOKED_FOR: Duration = DEADLINE.saturating_add(Duration::from_secs(130));

/// A sidecar as it comes, with short waits.
pub fn knobs() -> Config {
    Config::acting()
        .raw("healthcheck.enabled", "true")
        .set("healthcheck.interval", "1s")
        .set("healthcheck.timeout", "2s")
        .raw("diagnosis.enabled", "true")
        .raw("recovery.enabled", "true")
        .raw("recovery.pace", "600")
        .raw("retry.attempts", "1")
        .set("retry.give_up_after", "2s")
        .set("status.window", "60s")
        // A handful of sends is no rate.
        .raw("status.min_sends", "1000")
        .set("status.recover_after", "1s")
        .set("events.mode", "websocket")
        .set("alerts.gather_for", "1s")
        .set("alerts.every", "1s")
        .set("alerts.admin_phone", ADMIN)
}

/// The text about an order.
pub fn text(order: &str) -> String {
    format!("🛒 *¡Orden recibida!*\n\n*Orden:* {order}\n*Total:* $45.00\n\nGracias por tu compra.")
}

/// The later text about the same order.
pub fn later(order: &str) -> String {
    format!("✅ *Pago confirmado*\n\n*Orden:* {order}\n*Total:* $45.00")
}

/// A customer's chat by number.
pub fn chat(number: usize) -> String {
    format!("55117{number:08}@c.us")
}

pub fn order(number: usize) -> String {
    format!("ORD-{number}")
}

/// A sidecar, a look-alike, and what was expected of them.
pub struct Play {
    pub waha: FakeWaha,
    pub sidecar: Sidecar,
    name: &'static str,
    wrong: Vec<String>,
}

impl Play {
    pub async fn start(name: &'static str, config: Config) -> Self {
        Self::with(name, config, quick()).await
    }

    pub async fn with(name: &'static str, config: Config, options: Options) -> Self {
        let waha = FakeWaha::start(options).await.unwrap();
        let sidecar = Sidecar::start(config.upstream(&waha.url())).await;
        Self { waha, sidecar, name, wrong: Vec::new() }
    }

    // ---- facts

    fn tell(&mut self, is_so: bool, what: &str, expected: &str, seen: &str) {
        let mark = if is_so { "" } else { "   <-- NOT AS EXPECTED" };
        let line = format!("[{}] {what}: expected {expected} | seen {seen}{mark}", self.name);
        eprintln!("{line}");
        if !is_so {
            self.wrong.push(line);
        }
    }

    /// Something is so now.
    pub fn fact<T: Debug + PartialEq>(&mut self, what: &str, expected: T, seen: T) {
        self.tell(seen == expected, what, &format!("{expected:?}"), &format!("{seen:?}"));
    }

    /// Something is within bounds now.
    pub fn holds(&mut self, what: &str, expected: &str, seen: impl Debug, is_so: bool) {
        self.tell(is_so, what, expected, &format!("{seen:?}"));
    }

    /// Something becomes so.
    pub async fn when<T: Debug + PartialEq>(
        &mut self,
        what: &str,
        expected: T,
        look: impl AsyncFnMut(&Self) -> T,
    ) {
        self.within(DEADLINE, what, expected, look).await;
    }

    /// Something becomes so before `deadline`.
    pub async fn within<T: Debug + PartialEq>(
        &mut self,
        deadline: Duration,
        what: &str,
        expected: T,
        mut look: impl AsyncFnMut(&Self) -> T,
    ) {
        let start = Instant::now();
        let mut seen = look(self).await;
        while seen != expected && start.elapsed() < deadline {
            tokio::time::sleep(Duration::from_millis(30)).await;
            seen = look(self).await;
        }
        let after = format!("{seen:?} after {:.1} s", start.elapsed().as_secs_f64());
        self.tell(seen == expected, what, &format!("{expected:?}"), &after);
    }

    /// Fails where anything was not as expected.
    pub fn end(self) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }

    // ---- what is seen

    /// Status and reason.
    pub async fn status(&self) -> (String, String) {
        let status = self.sidecar.status().await;
        (word(&status["status"]), word(&status["reason_code"]))
    }

    pub async fn status_is(&mut self, status: &str) {
        self.when("status", status.to_owned(), async |play| play.status().await.0).await;
    }

    pub async fn status_and_reason(&mut self, status: &str, reason: &str) {
        let expected = (status.to_owned(), reason.to_owned());
        self.when("status and reason", expected, async |play| play.status().await).await;
    }

    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.sidecar.api(path).await["items"].as_array().unwrap().clone()
    }

    /// How many alerts of a kind were decided.
    pub async fn alerts(&self, says: &str) -> usize {
        self.items("/api/alerts").await.iter().filter(|alert| alert["says"] == says).count()
    }

    /// What was decided, by kind, and how far it got over WhatsApp, the oldest first.
    pub async fn alerts_by_kind(&self) -> Vec<(String, String)> {
        let alerts = self.items("/api/alerts").await;
        let state = |alert: &Value| word(&alert["deliveries"][0]["state"]);
        alerts.iter().rev().map(|alert| (word(&alert["says"]), state(alert))).collect()
    }

    /// Incidents, open and closed.
    pub async fn incidents(&self) -> Vec<Value> {
        self.items("/api/incidents").await
    }

    /// The worst status any incident had.
    pub async fn worst(&self) -> String {
        let order = ["", "online", "degraded", "offline", "incommunicado", "incommunicado_critico"];
        let worst: Vec<_> = self.incidents().await.iter().map(|one| word(&one["worst_status"])).collect();
        let badness = |status: &String| order.iter().position(|known| known == status);
        worst.into_iter().max_by_key(badness).unwrap_or_default()
    }

    /// Failed notifications by one field, each value with its count.
    pub async fn failed_by(&self, field: &str) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for one in self.sidecar.failed().await {
            let value = field.split('.').fold(&one, |value, key| &value[key]);
            *counts.entry(word(value)).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// How often the admin's phone displays a text with this part.
    pub fn admin_told(&self, part: &str) -> usize {
        let phones = self.waha.phones();
        phones.chat(ADMIN).iter().filter(|shown| shown.text.contains(part)).count()
    }

    /// How often each customer's phone displays its order's text: by count, how many.
    pub fn shown(&self, orders: std::ops::Range<usize>) -> Vec<(u64, usize)> {
        let phones = self.waha.phones();
        let mut counts = std::collections::BTreeMap::new();
        for number in orders {
            *counts.entry(phones.times(&chat(number), &text(&order(number)))).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// One attempt of the bot for each order, all at once; the HTTP statuses.
    pub async fn place(&self, orders: std::ops::Range<usize>) -> Vec<u16> {
        let bot = self.sidecar.bot();
        let calls: Vec<_> = orders
            .map(|n| tokio::spawn(async move { bot.text(&chat(n), &text(&order(n))).await.status }))
            .collect();
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.unwrap());
        }
        statuses
    }

    /// Waits until the session was probed so often again: by then everything due was looked at.
    pub async fn probed(&self, times: usize) {
        for _ in 0..times {
            let before = self.sidecar.status().await["last_healthcheck"].clone();
            until("a probe", async || self.sidecar.status().await["last_healthcheck"] != before).await;
        }
    }
}

/// A JSON value as a word; null is "-".
pub fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A list of counts, for comparing.
pub fn counts(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}
