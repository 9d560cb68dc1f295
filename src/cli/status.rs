//! `status`: is the bot speaking? Exit code 0 where it is (or nothing is known against it), 1 where it is not.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::print;
use super::source::Api;
use super::{Failure, block_on};
use crate::config::Config;

/// Show the bot's status.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs, config: &Config) -> Result<ExitCode, Failure> {
    let api = Api::new(config)?;
    let status = block_on(api.get("/api/bot/status", &[]))??;
    let Some(status) = status else {
        return Err(Failure::failed(format!(
            "no waha-watchdog runs at {} (admin.listen)",
            config.admin.listen
        )));
    };
    let word = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    if args.json {
        print(&format!("{status}\n"))?;
    } else {
        print(&format!(
            "{} ({}) since {}\n{}\n{}\norders whose customer was not told: {}\nlast success: {}\n",
            word("status"),
            word("confidence"),
            word("since"),
            word("reason"),
            word("interpretation"),
            status.get("orders_unnotified").and_then(Value::as_u64).unwrap_or(0),
            word("last_success"),
        ))?;
    }
    let speaks = matches!(word("status").as_str(), "online" | "degraded" | "unknown");
    Ok(if speaks { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
