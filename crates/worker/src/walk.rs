//! The walk of one purge: plan → execute → settle → certify. Decisions are in `lethe-purge` and `lethe-jobs`, rows in the store.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use lethe_jobs::{JobEvent, JobState, Lease};
use lethe_purge::{
    Phase,
    certify::{Verdict, verdict},
};
use lethe_store::{
    CANCELED_BEFORE, Clock, FAILED_BEFORE, JobId, NextBatch, PurgeEnd, PurgeJob, PurgeJournal, SharedIssuer, Store, StoreError,
};
use tokio::sync::{Notify, watch};

use crate::{
    WorkerOptions,
    batch::Batches,
    step::{Halt, chain, pause, persist, unless_down},
};

/// One claimed job.
pub(crate) struct Walk {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) issuer: SharedIssuer,
    pub(crate) options: WorkerOptions,
    pub(crate) journal: Option<Arc<dyn PurgeJournal>>,
    /// How the job ended before, if it is carried out again.
    pub(crate) again: Option<JobEvent>,
    pub(crate) lease: Lease<JobId>,
    pub(crate) job: PurgeJob,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// Wakes who can share the batches.
    pub(crate) wake: Arc<Notify>,
}

/// The longest wait before a failure that could not be recorded is recorded again, in milliseconds.
const FAILURE_PAUSE_MAX_MS: u64 = 2_000;

/// How often a plan looks whether its job was canceled.
const CANCEL_LOOK: Duration = Duration::from_millis(250);

/// How the last batch left the job.
#[derive(Clone, Copy, PartialEq)]
enum Drained {
    AllTried,
    Canceled,
}

impl Walk {
    /// Walks the job as far as it goes.
    pub(crate) async fn run(mut self) {
        tracing::info!(job = %self.job.job_id, phase = self.job.phase.stored(), "a purge job is taken up");
        match self.phases().await {
            Ok(job) => {
                let counts = job.totals();
                tracing::info!(
                    job = %job.job_id,
                    status = job.state.status(),
                    planned = counts.planned,
                    deleted = counts.deleted,
                    spared = counts.spared,
                    failed = counts.failed,
                    "a purge job has ended"
                );
            }
            Err(Halt::Leave) => {
                tracing::info!(job = %self.job.job_id, "a purge job is left to the next worker");
                if *self.shutdown.borrow()
                    && let Err(error) = self.store.give_back_purge(&self.lease).await
                {
                    tracing::warn!(job = %self.job.job_id, error = &error as &dyn Error, "a job could not be given back; it is free when its lease ends");
                }
            }
            Err(Halt::Failed(error)) => {
                tracing::error!(job = %self.job.job_id, error = &error as &dyn Error, "a purge job failed; PUT retries it once the cause is mended");
                self.record_failure(&chain(&error)).await;
            }
        }
    }

