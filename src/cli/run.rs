//! `run`: the sidecar itself, and what signals do to it.

use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Failure, Load};
use crate::app::{self, Running};
use crate::config::{Loaded, LogFormat};
use crate::logging::{self, Format};

/// So long what is in flight has to end after the first signal (SPEC 13).
const DRAIN: Duration = Duration::from_secs(30);

/// Runs until a signal ends it.
pub(super) fn run(loaded: Loaded, load: Load<'_>) -> Result<(), Failure> {
    let format = match loaded.config.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    logging::start(&loaded.config.log.level, format)?;
    // From here on a signal is ours, so that none is lost while we start.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(Failure::failed)?;
    let running = app::start(&loaded.config)?;
    let (handle, waker) = (running.handle(), signals.handle());
    let mut stopping = false;
    let mut joiner = None;
    let mut running = Some(running);
    for signal in signals.forever() {
        match (signal, &running) {
            (SIGHUP, Some(running)) => reload(running, load),
            (SIGHUP, None) => {}
            _ if stopping => {
                tracing::warn!("stopping at once");
                handle.kill();
            }
            _ => {
                stopping = true;
                tracing::info!(within = ?DRAIN, "stopping: finishing what is in flight");
                handle.stop();
                let (late, waker) = (handle.clone(), waker.clone());
                std::thread::spawn(move || {
                    std::thread::sleep(DRAIN);
                    late.kill();
                });
                joiner = running.take().map(|running| {
                    std::thread::spawn(move || {
                        running.join();
                        waker.close();
                    })
                });
            }
        }
    }
    if let Some(joiner) = joiner {
        let _ = joiner.join();
    }
    Ok(())
}

fn reload(running: &Running, load: Load<'_>) {
    let outcome = load()
        .map_err(|faults| faults.to_string())
        .and_then(|loaded| running.reload(&loaded.config).map_err(|error| format!("{error:#}")));
    running.note_reload(outcome.is_ok());
    match outcome {
        Ok(()) => tracing::info!("configuration reloaded (listeners and store stay as they were)"),
        Err(why) => tracing::error!("the configuration was not reloaded, the old one stays in force:\n{why}"),
    }
}
