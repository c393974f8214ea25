//! Batches: claimed one by one, each removed in one transaction (INV-1, INV-2).

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{BatchState, Fence, JobState, Lease, UnknownBatchState};
use lethe_purge::{Phase, Seq};
use lethe_store::{BatchOutcome, ClaimedBatch, JobId, NextBatch, StoreError};

use super::{
    Result, companions, held,
    job::{self, JobRow},
    listed,
    plan::BatchKind,
    recorded,
    removed::{self, Removed},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, SeqColumn, TypeColumn, number, seq, small_number},
    connections::Durability,
    holds,
    lease_times::LeaseTimes,
    resources::{lock_account, lock_account_shared, take_from_total},
    transaction::{Tx, Values},
};

/// A batch that is to wait longer than this was told so before the clock was set back: it waits no more.
const WAIT_MAX_MS: i64 = 3_600_000;

const CLAIM_PENDING: &str = include_str!("../../sql/purge/claim_pending_batch.sql");
const CLAIM_ABANDONED: &str = include_str!("../../sql/purge/claim_abandoned_batch.sql");
const SELECT_EARLIEST: &str = include_str!("../../sql/purge/earliest_pending_batch.sql");
const HAS_RUNNING: &str = include_str!("../../sql/purge/has_running_batch.sql");
const SELECT_SHARED: &str = include_str!("../../sql/purge/shared_job.sql");
const GIVE_BACK: &str = include_str!("../../sql/purge/give_back_batch.sql");
const HAS_FAILED_TARGETS: &str = include_str!("../../sql/purge/has_failed_targets.sql");
const FAIL_WAITING_COMPANIONS: &str = include_str!("../../sql/purge/fail_waiting_companions.sql");
const SELECT_BATCH: &str = include_str!("../../sql/purge/batch_row.sql");
const SETTLE: &str = include_str!("../../sql/purge/settle_batch.sql");
const FAIL: &str = include_str!("../../sql/purge/fail_batch.sql");
const DELETE_CURRENT: &str = include_str!("../../sql/purge/delete_current_versions.sql");

/// A claim takes milliseconds, so whoever waits for longer waits for a step of the job's own worker, or for somebody who is silent. The worker that asks looks
/// for jobs of its own by the same loop, and keeps the job's row from others while it waits for the row of a batch.
const CLAIM_SHARED_WAIT: &str = "set local lock_timeout = '1s'";

/// Until batches that others run are looked at again.
const OTHERS_PAUSE_MS: i64 = 50;

pub(super) async fn claim(store: &PostgresStore, lease: Lease<JobId>) -> Result<NextBatch> {
    let times = store.lease_times();
    store.write_under(lease, |tx, job| async move { next(&tx, &job, Asking::Own, times).await }).await
}

pub(super) async fn claim_shared(store: &PostgresStore) -> Result<Option<(Lease<JobId>, ClaimedBatch)>> {
    let times = store.lease_times();
    let mut behind = 0_i64;
    loop {
        // Looking costs no lock.
        let look = |tx: Tx| async move {
            let row = tx.row_if_any(SELECT_SHARED, &[&InstantColumn(times.now), &behind]).await?;
            Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()?)
        };
        let Some(number) = store.work.read(look).await? else { return Ok(None) };
        match store.work.write(Durability::InOrder, |tx| claim_shared_of(tx, number, times)).await {
            Ok(Some(claimed)) => return Ok(Some(claimed)),
            // Others have what it had, or it waits for what they run; or somebody keeps its row for longer, and another job may have work meanwhile.
            Ok(None) => {}
            Err(error) if error.is_locked() => {}
            Err(error) => return Err(error.into()),
        }
        behind = number;
    }
}

async fn claim_shared_of(tx: Tx, number: i64, times: LeaseTimes) -> crate::error::Result<Option<(Lease<JobId>, ClaimedBatch)>> {
    tx.run(CLAIM_SHARED_WAIT).await?;
    // As the job's own worker claims, under the lock of its row: what is left, and whether somebody canceled it, changes for nobody meanwhile.
    let job = job::locked_row(&tx, number).await?;
    if job.job.state != JobState::Running || job.job.phase != Phase::Execute {
        return Ok(None);
    }
    let lease = Lease { job_id: job.job.job_id, fence: Fence(job.fence) };
    match next(&tx, &job, Asking::Other, times).await? {
        NextBatch::Run(batch) => Ok(Some((lease, batch))),
        NextBatch::WaitUntil(_) | NextBatch::PrepareCompanions | NextBatch::Drained | NextBatch::Canceled => Ok(None),
    }
}

