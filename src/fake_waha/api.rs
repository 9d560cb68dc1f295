//! From a request to WAHA's answer: faults, body parser, key, routes, in WAHA's order.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::CACHE_CONTROL;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::answer::{self, Answer, thrown};
use super::body::{self, Body};
use super::calls::{CallOutcome, SendCall};
use super::chance::{message_id, now_ms, ulid};
use super::chat::{chat_id, parse_serialized_id};
use super::fault::{Call, FaultKind, Plan};
use super::messages::Wanted;
use super::options::Engine;
use super::request::Request;
use super::send::{self, SendFields};
use super::send_route::{self, SendRoute};
use super::session::SessionStatus;
use super::world::World;

/// What the connection is to do with a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// Announce the whole answer, send part of it, cut.
    Truncated(Answer),
    /// Cut without an answer.
    Cut,
    /// Reset without an answer.
    Reset,
    /// Say nothing, for ever.
    Hang,
}

/// Serves one request whose body has been read.
pub(super) async fn serve(world: &Arc<World>, request: &Request) -> Reply {
    let parts = request.parts();
    let route = send_route::recognize(&request.method, &parts);
    let fields = route.as_ref().map(|route| SendFields::new(request, route));
    let session = match &fields {
        Some(fields) => fields.session(),
        None => request.query("session").or_else(|| session_in_path(&parts)),
    };
    let chat = fields.as_ref().and_then(SendFields::chat);
    let logged = fields.as_ref().map(|fields| {
        world.calls.begin(SendCall {
            number: 0,
            at: chrono::Utc::now(),
            path: request.path.clone(),
            session: session.map(str::to_owned),
            chat: chat.map(str::to_owned),
            text: fields.text(),
            given_id: fields.given_id().map(str::to_owned),
            outcome: CallOutcome::Running,
        })
    });
    let plan = world.faults.plan(&Call { path: &request.path, is_send: route.is_some(), session, chat });
    let reply = carry_out(world, request, &parts, route.as_ref(), session, &plan).await;
    if let Some(number) = logged {
        world.calls.end(
            number,
            match &reply {
                Reply::Answer(answer) => CallOutcome::Answered(answer.status.as_u16()),
                Reply::Truncated(_) => CallOutcome::Truncated,
                Reply::Cut => CallOutcome::DroppedProcessed,
                Reply::Reset => CallOutcome::DroppedUnprocessed,
                Reply::Hang => CallOutcome::Hung,
            },
        );
    }
    reply
}

/// A sleep of nothing would still wait for the timer's next tick.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}

fn session_in_path(parts: &[String]) -> Option<&str> {
    match parts {
        [api, sessions, name, ..]
            if api.eq_ignore_ascii_case("api") && sessions.eq_ignore_ascii_case("sessions") =>
        {
            Some(name)
        }
        [api, name, _, ..] if api.eq_ignore_ascii_case("api") => Some(name),
        _ => None,
    }
}

