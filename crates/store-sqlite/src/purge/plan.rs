//! The plan: batches as ranges, stored before the first deletion (INV-7).

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{BatchState, Lease};
use lethe_purge::{
    Phase, Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
};
use lethe_store::JobId;
use rusqlite::{Connection, OptionalExtension, params};

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
    SqliteStore,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    holds,
    resources::{ACCOUNT_FIRST, accounts_of, types_of},
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

/// Targets read in one go: each go is one read transaction, so that none keeps old pages for long.
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

pub(super) async fn begin(store: &SqliteStore, lease: Lease<JobId>) -> Result<Vec<AccountId>> {
    // Whoever sealed it has not heard so: the plan stands.
    if store.renew(lease).await?.job.initialized_on.is_some() {
        return Ok(Vec::new());
    }
    listed::clear_gently(store, lease).await?;
    store
        .write_under(lease, |tx, job| {
            tx.prepare_cached(CLEAR_BATCHES)?.execute([job.number])?;
            tx.prepare_cached(CLEAR_HELD)?.execute([job.number])?;
            tx.prepare_cached(CLEAR_MET_HOLDS)?.execute([job.number])?;
            accounts_of(tx, &job.job.owner, ACCOUNT_FIRST)
        })
        .await
}

pub(super) async fn targets(planner: Planner<'_>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    let job = planner.job().await?;
    let now = planner.held_on(&job);
    list_targets::plan(planner, &job, account_id, limits).await?;
    let on_account = planner.read(move |tx| Ok(holds::in_force(tx, account_id, now)?.on_account().to_vec())).await?;
    if !on_account.is_empty() {
        planner.write(move |tx, job| held::note_met(tx, job, &on_account)).await?;
        return held_targets(planner, &job, account_id, limits).await;
    }
    for resource_type in ranged_types(planner, &job, account_id).await? {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let scan = job.clone();
            let (targets, held) = planner
                .read(move |tx| {
                    let targets = scan_targets(tx, &scan, account_id, resource_type, start)?;
                    let held = scan_held(tx, &scan, account_id, resource_type, &targets, now)?;
                    Ok((targets, held))
                })
                .await?;
            after = (targets.len() == SCAN_TARGETS_MAX).then(|| targets.last().map(|(seq, _)| *seq)).flatten();
            let push = |(seq, bytes)| if held.seqs.contains(&seq) { cutter.push_held(seq) } else { cutter.push(seq, bytes) };
            let mut ranges: Vec<BatchRange> = targets.into_iter().filter_map(push).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            planner
                .write(move |tx, job| {
                    held::note(tx, job, account_id, resource_type, &held)?;
                    insert_batches(tx, job, account_id, BatchKind::Targets, &ranges)
                })
                .await?;
        }
    }
    Ok(())
}

/// The types whose targets are whatever the selection says of a range.
async fn ranged_types(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Vec<ResourceType>> {
    let selection = &job.job.selection;
    let mut types = planner.read(move |tx| types_of(tx, account_id)).await?;
    types.retain(|resource_type| selection.selects_type(*resource_type) && !selection.is_listed(*resource_type));
    Ok(types)
}

/// The targets of an account that is on hold as a whole: batches that have their outcome, so that nothing has to be noted of each resource.
async fn held_targets(planner: Planner<'_>, job: &JobRow, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    for resource_type in ranged_types(planner, job, account_id).await? {
        let mut cutter = BatchCutter::new(resource_type, limits);
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let scan = job.clone();
            let targets = planner.read(move |tx| scan_targets(tx, &scan, account_id, resource_type, start)).await?;
            after = (targets.len() == SCAN_TARGETS_MAX).then(|| targets.last().map(|(seq, _)| *seq)).flatten();
            let mut ranges: Vec<BatchRange> = targets.into_iter().filter_map(|(seq, _)| cutter.push_held(seq)).collect();
            if after.is_none() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            planner.write(move |tx, job| insert_batches(tx, job, account_id, BatchKind::Targets, &ranges)).await?;
        }
    }
    Ok(())
}

