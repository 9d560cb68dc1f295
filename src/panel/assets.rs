//! Style, script and icon: in the binary, under names that change with their content, so that a browser may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// A file.
struct Asset {
    name: String,
    kind: &'static str,
    content: &'static str,
}

/// Their paths, for pages.
#[derive(Clone, Copy)]
pub(super) struct Paths {
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("panel", "css", "text/css; charset=utf-8", STYLE),
        asset("panel", "js", "text/javascript; charset=utf-8", include_str!("assets/panel.js")),
        asset("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ]
});

/// Also that of the call list as a file.
pub(super) const STYLE: &str = include_str!("assets/panel.css");

static PATHS: LazyLock<[String; 3]> =
    LazyLock::new(|| std::array::from_fn(|at| format!("/panel/assets/{}", ASSETS[at].name)));

fn asset(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Asset {
    let digest = Sha256::digest(content.as_bytes());
    let tag: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{stem}.{tag}.{ending}"), kind, content }
}

/// Where they are.
pub(super) fn paths() -> Paths {
    let [style, script, icon] = &*PATHS;
    Paths { style, script, icon }
}

/// `GET /panel/assets/{name}`: the same for everybody, so nobody is asked who they are.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "there is no such file; the page that asks is of another version")
            .into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, asset.content).into_response()
}
