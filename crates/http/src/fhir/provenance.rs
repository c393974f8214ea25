//! `X-Provenance`: a Provenance that arrives with a write, and is stored in the same transaction as what it is about
//! (<https://hl7.org/fhir/R4/provenance.html#header>).

use axum::http::HeaderMap;
use lethe_fhir::{IssueType, LocalBases, Resource, ResourceType};
use lethe_search::index_entries;
use lethe_store::{Expect, Write};
use serde_json::{Value, json};

use super::create::new_id;
use crate::error::ApiError;

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

    /// The write that stores it, about these targets.
    pub fn about(&self, targets: Vec<String>, bases: &LocalBases) -> Result<Write, ApiError> {
        let mut resource = self.0.clone();
        let targets: Vec<Value> = targets.into_iter().map(|reference| json!({ "reference": reference })).collect();
        resource.content_mut().insert("target".to_owned(), Value::Array(targets));
        Ok(Write::put(&resource, new_id(), bases, Expect::Absent)?)
    }
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
