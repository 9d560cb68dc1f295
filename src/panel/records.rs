//! *Incidentes*, *Alertas*, *Auditoría*: what was, what was told, who did what.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::{self, Frame, Here};
use super::guard::Ask;
use super::say::Say;
use super::shown::{self, Look, Stamp};
use super::{Panel, page as render};
use crate::admin;
use crate::domain::alert::Alert;
use crate::domain::delivery::{Delivery, Dropped, Progress, Steady};
use crate::domain::errand::LetterText;
use crate::domain::id::{RecordId, SendId};
use crate::domain::incident::Incident;
use crate::domain::time::Timestamp;
use crate::store::Before;
use crate::words;

/// Rows on a page.
const PAGE: usize = 50;
/// Affected notifications of an incident that are named.
const AFFECTED_SHOWN: usize = 100;

/// An incident in one line.
struct Summary {
    id: String,
    session: String,
    worst: Look,
    start: Stamp,
    end: Option<Stamp>,
    lasted: String,
    affected: u32,
    replayed: u32,
    left: u32,
}

fn summary(incident: &Incident, now: Timestamp, t: Say) -> Summary {
    Summary {
        id: incident.id.to_string(),
        session: incident.session.as_str().to_owned(),
        worst: shown::status(incident.worst, t),
        start: Stamp::new(incident.start, now, t),
        end: incident.end.map(|at| Stamp::new(at, now, t)),
        lasted: words::duration(incident.downtime(now)),
        affected: incident.affected_count,
        replayed: incident.replayed,
        left: incident.left,
    }
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    f: Frame,
    t: Say,
    rows: Vec<Summary>,
    next: Option<String>,
}

/// `GET /panel/incidents`.
pub(super) async fn incidents(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
) -> Response {
    let (t, now) = (ask.say(), panel.now());
    let Ok(incidents) = panel.admin.store.reader().incidents(before(&ask), PAGE) else {
        return frame::unreadable(&panel, &ask);
    };
    let next =
        incidents.last().filter(|_| incidents.len() == PAGE).map(|last| after(&ask, last.start, last.id));
    let f = Frame::new(&panel, &ask, Here::Incidents, t.incidents());
    let rows = incidents.iter().map(|one| summary(one, now, t)).collect();
    render(StatusCode::OK, &IncidentsPage { f, t, rows, next })
}

/// A line of an incident's story.
struct Line {
    stamp: Stamp,
    look: Look,
    text: &'static str,
}

/// A notification that an incident affected.
struct Affected {
    id: String,
    order: Option<String>,
    evidence: Option<String>,
    is_open: bool,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    f: Frame,
    t: Say,
    one: Summary,
    lines: Vec<Line>,
    affected: Vec<Affected>,
    more: usize,
}

/// `GET /panel/incidents/{id}`.
pub(super) async fn incident(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<RecordId>() else { return frame::missing(&panel, &ask) };
    let reader = panel.admin.store.reader();
    let incident = match reader.incident(id) {
        Ok(Some(incident)) => incident,
        Ok(None) => return frame::missing(&panel, &ask),
        Err(_) => return frame::unreadable(&panel, &ask),
    };
    let (t, now) = (ask.say(), panel.now());
    let look_up = |send: &SendId| {
        let case = reader.case(*send).ok().flatten()?;
        Some(Affected {
            id: send.to_string(),
            order: shown::order(&case.what.order),
            evidence: case.finding.as_deref().map(|finding| words::evidence(finding, ask.language)),
            is_open: case.failure.as_ref().is_some_and(|failure| failure.is_open()),
        })
    };
    let affected: Vec<_> = incident.affected.iter().take(AFFECTED_SHOWN).filter_map(look_up).collect();
    let lines = incident.timeline.iter().map(|line| Line {
        stamp: Stamp::new(line.at, now, t),
        look: shown::status(line.to.status, t),
        text: words::reason(line.to.reason, ask.language),
    });
    let count = usize::try_from(incident.affected_count).unwrap_or(usize::MAX);
    let page = IncidentPage {
        one: summary(&incident, now, t),
        lines: lines.collect(),
        more: count.saturating_sub(affected.len()),
        affected,
        f: Frame::new(&panel, &ask, Here::Incidents, t.incident()),
        t,
    };
    render(StatusCode::OK, &page)
}

/// An alert.
struct ShownAlert {
    look: Look,
    kind: &'static str,
    session: String,
    at: Stamp,
    text: String,
    incident: Option<String>,
    ways: Vec<Way>,
}

/// How far it got on one channel.
struct Way {
    channel: &'static str,
    look: Look,
    tries: u32,
    /// When it was settled, or is tried next.
    at: Option<Stamp>,
}

fn alert(alert: &Alert, ask: &Ask, now: Timestamp) -> ShownAlert {
    let t = ask.say();
    let look = match (alert.told(), alert.deliveries.is_empty(), alert.over()) {
        (Some(_), _, _) => Look::good(t.told()),
        (None, true, _) => Look::calm(t.nobody_to_tell()),
        (None, false, Some(_)) => Look::calm(t.not_told()),
        (None, false, None) => Look::warn(t.not_told_yet()),
    };
    ShownAlert {
        look,
        kind: t.alert_kind(&alert.says),
        session: alert.session.as_str().to_owned(),
        at: Stamp::new(alert.at, now, t),
        // The marks that WhatsApp makes bold are no part of the text.
        text: words::letter(&LetterText::Alert(Box::new(alert.clone())), ask.language).replace('*', ""),
        incident: alert.incident.map(|id| id.to_string()),
        ways: alert.deliveries.iter().map(|one| way(one, now, t)).collect(),
    }
}

