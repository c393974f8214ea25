//! Certificates: issued in the transaction that ends a job, and read.

use lethe_auth::Scope;
use lethe_certificate::{
    document::{Level, Outcome},
    issue::{BatchTrees, Facts},
    tree::Hash,
};
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::JobState;
use lethe_store::{Issuer, JobId, PurgeEnd, PurgeJob, StoreError, StoredCertificate};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Result, job};
use crate::{
    PostgresStore,
    columns::{NumberColumn, TypeColumn, at_most, number},
    transaction::Tx,
};

const LOCK_CHAIN: &str = include_str!("../../sql/purge/lock_chain.sql");
const SELECT_LAST: &str = include_str!("../../sql/purge/last_certificate.sql");
const SELECT_LAST_OF_JOB: &str = include_str!("../../sql/purge/last_certificate_of_job.sql");
const SELECT_FROM: &str = include_str!("../../sql/purge/certificates_from.sql");
const INSERT: &str = include_str!("../../sql/purge/insert_certificate.sql");
const SELECT_STORE_ID: &str = include_str!("../../sql/purge/store_id.sql");
const SELECT_CLIENT_NAME: &str = include_str!("../../sql/purge/client_name.sql");
const SELECT_VERSIONS: &str = include_str!("../../sql/purge/versions_by_type.sql");
const SELECT_ROOTS: &str = include_str!("../../sql/purge/digest_roots.sql");

/// Issues the certificate of a job that has just ended, and appends it to the chain.
pub(super) async fn issue(
    tx: &Tx,
    job_number: i64,
    ended: &PurgeJob,
    level: Level,
    end: &PurgeEnd,
    issuer: &dyn Issuer,
    now: Instant,
) -> crate::error::Result<()> {
    // Two jobs that end at once append one after the other.
    tx.row(LOCK_CHAIN, &[]).await?;
    let last = tx.row_if_any(SELECT_LAST, &[]).await?.as_ref().map(read_link).transpose()?;
    let (next, previous) = match last {
        Some((number, jws)) => (number + 1, Some(jws)),
        None => (1, None),
    };
    let client_name = tx.row(SELECT_CLIENT_NAME, &[&ended.owner.client_id().0]).await?.try_get(0)?;
    let facts = Facts {
        number: next,
        store: store_id(tx).await?,
        previous,
        replaces: last_of_job(tx, job_number).await?.map(|(number, _)| number),
        ended_on: now,
        job_id: ended.job_id,
        client_id: ended.owner.client_id().0.clone(),
        client_name,
        account: ended.owner.account_id().map(|account_id| account_id.0),
        reason: ended.reason.clone(),
        selection: ended.selection.clone(),
        watermark: ended.watermark,
        requested_on: ended.created_on,
        planned_on: ended.initialized_on,
        retry_count: ended.retry_count,
        outcome: outcome(ended.state)?,
        failure: ended.failure.clone(),
        holds: ended.holds.iter().map(ToString::to_string).collect(),
        counts: counts(tx, job_number, ended).await?,
        level,
        probe: end.probe.clone(),
        deleted: trees(tx, job_number, BatchTrees::new(), |_| {}).await?,
    };
    let jws = issuer.issue(facts).map_err(StoreError::from)?;
    tx.execute(INSERT, &[&NumberColumn(next), &job_number, &jws]).await?;
    Ok(())
}

/// Tells this store from every other.
pub(super) async fn store_id(tx: &Tx) -> crate::error::Result<Uuid> {
    Ok(tx.row(SELECT_STORE_ID, &[]).await?.try_get(0)?)
}

fn outcome(state: JobState) -> std::result::Result<Outcome, StoreError> {
    match state {
        JobState::Successful => Ok(Outcome::Successful),
        JobState::Failed => Ok(Outcome::Failed),
        JobState::Canceled => Ok(Outcome::Canceled),
        JobState::Queued | JobState::Running | JobState::Canceling => {
            Err(StoreError::NotUnderstood(format!("a certificate of a job that is {}", state.stored())))
        }
    }
}

async fn counts(tx: &Tx, job_number: i64, ended: &PurgeJob) -> crate::error::Result<Vec<(ResourceType, lethe_purge::Counts, u64)>> {
    let mut versions: Vec<(ResourceType, u64)> = Vec::new();
    for row in tx.rows(SELECT_VERSIONS, &[&job_number]).await? {
        versions.push((row.try_get::<_, TypeColumn>(0)?.0, number(&row, 1)?));
    }
    let versions_of = |wanted| versions.iter().find(|(resource_type, _)| *resource_type == wanted).map_or(0, |(_, versions)| *versions);
    Ok(ended.counts.iter().map(|(resource_type, counts)| (*resource_type, *counts, versions_of(*resource_type))).collect())
}

/// Appends the trees of a job's batches, in their order; tells each batch that has one.
pub(super) async fn trees(tx: &Tx, job_number: i64, mut trees: BatchTrees, mut tell: impl FnMut(u64)) -> crate::error::Result<BatchTrees> {
    for row in tx.rows(SELECT_ROOTS, &[&job_number]).await? {
        tell(number(&row, 0)?);
        let not_understood = |_| StoreError::NotUnderstood("purge_batch.digest_root".to_owned());
        let root: Hash = row.try_get::<_, &[u8]>(2)?.try_into().map_err(not_understood)?;
        trees.push(number(&row, 1)?, &root);
    }
    Ok(trees)
}

/// The newest certificate of a job: its number and compact form.
pub(super) async fn last_of_job(tx: &Tx, job_number: i64) -> crate::error::Result<Option<(u64, String)>> {
    tx.row_if_any(SELECT_LAST_OF_JOB, &[&job_number]).await?.as_ref().map(read_link).transpose()
}

fn read_link(row: &Row) -> crate::error::Result<(u64, String)> {
    Ok((number(row, 0)?, row.try_get(1)?))
}

pub(super) async fn certificate(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<Option<String>> {
    store
        .connections
        .read(|tx| async move {
            let Some(number) = job::number_of(&tx, owner, job_id).await? else { return Ok(None) };
            Ok(last_of_job(&tx, number).await?.map(|(_, jws)| jws))
        })
        .await
}

pub(super) async fn certificates(store: &PostgresStore, after: u64, count: usize) -> Result<Vec<StoredCertificate>> {
    store
        .connections
        .read(|tx| async move {
            let rows = tx.rows(SELECT_FROM, &[&NumberColumn(after), &at_most(count)]).await?;
            rows.iter()
                .map(|row| Ok(StoredCertificate { number: number(row, 0)?, job_id: row.try_get(1)?, jws: row.try_get(2)? }))
                .collect()
        })
        .await
}
