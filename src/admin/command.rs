//! Acting on failed notifications, and on the way back: retry, mark resolved, claim, reopen, pause, resume (SPEC 11).
//!
//! A wish goes to the heart; its answer comes once what follows from it is on disk. Whoever stops waiting stops nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use super::access::Who;
use super::body::{Nothing, read};
use super::problem::{Problem, ProblemView};
use super::view::{Acted, RecoverySet, Retried};
use super::{Admin, query};
use crate::domain::command::{Command, Refusal, Reply};
use crate::domain::decide::Ending;
use crate::domain::errand::NotReplayed;
use crate::domain::id::SendId;
use crate::domain::notification::Method;
use crate::domain::outcome::{Cause, Outcome};
use crate::watchdog::Wish;
use crate::words;

/// The heart answers at once, the store within this, or it is in trouble.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// A replay is over by then: WAHA itself may take two minutes.
const REPLAY_WAIT: Duration = Duration::from_secs(160);
/// So long a record of a success may lag behind its answer.
const RECORD_WAIT: Duration = Duration::from_secs(1);
/// Longest note, in characters.
const NOTE_MAX: usize = 1_000;

/// How a person may have settled a failed notification; the others are the watchdog's own findings.
const BY_HAND: [Method; 6] =
    [Method::PhoneCall, Method::Sms, Method::Email, Method::ManualContact, Method::Retry, Method::Expired];

/// Asks the heart. What is refused is a problem.
pub(super) async fn ask(
    admin: &Admin,
    who: &Who,
    command: Command,
    ending: Option<oneshot::Sender<Ending>>,
) -> Result<Reply, Problem> {
    let (reply, answered) = oneshot::channel();
    let wish = Wish { command, who: who.0.clone(), reply, ending };
    let asked = async {
        admin.wishes.send(wish).await.ok()?;
        answered.await.ok()
    };
    match timeout(ANSWER_WAIT, asked).await {
        Ok(Some(Reply::Refused(refusal))) => Err(refused(admin, refusal)),
        Ok(Some(reply)) => Ok(reply),
        Ok(None) | Err(_) => {
            let detail = "this was not written down within 5 s, and may still be done: GET /readyz says what is wrong with the store; look at the record before you ask again";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail))
        }
    }
}

/// Why the heart does not do it.
pub(super) fn refused(admin: &Admin, refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    let problem = match refusal {
        Refusal::NotOpen => Problem::new(StatusCode::NOT_FOUND, "not_open", detail),
        Refusal::NotSettled => Problem::new(StatusCode::CONFLICT, "not_settled", detail),
        Refusal::NothingKept => Problem::new(StatusCode::CONFLICT, "nothing_kept", detail),
        Refusal::RejectedForGood => Problem::new(StatusCode::CONFLICT, "rejected_for_good", detail),
        Refusal::BotHasIt => Problem::new(StatusCode::CONFLICT, "bot_has_it", detail),
        Refusal::ClaimedByAnother => Problem::new(StatusCode::CONFLICT, "claimed_by_another", detail),
        Refusal::UnknownSession => Problem::new(StatusCode::NOT_FOUND, "unknown_session", detail),
        Refusal::NothingToDiagnose => Problem::new(StatusCode::BAD_REQUEST, "nothing_to_diagnose", detail),
        Refusal::DrillRuns => Problem::new(StatusCode::CONFLICT, "drill_runs", detail),
        Refusal::NoDrill => Problem::new(StatusCode::CONFLICT, "no_drill", detail),
        Refusal::NoChannel => Problem::new(StatusCode::CONFLICT, "no_channel", detail),
        Refusal::Unrecorded => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail),
    };
    problem.with_message(words::refusal(&refusal, **admin.language.load()))
}

/// What was begun is not over in time.
pub(super) fn still_running() -> Problem {
    let detail =
        "this takes longer than anybody should wait for; it goes on, and its record will say how it ended";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "still_running", detail)
}

