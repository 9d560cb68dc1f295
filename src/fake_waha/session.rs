//! The sessions: their statuses, WAHA's waits for a status, and its lock around commands.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::chance::now_ms;
use super::options::{Engine, Options, SessionOptions};

/// Statuses WAHA shows in an event besides the newest.
const STATUSES_SHOWN: usize = 3;

/// Locks kept although nobody may hold them; then the free ones go.
const MAX_LOCKS: usize = 1000;

/// WAHA's session statuses, in its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionStatus {
    /// Not running.
    Stopped,
    /// Connecting.
    Starting,
    /// Waits for a phone to scan the QR code.
    ScanQrCode,
    /// Waits for a passkey (GOWS, newer releases).
    PasskeyRequired,
    /// Waits for the passkey to be confirmed (GOWS, newer releases).
    PasskeyConfirmationRequired,
    /// Sends.
    Working,
    /// Logged out, or given up.
    Failed,
}

impl SessionStatus {
    /// WAHA's own spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::ScanQrCode => "SCAN_QR_CODE",
            Self::PasskeyRequired => "PASSKEY_REQUIRED",
            Self::PasskeyConfirmationRequired => "PASSKEY_CONFIRMATION_REQUIRED",
            Self::Working => "WORKING",
            Self::Failed => "FAILED",
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug)]
struct Session {
    config: Value,
    status: SessionStatus,
    settles_in: SessionStatus,
    statuses: Vec<(SessionStatus, i64)>,
    /// The connection to WhatsApp is gone, whatever the status says.
    link_is_down: bool,
    /// Counts status changes asked for, so that one still to come does not overwrite a newer one.
    turn: u64,
}

impl Session {
    fn new(config: Value, status: SessionStatus, settles_in: SessionStatus) -> Self {
        let statuses = vec![(status, now_ms())];
        Self { config, status, settles_in, statuses, link_is_down: false, turn: 0 }
    }
}

/// Why a session cannot serve a call, after WAHA's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReady {
    Missing,
    Is(SessionStatus),
}

/// A status that changed: what the event needs.
#[derive(Clone, Debug)]
pub(super) struct StatusChange {
    pub(super) name: String,
    pub(super) status: SessionStatus,
    pub(super) statuses: Vec<(SessionStatus, i64)>,
}

/// Names a moment in a session's life: a delayed change is done only if nothing happened since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

#[derive(Debug)]
pub(super) struct Sessions {
    all: Mutex<BTreeMap<String, Session>>,
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    changed: watch::Sender<()>,
}

impl Sessions {
    pub(super) fn new(initial: &[SessionOptions]) -> Self {
        let sessions =
            Self { all: Mutex::default(), locks: Mutex::default(), changed: watch::Sender::new(()) };
        sessions.reset(initial);
        sessions
    }

    /// Back to the sessions of the start; pending changes of the old ones are void.
    pub(super) fn reset(&self, initial: &[SessionOptions]) {
        let mut all = self.lock();
        let turn = all.values().map(|session| session.turn + 1).max().unwrap_or(0);
        *all = initial
            .iter()
            .map(|options| {
                let mut session = Session::new(options.config.clone(), options.status, options.after_start);
                session.turn = turn;
                (options.name.clone(), session)
            })
            .collect();
        drop(all);
        self.changed.send_replace(());
    }

    pub(super) fn status(&self, name: &str) -> Option<SessionStatus> {
        self.lock().get(name).map(|session| session.status)
    }

