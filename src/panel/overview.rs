//! *Estado*: in three seconds, does the bot speak, who was not told, what do I do.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::calls::{self, Progress};
use super::chart::{self, Bar, Bars, HOURS, STRIP};
use super::frame::{Frame, Here};
use super::guard::Ask;
use super::say::Say;
use super::shown::{self, Look, Stamp};
use super::{Panel, page as render};
use crate::domain::confirmation::{Confirmation, FeedState};
use crate::domain::day::Total;
use crate::domain::decide::{OTHER_SESSIONS, State as Heart};
use crate::domain::probe::ProbeResult;
use crate::domain::session::Session;
use crate::domain::status::{Confidence, Status};
use crate::domain::time::Timestamp;
use crate::store::{StoreHealth, StoreState};
use crate::words::{self, Language};

/// What the figures are of.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Changes of the status looked at for a day's strip.
const CHANGES_MAX: usize = 500;

/// One thing to do.
pub(super) struct Step {
    pub(super) text: String,
    /// Where it is done.
    pub(super) path: Option<&'static str>,
    pub(super) link: &'static str,
}

/// One sign of how the channel is.
pub(super) struct Sign {
    pub(super) name: &'static str,
    pub(super) look: Look,
    pub(super) text: String,
    pub(super) at: Option<Stamp>,
}

/// A session on the page.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) since: Stamp,
    pub(super) probe: Option<&'static str>,
    pub(super) probed: Option<Stamp>,
    pub(super) strip: Vec<Bar>,
    /// Why a restart cannot help; `None` where it may.
    pub(super) no_restart: Option<&'static str>,
    pub(super) configured: bool,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    f: Frame,
    t: Say,
    look: Look,
    since: Stamp,
    confidence: &'static str,
    reason: &'static str,
    interpretation: &'static str,
    session: Option<String>,
    /// Sends are not being recorded.
    unrecorded: Option<String>,
    steps: Vec<Step>,
    signs: Vec<Sign>,
    rate: Option<String>,
    rate_look: &'static str,
    latency: Option<String>,
    last_success: Option<Stamp>,
    bars: Bars,
    sessions: Vec<Shown>,
    progress: Progress,
    strip_wide: f64,
    hours: i64,
}

/// `GET /panel/`.
pub(super) async fn page(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let t = ask.say();
    let f = Frame::new(&panel, &ask, Here::Overview, t.overview());
    let (now, policy) = (panel.now(), panel.admin.heart.policy.load_full());
    let history = panel.admin.store.reader().history(None, CHANGES_MAX).unwrap_or_default();
    let health = panel.admin.store.health();
    let state = panel.admin.heart.state();
    let worst = state.worst();
    let given = worst.assessment;
    let windows = || state.sessions().values().map(|session| &session.window);
    let mut day = Total::default();
    state.sessions().values().for_each(|session| session.day.add_to(&mut day, now, DAY));
    let rate = day.success_rate();
    let latency = day.latencies.quantile(95);
    let last_success = state.sessions().values().filter_map(|session| session.last_accepted).max();
    let shown = state.sessions().values().filter(|session| is_worth_a_line(session)).map(|session| {
        let changes: Vec<_> = history.iter().filter(|change| change.session == session.name).collect();
        Shown {
            name: session.name.as_str().to_owned(),
            look: shown::status(session.assessment.status, t),
            since: Stamp::new(session.since, now, t),
            probe: session.health.last.map(|last| words::seen(last, ask.language)),
            probed: session.health.at.map(|at| Stamp::new(at, now, t)),
            strip: chart::strip(&changes, session.assessment.status, session.since, now, t),
            no_restart: no_restart(session, ask.language),
            configured: session.name.as_str() != OTHER_SESSIONS,
        }
    });
    let page = OverviewPage {
        t,
        look: shown::status(given.status, t),
        since: Stamp::new(worst.since, now, t),
        confidence: match given.confidence {
            Confidence::Low => t.confidence_low(),
            Confidence::Medium => t.confidence_medium(),
            Confidence::High => t.confidence_high(),
        },
        reason: words::reason(given.reason, ask.language),
        interpretation: words::interpretation(given, ask.language),
        session: (panel.admin.sessions.len() > 1).then(|| worst.name.as_str().to_owned()),
        unrecorded: unrecorded(&health, ask.language),
        steps: steps(&f, worst, t, ask.language),
        signs: signs(&state, worst, &health, now, policy.probe.enabled, t, ask.language),
        rate: rate.map(shown::percent),
        rate_look: match rate {
            Some(rate) if rate < policy.status.success_rate => "bad",
            _ => "calm",
        },
        latency: latency.map(shown::span),
        last_success: last_success.map(|at| Stamp::new(at, now, t)),
        bars: chart::bars(windows(), now),
        sessions: shown.collect(),
        progress: calls::progress(&state, &policy, now, t),
        strip_wide: STRIP,
        hours: HOURS,
        f,
    };
    drop(state);
    render(StatusCode::OK, &page)
}

/// The session for all others, only where something came through it.
fn is_worth_a_line(session: &Session) -> bool {
    session.name.as_str() != OTHER_SESSIONS || session.last_activity.is_some()
}

/// Why restarting this session cannot help, as far as its last probe tells. Asked for, WAHA is looked at again.
fn no_restart(session: &Session, language: Language) -> Option<&'static str> {
    let last = session.health.last?;
    let restricted =
        matches!(last, ProbeResult::State { restriction, .. } if restriction.holds_new_contacts());
    let helps = last.restart_may_help() && !(restricted && last.is_healthy());
    (!helps).then(|| words::instruction(last, language))
}

