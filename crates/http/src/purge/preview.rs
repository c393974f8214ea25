//! `GET /r4/$purge-preview`, and `POST` for parameters in a body: what the same parameters would remove now. Stores nothing.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use lethe_fhir::IssueType;
use lethe_store::{PreviewQuery, StoreError};

use super::{
    parameters::read_request,
    wire::{plain_json, preview_json},
};
use crate::{App, authenticate::Authenticated, edge::HostBases, error::ApiError};

/// Reads the parameters as strictly as a kick-off.
pub async fn preview(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, request) = read_request(request).await?;
    if request.expect.is_some() {
        let text = "'_expect' is for the kick-off: a preview tells the digest that it takes";
        return Err(ApiError::bad(IssueType::NotSupported, text));
    }
    let query = PreviewQuery { owner: scope, selection: request.selection(), bases };
    let preview = app.store.preview(&query).await.map_err(too_costly)?;
    Ok(plain_json(&preview_json(&query.owner, &query.selection, &preview)))
}

/// In the words of a preview.
pub fn too_costly(error: StoreError) -> ApiError {
    match error {
        StoreError::TooCostly(seconds) => ApiError::bad(
            IssueType::TooCostly,
            format!(
                "a preview of this would take longer than {seconds} s, so it was given up, and nothing was started: preview fewer types or a \
                 part by '_before', or purge without a preview"
            ),
        ),
        other => other.into(),
    }
}