    /// Ends the job as failed, however long that takes: what kept a step from being done, a full disk for one, keeps this from being stored, too.
    async fn record_failure(&self, cause: &str) {
        if let Err(error) = self.put_on_record(JobEvent::Fail).await {
            tracing::error!(job = %self.job.job_id, error = &error as &dyn Error, "what a purge job removed could not be put on record; its retry or the next start does it");
        }
        let mut end = PurgeEnd::without_probe(JobEvent::Fail, Some(cause), false);
        loop {
            match self.store.finish_purge(&self.lease, &end, &self.issuer).await {
                Ok(_) | Err(StoreError::LeaseLost) => return,
                Err(error) => {
                    tracing::error!(job = %self.job.job_id, error = &error as &dyn Error, "the failure of a purge job could not be recorded; it is tried again");
                    let job = self.store.purge_job(&self.job.owner, self.job.job_id).await;
                    if job.is_ok_and(|job| job.is_some_and(|job| job.state == JobState::Canceling)) {
                        end.event = JobEvent::Stop;
                    }
                    if self.pause(self.options.attempts.backoff_max_ms.clamp(1, FAILURE_PAUSE_MAX_MS)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn phases(&mut self) -> Result<PurgeJob, Halt> {
        let is_canceling = self.job.state == JobState::Canceling;
        if self.job.phase == Phase::Plan && !is_canceling {
            self.plan().await?;
        }
        let drained = if self.job.phase <= Phase::Execute { self.execute().await? } else { Drained::AllTried };
        self.enter(Phase::Settle).await?;
        self.settle().await?;
        if drained == Drained::Canceled || is_canceling {
            return self.finish(PurgeEnd::without_probe(JobEvent::Stop, None, true)).await;
        }
        self.enter(Phase::Certify).await?;
        self.certify().await
    }

    async fn plan(&self) -> Result<(), Halt> {
        // The whole phase is begun anew after an error, and by the next worker: a plan is sealed or it is nothing.
        let plan = self.persist(|| async {
            for account_id in self.store.begin_plan(&self.lease).await? {
                self.store.plan_targets(&self.lease, account_id, self.options.batch).await?;
                self.store.plan_companions(&self.lease, account_id, self.options.batch).await?;
            }
            self.store.seal_plan(&self.lease).await
        });
        tokio::select! {
            done = unless_down(&self.shutdown, plan) => done,
            // What is planned of it by then is withdrawn like any batch that has not begun.
            () = self.canceled() => Ok(()),
        }
    }

    /// Comes to an end when somebody has canceled the job. A look that fails is left to the step that goes on meanwhile.
    async fn canceled(&self) {
        loop {
            tokio::time::sleep(CANCEL_LOOK).await;
            let job = self.store.purge_job(&self.job.owner, self.job.job_id).await;
            if job.is_ok_and(|job| job.is_some_and(|job| job.state == JobState::Canceling)) {
                return;
            }
        }
    }

    async fn execute(&mut self) -> Result<Drained, Halt> {
        self.wake.notify_one();
        let batches = Batches {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            options: self.options,
            shutdown: self.shutdown.clone(),
        };
        loop {
            match self.persist(|| self.store.claim_batch(&self.lease)).await? {
                NextBatch::Run(batch) => batches.run(self.lease, batch).await?,
                NextBatch::PrepareCompanions => self.persist(|| self.store.prepare_companions(&self.lease)).await?,
                NextBatch::WaitUntil(instant) => {
                    let wait_ms = instant.as_unix_ms().saturating_sub(self.clock.now().as_unix_ms());
                    // Not longer than the longest back-off, even if the clock was set back; and often enough to notice a cancel.
                    let wait_ms = wait_ms.clamp(1, self.options.poll_interval_ms as i64) as u64;
                    self.pause(wait_ms).await?;
                }
                NextBatch::Drained => return Ok(Drained::AllTried),
                NextBatch::Canceled => {
                    self.persist(|| self.store.withdraw_batches(&self.lease)).await?;
                    return Ok(Drained::Canceled);
                }
            }
            self.leave_if_down()?;
        }
    }

    async fn settle(&self) -> Result<(), Halt> {
        let tasks = self.persist(|| self.store.sweep_tasks(&self.lease)).await?;
        for task in &tasks {
            unless_down(&self.shutdown, self.persist(|| self.store.sweep(&self.lease, *task))).await?;
        }
        // Also when nothing was removed: what was asked for, and has been forgotten, is in the files as well.
        self.persist(|| self.store.erase(&self.lease)).await
    }

    async fn certify(&self) -> Result<PurgeJob, Halt> {
        let residue = unless_down(&self.shutdown, self.persist(|| self.store.probe(&self.lease))).await?;
        let job = self.persist(|| self.store.purge_job(&self.job.owner, self.job.job_id)).await?.ok_or(Halt::Leave)?;
        let (event, failure) = match verdict(&job.totals(), &residue) {
            _ if job.state == JobState::Canceling => (JobEvent::Stop, None),
            Verdict::Successful => self.ending().await?,
            Verdict::Failed(why) => (JobEvent::Fail, Some(why)),
        };
        self.finish(PurgeEnd { event, failure, is_settled: true, probe: Some(residue) }).await
    }

    /// The end of a job that has done everything. One that is carried out again has done what it had done before, and that was not all of it.
    async fn ending(&self) -> Result<(JobEvent, Option<String>), Halt> {
        match self.again {
            Some(JobEvent::Fail) => Ok((JobEvent::Fail, Some(FAILED_BEFORE.to_owned()))),
            Some(JobEvent::Stop) => {
                self.persist(|| self.store.cancel_purge(&self.job.owner, self.job.job_id)).await?;
                Ok((JobEvent::Stop, Some(CANCELED_BEFORE.to_owned())))
            }
            Some(JobEvent::Claim | JobEvent::Cancel | JobEvent::Retry | JobEvent::Complete) | None => Ok((JobEvent::Complete, None)),
        }
    }

    /// Puts what the job removed on record outside of the database, so that no older copy brings it back. Before the end of the job is stored:
    /// nobody may be told of an end that a copy could undo.
    async fn put_on_record(&self, event: JobEvent) -> Result<(), StoreError> {
        // What is removed behind the record would not be on it: if the job failed in the middle, others may be at batches of it.
        self.store.withdraw_batches(&self.lease).await?;
        let mark = match &self.journal {
            Some(journal) => Some(journal.record(self.store.as_ref(), &self.job, event).await?),
            None => None,
        };
        self.store.forget_parts(&self.lease, mark).await
    }

    async fn finish(&self, end: PurgeEnd) -> Result<PurgeJob, Halt> {
        self.persist(|| self.put_on_record(end.event)).await?;
        match self.store.finish_purge(&self.lease, &end, &self.issuer).await {
            Ok(job) => Ok(job),
            Err(StoreError::LeaseLost) => Err(Halt::Leave),
            // A cancel that came after the last look is taken now; anything else is tried as often as any step.
            Err(StoreError::Unavailable(_)) if end.event != JobEvent::Stop && self.is_canceling().await? => {
                let stop = PurgeEnd { event: JobEvent::Stop, failure: None, ..end };
                self.persist(|| self.store.finish_purge(&self.lease, &stop, &self.issuer)).await
            }
            Err(_) => self.persist(|| self.store.finish_purge(&self.lease, &end, &self.issuer)).await,
        }
    }

    async fn is_canceling(&self) -> Result<bool, Halt> {
        let job = self.persist(|| self.store.purge_job(&self.job.owner, self.job.job_id)).await?;
        Ok(job.is_some_and(|job| job.state == JobState::Canceling))
    }

    async fn enter(&self, phase: Phase) -> Result<(), Halt> {
        self.persist(|| self.store.enter_phase(&self.lease, phase)).await
    }

    async fn persist<T, F: Future<Output = Result<T, StoreError>>>(&self, step: impl Fn() -> F) -> Result<T, Halt> {
        persist(self.lease.job_id, self.options.attempts, &self.shutdown, step).await
    }

    async fn pause(&self, wait_ms: u64) -> Result<(), Halt> {
        pause(wait_ms, &self.shutdown).await
    }

    fn leave_if_down(&self) -> Result<(), Halt> {
        if *self.shutdown.borrow() { Err(Halt::Leave) } else { Ok(()) }
    }
}
