//! What the tests of this room share: entries, stores in temporary places, and a disk that can fail.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::{Feed, NoMeter, Store, StoreSettings, file};
use crate::clock::Clock;
use crate::domain::alert::{Alert, Says, Trouble};
use crate::domain::case::Case;
use crate::domain::command::Audit;
use crate::domain::confirmation::{Awaiting, Confirmation, MessageId};
use crate::domain::delivery::{Channel, Delivery, Progress};
use crate::domain::diagnosis::{Finding, NotTried, Reached, Verdict};
use crate::domain::id::{ChatId, RecordId, SendId, SessionName};
use crate::domain::incident::Incident;
use crate::domain::ledger::{AttemptId, Ended, Entry, Intent, StoredRequest, Via};
use crate::domain::notification::{Attention, Failure};
use crate::domain::order::{NotificationType, OrderFacts};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::probe::{ProbeResult, SessionState};
use crate::domain::retention::RetentionPolicy;
use crate::domain::send::{Description, Identity, SendKind};
use crate::domain::status::{Assessment, Status};
use crate::domain::time::Timestamp;

/// 2024-01-01T00:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_704_067_200_000);

pub(super) fn send(n: u64) -> SendId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    SendId::from_bytes(bytes)
}

pub(super) fn what(n: u64) -> Arc<Description> {
    Arc::new(Description {
        identity: Some(Identity::named("test", &n.to_le_bytes())),
        session: SessionName::new("default"),
        chat: ChatId::new(&format!("58424{n:07}")),
        kind: SendKind::Text,
        path: "/api/send".into(),
        order: OrderFacts {
            order_number: Some(format!("ORD-{n}").into()),
            order_total: Some("$45.00".into()),
            customer_name: Some("Ana Pérez".into()),
            notification_type: Some(NotificationType::OrderReceived),
            ..OrderFacts::default()
        },
    })
}

pub(super) fn request() -> Arc<StoredRequest> {
    Arc::new(StoredRequest {
        method: "POST".into(),
        target: "/api/send".into(),
        content_type: Some("application/json".into()),
        body: br#"{"session":"default","chatId":"1@c.us","text":"hola"}"#.as_slice().into(),
    })
}

pub(super) fn intent(n: u64, number: u32) -> Entry {
    Entry::Intent(Intent {
        attempt: AttemptId { send: send(n), number },
        via: Via::Bot,
        first_at: NOW,
        started: NOW,
        what: what(n),
        request: Some(request()),
    })
}

pub(super) fn ended(n: u64, number: u32, outcome: Outcome) -> Ended {
    Ended {
        attempt: AttemptId { send: send(n), number },
        via: Via::Bot,
        first_at: NOW,
        started: NOW,
        ended: NOW + Duration::from_millis(120),
        what: what(n),
        outcome,
        cause: (outcome != Outcome::Accepted).then_some(Cause::ServerError),
        status: Some(if outcome == Outcome::Accepted { 201 } else { 500 }),
        detail: None,
        message_id: (outcome == Outcome::Accepted)
            .then(|| format!("true_58424{n:07}@c.us_3EB0{n:016X}").into()),
        given_up: false,
        unheard: None,
        request: None,
    }
}

pub(super) fn accepted(n: u64) -> Entry {
    Entry::Ended(Box::new(ended(n, 1, Outcome::Accepted)))
}

pub(super) fn failed(n: u64, number: u32) -> Entry {
    Entry::Ended(Box::new(ended(n, number, Outcome::Failed)))
}

/// The case of a send that became an open notification.
pub(super) fn open_case(n: u64, created_at: Timestamp) -> Case {
    let mut case = Case::open(&ended(n, 1, Outcome::Failed));
    case.exhausted = true;
    case.failure = Some(Failure {
        cause: Cause::ServerError,
        created_at,
        status_at_creation: Status::Degraded,
        attention: Attention::Unnotified,
        claimed_by: None,
        resolution: None,
    });
    case
}

pub(super) fn record(n: u64) -> RecordId {
    RecordId::from_bytes(*send(n).as_bytes())
}

pub(super) fn session_name() -> SessionName {
    SessionName::new("default").unwrap()
}

/// What a diagnosis found at a moment.
pub(super) fn finding(at: Timestamp) -> Finding {
    Finding {
        id: record(1),
        verdict: Verdict::TotalLoss,
        at,
        user: Reached::No(Cause::ConnectionRefused),
        admin: Reached::NotTried(NotTried::Nobody),
        number_exists: Some(true),
        attempts: 4,
        cause: Cause::ServerError,
        probe: Some(ProbeResult::of(SessionState::ScanQrCode)),
        others_accepted: 2,
        others_failed: 3,
        resolved_at: None,
    }
}

pub(super) fn incident(n: u64, start: Timestamp, end: Option<Timestamp>) -> Incident {
    let mut incident = Incident::open(record(n), session_name(), start, Assessment::UNKNOWN);
    incident.end = end;
    incident
}

pub(super) fn alert(n: u64, told: Option<Timestamp>) -> Alert {
    Alert {
        id: record(n),
        session: session_name(),
        incident: None,
        at: NOW,
        says: Says::Trouble(Trouble::KeyRefused),
        deliveries: vec![Delivery {
            progress: told.map_or(Progress::Waiting, Progress::Told),
            ..Delivery::new(Channel::Whatsapp, NOW)
        }],
    }
}

