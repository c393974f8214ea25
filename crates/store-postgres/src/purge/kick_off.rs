//! Kick-off: one short transaction, whatever is stored.

use std::error::Error;

use lethe_auth::Scope;
use lethe_store::{CannotEraseFiles, JobId, KickOff, NewPurge, PreviewQuery, StoreError};

use super::{
    Result, audit,
    erase::Erasure,
    job,
    preview::{self, Stamp},
    question,
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, SeqColumn, seq},
    connections::Durability,
    erase_files::{self, EraseFilesError},
    resources::{lock_account, lock_accounts},
    transaction::Tx,
};

const SELECT_IN_PROGRESS: &str = include_str!("../../sql/purge/job_in_progress.sql");
/// The next place in the order of commits: behind all that is committed in the accounts whose locks are held.
pub(crate) const TAKE_WATERMARK: &str = include_str!("../../sql/purge/watermark.sql");
const LOCK_CLIENT: &str = include_str!("../../sql/purge/lock_client.sql");
const INSERT_DIGEST_KEY: &str = include_str!("../../sql/purge/insert_digest_key.sql");
const INSERT_JOB: &str = include_str!("../../sql/purge/insert_job.sql");

/// How often a kick-off previews anew because something was written to the account meanwhile.
const LOOKS_MAX: u32 = 5;

pub(super) async fn kick_off(store: &PostgresStore, purge: &NewPurge) -> Result<KickOff> {
    if purge.erase_files
        && let Some(why) = cannot_erase_files(store, purge).await?
    {
        return Ok(KickOff::CannotEraseFiles(why));
    }
    let Some(expected) = purge.expect else { return start_unless_changed(store, purge, None).await?.ok_or_else(changes_too_fast) };
    let owner = &purge.owner;
    if let Some(running) = store.connections.read(|tx| async move { in_progress(&tx, owner).await }).await? {
        return Ok(KickOff::Conflict { running });
    }
    for _ in 0..LOOKS_MAX {
        let NewPurge { owner, selection, question, bases, .. } = purge.clone();
        let (preview, stamp) = preview::preview(store, &PreviewQuery { owner, selection, question, bases }).await?;
        if preview.digest != expected {
            return Ok(KickOff::Changed { digest: preview.digest });
        }
        if let Some(started) = start_unless_changed(store, purge, Some(&stamp)).await? {
            return Ok(started);
        }
    }
    Err(changes_too_fast())
}

/// What would keep the job, hours later, from erasing files. Whoever operates the server reads what to do about it.
async fn cannot_erase_files(store: &PostgresStore, purge: &NewPurge) -> Result<Option<CannotEraseFiles>> {
    match store.connections.read(|tx| async move { erase_files::refused(&tx).await }).await? {
        None => Ok(None),
        Some(refused) => {
            tracing::warn!(client = %purge.owner.client_id().0, error = &refused as &dyn Error, "a purge with _eraseFiles was refused");
            Ok(Some(if matches!(refused, EraseFilesError::Spread) { CannotEraseFiles::Spread } else { CannotEraseFiles::Rights }))
        }
    }
}

fn changes_too_fast() -> StoreError {
    StoreError::Unavailable("the account is being written to faster than a purge of it can be previewed".into())
}

/// Starts the job; `None` if anything that it depends on has changed since the stamp was taken.
async fn start_unless_changed(store: &PostgresStore, purge: &NewPurge, stamp: Option<&Stamp>) -> Result<Option<KickOff>> {
    let now = store.clock.now();
    let work = |tx: Tx| async move {
        lock_owner(&tx, &purge.owner).await?;
        if let Some(stamp) = stamp
            && Stamp::of(&tx, &purge.owner, now).await? != *stamp
        {
            return Ok(None);
        }
        Ok(Some(start(&tx, purge, now).await?))
    };
    Ok(store.connections.write(Durability::OnDisk, work).await?)
}

/// Takes the locks of all accounts of an owner: whoever writes to them has committed, or will have a later place in the order of commits. For a
/// client that of the client, too, so that it gets no further account meanwhile.
pub(crate) async fn lock_owner(tx: &Tx, owner: &Scope) -> crate::error::Result<()> {
    match owner {
        Scope::Account { account_id, .. } => lock_account(tx, *account_id).await.map(drop),
        Scope::Client { client_id } => {
            tx.row_if_any(LOCK_CLIENT, &[&client_id.0]).await?;
            lock_accounts(tx, client_id).await
        }
    }
}

async fn start(tx: &Tx, purge: &NewPurge, now: lethe_fhir::Instant) -> crate::error::Result<KickOff> {
    if let Some(running) = in_progress(tx, &purge.owner).await? {
        return Ok(KickOff::Conflict { running });
    }
    let watermark = seq(&tx.row(TAKE_WATERMARK, &[]).await?, 0)?;
    let inserted = tx
        .row(
            INSERT_JOB,
            &[
                &purge.job_id,
                &purge.owner.client_id().0,
                &purge.owner.account_id().map(|account_id| account_id.0),
                &purge.selection.types.as_deref().map(job::write_types),
                &purge.selection.before.map(InstantColumn),
                &purge.selection.include_deleted,
                &purge.selection.level.stored(),
                &job::write_filtered(&purge.selection.filtered_types),
                &purge.reason,
                &purge.bases.addresses().collect::<Vec<_>>().join(" "),
                &SeqColumn(watermark),
                &InstantColumn(now),
                &if purge.erase_files { Erasure::Asked } else { Erasure::Rows }.stored(),
            ],
        )
        .await?;
    let number: i64 = inserted.try_get(0)?;
    tx.execute(INSERT_DIGEST_KEY, &[&number, &purge.digest_key.as_slice()]).await?;
    question::clear_of_failed(tx, &purge.owner).await?;
    question::keep(tx, number, &purge.question).await?;
    audit::open(tx, number).await?;
    Ok(KickOff::Started(Box::new(job::job(tx, number).await?)))
}

/// The job that keeps this owner from starting another: its own, its client's, or for a client one of any of its accounts.
pub(super) async fn in_progress(tx: &Tx, owner: &Scope) -> crate::error::Result<Option<JobId>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let row = tx.row_if_any(SELECT_IN_PROGRESS, &[&owner.client_id().0, &account]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