    pub(super) fn config(&self, name: &str) -> Option<Value> {
        self.lock().get(name).map(|session| session.config.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Creates a session or replaces its config.
    pub(super) fn upsert(&self, name: &str, config: Value, settles_in: SessionStatus) {
        let mut all = self.lock();
        match all.get_mut(name) {
            Some(session) => session.config = config,
            None => {
                all.insert(name.to_owned(), Session::new(config, SessionStatus::Stopped, settles_in));
            }
        }
        drop(all);
        self.changed.send_replace(());
    }

    pub(super) fn remove(&self, name: &str) {
        self.lock().remove(name);
        self.changed.send_replace(());
    }

    /// Sets a status and voids changes still to come. `None` if there is no such session.
    pub(super) fn set_status(&self, name: &str, status: SessionStatus) -> Option<(StatusChange, Turn)> {
        self.change(name, status, None)
    }

    /// The same, but only if nothing else happened since `turn`.
    pub(super) fn set_status_since(
        &self,
        name: &str,
        status: SessionStatus,
        turn: Turn,
    ) -> Option<(StatusChange, Turn)> {
        self.change(name, status, Some(turn))
    }

    fn change(&self, name: &str, status: SessionStatus, since: Option<Turn>) -> Option<(StatusChange, Turn)> {
        let mut all = self.lock();
        let session = all.get_mut(name)?;
        if since.is_some_and(|turn| turn.0 != session.turn) {
            return None;
        }
        session.turn += 1;
        session.status = status;
        // A noticed break is no hidden one any more; every later status speaks for itself.
        session.link_is_down = false;
        session.statuses.push((status, now_ms()));
        let surplus = session.statuses.len().saturating_sub(STATUSES_SHOWN);
        session.statuses.drain(..surplus);
        let change = StatusChange { name: name.to_owned(), status, statuses: session.statuses.clone() };
        let turn = Turn(session.turn);
        drop(all);
        self.changed.send_replace(());
        Some((change, turn))
    }

    pub(super) fn settles_in(&self, name: &str) -> Option<SessionStatus> {
        self.lock().get(name).map(|session| session.settles_in)
    }

    pub(super) fn set_settles_in(&self, name: &str, status: SessionStatus) {
        if let Some(session) = self.lock().get_mut(name) {
            session.settles_in = status;
        }
    }

    /// Breaks a session's connection to WhatsApp without a change of status.
    pub(super) fn break_link(&self, name: &str) -> Option<Turn> {
        let mut all = self.lock();
        let session = all.get_mut(name)?;
        session.link_is_down = true;
        session.turn += 1;
        Some(Turn(session.turn))
    }

    pub(super) fn link_is_down(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|session| session.link_is_down)
    }

    /// WAHA's wait: first for the session to be there and running, then for its status.
    pub(super) async fn wait_for(
        &self,
        name: &str,
        wanted: SessionStatus,
        options: &Options,
    ) -> Result<(), NotReady> {
        let mut changed = self.changed.subscribe();
        let until = Instant::now() + options.scaled(options.waits.missing_session);
        loop {
            changed.mark_unchanged();
            match self.status(name) {
                Some(status) if status == wanted => return Ok(()),
                Some(status) if status != SessionStatus::Stopped => break,
                absent => {
                    if timeout_at(until, changed.changed()).await.is_err() {
                        return Err(absent.map_or(NotReady::Missing, NotReady::Is));
                    }
                }
            }
        }
        let until = Instant::now() + options.scaled(options.waits.not_working);
        loop {
            changed.mark_unchanged();
            match self.status(name) {
                Some(status) if status == wanted => return Ok(()),
                other => {
                    if timeout_at(until, changed.changed()).await.is_err() {
                        return Err(other.map_or(NotReady::Missing, NotReady::Is));
                    }
                }
            }
        }
    }

    /// The lock commands of one session take turns with; `None` after WAHA's wait in its queue.
    pub(super) async fn command_lock(&self, name: &str, options: &Options) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            if locks.len() >= MAX_LOCKS {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        timeout(options.scaled(options.waits.lock_queue), lock.lock_owned()).await.ok()
    }

    /// A session as WAHA's lists show it.
    pub(super) fn summary(&self, name: &str, engine: Engine) -> Option<Value> {
        let all = self.lock();
        let session = all.get(name)?;
        let timestamps = match session.status {
            SessionStatus::Stopped => json!({"activity": null}),
            SessionStatus::Working => json!({"activity": now_ms()}),
            _ => json!({}),
        };
        Some(json!({
            "name": name,
            "status": session.status,
            "config": session.config,
            "me": me(engine, session.status),
            "presence": null,
            "timestamps": timestamps,
        }))
    }

    /// A session as WAHA shows it alone.
    pub(super) fn detail(&self, name: &str, engine: Engine) -> Option<Value> {
        let mut detail = self.summary(name, engine)?;
        let is_running = self.status(name).is_some_and(|status| status != SessionStatus::Stopped);
        detail["engine"] = if is_running { json!({"engine": engine.name()}) } else { json!({}) };
        Some(detail)
    }

    /// The account behind a session, null until it works.
    pub(super) fn me(&self, name: &str, engine: Engine) -> Value {
        self.status(name).map_or(Value::Null, |status| me(engine, status))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pretend shop's account.
pub(super) const SHOP: &str = "5511900000000@c.us";

fn me(engine: Engine, status: SessionStatus) -> Value {
    if status != SessionStatus::Working {
        return Value::Null;
    }
    match engine {
        Engine::Webjs => json!({"id": SHOP, "pushName": "Fake Shop"}),
        Engine::Noweb | Engine::Gows => {
            json!({"id": SHOP, "pushName": "Fake Shop", "lid": "90000000000000@lid", "jid": "5511900000000:1@s.whatsapp.net"})
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sessions() -> Arc<Sessions> {
        Arc::new(Sessions::new(&[SessionOptions::working("default")]))
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_the_observed_ones() {
        let (sessions, options) = (sessions(), Options::default());
        for (name, status, seconds) in [
            ("nosuch", None, 5),
            ("default", Some(SessionStatus::Stopped), 5),
            ("default", Some(SessionStatus::Starting), 10),
            ("default", Some(SessionStatus::ScanQrCode), 10),
            ("default", Some(SessionStatus::Failed), 10),
        ] {
            if let Some(status) = status {
                sessions.set_status(name, status);
            }
            let start = Instant::now();
            let ended = sessions.wait_for(name, SessionStatus::Working, &options).await;
            assert_eq!(ended, Err(status.map_or(NotReady::Missing, NotReady::Is)));
            let waited = start.elapsed();
            assert!(waited.abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(50), "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_comes_back_inside_the_wait_serves_the_call() {
        let (sessions, options) = (sessions(), Options::default());
        sessions.set_status("default", SessionStatus::Stopped);
        let waiting = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.wait_for("default", SessionStatus::Working, &options).await }
        });
        tokio::time::sleep(Duration::from_secs(4)).await;
        sessions.set_status("default", SessionStatus::Starting);
        tokio::time::sleep(Duration::from_secs(9)).await;
        sessions.set_status("default", SessionStatus::Working);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lock_queue_gives_up() {
        let (sessions, options) = (sessions(), Options::default());
        let held = sessions.command_lock("default", &options).await.unwrap();
        assert!(sessions.command_lock("other", &options).await.is_some());
        let start = Instant::now();
        assert!(sessions.command_lock("default", &options).await.is_none());
        assert_eq!(start.elapsed().as_secs(), 5);
        drop(held);
        assert!(sessions.command_lock("default", &options).await.is_some());
    }

    #[test]
    fn a_late_change_does_not_overwrite_a_newer_one() {
        let sessions = sessions();
        let (_, turn) = sessions.set_status("default", SessionStatus::Starting).unwrap();
        sessions.set_status("default", SessionStatus::Failed).unwrap();
        assert!(sessions.set_status_since("default", SessionStatus::Working, turn).is_none());
        assert_eq!(sessions.status("default"), Some(SessionStatus::Failed));
    }
}
