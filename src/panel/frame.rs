//! What every page has: where one is, what waits, the banner of an outage, and what the last deed came to.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::guard::Ask;
use super::say::Say;
use super::shown::{self, Look, Stamp};
use super::{Panel, assets, page as render};
use crate::admin::access::Proof;
use crate::domain::case::Case;
use crate::domain::decide::{Policy, State};
use crate::domain::notification::{Attention, Failure};
use crate::domain::outcome::Cause;
use crate::domain::recovery::Held;
use crate::domain::status::{Confidence, Status};
use crate::domain::time::Timestamp;
use crate::watchdog::news::Fact;
use crate::words::{self, Language};

/// A page of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    Overview,
    Orders,
    Manual,
    Undecided,
    Failed,
    Incidents,
    Alerts,
    Audit,
    Config,
    Logs,
}

/// A line of the menu.
pub(super) struct Link {
    pub(super) here: bool,
    pub(super) path: &'static str,
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
    /// The same where there is little room.
    pub(super) short: &'static str,
    pub(super) count: usize,
    pub(super) urgent: bool,
}

/// How much waits for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Orders whose customer knows nothing.
    pub(super) orders: usize,
    /// Orders that want a person, and somebody was reached.
    pub(super) manual: usize,
    /// Notifications that only a person can decide.
    pub(super) undecided: usize,
    /// Open failed notifications.
    pub(super) open: usize,
}

/// The channel is dead.
pub(super) struct Banner {
    pub(super) title: &'static str,
    /// When anything last got through.
    pub(super) last: Option<Stamp>,
    /// The same for those who hear the page: changes only when something of weight does.
    pub(super) spoken: String,
}

/// What the last deed came to.
pub(super) struct Flash {
    pub(super) look: Look,
    pub(super) text: String,
}

/// What every page has.
pub(super) struct Frame {
    pub(super) t: Say,
    pub(super) assets: assets::Paths,
    pub(super) title: String,
    pub(super) here: Here,
    pub(super) csrf: String,
    pub(super) who: Option<String>,
    pub(super) may_act: bool,
    pub(super) may_log_out: bool,
    /// Is it configured how the bot is restarted?
    pub(super) bot_hook: bool,
    pub(super) status: Look,
    pub(super) counts: Counts,
    pub(super) banner: Option<Banner>,
    pub(super) flash: Option<Flash>,
    /// This page, for coming back to it.
    pub(super) url: String,
    pub(super) now: Stamp,
    pub(super) version: &'static str,
}

