//! The pretend world: sessions, phones, messages, faults, and what happens among them in time.
//!
//! It knows nothing of HTTP. Everything that goes on in the background runs in a task of this world and ends with it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer;
use super::calls::CallLog;
use super::chance::{now_ms, ulid};
use super::fault::{Faults, Plan};
use super::messages::{Ack, Message, MessageStore};
use super::options::Options;
use super::phone::PhoneShelf;
use super::session::{SessionStatus, Sessions, StatusChange, Turn};
use super::webhook::{Deliverer, Webhook};

/// Events a slow `/ws` client may fall behind by before it loses some.
const FEED_DEPTH: usize = 4096;

/// The shortest STARTING one can see when a broken connection comes back.
const RECONNECT: Duration = Duration::from_millis(250);

/// One event on its way to `/ws` clients.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) session: String,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Arc<Options>,
    pub(super) sessions: Sessions,
    pub(super) faults: Faults,
    pub(super) phones: PhoneShelf,
    pub(super) calls: CallLog,
    pub(super) messages: MessageStore,
    /// Whether somebody took the server down by hand.
    pub(super) taken_down: watch::Sender<bool>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) started_at_ms: i64,
    feed: broadcast::Sender<Arc<Event>>,
    deliverer: Deliverer,
}

impl World {
    pub(super) fn new(options: Options) -> std::io::Result<Arc<Self>> {
        let stop = CancellationToken::new();
        let deliverer = Deliverer::new(&options, stop.clone())?;
        Ok(Arc::new(Self {
            sessions: Sessions::new(&options.sessions),
            options: Arc::new(options),
            faults: Faults::new(),
            phones: PhoneShelf::default(),
            calls: CallLog::default(),
            messages: MessageStore::default(),
            taken_down: watch::Sender::new(false),
            stop,
            tasks: TaskTracker::new(),
            started_at_ms: now_ms(),
            feed: broadcast::Sender::new(FEED_DEPTH),
            deliverer,
        }))
    }

