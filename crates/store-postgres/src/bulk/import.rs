//! Imports: a batch of lines is stored and counted in one transaction.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::Instant;
use lethe_jobs::{Fence, JobEvent, JobState, Lease};
use lethe_store::{
    BULK_KEPT_MS, ChangeKind, ImportBatch, ImportCanceled, ImportJob, ImportProgress, ImportStart, JobId, NewImport, StoreError, WriteError,
};
use tokio_postgres::Row;

use super::Result;
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, at_most, number},
    connections::Durability,
    lease_times::LeaseTimes,
    resources,
    transaction::Tx,
};

const SELECT_IN_PROGRESS: &str = include_str!("../../sql/bulk/import_in_progress.sql");
const SELECT_ALL_IN_PROGRESS: &str = include_str!("../../sql/bulk/imports_in_progress.sql");
const SELECT_LEFT: &str = include_str!("../../sql/bulk/left_imports.sql");
const LOCK: &str = include_str!("../../sql/bulk/lock_import.sql");
const INSERT: &str = include_str!("../../sql/bulk/insert_import.sql");
const SELECT_NUMBER: &str = include_str!("../../sql/bulk/import_number.sql");
const SELECT_BY_OWNER: &str = include_str!("../../sql/bulk/imports_by_owner.sql");
const SELECT_JOB: &str = include_str!("../../sql/bulk/import_columns.sql");
const RENEW: &str = include_str!("../../sql/bulk/renew_import.sql");
const SELECT_ACCOUNT: &str = include_str!("../../sql/bulk/import_account.sql");
const COUNT_BATCH: &str = include_str!("../../sql/bulk/count_import_batch.sql");
const SET_STATE: &str = include_str!("../../sql/bulk/set_import_state.sql");
const END: &str = include_str!("../../sql/bulk/end_import.sql");

/// Why an import failed whose call nobody answers any more.
const LEFT: &str = "the server ended, or lost the call, while the import ran";

pub(super) async fn start(store: &PostgresStore, import: &NewImport) -> Result<ImportStart> {
    let times = store.lease_times();
    Ok(store.connections.write(Durability::OnDisk, |tx| begin(tx, import, times)).await?)
}

async fn begin(tx: Tx, import: &NewImport, times: LeaseTimes) -> crate::error::Result<ImportStart> {
    let now = times.now;
    if let Some(row) = tx.row_if_any(SELECT_IN_PROGRESS, &[&import.account_id.0]).await? {
        let lease_expires_on = row.try_get::<_, Option<InstantColumn>>(2)?.map(|column| column.0);
        if !times.have_passed(lease_expires_on) {
            return Ok(ImportStart::Conflict { running: row.try_get(1)? });
        }
        end_left(&tx, row.try_get(0)?, now).await?;
    }
    // It is claimed by whoever brings it, at once.
    let state = JobState::Queued.transition(JobEvent::Claim).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = InstantColumn(times.ends);
    let inserted = tx
        .row_if_any(
            INSERT,
            &[
                &import.job_id,
                &import.owner.client_id().0,
                &import.account_id.0,
                &state.stored(),
                &expires_on,
                &NumberColumn(import.after_line),
                &InstantColumn(now),
            ],
        )
        .await?;
    let Some(inserted) = inserted else {
        // Another was started in between, and has committed.
        let running = tx.row_if_any(SELECT_IN_PROGRESS, &[&import.account_id.0]).await?;
        let running = running.ok_or_else(|| StoreError::Unavailable("another import of this account was started and ended".into()))?;
        return Ok(ImportStart::Conflict { running: running.try_get(1)? });
    };
    let job = job(&tx, inserted.try_get(0)?).await?;
    Ok(ImportStart::Started(Lease { job_id: import.job_id, fence: Fence(1) }, Box::new(job)))
}

/// Ends every import that was in progress when the server ended.
pub(super) async fn fail_all(tx: &Tx, now: Instant) -> crate::error::Result<()> {
    for row in tx.rows(SELECT_ALL_IN_PROGRESS, &[]).await? {
        end_left(tx, row.try_get(0)?, now).await?;
    }
    Ok(())
}

/// Ends every import of which nothing has been heard for longer than a lease.
pub(super) async fn fail_left(tx: &Tx, times: LeaseTimes) -> crate::error::Result<()> {
    for row in tx.rows(SELECT_LEFT, &[&InstantColumn(times.now), &InstantColumn(times.latest)]).await? {
        end_left(tx, row.try_get(0)?, times.now).await?;
    }
    Ok(())
}

async fn end_left(tx: &Tx, number: i64, now: Instant) -> crate::error::Result<()> {
    end(tx, number, JobEvent::Fail, Some(LEFT), now).await.map(drop)
}

/// Renews the lease, or fails with `LeaseLost`, before anything else of the transaction happens (INV-3).
async fn hold(tx: &Tx, lease: Lease<JobId>, times: LeaseTimes) -> crate::error::Result<i64> {
    let renewed = tx.row_if_any(RENEW, &[&lease.job_id, &NumberColumn(lease.fence.0), &InstantColumn(times.ends)]).await?;
    Ok(renewed.ok_or(StoreError::LeaseLost)?.try_get(0)?)
}

