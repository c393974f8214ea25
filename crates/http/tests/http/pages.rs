//! Pages of searches, histories and whole records, taken apart.

use axum::http::StatusCode;
use serde_json::Value;

use crate::caller::Caller;

/// Type and id of the entries of one mode.
pub fn ids(page: &Value, mode: &str) -> Vec<String> {
    let entries = page["entry"].as_array().cloned().unwrap_or_default();
    let of_mode = entries.iter().filter(|entry| entry["search"]["mode"] == mode);
    of_mode
        .map(|entry| format!("{}/{}", entry["resource"]["resourceType"].as_str().unwrap(), entry["resource"]["id"].as_str().unwrap()))
        .collect()
}

/// Where a link leads, without the server.
pub fn link<'a>(page: &'a Value, relation: &str) -> Option<&'a str> {
    let link = page["link"].as_array()?.iter().find(|link| link["relation"] == relation)?;
    link["url"].as_str()?.strip_prefix("http://lethe.test")
}

/// A page that must be answered.
pub async fn page(caller: &Caller<'_>, path: &str) -> Value {
    let answer = caller.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()
}

/// All pages from this one on.
pub async fn pages_from(caller: &Caller<'_>, path: &str) -> Vec<Value> {
    let mut pages = vec![page(caller, path).await];
    while let Some(next) = pages.last().and_then(|last| link(last, "next")).map(str::to_owned) {
        pages.push(page(caller, &next).await);
    }
    pages
}

/// Matches of all pages.
pub async fn all_matches(caller: &Caller<'_>, path: &str) -> Vec<String> {
    pages_from(caller, path).await.iter().flat_map(|page| ids(page, "match")).collect()
}
