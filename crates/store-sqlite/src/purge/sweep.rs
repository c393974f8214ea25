//! The sweep: index rows of what is gone, in one pass for each account and type, in chunks that keep no writer waiting.

use std::sync::Arc;

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_store::{JobId, SweepTask};
use rusqlite::{Connection, OptionalExtension, ToSql, params, types::Value};

use super::{Result, question, sweep_index};
use crate::{
    SqliteStore, bulk,
    columns::{SeqColumn, TypeColumn},
    holds,
    stored_seqs::StoredSeqs,
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

pub(super) async fn tasks(store: &SqliteStore, lease: Lease<JobId>) -> Result<Vec<SweepTask>> {
    let now = store.clock.now();
    store
        .write_under(lease, move |tx, job| {
            // A plan that was canceled before it was whole has its question still; what erases the files comes behind this.
            question::clear(tx, job.number)?;
            bulk::forget_questions(tx, job.number)?;
            holds::end_expired(tx, job.number, now)?;
            touched(tx, job.number)
        })
        .await
}

/// Every account and type that lost resources to a job.
pub(super) fn touched(connection: &Connection, job_number: i64) -> crate::error::Result<Vec<SweepTask>> {
    let mut statement = connection.prepare_cached(SELECT_TOUCHED)?;
    let tasks = statement.query_map([job_number], |row| {
        Ok(SweepTask { account_id: AccountId(row.get(0)?), resource_type: row.get::<_, TypeColumn>(1)?.0 })
    })?;
    Ok(tasks.collect::<rusqlite::Result<_>>()?)
}

pub(super) async fn sweep(store: &SqliteStore, lease: Lease<JobId>, task: SweepTask) -> Result<u64> {
    let job = store.renew(lease).await?;
    let number = job.number;
    let (leaves_index_rows, has_references) = store.read_gently(move |tx| left_by(tx, number, task)).await?;
    if !leaves_index_rows && !has_references {
        return Ok(0);
    }
    let mut swept = 0;
    for span in StoredSeqs::spans(job.job.watermark) {
        let stored = store.read_gently(move |tx| StoredSeqs::load(tx, task.account_id, task.resource_type, span)).await?;
        let stored = Arc::new(stored);
        let mut after = leaves_index_rows.then_some(Value::Integer(BEFORE_FIRST));
        while let Some(start) = after {
            let stored = Arc::clone(&stored);
            let (rows, next) =
                store.write_chunk(lease, CHUNK_ROWS_MAX, move |tx, rows_max| sweep_resources(tx, task, &stored, start, rows_max)).await?;
            swept += rows;
            after = next;
        }
        let mut after = Some(ReferenceKey { target_type: BEFORE_FIRST, target_id: Value::Integer(BEFORE_FIRST), source_seq: BEFORE_FIRST });
        while let Some(start) = after {
            let stored = Arc::clone(&stored);
            let (rows, next) =
                store.write_chunk(lease, CHUNK_ROWS_MAX, move |tx, rows_max| sweep_references(tx, task, &stored, start, rows_max)).await?;
            swept += rows;
            after = next;
        }
        if leaves_index_rows {
            swept += sweep_index::sweep(store, lease, job.number, task, &stored).await?;
        }
    }
    Ok(swept)
}

/// Whether batches have left rows that lead to what is gone, and whether resources of the type refer to a Provenance or Binary.
fn left_by(tx: &Connection, job: i64, task: SweepTask) -> crate::error::Result<(bool, bool)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let leaves = tx.prepare_cached(LEAVES_INDEX_ROWS)?.query_row(params![job, account, type_id], |row| row.get(0))?;
    let mut has_references = false;
    for target in [ResourceType::PROVENANCE, ResourceType::BINARY] {
        let key = params![account, type_id, TypeColumn(target)];
        has_references |= tx.prepare_cached(HAS_REFERENCES)?.query_row(key, |row| row.get::<_, bool>(0))?;
    }
    Ok((leaves, has_references))
}

/// Before every key: ids are text or bytes, which are greater than any number; codes and places are positive.
const BEFORE_FIRST: i64 = -1;

/// Behind every id: longer than a UUID and greater in each byte.
fn after_last_id() -> Value {
    Value::Blob(vec![0xff; 17])
}

/// One chunk of `resource`: the rows removed, and where the next chunk begins.
fn sweep_resources(
    tx: &Connection,
    task: SweepTask,
    stored: &StoredSeqs,
    after: Value,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<Value>)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let end: Option<Value> =
        tx.prepare_cached(RESOURCE_CHUNK_END)?.query_row(params![account, type_id, after, rows_max], |row| row.get(0)).optional()?;
    let removed = tx.prepare_cached(SWEEP_RESOURCE)?.execute(params![
        account,
        type_id,
        after,
        end.clone().unwrap_or_else(after_last_id),
        SeqColumn(stored.first),
        SeqColumn(stored.last),
        stored.bits
    ])?;
    Ok((removed as u64, end))
}

/// Key of a row of `reference` within its account and source type.
#[derive(Clone, Debug)]
struct ReferenceKey {
    target_type: i64,
    target_id: Value,
    source_seq: i64,
}

/// One chunk of `reference`: the rows removed, and where the next chunk begins.
fn sweep_references(
    tx: &Connection,
    task: SweepTask,
    stored: &StoredSeqs,
    after: ReferenceKey,
    rows_max: u64,
) -> crate::error::Result<(u64, Option<ReferenceKey>)> {
    let (account, type_id) = (task.account_id.0, TypeColumn(task.resource_type));
    let end = tx
        .prepare_cached(REFERENCE_CHUNK_END)?
        .query_row(params![account, type_id, after.target_type, after.target_id, after.source_seq, rows_max], |row| {
            Ok(ReferenceKey { target_type: row.get(0)?, target_id: row.get(1)?, source_seq: row.get(2)? })
        })
        .optional()?;
    // Both bounds are always given: with an open end each chunk would be read to the end of the type.
    let bound = end.clone().unwrap_or_else(|| ReferenceKey { target_type: i64::MAX, target_id: after_last_id(), source_seq: i64::MAX });
    let (first, last) = (SeqColumn(stored.first), SeqColumn(stored.last));
    let bounds: [&dyn ToSql; 11] = [
        &account,
        &type_id,
        &after.target_type,
        &after.target_id,
        &after.source_seq,
        &bound.target_type,
        &bound.target_id,
        &bound.source_seq,
        &first,
        &last,
        &stored.bits,
    ];
    let removed = tx.prepare_cached(SWEEP_REFERENCE)?.execute(&bounds[..])?;
    Ok((removed as u64, end))
}
