//! The journal: what was recorded since the last transaction, in a file beside the store (SPEC 4.5).
//!
//! A transaction of redb costs many pages and their bookkeeping, however little is in it: too much for a bot to wait for. So a batch of the
//! send path is written here first, as one *frame* behind the other, with one write and one sync. The file has two *halves*: while a
//! transaction (one of the heart's, one for a reader who wants to see it all, or one because there is much, or nothing else to do) puts the
//! rows of the one into the ledger, batches go into the other. Each half begins anew, over itself, once its rows are there, so the file
//! stays small, and its blocks are on the disk already. Intents whose attempt was accepted meanwhile are left out of the ledger, which would
//! be rid of them soon after.
//!
//! Nothing is ever in doubt: rows up to the ledger's last position are there, and those after it are taken in when the file is opened,
//! frame by frame, from each half up to the first that is not whole. Frames of an earlier round have earlier positions, those of another
//! store another mark. Where the journal cannot be written, each batch is a transaction, as if there were none.

use std::collections::HashSet;
use std::io;

use redb::StorageBackend;
use sha2::{Digest, Sha256};

use super::queue::Queued;
use super::row;
use crate::domain::ledger::{AttemptId, Entry};
use crate::domain::outcome::Outcome;

/// With so many rows it is time for a transaction: so many that they share its own cost, so few that it takes some milliseconds.
const FULL_ROWS: usize = 1_024;
/// The same in bytes: where there are requests among the rows.
const FULL_BYTES: usize = 512 * 1024;
/// Most bytes a half holds; what would make it longer goes into a transaction at once.
const HALF_BYTES: usize = 1024 * 1024;

/// A frame's head: digest, position of the first row, bytes that follow.
const HEAD: usize = DIGEST + 8 + 4;
const DIGEST: usize = 16;
/// A row's length stands before it.
const LENGTH: usize = 4;

/// The journal of an open store.
pub(super) struct Journal {
    mark: u64,
    /// `None` where there can be none.
    file: Option<Box<dyn StorageBackend>>,
    /// Batches go into this one.
    half: Half,
    /// Where the file holds it.
    at: usize,
    /// The other one, where its rows are in the ledger. Not while a transaction brings them there.
    spare: Option<Half>,
    failing: bool,
}

/// Half of the journal: the rows that one transaction puts into the ledger.
#[derive(Default)]
pub(super) struct Half {
    /// Its frames, as the file holds them; the last may not be written yet.
    frames: Vec<u8>,
    /// Bytes of `frames` that are on disk.
    written: usize,
    rows: usize,
    /// Intents among them, and the attempts that have ended.
    intents: Vec<(u64, AttemptId)>,
    ended: Vec<AttemptId>,
    /// Of the attempts of those intents, which were accepted.
    accepted: HashSet<AttemptId>,
    /// An outcome among them holds a request.
    requests: bool,
}

impl Journal {
    /// A journal in `file`, for the store that has `mark`.
    pub(super) fn new(file: io::Result<Box<dyn StorageBackend>>, mark: u64) -> Self {
        let file = file.inspect_err(|error| {
            tracing::warn!(%error, "there can be no journal beside the store: each batch is a transaction, which takes longer");
        });
        Self {
            mark,
            file: file.ok(),
            half: Half::default(),
            at: 0,
            spare: Some(Half::default()),
            failing: false,
        }
    }

    /// Has nothing been recorded since the last half was taken?
    pub(super) const fn is_empty(&self) -> bool {
        self.half.is_empty()
    }

    /// Is it time for a transaction?
    pub(super) const fn is_full(&self) -> bool {
        self.half.rows >= FULL_ROWS || self.half.frames.len() >= FULL_BYTES
    }

    /// Is there room for about `bytes` more? An empty half has room for what it can hold.
    pub(super) const fn has_room(&self, bytes: usize) -> bool {
        self.half.is_empty() || self.half.frames.len() + bytes <= HALF_BYTES
    }

    /// Takes up the rows of a batch under the positions from `first` on; gives how many there are. Not on disk yet.
    pub(super) fn add(&mut self, first: u64, entries: &[Queued]) -> u64 {
        self.half.add(self.mark, first, entries)
    }

    /// Writes what was taken up, and syncs. `false` where it has to go into a transaction instead: there is too much, or the file cannot be
    /// written.
    pub(super) fn keep(&mut self) -> bool {
        let Half { frames, written, .. } = &mut self.half;
        if *written == frames.len() {
            return true;
        }
        if frames.len() > HALF_BYTES {
            return false;
        }
        let Some(file) = &self.file else { return false };
        let put = file.write((self.at + *written) as u64, &frames[*written..]);
        let kept = put.and_then(|()| file.sync_data());
        match &kept {
            Ok(()) => *written = frames.len(),
            Err(error) if !self.failing => {
                tracing::warn!(%error, "the journal beside the store cannot be written: each batch is a transaction, which takes longer");
            }
            Err(_) => {}
        }
        self.failing = kept.is_err();
        kept.is_ok()
    }

