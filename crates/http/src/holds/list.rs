//! `GET /hold-management/v1/hold`: the holds on the accounts of a client, newest first, a page at a time.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_fhir::{IssueType, limits};
use lethe_store::HoldFilter;
use serde_json::{Value, json};

use super::{administrator::Administrator, wire::hold_json};
use crate::{
    App,
    edge::{Pairs, encode_pairs},
    error::ApiError,
    purge::{job_id, plain_json},
};

/// Holds in force; with `ended=true` those that have ended, too.
pub async fn list(State(app): State<Arc<App>>, administrator: Administrator, pairs: Pairs) -> Result<Response, ApiError> {
    pairs.only(&["oneup_user_id", "ended", "_count", "_page", "_format", "_pretty"])?;
    let bad = |text: &str| ApiError::bad(IssueType::Value, text);
    let count = match pairs.get("_count").map(str::parse::<usize>) {
        None => limits::PAGE_COUNT_DEFAULT,
        Some(Ok(count)) if count > 0 => count.min(limits::PAGE_COUNT_MAX),
        Some(_) => return Err(bad("'_count': a whole number from 1 is expected")),
    };
    let with_ended = match pairs.get("ended") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(bad("'ended' is 'true' or 'false'")),
    };
    let account = pairs.get("oneup_user_id");
    let filter = HoldFilter {
        client_id: Some(administrator.client_id),
        account_id: account.map(str::parse).transpose().map_err(|error: String| bad(&error))?,
        with_ended,
        before: pairs
            .get("_page")
            .map(|page| job_id(page).ok_or_else(|| bad("'_page' is not one that this server gave: follow 'next' as it stands")))
            .transpose()?,
        // One more than asked for tells whether there is a next page.
        count: count + 1,
    };
    let mut holds = app.store.holds(&filter).await?;
    let has_more = holds.len() > count;
    holds.truncate(count);
    let next = holds.last().filter(|_| has_more).map(|last| {
        let (count, last) = (count.to_string(), last.hold_id.to_string());
        let mut pairs = vec![("ended", if with_ended { "true" } else { "false" }), ("_count", count.as_str()), ("_page", last.as_str())];
        pairs.extend(account.map(|account| ("oneup_user_id", account)));
        format!("{}{}?{}", app.public_url, super::PATH, encode_pairs(pairs))
    });
    let holds: Vec<Value> = holds.iter().map(hold_json).collect();
    Ok(plain_json(&json!({ "holds": holds, "next": next })))
}
