//! `Prefer: respond-async` at a kick-off, and `/r4/async/{job id}`: the same job, told as FHIR's asynchronous pattern tells one
//! (<https://hl7.org/fhir/R4/async.html>).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lethe_fhir::{Issue, OperationOutcome};
use lethe_jobs::JobState;
use lethe_store::{CanceledOrRetried, JobId, PurgeJob};

use super::{
    cancel::not_running,
    job_address::{JobPath, no_such_job},
    kick_off::conflict_with,
    of_patients,
    wire::{progress_headers, status_url},
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{Pairs, reply, with_header},
    error::ApiError,
};

/// Whether a caller asks for an answer at once, and for the outcome at another address.
pub fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

/// The answer to a kick-off that asked for it: 202, and where to poll.
pub fn answer_accepted(app: &App, job: &PurgeJob, more: Vec<Issue>) -> Response {
    let url = async_url(app, job.job_id);
    let mut told = OperationOutcome::information(format!("the purge has been started; its outcome will be at {url}"));
    told.issues.extend(more);
    with_header(reply(StatusCode::ACCEPTED, told.to_json().to_string()), header::CONTENT_LOCATION, &url)
}

/// `GET`: 202 while the job is in progress, then its outcome.
pub async fn poll(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let job = app.store.purge_job(&scope, job_id).await?.ok_or_else(no_such_job)?;
    match job.state {
        JobState::Queued | JobState::Running | JobState::Canceling => {
            let mut response = reply(StatusCode::ACCEPTED, "");
            response.headers_mut().remove(header::CONTENT_TYPE);
            Ok(progress_headers(response, &job))
        }
        JobState::Successful | JobState::Canceled => {
            let mut told = OperationOutcome::information(in_words(&app, &job));
            told.issues.extend(of_patients::found_nobody(&job));
            told.issues.extend(of_patients::staying(&app, &job).await?);
            Ok(reply(StatusCode::OK, told.to_json().to_string()))
        }
        JobState::Failed => Err(ApiError::JobFailed(in_words(&app, &job))),
    }
}

/// `DELETE`: asks the job to stop, and does not wait for it.
pub async fn stop(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    match app.store.cancel_purge(&scope, job_id).await? {
        CanceledOrRetried::Taken(_) => {
            app.wake.notify_one();
            let told = OperationOutcome::information("the job stops after its running batch; what was removed stays removed");
            Ok(reply(StatusCode::ACCEPTED, told.to_json().to_string()))
        }
        CanceledOrRetried::Refused(refused) => Err(not_running(&app, job_id, refused.state)),
        CanceledOrRetried::Conflict { running } => Err(conflict_with(&app, &scope, running).await),
        CanceledOrRetried::Unknown => Err(no_such_job()),
    }
}

fn async_url(app: &App, job_id: JobId) -> String {
    format!("{}/r4/async/{job_id}", app.public_url)
}

/// How a job stands.
pub fn in_words(app: &App, job: &PurgeJob) -> String {
    let totals = job.totals();
    let failure = job.failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
    if job.initialized_on.is_none() && !job.state.is_ended() {
        return format!(
            "the purge is {}: what it will remove is being counted; more is told at {}",
            job.state.status(),
            status_url(app, job.job_id)
        );
    }
    let next = if job.state == JobState::Failed { after_failure(job) } else { "" };
    format!(
        "the purge is {}{failure}; {} of {} resources were removed, {} spared, {} on hold, {} failed; more is told at {}{next}",
        job.state.status(),
        totals.deleted,
        totals.planned,
        totals.spared,
        totals.held,
        totals.failed,
        status_url(app, job.job_id)
    )
}

/// What can be done about a job that has failed.
fn after_failure(job: &PurgeJob) -> &'static str {
    if job.has_forgotten_question() || job.is_carried_out_again() {
        "; it cannot be retried: start a new purge"
    } else {
        ", and PUT there retries it, once the cause is mended"
    }
}
