//! One failed notification with everything that happened to it: attempts, diagnosis, confirmations, and who did what.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::calls::{self, Eye, Row};
use super::frame::{self, Frame, Here};
use super::guard::Ask;
use super::say::Say;
use super::shown::{self, Look, Stamp};
use super::{Panel, page as render};
use crate::domain::case::Case;
use crate::domain::confirmation::Confirmation;
use crate::domain::id::SendId;
use crate::domain::notification::Failure;
use crate::domain::time::Timestamp;
use crate::words;

/// Lines of the audit looked at for those about one notification.
const AUDIT_MAX: usize = 1_000;

/// Something that happened.
struct Event {
    at: Timestamp,
    stamp: Stamp,
    look: Look,
    title: String,
    text: Option<String>,
    /// What WAHA said, where it may be shown.
    detail: Option<String>,
}

#[derive(Template)]
#[template(path = "detail.html")]
struct DetailPage {
    f: Frame,
    t: Say,
    row: Row,
    kind: &'static str,
    is_open: bool,
    /// How it was settled.
    settled: Option<String>,
    settled_at: Option<Stamp>,
    note: Option<String>,
    confirmation: Option<Look>,
    replays: u32,
    created: Stamp,
    events: Vec<Event>,
    id: String,
}

/// `GET /panel/failed/{id}`.
pub(super) async fn page(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
    Path(id): Path<String>,
) -> Response {
    let Ok(send) = id.parse::<SendId>() else { return frame::missing(&panel, &ask) };
    let reader = panel.admin.store.reader();
    let (case, heard) = match (reader.case(send), reader.confirmed(send)) {
        (Ok(Some(case)), Ok(heard)) => (case, heard.map(|heard| heard.confirmation)),
        (Ok(None), _) => return frame::missing(&panel, &ask),
        _ => return frame::unreadable(&panel, &ask),
    };
    let Some(failure) = case.failure.clone() else { return frame::missing(&panel, &ask) };
    let audit = reader.audit(None, AUDIT_MAX).unwrap_or_default();
    let (t, now) = (ask.say(), panel.now());
    let title = shown::order(&case.what.order).unwrap_or_else(|| t.without_order().to_owned());
    let f = Frame::new(&panel, &ask, Here::Failed, &title);
    let (policy, settings) = (panel.admin.heart.policy.load_full(), panel.settings.load_full());
    let state = panel.admin.heart.state();
    let eye = Eye { panel: &panel, settings: &settings, ask: &ask, state: &state, policy: &policy, now };
    let group = calls::alone(&case);
    let Some(row) = eye.row(&group) else { return frame::missing(&panel, &ask) };
    let mut events =
        events(&case, &failure, row.number.as_ref().is_some_and(|one| one.whole.is_some()), &ask, now);
    for line in audit.iter().filter(|line| line.target.as_deref() == Some(id.as_str())) {
        events.push(Event {
            at: line.at,
            stamp: Stamp::new(line.at, now, t),
            look: Look { tone: "calm", icon: "person", word: t.by_hand() },
            title: t.did(&line.who, t.deed(&line.action)),
            text: None,
            detail: None,
        });
    }
    events.sort_by_key(|event| event.at);
    let resolution = failure.resolution.as_ref();
    let page = DetailPage {
        kind: t.kind(case.what.order.notification_type.unwrap_or_default()),
        is_open: failure.is_open(),
        settled: resolution.map(|one| t.settled(one.method, one.by.as_deref())),
        settled_at: resolution.map(|one| Stamp::new(one.at, now, t)),
        note: resolution.and_then(|one| one.note.clone()),
        confirmation: heard.map(|heard| confirmation(heard, t)),
        replays: case.replays,
        created: Stamp::new(failure.created_at, now, t),
        events,
        row,
        id,
        t,
        f,
    };
    drop(state);
    render(StatusCode::OK, &page)
}

fn confirmation(heard: Confirmation, t: Say) -> Look {
    match heard {
        Confirmation::Read => Look::good(t.ack_read()),
        Confirmation::Device => Look::good(t.ack_device()),
        Confirmation::Server => Look::warn(t.ack_server()),
        Confirmation::Error => Look::bad(t.ack_error()),
        Confirmation::None => Look::calm(t.ack_none()),
    }
}

fn events(case: &Case, failure: &Failure, shows: bool, ask: &Ask, now: Timestamp) -> Vec<Event> {
    let t = ask.say();
    let mut events: Vec<_> = case
        .lines
        .iter()
        .map(|line| {
            let http = line.status.map(|status| format!(" · HTTP {status}")).unwrap_or_default();
            let took = shown::span(line.ended.since(line.started));
            Event {
                at: line.started,
                stamp: Stamp::new(line.started, now, t),
                look: shown::outcome(line.outcome, t),
                title: format!("{} {} · {}{http} · {took}", t.attempt(), line.number, t.via(line.via)),
                text: line.cause.map(|cause| words::cause(cause, ask.language).to_owned()),
                // It may name the customer's number.
                detail: line.detail.clone().filter(|_| shows),
            }
        })
        .collect();
    events.push(Event {
        at: failure.created_at,
        stamp: Stamp::new(failure.created_at, now, t),
        look: Look::bad(t.given_up()),
        title: t.became_failed().to_owned(),
        text: Some(words::cause(failure.cause, ask.language).to_owned()),
        detail: None,
    });
    if let Some(finding) = case.finding.as_deref() {
        events.push(Event {
            at: finding.at,
            stamp: Stamp::new(finding.at, now, t),
            look: Look { tone: "calm", icon: "search", word: t.diagnosis() },
            title: t.verdict(finding.verdict).to_owned(),
            text: Some(words::evidence(finding, ask.language)),
            detail: None,
        });
    }
    if let Some(resolution) = &failure.resolution {
        events.push(Event {
            at: resolution.at,
            stamp: Stamp::new(resolution.at, now, t),
            look: Look::good(t.settled_word()),
            title: t.settled(resolution.method, resolution.by.as_deref()),
            text: resolution.note.clone(),
            detail: None,
        });
    }
    events
}
