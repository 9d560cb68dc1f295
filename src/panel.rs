//! The panel: what the watchdog knows, on pages for people, in Spanish, English and Portuguese (SPEC 11).
//!
//! Every page is whole without script: links, forms, a redirect after each deed. The script only saves waiting: it takes the same page again
//! when something moved, and puts in place what differs. What a page shows comes from the heart's state and from the store; what it asks for
//! is done by the API's own handlers. Customers' numbers are masked until somebody asks for one, which is written down.
//!
//! - `guard`: who asks, from where, and is the form ours; the headers of every answer. `login`: in and out, the language
//! - `overview`, `orders`, `detail`, `failed`, `records`, `settings`, `logs`: the pages. `calls`: which orders, in which order
//! - `act`: what people ask for. Open pages hear of what moved from the API's own events
//! - `frame`: what every page has. `shown`: facts as people see them. `say`: the words. `chart`: small pictures. `assets`: style and script
//! - `snapshot`: the call list as a file, for when this process is not there
//!
//! | route | what |
//! | --- | --- |
//! | `/` | leads to `/panel/` |
//! | `/panel/` | *Estado*: does the bot speak, who was not told, what to do |
//! | `/panel/orders` | *Órdenes sin notificar*: the call list |
//! | `/panel/manual` | *Atención manual*: the channel works, the order wants a person |
//! | `/panel/undecided` | *Por decidir*: what nobody but a person can decide |
//! | `/panel/failed`, `/panel/failed/{id}` | *Notificaciones fallidas*, and one with everything that happened |
//! | `/panel/incidents`, `/panel/incidents/{id}` | *Incidentes* |
//! | `/panel/alerts`, `/panel/audit`, `/panel/config`, `/panel/logs` | *Alertas*, *Auditoría*, *Configuración*, *Logs* |

mod act;
mod assets;
mod calls;
mod chart;
mod detail;
mod failed;
mod frame;
mod guard;
mod login;
mod logs;
mod orders;
mod overview;
mod records;
mod revealed;
mod say;
mod settings;
mod shown;
mod snapshot;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

pub use snapshot::keep as keep_snapshot;

use crate::admin::{Admin, Deeds};
use crate::config::ShownKey;
use crate::domain::time::Timestamp;
use revealed::Revealed;

/// What the configuration says of the panel; SIGHUP swaps it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `panel.order_url`.
    pub order_url: Option<String>,
    /// `panel.snapshot_file`.
    pub snapshot_file: Option<PathBuf>,
    /// Every key as people see it.
    pub shown: Vec<ShownKey>,
}

/// The panel.
pub struct Panel {
    admin: Arc<Admin>,
    deeds: Deeds,
    /// What the configuration says; SIGHUP swaps it.
    pub settings: ArcSwap<Settings>,
    /// Numbers that somebody has asked for.
    revealed: Revealed,
}

impl Panel {
    /// A panel over what `admin` shows.
    pub fn new(admin: Arc<Admin>, settings: Settings) -> Self {
        Self {
            deeds: Deeds::new(&admin),
            admin,
            settings: ArcSwap::from_pointee(settings),
            revealed: Revealed::default(),
        }
    }

    fn now(&self) -> Timestamp {
        self.admin.clock.now()
    }
}

/// The panel's routes, for the admin listener.
pub fn routes(panel: &Arc<Panel>) -> Router {
    let pages = Router::new()
        .route("/panel/", get(overview::page))
        .route("/panel/orders", get(orders::unnotified))
        .route("/panel/manual", get(orders::manual))
        .route("/panel/undecided", get(orders::undecided))
        .route("/panel/failed", get(failed::page))
        .route("/panel/failed/{id}", get(detail::page))
        .route("/panel/incidents", get(records::incidents))
        .route("/panel/incidents/{id}", get(records::incident))
        .route("/panel/alerts", get(records::alerts))
        .route("/panel/audit", get(records::audit))
        .route("/panel/config", get(settings::page))
        .route("/panel/logs", get(logs::page))
        .route("/panel/login", get(login::page).post(login::log_in))
        .route("/panel/logout", post(login::log_out))
        .route("/panel/language", post(login::language))
        .route("/panel/act/retry", post(act::retry))
        .route("/panel/act/resolve", post(act::resolve))
        .route("/panel/act/claim", post(act::claim))
        .route("/panel/act/reopen", post(act::reopen))
        .route("/panel/act/reveal", post(act::reveal))
        .route("/panel/act/healthcheck", post(act::healthcheck))
        .route("/panel/act/restart", post(act::restart))
        .route("/panel/act/restart-bot", post(act::restart_bot))
        .route("/panel/act/test", post(act::test))
        .route("/panel/act/pause", post(act::pause))
        .route("/panel/act/resume", post(act::resume))
        .layer(from_fn_with_state(Arc::clone(panel), guard::check))
        .with_state(Arc::clone(panel));
    Router::new()
        .route("/", get(|| async { Redirect::to("/panel/") }))
        .route("/panel", get(|| async { Redirect::to("/panel/") }))
        .route("/panel/assets/{name}", get(assets::serve))
        .merge(pages)
}

/// A page, or what is left to say where it cannot be made.
fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the panel could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made; the log says why")
                .into_response()
        }
    }
}
