//! `DELETE /r4/$export/{job id}`: cancels an export, or removes one that has ended. Its files are gone with it.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_fhir::OperationOutcome;

use super::address::{ExportPath, no_such_export};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{Pairs, reply},
    error::ApiError,
};

/// Removes the job.
pub async fn remove(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    ExportPath(job_id): ExportPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    if !app.store.remove_export(&scope, job_id).await? {
        return Err(no_such_export());
    }
    let told = OperationOutcome::information("the export and its files are removed; the resources are as they were");
    Ok(reply(StatusCode::ACCEPTED, told.to_json().to_string()))
}
