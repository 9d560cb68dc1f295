//! Why something was not written, and work on the database that may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::apply::ApplyError;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Database(Box<redb::Error>),
    #[error("the database panicked")]
    Panicked,
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl From<ApplyError> for WriteError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Table(error) => error.into(),
            ApplyError::Storage(error) => error.into(),
        }
    }
}

impl WriteError {
    /// May it be the file, which is verified then before it is used again?
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Database(error) => !matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo),
        }
    }
}

/// Runs `work` so that a panic of the database is an error like another.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, WriteError>) -> Result<T, WriteError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(WriteError::Panicked))
}
