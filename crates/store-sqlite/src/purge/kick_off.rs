//! Kick-off: one short transaction, whatever is stored.

use lethe_store::{JobId, KickOff, NewPurge, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Result, audit, job};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn},
    connections::Durability,
    error::Error,
};

const SELECT_IN_PROGRESS: &str = include_str!("../../sql/purge/job_in_progress.sql");
/// The last place in the order of commits.
pub(crate) const SELECT_WATERMARK: &str = include_str!("../../sql/purge/watermark.sql");
const INSERT_DIGEST_KEY: &str = include_str!("../../sql/purge/insert_digest_key.sql");
const INSERT_JOB: &str = include_str!("../../sql/purge/insert_job.sql");

pub(super) async fn kick_off(store: &SqliteStore, purge: NewPurge) -> Result<KickOff> {
    let now = store.clock.now();
    // The writers' lock is the transaction itself: a write that is not yet committed has no seq yet, and one that is lies below the watermark.
    store
        .connections
        .write(Durability::OnDisk, move |transaction| -> std::result::Result<KickOff, StoreError> {
            let started = start(transaction, &purge, now)?;
            Ok(started)
        })
        .await
}

fn start(transaction: &Transaction<'_>, purge: &NewPurge, now: lethe_fhir::Instant) -> crate::error::Result<KickOff> {
    if let Some(running) = in_progress(transaction, &purge.owner)? {
        return Ok(KickOff::Conflict { running });
    }
    let watermark: SeqColumn = transaction.prepare_cached(SELECT_WATERMARK)?.query_row([], |row| row.get(0))?;
    transaction.prepare_cached(INSERT_JOB)?.execute(params![
        purge.job_id,
        purge.owner.client_id().0,
        purge.owner.account_id().map(|account_id| account_id.0),
        purge.selection.types.as_deref().map(job::write_types),
        purge.selection.before.map(InstantColumn),
        purge.selection.include_deleted,
        purge.reason,
        purge.bases.addresses().collect::<Vec<_>>().join(" "),
        watermark,
        InstantColumn(now)
    ])?;
    let number = transaction.last_insert_rowid();
    transaction.prepare_cached(INSERT_DIGEST_KEY)?.execute(params![number, purge.digest_key])?;
    audit::open(transaction, number)?;
    Ok(KickOff::Started(Box::new(job::job(transaction, number)?)))
}

/// The job that keeps this owner from starting another: its own, its client's, or for a client one of any of its accounts.
pub(super) fn in_progress(transaction: &Transaction<'_>, owner: &lethe_auth::Scope) -> std::result::Result<Option<JobId>, Error> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let mut statement = transaction.prepare_cached(SELECT_IN_PROGRESS)?;
    Ok(statement.query_row(params![owner.client_id().0, account], |row| row.get(0)).optional()?)
}
