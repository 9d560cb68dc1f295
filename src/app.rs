//! Builds every part, wires them, drains them in order: the only room that knows them all.
//!
//! Order of life: listeners, store, heart and admin, proxy. Order of death: the proxy takes nothing new and finishes what is in flight,
//! then the store writes what waits, then the heart deals with it, then the admin goes.

mod settings;
mod steadily;

pub use settings::{
    bot_health as bot_health_of, channels_of, language as language_of, policy as policy_of, shared_fate,
    store as store_of,
};

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::channels::SteadyBoard;
use crate::clock::{Clock, wall};
use crate::config::{Config, EventsMode};
use crate::domain::case::Case;
use crate::domain::confirmation::{FeedEvent, FeedState};
use crate::domain::decide::{Event, Reconciled, State, Stored, Unheard};
use crate::domain::errand::{Errand, Look, Looked, Replay, Report};
use crate::domain::id::{SendId, SessionName};
use crate::domain::ledger::{AttemptId, StoredAnswer};
use crate::domain::live::{LiveSends, RunEnd, Standing};
use crate::domain::outcome::Outcome;
use crate::domain::send::{Content, Description, Identity};
use crate::domain::time::Timestamp;
use crate::errands::{Errands, Joining, Setup};
use crate::events::{SocketSettings, socket};
use crate::metrics::Metrics;
use crate::panel::{self, Panel};
use crate::proxy::{Asks, KeptAnswer, Proxy, Shared};
use crate::store::{Feed, Loaded, Meter, Opening, Refused, Store};
use crate::waha::compose;
use crate::watchdog::{Hands, Heart, Inbox, Recall, Watchdog, Wish};

/// So long the store may take to open before calls are served all the same.
const OPEN_WAIT: Duration = Duration::from_secs(5);
/// So long what is being sent by us may take to its end, once the process is to stop.
const ERRANDS_WAIT: Duration = Duration::from_secs(10);
/// Reports that wait for the heart.
const REPORTS_MAX: usize = 1024;
/// Bots' calls that wait for a look at once; beyond that they are forwarded without.
const LOOKS_MAX: usize = 64;
/// Wishes of people that wait for it.
const WISHES_MAX: usize = 256;
/// So long the store may take to write its last.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Why the sidecar did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store is not ours to use: exit code 3.
    #[error("{0}")]
    StoreRefused(Refused),
    /// The configuration cannot be put into force: exit code 2.
    #[error("{0:#}")]
    Configuration(anyhow::Error),
    /// Anything else: exit code 1.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// A running sidecar.
pub struct Running {
    /// Where the bot's calls go.
    pub proxy: SocketAddr,
    /// Where people and Prometheus look.
    pub admin: SocketAddr,
    /// What it was started with.
    config: Config,
    shared: Arc<Shared>,
    admin_room: Arc<Admin>,
    panel: Arc<Panel>,
    hands: Arc<ArcSwap<Setup>>,
    heart: Arc<Heart>,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: CancellationToken,
    kill: CancellationToken,
    end: JoinHandle<()>,
}

