//! The hands: what the heart wants done outside is done here, and what came of it goes back to the heart.
//!
//! - `ask`: probes, looks, numbers. `bot`: does the bot live? `replay`: a kept request goes out again. `write`: a message of our own.
//!
//! Nothing is decided here: when, whether and to whom is the heart's. Each errand runs in a task of its own on the thread that started it,
//! and is answered exactly once, even where it panics; only a replay that has begun is told by the ledger instead.

mod ask;
mod bot;
mod replay;
mod write;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

pub use self::bot::BotHealth;
use crate::channels::Channels;
use crate::channels::Tried;
use crate::clock::Clock;
use crate::domain::bot::BotFound;
use crate::domain::errand::{Errand, Look, Looked, NotReplayed, Replay, Report, Telling};
use crate::domain::id::SendId;
use crate::domain::ledger::{AttemptId, StoredAnswer};
use crate::domain::live::RunEnd;
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::send::{Content, Identity};
use crate::store::{Lane, Reader};
use crate::waha::client::WahaClient;
use crate::words::{Language, Links};

/// Messages that go out at once; the next wait their turn.
const SENDING_MAX: usize = 32;
/// Questions that are asked at once. Apart from the messages, so that a WAHA that hangs on sends can still be probed.
const ASKING_MAX: usize = 32;
/// Alerts that are told at once, WhatsApp aside.
const TELLING_MAX: usize = 16;

/// What the hands need to know of the configuration.
pub struct Setup {
    /// Asks WAHA, with the sidecar's own key.
    pub client: Arc<WahaClient>,
    /// Asks the bot, where it can be asked.
    pub bot: Option<BotHealth>,
    /// The language of our own messages.
    pub language: Language,
    /// Links into the panel, for alerts.
    pub links: Links,
    /// Tells alerts.
    pub channels: Arc<Channels>,
    /// For how long.
    pub limits: Limits,
}

/// How long the hands wait for WAHA.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `healthcheck.timeout`: for a probe.
    pub probe: Duration,
    /// For the answer to a look or a check: WAHA itself waits ten seconds for a session that does not work.
    pub ask: Duration,
    /// `proxy.response_timeout`: for the answer to a message.
    pub send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { probe: Duration::from_secs(10), ask: Duration::from_secs(30), send: Duration::from_secs(150) }
    }
}

/// The proxy's table of live sends, as a replay needs it: while we send, a retry of the bot waits, and afterwards it gets our answer.
pub trait Joining: Send + Sync {
    /// A replay begins, under the attempt this gives. `None` where the bot has the send right now; then nothing has begun.
    fn begin(&self, replay: &Replay, content: Content) -> Option<AttemptId>;
    /// It has ended so.
    fn end(&self, identity: Option<Identity>, send: SendId, end: RunEnd<StoredAnswer>);
}

/// Runs errands. Stays on its thread, inside a `LocalRuntime`.
pub struct Errands {
    hands: Rc<Hands>,
    tasks: TaskTracker,
}

/// What every errand has at hand.
struct Hands {
    setup: Arc<ArcSwap<Setup>>,
    reader: Reader,
    lane: Lane,
    clock: Clock,
    live: Arc<dyn Joining>,
    sending: Semaphore,
    asking: Semaphore,
    telling: Semaphore,
}

impl Errands {
    /// Hands that know of sends by `reader`, record in `lane`, and do as `setup` says at the time.
    pub fn new(
        setup: Arc<ArcSwap<Setup>>,
        reader: Reader,
        lane: Lane,
        clock: Clock,
        live: Arc<dyn Joining>,
    ) -> Self {
        let [sending, asking, telling] = [SENDING_MAX, ASKING_MAX, TELLING_MAX].map(Semaphore::new);
        let hands = Hands { setup, reader, lane, clock, live, sending, asking, telling };
        Self { hands: Rc::new(hands), tasks: TaskTracker::new() }
    }

    /// Starts an errand; what comes of it goes to `done`.
    pub fn start(&self, errand: Errand, done: mpsc::Sender<Report>) {
        let hands = Rc::clone(&self.hands);
        self.tasks.spawn_local(async move {
            let begun = Cell::new(false);
            // A panic costs the errand, not the heart, which waits for its end.
            let report = match AssertUnwindSafe(hands.run(&errand, &begun, &done)).catch_unwind().await {
                Ok(report) => report,
                Err(_panic) => {
                    tracing::error!(errand = name(&errand), "an errand panicked; this is a bug");
                    (!begun.get()).then(|| undone(errand))
                }
            };
            if let Some(report) = report {
                // Where nobody listens any more, the heart has ended.
                let _ = done.send(report).await;
            }
        });
    }

