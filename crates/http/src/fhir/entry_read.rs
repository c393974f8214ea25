//! What an entry of a Bundle reads: found out before anything is written, so that a transaction with a wrong read writes nothing.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases, LogicalId, ResourceType, Subset, bundle::EntryTarget};
use lethe_store::StoredVersion;
use serde_json::json;

use super::{
    entry::AddressedEntry,
    entry_answer::{Answers, found_response, refused_entry},
    metadata::capabilities,
    read::{current, render_version, subset_of},
    search::{Asked, Handling, part_of, searchset},
    version_tag::is_known_to_client,
    vread::version_of,
    writing::WriteCall,
};
use crate::{
    App,
    edge::{Pairs, parse_pairs},
    error::ApiError,
};

/// Bytes that the answers of a Bundle may have before entries that read are refused: each of thousands could ask for a page of a thousand.
const ANSWERS_BYTES_MAX: usize = 64 << 20;

/// What is read.
#[derive(Debug)]
pub enum Lookup {
    /// One page of a search.
    Search(Asked),
    /// A resource.
    Resource {
        /// Its id.
        id: LogicalId,
        /// The version; none: the current one.
        version: Option<u64>,
        /// What is left of it.
        subset: Option<Subset>,
    },
    /// The CapabilityStatement.
    Metadata,
}

/// What a transaction does to a resource that is also read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there afterwards.
    Written,
    /// It is deleted.
    Deleted,
}

impl Lookup {
    /// Reads address and parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(target: &EntryTarget, bases: &LocalBases) -> Result<Self, ApiError> {
        let pairs = parse_pairs(target.query.as_deref().unwrap_or_default())?;
        let Some(id) = &target.id else {
            return Asked::of_type(target.resource_type, pairs, Handling::Unsaid, bases).map(Self::Search);
        };
        let id = id.parse().map_err(|error: lethe_fhir::InvalidLogicalId| ApiError::NotFound(error.to_string()))?;
        let version = target.version.as_deref().map(|version| {
            version.parse().map_err(|_| ApiError::NotFound("there is no such version: versions here are numbers, from 1".to_owned()))
        });
        Ok(Self::Resource { id, version: version.transpose()?, subset: subset_of(&Pairs(pairs), target.resource_type)? })
    }

    /// Whether it will be there when all is written.
    ///
    /// # Errors
    /// It will not.
    pub async fn demand(
        &self,
        app: &App,
        scope: &Scope,
        resource_type: ResourceType,
        fates: &HashMap<(ResourceType, &LogicalId), Fate>,
    ) -> Result<(), ApiError> {
        let Self::Resource { id, version, .. } = self else { return Ok(()) };
        match (version, fates.get(&(resource_type, id))) {
            (None, Some(Fate::Written)) => Ok(()),
            (None, Some(Fate::Deleted)) => {
                Err(ApiError::bad(IssueType::Deleted, "the Bundle deletes what this entry reads: leave one of the two out"))
            }
            (Some(_), Some(_)) => {
                let text = "the Bundle writes the resource of which this entry reads a version: read the version by itself";
                Err(ApiError::bad(IssueType::NotSupported, text))
            }
            (_, None) => stored(app, scope, resource_type, id, *version).await.and_then(|stored| render_version(&stored).map(|_| ())),
        }
    }
}

async fn stored(
    app: &App,
    scope: &Scope,
    resource_type: ResourceType,
    id: &LogicalId,
    version: Option<u64>,
) -> Result<StoredVersion, ApiError> {
    match version {
        Some(version) => version_of(app, scope, resource_type, id, version).await,
        None => current(app, scope, resource_type, id).await,
    }
}

/// Reads what a GET asks for, and words its entry; `answered` are the entries before it.
pub async fn read_entry(app: &App, call: &WriteCall, entry: &AddressedEntry, lookup: &Lookup, answered: &Answers) -> String {
    let answer = if answered.bytes() > ANSWERS_BYTES_MAX {
        let text = format!("the answer has more than {ANSWERS_BYTES_MAX} bytes before this entry: send what reads by itself, or in parts");
        Err(ApiError::TooLarge(text))
    } else {
        read(app, &call.scope, &call.rules.bases, entry, lookup).await
    };
    answer.unwrap_or_else(|error| refused_entry(&error))
}

async fn read(app: &App, scope: &Scope, bases: &LocalBases, entry: &AddressedEntry, lookup: &Lookup) -> Result<String, ApiError> {
    let ok = json!({ "status": StatusCode::OK.to_string() });
    let resource_type = entry.target.resource_type;
    let (text, response) = match lookup {
        Lookup::Search(asked) => (searchset(app, scope, bases, asked).await?, ok),
        Lookup::Metadata => (capabilities(app), ok),
        Lookup::Resource { id, version, subset } => {
            let stored = stored(app, scope, resource_type, id, *version).await?;
            let mut text = render_version(&stored)?;
            let mut response = found_response(&stored);
            if is_known(entry, stored.version) {
                response["status"] = json!(StatusCode::NOT_MODIFIED.to_string());
                return Ok(json!({ "response": response }).to_string());
            }
            if let Some(subset) = subset {
                text = part_of(resource_type, &text, subset)?;
            }
            (text, response)
        }
    };
    if entry.is_head {
        return Ok(json!({ "response": response }).to_string());
    }
    Ok(format!(r#"{{"resource":{text},"response":{response}}}"#))
}

fn is_known(entry: &AddressedEntry, version: u64) -> bool {
    let Some(Ok(value)) = entry.if_none_match.as_deref().map(HeaderValue::from_str) else { return false };
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, value);
    is_known_to_client(&headers, version)
}
