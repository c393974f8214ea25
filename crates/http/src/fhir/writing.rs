//! The way of every single write: for whom, under which conditions, with which Provenance, and what is answered.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{
    Issue, IssueType, LocalBases, LogicalId, OperationOutcome, Resource, ResourceError, ResourceType, Severity, conditional_references,
    limits, render_resource,
};
use lethe_store::{Change, ChangeKind, Expect, Guard, StoredVersion, Write, WriteOutcome};

use super::{
    IF_NONE_EXIST,
    commit::{Commit, WriteRefusal},
    preference::ReturnPreference,
    provenance::HeaderProvenance,
    read::render_version,
    search::Handling,
    version_tag::{expectation, single_header, version_tag},
    version_url,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, Pairs, http_date, reply, with_header},
    error::ApiError,
};

/// The account of a scope that may write.
///
/// # Errors
/// The scope is all of a client's users: none of them is meant in particular.
pub fn one_account(scope: &Scope) -> Result<AccountId, ApiError> {
    scope.account_id().ok_or_else(|| {
        ApiError::bad(
            IssueType::BusinessRule,
            "'x-oneup-user-id: client' stands for all users, so it serves for reads and $purge only: name one user by number",
        )
    })
}

/// What is held against a resource before it is stored.
#[derive(Clone, Debug)]
pub struct WriteRules {
    /// Addresses of this server, for references.
    pub bases: LocalBases,
    /// Whether it must be built as R4's base definitions say.
    pub is_structure_checked: bool,
}

/// What a write carries beside the resource.
pub struct WriteCall {
    /// Where it goes: one account, never all of a client's.
    pub scope: Scope,
    /// What is held against what it writes.
    pub rules: WriteRules,
    /// `If-Match`.
    pub expect: Expect,
    /// `X-Provenance`.
    pub provenance: Option<HeaderProvenance>,
    /// `Prefer`.
    pub returns: ReturnPreference,
}

/// A write whose address is a query.
pub struct ConditionalCall {
    /// What every write carries.
    pub call: WriteCall,
    /// The query.
    pub pairs: Vec<(String, String)>,
}

impl ConditionalCall {
    /// What every write carries; the query and `If-None-Exist` are not judged.
    pub async fn read(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Authenticated { scope, .. } = Authenticated::from_request_parts(parts, app).await?;
        one_account(&scope)?;
        let HostBases(bases) = HostBases::from_request_parts(parts, app).await?;
        // Ignored, it would write what the client wanted left alone.
        if parts.headers.contains_key(header::IF_NONE_MATCH) {
            let text = "'If-None-Match' on a write is not supported: leave the header 'if-none-match' out";
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        let Pairs(pairs) = Pairs::of(&parts.uri)?;
        let call = WriteCall {
            expect: expectation(single_header(&parts.headers, header::IF_MATCH)?)?,
            provenance: HeaderProvenance::of(&parts.headers, &bases)?,
            returns: ReturnPreference::of(&parts.headers),
            rules: WriteRules { bases, is_structure_checked: app.validation.is_asked(Handling::of(&parts.headers)) },
            scope,
        };
        Ok(Self { call, pairs })
    }
}

impl FromRequestParts<Arc<App>> for ConditionalCall {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if parts.headers.contains_key(IF_NONE_EXIST) {
            let text = "'If-None-Exist' goes with a create, POST /r4/{type}: leave the header out";
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        Self::read(parts, app).await
    }
}

impl FromRequestParts<Arc<App>> for WriteCall {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let ConditionalCall { call, pairs } = ConditionalCall::from_request_parts(parts, app).await?;
        // A condition that is ignored would write what it was to leave alone.
        Pairs(pairs).only_format()?;
        Ok(call)
    }
}

impl WriteCall {
    /// Stores one resource under `id` and answers with it.
    pub async fn put(self, app: &App, resource: &Resource, id: LogicalId, expect: Expect) -> Result<Response, ApiError> {
        let write = write_of(resource, id.clone(), &self.rules, expect)?;
        let outcome = self.write(app, write).await?;
        Ok(self.answer(app, resource, &id, outcome))
    }

    /// Does one write.
    pub async fn write(&self, app: &App, write: Write) -> Result<WriteOutcome, ApiError> {
        self.write_if(app, Vec::new(), write).await.map_err(|refusal| refusal.error)
    }

    /// Does one write if these guards hold.
    pub async fn write_if(&self, app: &App, guards: Vec<Guard>, write: Write) -> Result<WriteOutcome, WriteRefusal> {
        let commit = Commit { guards, writes: vec![write] };
        let outcomes = commit.run(app, &self.scope, self.provenance.as_ref(), &self.rules.bases).await?;
        Ok(outcomes.first().copied().ok_or(ApiError::Defect)?)
    }