/// Who asks for a batch.
#[derive(Clone, Copy, PartialEq)]
enum Asking {
    /// The worker that has the job.
    Own,
    /// One that shares its work.
    Other,
}

async fn next(tx: &Tx, job: &JobRow, asking: Asking, times: LeaseTimes) -> crate::error::Result<NextBatch> {
    if job.job.state == JobState::Canceling {
        return Ok(NextBatch::Canceled);
    }
    for kind in [BatchKind::Targets, BatchKind::Listed, BatchKind::Recorded] {
        if let Some(next) = next_of(tx, job, kind, asking, times).await? {
            return Ok(next);
        }
    }
    if tx.row(HAS_FAILED_TARGETS, &[&job.number]).await?.try_get(0)? {
        tx.execute(FAIL_WAITING_COMPANIONS, &[&job.number]).await?;
        return Ok(NextBatch::Drained);
    }
    Ok(next_of(tx, job, BatchKind::Companions, asking, times).await?.unwrap_or(NextBatch::Drained))
}

/// Claims a batch of this kind, or says when one can be claimed; `None` if all have their outcome.
async fn next_of(tx: &Tx, job: &JobRow, kind: BatchKind, asking: Asking, times: LeaseTimes) -> crate::error::Result<Option<NextBatch>> {
    // Asked first: what others run may end between two statements, and what they put back is found by the next.
    let is_running: bool = tx.row(HAS_RUNNING, &[&job.number, &kind.stored()]).await?.try_get(0)?;
    if kind == BatchKind::Companions && !job.companions_prepared && earliest(tx, job, kind).await?.is_some() {
        return Ok(Some(NextBatch::PrepareCompanions));
    }
    let (stored, now, ends, is_shared) = (kind.stored(), InstantColumn(times.now), InstantColumn(times.ends), asking == Asking::Other);
    let pending: Values<'_> = &[&job.number, &stored, &now, &InstantColumn(times.now.plus_ms(WAIT_MAX_MS)), &ends, &is_shared];
    let mut claimed = tx.row_if_any(CLAIM_PENDING, pending).await?;
    if claimed.is_none() && is_running {
        let abandoned: Values<'_> = &[&job.number, &stored, &now, &InstantColumn(times.latest), &ends, &is_shared];
        claimed = tx.row_if_any(CLAIM_ABANDONED, abandoned).await?;
    }
    if let Some(row) = claimed {
        return Ok(Some(NextBatch::Run(ClaimedBatch { batch: number(&row, 0)?, attempts: small_number(&row, 1)? })));
    }
    if is_running {
        return Ok(Some(NextBatch::WaitUntil(times.now.plus_ms(OTHERS_PAUSE_MS))));
    }
    Ok(earliest(tx, job, kind).await?.map(NextBatch::WaitUntil))
}

/// When the first batch of this kind that waits may be run; `None` if none waits.
async fn earliest(tx: &Tx, job: &JobRow, kind: BatchKind) -> crate::error::Result<Option<Instant>> {
    let instant: Option<InstantColumn> = tx.row(SELECT_EARLIEST, &[&job.number, &kind.stored()]).await?.try_get(0)?;
    Ok(instant.map(|instant| instant.0))
}

/// Where the targets of a batch lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchRow {
    pub(super) account_id: AccountId,
    pub(super) resource_type: ResourceType,
    pub(super) first_seq: Seq,
    pub(super) last_seq: Seq,
}

pub(super) async fn purge(store: &PostgresStore, lease: Lease<JobId>, batch: ClaimedBatch) -> Result<BatchOutcome> {
    // Taken before the lock: a hold that ends in between still holds.
    let now = store.clock.now();
    store.write_batch(lease, batch, |tx, job| async move { purge_in(&tx, &job, batch, now).await }).await
}

