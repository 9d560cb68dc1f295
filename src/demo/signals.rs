//! Ctrl-C and its like: the first asks for the end, the second does not wait for it.

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio_util::sync::CancellationToken;

/// What somebody at the terminal wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// No new orders: let those on their way end, then the summary.
    pub(super) stop: CancellationToken,
    /// The summary now.
    pub(super) cut: CancellationToken,
}

impl Wishes {
    /// Listens from now on, for the rest of the process.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let wishes = Self::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
            .context("failed to listen for Ctrl-C")?;
        let told = wishes.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    if told.stop.is_cancelled() {
                        told.cut.cancel();
                    }
                    told.stop.cancel();
                }
            })
            .context("failed to start a thread")?;
        Ok(wishes)
    }
}