/// Sends it again now, and says how that truly ended.
#[utoipa::path(
    post,
    path = "/api/notifications/failed/{id}/retry",
    tag = "notifications",
    params(("id" = String, Path, description = "The failed notification's id")),
    request_body(content = Nothing),
    responses(
        (status = 200, description = "How it ended", body = Retried),
        (status = 404, description = "No open failed notification (`not_open`, `unknown_notification`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be sent again, or the bot is sending it (`nothing_kept`, `rejected_for_good`, `bot_has_it`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 504, description = "It takes too long, and goes on (`still_running`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Retried>, Problem> {
    let Nothing {} = read(request).await?;
    let send = query::send_id(&id)?;
    let (ending, ended) = oneshot::channel();
    ask(&admin, &who, Command::Retry(send), Some(ending)).await?;
    match timeout(REPLAY_WAIT, ended).await {
        Ok(Ok(Ending::Replayed(outcome, cause))) => Ok(retried(&admin, send, outcome, cause, None).await),
        Ok(Ok(Ending::ReplayedUnchecked(outcome, cause))) => {
            Ok(retried(&admin, send, outcome, cause, Some(Looked::Impossible)).await)
        }
        Ok(Ok(Ending::HadGoneOut)) => {
            Ok(retried(&admin, send, Outcome::Accepted, None, Some(Looked::Found)).await)
        }
        Ok(Ok(Ending::NotReplayed(why))) => Err(refused(
            &admin,
            match why {
                NotReplayed::BotHasIt => Refusal::BotHasIt,
                NotReplayed::Unrecorded | NotReplayed::Unwritable => Refusal::Unrecorded,
                NotReplayed::NothingKept => Refusal::NothingKept,
                NotReplayed::Settled => Refusal::NotOpen,
            },
        )),
        _ => Err(still_running()),
    }
}

/// How it ended. `mark`: it was found to have gone out already, or sent although WAHA could not say whether it had.
async fn retried(
    admin: &Admin,
    send: SendId,
    outcome: Outcome,
    cause: Option<Cause>,
    looked: Option<Looked>,
) -> Json<Retried> {
    let success = outcome == Outcome::Accepted;
    if success {
        await_record(admin, send).await;
    }
    Json(Retried {
        success,
        outcome: outcome.into(),
        cause: cause.map(Into::into),
        message: cause.map(|cause| words::cause(cause, **admin.language.load())),
        reconciled: looked == Some(Looked::Found),
        unchecked: looked == Some(Looked::Impossible),
    })
}

/// What a look before sending again came to, where there had to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    /// It had gone out: nothing was sent.
    Found,
    /// WAHA could not tell, and the person's wish counted.
    Impossible,
}

/// Whoever is told of a success and looks at once must find it settled.
async fn await_record(admin: &Admin, send: SendId) {
    let settled = async {
        while admin.store.reader().case(send).is_ok_and(|case| case.is_some_and(|case| !case.is_settled())) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _late = timeout(RECORD_WAIT, settled).await;
}

/// How somebody settled it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolved {
    /// `phone_call`, `sms`, `email`, `manual_contact`, `retry` or `expired`.
    #[schema(pattern = "^(phone_call|sms|email|manual_contact|retry|expired)$")]
    resolution_method: String,
    /// What is worth remembering.
    #[schema(max_length = 1000)]
    note: Option<String>,
}

/// A person has told the customer.
#[utoipa::path(
    post,
    path = "/api/notifications/failed/{id}/mark_resolved",
    tag = "notifications",
    params(("id" = String, Path, description = "The failed notification's id")),
    request_body(content = Resolved),
    responses(
        (status = 200, description = "The record as it is now", body = Acted),
        (status = 404, description = "No open failed notification (`not_open`, `unknown_notification`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn mark_resolved(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Acted>, Problem> {
    let Resolved { resolution_method, note } = read(request).await?;
    let send = query::send_id(&id)?;
    let method =
        BY_HAND.into_iter().find(|method| method.as_str() == resolution_method).ok_or_else(|| {
            let allowed = BY_HAND.map(Method::as_str).join(", ");
            Problem::bad_parameter("resolution_method", &format!("one of {allowed}"))
        })?;
    let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_MAX) {
        return Err(Problem::bad_parameter("note", "at most 1000 characters"));
    }
    ask(&admin, &who, Command::Resolve { send, method, note }, None).await?;
    done(&admin, send)
}

/// Takes it, so that two do not call the same customer.
#[utoipa::path(
    post,
    path = "/api/notifications/failed/{id}/claim",
    tag = "notifications",
    params(("id" = String, Path, description = "The failed notification's id")),
    request_body(content = Nothing),
    responses(
        (status = 200, description = "The record as it is now", body = Acted),
        (status = 404, description = "No open failed notification (`not_open`, `unknown_notification`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else has it (`claimed_by_another`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn claim(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Acted>, Problem> {
    let Nothing {} = read(request).await?;
    let send = query::send_id(&id)?;
    ask(&admin, &who, Command::Claim(send), None).await?;
    done(&admin, send)
}

/// It was not settled after all.
#[utoipa::path(
    post,
    path = "/api/notifications/failed/{id}/reopen",
    tag = "notifications",
    params(("id" = String, Path, description = "The failed notification's id")),
    request_body(content = Nothing),
    responses(
        (status = 200, description = "The record as it is now", body = Acted),
        (status = 404, description = "No failed notification (`unknown_notification`)", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "It is open already (`not_settled`)", body = ProblemView, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn reopen(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<Acted>, Problem> {
    let Nothing {} = read(request).await?;
    let send = query::send_id(&id)?;
    let case = admin.store.reader().case(send)?.ok_or_else(query::unknown_notification)?;
    match &case.failure {
        None => return Err(query::unknown_notification()),
        Some(failure) if failure.is_open() => return Err(refused(&admin, Refusal::NotSettled)),
        Some(_) => {}
    }
    ask(&admin, &who, Command::Reopen(Box::new(case)), None).await?;
    done(&admin, send)
}

/// The record as it is now.
fn done(admin: &Admin, send: SendId) -> Result<Json<Acted>, Problem> {
    let case = admin.store.reader().case(send)?.ok_or_else(query::unknown_notification)?;
    let notification = query::shown(admin, &[case])?;
    Ok(Json(Acted { success: true, notification: notification.into_iter().next() }))
}

/// Nothing is sent again by itself until resumed.
#[utoipa::path(
    post,
    path = "/api/recovery/pause",
    tag = "recovery",
    request_body(content = Nothing),
    responses((status = 200, description = "Done", body = RecoverySet)),
)]
pub(super) async fn pause(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<RecoverySet>, Problem> {
    let Nothing {} = read(request).await?;
    ask(&admin, &who, Command::PauseRecovery, None).await?;
    Ok(Json(RecoverySet { success: true, paused: true }))
}

/// What is pending goes out again in turn.
#[utoipa::path(
    post,
    path = "/api/recovery/resume",
    tag = "recovery",
    request_body(content = Nothing),
    responses((status = 200, description = "Done", body = RecoverySet)),
)]
pub(super) async fn resume(
    State(admin): State<Arc<Admin>>,
    Extension(who): Extension<Who>,
    request: Request,
) -> Result<Json<RecoverySet>, Problem> {
    let Nothing {} = read(request).await?;
    ask(&admin, &who, Command::ResumeRecovery, None).await?;
    Ok(Json(RecoverySet { success: true, paused: false }))
}
