//! A bounded number of connections, lent for one transaction each.

use std::{future::Future, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use lethe_store::StoreError;
use tokio_postgres::{Config, NoTls};

use crate::{error::Result, transaction::Tx};

/// Connections that may work at the same time. PostgreSQL keeps a process for each, and gains nothing from more than some for each core.
const CONNECTIONS_MAX: usize = 16;
/// Previews at a time; others wait. Each keeps old rows from being vacuumed while it looks.
const PREVIEWS_MAX: usize = 2;
/// How long a call waits for a connection to be free, or to be made.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a transaction is run again when others were in its way.
const RUNS_MAX: u32 = 5;

/// What each session is told: no statement, no wait for a lock lasts for ever; a plan depends on the statement alone, and joins go in the order in
/// which they are written.
const SESSION: &str = "-c search_path=lethe -c statement_timeout=60s -c lock_timeout=10s -c synchronous_commit=on -c join_collapse_limit=1 -c plan_cache_mode=force_generic_plan -c client_min_messages=warning -c jit=off";

/// The connections to one database.
pub(crate) struct Connections {
    pool: Pool,
    /// For previews: each is closed after one.
    looks: Pool,
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
    fn begin(self) -> &'static str {
        match self {
            Self::OnDisk => "begin isolation level read committed",
            Self::InOrder => "begin isolation level read committed; set local synchronous_commit = off",
        }
    }
}

/// A consistent view that blocks nobody and sees nothing of what is written meanwhile.
const BEGIN_READ: &str = "begin isolation level repeatable read, read only";

/// The same for somebody who also writes, to tables of his own.
const BEGIN_LOOK: &str = "begin isolation level repeatable read";

fn pool(config: Config, connections_max: usize) -> std::result::Result<Pool, StoreError> {
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(connections_max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_MAX))
        .create_timeout(Some(WAIT_MAX))
        .build()
        .map_err(|error| StoreError::Failed(Box::new(error)))
}

impl Connections {
    /// Opens none yet. A transaction of which nothing is heard for `silence_max` is given up by the server: whoever holds locks and is stopped must not
    /// stop others.
    pub(crate) fn new(config: &Config, silence_max: Duration) -> std::result::Result<Self, StoreError> {
        let mut config = config.clone();
        let silence = format!("-c idle_in_transaction_session_timeout={}ms", silence_max.as_millis().max(1));
        config.options(format!("{SESSION} {silence} {}", config.get_options().unwrap_or_default()));
        if config.get_application_name().is_none() {
            config.application_name("lethe");
        }
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(WAIT_MAX));
        Ok(Self { pool: pool(config.clone(), CONNECTIONS_MAX)?, looks: pool(config, PREVIEWS_MAX)? })
    }

    /// Runs `work` in one transaction that writes; what it returns as an error is rolled back. Run again from its beginning when others were in its
    /// way, a few times.
    ///
    /// Each statement sees what was committed before it: whoever must not be overtaken takes a lock first ([`crate::resources::lock_account`]).
    pub(crate) async fn write<T, F, Done>(&self, durability: Durability, work: F) -> Result<T>
    where
        F: Fn(Tx) -> Done,
        Done: Future<Output = Result<T>>,
    {
        let mut runs = 1;
        loop {
            match self.run(durability.begin(), &work).await {
                Err(error) if error.is_conflict() && runs < RUNS_MAX => runs += 1,
                done => return done,
            }
        }
    }

    /// Runs `work` in one transaction that reads: a consistent view that blocks nobody.
    pub(crate) async fn read<T, F, Done>(&self, work: F) -> std::result::Result<T, StoreError>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = Result<T>>,
    {
        Ok(self.run(BEGIN_READ, work).await?)
    }

    /// A connection of its own, for somebody who needs one view for longer and tables to reckon in. They hide the store's, also from statements that
    /// were prepared before: so the connection is new, and must go with this.
    pub(crate) async fn begin_to_look(&self) -> Result<Tx> {
        Tx::begin(self.looks.get().await?, BEGIN_LOOK).await
    }

    /// The same, under `settings` (`set local …`), which are sent along with the beginning.
    pub(crate) async fn read_under<T, F, Done>(&self, settings: &str, work: F) -> std::result::Result<T, StoreError>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = Result<T>>,
    {
        Ok(self.run(&format!("{BEGIN_READ}; {settings}"), work).await?)
    }

    /// Begins a transaction that writes and outlives the call. Its connection is closed if nobody ends it.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Tx> {
        Tx::begin(self.pool.get().await?, durability.begin()).await
    }

    async fn run<T, F, Done>(&self, begin: &str, work: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = Result<T>>,
    {
        let tx = Tx::begin(self.pool.get().await?, begin).await?;
        match work(tx.clone()).await {
            Ok(done) => {
                tx.commit().await?;
                Ok(done)
            }
            Err(error) => {
                // OK because a connection on which this fails is closed, and the transaction with it.
                drop(tx.roll_back().await);
                Err(error)
            }
        }
    }
}
