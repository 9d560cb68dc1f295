//! Alerts and their channels: what was told, trying a channel, drills (SPEC 10, 11, 13).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::access::Who;
use super::body::{Nothing, read};
use super::command::ask;
use super::problem::{Problem, ProblemView};
use super::view::{AlertView, Alerts, ChannelView, DrillRaised, DrillView, Drilled, Raised};
use super::{Admin, view};
use crate::config::parse_duration;
use crate::domain::alert::Alert;
use crate::domain::command::{Command, Reply};
use crate::domain::delivery::{Channel, Reach, Steady, Topic};
use crate::domain::drill::LAST_MAX;
use crate::domain::id::{RecordId, SessionName};

/// Alerts shown.
const ALERTS_MAX: usize = 100;
/// So long a drill lasts where nobody says.
const DRILL_LASTS: Duration = Duration::from_secs(60);

/// The newest hundred alerts, told or not, and how the channels are.
#[utoipa::path(
    get,
    path = "/api/alerts",
    tag = "alerts",
    responses(
        (status = 200, description = "The newest first", body = Alerts),
    ),
)]
pub(super) async fn alerts(State(admin): State<Arc<Admin>>) -> Result<Json<Alerts>, Problem> {
    let language = **admin.language.load();
    let alerts = admin.store.reader().alerts(ALERTS_MAX)?;
    let items = alerts.iter().map(|alert| view::alert(alert, language)).collect();
    Ok(Json(Alerts { items, channels: channels(&admin, &alerts) }))
}

/// One alert.
#[utoipa::path(
    get,
    path = "/api/alerts/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "An alert's id")),
    responses(
        (status = 200, description = "The alert", body = AlertView),
        (status = 404, description = "No alert has this id (`unknown_alert`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn alert(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<AlertView>, Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "unknown_alert", "no alert has this id");
    let id: RecordId = id.parse().map_err(|_| unknown())?;
    let open = admin.heart.state().alerts().get(&id).cloned();
    let alert = match open {
        Some(alert) => alert,
        None => admin.store.reader().alert(id)?.ok_or_else(unknown)?,
    };
    Ok(Json(view::alert(&alert, **admin.language.load())))
}

/// A way out to the admins.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// Which.
    pub way: Way,
    /// What it takes; `None` where it is not configured.
    pub takes: Option<Vec<Topic>>,
    /// How it has been.
    pub reach: Reach,
    /// Alerts that wait for it.
    pub queue: usize,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One message for each alert.
    Channel(Channel),
    /// What stands is told again and again.
    Steady(Steady),
}

fn channels(admin: &Admin, told: &[Alert]) -> Vec<ChannelView> {
    let shown = |one: Outlet| {
        let word = match one.way {
            Way::Channel(channel) => channel.as_str(),
            Way::Steady(steady) => steady.as_str(),
        };
        view::channel(word, one.takes.as_deref(), one.reach, one.queue)
    };
    outlets(admin, told).into_iter().map(shown).collect()
}

/// Every way out. What an earlier process told is read off the alerts it left.
pub fn outlets(admin: &Admin, told: &[Alert]) -> Vec<Outlet> {
    let routes = &admin.heart.policy.load().alerts.routes;
    let state = admin.heart.state();
    let of_channel = |channel: Channel| {
        let reach = state.reach().get(&channel).cloned().unwrap_or_default();
        let earlier = told.iter().filter_map(|alert| alert.on(channel)?.told()).max();
        let reach = Reach { last_success: reach.last_success.max(earlier), ..reach };
        let waits = |alert: &&Alert| alert.on(channel).is_some_and(|one| one.settled().is_none());
        let queue = state.alerts().values().filter(waits).count();
        let takes = routes.iter().find(|route| route.channel == channel).map(|route| route.takes.to_vec());
        Outlet { way: Way::Channel(channel), takes, reach, queue }
    };
    let there = admin.routes.load();
    let of_steady = |steady: Steady| {
        let noted = admin.steady.of(steady);
        let takes = there.contains(&steady).then(Vec::new);
        Outlet { way: Way::Steady(steady), takes, reach: noted.reach, queue: noted.waiting }
    };
    Channel::ALL.into_iter().map(of_channel).chain(Steady::ALL.into_iter().map(of_steady)).collect()
}

