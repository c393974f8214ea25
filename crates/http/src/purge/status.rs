//! `GET /r4/$purge/{job id}`.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{
    job_address::{JobPath, no_such_job},
    wire::answer_status,
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// The job as it stands.
pub async fn status(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let job = app.store.purge_job(&scope, job_id).await?.ok_or_else(no_such_job)?;
    Ok(answer_status(&app, &job))
}