/// Starts the sidecar. Returns once it accepts calls.
///
/// # Errors
/// See [`StartError`].
pub fn start(config: &Config) -> Result<Running, StartError> {
    // A proxy holds two sockets a call; the usual 1024 are gone in one busy minute. Where it cannot be raised, the old limit holds.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let sessions: Vec<SessionName> =
        config.waha.sessions.iter().filter_map(|name| SessionName::new(name)).collect();
    let proxy_settings = settings::proxy(config).map_err(StartError::Configuration)?;
    let policy = settings::policy(config);
    let proxy_listener = listen(config.proxy.listen, "proxy.listen").map_err(StartError::Failed)?;
    let admin_listener = listen(config.admin.listen, "admin.listen").map_err(StartError::Failed)?;
    let clock = Clock::system();
    let failed = |error: anyhow::Error| StartError::Failed(error);
    let metrics = Metrics::new(&sessions).context("failed to declare the metrics").map_err(failed)?;
    let metrics = Arc::new(metrics);
    let meter = Arc::new(StoreMeter { metrics: Arc::clone(&metrics), clock: clock.clone() });
    let (store, feed) = Store::start(settings::store(config), clock.clone(), meter)
        .context("failed to start the store's thread")
        .map_err(failed)?;
    let workers =
        config.proxy.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, Into::into);
    let (ask, asked) = mpsc::channel(LOOKS_MAX);
    let shared = Arc::new(Shared::new(
        proxy_settings,
        LiveSends::new(settings::live(config)),
        Box::new(OfficeAsks(ask)),
        clock.clone(),
        Arc::clone(&metrics),
    ));
    let now = clock.now();
    let seed = *clock.send_id().as_bytes();
    let mut state = State::new(&sessions, now, seed);
    if config.events.mode == EventsMode::Websocket {
        // Said before the socket says so itself: what the last process did not write down is met with this known.
        let _nothing = state.decide(Event::Feed(FeedState::Connecting), now, &policy);
    }
    let heart = Arc::new(Heart::new(state, policy, now));
    let hands_setup = settings::hands(config, &clock).map_err(StartError::Configuration)?;
    let hands_setup = Arc::new(ArcSwap::from_pointee(hands_setup));
    let steady = Arc::new(SteadyBoard::default());
    let (wishes, wished) = mpsc::channel(WISHES_MAX);
    let (told, events) = mpsc::channel(socket::CHANNEL);
    let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
    let [loaded, ready, finish, dealt, closed] = std::array::from_fn(|_| CancellationToken::new());
    let admin_room = Arc::new(Admin {
        heart: Arc::clone(&heart),
        store: store.clone(),
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
        access: ArcSwap::from_pointee(settings::access(config)),
        logins: admin::Logins::new(clock.secret()),
        language: ArcSwap::from_pointee(settings::language(config)),
        wishes,
        sessions: sessions.clone(),
        waha: ArcSwap::new(Arc::clone(&hands_setup.load().client)),
        restarts: admin::Restarts::default(),
        restart_hook: ArcSwapOption::from_pointee(
            settings::restart_hook(config).map_err(StartError::Configuration)?,
        ),
        turn: admin::Turn::default(),
        listeners: admin::Listeners::default(),
        hook: settings::hook(config).map(|hook| admin::HookDoor::new(hook, told.clone())),
        steady: Arc::clone(&steady),
        routes: ArcSwap::from_pointee(settings::outside_routes(config)),
        ready: ready.clone(),
        closing: closed.clone(),
    });
    let panel = Arc::new(Panel::new(Arc::clone(&admin_room), settings::panel(config)));
    let addresses =
        (|| Ok::<_, std::io::Error>((proxy_listener.local_addr()?, admin_listener.local_addr()?)))();
    let (proxy_address, admin_address) =
        addresses.context("failed to read the listeners' addresses").map_err(failed)?;

    let office = Office {
        heart: Arc::clone(&heart),
        store: store.clone(),
        feed,
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
        sessions: sessions.clone(),
        shared: Arc::clone(&shared),
        hands: Arc::clone(&hands_setup),
        asked,
        steady,
        wished,
        follow: settings::follow(config).map_err(StartError::Configuration)?,
        told: told.clone(),
        events,
        listener: admin_listener,
        admin: Arc::clone(&admin_room),
        panel: Arc::clone(&panel),
        loaded: loaded.clone(),
        finish: finish.clone(),
        dealt: dealt.clone(),
        closed: closed.clone(),
    };
    let office = spawn("office", move || office.run()).map_err(failed)?;
    await_store(&store, &loaded, &config.store.path)?;
    let proxy = Proxy::start(proxy_listener, workers, &shared, &store, &stop, &kill)
        .context("failed to start the proxy's threads")
        .map_err(failed)?;
    ready.cancel();
    metrics.reload_successful.set(1);
    metrics.reload_timestamp.set(wall::outside(now).millis() / 1000);
    if let Some(why) = shared_fate(config) {
        tracing::warn!("{why}");
    }
    tracing::info!(proxy = %proxy_address, admin = %admin_address, upstream = %config.waha.url, "accepting calls");

    let last = Last { proxy, store, office, finish, dealt, closed };
    let end = spawn("end", move || last.end()).map_err(failed)?;
    Ok(Running {
        proxy: proxy_address,
        admin: admin_address,
        config: config.clone(),
        shared,
        admin_room,
        panel,
        hands: hands_setup,
        heart,
        metrics,
        clock,
        stop,
        kill,
        end,
    })
}

