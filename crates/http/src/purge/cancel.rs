//! `DELETE /r4/$purge/{job id}`: stops a job between two batches, and answers when the last running one has settled.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_store::{CanceledOrRetried, JobId, PurgeJob};
use tokio::time::{Instant, sleep};

use super::{
    job_address::{JobPath, no_such_job},
    kick_off::conflict_with,
    wire::{answer_status, status_url},
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// How often to look whether the job has ended, in milliseconds.
const POLL_MS: u64 = 20;

/// How long to wait for that, in seconds; then the job is answered as it stands.
const WAIT_S_MAX: u64 = 60;

/// Asks the job to stop and waits until it has.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    match app.store.cancel_purge(&scope, job_id).await? {
        CanceledOrRetried::Taken(job) => {
            // A job whose worker has gone needs another one to settle what was removed.
            app.wake.notify_one();
            let job = wait_for_end(&app, &scope, *job, WAIT_S_MAX).await?;
            Ok(answer_status(&app, &job))
        }
        CanceledOrRetried::Refused(refused) => Err(not_running(&app, job_id, refused.state)),
        CanceledOrRetried::Conflict { running } => Err(conflict_with(&app, &scope, running).await),
        CanceledOrRetried::Unknown => Err(no_such_job()),
    }
}

/// The job at its end, or as it stands after so many seconds.
pub async fn wait_for_end(app: &App, scope: &Scope, mut job: PurgeJob, wait_s_max: u64) -> Result<PurgeJob, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(wait_s_max);
    while !job.state.is_ended() && Instant::now() < deadline {
        sleep(Duration::from_millis(POLL_MS)).await;
        job = app.store.purge_job(scope, job.job_id).await?.ok_or_else(no_such_job)?;
    }
    Ok(job)
}

/// 409: the job has ended.
pub fn not_running(app: &App, job_id: JobId, state: JobState) -> ApiError {
    ApiError::Conflict {
        text: format!("the job is '{}': only a job in progress can be canceled; nothing changed", state.status()),
        content_location: Some(status_url(app, job_id)),
    }
}
