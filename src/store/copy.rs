//! A copy of the whole file, as it is at one moment, while it goes on being written (SPEC 13, `backup`).

use std::fs::File;

use redb::backends::FileBackend;
use redb::{
    Builder, Key, ReadTransaction, ReadableTable, TableDefinition, TableError, Value, WriteTransaction,
};

use super::query::{ReadError, Reader};

/// Pages kept in memory for the copy.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

impl Reader {
    /// Copies everything into an empty file, and leaves that closed. Blocks for as long as it takes: not for the threads of a runtime.
    ///
    /// # Errors
    /// Where the store cannot be read, or the file not written.
    pub fn copy_to(&self, file: File) -> Result<(), ReadError> {
        self.complete(|_, from| {
            let copied = || -> Result<(), redb::Error> {
                let mut builder = Builder::new();
                builder.set_cache_size(CACHE_BYTES);
                let db = builder.create_with_backend(FileBackend::new(file)?)?;
                let to = db.begin_write()?;
                copy_all(from, &to)?;
                to.commit()?;
                Ok(db.close()?)
            };
            // What goes wrong here is the copy's trouble, not the store's.
            copied().map_err(|error| ReadError::Unavailable(format!("it cannot be copied: {error}")))
        })
    }
}

pub(super) fn copy_all(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), redb::Error> {
    macro_rules! copy_each {
        ($($table:ident)+) => { $(copy(from, to, super::table::$table)?;)+ };
    }
    super::table::all_tables!(copy_each);
    Ok(())
}

fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), redb::Error> {
    let rows = match from.open_table(table) {
        Ok(rows) => rows,
        // It came later than the file was last written.
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut copy = to.open_table(table)?;
    for row in rows.iter()? {
        let (key, value) = row?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}
