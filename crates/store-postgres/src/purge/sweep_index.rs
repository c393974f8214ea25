//! The sweep of the rows that lead from values of search parameters to versions: part by part.

use lethe_jobs::Lease;
use lethe_purge::Seq;
use lethe_store::{JobId, SweepTask};

use super::Result;
use crate::{
    PostgresStore,
    columns::{NumberColumn, SeqColumn, TypeColumn, seq},
    resources::lock_account,
    transaction::{Tx, Values},
};

const SELECT_PARTS: &str = include_str!("../../sql/purge/index_parts.sql");
const HAS_REMOVED: &str = include_str!("../../sql/purge/has_removed_between.sql");
const HAS_VERSIONS: &str = include_str!("../../sql/purge/has_versions_between.sql");
const CHUNK_END: &str = include_str!("../../sql/purge/index_chunk_end.sql");
const SWEEP: &str = include_str!("../../sql/purge/sweep_index_orphans.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_index_chunk.sql");
const DELETE_PART: &str = include_str!("../../sql/purge/delete_empty_index_part.sql");

/// Rows looked at in one transaction: about 15 ms of work.
const CHUNK_ROWS_MAX: u64 = 20_000;
/// So many times more rows of a part that goes whole are removed in one transaction: nothing is asked of each.
const CLEARED_FACTOR: u64 = 3;

/// A part of the index: its first place, and that of the next part.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: Seq,
    next: Seq,
}

/// Key of a row within its part.
#[derive(Clone, Debug)]
struct RowKey {
    path: i32,
    value: Vec<u8>,
    seq: i64,
}

impl RowKey {
    /// Before every row: paths and places are positive.
    fn before_first() -> Self {
        Self { path: -1, value: Vec::new(), seq: -1 }
    }

    /// Behind every row.
    fn after_last() -> Self {
        Self { path: i32::MAX, value: Vec::new(), seq: i64::MAX }
    }
}

/// Removes rows whose version is gone from the parts out of which the job removed something; parts without any version go whole.
pub(super) async fn sweep(store: &PostgresStore, lease: Lease<JobId>, job: i64, watermark: Seq, task: SweepTask) -> Result<u64> {
    let mut swept = 0;
    for part in store.read_gently(|tx| parts(tx, job, task, watermark)).await? {
        let mut after = Some(RowKey::before_first());
        let is_empty = store.read_gently(|tx| async move { is_empty(&tx, task, part).await }).await?;
        while let Some(start) = after {
            let start = &start;
            let (rows, next) =
                store.write_chunk(lease, CHUNK_ROWS_MAX, |tx, rows| sweep_chunk(tx, task, part, is_empty, watermark, start, rows)).await?;
            swept += rows;
            after = next;
        }
        if is_empty {
            store
                .write_under(lease, |tx, _| async move {
                    // A part that somebody is writing to has versions that cannot be seen yet.
                    lock_account(&tx, task.account_id).await?;
                    let type_id = TypeColumn(task.resource_type);
                    tx.execute(DELETE_PART, &[&task.account_id.0, &type_id, &SeqColumn(part.first), &SeqColumn(part.next)]).await
                })
                .await?;
        }
    }
    Ok(swept)
}

/// The parts that have places up to the watermark and lost versions to the job.
async fn parts(tx: Tx, job: i64, task: SweepTask, watermark: Seq) -> crate::error::Result<Vec<Part>> {
    let type_id = TypeColumn(task.resource_type);
    let rows = tx.rows(SELECT_PARTS, &[&task.account_id.0, &type_id]).await?;
    let starts = rows.iter().map(|row| seq(row, 0)).collect::<crate::error::Result<Vec<Seq>>>()?;
    let ends = starts.iter().skip(1).copied().chain([Seq(i64::MAX as u64)]);
    let parts = starts.iter().zip(ends).map(|(start, next)| Part { first: *start, next });
    let mut touched = Vec::new();
    for part in parts.filter(|part| part.first <= watermark) {
        let range: Values<'_> = &[&job, &task.account_id.0, &type_id, &SeqColumn(part.first), &SeqColumn(part.next)];
        if tx.row(HAS_REMOVED, range).await?.try_get(0)? {
            touched.push(part);
        }
    }
    Ok(touched)
}

async fn is_empty(tx: &Tx, task: SweepTask, part: Part) -> crate::error::Result<bool> {
    let (first, next) = (SeqColumn(part.first), SeqColumn(part.next));
    Ok(!tx.row(HAS_VERSIONS, &[&task.account_id.0, &TypeColumn(task.resource_type), &first, &next]).await?.try_get::<_, bool>(0)?)
}

/// One chunk: the rows removed, and where the next chunk begins.
async fn sweep_chunk(
    tx: Tx,
    task: SweepTask,
    part: Part,
    was_empty: bool,
    watermark: Seq,
    after: &RowKey,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<RowKey>)> {
    if was_empty {
        // The last part can have been written to since: what a client stores must not go with it.
        lock_account(&tx, task.account_id).await?;
    }
    let goes_whole = was_empty && is_empty(&tx, task, part).await?;
    let (account, type_id, first) = (task.account_id.0, TypeColumn(task.resource_type), SeqColumn(part.first));
    let rows_max = NumberColumn(if goes_whole { rows_max * CLEARED_FACTOR } else { rows_max });
    let end: Values<'_> = &[&account, &type_id, &first, &after.path, &after.value, &after.seq, &rows_max];
    let end = match tx.row_if_any(CHUNK_END, end).await? {
        Some(row) => Some(RowKey { path: row.try_get(0)?, value: row.try_get(1)?, seq: row.try_get(2)? }),
        None => None,
    };
    let bound = end.clone().unwrap_or_else(RowKey::after_last);
    let watermark = SeqColumn(watermark);
    let bounds: Values<'_> =
        &[&account, &type_id, &first, &after.path, &after.value, &after.seq, &bound.path, &bound.value, &bound.seq, &watermark];
    let removed = if goes_whole { tx.execute(CLEAR, &bounds[..9]).await? } else { tx.execute(SWEEP, bounds).await? };
    Ok((removed, end))
}
