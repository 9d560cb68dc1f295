//! Acting through the running process: `failed retry|resolve|claim|reopen`, `recovery pause|resume`, `probe`, `session restart`, `bot restart|
//! heartbeat`, `diagnose`. Exit code 0 done, 1 not done.
//!
//! Without a running process nothing can be done: only the heart changes records.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::output::{plain, print};
use super::source::Api;
use super::{Failure, block_on};
use crate::config::Config;
use crate::domain::id::SendId;

/// A retry waits for WAHA, which takes its time.
const PATIENCE: Duration = Duration::from_secs(175);

/// One failed notification.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// Its id, as `failed list` prints it.
    id: SendId,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// How one was settled.
#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How the customer was told.
    #[arg(long, value_enum, default_value_t = By::ManualContact)]
    method: By,
    /// What is worth remembering, at most 1000 characters.
    #[arg(long)]
    note: Option<String>,
}

/// How somebody told a customer.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    PhoneCall,
    Sms,
    Email,
    ManualContact,
    Retry,
    Expired,
}

/// Whether pending notifications are sent again by themselves.
#[derive(Debug, Subcommand)]
pub(super) enum RecoveryCommand {
    /// Send nothing again by itself until resumed; `failed retry` still works.
    Pause(RecoveryArgs),
    /// Go on.
    Resume(RecoveryArgs),
}

#[derive(Debug, Args)]
pub(super) struct RecoveryArgs {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Which session to probe.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// One of `waha.sessions`; the first where none is said.
    session: Option<String>,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// WAHA's sessions.
#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// Restart a session, where that may help: at most three times an hour.
    Restart(SessionArgs),
}

#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    /// One of `waha.sessions`.
    session: String,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// The bot itself.
#[derive(Debug, Subcommand)]
pub(super) enum BotCommand {
    /// Restart the bot through bot.restart_url: at most three times an hour.
    Restart(RecoveryArgs),
    /// Give the bot's sign of life for it: for scripts that watch it.
    Heartbeat(RecoveryArgs),
}

