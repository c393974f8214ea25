//! Claims purge jobs and walks each through its phases. Knows no SQL and no HTTP.
//!
//! The interface is fixed; the walk is in progress.

use std::sync::Arc;

use lethe_jobs::AttemptLimits;
use lethe_purge::plan::BatchLimits;
use lethe_store::{Clock, Store};
use tokio::sync::{Notify, watch};

/// How the worker goes about it.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Jobs that run at the same time.
    pub concurrent_jobs: usize,
    /// How often to look for work when nobody has called, in milliseconds.
    pub poll_interval_ms: u64,
    /// Size of a batch.
    pub batch: BatchLimits,
    /// Attempts of a batch.
    pub attempts: AttemptLimits,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { concurrent_jobs: 2, poll_interval_ms: 1_000, batch: BatchLimits::default(), attempts: AttemptLimits::default() }
    }
}

/// Runs purge jobs of one store.
pub struct Worker {
    #[allow(dead_code)]
    store: Arc<dyn Store>,
    #[allow(dead_code)]
    clock: Arc<dyn Clock>,
    #[allow(dead_code)]
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

    /// Works until `shutdown` turns true; then finishes the running batches and returns.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let _ = shutdown.wait_for(|is_down| *is_down).await;
    }
}