pub(super) async fn store_batch(
    store: &PostgresStore,
    lease: Lease<JobId>,
    batch: ImportBatch,
) -> std::result::Result<ImportProgress, WriteError> {
    let times = store.lease_times();
    let (now, clock) = (times.now, &*store.clock);
    let (last_line, rejected) = (NumberColumn(batch.last_line), NumberColumn(batch.rejected));
    let account = async |tx: Tx| Ok(tx.row_if_any(SELECT_ACCOUNT, &[&lease.job_id]).await?.ok_or(StoreError::LeaseLost)?.try_get(0)?);
    let account_id = AccountId(store.connections.read(account).await?);
    let encoded = &resources::encode(account_id, batch.writes).await?;
    let work = |tx: Tx, beside| async move {
        let number = hold(&tx, lease, times).await?;
        let job = job(&tx, number).await?;
        if job.state == JobState::Canceling {
            return Ok(ImportProgress::Canceled);
        }
        let mut counts = (0_u64, 0_u64);
        if !encoded.is_empty() {
            for outcome in resources::write_all(&tx, job.account_id, encoded, clock, beside).await? {
                match outcome.kind {
                    Some(ChangeKind::Create) => counts.0 += 1,
                    // An import deletes nothing.
                    Some(ChangeKind::Update | ChangeKind::Delete) | None => counts.1 += 1,
                }
            }
        }
        let (created, updated) = (NumberColumn(counts.0), NumberColumn(counts.1));
        tx.execute(COUNT_BATCH, &[&number, &last_line, &created, &updated, &rejected, &InstantColumn(now)]).await?;
        Ok(ImportProgress::Stored(Box::new(self::job(&tx, number).await?)))
    };
    // A batch and its count are lost together or not at all; the caller is told of them by the end, which is on disk.
    Ok(resources::write_beside_others(&store.connections, Durability::InOrder, work).await?)
}

pub(super) async fn finish(store: &PostgresStore, lease: Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ImportJob> {
    let times = store.lease_times();
    let now = times.now;
    let work = |tx: Tx| async move {
        let number = hold(&tx, lease, times).await?;
        end(&tx, number, event, failure, now).await
    };
    Ok(store.connections.write(Durability::OnDisk, work).await?)
}

/// Ends a job whose row is locked.
async fn end(tx: &Tx, number: i64, event: JobEvent, failure: Option<&str>, now: Instant) -> crate::error::Result<ImportJob> {
    let from = job(tx, number).await?.state;
    // A cancel that came between is taken: whatever else ended the import, no batch follows.
    let event = if from == JobState::Canceling { JobEvent::Stop } else { event };
    let to = from.transition(event).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = InstantColumn(now.plus_ms(BULK_KEPT_MS));
    tx.execute(END, &[&number, &from.stored(), &to.stored(), &InstantColumn(now), &expires_on, &failure]).await?;
    job(tx, number).await
}

pub(super) async fn import_job(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<Option<ImportJob>> {
    let now = store.clock.now();
    let look = |tx: Tx| async move {
        match number_of(&tx, owner, job_id, now).await? {
            Some(number) => Ok(Some(job(&tx, number).await?)),
            None => Ok(None),
        }
    };
    store.connections.read(look).await
}

pub(super) async fn import_jobs(store: &PostgresStore, owner: &Scope, count: usize) -> Result<Vec<ImportJob>> {
    let now = store.clock.now();
    let look = |tx: Tx| async move {
        let account = owner.account_id().map(|account_id| account_id.0);
        let rows = tx.rows(SELECT_BY_OWNER, &[&owner.client_id().0, &account, &InstantColumn(now), &at_most(count)]).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            jobs.push(job(&tx, row.try_get(0)?).await?);
        }
        Ok(jobs)
    };
    store.connections.read(look).await
}

pub(super) async fn cancel(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<ImportCanceled> {
    let now = store.clock.now();
    let work = |tx: Tx| async move {
        let Some(number) = number_of(&tx, owner, job_id, now).await? else { return Ok(ImportCanceled::Unknown) };
        // Its batches and its end take the same lock: it is in one state until this is done.
        if tx.row_if_any(LOCK, &[&number]).await?.is_none() {
            return Ok(ImportCanceled::Unknown);
        }
        let from = job(&tx, number).await?.state;
        let to = match from.transition(JobEvent::Cancel) {
            Ok(to) => to,
            Err(refused) => return Ok(ImportCanceled::Refused(refused)),
        };
        tx.execute(SET_STATE, &[&number, &from.stored(), &to.stored(), &InstantColumn(now)]).await?;
        Ok(ImportCanceled::Taken(Box::new(job(&tx, number).await?)))
    };
    Ok(store.connections.write(Durability::OnDisk, work).await?)
}

/// The key of a job that `owner` may see and whose time is not over.
async fn number_of(tx: &Tx, owner: &Scope, job_id: JobId, now: Instant) -> crate::error::Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let row = tx.row_if_any(SELECT_NUMBER, &[&job_id, &owner.client_id().0, &account, &InstantColumn(now)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn job(tx: &Tx, number: i64) -> crate::error::Result<ImportJob> {
    read_row(&tx.row(SELECT_JOB, &[&number]).await?)
}

fn read_row(row: &Row) -> crate::error::Result<ImportJob> {
    let state: &str = row.try_get(2)?;
    let instant = |column| row.try_get::<_, InstantColumn>(column).map(|column| column.0);
    Ok(ImportJob {
        job_id: row.try_get(0)?,
        account_id: AccountId(row.try_get(1)?),
        state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
        after_line: number(row, 3)?,
        last_line: number(row, 4)?,
        created: number(row, 5)?,
        updated: number(row, 6)?,
        rejected: number(row, 7)?,
        created_on: instant(8)?,
        last_updated: instant(9)?,
        completed_on: row.try_get::<_, Option<InstantColumn>>(10)?.map(|column| column.0),
        failure: row.try_get(11)?,
    })
}
