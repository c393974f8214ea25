//! Opening the store on PostgreSQL.

use std::{error::Error, fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use lethe_jobs::Pace;
use lethe_store::{Clock, StoreError};
use thiserror::Error;
use tokio::sync::watch;
use tokio_postgres::config::Host;

use crate::{
    address::{Address, Written},
    bulk::FilterCache,
    connections::{CONNECTIONS_MAX, Connections, WORK_CONNECTIONS_MAX},
    error::of_first_connection,
    lease_times::{LEASE_DEFAULT, silence_max},
    migrate::{IfNone, MigrateError, Schema, migrate},
    presence::{Held, Presence},
};

/// The store on PostgreSQL.
pub struct PostgresStore {
    /// Of live calls.
    pub(crate) connections: Connections,
    /// Of workers: whatever they do, they take none from live calls.
    pub(crate) work: Connections,
    /// For whoever needs a connection that is none of these.
    pub(crate) address: Address,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) export_filters: FilterCache,
    /// How long a worker of this process may be silent before another may take its job.
    pub(crate) lease: Duration,
    presence: Option<Presence>,
}

/// Why the store cannot be opened. No text of it holds a password.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address of the database cannot be read.
    #[error(
        "the address of the database cannot be read; it is written postgres://USER:PASSWORD@HOST:PORT/DATABASE, signs of the password as %40 for @"
    )]
    Address(#[source] tokio_postgres::Error),
    /// It is no address of PostgreSQL.
    #[error("the address of the database must begin with postgres:// or postgresql://")]
    Scheme,
    /// It asks for a way of encrypting that there is not.
    #[error(
        "sslmode of the address of the database is disable, prefer, require or verify-full; the last two are one here, and check the certificate"
    )]
    SslMode,
    /// It names roots that nobody would ask.
    #[error("sslrootcert of the address of the database needs sslmode=require: without it no certificate is checked")]
    RootsInVain,
    /// The roots that it names cannot be had.
    #[error("the roots in {file} (sslrootcert of the address of the database) cannot be used")]
    Roots {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Encryption cannot be set up.
    #[error("encryption cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// There are no tables of lethe.
    #[error("the database has no tables of lethe")]
    Missing,
    /// Somebody else has it.
    #[error("another lethe has the database")]
    Served,
    /// Its schema cannot be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// It cannot be reached, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Of a database that is spread by account: it has to see an account's number before it knows where a statement goes.
fn for_spread(address: &Address) -> Address {
    let mut config = address.config.clone();
    config.options(format!("{} -c plan_cache_mode=force_custom_plan", config.get_options().unwrap_or_default()));
    address.with(config)
}

impl PostgresStore {
    /// Opens the store in the database at `url` (`postgres://…`), and makes its tables if there are none.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left half-made.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(&Address::parse(url)?, clock, IfNone::Make, LEASE_DEFAULT).await
    }

    /// As [`PostgresStore::open`], if it has tables.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open_existing(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(&Address::parse(url)?, clock, IfNone::Refuse, LEASE_DEFAULT).await
    }

    /// As [`PostgresStore::open`], for one of its servers: if nothing is heard of it for the length of a `lease`, another takes over its jobs. All servers
    /// should have the same.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Served`] while somebody has it to himself.
    pub async fn open_for_serving(url: &str, clock: Arc<dyn Clock>, lease: Duration) -> Result<Self, OpenError> {
        Self::open_present(url, clock, IfNone::Make, Held::Shared { came_back: 0 }, lease).await
    }

    /// As [`PostgresStore::open_existing`], for whoever must have it to himself: no server runs, and none starts.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Served`] while a server runs.
    pub async fn open_alone(url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_present(url, clock, IfNone::Refuse, Held::Alone, LEASE_DEFAULT).await
    }

    async fn open_present(url: &str, clock: Arc<dyn Clock>, if_none: IfNone, wanted: Held, lease: Duration) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        upgrade(&address, lease).await?;
        // Before the schema is looked at: whoever has it to himself may be making it.
        let presence = Presence::take(&address, wanted).await?.ok_or(OpenError::Served)?;
        let store = Self::open_with(&address, clock, if_none, lease).await?;
        Ok(Self { presence: Some(presence), ..store })
    }

    async fn open_with(address: &Address, clock: Arc<dyn Clock>, if_none: IfNone, lease: Duration) -> Result<Self, OpenError> {
        let mut of_calls = address.clone();
        let connections = Connections::new(address, silence_max(lease), 1)?;
        match migrate(&connections, if_none).await {
            Ok(Schema::Here) => {}
            Ok(Schema::Spread) => of_calls = for_spread(address),
            Ok(Schema::Missing) => return Err(OpenError::Missing),
            // Nobody has looked at the schema yet.
            Err(MigrateError::Postgres(error @ (StoreError::Unavailable(_) | StoreError::OutOfReach(_)))) => {
                return Err(of_first_connection(error).into());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            connections: Connections::new(&of_calls, silence_max(lease), CONNECTIONS_MAX)?,
            work: Connections::new(&of_calls, silence_max(lease), WORK_CONNECTIONS_MAX)?,
            address: address.clone(),
            clock,
            pace: Arc::default(),
            export_filters: FilterCache::default(),
            lease,
            presence: None,
        })
    }

    /// The pace at which jobs work in this store: full speed until somebody tells it of live calls.
    #[must_use]
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// How this process has the database, as it changes; `None` for a store that was opened beside others.
    #[must_use]
    pub fn held(&self) -> Option<watch::Receiver<Held>> {
        self.presence.as_ref().map(Presence::held)
    }

    /// The address without its password, for people.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn shown(url: &str) -> Result<String, OpenError> {
        let config = Written::parse(url)?.config;
        let mut shown = "postgres://".to_owned();
        let mut put = |text: std::fmt::Arguments<'_>| shown.write_fmt(text).map_err(|error| StoreError::Failed(Box::new(error)));
        if let Some(user) = config.get_user() {
            put(format_args!("{user}@"))?;
        }
        for (index, host) in config.get_hosts().iter().enumerate() {
            if index > 0 {
                put(format_args!(","))?;
            }
            match host {
                Host::Tcp(name) => put(format_args!("{name}"))?,
                #[cfg(unix)]
                Host::Unix(path) => put(format_args!("{}", path.display()))?,
            }
            if let Some(port) = config.get_ports().get(index).or(config.get_ports().first()) {
                put(format_args!(":{port}"))?;
            }
        }
        if let Some(database) = config.get_dbname() {
            put(format_args!("/{database}"))?;
        }
        Ok(shown)
    }
}