    /// Hands out the half with what was recorded; the other is written from now on. That one must have been put back.
    pub(super) fn take(&mut self) -> Half {
        let other = self.spare.take();
        let other = other.unwrap_or_else(|| unreachable!("what is not in the ledger would be written over"));
        self.at = HALF_BYTES - self.at;
        std::mem::replace(&mut self.half, other)
    }

    /// The rows of a half are in the ledger: it is written again.
    pub(super) fn put_back(&mut self, mut half: Half) {
        half.clear();
        self.spare = Some(half);
    }

    /// Leaves nothing in the file of what was in it, which would be written over only in time. All of it must be in the ledger.
    pub(super) fn erase(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.set_len(0).and_then(|()| file.sync_data())
        {
            tracing::warn!(%error, "the journal beside the store cannot be emptied; what was in it is written over in time");
        }
    }
}

impl Half {
    pub(super) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn add(&mut self, mark: u64, first: u64, entries: &[Queued]) -> u64 {
        let start = self.frames.len();
        self.frames.resize(start + HEAD, 0);
        let mut rows = 0;
        for queued in entries {
            let at = self.frames.len();
            self.frames.extend_from_slice(&[0; LENGTH]);
            if !row::entry_row(&queued.entry, &mut self.frames) {
                self.frames.truncate(at);
                continue;
            }
            let length = self.frames.len() - at - LENGTH;
            self.frames[at..at + LENGTH].copy_from_slice(&short(length).to_le_bytes());
            self.heed(first + rows, &queued.entry);
            rows += 1;
        }
        if rows == 0 {
            self.frames.truncate(start);
            return 0;
        }
        let (head, body) = self.frames[start..].split_at_mut(HEAD);
        head[DIGEST..DIGEST + 8].copy_from_slice(&first.to_le_bytes());
        head[DIGEST + 8..].copy_from_slice(&short(body.len()).to_le_bytes());
        let digest = digest(mark, &head[DIGEST..], body);
        head[..DIGEST].copy_from_slice(&digest);
        self.rows += usize::try_from(rows).unwrap_or(usize::MAX);
        rows
    }

    /// Notices what will not be needed.
    fn heed(&mut self, position: u64, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => self.intents.push((position, intent.attempt)),
            Entry::Ended(ended) => {
                self.ended.push(ended.attempt);
                self.requests |= ended.request.is_some();
                if ended.outcome == Outcome::Accepted && !self.intents.is_empty() {
                    self.accepted.insert(ended.attempt);
                }
            }
            Entry::Begun(_) => {}
        }
    }

    /// What the ledger needs of its rows, under their positions.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let needless = |intent: &&(u64, AttemptId)| self.accepted.contains(&intent.1);
        let mut needless = self.intents.iter().filter(needless).map(|(position, _)| *position).peekable();
        let rows = Frames(&self.frames).flat_map(|frame| frame.rows());
        rows.filter(move |(position, _)| needless.next_if_eq(position).is_none())
    }

    /// Its intents, under their positions.
    pub(super) fn intents(&self) -> &[(u64, AttemptId)] {
        &self.intents
    }

    /// The attempts that end in it.
    pub(super) fn ended(&self) -> &[AttemptId] {
        &self.ended
    }

    /// Are there neither intents nor requests among them?
    pub(super) fn is_plain(&self) -> bool {
        !self.requests && self.intents.iter().all(|(_, attempt)| self.accepted.contains(attempt))
    }

    fn clear(&mut self) {
        self.frames.clear();
        // One large batch must not be paid for in memory for ever.
        self.frames.shrink_to(HALF_BYTES);
        (self.written, self.rows, self.requests) = (0, 0, false);
        self.intents.clear();
        self.ended.clear();
        self.accepted.clear();
    }
}

/// The rows in `bytes`, the file of the journal with `mark`, that the ledger lacks, whose last position is `last`.
pub(super) fn rows_after(bytes: &[u8], mark: u64, last: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let (one, other) = bytes.split_at(bytes.len().min(HALF_BYTES));
    let first = |half| frames_after(half, mark, last).next().map(|frame| frame.first);
    // The half that was written first comes first.
    let halves = if first(one) <= first(other) { [one, other] } else { [other, one] };
    halves.into_iter().flat_map(move |half| frames_after(half, mark, last)).flat_map(|frame| frame.rows())
}