fn way(one: &Delivery, now: Timestamp, t: Say) -> Way {
    let look = match one.progress {
        Progress::Told(_) => Look::good(t.told()),
        Progress::UnderWay => Look::calm(t.under_way()),
        Progress::Waiting if one.tries > 0 => Look::warn(t.tried_in_vain()),
        Progress::Waiting => Look::calm(t.waits()),
        Progress::Dropped(_, Dropped::Withdrawn) => Look::calm(t.withdrawn()),
        Progress::Dropped(_, Dropped::Refused) => Look::bad(t.channel_refused()),
        Progress::Dropped(_, Dropped::TooOld) => Look::bad(t.too_old()),
    };
    let at = one.settled().or((one.due > now).then_some(one.due));
    Way { channel: t.channel(one.channel), look, tries: one.tries, at: at.map(|at| Stamp::new(at, now, t)) }
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    f: Frame,
    t: Say,
    outlets: Vec<ShownOutlet>,
    /// Can anything be tried?
    testable: bool,
    alerts: Vec<ShownAlert>,
}

/// A way out to the admins.
struct ShownOutlet {
    name: &'static str,
    look: Look,
    last: Option<Stamp>,
    failing: Option<Stamp>,
    queue: usize,
    /// The word by which it is tried; `None` where it cannot be.
    test: Option<&'static str>,
}

fn outlet(one: &admin::Outlet, now: Timestamp, t: Say) -> ShownOutlet {
    let stamp = |at: Option<Timestamp>| at.map(|at| Stamp::new(at, now, t));
    let configured = one.takes.is_some();
    let look = match (configured, one.reach.failing_since, one.reach.last_success) {
        (false, ..) => Look::calm(t.not_configured()),
        (true, Some(_), _) => Look::bad(t.fails()),
        (true, None, Some(_)) => Look::good(t.works()),
        (true, None, None) => Look::calm(t.not_used_yet()),
    };
    let (name, test) = match one.way {
        admin::Way::Channel(channel) => (t.channel(channel), configured.then(|| channel.as_str())),
        admin::Way::Steady(Steady::Alertmanager) => ("Alertmanager", None),
        admin::Way::Steady(Steady::Heartbeat) => (t.dead_mans_switch(), None),
    };
    let failing = stamp(one.reach.failing_since);
    ShownOutlet { name, look, last: stamp(one.reach.last_success), failing, queue: one.queue, test }
}

/// `GET /panel/alerts`.
pub(super) async fn alerts(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let (t, now) = (ask.say(), panel.now());
    let Ok(alerts) = panel.admin.store.reader().alerts(PAGE) else {
        return frame::unreadable(&panel, &ask);
    };
    let f = Frame::new(&panel, &ask, Here::Alerts, t.alerts());
    // What is configured first; of the rest, only that it is not.
    let mut outlets: Vec<_> = admin::outlets(&panel.admin, &alerts);
    outlets.sort_by_key(|one| one.takes.is_none());
    let outlets: Vec<_> = outlets.iter().map(|one| outlet(one, now, t)).collect();
    let testable = outlets.iter().any(|one| one.test.is_some());
    let alerts = alerts.iter().map(|one| alert(one, &ask, now)).collect();
    render(StatusCode::OK, &AlertsPage { f, t, outlets, testable, alerts })
}

/// Somebody did something.
struct Deed {
    at: Stamp,
    who: String,
    deed: String,
    target: Option<String>,
    /// Where the target is shown.
    link: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    f: Frame,
    t: Say,
    deeds: Vec<Deed>,
    next: Option<String>,
}

/// `GET /panel/audit`.
pub(super) async fn audit(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let (t, now) = (ask.say(), panel.now());
    let reader = panel.admin.store.reader();
    let Ok(lines) = reader.audit(before(&ask), PAGE) else { return frame::unreadable(&panel, &ask) };
    let next = lines.last().filter(|_| lines.len() == PAGE).map(|last| after(&ask, last.at, last.id));
    let deeds = lines.into_iter().map(|line| {
        let send = line.target.as_deref().and_then(|target| target.parse::<SendId>().ok());
        let order = send.and_then(|send| reader.case(send).ok().flatten());
        let order = order.and_then(|case| shown::order(&case.what.order));
        Deed {
            at: Stamp::new(line.at, now, t),
            who: line.who,
            deed: t.deed(&line.action).to_owned(),
            link: send.map(|send| format!("/panel/failed/{send}")),
            target: order.or(line.target),
        }
    });
    let deeds = deeds.collect();
    let f = Frame::new(&panel, &ask, Here::Audit, t.audit());
    render(StatusCode::OK, &AuditPage { f, t, deeds, next })
}

fn before(ask: &Ask) -> Option<Before> {
    let (at, id) = ask.query.get("before").split_once('.')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

fn after(ask: &Ask, at: Timestamp, id: RecordId) -> String {
    frame::url(ask, &[("before", &format!("{}.{id}", at.millis()))])
}
