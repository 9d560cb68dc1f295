//! The store from outside: what was recorded is there, in order, whatever happens.

mod files;
mod golden;
mod golden_records;
mod journal;
mod pruning;
mod pruning_records;
mod reading;
mod recording;
mod records;
mod trouble;
mod under_way;

use std::time::Duration;

use super::{Reader, Store, StoreState};
use crate::domain::ledger::{Entry, Position};

/// Waits until sends are recorded again.
async fn settled(store: &Store) {
    for _ in 0..400 {
        if store.state() == StoreState::Recording {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {:?}", store.health());
}

/// The number a test entry was made with.
fn number(entry: &Entry) -> u64 {
    let send = match entry {
        Entry::Intent(intent) => intent.attempt.send,
        Entry::Begun(attempt) => attempt.send,
        Entry::Ended(ended) => ended.attempt.send,
    };
    u64::from_be_bytes(send.as_bytes()[8..].try_into().unwrap())
}

fn ledger(reader: &Reader) -> Vec<u64> {
    let entries = reader.entries(Position(1), Position(u64::MAX), usize::MAX).unwrap();
    entries.iter().map(|(_, entry)| number(entry)).collect()
}

/// Keeps panics that are caught from printing.
struct Silence;

impl Silence {
    fn new() -> Self {
        std::panic::set_hook(Box::new(|panic| {
            // The database's own panics are caught where they matter.
            if panic.location().is_none_or(|place| !place.file().contains("redb")) {
                let _unheard = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{panic}\n"));
            }
        }));
        Self
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _default = std::panic::take_hook();
        }
    }
}
