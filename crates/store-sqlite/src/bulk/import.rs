//! Imports: a batch of lines is stored and counted in one transaction.

use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_jobs::{Fence, JobEvent, JobState, Lease};
use lethe_store::{
    BULK_KEPT_MS, ChangeKind, ImportBatch, ImportCanceled, ImportJob, ImportProgress, ImportStart, JobId, NewImport, StoreError, WriteError,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{LEASE_MS, Result, has_ended};
use crate::{SqliteStore, columns::InstantColumn, connections::Durability, resources};

const SELECT_IN_PROGRESS: &str = include_str!("../../sql/bulk/import_in_progress.sql");
const SELECT_ALL_IN_PROGRESS: &str = include_str!("../../sql/bulk/imports_in_progress.sql");
const INSERT: &str = include_str!("../../sql/bulk/insert_import.sql");
const SELECT_NUMBER: &str = include_str!("../../sql/bulk/import_number.sql");
const SELECT_BY_OWNER: &str = include_str!("../../sql/bulk/imports_by_owner.sql");
const SELECT_JOB: &str = include_str!("../../sql/bulk/import_columns.sql");
const RENEW: &str = include_str!("../../sql/bulk/renew_import.sql");
const COUNT_BATCH: &str = include_str!("../../sql/bulk/count_import_batch.sql");
const SET_STATE: &str = include_str!("../../sql/bulk/set_import_state.sql");
const END: &str = include_str!("../../sql/bulk/end_import.sql");

/// Why an import failed whose call nobody answers any more.
const LEFT: &str = "the server ended, or lost the call, while the import ran";

pub(super) async fn start(store: &SqliteStore, import: NewImport) -> Result<ImportStart> {
    let now = store.clock.now();
    store.connections.write(Durability::OnDisk, move |tx| -> Result<ImportStart> { Ok(begin(tx, &import, now)?) }).await
}

fn begin(tx: &Transaction<'_>, import: &NewImport, now: Instant) -> crate::error::Result<ImportStart> {
    let in_progress = tx
        .prepare_cached(SELECT_IN_PROGRESS)?
        .query_row([import.account_id.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<InstantColumn>>(2)?.map(|column| column.0)))
        })
        .optional()?;
    match in_progress {
        Some((number, _, lease_expires_on)) if has_ended(lease_expires_on, now) => end_left(tx, number, now)?,
        Some((_, running, _)) => return Ok(ImportStart::Conflict { running }),
        None => {}
    }
    // It is claimed by whoever brings it, at once.
    let state = JobState::Queued.transition(JobEvent::Claim).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    tx.prepare_cached(INSERT)?.execute(params![
        import.job_id,
        import.owner.client_id().0,
        import.account_id.0,
        state.stored(),
        InstantColumn(now.plus_ms(LEASE_MS)),
        import.after_line,
        InstantColumn(now)
    ])?;
    let job = job(tx, tx.last_insert_rowid())?;
    Ok(ImportStart::Started(Lease { job_id: import.job_id, fence: Fence(1) }, Box::new(job)))
}

/// Ends every import that was in progress when the server ended.
pub(super) fn fail_all(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<()> {
    let mut statement = tx.prepare(SELECT_ALL_IN_PROGRESS)?;
    let numbers: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    numbers.into_iter().try_for_each(|number| end_left(tx, number, now))
}

fn end_left(tx: &Transaction<'_>, number: i64, now: Instant) -> crate::error::Result<()> {
    end(tx, number, JobEvent::Fail, Some(LEFT), now).map(drop)
}

/// Renews the lease, or fails with `LeaseLost`, before anything else of the transaction happens (INV-3).
fn hold(tx: &Transaction<'_>, lease: Lease<JobId>, now: Instant) -> crate::error::Result<i64> {
    let expires_on = now.plus_ms(LEASE_MS);
    let number = tx
        .prepare_cached(RENEW)?
        .query_row(params![lease.job_id, lease.fence.0, InstantColumn(expires_on)], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::LeaseLost)?;
    Ok(number)
}

pub(super) async fn store_batch(
    store: &SqliteStore,
    lease: Lease<JobId>,
    batch: ImportBatch,
) -> std::result::Result<ImportProgress, WriteError> {
    let now = store.clock.now();
    let (last_line, rejected) = (batch.last_line, batch.rejected);
    let encoded = resources::encode(batch.writes).await?;
    store
        .connections
        // A batch and its count are lost together or not at all; the caller is told of them by the end, which is on disk.
        .write(Durability::InOrder, move |tx| -> std::result::Result<ImportProgress, resources::Failure> {
            let number = hold(tx, lease, now)?;
            let job = job(tx, number)?;
            if job.state == JobState::Canceling {
                return Ok(ImportProgress::Canceled);
            }
            let mut counts = (0_u64, 0_u64);
            if !encoded.is_empty() {
                for outcome in resources::write_all(tx, job.account_id, encoded, now)? {
                    match outcome.kind {
                        Some(ChangeKind::Create) => counts.0 += 1,
                        // An import deletes nothing.
                        Some(ChangeKind::Update | ChangeKind::Delete) | None => counts.1 += 1,
                    }
                }
            }
            tx.prepare_cached(COUNT_BATCH)?.execute(params![number, last_line, counts.0, counts.1, rejected, InstantColumn(now)])?;
            Ok(ImportProgress::Stored(Box::new(self::job(tx, number)?)))
        })
        .await
        .map_err(Into::into)
}

pub(super) async fn finish(store: &SqliteStore, lease: Lease<JobId>, event: JobEvent, failure: Option<String>) -> Result<ImportJob> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |tx| -> Result<ImportJob> {
            let number = hold(tx, lease, now)?;
            Ok(end(tx, number, event, failure.as_deref(), now)?)
        })
        .await
}

