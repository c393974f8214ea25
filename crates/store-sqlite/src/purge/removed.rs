//! What batches removed: places of versions, kept until they are on record in the purge journal.

use lethe_auth::AccountId;
use lethe_jobs::Lease;
use lethe_purge::{NoSeqSet, Seq, SeqSet};
use lethe_store::{JobId, JournalMark, RemovedPart, StoreError};
use rusqlite::{Connection, Params, Transaction, params};

use super::{Result, batch::BatchRow, job};
use crate::{
    SqliteStore,
    columns::{SeqColumn, TypeColumn},
    recovery,
};

const INSERT: &str = include_str!("../../sql/purge/insert_removed.sql");
const SELECT_FROM: &str = include_str!("../../sql/purge/removed_from.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_removed.sql");

/// Parts read in one go.
const PARTS_MAX: i64 = 32;

/// The places that a statement selects, or removes and returns.
pub(super) fn seqs(tx: &Connection, statement: &str, params: impl Params) -> crate::error::Result<Vec<Seq>> {
    let mut statement = tx.prepare_cached(statement)?;
    let rows = statement.query_map(params, |row| row.get::<_, SeqColumn>(0).map(|seq| seq.0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps the places of versions that a batch has removed.
pub(super) fn note(tx: &Transaction<'_>, job: i64, row: &BatchRow, seqs: &[Seq]) -> crate::error::Result<()> {
    let mut insert = tx.prepare_cached(INSERT)?;
    for places in seqs.chunks(RemovedPart::PLACES_MAX) {
        let set: SeqSet = places.iter().copied().collect();
        insert.execute(params![job, row.account_id.0, TypeColumn(row.resource_type), set.to_bytes()])?;
    }
    Ok(())
}

pub(super) async fn parts(store: &SqliteStore, job_id: JobId, after: u64) -> Result<Vec<RemovedPart>> {
    store
        .connections
        .read(move |tx| {
            let Some(job) = job::of_any_owner(tx, job_id)? else { return Ok(Vec::new()) };
            let mut statement = tx.prepare_cached(SELECT_FROM)?;
            let mut rows = statement.query(params![job.number, after, PARTS_MAX])?;
            let mut parts = Vec::new();
            while let Some(row) = rows.next()? {
                parts.push(RemovedPart {
                    part: row.get(0)?,
                    account_id: AccountId(row.get(1)?),
                    resource_type: row.get::<_, TypeColumn>(2)?.0,
                    seqs: read_set(&row.get::<_, Vec<u8>>(3)?)?,
                });
            }
            Ok(parts)
        })
        .await
}

/// A set as stored.
pub(super) fn read_set(stored: &[u8]) -> crate::error::Result<SeqSet> {
    SeqSet::from_bytes(stored).map_err(|error: NoSeqSet| StoreError::NotUnderstood(format!("purge_removed.seqs: {error}")).into())
}

pub(super) async fn forget(store: &SqliteStore, lease: Lease<JobId>, mark: Option<JournalMark>) -> Result<()> {
    store
        .write_under(lease, move |tx, job| {
            clear(tx, job.number)?;
            mark.map_or(Ok(()), |mark| recovery::set_mark(tx, mark))
        })
        .await
}

/// Forgets the parts of a job.
pub(super) fn clear(tx: &Transaction<'_>, job: i64) -> crate::error::Result<()> {
    tx.prepare_cached(CLEAR)?.execute([job])?;
    Ok(())
}
