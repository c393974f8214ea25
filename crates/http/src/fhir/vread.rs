//! `GET /r4/{type}/{id}/_history/{version}`.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};

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
    match app.store.read_version(&scope, resource_type, &id, version).await? {
        Some(stored) => answer_version(&stored, &headers, subset.as_ref()),
        None => Err(ApiError::NotFound(format!("there is no such version of a {resource_type} with this id"))),
    }
}
