//! `$validate` (<https://hl7.org/fhir/R4/resource-operation-validate.html>): what would be wrong with a write, without doing it.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::StatusCode,
    response::Response,
};
use lethe_fhir::{Issue, IssueType, LocalBases, LogicalId, OperationOutcome, Resource, ResourceType, Severity, limits, parse_json};
use lethe_store::Expect;
use serde_json::Value;

use super::{
    read::{current, render_version},
    writing::{WriteRules, faults, require_id, require_type, write_of},
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, InstancePath, Pairs, TypePath, demand_json, not_json, read_body, reply},
    error::ApiError,
};

/// What the write would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Not said: the resource by itself.
    #[default]
    Unsaid,
    Create,
    Update,
    Delete,
}

/// What is to be validated.
pub struct Subject {
    pairs: Pairs,
    body: Bytes,
}

impl FromRequest<Arc<App>> for Subject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts.headers, body, limits::RESOURCE_BYTES_MAX).await?;
        if !body.is_empty() {
            demand_json(&parts.headers)?;
        }
        Ok(Self { pairs: Pairs::of(&parts.uri)?, body })
    }
}

/// Of a resource that may be stored under the type. Only who may use the server may use its time.
pub async fn of_type(
    _: Authenticated,
    HostBases(bases): HostBases,
    TypePath(resource_type): TypePath,
    subject: Subject,
) -> Result<Response, ApiError> {
    let Asked { mode, resource, mut issues } = Asked::of(subject)?;
    match (mode, resource) {
        (Mode::Delete, _) => issues.extend(wrong("mode 'delete' is about one resource: POST to Type/id/$validate")),
        (_, None) => return Err(nothing_to_validate()),
        (_, Some(json)) => issues.extend(look(json, resource_type, None, mode, &bases).await?),
    }
    Ok(answer(issues))
}

/// Of a resource that may be stored under the id, or of the one that is there.
pub async fn of_instance(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    InstancePath { resource_type, id }: InstancePath,
    subject: Subject,
) -> Result<Response, ApiError> {
    let Asked { mode, resource, mut issues } = Asked::of(subject)?;
    let json = match (mode, resource) {
        (Mode::Delete, _) => {
            match current(&app, &scope, resource_type, &id).await.and_then(|stored| render_version(&stored)) {
                Ok(_) => {}
                Err(error @ (ApiError::NotFound(_) | ApiError::Gone(_))) => issues.extend(error.outcome().issues),
                Err(error) => return Err(error),
            }
            return Ok(answer(issues));
        }
        (Mode::Create, _) => {
            issues.extend(wrong("mode 'create' has no id in its address: POST to Type/$validate"));
            return Ok(answer(issues));
        }
        (_, Some(json)) => json,
        (_, None) => {
            let text = render_version(&current(&app, &scope, resource_type, &id).await?)?;
            serde_json::from_str(&text).map_err(|_| ApiError::Defect)?
        }
    };
    issues.extend(look(json, resource_type, Some(id), mode, &bases).await?);
    Ok(answer(issues))
}

struct Asked {
    mode: Mode,
    resource: Option<Value>,
    issues: Vec<Issue>,
}

impl Asked {
    /// From a bare resource with the mode in the query, or from Parameters.
    fn of(Subject { pairs, body }: Subject) -> Result<Self, ApiError> {
        pairs.only(&["mode", "profile", "_format", "_pretty"])?;
        let mut asked = Self { mode: Mode::default(), resource: None, issues: Vec::new() };
        for name in ["mode", "profile"] {
            if let Some(text) = pairs.get(name) {
                asked.take(name, text)?;
            }
        }
        if body.is_empty() {
            return Ok(asked);
        }
        let json = parse_json(&body).map_err(|error| ApiError::bad(IssueType::Structure, not_json(&error)))?;
        let parts = json.get("parameter").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_asking = parts.iter().any(|part| matches!(part.get("name").and_then(Value::as_str), Some("resource" | "mode" | "profile")));
        if json.get("resourceType").and_then(Value::as_str) != Some("Parameters") || !is_asking {
            asked.resource = Some(json);
            return Ok(asked);
        }
        for mut part in parts {
            let name = part.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if name == "resource" {
                asked.resource = part.get_mut("resource").map(Value::take);
                continue;
            }
            let value = ["valueCode", "valueUri", "valueCanonical", "valueString"].iter().find_map(|key| part.get(*key)?.as_str());
            let value = value.ok_or_else(|| ApiError::bad(IssueType::Structure, "a parameter of $validate needs 'name' and a value"))?;
            asked.take(&name, value)?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        let shown: String = value.chars().take(80).collect();
        match (name, value) {
            ("mode", "create") => self.mode = Mode::Create,
            ("mode", "update") => self.mode = Mode::Update,
            ("mode", "delete") => self.mode = Mode::Delete,
            ("mode", _) => {
                return Err(ApiError::bad(IssueType::Value, format!("mode '{shown}' is not supported: create, update or delete is")));
            }
            ("profile", _) => self.issues.push(Issue {
                severity: Severity::Warning,
                code: IssueType::NotSupported,
                text: format!("the profile '{shown}' was not looked at: only R4's base definitions are"),
                expression: Vec::new(),
            }),
            _ => {
                let shown: String = name.chars().take(80).collect();
                let text = format!("'{shown}' is not a parameter of $validate; known are resource, mode and profile");
                return Err(ApiError::bad(IssueType::NotSupported, text));
            }
        }
        Ok(())
    }
}

/// Everything that is wrong with a resource. It takes its time for a large one: other calls must not wait for it.
async fn look(
    json: Value,
    resource_type: ResourceType,
    id: Option<LogicalId>,
    mode: Mode,
    bases: &LocalBases,
) -> Result<Vec<Issue>, ApiError> {
    let rules = WriteRules { bases: bases.clone(), is_structure_checked: false };
    let look = move || {
        let resource = match Resource::from_json(json) {
            Ok(resource) => resource,
            Err(error) => return ApiError::from(error).outcome().issues,
        };
        let mut issues = Vec::new();
        let mut take = |result: Result<(), ApiError>| issues.extend(result.err().map(|error| error.outcome().issues).unwrap_or_default());
        take(require_type(&resource, resource_type));
        match (&id, mode, &resource.id) {
            (Some(id), ..) => take(require_id(&resource, id)),
            (None, Mode::Update, None) => {
                take(Err(ApiError::bad(IssueType::Required, "the resource has no id: an update carries the id of its address")));
            }
            _ => {}
        }
        let place = id.or_else(|| resource.id.clone()).unwrap_or_else(super::create::new_id);
        take(write_of(&resource, place, &rules, Expect::Anything).map(drop));
        issues.extend(faults(&resource));
        issues
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| ApiError::Defect)
}

fn wrong(text: &str) -> Vec<Issue> {
    OperationOutcome::error(IssueType::Invalid, text).issues
}

fn nothing_to_validate() -> ApiError {
    ApiError::bad(IssueType::Required, "there is nothing to validate: send a resource, or Parameters with a parameter named 'resource'")
}

/// Always 200: the validation has been done, whatever it found.
fn answer(mut issues: Vec<Issue>) -> Response {
    let is_fine = !issues.iter().any(|issue| matches!(issue.severity, Severity::Error | Severity::Fatal));
    if is_fine {
        let text = "nothing is wrong: it is built as R4's base definitions say";
        issues.extend(OperationOutcome::information(text).issues);
    }
    reply(StatusCode::OK, OperationOutcome { issues }.to_json().to_string())
}
