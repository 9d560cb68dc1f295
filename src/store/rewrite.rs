//! The file anew: all rows in a fresh file that takes the old one's place, so that nothing is left of what was taken out of them (SPEC 13, `forget`).
//!
//! A database gives freed pages to whoever needs one next, and until then they hold what they held. This is done where nobody waits: before the
//! file is opened, between two commits where the file is small, or by a command that has the store alone.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, ReadTransaction, ReadableDatabase};

use super::copy::copy_all;
use super::file::Place;
use super::query::{ReadError, Reader, meta};
use super::table;

/// Pages kept in memory for it.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// A file up to this size is written anew while it is in use: that takes no longer than a slow commit.
pub(super) const AT_ONCE_BYTES: u64 = 8 * 1024 * 1024;

impl Place {
    /// Writes the file anew where it says that it wants to be. Whatever keeps that from being done is no reason not to use it.
    pub(super) fn rewrite_where_wanted(&self) {
        let wanted = || -> Result<bool, redb::Error> {
            // Opening a pipe would wait for somebody to write into it.
            if !fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file()) {
                return Ok(false);
            }
            let Ok(file) = File::open(&self.path) else { return Ok(false) };
            let db = Builder::new().open_read_only_with_backend(FileBackend::new(file)?)?;
            let from = db.begin_read()?;
            let wanted = meta(&from, table::REWRITE).is_ok_and(|wanted| wanted != 0);
            if wanted {
                self.replace(&from)?;
            }
            Ok(wanted)
        };
        match catch_unwind(AssertUnwindSafe(wanted)) {
            Ok(Ok(true)) => {
                tracing::info!(path = %self.path.display(), "the store's file was written anew, without what was taken out of it");
            }
            Ok(Ok(false)) => {}
            // One that another process has, or that was not closed, or that is broken: opening it says so.
            Ok(Err(redb::Error::Io(error))) => {
                tracing::warn!(%error, "the store's file cannot be written anew; free pages may still hold what was taken out of it. It is tried again at the next start");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// The same for a store that is open, and stays so until its process lets go of the old file.
    pub(super) fn rewrite_of(&self, reader: &Reader) -> Result<(), ReadError> {
        reader.complete(|_, from| {
            let failed =
                |error: redb::Error| ReadError::Unavailable(format!("it cannot be written anew: {error}"));
            self.replace(from).map_err(failed)
        })
    }

    fn replace(&self, from: &ReadTransaction) -> Result<(), redb::Error> {
        // Where the path is a link, what it leads to is replaced.
        let path = fs::canonicalize(&self.path)?;
        let draft = {
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(".anew");
            path.with_file_name(name)
        };
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let made = self.write_draft(from, &draft).and_then(|()| {
            fs::rename(&draft, &path)?;
            let folder = path.parent().unwrap_or(Path::new("/"));
            Ok(File::open(folder)?.sync_all()?)
        });
        if made.is_err() {
            let _gone = fs::remove_file(&draft);
        }
        made
    }

    fn write_draft(&self, from: &ReadTransaction, draft: &Path) -> Result<(), redb::Error> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(draft)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let db = builder.create_with_backend(FileBackend::new(file)?)?;
        let to = db.begin_write()?;
        copy_all(from, &to)?;
        to.open_table(table::META)?.remove(table::REWRITE)?;
        to.commit()?;
        db.close()?;
        Ok(File::open(draft)?.sync_all()?)
    }
}