fn unrecorded(health: &StoreHealth, language: Language) -> Option<String> {
    let fine = matches!(health.state, StoreState::Recording | StoreState::Closed);
    (!fine).then(|| words::not_recording(&health.reason, language))
}

/// What to do, the most urgent first.
fn steps(f: &Frame, worst: &Session, t: Say, language: Language) -> Vec<Step> {
    let mut steps = Vec::new();
    let given = worst.assessment;
    let ill = worst.health.last.filter(|last| !last.is_healthy());
    let is_bad = !matches!(given.status, Status::Online | Status::Unknown);
    let advice = match (is_bad, ill) {
        (true, Some(last)) => Some(words::instruction(last, language)),
        (true, None) => Some(words::interpretation(given, language)),
        (false, Some(last)) => Some(words::instruction(last, language)),
        (false, None) => None,
    };
    if let Some(advice) = advice.filter(|_| given.confidence != Confidence::Low) {
        steps.push(Step { text: advice.to_owned(), path: None, link: "" });
    }
    let counts = f.counts;
    if counts.orders > 0 {
        let text = t.call_customers(counts.orders);
        steps.push(Step { text, path: Some("/panel/orders"), link: t.see_list() });
    }
    if counts.manual > 0 {
        let text = t.see_to_orders(counts.manual);
        steps.push(Step { text, path: Some("/panel/manual"), link: t.see_list() });
    }
    if counts.undecided > 0 {
        let text = t.decide_doubtful(counts.undecided);
        steps.push(Step { text, path: Some("/panel/undecided"), link: t.see_list() });
    }
    steps
}

fn signs(
    state: &Heart,
    worst: &Session,
    health: &StoreHealth,
    now: Timestamp,
    probing: bool,
    t: Say,
    language: Language,
) -> Vec<Sign> {
    let stamp = |at: Option<Timestamp>| at.map(|at| Stamp::new(at, now, t));
    let probes = &worst.health;
    let probe = match probes.last {
        _ if !probing => Sign {
            name: t.healthcheck(),
            look: Look::calm(t.off()),
            text: t.healthcheck_off().to_owned(),
            at: None,
        },
        None => Sign {
            name: t.healthcheck(),
            look: Look::calm(t.no_data()),
            text: t.healthcheck_none().to_owned(),
            at: None,
        },
        Some(last) => Sign {
            name: t.healthcheck(),
            look: match last {
                _ if last.is_healthy() => Look::good(t.works()),
                _ if probes.failing => Look::bad(t.fails()),
                _ => Look::warn(t.doubtful()),
            },
            text: words::seen(last, language).to_owned(),
            at: stamp(probes.at),
        },
    };
    let sends = Sign {
        name: t.sends(),
        look: match worst.last_activity {
            None => Look::calm(t.no_data()),
            Some(_) if worst.sends_failing() => Look::bad(t.fails()),
            Some(_) if worst.consecutive_failures > 0 => Look::warn(t.doubtful()),
            Some(_) => Look::good(t.works()),
        },
        text: match worst.consecutive_failures {
            0 => t.last_send_fine().to_owned(),
            failures => t.failures_in_a_row(failures),
        },
        at: stamp(worst.last_accepted),
    };
    let waiting = state.awaiting().values().filter(|awaiting| awaiting.acked == Confirmation::None).count();
    let acked = worst.last_device_ack.max(worst.last_server_ack);
    let late = state.unacknowledged(&worst.name);
    let feed = state.feed();
    let confirmations = Sign {
        name: t.confirmations(),
        look: match (feed, acked) {
            (FeedState::Off | FeedState::Refused, _) => Look::calm(t.not_confirmed()),
            _ if !late.is_zero() => Look::warn(t.late()),
            (_, None) => Look::calm(t.no_data()),
            (_, Some(_)) => Look::good(t.works()),
        },
        text: if feed == FeedState::Off { t.delivery_unknown().to_owned() } else { t.acks_waiting(waiting) },
        at: stamp(acked),
    };
    let blind = state.is_blind(&worst.name, now);
    let events = Sign {
        name: t.event_feed(),
        look: match feed {
            FeedState::Connected if blind => Look::warn(t.blind()),
            FeedState::Connected => Look::good(t.connected()),
            FeedState::Connecting => Look::warn(t.connecting()),
            FeedState::Refused => Look::bad(t.key_refused()),
            FeedState::Off => Look::calm(t.off()),
        },
        text: match feed {
            FeedState::Connected if blind => t.feed_blind(),
            FeedState::Connected => t.feed_connected(),
            FeedState::Connecting => t.feed_connecting(),
            FeedState::Refused => t.feed_refused(),
            FeedState::Off => t.feed_off(),
        }
        .to_owned(),
        at: None,
    };
    let records = Sign {
        name: t.records(),
        look: match health.state {
            StoreState::Recording => Look::good(t.works()),
            StoreState::Opening => Look::warn(t.doubtful()),
            _ => Look::bad(t.fails()),
        },
        text: match health.state {
            StoreState::Recording => t.records_fine().to_owned(),
            _ => words::not_recording(&health.reason, language),
        },
        at: None,
    };
    vec![probe, sends, confirmations, events, records]
}
