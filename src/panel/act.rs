//! What people ask for: done by the API's handlers under the visitor's name, then back to the page, which says what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::{Value, json};

use super::guard::Ask;
use super::{Panel, frame};
use crate::admin::Undone;
use crate::domain::command::Command;
use crate::domain::id::SendId;

/// Most notifications that one form settles or takes.
const MANY: usize = 200;

/// Back to where the form was, with a word of what came of it.
fn back(ask: &Ask, said: &str, why: Option<&str>) -> Response {
    let target = ask.back();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut new = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "said" && name != "why" {
            new.append_pair(&name, &value);
        }
    }
    new.append_pair("said", said);
    if let Some(why) = why {
        new.append_pair("why", why);
    }
    Redirect::to(&format!("{path}?{}", new.finish())).into_response()
}

/// The notifications a form is about.
fn sends(ask: &Ask) -> Vec<SendId> {
    ask.form.all("id").take(MANY).filter_map(|id| id.parse().ok()).collect()
}

/// The same, and all open ones of the orders that were picked.
fn picked(panel: &Panel, ask: &Ask) -> Vec<SendId> {
    let mut sends = sends(ask);
    let picks: Vec<SendId> = ask.form.all("pick").take(MANY).filter_map(|id| id.parse().ok()).collect();
    if !picks.is_empty() {
        let state = panel.admin.heart.state();
        let orders: BTreeSet<_> =
            picks.iter().filter_map(|pick| state.cases().get(pick)).map(frame::key).collect();
        sends.extend(
            frame::open(&state).filter(|case| orders.contains(&frame::key(case))).map(|case| case.send),
        );
    }
    sends.truncate(MANY);
    sends
}

/// Does the same to all of them. What was done stays done; the first refusal is told.
async fn each(panel: &Panel, ask: &Ask, verb: &str, body: &Value, done: &str) -> Response {
    let sends = picked(panel, ask);
    if sends.is_empty() {
        return back(ask, "nothing_chosen", None);
    }
    let mut refused: Option<Undone> = None;
    let mut worked = 0_usize;
    for send in sends {
        let path = format!("/api/notifications/failed/{send}/{verb}");
        match panel.deeds.post(ask.who(), &path, body).await {
            Ok(_) => worked += 1,
            Err(undone) => _ = refused.get_or_insert(undone),
        }
    }
    match refused {
        None => back(ask, done, None),
        Some(_) if worked > 0 => back(ask, "some_undone", None),
        Some(undone) => back(ask, &undone.code, None),
    }
}

/// `POST /panel/act/claim`.
pub(super) async fn claim(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    each(&panel, &ask, "claim", &json!({}), "claimed").await
}

/// `POST /panel/act/resolve`.
pub(super) async fn resolve(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let note = Some(ask.form.get("note").trim()).filter(|note| !note.is_empty());
    let body = json!({ "resolution_method": ask.form.get("method"), "note": note });
    each(&panel, &ask, "mark_resolved", &body, "resolved").await
}

/// `POST /panel/act/reopen`.
pub(super) async fn reopen(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    each(&panel, &ask, "reopen", &json!({}), "reopened").await
}

/// `POST /panel/act/retry`: of an order's notifications the latest; an earlier one says nothing that it does not.
pub(super) async fn retry(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let Some(send) = sends(&ask).into_iter().next_back() else { return back(&ask, "nothing_chosen", None) };
    let path = format!("/api/notifications/failed/{send}/retry");
    match panel.deeds.post(ask.who(), &path, &json!({})).await {
        Ok(answer) => {
            let said = match answer["outcome"].as_str() {
                Some("accepted") => "retry_accepted",
                Some("ambiguous") => "retry_ambiguous",
                _ => "retry_failed",
            };
            back(&ask, said, answer["cause"].as_str())
        }
        Err(undone) => back(&ask, &undone.code, None),
    }
}

/// `POST /panel/act/reveal`: *Llamar Cliente*. It is written down, the order is taken where nobody has, and the number is shown.
pub(super) async fn reveal(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let sends = sends(&ask);
    let Some(send) = sends.first().copied() else { return back(&ask, "nothing_chosen", None) };
    match panel.admin.tell(ask.who(), Command::NoteReveal(send)).await {
        Ok(()) => {
            panel.revealed.reveal(&ask.csrf, send, panel.now());
            let mut said = "revealed";
            for id in ask.form.all("take").take(MANY).filter_map(|id| id.parse::<SendId>().ok()) {
                let path = format!("/api/notifications/failed/{id}/claim");
                let taken = panel.deeds.post(ask.who(), &path, &json!({})).await;
                if taken.is_err_and(|undone| undone.code == "claimed_by_another") {
                    said = "revealed_but_claimed";
                }
            }
            back(&ask, said, None)
        }
        Err(undone) => back(&ask, &undone.code, None),
    }
}

/// `POST /panel/act/healthcheck`.
pub(super) async fn healthcheck(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let body = match ask.form.get("session") {
        "" => json!({}),
        session => json!({ "session": session }),
    };
    match panel.deeds.post(ask.who(), "/api/healthcheck", &body).await {
        Ok(answer) if answer["healthy"] == true => back(&ask, "probe_healthy", None),
        Ok(_) => back(&ask, "probe_ill", None),
        Err(undone) => back(&ask, &undone.code, None),
    }
}

/// `POST /panel/act/restart`: *Reiniciar WAHA*.
pub(super) async fn restart(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let session: String = form_urlencoded::byte_serialize(ask.form.get("session").as_bytes()).collect();
    let session = session.replace('+', "%20");
    match panel.deeds.post(ask.who(), &format!("/api/sessions/{session}/restart"), &json!({})).await {
        Ok(_) => back(&ask, "restarted", None),
        Err(undone) => back(&ask, &undone.code, None),
    }
}

/// `POST /panel/act/restart-bot`: *Reiniciar Bot*.
pub(super) async fn restart_bot(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    plain(&panel, &ask, "/api/bot/restart", "bot_restarted").await
}

/// `POST /panel/act/test`: a test through one channel, or all.
pub(super) async fn test(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    let channels: Vec<_> = ask.form.all("channel").filter(|word| !word.is_empty()).collect();
    match panel.deeds.post(ask.who(), "/api/alerts/test", &json!({ "channels": channels })).await {
        Ok(_) => back(&ask, "tested", None),
        Err(undone) => back(&ask, &undone.code, None),
    }
}

/// `POST /panel/act/pause`.
pub(super) async fn pause(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    plain(&panel, &ask, "/api/recovery/pause", "paused").await
}

/// `POST /panel/act/resume`.
pub(super) async fn resume(panel: State<Arc<Panel>>, ask: Extension<Arc<Ask>>) -> Response {
    plain(&panel, &ask, "/api/recovery/resume", "resumed").await
}

async fn plain(panel: &Panel, ask: &Ask, path: &str, done: &str) -> Response {
    match panel.deeds.post(ask.who(), path, &json!({})).await {
        Ok(_) => back(ask, done, None),
        Err(undone) => back(ask, &undone.code, None),
    }
}
