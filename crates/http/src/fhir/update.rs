//! `PUT /r4/{type}/{id}`, `POST` to the same address as a hosted platform takes it, and `PUT /r4/{type}?…`
//! (<https://hl7.org/fhir/R4/http.html#cond-update>).

use std::sync::Arc;

use axum::{extract::State, response::Response};
use lethe_fhir::{IssueType, LogicalId, Resource};
use lethe_store::{Expect, StoredVersion};

use super::{
    commit::Cause,
    condition::{Condition, LOOKS_MAX},
    create::new_id,
    writing::{ConditionalCall, WriteCall, require_id, require_type, write_of},
};
use crate::{
    App,
    edge::{InstancePath, JsonBody, TypePath},
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

/// Stores a new version of the one resource that fits, or a new resource if none does.
pub async fn update_conditionally(
    State(app): State<Arc<App>>,
    ConditionalCall { call, pairs }: ConditionalCall,
    TypePath(resource_type): TypePath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let resource = Resource::parse(&body)?;
    require_type(&resource, resource_type)?;
    let condition = Condition::of(resource_type, &pairs, &call.rules.bases)?;
    let mut looks = 1;
    loop {
        let seen = condition.look(&app, &call.scope).await?;
        let (id, expect) = place_of_update(resource.id.clone(), seen.found.as_ref(), call.expect)?;
        let write = write_of(&resource, id.clone(), &call.rules, expect)?;
        match call.write_if(&app, vec![seen.guard], write).await {
            Ok(outcome) => return Ok(call.answer(&app, &resource, &id, outcome)),
            Err(refusal) if matches!(refusal.cause, Cause::Guard(_)) && looks < LOOKS_MAX => looks += 1,
            Err(refusal) if seen.found.is_none() && matches!(refusal.cause, Cause::Write(_)) => return Err(taken(&id)),
            Err(refusal) => return Err(refusal.error),
        }
    }
}

/// Where a conditional update goes, and what must hold there.
pub fn place_of_update(own: Option<LogicalId>, found: Option<&StoredVersion>, if_match: Expect) -> Result<(LogicalId, Expect), ApiError> {
    match (found, own) {
        (Some(found), Some(own)) if found.id != own => Err(ApiError::bad(
            IssueType::Invalid,
            format!("the body has the id '{own}', the resource that fits the condition '{}': leave the id out, or correct it", found.id),
        )),
        (Some(found), _) => Ok((found.id.clone(), if_match)),
        (None, _) if if_match != Expect::Anything => {
            Err(ApiError::VersionMismatch("nothing fits the condition, so that If-Match cannot hold".to_owned()))
        }
        (None, own) => Ok((own.unwrap_or_else(new_id), Expect::Absent)),
    }
}

/// Nothing fits the condition, but the id in the body is not free.
fn taken(id: &LogicalId) -> ApiError {
    let text =
        format!("nothing fits the condition, and the id '{id}' of the body is in use: leave the id out, or update that resource by its id");
    ApiError::Conflict { text, content_location: None }
}
