//! The embedded store, opened for a command.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use clap::Args;
use lethe_auth::{AccountId, SecretKey, User};
use lethe_store::{Accounts, Clock, SystemClock};
use lethe_store_sqlite::{OpenError, SqliteStore};

use crate::{
    failure::{Advice, UsageError},
    secret_key::{self, LoadedKey},
};

/// Where the data is.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreOptions {
    /// Directory of the embedded store; made if there is none
    #[arg(long, value_name = "DIR", default_value = "./lethe-data")]
    pub(crate) data: PathBuf,
    /// Not available in this version
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) database_url: Option<String>,
}

/// An open store with its key and clock.
pub(crate) struct EmbeddedStore {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) secrets: SecretKey,
    pub(crate) clock: Arc<dyn Clock>,
}

impl StoreOptions {
    /// For a command that may run beside a server.
    ///
    /// # Errors
    /// The directory, the database or the key cannot be used.
    pub(crate) async fn open(&self) -> Result<EmbeddedStore> {
        self.refuse_database_url()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(&self.data, Arc::clone(&clock)).map_err(|error| self.advise(error))?;
        self.with_key(store, clock).await
    }

    /// For the one process that serves it.
    ///
    /// # Errors
    /// As [`StoreOptions::open`]; and another process serves it.
    pub(crate) async fn open_for_serving(&self) -> Result<EmbeddedStore> {
        self.refuse_database_url()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open_for_serving(&self.data, Arc::clone(&clock)).await.map_err(|error| self.advise(error))?;
        self.with_key(store, clock).await
    }

    async fn with_key(&self, store: SqliteStore, clock: Arc<dyn Clock>) -> Result<EmbeddedStore> {
        let LoadedKey { key, is_new } = secret_key::load_or_create(&self.data)?;
        if is_new && !store.clients().await?.is_empty() {
            eprintln!(
                "warning: the key file of this store was missing, and a new one has been made: secrets and tokens issued before are refused.\n\
                 Restore secret.key from a backup, or give every client a new secret with lethe client rotate."
            );
        }
        Ok(EmbeddedStore { store: Arc::new(store), secrets: key, clock })
    }

    fn refuse_database_url(&self) -> Result<()> {
        if self.database_url.is_some() {
            bail!(UsageError("--database-url: PostgreSQL is not available in this version; use the embedded store, --data DIR".to_owned()));
        }
        Ok(())
    }

    fn advise(&self, error: OpenError) -> anyhow::Error {
        let next = match &error {
            OpenError::Served { .. } => "stop the other server, or choose another directory with --data",
            OpenError::Directory { .. } => "choose a directory that this user may write, with --data",
            _ => return error.into(),
        };
        let what = format!("the store in {} cannot be opened", self.data.display());
        anyhow::Error::from(error).context(Advice::new(what, next))
    }
}

impl EmbeddedStore {
    /// The user of this number.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn user(&self, account_id: i64) -> Result<User> {
        self.store.user(AccountId(account_id)).await?.context(Advice::new(
            format!("there is no user {account_id}"),
            "lethe user list --client CLIENT_ID shows who there is; lethe user add adds one",
        ))
    }
}
