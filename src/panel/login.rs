//! In and out of the panel, and which language it speaks.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::guard::{Ask, ours, set_cookie};
use super::say::Say;
use super::{Panel, assets, page as render};
use crate::admin::access::{Proof, cookie};
use crate::admin::{LASTS_MAX, TokenRole};

/// The cookie that remembers the language.
pub(super) const LANGUAGE_COOKIE: &str = "watchdog_language";
/// A year.
const LANGUAGE_FOR: u64 = 365 * 24 * 60 * 60;
/// Said where something was to be done, and nobody is logged in.
pub(super) const REFUSED: &str = "login_over";

/// The way in.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    t: Say,
    assets: assets::Paths,
    csrf: &'a str,
    next: &'a str,
    /// What went wrong, if something did.
    wrong: Option<String>,
}

fn shown(ask: &Ask, next: &str, status: StatusCode, wrong: Option<String>) -> Response {
    let t = ask.say();
    render(status, &LoginPage { t, assets: assets::paths(), csrf: &ask.csrf, next, wrong })
}

/// `GET /panel/login`.
pub(super) async fn page(Extension(ask): Extension<Arc<Ask>>) -> Response {
    let next = ours(ask.query.get("next")).unwrap_or("/panel/");
    if ask.visitor.as_ref().is_some_and(|visitor| visitor.role != TokenRole::Bot) {
        return Redirect::to(next).into_response();
    }
    let wrong = (ask.query.get("said") == REFUSED).then(|| ask.say().login_over().to_owned());
    shown(&ask, next, StatusCode::OK, wrong)
}

/// `POST /panel/login`.
pub(super) async fn log_in(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
    headers: axum::http::HeaderMap,
) -> Response {
    let (access, logins, now) = (panel.admin.access.load_full(), &panel.admin.logins, panel.now());
    let (t, next) = (ask.say(), ours(ask.form.get("next")).unwrap_or("/panel/"));
    if let Err(wait) = logins.may_try(ask.client, now) {
        let minutes = wait.as_secs().div_ceil(60);
        let mut answer = shown(&ask, next, StatusCode::TOO_MANY_REQUESTS, Some(t.too_many_tries(minutes)));
        if let Ok(seconds) = HeaderValue::from_str(&wait.as_secs().max(1).to_string()) {
            answer.headers_mut().insert(RETRY_AFTER, seconds);
        }
        return answer;
    }
    let Some(token) = access.token(ask.form.get("token")) else {
        logins.tried_in_vain(ask.client, now);
        tracing::warn!(client = %ask.client, "somebody tried to log in to the panel with an unknown token");
        return shown(&ask, next, StatusCode::UNAUTHORIZED, Some(t.token_unknown().to_owned()));
    };
    if token.role == TokenRole::Bot {
        logins.tried_in_vain(ask.client, now);
        return shown(&ask, next, StatusCode::FORBIDDEN, Some(t.bots_stay_out().to_owned()));
    }
    // Whoever was logged in here before is not any more.
    if let Some(old) = cookie(&headers, &access.login_cookie()) {
        logins.close(old);
    }
    let name = logins.open(token, panel.admin.clock.secret(), now);
    tracing::info!(who = token.name, client = %ask.client, "logged in to the panel");
    let mut answer = Redirect::to(next).into_response();
    let given = set_cookie(&access, &access.login_cookie(), &name, Some(LASTS_MAX.as_secs()));
    if let Some(given) = given {
        answer.headers_mut().append(SET_COOKIE, given);
    }
    answer
}

/// `POST /panel/logout`.
pub(super) async fn log_out(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
    headers: axum::http::HeaderMap,
) -> Response {
    let access = panel.admin.access.load_full();
    if let Some(name) = cookie(&headers, &access.login_cookie()) {
        panel.admin.logins.close(name);
    }
    if ask.visitor.as_ref().is_some_and(|visitor| visitor.proof == Proof::Login) {
        tracing::info!(who = ask.who(), "logged out of the panel");
    }
    let mut answer = Redirect::to("/panel/login").into_response();
    if let Some(gone) = set_cookie(&access, &access.login_cookie(), "", Some(0)) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

/// `POST /panel/language`.
pub(super) async fn language(
    State(panel): State<Arc<Panel>>,
    Extension(ask): Extension<Arc<Ask>>,
) -> Response {
    let mut answer = Redirect::to(ask.back()).into_response();
    let word = ask.form.get("language");
    let access = panel.admin.access.load_full();
    let chosen =
        Say::spoken(word).and_then(|_| set_cookie(&access, LANGUAGE_COOKIE, word, Some(LANGUAGE_FOR)));
    if let Some(chosen) = chosen {
        answer.headers_mut().append(SET_COOKIE, chosen);
    }
    answer
}
