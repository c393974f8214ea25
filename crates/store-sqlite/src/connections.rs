//! One connection that writes and a few that read, each on a thread of its own, lent to closures.
//!
//! The writer is lent in the order of asking, so that a purge that asks for it batch after batch never starves anybody.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lethe_store::StoreError;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};

use crate::{
    clean_writes::clean_pages,
    error::{Error, Result},
    long_statements,
    page::{PAGE_BYTES, PAGES_MAX},
    readers::Readers,
    searches, stored_seqs,
    writer::Writer,
};

/// Readers that may work at the same time.
const READERS_MAX: usize = 4;
/// How long a statement waits for another process that writes, in milliseconds.
pub(crate) const BUSY_WAIT_MS: u64 = 10_000;
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 40 << 10;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 12 << 10;
/// Pages of the write-ahead log at which a commit copies what the checkpointer has not yet copied: 256 MiB.
const LOG_PAGES_MAX: i64 = 32 << 10;
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 128;

/// The connections to one database file.
pub(crate) struct Connections {
    writer: Writer,
    readers: Readers,
    path: PathBuf,
}

/// When a commit is safe from a power cut. A killed process loses nothing either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it is acknowledged: for everything that a client is told.
    OnDisk,
    /// With the next commit that is `OnDisk`, and in order: for the steps of a worker, which are found undone and done again, and the batches
    /// of an import, whose end is `OnDisk`.
    InOrder,
}

impl Durability {
    /// The words of SQLite's pragma.
    fn synchronous(self) -> &'static str {
        match self {
            Self::OnDisk => "full",
            Self::InOrder => "normal",
        }
    }
}

impl Connections {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let writer = open_writer(path)?;
        let readers = (0..READERS_MAX).map(|_| open_reader(path)).collect::<rusqlite::Result<_>>()?;
        Ok(Self { writer: Writer::start(writer), readers: Readers::start(readers), path: path.to_owned() })
    }

    /// A connection of its own, for somebody who needs one view for longer and tables to reckon in. These lie in a file, so that their size
    /// is no matter; it has no name, and goes with the connection.
    pub(crate) fn open_to_look(&self) -> rusqlite::Result<Connection> {
        let mut connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        configure(&mut connection, READER_CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "file")?;
        Ok(connection)
    }

    /// The writer itself, outside a transaction: for checkpoints and vacuum.
    pub(crate) async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        Ok(self.writer.alone(move |writer| work(writer)).await??)
    }

    /// Runs `work` in one write transaction; what it returns as an error is rolled back.
    pub(crate) async fn write<T: Send + 'static, E>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        E: From<StoreError> + From<Error> + Send + 'static,
    {
        if durability == Durability::OnDisk {
            return self.writer.write(work).await;
        }
        let done = self.writer.alone(move |writer| {
            writer.pragma_update(None, "synchronous", durability.synchronous()).map_err(Error::from)?;
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::from)?;
            let done = work(&transaction)?;
            transaction.commit().map_err(Error::from)?;
            Ok(done)
        });
        done.await?
    }

    /// Runs `work` in one read transaction: a consistent view that blocks nobody.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let done = self.readers.run(move |reader| {
            let transaction = reader.transaction()?;
            work(&transaction)
        });
        Ok(done.await??)
    }
}

/// A connection that may write. Creates the file if there is none.
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    configure(&mut connection, WRITER_CACHE_KIB)?;
    // Order matters: page size and auto_vacuum take effect only before the first table exists.
    connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", Durability::OnDisk.synchronous())?;
    // The checkpointer copies the log while others write; only a commit can copy the last of it, so that the log begins anew.
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX)?;
    connection.pragma_update_and_check(None, "max_page_count", PAGES_MAX, |_| Ok(()))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&mut connection, READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn configure(connection: &mut Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(BUSY_WAIT_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // A plan depends on the statement alone: otherwise SQLite plans anew whenever certain values are bound, at half the cost of a look-up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    stored_seqs::add_function(connection)?;
    searches::add_functions(connection)?;
    long_statements::watch(connection)?;
    // Freed bytes are overwritten in the same transaction. It is a property of the connection: set it on every one that may write.
    connection.pragma_update_and_check(None, "secure_delete", "on", |_| Ok(()))?;
    // Every connection copies pages from the log into the file now and then, a reader when it is the last to close.
    clean_pages(connection)?;
    Ok(())
}
