//! `drill`: does an alert reach anybody, and how soon?
//!
//! The drill is the running process': whatever becomes of this command, it ends there by itself.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::time::sleep;

use super::alert::{Watch, moment, nobody_runs};
use super::output::print;
use super::source::Api;
use super::{Failure, block_on};
use crate::channels::DRILL_ALERT;
use crate::clock::instant;
use crate::config::{Config, parse_duration};

/// So long a call of the API may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked how it goes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So much longer the process would keep it, were this command to die.
const GRACE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST: Duration = Duration::from_secs(14 * 60);

#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// How long it lasts, at most 14m: long enough for people to look at their phones.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = lasts)]
    lasts: Duration,
    /// The session it pretends to be about; without it, the first of waha.sessions.
    #[arg(long)]
    session: Option<String>,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn lasts(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|lasts| (Duration::from_secs(1)..=LONGEST).contains(lasts))
        .ok_or_else(|| "a duration from 1s to 14m, like 60s".to_owned())
}

pub(super) fn run(args: &DrillArgs, config: &Config) -> Result<ExitCode, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::failed)?;
    }
    block_on(drill(args, config, &stop))?
}

async fn drill(args: &DrillArgs, config: &Config, stop: &AtomicBool) -> Result<ExitCode, Failure> {
    let api = Api::for_acting(config)?;
    let lasts = format!("{}s", (args.lasts + GRACE).as_secs());
    let wish = json!({ "session": args.session, "lasts": lasts });
    let begun = api.post("/api/drill", &wish, PATIENCE).await?.ok_or_else(|| nobody_runs(config))?;
    let seen = watch(args, config, &api, &begun, stop).await;
    // Whatever was seen, it is ended. Where that fails, it ends by itself.
    let ended = api.post("/api/drill/end", &json!({}), PATIENCE).await;
    let Seen { watch, alertmanager } = seen?;
    let ended =
        ended.map_err(|failure| Failure::failed(format!("{}; it ends by itself", failure.message)))?;
    if args.json {
        let drill = ended.as_ref().and_then(|ended| ended.get("drill"));
        let channels: Vec<_> = watch.seen.iter().map(|way| way.json()).collect();
        print(&format!(
            "{}\n",
            json!({ "drill": drill, "channels": channels, "alertmanager": alertmanager })
        ))?;
    } else {
        print("the drill is over\n")?;
    }
    let shown = config.alerts.alertmanager.is_none() || alertmanager.is_some();
    let told = watch.seen.is_empty() && alertmanager.is_some() || watch.all_told();
    Ok(if told && shown { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was seen of it.
struct Seen {
    watch: Watch,
    /// Seconds until Alertmanager showed it.
    alertmanager: Option<f64>,
}

async fn watch(
    args: &DrillArgs,
    config: &Config,
    api: &Api,
    begun: &Value,
    stop: &AtomicBool,
) -> Result<Seen, Failure> {
    let path = format!("/api/alerts/{}", begun.get("alert").and_then(Value::as_str).unwrap_or_default());
    let began = moment(begun.pointer("/drill/began"));
    let session = begun.pointer("/drill/session").and_then(Value::as_str).unwrap_or_default().to_owned();
    let manager = Manager::new(config, session)?;
    if !args.json {
        print(&format!("the drill has begun, and lasts {} s; Ctrl-C ends it\n", args.lasts.as_secs()))?;
    }
    let until = instant() + args.lasts;
    let mut seen = Seen { watch: Watch::default(), alertmanager: None };
    loop {
        let over = instant() >= until || stop.load(Ordering::Relaxed);
        let alert = api.get(&path, &[]).await?.ok_or_else(|| nobody_runs(config))?;
        for way in seen.watch.news(&alert, over) {
            if !args.json {
                print(&way.line())?;
            }
        }
        if seen.alertmanager.is_none()
            && let (Some(manager), Some(began)) = (&manager, began)
            && let Some(seconds) = manager.shows(began).await
        {
            seen.alertmanager = Some(seconds);
            if !args.json {
                print(&format!("{:12} shows it after {seconds:.2} s\n", "alertmanager"))?;
            }
        }
        if over {
            if manager.is_some() && seen.alertmanager.is_none() && !args.json {
                print(&format!(
                    "{:12} does not show it (does Prometheus have the rules, or is paging.owner push?)\n",
                    "alertmanager"
                ))?;
            }
            return Ok(seen);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Alertmanager, asked whether it shows the drill.
struct Manager {
    client: reqwest::Client,
    urls: Vec<String>,
    session: String,
}

impl Manager {
    fn new(config: &Config, session: String) -> Result<Option<Self>, Failure> {
        let Some(manager) = &config.alerts.alertmanager else { return Ok(None) };
        let client =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(Failure::failed)?;
        Ok(Some(Self { client, urls: manager.urls.clone(), session }))
    }

    /// How long after `began` one of its addresses knew of it.
    async fn shows(&self, began: DateTime<Utc>) -> Option<f64> {
        let filters = [format!("alertname=\"{DRILL_ALERT}\""), format!("session=\"{}\"", self.session)];
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(filters.iter().map(|filter| ("filter", filter)))
            .append_pair("active", "true")
            .finish();
        for url in &self.urls {
            let Ok(answer) = self.client.get(format!("{url}/api/v2/alerts?{query}")).send().await else {
                continue;
            };
            let Ok(alerts) = answer.json::<Vec<Value>>().await else { continue };
            let updated = alerts.iter().filter_map(|alert| moment(alert.get("updatedAt")));
            // One of the drill before may still stand there.
            if let Some(at) = updated.filter(|at| *at >= began).min() {
                return (at - began).to_std().ok().map(|took| took.as_secs_f64());
            }
        }
        None
    }
}
