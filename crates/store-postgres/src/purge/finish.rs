//! The end of a job.

use lethe_fhir::Instant;
use lethe_jobs::{JobEvent, Lease};
use lethe_store::{Issuer, JobId, PurgeEnd, PurgeJob, SharedIssuer, StoreError};

use super::{
    Result, audit, certificate,
    control::change_state,
    job::{self, JobRow},
    lease::hold,
    listed, question,
};
use crate::{PostgresStore, connections::Durability, transaction::Tx};

const SET_FAILURE: &str = include_str!("../../sql/purge/set_failure.sql");
const FAIL_UNFINISHED: &str = include_str!("../../sql/purge/fail_unfinished_batches.sql");

pub(super) async fn finish(store: &PostgresStore, lease: Lease<JobId>, end: &PurgeEnd, issuer: &SharedIssuer) -> Result<PurgeJob> {
    let times = store.lease_times();
    let job = store.renew(lease).await?.job;
    // A job that failed after its plan was made may be retried and needs its lists; no other does.
    if end.event != JobEvent::Fail || job.initialized_on.is_none() {
        listed::clear_gently(store, lease).await?;
    }
    let work = |tx: Tx| async move {
        let row = hold(&tx, lease, times).await?;
        finish_in(&tx, &row, end, issuer.as_ref(), times.now).await
    };
    // With this commit everything that the job did is on disk, too.
    Ok(store.work.write(Durability::OnDisk, work).await?)
}

/// Ends a job, closes its audit record and issues its certificate.
pub(super) async fn finish_in(tx: &Tx, row: &JobRow, end: &PurgeEnd, issuer: &dyn Issuer, now: Instant) -> crate::error::Result<PurgeJob> {
    let state = match change_state(tx, row.number, end.event, now).await? {
        Ok(state) => state,
        // A cancel came between: the worker asks again and stops.
        Err(refused) => return Err(StoreError::Unavailable(Box::new(refused)).into()),
    };
    tx.execute(SET_FAILURE, &[&row.number, &end.failure]).await?;
    if end.event == JobEvent::Fail {
        // Batches that never had their turn failed with the job, so that the sums agree (INV-4) and a retry runs them.
        tx.execute(FAIL_UNFINISHED, &[&row.number, &end.failure]).await?;
    } else {
        // Little is left of them, but where no worker ends the job.
        listed::clear(tx, row.number).await?;
    }
    if row.job.initialized_on.is_none() {
        listed::clear(tx, row.number).await?;
        // A retry makes the plan anew. After any other end nobody is to learn what was asked.
        if end.event != JobEvent::Fail {
            question::clear(tx, row.number).await?;
        }
    }
    let ended = job::job(tx, row.number).await?;
    audit::close(tx, row.number, now, state, ended.totals()).await?;
    certificate::issue(tx, row.number, &ended, row.erasure.level(), end, issuer, now).await?;
    Ok(ended)
}
