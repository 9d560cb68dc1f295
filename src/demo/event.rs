//! What happens, as `--json` says it: keys are added, never renamed.

use serde::Serialize;

use super::order::Order;
use super::setting::StorePlace;
use super::stage::Plan;
use super::summary::Summary;
use crate::app::Running;
use crate::fake_waha::FakeWaha;

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// Everything runs.
    Started(Started),
    /// A customer ordered.
    OrderPlaced(Placed),
    /// WAHA took the message.
    OrderTold(Told),
    /// An attempt of the bot failed.
    AttemptFailed(AttemptFailed),
    /// The bot tries no more.
    GaveUp(GaveUp),
    /// The sidecar lists the order as one whose customer was not told.
    NotificationFailed(NotificationFailed),
    /// It should, and does not.
    NotificationMissing(Placed),
    /// WAHA refuses connections.
    OutageBegan,
    /// WAHA takes connections again.
    OutageEnded(OutageEnded),
    /// The sidecar's status changed.
    StatusChanged(StatusChanged),
    /// No new orders; so many are still being tried.
    Finishing(Finishing),
    /// It is over.
    Summary(Summary),
}

/// Where everything is, and what is going to happen.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    pub(super) version: &'static str,
    pub(super) proxy: String,
    pub(super) admin: String,
    pub(super) waha: String,
    pub(super) store: String,
    pub(super) store_kept: bool,
    #[serde(flatten)]
    pub(super) plan: Plan,
}

impl Started {
    pub(super) fn new(plan: &Plan, running: &Running, waha: &FakeWaha, place: &StorePlace) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            proxy: format!("http://{}", running.proxy),
            admin: format!("http://{}", running.admin),
            waha: waha.url(),
            store: place.path().display().to_string(),
            store_kept: place.is_kept(),
            plan: plan.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Placed {
    #[serde(flatten)]
    pub(super) order: Order,
}

#[derive(Debug, Serialize)]
pub(super) struct Told {
    #[serde(flatten)]
    pub(super) order: Order,
    pub(super) attempts: u32,
    pub(super) send_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AttemptFailed {
    #[serde(flatten)]
    pub(super) order: Order,
    pub(super) attempt: u32,
    pub(super) of: u32,
    pub(super) status: Option<u16>,
    pub(super) error: String,
    pub(super) retry_in_ms: Option<u128>,
}

#[derive(Debug, Serialize)]
pub(super) struct GaveUp {
    #[serde(flatten)]
    pub(super) order: Order,
    pub(super) attempts: u32,
}

/// As the API says it.
#[derive(Debug, Serialize)]
pub(super) struct NotificationFailed {
    #[serde(flatten)]
    pub(super) order: Order,
    pub(super) id: String,
    pub(super) cause: String,
    pub(super) attempts: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct OutageEnded {
    /// Orders whose customers the API lists as not told, at this moment.
    pub(super) orders_unnotified: Option<u64>,
}

/// As the API says it.
#[derive(Debug, Serialize)]
pub(super) struct StatusChanged {
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) reason_code: String,
    pub(super) reason: String,
    pub(super) interpretation: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Finishing {
    pub(super) open_orders: usize,
    /// At the longest.
    pub(super) within_ms: u128,
}
