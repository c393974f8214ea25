//! The end of a job.

use lethe_fhir::Instant;
use lethe_jobs::{JobEvent, Lease};
use lethe_store::{Issuer, JobId, PurgeEnd, PurgeJob, SharedIssuer, StoreError};
use rusqlite::{Transaction, params};

use super::{
    Result, audit, certificate,
    control::change_state,
    empty_log,
    job::{self, JobRow},
    lease::hold,
    listed, question,
};
use crate::{SqliteStore, connections::Durability};

const SET_FAILURE: &str = include_str!("../../sql/purge/set_failure.sql");
const FAIL_UNFINISHED: &str = include_str!("../../sql/purge/fail_unfinished_batches.sql");

pub(super) async fn finish(store: &SqliteStore, lease: Lease<JobId>, end: PurgeEnd, issuer: SharedIssuer) -> Result<PurgeJob> {
    let (now, is_settled) = (store.clock.now(), end.is_settled);
    let job = store.renew(lease).await?.job;
    // A job that failed after its plan was made may be retried and needs its lists; no other does.
    if end.event != JobEvent::Fail || job.initialized_on.is_none() {
        listed::clear_gently(store, lease).await?;
    }
    let job = store
        .connections
        // With this commit everything that the job did is on disk, too.
        .write(Durability::OnDisk, move |tx| -> Result<PurgeJob> {
            let row = hold(tx, lease, now)?;
            Ok(finish_in(tx, &row, &end, issuer.as_ref(), now)?)
        })
        .await?;
    if !is_settled {
        // It may have forgotten what it was asked.
        empty_log(store).await;
    }
    Ok(job)
}

/// Ends a job, closes its audit record and issues its certificate.
pub(super) fn finish_in(
    tx: &Transaction<'_>,
    row: &JobRow,
    end: &PurgeEnd,
    issuer: &dyn Issuer,
    now: Instant,
) -> crate::error::Result<PurgeJob> {
    let state = match change_state(tx, row.number, end.event, now)? {
        Ok(state) => state,
        // A cancel came between: the worker asks again and stops.
        Err(refused) => return Err(StoreError::Unavailable(Box::new(refused)).into()),
    };
    tx.prepare_cached(SET_FAILURE)?.execute(params![row.number, end.failure])?;
    if end.event == JobEvent::Fail {
        // Batches that never had their turn failed with the job, so that the sums agree (INV-4) and a retry runs them.
        tx.prepare_cached(FAIL_UNFINISHED)?.execute(params![row.number, end.failure])?;
    } else {
        // Little is left of them, but where no worker ends the job.
        listed::clear(tx, row.number)?;
    }
    if row.job.initialized_on.is_none() {
        listed::clear(tx, row.number)?;
        // A retry makes the plan anew. After any other end nobody is to learn what was asked.
        if end.event != JobEvent::Fail {
            question::clear(tx, row.number)?;
        }
    }
    let ended = job::job(tx, row.number)?;
    audit::close(tx, row.number, now, state, ended.totals())?;
    certificate::issue(tx, row.number, &ended, end, issuer, now)?;
    Ok(ended)
}
