//! What everything on one of the proxy's threads shares: its connections to WAHA, its lane to the store.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hyper::Response;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::DownBody;
use super::settings::Settings;
use super::turnstile::Turnstile;
use super::upstream::Pool;
use super::waits::Waits;
use super::{Shared, synthetic};
use crate::domain::refusal::Refusal;
use crate::store::Lane;

/// What everything on one thread shares.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Rc<Pool>,
    /// Sends on their way to WAHA pass here.
    pub(super) turnstile: Turnstile,
    pub(super) lane: Lane,
    /// Sends that run.
    pub(super) tasks: TaskTracker,
    /// Upgraded connections.
    pub(super) tunnels: TaskTracker,
    /// Nothing new from now on.
    pub(super) stop: CancellationToken,
    /// Nothing at all from now on.
    pub(super) kill: CancellationToken,
    /// Connections, called off by `stop`.
    pub(super) guests: Rc<Waits>,
    /// Calls to WAHA, called off by `kill`.
    pub(super) calls: Rc<Waits>,
    pub(super) settings: SettingsOfThread,
}

/// The settings in force, as this thread's own copy: what all threads count and borrow from one place costs each of them a wait for the others.
#[derive(Debug)]
pub(super) struct SettingsOfThread(RefCell<(Arc<Settings>, Rc<Settings>)>);

impl SettingsOfThread {
    pub(super) fn new(shared: &Shared) -> Self {
        let all = shared.settings.load_full();
        let own = Rc::new(Settings::clone(&all));
        Self(RefCell::new((all, own)))
    }
}

impl Worker {
    /// The settings in force.
    pub(super) fn settings(&self) -> Rc<Settings> {
        let mut settings = self.settings.0.borrow_mut();
        let in_force = self.shared.settings.load();
        if !Arc::ptr_eq(&settings.0, &in_force) {
            *settings = (Arc::clone(&in_force), Rc::new(Settings::clone(&in_force)));
        }
        Rc::clone(&settings.1)
    }

    /// Answers a call ourselves, and counts it.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<DownBody> {
        self.shared.metrics.proxy.refused(refusal);
        synthetic::answer(refusal)
    }
}
