//! Errands against the look-alike of WAHA, with a store on disk.

use std::future::Future;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::domain::confirmation::{Confirmation, MessageId};
use crate::domain::decide::Change;
use crate::domain::errand::{Letter, LetterKind, LetterText, Look};
use crate::domain::id::{ChatId, RecordId, SessionName};
use crate::domain::ledger::{AttemptId, Ended, Entry, Position, StoredRequest, Via};
use crate::domain::order::OrderFacts;
use crate::domain::probe::{ProbeResult, Restriction, SessionState};
use crate::domain::retention::RetentionPolicy;
use crate::domain::send::{Description, SendKind};
use crate::fake_waha::{FakeWaha, Fault, FaultKind, Options, SessionStatus};
use crate::store::{NoMeter, Opening, Store, StoreSettings};

const CHAT: &str = "5511988887777@c.us";
const BODY: &str = r#"{"session":"default","chatId":"5511988887777@c.us","text":"hola"}"#;
const SEND: SendId = SendId::from_bytes([1; 16]);

/// A table of live sends that notes what it is told.
#[derive(Default)]
struct Table {
    taken: bool,
    panics: bool,
    told: Mutex<Vec<String>>,
}

impl Joining for Table {
    fn begin(&self, replay: &Replay, content: Content) -> Option<AttemptId> {
        assert_eq!(content, Content::of("POST", "/api/sendText", BODY.as_bytes()));
        self.told.lock().unwrap().push(format!("begin {}", replay.attempt.number));
        (!self.taken).then_some(replay.attempt)
    }

    fn end(&self, _: Option<Identity>, _: SendId, end: RunEnd<StoredAnswer>) {
        assert!(!self.panics, "on purpose");
        let word = match end {
            RunEnd::Accepted(answer) => format!("end {}", answer.status),
            RunEnd::Unsuccessful { doubtful } => format!("end, doubtful {doubtful}"),
            RunEnd::NotBegun => "not begun".to_owned(),
        };
        self.told.lock().unwrap().push(word);
    }
}

struct Bench {
    waha: FakeWaha,
    store: Store,
    table: Arc<Table>,
    errands: Errands,
    done: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    _feed: crate::store::Feed,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new(table: Table) -> Self {
        let options = Options { time_scale: 0.001, ..Options::default() };
        let waha = FakeWaha::start(options).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            path: dir.path().join("watchdog.redb"),
            commit_wait: Duration::from_secs(10),
            cache_bytes: 4 * 1024 * 1024,
            retention: RetentionPolicy {
                sends_for: Duration::from_secs(86_400),
                resolved_for: Duration::from_secs(86_400),
                max_size: 1 << 30,
            },
        };
        let (store, feed) = Store::start(settings, Clock::system(), Arc::new(NoMeter)).unwrap();
        assert!(matches!(store.opened().await, Opening::Ready(_)));
        let client = Arc::new(WahaClient::new(waha.url(), None, None).unwrap());
        let limits = Limits { send: Duration::from_secs(2), ..Limits::default() };
        let setup = Arc::new(ArcSwap::from_pointee(Setup {
            client,
            bot: None,
            language: Language::Es,
            links: Links::default(),
            channels: Arc::default(),
            limits,
        }));
        let table = Arc::new(table);
        let live: Arc<dyn Joining> = Arc::clone(&table) as _;
        let errands = Errands::new(setup, store.reader(), store.lane(), Clock::system(), live);
        let (done, reports) = mpsc::channel(8);
        Self { waha, store, table, errands, done, reports, _feed: feed, _dir: dir }
    }

    async fn keep(&self) {
        let request = StoredRequest {
            method: "POST".into(),
            target: "/api/sendText".into(),
            content_type: Some("application/json".into()),
            body: Bytes::from_static(BODY.as_bytes()),
        };
        let keep = vec![Change::Keep(SEND, Arc::new(request))];
        self.store.commit(keep, Position(0), Position(0)).await.unwrap();
    }

    async fn run(&mut self, errand: Errand) -> Report {
        self.errands.start(errand, self.done.clone());
        tokio::time::timeout(Duration::from_secs(30), self.reports.recv()).await.unwrap().unwrap()
    }

    /// Runs an errand that sends no report.
    async fn run_silently(&mut self, errand: Errand) {
        self.errands.start(errand, self.done.clone());
        tokio::time::timeout(Duration::from_secs(30), self.errands.drained()).await.unwrap();
        assert!(self.reports.try_recv().is_err(), "the ledger tells");
    }

    fn told(&self) -> Vec<String> {
        self.table.told.lock().unwrap().clone()
    }

    /// What the ledger says of how replays ended; before each its intent, but for what was accepted so soon that its intent was in the journal
    /// alone.
    fn ledger(&self) -> Vec<Ended> {
        let entries = self.store.reader().entries(Position(1), Position(u64::MAX), 100).unwrap();
        let (mut intents, mut ended) = (0, Vec::new());
        for (_, entry) in entries {
            match entry {
                Entry::Intent(intent) => {
                    assert_eq!((intent.via, intent.attempt.number), (Via::Replay, 5));
                    intents += 1;
                }
                Entry::Ended(end) => ended.push(*end),
                Entry::Begun(_) => {}
            }
        }
        let needed = ended.iter().filter(|end| end.outcome != Outcome::Accepted).count();
        assert!((needed..=ended.len()).contains(&intents), "{intents}");
        ended
    }
}

