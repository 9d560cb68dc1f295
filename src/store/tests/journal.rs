//! The journal: what it holds is never lost, never taken in twice, and never another store's.

use std::fs;
use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::domain::decide::Change;
use crate::domain::forget::Forgotten;
use crate::domain::id::Phone;
use crate::domain::ledger::Position;
use crate::store::testing::*;
use crate::store::{Opening, Store};

/// What `kill -9` would leave of a store.
fn left_of(store: &Path, copy: &Path) {
    fs::copy(store, copy).unwrap();
    let journal = |path: &Path| path.with_extension("redb.journal");
    if journal(store).exists() {
        fs::copy(journal(store), journal(copy)).unwrap();
    }
}

/// Waits until the ledger itself holds `rows`, as somebody sees who reads the file a while later.
async fn at_rest(store: &Path, copy: &Path, rows: u64) {
    for _ in 0..400 {
        left_of(store, copy);
        let _no_journal = fs::remove_file(copy.with_extension("redb.journal"));
        let reader = Store::open_read_only(copy, Clock::manual(NOW)).unwrap();
        if reader.stats().unwrap().ledger_rows == rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never in the ledger");
}

#[test]
fn what_is_only_in_the_journal_is_taken_in_after_a_crash_and_read_without_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let (path, killed, alone) =
        (dir.path().join("a.redb"), dir.path().join("b.redb"), dir.path().join("c.redb"));
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let lane = store.lane();
        for n in 1..=5 {
            assert!(lane.record(accepted(n)).await);
        }
        // A commit of the heart puts everything into the ledger, and the journal begins anew.
        store.commit(Vec::new(), Position(5), Position(6)).await.unwrap();
        for n in 6..=8 {
            assert!(lane.record(accepted(n)).await);
            // Whoever is killed right after an answer has recorded it.
            left_of(&path, &killed);
            left_of(&path, &alone);
            let reader = Store::open_read_only(&alone, Clock::manual(NOW)).unwrap();
            assert_eq!(ledger(&reader), (1..=n).collect::<Vec<_>>());
            drop(reader);
            let (second, _feed) = start(&killed);
            assert!(matches!(second.ready().await, Opening::Ready(report) if report.last == Position(n)));
            assert_eq!(ledger(&second.reader()), (1..=n).collect::<Vec<_>>());
            let journal = killed.with_extension("redb.journal");
            assert_eq!(fs::metadata(journal).unwrap().len(), 0, "what it held is not left there");
            assert!(second.lane().record(accepted(100)).await);
            assert_eq!(second.reader().stats().unwrap().last, Position(n + 1));
            second.close().await;
            assert!(!killed.with_extension("redb.journal").exists(), "nothing is left to take in");
        }
        assert_eq!(ledger(&store.reader()), (1..=8).collect::<Vec<_>>(), "a reader sees what was recorded");
        assert!(lane.record(accepted(9)).await);
        at_rest(&path, &alone, 9).await;
        store.close().await;
    });
}

#[test]
fn who_must_see_everything_is_told_where_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        assert!(store.lane().record(accepted(1)).await);
        disk.set_stalled(true);
        let (reader, everything) = (store.reader(), Position(u64::MAX));
        let read = reader.entries(Position(1), everything, 10);
        assert!(matches!(read, Err(crate::store::ReadError::Unavailable(_))), "{read:?}");
        assert!(reader.load().is_err());
        assert!(reader.stats().is_ok(), "older is better than nothing");
        disk.set_stalled(false);
        settled(&store).await;
        assert_eq!(ledger(&reader), [1]);
        store.close().await;
    });
}

#[test]
fn much_goes_into_the_ledger_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let lane = store.lane();
        for n in 0..50 {
            let batch = (0..100).map(|m| lane.record(accepted(n * 100 + m)));
            assert!(futures_util::future::join_all(batch).await.into_iter().all(|recorded| recorded));
            let length = fs::metadata(path.with_extension("redb.journal")).unwrap().len();
            assert!(length <= 1024 * 1024, "{length}");
        }
        assert_eq!(ledger(&store.reader()), (0..5_000).collect::<Vec<_>>());
        store.close().await;
    });
}

