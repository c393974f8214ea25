//! `POST /r4/{type}`, also with `If-None-Exist` (<https://hl7.org/fhir/R4/http.html#ccreate>).

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
};
use lethe_fhir::{IssueType, LogicalId, Resource};
use lethe_store::Expect;
use uuid::Uuid;

use super::{
    commit::Cause,
    condition::{Condition, LOOKS_MAX},
    version_tag::single_header,
    writing::{ConditionalCall, WriteCall, require_type, write_of},
};
use crate::{
    App,
    edge::{JsonBody, Pairs, TypePath},
    error::ApiError,
};

/// A create: what every write carries, and the condition in its header.
pub struct CreateCall {
    call: WriteCall,
    if_none_exist: Option<String>,
}

impl FromRequestParts<Arc<App>> for CreateCall {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Pairs::of(&parts.uri)?.only_format()?;
        let ConditionalCall { call, .. } = ConditionalCall::read(parts, app).await?;
        let if_none_exist = single_header(&parts.headers, super::IF_NONE_EXIST)?.map(str::to_owned);
        Ok(Self { call, if_none_exist })
    }
}

/// Stores a resource under an id of the server's choice; an id in the body is not kept. With `If-None-Exist`, only if nothing fits that.
pub async fn create(
    State(app): State<Arc<App>>,
    CreateCall { call, if_none_exist }: CreateCall,
    TypePath(resource_type): TypePath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    if call.expect != Expect::Anything {
        return Err(ApiError::bad(IssueType::Invalid, "If-Match cannot hold for a create: what is created has no version yet"));
    }
    let resource = Resource::parse(&body)?;
    require_type(&resource, resource_type)?;
    let Some(query) = if_none_exist else { return call.put(&app, &resource, new_id(), Expect::Absent).await };
    let condition = Condition::parse(resource_type, &query, &call.rules.bases)?;
    let id = new_id();
    let write = write_of(&resource, id.clone(), &call.rules, Expect::Absent)?;
    let mut looks = 1;
    loop {
        let seen = condition.look(&app, &call.scope).await?;
        if let Some(existing) = &seen.found {
            return call.answer_existing(&app, existing);
        }
        match call.write_if(&app, vec![seen.guard], write.clone()).await {
            Ok(outcome) => return Ok(call.answer(&app, &resource, &id, outcome)),
            Err(refusal) if matches!(refusal.cause, Cause::Guard(_)) && looks < LOOKS_MAX => looks += 1,
            Err(refusal) => return Err(refusal.error),
        }
    }
}

/// Ids go up with time, so that new rows land at the end of an index.
pub fn new_id() -> LogicalId {
    LogicalId::from(Uuid::now_v7())
}
