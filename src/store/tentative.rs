//! A file that is only written once it is known to be whole: opening (and repairing) a database writes to it, and a broken file must be
//! set aside as it was found.
//!
//! Until it is accepted, everything written is held in memory, in order; accepting writes it out, syncs included, as redb meant it.
//! Nobody else writes to the file meanwhile, so it is read in larger blocks: after a crash redb reads all of it twice, page by page, in
//! several places by turns.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{BackendError, StorageBackend};

/// See the module.
#[derive(Debug)]
pub(super) struct Tentative<B>(Arc<Inner<B>>);

impl<B> Clone for Tentative<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<B> {
    file: B,
    accepted: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    operations: Vec<Operation>,
    length: Option<u64>,
    /// The file's own length, once it was asked for.
    there: Option<u64>,
    blocks: Blocks,
}

/// The parts of the file that were read lately.
#[derive(Debug, Default)]
struct Blocks {
    kept: Vec<Block>,
    /// Rises with every read.
    turn: u64,
}

/// An aligned part of the file. Whoever reads in it once may be looking something up, who comes again is most likely reading it all.
#[derive(Debug)]
struct Block {
    number: u64,
    /// Not before the second time.
    is_read: bool,
    /// Once it is read, what the file holds; nothing where it cannot be read as a whole.
    bytes: Vec<u8>,
    /// The turn of the latest read.
    latest: u64,
}

/// Bytes of a block: what a read costs is shared by eight pages.
const BLOCK: u64 = 32 * 1024;

/// Blocks that are kept: redb goes through its trees in the order of their keys, whose pages were written here and there.
const KEPT: usize = 64;

#[derive(Debug)]
enum Operation {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl<B: StorageBackend> Tentative<B> {
    pub(super) fn new(file: B) -> Self {
        Self(Arc::new(Inner { file, accepted: AtomicBool::new(false), held: Mutex::default() }))
    }