fn on_the_office<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn what() -> Arc<Description> {
    Arc::new(Description {
        identity: Some(Identity::named("test", b"1")),
        session: SessionName::new("default"),
        chat: ChatId::new(CHAT),
        kind: SendKind::Text,
        path: "/x".into(),
        order: OrderFacts::default(),
    })
}

fn session() -> SessionName {
    SessionName::new("default").unwrap()
}

fn replay() -> Errand {
    Errand::Replay(Replay {
        attempt: AttemptId { send: SEND, number: 5 },
        first_at: Clock::system().now(),
        what: what(),
        message: MessageId::new("3EB0AAAAAAAAAAAAAAAAAA"),
    })
}

fn look(message: Option<&str>) -> Errand {
    let now = Clock::system().now();
    Errand::Look(Look {
        send: SEND,
        what: what(),
        message: message.and_then(MessageId::new),
        since: now - Duration::from_secs(10),
        ended: now,
    })
}

fn letter() -> Errand {
    Errand::Write(Letter {
        id: RecordId::from_bytes([7; 16]),
        session: session(),
        chat: ChatId::new(CHAT).unwrap(),
        text: LetterText::Canary,
    })
}

#[test]
fn a_replay_is_on_disk_before_and_after() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        bench.keep().await;
        bench.run_silently(replay()).await;
        assert_eq!(bench.told(), ["begin 5", "end 201"]);
        let ended = bench.ledger();
        let [ended] = ended.as_slice() else { panic!("one attempt") };
        assert_eq!((ended.via, ended.outcome, ended.status), (Via::Replay, Outcome::Accepted, Some(201)));
        assert_eq!(ended.message_id.as_deref(), Some("3EB0AAAAAAAAAAAAAAAAAA"));
        assert!(ended.unheard.is_some(), "a late retry gets it after a restart too");
        assert_eq!(bench.waha.phones().times(CHAT, "hola"), 1);
    });
}

#[test]
fn a_replay_that_fails_is_told_by_the_ledger_alone() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        bench.keep().await;
        bench.waha.faults().add(Fault::always(FaultKind::Hang));
        bench.run_silently(replay()).await;
        assert_eq!(bench.told(), ["begin 5", "end, doubtful true"]);
        let ended = bench.ledger();
        assert_eq!(ended[0].cause, Some(Cause::ResponseTimeout));
        assert_eq!(ended[0].unheard, None);
    });
}

#[test]
fn replays_that_do_not_begin() {
    on_the_office(async {
        let not = |why| Report::NotReplayed { send: SEND, why };
        let mut bench = Bench::new(Table::default()).await;
        assert_eq!(bench.run(replay()).await, not(NotReplayed::NothingKept));
        assert!(bench.told().is_empty());
        bench.keep().await;
        let reader = bench.store.reader();
        assert!(reader.request(SEND).unwrap().is_some());
        let mut taken = Bench::new(Table { taken: true, ..Table::default() }).await;
        taken.keep().await;
        assert_eq!(taken.run(replay()).await, not(NotReplayed::BotHasIt));
        assert_eq!(taken.told(), ["begin 5"]);
        for bench in [&bench, &taken] {
            assert_eq!(bench.ledger(), []);
            assert_eq!(bench.waha.calls(), []);
        }
    });
}

#[test]
fn a_replay_that_cannot_be_recorded_sends_nothing() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        bench.keep().await;
        bench.store.clone().close().await;
        let report = bench.run(replay()).await;
        assert_eq!(report, Report::NotReplayed { send: SEND, why: NotReplayed::Unwritable });
        assert_eq!(bench.waha.calls(), []);
    });
}

#[test]
fn a_panic_after_the_beginning_costs_no_record() {
    on_the_office(async {
        let mut bench = Bench::new(Table { panics: true, ..Table::default() }).await;
        bench.keep().await;
        bench.run_silently(replay()).await;
        assert_eq!(bench.ledger()[0].outcome, Outcome::Accepted);
    });
}

#[test]
fn an_errand_of_a_process_that_ends_may_have_been_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let office = tokio::task::LocalSet::new();
    let bench = office.block_on(&runtime, async {
        let bench = Bench::new(Table::default()).await;
        bench.keep().await;
        bench.waha.faults().add(Fault::always(FaultKind::Hang));
        bench.errands.start(replay(), bench.done.clone());
        while bench.waha.calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bench
    });
    drop(office);
    assert_eq!(bench.told(), ["begin 5", "end, doubtful true"]);
    runtime.block_on(async {
        let until = async {
            while bench.store.reader().entries(Position(1), Position(u64::MAX), 9).unwrap().len() < 2 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), until).await.unwrap();
    });
    let ended = bench.ledger();
    assert_eq!((ended[0].outcome, ended[0].cause), (Outcome::Ambiguous, Some(Cause::Interrupted)));
}

