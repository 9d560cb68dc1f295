//! About the channel itself: a probe now, a session's restart, a diagnosis the bot asks for, its sign of life (SPEC 5, 6, 11).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::access::Who;
use super::body::{Nothing, read};
use super::command::{ask, refused, still_running};
use super::problem::Problem;
use super::{Admin, view};
use crate::domain::command::{Command, Pending, Refusal, Reply};
use crate::domain::decide::Ending;
use crate::domain::diagnosis::{Finding, Reached, Verdict};
use crate::domain::id::{Phone, SessionName};
use crate::domain::order::{OrderFacts, fact};
use crate::domain::probe::ProbeResult;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::words::{self, Language};

/// A probe or a diagnosis is over by then.
const ENDING_WAIT: Duration = Duration::from_secs(60);
/// How long WAHA may take to say how a session is, before it is restarted.
const LOOK_WAIT: Duration = Duration::from_secs(10);
/// A session is restarted so often within [`RESTARTS_WITHIN`].
const RESTARTS_MAX: usize = 3;
const RESTARTS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// When sessions were restarted by hand lately.
#[derive(Debug, Default)]
pub struct Restarts(Mutex<BTreeMap<SessionName, VecDeque<Timestamp>>>);

impl Restarts {
    /// Takes one of the hour's restarts; `false` where they are spent.
    fn take(&self, session: &SessionName, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = all.entry(session.clone()).or_default();
        times.retain(|at| now.since(*at) < RESTARTS_WITHIN);
        let free = times.len() < RESTARTS_MAX;
        if free {
            times.push_back(now);
        }
        free
    }
}

/// Which session to probe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    session: Option<String>,
}

/// `POST /api/healthcheck`: probes now.
pub(super) async fn healthcheck(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Probe { session } = read(request).await?;
    let session = session_named(&admin, session.as_deref())?;
    let (ending, ended) = oneshot::channel();
    ask(&admin, &who, Command::Probe(session.clone()), Some(ending)).await?;
    let Ok(Ok(Ending::Probed(result))) = timeout(ENDING_WAIT, ended).await else {
        return Err(still_running());
    };
    let language = **admin.language.load();
    Ok(Json(json!({
        "session": session.as_str(),
        "result": result.as_str(),
        "healthy": result.is_healthy(),
        "message": words::seen(result, language),
        "instruction": (!result.is_healthy()).then(|| words::instruction(result, language)),
    })))
}

/// The session that is meant: the first one where nobody says.
fn session_named(admin: &Admin, name: Option<&str>) -> Result<SessionName, Problem> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => SessionName::new(name).ok_or_else(|| refused(admin, Refusal::UnknownSession)),
        None => admin.sessions.first().cloned().ok_or_else(|| refused(admin, Refusal::UnknownSession)),
    }
}

/// `POST /api/sessions/{session}/restart`: only where that may help, and not too often.
pub(super) async fn restart(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Nothing {} = read(request).await?;
    let known = admin.sessions.iter().find(|session| session.as_str() == name);
    let session = known.ok_or_else(|| refused(&admin, Refusal::UnknownSession))?;
    let waha = admin.waha.load_full();
    // What the last probe found may be minutes old.
    let result = waha.probe(session, admin.clock.now(), LOOK_WAIT).await;
    let language = **admin.language.load();
    if !helps(result) {
        let why = words::seen(result, Language::En);
        let detail = format!("a restart cannot help. {why} {}", words::instruction(result, Language::En));
        return Err(Problem::new(StatusCode::CONFLICT, "restart_cannot_help", detail)
            .with_message(words::instruction(result, language)));
    }
    if !admin.restarts.take(session, admin.clock.now()) {
        let detail = "this session was restarted 3 times within the hour: one more will not help either, and WhatsApp may take it for abuse";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_restarts", detail));
    }
    ask(&admin, &who, Command::NoteRestart(session.clone()), None).await?;
    tracing::warn!(%session, "the session is restarted by hand");
    waha.restart_session(session).await.map_err(|error| {
        let detail = format!("WAHA did not restart the session: {error}");
        Problem::new(StatusCode::BAD_GATEWAY, "restart_failed", detail)
    })?;
    Ok(Json(json!({ "success": true, "session": session.as_str(), "was": result.as_str() })))
}