    /// The file is whole: writes what was held, and holds nothing any more.
    pub(super) fn accept(&self) -> io::Result<()> {
        let mut held = self.held();
        for operation in std::mem::take(&mut held.operations) {
            match operation {
                Operation::Length(length) => self.0.file.set_len(length)?,
                Operation::Write(offset, bytes) => self.0.file.write(offset, &bytes)?,
                Operation::Sync => self.0.file.sync_data()?,
            }
        }
        held.blocks = Blocks::default();
        self.0.accepted.store(true, Ordering::Release);
        Ok(())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held; `None` once the file is accepted.
    fn holding(&self) -> Option<std::sync::MutexGuard<'_, Held>> {
        let accepted = || self.0.accepted.load(Ordering::Acquire);
        (!accepted()).then(|| self.held()).filter(|_| !accepted())
    }
}

impl<B: StorageBackend> StorageBackend for Tentative<B> {
    fn len(&self) -> io::Result<u64> {
        match self.holding().and_then(|held| held.length) {
            Some(length) => Ok(length),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.holding() {
            Some(mut held) => held.read(&self.0.file, offset, out),
            None => self.0.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let Some(mut held) = self.holding() else { return self.0.file.set_len(len) };
        held.length = Some(len);
        held.operations.push(Operation::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(mut held) = self.holding() else { return self.0.file.sync_data() };
        held.operations.push(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(mut held) = self.holding() else { return self.0.file.write(offset, data) };
        held.operations.push(Operation::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

impl Held {
    /// What the file would hold, had everything been written.
    fn read(&mut self, file: &impl StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = match self.there {
            Some(there) => there,
            None => *self.there.insert(file.len()?),
        };
        let end = offset.saturating_add(wide(out.len()));
        if end > self.length.unwrap_or(there) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let known = usize::try_from(there.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        out[known..].fill(0);
        if known > 0 {
            self.blocks.read(file, there, offset, &mut out[..known])?;
        }
        for operation in &self.operations {
            match operation {
                Operation::Sync => {}
                // What is cut off and grown again is zero.
                Operation::Length(length) => {
                    let from = length.saturating_sub(offset).min(wide(out.len()));
                    out[usize::try_from(from).unwrap_or(0)..].fill(0);
                }
                Operation::Write(at, bytes) => {
                    let (from, to) = (offset.max(*at), end.min(at.saturating_add(wide(bytes.len()))));
                    if from < to {
                        let part = |base: u64| {
                            let start = usize::try_from(from - base).unwrap_or(usize::MAX);
                            start..start.saturating_add(usize::try_from(to - from).unwrap_or(usize::MAX))
                        };
                        out[part(offset)].copy_from_slice(&bytes[part(*at)]);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Blocks {
    /// What the file itself holds, which ends at `there`; all of `out` lies before that.
    fn read(
        &mut self,
        file: &impl StorageBackend,
        there: u64,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        self.turn += 1;
        let (number, from) = (offset / BLOCK, offset % BLOCK);
        if from + wide(out.len()) > BLOCK {
            return file.read(offset, out);
        }
        let Some(block) = self.kept.iter_mut().find(|block| block.number == number) else {
            self.touch(number);
            return file.read(offset, out);
        };
        block.latest = self.turn;
        if !block.is_read {
            let start = number * BLOCK;
            block.bytes.resize(usize::try_from(BLOCK.min(there - start)).unwrap_or(0), 0);
            block.is_read = true;
            if file.read(start, &mut block.bytes).is_err() {
                // What lies beside it may be damaged, and never asked for.
                block.bytes.clear();
            }
        }
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        match block.bytes.get(from..from.saturating_add(out.len())) {
            Some(known) => out.copy_from_slice(known),
            None => file.read(offset, out)?,
        }
        Ok(())
    }

    /// Remembers that a block was read in, instead of the one that nobody has come to for longest.
    fn touch(&mut self, number: u64) {
        let fresh = Block { number, is_read: false, bytes: Vec::new(), latest: self.turn };
        if self.kept.len() < KEPT {
            self.kept.push(fresh);
        } else if let Some(oldest) = self.kept.iter_mut().min_by_key(|block| block.latest) {
            // Its memory serves again as it is: making it zero costs as much as reading into it.
            let bytes = std::mem::take(&mut oldest.bytes);
            *oldest = Block { bytes, ..fresh };
        }
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    use super::*;

    proptest! {
        /// Held or written, a reader sees the same; accepted, the file holds it; not accepted, the file is as it was.
        #[test]
        fn holding_is_writing(
            operations in proptest::collection::vec((0u64..60, 0usize..20, any::<u8>(), 0u8..8), 1..20), at in 0u64..60, length in 0usize..40,
        ) {
            let (plain, file) = (InMemoryBackend::new(), InMemoryBackend::new());
            for backend in [&plain, &file] {
                backend.set_len(40).unwrap();
                backend.write(0, &[1; 40]).unwrap();
            }
            let tentative = Tentative::new(file);
            for (offset, length, byte, kind) in operations {
                let both: [&dyn StorageBackend; 2] = [&plain, &tentative];
                for backend in both {
                    let end = offset + length as u64;
                    match kind {
                        0 => backend.set_len(offset).unwrap(),
                        1 => backend.sync_data().unwrap(),
                        _ => {
                            if backend.len().unwrap() < end {
                                backend.set_len(end).unwrap();
                            }
                            backend.write(offset, &vec![byte; length]).unwrap();
                        }
                    }
                }
            }
            prop_assert_eq!(plain.len().unwrap(), tentative.len().unwrap());
            for accept in [false, true] {
                if accept {
                    tentative.accept().unwrap();
                } else {
                    let mut untouched = [0; 40];
                    tentative.0.file.read(0, &mut untouched).unwrap();
                    prop_assert_eq!(untouched, [1; 40]);
                }
                if at + length as u64 <= plain.len().unwrap() {
                    let (mut expected, mut found) = (vec![0; length], vec![9; length]);
                    plain.read(at, &mut expected).unwrap();
                    tentative.read(at, &mut found).unwrap();
                    prop_assert_eq!(expected, found);
                }
            }
        }

        /// Read in blocks or not, a reader sees what is there.
        #[test]
        fn blocks_are_the_file(
            length in 1usize..400_000, reads in proptest::collection::vec((0usize..400_000, 0usize..9_000, any::<bool>()), 1..300),
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at * 31 / 7 % 251).unwrap()).collect();
            let file = InMemoryBackend::new();
            file.set_len(length as u64).unwrap();
            file.write(0, &bytes).unwrap();
            let tentative = Tentative::new(file);
            for (at, length, near) in reads {
                // Many come back to where others were.
                let at = if near { at % 20_000 } else { at };
                let mut found = vec![9; length];
                match bytes.get(at..at + length) {
                    Some(expected) => {
                        tentative.read(at as u64, &mut found).unwrap();
                        prop_assert_eq!(expected, found);
                    }
                    None => prop_assert!(tentative.read(at as u64, &mut found).is_err()),
                }
            }
        }
    }
}