/// The frames of a half whose rows the ledger lacks.
fn frames_after(half: &[u8], mark: u64, last: u64) -> impl Iterator<Item = Frame<'_>> {
    let mut end = last;
    let whole = Frames(half).take_while(move |frame| frame.digest == digest(mark, frame.head, frame.body));
    let later = whole.skip_while(move |frame| frame.first <= last);
    later.take_while(move |frame| {
        let follows = frame.first > end;
        end = frame.first.saturating_add(frame.rows().count() as u64).saturating_sub(1);
        follows
    })
}

struct Frame<'a> {
    digest: &'a [u8],
    /// The head without the digest.
    head: &'a [u8],
    first: u64,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    fn rows(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        (self.first..).zip(Rows(self.body))
    }
}

/// Frames behind each other, as far as their lengths make sense.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (whole, rest) = self.0.split_at_checked(HEAD)?;
        let (digest, head) = whole.split_at(DIGEST);
        let (first, length) = head.split_first_chunk()?;
        let length = u32::from_le_bytes(*length.first_chunk()?);
        let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Frame { digest, head, first: u64::from_le_bytes(*first), body })
    }
}

/// Rows behind each other, each after its length.
struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (row, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        self.0 = rest;
        Some(row)
    }
}

fn digest(mark: u64, head: &[u8], body: &[u8]) -> [u8; DIGEST] {
    let digest =
        Sha256::new().chain_update(mark.to_le_bytes()).chain_update(head).chain_update(body).finalize();
    let mut bytes = [0; DIGEST];
    bytes.copy_from_slice(&digest[..DIGEST]);
    bytes
}

