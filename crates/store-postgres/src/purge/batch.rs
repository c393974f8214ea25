//! Batches: claimed one by one, each removed in one transaction (INV-1, INV-2).

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{BatchState, JobState, Lease, UnknownBatchState};
use lethe_purge::Seq;
use lethe_store::{BatchOutcome, ClaimedBatch, JobId, NextBatch, StoreError};

use super::{
    Result, companions, held,
    job::JobRow,
    listed,
    plan::BatchKind,
    recorded,
    removed::{self, Removed},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, SeqColumn, TypeColumn, number, seq, small_number},
    holds,
    resources::{add_to_total, lock_account},
    transaction::{Tx, Values},
};

/// A batch that is to wait longer than this was told so before the clock was set back: it waits no more.
const WAIT_MAX_MS: i64 = 3_600_000;

const SELECT_NEXT: &str = include_str!("../../sql/purge/next_pending_batch.sql");
const SELECT_EARLIEST: &str = include_str!("../../sql/purge/earliest_pending_batch.sql");
const CLAIM: &str = include_str!("../../sql/purge/claim_batch.sql");
const HAS_FAILED_TARGETS: &str = include_str!("../../sql/purge/has_failed_targets.sql");
const FAIL_WAITING_COMPANIONS: &str = include_str!("../../sql/purge/fail_waiting_companions.sql");
const SELECT_BATCH: &str = include_str!("../../sql/purge/batch_row.sql");
const SETTLE: &str = include_str!("../../sql/purge/settle_batch.sql");
const FAIL: &str = include_str!("../../sql/purge/fail_batch.sql");
const DELETE_CURRENT: &str = include_str!("../../sql/purge/delete_current_versions.sql");
const DELETE_PROVENANCE_TARGETS: &str = include_str!("../../sql/purge/delete_provenance_targets.sql");

pub(super) async fn claim(store: &PostgresStore, lease: Lease<JobId>) -> Result<NextBatch> {
    let now = store.clock.now();
    store.write_under(lease, |tx, job| async move { next(&tx, &job, now).await }).await
}

async fn next(tx: &Tx, job: &JobRow, now: Instant) -> crate::error::Result<NextBatch> {
    if job.job.state == JobState::Canceling {
        return Ok(NextBatch::Canceled);
    }
    for kind in [BatchKind::Targets, BatchKind::Listed, BatchKind::Recorded] {
        if let Some(next) = next_of(tx, job, kind, now).await? {
            return Ok(next);
        }
    }
    if tx.row(HAS_FAILED_TARGETS, &[&job.number]).await?.try_get(0)? {
        tx.execute(FAIL_WAITING_COMPANIONS, &[&job.number]).await?;
        return Ok(NextBatch::Drained);
    }
    Ok(next_of(tx, job, BatchKind::Companions, now).await?.unwrap_or(NextBatch::Drained))
}

/// Claims a batch of this kind, or says when one can be claimed; `None` if none is left.
async fn next_of(tx: &Tx, job: &JobRow, kind: BatchKind, now: Instant) -> crate::error::Result<Option<NextBatch>> {
    let latest = InstantColumn(now.plus_ms(WAIT_MAX_MS));
    if let Some(row) = tx.row_if_any(SELECT_NEXT, &[&job.number, &kind.stored(), &InstantColumn(now), &latest]).await? {
        let (batch, attempts) = (number(&row, 0)?, small_number(&row, 1)?);
        if kind == BatchKind::Companions && !job.companions_prepared {
            return Ok(Some(NextBatch::PrepareCompanions));
        }
        tx.execute(CLAIM, &[&job.number, &NumberColumn(batch)]).await?;
        return Ok(Some(NextBatch::Run(ClaimedBatch { batch, attempts: attempts + 1 })));
    }
    let earliest: Option<InstantColumn> = tx.row(SELECT_EARLIEST, &[&job.number, &kind.stored()]).await?.try_get(0)?;
    Ok(earliest.map(|instant| NextBatch::WaitUntil(instant.0)))
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
    store.write_under(lease, |tx, job| async move { purge_in(&tx, &job, batch, now).await }).await
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
    // Nobody writes to the account, and nobody sets a hold in it, until this transaction has ended.
    lock_account(tx, row.account_id).await?;
    let removed = match kind {
        "targets" => remove_targets(tx, job, row, now).await?,
        "listed" => listed::remove_targets(tx, job, row, now).await?,
        "companions" => companions::remove(tx, job, row, now).await?,
        "recorded" => recorded::remove(tx, job, batch.batch).await?,
        _ => return Err(StoreError::NotUnderstood(format!("purge_batch.kind = '{kind}'")).into()),
    };
    if row.resource_type == ResourceType::PROVENANCE {
        let (first, last) = (SeqColumn(row.first_seq), SeqColumn(row.last_seq));
        tx.execute(DELETE_PROVENANCE_TARGETS, &[&row.account_id.0, &TypeColumn(row.resource_type), &first, &last]).await?;
    }
    // What is removed again is on record.
    if kind != BatchKind::Recorded.stored() {
        removed::note(tx, job.number, &row, &removed.seqs).await?;
    }
    if removed.live > 0 {
        add_to_total(tx, row.account_id, row.resource_type, -(removed.live as i64)).await?;
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
        .write_under(lease, |tx, job| async move {
            tx.execute(FAIL, &[&job.number, &NumberColumn(batch.batch), &state.stored(), &cause, &not_before_ms]).await?;
            Ok(())
        })
        .await
}