/// Brings an older schema up to date, for which nobody may serve the database: before the place of a server is taken, which would be in its own way.
async fn upgrade(address: &Address, lease: Duration) -> Result<(), OpenError> {
    match migrate(&Connections::new(address, silence_max(lease), 1)?, IfNone::Refuse).await {
        // Whatever is wrong with it is told by whoever opens it.
        Ok(_) | Err(MigrateError::TooNew { .. } | MigrateError::Postgres(_)) => Ok(()),
        Err(served @ MigrateError::Served { .. }) => Err(served.into()),
    }
}

#[cfg(test)]
mod tests {
    use lethe_auth::{ClientId, Scope};
    use lethe_store::{Resources, SystemClock};

    use super::*;
    use crate::{connections::Durability, searches::test_database::with_empty_database};

    #[tokio::test]
    async fn workers_take_no_connection_that_live_calls_need() {
        with_empty_database(async |address| {
            let store = PostgresStore::open_with(&address, Arc::new(SystemClock), IfNone::Make, LEASE_DEFAULT).await.unwrap();
            let mut taken = Vec::new();
            for _ in 0..WORK_CONNECTIONS_MAX {
                taken.push(store.work.begin(Durability::InOrder).await.unwrap());
            }
            for _ in 0..CONNECTIONS_MAX - 1 {
                taken.push(store.connections.begin(Durability::OnDisk).await.unwrap());
            }
            let owner = Scope::Client { client_id: ClientId("c".to_owned()) };
            assert!(store.totals(&owner).await.unwrap().is_empty(), "the last of them");
        })
        .await;
    }

    #[test]
    fn an_address_is_shown_without_its_password_and_errors_quote_nothing() {
        for (url, shown) in [
            ("postgres://me:hunter2@db.example:5433/lethe", "postgres://me@db.example:5433/lethe"),
            ("postgresql://me@db.example/lethe?password=hunter2", "postgres://me@db.example:5432/lethe"),
            ("postgres://me:hunter2@a,b:5433/lethe", "postgres://me@a:5432,b:5433/lethe"),
        ] {
            assert_eq!(PostgresStore::shown(url).unwrap(), shown, "{url}");
        }
        for wrong in [
            "",
            "hunter2",
            "mysql://me:hunter2@db/x",
            "postgres://me:hunter2@db:port/x",
            "postgres://me:hun@ter2:x@db/x",
            "postgres://h/?hunter2",
        ] {
            let error = PostgresStore::shown(wrong).unwrap_err();
            let text = format!("{error} {error:?} {:?}", std::error::Error::source(&error).map(ToString::to_string));
            assert!(!text.contains("hunter2") && !text.contains("ter2"), "{wrong}: {text}");
        }
    }
}
