//! `GET /r4/$purge-preview`, and `POST` for parameters in a body: what the same parameters would remove now. Stores nothing.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases};
use lethe_purge::request::PurgeRequest;
use lethe_store::{PreviewQuery, StoreError};
use serde_json::Value;

use super::{
    asked::{Whose, read_asked},
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
    let (_, json) = look(&app, scope, &request, Whose::System, bases).await?;
    Ok(plain_json(&json))
}

/// What a request would remove, as it was asked and as JSON.
pub async fn look(
    app: &App,
    owner: Scope,
    request: &PurgeRequest,
    whose: Whose,
    bases: LocalBases,
) -> Result<(PreviewQuery, Value), ApiError> {
    if request.expect.is_some() {
        let text = "'_expect' is for the kick-off: a preview tells the digest that it takes";
        return Err(ApiError::bad(IssueType::NotSupported, text));
    }
    let (selection, question) = read_asked(request, whose, &bases)?;
    let query = PreviewQuery { owner, selection, question, bases };
    let preview = app.store.preview(&query).await.map_err(too_costly)?;
    let json = preview_json(&query.owner, &query.selection, &preview);
    Ok((query, json))
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
