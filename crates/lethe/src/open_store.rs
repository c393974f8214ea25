//! The one place that opens a store for a command: the embedded one of a directory, or that in a PostgreSQL database.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use lethe_auth::{AccountId, SecretKey, User};
use lethe_jobs::Pace;
use lethe_store::{Clock, Recovery, Store, StoreError, SystemClock};
use lethe_store_postgres::{
    Held, MigrateError as DatabaseMigrateError, OpenError as DatabaseOpenError, PostgresStore, advice_on_encryption,
};
use lethe_store_sqlite::{MigrateError, OpenError, ServeLock, SqliteStore};
use tokio::sync::watch;

use crate::{
    failure::{Advice, UsageError},
    private_file, restore_leftovers,
    secret_key::{self, LoadedKey},
    terminal::pasted,
};

/// Where the data is when nobody says otherwise.
const DEFAULT_DIRECTORY: &str = "./lethe-data";
/// Where the files are that belong to a database, when nobody says otherwise.
const DEFAULT_KEYS: &str = "./lethe-keys";
/// The file that makes a directory a store.
pub(crate) const DATABASE_FILE: &str = "lethe.db";

/// Where the data is.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreOptions {
    /// Directory of the embedded store; serve, client add and migrate make it if there is none
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY, conflicts_with = "database_url")]
    pub(crate) data: PathBuf,
    /// A store in PostgreSQL instead: postgres://USER:PASSWORD@HOST:PORT/DATABASE; with ?sslmode=require&sslrootcert=FILE behind it encrypted
    /// and the certificate checked. On the command line others see the password: better in the environment
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<DatabaseUrl>,
    /// With --database-url: directory of secret.key, certificate.keys and purge.journal. All servers of the database need the same
    #[arg(long, value_name = "DIR", default_value = DEFAULT_KEYS, conflicts_with = "data")]
    pub(crate) keys_dir: PathBuf,
    /// How long a worker may be silent before another takes its job; from the options of serve.
    #[arg(skip)]
    pub(crate) lease: Duration,
}

/// The address of a database, with its password: never shown.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(String);

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://…")
    }
}

impl DatabaseUrl {
    /// With its password: for whoever connects.
    pub(crate) fn exposed(&self) -> &str {
        &self.0
    }

    /// Without its password.
    fn shown(&self) -> Result<String> {
        PostgresStore::shown(&self.0).map_err(|error| {
            let usage = UsageError(format!("--database-url: {error}"));
            match error {
                // OK because it names what is wrong and quotes nothing of it.
                DatabaseOpenError::Address(_) => anyhow::Error::from(error).context(usage),
                _ => usage.into(),
            }
        })
    }
}

/// All that a store of either kind can do.
pub(crate) trait AnyStore: Store + Recovery {}

impl<T: Store + Recovery> AnyStore for T {}

/// An open store with its clock.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    /// At which its jobs work.
    pub(crate) pace: Arc<Pace>,
    /// How this process has it, if others may have it too.
    pub(crate) held: Option<watch::Receiver<Held>>,
    options: StoreOptions,
}

/// An open store with the key of its secrets and tokens.
pub(crate) struct KeyedStore {
    pub(crate) opened: OpenStore,
    pub(crate) secrets: SecretKey,
}

/// What a command wants of a store.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    /// It is there, and may be used by others.
    Existing,
    /// As [`Wanted::Existing`]; made if there is none.
    Any,
    /// It is there, and nobody else uses it.
    Alone,
    /// To be served; made if there is none.
    ForServing,
}

impl StoreOptions {
    /// The embedded store of a directory.
    pub(crate) fn of_directory(data: &Path) -> Self {
        Self { data: data.to_owned(), database_url: None, keys_dir: PathBuf::from(DEFAULT_KEYS), lease: Duration::default() }
    }

    /// The store of a database, whose files are in `keys_dir`.
    pub(crate) fn of_database(url: DatabaseUrl, keys_dir: &Path) -> Self {
        Self { data: PathBuf::from(DEFAULT_DIRECTORY), database_url: Some(url), keys_dir: keys_dir.to_owned(), lease: Duration::default() }
    }

    /// For a command that works on what is there; may run beside a server. Makes neither a store nor a key.
    ///
    /// # Errors
    /// There is no store, or it cannot be used.
    pub(crate) async fn open(&self) -> Result<OpenStore> {
        self.open_as(Wanted::Existing).await
    }

    /// As [`StoreOptions::open`], for a command that must have the store to itself.
    ///
    /// # Errors
    /// As [`StoreOptions::open`]; and another process serves it.
    pub(crate) async fn open_alone(&self) -> Result<OpenStore> {
        self.open_as(Wanted::Alone).await
    }

    /// As [`StoreOptions::open`], with the key.
    ///
    /// # Errors
    /// As [`StoreOptions::open`]; and the key is missing or cannot be read.
    pub(crate) async fn open_with_key(&self) -> Result<KeyedStore> {
        let opened = self.open().await?;
        self.with_known_key(opened)
    }

