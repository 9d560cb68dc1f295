//! While a transaction is under way: sends, readers, people who are forgotten, closing, and what fails.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::journal::left_of;
use super::*;
use crate::clock::Clock;
use crate::domain::decide::Change;
use crate::domain::forget::Forgotten;
use crate::domain::id::Phone;
use crate::domain::ledger::Position;
use crate::store::testing::*;
use crate::store::{Lane, Opening, Order, Store, StoreError};

/// Does `meanwhile` while a transaction with what was recorded, up to `applied`, waits for the disk; and gives how that ended too.
async fn while_under_way<T>(
    store: &Store,
    disk: &Disk,
    applied: u64,
    meanwhile: impl Future<Output = T>,
) -> (Result<(), StoreError>, T) {
    disk.set_stalled(Part::Store, true);
    let commit = store.commit(Vec::new(), Position(applied), Position(applied + 1));
    let meanwhile = async {
        disk.is_waited_for(Part::Store).await;
        meanwhile.await
    };
    tokio::join!(commit, meanwhile)
}

async fn recorded(lane: &Lane, sends: std::ops::RangeInclusive<u64>) {
    for n in sends {
        assert!(lane.record(accepted(n)).await, "{n}");
    }
}

#[test]
fn sends_go_on_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let (path, killed) = (dir.path().join("store.redb"), dir.path().join("killed.redb"));
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 1..=1).await;
        assert!(store.pulse().await);
        let meanwhile = async {
            recorded(&lane, 2..=50).await;
            left_of(&path, &killed);
            // Whoever is killed now has what the transaction was to bring in, and what came since.
            let (left, _feed) = start(&killed);
            assert!(matches!(left.ready().await, Opening::Ready(report) if report.last == Position(50)));
            assert_eq!(ledger(&left.reader()), (1..=50).collect::<Vec<_>>());
            left.close().await;
            let pulse = tokio::time::timeout(Duration::from_millis(50), store.pulse()).await;
            assert!(pulse.is_err(), "a store whose transactions hang is not well");
            let next = store.commit(Vec::new(), Position(50), Position(51));
            tokio::join!(next, async { disk.set_stalled(Part::Store, false) }).0
        };
        let (first, second) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_ok() && second.is_ok());
        assert!(store.pulse().await);
        // The half that is written now was the first one's.
        recorded(&lane, 51..=51).await;
        left_of(&path, &killed);
        let reader = Store::open_read_only(&killed, Clock::manual(NOW)).unwrap();
        assert_eq!(ledger(&reader), (1..=51).collect::<Vec<_>>());
        assert_eq!(ledger(&store.reader()), (1..=51).collect::<Vec<_>>());
        store.close().await;
    });
}

#[test]
fn what_came_meanwhile_is_there_where_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, mut feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 1..=1).await;
        let meanwhile = async {
            recorded(&lane, 2..=10).await;
            let waits = store.commit(Vec::new(), Position(10), Position(11));
            disk.set_broken(Part::Store, true);
            tokio::join!(waits, async { disk.set_stalled(Part::Store, false) }).0
        };
        let (first, waits) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_err() && waits.is_err(), "{first:?} {waits:?}");
        disk.set_broken(Part::Store, false);
        settled(&store).await;
        recorded(&lane, 11..=11).await;
        assert_eq!(ledger(&store.reader()), (1..=11).collect::<Vec<_>>(), "each once, in their order");
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.late, figures.lost, figures.unrecorded), (11, 0, 0, 0));
        let mut heard = Vec::new();
        while heard.len() < 11 {
            heard.extend(feed.next().await.unwrap().entries.into_iter().map(|(position, _)| position.0));
        }
        assert_eq!(heard, (1..=11).collect::<Vec<_>>());
        store.close().await;
    });
}

#[test]
fn what_neither_journal_nor_transaction_took_is_told_so_and_written_late() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 1..=1).await;
        let meanwhile = async {
            recorded(&lane, 2..=3).await;
            disk.set_broken(Part::Journal, true);
            disk.set_broken(Part::Store, true);
            tokio::join!(lane.record(accepted(4)), async { disk.set_stalled(Part::Store, false) }).0
        };
        let (commit, told) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(commit.is_err() && !told);
        disk.set_broken(Part::Journal, false);
        disk.set_broken(Part::Store, false);
        settled(&store).await;
        recorded(&lane, 5..=5).await;
        assert_eq!(ledger(&store.reader()), [1, 2, 3, 4, 5], "each once, in their order");
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.late, figures.lost, figures.unrecorded), (5, 1, 0, 1));
        store.close().await;
    });
}

#[test]
fn more_than_the_other_half_holds_waits_and_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 1..=1).await;
        let length = || fs::metadata(path.with_extension("redb.journal")).unwrap().len();
        let meanwhile = async {
            let mut next = 2;
            loop {
                let mut wave = Box::pin(join_all((next..next + 500).map(|n| lane.record(accepted(n)))));
                next += 500;
                let mut waits = false;
                let told = loop {
                    tokio::select! {
                        told = &mut wave => break told,
                        () = tokio::time::sleep(Duration::from_millis(100)) => {
                            waits = length() > 3 * 512 * 1024;
                            disk.set_stalled(Part::Store, !waits);
                        }
                    }
                };
                assert!(told.into_iter().all(|recorded| recorded));
                if waits {
                    return next;
                }
                assert!(length() <= 2 * 1024 * 1024, "a half is bounded");
            }
        };
        let (first, next) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_ok());
        assert_eq!(ledger(&store.reader()), (1..next).collect::<Vec<_>>());
        store.close().await;
    });
}

