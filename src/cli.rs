//! The command line: one file per command. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 store refused (SPEC 13).

mod act;
mod alert;
mod backup;
mod check;
mod drill;
mod export;
mod failed;
mod forget;
mod healthcheck;
mod incidents;
mod live;
mod output;
mod records;
mod run;
mod shell;
mod source;
mod stats;
mod status;
mod stored;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::records::List;
use crate::app::StartError;
use crate::config::command::{ConfigArgs, ConfigCommandError};
use crate::config::{self, ConfigFaults, Loaded};
use crate::demo::DemoError;
use crate::fake_waha::FakeWahaArgs;

/// A sidecar between a shop's WhatsApp bot and WAHA: no order is lost silently.
///
/// Point your bot's WAHA base URL at this process instead of WAHA (http://127.0.0.1:3001 unless configured otherwise). Every call passes
/// unchanged; how each send ended is recorded, and what a customer was never told is listed.
#[derive(Debug, Parser)]
#[command(name = "waha-watchdog", version, about, long_about, max_term_width = 100)]
pub struct Cli {
    /// Configuration file. Without it: $WAHA_WATCHDOG_CONFIG, else ./watchdog.toml where it exists, else the defaults.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar.
    ///
    /// SIGTERM and SIGINT take nothing new, finish what is in flight within 30 seconds and end; a second one ends at once. SIGHUP reads the
    /// configuration again (all but listeners and store); a bad one is told and changes nothing.
    Run,
    /// Check configuration, WAHA, key, sessions, store and alert channels: a line each, with the way out. Exit code 0 if all is well.
    Check(check::CheckArgs),
    /// Show the bot's status: is it speaking, why not, since when.
    Status(status::StatusArgs),
    /// Failed notifications: whom a customer's message never reached, and what was done about it.
    #[command(subcommand)]
    Failed(failed::FailedCommand),
    /// List incidents: when the bot could not speak, for how long, and whom it left untold.
    Incidents(incidents::IncidentsArgs),
    /// List orders whose customers were not told, the longest waiting first: whom to call.
    Orders(records::ListArgs),
    /// List what diagnoses found, the newest first.
    Failures(records::ListArgs),
    /// List sends as they stand after their latest attempts, the newest first.
    Sends(records::ListArgs),
    /// List who did what, the newest first.
    Audit(records::ListArgs),
    /// Show how the last day went: counts, success rate, latencies, what is open.
    Stats(stats::StatsArgs),
    /// Show the newest lines of the running sidecar's log.
    Logs(live::LogsArgs),
    /// Show what happens as it happens, until interrupted.
    Events(live::EventsArgs),
    /// Probe a session of WAHA now. Exit code 0 where it works, 1 where it does not.
    Probe(act::ProbeArgs),
    /// WAHA's sessions.
    #[command(subcommand)]
    Session(act::SessionCommand),
    /// The bot itself.
    #[command(subcommand)]
    Bot(act::BotCommand),
    /// Find out why a customer could not be told: writes a simple message to them, else to the admin.
    ///
    /// Exit code 0 where somebody was reached, so that the channel lives; 1 where nobody was.
    Diagnose(act::DiagnoseArgs),
    /// Alerts: what was told to whom, and whether the channels work.
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// Try the way to the admins: a labelled incident that is none goes through every alert channel.
    ///
    /// Prints how long each channel took to accept it, and ends it after --for, at Ctrl-C, or when this command dies. No customer, no
    /// status and no counter of sends is touched. Exit code 1 where a channel did not accept it.
    Drill(drill::DrillArgs),
    /// Pause or resume what the sidecar sends again by itself.
    #[command(subcommand)]
    Recovery(act::RecoveryCommand),
    /// Take a customer's name and phone out of all settled records.
    ///
    /// What was sent, when, and how it ended stays. The running sidecar does it; where none runs, this command does, on the store itself. Exit
    /// code 1 where open records still name the customer, 3 where another process holds the store.
    Forget(forget::ForgetArgs),
    /// Copy the whole store into a new file, while the sidecar runs or not.
    Backup(backup::BackupArgs),
    /// Write every send as a line of JSON, the oldest first.
    ///
    /// Beside a running process it asks that one; without, it reads the store's file. A send whose attempt was cut off is "ambiguous".
    Export(export::ExportArgs),
    /// Ask a running sidecar whether it is ready: exit code 0 if so. For containers.
    Healthcheck,
    /// Write or show the configuration.
    Config(ConfigArgs),
    /// A pretend WAHA with fault switches: try things without WhatsApp.
    FakeWaha(FakeWahaArgs),
    Demo(crate::demo::DemoArgs),
    /// Print the completions of the command line for a shell.
    #[command(hide = true)]
    Completions(shell::CompletionsArgs),
    /// Print the manual page of a command.
    #[command(hide = true)]
    Man(shell::ManArgs),
}

