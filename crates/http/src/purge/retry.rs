//! `PUT /r4/$purge/{job id}`: runs the failed batches of a failed job again, exactly those, under the first watermark.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_jobs::JobState;
use lethe_store::{CanceledOrRetried, FAILED_BEFORE, JobId};

use super::{
    job_address::{JobPath, no_such_job},
    kick_off::conflict_with,
    wire::{answer_status, status_url},
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// Puts the job back in line. Takes no parameters: what it selects was fixed by its kick-off.
pub async fn retry(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    if let Some(job) = app.store.purge_job(&scope, job_id).await?
        && job.state == JobState::Failed
    {
        if job.has_forgotten_question() {
            return Err(forgotten(&app, job_id));
        }
        if job.is_carried_out_again() {
            return Err(carried_out_again(&app, job_id));
        }
    }
    match app.store.retry_purge(&scope, job_id).await? {
        CanceledOrRetried::Taken(job) => {
            app.wake.notify_one();
            Ok(answer_status(&app, &job))
        }
        CanceledOrRetried::Unknown => Err(no_such_job()),
        CanceledOrRetried::Conflict { running } => Err(conflict_with(&app, &scope, running).await),
        CanceledOrRetried::Refused(refused) => Err(not_failed(&app, job_id, refused.state)),
    }
}

/// 409: a plan that was not made cannot be made any more.
fn forgotten(app: &App, job_id: JobId) -> ApiError {
    ApiError::Conflict {
        text: "the job failed before its plan was made, and which patient, Group or conditions it was asked for is kept for seven days, or until \
               another purge of the account starts: it cannot be retried any more; nothing was removed, and nothing changed: start a new purge"
            .to_owned(),
        content_location: Some(status_url(app, job_id)),
    }
}

/// 409: the journal has what the job removed, and not what it was to remove.
fn carried_out_again(app: &App, job_id: JobId) -> ApiError {
    ApiError::Conflict { text: format!("{FAILED_BEFORE}; nothing changed"), content_location: Some(status_url(app, job_id)) }
}

fn not_failed(app: &App, job_id: JobId, state: JobState) -> ApiError {
    ApiError::Conflict {
        text: format!("the job is '{}': only a failed job can be retried; nothing changed", state.status()),
        content_location: Some(status_url(app, job_id)),
    }
}
