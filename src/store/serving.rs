//! What an open file is served with: the journal, the thread of the ledger, and who waits for its transactions.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::journal::Journal;
use super::ledger::{Job, LedgerThread};
use super::queue::Commit;
use crate::clock::instant;

/// How long nothing comes before what is in the journal goes into the ledger.
const REST: Duration = Duration::from_millis(100);
/// The end of a transaction wakes the writer, which looks by itself so often, in case the thread has gone.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Serving {
    pub(super) journal: Journal,
    pub(super) ledger: LedgerThread,
    /// What the heart commits with the next transaction.
    pub(super) commits: Vec<Commit>,
    /// Who wants to read everything that is recorded: once the next transaction has ended,
    readers: Vec<SyncSender<()>>,
    /// and once the one that is under way has.
    waited_for: Vec<SyncSender<()>>,
    /// Who wants to know that writer and ledger live.
    pulses: Vec<oneshot::Sender<()>>,
    /// When something was last recorded.
    pub(super) recorded: Instant,
}

impl Serving {
    pub(super) fn new(journal: Journal, ledger: LedgerThread) -> Self {
        Self {
            journal,
            ledger,
            commits: Vec::new(),
            readers: Vec::new(),
            waited_for: Vec::new(),
            pulses: Vec::new(),
            recorded: instant(),
        }
    }

    /// How long the queue may be waited for before there is something to do here.
    pub(super) fn patience(&self) -> Duration {
        if self.ledger.is_busy() {
            return LOOK;
        }
        let prune = self.ledger.prune_at().saturating_duration_since(instant());
        if self.journal.is_empty() {
            prune
        } else {
            prune.min(REST.saturating_sub(instant() - self.recorded))
        }
    }

    /// Is it time for a transaction?
    pub(super) fn is_transaction_due(&self) -> bool {
        let wanted = !self.readers.is_empty() || instant() - self.recorded >= REST;
        !self.commits.is_empty() || self.journal.is_full() || wanted && !self.journal.is_empty()
    }

    /// Begins a transaction with what is in the journal and what the heart commits. Nothing may be under way. `records`: entries wait for it;
    /// `next` is the next position then.
    pub(super) fn begin_transaction(&mut self, records: bool, next: u64) {
        self.waited_for.append(&mut self.readers);
        let commits = std::mem::take(&mut self.commits);
        self.ledger.write(Job { half: self.journal.take(), commits, records, next });
    }

    /// Takes up who wants to know something. Whoever has stopped waiting for a pulse does not wait here either.
    pub(super) fn take_up(&mut self, pulses: Vec<oneshot::Sender<()>>, readers: Vec<SyncSender<()>>) {
        self.pulses.retain(|pulse| !pulse.is_closed());
        self.pulses.extend(pulses);
        self.readers.extend(readers);
    }

    /// The transaction that was under way has ended well.
    pub(super) fn tell_readers(&mut self) {
        tell(&mut self.waited_for);
    }

    /// Nothing is under way: whoever wants to know that writer and ledger live is told so, and who wants to read, where all that is recorded
    /// is in the ledger.
    pub(super) fn tell_at_rest(&mut self) {
        for pulse in self.pulses.drain(..) {
            // Whoever asked may have stopped waiting.
            let _gone = pulse.send(());
        }
        if self.journal.is_empty() {
            tell(&mut self.readers);
        }
    }
}

fn tell(readers: &mut Vec<SyncSender<()>>) {
    for reader in readers.drain(..) {
        let _gone = reader.send(());
    }
}
