//! What a crash between two commits leaves: entries in the ledger that the heart's records do not stand for yet (ARCHITECTURE).
//!
//! Such moments are a few milliseconds long; here the ledger is written as they would leave it, by the store itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::LocalSet;
use waha_watchdog::clock::Clock;
use waha_watchdog::domain::id::{ChatId, SendId, SessionName};
use waha_watchdog::domain::ledger::{AttemptId, Ended, Entry, StoredAnswer, Via};
use waha_watchdog::domain::order::OrderFacts;
use waha_watchdog::domain::outcome::Outcome;
use waha_watchdog::domain::retention::RetentionPolicy;
use waha_watchdog::domain::send::{Description, Identity, SendKind};
use waha_watchdog::fake_waha::{Fault, FaultKind};
use waha_watchdog::store::{NoMeter, Opening, Store, StoreSettings};

use super::harness::{Bot, CHAT, Config, pair, until};

const DAY: Duration = Duration::from_secs(86_400);

/// Adds entries to a ledger that no process has open. Nobody makes anything of them.
async fn add(path: &Path, entries: Vec<Entry>) {
    let settings = StoreSettings {
        path: path.to_path_buf(),
        commit_wait: Duration::from_secs(30),
        cache_bytes: 1024 * 1024,
        retention: RetentionPolicy { sends_for: DAY, resolved_for: DAY, max_size: 1 << 30 },
    };
    let local = LocalSet::new();
    local
        .run_until(async {
            let (store, feed) = Store::start(settings, Clock::system(), Arc::new(NoMeter)).unwrap();
            assert!(matches!(store.ready().await, Opening::Ready(_)));
            let lane = store.lane();
            for entry in entries {
                assert!(lane.record(entry).await);
            }
            store.close().await;
            drop(feed);
        })
        .await;
}

/// An accepted attempt as the proxy records it.
fn accepted(send: SendId, number: u32, via: Via, text: &str, unheard: Option<&str>) -> Entry {
    let now = Clock::system().now();
    let (session, chat) = (SessionName::new("default"), ChatId::new(CHAT));
    let body = Bot::body(CHAT, text).to_string();
    let (identity, asked) = Identity::whole("POST", "/api/sendText", body.as_bytes());
    let what = Description {
        identity: Some(identity),
        session,
        chat,
        kind: SendKind::Text,
        path: "/api/sendText".into(),
        order: OrderFacts::default(),
    };
    Entry::Ended(Box::new(Ended {
        attempt: AttemptId { send, number },
        via,
        first_at: now,
        started: now,
        ended: now,
        what: Arc::new(what),
        outcome: Outcome::Accepted,
        cause: None,
        status: Some(201),
        detail: None,
        message_id: None,
        given_up: false,
        unheard: unheard.map(|answer| {
            let content_type = Some("application/json".to_owned());
            Arc::new(StoredAnswer {
                status: 201,
                content_type,
                body: Bytes::copy_from_slice(answer.as_bytes()),
                asked,
            })
        }),
        request: None,
    }))
}

#[tokio::test]
async fn an_unheard_answer_that_only_the_ledger_knows_is_given_all_the_same() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    sidecar.stop().await;
    let send = Clock::system().send_id();
    let answer = r#"{"key":{"id":"3EB0OFTHELEDGER"}}"#;
    add(&sidecar.store_path(), vec![accepted(send, 1, Via::Bot, "hola", Some(answer))]).await;
    sidecar.run().await;
    let got = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!((got.status, got.text().as_str(), got.send_id()), (201, answer, send.to_string()));
    assert!(waha.calls().is_empty(), "the customer has it already");
    sidecar.send_when(&send.to_string(), |send| send["attempts"] == 2).await;
}

#[tokio::test]
async fn an_answer_that_was_heard_as_only_the_ledger_knows_is_not_given_again() {
    let (waha, mut sidecar) = pair(Config::new()).await;
    waha.faults().add(Fault::always(FaultKind::Delay(Duration::from_millis(500))).times(1));
    assert!(sidecar.bot().text_and_give_up(CHAT, "hola", Duration::from_millis(200)).await.is_none());
    until("it is recorded", async || sidecar.sends().await.iter().any(|send| send["outcome"] == "accepted"))
        .await;
    let send: SendId = sidecar.sends().await[0]["send_id"].as_str().unwrap().parse().unwrap();
    sidecar.stop().await;
    add(&sidecar.store_path(), vec![accepted(send, 2, Via::Latch, "hola", None)]).await;
    sidecar.run().await;
    let got = sidecar.bot().text(CHAT, "hola").await;
    assert_eq!(got.status, 201);
    assert_ne!(got.send_id(), send.to_string(), "the bot had been told: a new message");
    assert_eq!(waha.phones().times(CHAT, "hola"), 2);
}
