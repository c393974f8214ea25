//! The work behind the calls: a store, its journal and the worker over it, of `lethe serve` and of `lethe worker`.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use lethe_jobs::PaceBounds;
use lethe_purge::plan::BatchLimits;
use lethe_store::{SharedIssuer, Store};
use lethe_store_postgres::Held;
use lethe_worker::{Worker, WorkerOptions};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    certificate_keys::FileIssuer,
    failure::Advice,
    journal::Writers,
    open_store::{KeyedStore, OpenStore, StoreOptions},
    recovery::{JournalOptions, open_journal, refuse_older},
};

/// How long a process that stops waits for the running batches. A batch takes milliseconds; this is for a disk that hangs.
const WORKER_WAIT: Duration = Duration::from_secs(30);
/// Until a database that is out of reach is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What an operator may choose, the same for all processes of a store.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorkOptions {
    #[command(flatten)]
    pub(crate) journal: JournalOptions,
    /// Who operates the server, as it stands in certificates
    #[arg(long, value_name = "NAME")]
    pub(crate) organization: Option<String>,
    /// So many purges run at the same time; with --database-url also so many batches of one, which all processes of the database share
    #[arg(long, value_name = "N", default_value_t = WorkerOptions::WORKERS_DEFAULT as u64, value_parser = clap::value_parser!(u64).range(1..=8))]
    workers: u64,
    /// At most so many resources go in one transaction, for which writers of their account wait
    #[arg(long, value_name = "N", default_value_t = BatchLimits::TARGETS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=BatchLimits::TARGETS_DEFAULT))]
    batch_resources: u64,
    /// With --database-url: how long a process may be silent before another takes over its jobs. The same for all processes
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    lease_seconds: u64,
}

impl Default for WorkOptions {
    /// What `--help` says.
    fn default() -> Self {
        Self {
            journal: JournalOptions::default(),
            organization: None,
            workers: WorkerOptions::WORKERS_DEFAULT as u64,
            batch_resources: BatchLimits::TARGETS_DEFAULT,
            lease_seconds: 300,
        }
    }
}

impl WorkOptions {
    /// The store, with the lease that its jobs get.
    pub(crate) fn over(&self, store: StoreOptions) -> StoreOptions {
        StoreOptions { lease: Duration::from_secs(self.lease_seconds), ..store }
    }

    fn worker(&self) -> WorkerOptions {
        let batch = BatchLimits { batch_targets_max: self.batch_resources, ..BatchLimits::default() };
        WorkerOptions { workers: self.workers as usize, batch, ..WorkerOptions::default() }
    }
}

/// A worker that runs jobs until it is stopped.
pub(crate) struct Working {
    pub(crate) store: KeyedStore,
    pub(crate) issuer: SharedIssuer,
    /// To be told of a kick-off.
    pub(crate) wake: Arc<Notify>,
    stopping: watch::Sender<bool>,
    worker: JoinHandle<()>,
    /// Ends with the reason why the database is not this process's any more.
    database: JoinHandle<anyhow::Error>,
}

impl Working {
    /// Starts to work over a store that has been opened for it. Certificates say that its servers are reached at `location`.
    ///
    /// # Errors
    /// The journal or the keys cannot be used; nothing is left running.
    pub(crate) async fn start(
        store: KeyedStore,
        options: &StoreOptions,
        work: &WorkOptions,
        pace: PaceBounds,
        location: &str,
    ) -> Result<Self> {
        let opened = &store.opened;
        opened.pace.set_bounds(pace);
        let path = work.journal.path(options.key_directory());
        let writers = if options.is_shared() { Writers::Many } else { Writers::One };
        let journal = open_journal(&opened.store, Arc::clone(&opened.clock), &path, writers, &options.flag()).await?;
        let issuer: SharedIssuer = Arc::new(FileIssuer::open(options.key_directory(), work.organization.as_deref(), location)?);
        let database = tokio::spawn(watch_database(opened, options, path));
        let (stopping, stop) = watch::channel(false);
        let port = Arc::clone(&opened.store) as Arc<dyn Store>;
        let worker = Worker::new(port, Arc::clone(&opened.clock), Arc::clone(&issuer), work.worker()).with_journal(journal);
        let wake = worker.wake();
        let worker = tokio::spawn(worker.run(stop));
        Ok(Self { store, issuer, wake, stopping, worker, database })
    }

    /// Turns true when it is told to stop.
    pub(crate) fn stop_signal(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Returns when it has died, which it never should.
    pub(crate) async fn died(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.worker => anyhow!("the worker has ended: {ended:?}"),
            lost = &mut self.database => lost.unwrap_or_else(|ended| anyhow!("nobody watches the database: {ended}")),
        }
    }

    /// Lets the running batches finish; `meanwhile` goes on beside them.
    ///
    /// # Errors
    /// A batch did not finish in time; the next start goes on from the stored plan.
    pub(crate) async fn stop(self, meanwhile: impl Future<Output = ()>) -> Result<()> {
        self.database.abort();
        self.stopping.send_replace(true);
        let (worker, ()) = tokio::join!(timeout(WORKER_WAIT, self.worker), meanwhile);
        worker
            .map_err(|_| anyhow!("a batch was still running after {WORKER_WAIT:?}; the next start goes on from the stored plan"))?
            .context("the worker has failed")
    }
}

/// Ends when a database must not be served any longer: somebody else has taken it for himself, or put an older copy in its place.
fn watch_database(opened: &OpenStore, options: &StoreOptions, journal: PathBuf) -> impl Future<Output = anyhow::Error> + use<> {
    let (store, held, flag) = (Arc::clone(&opened.store), opened.held.clone(), options.flag());
    async move {
        let Some(mut held) = held else { return std::future::pending().await };
        while held.changed().await.is_ok() {
            if *held.borrow() == Held::Lost {
                return Advice::new(
                    "the connection to the database was lost, and another lethe has taken the database for itself",
                    "start this again when that has ended",
                )
                .into();
            }
            // It can have been put back from a copy while nobody was connected.
            while let Err(error) = refuse_older(store.as_ref(), &journal, &flag).await {
                if error.is::<Advice>() {
                    return error;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        std::future::pending().await
    }
}
