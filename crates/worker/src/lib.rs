//! Claims purge and export jobs and walks each through its phases, and runs batches of jobs that other workers walk. Knows no SQL and no HTTP.

mod batch;
mod export;
mod step;
mod walk;

use std::{sync::Arc, time::Duration};

use lethe_jobs::{AttemptLimits, JobEvent};
use lethe_purge::plan::BatchLimits;
use lethe_store::{ClaimedExport, ClaimedPurge, Clock, PurgeJournal, SharedIssuer, Store};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

/// How the worker goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// So many purges, or batches of those that other workers walk, run at the same time; and so many exports are planned.
    pub workers: usize,
    /// How often to look for work when nobody has called, in milliseconds.
    pub poll_interval_ms: u64,
    /// Size of a batch.
    pub batch: BatchLimits,
    /// Size of a file of an export.
    pub export_file: BatchLimits,
    /// Attempts of a batch, and of every other step.
    pub attempts: AttemptLimits,
}

impl WorkerOptions {
    /// If nobody says otherwise.
    pub const WORKERS_DEFAULT: usize = 2;
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            workers: Self::WORKERS_DEFAULT,
            poll_interval_ms: 1_000,
            batch: BatchLimits::default(),
            export_file: BatchLimits { batch_targets_max: 10_000, batch_bytes_max: u64::MAX },
            attempts: AttemptLimits::default(),
        }
    }
}

/// Runs the jobs of one store.
pub struct Worker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    issuer: SharedIssuer,
    options: WorkerOptions,
    journal: Option<Arc<dyn PurgeJournal>>,
    again: Option<JobEvent>,
    wake: Arc<Notify>,
}

impl Worker {
    /// A worker over `store`, whose purges `issuer` certifies.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, issuer: SharedIssuer, options: WorkerOptions) -> Self {
        Self { store, clock, issuer, options, journal: None, again: None, wake: Arc::new(Notify::new()) }
    }

    /// Puts on record what each purge removed, before it ends.
    #[must_use]
    pub fn with_journal(self, journal: Arc<dyn PurgeJournal>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Ends jobs that have done everything with `event`, as they ended before: for purges on record that are carried out again.
    #[must_use]
    pub fn ending_again(self, event: JobEvent) -> Self {
        Self { again: Some(event), ..self }
    }

    /// Call `notify_one` on this after a kick-off or retry, so that work begins at once.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Works until `shutdown` turns true; then finishes the running steps and returns. What is not done is found again by the next worker.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut walks = JoinSet::new();
        // A plan of an export takes seconds, a purge may take long: neither waits for the other.
        let mut exports = JoinSet::new();
        while !*shutdown.borrow() {
            self.sweep_expired().await;
            while exports.len() < self.options.workers
                && let Some(export) = self.claim_export(&shutdown).await
            {
                exports.spawn(export.run());
            }
            while walks.len() < self.options.workers {
                match self.store.claim_purge().await {
                    Ok(Some(claimed)) => {
                        walks.spawn(self.walk(claimed, shutdown.clone()).run());
                    }
                    // Without a job of its own it shares the work of another's.
                    Ok(None) => match batch::claim_shared(self.store.as_ref()).await {
                        Some(claimed) => {
                            walks.spawn(self.batches(shutdown.clone()).share(claimed));
                        }
                        None => break,
                    },
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "looking for purge jobs failed; it is tried again");
                        break;
                    }
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(self.options.poll_interval_ms)) => {}
                Some(_) = walks.join_next(), if !walks.is_empty() => {}
                Some(_) = exports.join_next(), if !exports.is_empty() => {}
                _ = shutdown.wait_for(|is_down| *is_down) => {}
            }
        }
        while walks.join_next().await.is_some() {}
        while exports.join_next().await.is_some() {}
    }

    async fn sweep_expired(&self) {
        if let Err(error) = self.store.remove_expired().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "removing exports and imports whose time is over, and what failed purges were asked for, failed; it is tried again"
            );
        }
    }

    async fn claim_export(&self, shutdown: &watch::Receiver<bool>) -> Option<export::ExportWalk> {
        match self.store.claim_export().await {
            Ok(claimed) => claimed.map(|claimed| self.export_walk(claimed, shutdown.clone())),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "looking for exports failed; it is tried again");
                None
            }
        }
    }

    /// Claims one job and walks it to its end, without waiting for more; `false` if there was none. For tests that take one step at a time.
    pub async fn run_one(&self, shutdown: &watch::Receiver<bool>) -> Result<bool, lethe_store::StoreError> {
        match self.store.claim_purge().await? {
            None => Ok(false),
            Some(claimed) => {
                self.walk(claimed, shutdown.clone()).run().await;
                Ok(true)
            }
        }
    }

    /// Claims one export and plans it to its end; `false` if there was none.
    pub async fn run_one_export(&self, shutdown: &watch::Receiver<bool>) -> Result<bool, lethe_store::StoreError> {
        match self.store.claim_export().await? {
            None => Ok(false),
            Some(claimed) => {
                self.export_walk(claimed, shutdown.clone()).run().await;
                Ok(true)
            }
        }
    }

    fn export_walk(&self, claimed: ClaimedExport, shutdown: watch::Receiver<bool>) -> export::ExportWalk {
        export::ExportWalk { store: Arc::clone(&self.store), options: self.options, lease: claimed.lease, shutdown }
    }

    fn batches(&self, shutdown: watch::Receiver<bool>) -> batch::Batches {
        batch::Batches { store: Arc::clone(&self.store), clock: Arc::clone(&self.clock), options: self.options, shutdown }
    }

    fn walk(&self, claimed: ClaimedPurge, shutdown: watch::Receiver<bool>) -> walk::Walk {
        walk::Walk {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            issuer: Arc::clone(&self.issuer),
            options: self.options,
            journal: self.journal.clone(),
            again: self.again,
            lease: claimed.lease,
            job: claimed.job,
            shutdown,
            wake: Arc::clone(&self.wake),
        }
    }
}
