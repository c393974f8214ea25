//! The plan: batches as ranges, stored before the first deletion (INV-7).

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{BatchState, Lease};
use lethe_purge::{
    Phase, Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
};
use lethe_store::JobId;

use super::{
    Result,
    batch::BatchRow,
    held::{self, Held},
    job::JobRow,
    list_targets, listed,
    planner::Planner,
    question,
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, SeqColumn, TypeColumn, at_most, number, seq},
    holds,
    resources::{ACCOUNT_FIRST, DISORDER_MAX_MS, accounts_of, types_of},
    transaction::{Tx, Values},
};

const CLEAR_BATCHES: &str = include_str!("../../sql/purge/clear_batches.sql");
const CLEAR_HELD: &str = include_str!("../../sql/purge/clear_held.sql");
const CLEAR_MET_HOLDS: &str = include_str!("../../sql/purge/clear_met_holds.sql");
const SELECT_TARGETS: &str = include_str!("../../sql/purge/targets_of_type.sql");
const SELECT_SEQ_FROM_TIME: &str = include_str!("../../sql/purge/seq_from_time.sql");
const SELECT_LAST_BATCH: &str = include_str!("../../sql/purge/last_batch.sql");
const INSERT_BATCH: &str = include_str!("../../sql/purge/insert_batch.sql");
const SEAL: &str = include_str!("../../sql/purge/seal_plan.sql");
const SET_PHASE: &str = include_str!("../../sql/purge/set_phase.sql");

/// Targets read in one go: each go is one read transaction, so that none keeps old rows for long.
const SCAN_TARGETS_MAX: usize = 100_000;

/// What the targets of a batch are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchKind {
    /// The selection, within a range.
    Targets,
    /// The list of targets, within a range.
    Listed,
    /// The list of companions, within a range.
    Companions,
    /// A part of what a purge on record had removed.
    Recorded,
}

impl BatchKind {
    pub(super) fn stored(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Listed => "listed",
            Self::Companions => "companions",
            Self::Recorded => "recorded",
        }
    }
}

pub(super) async fn begin(store: &PostgresStore, lease: Lease<JobId>) -> Result<Vec<AccountId>> {
    // Whoever sealed it has not heard so: the plan stands.
    if store.renew(lease).await?.job.initialized_on.is_some() {
        return Ok(Vec::new());
    }
    listed::clear_gently(store, lease).await?;
    store
        .write_under(lease, |tx, job| async move {
            for clear in [CLEAR_BATCHES, CLEAR_HELD, CLEAR_MET_HOLDS] {
                tx.execute(clear, &[&job.number]).await?;
            }
            accounts_of(&tx, &job.job.owner, ACCOUNT_FIRST).await
        })
        .await
}

pub(super) async fn targets(planner: Planner<'_>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    let job = &planner.job().await?;
    let now = planner.held_on(job);
    list_targets::plan(planner, job, account_id, limits).await?;
    let on_account = &planner.read(|tx| async move { Ok(holds::in_force(&tx, account_id, now).await?.on_account().to_vec()) }).await?;
    if !on_account.is_empty() {
        planner.write(|tx, job| async move { held::note_met(&tx, &job, on_account.iter().copied()).await }).await?;
        return held_targets(planner, job, account_id, limits).await;
    }
    for resource_type in ranged_types(planner, job, account_id).await? {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let (targets, held) = planner
                .read(|tx| async move {
                    let targets = scan_targets(&tx, job, account_id, resource_type, start).await?;
                    let held = scan_held(&tx, job, account_id, resource_type, &targets, now).await?;
                    Ok((targets, held))
                })
                .await?;
            after = (targets.len() == SCAN_TARGETS_MAX).then(|| targets.last().map(|(seq, _)| *seq)).flatten();
            let push = |(seq, bytes)| if held.seqs.contains(&seq) { cutter.push_held(seq) } else { cutter.push(seq, bytes) };
            let mut ranges: Vec<BatchRange> = targets.into_iter().filter_map(push).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            let (held, ranges) = (&held, &ranges);
            planner
                .write(|tx, job| async move {
                    held::note(&tx, &job, account_id, resource_type, held).await?;
                    insert_batches(&tx, &job, account_id, BatchKind::Targets, ranges).await
                })
                .await?;
        }
    }
    Ok(())
}

/// The types whose targets are whatever the selection says of a range.
async fn ranged_types(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Vec<ResourceType>> {
    let selection = &job.job.selection;
    let mut types = planner.read(|tx| async move { types_of(&tx, account_id).await }).await?;
    types.retain(|resource_type| selection.selects_type(*resource_type) && !selection.is_listed(*resource_type));
    Ok(types)
}

/// The targets of an account that is on hold as a whole: batches that have their outcome, so that nothing has to be noted of each resource.
async fn held_targets(planner: Planner<'_>, job: &JobRow, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    for resource_type in ranged_types(planner, job, account_id).await? {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let targets = planner.read(|tx| async move { scan_targets(&tx, job, account_id, resource_type, start).await }).await?;
            after = (targets.len() == SCAN_TARGETS_MAX).then(|| targets.last().map(|(seq, _)| *seq)).flatten();
            let mut ranges: Vec<BatchRange> = targets.into_iter().filter_map(|(seq, _)| cutter.push_held(seq)).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            let ranges = &ranges;
            planner.write(|tx, job| async move { insert_batches(&tx, &job, account_id, BatchKind::Targets, ranges).await }).await?;
        }
    }
    Ok(())
}

