//! One entry of a Bundle: what it asks for, and how its answer is worded.

use axum::http::StatusCode;
use lethe_auth::Scope;
use lethe_fhir::{
    Body, IssueType, LocalBases, LogicalId, ReferenceMap, Resource, ResourceType,
    bundle::{EntryTarget, RequestEntry},
    render_resource,
};
use lethe_store::{Change, ChangeKind, Expect, Write, WriteOutcome};
use serde_json::{Value, json};

use super::{
    create::new_id,
    list::searchset,
    preference::ReturnPreference,
    read::{current, render_version},
    version_tag::{expectation, version_tag},
    version_url,
    writing::{require_id, require_type, write_of},
};
use crate::{
    App,
    edge::{Pairs, parse_pairs},
    error::ApiError,
};

/// What an entry asks for.
#[derive(Debug)]
pub enum Act {
    /// A change.
    Write(Write),
    /// A read or a listing.
    Read(EntryTarget),
}

/// When an entry is done: FHIR deletes first, then creates, then updates, and reads last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// `DELETE`.
    Delete,
    /// `POST`, also where it updates.
    Create,
    /// `PUT`.
    Update,
    /// `GET` and `HEAD`.
    Read,
}

impl Turn {
    fn of(method: &str) -> Result<Self, ApiError> {
        match method {
            "DELETE" => Ok(Self::Delete),
            "POST" => Ok(Self::Create),
            "PUT" => Ok(Self::Update),
            "GET" | "HEAD" => Ok(Self::Read),
            "PATCH" => Err(not_supported("PATCH is not supported: read, change and PUT")),
            other => {
                let shown: String = other.chars().take(20).collect();
                Err(ApiError::bad(IssueType::Value, format!("request.method '{shown}' is none of GET, POST, PUT, DELETE")))
            }
        }
    }
}

/// An entry whose URL and method have been read, and whose id is decided.
#[derive(Debug)]
pub struct AddressedEntry {
    /// Its place in the Bundle.
    pub index: usize,
    /// When it is done.
    pub turn: Turn,
    /// Its address.
    pub target: EntryTarget,
    /// The id that it writes to; none for reads, and for a write whose address lacks one.
    pub id: Option<LogicalId>,
    entry: RequestEntry,
}

impl AddressedEntry {
    /// Reads method and URL, and chooses an id for what is created.
    pub fn of(index: usize, entry: RequestEntry, public_url: &str) -> Result<Self, ApiError> {
        let turn = Turn::of(&entry.method)?;
        let url = entry.url.strip_prefix(public_url).map_or(entry.url.as_str(), |path| path.strip_prefix("/r4").unwrap_or(path));
        let in_url = |error: String| ApiError::bad(IssueType::Value, format!("request.url: {error}"));
        let target = EntryTarget::parse(url).map_err(|error| in_url(error.to_string()))?;
        if entry.if_none_exist.is_some() {
            return Err(not_supported("request.ifNoneExist (conditional create) is not supported: leave it out"));
        }
        if turn != Turn::Read && target.query.is_some() {
            return Err(not_supported("conditional writes are not supported: search first, and address the resource as Type/id"));
        }
        let id = match (&target.id, turn) {
            (_, Turn::Read) => None,
            (Some(id), _) => Some(id.parse().map_err(|error: lethe_fhir::InvalidLogicalId| in_url(error.to_string()))?),
            (None, Turn::Create) => Some(new_id()),
            (None, Turn::Delete | Turn::Update) => None,
        };
        Ok(Self { index, turn, target, id, entry })
    }

    /// The names by which other entries may refer to it.
    pub fn names(&self) -> Vec<String> {
        let Some(full_url) = self.entry.full_url.as_deref() else {
            // Without a fullUrl, the id that the resource carries is all there is to refer to it by.
            return self.replaced_id().map(|id| format!("{}/{id}", self.target.resource_type)).into_iter().collect();
        };
        let mut names = vec![full_url.to_owned()];
        // Relative references resolve against the base of the fullUrl, so here `Type/id` is the same resource.
        names.extend(
            self.replaced_id()
                .map(|id| format!("{}/{id}", self.target.resource_type))
                .filter(|name| full_url.ends_with(&format!("/{name}"))),
        );
        names
    }