    /// Answers a question that is not the heart's: the proxy asks before it forwards what may have arrived. Ends where nobody waits for the
    /// answer any more.
    pub fn answer(&self, look: Look, mut to: oneshot::Sender<Looked>) {
        let hands = Rc::clone(&self.hands);
        self.tasks.spawn_local(async move {
            let looked = async {
                let _turn = hands.asking.acquire().await.ok();
                hands.look(&look).await
            };
            let found = tokio::select! {
                found = looked => found,
                () = to.closed() => return,
            };
            // Whoever asked may just have gone.
            let _gone = to.send(found);
        });
    }

    /// How many are under way, or wait their turn.
    pub fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until none is under way. The caller bounds this wait.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Hands {
    async fn probe_bot(&self) -> BotFound {
        let setup = self.setup.load_full();
        match &setup.bot {
            Some(bot) => bot.ask(setup.limits.probe).await,
            None => BotFound::NotAsked,
        }
    }

    /// Does an errand. `begun` is set where from now on the ledger tells how it ended, and no report does.
    /// `done` hears before the end of what must not be lost with us.
    async fn run(&self, errand: &Errand, begun: &Cell<bool>, done: &mpsc::Sender<Report>) -> Option<Report> {
        let turns = match errand {
            Errand::Replay(_) | Errand::Write(_) => &self.sending,
            Errand::Tell(_) => &self.telling,
            Errand::Probe(_) | Errand::ProbeBot | Errand::Look(_) | Errand::CheckNumber { .. } => {
                &self.asking
            }
        };
        // Nobody closes them, so that there always comes a turn.
        let _turn = turns.acquire().await.ok();
        Some(match errand {
            Errand::Probe(session) => self.probe(session).await,
            Errand::ProbeBot => Report::BotProbed { found: self.probe_bot().await },
            Errand::Look(look) => Report::Looked { send: look.send, found: self.look(look).await },
            Errand::CheckNumber { diagnosis, session, chat } => {
                let exists = self.check_number(session, chat).await;
                Report::NumberChecked { diagnosis: *diagnosis, exists }
            }
            Errand::Write(letter) => self.write(letter).await,
            Errand::Tell(telling) => {
                let channels = Arc::clone(&self.setup.load().channels);
                let (alert, channel) = (telling.alert.id, telling.channel);
                // Where there is no room, the end tells of it as well.
                let reached = |who| _ = done.try_send(Report::Reached { alert, channel, who });
                let Tried { outcome, why, reached } = channels.tell(telling, &reached).await;
                Report::Told { alert, channel, outcome, why, reached }
            }
            Errand::Replay(replay) => {
                let why = self.replay(replay, begun).await.err()?;
                Report::NotReplayed { send: replay.attempt.send, why }
            }
        })
    }
}

const fn name(errand: &Errand) -> &'static str {
    match errand {
        Errand::Probe(_) => "probe",
        Errand::ProbeBot => "probe_bot",
        Errand::Look(_) => "look",
        Errand::Replay(_) => "replay",
        Errand::Write(_) => "write",
        Errand::Tell(_) => "tell",
        Errand::CheckNumber { .. } => "check_number",
    }
}

/// The report of an errand of which nobody knows how far it got.
fn undone(errand: Errand) -> Report {
    match errand {
        Errand::Write(letter) => Report::Wrote {
            id: letter.id,
            kind: letter.text.kind(),
            outcome: Outcome::Ambiguous,
            cause: Some(Cause::Interrupted),
            message: None,
        },
        Errand::Tell(Telling { alert, channel }) => {
            let why = Some("a fault of the watchdog".to_owned());
            Report::Told { alert: alert.id, channel, outcome: Outcome::Ambiguous, why, reached: Vec::new() }
        }
        // Its intent may have been handed in.
        Errand::Replay(replay) => {
            Report::NotReplayed { send: replay.attempt.send, why: NotReplayed::Unrecorded }
        }
        nothing_sent => nothing_sent.undone(),
    }
}
