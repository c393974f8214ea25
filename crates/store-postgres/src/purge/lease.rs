//! Who works for a job: claims, renewals, the check that every write of a worker begins with (INV-3), and the rest that it ends with.

use std::{
    future::Future,
    time::{Duration, Instant as Moment},
};

use lethe_jobs::Lease;
use lethe_purge::{Phase, plan::BatchLimits};
use lethe_store::{ClaimedBatch, ClaimedPurge, JobId, StoreError};

use super::{
    Result,
    job::{self, JobRow},
    plan,
};
use crate::{
    PostgresStore, bulk, claim,
    columns::{InstantColumn, NumberColumn},
    connections::Durability,
    lease_times::LeaseTimes,
    transaction::Tx,
};

const RELEASE: &str = include_str!("../../sql/purge/release_leases.sql");
const CLAIM: &str = include_str!("../../sql/purge/claim_job.sql");
const REQUEUE_RUNNING: &str = include_str!("../../sql/purge/requeue_running_batches.sql");
const RENEW: &str = include_str!("../../sql/purge/renew_lease.sql");
const GIVE_BACK: &str = include_str!("../../sql/purge/give_back_job.sql");
const HOLD_BATCH: &str = include_str!("../../sql/purge/hold_batch.sql");

/// Steps that take longer than this are told in the log.
const LONG_STEP: Duration = Duration::from_millis(50);

pub(super) async fn release_all(store: &PostgresStore) -> Result<()> {
    let now = store.clock.now();
    let work = |tx: Tx| async move {
        tx.execute(RELEASE, &[]).await?;
        bulk::release_all(&tx, now).await
    };
    Ok(store.connections.write(Durability::OnDisk, work).await?)
}

pub(super) async fn claim(store: &PostgresStore) -> Result<Option<ClaimedPurge>> {
    let times = store.lease_times();
    Ok(store.work.write(Durability::OnDisk, |tx| claim_in(tx, times)).await?)
}

async fn claim_in(tx: Tx, times: LeaseTimes) -> crate::error::Result<Option<ClaimedPurge>> {
    let Some((number, fence)) = claim::oldest(&tx, CLAIM, times).await? else { return Ok(None) };
    // A statement of its own: it finds also what was claimed while the one before waited for the job's row.
    requeue_running(&tx, number).await?;
    let job = job::job(&tx, number).await?;
    Ok(Some(ClaimedPurge { lease: Lease { job_id: job.job_id, fence }, job }))
}

/// Renews the lease and reads the job, or fails with `LeaseLost`, before anything else of the transaction happens.
pub(super) async fn hold(tx: &Tx, lease: Lease<JobId>, times: LeaseTimes) -> crate::error::Result<JobRow> {
    let (ends, now) = (InstantColumn(times.ends), InstantColumn(times.now));
    let renewed = tx.row_if_any(RENEW, &[&lease.job_id, &NumberColumn(lease.fence.0), &ends, &now]).await?;
    match renewed {
        Some(row) => job::row(tx, row.try_get(0)?).await,
        None => Err(StoreError::LeaseLost.into()),
    }
}

/// Holds a batch, or fails with `LeaseLost`, before anything else of the transaction happens: nobody can claim it or take it back from then on. The
/// job's row is left to others, so that batches of a job run at the same time.
async fn hold_batch(tx: &Tx, lease: Lease<JobId>, batch: ClaimedBatch, times: LeaseTimes) -> crate::error::Result<JobRow> {
    let (fence, number, attempts) = (NumberColumn(lease.fence.0), NumberColumn(batch.batch), NumberColumn(batch.attempts.into()));
    match tx.row_if_any(HOLD_BATCH, &[&lease.job_id, &fence, &number, &attempts, &InstantColumn(times.ends)]).await? {
        Some(row) => {
            // What a crash of the database takes back of it would be nobody's until its lease ends; what the job's own worker runs is his again at once.
            if row.try_get(1)? {
                tx.run("set local synchronous_commit = on").await?;
            }
            job::row(tx, row.try_get(0)?).await
        }
        None => Err(StoreError::LeaseLost.into()),
    }
}

/// Puts back in line what was claimed and has not committed; waits for what is about to. Attempts stay counted (INV-6).
async fn requeue_running(tx: &Tx, job: i64) -> crate::error::Result<()> {
    tx.execute(REQUEUE_RUNNING, &[&job]).await?;
    Ok(())
}