    /// The id in the body of a create, which another takes the place of.
    fn replaced_id(&self) -> Option<&str> {
        let is_create = self.turn == Turn::Create && self.target.id.is_none();
        self.entry.resource.as_ref().filter(|_| is_create)?.get("id")?.as_str()
    }

    /// What it asks for, its resource checked and its references rewritten.
    pub fn into_act(self, map: &ReferenceMap, bases: &LocalBases) -> Result<Act, ApiError> {
        let Self { turn, target, id, entry, .. } = self;
        let resource_type = target.resource_type;
        if turn == Turn::Read {
            return Ok(Act::Read(target));
        }
        let id = id.ok_or_else(|| ApiError::bad(IssueType::Required, format!("request.url needs an id: {resource_type}/id")))?;
        let expect = expectation(entry.if_match.as_deref())?;
        if turn == Turn::Delete {
            return Ok(Act::Write(Write { resource_type, id, change: Change::Delete, expect }));
        }
        let json = entry.resource.ok_or_else(|| ApiError::bad(IssueType::Required, "the entry has no resource to write"))?;
        let mut resource = Resource::from_json(json)?;
        require_type(&resource, resource_type)?;
        let is_create = target.id.is_none();
        if is_create && expect != Expect::Anything {
            let text = "request.ifMatch cannot hold for a create: what is created has no version yet";
            return Err(ApiError::bad(IssueType::Invalid, text));
        }
        if !is_create {
            if turn == Turn::Create {
                // An update by POST may leave the id to its address.
                resource.id.get_or_insert_with(|| id.clone());
            }
            require_id(&resource, &id)?;
        }
        map.rewrite(&mut resource);
        Ok(Act::Write(write_of(&resource, id, bases, if is_create { Expect::Absent } else { expect })?))
    }
}

fn not_supported(text: &str) -> ApiError {
    ApiError::bad(IssueType::NotSupported, text)
}

/// A write that was done, with what is needed to show it.
pub struct DoneWrite {
    /// The type.
    pub resource_type: ResourceType,
    /// The id.
    pub id: LogicalId,
    /// The content; kept only if it is to be shown.
    pub body: Option<Body>,
    /// What came of it.
    pub outcome: WriteOutcome,
}

impl DoneWrite {
    /// Remembers of a write what its answer shows.
    pub fn body_to_show(write: &Write, returns: ReturnPreference) -> Option<Body> {
        match (&write.change, returns) {
            (Change::Put { body, .. }, ReturnPreference::Representation) => Some(body.clone()),
            _ => None,
        }
    }

    /// The entry of the answer.
    pub fn entry(&self, app: &App, returns: ReturnPreference) -> String {
        let Self { resource_type, id, outcome, .. } = self;
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
            response["outcome"] = lethe_fhir::OperationOutcome::information(format!("done: {status}")).to_json();
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

/// The entry of the answer to an entry that was refused.
pub fn refused_entry(error: &ApiError) -> String {
    error.log();
    let response: Value = json!({ "status": error.status().to_string(), "outcome": error.outcome().to_json() });
    json!({ "response": response }).to_string()
}

/// Reads what a GET asks for, and words its entry.
pub async fn read_entry(app: &App, scope: &Scope, target: &EntryTarget) -> Result<String, ApiError> {
    let pairs = parse_pairs(target.query.as_deref().unwrap_or_default())?;
    let Some(id) = &target.id else {
        let bundle = searchset(app, scope, target.resource_type, &pairs).await?;
        return Ok(format!(r#"{{"resource":{bundle},"response":{{"status":"200 OK"}}}}"#));
    };
    Pairs(pairs).only_format()?;
    let id = id.parse().map_err(|error: lethe_fhir::InvalidLogicalId| ApiError::NotFound(error.to_string()))?;
    let stored = current(app, scope, target.resource_type, &id).await?;
    let text = render_version(&stored)?;
    let response = json!({ "status": "200 OK", "etag": version_tag(stored.version), "lastModified": stored.last_updated.to_string() });
    Ok(format!(r#"{{"resource":{text},"response":{response}}}"#))
}
