//! What a send costs inside the sidecar, step by step: each bench is one step of the way that `docs/ARCHITECTURE.md` tells.
//!
//! `cargo bench --bench core` takes about half a minute. It measures and never judges; `benches/compare.rs` measures the whole.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use http::Method;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use waha_watchdog::clock::Clock;
use waha_watchdog::config::Config;
use waha_watchdog::domain::decide::{Event, State};
use waha_watchdog::domain::extract::{Rule, Rules};
use waha_watchdog::domain::id::{ChatId, SendId, SessionName};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, Position, Via};
use waha_watchdog::domain::live::{Begin, Call, LivePolicy, LiveSends, Standing};
use waha_watchdog::domain::order::{NotificationType, OrderFacts};
use waha_watchdog::domain::outcome::{Cause, Outcome, Reply, judge};
use waha_watchdog::domain::retention::RetentionPolicy;
use waha_watchdog::domain::send::{Content, Description, Identity, SendKind};
use waha_watchdog::domain::time::Timestamp;
use waha_watchdog::metrics::Metrics;
use waha_watchdog::store::{Feed, Lane, NoMeter, Opening, Store, StoreSettings};
use waha_watchdog::waha::reply::read;
use waha_watchdog::waha::request::FieldScan;
use waha_watchdog::waha::route::classify;
use waha_watchdog::watchdog::Heart;

const PATH: &str = "/api/sendText";
const TEXT: &str = "🤝 *Hemos recibido tu orden*\n\n*Orden:* ORD-123\n*Cliente:* María Gómez\n*Total:* $45.00\n\nGracias por tu compra.";
const MIB: usize = 1024 * 1024;

fn body() -> Vec<u8> {
    serde_json::json!({"session": "default", "chatId": "584241234567@c.us", "text": TEXT}).to_string().into()
}

/// A file in base64 before the fields that are looked for.
fn large_body() -> Vec<u8> {
    let file = serde_json::json!({"mimetype": "image/jpeg", "data": "QUJD".repeat(MIB / 4)});
    serde_json::json!({"session": "default", "file": file, "chatId": "584241234567@c.us", "caption": TEXT})
        .to_string()
        .into()
}

fn identity(c: &mut Criterion) {
    let (small, large) = (body(), large_body());
    let mut group = c.benchmark_group("identity");
    for (name, body) in [("small", &small), ("1MiB", &large)] {
        group.bench_function(name, |b| b.iter(|| Identity::whole("POST", PATH, black_box(body))));
    }
    group.finish();
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    let extra = ["/api/custom/thing".to_owned()];
    for (name, method, path) in [
        ("send", Method::POST, PATH),
        ("send_in_path", Method::PUT, "/api/default/chats/584241234567%40c.us/messages/true_1"),
        ("plain", Method::GET, "/api/sessions/default"),
    ] {
        group.bench_function(name, |b| b.iter(|| classify(black_box(&method), black_box(path), &extra)));
    }
    group.finish();
}

fn scan(c: &mut Criterion) {
    let (small, large) = (body(), large_body());
    let mut group = c.benchmark_group("body_scan");
    for (name, body) in [("small", &small), ("1MiB", &large)] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut scan = FieldScan::new(Some("application/json"), false);
                // As frames come from a socket.
                black_box(body).chunks(16 * 1024).for_each(|frame| scan.feed(frame));
                scan.fields()
            });
        });
    }
    group.finish();
}

fn extraction(c: &mut Criterion) {
    let rules = Config::default().extract;
    let rules = Rules::new(rules.into_iter().map(|rule| Rule {
        kind: NotificationType::parse(&rule.notification_type.to_string()).unwrap(),
        pattern: rule.pattern,
        when: rule.when,
    }));
    let mut group = c.benchmark_group("extract");
    let chat = "Hola, ¿tienen tallas grandes? Gracias. ".repeat(20);
    for (name, text) in [("order", TEXT), ("no_order", &chat)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| rules.facts(black_box(text))));
    }
    group.finish();
}

