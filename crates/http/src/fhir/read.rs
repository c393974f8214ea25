//! `GET /r4/{type}/{id}`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{LogicalId, ResourceType, render_resource};
use lethe_store::StoredVersion;

use super::{
    version_tag::{is_known_to_client, version_tag},
    writing::without_body,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{InstancePath, Pairs, http_date, reply, with_header},
    error::ApiError,
};

/// The current version; 410 if that is a deletion.
pub async fn read(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    InstancePath { resource_type, id }: InstancePath,
    pairs: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    answer_version(&current(&app, &scope, resource_type, &id).await?, &headers)
}

/// The current version, a deletion included.
///
/// # Errors
/// 404 when there is none, which is also what a purge leaves.
pub async fn current(app: &App, scope: &Scope, resource_type: ResourceType, id: &LogicalId) -> Result<StoredVersion, ApiError> {
    app.store.read(scope, resource_type, id).await?.ok_or_else(|| ApiError::NotFound(format!("there is no {resource_type} with this id")))
}

/// A version as JSON.
///
/// # Errors
/// 410 for a deletion.
pub fn render_version(stored: &StoredVersion) -> Result<String, ApiError> {
    match &stored.body {
        Some(body) => Ok(render_resource(stored.resource_type, &stored.id, stored.version, stored.last_updated, body)),
        None => Err(ApiError::Gone(format!("this {} was deleted; earlier versions are under its _history", stored.resource_type))),
    }
}

/// A version with its headers, or 304 if the client has it.
pub fn answer_version(stored: &StoredVersion, headers: &HeaderMap) -> Result<Response, ApiError> {
    let text = render_version(stored)?;
    let response =
        if is_known_to_client(headers, stored.version) { without_body(StatusCode::NOT_MODIFIED) } else { reply(StatusCode::OK, text) };
    let response = with_header(response, header::ETAG, &version_tag(stored.version));
    Ok(with_header(response, header::LAST_MODIFIED, &http_date(stored.last_updated)))
}