    /// Runs something that outlives the connection it came from, but not the world.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    pub(super) fn scaled(&self, duration: Duration) -> Duration {
        self.options.scaled(duration)
    }

    pub(super) fn version(&self) -> Value {
        answer::version(self.options.engine, self.options.release)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.feed.subscribe()
    }

    /// Back to the first moment, but for the faults' counters of ids.
    pub(super) fn reset(&self) {
        self.faults.clear();
        self.phones.reset();
        self.calls.reset();
        self.messages.reset();
        self.sessions.reset(&self.options.sessions);
    }

    // ---- events

    fn emit(&self, session: &str, name: &'static str, payload: Value) {
        if self.faults.feed_is_blind(session) {
            return;
        }
        let config = self.sessions.config(session).unwrap_or_default();
        let global = Value::Array(self.options.webhooks.clone());
        let hooks: Vec<Webhook> = Webhook::read_all(config.get("webhooks"))
            .into_iter()
            .chain(Webhook::read_all(Some(&global)))
            .filter(|hook| hook.wants(name))
            .collect();
        if hooks.is_empty() && self.feed.receiver_count() == 0 {
            return;
        }
        let mut envelope = json!({
            "id": format!("evt_{}", ulid()),
            "timestamp": now_ms(),
            "event": name,
            "session": session,
        });
        if let Some(metadata) = config.get("metadata") {
            envelope["metadata"] = metadata.clone();
        }
        envelope["me"] = self.sessions.me(session, self.options.engine);
        envelope["payload"] = payload;
        envelope["engine"] = json!(self.options.engine.name());
        envelope["environment"] = self.version();
        let text = envelope.to_string();
        for hook in hooks {
            self.deliverer.deliver(hook, Bytes::from(text.clone()), &self.options);
        }
        // No receiver is no error.
        let _ = self.feed.send(Arc::new(Event { name, session: session.to_owned(), text }));
    }

    fn emit_status(&self, change: &StatusChange) {
        let statuses: Vec<Value> = change
            .statuses
            .iter()
            .map(|(status, timestamp)| json!({"status": status, "timestamp": timestamp}))
            .collect();
        let payload = json!({"name": change.name, "status": change.status, "statuses": statuses});
        self.emit(&change.name, "session.status", payload);
    }

    // ---- sessions

    /// Sets a session's status at once; one that does not exist is created.
    pub(super) fn set_session(&self, name: &str, status: SessionStatus) {
        if self.sessions.status(name).is_none() {
            self.sessions.upsert(name, json!({}), self.options.new_session_settles);
        }
        if let Some((change, _)) = self.sessions.set_status(name, status) {
            self.emit_status(&change);
        }
    }

    fn later_status(&self, name: &str, status: SessionStatus, turn: Turn) -> Option<Turn> {
        let (change, turn) = self.sessions.set_status_since(name, status, turn)?;
        self.emit_status(&change);
        Some(turn)
    }

    /// STARTING now, and after a while the status the session settles in.
    pub(super) fn start_session(self: &Arc<Self>, name: &str) {
        let Some((change, turn)) = self.sessions.set_status(name, SessionStatus::Starting) else { return };
        self.emit_status(&change);
        let (world, name) = (Arc::clone(self), name.to_owned());
        self.spawn(async move {
            sleep(world.scaled(world.options.waits.connect)).await;
            if let Some(status) = world.sessions.settles_in(&name)
                && status != SessionStatus::Starting
            {
                world.later_status(&name, status, turn);
            }
        });
    }

    /// STOPPED now, then WAHA's fixed pause; nothing for one that does not run.
    pub(super) async fn stop_session(&self, name: &str) {
        if self.sessions.status(name).is_none_or(|status| status == SessionStatus::Stopped) {
            return;
        }
        if let Some((change, _)) = self.sessions.set_status(name, SessionStatus::Stopped) {
            self.emit_status(&change);
        }
        sleep(self.scaled(self.options.waits.stop)).await;
    }

    /// WhatsApp's connection breaks: WORKING for a while although nothing works, then STARTING, then (if it ever comes
    /// back) WORKING.
    pub(super) fn drop_link(self: &Arc<Self>, name: &str, back_after: Option<Duration>) -> bool {
        let Some(turn) = self.sessions.break_link(name) else { return false };
        let (world, name, start) = (Arc::clone(self), name.to_owned(), Instant::now());
        self.spawn(async move {
            sleep(world.scaled(world.options.waits.unnoticed_drop)).await;
            let Some(turn) = world.later_status(&name, SessionStatus::Starting, turn) else { return };
            if let Some(back_after) = back_after {
                let earliest = Instant::now() + world.scaled(RECONNECT);
                sleep_until(earliest.max(start + back_after)).await;
                world.later_status(&name, SessionStatus::Working, turn);
            }
        });
        true
    }

    // ---- messages

    /// A message has been accepted: it is stored, displayed, told to the listeners, and confirmed in time.
    pub(super) fn relay(self: &Arc<Self>, message: &Message, plan: &Plan) {
        self.messages.keep(message);
        let engine = self.options.engine;
        // WhatsApp tells nobody's number that it does not know from one that is switched off.
        let never_arrives = plan.swallow || !self.phones.is_on_whatsapp(&message.chat);
        if !never_arrives && !plan.ack_error {
            self.phones.display(&message.session, &message.chat, &message.id, &message.text);
        }
        self.emit(&message.session, "message.any", message.wa_message(engine));
        if never_arrives || plan.no_acks {
            return;
        }
        let acks = self.options.acks;
        let due: Vec<(Ack, Duration)> = if plan.ack_error {
            vec![(Ack::Error, acks.server.unwrap_or(Duration::ZERO))]
        } else {
            [(Ack::Server, acks.server), (Ack::Device, acks.device), (Ack::Read, acks.read)]
                .into_iter()
                .filter_map(|(ack, after)| Some((ack, after?)))
                .collect()
        };
        if due.is_empty() {
            return;
        }
        let world = Arc::clone(self);
        let (session, id, late_by) = (message.session.clone(), message.id.clone(), plan.late_acks);
        self.spawn(async move {
            let accepted = Instant::now();
            for (ack, after) in due {
                sleep_until(accepted + world.scaled(after) + late_by).await;
                if let Some(message) = world.messages.acked(&session, &id, ack) {
                    world.emit(&session, "message.ack", message.ack_payload(engine));
                }
            }
        });
    }
}
