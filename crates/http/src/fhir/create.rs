//! `POST /r4/{type}`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_fhir::{IssueType, LogicalId, Resource};
use lethe_store::Expect;
use uuid::Uuid;

use super::writing::{WriteCall, require_type};
use crate::{
    App,
    edge::{JsonBody, TypePath},
    error::ApiError,
};

/// Stores a resource under an id of the server's choice; an id in the body is not kept.
pub async fn create(
    State(app): State<Arc<App>>,
    call: WriteCall,
    TypePath(resource_type): TypePath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    if call.expect != Expect::Anything {
        return Err(ApiError::bad(IssueType::Invalid, "If-Match cannot hold for a create: what is created has no version yet"));
    }
    let resource = Resource::parse(&body)?;
    require_type(&resource, resource_type)?;
    call.put(&app, &resource, new_id(), Expect::Absent).await
}

/// Ids go up with time, so that new rows land at the end of an index.
pub fn new_id() -> LogicalId {
    LogicalId::from(Uuid::now_v7())
}
