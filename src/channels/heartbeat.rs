//! A dead man's switch outside: called again and again as long as everything that matters makes progress. It calls people when the calls
//! end; so what is stuck, dead or cut off is told by silence.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::outside::{Outside, call, judge};
use super::told::Told;
use super::{Channels, SteadyBoard};
use crate::clock::Clock;
use crate::domain::delivery::{Delivered, Steady};
use crate::metrics::Metrics;

/// Without a switch, so often it is looked whether there is one now.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A call that failed is made again so soon, unless the interval is shorter.
const AGAIN: Duration = Duration::from_secs(10);
/// Longest wait for a connection that only shows that somebody is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the switch needs.
pub struct HeartbeatSettings {
    /// Where it is called.
    pub url: String,
    /// By POST instead of GET.
    pub post: bool,
    /// How often.
    pub interval: Duration,
}

/// The switch.
pub(super) struct Heartbeat {
    settings: HeartbeatSettings,
    outside: Outside,
}

impl Heartbeat {
    pub(super) fn new(settings: HeartbeatSettings, outside: Outside) -> Self {
        Self { settings, outside }
    }

    async fn beat(&self) -> Told {
        let HeartbeatSettings { url, post, .. } = &self.settings;
        let request = if *post { self.outside.post(url) } else { self.outside.get(url) };
        judge(call(request).await?.status)
    }

    /// Only whether somebody listens: every call would count as a sign of life.
    pub(super) async fn reach(&self) -> Result<String, String> {
        let uri: http::Uri =
            self.settings.url.parse().map_err(|_| "its address cannot be called".to_owned())?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        match timeout(PATIENCE, tokio::net::TcpStream::connect((host.as_str(), port))).await {
            Ok(Ok(_connected)) => {
                Ok(format!("{host} can be reached; it is called every {:?}", self.settings.interval))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_late) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
        }
    }
}

/// Calls until nobody polls any more. `alive` says whether everything makes progress, or what does not.
pub async fn beat_on<A: Future<Output = Result<(), &'static str>>>(
    channels: impl Fn() -> Arc<Channels>,
    alive: impl Fn() -> A,
    clock: Clock,
    metrics: Arc<Metrics>,
    board: Arc<SteadyBoard>,
) {
    let mut silent = false;
    loop {
        let channels = channels();
        let Some(heartbeat) = &channels.heartbeat else {
            sleep(LOOK_EVERY).await;
            continue;
        };
        let interval = heartbeat.settings.interval;
        let (how, why, nap) = match alive().await {
            Ok(()) => match heartbeat.beat().await {
                Ok(()) => (Delivered::Ok, Ok(()), interval),
                Err(untold) => {
                    tracing::warn!(
                        channel = "heartbeat",
                        "the dead man's switch was not reached: {}",
                        untold.why
                    );
                    (Delivered::Retried, Err(untold.why), interval.min(AGAIN))
                }
            },
            Err(stuck) => {
                if !silent {
                    tracing::error!(stuck, "the dead man's switch is not called: something is stuck");
                }
                let why = format!("it is not called: {stuck}");
                (Delivered::Suppressed, Err(why), interval.min(AGAIN))
            }
        };
        silent = how == Delivered::Suppressed;
        let waiting = usize::from(how != Delivered::Ok);
        metrics.mind.steady(Steady::Heartbeat, how, waiting, clock.now());
        board.note(Steady::Heartbeat, why, waiting, clock.now());
        sleep(nap).await;
    }
}

#[cfg(test)]
mod tests;
