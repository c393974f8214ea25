//! Batches: claimed one by one, each removed in one transaction (INV-1, INV-2).

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{BatchState, JobState, Lease, UnknownBatchState};
use lethe_purge::Seq;
use lethe_store::{BatchOutcome, ClaimedBatch, JobId, NextBatch, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Result, companions, digests::Digests, held, job::JobRow, listed, plan::BatchKind, recorded, removed};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    holds,
    resources::add_to_total,
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
const SELECT_IDS: &str = include_str!("../../sql/purge/target_ids.sql");
const DELETE_EARLIER: &str = include_str!("../../sql/purge/delete_earlier_versions.sql");
const DELETE_CURRENT: &str = include_str!("../../sql/purge/delete_current_versions.sql");
const DELETE_DELETIONS: &str = include_str!("../../sql/purge/delete_current_deletions.sql");
const DELETE_PROVENANCE_TARGETS: &str = include_str!("../../sql/purge/delete_provenance_targets.sql");

pub(super) async fn claim(store: &SqliteStore, lease: Lease<JobId>) -> Result<NextBatch> {
    let now = store.clock.now();
    store.write_under(lease, move |tx, job| next(tx, job, now)).await
}

fn next(tx: &Transaction<'_>, job: &JobRow, now: Instant) -> crate::error::Result<NextBatch> {
    if job.job.state == JobState::Canceling {
        return Ok(NextBatch::Canceled);
    }
    for kind in [BatchKind::Targets, BatchKind::Listed, BatchKind::Recorded] {
        if let Some(next) = next_of(tx, job, kind, now)? {
            return Ok(next);
        }
    }
    if tx.prepare_cached(HAS_FAILED_TARGETS)?.query_row([job.number], |row| row.get(0))? {
        tx.prepare_cached(FAIL_WAITING_COMPANIONS)?.execute([job.number])?;
        return Ok(NextBatch::Drained);
    }
    Ok(next_of(tx, job, BatchKind::Companions, now)?.unwrap_or(NextBatch::Drained))
}

/// Claims a batch of this kind, or says when one can be claimed; `None` if none is left.
fn next_of(tx: &Transaction<'_>, job: &JobRow, kind: BatchKind, now: Instant) -> crate::error::Result<Option<NextBatch>> {
    let ready = tx
        .prepare_cached(SELECT_NEXT)?
        .query_row(params![job.number, kind.stored(), InstantColumn(now), InstantColumn(now.plus_ms(WAIT_MAX_MS))], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u32>(1)?))
        })
        .optional()?;
    if let Some((batch, attempts)) = ready {
        if kind == BatchKind::Companions && !job.companions_prepared {
            return Ok(Some(NextBatch::PrepareCompanions));
        }
        tx.prepare_cached(CLAIM)?.execute(params![job.number, batch])?;
        return Ok(Some(NextBatch::Run(ClaimedBatch { batch, attempts: attempts + 1 })));
    }
    let earliest: Option<InstantColumn> =
        tx.prepare_cached(SELECT_EARLIEST)?.query_row(params![job.number, kind.stored()], |row| row.get(0))?;
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

/// What one batch removed.
#[derive(Default)]
pub(super) struct Removed {
    /// Resources whose current version had content.
    pub(super) live: u64,
    /// Resources whose current version was a FHIR delete.
    pub(super) deletions: u64,
    /// Resources that were found to be on hold, and were not when the plan was made.
    pub(super) held: u64,
    /// What they were called.
    pub(super) digests: Digests,
    /// The places of all their versions.
    pub(super) seqs: Vec<Seq>,
    /// Whether what leads to them by id and by index values went, too, so that nobody has to sweep for it.
    pub(super) index_removed: bool,
}

pub(super) async fn purge(store: &SqliteStore, lease: Lease<JobId>, batch: ClaimedBatch) -> Result<BatchOutcome> {
    // Taken before the lock: a hold that ends in between still holds.
    let now = store.clock.now();
    store.write_under(lease, move |tx, job| purge_in(tx, job, batch, now)).await
}

