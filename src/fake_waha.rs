//! A look-alike of WAHA's HTTP API, good enough to fool real clients, with switches for everything that goes wrong.
//!
//! It answers as a WAHA was observed to: status, headers, forms of bodies and errors, waits. Behind it are pretend
//! phones that count what they display, so that "was the customer told, and how often?" has an answer. `demo` and the
//! tests stand on it; `fake-waha` lets a person play with it. It knows nothing of the rest of the product.
//!
//! It is **not** a WhatsApp: nobody ever answers, groups and contacts do not exist, and of WAHA's API only what a
//! sending bot and a watchdog call is there (sends of every kind, sessions, key, check-exists, messages of a chat, `/ws`,
//! webhooks, `/ping`, `/health`). Anything else is a 404, as a WAHA says it.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use waha_watchdog::fake_waha::{FakeWaha, Fault, FaultKind, Options};
//!
//! let waha = FakeWaha::start(Options { time_scale: 0.01, ..Options::default() }).await?;
//! waha.faults().add(Fault::to_chat("5511988887777", FaultKind::DropAfterProcessing).times(1));
//! // … a client sends through waha.url() …
//! assert_eq!(waha.phones().times("5511988887777", "Your order is on its way"), 1);
//! waha.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The switchboard
//!
//! Under `/__fake`, outside WAHA's paths and without a key; bodies are JSON whatever their `Content-Type`.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /__fake/faults` | lists what is switched on, with how many calls each has matched |
//! | `POST /__fake/faults {"when":{…},"what":…}` | switches a [`Fault`] on, answers its id |
//! | `DELETE /__fake/faults`, `/__fake/faults/{id}` | switches all, or one, off |
//! | `GET /__fake/phones` | what each phone displays, see [`Phones`] |
//! | `GET /__fake/calls` | the send calls received, see [`SendCall`] |
//! | `POST /__fake/sessions/{name}` | `{"status":"FAILED"}` now, `{"after_start":"SCAN_QR_CODE"}` after each start, `{"drop_link":true,"back_after_ms":3000}` breaks the connection to WhatsApp |
//! | `POST /__fake/chats/{chat} {"on_whatsapp":false}` | marks a number as not being on WhatsApp |
//! | `POST /__fake/down {"for_ms":5000}` | refuses connections for that long |
//! | `POST /__fake/reset` | back to the start: no faults, blank phones, the first sessions |
//!
//! `when` is any of `chat`, `session`, `path`, `from` (n-th matching call, from 1) and `count`; [`FaultWhen`] says how
//! they combine. `what` is a [`FaultKind`]: a word (`"hang"`, `"drop_after_processing"`, `"no_acks"`), or one with a
//! value (`{"delay_ms":500}`, `{"status_500":"Timed Out"}`).

mod answer;
mod api;
mod body;
mod calls;
mod chance;
mod chat;
mod command;
mod control;
mod fault;
mod gzip;
mod messages;
mod options;
mod phone;
mod request;
mod send;
mod send_route;
mod server;
mod session;
mod webhook;
mod wire;
mod world;
mod ws;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::calls::{CallOutcome, SendCall};
pub use self::command::{FakeWahaArgs, run};
pub use self::fault::{Fault, FaultId, FaultKind, FaultWhen, Faults};
pub use self::options::{AckDelays, Engine, Options, Release, SessionOptions, Waits};
pub use self::phone::{Phones, Shown};
pub use self::session::SessionStatus;

use self::server::Listening;
use self::world::World;

/// A running look-alike. It ends when dropped; [`FakeWaha::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct FakeWaha {
    world: Arc<World>,
    address: SocketAddr,
    listening: watch::Receiver<Listening>,
    server: JoinHandle<()>,
}

impl FakeWaha {
    /// Starts one; it accepts connections when this returns.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let world = World::new(options)?;
        let (tell, listening) = watch::channel(Listening::Up);
        let server = tokio::spawn(server::run(Arc::clone(&world), listener, address, tell));
        Ok(Self { world, address, listening, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The fault switches.
    pub fn faults(&self) -> Faults {
        self.world.faults.clone()
    }

    /// What each pretend phone displays now.
    pub fn phones(&self) -> Phones {
        self.world.phones.snapshot()
    }

    /// The send calls received so far, oldest first.
    pub fn calls(&self) -> Vec<SendCall> {
        self.world.calls.snapshot()
    }

    /// Sets a session's status at once, telling listeners; one that does not exist is created.
    pub fn set_session(&self, name: &str, status: SessionStatus) {
        self.world.set_session(name, status);
    }

    /// Sets in which status a session settles after each start or restart from now on.
    pub fn set_after_start(&self, name: &str, status: SessionStatus) {
        self.world.sessions.set_settles_in(name, status);
    }

    /// A session's status, if it exists.
    pub fn session(&self, name: &str) -> Option<SessionStatus> {
        self.world.sessions.status(name)
    }

    /// Breaks a session's connection to WhatsApp: for a while it still says WORKING and every send is a 500 at once,
    /// then it is STARTING, and `back_after` the break WORKING again; never, if `None`.
    pub fn drop_link(&self, session: &str, back_after: Option<Duration>) {
        self.world.drop_link(session, back_after);
    }

    /// Marks a number as being on WhatsApp or not; all are at the start.
    pub fn set_on_whatsapp(&self, chat: &str, on_whatsapp: bool) {
        self.world.phones.set_on_whatsapp(chat, on_whatsapp);
    }

    /// Stops listening and cuts all connections: connects are refused from now on. Sends under way run on to their end,
    /// as they would behind a broken network.
    pub async fn go_down(&mut self) {
        self.world.taken_down.send_replace(true);
        // An error means that the server has ended, which is down as well.
        let _ = self.listening.wait_for(|now| *now == Listening::Down).await;
    }

    /// Listens again on the same port.
    pub async fn come_up(&mut self) -> io::Result<()> {
        self.world.taken_down.send_replace(false);
        let now = *self.listening.wait_for(|now| *now != Listening::Down).await.map_err(io::Error::other)?;
        match now {
            Listening::Failed(kind) => Err(kind.into()),
            Listening::Up | Listening::Down => Ok(()),
        }
    }

    /// Back to the start: no faults, blank phones, no calls, the first sessions. Connections stay.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Ends everything: the listener, all connections, sends under way, webhooks.
    pub async fn shutdown(mut self) {
        self.world.stop.cancel();
        // It can only have ended or panicked; both are the end.
        let _ = (&mut self.server).await;
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}

impl Drop for FakeWaha {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}
