//! One send, from its fields to its answer: WAHA's checks in WAHA's order, then the engine's.

use std::sync::Arc;

use chrono::Utc;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, engine_error, thrown};
use super::body::Body;
use super::chance::message_id;
use super::chat::{chat_id, jid, parse_serialized_id};
use super::fault::{FaultKind, Plan};
use super::messages::{Ack, Message};
use super::options::Engine;
use super::request::Request;
use super::send_route::{Kind, SendRoute, content, visible_text};
use super::session::{NotReady, SessionStatus};
use super::world::World;

/// What a send call says of itself, as far as it does.
#[derive(Clone, Debug)]
pub(super) struct SendFields<'a> {
    fields: Option<&'a Value>,
    route: &'a SendRoute,
}

impl<'a> SendFields<'a> {
    pub(super) fn new(request: &'a Request, route: &'a SendRoute) -> Self {
        let fields = match &request.body {
            _ if route.in_query => Some(&request.query),
            Body::Parsed(fields) => Some(fields),
            _ => None,
        };
        Self { fields, route }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name)
    }

    fn text_of(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    pub(super) fn session(&self) -> Option<&'a str> {
        match &self.route.session {
            Some(session) => Some(session),
            None if self.route.in_query => Some(self.text_of("session").unwrap_or("default")),
            None => self.text_of("session"),
        }
    }

    /// The chat as the caller wrote it.
    pub(super) fn chat(&self) -> Option<&'a str> {
        match &self.route.chat {
            Some(chat) => Some(chat),
            None if self.route.in_query => self.text_of("phone"),
            None => self.text_of("chatId"),
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        visible_text(self.route.kind, self.fields?)
    }

    /// The id the caller wants the message to have; an explicit null is none.
    pub(super) fn given_id(&self) -> Option<&'a str> {
        self.text_of("id").filter(|id| !id.is_empty())
    }
}

/// A send that ends without a message.
type Refused = Box<Answer>;

/// Serves one send. The answer is the honest one; cuts and spoilt bodies are made of it afterwards.
pub(super) async fn serve(world: &Arc<World>, request: &Request, route: &SendRoute, plan: &Plan) -> Answer {
    match attempt(world, request, route, plan).await {
        Ok(answer) => answer,
        Err(refused) => *refused,
    }
}

async fn attempt(
    world: &Arc<World>,
    request: &Request,
    route: &SendRoute,
    plan: &Plan,
) -> Result<Answer, Refused> {
    let type_error = |message: &str| Box::new(request.unhandled(&thrown("TypeError", message), world));
    let fields = SendFields::new(request, route);
    validate(route.kind, &fields)?;
    let needs_body = route.kind != Kind::Revoke && route.kind != Kind::Pin;
    if fields.fields.is_none() && needs_body {
        let first = if route.session.is_some() { "chatId" } else { "session" };
        return Err(type_error(&format!("Cannot read properties of undefined (reading '{first}')")));
    }
    let session = working_session(world, &fields).await?;
    engine_deed(world, request, &session, fields.chat(), plan)?;
    if route.kind.is_media() {
        check_media(world, &fields)?;
    }
    if world.sessions.link_is_down(&session) {
        return Err(Box::new(request.unhandled(&engine_error("Connection Closed"), world)));
    }

    let chat = match (route.kind, fields.chat()) {
        (Kind::Reaction | Kind::PollVote, None) => {
            let id = fields.text_of("messageId").unwrap_or_default();
            let Some((chat, _)) = parse_serialized_id(id) else {
                let message =
                    "Message id be in format false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA[_participant]";
                return Err(Box::new(request.unhandled(&thrown("Error", message), world)));
            };
            chat
        }
        (_, Some(chat)) => chat_id(chat),
        (_, None) => {
            return Err(type_error(match fields.get("chatId") {
                None => "Cannot read properties of undefined (reading 'includes')",
                Some(Value::Null) => "Cannot read properties of null (reading 'includes')",
                Some(_) => "phone.includes is not a function",
            }));
        }
    };

    let engine = world.options.engine;
    if !world.phones.is_on_whatsapp(&chat) && engine != Engine::Noweb {
        return Err(Box::new(request.unhandled(&engine_error(&no_lid(engine, &chat)), world)));
    }
    let text = match route.kind {
        Kind::Forward => forwarded_text(world, &session, &fields)?,
        _ => fields.text().unwrap_or_default(),
    };
    let given = fields.given_id().filter(|_| {
        engine.takes_message_id() && world.options.release.plus_is_free() && !route.kind.strips_id()
    });
    let message = Message {
        id: given.map_or_else(message_id, str::to_owned),
        session,
        chat,
        content: content(route.kind, fields.fields.unwrap_or(&Value::Null), &text),
        text,
        has_media: route.kind.is_media(),
        timestamp: Utc::now().timestamp(),
        ack: Ack::Pending,
    };
    if route.kind.is_displayed() {
        let mut plan = plan.clone();
        plan.ack_error |= matches!(plan.deed, Some(FaultKind::Restricted463 | FaultKind::Restricted475));
        world.relay(&message, &plan);
    }
    Ok(sent(request, route, &message, engine))
}

