//! `config init`: writes the documented defaults where a person can change them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::DEFAULTS;

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is a file already, and it may hold somebody's work.
    #[error("{0} exists already; --force overwrites it, --path takes another place, --path - prints it")]
    Exists(PathBuf),
    /// The system refused.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the file; an existing one only if `force` says so.
pub(super) fn write(path: &Path, force: bool) -> Result<(), InitError> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(DEFAULTS.as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
        _ => InitError::Write { path: path.to_owned(), source },
    })
}