fn reply(c: &mut Criterion) {
    let accepted = serde_json::json!({
        "key": {"remoteJid": "584241234567@s.whatsapp.net", "fromMe": true, "id": "3EB08C534516CB67688E7A"},
        "message": {"extendedTextMessage": {"text": TEXT}},
        "messageTimestamp": "1795492833",
        "status": "PENDING",
    });
    let unhandled = serde_json::json!({
        "statusCode": 500,
        "exception": {"message": "2 UNKNOWN: server returned error 463", "code": 2, "stack": "x".repeat(800)},
        "request": {"path": PATH, "method": "POST", "body": {"text": TEXT}},
    });
    let mut group = c.benchmark_group("reply");
    for (name, status, answer) in [("accepted", 201, accepted), ("restricted", 500, unhandled)] {
        let answer = answer.to_string();
        group.bench_function(name, |b| {
            b.iter(|| {
                let reading = read(status, black_box(answer.as_bytes()));
                judge(Reply::Answer { status, said: reading.said })
            });
        });
    }
    group.finish();
}

type Live = LiveSends<(), ()>;

fn policy() -> LivePolicy {
    LivePolicy {
        window: Duration::from_secs(600),
        max_age: Duration::from_secs(86_400),
        live_max: Config::default().sends.live_max,
    }
}

fn call(n: u64) -> Call {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    let content = Some(Content::from_bytes(bytes));
    Call { identity: Identity::from_bytes(bytes), named: false, content, looked: false }
}

/// A table that remembers so many sends that did not succeed.
fn remembering(unsuccessful: u64, clock: &Clock, now: Timestamp) -> Live {
    let mut live = Live::new(policy());
    for n in 0..unsuccessful {
        let attempt = AttemptId { send: clock.send_id(), number: 1 };
        live.restore(call(n).identity, attempt, now, now, Standing::default());
    }
    live
}

