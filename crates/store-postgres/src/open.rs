//! Opening the store on PostgreSQL.

use std::sync::Arc;

use lethe_jobs::Pace;
use lethe_store::{Clock, StoreError};
use thiserror::Error;
use tokio_postgres::Config;

use crate::{
    bulk::FilterCache,
    connections::Connections,
    migrate::{MigrateError, migrate},
};

/// The store on PostgreSQL.
pub struct PostgresStore {
    pub(crate) connections: Connections,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) export_filters: FilterCache,
}

/// Why the store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address of the database cannot be read.
    #[error("the address of the database cannot be read; it is written postgres://user:password@host:port/database")]
    Address(#[source] tokio_postgres::Error),
    /// Its schema cannot be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// It cannot be reached, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PostgresStore {
    /// Opens the store in the database at `url` (`postgres://…`), and makes its tables if there are none.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left half-made.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let config: Config = url.parse().map_err(OpenError::Address)?;
        let connections = Connections::new(&config)?;
        migrate(&connections).await?;
        Ok(Self { connections, clock, pace: Arc::default(), export_filters: FilterCache::default() })
    }

    /// The pace at which jobs work in this store: full speed until somebody tells it of live calls.
    #[must_use]
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }
}