/// The heart's state as it was stored, for looking at it while nothing runs. `accepted`: what was accepted lately.
pub fn stored_state(
    config: &Config,
    loaded: Loaded,
    accepted: Vec<(Arc<Description>, Timestamp)>,
    now: Timestamp,
) -> State {
    let sessions: Vec<_> = config.waha.sessions.iter().filter_map(|name| SessionName::new(name)).collect();
    let mut state = State::new(&sessions, now, [0; 16]);
    state.restore(Stored { accepted, ..loaded.stored }, &settings::policy(config));
    state
}

impl Running {
    /// Takes nothing new, finishes what is in flight.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Cuts what is still in flight; how it ended is unknown and recorded so.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    /// Waits for the end, after [`Running::stop`].
    pub fn join(self) {
        if self.end.join().is_err() {
            tracing::error!("the last thread ended by a panic");
        }
    }

    /// A handle that can stop and kill from another thread.
    pub fn handle(&self) -> StopHandle {
        StopHandle { stop: self.stop.clone(), kill: self.kill.clone() }
    }

    /// Puts another configuration into force, all but listeners, store and a few more, which are told. What cannot be put into force leaves everything as it was.
    ///
    /// # Errors
    /// Where the configuration cannot be put into force.
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        let proxy = settings::proxy(config)?;
        let hands = settings::hands(config, &self.clock)?;
        let restart_hook = settings::restart_hook(config)?;
        anyhow::ensure!(
            !config.admin.tokens.is_empty() || self.admin.ip().is_loopback(),
            "admin.tokens is empty, but the admin listener is bound to {}, which others can reach",
            self.admin
        );
        for key in settings::needing_restart(&self.config, config) {
            tracing::warn!(key, "this key changed, and takes effect only after a restart");
        }
        self.shared.settings.store(Arc::new(proxy));
        self.admin_room.waha.store(Arc::clone(&hands.client));
        self.hands.store(Arc::new(hands));
        self.shared.live().set_policy(settings::live(config));
        self.heart.policy.store(Arc::new(settings::policy(config)));
        self.admin_room.access.store(Arc::new(settings::access(config)));
        self.panel.settings.store(Arc::new(settings::panel(config)));
        self.admin_room.restart_hook.store(restart_hook.map(Arc::new));
        self.admin_room.language.store(Arc::new(settings::language(config)));
        self.admin_room.routes.store(Arc::new(settings::outside_routes(config)));
        // What is pushed again and again is pushed the new way.
        self.heart.moved.notify_one();
        if let Some(why) = shared_fate(config) {
            tracing::warn!("{why}");
        }
        Ok(())
    }

    /// Says how a reload went, where Prometheus sees it.
    pub fn note_reload(&self, successful: bool) {
        self.metrics.reload_successful.set(i64::from(successful));
        if successful {
            self.metrics.reload_timestamp.set(wall::outside(self.clock.now()).millis() / 1000);
        }
    }
}

/// Stops and kills a running sidecar.
#[derive(Debug, Clone)]
pub struct StopHandle {
    stop: CancellationToken,
    kill: CancellationToken,
}

impl StopHandle {
    /// Takes nothing new, finishes what is in flight.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Cuts what is still in flight.
    pub fn kill(&self) {
        self.kill.cancel();
    }
}

/// The thread of the heart, its hands, and the admin.
struct Office {
    heart: Arc<Heart>,
    store: Store,
    feed: Feed,
    clock: Clock,
    metrics: Arc<Metrics>,
    sessions: Vec<SessionName>,
    shared: Arc<Shared>,
    hands: Arc<ArcSwap<Setup>>,
    /// What the proxy wants to know of WAHA.
    asked: mpsc::Receiver<Asked>,
    steady: Arc<SteadyBoard>,
    wished: mpsc::Receiver<Wish>,
    /// WAHA's event feed, where it is followed by us.
    follow: Option<SocketSettings>,
    told: mpsc::Sender<FeedEvent>,
    events: mpsc::Receiver<FeedEvent>,
    listener: TcpListener,
    admin: Arc<Admin>,
    panel: Arc<Panel>,
    /// Told once what is stored was taken up.
    loaded: CancellationToken,
    finish: CancellationToken,
    /// Told once the heart has ended.
    dealt: CancellationToken,
    closed: CancellationToken,
}

