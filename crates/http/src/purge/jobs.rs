//! `GET /r4/$purge`: the account's jobs. Never starts one.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_fhir::{IssueType, limits};
use serde_json::{Value, json};

use super::{
    job_address::job_id,
    wire::{plain_json, status_json},
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{Pairs, encode_pairs},
    error::ApiError,
};

/// Jobs, newest first, a page at a time.
pub async fn jobs(State(app): State<Arc<App>>, Authenticated { scope, .. }: Authenticated, pairs: Pairs) -> Result<Response, ApiError> {
    pairs.only(&["_count", "_page", "_format", "_pretty"])?;
    let count = count(&pairs)?;
    let before = match pairs.get("_page") {
        None => None,
        Some(page) => Some(job_id(page).ok_or_else(|| bad("'_page' is not one that this server gave: follow 'next' as it stands"))?),
    };
    // One more than asked for tells whether there is a next page.
    let mut jobs = app.store.purge_jobs(&scope, before, count + 1).await?;
    let has_more = jobs.len() > count;
    jobs.truncate(count);
    let next = jobs.last().filter(|_| has_more).map(|last| {
        let query = encode_pairs([("_count", count.to_string().as_str()), ("_page", last.job_id.to_string().as_str())]);
        format!("{}/r4/$purge?{query}", app.public_url)
    });
    let jobs: Vec<Value> = jobs.iter().map(status_json).collect();
    Ok(plain_json(&json!({ "jobs": jobs, "next": next })))
}

fn count(pairs: &Pairs) -> Result<usize, ApiError> {
    match pairs.get("_count").map(str::parse::<usize>) {
        None => Ok(limits::PAGE_COUNT_DEFAULT),
        Some(Ok(count)) if count > 0 => Ok(count.min(limits::PAGE_COUNT_MAX)),
        Some(_) => Err(bad("'_count': a whole number from 1 is expected")),
    }
}

fn bad(text: &str) -> ApiError {
    ApiError::bad(IssueType::Value, text)
}
