//! The file: made so that a crash while making it leaves nothing half-made, opened, checked, and set aside where it is broken.
//!
//! Never deletes a store and never writes to one that is not ours to write: locked, newer or foreign files are refused untouched.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, StorageBackend, StorageError,
    TableError,
};

use super::journal;
use super::query::{self, ReadError};
use super::table;
use super::tentative::Tentative;
use crate::domain::time::Timestamp;

/// Where the file is and how it is opened.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) cache_bytes: usize,
    #[cfg(test)]
    pub(super) wrap: Option<super::testing::Wrap>,
}

/// An open file.
pub(super) struct Opened {
    pub(super) db: Database,
    /// Where a broken predecessor was put.
    pub(super) set_aside: Option<PathBuf>,
}

/// Why a file was refused. It was not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another process has it open.
    #[error(
        "{0} is in use: another waha-watchdog has it open. Stop that one, or give this one a store.path of its own"
    )]
    Locked(PathBuf),
    /// We may not.
    #[error(
        "{0} may not be used by this user ({1}). Give it the file and its directory, or change store.path"
    )]
    Permission(PathBuf, String),
    /// It was written by a later version.
    #[error(
        "{0} was written by a later version (format {1}). Install that version again, or change store.path"
    )]
    NewerFormat(PathBuf, u64),
    /// It is something else.
    #[error("{0} is not a store of waha-watchdog: {1}. Change store.path, or move it away")]
    NotAStore(PathBuf, &'static str),
}

/// Why there is no open file.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(Refused),
    /// Worth another try.
    Unavailable(String),
}

/// Lets an opened file be written.
type Accept = Box<dyn FnOnce() -> io::Result<()>>;

/// Reads what a file must hold.
pub(super) type Look<'a> = &'a mut dyn FnMut(&Database) -> Result<(), ReadError>;

/// What is wrong with a file, before it is known what to do about it.
enum Wrong {
    Failure(Failure),
    Broken(String),
}

