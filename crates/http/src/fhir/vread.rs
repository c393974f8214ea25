//! `GET /r4/{type}/{id}/_history/{version}`.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use lethe_auth::Scope;
use lethe_fhir::{LogicalId, ResourceType};
use lethe_store::StoredVersion;

use super::read::{answer_version, subset_of};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{Pairs, VersionPath},
    error::ApiError,
};

/// One version; 410 if it records a deletion.
pub async fn vread(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    VersionPath { resource_type, id, version }: VersionPath,
    pairs: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subset = subset_of(&pairs, resource_type)?;
    answer_version(&version_of(&app, &scope, resource_type, &id, version).await?, &headers, subset.as_ref())
}

/// One version, one that records a deletion included.
///
/// # Errors
/// 404 when there is none.
pub async fn version_of(
    app: &App,
    scope: &Scope,
    resource_type: ResourceType,
    id: &LogicalId,
    version: u64,
) -> Result<StoredVersion, ApiError> {
    let stored = app.store.read_version(scope, resource_type, id, version).await?;
    stored.ok_or_else(|| ApiError::NotFound(format!("there is no such version of a {resource_type} with this id")))
}
