//! `GET /r4/{type}?…` and `POST /r4/{type}/_search`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{ResourceType, bundle::render_bundle};
use lethe_search::Listing;
use lethe_store::{ListQuery, PageKey, StoredVersion};
use serde_json::json;

use super::{
    instance_url,
    page::{links, listing_page, parse_listing_page},
    read::render_version,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{BodyKind, Layout, Pairs, TypePath, body_kind, parse_pairs, read_body, reply},
    error::ApiError,
};

/// Bytes of a search in a body.
const SEARCH_BYTES_MAX: usize = 1 << 20;

/// By the query.
pub async fn list(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    TypePath(resource_type): TypePath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    searchset(&app, &scope, resource_type, &pairs.0).await.map(|text| reply(StatusCode::OK, text))
}

/// By a form in the body, and the query with it.
pub async fn search(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    TypePath(resource_type): TypePath,
    pairs: Pairs,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let mut pairs = pairs.0;
    pairs.extend(form_pairs(&parts.headers, body).await?);
    let layout = Layout::of(&pairs)?;
    let mut response = searchset(&app, &scope, resource_type, &pairs).await.map(|text| reply(StatusCode::OK, text))?;
    response.extensions_mut().insert(layout);
    Ok(response)
}

async fn form_pairs(headers: &axum::http::HeaderMap, body: Body) -> Result<Vec<(String, String)>, ApiError> {
    let bytes = read_body(headers, body, SEARCH_BYTES_MAX).await?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if body_kind(headers)? != BodyKind::Form {
        return Err(ApiError::UnsupportedMediaType("a search is sent as 'Content-Type: application/x-www-form-urlencoded'".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad(lethe_fhir::IssueType::Structure, "the body is not UTF-8"))?;
    parse_pairs(text)
}

/// One page of what the parameters select, as a searchset.
pub async fn searchset(app: &App, scope: &Scope, resource_type: ResourceType, pairs: &[(String, String)]) -> Result<String, ApiError> {
    let listing = Listing::parse(pairs)?;
    // One more than asked for tells whether there is a next page.
    let query = ListQuery {
        after: listing.page.as_deref().map(parse_listing_page).transpose()?,
        ids: listing.ids,
        last_updated: listing.last_updated,
        count: listing.count + 1,
    };
    let total = app.store.count(scope, resource_type, &query).await?;
    let path = format!("/r4/{resource_type}");
    if listing.is_count_only {
        return Ok(render_bundle("searchset", Some(total), &links(app, &path, pairs, None), &[]));
    }
    let mut found = app.store.list(scope, resource_type, &query).await?;
    let has_more = found.len() > listing.count;
    found.truncate(listing.count);
    let next = found.last().filter(|_| has_more).map(|last| listing_page(PageKey { account_id: last.account_id, seq: last.seq }));
    let entries = found.iter().map(|version| entry(app, version)).collect::<Result<Vec<_>, _>>()?;
    Ok(render_bundle("searchset", Some(total), &links(app, &path, pairs, next.as_deref()), &entries))
}

fn entry(app: &App, version: &StoredVersion) -> Result<String, ApiError> {
    let full_url = json!(instance_url(app, version.resource_type, &version.id));
    Ok(format!(r#"{{"fullUrl":{full_url},"resource":{},"search":{{"mode":"match"}}}}"#, render_version(version)?))
}
