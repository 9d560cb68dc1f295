//! The lists of orders that wait for people: to be called, to be seen to, to be decided.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::calls::{self, Claimed, Eye, Filter, List, PAGE, Progress, Row, Sort};
use super::frame::{self, Frame, Here};
use super::guard::Ask;
use super::say::Say;
use super::{Panel, page as render};
use crate::domain::order::NotificationType;

/// A choice in a form.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) word: &'static str,
    pub(super) chosen: bool,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    f: Frame,
    t: Say,
    intro: &'static str,
    empty: &'static str,
    list: List,
    search: String,
    kinds: Vec<Choice>,
    claims: Vec<Choice>,
    sorts: Vec<Choice>,
    sessions: Vec<(String, bool)>,
    filtered: bool,
    rows: Vec<Row>,
    found: usize,
    total: usize,
    from: usize,
    to: usize,
    previous: Option<String>,
    next: Option<String>,
    progress: Progress,
    path: String,
}

/// `GET /panel/orders`.
pub(super) async fn unnotified(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    list(&panel, &ask, List::Unnotified)
}

/// `GET /panel/manual`.
pub(super) async fn manual(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    list(&panel, &ask, List::Manual)
}

/// `GET /panel/undecided`.
pub(super) async fn undecided(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    list(&panel, &ask, List::Undecided)
}

fn list(panel: &Arc<Panel>, ask: &Arc<Ask>, list: List) -> Response {
    let t = ask.say();
    let (here, title, intro, empty) = match list {
        List::Unnotified => (Here::Orders, t.orders(), t.orders_intro(), t.orders_empty()),
        List::Manual => (Here::Manual, t.manual(), t.manual_intro(), t.manual_empty()),
        List::Undecided => (Here::Undecided, t.undecided(), t.undecided_intro(), t.undecided_empty()),
    };
    let f = Frame::new(panel, ask, here, title);
    let (filter, now) = (Filter::of(ask), panel.now());
    let (policy, settings) = (panel.admin.heart.policy.load_full(), panel.settings.load_full());
    let state = panel.admin.heart.state();
    let (groups, total) = calls::groups(&state, list, &filter, ask.who(), now, &policy);
    let found = groups.len();
    let page = filter.page.min(found.div_ceil(PAGE).max(1));
    let from = (page - 1) * PAGE;
    let eye = Eye { panel, settings: &settings, ask, state: &state, policy: &policy, now };
    let rows: Vec<_> = groups.iter().skip(from).take(PAGE).filter_map(|group| eye.row(group)).collect();
    let progress = calls::progress(&state, &policy, now, t);
    let names: Vec<_> = panel.admin.sessions.iter().map(|name| name.as_str().to_owned()).collect();
    drop(state);
    let at = |page: usize| frame::url(ask, &[("page", &page.to_string())]);
    let sessions = names.into_iter().map(|name| {
        let chosen = name == filter.session;
        (name, chosen)
    });
    let kinds = NotificationType::ALL.into_iter().map(|kind| Choice {
        value: kind.as_str(),
        word: t.kind(kind),
        chosen: filter.kind == Some(kind),
    });
    let claims = [
        ("", t.claimed_any(), Claimed::Any),
        ("nobody", t.claimed_nobody(), Claimed::Nobody),
        ("me", t.claimed_me(), Claimed::Me),
    ];
    let sorts = [
        ("", t.sort_oldest(), Sort::Oldest),
        ("newest", t.sort_newest(), Sort::Newest),
        ("amount", t.sort_amount(), Sort::Amount),
    ];
    let page = OrdersPage {
        t,
        intro,
        empty,
        list,
        search: ask.query.get("q").to_owned(),
        kinds: kinds.collect(),
        claims: claims.map(|(value, word, one)| Choice { value, word, chosen: one == filter.claimed }).into(),
        sorts: sorts.map(|(value, word, one)| Choice { value, word, chosen: one == filter.sort }).into(),
        sessions: sessions.collect(),
        filtered: !filter.is_empty(),
        from: from + 1,
        to: from + rows.len(),
        previous: (page > 1).then(|| at(page - 1)),
        next: (page * PAGE < found).then(|| at(page + 1)),
        rows,
        found,
        total,
        progress,
        path: ask.path.clone(),
        f,
    };
    render(StatusCode::OK, &page)
}
