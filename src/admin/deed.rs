//! What the panel's people ask for, done by the API's own handlers: one deed, one way to do it, one answer.
//!
//! Who may is the panel's to check, before.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::Admin;
use super::access::Who;
use super::command::ask;
use crate::domain::command::Command;

/// Largest answer of a deed, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// The API's deeds.
#[derive(Clone)]
pub struct Deeds(TowerToHyperService<Router>);

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The API's word for it.
    pub code: String,
}

impl Deeds {
    /// All that change something.
    pub fn new(admin: &Arc<Admin>) -> Self {
        Self(TowerToHyperService::new(Router::from(super::acting()).with_state(Arc::clone(admin))))
    }

    /// Does what `POST path` does, under the name `who`.
    pub async fn post(&self, who: &str, path: &str, body: &Value) -> Result<Value, Undone> {
        let broken = |code: &str| Undone { code: code.to_owned() };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .map_err(|_| broken("not_found"))?;
        request.extensions_mut().insert(Who(who.to_owned()));
        let answer = self.0.call(request).await.unwrap_or_else(|never| match never {});
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), ANSWER_MAX).await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(answer),
            StatusCode::NOT_FOUND if answer.is_null() => Err(broken("not_found")),
            _ => Err(broken(answer["code"].as_str().unwrap_or("failed"))),
        }
    }
}

impl Admin {
    /// Has something written down that no handler of the API does.
    pub async fn tell(&self, who: &str, command: Command) -> Result<(), Undone> {
        let asked = ask(self, &Who(who.to_owned()), command, None).await;
        asked.map(|_| ()).map_err(|problem| Undone { code: problem.code().to_owned() })
    }
}