async fn carry_out(
    world: &Arc<World>,
    request: &Request,
    parts: &[String],
    route: Option<&SendRoute>,
    session: Option<&str>,
    plan: &Plan,
) -> Reply {
    pause(plan.delay).await;
    match plan.deed {
        Some(FaultKind::Hang) => return Reply::Hang,
        Some(FaultKind::DropBeforeReading) => return Reply::Reset,
        Some(FaultKind::Refuse) => {
            return Reply::Answer(Answer::exception(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"));
        }
        _ => {}
    }
    let mut answer = match gate(world, request, parts, plan) {
        Some(stopped) => stopped,
        None => match route {
            Some(route) => send::serve(world, request, route, plan).await,
            None => match send::engine_deed(world, request, session.unwrap_or("default"), None, plan) {
                Err(failed) => *failed,
                Ok(()) => plain(world, request, parts).await,
            },
        },
    };
    pause(plan.late_answer).await;
    match plan.deed {
        Some(FaultKind::DropAfterProcessing) => return Reply::Cut,
        Some(FaultKind::TruncateAnswer) => return Reply::Truncated(answer),
        Some(FaultKind::BadBody) if answer.status.is_success() => {
            let half = answer.body.len() / 2;
            answer.body.truncate(half);
        }
        Some(FaultKind::EmptyBody) if answer.status.is_success() => {
            answer = Answer::empty(answer.status);
        }
        _ => {}
    }
    Reply::Answer(answer)
}

/// What happens before any route: the body parser, then the key.
fn gate(world: &Arc<World>, request: &Request, parts: &[String], plan: &Plan) -> Option<Answer> {
    match &request.body {
        Body::Malformed(message) => {
            return Some(Answer::exception(StatusCode::BAD_REQUEST, message.as_str()));
        }
        Body::TooLarge { announced, received } => {
            let exception = answer::too_large(*announced, *received, body::LIMIT);
            return Some(request.unhandled(&exception, world));
        }
        Body::Encoded(encoding) => {
            let exception =
                thrown("UnsupportedMediaTypeError", &format!("unsupported content encoding \"{encoding}\""));
            return Some(request.unhandled(&exception, world));
        }
        Body::Undefined | Body::Parsed(_) => {}
    }
    let first = parts.first().map(|part| part.to_ascii_lowercase()).unwrap_or_default();
    match first.as_str() {
        "api" | "health" => {
            let refused = plan.deed == Some(FaultKind::Unauthorized) || !has_key(world, request);
            refused.then(Answer::unauthorized)
        }
        "ping" | "ws" => None,
        // `/metrics` is open since it exists, and off by default.
        "metrics" if world.options.release.plus_is_free() => None,
        _ => Some(Answer::basic_auth()),
    }
}

/// Whether a call brings the key WAHA wants.
fn has_key(world: &World, request: &Request) -> bool {
    let Some(key) = world.options.api_key.as_deref() else { return true };
    let in_query = request.query("x-api-key").filter(|_| world.options.release.plus_is_free());
    request.header("x-api-key") == Some(key) || in_query == Some(key)
}

/// Everything but sends.
async fn plain(world: &Arc<World>, request: &Request, parts: &[String]) -> Answer {
    let words: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let name = |place: usize| parts.get(place).map_or("", String::as_str);
    let (engine, ok) = (world.options.engine, StatusCode::OK);
    match (request.method.as_str(), words.as_slice()) {
        ("GET", ["ping"]) => Answer::json(ok, &json!({"message": "pong"})),
        ("GET", ["health"]) => health(world),
        ("GET", ["api", "version"] | ["api", "server", "version"]) => Answer::json(ok, &world.version()),
        ("GET", ["api", "server", "status"]) => {
            let (start, uptime) = (world.started_at_ms, now_ms() - world.started_at_ms);
            let status = json!({"startTimestamp": start, "uptime": uptime, "worker": {"id": "w1"}});
            Answer::json(ok, &status)
        }
        ("GET", ["api", "sessions"]) => list_sessions(world, request),
        ("POST", ["api", "sessions"]) => create_session(world, request).await,
        ("POST", ["api", "sessions", "start" | "stop" | "logout"]) => {
            old_session_command(world, request, words[2]).await
        }
        ("GET", ["api", "sessions", _]) => match world.sessions.detail(name(2), engine) {
            Some(detail) => Answer::json(ok, &detail),
            None => session_not_found(),
        },
        ("PUT", ["api", "sessions", _]) => update_session(world, request, name(2)).await,
        ("DELETE", ["api", "sessions", _]) => delete_session(world, request, name(2)).await,
        ("GET", ["api", "sessions", _, "me"]) => {
            if world.sessions.status(name(2)).is_none() {
                return session_not_found();
            }
            // Express sends null as an empty body.
            match world.sessions.me(name(2), engine) {
                Value::Null => Answer::empty(ok),
                me => Answer::json(ok, &me),
            }
        }
        ("POST", ["api", "sessions", _, command @ ("start" | "stop" | "restart" | "logout")]) => {
            session_command(world, request, name(2), command).await
        }
        ("GET", ["api", "contacts", "check-exists"] | ["api", "checknumberstatus"]) => {
            check_exists(world, request).await
        }
        ("GET", ["api", "messages"]) => {
            let chat = request.query("chatId").unwrap_or_default().to_owned();
            let session = request.query("session").unwrap_or("default").to_owned();
            list_messages(world, request, &session, &chat).await
        }
        ("GET", ["api", _, "auth", "qr"]) => qr_code(world, request, name(1)).await,
        ("GET", ["api", _, "new-message-id"]) if world.options.release.plus_is_free() => {
            new_message_id(world, name(1)).await
        }
        ("GET", ["api", _, "chats", _, "messages"]) => list_messages(world, request, name(1), name(3)).await,
        ("GET", ["api", _, "chats", _, "messages", _]) => one_message(world, name(1), name(3), name(5)).await,
        ("POST", ["api", "sendseen" | "starttyping" | "stoptyping"] | ["api", _, "presence"])
        | ("PUT", ["api", "star"]) => quiet(world, request, parts).await,
        (method, _) => Answer::no_route(method, &request.url),
    }
}

fn health(world: &World) -> Answer {
    let answer = if world.options.release.plus_is_free() {
        Answer::json(StatusCode::OK, &json!({"status": "ok", "info": {}, "error": {}, "details": {}}))
    } else {
        Answer::plus_only(world.options.engine)
    };
    answer.with(CACHE_CONTROL, "no-cache, no-store, must-revalidate")
}

// ---- sessions

fn session_not_found() -> Answer {
    Answer::exception(StatusCode::NOT_FOUND, "Session not found")
}

fn shown(world: &World, status: StatusCode, name: &str) -> Answer {
    match world.sessions.detail(name, world.options.engine) {
        Some(detail) => Answer::json(status, &detail),
        None => Answer::empty(status),
    }
}

fn lock_timed_out(world: &World, request: &Request, name: &str) -> Answer {
    let message = format!("async-lock timed out in queue {name}");
    request.unhandled(&thrown("Error", &message), world)
}

fn list_sessions(world: &World, request: &Request) -> Answer {
    let all = request.query("all").is_some_and(|all| all == "true" || all == "1");
    let sessions: Vec<Value> = world
        .sessions
        .names()
        .iter()
        .filter(|name| all || world.sessions.status(name).is_some_and(|s| s != SessionStatus::Stopped))
        .filter_map(|name| world.sessions.summary(name, world.options.engine))
        .collect();
    Answer::json(StatusCode::OK, &Value::Array(sessions))
}

async fn create_session(world: &Arc<World>, request: &Request) -> Answer {
    let given = request.body_field("name");
    let name = match given {
        None => format!("session_{}", ulid()),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Answer::exception(StatusCode::BAD_REQUEST, vec!["name must be a string"]),
    };
    let Some(_lock) = world.sessions.command_lock(&name, &world.options).await else {
        return lock_timed_out(world, request, &name);
    };
    if world.sessions.status(&name).is_some() {
        let message = format!("Session '{name}' already exists. Use PUT to update it.");
        return Answer::exception(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    let config = request.body_field("config").cloned().unwrap_or_else(|| json!({}));
    world.sessions.upsert(&name, config, world.options.new_session_settles);
    // As observed: started only if asked for, whatever the documents say of the default.
    if request.body_field("start").and_then(Value::as_bool) == Some(true) {
        world.start_session(&name);
    }
    shown(world, StatusCode::CREATED, &name)
}

async fn update_session(world: &Arc<World>, request: &Request, name: &str) -> Answer {
    let Some(_lock) = world.sessions.command_lock(name, &world.options).await else {
        return lock_timed_out(world, request, name);
    };
    let Some(status) = world.sessions.status(name) else { return session_not_found() };
    world.stop_session(name).await;
    let config = request.body_field("config").cloned().unwrap_or_else(|| json!({}));
    world.sessions.upsert(name, config, world.options.new_session_settles);
    if status != SessionStatus::Stopped {
        world.start_session(name);
    }
    shown(world, StatusCode::OK, name)
}

async fn delete_session(world: &Arc<World>, request: &Request, name: &str) -> Answer {
    let Some(_lock) = world.sessions.command_lock(name, &world.options).await else {
        return lock_timed_out(world, request, name);
    };
    world.stop_session(name).await;
    world.sessions.remove(name);
    Answer::empty(StatusCode::OK)
}

async fn session_command(world: &Arc<World>, request: &Request, name: &str, command: &str) -> Answer {
    let Some(_lock) = world.sessions.command_lock(name, &world.options).await else {
        return lock_timed_out(world, request, name);
    };
    let Some(status) = world.sessions.status(name) else { return session_not_found() };
    let is_running = status != SessionStatus::Stopped;
    match command {
        "start" if is_running => {
            let message = format!("Session '{name}' is already started.");
            return Answer::exception(StatusCode::UNPROCESSABLE_ENTITY, message);
        }
        "start" => world.start_session(name),
        "stop" => world.stop_session(name).await,
        "restart" => {
            world.stop_session(name).await;
            world.start_session(name);
        }
        _ => {
            // Logged out: what starts now waits for a phone to scan its code.
            world.stop_session(name).await;
            world.sessions.set_settles_in(name, SessionStatus::ScanQrCode);
            if is_running {
                world.start_session(name);
            }
        }
    }
    shown(world, StatusCode::CREATED, name)
}

/// `POST /api/sessions/start|stop|logout {name}`, deprecated but in use.
async fn old_session_command(world: &Arc<World>, request: &Request, command: &str) -> Answer {
    let Some(name) = request.body_field("name").and_then(Value::as_str) else {
        let message = "Cannot read properties of undefined (reading 'name')";
        return request.unhandled(&thrown("TypeError", message), world);
    };
    let Some(_lock) = world.sessions.command_lock(name, &world.options).await else {
        return lock_timed_out(world, request, name);
    };
    let is_running = world.sessions.status(name).is_some_and(|status| status != SessionStatus::Stopped);
    if command == "start" {
        if is_running {
            let message = format!("Session '{name}' is already started.");
            return Answer::exception(StatusCode::UNPROCESSABLE_ENTITY, message);
        }
        let config = request.body_field("config").cloned().unwrap_or_else(|| json!({}));
        world.sessions.upsert(name, config, world.options.new_session_settles);
        world.start_session(name);
        return shown(world, StatusCode::CREATED, name);
    }
    world.stop_session(name).await;
    if command == "logout" || request.body_field("logout").and_then(Value::as_bool) == Some(true) {
        world.sessions.remove(name);
    }
    Answer::empty(StatusCode::CREATED)
}

// ---- a session's reads

/// A picture of one white dot: nobody scans a pretend code.
const DOT: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\
    \x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\xf8\x0f\x00\x01\
    \x01\x01\x00\x1c\xb0\x8c\x99\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

async fn qr_code(world: &Arc<World>, request: &Request, session: &str) -> Answer {
    if let Err(refused) = send::ready(world, session, SessionStatus::ScanQrCode).await {
        return *refused;
    }
    if request.query("format") == Some("raw") {
        return Answer::json(StatusCode::OK, &json!({"value": format!("FAKE,QR,CODE,{}", now_ms())}));
    }
    if request.header("accept").is_some_and(|accept| accept.contains("application/json")) {
        let picture = json!({"mimetype": "image/png", "data": answer::base64(DOT)});
        return Answer::json(StatusCode::OK, &picture);
    }
    Answer::raw(StatusCode::OK, Some("image/png"), bytes::Bytes::from_static(DOT))
}

async fn new_message_id(world: &Arc<World>, session: &str) -> Answer {
    if let Err(refused) = send::ready(world, session, SessionStatus::Working).await {
        return *refused;
    }
    if world.options.engine.takes_message_id() {
        Answer::json(StatusCode::OK, &json!({"id": message_id()}))
    } else {
        Answer::not_implemented()
    }
}

async fn check_exists(world: &Arc<World>, request: &Request) -> Answer {
    let session = request.query("session").unwrap_or("default");
    if let Err(refused) = send::ready(world, session, SessionStatus::Working).await {
        return *refused;
    }
    let Some(phone) = request.query("phone") else {
        let message = "Cannot read properties of undefined (reading 'split')";
        return request.unhandled(&thrown("TypeError", message), world);
    };
    let chat = chat_id(phone.split('@').next().unwrap_or(phone).trim_start_matches('+').trim());
    let exists = world.phones.is_on_whatsapp(&chat);
    let body =
        if exists { json!({"numberExists": true, "chatId": chat}) } else { json!({"numberExists": false}) };
    Answer::json(StatusCode::OK, &body)
}

/// NOWEB keeps messages only if its store is on; the others always do.
fn store_is_off(world: &World, session: &str) -> Option<Answer> {
    let config = world.sessions.config(session).unwrap_or_default();
    let is_on = config.pointer("/noweb/store/enabled").and_then(Value::as_bool) == Some(true);
    (world.options.engine == Engine::Noweb && !is_on).then(|| {
        Answer::exception(
            StatusCode::BAD_REQUEST,
            "Enable NOWEB store \"config.noweb.store.enabled=True\" and \"config.noweb.store.full_sync=True\" when starting a new session. Read more: https://waha.devlike.pro/docs/engines/noweb#store",
        )
    })
}

async fn list_messages(world: &Arc<World>, request: &Request, session: &str, chat: &str) -> Answer {
    let wanted = match wanted(request, chat) {
        Ok(wanted) => wanted,
        Err(complaints) => return Answer::exception(StatusCode::BAD_REQUEST, complaints),
    };
    if let Err(refused) = send::ready(world, session, SessionStatus::Working).await {
        return *refused;
    }
    if let Some(refused) = store_is_off(world, session) {
        return refused;
    }
    let engine = world.options.engine;
    let found = world.messages.list(session, &wanted);
    let messages = found.iter().map(|message| message.wa_message(engine)).collect();
    Answer::json(StatusCode::OK, &Value::Array(messages))
}

/// A listing's query, or the validator's complaints.
fn wanted(request: &Request, chat: &str) -> Result<Wanted, Vec<String>> {
    let mut complaints = Vec::new();
    let mut number = |name: &str| -> Option<i64> {
        let parsed = request.query(name)?.trim().parse::<f64>();
        match parsed {
            Ok(number) if number.is_finite() => Some(number as i64),
            _ => {
                complaints.push(format!("{name} must be a number conforming to the specified constraints"));
                None
            }
        }
    };
    let limit = number("limit");
    let offset = number("offset");
    let since = number("filter.timestamp.gte");
    let until = number("filter.timestamp.lte");
    let from_me = request.query("filter.fromMe").map(|value| value == "true");
    let ack = request.query("filter.ack").map(str::to_owned);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok(Wanted {
        chat: (chat != "all").then(|| chat.to_owned()),
        from_me,
        since,
        until,
        ack,
        limit: usize::try_from(limit.unwrap_or(10)).unwrap_or(0),
        offset: usize::try_from(offset.unwrap_or(0)).unwrap_or(0),
        oldest_first: request.query("sortOrder") == Some("asc"),
    })
}

async fn one_message(world: &Arc<World>, session: &str, chat: &str, written: &str) -> Answer {
    if let Err(refused) = send::ready(world, session, SessionStatus::Working).await {
        return *refused;
    }
    if let Some(refused) = store_is_off(world, session) {
        return refused;
    }
    let id = parse_serialized_id(written).map_or_else(|| written.to_owned(), |(_, id)| id);
    match world.messages.find(session, chat, &id) {
        Some(message) => Answer::json(StatusCode::OK, &message.wa_message(world.options.engine)),
        None => Answer::exception(StatusCode::NOT_FOUND, "Message not found"),
    }
}

/// Calls that are no messages but wait for the session all the same.
async fn quiet(world: &Arc<World>, request: &Request, parts: &[String]) -> Answer {
    let in_path = parts.get(2).is_some_and(|part| part.eq_ignore_ascii_case("presence"));
    let session = if in_path { parts.get(1).cloned() } else { None }
        .or_else(|| request.body_field("session").and_then(Value::as_str).map(str::to_owned));
    let Some(session) = session else {
        return Answer::refusal(&json!({"error": "Session name is required"}));
    };
    match send::ready(world, &session, SessionStatus::Working).await {
        Err(refused) => *refused,
        Ok(()) => Answer::json(request.success_status(), &json!({"result": true})),
    }
}

/// Whether a request is a send, by its head alone.
pub(super) fn is_send(request: &Request) -> bool {
    send_route::recognize(&request.method, &request.parts()).is_some()
}
