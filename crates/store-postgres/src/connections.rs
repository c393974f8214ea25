//! A bounded number of connections, lent for one transaction each.

use std::{future::Future, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use lethe_store::StoreError;
use tokio_postgres::Config;

use crate::{address::Address, error::Result, transaction::Tx};

/// Connections that live calls may use at the same time. PostgreSQL keeps a process for each, and gains nothing from more than some for each core.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// Connections that workers may use: two for each of at most eight (one purges, one plans an export), and one to look for work.
pub(crate) const WORK_CONNECTIONS_MAX: usize = 17;
/// Previews at a time; others wait. Each keeps old rows from being vacuumed while it looks.
const PREVIEWS_MAX: usize = 2;
/// How long a call waits for a connection to be free, or to be made.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// For how long a server that is gone without a word, its network or its machine with it, may leave a session waiting.
const UNHEARD_MAX: Duration = Duration::from_secs(30);
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

/// The address with limits for whatever a session may wait for: as [`SESSION`] says for what the server does, and here for a server that has gone without
/// a word. What the address itself says counts.
pub(crate) fn limited(address: &Address, silence_max: Duration) -> Address {
    let mut config = address.config.clone();
    let silence = format!("-c idle_in_transaction_session_timeout={}ms", silence_max.as_millis().max(1));
    config.options(format!("{SESSION} {silence} {}", config.get_options().unwrap_or_default()));
    if config.get_application_name().is_none() {
        config.application_name("lethe");
    }
    config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(WAIT_MAX));
    config.tcp_user_timeout(config.get_tcp_user_timeout().copied().unwrap_or(UNHEARD_MAX));
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(UNHEARD_MAX / 2);
    }
    config.keepalives_interval(config.get_keepalives_interval().unwrap_or(UNHEARD_MAX / 6));
    config.keepalives_retries(config.get_keepalives_retries().unwrap_or(3));
    address.with(config)
}

fn pool(address: Address, connections_max: usize) -> std::result::Result<Pool, StoreError> {
    let manager = Manager::from_config(address.config, address.tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
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
    pub(crate) fn new(address: &Address, silence_max: Duration, connections_max: usize) -> std::result::Result<Self, StoreError> {
        let address = limited(address, silence_max);
        Ok(Self { pool: pool(address.clone(), connections_max)?, looks: pool(address, PREVIEWS_MAX)? })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::searches::test_database::address;

    #[tokio::test]
    async fn every_session_has_limits_for_statements_locks_and_silence() {
        let connections = Connections::new(&address(), Duration::from_secs(7), 1).unwrap();
        let settings = "select concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'), \
            current_setting('idle_in_transaction_session_timeout'))";
        let of = |tx: Tx| async move { Ok(tx.row(settings, &[]).await?.try_get::<_, String>(0)?) };
        assert_eq!(connections.read(of).await.unwrap(), "1min 10s 7s");
        assert_eq!(connections.write(Durability::InOrder, of).await.unwrap(), "1min 10s 7s");
        assert_eq!(of(connections.begin_to_look().await.unwrap()).await.unwrap(), "1min 10s 7s");
        // One connection serves all of them: whoever changed a limit has put it back.
        let limit = Duration::from_millis(1);
        let given_up = |tx: Tx| async move { crate::time_limit::within(&tx, limit, tx.run("select pg_sleep(60)")).await };
        assert!(matches!(connections.read(given_up).await, Err(StoreError::TooCostly(_))));
        assert_eq!(connections.read(of).await.unwrap(), "1min 10s 7s");
    }

    #[tokio::test]
    async fn who_finds_no_connection_free_is_told_to_ask_again_and_takes_none_of_others() {
        let (calls, work) = (Connections::new(&address(), WAIT_MAX, 1).unwrap(), Connections::new(&address(), WAIT_MAX, 1).unwrap());
        let taken = work.begin(Durability::InOrder).await.unwrap();
        let busy = work.pool.timeout_get(&deadpool_postgres::Timeouts { wait: Some(Duration::ZERO), ..Default::default() }).await;
        let busy = StoreError::from(crate::error::Error::from(busy.err().unwrap()));
        assert!(matches!(busy, StoreError::Unavailable(_)), "{busy:?}");
        calls.read(|tx| async move { tx.run("select 1").await }).await.unwrap();
        taken.roll_back().await.unwrap();
        work.read(|tx| async move { tx.run("select 1").await }).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_takes_nobody_in_is_out_of_reach() {
        let nobody = Address::parse("postgres://lethe@127.0.0.1:1/lethe").unwrap();
        let connections = Connections::new(&nobody, WAIT_MAX, 1).unwrap();
        let refused = connections.read(|tx| async move { tx.run("select 1").await }).await.unwrap_err();
        assert!(matches!(refused, StoreError::OutOfReach(_)), "{refused:?}");
    }
}