/// The next targets of one type, in order, with their stored bytes. What was current at the watermark counts, whether it still is or not.
async fn scan_targets(
    tx: &Tx,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    after: Seq,
) -> crate::error::Result<Vec<(Seq, u64)>> {
    let (selection, watermark) = (&job.job.selection, job.job.watermark);
    let last = match selection.before {
        None => watermark,
        Some(before) => last_seq_before(tx, account_id, resource_type, before, watermark).await?,
    };
    let (of_type, before) = (TypeColumn(resource_type), selection.before.map(InstantColumn));
    let (after, last, watermark) = (SeqColumn(after), SeqColumn(last), SeqColumn(watermark));
    let limit = at_most(SCAN_TARGETS_MAX);
    let values: Values<'_> = &[&account_id.0, &of_type, &after, &last, &watermark, &before, &selection.include_deleted, &limit];
    tx.rows(SELECT_TARGETS, values).await?.iter().map(|row| Ok((seq(row, 0)?, number(row, 1)?))).collect()
}

/// Which of these targets are on hold.
async fn scan_held(
    tx: &Tx,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    targets: &[(Seq, u64)],
    now: Instant,
) -> crate::error::Result<Held> {
    let (Some((first_seq, _)), Some((last_seq, _))) = (targets.first().copied(), targets.last().copied()) else {
        return Ok(Held::default());
    };
    let in_force = holds::in_force(tx, account_id, now).await?;
    held::held_in_range(tx, job, &in_force, BatchRow { account_id, resource_type, first_seq, last_seq }).await
}

/// A place up to `watermark` behind which nothing was stored before `before`, by bisection. OK because within an account time goes back by at most
/// [`DISORDER_MAX_MS`]. Before it there may be what was stored later.
pub(super) async fn last_seq_before(
    tx: &Tx,
    account_id: AccountId,
    resource_type: ResourceType,
    before: Instant,
    watermark: Seq,
) -> crate::error::Result<Seq> {
    let later = before.plus_ms(DISORDER_MAX_MS);
    let (mut low, mut high) = (0, watermark.0);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        let range: Values<'_> = &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(Seq(middle)), &SeqColumn(watermark)];
        let first = tx.row_if_any(SELECT_SEQ_FROM_TIME, range).await?;
        match first.map(|row| -> crate::error::Result<_> { Ok((seq(&row, 0)?, row.try_get::<_, InstantColumn>(1)?.0)) }).transpose()? {
            Some((seq, stored_on)) if stored_on <= later => low = seq.0,
            _ => high = middle - 1,
        }
    }
    Ok(Seq(low))
}

/// Appends ranges to the plan.
pub(super) async fn insert_batches(
    tx: &Tx,
    job: &JobRow,
    account_id: AccountId,
    kind: BatchKind,
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let last: i64 = tx.row(SELECT_LAST_BATCH, &[&job.number]).await?.try_get(0)?;
    for (batch, range) in (last + 1..).zip(ranges) {
        let state = if range.held == range.targets { BatchState::Done } else { BatchState::Pending };
        tx.execute(
            INSERT_BATCH,
            &[
                &job.number,
                &batch,
                &kind.stored(),
                &account_id.0,
                &TypeColumn(range.resource_type),
                &SeqColumn(range.first_seq),
                &SeqColumn(range.last_seq),
                &NumberColumn(range.targets),
                &NumberColumn(range.held),
                &state.stored(),
            ],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn seal(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    let now = store.clock.now();
    store.write_under(lease, |tx, job| async move { seal_in(&tx, job.number, now).await }).await
}

/// Seals the plan of a job: from now on it has counts.
pub(super) async fn seal_in(tx: &Tx, job: i64, now: Instant) -> crate::error::Result<()> {
    tx.execute(SEAL, &[&job, &InstantColumn(now)]).await?;
    question::clear(tx, job).await
}

pub(super) async fn enter_phase(store: &PostgresStore, lease: Lease<JobId>, phase: Phase) -> Result<()> {
    store.write_under(lease, |tx, job| async move { set_phase(&tx, job.number, phase).await }).await
}

/// Notes how far a job has come.
pub(super) async fn set_phase(tx: &Tx, job: i64, phase: Phase) -> crate::error::Result<()> {
    tx.execute(SET_PHASE, &[&job, &phase.stored()]).await?;
    Ok(())
}