/// Why a command failed, with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self { code: 1, message: format!("{error:#}") }
    }

    fn refused(message: String) -> Self {
        Self { code: 3, message }
    }

    fn usage(message: String) -> Self {
        Self { code: 2, message }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(error)
    }
}

impl From<ConfigFaults> for Failure {
    fn from(faults: ConfigFaults) -> Self {
        Self::usage(format!("the configuration cannot be used:\n{faults}"))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::StoreRefused(_) => 3,
            StartError::Configuration(_) => 2,
            StartError::Failed(_) => 1,
        };
        Self { code, message: error.to_string() }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Faults(faults) => faults.into(),
            DemoError::Start(error) => error.into(),
            DemoError::Failed(error) => error.into(),
        }
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // One TLS provider for the whole process. Fails only where one is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.run() {
        Ok(code) => code,
        Err(Failure { code, message }) => {
            output::complain(&message);
            ExitCode::from(code)
        }
    }
}

impl Cli {
    fn run(self) -> Result<ExitCode, Failure> {
        let env = config::environment();
        let path = config::locate(self.config, &env, |path| path.exists());
        let load = || config::load(path.as_deref(), &env);
        match self.command {
            Command::Run => run::run(load()?, &|| load())?,
            Command::Check(args) => return check::run(&args, &load()?.config),
            Command::Status(args) => return status::run(&args, &load()?.config),
            Command::Failed(command) => return failed::run(&command, &load()?.config),
            Command::Incidents(args) => incidents::run(&args, &load()?.config)?,
            Command::Orders(args) => records::run(List::Orders, &args, &load()?.config)?,
            Command::Failures(args) => records::run(List::Failures, &args, &load()?.config)?,
            Command::Sends(args) => records::run(List::Sends, &args, &load()?.config)?,
            Command::Audit(args) => records::run(List::Audit, &args, &load()?.config)?,
            Command::Stats(args) => stats::run(&args, &load()?.config)?,
            Command::Logs(args) => live::logs(&args, &load()?.config)?,
            Command::Events(args) => live::events(&args, &load()?.config)?,
            Command::Probe(args) => return act::probe(&args, &load()?.config),
            Command::Session(command) => return act::session(&command, &load()?.config),
            Command::Bot(command) => return act::bot(&command, &load()?.config),
            Command::Diagnose(args) => return act::diagnose(&args, &load()?.config),
            Command::Forget(args) => return forget::run(&args, &load()?.config),
            Command::Backup(args) => backup::run(&args, &load()?.config)?,
            Command::Completions(args) => shell::completions(&args)?,
            Command::Man(args) => shell::man(&args)?,
            Command::Alert(command) => return alert::run(&command, &load()?.config),
            Command::Drill(args) => return drill::run(&args, &load()?.config),
            Command::Recovery(command) => return act::recovery(&command, &load()?.config),
            Command::Export(args) => export::run(&args, &load()?.config)?,
            Command::Healthcheck => healthcheck::run(&load()?.config)?,
            Command::Config(args) => match config::command::run(&args, path.as_deref(), &env) {
                Ok(text) => output::print(&text)?,
                Err(ConfigCommandError::Faults(faults)) => return Err(faults.into()),
                Err(error) => return Err(Failure::failed(error)),
            },
            Command::FakeWaha(args) => {
                block_on(async { crate::fake_waha::run(args).await.map_err(Failure::failed) })??;
            }
            Command::Demo(args) => crate::demo::run(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What [`run::run`] calls to read the configuration again.
type Load<'a> = &'a dyn Fn() -> Result<Loaded, ConfigFaults>;

/// Runs a future on a small runtime of its own.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}
