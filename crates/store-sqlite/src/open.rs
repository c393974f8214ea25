//! Opening the embedded store.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lethe_jobs::Pace;
use lethe_store::{Clock, PurgeWork, StoreError};
use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{
    bulk::FilterCache,
    connections::{Connections, open_writer},
    migrate::{MigrateError, migrate},
    purge::Checkpointer,
};

/// Name of the database file within the data directory.
pub(crate) const DATABASE_FILE: &str = "lethe.db";
/// Held locked by the one process that serves.
const SERVE_LOCK_FILE: &str = "serve.lock";

/// Previews at a time; others wait. Each keeps old pages in the write-ahead log while it looks.
const PREVIEWS_MAX: usize = 2;

/// The embedded store.
pub struct SqliteStore {
    pub(crate) connections: Connections,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) pace: Arc<Pace>,
    pub(crate) export_filters: FilterCache,
    /// One turn for each preview at a time.
    pub(crate) previews: Semaphore,
    _serve_lock: Option<ServeLock>,
}

/// Why the store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process serves it.
    #[error("another lethe serves {path}: stop it first, or use another directory (--data)")]
    Served {
        /// The directory.
        path: PathBuf,
    },
    /// SQLite refuses the file.
    #[error("the database in {path} cannot be opened")]
    Database {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Its schema cannot be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Leases of the last server could not be ended.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteStore {
    /// Opens the store in `directory`, creating both if there is none. May be done beside a server, from the command line.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left half-made.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let io_failed = |source| OpenError::Directory { path: directory.to_owned(), source };
        create_private(directory).map_err(io_failed)?;
        let path = directory.join(DATABASE_FILE);
        let failed = |source| OpenError::Database { path: directory.to_owned(), source };
        let mut first: Connection = open_writer(&path).map_err(failed)?;
        migrate(&mut first)?;
        drop(first);
        let connections = Connections::open(&path).map_err(failed)?;
        let checkpointer = Checkpointer::start(&path).map_err(failed)?;
        Ok(Self {
            connections,
            clock,
            checkpointer,
            pace: Arc::default(),
            export_filters: FilterCache::default(),
            previews: Semaphore::new(PREVIEWS_MAX),
            _serve_lock: None,
        })
    }

    /// The pace at which jobs work in this store: full speed until somebody tells it of live calls.
    #[must_use]
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// Opens the store to serve it: at most one process may, so every lease that is still stored belongs to a dead one and is ended.
    ///
    /// # Errors
    /// [`OpenError::Served`] if another process serves it, and the rest of [`OpenError`].
    pub async fn open_for_serving(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let lock = ServeLock::take(directory)?;
        let store = Self { _serve_lock: Some(lock), ..Self::open(directory, clock)? };
        store.release_leases().await?;
        Ok(store)
    }
}

/// Keeps every server from a data directory while it lives.
#[derive(Debug)]
pub struct ServeLock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

impl ServeLock {
    /// Takes it, and makes the directory if there is none.
    ///
    /// # Errors
    /// [`OpenError::Served`] if another process has it, [`OpenError::Directory`].
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        let io_failed = |source| OpenError::Directory { path: directory.to_owned(), source };
        create_private(directory).map_err(io_failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(directory.join(SERVE_LOCK_FILE)).map_err(io_failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(fs::TryLockError::WouldBlock) => Err(OpenError::Served { path: directory.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(io_failed(source)),
        }
    }
}

/// Creates a directory that only its owner can look into: it will hold patients' data.
fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