impl Frame {
    /// For a page that somebody looks at.
    pub(super) fn new(panel: &Panel, ask: &Ask, here: Here, title: &str) -> Self {
        let (t, now) = (ask.say(), panel.now());
        let policy = panel.admin.heart.policy.load_full();
        let state = panel.admin.heart.state();
        let counts = Counts::of(&state, now, &policy);
        let worst = state.worst();
        let given = worst.assessment;
        let dead = match given.status {
            Status::IncommunicadoCritico => Some(t.banner_critical()),
            Status::Incommunicado => Some(t.banner_incommunicado()),
            Status::Offline if given.confidence == Confidence::High => Some(t.banner_offline()),
            _ => None,
        };
        let last = state.sessions().values().filter_map(|session| session.last_accepted).max();
        let visitor = ask.visitor.as_ref();
        Self {
            t,
            assets: assets::paths(),
            title: title.to_owned(),
            here,
            csrf: ask.csrf.clone(),
            who: visitor.filter(|visitor| visitor.proof != Proof::Local).map(|visitor| visitor.name.clone()),
            may_act: ask.may_act(),
            may_log_out: visitor.is_some_and(|visitor| visitor.proof == Proof::Login),
            bot_hook: panel.admin.restart_hook.load().is_some(),
            status: shown::status(given.status, t),
            counts,
            banner: dead.map(|title| Banner {
                title,
                last: last.map(|at| Stamp::new(at, now, t)),
                spoken: format!("{title}. {}: {}.", t.affected_orders(), counts.orders + counts.manual),
            }),
            flash: flash(ask),
            url: url(ask, &[]),
            now: Stamp::new(now, now, t),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The pages one needs at night.
    pub(super) fn main_links(&self) -> [Link; 4] {
        let (t, counts) = (self.t, self.counts);
        [
            self.link(Here::Overview, "/panel/", "pulse", t.overview(), t.overview(), 0),
            self.link(Here::Orders, "/panel/orders", "phone", t.orders(), t.orders_short(), counts.orders),
            self.link(Here::Manual, "/panel/manual", "hand", t.manual(), t.manual_short(), counts.manual),
            self.link(
                Here::Undecided,
                "/panel/undecided",
                "fork",
                t.undecided(),
                t.undecided_short(),
                counts.undecided,
            ),
        ]
    }

    /// The others.
    pub(super) fn more_links(&self) -> [Link; 6] {
        let t = self.t;
        [
            self.link(Here::Failed, "/panel/failed", "list", t.failed_notifications(), "", 0),
            self.link(Here::Incidents, "/panel/incidents", "flag", t.incidents(), "", 0),
            self.link(Here::Alerts, "/panel/alerts", "bell", t.alerts(), "", 0),
            self.link(Here::Audit, "/panel/audit", "eye", t.audit(), "", 0),
            self.link(Here::Config, "/panel/config", "sliders", t.config(), "", 0),
            self.link(Here::Logs, "/panel/logs", "lines", t.logs(), "", 0),
        ]
    }

    /// Is this page one of the others?
    pub(super) fn is_elsewhere(&self) -> bool {
        self.more_links().iter().any(|link| link.here)
    }

    fn link(
        &self,
        here: Here,
        path: &'static str,
        icon: &'static str,
        word: &'static str,
        short: &'static str,
        count: usize,
    ) -> Link {
        Link {
            here: self.here == here,
            path,
            icon,
            word,
            short,
            count,
            urgent: here == Here::Orders && count > 0,
        }
    }

    /// The names of the API's events: whatever is told, a page may look different.
    pub(super) fn events(&self) -> String {
        Fact::NAMES.join(" ")
    }

    /// The languages to choose from.
    pub(super) fn languages(&self) -> Vec<(&'static str, &'static str, bool)> {
        let chosen = self.t.0;
        let shown =
            Language::ALL.into_iter().map(|one| (Say(one).code(), Say(one).own_name(), one == chosen));
        shown.collect()
    }
}

impl Counts {
    /// Counts what is open.
    pub(super) fn of(state: &State, now: Timestamp, policy: &Policy) -> Self {
        let (mut orders, mut manual) = (BTreeSet::new(), BTreeSet::new());
        let mut counts = Self::default();
        for case in open(state) {
            let attention = case.failure.as_ref().map(|failure| failure.attention).unwrap_or_default();
            let set = if attention == Attention::Manual { &mut manual } else { &mut orders };
            set.insert(key(case));
            counts.open += 1;
            counts.undecided += usize::from(waits_for_decision(state, case, now, policy).is_some());
        }
        counts.orders = orders.len();
        counts.manual = manual.iter().filter(|order| !orders.contains(*order)).count();
        counts
    }
}

/// Open failed notifications.
pub(super) fn open(state: &State) -> impl Iterator<Item = &Case> {
    state.cases().values().filter(|case| case.failure.as_ref().is_some_and(Failure::is_open))
}

/// What joins the notifications of one order; a send without order stands for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Order(&'a str),
    Send(&'a [u8; 16]),
}

pub(super) fn key(case: &Case) -> Key<'_> {
    case.what.order.key().map_or_else(|| Key::Send(case.send.as_bytes()), Key::Order)
}

/// Why only a person can decide this one; `None` where time, or a call, decides.
pub(super) fn waits_for_decision(
    state: &State,
    case: &Case,
    now: Timestamp,
    policy: &Policy,
) -> Option<Held> {
    let held = state.held(case, now, policy)?;
    let decides = matches!(
        held,
        Held::MayHaveArrived | Held::NotConfirmed | Held::TooOld | Held::Superseded | Held::Restricted
    );
    decides.then_some(held)
}

/// This page's address, with some fields of its query changed; what was said once is not said again.
pub(super) fn url(ask: &Ask, changed: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let kept = ask.query.pairs().filter(|(name, value)| {
        !matches!(*name, "said" | "why")
            && !value.is_empty()
            && changed.iter().all(|(other, _)| other != name)
    });
    kept.chain(changed.iter().copied()).for_each(|(name, value)| _ = query.append_pair(name, value));
    let query = query.finish();
    if query.is_empty() { ask.path.clone() } else { format!("{}?{query}", ask.path) }
}

/// What the last deed came to, from the address: a word of ours and perhaps a cause, never a text.
fn flash(ask: &Ask) -> Option<Flash> {
    let t = ask.say();
    let said = ask.query.get("said");
    if said.is_empty() {
        return None;
    }
    let (good, text) = t.said(said)?;
    let cause = Cause::ALL.into_iter().find(|cause| cause.as_str() == ask.query.get("why"));
    let text = match cause {
        Some(cause) => format!("{text} {}", words::cause(cause, ask.language)),
        None => text.to_owned(),
    };
    Some(Flash { look: if good { Look::good(t.done()) } else { Look::warn(t.not_done()) }, text })
}

/// Why something is not shown or not done.
#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage {
    t: Say,
    assets: assets::Paths,
    why: &'static str,
    back: String,
}

/// A page that says why not.
pub(super) fn refusal(_panel: &Arc<Panel>, ask: &Ask, status: StatusCode, why: &'static str) -> Response {
    let back = ask.back().to_owned();
    render(status, &RefusalPage { t: ask.say(), assets: assets::paths(), why, back })
}

/// A page that is not there.
pub(super) fn missing(panel: &Arc<Panel>, ask: &Ask) -> Response {
    refusal(panel, ask, StatusCode::NOT_FOUND, ask.say().nothing_here())
}

/// The records cannot be read right now.
pub(super) fn unreadable(panel: &Arc<Panel>, ask: &Ask) -> Response {
    refusal(panel, ask, StatusCode::SERVICE_UNAVAILABLE, ask.say().store_unreadable())
}
