//! `DELETE /r4/{type}/{id}`: a FHIR delete, after which the history is still there. `$purge` is what removes.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::Response,
};
use lethe_store::{Change, Write};

use super::{
    preference::ReturnPreference,
    version_tag::version_tag,
    writing::{WriteCall, confirmation, without_body},
};
use crate::{
    App,
    edge::{InstancePath, reply, with_header},
    error::ApiError,
};

/// Deletes; what is not there, or no longer, is deleted already.
pub async fn delete(
    State(app): State<Arc<App>>,
    call: WriteCall,
    InstancePath { resource_type, id }: InstancePath,
) -> Result<Response, ApiError> {
    let outcome = call.write(&app, Write { resource_type, id, change: Change::Delete, expect: call.expect }).await?;
    let response = match (call.returns, outcome.kind) {
        (ReturnPreference::OperationOutcome, Some(_)) => {
            reply(StatusCode::OK, confirmation("deleted; its history is kept until a $purge with _includeDeleted=true removes it"))
        }
        (ReturnPreference::OperationOutcome, None) => reply(StatusCode::OK, confirmation("there was nothing to delete")),
        _ => without_body(StatusCode::NO_CONTENT),
    };
    Ok(match outcome.kind {
        Some(_) => with_header(response, header::ETAG, &version_tag(outcome.version)),
        None => response,
    })
}