    /// What a client is told of a resource that is there already.
    pub fn answer_existing(&self, app: &App, existing: &StoredVersion) -> Result<Response, ApiError> {
        let response = match self.returns {
            ReturnPreference::Minimal => without_body(StatusCode::OK),
            ReturnPreference::OperationOutcome => {
                reply(StatusCode::OK, confirmation("there is one already that fits If-None-Exist: nothing was created"))
            }
            ReturnPreference::Unsaid | ReturnPreference::Representation => reply(StatusCode::OK, render_version(existing)?),
        };
        let url = version_url(app, existing.resource_type, &existing.id, existing.version);
        let response = with_header(response, header::ETAG, &version_tag(existing.version));
        let response = with_header(response, header::LAST_MODIFIED, &http_date(existing.last_updated));
        Ok(with_header(response, header::LOCATION, &url))
    }

    /// What a client is told of the resource that it wrote.
    pub fn answer(&self, app: &App, resource: &Resource, id: &LogicalId, outcome: WriteOutcome) -> Response {
        let status = match outcome.kind {
            Some(ChangeKind::Create) => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        let url = version_url(app, resource.resource_type, id, outcome.version);
        let response = match self.returns {
            ReturnPreference::Minimal => without_body(status),
            ReturnPreference::OperationOutcome => reply(status, confirmation(&format!("stored as version {}", outcome.version))),
            ReturnPreference::Unsaid | ReturnPreference::Representation => {
                let text = render_resource(resource.resource_type, id, outcome.version, outcome.last_updated, &resource.body());
                reply(status, text)
            }
        };
        let response = with_header(response, header::ETAG, &version_tag(outcome.version));
        let response = with_header(response, header::LAST_MODIFIED, &http_date(outcome.last_updated));
        let place = if status == StatusCode::CREATED { header::LOCATION } else { header::CONTENT_LOCATION };
        with_header(response, place, &url)
    }
}

/// An answer of headers alone.
pub fn without_body(status: StatusCode) -> Response {
    let mut response = reply(status, "");
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// An OperationOutcome that says what was done.
pub fn confirmation(text: &str) -> String {
    OperationOutcome::information(text).to_json().to_string()
}

/// The write of a resource, checked.
///
/// # Errors
/// Malformed and conditional references; a size over the limit; a wrong structure, if that is looked at.
pub fn write_of(resource: &Resource, id: LogicalId, rules: &WriteRules, expect: Expect) -> Result<Write, ApiError> {
    if let Some(text) = conditional_references(resource, &rules.bases).first() {
        let shown: String = text.chars().take(120).collect();
        return Err(ApiError::bad(
            IssueType::NotSupported,
            format!("the conditional reference '{shown}' has its place in a transaction: send one, or refer to the resource as Type/id"),
        ));
    }
    if rules.is_structure_checked {
        let issues = faults(resource);
        if !issues.is_empty() {
            return Err(ApiError::Unprocessable(OperationOutcome { issues }));
        }
    }
    let write = Write::put(resource, id, &rules.bases, expect)?;
    match &write.change {
        Change::Put { body, .. } if body.as_bytes().len() > limits::RESOURCE_BYTES_MAX => {
            Err(ResourceError::TooLarge(body.as_bytes().len()).into())
        }
        _ => Ok(write),
    }
}

/// What of a resource is not as R4's base definitions say.
pub fn faults(resource: &Resource) -> Vec<Issue> {
    let issues = lethe_fhir::validate(resource).into_iter();
    issues.filter(|issue| matches!(issue.severity, Severity::Error | Severity::Fatal)).collect()
}

/// Refuses a resource of another type than its address.
pub fn require_type(resource: &Resource, resource_type: ResourceType) -> Result<(), ApiError> {
    if resource.resource_type == resource_type {
        return Ok(());
    }
    let text = format!("the body has the type {}, the address {resource_type}: they must be the same", resource.resource_type);
    Err(ApiError::bad(IssueType::Invalid, text))
}

/// Refuses a resource whose id is not that of its address.
pub fn require_id(resource: &Resource, id: &LogicalId) -> Result<(), ApiError> {
    match &resource.id {
        Some(own) if own == id => Ok(()),
        Some(own) => {
            Err(ApiError::bad(IssueType::Invalid, format!("the body has the id '{own}', the address '{id}': they must be the same")))
        }
        None => Err(ApiError::bad(
            IssueType::Required,
            format!("the body has no id: an update carries the id of its address, \"id\": \"{id}\""),
        )),
    }
}
