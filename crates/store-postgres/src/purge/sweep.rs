//! The sweep: index rows of what is gone, in one pass for each account and type, in chunks.
//!
//! Whether a row's version is there is asked of the version itself, in the deleting statement. Nobody waits for it: the rows that it takes lead
//! nowhere, and what is stored meanwhile lies above the watermark.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_purge::Seq;
use lethe_store::{JobId, SweepTask};

use super::{Result, question, sweep_index};
use crate::{
    PostgresStore, bulk,
    columns::{NumberColumn, SeqColumn, TypeColumn},
    holds,
    transaction::{Tx, Values},
};

const SELECT_TOUCHED: &str = include_str!("../../sql/purge/touched.sql");
const LEAVES_INDEX_ROWS: &str = include_str!("../../sql/purge/leaves_index_rows.sql");
const HAS_REFERENCES: &str = include_str!("../../sql/purge/has_references_to_type.sql");
const RESOURCE_CHUNK_END: &str = include_str!("../../sql/purge/resource_chunk_end.sql");
const SWEEP_RESOURCE: &str = include_str!("../../sql/purge/sweep_resource_orphans.sql");
const REFERENCE_CHUNK_END: &str = include_str!("../../sql/purge/reference_chunk_end.sql");
const SWEEP_REFERENCE: &str = include_str!("../../sql/purge/sweep_reference_orphans.sql");

/// Index rows looked at in one transaction: about 15 ms of work.
const CHUNK_ROWS_MAX: u64 = 20_000;

pub(super) async fn tasks(store: &PostgresStore, lease: Lease<JobId>) -> Result<Vec<SweepTask>> {
    let now = store.clock.now();
    store
        .write_under(lease, |tx, job| async move {
            // A plan that was canceled before it was whole has its question still.
            question::clear(&tx, job.number).await?;
            bulk::forget_questions(&tx, job.number).await?;
            holds::end_expired(&tx, job.number, now).await?;
            touched(&tx, job.number).await
        })
        .await
}

/// Every account and type that lost resources to a job.
pub(super) async fn touched(tx: &Tx, job_number: i64) -> crate::error::Result<Vec<SweepTask>> {
    let rows = tx.rows(SELECT_TOUCHED, &[&job_number]).await?;
    let task = |row: &tokio_postgres::Row| {
        Ok(SweepTask { account_id: AccountId(row.try_get(0)?), resource_type: row.try_get::<_, TypeColumn>(1)?.0 })
    };
    rows.iter().map(task).collect()
}

pub(super) async fn sweep(store: &PostgresStore, lease: Lease<JobId>, task: SweepTask) -> Result<u64> {
    let job = store.renew(lease).await?;
    let (number, watermark) = (job.number, job.job.watermark);
    let (leaves_index_rows, has_references) = store.read_gently(|tx| left_by(tx, number, task)).await?;
    let mut swept = 0;
    let mut after = leaves_index_rows.then(Vec::new);
    while let Some(start) = after {
        let start = &start;
        let (rows, next) =
            store.write_chunk(lease, CHUNK_ROWS_MAX, |tx, rows_max| sweep_resources(tx, task, watermark, start, rows_max)).await?;
        swept += rows;
        after = next;
    }
    let first = ReferenceKey { target_type: i16::MIN, target_id: Vec::new(), source_seq: i64::MIN };
    let mut after = has_references.then_some(first);
    while let Some(start) = after {
        let start = &start;
        let (rows, next) =
            store.write_chunk(lease, CHUNK_ROWS_MAX, |tx, rows_max| sweep_references(tx, task, watermark, start, rows_max)).await?;
        swept += rows;
        after = next;
    }
    if leaves_index_rows {
        swept += sweep_index::sweep(store, lease, number, watermark, task).await?;
    }
    Ok(swept)
}

/// Whether batches have left rows that lead to what is gone, and whether resources of the type refer to a Provenance or Binary.
async fn left_by(tx: Tx, job: i64, task: SweepTask) -> crate::error::Result<(bool, bool)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let leaves = tx.row(LEAVES_INDEX_ROWS, &[&job, &account, &type_id]).await?.try_get(0)?;
    let mut has_references = false;
    for target in [ResourceType::PROVENANCE, ResourceType::BINARY] {
        has_references |= tx.row(HAS_REFERENCES, &[&account, &type_id, &TypeColumn(target)]).await?.try_get::<_, bool>(0)?;
    }
    Ok((leaves, has_references))
}

/// Behind every id: longer than a UUID with its mark, and as great in each byte.
fn after_last_id() -> Vec<u8> {
    vec![0xff; 18]
}

/// One chunk of `resource`: the rows removed, and where the next chunk begins.
async fn sweep_resources(
    tx: Tx,
    task: SweepTask,
    watermark: Seq,
    after: &Vec<u8>,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<Vec<u8>>)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let row = tx.row_if_any(RESOURCE_CHUNK_END, &[&account, &type_id, after, &NumberColumn(rows_max)]).await?;
    let end: Option<Vec<u8>> = row.map(|row| row.try_get(0)).transpose()?;
    let bound = end.clone().unwrap_or_else(after_last_id);
    let removed = tx.execute(SWEEP_RESOURCE, &[&account, &type_id, after, &bound, &SeqColumn(watermark)]).await?;
    Ok((removed, end))
}

/// Key of a row of `reference` within its account and source type.
#[derive(Clone, Debug)]
struct ReferenceKey {
    target_type: i16,
    target_id: Vec<u8>,
    source_seq: i64,
}

/// One chunk of `reference`: the rows removed, and where the next chunk begins.
async fn sweep_references(
    tx: Tx,
    task: SweepTask,
    watermark: Seq,
    after: &ReferenceKey,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<ReferenceKey>)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let rows_max = NumberColumn(rows_max);
    let end: Values<'_> = &[&account, &type_id, &after.target_type, &after.target_id, &after.source_seq, &rows_max];
    let end = match tx.row_if_any(REFERENCE_CHUNK_END, end).await? {
        Some(row) => Some(ReferenceKey { target_type: row.try_get(0)?, target_id: row.try_get(1)?, source_seq: row.try_get(2)? }),
        None => None,
    };
    // Both bounds are always given: with an open end each chunk would be read to the end of the type.
    let bound = end.clone().unwrap_or_else(|| ReferenceKey { target_type: i16::MAX, target_id: after_last_id(), source_seq: i64::MAX });
    let watermark = SeqColumn(watermark);
    let bounds: Values<'_> = &[
        &account,
        &type_id,
        &after.target_type,
        &after.target_id,
        &after.source_seq,
        &bound.target_type,
        &bound.target_id,
        &bound.source_seq,
        &watermark,
    ];
    Ok((tx.execute(SWEEP_REFERENCE, bounds).await?, end))
}
