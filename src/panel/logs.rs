//! *Logs*: the newest lines of the watchdog's own log.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use tracing::Level;

use super::frame::{self, Frame, Here};
use super::guard::Ask;
use super::orders::Choice;
use super::say::Say;
use super::shown::{Look, Stamp};
use super::{Panel, page as render};
use crate::logging::{self, recent};

/// Lines on a page.
const PAGE: usize = 200;

/// The levels one may choose, and what they are called everywhere.
const LEVELS: [(&str, Level); 4] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG)];

struct Line {
    at: Stamp,
    look: Look,
    message: String,
    fields: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "logs.html")]
struct LogsPage {
    f: Frame,
    t: Say,
    levels: Vec<Choice>,
    lines: Vec<Line>,
    older: Option<String>,
}

/// `GET /panel/logs`.
pub(super) async fn page(State(panel): State<Arc<Panel>>, Extension(ask): Extension<Arc<Ask>>) -> Response {
    let (t, now) = (ask.say(), panel.now());
    let chosen = LEVELS.iter().find(|(word, _)| *word == ask.query.get("level")).unwrap_or(&LEVELS[2]);
    let from = ask.query.get("before").parse().ok();
    let lines = recent().lines(false, from, PAGE, |line| line.level <= chosen.1);
    let older = lines.last().filter(|_| lines.len() == PAGE).map(|last| last.id.to_string());
    let shown = |line: logging::Line| Line {
        at: Stamp::new(line.at, now, t),
        look: look(line.level),
        message: line.message,
        fields: line.fields.into_iter().collect(),
    };
    let levels = LEVELS.map(|(word, level)| Choice { value: word, word, chosen: level == chosen.1 });
    let page = LogsPage {
        f: Frame::new(&panel, &ask, Here::Logs, t.logs()),
        t,
        levels: levels.into(),
        lines: lines.into_iter().map(shown).collect(),
        older: older.map(|older| frame::url(&ask, &[("before", &older)])),
    };
    render(StatusCode::OK, &page)
}

const fn look(level: Level) -> Look {
    match level {
        Level::ERROR => Look::bad("ERROR"),
        Level::WARN => Look::warn("WARN"),
        Level::INFO => Look::calm("INFO"),
        _ => Look::calm("DEBUG"),
    }
}