    /// For a process that works beside the servers of a database. Makes no key: with one of its own it would sign what nobody can verify.
    ///
    /// # Errors
    /// As [`StoreOptions::open_for_serving`]; and the key is missing.
    pub(crate) async fn open_for_work(&self) -> Result<KeyedStore> {
        let opened = self.open_as(Wanted::ForServing).await?;
        self.with_known_key(opened)
    }

    fn with_known_key(&self, opened: OpenStore) -> Result<KeyedStore> {
        let directory = self.key_directory();
        let secrets = secret_key::load(directory)?.with_context(|| {
            Advice::new(
                format!("there is no secret.key in {}, and without it no secret and no token can be made", directory.display()),
                format!(
                    "restore it from a backup; if there is none, start lethe serve{0}, which makes a new one, and then give every client a \
                     new secret with lethe client rotate CLIENT_ID{0}",
                    self.flag()
                ),
            )
        })?;
        Ok(KeyedStore { opened, secrets })
    }

    /// Makes the tables of the store, or brings them up to date; makes no key.
    ///
    /// # Errors
    /// The directory or the database cannot be used.
    pub(crate) async fn make_tables(&self) -> Result<()> {
        self.open_as(Wanted::Any).await.map(drop)
    }

    /// The store of a database, for a command that must have it to itself.
    ///
    /// # Errors
    /// It is none, or cannot be used; or a server runs.
    pub(crate) async fn open_database_alone(&self) -> Result<PostgresStore> {
        let url = self.database_url.as_ref().context("this command is for a database")?;
        let opened = PostgresStore::open_alone(&url.0, Arc::new(SystemClock)).await;
        opened.map_err(|error| self.advise_of_database(error))
    }

    /// For a command that makes the store and the key if there are none; may run beside a server.
    ///
    /// # Errors
    /// The directory, the database or the key cannot be used.
    pub(crate) async fn open_or_create(&self) -> Result<KeyedStore> {
        let opened = self.open_as(Wanted::Any).await?;
        self.with_key(opened).await
    }

    /// For a process that serves it. An embedded store is served by one at a time, a database by any number.
    ///
    /// # Errors
    /// As [`StoreOptions::open_or_create`]; and another process has it.
    pub(crate) async fn open_for_serving(&self) -> Result<KeyedStore> {
        let opened = self.open_as(Wanted::ForServing).await?;
        self.with_key(opened).await
    }

    /// Where the secret key, the keys of certificates and the purge journal are.
    pub(crate) fn key_directory(&self) -> &Path {
        if self.database_url.is_some() { &self.keys_dir } else { &self.data }
    }