impl Office {
    fn run(self) {
        let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "the office has no runtime"),
        };
        runtime.block_on(async {
            self.heed_the_wall_clock();
            self.tell_steadily();
            let pages = panel::routes(&self.panel);
            tokio::task::spawn_local(panel::keep_snapshot(Arc::clone(&self.panel), self.closed.clone()));
            let admin = tokio::task::spawn_local(admin::serve(self.listener, self.admin, pages));
            let joins = Arc::new(ProxyJoins(Arc::clone(&self.shared)));
            let errands = Errands::new(
                self.hands,
                self.store.reader(),
                self.store.lane(),
                self.clock.clone(),
                Arc::clone(&joins) as Arc<dyn Joining>,
            );
            let errands = Rc::new(errands);
            let (asking, mut asked) = (Rc::clone(&errands), self.asked);
            tokio::task::spawn_local(async move {
                while let Some((look, to)) = asked.recv().await {
                    asking.answer(look, to);
                }
            });
            let (done, reports) = mpsc::channel(REPORTS_MAX);
            if let Some(feed) = self.follow {
                let follow = socket::follow(feed, self.clock.clone(), self.told, self.finish.clone());
                tokio::task::spawn_local(follow);
            }
            let end = CancellationToken::new();
            // What is being sent is sent to its end, within bounds; then the heart ends.
            let (idle, finish, ended) = (Rc::clone(&errands), self.finish.clone(), end.clone());
            tokio::task::spawn_local(async move {
                finish.cancelled().await;
                let _late = timeout(ERRANDS_WAIT, idle.drained()).await;
                ended.cancel();
            });
            let watchdog = Watchdog {
                heart: self.heart,
                lane: self.store.lane(),
                store: self.store,
                feed: self.feed,
                clock: self.clock,
                metrics: self.metrics,
                sessions: self.sessions,
                recall: joins,
                hands: Box::new(OfficeHands { errands, done, finish: self.finish }),
                inbox: Inbox { reports, events: self.events, wishes: self.wished },
                waiting: RefCell::default(),
                ready: self.loaded,
                finish: end,
            };
            watchdog.run().await;
            self.dealt.cancel();
            self.closed.cancelled().await;
            // A browser that keeps its connection must not keep the process.
            let _ = timeout(Duration::from_secs(1), admin).await;
        });
    }
}

/// A question of the proxy, and where the answer goes.
type Asked = (Look, oneshot::Sender<Looked>);

/// Asks in the office, where WAHA is asked everything.
struct OfficeAsks(mpsc::Sender<Asked>);

impl Asks for OfficeAsks {
    fn ask(&self, look: Look) -> oneshot::Receiver<Looked> {
        let (to, answer) = oneshot::channel();
        // Where too many ask already, nobody answers this one.
        let _full = self.0.try_send((look, to));
        answer
    }
}

/// The heart's hands.
struct OfficeHands {
    errands: Rc<Errands>,
    done: mpsc::Sender<Report>,
    finish: CancellationToken,
}

impl Hands for OfficeHands {
    fn begin(&self, errand: Errand) {
        // Nothing is begun that could only be cut off.
        if !self.finish.is_cancelled() {
            self.errands.start(errand, self.done.clone());
        }
    }
}

/// Waits until the store is open and the heart has taken up what is stored; or serves without, loudly.
fn await_store(store: &Store, loaded: &CancellationToken, path: &std::path::Path) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.context("failed to make a runtime").map_err(StartError::Failed)?;
    runtime.block_on(async {
        let opened = tokio::time::timeout(OPEN_WAIT, async {
            let opening = store.opened().await;
            if matches!(opening, Opening::Ready(_)) {
                loaded.cancelled().await;
            }
            opening
        });
        match opened.await {
            Ok(Opening::Ready(report)) => {
                if let Some(aside) = report.set_aside {
                    let aside: PathBuf = aside;
                    tracing::error!(
                        broken = %aside.display(),
                        "the store was broken: it was set aside and a new one was made; keep the broken file, records may be recovered from it"
                    );
                }
                Ok(())
            }
            Ok(Opening::Refused(refused)) => Err(StartError::StoreRefused(refused)),
            Ok(Opening::Unavailable(reason)) => {
                tracing::error!(store = %path.display(), %reason, "sends go through UNRECORDED until the store can be used");
                Ok(())
            }
            Err(_) => {
                tracing::error!(store = %path.display(), "the store takes long to open: sends go through and are recorded late");
                Ok(())
            }
        }
    })
}