/// A batch is a few megabytes at the most.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::store::testing::{accepted, ended, failed, intent};

    const MARK: u64 = 7;

    fn batch(numbers: impl Iterator<Item = u64>) -> Vec<Queued> {
        let entry = |n| if n % 3 == 0 { intent(n, 1) } else { accepted(n) };
        numbers.map(|n| Queued { entry: entry(n), weight: 0, ticket: n, lane: None }).collect()
    }

    /// In memory a file does not grow by itself.
    fn file() -> Box<dyn StorageBackend> {
        let file = InMemoryBackend::new();
        file.set_len(4 * 1024 * 1024).unwrap();
        Box::new(file)
    }

    fn positions(bytes: &[u8], mark: u64, last: u64) -> Vec<u64> {
        rows_after(bytes, mark, last).map(|(position, _)| position).collect()
    }

    /// A file that is written over, round after round, and the last position in the ledger, before the last round, and of all. The
    /// transaction with what was recorded right before the last round may be `under_way`.
    fn lived(rounds: &[Vec<usize>], under_way: bool) -> (Vec<u8>, u64, u64, u64) {
        let mut journal = Journal::new(Ok(file()), MARK);
        let (mut file, mut next, mut ledger, mut before) = (Vec::new(), 1, 0, 0);
        for round in rounds {
            let half = journal.take();
            journal.put_back(half);
            ledger = if under_way { before } else { next - 1 };
            before = next - 1;
            for rows in round {
                let written = journal.half.written;
                let added = journal.add(next, &batch(next..next + *rows as u64));
                assert_eq!(added, *rows as u64);
                assert!(journal.keep());
                next += added;
                let (at, frames) = (journal.at, &journal.half.frames);
                file.resize(file.len().max(at + frames.len()), 0);
                file[at + written..at + frames.len()].copy_from_slice(&frames[written..]);
            }
        }
        (file, ledger, before, next - 1)
    }

    proptest! {
        #[test]
        fn rows_after_the_ledger_are_found_whatever_is_left_of_earlier_rounds(
            rounds in prop::collection::vec(prop::collection::vec(0usize..5, 0..6), 1..6),
            under_way in any::<bool>(),
        ) {
            let (file, ledger, _, last) = lived(&rounds, under_way);
            prop_assert_eq!(positions(&file, MARK, ledger), (ledger + 1..=last).collect::<Vec<_>>());
            prop_assert_eq!(positions(&file, MARK, last), Vec::<u64>::new(), "a transaction took them in, and no more was done");
            prop_assert_eq!(positions(&file, MARK + 1, ledger), Vec::<u64>::new());
        }

        #[test]
        fn what_is_torn_ends_its_half(
            rounds in prop::collection::vec(prop::collection::vec(1usize..5, 1..6), 1..5),
            under_way in any::<bool>(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
            cut in any::<bool>(),
        ) {
            let (mut file, ledger, before, last) = lived(&rounds, under_way);
            let at = at.index(file.len());
            if cut { file.truncate(at) } else { file[at] ^= 1 << bit }
            let found = positions(&file, MARK, ledger);
            let (taken, latest): (Vec<u64>, Vec<u64>) = found.iter().partition(|position| **position <= before);
            // Of each half from its first on, without a gap, and nothing that was never written.
            prop_assert!(found.is_sorted() && found.iter().all(|position| *position <= last));
            prop_assert_eq!(&taken, &(ledger + 1..).take(taken.len()).collect::<Vec<_>>());
            prop_assert_eq!(&latest, &(before + 1..).take(latest.len()).collect::<Vec<_>>());
            prop_assert!(cut || taken.len() as u64 == before - ledger || latest.len() as u64 == last - before, "one bit is in one half");
        }

        #[test]
        fn any_bytes_are_no_journal(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(positions(&bytes, MARK, 0), Vec::<u64>::new());
        }
    }

    #[test]
    fn a_full_half_ends_where_the_other_begins() {
        let mut journal = Journal::new(Ok(file()), MARK);
        let (mut bytes, mut next, mut ledger) = (vec![0; 2 * HALF_BYTES], 1, 0);
        for _ in 0..2 {
            ledger = next - 1;
            let mut fill = |journal: &mut Journal| {
                while journal.has_room(400) {
                    next += journal.add(next, &batch(next..next + 1));
                    assert!(journal.keep());
                }
                let (at, frames) = (journal.at, &journal.half.frames);
                assert!(HALF_BYTES - frames.len() < 400);
                bytes[at..at + frames.len()].copy_from_slice(frames);
            };
            fill(&mut journal);
            let half = journal.take();
            fill(&mut journal);
            journal.put_back(half);
            let half = journal.take();
            journal.put_back(half);
        }
        assert!(ledger > 1_000 && positions(&bytes, MARK, ledger) == (ledger + 1..next).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic = "written over"]
    fn a_half_is_not_written_before_its_rows_are_in_the_ledger() {
        let mut journal = Journal::new(Ok(file()), MARK);
        let _under_way = (journal.take(), journal.take());
    }

    #[test]
    fn too_much_is_left_to_a_transaction() {
        let mut journal = Journal::new(Ok(file()), MARK);
        journal.add(1, &batch(1..=1_000));
        assert!(journal.keep() && !journal.is_full());
        journal.add(1_001, &batch(1_001..=1_100));
        assert!(journal.keep() && journal.is_full());
        journal.add(1_101, &batch(1_101..=20_000));
        assert!(!journal.keep(), "longer than it may be");
        assert_eq!(
            journal.half.rows().map(|(position, _)| position).collect::<Vec<_>>(),
            (1..=20_000).collect::<Vec<_>>()
        );
        assert!(!journal.half.is_plain());
        let half = journal.take();
        journal.put_back(half);
        assert!(journal.is_empty() && journal.half.is_plain() && journal.half.rows().next().is_none());
        assert!(journal.keep(), "nothing is kept at once");
    }

    #[test]
    fn the_ledger_needs_no_intent_of_what_was_accepted_meanwhile() {
        let queued = |entry| Queued { entry, weight: 0, ticket: 0, lane: None };
        let mut journal = Journal::new(Ok(file()), MARK);
        journal.add(1, &[queued(intent(1, 1)), queued(intent(2, 1)), queued(intent(3, 1))]);
        journal.add(4, &[queued(accepted(1)), queued(failed(2, 1))]);
        let needed: Vec<_> = journal.half.rows().map(|(position, _)| position).collect();
        assert_eq!(
            needed,
            [2, 3, 4, 5],
            "what failed is sent again from its intent, and the third still runs"
        );
        assert!(!journal.half.is_plain());
        journal
            .add(6, &[queued(intent(2, 2)), queued(Entry::Ended(Box::new(ended(2, 2, Outcome::Accepted))))]);
        let needed: Vec<_> = journal.half.rows().map(|(position, _)| position).collect();
        assert_eq!(needed, [2, 3, 4, 5, 7], "each attempt has its own");
        let half = journal.take();
        journal.put_back(half);
        journal.add(8, &[queued(intent(4, 1)), queued(accepted(4))]);
        assert!(journal.half.is_plain() && journal.half.rows().count() == 1);
        let positions: Vec<_> =
            Frames(&journal.half.frames).flat_map(|frame| frame.rows()).map(|(at, _)| at).collect();
        assert_eq!(positions, [8, 9], "on disk before it left, all the same");
    }

    #[test]
    fn without_a_file_nothing_is_kept() {
        let mut journal = Journal::new(Err(io::ErrorKind::PermissionDenied.into()), MARK);
        journal.add(1, &batch(1..=2));
        assert!(!journal.keep());
        assert_eq!(journal.half.rows().count(), 2);
    }
}
