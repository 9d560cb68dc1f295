//! A file that is only written once it is known to be whole: opening (and repairing) a database writes to it, and a broken file must be
//! set aside as it was found.
//!
//! Until it is accepted, everything written is held in memory, in order; accepting writes it out, syncs included, as redb meant it.
//! Nobody else writes to the file meanwhile, so it is read ahead: after a crash redb reads all of it, page by page.

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
    ahead: Ahead,
}

/// A part of the file that was read in one piece, because it seemed to be asked for next.
#[derive(Debug, Default)]
struct Ahead {
    at: u64,
    bytes: Vec<u8>,
    /// Where the latest read ended.
    latest: u64,
}

/// So much is read ahead, in bytes: what a read costs is shared by sixteen pages.
const AHEAD: u64 = 64 * 1024;

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
        held.ahead = Ahead::default();
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
            self.read_file(file, there, offset, &mut out[..known])?;
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

    /// What the file itself holds, which ends at `there`; all of `out` lies before that.
    fn read_file(
        &mut self,
        file: &impl StorageBackend,
        there: u64,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let Ahead { at, bytes, latest } = &mut self.ahead;
        let start = offset.checked_sub(*at).and_then(|start| usize::try_from(start).ok());
        let known = start.and_then(|start| bytes.get(start..start.checked_add(out.len())?));
        // Pages that lie one behind the other are most likely followed by more of them.
        let follows = offset.checked_sub(*latest).is_some_and(|gap| gap < AHEAD);
        *latest = offset.saturating_add(wide(out.len()));
        if let Some(known) = known {
            out.copy_from_slice(known);
            return Ok(());
        }
        let length = usize::try_from(AHEAD.min(there.saturating_sub(offset))).unwrap_or(0);
        if !follows || length < out.len() {
            return file.read(offset, out);
        }
        bytes.clear();
        bytes.resize(length, 0);
        *at = offset;
        if file.read(offset, bytes).is_err() {
            // What lies further on may be damaged, and never asked for.
            bytes.clear();
            return file.read(offset, out);
        }
        out.copy_from_slice(&bytes[..out.len()]);
        Ok(())
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
    }
}