/// The answer to a send that succeeded.
fn sent(request: &Request, route: &SendRoute, message: &Message, engine: Engine) -> Answer {
    let status = request.success_status();
    match route.kind {
        Kind::Edit | Kind::Revoke | Kind::Pin | Kind::StatusDelete if engine != Engine::Noweb => {
            Answer::json(status, &json!({"success": true}))
        }
        _ => Answer::json(status, &message.sent(engine, route.kind.answers_wa_message())),
    }
}

/// The endpoints with a validator complain before they look for the session.
fn validate(kind: Kind, fields: &SendFields<'_>) -> Result<(), Refused> {
    let complaints: Vec<String> = kind
        .required()
        .iter()
        .filter_map(|(field, field_type)| field_type.complaint(field, fields.get(field)))
        .collect();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Box::new(Answer::exception(StatusCode::BAD_REQUEST, complaints)))
}

/// WAHA's search for a working session, with its waits.
async fn working_session(world: &Arc<World>, fields: &SendFields<'_>) -> Result<String, Refused> {
    let given = fields.get("session");
    let name = match (fields.session(), given) {
        (Some(""), _) | (None, None | Some(Value::Null)) => {
            let mut body = json!({"error": "Session name is required"});
            if let Some(given) = given {
                body["session"] = given.clone();
            }
            return Err(Box::new(Answer::refusal(&body)));
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(other)) => other.to_string(),
    };
    ready(world, &name, SessionStatus::Working).await?;
    Ok(name)
}

/// Waits for a session to have a status, or gives WAHA's 422.
pub(super) async fn ready(world: &Arc<World>, name: &str, wanted: SessionStatus) -> Result<(), Refused> {
    world.sessions.wait_for(name, wanted, &world.options).await.map_err(|not_ready| {
        Box::new(match not_ready {
            NotReady::Missing => Answer::refusal(
                &json!({"error": format!("Session \"{name}\" does not exist"), "session": name}),
            ),
            NotReady::Is(status) => wrong_status(name, status, wanted),
        })
    })
}

/// WAHA's 422 of a session in the wrong status.
pub(super) fn wrong_status(name: &str, status: SessionStatus, wanted: SessionStatus) -> Answer {
    Answer::refusal(&json!({
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": name,
        "status": status,
        "expected": [wanted],
    }))
}

/// Deeds that look as if the engine had done them.
pub(super) fn engine_deed(
    world: &Arc<World>,
    request: &Request,
    session: &str,
    chat: Option<&str>,
    plan: &Plan,
) -> Result<(), Refused> {
    let engine = world.options.engine;
    let failed = |message: &str| Err(Box::new(request.unhandled(&engine_error(message), world)));
    match &plan.deed {
        Some(FaultKind::Status500(message)) => failed(message),
        Some(FaultKind::Status422) => {
            Err(Box::new(wrong_status(session, SessionStatus::Failed, SessionStatus::Working)))
        }
        Some(FaultKind::NoLid) => failed(&no_lid(engine, chat.unwrap_or_default())),
        // Only this engine is told at once; the others accept and hear of it by an ack.
        Some(FaultKind::Restricted463) if engine == Engine::Gows => {
            failed("2 UNKNOWN: server returned error 463")
        }
        Some(FaultKind::Restricted475) if engine == Engine::Gows => {
            failed("2 UNKNOWN: server returned error 475")
        }
        _ => Ok(()),
    }
}

fn no_lid(engine: Engine, chat: &str) -> String {
    match engine {
        Engine::Webjs => "No LID for user".to_owned(),
        Engine::Noweb | Engine::Gows => format!("2 UNKNOWN: no LID found for {} from server", jid(chat)),
    }
}

fn check_media(world: &Arc<World>, fields: &SendFields<'_>) -> Result<(), Refused> {
    if !world.options.release.plus_is_free() {
        return Err(Box::new(Answer::plus_only(world.options.engine)));
    }
    let file = fields.get("file").unwrap_or(&Value::Null);
    if file["url"].is_null() && file["data"].is_null() {
        return Err(Box::new(Answer::exception(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Either \"file.url\" or \"file.data\" must be specified.",
        )));
    }
    Ok(())
}

fn forwarded_text(world: &Arc<World>, session: &str, fields: &SendFields<'_>) -> Result<String, Refused> {
    let written = fields.text_of("messageId").unwrap_or_default();
    parse_serialized_id(written)
        .and_then(|(chat, id)| world.messages.find(session, &chat, &id))
        .map(|message| message.text)
        .ok_or_else(|| {
            Box::new(Answer::exception(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("Message with id '{written}' not found"),
            ))
        })
}
