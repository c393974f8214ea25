//! How the answer to one entry of a Bundle is worded.

use axum::http::StatusCode;
use lethe_fhir::{Body, LogicalId, OperationOutcome, ResourceType, render_resource};
use lethe_store::{Change, ChangeKind, StoredVersion, Write, WriteOutcome};
use serde_json::{Value, json};

use super::{preference::ReturnPreference, read::render_version, version_tag::version_tag, version_url};
use crate::{App, error::ApiError};

/// A write that was done, with what is needed to show it.
pub struct DoneWrite {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The content; kept only if it is to be shown.
    pub body: Option<Body>,
}

impl DoneWrite {
    /// Remembers of a write what its answer shows.
    pub fn of(write: &Write, returns: ReturnPreference) -> Self {
        let body = match (&write.change, returns) {
            (Change::Put { body, .. }, ReturnPreference::Representation) => Some(body.clone()),
            _ => None,
        };
        Self { resource_type: write.resource_type, id: write.id.clone(), body }
    }

    /// The entry of the answer.
    pub fn entry(&self, app: &App, outcome: WriteOutcome, returns: ReturnPreference) -> String {
        let Self { resource_type, id, .. } = self;
        let status = match outcome.kind {
            Some(ChangeKind::Create) => StatusCode::CREATED,
            Some(ChangeKind::Update) => StatusCode::OK,
            Some(ChangeKind::Delete) | None => StatusCode::NO_CONTENT,
        };
        let mut response = json!({ "status": status.to_string() });
        if outcome.kind.is_some() {
            response["location"] = json!(version_url(app, *resource_type, id, outcome.version));
            response["etag"] = json!(version_tag(outcome.version));
            response["lastModified"] = json!(outcome.last_updated.to_string());
        }
        if returns == ReturnPreference::OperationOutcome {
            response["outcome"] = OperationOutcome::information(format!("done: {status}")).to_json();
        }
        match &self.body {
            Some(body) => {
                let resource = render_resource(*resource_type, id, outcome.version, outcome.last_updated, body);
                format!(r#"{{"resource":{resource},"response":{response}}}"#)
            }
            None => json!({ "response": response }).to_string(),
        }
    }
}

/// The entry of the answer to a create whose resource is there already, or to a delete that selects nothing.
pub fn idle_entry(app: &App, existing: Option<&StoredVersion>, returns: ReturnPreference) -> Result<String, ApiError> {
    let Some(existing) = existing else {
        return Ok(json!({ "response": { "status": StatusCode::NO_CONTENT.to_string() } }).to_string());
    };
    let mut response = found_response(existing);
    response["location"] = json!(version_url(app, existing.resource_type, &existing.id, existing.version));
    if returns == ReturnPreference::OperationOutcome {
        response["outcome"] = OperationOutcome::information("there is one already that fits ifNoneExist: nothing was created").to_json();
    }
    if returns == ReturnPreference::Representation {
        return Ok(format!(r#"{{"resource":{},"response":{response}}}"#, render_version(existing)?));
    }
    Ok(json!({ "response": response }).to_string())
}

/// The entry of the answer to an entry that was refused.
pub fn refused_entry(error: &ApiError) -> String {
    error.log();
    let response: Value = json!({ "status": error.status().to_string(), "outcome": error.outcome().to_json() });
    json!({ "response": response }).to_string()
}

/// Entries of an answer as they come, each with its place in the Bundle.
#[derive(Debug, Default)]
pub struct Answers {
    entries: Vec<(usize, String)>,
    bytes: usize,
}

impl Answers {
    /// Adds one.
    pub fn push(&mut self, index: usize, entry: String) {
        self.bytes += entry.len();
        self.entries.push((index, entry));
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// In the order of the Bundle.
    pub fn in_order(mut self) -> Vec<String> {
        self.entries.sort_by_key(|(index, _)| *index);
        self.entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// What is told of a resource that is there.
pub fn found_response(stored: &StoredVersion) -> Value {
    let status = StatusCode::OK.to_string();
    json!({ "status": status, "etag": version_tag(stored.version), "lastModified": stored.last_updated.to_string() })
}
