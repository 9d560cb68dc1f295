//! About the channel itself: a probe now, a diagnosis the bot asks for, its sign of life (SPEC 5, 6, 11).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::Admin;
use super::access::Who;
use super::body::{Nothing, read};
use super::command::{ask, refused, still_running};
use super::problem::{Problem, ProblemView};
use super::view::{Diagnosed, Done, Probed};
use crate::domain::command::{Command, Pending, Refusal, Reply};
use crate::domain::decide::Ending;
use crate::domain::diagnosis::{Finding, Reached, Verdict};
use crate::domain::id::{Phone, SessionName};
use crate::domain::order::{OrderFacts, fact};
use crate::domain::status::Status;
use crate::words;

/// A probe or a diagnosis is over by then.
const ENDING_WAIT: Duration = Duration::from_secs(60);

/// Which session to probe.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// One of `waha.sessions`; the first where none is said.
    session: Option<String>,
}

/// Probes a session now.
#[utoipa::path(
    post,
    path = "/api/healthcheck",
    tag = "channel",
    request_body(content = Probe),
    responses(
        (status = 200, description = "What was found", body = Probed),
        (status = 404, description = "Not one of `waha.sessions` (`unknown_session`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 504, description = "It takes too long, and goes on (`still_running`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn healthcheck(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Probed>, Problem> {
    let Probe { session } = read(request).await?;
    let session = session_named(&admin, session.as_deref())?;
    let (ending, ended) = oneshot::channel();
    ask(&admin, &who, Command::Probe(session.clone()), Some(ending)).await?;
    let Ok(Ok(Ending::Probed(result))) = timeout(ENDING_WAIT, ended).await else {
        return Err(still_running());
    };
    let language = **admin.language.load();
    Ok(Json(Probed {
        session: session.to_string(),
        result: result.into(),
        healthy: result.is_healthy(),
        message: words::seen(result, language),
        instruction: (!result.is_healthy()).then(|| words::instruction(result, language)),
    }))
}

/// The session that is meant: the first one where nobody says.
fn session_named(admin: &Admin, name: Option<&str>) -> Result<SessionName, Problem> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => SessionName::new(name).ok_or_else(|| refused(admin, Refusal::UnknownSession)),
        None => admin.sessions.first().cloned().ok_or_else(|| refused(admin, Refusal::UnknownSession)),
    }
}

/// What the bot could not tell, and to whom. Numbers are taken as they are written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// The shop's internal id.
    order_id: Option<Word>,
    /// The number that people say.
    order_number: Option<Word>,
    /// The customer's name.
    customer_name: Option<String>,
    /// The customer's phone.
    customer_phone: Option<Word>,
    /// The total as it is to be written.
    order_total: Option<Word>,
    /// The session it tried; the first of `waha.sessions` where none is said.
    session: Option<String>,
}

/// A text, or a number for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(serde_json::Number),
}

impl PartialSchema for Word {
    fn schema() -> RefOr<Schema> {
        let kinds = SchemaType::Array(vec![Type::String, Type::Number]);
        ObjectBuilder::new().schema_type(kinds).description(Some("A text, or a number for one.")).into()
    }
}

impl ToSchema for Word {}

impl Word {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The bot could not tell a customer, and wants to know why.
///
/// A simple message is written to the customer, else to the admin. Without a phone there must be an order.
#[utoipa::path(
    post,
    path = "/api/diagnoses",
    tag = "bot",
    request_body(content = Report),
    responses(
        (status = 200, description = "What was found", body = Diagnosed),
        (status = 404, description = "Not one of `waha.sessions` (`unknown_session`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 504, description = "It takes too long, and goes on (`still_running`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn diagnose(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Diagnosed>, Problem> {
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

fn diagnosed(admin: &Admin, session: &SessionName, finding: &Finding, failure: Option<String>) -> Diagnosed {
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
    Diagnosed {
        bot_reachable: reachable,
        user_reached: finding.user == Reached::Yes,
        admin_reached,
        status: status.into(),
        failure_id: failure,
        failure_type: finding.verdict.into(),
        evidence: words::evidence(finding, **admin.language.load()),
        created_at: finding.at.into(),
    }
}

/// The bot lives.
#[utoipa::path(
    post,
    path = "/api/heartbeat",
    tag = "bot",
    request_body(content = Nothing),
    responses((status = 200, description = "Heard", body = Done)),
)]
pub(super) async fn heartbeat(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Done>, Problem> {
    let Nothing {} = read(request).await?;
    ask(&admin, &who, Command::Heartbeat, None).await?;
    Ok(Json(Done::YES))
}