/// The next targets of one type, in order, with their stored bytes. What was current at the watermark counts, whether it still is or not.
fn scan_targets(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    after: Seq,
) -> crate::error::Result<Vec<(Seq, u64)>> {
    let (selection, watermark) = (&job.job.selection, job.job.watermark);
    let last = match selection.before {
        None => watermark,
        Some(before) => last_seq_before(connection, account_id, resource_type, before, watermark)?,
    };
    let mut statement = connection.prepare_cached(SELECT_TARGETS)?;
    let rows = statement.query_map(
        params![
            account_id.0,
            TypeColumn(resource_type),
            SeqColumn(after),
            SeqColumn(last),
            SeqColumn(watermark),
            selection.before.map(InstantColumn),
            selection.include_deleted,
            SCAN_TARGETS_MAX as i64
        ],
        |row| Ok((row.get::<_, SeqColumn>(0)?.0, row.get(1)?)),
    )?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Which of these targets are on hold.
fn scan_held(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    targets: &[(Seq, u64)],
    now: Instant,
) -> crate::error::Result<Held> {
    let (Some((first_seq, _)), Some((last_seq, _))) = (targets.first().copied(), targets.last().copied()) else {
        return Ok(Held::default());
    };
    let in_force = holds::in_force(connection, account_id, now)?;
    held::held_in_range(connection, job, &in_force, BatchRow { account_id, resource_type, first_seq, last_seq })
}

/// The last place up to `watermark` that was stored before `before`, by bisection. OK because time never goes backwards within an account.
pub(super) fn last_seq_before(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    before: Instant,
    watermark: Seq,
) -> crate::error::Result<Seq> {
    let mut statement = connection.prepare_cached(SELECT_SEQ_FROM_TIME)?;
    let (mut low, mut high) = (0, watermark.0);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        let first = statement
            .query_row(params![account_id.0, TypeColumn(resource_type), SeqColumn(Seq(middle)), SeqColumn(watermark)], |row| {
                Ok((row.get::<_, SeqColumn>(0)?.0, row.get::<_, InstantColumn>(1)?.0))
            })
            .optional()?;
        match first {
            Some((seq, stored_on)) if stored_on < before => low = seq.0,
            _ => high = middle - 1,
        }
    }
    Ok(Seq(low))
}

/// Appends ranges to the plan.
pub(super) fn insert_batches(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    kind: BatchKind,
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let last: i64 = tx.prepare_cached(SELECT_LAST_BATCH)?.query_row([job.number], |row| row.get(0))?;
    let mut insert = tx.prepare_cached(INSERT_BATCH)?;
    for (batch, range) in (last + 1..).zip(ranges) {
        insert.execute(params![
            job.number,
            batch,
            kind.stored(),
            account_id.0,
            TypeColumn(range.resource_type),
            SeqColumn(range.first_seq),
            SeqColumn(range.last_seq),
            range.targets,
            range.held,
            if range.held == range.targets { BatchState::Done } else { BatchState::Pending }.stored()
        ])?;
    }
    Ok(())
}

pub(super) async fn seal(store: &SqliteStore, lease: Lease<JobId>) -> Result<()> {
    let now = store.clock.now();
    store.write_under(lease, move |tx, job| seal_in(tx, job.number, now)).await
}

/// Seals the plan of a job: from now on it has counts.
pub(super) fn seal_in(tx: &Connection, job: i64, now: Instant) -> crate::error::Result<()> {
    tx.prepare_cached(SEAL)?.execute(params![job, InstantColumn(now)])?;
    question::clear(tx, job)?;
    Ok(())
}

pub(super) async fn enter_phase(store: &SqliteStore, lease: Lease<JobId>, phase: Phase) -> Result<()> {
    store
        .write_under(lease, move |tx, job| {
            tx.prepare_cached(SET_PHASE)?.execute(params![job.number, phase.stored()])?;
            Ok(())
        })
        .await
}
