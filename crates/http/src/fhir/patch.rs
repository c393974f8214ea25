//! `PATCH /r4/{type}/{id}` and `PATCH /r4/{type}?…`: JSON Patch and FHIRPath Patch (<https://hl7.org/fhir/R4/http.html#patch>).

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::HeaderMap,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_fhir::{
    IssueType, Resource, limits, parse_json,
    patch::{fhirpath_patch, json_patch},
};
use lethe_store::{Expect, StoredVersion, Write};
use serde_json::Value;

use super::{
    commit::{Cause, RACES_MAX},
    condition::Condition,
    read::{current, render_version},
    writing::{ConditionalCall, WriteCall, write_of},
};
use crate::{
    App,
    edge::{InstancePath, TypePath, demand_json, is_json_patch, not_json, read_body},
    error::ApiError,
};

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct Patch(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Json(Value),
    FhirPath(Value),
}

/// The body of a PATCH.
pub struct PatchBody(pub Patch);

impl FromRequest<Arc<App>> for PatchBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let is_json_patch = is_json_patch(&parts.headers);
        if !is_json_patch {
            demand_patch(&parts.headers)?;
        }
        let bytes = read_body(&parts.headers, body, limits::RESOURCE_BYTES_MAX).await?;
        let json = parse_json(&bytes).map_err(|error| ApiError::bad(IssueType::Structure, not_json(&error)))?;
        if is_json_patch { Ok(Self(Patch(Arc::new(Kind::Json(json))))) } else { Patch::of_parameters(json).map(Self) }
    }
}

fn demand_patch(headers: &HeaderMap) -> Result<(), ApiError> {
    demand_json(headers).map_err(|_| {
        ApiError::UnsupportedMediaType(
            "a patch is sent as 'Content-Type: application/json-patch+json', or as Parameters with 'Content-Type: application/fhir+json'"
                .to_owned(),
        )
    })
}

impl Patch {
    /// The resource of an entry of a Bundle: Parameters with a FHIRPath Patch, or a Binary with a JSON Patch.
    pub fn of_entry(json: Value) -> Result<Self, ApiError> {
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        if text("resourceType") != Some("Binary") {
            return Self::of_parameters(json);
        }
        let bad = |text: &str| ApiError::bad(IssueType::Value, text);
        if text("contentType").is_none_or(|kind| !kind.starts_with("application/json-patch+json")) {
            return Err(bad("the Binary of a PATCH has the contentType 'application/json-patch+json'"));
        }
        let data = STANDARD.decode(text("data").unwrap_or_default()).map_err(|_| bad("Binary.data is not base64"))?;
        let json =
            parse_json(&data).map_err(|error| ApiError::bad(IssueType::Structure, format!("in Binary.data, {}", not_json(&error))))?;
        Ok(Self(Arc::new(Kind::Json(json))))
    }

    fn of_parameters(json: Value) -> Result<Self, ApiError> {
        if json.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
            let text = "a FHIRPath Patch is a Parameters resource; a JSON Patch is sent as 'Content-Type: application/json-patch+json', or in \
                        a Bundle as a Binary";
            return Err(ApiError::bad(IssueType::Structure, text));
        }
        Ok(Self(Arc::new(Kind::FhirPath(json))))
    }

    /// What becomes of a version.
    ///
    /// # Errors
    /// The version is a deletion; the patch does not fit; what comes of it is no resource.
    pub async fn applied_to(&self, stored: &StoredVersion) -> Result<Resource, ApiError> {
        let text = render_version(stored)?;
        let kind = self.0.clone();
        // A large patch takes its time: other calls must not wait for it.
        let apply = move || {
            let mut json: Value = serde_json::from_str(&text).map_err(|_| ApiError::Defect)?;
            match kind.as_ref() {
                Kind::Json(patch) => json_patch::apply(&mut json, patch)?,
                Kind::FhirPath(parameters) => fhirpath_patch::apply(&mut json, parameters)?,
            }
            Resource::from_json(json).map_err(|error| ApiError::from(error).into_unprocessable("what comes of the patch is no resource"))
        };
        tokio::task::spawn_blocking(apply).await.map_err(|_| ApiError::Defect)?
    }

    async fn write(&self, stored: &StoredVersion, call: &WriteCall) -> Result<(Resource, Write), ApiError> {
        let resource = self.applied_to(stored).await?;
        let expect = match call.expect {
            Expect::Anything => Expect::Version(stored.version),
            said => said,
        };
        let write = write_of(&resource, stored.id.clone(), &call.rules, expect)
            .map_err(|error| error.into_unprocessable("what comes of the patch cannot be stored"))?;
        Ok((resource, write))
    }
}

/// Changes a part of the current version. Without `If-Match`, whoever is faster in between is no obstacle: the patch is applied anew.
pub async fn patch(
    State(app): State<Arc<App>>,
    call: WriteCall,
    InstancePath { resource_type, id }: InstancePath,
    PatchBody(patch): PatchBody,
) -> Result<Response, ApiError> {
    let mut races = 0;
    loop {
        let stored = current(&app, &call.scope, resource_type, &id).await?;
        let (resource, write) = patch.write(&stored, &call).await?;
        match call.write_if(&app, Vec::new(), write).await {
            Ok(outcome) => return Ok(call.answer(&app, &resource, &id, outcome)),
            Err(refusal) if races < RACES_MAX && is_lost_race(refusal.cause, call.expect) => races += 1,
            Err(refusal) => return Err(refusal.error),
        }
    }
}

/// Changes a part of the one resource that fits.
pub async fn patch_conditionally(
    State(app): State<Arc<App>>,
    ConditionalCall { call, pairs }: ConditionalCall,
    TypePath(resource_type): TypePath,
    PatchBody(patch): PatchBody,
) -> Result<Response, ApiError> {
    let condition = Condition::of(resource_type, &pairs, &call.rules.bases)?;
    let mut races = 0;
    loop {
        let seen = condition.look(&app, &call.scope).await?;
        let stored =
            seen.found.ok_or_else(|| ApiError::NotFound(format!("no {resource_type} fits the condition: there is nothing to patch")))?;
        let (resource, write) = patch.write(&stored, &call).await?;
        match call.write_if(&app, vec![seen.guard], write).await {
            Ok(outcome) => return Ok(call.answer(&app, &resource, &stored.id, outcome)),
            Err(refusal) if races < RACES_MAX && is_lost_race(refusal.cause, call.expect) => races += 1,
            Err(refusal) => return Err(refusal.error),
        }
    }
}

/// Whether another writer was faster, and no condition of the client's forbids to try again.
fn is_lost_race(cause: Cause, if_match: Expect) -> bool {
    match cause {
        Cause::Guard(_) => true,
        Cause::Write(_) => if_match == Expect::Anything,
        Cause::Other => false,
    }
}
