//! Alertmanager: told what stands, at once when that changes and then again and again, under the very labels of the shipped rules, so that
//! both sources are one alert there.
//!
//! Each push says how long it holds: a watchdog that dies stops saying so, and the alert ends by itself. What is over is held for
//! `keep_firing_for` more, as the rules do: were it ended at once, the rules would still say that it fires, and page again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::outside::{self, Outside, call, judge};
use super::told::{Told, Untold};
use super::webhook::moment;
use super::{Channels, SteadyBoard, Wording};
use crate::clock::Clock;
use crate::domain::delivery::{Delivered, Steady};
use crate::domain::id::SessionName;
use crate::domain::standing::{Standing, Stands};
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::words::{self, Language};

/// How often what stands is said again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long each saying holds.
const HOLDS: Duration = Duration::from_secs(120);
/// After a failure the next try comes so soon, twice as late each time, within bounds.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// What pushing needs.
pub struct AlertmanagerSettings {
    /// All of its addresses, without a trailing slash.
    pub urls: Vec<String>,
    /// Labels beside our own.
    pub labels: Vec<(String, String)>,
    /// How long an alert stands after its end.
    pub keep_firing_for: Duration,
}

/// Alertmanager.
pub(super) struct Alertmanager {
    settings: AlertmanagerSettings,
    outside: Outside,
    wording: Wording,
}

/// Where the shipped rules say that their runbooks are.
const RUNBOOKS: &str = "https://github.com/waha-watchdog/waha-watchdog/blob/main/docs/runbooks";

/// The name of a drill's alert.
pub const DRILL: &str = "WahaWatchdogSimulacro";

/// The rule's name for what stands.
const fn alertname(what: Stands) -> &'static str {
    match what {
        Stands::IncommunicadoCritico => "WahaWatchdogBotIncomunicadoCritico",
        Stands::Incommunicado => "WahaWatchdogBotIncomunicado",
        Stands::Drill => DRILL,
    }
}

impl Alertmanager {
    pub(super) fn new(settings: AlertmanagerSettings, outside: Outside, wording: &Wording) -> Self {
        Self { settings, outside, wording: wording.clone() }
    }

    /// Says that these stand, and that those are over. Told where one of its addresses took it.
    async fn push(&self, stands: &[Standing], over: &[Standing], now: Timestamp) -> Told {
        let held = stands.iter().map(|one| self.alert(one, now + HOLDS));
        let ended = over.iter().map(|one| self.alert(one, now + self.settings.keep_firing_for));
        let body = Value::Array(held.chain(ended).collect()).to_string().into_bytes();
        let each = self.settings.urls.iter().map(|url| {
            let request = outside::json(self.outside.post(&format!("{url}/api/v2/alerts")), body.clone());
            async { judge(call(request).await?.status) }
        });
        let each = join_all(each).await;
        let failed: Vec<&Untold> = each.iter().filter_map(|told| told.as_ref().err()).collect();
        if let Some(untold) = failed.first() {
            let (of, why) = (each.len(), &untold.why);
            tracing::warn!(
                channel = "alertmanager",
                failed = failed.len(),
                of,
                "an alert was not taken: {why}"
            );
        }
        each.into_iter().reduce(Result::or).unwrap_or(Ok(()))
    }

    fn alert(&self, one: &Standing, ends: Timestamp) -> Value {
        let mut labels = json!({
            "alertname": alertname(one.what),
            "session": one.session.as_str(),
            "severity": "critical",
        });
        for (name, value) in &self.settings.labels {
            labels[name] = json!(value);
        }
        let Wording { language, links } = &self.wording;
        let (summary, in_english) = (words::standing(one, *language), words::standing(one, Language::En));
        let mut alert = json!({
            "labels": labels,
            "annotations": {
                "summary": summary,
                "description": summary,
                "summary_en": in_english,
                "description_en": in_english,
                "runbook_url": format!("{RUNBOOKS}/{}.md", alertname(one.what)),
            },
            "startsAt": moment(one.since),
            "endsAt": moment(ends.max(one.since)),
        });
        if let Some(link) = if one.what == Stands::Drill { links.panel() } else { links.orders() } {
            alert["annotations"]["panel"] = json!(link);
            alert["generatorURL"] = json!(link);
        }
        alert
    }