async fn purge_in(tx: &Tx, job: &JobRow, batch: ClaimedBatch, now: Instant) -> crate::error::Result<BatchOutcome> {
    let stored = tx.row(SELECT_BATCH, &[&job.number, &NumberColumn(batch.batch)]).await?;
    let kind: &str = stored.try_get(0)?;
    let row = BatchRow {
        account_id: AccountId(stored.try_get(1)?),
        resource_type: stored.try_get::<_, TypeColumn>(2)?.0,
        first_seq: seq(&stored, 3)?,
        last_seq: seq(&stored, 4)?,
    };
    let (planned, held_before) = (number(&stored, 5)?, number(&stored, 7)?);
    let state: &str = stored.try_get(6)?;
    let state: BatchState = state.parse().map_err(|unknown: UnknownBatchState| StoreError::NotUnderstood(unknown.to_string()))?;
    if state != BatchState::Running {
        return Err(StoreError::LeaseLost.into());
    }
    // Nobody sets a hold in the account until this transaction has ended. Others may write to it, and remove other batches of targets: a target that
    // one of them replaces first is none any more. Companions look at each other, and at everything that refers to them.
    let lock = match kind {
        "targets" | "listed" => lock_account_shared(tx, row.account_id).await?,
        _ => lock_account(tx, row.account_id).await?,
    };
    let removed = match kind {
        "targets" => remove_targets(tx, job, row, now).await?,
        "listed" => listed::remove_targets(tx, job, row, now).await?,
        "companions" => companions::remove(tx, job, row, now).await?,
        "recorded" => recorded::remove(tx, job, batch.batch).await?,
        _ => return Err(StoreError::NotUnderstood(format!("purge_batch.kind = '{kind}'")).into()),
    };
    // What is removed again is on record.
    if kind != BatchKind::Recorded.stored() {
        removed::note(tx, job.number, batch.batch, &row, &removed.seqs).await?;
    }
    let deleted = removed.live + removed.deletions;
    let held = held_before + removed.held;
    // The set can only shrink after kick-off: what was planned, is not on hold and is not removed here has been changed since.
    let spared = planned
        .checked_sub(deleted + held)
        .ok_or_else(|| StoreError::NotUnderstood(format!("batch {} would remove {deleted} and hold {held} of {planned}", batch.batch)))?;
    if removed.digests.count() != deleted {
        let text = format!("batch {} removed {deleted} resources and would prove {}", batch.batch, removed.digests.count());
        return Err(StoreError::NotUnderstood(text).into());
    }
    let versions = removed.seqs.len() as u64;
    let digest_root = removed.digests.store(tx, job.number, batch.batch).await?;
    let outcome: [NumberColumn; 4] = [deleted, spared, held, versions].map(NumberColumn);
    let root = digest_root.as_ref().map(|root| root.as_slice());
    let settled: Values<'_> = &[&job.number, &NumberColumn(batch.batch), &outcome[0], &outcome[1], &outcome[2], &outcome[3], &root];
    tx.execute(SETTLE, settled).await?;
    if deleted > 0 {
        take_from_total(tx, row.account_id, lock, row.resource_type, removed.live).await?;
    }
    Ok(BatchOutcome { deleted, spared, held })
}

async fn remove_targets(tx: &Tx, job: &JobRow, row: BatchRow, now: Instant) -> crate::error::Result<Removed> {
    // Nobody can set a hold before this transaction has ended: what is not found here goes.
    let in_force = holds::in_force(tx, row.account_id, now).await?;
    let on_hold = held::held_in_range(tx, job, &in_force, row).await?;
    let held = held::note(tx, job, row.account_id, row.resource_type, &on_hold).await?;
    let selection = &job.job.selection;
    let (account, type_id) = (row.account_id.0, TypeColumn(row.resource_type));
    // OK because ranges are cut below the watermark; this holds a damaged plan to INV-1 as well.
    let last_seq = SeqColumn(row.last_seq.min(job.job.watermark));
    let (first_seq, before) = (SeqColumn(row.first_seq), selection.before.map(InstantColumn));
    let range: Values<'_> = &[&account, &type_id, &first_seq, &last_seq, &before, &selection.include_deleted, &job.number];
    let removed = removed::remove(tx, job.number, row.account_id, row.resource_type, DELETE_CURRENT, range).await?;
    Ok(Removed { held, ..removed })
}

pub(super) async fn fail(
    store: &PostgresStore,
    lease: Lease<JobId>,
    batch: ClaimedBatch,
    cause: &str,
    retry_at: Option<Instant>,
) -> Result<()> {
    let (state, not_before_ms) = match retry_at {
        Some(instant) => (BatchState::Pending, instant.as_unix_ms()),
        None => (BatchState::Failed, 0),
    };
    store
        .write_batch(lease, batch, |tx, job| async move {
            tx.execute(FAIL, &[&job.number, &NumberColumn(batch.batch), &state.stored(), &cause, &not_before_ms]).await?;
            Ok(())
        })
        .await
}

pub(super) async fn give_back(store: &PostgresStore, lease: Lease<JobId>, batch: ClaimedBatch) -> Result<()> {
    let give_back = |tx: Tx, job: JobRow| async move { tx.execute(GIVE_BACK, &[&job.number, &NumberColumn(batch.batch)]).await.map(drop) };
    store.write_batch(lease, batch, give_back).await
}
