//! What an owner does with a job: look, list, cancel, retry.

use lethe_auth::Scope;
use lethe_jobs::{JobEvent, JobState};
use lethe_store::{CanceledOrRetried, JobId, PurgeJob, StoreError};
use rusqlite::{Transaction, params};

use super::{Result, audit, empty_log, job, kick_off, question};
use crate::{SqliteStore, columns::InstantColumn, connections::Durability};

const SELECT_BY_OWNER: &str = include_str!("../../sql/purge/job_numbers_by_owner.sql");
const SET_STATE: &str = include_str!("../../sql/purge/set_state.sql");
const COUNT_RETRY: &str = include_str!("../../sql/purge/count_retry.sql");
const REQUEUE_FAILED: &str = include_str!("../../sql/purge/requeue_failed_batches.sql");

pub(super) async fn purge_job(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<Option<PurgeJob>> {
    store.connections.read(move |tx| job::number_of(tx, &owner, job_id)?.map(|number| job::job(tx, number)).transpose()).await
}

pub(super) async fn purge_jobs(store: &SqliteStore, owner: Scope, before: Option<JobId>, count: usize) -> Result<Vec<PurgeJob>> {
    store
        .connections
        .read(move |tx| {
            let before = match before {
                None => i64::MAX,
                // A page that begins after a job that is not the owner's is empty.
                Some(job_id) => job::number_of(tx, &owner, job_id)?.unwrap_or(0),
            };
            let account = owner.account_id().map(|account_id| account_id.0);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let mut statement = tx.prepare_cached(SELECT_BY_OWNER)?;
            let numbers: Vec<i64> = statement
                .query_map(params![owner.client_id().0, account, before, count], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            numbers.into_iter().map(|number| job::job(tx, number)).collect()
        })
        .await
}

pub(super) async fn cancel(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<CanceledOrRetried> {
    let now = store.clock.now();
    let done = store
        .connections
        .write(Durability::OnDisk, move |tx| -> std::result::Result<_, StoreError> {
            let Some(number) = job::number_of(tx, &owner, job_id)? else { return Ok(CanceledOrRetried::Unknown) };
            match change_state(tx, number, JobEvent::Cancel, now)? {
                Err(refused) => Ok(CanceledOrRetried::Refused(refused)),
                Ok(state) => {
                    let job = job::job(tx, number)?;
                    if state == JobState::Canceled {
                        // It had not been claimed: nobody else will close the record.
                        audit::close(tx, number, now, state, job.totals())?;
                        question::clear(tx, number)?;
                    }
                    Ok(CanceledOrRetried::Taken(Box::new(job)))
                }
            }
        })
        .await?;
    if matches!(&done, CanceledOrRetried::Taken(job) if job.state == JobState::Canceled) {
        empty_log(store).await;
    }
    Ok(done)
}

pub(super) async fn retry(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<CanceledOrRetried> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |tx| -> std::result::Result<_, StoreError> {
            let Some(number) = job::number_of(tx, &owner, job_id)? else { return Ok(CanceledOrRetried::Unknown) };
            let row = job::row(tx, number)?;
            if row.job.state == JobState::Failed
                && let Some(running) = kick_off::in_progress(tx, &row.job.owner)?
            {
                return Ok(CanceledOrRetried::Conflict { running });
            }
            match change_state(tx, number, JobEvent::Retry, now)? {
                Err(refused) => Ok(CanceledOrRetried::Refused(refused)),
                Ok(_) => {
                    requeue(tx, number).map_err(crate::error::store_error)?;
                    Ok(CanceledOrRetried::Taken(Box::new(job::job(tx, number)?)))
                }
            }
        })
        .await
}

fn requeue(tx: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(COUNT_RETRY)?.execute([number])?;
    tx.prepare_cached(REQUEUE_FAILED)?.execute([number])?;
    Ok(())
}

/// Applies `event` to the stored state, naming the state that it leaves.
pub(super) fn change_state(
    tx: &Transaction<'_>,
    number: i64,
    event: JobEvent,
    now: lethe_fhir::Instant,
) -> crate::error::Result<std::result::Result<JobState, lethe_jobs::Refused>> {
    let from = job::row(tx, number)?.job.state;
    let to = match from.transition(event) {
        Ok(to) => to,
        Err(refused) => return Ok(Err(refused)),
    };
    tx.prepare_cached(SET_STATE)?.execute(params![number, from.stored(), to.stored(), InstantColumn(now)])?;
    Ok(Ok(to))
}
