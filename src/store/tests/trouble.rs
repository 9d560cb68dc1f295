//! Slow disks, full disks, lying disks, power cuts.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::domain::ledger::{Entry, Position};
use crate::store::testing::*;
use crate::store::{Opening, StoreError, StoreState};

#[test]
fn one_missed_wait_bypasses_until_the_writer_answers() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        assert!(lane.record(accepted(1)).await);
        disk.set_stalled(Part::Journal, true);
        let began = tokio::time::Instant::now();
        let missed = join_all((2..12).map(|n| lane.record(accepted(n)))).await;
        assert!(missed.into_iter().all(|recorded| !recorded));
        assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(5));
        assert_eq!(store.state(), StoreState::Bypassed);
        let began = tokio::time::Instant::now();
        assert!(!lane.record(accepted(12)).await);
        assert!(began.elapsed() < Duration::from_millis(500), "nobody waits twice");
        disk.set_stalled(Part::Journal, false);
        settled(&store).await;
        assert!(lane.record(accepted(13)).await);
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.unrecorded, figures.lost), (13, 11, 0));
        store.close().await;
    });
}

#[test]
fn a_full_disk_costs_no_entry_and_no_restart() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, mut feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        assert!(lane.record(accepted(1)).await);
        disk.set_full(true);
        let (first, commit) =
            tokio::join!(lane.record(accepted(2)), store.commit(Vec::new(), Position(1), Position(2)));
        assert!(!first);
        assert!(commit.is_ok() || matches!(commit, Err(StoreError::Unavailable(_))));
        for n in 3..50 {
            assert!(!lane.record(accepted(n)).await);
        }
        assert_eq!(store.state(), StoreState::Unavailable);
        let answer = store.commit(Vec::new(), Position(1), Position(2)).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        disk.set_full(false);
        settled(&store).await;
        assert!(lane.record(accepted(50)).await);
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.late, figures.lost, figures.unrecorded), (50, 48, 0, 48));

        // The heart heard of each once, and then where they stand.
        let mut heard = Vec::new();
        let mut applied = Position(0);
        while heard.len() < 50 {
            let handed = feed.next().await.unwrap();
            assert!(handed.applied >= applied || handed.applied == Position(0) || handed.entries[0].0.0 == 0);
            applied = applied.max(handed.applied);
            heard.extend(handed.entries);
        }
        assert_eq!(applied, Position(50));
        let sends: Vec<_> = heard.iter().map(|(_, entry)| number(entry)).collect();
        assert_eq!(sends, (1..=50).collect::<Vec<_>>());
        assert_eq!(heard[49].0, Position(50));
        assert_eq!(ledger(&store.reader()), (1..=50).collect::<Vec<_>>(), "none twice, in order");
        store.close().await;
    });
}

#[test]
fn a_commit_that_failed_but_is_on_disk_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        assert!(lane.record(accepted(1)).await);
        disk.set_lying(true);
        assert!(!lane.record(accepted(2)).await);
        disk.set_lying(false);
        settled(&store).await;
        assert!(lane.record(accepted(3)).await);
        assert_eq!(ledger(&store.reader()), [1, 2, 3]);
        let figures = store.figures();
        assert_eq!((figures.recorded, figures.lost), (3, 0));
        store.close().await;
    });
}

#[test]
fn a_disk_that_is_full_at_the_start_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.set_full(true);
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        assert!(matches!(store.opened().await, Opening::Unavailable(_)));
        let lane = store.lane();
        assert!(!lane.record(accepted(1)).await);
        assert!(store.reader().load().is_err());
        disk.set_full(false);
        assert!(matches!(store.ready().await, Opening::Ready(_)));
        assert!(lane.record(accepted(2)).await);
        assert_eq!(ledger(&store.reader()), [1, 2], "what came meanwhile was written first");
        store.close().await;
    });
}

#[test]
fn losses_beyond_the_ring_are_counted_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    on_one_thread(async {
        let (store, _feed) = start_on(&dir.path().join("store.redb"), &disk);
        store.ready().await;
        let lane = store.lane();
        disk.set_full(true);
        let total = 12_000;
        for n in 0..total {
            lane.note(accepted(n));
            if n % 500 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        disk.set_full(false);
        settled(&store).await;
        assert!(lane.record(accepted(total)).await);
        let there = ledger(&store.reader());
        let figures = store.figures();
        assert_eq!(figures.lost + figures.recorded, total + 1);
        assert_eq!(there.len() as u64, figures.recorded);
        assert!(figures.lost > 0 && figures.recorded > 9_000, "{figures:?}");
        assert!(there.is_sorted(), "in order");
        store.close().await;
    });
}

#[test]
fn a_heart_that_lags_reads_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    on_one_thread(async {
        let (store, mut feed) = start(&dir.path().join("store.redb"));
        store.ready().await;
        let lane = store.lane();
        let total = 45_000;
        for n in 1..=total {
            lane.note(accepted(n));
            if n % 1_000 == 0 {
                assert!(
                    lane.record(Entry::Ended(Box::new(ended(n, 2, crate::domain::outcome::Outcome::Failed))))
                        .await
                );
            }
        }
        let mut positions = Vec::new();
        while positions.len() < 45_045 {
            let handed = feed.next().await.unwrap();
            positions.extend(handed.entries.iter().map(|(position, _)| position.0));
            assert_eq!(handed.applied.0, *positions.last().unwrap());
        }
        assert_eq!(positions, (1..=45_045).collect::<Vec<_>>());
        assert!(lane.record(accepted(1)).await);
        assert_eq!(feed.next().await.unwrap().entries[0].0, Position(45_046));
        store.close().await;
    });
}

