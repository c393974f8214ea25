//! Proofs of single deletions, and the end of them: keys are forgotten with the digests.

use std::time::Duration;

use lethe_auth::{AccountId, Scope};
use lethe_certificate::{
    digest,
    issue::BatchTrees,
    proof::{Path, Proof},
    tree::{Hash, Tree},
};
use lethe_fhir::{LogicalId, ResourceType};
use lethe_jobs::JobState;
use lethe_store::{Deletion, Forgotten, JobId, StoreError};
use rusqlite::{Connection, Transaction, params};

use super::{
    Result, certificate,
    digests::{self, DIGEST_BYTES},
    erase::truncate_log,
    job,
};
use crate::{SqliteStore, columns::TypeColumn, connections::Durability, error::store_error};

const SELECT_DIGESTS: &str = include_str!("../../sql/purge/digests_from.sql");
const FORGET_DIGESTS: &str = include_str!("../../sql/purge/forget_digests.sql");
const FORGET_KEY: &str = include_str!("../../sql/purge/forget_digest_key.sql");

/// Batches whose digests go in one transaction: about 2 MiB.
const FORGET_BATCHES: i64 = 16;
/// Tries to cut the log.
const CUT_TRIES_MAX: u32 = 20;
/// Between two of them.
const CUT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn deletion(
    store: &SqliteStore,
    owner: Scope,
    job_id: JobId,
    account_id: AccountId,
    resource_type: ResourceType,
    id: LogicalId,
) -> Result<Deletion> {
    store
        .connections
        .read(move |tx| {
            let Some(number) = job::number_of(tx, &owner, job_id)? else { return Ok(Deletion::NoCertificate) };
            // A job that is retried has the certificate of its first end, which knows nothing of what goes now.
            if !job::row(tx, number)?.job.state.is_ended() || certificate::last_of_job(tx, number)?.is_none() {
                return Ok(Deletion::NoCertificate);
            }
            let Some(key) = digests::key(tx, number)? else { return Ok(Deletion::Forgotten) };
            let name = digest::name(account_id.0, resource_type, id.as_str());
            let opening = key.opening(name.as_bytes());
            let Some(found) = find(tx, number, account_id, resource_type, &opening.leaf(name.as_bytes()))? else {
                return Ok(Deletion::NotAmong);
            };
            let in_job = place_of_batch(tx, number, found.batch)?;
            Ok(Deletion::Proven(Box::new(Proof::new(job_id, account_id.0, (resource_type, &id), opening, found.in_batch, in_job))))
        })
        .await
}

/// Where a digest was found.
struct Found {
    batch: u64,
    in_batch: Path,
}

/// Looks through the digests of one account and type, batch by batch, holding one batch at a time.
fn find(
    tx: &Connection,
    number: i64,
    account_id: AccountId,
    resource_type: ResourceType,
    leaf: &Hash,
) -> crate::error::Result<Option<Found>> {
    let mut statement = tx.prepare_cached(SELECT_DIGESTS)?;
    let mut rows = statement.query(params![number, account_id.0, TypeColumn(resource_type)])?;
    while let Some(row) = rows.next()? {
        let stored = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let (digests, _) = stored.as_chunks::<DIGEST_BYTES>();
        let Some(index) = digests.iter().position(|digest| digest == leaf) else { continue };
        let mut tree = Tree::following(index as u64);
        digests.iter().for_each(|digest| tree.push(*digest));
        let path = tree.root_and_path().1.unwrap_or_default();
        return Ok(Some(Found { batch: row.get(0)?, in_batch: Path::new(index as u64, digests.len() as u64, &path) }));
    }
    Ok(None)
}

fn place_of_batch(tx: &Connection, number: i64, batch: u64) -> crate::error::Result<Path> {
    let mut batches = Vec::new();
    certificate::trees(tx, number, BatchTrees::new(), |known| batches.push(known))?;
    let index = batches
        .iter()
        .position(|known| *known == batch)
        .ok_or_else(|| StoreError::NotUnderstood(format!("batch {batch} has digests and no root")))? as u64;
    let (_, path) = certificate::trees(tx, number, BatchTrees::following(index), |_| {})?.root_and_path();
    Ok(Path::new(index, batches.len() as u64, &path.unwrap_or_default()))
}

pub(super) async fn forget(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<Forgotten> {
    let key_is_gone = store
        .connections
        .write(Durability::OnDisk, move |tx| -> std::result::Result<_, StoreError> { Ok(forget_key(tx, &owner, job_id)?) })
        .await?;
    let number = match key_is_gone {
        Ok(number) => number,
        Err(refused) => return Ok(refused),
    };
    // Noise by now. In steps, since a purge of millions has tens of megabytes of it; what a crash leaves goes when it is asked for again.
    while store.connections.write(Durability::InOrder, move |tx| forget_some(tx, number)).await? > 0 {}
    // What was freed is overwritten in the database; older copies of its pages are in the log until that is cut.
    cut_log(store).await?;
    Ok(Forgotten::Yes)
}

fn forget_some(tx: &Transaction<'_>, number: i64) -> Result<usize> {
    let mut delete = tx.prepare_cached(FORGET_DIGESTS).map_err(store_error)?;
    delete.execute(params![number, FORGET_BATCHES]).map_err(store_error)
}

/// Cuts the write-ahead log. Given up without an error when somebody reads for long: the next purge cuts it.
async fn cut_log(store: &SqliteStore) -> Result<()> {
    for _ in 0..CUT_TRIES_MAX {
        store.checkpointer.checkpoint().await?;
        if store.connections.with_writer(|writer| Ok(truncate_log(writer)?)).await? {
            return Ok(());
        }
        tokio::time::sleep(CUT_PAUSE).await;
    }
    tracing::warn!("a long read keeps the write-ahead log from being cut: a forgotten key can be in it until the next purge");
    Ok(())
}

/// Destroys the key; returns the job's number, or why not.
fn forget_key(tx: &Transaction<'_>, owner: &Scope, job_id: JobId) -> crate::error::Result<std::result::Result<i64, Forgotten>> {
    let Some(number) = job::number_of(tx, owner, job_id)? else { return Ok(Err(Forgotten::Unknown)) };
    let job = job::row(tx, number)?.job;
    match job.state {
        // A retry goes on with the tree.
        JobState::Failed if !job.is_carried_out_again() => Ok(Err(Forgotten::NotYet)),
        JobState::Successful | JobState::Canceled | JobState::Failed => {
            tx.prepare_cached(FORGET_KEY)?.execute([number])?;
            Ok(Ok(number))
        }
        JobState::Queued | JobState::Running | JobState::Canceling => Ok(Err(Forgotten::NotYet)),
    }
}