pub(super) fn awaiting(n: u64, accepted_at: Timestamp) -> Awaiting {
    Awaiting {
        send: send(n),
        attempts: 1,
        what: what(n),
        first_at: NOW,
        accepted_at,
        message: MessageId::new(&format!("3EB0{n:016X}")).unwrap(),
        echoed: true,
        acked: Confirmation::Server,
    }
}

pub(super) fn audit(n: u64, at: Timestamp) -> Audit {
    let target = Some(send(n).to_string());
    Audit { id: record(n), at, who: "ana".into(), action: "claim".into(), target }
}

pub(super) fn settings(path: &Path) -> StoreSettings {
    StoreSettings {
        path: path.to_path_buf(),
        // Long: test machines are busy.
        commit_wait: Duration::from_secs(10),
        cache_bytes: 4 * 1024 * 1024,
        retention: RetentionPolicy {
            sends_for: Duration::from_secs(30 * 86_400),
            resolved_for: Duration::from_secs(90 * 86_400),
            max_size: 1 << 30,
        },
    }
}

pub(super) fn start(path: &Path) -> (Store, Feed) {
    Store::start(settings(path), Clock::manual(NOW), Arc::new(NoMeter)).unwrap()
}

/// A store on a disk that can fail.
pub(super) fn start_on(path: &Path, disk: &Disk) -> (Store, Feed) {
    let place =
        file::Place { path: path.to_path_buf(), cache_bytes: 4 * 1024 * 1024, wrap: Some(disk.wrap()) };
    let settings = StoreSettings { commit_wait: Duration::from_secs(1), ..settings(path) };
    Store::start_at(place, settings, Clock::manual(NOW), Arc::new(NoMeter)).unwrap()
}

/// Runs `work` as a proxy thread would.
pub(super) fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Puts something between the database and the file.
pub(super) type Wrap = Arc<dyn Fn(FileBackend, Part) -> Faulty + Send + Sync>;

/// Which of the store's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Store,
    Journal,
}

/// The faults of a disk, and what was done to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Faults>);

#[derive(Debug, Default)]
struct Faults {
    /// Writes fail.
    full: AtomicBool,
    /// Writes of a part fail.
    broken: [AtomicBool; 2],
    /// Syncs fail, having done their work.
    lying: AtomicBool,
    /// Operations that change something fail from this one on; zero: none do.
    cut_at: AtomicU64,
    operations: AtomicU64,
    /// Syncs of a part wait while this is set.
    stalled: [AtomicBool; 2],
    /// One does.
    waits: [AtomicBool; 2],
    /// What was written since recording began.
    record: Mutex<Option<Vec<(Part, Operation)>>>,
}

/// What is done to a file.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl Disk {
    pub(super) fn wrap(&self) -> Wrap {
        let disk = self.clone();
        Arc::new(move |inner, part| Faulty { inner, part, disk: disk.clone() })
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    pub(super) fn set_broken(&self, part: Part, broken: bool) {
        self.0.broken[part as usize].store(broken, Ordering::SeqCst);
    }

    pub(super) fn set_lying(&self, lying: bool) {
        self.0.lying.store(lying, Ordering::SeqCst);
    }

    pub(super) fn cut_at(&self, operation: u64) {
        self.0.cut_at.store(operation, Ordering::SeqCst);
    }

    pub(super) fn set_stalled(&self, part: Part, stalled: bool) {
        self.0.stalled[part as usize].store(stalled, Ordering::SeqCst);
    }

    /// Until a sync waits because its part is stalled.
    pub(super) async fn is_waited_for(&self, part: Part) {
        while !self.0.waits[part as usize].load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn record(&self) {
        *self.0.record.lock().unwrap() = Some(Vec::new());
    }

    pub(super) fn recorded(&self) -> Vec<(Part, Operation)> {
        self.0.record.lock().unwrap().clone().unwrap_or_default()
    }

    fn change(&self, part: Part, operation: impl FnOnce() -> Operation) -> Result<(), std::io::Error> {
        let number = self.0.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let cut_at = self.0.cut_at.load(Ordering::SeqCst);
        if cut_at > 0 && number >= cut_at {
            return Err(std::io::Error::other("cut"));
        }
        if self.0.broken[part as usize].load(Ordering::SeqCst) || self.0.full.load(Ordering::SeqCst) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        if let Some(record) = &mut *self.0.record.lock().unwrap() {
            record.push((part, operation()));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Faulty {
    inner: FileBackend,
    part: Part,
    disk: Disk,
}

impl StorageBackend for Faulty {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.disk.change(self.part, || Operation::Length(len))?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        let (stalled, waits) =
            (&self.disk.0.stalled[self.part as usize], &self.disk.0.waits[self.part as usize]);
        while stalled.load(Ordering::SeqCst) {
            waits.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
        }
        waits.store(false, Ordering::SeqCst);
        self.disk.change(self.part, || Operation::Sync)?;
        self.inner.sync_data()?;
        if self.disk.0.lying.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.disk.change(self.part, || Operation::Write(offset, data.to_vec()))?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
