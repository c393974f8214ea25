//! What an owner does with a job: look, list, cancel, retry.

use lethe_auth::Scope;
use lethe_jobs::{JobEvent, JobState};
use lethe_store::{CanceledOrRetried, JobId, PurgeJob};

use super::{Result, audit, job, kick_off, question};
use crate::{
    PostgresStore,
    columns::{InstantColumn, at_most},
    connections::Durability,
    transaction::Tx,
};

const SELECT_BY_OWNER: &str = include_str!("../../sql/purge/job_numbers_by_owner.sql");
const SET_STATE: &str = include_str!("../../sql/purge/set_state.sql");
const COUNT_RETRY: &str = include_str!("../../sql/purge/count_retry.sql");
const REQUEUE_FAILED: &str = include_str!("../../sql/purge/requeue_failed_batches.sql");

pub(super) async fn purge_job(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<Option<PurgeJob>> {
    store
        .connections
        .read(|tx| async move {
            match job::number_of(&tx, owner, job_id).await? {
                Some(number) => Ok(Some(job::job(&tx, number).await?)),
                None => Ok(None),
            }
        })
        .await
}

pub(super) async fn purge_jobs(store: &PostgresStore, owner: &Scope, before: Option<JobId>, count: usize) -> Result<Vec<PurgeJob>> {
    store
        .connections
        .read(|tx| async move {
            let before = match before {
                None => i64::MAX,
                // A page that begins after a job that is not the owner's is empty.
                Some(job_id) => job::number_of(&tx, owner, job_id).await?.unwrap_or(0),
            };
            let account = owner.account_id().map(|account_id| account_id.0);
            let mut jobs = Vec::new();
            for row in tx.rows(SELECT_BY_OWNER, &[&owner.client_id().0, &account, &before, &at_most(count)]).await? {
                jobs.push(job::job(&tx, row.try_get(0)?).await?);
            }
            Ok(jobs)
        })
        .await
}

pub(super) async fn cancel(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
    let now = store.clock.now();
    Ok(store.connections.write(Durability::OnDisk, |tx| cancel_in(tx, owner, job_id, now)).await?)
}

async fn cancel_in(tx: Tx, owner: &Scope, job_id: JobId, now: lethe_fhir::Instant) -> crate::error::Result<CanceledOrRetried> {
    let Some(number) = job::number_of(&tx, owner, job_id).await? else { return Ok(CanceledOrRetried::Unknown) };
    match change_state(&tx, number, JobEvent::Cancel, now).await? {
        Err(refused) => Ok(CanceledOrRetried::Refused(refused)),
        Ok(state) => {
            let job = job::job(&tx, number).await?;
            if state == JobState::Canceled {
                // It had not been claimed: nobody else will close the record.
                audit::close(&tx, number, now, state, job.totals()).await?;
                question::clear(&tx, number).await?;
            }
            Ok(CanceledOrRetried::Taken(Box::new(job)))
        }
    }
}

pub(super) async fn retry(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
    let now = store.clock.now();
    Ok(store.connections.write(Durability::OnDisk, |tx| retry_in(tx, owner, job_id, now)).await?)
}

async fn retry_in(tx: Tx, owner: &Scope, job_id: JobId, now: lethe_fhir::Instant) -> crate::error::Result<CanceledOrRetried> {
    let Some(number) = job::number_of(&tx, owner, job_id).await? else { return Ok(CanceledOrRetried::Unknown) };
    let row = job::row(&tx, number).await?;
    if row.job.state == JobState::Failed {
        // As for a kick-off: of two that start at once, one finds the other.
        kick_off::lock_owner(&tx, &row.job.owner).await?;
        if let Some(running) = kick_off::in_progress(&tx, &row.job.owner).await? {
            return Ok(CanceledOrRetried::Conflict { running });
        }
    }
    match change_state(&tx, number, JobEvent::Retry, now).await? {
        Err(refused) => Ok(CanceledOrRetried::Refused(refused)),
        Ok(_) => {
            tx.execute(COUNT_RETRY, &[&number]).await?;
            tx.execute(REQUEUE_FAILED, &[&number]).await?;
            Ok(CanceledOrRetried::Taken(Box::new(job::job(&tx, number).await?)))
        }
    }
}

/// Applies `event` to the stored state, naming the state that it leaves.
pub(super) async fn change_state(
    tx: &Tx,
    number: i64,
    event: JobEvent,
    now: lethe_fhir::Instant,
) -> crate::error::Result<std::result::Result<JobState, lethe_jobs::Refused>> {
    let from = job::locked_row(tx, number).await?.job.state;
    let to = match from.transition(event) {
        Ok(to) => to,
        Err(refused) => return Ok(Err(refused)),
    };
    tx.execute(SET_STATE, &[&number, &from.stored(), &to.stored(), &InstantColumn(now)]).await?;
    Ok(Ok(to))
}