#[test]
fn looks_know_what_the_kept_request_says() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        let looked = |found| Report::Looked { send: SEND, found };
        assert_eq!(bench.run(look(None)).await, looked(Looked::Impossible), "nothing to look for");
        assert_eq!(bench.run(look(Some("3EB0CC"))).await, looked(Looked::Absent));
        bench.keep().await;
        assert_eq!(bench.run(look(None)).await, looked(Looked::Absent));
        bench.waha.faults().add(Fault::always(FaultKind::NoAcks));
        bench.errands.start(replay(), bench.done.clone());
        let message = MessageId::new("3EB0AAAAAAAAAAAAAAAAAA").unwrap();
        let found = looked(Looked::Found { message, confirmation: Confirmation::None });
        let shown = async { while bench.run(look(None)).await != found {} };
        tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap();
        assert_eq!(bench.run(look(Some("3EB0CC"))).await, found);
        bench.waha.set_session("default", SessionStatus::Starting);
        assert_eq!(bench.run(look(None)).await, looked(Looked::Failed));
    });
}

#[test]
fn a_look_goes_by_the_id_the_bot_chose() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        let body = r#"{"session":"default","chatId":"5511988887777@c.us","latitude":1,"longitude":2,"id":"3EB0BBBBBBBBBBBBBBBBBB"}"#;
        let request = StoredRequest {
            method: "POST".into(),
            target: "/api/sendLocation".into(),
            content_type: Some("application/json".into()),
            body: Bytes::from_static(body.as_bytes()),
        };
        let client = Arc::clone(&bench.errands.hands.setup.load().client);
        let sent = client.send(&request, None, Duration::from_secs(10)).await;
        assert_eq!(sent.outcome, Outcome::Accepted);
        let keep = vec![Change::Keep(SEND, Arc::new(request))];
        bench.store.commit(keep, Position(0), Position(0)).await.unwrap();
        let report = bench.run(look(Some("3EB0CC"))).await;
        let message = MessageId::new("3EB0BBBBBBBBBBBBBBBBBB").unwrap();
        assert!(
            matches!(&report, Report::Looked { found: Looked::Found { message: found, .. }, .. } if *found == message),
            "{report:?}"
        );
    });
}

#[test]
fn letters_are_written_and_told() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        let report = bench.run(letter()).await;
        let shown = bench.waha.phones().chat(CHAT)[0].clone();
        let wrote = |outcome, cause, message| Report::Wrote {
            id: RecordId::from_bytes([7; 16]),
            kind: LetterKind::Canary,
            outcome,
            cause,
            message,
        };
        assert_eq!(report, wrote(Outcome::Accepted, None, MessageId::new(&shown.message_id)));
        assert_eq!(shown.text, crate::words::letter(&LetterText::Canary, Language::Es));
        bench.waha.go_down().await;
        let refused = Some(Cause::ConnectionRefused);
        assert_eq!(bench.run(letter()).await, wrote(Outcome::Failed, refused, None));
    });
}

#[test]
fn probes_and_numbers() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        let Report::Probed { session: of, result, .. } = bench.run(Errand::Probe(session())).await else {
            panic!("a probe")
        };
        let working = ProbeResult::State {
            state: SessionState::Working,
            engine: crate::domain::probe::Engine::Noweb,
            restriction: Restriction::default(),
        };
        assert_eq!((of, result), (session(), working));
        let diagnosis = RecordId::from_bytes([3; 16]);
        let check = |chat: &str| {
            let chat = ChatId::new(chat).unwrap();
            Errand::CheckNumber { diagnosis, session: session(), chat }
        };
        let checked = |exists| Report::NumberChecked { diagnosis, exists };
        bench.waha.set_on_whatsapp(CHAT, false);
        assert_eq!(bench.run(check(CHAT)).await, checked(Some(false)));
        assert_eq!(bench.run(check("120363@g.us")).await, checked(None), "a group has no number");
    });
}

#[test]
fn a_waha_that_hangs_on_sends_is_still_probed() {
    on_the_office(async {
        let mut bench = Bench::new(Table::default()).await;
        bench.waha.faults().add(Fault::always(FaultKind::Hang));
        let (nobody, _rest) = mpsc::channel(1);
        for _ in 0..=SENDING_MAX {
            bench.errands.start(letter(), nobody.clone());
        }
        let report = bench.run(Errand::Probe(session())).await;
        assert!(matches!(report, Report::Probed { result, .. } if result.is_healthy()));
        assert!(bench.errands.under_way() > 0);
    });
}
