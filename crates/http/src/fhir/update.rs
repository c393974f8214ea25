//! `PUT /r4/{type}/{id}`, and `POST` to the same address as a hosted platform takes it.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_fhir::Resource;

use super::writing::{WriteCall, require_id, require_type};
use crate::{
    App,
    edge::{InstancePath, JsonBody},
    error::ApiError,
};

/// Stores a new version, or the first one under an id of the client's choice.
pub async fn update(
    State(app): State<Arc<App>>,
    call: WriteCall,
    InstancePath { resource_type, id }: InstancePath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let resource = Resource::parse(&body)?;
    require_type(&resource, resource_type)?;
    require_id(&resource, &id)?;
    let expect = call.expect;
    call.put(&app, &resource, id, expect).await
}

/// As [`update`], but the body may leave the id out.
pub async fn update_by_post(
    State(app): State<Arc<App>>,
    call: WriteCall,
    InstancePath { resource_type, id }: InstancePath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let mut resource = Resource::parse(&body)?;
    require_type(&resource, resource_type)?;
    resource.id.get_or_insert_with(|| id.clone());
    require_id(&resource, &id)?;
    let expect = call.expect;
    call.put(&app, &resource, id, expect).await
}