fn live(c: &mut Criterion) {
    let clock = Clock::system();
    let now = clock.now();
    let mut group = c.benchmark_group("live");
    for remembered in [0, 50_000] {
        let mut table = remembering(remembered, &clock, now);
        let mut next = remembered;
        group.bench_function(format!("begin_end_heard/{remembered}_remembered"), |b| {
            b.iter_batched(
                || clock.send_id(),
                |fresh| {
                    next += 1;
                    let call = call(next);
                    let Begin::Forward { attempt, .. } = table.begin(call, fresh, now, || ()) else {
                        unreachable!("a new send is forwarded")
                    };
                    table.end_heard(call.identity, attempt.send);
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A real store on the disk of `target`.
struct Recording {
    lane: Lane,
    clock: Clock,
    what: Arc<Description>,
    /// The writer ends with its last handle.
    _store: Store,
    _feed: Feed,
    _place: TempDir,
    local: LocalSet,
    runtime: Runtime,
}

impl Recording {
    fn start() -> Self {
        let place = TempDir::new_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let settings = StoreSettings {
            path: place.path().join("watchdog.redb"),
            commit_wait: Duration::from_secs(10),
            cache_bytes: 4 * MIB,
            retention: RetentionPolicy {
                sends_for: Duration::from_secs(30 * 86_400),
                resolved_for: Duration::from_secs(90 * 86_400),
                max_size: 1 << 30,
            },
        };
        let clock = Clock::system();
        let (store, feed) = Store::start(settings, clock.clone(), Arc::new(NoMeter)).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let local = LocalSet::new();
        let lane = local.block_on(&runtime, async {
            assert!(matches!(store.ready().await, Opening::Ready(_)), "the store opens");
            store.lane()
        });
        let what = Arc::new(Description {
            identity: Some(call(1).identity),
            session: SessionName::new("default"),
            chat: ChatId::new("584241234567@c.us"),
            kind: SendKind::Text,
            path: PATH.into(),
            order: OrderFacts {
                order_number: Some("ORD-123".into()),
                order_total: Some("$45.00".into()),
                notification_type: Some(NotificationType::OrderReceived),
                ..OrderFacts::default()
            },
        });
        Self { lane, clock, what, _store: store, _feed: feed, _place: place, local, runtime }
    }

    fn accepted(&self) -> Entry {
        let now = self.clock.now();
        Entry::Ended(Box::new(Ended {
            attempt: AttemptId { send: self.clock.send_id(), number: 1 },
            via: Via::Bot,
            first_at: now,
            started: now,
            ended: now,
            what: Arc::clone(&self.what),
            outcome: Outcome::Accepted,
            cause: None,
            status: Some(201),
            detail: None,
            message_id: Some("3EB08C534516CB67688E7A".into()),
            given_up: false,
            unheard: None,
            request: None,
        }))
    }

    /// So many sends at once wait until their outcomes are on disk.
    fn record(&self, waiters: usize) {
        let all = self
            .local
            .block_on(&self.runtime, join_all((0..waiters).map(|_| self.lane.record(self.accepted()))));
        assert!(all.into_iter().all(|recorded| recorded), "a record was missed");
    }
}

fn commit(c: &mut Criterion) {
    let recording = Recording::start();
    let mut group = c.benchmark_group("commit");
    for waiters in [1, 64] {
        group.throughput(Throughput::Elements(waiters));
        group.bench_function(format!("{waiters}_waiting"), |b| {
            b.iter(|| recording.record(usize::try_from(waiters).unwrap()));
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    let (warm_up, measure) = (Duration::from_millis(300), Duration::from_secs(1));
    Criterion::default().sample_size(20).warm_up_time(warm_up).measurement_time(measure)
}

/// `/metrics` of a bad day: ten thousand orders not told, over fifty sessions.
fn scrape(c: &mut Criterion) {
    let sessions: Vec<_> = (0..50).filter_map(|n| SessionName::new(&format!("tienda-{n}"))).collect();
    let policy = waha_watchdog::app::policy_of(&Config::default());
    let mut state = State::new(&sessions, Timestamp::EPOCH, [0; 16]);
    for number in 0..10_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let at = Timestamp::from_millis(i64::from(number) * 1_000);
        let order_number = Some(format!("ORD-{number}"));
        let what = Description {
            identity: None,
            session: Some(sessions[number as usize % sessions.len()].clone()),
            chat: ChatId::new(&format!("58424{number:07}@c.us")),
            kind: SendKind::Text,
            path: PATH.into(),
            order: OrderFacts { order_number: order_number.map(Into::into), ..OrderFacts::default() },
        };
        let cause = Cause::ConnectionRefused;
        for attempt in 1..=policy.attempts {
            let ended = Ended {
                attempt: AttemptId { send: SendId::from_bytes(id), number: attempt },
                via: Via::Bot,
                first_at: at,
                started: at,
                ended: at,
                what: Arc::new(what.clone()),
                outcome: cause.outcome(),
                cause: Some(cause),
                status: None,
                detail: None,
                message_id: None,
                given_up: false,
                unheard: None,
                request: None,
            };
            let entry = Entry::Ended(Box::new(ended));
            drop(state.decide(Event::Entry(Position(1), entry), at, &policy));
        }
    }
    let now = Timestamp::from_millis(10_000_000);
    let waiting: usize = state.survey(now, &policy).values().map(|waits| waits.open.len()).sum();
    assert_eq!(waiting, 10_000);
    let metrics = Metrics::new(&sessions).expect("metrics");
    let heart = Heart::new(state, policy, now);
    let mut group = c.benchmark_group("scrape");
    group.bench_function("show/50_sessions_10000_orders", |b| b.iter(|| heart.show(&metrics, now)));
    group.bench_function("encode/50_sessions_10000_orders", |b| b.iter(|| metrics.encode()));
    group.finish();
}

criterion_group! {
    name = steps;
    config = quick();
    targets = identity, route, scan, extraction, reply, live, commit, scrape
}
criterion_main!(steps);