/// May a restart help? Not where a restricted account is all that is wrong.
const fn helps(result: ProbeResult) -> bool {
    match result {
        ProbeResult::State { restriction, .. } if restriction.holds_new_contacts() && result.is_healthy() => {
            false
        }
        _ => result.restart_may_help(),
    }
}

/// What the bot could not tell, and to whom. Numbers are taken as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    order_id: Option<Word>,
    order_number: Option<Word>,
    customer_name: Option<String>,
    customer_phone: Option<Word>,
    order_total: Option<Word>,
    session: Option<String>,
}

/// A text, or a number for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(serde_json::Number),
}

impl Word {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// `POST /api/diagnoses`: the bot could not tell a customer, and wants to know why (SPEC 5).
pub(super) async fn diagnose(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let report: Report = read(request).await?;
    let session = session_named(&admin, report.session.as_deref())?;
    let known = |word: Option<Word>| word.and_then(|word| fact(&word.text()));
    let phone = match known(report.customer_phone) {
        None => None,
        Some(phone) => Some(
            Phone::new(&phone).ok_or_else(|| Problem::bad_parameter("customer_phone", "a phone number"))?,
        ),
    };
    let order = OrderFacts {
        order_id: known(report.order_id),
        order_number: known(report.order_number),
        order_total: known(report.order_total),
        customer_name: report.customer_name.as_deref().and_then(fact),
        customer_phone: phone,
        notification_type: None,
    };
    let (ending, ended) = oneshot::channel();
    let reply =
        ask(&admin, &who, Command::Diagnose { session: session.clone(), order }, Some(ending)).await?;
    let Ok(Ok(Ending::Diagnosed(finding))) = timeout(ENDING_WAIT, ended).await else {
        return Err(still_running());
    };
    let failure = match reply {
        Reply::Begun(Pending::Diagnosis(send)) => Some(send.to_string()),
        _ => None,
    };
    Ok(Json(diagnosed(&admin, &session, &finding, failure)))
}

fn diagnosed(admin: &Admin, session: &SessionName, finding: &Finding, failure: Option<String>) -> Value {
    let (reachable, status) = match finding.verdict {
        Verdict::WebhookOnly => (Some(true), Status::Degraded),
        Verdict::TotalLoss => (Some(false), Status::IncommunicadoCritico),
        // Nobody to write to: it proves nothing, and changes no status.
        Verdict::Inconclusive => {
            let state = admin.heart.state();
            let session = state.sessions().get(session).unwrap_or_else(|| state.worst());
            (None, session.assessment.status)
        }
    };
    let admin_reached = match finding.admin {
        Reached::NotTried(_) => None,
        reached => Some(reached == Reached::Yes),
    };
    json!({
        "bot_reachable": reachable,
        "user_reached": finding.user == Reached::Yes,
        "admin_reached": admin_reached,
        "status": status.as_str(),
        "failure_id": failure,
        "failure_type": finding.verdict.as_str(),
        "evidence": words::evidence(finding, **admin.language.load()),
        "created_at": view::moment(finding.at),
    })
}

/// `POST /api/heartbeat`: the bot lives.
pub(super) async fn heartbeat(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Nothing {} = read(request).await?;
    ask(&admin, &who, Command::Heartbeat, None).await?;
    Ok(Json(json!({ "success": true })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_restarts_an_hour_and_session() {
        let (restarts, at) = (Restarts::default(), |minutes: i64| Timestamp::from_millis(minutes * 60_000));
        let [one, other] = ["one", "other"].map(|name| SessionName::new(name).unwrap());
        for minute in [0, 10, 20] {
            assert!(restarts.take(&one, at(minute)));
        }
        assert!(!restarts.take(&one, at(59)));
        assert!(restarts.take(&other, at(59)));
        assert!(restarts.take(&one, at(60)) && !restarts.take(&one, at(61)) && restarts.take(&one, at(70)));
    }
}