#[test]
fn sends_wait_neither_for_what_the_heart_commits_nor_for_a_full_journal() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        for (entries, heart) in [(1..=10, true), (11..=2_000, false)] {
            disk.set_stalled(true);
            let first = lane.record(accepted(0));
            let next_batch = async {
                // What is handed in while the writer is busy with the first.
                disk.is_waited_for().await;
                disk.set_store_stalled(true);
                let sends = async {
                    let sends = futures_util::future::join_all(entries.map(|n| lane.record(accepted(n))));
                    assert!(sends.await.into_iter().all(|recorded| recorded), "while the transaction waits");
                    disk.set_store_stalled(false);
                };
                let commit = async {
                    if heart {
                        store.commit(Vec::new(), Position(1), Position(2)).await.unwrap();
                    }
                };
                tokio::join!(sends, commit, async { disk.set_stalled(false) });
            };
            assert!(tokio::join!(first, next_batch).0);
        }
        assert_eq!(ledger(&store.reader()).len(), 2_002);
        store.close().await;
    });
}

#[test]
fn without_a_journal_each_batch_is_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        assert!(lane.record(accepted(1)).await);
        disk.set_journal_broken(true);
        for n in 2..=4 {
            assert!(lane.record(accepted(n)).await, "{n}");
            let copy = dir.path().join(format!("{n}.redb"));
            fs::copy(&path, &copy).unwrap();
            let (second, _feed) = start(&copy);
            second.ready().await;
            assert_eq!(ledger(&second.reader()), (1..=n).collect::<Vec<_>>(), "in the store itself");
            second.close().await;
        }
        disk.set_journal_broken(false);
        assert!(lane.record(accepted(5)).await);
        assert_eq!(ledger(&store.reader()), [1, 2, 3, 4, 5]);
        store.close().await;
    });
}

#[test]
fn another_stores_journal_is_not_taken_in_and_a_broken_stores_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        assert!(store.lane().record(accepted(1)).await);
        left_of(&path, &dir.path().join("left.redb"));
        store.close().await;
        let journal = dir.path().join("left.redb.journal");
        // One made a moment later, beside the journal of the first.
        let later = Clock::manual(NOW + Duration::from_millis(1));
        let (store, _feed) =
            Store::start(settings(&other), later, std::sync::Arc::new(crate::store::NoMeter)).unwrap();
        store.ready().await;
        store.close().await;
        fs::copy(&journal, other.with_extension("redb.journal")).unwrap();
        let (store, _feed) = start(&other);
        assert!(matches!(store.ready().await, Opening::Ready(report) if report.last == Position(0)));
        store.close().await;
        fs::write(&other, b"broken").unwrap();
        fs::copy(&journal, other.with_extension("redb.journal")).unwrap();
        let (store, _feed) = start(&other);
        let Opening::Ready(report) = store.ready().await else { panic!("not opened") };
        let aside = report.set_aside.unwrap();
        let beside = format!("{}.journal", aside.display());
        assert!(fs::read(beside).unwrap() == fs::read(&journal).unwrap());
        assert!(ledger(&store.reader()).is_empty());
        assert_eq!(crate::store::set_aside_beside(&other).len(), 2, "both are told of");
        store.close().await;
    });
}

#[test]
fn who_is_forgotten_is_not_left_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let holds = |number: &str| {
        let bytes = fs::read(path.with_extension("redb.journal")).unwrap();
        bytes.windows(number.len()).any(|part| part == number.as_bytes())
    };
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        assert!(store.lane().record(accepted(7)).await);
        assert!(holds("584240000007"), "as long as it is needed, and then until it is written over");
        let customer = Forgotten::new(&Phone::new("584240000007").unwrap()).unwrap();
        let changes = vec![Change::Forget(customer, vec![Position(1)])];
        store.commit(changes, Position(1), Position(2)).await.unwrap();
        assert!(!holds("584240000007"));
        store.close().await;
    });
}
