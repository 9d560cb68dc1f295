//! *Configuración*: what is in force, secrets masked, and who said so.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::{Frame, Here};
use super::guard::Ask;
use super::say::Say;
use super::{Panel, page as render};

/// Longest value shown, in characters: rules are long.
const VALUE_MAX: usize = 400;

struct Key {
    name: String,
    value: String,
    layer: Option<String>,
}

struct Section {
    name: String,
    keys: Vec<Key>,
}

#[derive(Template)]
#[template(path = "config.html")]
struct ConfigPage {
    f: Frame,
    t: Say,
    sections: Vec<Section>,
}

/// `GET /panel/config`.
pub(super) async fn page(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let t = ask.say();
    let settings = panel.settings.load_full();
    let mut sections: Vec<Section> = Vec::new();
    for key in &settings.shown {
        let (section, name) = key.key.split_once('.').unwrap_or(("", &key.key));
        let mut value: String = key.value.chars().take(VALUE_MAX).collect();
        if value.len() < key.value.len() {
            value.push('…');
        }
        let shown = Key { name: name.to_owned(), value, layer: key.layer.clone() };
        match sections.iter_mut().find(|one| one.name == section) {
            Some(known) => known.keys.push(shown),
            None => sections.push(Section { name: section.to_owned(), keys: vec![shown] }),
        }
    }
    let f = Frame::new(&panel, &ask, Here::Config, t.config());
    render(StatusCode::OK, &ConfigPage { f, t, sections })
}
