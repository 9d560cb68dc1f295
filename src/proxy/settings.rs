//! What the proxy needs to know of the configuration, in its own words.

use std::sync::Arc;
use std::time::Duration;

use super::upstream::{CallLimits, Upstream};
use crate::domain::backoff::Backoff;
use crate::domain::extract::Rules;

/// The proxy's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where WAHA is.
    pub upstream: Arc<Upstream>,
    /// `proxy.max_connections`.
    pub connections_max: usize,
    /// `proxy.header_timeout`: longest wait for a request's head.
    pub header_timeout: Duration,
    /// `proxy.body_timeout`: within each such span a body must move on, both ways.
    pub body_timeout: Duration,
    /// `proxy.idle_timeout`: how long a bot's connection may rest between calls.
    pub idle_timeout: Duration,
    /// `proxy.connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy.response_timeout`: from the request's last byte to the answer's head.
    pub response_timeout: Duration,
    /// `proxy.upstream_idle_timeout`: how long a connection to WAHA may rest and still be used.
    pub upstream_idle_timeout: Duration,
    /// `proxy.max_body`, in bytes.
    pub body_max: u64,
    /// `proxy.max_head`, in bytes.
    pub head_max: usize,
    /// `proxy.extra_send_paths`.
    pub extra_send_paths: Vec<String>,
    /// `sends.copy_max`: largest body that is kept, in bytes.
    pub copy_max: usize,
    /// `sends.copy_budget`: all bodies kept at once, in bytes.
    pub copy_budget: usize,
    /// `store.intent`: which sends are on disk before they leave.
    pub intent: Intents,
    /// `retry.mode = "proxy"`, with its numbers; `None` where the bot retries.
    pub retry: Option<Retry>,
    /// `[[extract]]`.
    pub rules: Rules,
}

impl Settings {
    /// How long a call may take where it is WAHA's turn.
    pub(super) const fn call_limits(&self) -> CallLimits {
        CallLimits {
            connect: self.connect_timeout,
            idle: self.upstream_idle_timeout,
            stall: self.body_timeout,
        }
    }
}

/// Which sends are on disk before they leave (SPEC 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intents {
    /// Those with order data.
    Order,
    /// All.
    Always,
    /// None.
    Never,
}

/// How the proxy itself retries.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// `retry.attempts`: tries in all.
    pub attempts: u32,
    /// `retry.budget`: no try starts later than this after the first.
    pub budget: Duration,
    /// `retry.backoff`, `retry.factor`, `retry.jitter`.
    pub backoff: Backoff,
}
