//! The walk of one export: it plans files, type by type, and reads or copies no content.

use std::{error::Error, future::Future, sync::Arc};

use lethe_jobs::{JobEvent, Lease};
use lethe_store::{JobId, Store, StoreError};
use tokio::sync::watch;

use crate::{
    WorkerOptions,
    step::{Halt, chain, persist, unless_down},
};

/// One claimed export.
pub(crate) struct ExportWalk {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: WorkerOptions,
    pub(crate) lease: Lease<JobId>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl ExportWalk {
    /// Plans the job as far as it goes. A job that was removed meanwhile has no lease any more, and ends the walk.
    pub(crate) async fn run(self) {
        let job = self.lease.job_id;
        match self.plan().await {
            Ok(()) => tracing::info!(%job, "an export is planned"),
            Err(Halt::Leave) => {
                tracing::info!(%job, "an export is left to the next worker, or was removed");
                if *self.shutdown.borrow()
                    && let Err(error) = self.store.give_back_export(&self.lease).await
                {
                    tracing::warn!(%job, error = &error as &dyn Error, "an export could not be given back; it is free when its lease ends");
                }
            }
            Err(Halt::Failed(error)) => {
                tracing::error!(%job, error = &error as &dyn Error, "an export failed; its owner starts another once the cause is mended");
                let cause = chain(&error);
                if let Err(Halt::Failed(error)) = self.persist(|| self.store.finish_export(&self.lease, JobEvent::Fail, Some(&cause))).await
                {
                    // It is claimed again when its lease has ended.
                    tracing::error!(%job, error = &error as &dyn Error, "the failure of an export could not be recorded");
                }
            }
        }
    }

    async fn plan(&self) -> Result<(), Halt> {
        for task in self.persist(|| self.store.begin_export(&self.lease)).await? {
            let part = self.persist(|| self.store.plan_export(&self.lease, task, self.options.export_file));
            unless_down(&self.shutdown, part).await?;
        }
        self.persist(|| self.store.finish_export(&self.lease, JobEvent::Complete, None)).await.map(drop)
    }

    async fn persist<T, F: Future<Output = Result<T, StoreError>>>(&self, step: impl Fn() -> F) -> Result<T, Halt> {
        persist(self.lease.job_id, self.options.attempts, &self.shutdown, step).await
    }
}
