//! What everything on one of the proxy's threads shares: its connections to WAHA, its lane to the store.

use std::rc::Rc;
use std::sync::Arc;

use hyper::Response;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::DownBody;
use super::upstream::Pool;
use super::{Shared, synthetic};
use crate::domain::refusal::Refusal;
use crate::store::Lane;

/// What everything on one thread shares.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Rc<Pool>,
    pub(super) lane: Lane,
    /// Sends that run.
    pub(super) tasks: TaskTracker,
    /// Upgraded connections.
    pub(super) tunnels: TaskTracker,
    /// Nothing new from now on.
    pub(super) stop: CancellationToken,
    /// Nothing at all from now on.
    pub(super) kill: CancellationToken,
}

impl Worker {
    /// Answers a call ourselves, and counts it.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<DownBody> {
        self.shared.metrics.proxy.refused(refusal);
        synthetic::answer(refusal)
    }
}