/// What has to end, in order.
struct Last {
    proxy: Proxy,
    store: Store,
    office: JoinHandle<()>,
    finish: CancellationToken,
    dealt: CancellationToken,
    closed: CancellationToken,
}

impl Last {
    fn end(self) {
        self.proxy.join();
        self.finish.cancel();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        // A disk that hangs holds whoever waits for it, but not the process.
        let (dealt, closed) = runtime.block_on(async {
            let dealt = timeout(CLOSE_WAIT, self.dealt.cancelled()).await;
            (dealt.is_ok(), timeout(CLOSE_WAIT, self.store.close()).await.is_ok())
        });
        runtime.shutdown_background();
        self.closed.cancel();
        if !(dealt && closed) {
            tracing::error!(
                "the store did not finish writing in time; what is missing is made again from the ledger"
            );
        } else if self.office.join().is_err() {
            tracing::error!("the office ended by a panic");
        }
        tracing::info!("stopped");
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .with_context(|| format!("failed to start thread {name}"))
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("failed to listen on {key} = {address}; is another process there?"))
}

/// The proxy's table of live sends, for the heart and its hands.
struct ProxyJoins(Arc<Shared>);

impl Recall for ProxyJoins {
    fn unsuccessful(&self, case: &Case) {
        if let Some(identity) = case.what.identity.filter(|_| case.outcome != Outcome::Accepted) {
            self.0.live().restore(identity, case.attempt(), case.first_at, case.last_at, Standing::of(case));
        }
    }

    fn stands(&self, case: &Case) {
        if let Some(identity) = case.what.identity {
            self.0.live().stands(identity, case.attempt(), Standing::of(case));
        }
    }

    fn unheard(&self, unheard: &Unheard) {
        let answer = KeptAnswer::from_stored(&unheard.answer);
        self.0.live().restore_unheard(
            unheard.identity,
            Some(unheard.answer.asked),
            unheard.attempt,
            unheard.first_at,
            unheard.ended,
            answer,
        );
    }

    fn reconciled(&self, reconciled: &Reconciled, asked: Content) -> Option<StoredAnswer> {
        let Reconciled { send, what, message } = reconciled;
        let (identity, chat) = (what.identity?, what.chat.as_ref()?);
        let answer = KeptAnswer::json(201, compose::sent_already(chat, message));
        let stored = answer.stored(asked);
        self.0.live().reconcile(identity, Some(asked), *send, self.0.clock.now(), answer);
        Some(stored)
    }
}

impl Joining for ProxyJoins {
    fn begin(&self, replay: &Replay, content: Content) -> Option<AttemptId> {
        let Some(identity) = replay.what.identity else { return Some(replay.attempt) };
        let now = self.0.clock.now();
        self.0.live().begin_replay(identity, Some(content), replay.attempt, replay.first_at, now)
    }

    fn end(&self, identity: Option<Identity>, send: SendId, end: RunEnd<StoredAnswer>) {
        let Some(identity) = identity else { return };
        let end = match end {
            RunEnd::Accepted(answer) => RunEnd::Accepted(KeptAnswer::from_stored(&answer)),
            RunEnd::Unsuccessful { doubtful } => RunEnd::Unsuccessful { doubtful },
            RunEnd::NotBegun => RunEnd::NotBegun,
        };
        self.0.finish_run(identity, send, self.0.clock.now(), end);
    }
}

/// Counts what the store's writer does.
struct StoreMeter {
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Meter for StoreMeter {
    fn committed(&self, entries: usize, took: Duration) {
        let store = &self.metrics.store;
        store.commit_duration.observe(took.as_secs_f64());
        store.entries.inc_by(entries as u64);
        store.last_commit.set(wall::outside(self.clock.now()).seconds());
    }

    fn unrecorded(&self, entries: u64) {
        self.metrics.store.waits_missed.inc_by(entries);
    }

    fn late(&self, entries: u64) {
        self.metrics.store.recorded_late.inc_by(entries);
    }

    fn lost(&self, entries: u64) {
        self.metrics.store.unrecorded.inc_by(entries);
    }

    fn pruned(&self, attempts: u64) {
        self.metrics.store.pruned.inc_by(attempts);
    }
}