/// What a disk may hold of a file after the power went: everything that was synced, and any part of what was written since.
fn image(operations: &[(Part, Operation)], part: Part, start: &[u8], upto: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let synced = operations[..upto]
        .iter()
        .rposition(|(of, operation)| *of == part && matches!(operation, Operation::Sync));
    let mut disk = start.to_vec();
    for (index, (of, operation)) in operations[..upto].iter().enumerate() {
        if *of != part {
            continue;
        }
        let unsynced = synced.is_none_or(|synced| index > synced);
        match operation {
            Operation::Sync => {}
            Operation::Length(length) => {
                if !unsynced || random() % 2 == 0 {
                    disk.resize(usize::try_from(*length).unwrap(), 0);
                }
            }
            Operation::Write(offset, bytes) => {
                let offset = usize::try_from(*offset).unwrap();
                for (sector, part) in bytes.chunks(512).enumerate() {
                    let lost = unsynced && random() % 3 == 0;
                    let at = offset + sector * 512;
                    if !lost {
                        if disk.len() < at + part.len() {
                            disk.resize(at + part.len(), 0);
                        }
                        disk[at..at + part.len()].copy_from_slice(part);
                    }
                }
            }
        }
    }
    disk
}

#[test]
fn power_cuts_lose_nothing_that_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let disk = Disk::default();
    let mut told = vec![(0, 0)];
    let (start_image, operations) = on_one_thread(async {
        let (store, _feed) = start_on(&path, &disk);
        store.ready().await;
        let start_image = std::fs::read(&path).unwrap();
        disk.record();
        let lane = store.lane();
        for n in 1..=60 {
            lane.note(intent(n, 1));
            let record = async {
                assert!(lane.record(accepted(n)).await);
                told.push((disk.recorded().len(), n));
            };
            let commit = async |upto| {
                let case = Box::new(open_case(n, NOW));
                let change = crate::domain::decide::Change::Case(case);
                store.commit(vec![change], Position(upto), Position(upto + 1)).await.unwrap();
            };
            match n % 7 {
                0 => {
                    record.await;
                    commit(2 * n).await;
                }
                3 => drop(tokio::join!(record, commit(2 * n - 2))),
                _ => record.await,
            }
        }
        // More than the journal waits with.
        let many = (61..=1_200).map(|n| lane.record(accepted(n)));
        assert!(join_all(many).await.into_iter().all(|recorded| recorded));
        told.push((disk.recorded().len(), 1_200));
        assert!(lane.record(accepted(1_201)).await);
        told.push((disk.recorded().len(), 1_201));
        // Transactions while more is recorded, one after the other, into both halves of the journal.
        for wave in 0..6 {
            let from = 1_202 + wave * 300;
            let case = Box::new(open_case(from, NOW));
            let change = crate::domain::decide::Change::Case(case);
            let commit = store.commit(vec![change], Position(from), Position(from + 1));
            let records = async {
                for n in (from..from + 300).step_by(50) {
                    let some = (n..n + 50).map(|n| lane.record(accepted(n)));
                    assert!(join_all(some).await.into_iter().all(|recorded| recorded));
                    told.push((disk.recorded().len(), n + 49));
                }
            };
            assert!(tokio::join!(commit, records).0.is_ok());
        }
        (start_image, disk.recorded())
    });
    let silence = Silence::new();
    let (mut images, step) = (0, (operations.len() / 300).max(1));
    for upto in (0..=operations.len()).step_by(step) {
        let seed = upto as u64 + 1;
        let cut = dir.path().join("cut.redb");
        std::fs::write(&cut, image(&operations, Part::Store, &start_image, upto, seed)).unwrap();
        let journal = image(&operations, Part::Journal, &[], upto, seed);
        std::fs::write(dir.path().join("cut.redb.journal"), journal).unwrap();
        let expected = told.iter().filter(|(at, _)| *at <= upto).map(|(_, n)| *n).max().unwrap();
        on_one_thread(async {
            let (store, _feed) = start(&cut);
            let Opening::Ready(report) = store.opened().await else { panic!("{upto}") };
            assert!(report.set_aside.is_none(), "{upto}: unopenable");
            let there = store.reader().entries(Position(1), Position(u64::MAX), 10_000).unwrap();
            let outcomes = there.iter().filter(|(_, entry)| matches!(entry, Entry::Ended(_)));
            let outcomes: Vec<_> = outcomes.map(|(_, entry)| number(entry)).collect();
            assert!(outcomes.len() as u64 >= expected, "{upto}: {} of {expected}", outcomes.len());
            assert_eq!(outcomes, (1..=outcomes.len() as u64).collect::<Vec<_>>());
            store.close().await;
        });
        images += 1;
    }
    drop(silence);
    assert!(images > 200, "{images}");
}
