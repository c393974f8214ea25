//! Kick-off: one short transaction, whatever is stored.

use lethe_store::{JobId, KickOff, NewPurge, PreviewQuery, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Result, audit, job,
    preview::{self, Stamp},
    question,
};
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

/// How often a kick-off previews anew because something was written to the account meanwhile.
const LOOKS_MAX: u32 = 5;

pub(super) async fn kick_off(store: &SqliteStore, purge: NewPurge) -> Result<KickOff> {
    let Some(expected) = purge.expect else { return start_unless_changed(store, purge, None).await?.ok_or_else(changes_too_fast) };
    let owner = purge.owner.clone();
    if let Some(running) = store.connections.read(move |tx| in_progress(tx, &owner)).await? {
        return Ok(KickOff::Conflict { running });
    }
    for _ in 0..LOOKS_MAX {
        let NewPurge { owner, selection, question, bases, .. } = purge.clone();
        let (preview, stamp) = preview::preview(store, PreviewQuery { owner, selection, question, bases }).await?;
        if preview.digest != expected {
            return Ok(KickOff::Changed { digest: preview.digest });
        }
        if let Some(started) = start_unless_changed(store, purge.clone(), Some(stamp)).await? {
            return Ok(started);
        }
    }
    Err(changes_too_fast())
}

fn changes_too_fast() -> StoreError {
    StoreError::Unavailable("the account is being written to faster than a purge of it can be previewed".into())
}

/// Starts the job; `None` if anything that it depends on has changed since the stamp was taken.
async fn start_unless_changed(store: &SqliteStore, purge: NewPurge, stamp: Option<Stamp>) -> Result<Option<KickOff>> {
    let now = store.clock.now();
    // The writers' lock is the transaction itself: a write that is not yet committed has no seq yet, and one that is lies below the watermark.
    store
        .connections
        .write(Durability::OnDisk, move |transaction| -> Result<Option<KickOff>> {
            if let Some(stamp) = &stamp
                && Stamp::of(transaction, &purge.owner, now)? != *stamp
            {
                return Ok(None);
            }
            Ok(Some(start(transaction, &purge, now)?))
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
        purge.selection.level.stored(),
        job::write_filtered(&purge.selection.filtered_types),
        purge.reason,
        purge.bases.addresses().collect::<Vec<_>>().join(" "),
        watermark,
        InstantColumn(now)
    ])?;
    let number = transaction.last_insert_rowid();
    transaction.prepare_cached(INSERT_DIGEST_KEY)?.execute(params![number, purge.digest_key])?;
    question::clear_of_failed(transaction, &purge.owner)?;
    question::keep(transaction, number, &purge.question)?;
    audit::open(transaction, number)?;
    Ok(KickOff::Started(Box::new(job::job(transaction, number)?)))
}

/// The job that keeps this owner from starting another: its own, its client's, or for a client one of any of its accounts.
pub(super) fn in_progress(transaction: &Connection, owner: &lethe_auth::Scope) -> std::result::Result<Option<JobId>, Error> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let mut statement = transaction.prepare_cached(SELECT_IN_PROGRESS)?;
    Ok(statement.query_row(params![owner.client_id().0, account], |row| row.get(0)).optional()?)
}
