//! The sweep of the rows that lead from values of search parameters to versions: part by part.

use std::sync::Arc;

use lethe_jobs::Lease;
use lethe_purge::Seq;
use lethe_store::{JobId, SweepTask};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::Result;
use crate::{
    SqliteStore,
    columns::{SeqColumn, TypeColumn},
    stored_seqs::StoredSeqs,
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
    path: i64,
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
        Self { path: i64::MAX, value: Vec::new(), seq: i64::MAX }
    }
}

/// Removes rows whose version is gone from the parts out of which the job removed something; parts without any version go whole.
pub(super) async fn sweep(store: &SqliteStore, lease: Lease<JobId>, job: i64, task: SweepTask, stored: &Arc<StoredSeqs>) -> Result<u64> {
    let (first, last) = (stored.first, stored.last);
    let mut swept = 0;
    for part in store.read_gently(move |tx| parts(tx, job, task, first, last)).await? {
        let mut after = Some(RowKey::before_first());
        let is_empty = store.read_gently(move |tx| is_empty(tx, task, part)).await?;
        while let Some(start) = after {
            let stored = Arc::clone(stored);
            let (rows, next) = store
                .write_chunk(lease, CHUNK_ROWS_MAX, move |tx, rows| sweep_chunk(tx, task, part, is_empty, &stored, start, rows))
                .await?;
            swept += rows;
            after = next;
        }
        if is_empty {
            store
                .write_under(lease, move |tx, _| {
                    let part = params![task.account_id.0, TypeColumn(task.resource_type), SeqColumn(part.first), SeqColumn(part.next)];
                    Ok(tx.prepare_cached(DELETE_PART)?.execute(part)?)
                })
                .await?;
        }
    }
    Ok(swept)
}

/// The parts that have places in the span and lost versions to the job.
fn parts(tx: &Connection, job: i64, task: SweepTask, first: Seq, last: Seq) -> crate::error::Result<Vec<Part>> {
    let mut statement = tx.prepare_cached(SELECT_PARTS)?;
    let starts: Vec<Seq> = statement
        .query_map(params![task.account_id.0, TypeColumn(task.resource_type)], |row| row.get::<_, SeqColumn>(0).map(|seq| seq.0))?
        .collect::<rusqlite::Result<_>>()?;
    let ends = starts.iter().skip(1).copied().chain([Seq(i64::MAX as u64)]);
    let parts = starts.iter().zip(ends).map(|(start, next)| Part { first: *start, next });
    let mut has_removed = tx.prepare_cached(HAS_REMOVED)?;
    let mut touched = Vec::new();
    for part in parts.filter(|part| part.first <= last && part.next > first) {
        let range = params![job, task.account_id.0, TypeColumn(task.resource_type), SeqColumn(part.first), SeqColumn(part.next)];
        if has_removed.query_row(range, |row| row.get::<_, bool>(0))? {
            touched.push(part);
        }
    }
    Ok(touched)
}

fn is_empty(tx: &Connection, task: SweepTask, part: Part) -> crate::error::Result<bool> {
    let range = params![task.account_id.0, TypeColumn(task.resource_type), SeqColumn(part.first), SeqColumn(part.next)];
    Ok(!tx.prepare_cached(HAS_VERSIONS)?.query_row(range, |row| row.get::<_, bool>(0))?)
}

/// One chunk: the rows removed, and where the next chunk begins.
fn sweep_chunk(
    tx: &Connection,
    task: SweepTask,
    part: Part,
    was_empty: bool,
    stored: &StoredSeqs,
    after: RowKey,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<RowKey>)> {
    // The last part can have been written to since: what a client stores must not go with it.
    let goes_whole = was_empty && is_empty(tx, task, part)?;
    let (account, type_id, first) = (task.account_id.0, TypeColumn(task.resource_type), SeqColumn(part.first));
    let rows_max = if goes_whole { rows_max * CLEARED_FACTOR } else { rows_max };
    let end = tx
        .prepare_cached(CHUNK_END)?
        .query_row(params![account, type_id, first, after.path, after.value, after.seq, rows_max], |row| {
            Ok(RowKey { path: row.get(0)?, value: row.get(1)?, seq: row.get(2)? })
        })
        .optional()?;
    let bound = end.clone().unwrap_or_else(RowKey::after_last);
    let (stored_first, stored_last) = (SeqColumn(stored.first), SeqColumn(stored.last));
    let bounds: [&dyn ToSql; 12] = [
        &account,
        &type_id,
        &first,
        &after.path,
        &after.value,
        &after.seq,
        &bound.path,
        &bound.value,
        &bound.seq,
        &stored_first,
        &stored_last,
        &stored.bits,
    ];
    let removed =
        if goes_whole { tx.prepare_cached(CLEAR)?.execute(&bounds[..9])? } else { tx.prepare_cached(SWEEP)?.execute(&bounds[..])? };
    Ok((removed as u64, end))
}
