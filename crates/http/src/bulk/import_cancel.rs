//! `DELETE /r4/$import/{job id}`: stops an import before its next batch. What was stored stays.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_store::ImportCanceled;

use super::{
    address::{ImportPath, import_url, no_such_import},
    import_wire::answer_status,
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// Asks it to stop.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    ImportPath(job_id): ImportPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    match app.store.cancel_import(&scope, job_id).await? {
        ImportCanceled::Taken(job) => {
            let mut response = answer_status(&app, &job);
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
        ImportCanceled::Refused(refused) => Err(ApiError::Conflict {
            text: format!("the import is '{}': only one in progress can be canceled; nothing changed", refused.state.status()),
            content_location: Some(import_url(&app, job_id)),
        }),
        ImportCanceled::Unknown => Err(no_such_import()),
    }
}
