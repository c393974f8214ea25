//! `PUT /r4/$purge/{job id}`: runs the failed batches of a failed job again, exactly those, under the first watermark.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_jobs::JobState;
use lethe_store::{CanceledOrRetried, JobId};

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

fn not_failed(app: &App, job_id: JobId, state: JobState) -> ApiError {
    ApiError::Conflict {
        text: format!("the job is '{}': only a failed job can be retried; nothing changed", state.status()),
        content_location: Some(status_url(app, job_id)),
    }
}
