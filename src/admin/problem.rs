//! Errors of the API as RFC 9457 problems: what is wrong, and the way out.

use axum::extract::rejection::QueryRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::ReadError;

/// A problem.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// A stable word for programs.
    code: &'static str,
    detail: String,
    /// The same for the shop's people, in their language.
    message: Option<&'static str>,
    header: Option<(HeaderName, &'static str)>,
}

/// What is wrong, and the way out (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemView {
    /// `urn:waha-watchdog:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// For programs.
    code: &'static str,
    /// For people.
    detail: String,
    /// The same for the shop's people, in the language of `locale`; where somebody's wish is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), message: None, header: None }
    }

    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn bad_parameter(name: &str, allowed: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", format!("{name}: {allowed}"))
    }

    /// Adds a sentence in the people's own language.
    pub(super) fn with_message(self, message: &'static str) -> Self {
        Self { message: Some(message), ..self }
    }

    pub(super) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", rejection.body_text())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemView {
            r#type: format!("urn:waha-watchdog:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            message: self.message,
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [kind], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this path; docs/API.md lists what there is",
    )
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
}
