//! The sweep: what a batch leaves behind, references from what is gone to a Provenance or Binary, in one pass for each account and type, in chunks.
//!
//! Whether a row's version is there is asked of the version itself, in the deleting statement. Nobody waits for it: the rows that it takes lead
//! nowhere, and what is stored meanwhile lies above the watermark.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_purge::Seq;
use lethe_store::{JobId, SweepTask};

use super::{Result, question};
use crate::{
    PostgresStore, bulk,
    columns::{NumberColumn, SeqColumn, TypeColumn},
    holds,
    transaction::{Tx, Values},
};

const SELECT_TOUCHED: &str = include_str!("../../sql/purge/touched.sql");
const HAS_REFERENCES: &str = include_str!("../../sql/purge/has_references_to_type.sql");
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
    let watermark = job.job.watermark;
    let has_references = store.read_gently(|tx| has_references(tx, task)).await?;
    let mut swept = 0;
    let first = ReferenceKey { target_type: i16::MIN, target_id: Vec::new(), source_seq: i64::MIN };
    let mut after = has_references.then_some(first);
    while let Some(start) = after {
        let start = &start;
        let (rows, next) =
            store.write_chunk(lease, CHUNK_ROWS_MAX, |tx, rows_max| sweep_references(tx, task, watermark, start, rows_max)).await?;
        swept += rows;
        after = next;
    }
    Ok(swept)
}

/// Whether resources of the type refer to a Provenance or Binary.
async fn has_references(tx: Tx, task: SweepTask) -> crate::error::Result<bool> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let mut has_references = false;
    for target in [ResourceType::PROVENANCE, ResourceType::BINARY] {
        has_references |= tx.row(HAS_REFERENCES, &[&account, &type_id, &TypeColumn(target)]).await?.try_get::<_, bool>(0)?;
    }
    Ok(has_references)
}

/// Behind every id: longer than a UUID with its mark, and as great in each byte.
fn after_last_id() -> Vec<u8> {
    vec![0xff; 18]
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
