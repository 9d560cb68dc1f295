//! `alert test` and `alert list`: do the channels work, and what was told.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::output::{plain, print};
use super::source::Api;
use super::{Failure, block_on};
use crate::clock::instant;
use crate::config::Config;

/// So long a channel has to accept a test.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked how it goes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Send a test message through channels, and say how long each took. Exit code 1 where one did not accept it.
    Test(TestArgs),
    /// The newest alerts, and how the channels are.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// whatsapp, email, sms, webhook, pagerduty or log_file; without any: all that are configured.
    channels: Vec<String>,
    /// Print a JSON array of {"channel", "state", "seconds", "tries"}.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &AlertCommand, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        AlertCommand::Test(args) => block_on(test(args, config))?,
        AlertCommand::List(args) => list(args, config),
    }
}

async fn test(args: &TestArgs, config: &Config) -> Result<ExitCode, Failure> {
    let api = Api::for_acting(config)?;
    let begun = api.post("/api/alerts/test", &json!({ "channels": args.channels }), PATIENCE).await?;
    let begun = begun.ok_or_else(|| nobody_runs(config))?;
    let path = format!("/api/alerts/{}", begun.get("alert").and_then(Value::as_str).unwrap_or_default());
    let until = instant() + PATIENCE;
    let mut watch = Watch::default();
    loop {
        let alert = api.get(&path, &[]).await?.ok_or_else(|| nobody_runs(config))?;
        let late = instant() >= until;
        for way in watch.news(&alert, late) {
            if !args.json {
                print(&way.line())?;
            }
        }
        if watch.is_over(&alert) || late {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    if args.json {
        print(&format!("{}\n", Value::Array(watch.seen.iter().map(Way::json).collect())))?;
    }
    Ok(if watch.all_told() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How an alert goes, channel by channel, each told once.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) seen: Vec<Way>,
}

/// How it went on one channel.
pub(super) struct Way {
    pub(super) channel: String,
    state: String,
    tries: u64,
    /// From the decision to the acceptance.
    pub(super) seconds: Option<f64>,
}

impl Watch {
    /// The channels that are news: told, given up, or failed at their first try; with `all` the rest as well.
    pub(super) fn news(&mut self, alert: &Value, all: bool) -> Vec<&Way> {
        let from = self.seen.len();
        let began = moment(alert.get("at"));
        for delivery in deliveries(alert) {
            let word = |key: &str| delivery.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
            let (channel, state) = (word("channel"), word("state"));
            let tries = delivery.get("tries").and_then(Value::as_u64).unwrap_or(0);
            let known = self.seen.iter().any(|way| way.channel == channel);
            let is_news =
                all || state != "waiting" && state != "under_way" || tries > 0 && state == "waiting";
            if known || !is_news {
                continue;
            }
            let took = began.zip(moment(delivery.get("settled"))).filter(|_| state == "told");
            let seconds =
                took.and_then(|(began, told)| (told - began).to_std().ok()).map(|took| took.as_secs_f64());
            self.seen.push(Way { channel, state, tries, seconds });
        }
        self.seen.iter().skip(from).collect()
    }

    /// Is everything seen?
    pub(super) fn is_over(&self, alert: &Value) -> bool {
        deliveries(alert).count() == self.seen.len()
    }

    /// Did every channel accept it, and was there one?
    pub(super) fn all_told(&self) -> bool {
        !self.seen.is_empty() && self.seen.iter().all(|way| way.state == "told")
    }
}

impl Way {
    pub(super) fn line(&self) -> String {
        let how = match (self.state.as_str(), self.seconds) {
            ("told", Some(seconds)) => format!("accepted after {seconds:.2} s"),
            ("refused", _) => "refused for good; the log of the running process says why".to_owned(),
            ("waiting", _) if self.tries > 0 => {
                "not accepted, and tried again; the log of the running process says why".to_owned()
            }
            ("waiting", _) => "not tried: it waits for WAHA, or for another alert".to_owned(),
            ("under_way", _) => "no answer yet".to_owned(),
            (state, _) => format!("not told: {state}"),
        };
        format!("{:12} {how}\n", self.channel)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "channel": self.channel, "state": self.state, "seconds": self.seconds, "tries": self.tries })
    }
}

fn deliveries(alert: &Value) -> impl Iterator<Item = &Value> {
    alert.get("deliveries").and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn moment(value: Option<&Value>) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(value?.as_str()?).ok()?;
    Some(at.with_timezone(&Utc))
}

pub(super) fn nobody_runs(config: &Config) -> Failure {
    Failure::failed(format!(
        "no waha-watchdog runs at {} (admin.listen), and only a running one can tell anybody anything",
        config.admin.listen
    ))
}

fn list(args: &ListArgs, config: &Config) -> Result<ExitCode, Failure> {
    let api = Api::new(config)?;
    let answer = block_on(api.get("/api/alerts", &[]))??.ok_or_else(|| nobody_runs(config))?;
    if args.json {
        print(&format!("{answer}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&tables(&answer))?;
    Ok(ExitCode::SUCCESS)
}

fn tables(answer: &Value) -> String {
    let all = |key: &str| answer.get(key).and_then(Value::as_array).into_iter().flatten();
    let word = |item: &Value, key: &str| plain(item.get(key).and_then(Value::as_str).unwrap_or("-"));
    let mut text = String::new();
    let _ = writeln!(text, "{:24}  {:20} {:14} TOLD", "AT", "SAYS", "SESSION");
    for alert in all("items") {
        let told: Vec<_> =
            deliveries(alert).map(|one| format!("{} {}", word(one, "channel"), word(one, "state"))).collect();
        let told = if told.is_empty() { "nobody: no channel takes it".to_owned() } else { told.join(", ") };
        let (at, says, session) = (word(alert, "at"), word(alert, "says"), word(alert, "session"));
        let _ = writeln!(text, "{at:24}  {says:20} {session:14} {told}");
    }
    let _ = writeln!(text, "\n{:14} {:>5}  {:24}  FAILING SINCE", "CHANNEL", "QUEUE", "LAST SUCCESS");
    for channel in all("channels").filter(|one| one.get("configured") == Some(&Value::Bool(true))) {
        let queue = channel.get("queue").and_then(Value::as_u64).unwrap_or(0);
        let (name, success) = (word(channel, "channel"), word(channel, "last_success"));
        let since = word(channel, "failing_since");
        let why = channel.get("why").and_then(Value::as_str).map(|why| format!("  {}", plain(why)));
        let _ = writeln!(text, "{name:14} {queue:>5}  {success:24}  {since}{}", why.unwrap_or_default());
    }
    text
}
