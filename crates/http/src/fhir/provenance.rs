//! `X-Provenance`: a Provenance that arrives with a write, and is stored in the same transaction as what it is about
//! (<https://hl7.org/fhir/R4/provenance.html#header>).

use axum::http::HeaderMap;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{IssueType, LocalBases, Resource, ResourceType};
use lethe_search::index_entries;
use lethe_store::{Change, ChangeKind, Expect, Write, WriteError, WriteOutcome};
use serde_json::{Value, json};

use super::{create::new_id, writing::one_account};
use crate::{App, error::ApiError};

/// How often a write is tried again when another writer took the version that its Provenance was to name.
const RACES_MAX: usize = 8;

/// A Provenance without targets: they are filled in when it is known what was written.
#[derive(Clone, Debug)]
pub struct HeaderProvenance(Resource);

impl HeaderProvenance {
    /// Reads the header.
    ///
    /// # Errors
    /// Given twice; not a Provenance; one that names targets; malformed references.
    pub fn of(headers: &HeaderMap, bases: &LocalBases) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all("x-provenance").iter();
        let Some(value) = values.next() else { return Ok(None) };
        let bad = |text: String| ApiError::bad(IssueType::Invalid, format!("X-Provenance: {text}; nothing was written"));
        if values.next().is_some() {
            return Err(bad("given more than once".to_owned()));
        }
        let resource = Resource::parse(value.as_bytes()).map_err(|error| bad(error.to_string()))?;
        if resource.resource_type != ResourceType::PROVENANCE {
            return Err(bad(format!("a Provenance is expected, not a {}", resource.resource_type)));
        }
        if resource.content().contains_key("target") {
            return Err(bad("leave 'target' out: the server fills it in with what was written".to_owned()));
        }
        index_entries(&resource, bases).map_err(|error| bad(error.to_string()))?;
        Ok(Some(Self(resource)))
    }

    fn about(&self, targets: Vec<String>, bases: &LocalBases) -> Result<Write, ApiError> {
        let mut resource = self.0.clone();
        let targets: Vec<Value> = targets.into_iter().map(|reference| json!({ "reference": reference })).collect();
        resource.content_mut().insert("target".to_owned(), Value::Array(targets));
        Ok(Write::put(&resource, new_id(), bases, Expect::Absent)?)
    }
}

/// Why nothing of a list of writes was done, and which of them is to blame.
#[derive(Debug)]
pub struct WriteRefusal {
    /// Its place in the list, if one is.
    pub index: Option<usize>,
    /// What is wrong.
    pub error: ApiError,
}

impl From<ApiError> for WriteRefusal {
    fn from(error: ApiError) -> Self {
        Self { index: None, error }
    }
}

/// Does all of `writes` or none, and stores the Provenance with them. Their outcomes come back in order.
pub async fn write(
    app: &App,
    scope: &Scope,
    writes: Vec<Write>,
    provenance: Option<&HeaderProvenance>,
    bases: &LocalBases,
) -> Result<Vec<WriteOutcome>, WriteRefusal> {
    let account_id = one_account(scope)?;
    let Some(provenance) = provenance else { return do_writes(app, account_id, writes).await };
    let is_unconditional: Vec<bool> = writes.iter().map(|write| write.expect == Expect::Anything).collect();
    let mut races = 0;
    loop {
        let (mut bound, targets) = bind_versions(app, scope, &writes).await?;
        if !targets.is_empty() {
            bound.push(provenance.about(targets, bases)?);
        }
        match do_writes(app, account_id, bound).await {
            Ok(mut outcomes) => {
                outcomes.truncate(writes.len());
                return Ok(outcomes);
            }
            // The client set no condition, so another writer in between is no reason to refuse.
            Err(refusal) if races < RACES_MAX && refusal.index.is_some_and(|index| is_unconditional.get(index) == Some(&true)) => {
                races += 1
            }
            Err(refusal) => return Err(refusal),
        }
    }
}

async fn do_writes(app: &App, account_id: AccountId, writes: Vec<Write>) -> Result<Vec<WriteOutcome>, WriteRefusal> {
    app.store.write(account_id, writes).await.map_err(|error| WriteRefusal {
        index: match &error {
            WriteError::Expectation { index, .. } => Some(*index),
            WriteError::Guard(_) | WriteError::NoAccount(_) | WriteError::Store(_) => None,
        },
        error: error.into(),
    })
}

/// Ties each write to the version that is current now, so that the version that it will make is known beforehand.
async fn bind_versions(app: &App, scope: &Scope, writes: &[Write]) -> Result<(Vec<Write>, Vec<String>), ApiError> {
    let mut bound = Vec::with_capacity(writes.len() + 1);
    let mut targets = Vec::with_capacity(writes.len());
    for write in writes {
        let target = format!("{}/{}", write.resource_type, write.id);
        let mut write = write.clone();
        if write.expect == Expect::Anything {
            let current = app.store.read(scope, write.resource_type, &write.id).await?;
            match (&write.change, current.map(|current| (current.kind, current.version))) {
                (Change::Delete, None | Some((ChangeKind::Delete, _))) => {}
                // What was deleted and comes back cannot be tied to a version, so none is named: better than one that may be wrong.
                (Change::Put { .. }, Some((ChangeKind::Delete, _))) => targets.push(target.clone()),
                (Change::Put { .. }, None) => write.expect = Expect::Absent,
                (_, Some((_, version))) => write.expect = Expect::Version(version),
            }
        }
        targets.extend(match write.expect {
            Expect::Absent => Some(format!("{target}/_history/1")),
            Expect::Version(current) => Some(format!("{target}/_history/{}", current + 1)),
            Expect::Anything => None,
        });
        bound.push(write);
    }
    Ok((bound, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Option<HeaderProvenance>, String> {
        let mut headers = HeaderMap::new();
        headers.insert("x-provenance", text.parse().unwrap());
        HeaderProvenance::of(&headers, &LocalBases::default()).map_err(|error| error.outcome().issues[0].text.clone())
    }

    #[test]
    fn only_a_provenance_without_targets_is_taken() {
        assert!(header(r#"{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z"}"#).unwrap().is_some());
        let cases = [
            ("{", "not valid JSON"),
            (r#"{"resourceType":"Patient"}"#, "a Provenance is expected"),
            (r#"{"resourceType":"Provenance","target":[{"reference":"Patient/1"}]}"#, "leave 'target' out"),
            (r#"{"resourceType":"Provenance","agent":[{"who":{"reference":"nobody"}}]}"#, "malformed reference"),
        ];
        for (text, reason) in cases {
            let message = header(text).unwrap_err();
            assert!(message.contains(reason) && message.contains("nothing was written"), "{text}: {message}");
        }
    }
}
