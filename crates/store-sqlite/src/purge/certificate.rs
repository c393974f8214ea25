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
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::{Result, job};
use crate::{SqliteStore, columns::TypeColumn};

const SELECT_LAST: &str = include_str!("../../sql/purge/last_certificate.sql");
const SELECT_LAST_OF_JOB: &str = include_str!("../../sql/purge/last_certificate_of_job.sql");
const SELECT_FROM: &str = include_str!("../../sql/purge/certificates_from.sql");
const INSERT: &str = include_str!("../../sql/purge/insert_certificate.sql");
const SELECT_STORE_ID: &str = include_str!("../../sql/purge/store_id.sql");
const SELECT_CLIENT_NAME: &str = include_str!("../../sql/purge/client_name.sql");
const SELECT_VERSIONS: &str = include_str!("../../sql/purge/versions_by_type.sql");
const SELECT_ROOTS: &str = include_str!("../../sql/purge/digest_roots.sql");

/// Issues the certificate of a job that has just ended, and appends it to the chain.
pub(super) fn issue(
    tx: &Transaction<'_>,
    number: i64,
    ended: &PurgeJob,
    end: &PurgeEnd,
    issuer: &dyn Issuer,
    now: Instant,
) -> crate::error::Result<()> {
    let last = tx.prepare_cached(SELECT_LAST)?.query_row([], |row| Ok((row.get::<_, u64>(0)?, row.get(1)?))).optional()?;
    let (next, previous) = match last {
        Some((number, jws)) => (number + 1, Some(jws)),
        None => (1, None),
    };
    let facts = Facts {
        number: next,
        store: store_id(tx)?,
        previous,
        replaces: last_of_job(tx, number)?.map(|(number, _)| number),
        ended_on: now,
        job_id: ended.job_id,
        client_id: ended.owner.client_id().0.clone(),
        client_name: tx.prepare_cached(SELECT_CLIENT_NAME)?.query_row([&ended.owner.client_id().0], |row| row.get(0))?,
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
        counts: counts(tx, number, ended)?,
        level: if end.is_settled { Level::Files } else { Level::Rows },
        probe: end.probe.clone(),
        deleted: trees(tx, number, BatchTrees::new(), |_| {})?,
    };
    let jws = issuer.issue(facts).map_err(StoreError::from)?;
    tx.prepare_cached(INSERT)?.execute(params![next, number, jws])?;
    Ok(())
}

/// Tells this store from every other.
pub(super) fn store_id(tx: &Connection) -> crate::error::Result<Uuid> {
    Ok(tx.prepare_cached(SELECT_STORE_ID)?.query_row([], |row| row.get(0)).map(Uuid::from_bytes)?)
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

fn counts(tx: &Connection, number: i64, ended: &PurgeJob) -> crate::error::Result<Vec<(ResourceType, lethe_purge::Counts, u64)>> {
    let versions: Vec<(ResourceType, u64)> = tx
        .prepare_cached(SELECT_VERSIONS)?
        .query_map([number], |row| Ok((row.get::<_, TypeColumn>(0)?.0, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let versions_of = |wanted| versions.iter().find(|(resource_type, _)| *resource_type == wanted).map_or(0, |(_, versions)| *versions);
    Ok(ended.counts.iter().map(|(resource_type, counts)| (*resource_type, *counts, versions_of(*resource_type))).collect())
}

/// Appends the trees of a job's batches, in their order; tells each batch that has one.
pub(super) fn trees(tx: &Connection, number: i64, mut trees: BatchTrees, mut tell: impl FnMut(u64)) -> crate::error::Result<BatchTrees> {
    let mut statement = tx.prepare_cached(SELECT_ROOTS)?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        tell(row.get(0)?);
        trees.push(row.get(1)?, &row.get::<_, Hash>(2)?);
    }
    Ok(trees)
}

/// The newest certificate of a job: its number and compact form.
pub(super) fn last_of_job(tx: &Connection, number: i64) -> crate::error::Result<Option<(u64, String)>> {
    Ok(tx.prepare_cached(SELECT_LAST_OF_JOB)?.query_row([number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(super) async fn certificate(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<Option<String>> {
    store
        .connections
        .read(move |tx| {
            let Some(number) = job::number_of(tx, &owner, job_id)? else { return Ok(None) };
            Ok(last_of_job(tx, number)?.map(|(_, jws)| jws))
        })
        .await
}

pub(super) async fn certificates(store: &SqliteStore, after: u64, count: usize) -> Result<Vec<StoredCertificate>> {
    store
        .connections
        .read(move |tx| {
            let mut statement = tx.prepare_cached(SELECT_FROM)?;
            let rows = statement.query_map(params![after, i64::try_from(count).unwrap_or(i64::MAX)], |row| {
                Ok(StoredCertificate { number: row.get(0)?, job_id: row.get(1)?, jws: row.get(2)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
}