    /// Whether several processes may serve the store at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        self.database_url.is_some()
    }

    /// For a command that only an embedded store knows; says what to do for a database.
    ///
    /// # Errors
    /// It is a database.
    pub(crate) fn refuse_database(&self, command: &str, instead: &str) -> Result<()> {
        if self.is_shared() {
            bail!(Advice::new(format!("{command} is for the embedded store, and not for a database"), instead));
        }
        Ok(())
    }

    /// For a command that only a database knows; says what to do for an embedded store.
    ///
    /// # Errors
    /// It is an embedded store.
    pub(crate) fn refuse_directory(&self, command: &str, instead: &str) -> Result<()> {
        if !self.is_shared() {
            bail!(Advice::new(format!("{command} is for a database (--database-url), and an embedded store has one process"), instead));
        }
        Ok(())
    }

    /// The options as they are pasted behind a command, empty for the defaults. Without the password of a database, which has no place in an output.
    pub(crate) fn flag(&self) -> String {
        let keys = if self.keys_dir == Path::new(DEFAULT_KEYS) {
            String::new()
        } else {
            format!(" --keys-dir {}", pasted(&self.keys_dir.to_string_lossy()))
        };
        match &self.database_url {
            Some(url) => format!(" --database-url {}{keys}", pasted(&url.shown().unwrap_or_else(|_| format!("{url:?}")))),
            None if self.data == Path::new(DEFAULT_DIRECTORY) => String::new(),
            None => format!(" --data {}", pasted(&self.data.to_string_lossy())),
        }
    }

    /// Where the store is, as people are told.
    pub(crate) fn place(&self) -> String {
        match &self.database_url {
            Some(url) => url.shown().unwrap_or_else(|_| format!("{url:?}")),
            None => self.data.display().to_string(),
        }
    }

    async fn open_as(&self, wanted: Wanted) -> Result<OpenStore> {
        match &self.database_url {
            Some(url) => self.open_database(url, wanted).await,
            None => self.open_directory(wanted).await,
        }
    }

    async fn open_directory(&self, wanted: Wanted) -> Result<OpenStore> {
        match wanted {
            Wanted::Alone | Wanted::ForServing => self.clear_leftovers()?,
            Wanted::Existing | Wanted::Any => restore_leftovers::refuse_open_swap(&self.data, &self.flag())?,
        }
        if [Wanted::Existing, Wanted::Alone].contains(&wanted) {
            self.refuse_missing()?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = match wanted {
            Wanted::Existing | Wanted::Any => SqliteStore::open(&self.data, Arc::clone(&clock)),
            Wanted::Alone | Wanted::ForServing => SqliteStore::open_for_serving(&self.data, Arc::clone(&clock)).await,
        };
        let store = store.map_err(|error| self.advise(error))?;
        let pace = store.pace();
        Ok(OpenStore { store: Arc::new(store), clock, pace, held: None, options: self.clone() })
    }

    /// A restore that runs has the lock: then what is there is its own, and the store is not to be had.
    fn clear_leftovers(&self) -> Result<()> {
        // What is no directory has none, and is told of when it is opened.
        if self.data.is_dir()
            && restore_leftovers::count(&self.data).with_context(|| format!("{} cannot be read", self.data.display()))? > 0
        {
            let _lock = ServeLock::take(&self.data).map_err(|error| self.advise(error))?;
            restore_leftovers::clear(&self.data)?;
        }
        Ok(())
    }

    async fn open_database(&self, url: &DatabaseUrl, wanted: Wanted) -> Result<OpenStore> {
        // What cannot be read is refused before anything else, as wrong usage.
        url.shown()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = match wanted {
            Wanted::Existing => PostgresStore::open_existing(&url.0, Arc::clone(&clock)).await,
            Wanted::Any => PostgresStore::open(&url.0, Arc::clone(&clock)).await,
            Wanted::Alone => PostgresStore::open_alone(&url.0, Arc::clone(&clock)).await,
            Wanted::ForServing => PostgresStore::open_for_serving(&url.0, Arc::clone(&clock), self.lease).await,
        };
        let store = store.map_err(|error| self.advise_of_database(error))?;
        let (pace, held) = (store.pace(), store.held());
        Ok(OpenStore { store: Arc::new(store), clock, pace, held, options: self.clone() })
    }

    fn refuse_missing(&self) -> Result<()> {
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

    async fn with_key(&self, opened: OpenStore) -> Result<KeyedStore> {
        let directory = self.key_directory();
        private_file::make_directory(directory).with_context(|| {
            let option = if self.is_shared() { "--keys-dir" } else { "--data" };
            Advice::new(
                format!("{} cannot be made", directory.display()),
                format!("choose a directory that this user may write, with {option}"),
            )
        })?;
        let LoadedKey { key, is_new } = secret_key::load_or_create(directory)?;
        if is_new && !opened.store.clients().await?.is_empty() {
            eprintln!(
                "warning: the key file of this store was missing, and a new one has been made: secrets and tokens issued before are refused.\n\
                 Restore secret.key from a backup, or give every client a new secret with lethe client rotate CLIENT_ID{}",
                self.flag()
            );
        }
        Ok(KeyedStore { opened, secrets: key })
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

    /// What to do about a database that cannot be used.
    fn advise_of_database(&self, error: DatabaseOpenError) -> anyhow::Error {
        let place = self.place();
        if let Some(next) = advice_on_encryption(&error) {
            return anyhow::Error::from(error)
                .context(Advice::new(format!("{place} cannot be reached over an encrypted connection"), next));
        }
        let (what, next) = match &error {
            DatabaseOpenError::Migrate(DatabaseMigrateError::TooNew { .. } | DatabaseMigrateError::Served { .. }) => return error.into(),
            DatabaseOpenError::Missing => (
                format!("there is no store in {place}"),
                format!("name the right database with --database-url, or make its tables with lethe migrate{}", self.flag()),
            ),
            DatabaseOpenError::Served => {
                (format!("{place} is in use"), "this command needs the store to itself: stop all of its servers first".to_owned())
            }
            DatabaseOpenError::Migrate(DatabaseMigrateError::Postgres(StoreError::Unavailable(_) | StoreError::OutOfReach(_)))
            | DatabaseOpenError::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) => (
                format!("{place} cannot be reached"),
                "look whether PostgreSQL runs there, and whether host and port of --database-url are right".to_owned(),
            ),
            DatabaseOpenError::Roots { .. } => {
                (format!("{place} cannot be used"), "name a file in PEM that this user may read with sslrootcert".to_owned())
            }
            DatabaseOpenError::Address(_)
            | DatabaseOpenError::Scheme
            | DatabaseOpenError::SslMode
            | DatabaseOpenError::RootsInVain
            | DatabaseOpenError::Tls(_)
            | DatabaseOpenError::Migrate(_)
            | DatabaseOpenError::Store(_) => (
                format!("{place} cannot be used"),
                "look at user, password and database of --database-url; createdb makes a database, and its owner may make tables in it"
                    .to_owned(),
            ),
        };
        anyhow::Error::from(error).context(Advice::new(what, next))
    }
}

impl OpenStore {
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