fn end(tx: &Transaction<'_>, number: i64, event: JobEvent, failure: Option<&str>, now: Instant) -> crate::error::Result<ImportJob> {
    let from = job(tx, number)?.state;
    // A cancel that came between is taken: whatever else ended the import, no batch follows.
    let event = if from == JobState::Canceling { JobEvent::Stop } else { event };
    let to = from.transition(event).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = InstantColumn(now.plus_ms(BULK_KEPT_MS));
    tx.prepare_cached(END)?.execute(params![number, from.stored(), to.stored(), InstantColumn(now), expires_on, failure])?;
    job(tx, number)
}

pub(super) async fn import_job(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<Option<ImportJob>> {
    let now = store.clock.now();
    store.connections.read(move |tx| number_of(tx, &owner, job_id, now)?.map(|number| job(tx, number)).transpose()).await
}

pub(super) async fn import_jobs(store: &SqliteStore, owner: Scope, count: usize) -> Result<Vec<ImportJob>> {
    let now = store.clock.now();
    store
        .connections
        .read(move |tx| {
            let account = owner.account_id().map(|account_id| account_id.0);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let mut statement = tx.prepare_cached(SELECT_BY_OWNER)?;
            let numbers: Vec<i64> = statement
                .query_map(params![owner.client_id().0, account, InstantColumn(now), count], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            numbers.into_iter().map(|number| job(tx, number)).collect()
        })
        .await
}

pub(super) async fn cancel(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<ImportCanceled> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |tx| -> Result<ImportCanceled> {
            let Some(number) = number_of(tx, &owner, job_id, now)? else { return Ok(ImportCanceled::Unknown) };
            let from = job(tx, number)?.state;
            let to = match from.transition(JobEvent::Cancel) {
                Ok(to) => to,
                Err(refused) => return Ok(ImportCanceled::Refused(refused)),
            };
            set_state(tx, number, from, to, now)?;
            Ok(ImportCanceled::Taken(Box::new(job(tx, number)?)))
        })
        .await
}

fn set_state(tx: &Transaction<'_>, number: i64, from: JobState, to: JobState, now: Instant) -> crate::error::Result<()> {
    tx.prepare_cached(SET_STATE)?.execute(params![number, from.stored(), to.stored(), InstantColumn(now)])?;
    Ok(())
}

/// The key of a job that `owner` may see and whose time is not over.
fn number_of(connection: &Connection, owner: &Scope, job_id: JobId, now: Instant) -> crate::error::Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let mut statement = connection.prepare_cached(SELECT_NUMBER)?;
    Ok(statement.query_row(params![job_id, owner.client_id().0, account, InstantColumn(now)], |row| row.get(0)).optional()?)
}

fn job(connection: &Connection, number: i64) -> crate::error::Result<ImportJob> {
    let mut statement = connection.prepare_cached(SELECT_JOB)?;
    statement.query_row([number], |row| Ok(read_row(row)))?.map_err(Into::into)
}

fn read_row(row: &Row<'_>) -> Result<ImportJob> {
    let sql = crate::error::store_error;
    let state: String = row.get(2).map_err(sql)?;
    let instant = |column| row.get::<_, InstantColumn>(column).map(|column| column.0).map_err(sql);
    Ok(ImportJob {
        job_id: row.get(0).map_err(sql)?,
        account_id: lethe_auth::AccountId(row.get(1).map_err(sql)?),
        state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
        after_line: row.get(3).map_err(sql)?,
        last_line: row.get(4).map_err(sql)?,
        created: row.get(5).map_err(sql)?,
        updated: row.get(6).map_err(sql)?,
        rejected: row.get(7).map_err(sql)?,
        created_on: instant(8)?,
        last_updated: instant(9)?,
        completed_on: row.get::<_, Option<InstantColumn>>(10).map_err(sql)?.map(|column| column.0),
        failure: row.get(11).map_err(sql)?,
    })
}
