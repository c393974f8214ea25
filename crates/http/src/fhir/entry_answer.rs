//! How the answer to one entry of a Bundle is worded.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use lethe_auth::Scope;
use lethe_fhir::{Body, LocalBases, LogicalId, OperationOutcome, ResourceType, render_resource};
use lethe_store::{Change, ChangeKind, StoredVersion, Write, WriteOutcome};
use serde_json::{Value, json};

use super::{
    entry::AddressedEntry,
    preference::ReturnPreference,
    read::{current, render_version},
    search::{Asked, Handling, searchset},
    version_tag::{is_known_to_client, version_tag},
    version_url,
    writing::WriteCall,
};
use crate::{
    App,
    edge::{Pairs, parse_pairs},
    error::ApiError,
};

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

/// Bytes that the answers of a Bundle may have before entries that read are refused: each of thousands could ask for a page of a thousand.
const ANSWERS_BYTES_MAX: usize = 64 << 20;

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

    /// In the order of the Bundle.
    pub fn in_order(mut self) -> Vec<String> {
        self.entries.sort_by_key(|(index, _)| *index);
        self.entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// Reads what a GET asks for, and words its entry; `answered` are the entries before it.
pub async fn read_entry(app: &App, call: &WriteCall, entry: &AddressedEntry, answered: &Answers) -> String {
    let answer = if answered.bytes > ANSWERS_BYTES_MAX {
        let text = format!("the answer has more than {ANSWERS_BYTES_MAX} bytes before this entry: send what reads by itself, or in parts");
        Err(ApiError::TooLarge(text))
    } else {
        read(app, &call.scope, &call.rules.bases, entry).await
    };
    answer.unwrap_or_else(|error| refused_entry(&error))
}

async fn read(app: &App, scope: &Scope, bases: &LocalBases, entry: &AddressedEntry) -> Result<String, ApiError> {
    let target = &entry.target;
    let pairs = parse_pairs(target.query.as_deref().unwrap_or_default())?;
    let Some(id) = &target.id else {
        let asked = Asked::of_type(target.resource_type, pairs, Handling::Unsaid, bases)?;
        let bundle = searchset(app, scope, bases, &asked).await?;
        return Ok(shown(entry, &bundle, &json!({ "status": StatusCode::OK.to_string() })));
    };
    Pairs(pairs).only_format()?;
    let id = id.parse().map_err(|error: lethe_fhir::InvalidLogicalId| ApiError::NotFound(error.to_string()))?;
    let stored = current(app, scope, target.resource_type, &id).await?;
    let text = render_version(&stored)?;
    let mut response = found_response(&stored);
    if is_known(entry, stored.version) {
        response["status"] = json!(StatusCode::NOT_MODIFIED.to_string());
        return Ok(json!({ "response": response }).to_string());
    }
    Ok(shown(entry, &text, &response))
}

fn found_response(stored: &StoredVersion) -> Value {
    let status = StatusCode::OK.to_string();
    json!({ "status": status, "etag": version_tag(stored.version), "lastModified": stored.last_updated.to_string() })
}

fn shown(entry: &AddressedEntry, resource: &str, response: &Value) -> String {
    if entry.is_head { json!({ "response": response }).to_string() } else { format!(r#"{{"resource":{resource},"response":{response}}}"#) }
}

fn is_known(entry: &AddressedEntry, version: u64) -> bool {
    let Some(Ok(value)) = entry.if_none_match.as_deref().map(HeaderValue::from_str) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, value);
    is_known_to_client(&headers, version)
}
