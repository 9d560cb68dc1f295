//! `status`: is the bot speaking? Exit code 0 where it is (or nothing is known against it), 1 where it is not.
//!
//! Beside a running process it asks that one. Without, nothing speaks (1), and it tells what the store's file says of the last run.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::output::print;
use super::source::{Api, file};
use super::{Failure, block_on};
use crate::admin::view;
use crate::app::{language_of, stored_state};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{StoreHealth, StoreState};

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
    let runs = status.is_some();
    let status = match status {
        Some(status) => status,
        None => stored(config)?,
    };
    let word = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    if args.json {
        print(&format!("{status}\n"))?;
    } else {
        if !runs {
            print(&format!("nothing runs at {} (admin.listen); when it last did:\n", config.admin.listen))?;
        }
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
    let speaks = runs && matches!(word("status").as_str(), "online" | "degraded" | "unknown");
    Ok(if speaks { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stored(config: &Config) -> Result<Value, Failure> {
    let now = Clock::system().now();
    let loaded = file(config)?.load().map_err(Failure::failed)?;
    let state = stored_state(config, loaded, now);
    let health = StoreHealth { state: StoreState::Closed, reason: "nothing runs".to_owned(), since: now };
    Ok(view::bot_status(&state, &health, language_of(config), now))
}
