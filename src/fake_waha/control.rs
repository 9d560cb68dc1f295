//! The switchboard under `/__fake`: outside WAHA's paths, without a key, JSON whatever the `Content-Type`.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body;
use super::fault::{Fault, FaultId};
use super::request::Request;
use super::session::SessionStatus;
use super::world::World;

/// Where the switchboard is.
pub(super) const PREFIX: &str = "/__fake";

/// Nothing anybody types here is longer.
const BODY_LIMIT: usize = 1024 * 1024;

/// The switches, as `--help` and a lost caller are told.
pub(super) const SWITCHES: &str = "\
GET    /__fake/faults            what is switched on
POST   /__fake/faults            switch a fault on: {\"when\":{…},\"what\":…}
DELETE /__fake/faults[/ID]       switch all faults, or one, off
GET    /__fake/phones            what each pretend phone displays
GET    /__fake/calls             the send calls received
POST   /__fake/sessions/NAME     {\"status\":\"FAILED\"}, {\"after_start\":\"SCAN_QR_CODE\"},
                                 {\"drop_link\":true,\"back_after_ms\":3000}
POST   /__fake/chats/CHAT        {\"on_whatsapp\":false}
POST   /__fake/down              {\"for_ms\":5000}: connections are refused for that long
POST   /__fake/reset             back to the start";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionOrder {
    status: Option<SessionStatus>,
    after_start: Option<SessionStatus>,
    #[serde(default)]
    drop_link: bool,
    back_after_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatOrder {
    on_whatsapp: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DownOrder {
    for_ms: u64,
}

/// Serves one call of the switchboard.
pub(super) async fn serve(world: &Arc<World>, request: &Request, incoming: Incoming) -> Answer {
    let body = match body::collect(&request.headers, incoming, BODY_LIMIT).await {
        Ok(Ok(body)) => body,
        _ => return refused("a body of at most 1 MiB is expected"),
    };
    let parts = request.parts();
    let parts: Vec<&str> = parts.iter().skip(1).map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["faults"]) => faults(world),
        ("POST", ["faults"]) => with(&body, |fault: Fault| {
            let id = world.faults.add(fault);
            Answer::json(StatusCode::CREATED, &json!({"id": id}))
        }),
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            done()
        }
        ("DELETE", ["faults", id]) => match id.parse() {
            Ok(id) if world.faults.remove(FaultId(id)) => done(),
            _ => Answer::json(StatusCode::NOT_FOUND, &json!({"error": format!("no fault {id} is on")})),
        },
        ("GET", ["phones"]) => shown(&world.phones.snapshot()),
        ("GET", ["calls"]) => {
            let calls = world.calls.snapshot();
            shown(&json!({"count": calls.len(), "calls": calls}))
        }
        ("POST", ["sessions", name]) => with(&body, |order| change_session(world, name, &order)),
        ("POST", ["chats", chat]) => with(&body, |order: ChatOrder| {
            world.phones.set_on_whatsapp(chat, order.on_whatsapp);
            done()
        }),
        ("POST", ["down"]) => with(&body, |order: DownOrder| {
            let world_to_raise = Arc::clone(world);
            let pause = Duration::from_millis(order.for_ms);
            world.spawn(async move {
                // The answer gets a moment to leave before the connection is cut.
                tokio::time::sleep(Duration::from_millis(50)).await;
                world_to_raise.taken_down.send_replace(true);
                tokio::time::sleep(pause).await;
                world_to_raise.taken_down.send_replace(false);
            });
            done()
        }),
        ("POST", ["reset"]) => {
            world.reset();
            done()
        }
        _ => Answer::raw(
            StatusCode::NOT_FOUND,
            Some("text/plain; charset=utf-8"),
            format!("The switches are:\n{SWITCHES}\n").into(),
        ),
    }
}

fn faults(world: &World) -> Answer {
    let list: Vec<Value> = world
        .faults
        .list()
        .into_iter()
        .map(|(id, fault, matched)| json!({"id": id, "when": fault.when, "what": fault.what, "matched": matched}))
        .collect();
    shown(&list)
}

fn change_session(world: &Arc<World>, name: &str, order: &SessionOrder) -> Answer {
    if let Some(status) = order.status {
        world.set_session(name, status);
    }
    if world.sessions.status(name).is_none() {
        let error = format!("there is no session {name}; a status would create it");
        return Answer::json(StatusCode::NOT_FOUND, &json!({"error": error}));
    }
    if let Some(status) = order.after_start {
        world.sessions.set_settles_in(name, status);
    }
    if order.drop_link {
        world.drop_link(name, order.back_after_ms.map(Duration::from_millis));
    }
    match world.sessions.detail(name, world.options.engine) {
        Some(detail) => Answer::json(StatusCode::OK, &detail),
        None => done(),
    }
}

/// Reads an order and carries it out, or says what is wrong with it.
fn with<T: DeserializeOwned>(body: &[u8], carry_out: impl FnOnce(T) -> Answer) -> Answer {
    match serde_json::from_slice(body) {
        Ok(order) => carry_out(order),
        Err(error) => refused(&error.to_string()),
    }
}

fn shown(value: &impl serde::Serialize) -> Answer {
    match serde_json::to_value(value) {
        Ok(value) => Answer::json(StatusCode::OK, &value),
        Err(error) => Answer::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": error.to_string()})),
    }
}

fn done() -> Answer {
    Answer::json(StatusCode::OK, &json!({"ok": true}))
}

fn refused(error: &str) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, &json!({"error": error}))
}
