//! Single batches: those of a walk, and those of jobs that other workers walk.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use lethe_jobs::Lease;
use lethe_store::{ClaimedBatch, Clock, JobId, Store, StoreError};
use tokio::{sync::watch, time::Instant};

use crate::{
    WorkerOptions,
    step::{Halt, chain, persist},
};

/// Runs batches that are claimed already.
#[derive(Clone)]
pub(crate) struct Batches {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: WorkerOptions,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Batches {
    /// Runs one, and records whatever came of it. If it or its job is another's by now, nothing has happened: the next claim tells.
    pub(crate) async fn run(&self, lease: Lease<JobId>, batch: ClaimedBatch) -> Result<(), Halt> {
        if self.options.attempts.is_exhausted(batch.attempts) {
            let cause = format!("the server ended {} times while this batch ran", batch.attempts - 1);
            return self.record(lease, || self.store.fail_batch(&lease, batch, &cause, None)).await;
        }
        let error = match self.store.purge_batch(&lease, batch).await {
            Ok(_) | Err(StoreError::LeaseLost) => return Ok(()),
            Err(error) => error,
        };
        let is_out_of_reach = matches!(error, StoreError::OutOfReach(_));
        let backoff_ms = if is_out_of_reach { Some(0) } else { self.options.attempts.backoff_ms(batch.attempts) };
        tracing::warn!(
            job = %lease.job_id,
            batch = batch.batch,
            attempt = batch.attempts,
            backoff_ms,
            error = &error as &dyn Error,
            "a purge batch failed"
        );
        if is_out_of_reach {
            return self.record(lease, || self.store.give_back_batch(&lease, batch)).await;
        }
        let retry_at = backoff_ms.map(|backoff_ms| self.clock.now().plus_ms(i64::try_from(backoff_ms).unwrap_or(i64::MAX)));
        let cause = chain(&error);
        self.record(lease, || self.store.fail_batch(&lease, batch, &cause, retry_at)).await
    }

    /// Runs `first`, and after it what else other workers' jobs have. After a while it ends, so that somebody looks for a job of his own.
    pub(crate) async fn share(self, first: (Lease<JobId>, ClaimedBatch)) {
        let began = Instant::now();
        let mut next = Some(first);
        while let Some((lease, batch)) = next {
            match self.run(lease, batch).await {
                Ok(()) => tracing::debug!(job = %lease.job_id, batch = batch.batch, "a batch of another worker's job was run"),
                Err(Halt::Leave) => return,
                Err(Halt::Failed(error)) => {
                    // It goes back when its lease ends.
                    tracing::error!(job = %lease.job_id, batch = batch.batch, error = &error as &dyn Error, "what came of a batch could not be recorded");
                    return;
                }
            }
            if *self.shutdown.borrow() || began.elapsed() > Duration::from_millis(self.options.poll_interval_ms) {
                return;
            }
            next = claim_shared(self.store.as_ref()).await;
        }
    }

    async fn record<F: Future<Output = Result<(), StoreError>>>(&self, lease: Lease<JobId>, step: impl Fn() -> F) -> Result<(), Halt> {
        let lost_is_done = || async {
            match step().await {
                Err(StoreError::LeaseLost) => Ok(()),
                done => done,
            }
        };
        persist(lease.job_id, self.options.attempts, &self.shutdown, lost_is_done).await
    }
}

/// A batch of a job that another worker walks.
pub(crate) async fn claim_shared(store: &dyn Store) -> Option<(Lease<JobId>, ClaimedBatch)> {
    store.claim_shared_batch().await.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn Error, "looking for batches of other workers' jobs failed; it is tried again");
        None
    })
}
