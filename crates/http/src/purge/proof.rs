//! `GET /r4/$purge/{job id}/certificate/proof`: that one resource was among the deleted; `DELETE …/certificate/key`: the end of such proofs.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{IssueType, LogicalId, ResourceType};
use lethe_store::{Deletion, Forgotten};
use serde_json::json;

use super::{
    certificate::no_certificate,
    job_address::{JobPath, no_such_job},
    wire::{plain_json, status_url},
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// Proves the deletion of `resource`, in a job of a whole client of the `user` that is named.
pub async fn proof(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only(&["resource", "user", "_format", "_pretty"])?;
    let (resource_type, id) = resource(&pairs)?;
    let job = app.store.purge_job(&scope, job_id).await?.ok_or_else(no_such_job)?;
    let account_id = account(&pairs, &job.owner)?;
    match app.store.deletion(&scope, job_id, account_id, resource_type, &id).await? {
        Deletion::Proven(proof) => Ok(plain_json(&json!(proof))),
        Deletion::NotAmong => Err(ApiError::NotFound("no resource of this type and id was among the deleted of this job".to_owned())),
        Deletion::Forgotten => {
            Err(ApiError::Gone("nobody can tell any more: the key of this job's digests was destroyed, with the digests".to_owned()))
        }
        Deletion::NoCertificate => Err(no_certificate(&job)),
    }
}

/// Destroys the key of the job's digests. Twice is once.
pub async fn forget(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    JobPath(job_id): JobPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    match app.store.forget_digests(&scope, job_id).await? {
        Forgotten::Yes => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Forgotten::NotYet => Err(ApiError::Conflict {
            text: "the job is in progress, or has failed and can be retried, and needs its key until it is successful or canceled; nothing was \
                   destroyed"
                .to_owned(),
            content_location: Some(status_url(&app, job_id)),
        }),
        Forgotten::Unknown => Err(no_such_job()),
    }
}

fn resource(pairs: &Pairs) -> Result<(ResourceType, LogicalId), ApiError> {
    let text = pairs
        .get("resource")
        .ok_or_else(|| ApiError::bad(IssueType::Required, "which resource? Name it with 'resource', as in ?resource=Patient/123"))?;
    let parsed = text.split_once('/').and_then(|(resource_type, id)| Some((resource_type.parse().ok()?, id.parse().ok()?)));
    parsed.ok_or_else(|| ApiError::bad(IssueType::Value, "'resource' is a type and an id, as in Patient/123"))
}

/// A job of one account needs no `user`, and takes none but its own.
fn account(pairs: &Pairs, owner: &Scope) -> Result<AccountId, ApiError> {
    let named = pairs.get("user").map(str::parse::<i64>).transpose();
    let named = named.map_err(|_| ApiError::bad(IssueType::Value, "'user' is the number of a user, the oneup_user_id"))?;
    match (owner.account_id(), named) {
        (Some(own), None) => Ok(own),
        (Some(own), Some(named)) if own.0 == named => Ok(own),
        (Some(own), Some(_)) => Err(ApiError::bad(IssueType::Value, format!("this job is of user {own}: leave 'user' out"))),
        (None, Some(named)) => Ok(AccountId(named)),
        (None, None) => {
            Err(ApiError::bad(IssueType::Required, "whose? This job is of all users of a client: name one with 'user', as in &user=251"))
        }
    }
}
