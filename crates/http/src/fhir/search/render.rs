//! A page of a search as a Bundle of type searchset.

use lethe_fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity, Subset, bundle::render_bundle};
use lethe_store::StoredVersion;
use serde_json::{Map, Value, json};

use super::{call::Asked, include::Included, page::Found};
use crate::{
    App,
    error::ApiError,
    fhir::{instance_url, read::render_version},
};

/// Links of a page: itself as it was understood, the first page if it is another, and the next if there is one.
pub fn links(app: &App, asked: &Asked, next: Option<&str>) -> Vec<(&'static str, String)> {
    let query = asked.stages.first().map_or_else(String::new, |(_, search)| search.self_link(&asked.pairs));
    let url = |page: Option<&str>| {
        let page = page.map(|token| format!("_page={token}"));
        let query: Vec<&str> = [query.as_str(), page.as_deref().unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{}", app.public_url, asked.path, query.join("&"))
    };
    let mut links = vec![("self", url(asked.page.as_deref()))];
    if asked.page.is_some() {
        links.push(("first", url(None)));
    }
    links.extend(next.map(|token| ("next", url(Some(token)))));
    links
}

/// The Bundle.
pub fn render(app: &App, asked: &Asked, found: Found, links: &[(&'static str, String)]) -> Result<String, ApiError> {
    let subset = asked.subset.as_ref();
    let mut entries = Vec::with_capacity(found.matches.len() + found.included.versions.len() + 1);
    // Each goes when it has been written down.
    for version in found.matches {
        entries.push(entry(app, &version, subset, "match")?);
    }
    for version in found.included.versions {
        entries.push(entry(app, &version, subset, "include")?);
    }
    let mut issues: Vec<Issue> = asked.ignored.iter().map(|ignored| ignored.to_issue(Severity::Warning)).collect();
    for issue in &mut issues {
        issue.text = format!("ignored: {}", issue.text);
    }
    if found.included.is_cut {
        let text = Included::cut_text();
        issues.push(Issue { severity: Severity::Warning, code: IssueType::TooCostly, text, expression: Vec::new() });
    }
    if !issues.is_empty() {
        let outcome = OperationOutcome { issues }.to_json();
        entries.push(json!({ "resource": outcome, "search": { "mode": "outcome" } }).to_string());
    }
    Ok(render_bundle("searchset", found.total, links, entries))
}

/// One entry: the resource, or the part of it that is asked for.
pub fn entry(app: &App, version: &StoredVersion, subset: Option<&Subset>, mode: &str) -> Result<String, ApiError> {
    let full_url = json!(instance_url(app, version.resource_type, &version.id));
    let text = render_version(version)?;
    let text = match subset {
        Some(subset) => part_of(version.resource_type, &text, subset)?,
        None => text,
    };
    Ok(format!(r#"{{"fullUrl":{full_url},"resource":{text},"search":{{"mode":"{mode}"}}}}"#))
}

/// What a subset leaves of a resource.
pub fn part_of(resource_type: ResourceType, text: &str, subset: &Subset) -> Result<String, ApiError> {
    let mut resource: Map<String, Value> = serde_json::from_str(text).map_err(|_| ApiError::Defect)?;
    subset.apply(resource_type, &mut resource);
    Ok(Value::Object(resource).to_string())
}