/// What could not be told, and to whom.
#[derive(Debug, Args)]
pub(super) struct DiagnoseArgs {
    /// The customer's phone; where it is missing, there must be an order.
    #[arg(long, required_unless_present_any = ["order_id", "order_number"])]
    phone: Option<String>,
    /// The shop's internal id of the order.
    #[arg(long)]
    order_id: Option<String>,
    /// The number that people say.
    #[arg(long)]
    order_number: Option<String>,
    /// The customer's name.
    #[arg(long)]
    name: Option<String>,
    /// The total as it is to be written.
    #[arg(long)]
    total: Option<String>,
    /// One of `waha.sessions`; the first where none is said.
    #[arg(long)]
    session: Option<String>,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn probe(args: &ProbeArgs, config: &Config) -> Result<ExitCode, Failure> {
    let answer = call(config, "/api/healthcheck", &json!({ "session": args.session }))?;
    let healthy = answer.get("healthy") == Some(&Value::Bool(true));
    let word = |key: &str| plain(answer.get(key).and_then(Value::as_str).unwrap_or(""));
    let mut said = format!("{}: {}. {}\n", word("session"), word("result"), word("message"));
    if !healthy {
        said.push_str(&format!("{}\n", word("instruction")));
    }
    show(args.json, &answer, &said)?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn session(command: &SessionCommand, config: &Config) -> Result<ExitCode, Failure> {
    let SessionCommand::Restart(args) = command;
    let name = utf8_percent_encode(&args.session, NON_ALPHANUMERIC);
    let answer = call(config, &format!("/api/sessions/{name}/restart"), &json!({}))?;
    show(args.json, &answer, &format!("{}: WAHA restarts it\n", plain(&args.session)))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn bot(command: &BotCommand, config: &Config) -> Result<ExitCode, Failure> {
    let (args, path, said) = match command {
        BotCommand::Restart(args) => (args, "/api/bot/restart", "the hook has taken the wish\n"),
        BotCommand::Heartbeat(args) => (args, "/api/heartbeat", "heard\n"),
    };
    let answer = call(config, path, &json!({}))?;
    show(args.json, &answer, said)?;
    Ok(ExitCode::SUCCESS)
}

/// Exit code 0 where the channel lives, 1 where nobody could be reached or there was nobody to write to.
pub(super) fn diagnose(args: &DiagnoseArgs, config: &Config) -> Result<ExitCode, Failure> {
    let fields = [
        ("order_id", &args.order_id),
        ("order_number", &args.order_number),
        ("customer_name", &args.name),
        ("customer_phone", &args.phone),
        ("order_total", &args.total),
        ("session", &args.session),
    ];
    let body: serde_json::Map<_, _> = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value.clone()?))))
        .collect();
    let answer = call(config, "/api/diagnoses", &Value::Object(body))?;
    let word = |key: &str| plain(answer.get(key).and_then(Value::as_str).unwrap_or("-"));
    let said = format!("{} ({})\n{}\n", word("failure_type"), word("status"), word("evidence"));
    show(args.json, &answer, &said)?;
    let lives = answer.get("bot_reachable") == Some(&Value::Bool(true));
    Ok(if lives { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends it again now, and says how that ended.
pub(super) fn retry(args: &OneArgs, config: &Config) -> Result<ExitCode, Failure> {
    let answer = call(config, &path(args, "retry"), &json!({}))?;
    let success = answer.get("success").and_then(Value::as_bool).unwrap_or(false);
    let word = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("-");
    let is = |key: &str| answer.get(key).and_then(Value::as_bool).unwrap_or(false);
    let said = if is("reconciled") {
        format!("{}: WAHA had sent it already; nothing was sent again\n", args.id)
    } else if success {
        format!("{}: sent again, and accepted\n", args.id)
    } else {
        format!("{}: not accepted: {} ({})\n{}\n", args.id, word("outcome"), word("cause"), word("message"))
    };
    let unchecked = "an earlier attempt may have arrived as well: WAHA could not say\n";
    let said = if is("unchecked") { said + unchecked } else { said };
    show(args.json, &answer, &said)?;
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn resolve(args: &ResolveArgs, config: &Config) -> Result<ExitCode, Failure> {
    let method = args.method.to_possible_value().map(|value| value.get_name().to_owned());
    let body = json!({ "resolution_method": method, "note": args.note });
    let answer = call(config, &path(&args.one, "mark_resolved"), &body)?;
    told(&args.one, &answer, "marked resolved by", "resolved_by")
}

pub(super) fn claim(args: &OneArgs, config: &Config) -> Result<ExitCode, Failure> {
    let answer = call(config, &path(args, "claim"), &json!({}))?;
    told(args, &answer, "taken by", "claimed_by")
}

pub(super) fn reopen(args: &OneArgs, config: &Config) -> Result<ExitCode, Failure> {
    let answer = call(config, &path(args, "reopen"), &json!({}))?;
    told(args, &answer, "open again; attempts so far:", "attempts")
}

pub(super) fn recovery(command: &RecoveryCommand, config: &Config) -> Result<ExitCode, Failure> {
    let (args, verb, said) = match command {
        RecoveryCommand::Pause(args) => {
            (args, "pause", "paused: nothing is sent again by itself until `recovery resume`\n")
        }
        RecoveryCommand::Resume(args) => (args, "resume", "resumed: what is pending is sent again in turn\n"),
    };
    let answer = call(config, &format!("/api/recovery/{verb}"), &json!({}))?;
    show(args.json, &answer, said)?;
    Ok(ExitCode::SUCCESS)
}

fn path(args: &OneArgs, verb: &str) -> String {
    format!("/api/notifications/failed/{}/{verb}", args.id)
}

fn call(config: &Config, path: &str, body: &Value) -> Result<Value, Failure> {
    let api = Api::for_acting(config)?;
    let answer = block_on(api.post(path, body, PATIENCE))??;
    answer.ok_or_else(|| {
        Failure::failed(format!(
            "no waha-watchdog runs at {} (admin.listen), and only a running one can do this",
            config.admin.listen
        ))
    })
}

fn told(args: &OneArgs, answer: &Value, what: &str, key: &str) -> Result<ExitCode, Failure> {
    let value = answer.get("notification").and_then(|shown| shown.get(key)).unwrap_or(&Value::Null);
    let value = value.as_str().map_or_else(|| value.to_string(), plain);
    show(args.json, answer, &format!("{}: {what} {value}\n", args.id))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(json: bool, answer: &Value, said: &str) -> Result<(), Failure> {
    if json { print(&format!("{answer}\n")) } else { print(said) }
}
