//! `forget PHONE`: through the running process, or where none runs on the store itself. Exit code 0 where nothing is left, 1 where something is.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::act::show;
use super::source::Api;
use super::{Failure, block_on};
use crate::admin::forgetting::{Obeys, forget};
use crate::admin::view;
use crate::app::{policy_of, store_of, stored_state};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::command::{Command, Reply};
use crate::domain::decide::{Change, Policy, State};
use crate::domain::forget::Forgotten;
use crate::domain::id::Phone;
use crate::domain::ledger::Position;
use crate::store::{NoMeter, Opening, ReadError, Store};

/// All records are looked through.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The name in the audit of whoever works on a store that no process runs on.
const WHO: &str = "cli";

/// Whom to forget.
#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// The customer's phone, with its country code.
    phone: String,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ForgetArgs, config: &Config) -> Result<ExitCode, Failure> {
    let customer = Phone::new(&args.phone).and_then(|phone| Forgotten::new(&phone));
    let customer =
        customer.ok_or_else(|| Failure::usage("PHONE is a phone number with its country code".to_owned()))?;
    let api = Api::for_acting(config)?;
    let answer = block_on(api.post("/api/forget", &json!({ "phone": args.phone }), PATIENCE))??;
    let answer = match answer {
        Some(answer) => answer,
        None => block_on(without_a_process(config, &customer))??,
    };
    show(args.json, &answer, &said(&answer, config))?;
    let left = answer.get("rows_left").and_then(Value::as_u64).unwrap_or(0);
    Ok(if left == 0 && open_count(&answer) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open_count(answer: &Value) -> u64 {
    answer.get("open_count").and_then(Value::as_u64).unwrap_or(0)
}

fn said(answer: &Value, config: &Config) -> String {
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    let named = |key: &str| answer.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut said = format!(
        "forgotten in {} attempts and {} settled failed notifications\n",
        count("attempts"),
        count("notifications")
    );
    for id in named("open") {
        said.push_str(&format!("still open: {}\n", id.as_str().unwrap_or("-")));
    }
    let (open, left) = (open_count(answer), count("rows_left"));
    if open > 0 {
        said.push_str(&format!(
            "{open} records are open and still name the customer: settle them (failed resolve ID), then forget again\n"
        ));
    } else if left > 0 {
        said.push_str(&format!(
            "{left} rows still name the customer: sends that are under way, or were cut off. With the sidecar running, forget again in ten minutes\n"
        ));
    }
    for file in named("files_left") {
        said.push_str(&format!(
            "a broken store that was set aside may name them too: {}\n",
            file.as_str().unwrap_or("-")
        ));
    }
    if let Some(file) = &config.panel.snapshot_file {
        said.push_str(&format!(
            "{} names those whose orders are open, and is written anew by the running sidecar\n",
            file.display()
        ));
    }
    said.push_str("copies that you made (backup) are yours to delete\n");
    said
}

/// A heart as it was stored, that nobody runs.
struct Alone {
    store: Store,
    clock: Clock,
    policy: Policy,
    state: Mutex<State>,
    applied: Position,
}

/// Opens the store, which nobody else can meanwhile, and leaves it as small as it can be.
async fn without_a_process(config: &Config, customer: &Forgotten) -> Result<Value, Failure> {
    let settings = store_of(config);
    if !settings.path.exists() {
        return Err(Failure::failed(format!(
            "no waha-watchdog runs at {} (admin.listen), and there is no store at {}",
            config.admin.listen,
            settings.path.display()
        )));
    }
    let clock = Clock::system();
    let started = Store::start(settings, clock.clone(), Arc::new(NoMeter)).map_err(Failure::failed)?;
    // What it hands on is for a heart that runs.
    let (store, _feed) = started;
    match store.opened().await {
        Opening::Ready(_) => {}
        Opening::Refused(refused) => {
            return Err(Failure::refused(format!(
                "nothing answers at {} (admin.listen), and the store itself cannot be used: {refused}",
                config.admin.listen
            )));
        }
        Opening::Unavailable(why) => return Err(Failure::failed(why)),
    }
    let loaded = store.reader().load().map_err(Failure::failed)?;
    let (applied, now) = (loaded.applied, clock.now());
    let state = Mutex::new(stored_state(config, loaded, Vec::new(), now));
    let alone = Alone { store: store.clone(), clock, policy: policy_of(config), state, applied };
    let forgot = forget(&store, customer, &alone).await?;
    let rewritten = tokio::task::spawn_blocking({
        let store = store.clone();
        move || store.rewrite()
    });
    let rewritten = rewritten.await.map_err(Failure::failed)?;
    drop(alone);
    store.close().await;
    rewritten.map_err(|error| {
        Failure::failed(format!("forgotten, but free pages of the file may still hold the number: {error}"))
    })?;
    Ok(view::json(&forgot))
}

impl Alone {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Obeys for Alone {
    type Refused = Failure;

    async fn obey(&self, command: Command) -> Result<(), Failure> {
        let (decision, reply) = self.state().command(command, WHO, self.clock.now(), &self.policy);
        if let Reply::Refused(refusal) = reply {
            return Err(Failure::failed(refusal));
        }
        // It is written anew when all is done, and nobody is in the way.
        let changes =
            decision.changes.into_iter().filter(|change| !matches!(change, Change::Rewrite)).collect();
        self.store.commit(changes, self.applied, Position(0)).await.map_err(Failure::failed)
    }

    fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::failed(error)
    }
}
