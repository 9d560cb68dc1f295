//! The OpenAPI document, made out of the routes themselves: `GET /api/openapi.json`, kept in `docs/openapi.json`.
//!
//! What all calls of a group have in common (who may, bodies, the store) is added here, once.

use std::sync::OnceLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContactBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr,
    ResponseBuilder, SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};

use super::events::Resync;
use super::problem::ProblemView;

/// The name of our way to say who asks.
const TOKEN: &str = "token";

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "status",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub(super) async fn openapi() -> Response {
    let kind = [(CONTENT_TYPE, "application/json")];
    (kind, document()).into_response()
}

/// The document as text.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut api = super::described();
        complete(&mut api);
        let mut text = api.to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

fn complete(api: &mut OpenApi) {
    let text = "What the admin listener of waha-watchdog answers. docs/API.md tells more.";
    api.info = InfoBuilder::new()
        .title("waha-watchdog")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(text))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .contact(None::<ContactBuilder>.map(ContactBuilder::build))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("One of `admin.tokens`. Where that is empty, none is needed."))
        .build();
    let mut components = api.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    components.schemas.insert(ProblemView::name().into_owned(), ProblemView::schema());
    components.schemas.insert(Resync::name().into_owned(), Resync::schema());
    api.components = Some(components);
    for (path, item) in &mut api.paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            if path.starts_with("/api/") {
                guarded(operation);
            }
        }
        if let Some(operation) = item.get.as_mut().filter(|_| path.starts_with("/api/")) {
            looking(operation);
        }
        if let Some(operation) = item.post.as_mut().filter(|_| path.starts_with("/api/")) {
            acting(operation);
        }
    }
}

fn guarded(operation: &mut Operation) {
    operation.security =
        Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new()), SecurityRequirement::default()]);
    add(operation, "401", "No token, or one that is not known (`unauthorized`)");
    add(operation, "403", "The token's role may not (`role`), or a page of another site asks (`cross_site`)");
    add(operation, "421", "Not one of the listener's names (`unknown_host`)");
}

fn looking(operation: &mut Operation) {
    let takes_query = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter, RefOr::T(one) if one.parameter_in == ParameterIn::Query));
    if takes_query {
        add(
            operation,
            "400",
            "A parameter has a value that is not allowed, or is there twice (`bad_parameter`, `bad_query`)",
        );
    }
    add(operation, "503", "The store cannot be read right now (`store_unavailable`)");
}

fn acting(operation: &mut Operation) {
    add(
        operation,
        "400",
        "The body cannot be read, or says what is not allowed (`bad_body`, `bad_parameter`, `nothing_to_diagnose`)",
    );
    add(operation, "413", "The body is larger than 64 KiB (`too_large`)");
    add(operation, "415", "The body is not `application/json` (`not_json`)");
    add(operation, "503", "It was not written down within 5 s, and may still be done (`store_unavailable`)");
}

/// A problem, where the operation itself says nothing of this status.
fn add(operation: &mut Operation, status: &str, description: &str) {
    let content = ContentBuilder::new()
        .schema(Some(RefOr::<utoipa::openapi::Schema>::Ref(Ref::from_schema_name(ProblemView::name()))))
        .build();
    let response =
        ResponseBuilder::new().description(description).content("application/problem+json", content).build();
    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
}
