//! Restarting what does not speak: a session of WAHA, where that may help, and the bot, by the hook of whoever runs it (SPEC 11).
//!
//! How a bot is restarted only its host knows: it is asked over HTTP, signed after Standard Webhooks, and answers once it has taken the wish.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::json;

use super::Admin;
use super::access::Who;
use super::body::{Nothing, read};
use super::command::{ask, refused};
use super::problem::{Problem, ProblemView};
use super::view::{BotRestarted, SessionRestarted};
use crate::channels::{NoBase64, Signer};
use crate::clock::{rfc3339, wall};
use crate::domain::command::{Command, Refusal};
use crate::domain::id::SessionName;
use crate::domain::probe::ProbeResult;
use crate::domain::time::Timestamp;
use crate::words::{self, Language};

/// How long WAHA may take to say how a session is, before it is restarted.
const LOOK_WAIT: Duration = Duration::from_secs(10);
/// How long the hook may take.
const HOOK_WAIT: Duration = Duration::from_secs(20);
/// One thing is restarted so often within [`RESTARTS_WITHIN`].
const RESTARTS_MAX: usize = 3;
const RESTARTS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// When things were restarted by hand lately; the bot stands under no name.
#[derive(Debug, Default)]
pub struct Restarts(Mutex<BTreeMap<Option<SessionName>, VecDeque<Timestamp>>>);

impl Restarts {
    /// Takes one of the hour's restarts; `false` where they are spent.
    fn take(&self, what: Option<&SessionName>, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = all.entry(what.cloned()).or_default();
        times.retain(|at| now.since(*at) < RESTARTS_WITHIN);
        let free = times.len() < RESTARTS_MAX;
        if free {
            times.push_back(now);
        }
        free
    }
}

/// Who restarts the bot.
pub struct RestartHook {
    client: reqwest::Client,
    url: String,
    signer: Option<Signer>,
}

/// Why no hook can be made.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// The secret says that it is base64, and is not.
    #[error("bot.restart_secret: {0}")]
    Secret(#[from] NoBase64),
    /// No client.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl RestartHook {
    /// A hook at `url`. A secret that begins with `whsec_` is base64, any other is taken as it is.
    ///
    /// # Errors
    /// See [`HookFault`].
    pub fn new(url: String, secret: Option<&str>) -> Result<Self, HookFault> {
        let signer = secret.map(Signer::new).transpose()?;
        // Where another part has set it already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(HOOK_WAIT)
            .build()?;
        Ok(Self { client, url, signer })
    }

    async fn call(&self, id: &str, now: Timestamp, body: String) -> Result<StatusCode, reqwest::Error> {
        let seconds = wall::outside(now).millis().div_euclid(1_000);
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        request = request.header("webhook-id", id).header("webhook-timestamp", seconds.to_string());
        if let Some(signer) = &self.signer {
            request = request.header("webhook-signature", signer.sign(id, seconds, &body));
        }
        Ok(request.body(body).send().await?.status())
    }
}

/// Restarts the bot through the hook that its host has configured (`bot.restart_url`).
#[utoipa::path(
    post,
    path = "/api/bot/restart",
    tag = "channel",
    request_body(content = Nothing),
    responses(
        (status = 200, description = "The hook has taken the wish", body = BotRestarted),
        (status = 409, description = "No hook is configured (`no_restart_hook`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 429, description = "Three restarts within the hour (`too_many_restarts`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 502, description = "The hook did not do it (`restart_failed`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn restart_bot(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<BotRestarted>, Problem> {
    let Nothing {} = read(request).await?;
    let Some(hook) = admin.restart_hook.load_full() else {
        let detail = "nobody knows here how the bot is restarted: set bot.restart_url to what does it, or restart it where it runs";
        return Err(Problem::new(StatusCode::CONFLICT, "no_restart_hook", detail));
    };
    let now = admin.clock.now();
    if !admin.restarts.take(None, now) {
        let detail = "the bot was restarted 3 times within the hour: one more will not help either";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_restarts", detail));
    }
    ask(&admin, &who, Command::NoteBotRestart, None).await?;
    tracing::warn!(who = who.0, "the bot is restarted by hand");
    let status = admin.heart.state().worst().assessment.status.as_str();
    let data = json!({ "who": who.0, "status": status });
    let body = json!({ "type": "bot.restart", "timestamp": rfc3339(now), "data": data }).to_string();
    let id = format!("msg_{}", admin.clock.send_id());
    let failed = |why: String| {
        tracing::error!(why, "the bot was not restarted");
        let detail = format!("bot.restart_url did not restart the bot: {why}");
        Problem::new(StatusCode::BAD_GATEWAY, "restart_failed", detail)
    };
    // The address may carry a secret; it is the operator's and not for the log.
    let answered =
        hook.call(&id, now, body).await.map_err(|error| failed(error.without_url().to_string()))?;
    if !answered.is_success() {
        return Err(failed(format!("it answered {answered}")));
    }
    Ok(Json(BotRestarted { success: true, status: answered.as_u16() }))
}

/// Restarts a session of WAHA, only where that may help, and not too often.
#[utoipa::path(
    post,
    path = "/api/sessions/{session}/restart",
    tag = "channel",
    params(("session" = String, Path, description = "One of `waha.sessions`")),
    request_body(content = Nothing),
    responses(
        (status = 200, description = "WAHA restarts it", body = SessionRestarted),
        (status = 404, description = "Not one of `waha.sessions` (`unknown_session`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "A restart cannot help; `detail` says what does (`restart_cannot_help`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 429, description = "Three restarts within the hour (`too_many_restarts`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 502, description = "WAHA did not do it (`restart_failed`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn restart_session(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<SessionRestarted>, Problem> {
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
    if !admin.restarts.take(Some(session), admin.clock.now()) {
        let detail = "this session was restarted 3 times within the hour: one more will not help either, and WhatsApp may take it for abuse";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_restarts", detail));
    }
    ask(&admin, &who, Command::NoteRestart(session.clone()), None).await?;
    tracing::warn!(%session, "the session is restarted by hand");
    waha.restart_session(session).await.map_err(|error| {
        let detail = format!("WAHA did not restart the session: {error}");
        Problem::new(StatusCode::BAD_GATEWAY, "restart_failed", detail)
    })?;
    Ok(Json(SessionRestarted { success: true, session: session.to_string(), was: result.into() }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_restarts_an_hour_and_session() {
        let (restarts, at) = (Restarts::default(), |minutes: i64| Timestamp::from_millis(minutes * 60_000));
        let [one, other] = ["one", "other"].map(|name| SessionName::new(name).unwrap());
        for minute in [0, 10, 20] {
            assert!(restarts.take(Some(&one), at(minute)));
        }
        assert!(!restarts.take(Some(&one), at(59)));
        assert!(restarts.take(Some(&other), at(59)) && restarts.take(None, at(59)));
        assert!(restarts.take(Some(&one), at(60)) && !restarts.take(Some(&one), at(61)));
        assert!(restarts.take(Some(&one), at(70)));
    }
}
