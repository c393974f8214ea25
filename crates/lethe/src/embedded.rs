//! The embedded store, opened for a command.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use lethe_auth::{AccountId, SecretKey, User};
use lethe_store::{Accounts, Clock, SystemClock};
use lethe_store_sqlite::{MigrateError, OpenError, SqliteStore};

use crate::{
    failure::{Advice, UsageError},
    secret_key::{self, LoadedKey},
    terminal::pasted,
};

/// Where the data is when nobody says otherwise.
const DEFAULT_DIRECTORY: &str = "./lethe-data";
/// The file that makes a directory a store.
pub(crate) const DATABASE_FILE: &str = "lethe.db";

/// Where the data is.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreOptions {
    /// Directory of the embedded store; serve, client add and migrate make it if there is none
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub(crate) data: PathBuf,
    /// Not available in this version
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) database_url: Option<String>,
}

/// An open store with its clock.
pub(crate) struct EmbeddedStore {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<dyn Clock>,
    options: StoreOptions,
}

/// An open store with the key of its secrets and tokens.
pub(crate) struct KeyedStore {
    pub(crate) embedded: EmbeddedStore,
    pub(crate) secrets: SecretKey,
}

impl StoreOptions {
    /// For a command that works on what is there; may run beside a server. Makes neither a store nor a key.
    ///
    /// # Errors
    /// There is no store, or it cannot be used.
    pub(crate) async fn open(&self) -> Result<EmbeddedStore> {
        self.refuse_missing()?;
        self.open_or_create_database()
    }

    /// As [`StoreOptions::open`], for a command that must have the store to itself.
    ///
    /// # Errors
    /// As [`StoreOptions::open`]; and another process serves it.
    pub(crate) async fn open_alone(&self) -> Result<EmbeddedStore> {
        self.refuse_missing()?;
        self.open_served().await
    }

    fn refuse_missing(&self) -> Result<()> {
        self.refuse_database_url()?;
        let path = self.data.join(DATABASE_FILE);
        let is_there = fs::exists(&path).with_context(|| {
            Advice::new(format!("{} cannot be read", path.display()), "choose a directory that this user may read, with --data")
        })?;
        if !is_there {
            bail!(Advice::new(
                format!("there is no store in {}", self.data.display()),
                format!("name the right directory with --data, or make a store there with lethe client add NAME{}", self.flag()),
            ));
        }
        Ok(())
    }

    /// As [`StoreOptions::open`], with the key.
    ///
    /// # Errors
    /// As [`StoreOptions::open`]; and the key is missing or cannot be read.
    pub(crate) async fn open_with_key(&self) -> Result<KeyedStore> {
        let embedded = self.open().await?;
        let secrets = secret_key::load(&self.data)?.with_context(|| {
            Advice::new(
                format!("there is no secret.key in {}, and without it no secret and no token can be made", self.data.display()),
                format!(
                    "restore it from a backup; if there is none, start lethe serve{0}, which makes a new one, and then give every client a \
                     new secret with lethe client rotate CLIENT_ID{0}",
                    self.flag()
                ),
            )
        })?;
        Ok(KeyedStore { embedded, secrets })
    }

    /// For a command that makes the store and the key if there are none; may run beside a server.
    ///
    /// # Errors
    /// The directory, the database or the key cannot be used.
    pub(crate) async fn open_or_create(&self) -> Result<KeyedStore> {
        self.refuse_database_url()?;
        let embedded = self.open_or_create_database()?;
        self.with_key(embedded).await
    }

    /// For the one process that serves it.
    ///
    /// # Errors
    /// As [`StoreOptions::open_or_create`]; and another process serves it.
    pub(crate) async fn open_for_serving(&self) -> Result<KeyedStore> {
        self.refuse_database_url()?;
        let embedded = self.open_served().await?;
        self.with_key(embedded).await
    }

    /// ` --data DIR` as it is pasted behind a command; empty for the default.
    pub(crate) fn flag(&self) -> String {
        if self.data == Path::new(DEFAULT_DIRECTORY) { String::new() } else { format!(" --data {}", pasted(&self.data.to_string_lossy())) }
    }

    async fn open_served(&self) -> Result<EmbeddedStore> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open_for_serving(&self.data, Arc::clone(&clock)).await.map_err(|error| self.advise(error))?;
        Ok(EmbeddedStore { store: Arc::new(store), clock, options: self.clone() })
    }

    fn open_or_create_database(&self) -> Result<EmbeddedStore> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(&self.data, Arc::clone(&clock)).map_err(|error| self.advise(error))?;
        Ok(EmbeddedStore { store: Arc::new(store), clock, options: self.clone() })
    }

    async fn with_key(&self, embedded: EmbeddedStore) -> Result<KeyedStore> {
        let LoadedKey { key, is_new } = secret_key::load_or_create(&self.data)?;
        if is_new && !embedded.store.clients().await?.is_empty() {
            eprintln!(
                "warning: the key file of this store was missing, and a new one has been made: secrets and tokens issued before are refused.\n\
                 Restore secret.key from a backup, or give every client a new secret with lethe client rotate CLIENT_ID{}",
                self.flag()
            );
        }
        Ok(KeyedStore { embedded, secrets: key })
    }

    fn refuse_database_url(&self) -> Result<()> {
        if self.database_url.is_some() {
            bail!(UsageError("--database-url: PostgreSQL is not available in this version; use the embedded store, --data DIR".to_owned()));
        }
        Ok(())
    }

    /// What to do about a store that cannot be opened.
    pub(crate) fn advise(&self, error: OpenError) -> anyhow::Error {
        let next = match &error {
            OpenError::Served { .. } => "stop the other server, or choose another directory with --data",
            OpenError::Directory { .. } => "choose a directory that this user may write, with --data",
            OpenError::Migrate(MigrateError::TooNew { .. }) => return error.into(),
            OpenError::Database { .. } | OpenError::Migrate(_) | OpenError::Store(_) => {
                "if the files are damaged, restore the directory from a backup; nothing has been changed"
            }
        };
        let what = format!("the store in {} cannot be opened", self.data.display());
        anyhow::Error::from(error).context(Advice::new(what, next))
    }
}

impl EmbeddedStore {
    /// As [`StoreOptions::flag`].
    pub(crate) fn flag(&self) -> String {
        self.options.flag()
    }

    /// The user of this number.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn user(&self, account_id: i64) -> Result<User> {
        self.store.user(AccountId(account_id)).await?.context(Advice::new(
            format!("there is no user {account_id}"),
            format!(
                "lethe user list --client CLIENT_ID{0} shows who there is; lethe user add --client CLIENT_ID APP_USER_ID{0} adds one",
                self.flag()
            ),
        ))
    }
}
