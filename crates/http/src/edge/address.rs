//! What a path addresses, and the addresses under which this server is spoken to.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::{Method, header, request::Parts},
};
use lethe_fhir::{IssueType, LocalBases, LogicalId, ResourceType};

use crate::{App, error::ApiError};

/// `/r4/{type}`.
pub struct TypePath(pub ResourceType);

/// `/r4/{type}/{id}`.
pub struct InstancePath {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
}

/// `/r4/{type}/{id}/_history/{version}`.
pub struct VersionPath {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The version.
    pub version: u64,
}

/// `/r4/{type}/{id}/{member}`.
pub struct MemberPath {
    /// The resource whose compartment it is.
    pub owner: InstancePath,
    /// The type that is searched in it; `*` is none: all of them.
    pub member: Option<ResourceType>,
}

fn resource_type(name: &str) -> Result<ResourceType, ApiError> {
    if name.starts_with('$') {
        return Err(no_such_operation(name));
    }
    name.parse().map_err(|error: lethe_fhir::UnknownResourceType| ApiError::NotFound(error.to_string()))
}

/// An id that FHIR does not allow addresses nothing when it is read, and is a mistake when it is written.
fn logical_id(text: &str, method: &Method) -> Result<LogicalId, ApiError> {
    if text.starts_with('$') {
        return Err(no_such_operation(text));
    }
    text.parse().map_err(|error: lethe_fhir::InvalidLogicalId| match *method {
        Method::GET | Method::HEAD => ApiError::NotFound(error.to_string()),
        _ => ApiError::bad(IssueType::Value, error.to_string()),
    })
}

fn no_such_operation(name: &str) -> ApiError {
    if name == "$everything" {
        let text =
            "$everything is of one patient, /r4/Patient/{id}/$everything, or encounter: of all patients, /r4/Patient/$export tells all";
        return ApiError::bad(IssueType::NotSupported, text);
    }
    let shown: String = name.chars().take(80).collect();
    ApiError::NotFound(format!("the operation '{shown}' is not served here; GET /r4/metadata says what is"))
}

async fn segments<T: serde::de::DeserializeOwned + Send>(parts: &mut Parts) -> Result<T, ApiError> {
    let Path(segments) = Path::from_request_parts(parts, &())
        .await
        .map_err(|_| ApiError::NotFound("nothing is served at this path: it is not encoded as a URL demands".to_owned()))?;
    Ok(segments)
}

impl FromRequestParts<Arc<App>> for TypePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let type_name: String = segments(parts).await?;
        resource_type(&type_name).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for InstancePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let (type_name, id): (String, String) = segments(parts).await?;
        Ok(Self { resource_type: resource_type(&type_name)?, id: logical_id(&id, &parts.method)? })
    }
}

impl FromRequestParts<Arc<App>> for VersionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let (type_name, id, version): (String, String, String) = segments(parts).await?;
        let version =
            version.parse().map_err(|_| ApiError::NotFound("there is no such version: versions here are numbers, from 1".to_owned()))?;
        Ok(Self { resource_type: resource_type(&type_name)?, id: logical_id(&id, &parts.method)?, version })
    }
}

impl FromRequestParts<Arc<App>> for MemberPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let (type_name, id, member): (String, String, String) = segments(parts).await?;
        let owner = InstancePath { resource_type: resource_type(&type_name)?, id: logical_id(&id, &Method::GET)? };
        let member = if member == "*" { None } else { Some(resource_type(&member)?) };
        Ok(Self { owner, member })
    }
}

/// The addresses of this server, the one that this call used included.
pub struct HostBases(pub LocalBases);

impl FromRequestParts<Arc<App>> for HostBases {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let mut bases = app.bases.clone();
        bases.add(&app.public_url);
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        if let Some(host) = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str())) {
            bases.add(host);
        }
        Ok(Self(bases))
    }
}