fn purge_in(tx: &Transaction<'_>, job: &JobRow, batch: ClaimedBatch, now: Instant) -> crate::error::Result<BatchOutcome> {
    let (kind, row, planned, state, held_before) = tx.prepare_cached(SELECT_BATCH)?.query_row(params![job.number, batch.batch], |row| {
        let place = BatchRow {
            account_id: AccountId(row.get(1)?),
            resource_type: row.get::<_, TypeColumn>(2)?.0,
            first_seq: row.get::<_, SeqColumn>(3)?.0,
            last_seq: row.get::<_, SeqColumn>(4)?.0,
        };
        Ok((row.get::<_, String>(0)?, place, row.get::<_, u64>(5)?, row.get::<_, String>(6)?, row.get::<_, u64>(7)?))
    })?;
    let state: BatchState = state.parse().map_err(|unknown: UnknownBatchState| StoreError::NotUnderstood(unknown.to_string()))?;
    if state != BatchState::Running {
        return Err(StoreError::LeaseLost.into());
    }
    let removed = match kind.as_str() {
        "targets" => remove_targets(tx, job, row, now)?,
        "listed" => listed::remove_targets(tx, job, row, now)?,
        "companions" => companions::remove(tx, job, row, now)?,
        "recorded" => recorded::remove(tx, job, batch.batch)?,
        _ => return Err(StoreError::NotUnderstood(format!("purge_batch.kind = '{kind}'")).into()),
    };
    if row.resource_type == ResourceType::PROVENANCE {
        tx.prepare_cached(DELETE_PROVENANCE_TARGETS)?.execute(params![
            row.account_id.0,
            TypeColumn(row.resource_type),
            SeqColumn(row.first_seq),
            SeqColumn(row.last_seq)
        ])?;
    }
    // What is removed again is on record.
    if kind != BatchKind::Recorded.stored() {
        removed::note(tx, job.number, &row, &removed.seqs)?;
    }
    if removed.live > 0 {
        add_to_total(tx, row.account_id, row.resource_type, -(removed.live as i64))?;
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
    let digest_root = removed.digests.store(tx, job.number, batch.batch)?;
    let versions = removed.seqs.len() as u64;
    tx.prepare_cached(SETTLE)?.execute(params![
        job.number,
        batch.batch,
        deleted,
        spared,
        held,
        versions,
        digest_root,
        removed.index_removed
    ])?;
    Ok(BatchOutcome { deleted, spared, held })
}

fn remove_targets(tx: &Transaction<'_>, job: &JobRow, row: BatchRow, now: Instant) -> crate::error::Result<Removed> {
    // Nobody can set a hold before this transaction has ended: what is not found here goes.
    let in_force = holds::in_force(tx, row.account_id, now)?;
    let on_hold = held::held_in_range(tx, job, &in_force, row)?;
    let held = held::note(tx, job, row.account_id, row.resource_type, &on_hold)?;
    let selection = &job.job.selection;
    let (account, type_id) = (row.account_id.0, TypeColumn(row.resource_type));
    // OK because ranges are cut below the watermark; this holds a damaged plan to INV-1 as well.
    let last_seq = SeqColumn(row.last_seq.min(job.job.watermark));
    let (first_seq, before) = (SeqColumn(row.first_seq), selection.before.map(InstantColumn));
    let range = params![account, type_id, first_seq, last_seq, before, selection.include_deleted, job.number];
    let mut digests = Digests::of(tx, job.number, row.account_id, row.resource_type, SELECT_IDS, range)?;
    let mut seqs = digests.take_seqs();
    seqs.extend(removed::seqs(tx, DELETE_EARLIER, range)?);
    let current = params![account, type_id, first_seq, last_seq, before, job.number];
    let live = tx.prepare_cached(DELETE_CURRENT)?.execute(current)? as u64;
    let deletions = if selection.include_deleted { tx.prepare_cached(DELETE_DELETIONS)?.execute(current)? as u64 } else { 0 };
    Ok(Removed { live, deletions, held, digests, seqs, index_removed: false })
}

pub(super) async fn fail(
    store: &SqliteStore,
    lease: Lease<JobId>,
    batch: ClaimedBatch,
    cause: String,
    retry_at: Option<Instant>,
) -> Result<()> {
    let (state, not_before_ms) = match retry_at {
        Some(instant) => (BatchState::Pending, instant.as_unix_ms()),
        None => (BatchState::Failed, 0),
    };
    store
        .write_under(lease, move |tx, job| {
            tx.prepare_cached(FAIL)?.execute(params![job.number, batch.batch, state.stored(), cause, not_before_ms])?;
            Ok(())
        })
        .await
}
