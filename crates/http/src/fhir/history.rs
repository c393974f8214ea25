//! `GET …/_history` of a resource, a type, or everything in the account.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_fhir::{FhirDate, IssueType, ResourceType, bundle::render_bundle};
use lethe_store::{ChangeKind, HistoryPage, HistoryQuery, HistoryScope, StoredVersion};
use serde_json::json;

use super::{
    instance_url,
    page::{history_page, links, page_count, parse_history_page},
    read::{current, render_version},
    version_tag::version_tag,
    writing::one_account,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{InstancePath, Pairs, TypePath, reply},
    error::ApiError,
};

/// Of one resource; 404 if there never was one, or a purge removed it.
pub async fn of_instance(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    InstancePath { resource_type, id }: InstancePath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    one_account(&caller.scope)?;
    current(&app, &caller.scope, resource_type, &id).await?;
    let path = format!("/r4/{resource_type}/{id}/_history");
    answer(&app, &caller, &HistoryScope::Instance(resource_type, id), &path, &pairs).await
}

/// Of all resources of a type.
pub async fn of_type(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    TypePath(resource_type): TypePath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    answer(&app, &caller, &HistoryScope::Type(resource_type), &format!("/r4/{resource_type}/_history"), &pairs).await
}

/// Of everything.
pub async fn of_system(State(app): State<Arc<App>>, caller: Authenticated, pairs: Pairs) -> Result<Response, ApiError> {
    answer(&app, &caller, &HistoryScope::System, "/r4/_history", &pairs).await
}

async fn answer(app: &App, caller: &Authenticated, of: &HistoryScope, path: &str, pairs: &Pairs) -> Result<Response, ApiError> {
    let account_id = one_account(&caller.scope)?;
    pairs.only(&["_count", "_since", "_at", "_page", "_format", "_pretty"])?;
    let query = HistoryQuery {
        since: date(pairs, "_since")?.map(|date| date.low),
        during: date(pairs, "_at")?,
        before_seq: pairs.get("_page").map(parse_history_page).transpose()?,
        count: page_count(pairs)?,
    };
    let HistoryPage { versions, has_more } = app.store.history(account_id, of, &query).await?;
    let next = versions.last().filter(|_| has_more).map(|last| history_page(last.seq));
    let is_whole = query.before_seq.is_none() && !has_more;
    let total = is_whole.then_some(versions.len() as u64);
    // Each goes when it has been written down.
    let entries = versions.into_iter().map(|version| entry(app, &version)).collect::<Vec<_>>();
    Ok(reply(StatusCode::OK, render_bundle("history", total, &links(app, path, &pairs.0, next.as_deref()), entries)))
}

fn date(pairs: &Pairs, name: &str) -> Result<Option<FhirDate>, ApiError> {
    let read = |text: &str| {
        // In a query a plus sign that is not encoded arrives as a space.
        let date = text.replace(' ', "+").parse::<FhirDate>();
        date.map_err(|error| ApiError::bad(IssueType::Value, format!("'{name}': {error}")))
    };
    pairs.get(name).map(read).transpose()
}

fn entry(app: &App, version: &StoredVersion) -> String {
    let StoredVersion { resource_type, id, .. } = version;
    let (method, url, status) = request_of(version, *resource_type);
    let request = json!({ "method": method, "url": url });
    let response = json!({ "status": status, "etag": version_tag(version.version), "lastModified": version.last_updated.to_string() });
    let full_url = json!(instance_url(app, *resource_type, id));
    // A deletion has no resource.
    let resource = render_version(version).map_or_else(|_| String::new(), |text| format!(r#","resource":{text}"#));
    format!(r#"{{"fullUrl":{full_url}{resource},"request":{request},"response":{response}}}"#)
}

fn request_of(version: &StoredVersion, resource_type: ResourceType) -> (&'static str, String, String) {
    let instance = format!("{resource_type}/{}", version.id);
    match version.kind {
        ChangeKind::Create if version.version == 1 => ("POST", resource_type.to_string(), StatusCode::CREATED.to_string()),
        // Brought back after a deletion, which only an update can do.
        ChangeKind::Create => ("PUT", instance, StatusCode::CREATED.to_string()),
        ChangeKind::Update => ("PUT", instance, StatusCode::OK.to_string()),
        ChangeKind::Delete => ("DELETE", instance, StatusCode::NO_CONTENT.to_string()),
    }
}
