//! `GET /r4/$import/{job id}` and `GET /r4/$import`: imports as they stand, while they run and for a day after.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde_json::{Value, json};

use super::{
    address::{ImportPath, no_such_import},
    import_wire::{answer_status, job_json},
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError, purge::plain_json};

/// Imports that are listed; older ones have their own address.
const LISTED_MAX: usize = 100;

/// One import.
pub async fn status(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    ImportPath(job_id): ImportPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let job = app.store.import_job(&scope, job_id).await?.ok_or_else(no_such_import)?;
    Ok(answer_status(&app, &job))
}

/// The newest imports, newest first.
pub async fn list(State(app): State<Arc<App>>, Authenticated { scope, .. }: Authenticated, pairs: Pairs) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let jobs: Vec<Value> = app.store.import_jobs(&scope, LISTED_MAX).await?.iter().map(job_json).collect();
    Ok(plain_json(&json!({ "jobs": jobs })))
}
