//! What version 1 wrote stays readable: one row of each kind, and a whole file, as they were written then.
//!
//! A test that fails here means that stored data of users cannot be read any more. New fields get new files beside the old ones:
//! `WRITE_GOLDEN=1 cargo test golden` writes those that are missing, never one that is there.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::case::Case;
use crate::domain::decide::{Change, Unheard};
use crate::domain::id::{Phone, SessionName};
use crate::domain::ledger::{Entry, Position, StoredAnswer, Via};
use crate::domain::notification::{Method, Resolution};
use crate::domain::outcome::Outcome;
use crate::domain::send::Content;
use crate::domain::session::Session;
use crate::domain::status::{Assessment, Confidence, Reason, Status, StatusChange};
use crate::store::testing::*;
use crate::store::{Opening, Order, row};

pub(super) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/store-v1").join(name)
}

/// The bytes of version 1 for this name; `now` are those of today.
pub(super) fn then(name: &str, now: &[u8]) -> Vec<u8> {
    let path = golden(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, now).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn answer() -> Arc<StoredAnswer> {
    let content_type = Some("application/json".into());
    Arc::new(StoredAnswer {
        status: 201,
        content_type,
        body: br#"{"id":"3EB0"}"#.as_slice().into(),
        asked: Content::from_bytes([7; 16]),
    })
}

fn outcome() -> Entry {
    let mut full = ended(2, 3, Outcome::Ambiguous);
    let mut what = (*full.what).clone();
    what.order.order_id = Some("id-2".into());
    what.order.customer_phone = Phone::new("+584241234567");
    full.what = Arc::new(what);
    full.via = Via::Latch;
    full.started = NOW + std::time::Duration::from_secs(5);
    full.ended = NOW + std::time::Duration::from_secs(9);
    full.detail = Some("Evaluation failed".into());
    full.message_id = Some("true_1@c.us_3EB0".into());
    full.given_up = true;
    full.unheard = Some(answer());
    full.request = Some(request());
    Entry::Ended(Box::new(full))
}

fn case() -> Case {
    let mut case = open_case(4, NOW);
    case.replayable = true;
    case.failure.as_mut().unwrap().resolution = Some(Resolution {
        at: NOW,
        method: Method::PhoneCall,
        by: Some("ana".into()),
        note: Some("ok".into()),
    });
    case
}

fn session() -> Session {
    let mut session = Session::new(SessionName::new("default").unwrap(), NOW);
    session.failed(NOW, what(1).chat.as_ref(), std::time::Duration::from_millis(300));
    session.exhausted(NOW, None);
    session.low_rate.last_bad = Some(NOW);
    session
}

fn change() -> StatusChange {
    StatusChange {
        session: SessionName::new("default").unwrap(),
        at: NOW,
        from: Status::Online,
        to: Assessment {
            status: Status::Incommunicado,
            confidence: Confidence::Medium,
            reason: Reason::SendsGivenUp,
        },
    }
}

fn unheard() -> Unheard {
    let ended = ended(5, 1, Outcome::Accepted);
    let identity = ended.what.identity.unwrap();
    Unheard { attempt: ended.attempt, identity, first_at: NOW, ended: NOW, answer: answer() }
}

#[test]
fn rows_of_version_1_are_read() {
    for (name, entry) in [("intent.cbor", intent(1, 2)), ("outcome.cbor", outcome())] {
        let mut now = Vec::new();
        assert!(row::entry_row(&entry, &mut now));
        assert_eq!(row::entry_of(&then(name, &now)).unwrap(), entry, "{name}");
    }
    assert_eq!(row::case_of(&then("case.cbor", &row::case_row(&case()))).unwrap(), case());
    assert_eq!(row::session_of(&then("session.cbor", &row::session_row(&session()))).unwrap(), session());
    assert_eq!(row::change_of(&then("change.cbor", &row::change_row(&change()))).unwrap(), change());
    assert_eq!(row::unheard_of(&then("unheard.cbor", &row::unheard_row(&unheard()))).unwrap(), unheard());
    let kept = then("request.cbor", &row::request_row(&request()));
    assert_eq!(row::request_of(&kept).unwrap(), *request());
}

#[test]
fn a_file_of_version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let now = dir.path().join("now.redb");
    if !golden("store.redb").exists() {
        on_one_thread(async {
            let (store, _feed) = start(&now);
            store.ready().await;
            let lane = store.lane();
            lane.note(accepted(1));
            lane.note(outcome());
            assert!(lane.record(intent(3, 1)).await);
            let changes = vec![
                Change::Case(Box::new(case())),
                Change::Case(Box::new(open_case(6, NOW))),
                Change::Keep(send(6), request()),
                Change::Unheard(Box::new(unheard())),
                Change::Session(Box::new(session())),
                Change::History(change()),
            ];
            store.commit(changes, Position(1), Position(2)).await.unwrap();
            store.close().await;
        });
    }
    let path = dir.path().join("store.redb");
    fs::write(&path, then("store.redb", &fs::read(&now).unwrap_or_default())).unwrap();
    on_one_thread(async {
        let (store, _feed) = start(&path);
        assert!(matches!(store.ready().await, Opening::Ready(report) if report.set_aside.is_none()));
        let reader = store.reader();
        let loaded = reader.load().unwrap();
        assert_eq!((loaded.applied, loaded.last), (Position(1), Position(3)));
        assert_eq!(loaded.stored.cases, [open_case(6, NOW)]);
        assert_eq!(loaded.stored.sessions, [session()]);
        assert_eq!(loaded.stored.unheard, [unheard()]);
        let entries = reader.entries(Position(2), Position(3), 10).unwrap();
        assert_eq!(entries, [(Position(2), outcome()), (Position(3), intent(3, 1))]);
        assert_eq!(reader.case(send(4)).unwrap(), Some(case()));
        assert_eq!(reader.request(send(6)).unwrap(), Some((*request()).clone()));
        assert_eq!(reader.history(None, 10).unwrap(), [change()]);
        assert_eq!(reader.sends(Order::NewestFirst, None, 10, |_| true).unwrap().items.len(), 3);
        store.close().await;
    });
}
