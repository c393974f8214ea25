//! `DELETE /r4/{type}/{id}` and `DELETE /r4/{type}?…`: a FHIR delete, after which the history is still there. `$purge` is what removes.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::Response,
};
use lethe_store::{Change, Expect, Write, WriteOutcome};

use super::{
    commit::Cause,
    condition::{Condition, LOOKS_MAX},
    preference::ReturnPreference,
    version_tag::version_tag,
    writing::{ConditionalCall, WriteCall, confirmation, without_body},
};
use crate::{
    App,
    edge::{InstancePath, TypePath, reply, with_header},
    error::ApiError,
};

/// Deletes; what is not there, or no longer, is deleted already.
pub async fn delete(
    State(app): State<Arc<App>>,
    call: WriteCall,
    InstancePath { resource_type, id }: InstancePath,
) -> Result<Response, ApiError> {
    let outcome = call.write(&app, Write { resource_type, id, change: Change::Delete, expect: call.expect }).await?;
    Ok(answer(&call, Some(outcome)))
}

/// Deletes the one resource that fits; none is no error, several are.
pub async fn delete_conditionally(
    State(app): State<Arc<App>>,
    ConditionalCall { call, pairs }: ConditionalCall,
    TypePath(resource_type): TypePath,
) -> Result<Response, ApiError> {
    let condition = Condition::of(resource_type, &pairs, &call.rules.bases)?;
    let mut looks = 1;
    loop {
        let seen = condition.look(&app, &call.scope).await?;
        let Some(found) = seen.found else {
            if call.expect != Expect::Anything {
                return Err(ApiError::VersionMismatch("nothing fits the condition, so that If-Match cannot hold".to_owned()));
            }
            return Ok(answer(&call, None));
        };
        let write = Write { resource_type, id: found.id, change: Change::Delete, expect: call.expect };
        match call.write_if(&app, vec![seen.guard], write).await {
            Ok(outcome) => return Ok(answer(&call, Some(outcome))),
            Err(refusal) if matches!(refusal.cause, Cause::Guard(_)) && looks < LOOKS_MAX => looks += 1,
            Err(refusal) => return Err(refusal.error),
        }
    }
}

fn answer(call: &WriteCall, outcome: Option<WriteOutcome>) -> Response {
    let deleted = outcome.filter(|outcome| outcome.kind.is_some());
    let response = match (call.returns, deleted) {
        (ReturnPreference::OperationOutcome, Some(_)) => {
            reply(StatusCode::OK, confirmation("deleted; its history is kept until a $purge with _includeDeleted=true removes it"))
        }
        (ReturnPreference::OperationOutcome, None) => reply(StatusCode::OK, confirmation("there was nothing to delete")),
        _ => without_body(StatusCode::NO_CONTENT),
    };
    match deleted {
        Some(outcome) => with_header(response, header::ETAG, &version_tag(outcome.version)),
        None => response,
    }
}
