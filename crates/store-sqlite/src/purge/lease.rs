//! Who works for a job: claims, renewals, the check that every write of a worker begins with (INV-3), and the rest that it ends with.

use std::time::{Duration, Instant as Moment};

use lethe_fhir::Instant;
use lethe_jobs::{Fence, JobEvent, JobState, Lease};
use lethe_purge::plan::BatchLimits;
use lethe_store::{ClaimedPurge, JobId, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Result,
    job::{self, JobRow},
};
use crate::{SqliteStore, bulk, columns::InstantColumn, connections::Durability, long_statements::gently};

const RELEASE: &str = include_str!("../../sql/purge/release_leases.sql");
const SELECT_CLAIMABLE: &str = include_str!("../../sql/purge/claimable_job.sql");
const CLAIM: &str = include_str!("../../sql/purge/claim_job.sql");
const REQUEUE_RUNNING: &str = include_str!("../../sql/purge/requeue_running_batches.sql");
const RENEW: &str = include_str!("../../sql/purge/renew_lease.sql");

/// Steps that take longer than this are told in the log.
const LONG_STEP: Duration = Duration::from_millis(50);
/// How long a worker may be silent before another may take its job, in milliseconds. Each step renews it.
const LEASE_MS: i64 = 300_000;

pub(super) async fn release_all(store: &SqliteStore) -> Result<()> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |tx| -> std::result::Result<(), StoreError> {
            tx.execute(RELEASE, []).map_err(crate::error::store_error)?;
            Ok(bulk::release_all(tx, now)?)
        })
        .await
}

pub(super) async fn claim(store: &SqliteStore) -> Result<Option<ClaimedPurge>> {
    let now = store.clock.now();
    // Looking costs no lock: only when there is something to claim is the writer asked for.
    if store.connections.read(move |tx| claimable(tx, now)).await?.is_none() {
        return Ok(None);
    }
    store.connections.write(Durability::OnDisk, move |tx| -> std::result::Result<_, StoreError> { Ok(claim_one(tx, now)?) }).await
}

fn claimable(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<Option<(i64, String)>> {
    let mut statement = tx.prepare_cached(SELECT_CLAIMABLE)?;
    // A lease that ends later than any that is given now was given before the clock was set back.
    let latest = now.plus_ms(2 * LEASE_MS);
    Ok(statement.query_row([InstantColumn(now), InstantColumn(latest)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn claim_one(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<Option<ClaimedPurge>> {
    let Some((number, stored)) = claimable(tx, now)? else { return Ok(None) };
    let from = stored.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?;
    let to = from.transition(JobEvent::Claim).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = now.plus_ms(LEASE_MS);
    tx.prepare_cached(CLAIM)?.execute(params![number, from.stored(), to.stored(), InstantColumn(expires_on), InstantColumn(now)])?;
    // A batch that was running under the last lease did not commit: it is run again. Its attempt stays counted (INV-6).
    tx.prepare_cached(REQUEUE_RUNNING)?.execute([number])?;
    let fence = job::row(tx, number)?.fence;
    let job = job::job(tx, number)?;
    Ok(Some(ClaimedPurge { lease: Lease { job_id: job.job_id, fence: Fence(fence) }, job }))
}

/// Renews the lease and reads the job, or fails with `LeaseLost`, before anything else of the transaction happens.
pub(super) fn hold(tx: &Transaction<'_>, lease: Lease<JobId>, now: Instant) -> crate::error::Result<JobRow> {
    let expires_on = now.plus_ms(LEASE_MS);
    let number = tx
        .prepare_cached(RENEW)?
        .query_row(params![lease.job_id, lease.fence.0, InstantColumn(expires_on), InstantColumn(now)], |row| row.get(0))
        .optional()?;
    match number {
        Some(number) => job::row(tx, number),
        None => Err(StoreError::LeaseLost.into()),
    }
}

impl SqliteStore {
    /// One view of a worker, which keeps nobody waiting but for the processor; then rests as the pace asks.
    pub(super) async fn read_gently<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> crate::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (took, done) = self
            .connections
            .read(move |tx| {
                let began = Moment::now();
                let done = gently(|| work(tx))?;
                Ok((began.elapsed(), done))
            })
            .await?;
        self.rest_after(took).await;
        Ok(done)
    }

    /// One transaction of a worker: holds the lease, then does `work`; then rests as the pace asks.
    pub(super) async fn write_under<T: Send + 'static>(
        &self,
        lease: Lease<JobId>,
        work: impl FnOnce(&Transaction<'_>, &JobRow) -> crate::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        let now = self.clock.now();
        let (began, done) = self
            .connections
            .write(Durability::InOrder, move |tx| -> std::result::Result<_, StoreError> {
                let began = Moment::now();
                let job = hold(tx, lease, now)?;
                Ok((began, gently(|| work(tx, &job))?))
            })
            .await?;
        let took = began.elapsed();
        if took > LONG_STEP {
            tracing::debug!(ms = took.as_millis(), "a step of a purge took long; writers waited for it");
        }
        self.rest_after(took).await;
        Ok(done)
    }

    /// One chunk of a longer pass: `work` gets how much it may do if `full` is what a quick machine does in some 15 ms, and says where the next
    /// chunk begins.
    pub(super) async fn write_chunk<K: Send + 'static>(
        &self,
        lease: Lease<JobId>,
        full: u64,
        work: impl FnOnce(&Transaction<'_>, u64) -> crate::error::Result<(u64, Option<K>)> + Send + 'static,
    ) -> Result<(u64, Option<K>)> {
        let pace = self.pace();
        self.write_under(lease, move |tx, _| {
            let began = Moment::now();
            let (done, next) = work(tx, pace.scaled(full))?;
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
        self.write_under(lease, |_, job| Ok(job.clone())).await
    }
}