#[test]
fn a_reader_sees_what_was_recorded_before_it_asked() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        for (first, last) in [(1, 5), (6, 6)] {
            recorded(&lane, first..=first).await;
            let reader = store.reader();
            let meanwhile = async {
                recorded(&lane, first + 1..=last).await;
                let read = tokio::task::spawn_blocking(move || ledger(&reader));
                tokio::time::sleep(Duration::from_millis(20)).await;
                disk.set_stalled(Part::Store, false);
                read.await.unwrap()
            };
            let (commit, read) = while_under_way(&store, &disk, first, meanwhile).await;
            assert!(commit.is_ok());
            assert_eq!(read, (1..=last).collect::<Vec<_>>());
        }
        store.close().await;
    });
}

#[test]
fn a_send_that_ends_meanwhile_is_still_a_send() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        assert!(lane.record(intent(1, 1)).await && lane.record(intent(2, 1)).await);
        store.commit(Vec::new(), Position(2), Position(1)).await.unwrap();
        // The outcome of one is on its way into the ledger, that of the other where no reader looks yet.
        recorded(&lane, 2..=2).await;
        let meanwhile = async {
            // Its outcome is where no reader looks yet.
            recorded(&lane, 1..=1).await;
            let page = store.reader().sends(Order::OldestFirst, None, 10, |_| true).unwrap();
            assert!(
                page.items.iter().any(|line| line.send == send(1)),
                "it is on the page of an older state"
            );
            assert!(store.reader().send(send(1)).unwrap().is_some());
            disk.set_stalled(Part::Store, false);
        };
        assert!(while_under_way(&store, &disk, 2, meanwhile).await.0.is_ok());
        let page = store.reader().sends(Order::OldestFirst, None, 10, |_| true).unwrap();
        assert_eq!(page.items.iter().map(|line| line.send).collect::<Vec<_>>(), [send(2), send(1)]);
        store.close().await;
    });
}

fn holds(store: &Path, number: &str) -> bool {
    let bytes = fs::read(store.with_extension("redb.journal")).unwrap();
    bytes.windows(number.len()).any(|part| part == number.as_bytes())
}

#[test]
fn who_is_forgotten_is_left_in_neither_half() {
    let dir = tempfile::tempdir().unwrap();
    let (path, killed) = (dir.path().join("store.redb"), dir.path().join("killed.redb"));
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        let customer = || Forgotten::new(&Phone::new("584240000007").unwrap()).unwrap();
        recorded(&lane, 7..=7).await;
        let meanwhile = async {
            assert!(lane.record(failed(7, 2)).await);
            assert!(holds(&path, "584240000007"));
            let change = Change::Forget(customer(), vec![Position(1), Position(2)]);
            let forget = store.commit(vec![change], Position(2), Position(3));
            let unstall = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                disk.set_stalled(Part::Store, false);
            };
            let (forgotten, told, ()) = tokio::join!(forget, lane.record(accepted(8)), unstall);
            assert!(told, "as soon as that is done");
            forgotten
        };
        let (first, forgotten) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_ok() && forgotten.is_ok());
        assert!(!holds(&path, "584240000007"));
        recorded(&lane, 9..=9).await;
        left_of(&path, &killed);
        let reader = Store::open_read_only(&killed, Clock::manual(NOW)).unwrap();
        assert_eq!(ledger(&reader), [7, 7, 8, 9], "that something was sent is no secret, to whom is");
        store.close().await;
    });
}

#[test]
fn a_store_that_is_closed_brings_in_the_other_half_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 1..=1).await;
        let meanwhile = async {
            recorded(&lane, 2..=5).await;
            let waits = store.commit(Vec::new(), Position(5), Position(6));
            let close = async {
                let unstall = async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    disk.set_stalled(Part::Store, false);
                };
                tokio::join!(store.clone().close(), unstall)
            };
            tokio::join!(waits, close).0
        };
        let (first, waits) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_ok() && waits.is_ok());
        assert!(!path.with_extension("redb.journal").exists(), "nothing is left to take in");
        let reader = Store::open_read_only(&path, Clock::manual(NOW)).unwrap();
        assert_eq!(ledger(&reader), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_batch_without_room_waits_for_a_forget_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let lane = store.lane();
        recorded(&lane, 7..=7).await;
        let meanwhile = async {
            let most = join_all((8..2_008).map(|n| lane.record(accepted(n)))).await;
            assert!(most.into_iter().all(|recorded| recorded), "into the other half");
            // What comes while the writer waits for the journal is one batch.
            disk.set_stalled(Part::Journal, true);
            let busy = lane.record(accepted(2_008));
            let batch = async {
                disk.is_waited_for(Part::Journal).await;
                let customer = Forgotten::new(&Phone::new("584240000007").unwrap()).unwrap();
                let forget =
                    store.commit(vec![Change::Forget(customer, vec![Position(1)])], Position(1), Position(2));
                let more = join_all((2_009..4_009).map(|n| lane.record(accepted(n))));
                let go_on = async {
                    disk.set_stalled(Part::Journal, false);
                    disk.set_stalled(Part::Store, false);
                };
                tokio::join!(forget, more, go_on)
            };
            tokio::join!(busy, batch)
        };
        let (first, (busy, (forgotten, more, ()))) = while_under_way(&store, &disk, 1, meanwhile).await;
        assert!(first.is_ok() && busy && forgotten.is_ok());
        assert!(more.into_iter().all(|recorded| recorded));
        assert!(!holds(&path, "584240000007"));
        assert_eq!(ledger(&store.reader()), (7..4_009).collect::<Vec<_>>());
        store.close().await;
    });
}
