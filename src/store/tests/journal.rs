//! The journal: what it holds is never lost, never taken in twice, and never another store's.

use std::fs;
use std::path::Path;

use futures_util::future::join_all;

use super::*;
use crate::clock::Clock;
use crate::domain::decide::Change;
use crate::domain::forget::Forgotten;
use crate::domain::id::Phone;
use crate::domain::ledger::Position;
use crate::store::testing::*;
use crate::store::{Lane, Opening, Store};

/// What `kill -9` would leave of a store.
pub(super) fn left_of(store: &Path, copy: &Path) {
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
        let stall = |stalled| [Part::Store, Part::Journal].map(|part| disk.set_stalled(part, stalled));
        stall(true);
        let (reader, everything) = (store.reader(), Position(u64::MAX));
        let read = reader.entries(Position(1), everything, 10);
        assert!(matches!(read, Err(crate::store::ReadError::Unavailable(_))), "{read:?}");
        assert!(reader.load().is_err());
        assert!(reader.stats().is_ok(), "older is better than nothing");
        stall(false);
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
            assert!(join_all(batch).await.into_iter().all(|recorded| recorded));
            let length = fs::metadata(path.with_extension("redb.journal")).unwrap().len();
            assert!(length <= 2 * 1024 * 1024, "{length}");
        }
        assert_eq!(ledger(&store.reader()), (0..5_000).collect::<Vec<_>>());
        store.close().await;
    });
}

/// Runs `work`: what its first poll hands in is one batch, for the writer waits for `part` meanwhile. `before` it has it, something happens.
async fn in_one_batch<T>(
    disk: &Disk,
    part: Part,
    lane: &Lane,
    busy_with: u64,
    before: impl FnOnce(),
    work: impl Future<Output = T>,
) -> T {
    disk.set_stalled(part, true);
    let first = lane.record(accepted(busy_with));
    let next = async {
        disk.is_waited_for(part).await;
        before();
        tokio::join!(work, async { disk.set_stalled(part, false) }).0
    };
    let (first, result) = tokio::join!(first, next);
    assert!(first);
    result
}

#[test]
fn sends_wait_neither_for_what_the_heart_commits_nor_for_a_full_journal() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        let stall = || disk.set_stalled(Part::Store, true);
        let told = async |sends: std::ops::RangeInclusive<u64>| {
            let sends = join_all(sends.map(|n| lane.record(accepted(n))));
            assert!(sends.await.into_iter().all(|recorded| recorded), "while the transaction waits");
            disk.set_stalled(Part::Store, false);
        };
        let both = async { tokio::join!(told(2..=10), store.commit(Vec::new(), Position(1), Position(2))).1 };
        in_one_batch(&disk, Part::Journal, &lane, 1, stall, both).await.unwrap();
        in_one_batch(&disk, Part::Journal, &lane, 11, stall, told(12..=2_000)).await;
        assert_eq!(ledger(&store.reader()), (1..=2_000).collect::<Vec<_>>());
        store.close().await;
    });
}

#[test]
fn what_sends_were_told_stays_so_where_the_transaction_after_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        let fail = || disk.set_broken(Part::Store, true);
        let mended = async || {
            while store.state() == StoreState::Recording {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            disk.set_broken(Part::Store, false);
            settled(&store).await;
        };
        fail();
        assert!(store.commit(Vec::new(), Position(0), Position(1)).await.is_err());
        assert_eq!(store.figures().commits, 0, "nothing was written");
        mended().await;
        let told = async |sends: std::ops::RangeInclusive<u64>| {
            let sends = join_all(sends.map(|n| lane.record(accepted(n))));
            assert!(sends.await.into_iter().all(|recorded| recorded), "they are in the journal");
        };
        let both = async { tokio::join!(told(2..=10), store.commit(Vec::new(), Position(1), Position(2))).1 };
        assert!(in_one_batch(&disk, Part::Journal, &lane, 1, fail, both).await.is_err());
        mended().await;
        in_one_batch(&disk, Part::Journal, &lane, 11, fail, told(12..=2_000)).await;
        mended().await;
        assert!(lane.record(accepted(2_001)).await);
        assert_eq!(ledger(&store.reader()), (1..=2_001).collect::<Vec<_>>(), "each once, in their order");
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.late, figures.lost, figures.unrecorded), (2_001, 0, 0, 0));
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
        disk.set_broken(Part::Journal, true);
        for n in 2..=4 {
            assert!(lane.record(accepted(n)).await, "{n}");
            let copy = dir.path().join(format!("{n}.redb"));
            fs::copy(&path, &copy).unwrap();
            let (second, _feed) = start(&copy);
            second.ready().await;
            assert_eq!(ledger(&second.reader()), (1..=n).collect::<Vec<_>>(), "in the store itself");
            second.close().await;
        }
        let before = store.figures().commits;
        let both = async {
            tokio::join!(lane.record(accepted(6)), store.commit(Vec::new(), Position(1), Position(2)))
        };
        let (recorded, commit) = in_one_batch(&disk, Part::Store, &lane, 5, || (), both).await;
        assert!(recorded && commit.is_ok());
        assert!(
            store.figures().commits - before <= 2,
            "one for the first, one for the two that came together"
        );
        disk.set_broken(Part::Journal, false);
        assert!(lane.record(accepted(7)).await);
        assert_eq!(ledger(&store.reader()), (1..=7).collect::<Vec<_>>());
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
        store.commit(Vec::new(), Position(1), Position(2)).await.unwrap();
        assert!(store.lane().record(accepted(8)).await);
        assert!(holds("584240000007"), "as long as it is needed, and then until it is written over");
        let customer = Forgotten::new(&Phone::new("584240000007").unwrap()).unwrap();
        let changes = vec![Change::Forget(customer, vec![Position(1)])];
        store.commit(changes, Position(2), Position(3)).await.unwrap();
        assert!(!holds("584240000007"));
        store.close().await;
    });
}
