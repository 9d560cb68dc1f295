//! Files: made, refused, set aside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::domain::ledger::Position;
use crate::domain::outcome::Outcome;
use crate::store::testing::*;
use crate::store::{Opening, Refused, Store, StoreState};

fn opening(path: &Path) -> Opening {
    on_one_thread(async {
        let (store, _feed) = start(path);
        let opening = store.opened().await;
        store.close().await;
        opening
    })
}

fn filled(path: &Path, rows: u64) {
    on_one_thread(async {
        let (store, _feed) = start(path);
        store.ready().await;
        let lane = store.lane();
        for n in 0..rows {
            lane.note(if n % 3 == 0 { failed(n, 1) } else { accepted(n) });
        }
        assert!(lane.record(intent(rows, 1)).await);
        let case = crate::domain::case::Case::open(&ended(0, 1, Outcome::Failed));
        let change = crate::domain::decide::Change::Case(Box::new(case));
        store.commit(vec![change], Position(1), Position(2)).await.unwrap();
        store.close().await;
    });
}

#[test]
fn files_and_directories_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data").join("store.redb");
    assert!(matches!(opening(&path), Opening::Ready(_)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_second_opener_is_refused_and_reading_beside_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    on_one_thread(async {
        let (store, _feed) = start(&path);
        store.ready().await;
        let (second, _feed) = start(&path);
        let Opening::Refused(refused) = second.opened().await else { panic!("not refused") };
        assert_eq!(refused, Refused::Locked(path.clone()));
        assert!(refused.to_string().contains("another waha-watchdog has it open"), "{refused}");
        assert_eq!(second.state(), StoreState::Closed);
        assert!(!second.lane().record(accepted(1)).await);
        let error = Store::open_read_only(&path, Clock::manual(NOW)).err().unwrap().to_string();
        assert!(error.contains("another waha-watchdog has it open"), "{error}");
        assert!(store.lane().record(accepted(1)).await, "the first does not notice");
        store.close().await;
    });
    assert!(matches!(opening(&path), Opening::Ready(report) if report.last == Position(1)));
}

#[test]
fn what_is_no_store_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign.redb");
    let table = redb::TableDefinition::<u64, u64>::new("something");
    let db = redb::Database::create(&foreign).unwrap();
    let write = db.begin_write().unwrap();
    write.open_table(table).unwrap();
    write.commit().unwrap();
    db.close().unwrap();

    let newer = dir.path().join("newer.redb");
    filled(&newer, 3);
    let db = redb::Database::open(&newer).unwrap();
    let write = db.begin_write().unwrap();
    write.open_table(crate::store::table::META).unwrap().insert("version", 2).unwrap();
    write.commit().unwrap();
    db.close().unwrap();

    for path in [&foreign, &newer] {
        let before = fs::read(path).unwrap();
        assert!(matches!(opening(path), Opening::Refused(_)), "{path:?}");
        assert!(fs::read(path).unwrap() == before, "{path:?}");
    }
    assert!(matches!(opening(&newer), Opening::Refused(Refused::NewerFormat(_, 2))));
    assert!(matches!(opening(dir.path()), Opening::Refused(Refused::NotAStore(..))));
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(opening(&pipe), Opening::Refused(Refused::NotAStore(..))));
    assert!(matches!(opening(&foreign.join("below-a-file")), Opening::Refused(_)));
}

#[test]
fn broken_files_are_set_aside_whole() {
    for bytes in [Vec::new(), b"garbage".to_vec(), vec![0; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a".to_vec()] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        for round in 0..2 {
            fs::write(&path, &bytes).unwrap();
            let Opening::Ready(report) = opening(&path) else { panic!("{:?}", bytes.len()) };
            let aside = report.set_aside.unwrap();
            assert!(fs::read(&aside).unwrap() == bytes);
            let name = aside.file_name().unwrap().to_str().unwrap();
            let expected = ["store.redb.broken-20240101T000000Z", "store.redb.broken-20240101T000000Z-1"];
            assert_eq!(name, expected[round]);
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn a_cut_while_the_file_is_made_leaves_nothing_in_the_way() {
    for cut in 1..200 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let disk = Disk::default();
        disk.cut_at(cut);
        let place =
            crate::store::file::Place { path: path.clone(), cache_bytes: 1 << 20, wrap: Some(disk.wrap()) };
        let made = place.open(NOW, false, &mut |_| Ok(())).is_ok();
        // A kill leaves the draft lying about.
        if !path.exists() {
            fs::write(dir.path().join("store.redb.new"), b"half-made").unwrap();
        }
        assert!(matches!(opening(&path), Opening::Ready(report) if report.set_aside.is_none()), "{cut}");
        if made {
            assert!(cut > 5, "the loop has teeth");
            return;
        }
    }
    panic!("never made");
}

/// Damages of all kinds; deterministic.
fn mutated(original: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut bytes = original.to_vec();
    let length = bytes.len();
    match seed % 6 {
        0 => bytes[random(length)] ^= 1 << random(8),
        1 => bytes[random(512.min(length))] = u8::try_from(random(256)).unwrap(),
        2 => bytes.truncate(random(length)),
        3 => {
            let page = random(length / 4096) * 4096;
            bytes[page..page + 4096].fill(0);
        }
        4 => {
            for _ in 0..50 {
                bytes[random(length)] = u8::try_from(random(256)).unwrap();
            }
        }
        _ => {
            let (from, to) = (random(length / 4096) * 4096, random(length / 4096) * 4096);
            bytes.copy_within(from..from + 4096, to);
        }
    }
    bytes
}

#[test]
fn damaged_files_never_panic_and_are_never_lost() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original.redb");
    filled(&original, 60);
    let original = fs::read(original).unwrap();
    let (mut aside, mut refused) = (0, 0);
    // Panics inside the database are caught; 2,000 backtraces would bury everything else.
    let silence = Silence::new();
    for seed in 0..2_000 {
        let bytes = mutated(&original, seed);
        let path = dir.path().join(format!("{seed}.redb"));
        fs::write(&path, &bytes).unwrap();
        on_one_thread(async {
            let (store, _feed) = start(&path);
            match store.opened().await {
                Opening::Ready(report) => {
                    if let Some(path) = &report.set_aside {
                        aside += 1;
                        assert!(fs::read(path).unwrap() == bytes, "{seed}");
                    }
                    let reader = store.reader();
                    // Damage that only shows later has the file verified, and set aside then.
                    let _ = (reader.load(), reader.entries(Position(1), Position(u64::MAX), 1_000));
                    let _ = reader.sends(crate::store::Order::NewestFirst, None, 1_000, |_| true);
                    let _ = store.lane().record(accepted(1)).await;
                }
                Opening::Refused(_) => {
                    refused += 1;
                    assert!(fs::read(&path).unwrap() == bytes, "{seed}");
                }
                Opening::Unavailable(why) => panic!("{seed}: {why}"),
            }
            store.close().await;
        });
    }
    drop(silence);
    assert!(aside > 100 && refused < 100, "{aside} set aside, {refused} refused");
}
