//! The log: to standard error, as text or JSON lines. What must not be in it is kept out by the types that print masked.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts logging at `level`, a word such as `info` or a filter such as `waha_watchdog=debug`.
///
/// # Errors
/// Where the filter cannot be read, or logging was started before.
pub fn start(level: &str, format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain to standard error, and panic where that is what is broken: nobody's thread dies of a log that nobody reads.
        .log_internal_errors(false)
        .with_target(false)
        .with_span_events(FmtSpan::NONE);
    let started = match format {
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
