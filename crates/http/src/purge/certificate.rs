//! `GET /r4/$purge/{job id}/certificate`: the signed certificate of a job that has ended.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_certificate::verify::Signed;
use lethe_jobs::JobState;
use lethe_store::PurgeJob;

use super::{
    job_address::{JobPath, no_such_job},
    wire::plain_json,
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// The newest certificate, with a copy that people can read before what is signed.
pub async fn certificate(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let job = app.store.purge_job(&scope, job_id).await?.ok_or_else(no_such_job)?;
    // That of an end before a retry is not shown while the job goes on: it would be taken for the last word.
    if !job.state.is_ended() {
        return Err(no_certificate(&job));
    }
    let jws = app.store.certificate(&scope, job_id).await?.ok_or_else(|| no_certificate(&job))?;
    Ok(plain_json(&Signed::bare(jws).to_json()))
}

/// 404, and why there is none.
pub fn no_certificate(job: &PurgeJob) -> ApiError {
    ApiError::NotFound(match job.state {
        JobState::Canceled => "the job was canceled before anything was removed, so there is nothing to certify".to_owned(),
        state => format!("the job is '{}': it has a certificate when it has ended", state.status()),
    })
}