impl Place {
    /// Opens the file, making it where there is none. `suspect` has all of it verified first; `look` reads what it must hold, before
    /// anything is written to it. `now` names what is set aside.
    pub(super) fn open(&self, now: Timestamp, suspect: bool, look: Look<'_>) -> Result<Opened, Failure> {
        let directory = self.make_directory()?;
        let mark = mark_at(now);
        let mut set_aside = None;
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(&directory, mark)?,
            Err(error) => return Err(self.failure(&error)),
            Ok(metadata) if !metadata.is_file() => {
                let refused = Refused::NotAStore(self.path.clone(), "it is no regular file");
                return Err(Failure::Refused(refused));
            }
            Ok(_) => {}
        }
        let db = match self.try_open(suspect, mark, look) {
            Ok(db) => db,
            Err(Wrong::Failure(failure)) => return Err(failure),
            Err(Wrong::Broken(why)) => {
                let broken = self.set_aside(&directory, now)?;
                tracing::error!(path = %broken.display(), "the store was broken and is set aside, a new one is made: {why}");
                set_aside = Some(broken);
                self.create(&directory, mark)?;
                self.try_open(false, mark, look).map_err(|wrong| match wrong {
                    Wrong::Failure(failure) => failure,
                    Wrong::Broken(why) => Failure::Unavailable(format!("the new store is broken too: {why}")),
                })?
            }
        };
        Ok(Opened { db, set_aside })
    }

    fn make_directory(&self) -> Result<PathBuf, Failure> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_path_buf();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Failure::Refused(Refused::NotAStore(self.path.clone(), "its directory is a file"))
            }
            _ => self.failure(&error),
        })?;
        Ok(directory)
    }

    /// Makes the file under another name first: only a whole one ever has the right name.
    fn create(&self, directory: &Path, mark: u64) -> Result<(), Failure> {
        let failure = |error: io::Error| self.failure(&error);
        let lock = File::open(directory).map_err(failure)?;
        match lock.try_lock() {
            // A file system that cannot lock directories has no second starter to guard against either.
            Ok(()) | Err(fs::TryLockError::Error(_)) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failure::Unavailable("another process is making the store".to_owned()));
            }
        }
        if self.path.exists() {
            return Ok(());
        }
        let draft = self.sibling("new");
        match fs::remove_file(&draft) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(self.failure(&error)),
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft);
        let made = self.caught(|| {
            let db = self.make(file?)?;
            make_tables(&db, mark)?;
            db.close().map_err(Trouble::from)
        });
        let made = made.and_then(|()| {
            let sync = || -> io::Result<()> {
                File::open(&draft)?.sync_all()?;
                fs::rename(&draft, &self.path)?;
                File::open(directory)?.sync_all()
            };
            sync().map_err(|error| Wrong::Failure(self.failure(&error)))
        });
        made.map_err(|wrong| {
            // Leaves no rubbish behind where it can be helped; the next start removes it otherwise.
            let _rubbish = fs::remove_file(&draft);
            match wrong {
                Wrong::Failure(failure) => failure,
                Wrong::Broken(why) => Failure::Unavailable(format!("no store could be made: {why}")),
            }
        })
    }

    fn try_open(&self, suspect: bool, mark: u64, look: Look<'_>) -> Result<Database, Wrong> {
        // Looked at without writing first, so that a newer file stays as it is.
        match self.caught(|| {
            let file = File::open(&self.path)?;
            if file.metadata()?.len() == 0 {
                return Err(Trouble::Broken("it is empty".to_owned()));
            }
            let db = self.builder().open_read_only_with_backend(FileBackend::new(file)?)?;
            let version = version(&db)?;
            db.close()?;
            Ok(version)
        }) {
            Ok(version) => self.check(version)?,
            Err(Wrong::Broken(why)) if why == NEEDS_REPAIR => {}
            Err(wrong) => return Err(wrong),
        }
        let (db, version, accept) = self.caught(|| {
            let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            let (db, accept) = self.tentative(file, suspect)?;
            let version = version(&db)?;
            Ok((db, version, accept))
        })?;
        let checked = self.check(version).and_then(|()| {
            self.caught(|| {
                make_tables(&db, mark)?;
                self.take_in(&db)?;
                look(&db)?;
                Ok(accept()?)
            })
        });
        match checked {
            Ok(()) => Ok(db),
            Err(wrong) => {
                // Closing a broken database may panic too.
                let _closed = self.caught(|| Ok(db.close()?));
                Err(wrong)
            }
        }
    }

    fn check(&self, version: Option<u64>) -> Result<(), Wrong> {
        let refused = match version {
            Some(table::FORMAT) => return Ok(()),
            Some(version) if version > table::FORMAT => Refused::NewerFormat(self.path.clone(), version),
            Some(_) => return Err(Wrong::Broken("it names no known format".to_owned())),
            None => Refused::NotAStore(self.path.clone(), "it is a database of something else"),
        };
        Err(Wrong::Failure(Failure::Refused(refused)))
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        builder
    }

    /// Makes the database in an empty file.
    fn make(&self, file: File) -> Result<Database, Trouble> {
        let backend = FileBackend::new(file)?;
        #[cfg(test)]
        if let Some(wrap) = &self.wrap {
            return Ok(self.builder().create_with_backend(wrap(backend, super::testing::Part::Store))?);
        }
        Ok(self.builder().create_with_backend(backend)?)
    }

    /// Opens the database without writing to its file until the returned function is called.
    fn tentative(&self, file: File, suspect: bool) -> Result<(Database, Accept), Trouble> {
        fn open<B: redb::StorageBackend>(builder: &Builder, file: B) -> Result<(Database, Accept), Trouble> {
            let file = Tentative::new(file);
            let db = builder.create_with_backend(file.clone())?;
            Ok((db, Box::new(move || file.accept())))
        }
        let mut builder = self.builder();
        builder.set_check_integrity_on_open(suspect);
        let backend = FileBackend::new(file)?;
        #[cfg(test)]
        if let Some(wrap) = &self.wrap {
            return open(&builder, wrap(backend, super::testing::Part::Store));
        }
        open(&builder, backend)
    }

    /// Moves a broken file out of the way, under a name nothing has.
    fn set_aside(&self, directory: &Path, now: Timestamp) -> Result<PathBuf, Failure> {
        let stamp = chrono::DateTime::from_timestamp_millis(now.millis()).unwrap_or_default();
        let stamp = stamp.format("broken-%Y%m%dT%H%M%SZ").to_string();
        let names = (0u32..).map(|n| if n == 0 { stamp.clone() } else { format!("{stamp}-{n}") });
        let name = names.map(|name| self.sibling(&name)).find(|name| name.symlink_metadata().is_err());
        let name = name.unwrap_or_else(|| self.sibling(&stamp));
        let journal = self.journal_path();
        fs::rename(&self.path, &name).map_err(|error| self.failure(&error))?;
        // Nobody takes it for the next store's: that has another mark.
        match fs::rename(journal, journal_beside(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "the journal of the broken store stays where it was");
            }
            _ => {}
        }
        let _best_effort = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(name)
    }

    fn sibling(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }

    /// Beside the file itself, where the path is a link.
    fn journal_path(&self) -> PathBuf {
        journal_beside(&fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()))
    }

    /// The file of the journal, made where there is none. For whoever has the store open, who has its journal alone too.
    pub(super) fn journal(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let path = self.journal_path();
        let file = FileBackend::new(file.open(&path)?).map_err(io::Error::other)?;
        // Its name must survive as what is in it does.
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        #[cfg(test)]
        if let Some(wrap) = &self.wrap {
            return Ok(Box::new(wrap(file, super::testing::Part::Journal)));
        }
        Ok(Box::new(file))
    }

    /// All that was in the journal is in the ledger.
    pub(super) fn remove_journal(&self) {
        match fs::remove_file(self.journal_path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "the journal beside the store is left over; nothing is in it that the store lacks");
            }
            _ => {}
        }
    }

    /// Puts into the ledger what it lacks of the journal: what was recorded right before a crash.
    fn take_in(&self, db: &Database) -> Result<(), Trouble> {
        let Some(journal) = self.read_journal()? else { return Ok(()) };
        let (mark, last) = ends(&db.begin_read()?)?;
        let mut rows = journal::rows_after(&journal, mark, last).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let transaction = db.begin_write()?;
        let mut ledger = transaction.open_table(table::LEDGER)?;
        let mut count = 0;
        for (position, row) in rows {
            ledger.insert(position, row)?;
            count += 1;
        }
        drop(ledger);
        transaction.commit()?;
        tracing::info!(
            rows = count,
            "what was recorded right before the end of the last process is taken in"
        );
        Ok(())
    }

    fn read_journal(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.journal_path();
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("its journal {}: {error}", path.display())))
            }
        }
    }

    /// Does the journal hold what the ledger lacks?
    fn waits(&self, db: &ReadOnlyDatabase) -> Result<bool, Trouble> {
        let Some(journal) = self.read_journal()? else { return Ok(false) };
        let (mark, last) = ends(&db.begin_read()?)?;
        Ok(journal::rows_after(&journal, mark, last).next().is_some())
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
                Failure::Refused(Refused::Permission(self.path.clone(), error.to_string()))
            }
            _ => Failure::Unavailable(format!("{}: {error}", self.path.display())),
        }
    }

    /// Runs `work` on a file that may be anything: a panic in there means that it is broken.
    fn caught<T>(&self, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Wrong> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Trouble::Broken(why))) => Err(Wrong::Broken(why)),
            Ok(Err(Trouble::Locked)) => {
                Err(Wrong::Failure(Failure::Refused(Refused::Locked(self.path.clone()))))
            }
            Ok(Err(Trouble::Io(error))) => Err(Wrong::Failure(self.failure(&error))),
            Ok(Err(Trouble::Other(why))) => Err(Wrong::Failure(Failure::Unavailable(why))),
            Err(_) => Err(Wrong::Broken("reading it made the database panic".to_owned())),
        }
    }
}

