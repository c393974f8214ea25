//! The course of one import: batch after batch into the store, and its end, whatever that is.

use std::{sync::Arc, time::Duration};

use lethe_jobs::{JobEvent, Lease};
use lethe_store::{ImportBatch, ImportJob, ImportProgress, JobId, StoreError, WriteError};
use tokio::sync::mpsc;

use super::import_lines::{Parsed, Reject};
use crate::App;

/// Rejected lines that are told with an answer; the rest are counted.
pub const REJECTS_TOLD: usize = 100;

/// Waits between attempts while the store is busy.
const BACK_OFF_MS: [u64; 5] = [50, 250, 1_000, 3_000, 10_000];

/// One import that runs.
pub struct ImportRun {
    /// What calls share.
    pub app: Arc<App>,
    /// The right to write for it.
    pub lease: Lease<JobId>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ending {
    /// Why.
    pub cause: Cause,
    /// The job at its end; `None` if not even that could be stored.
    pub job: Option<ImportJob>,
    /// Rejected lines, the first [`REJECTS_TOLD`] of them.
    pub rejects: Vec<Reject>,
}

/// Why an import ended.
#[derive(Debug)]
pub enum Cause {
    /// The body did.
    Ended,
    /// The body broke off.
    Broken(String),
    /// Somebody canceled it.
    Canceled,
    /// A batch could not be stored.
    NotStored(WriteError),
}

impl ImportRun {
    /// Stores what comes until the end.
    pub async fn run(self, mut parsed: mpsc::Receiver<Parsed>) -> Ending {
        let mut rejects = Vec::new();
        let cause = loop {
            match parsed.recv().await {
                Some(Parsed::Batch(batch, refused)) => match self.store(batch).await {
                    Ok(ImportProgress::Stored(_)) => rejects.extend(refused.into_iter().take(REJECTS_TOLD - rejects.len())),
                    Ok(ImportProgress::Canceled) => break Cause::Canceled,
                    Err(error) => break Cause::NotStored(error),
                },
                Some(Parsed::End) => break Cause::Ended,
                Some(Parsed::Broken(why)) => break Cause::Broken(why),
                None => break Cause::Broken("the server failed to read it".to_owned()),
            }
        };
        let job = self.finish(&cause).await;
        Ending { cause, job, rejects }
    }

    async fn store(&self, batch: ImportBatch) -> Result<ImportProgress, WriteError> {
        for wait_ms in BACK_OFF_MS {
            match self.app.store.store_import_batch(&self.lease, batch.clone()).await {
                Err(WriteError::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_))) => {
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                ended => return ended,
            }
        }
        self.app.store.store_import_batch(&self.lease, batch).await
    }

    async fn finish(&self, cause: &Cause) -> Option<ImportJob> {
        let (event, failure) = match cause {
            Cause::Ended => (JobEvent::Complete, None),
            Cause::Broken(why) => (JobEvent::Fail, Some(why.clone())),
            Cause::Canceled => (JobEvent::Stop, None),
            Cause::NotStored(error) => (JobEvent::Fail, Some(error.to_string())),
        };
        for wait_ms in BACK_OFF_MS {
            match self.app.store.finish_import(&self.lease, event, failure.as_deref()).await {
                Ok(job) => return Some(job),
                Err(StoreError::LeaseLost) => return None,
                Err(error) => {
                    // Its lease ends by itself: until then no other import of the account begins.
                    tracing::warn!(job = %self.lease.job_id, error = &error as &dyn std::error::Error, "the end of an import could not be stored; it is tried again");
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
            }
        }
        None
    }
}