/// As [`lethe_store::PurgeWork::give_back_purge`]. Whoever has it by now keeps it.
pub(super) async fn give_back(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    let give_back = |tx: Tx| async move { tx.execute(GIVE_BACK, &[&lease.job_id, &NumberColumn(lease.fence.0)]).await.map(drop) };
    Ok(store.work.write(Durability::InOrder, give_back).await?)
}

/// As [`lethe_store::PurgeWork::withdraw_batches`].
pub(super) async fn withdraw_batches(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    store
        .write_under(lease, |tx, job| async move {
            requeue_running(&tx, job.number).await?;
            // Nobody claims any: what is removed from now on would be forgotten with what is on record.
            if job.job.phase == Phase::Execute { plan::set_phase(&tx, job.number, Phase::Settle).await } else { Ok(()) }
        })
        .await
}

impl PostgresStore {
    /// One view of a worker, which keeps nobody waiting but for the processor; then rests as the pace asks.
    pub(super) async fn read_gently<T, F, Done>(&self, work: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        let began = Moment::now();
        let done = self.work.read(work).await?;
        self.rest_after(began.elapsed()).await;
        Ok(done)
    }

    /// One transaction of a worker: holds the lease, then does `work`; then rests as the pace asks.
    pub(super) async fn write_under<T, F, Done>(&self, lease: Lease<JobId>, work: F) -> Result<T>
    where
        F: Fn(Tx, JobRow) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        let times = self.lease_times();
        self.write_step(|tx| async move { hold(&tx, lease, times).await }, work).await
    }

    /// One transaction over a batch: holds the batch, then does `work`; then rests as the pace asks.
    pub(super) async fn write_batch<T, F, Done>(&self, lease: Lease<JobId>, batch: ClaimedBatch, work: F) -> Result<T>
    where
        F: Fn(Tx, JobRow) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        let times = self.lease_times();
        self.write_step(|tx| async move { hold_batch(&tx, lease, batch, times).await }, work).await
    }

    async fn write_step<T, H, Holding, F, Done>(&self, hold: H, work: F) -> Result<T>
    where
        H: Fn(Tx) -> Holding,
        Holding: Future<Output = crate::error::Result<JobRow>>,
        F: Fn(Tx, JobRow) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        let (hold, work) = (&hold, &work);
        let step = |tx: Tx| async move {
            let began = Moment::now();
            let job = hold(tx.clone()).await?;
            Ok((began, work(tx, job).await?))
        };
        let (began, done) = self.work.write(Durability::InOrder, step).await?;
        let took = began.elapsed();
        if took > LONG_STEP {
            tracing::debug!(ms = took.as_millis(), "a step of a purge took long; kick-offs of its account waited for it");
        }
        self.rest_after(took).await;
        Ok(done)
    }

    /// One chunk of a longer pass: `work` gets how much it may do if `full` is what a quick machine does in some 15 ms, and says where the next
    /// chunk begins.
    pub(super) async fn write_chunk<K, F, Done>(&self, lease: Lease<JobId>, full: u64, work: F) -> Result<(u64, Option<K>)>
    where
        F: Fn(Tx, u64) -> Done,
        Done: Future<Output = crate::error::Result<(u64, Option<K>)>>,
    {
        let (pace, work) = (&self.pace, &work);
        self.write_under(lease, |tx, _| async move {
            let began = Moment::now();
            let (done, next) = work(tx, pace.scaled(full)).await?;
            if next.is_some() {
                pace.record_full_step(began.elapsed());
            }
            Ok((done, next))
        })
        .await
    }

    /// What batches may hold, by what steps took lately.
    pub(super) fn paced(&self, limits: BatchLimits) -> BatchLimits {
        let (targets, bytes) = (self.pace.scaled(limits.batch_targets_max), self.pace.scaled(limits.batch_bytes_max));
        BatchLimits { batch_targets_max: targets, batch_bytes_max: bytes }
    }

    /// Gives live calls the time that the pace asks for.
    pub(super) async fn rest_after(&self, step: Duration) {
        let rest = self.pace.rest_after(step);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    /// Renews the lease between steps that only read.
    pub(super) async fn renew(&self, lease: Lease<JobId>) -> Result<JobRow> {
        self.write_under(lease, |_, job| async move { Ok(job) }).await
    }
}
