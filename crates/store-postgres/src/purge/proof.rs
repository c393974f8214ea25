//! Proofs of single deletions, and the end of them: keys are forgotten with the digests.

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

use super::{
    Result, certificate,
    digests::{self, DIGEST_BYTES},
    job,
};
use crate::{
    PostgresStore,
    columns::{TypeColumn, number},
    connections::Durability,
    transaction::Tx,
};

const SELECT_DIGESTS: &str = include_str!("../../sql/purge/digests_from.sql");
const FORGET_DIGESTS: &str = include_str!("../../sql/purge/forget_digests.sql");
const FORGET_KEY: &str = include_str!("../../sql/purge/forget_digest_key.sql");

/// Batches whose digests go in one transaction: about 2 MiB.
const FORGET_BATCHES: i64 = 16;

pub(super) async fn deletion(
    store: &PostgresStore,
    owner: &Scope,
    job_id: JobId,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
) -> Result<Deletion> {
    let look = |tx: Tx| async move {
        let Some(number) = job::number_of(&tx, owner, job_id).await? else { return Ok(Deletion::NoCertificate) };
        // A job that is retried has the certificate of its first end, which knows nothing of what goes now.
        if !job::row(&tx, number).await?.job.state.is_ended() || certificate::last_of_job(&tx, number).await?.is_none() {
            return Ok(Deletion::NoCertificate);
        }
        let Some(key) = digests::key(&tx, number).await? else { return Ok(Deletion::Forgotten) };
        let name = digest::name(account_id.0, resource_type, id.as_str());
        let opening = key.opening(name.as_bytes());
        let Some(found) = find(&tx, number, account_id, resource_type, &opening.leaf(name.as_bytes())).await? else {
            return Ok(Deletion::NotAmong);
        };
        let in_job = place_of_batch(&tx, number, found.batch).await?;
        Ok(Deletion::Proven(Box::new(Proof::new(job_id, account_id.0, (resource_type, id), opening, found.in_batch, in_job))))
    };
    store.connections.read(look).await
}

/// Where a digest was found.
struct Found {
    batch: u64,
    in_batch: Path,
}

/// Looks through the digests of one account and type, batch by batch, holding one batch at a time.
async fn find(tx: &Tx, job: i64, account_id: AccountId, resource_type: ResourceType, leaf: &Hash) -> crate::error::Result<Option<Found>> {
    let mut after = -1_i64;
    while let Some(row) = tx.row_if_any(SELECT_DIGESTS, &[&job, &account_id.0, &TypeColumn(resource_type), &after]).await? {
        after = row.try_get(0)?;
        let (digests, _) = row.try_get::<_, &[u8]>(1)?.as_chunks::<DIGEST_BYTES>();
        let Some(index) = digests.iter().position(|digest| digest == leaf) else { continue };
        let mut tree = Tree::following(index as u64);
        digests.iter().for_each(|digest| tree.push(*digest));
        let path = tree.root_and_path().1.unwrap_or_default();
        return Ok(Some(Found { batch: number(&row, 0)?, in_batch: Path::new(index as u64, digests.len() as u64, &path) }));
    }
    Ok(None)
}

async fn place_of_batch(tx: &Tx, job: i64, batch: u64) -> crate::error::Result<Path> {
    let mut batches = Vec::new();
    certificate::trees(tx, job, BatchTrees::new(), |known| batches.push(known)).await?;
    let index = batches
        .iter()
        .position(|known| *known == batch)
        .ok_or_else(|| StoreError::NotUnderstood(format!("batch {batch} has digests and no root")))? as u64;
    let (_, path) = certificate::trees(tx, job, BatchTrees::following(index), |_| {}).await?.root_and_path();
    Ok(Path::new(index, batches.len() as u64, &path.unwrap_or_default()))
}

pub(super) async fn forget(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<Forgotten> {
    let key_is_gone = store.connections.write(Durability::OnDisk, |tx| forget_key(tx, owner, job_id)).await?;
    let number = match key_is_gone {
        Ok(number) => number,
        Err(refused) => return Ok(refused),
    };
    // Noise by now. In steps, since a purge of millions has tens of megabytes of it; what a crash leaves goes when it is asked for again.
    let forget_some = |tx: Tx| async move { tx.execute(FORGET_DIGESTS, &[&number, &FORGET_BATCHES]).await };
    while store.connections.write(Durability::InOrder, forget_some).await? > 0 {}
    Ok(Forgotten::Yes)
}

/// Destroys the key; returns the job's number, or why not.
async fn forget_key(tx: Tx, owner: &Scope, job_id: JobId) -> crate::error::Result<std::result::Result<i64, Forgotten>> {
    let Some(number) = job::number_of(&tx, owner, job_id).await? else { return Ok(Err(Forgotten::Unknown)) };
    let job = job::locked_row(&tx, number).await?.job;
    match job.state {
        // A retry goes on with the tree.
        JobState::Failed if !job.is_carried_out_again() => Ok(Err(Forgotten::NotYet)),
        JobState::Successful | JobState::Canceled | JobState::Failed => {
            tx.execute(FORGET_KEY, &[&number]).await?;
            Ok(Ok(number))
        }
        JobState::Queued | JobState::Running | JobState::Canceling => Ok(Err(Forgotten::NotYet)),
    }
}