    pub(super) async fn reach(&self) -> Result<String, String> {
        let mut ready = 0;
        for url in &self.settings.urls {
            match outside::answers(self.outside.get(&format!("{url}/api/v2/status"))).await? {
                200 => ready += 1,
                status => {
                    return Err(format!(
                        "one of alerts.alertmanager.urls answers {status} to /api/v2/status"
                    ));
                }
            }
        }
        Ok(format!("{ready} of {ready} answer"))
    }
}

/// Pushes what stands until nobody polls any more. `channels` are those in force, `standing` what stands, `moved` is told when that may have
/// changed.
pub async fn push_on(
    channels: impl Fn() -> Arc<Channels>,
    standing: impl Fn() -> Vec<Standing>,
    moved: &Notify,
    clock: Clock,
    metrics: Arc<Metrics>,
    board: Arc<SteadyBoard>,
) {
    let mut told = Pushed::default();
    loop {
        let channels = channels();
        let nap = match &channels.alertmanager {
            Some(manager) => told.round(manager, standing(), &clock, &metrics, &board).await,
            None => {
                told = Pushed::default();
                AGAIN
            }
        };
        let _early = timeout(nap, moved.notified()).await;
    }
}

/// What Alertmanager was told.
#[derive(Default)]
struct Pushed {
    /// What it holds for firing.
    firing: BTreeMap<(Stands, SessionName), Standing>,
    /// When it was last told.
    at: Option<Timestamp>,
    /// Tries in a row that failed.
    failures: u32,
    /// No try before then.
    not_before: Option<Timestamp>,
}

impl Pushed {
    /// Tells what is to be told now. Gives how long nothing is to be told, unless something changes.
    async fn round(
        &mut self,
        manager: &Alertmanager,
        standing: Vec<Standing>,
        clock: &Clock,
        metrics: &Metrics,
        board: &SteadyBoard,
    ) -> Duration {
        let now = clock.now();
        let keyed = standing.iter().map(|one| ((one.what, one.session.clone()), one.clone()));
        let stands: BTreeMap<_, _> = keyed.collect();
        let over: Vec<_> = (self.firing.iter().filter(|(key, _)| !stands.contains_key(*key)))
            .map(|(_, one)| one.clone())
            .collect();
        let changed = !over.is_empty() || stands.keys().any(|key| !self.firing.contains_key(key));
        let stale = self.at.is_none_or(|at| now.since(at) >= AGAIN);
        if !changed && (stands.is_empty() || !stale) {
            let next = self.at.filter(|_| !stands.is_empty()).map_or(AGAIN, |at| (at + AGAIN).since(now));
            return next.max(Duration::from_millis(10));
        }
        if let Some(wait) = self.not_before.filter(|at| *at > now) {
            return wait.since(now);
        }
        let waiting = stands.len() + over.len();
        match manager.push(&standing, &over, now).await {
            Ok(()) => {
                metrics.mind.steady(Steady::Alertmanager, Delivered::Ok, 0, now);
                board.note(Steady::Alertmanager, Ok(()), 0, now);
                *self = Self { firing: stands, at: Some(now), failures: 0, not_before: None };
                AGAIN
            }
            Err(untold) => {
                metrics.mind.steady(Steady::Alertmanager, Delivered::Retried, waiting, now);
                board.note(Steady::Alertmanager, Err(untold.why), waiting, now);
                self.failures = self.failures.saturating_add(1);
                let wait = RETRY_MIN.saturating_mul(1 << (self.failures - 1).min(6)).min(RETRY_MAX);
                self.not_before = Some(clock.now() + wait);
                wait
            }
        }
    }
}

#[cfg(test)]
mod tests;
