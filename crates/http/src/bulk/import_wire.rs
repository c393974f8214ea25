//! An import as JSON, and the answer at its end.

use axum::{
    http::{HeaderName, header},
    response::Response,
};
use lethe_fhir::{Issue, IssueType, OperationOutcome, Severity};
use lethe_jobs::JobState;
use lethe_store::{ImportJob, JobId, StoreError, WriteError};
use serde_json::{Value, json};

use super::{
    address::import_url,
    import_run::{Cause, Ending},
};
use crate::{App, edge::with_header, error::ApiError, purge::plain_json};

/// How long a client should wait before it asks again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What is told of a job.
pub fn job_json(job: &ImportJob) -> Value {
    json!({
        "id": job.job_id.to_string(),
        "userId": job.account_id.to_string(),
        "status": job.state.status(),
        "createdOn": job.created_on.to_string(),
        "completedOn": job.completed_on.map(|instant| instant.to_string()),
        "lastUpdated": job.last_updated.to_string(),
        "after": job.after_line,
        "lastLine": job.last_line,
        "readCount": job.last_line - job.after_line,
        "storedCount": job.created + job.updated,
        "createdCount": job.created,
        "updatedCount": job.updated,
        "rejectedCount": job.rejected,
        "failure": job.failure,
    })
}

/// The answer to a status.
pub fn answer_status(app: &App, job: &ImportJob) -> Response {
    let response = with_header(plain_json(&json!({ "job": job_json(job) })), header::CONTENT_LOCATION, &import_url(app, job.job_id));
    if job.state.is_ended() {
        return response;
    }
    let response = with_header(response, header::RETRY_AFTER, RETRY_AFTER_S);
    with_header(response, HeaderName::from_static("x-progress"), &format!("{} lines", job.last_line - job.after_line))
}

/// The answer to the call that brought the lines.
///
/// # Errors
/// The import did not come to its end; what was stored stays.
pub fn answer_end(app: &App, job_id: JobId, ending: Ending) -> Result<Response, ApiError> {
    let Ending { cause, job, rejects } = ending;
    let url = import_url(app, job_id);
    let so_far = match &job {
        Some(job) => format!(
            "lines up to {line} have their outcome and stay as they are; send the same again with ?_after={line} for the rest",
            line = job.last_line
        ),
        None => format!("what was stored stays; GET {url} says up to which line"),
    };
    let was_canceled = job.as_ref().is_some_and(|job| job.state == JobState::Canceled);
    let job = match (if was_canceled { Cause::Canceled } else { cause }, job) {
        (Cause::Ended, Some(job)) => job,
        (Cause::Ended, None) => return Err(ApiError::JobFailed(format!("the end of the import could not be stored: {so_far}"))),
        (Cause::Broken(why), _) => {
            return Err(ApiError::bad(IssueType::Structure, format!("the body cannot be read to its end ({why}): {so_far}")));
        }
        (Cause::Canceled, _) => {
            return Err(ApiError::Conflict { text: format!("the import was canceled: {so_far}"), content_location: Some(url) });
        }
        (Cause::NotStored(WriteError::Store(StoreError::LeaseLost)), _) => {
            return Err(ApiError::Conflict {
                text: format!("the import was given up, since nothing of it had been stored for too long: {so_far}"),
                content_location: Some(url),
            });
        }
        (Cause::NotStored(WriteError::Store(source)), _) => {
            return Err(ApiError::Interrupted { text: format!("the database failed: {so_far}"), source });
        }
        (Cause::NotStored(error), _) => return Err(error.into()),
    };
    let issue = |severity, code, text| Issue { severity, code, text, expression: Vec::new() };
    let stored = format!("{} lines read, {} resources stored", job.last_line - job.after_line, job.created + job.updated);
    let mut issues = vec![issue(Severity::Information, IssueType::Informational, stored)];
    let told = rejects.len() as u64;
    issues.extend(
        rejects.into_iter().map(|reject| issue(Severity::Error, IssueType::Invalid, format!("line {}: {}", reject.line, reject.reason))),
    );
    if job.rejected > told {
        let rest = format!("{} more lines were rejected; only the first {told} are told", job.rejected - told);
        issues.push(issue(Severity::Error, IssueType::Invalid, rest));
    }
    let outcome = OperationOutcome { issues }.to_json();
    let answer = plain_json(&json!({ "job": job_json(&job), "outcome": outcome }));
    Ok(with_header(answer, header::CONTENT_LOCATION, &url))
}
