//! `GET /r4/{type}/{id}`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{Elements, IssueType, LogicalId, ResourceType, Subset, render_resource};
use lethe_store::StoredVersion;

use super::{
    search::part_of,
    version_tag::{is_fresh, version_tag},
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
    let subset = subset_of(&pairs, resource_type)?;
    answer_version(&current(&app, &scope, resource_type, &id).await?, &headers, subset.as_ref())
}

/// Which part of one resource is asked for: `_summary` and `_elements` go with a read too (<https://hl7.org/fhir/R4/http.html#parameters>).
///
/// # Errors
/// Any other parameter; `_summary=count`, since there is nothing to count.
pub fn subset_of(pairs: &Pairs, resource_type: ResourceType) -> Result<Option<Subset>, ApiError> {
    pairs.only(&["_format", "_pretty", "_summary", "_elements"])?;
    let bad = |text: String| ApiError::bad(IssueType::Value, text);
    match (pairs.get("_summary"), pairs.get("_elements")) {
        (None | Some("false"), None) => Ok(None),
        (None | Some("false"), Some(list)) => {
            Elements::parse(list, &[resource_type]).map(Subset::Elements).map(Some).map_err(|error| bad(error.to_string()))
        }
        (Some(word), None) => match Subset::of_summary(word) {
            Some(subset) => Ok(Some(subset)),
            None => {
                let shown: String = word.chars().take(40).collect();
                Err(bad(format!("'_summary={shown}': true, text, data or false is expected of a read")))
            }
        },
        (Some(_), Some(_)) => Err(bad("'_elements' and '_summary' exclude each other: give one of them".to_owned())),
    }
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
pub fn answer_version(stored: &StoredVersion, headers: &HeaderMap, subset: Option<&Subset>) -> Result<Response, ApiError> {
    let mut text = render_version(stored)?;
    if let Some(subset) = subset {
        text = part_of(stored.resource_type, &text, subset)?;
    }
    let response = if is_fresh(headers, stored.version, stored.last_updated) {
        without_body(StatusCode::NOT_MODIFIED)
    } else {
        reply(StatusCode::OK, text)
    };
    let response = with_header(response, header::ETAG, &version_tag(stored.version));
    Ok(with_header(response, header::LAST_MODIFIED, &http_date(stored.last_updated)))
}