/// A file for reading while no process has it open.
pub(super) enum ReadOnly {
    Clean(ReadOnlyDatabase),
    /// It was not closed, so opening it had to repair it.
    Repaired(Database),
}

impl Place {
    /// Opens the file for reading only. Nothing is made or set aside; only what a crash left open is closed.
    pub(super) fn open_read_only(&self) -> Result<ReadOnly, String> {
        let say = |wrong| match wrong {
            Wrong::Failure(Failure::Refused(refused)) => refused.to_string(),
            Wrong::Failure(Failure::Unavailable(why)) => why,
            Wrong::Broken(why) => format!("{} is broken: {why}", self.path.display()),
        };
        let clean = self.caught(|| {
            let file = File::open(&self.path)?;
            let db = self.builder().open_read_only_with_backend(FileBackend::new(file)?)?;
            let version = version(&db)?;
            let waits = version == Some(table::FORMAT) && self.waits(&db)?;
            Ok((db, version, waits))
        });
        let repaired = || self.try_open(false, NO_MARK, &mut |_| Ok(())).map(ReadOnly::Repaired).map_err(say);
        match clean {
            // Its process ended without room for the last transaction, say.
            Ok((db, _, true)) => {
                drop(db);
                repaired()
            }
            Ok((db, version, false)) => {
                self.check(version).map_err(say)?;
                Ok(ReadOnly::Clean(db))
            }
            Err(Wrong::Broken(why)) if why == NEEDS_REPAIR => repaired(),
            Err(wrong) => Err(say(wrong)),
        }
    }
}