/// Which channels to try; all where none is named.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    /// Their words; all that are configured where none is named.
    #[serde(default)]
    channels: Vec<String>,
}

/// A test goes through these channels; its deliveries tell how that goes.
#[utoipa::path(
    post,
    path = "/api/alerts/test",
    tag = "alerts",
    request_body(content = Test),
    responses(
        (status = 200, description = "It is on its way", body = Raised),
        (status = 409, description = "A channel is not configured (`no_channel`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Raised>, Problem> {
    let Test { channels } = read(request).await?;
    let known = |word: &String| {
        Channel::of(word).ok_or_else(|| {
            let words = Channel::ALL.map(Channel::as_str).join(", ");
            Problem::bad_parameter("channels", &format!("a list of {words}"))
        })
    };
    let mut channels = channels.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    channels.sort_unstable();
    channels.dedup();
    let reply = ask(&admin, &who, Command::TestChannels(channels), None).await?;
    Ok(Json(Raised { success: true, alert: alerted(&reply) }))
}

/// What a drill pretends, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    /// One of `waha.sessions`; the first where none is said.
    session: Option<String>,
    /// A duration from `1s` to `15m`; `60s` where none is said.
    lasts: Option<String>,
}

/// A drill begins.
#[utoipa::path(
    post,
    path = "/api/drill",
    tag = "alerts",
    request_body(content = Begin),
    responses(
        (status = 200, description = "It runs", body = DrillRaised),
        (status = 404, description = "Not one of `waha.sessions` (`unknown_session`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "One runs already (`drill_runs`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn begin_drill(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<DrillRaised>, Problem> {
    let Begin { session, lasts } = read(request).await?;
    let lasts = match lasts {
        None => DRILL_LASTS,
        Some(text) => parse_duration(&text)
            .filter(|lasts| (Duration::from_secs(1)..=LAST_MAX).contains(lasts))
            .ok_or_else(|| Problem::bad_parameter("lasts", "a duration from 1s to 15m, like \"60s\""))?,
    };
    let session = match session {
        None => admin.sessions.first().cloned(),
        Some(name) => SessionName::new(&name),
    };
    let session = session.ok_or_else(|| Problem::bad_parameter("session", "one of waha.sessions"))?;
    let reply = ask(&admin, &who, Command::BeginDrill { session, lasts }, None).await?;
    Ok(Json(DrillRaised { success: true, alert: alerted(&reply), drill: shown(&admin) }))
}

/// The drill is over.
#[utoipa::path(
    post,
    path = "/api/drill/end",
    tag = "alerts",
    request_body(content = Nothing),
    responses(
        (status = 200, description = "It is over", body = DrillRaised),
        (status = 409, description = "None runs (`no_drill`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn end_drill(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<DrillRaised>, Problem> {
    let Nothing {} = read(request).await?;
    let reply = ask(&admin, &who, Command::EndDrill, None).await?;
    Ok(Json(DrillRaised { success: true, alert: alerted(&reply), drill: shown(&admin) }))
}

/// The latest drill.
#[utoipa::path(
    get,
    path = "/api/drill",
    tag = "alerts",
    responses(
        (status = 200, description = "The latest", body = Drilled),
    ),
)]
pub(super) async fn drill(State(admin): State<Arc<Admin>>) -> Json<Drilled> {
    Json(Drilled { drill: shown(&admin) })
}

fn shown(admin: &Admin) -> Option<DrillView> {
    admin.heart.state().drill().map(view::drill)
}

fn alerted(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Alerted(id) => Some(id.to_string()),
        Reply::Done | Reply::Begun(_) | Reply::Refused(_) => None,
    }
}
