//! Claims purge jobs and walks each through its phases. Knows no SQL and no HTTP.

mod walk;

use std::{sync::Arc, time::Duration};

use lethe_jobs::AttemptLimits;
use lethe_purge::plan::BatchLimits;
use lethe_store::{ClaimedPurge, Clock, Store};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

/// How the worker goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Jobs that run at the same time.
    pub concurrent_jobs: usize,
    /// How often to look for work when nobody has called, in milliseconds.
    pub poll_interval_ms: u64,
    /// Size of a batch.
    pub batch: BatchLimits,
    /// Attempts of a batch, and of every other step.
    pub attempts: AttemptLimits,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { concurrent_jobs: 2, poll_interval_ms: 1_000, batch: BatchLimits::default(), attempts: AttemptLimits::default() }
    }
}

/// Runs purge jobs of one store.
pub struct Worker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    options: WorkerOptions,
    wake: Arc<Notify>,
}

impl Worker {
    /// A worker over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: WorkerOptions) -> Self {
        Self { store, clock, options, wake: Arc::new(Notify::new()) }
    }

    /// Call `notify_one` on this after a kick-off or retry, so that work begins at once.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Works until `shutdown` turns true; then finishes the running steps and returns. What is not done is found again by the next worker.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut walks = JoinSet::new();
        while !*shutdown.borrow() {
            while walks.len() < self.options.concurrent_jobs {
                match self.store.claim_purge().await {
                    Ok(Some(claimed)) => {
                        walks.spawn(self.walk(claimed, shutdown.clone()).run());
                    }
                    Ok(None) => break,
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
                _ = shutdown.wait_for(|is_down| *is_down) => {}
            }
        }
        while walks.join_next().await.is_some() {}
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

    fn walk(&self, claimed: ClaimedPurge, shutdown: watch::Receiver<bool>) -> walk::Walk {
        walk::Walk {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            options: self.options,
            lease: claimed.lease,
            job: claimed.job,
            shutdown,
        }
    }
}