const NEEDS_REPAIR: &str = "it was not closed";

/// What can be wrong, in the few kinds that matter.
enum Trouble {
    Locked,
    Io(io::Error),
    Broken(String),
    Other(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => {
                Self::Broken(error.to_string())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(why) => Self::Broken(why),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Corrupted(why) => Self::Broken(why),
            StorageError::Io(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            DatabaseError::RepairAborted => Self::Broken(NEEDS_REPAIR.to_owned()),
            DatabaseError::UpgradeRequired(_) => Self::Broken("it has no known file format".to_owned()),
            DatabaseError::Storage(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<TableError> for Trouble {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<redb::TransactionError> for Trouble {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<redb::CommitError> for Trouble {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

/// The format a file names; `None` where it is no file of ours.
fn version(db: &impl ReadableDatabase) -> Result<Option<u64>, Trouble> {
    let meta = match db.begin_read()?.open_table(table::META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    Ok(redb::ReadableTable::get(&meta, table::VERSION)?.map(|version| version.value()))
}

/// The mark of the journal, and the last position that was ever in the ledger: what is pruned was applied before.
fn ends(transaction: &redb::ReadTransaction) -> Result<(u64, u64), Trouble> {
    let last = query::last(&transaction.open_table(table::LEDGER)?)?.0;
    let applied = query::meta(transaction, table::APPLIED)?;
    Ok((query::meta(transaction, table::JOURNAL)?, last.max(applied)))
}

/// A store made at another moment has another journal.
fn mark_at(now: Timestamp) -> u64 {
    now.millis().unsigned_abs().max(1)
}

/// For who makes nothing.
const NO_MARK: u64 = 0;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Where the journal of a store is.
fn journal_beside(store: &Path) -> PathBuf {
    beside(store, "journal")
}

/// Makes the tables that are not there yet, and `mark` where the store has none; writes nothing where all is there.
fn make_tables(db: &Database, mark: u64) -> Result<(), Trouble> {
    let there = db.begin_read()?;
    let opened = (|| {
        table::open_all!(there);
        let marked = redb::ReadableTable::get(&there.open_table(table::META)?, table::JOURNAL)?.is_some();
        Ok(marked || mark == NO_MARK)
    })();
    match opened {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let transaction = db.begin_write()?;
    table::open_all!(transaction);
    {
        let mut meta = transaction.open_table(table::META)?;
        if redb::ReadableTable::get(&meta, table::VERSION)?.is_none() {
            meta.insert(table::VERSION, table::FORMAT)?;
        }
        if mark != NO_MARK && redb::ReadableTable::get(&meta, table::JOURNAL)?.is_none() {
            meta.insert(table::JOURNAL, mark)?;
        }
    }
    transaction.commit()?;
    Ok(())
}
