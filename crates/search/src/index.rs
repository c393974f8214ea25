//! A resource → its index entries.

use std::collections::BTreeSet;

use lethe_fhir::{LocalBases, LocalReference, MalformedReference, Reference, Resource, ResourceType};
use serde_json::Value;
use thiserror::Error;

use crate::{IndexValues, TooManyValues, extract};

/// What is indexed of one version of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexEntries {
    /// Every resource of the same account that this version refers to, each once, by `Reference.reference` or a `url`.
    pub references: BTreeSet<LocalReference>,
    /// `Provenance.target`, each once; empty for other types.
    pub provenance_targets: BTreeSet<ProvenanceTarget>,
    /// The values of its search parameters.
    pub values: IndexValues,
}

/// One target of a Provenance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProvenanceTarget {
    /// A resource of the same account.
    Local(LocalReference),
    /// Something that no purge here removes: another server's resource, a logical reference.
    Foreign,
}

/// References that FHIR does not allow, each with its place.
#[derive(Debug, Error)]
#[error("{} malformed reference(s), the first at {}: {}", .0.len(), .0[0].0, .0[0].1)]
pub struct ReferenceErrors(pub Vec<(String, MalformedReference)>);

/// Why a resource cannot be indexed.
#[derive(Debug, Error)]
pub enum IndexError {
    /// It has malformed references.
    #[error(transparent)]
    References(#[from] ReferenceErrors),
    /// It has too many values.
    #[error(transparent)]
    Values(#[from] TooManyValues),
}

/// Reads the index entries of `resource`.
///
/// `Reference.reference` is held to FHIR's form, except inside Bundles and contained resources, whose references follow other rules.
/// A `url` (of an Attachment, above all) counts when it names a resource of this server, and is otherwise left alone.
///
/// # Errors
/// All malformed references with their places, or that it has too many values; nothing is indexed then.
pub fn index_entries(resource: &Resource, bases: &LocalBases) -> Result<IndexEntries, IndexError> {
    let mut walk =
        Walk { bases, entries: IndexEntries::default(), malformed: Vec::new(), path: vec![resource.resource_type.name().to_owned()] };
    let strictness = if resource.resource_type == ResourceType::BUNDLE { Strictness::Forgive } else { Strictness::Refuse };
    for (name, value) in resource.content() {
        walk.member(name, value, strictness);
    }
    if resource.resource_type == ResourceType::PROVENANCE {
        walk.entries.provenance_targets = provenance_targets(resource, bases);
    }
    if !walk.malformed.is_empty() {
        return Err(ReferenceErrors(walk.malformed).into());
    }
    walk.entries.values = extract(resource, bases)?;
    Ok(walk.entries)
}

fn provenance_targets(resource: &Resource, bases: &LocalBases) -> BTreeSet<ProvenanceTarget> {
    let targets = resource.content().get("target").and_then(Value::as_array).into_iter().flatten();
    targets
        .map(|target| match target.get("reference").and_then(Value::as_str).map(|text| Reference::parse(text, bases)) {
            Some(Ok(Reference::Local(local))) => ProvenanceTarget::Local(local),
            _ => ProvenanceTarget::Foreign,
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Strictness {
    Refuse,
    Forgive,
}

struct Walk<'a> {
    bases: &'a LocalBases,
    entries: IndexEntries,
    malformed: Vec<(String, MalformedReference)>,
    path: Vec<String>,
}

impl Walk<'_> {
    fn member(&mut self, name: &str, value: &Value, strictness: Strictness) {
        let strictness = if name == "contained" { Strictness::Forgive } else { strictness };
        match value {
            Value::String(text) if name == "reference" => {
                self.text(name, text, if self.is_plain_uri() { Strictness::Forgive } else { strictness })
            }
            // In R4 `reference` is a string, or an object or list where an element of a Reference is itself named so.
            Value::Null | Value::Bool(_) | Value::Number(_) if name == "reference" && strictness == Strictness::Refuse => {
                let malformed =
                    MalformedReference { text: value.to_string(), reason: "a string such as \"Patient/1\" is expected".to_owned() };
                self.malformed.push((format!("{}.{name}", self.path.join(".")), malformed));
            }
            Value::String(text) if name == "url" || name == "valueUrl" || name == "valueUri" => self.text(name, text, Strictness::Forgive),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(format!("{name}[{index}]"));
                    self.object(item, strictness);
                    self.path.pop();
                }
            }
            Value::Object(_) => {
                self.path.push(name.to_owned());
                self.object(value, strictness);
                self.path.pop();
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &Value, strictness: Strictness) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| self.member(name, value, strictness)),
            Value::Array(items) => items.iter().for_each(|item| self.object(item, strictness)),
            _ => {}
        }
    }

    fn text(&mut self, name: &str, text: &str, strictness: Strictness) {
        match Reference::parse(text, self.bases) {
            Ok(Reference::Local(local)) => {
                self.entries.references.insert(local);
            }
            Err(malformed) if strictness == Strictness::Refuse => {
                self.malformed.push((format!("{}.{name}", self.path.join(".")), malformed))
            }
            _ => {}
        }
    }

    /// R4 has two elements named `reference` that are a `uri` and not inside a Reference.
    fn is_plain_uri(&self) -> bool {
        match self.path.as_slice() {
            [root] => root == "DetectedIssue",
            [root, education] => root == "Immunization" && education.starts_with("education["),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(json: &str) -> Result<IndexEntries, IndexError> {
        index_entries(&Resource::parse(json.as_bytes()).unwrap(), &LocalBases::new(["http://127.0.0.1:8080"]))
    }

    fn found(json: &str) -> Vec<String> {
        entries(json).unwrap().references.iter().map(|local| format!("{}/{}", local.resource_type, local.id)).collect()
    }

    #[test]
    fn references_are_found_wherever_they_stand_and_each_once() {
        let json = r##"{"resourceType":"DocumentReference","subject":{"reference":"Patient/p"},"author":[{"reference":"Patient/p/_history/2"},{"display":"x"}],
            "contained":[{"resourceType":"Basic","subject":{"reference":"Group/g"}}],"extension":[{"url":"http://x","valueAttachment":{"url":"Binary/b3"}}],
            "content":[{"attachment":{"url":"Binary/b1"}},{"attachment":{"url":"http://127.0.0.1:8080/r4/Binary/b2"}},{"attachment":{"url":"https://other.org/r4/Binary/b9"}}],
            "context":{"related":[{"reference":"#c"},{"reference":"urn:uuid:0"}]}}"##;
        assert_eq!(found(json), ["Binary/b1", "Binary/b2", "Binary/b3", "Group/g", "Patient/p"]);
    }

    #[test]
    fn malformed_references_are_all_named_with_their_place() {
        let json = r#"{"resourceType":"Observation","subject":{"reference":"Patiant/1"},"performer":[{"reference":"x"},{"reference":5}]}"#;
        let Err(IndexError::References(error)) = entries(json) else { panic!("malformed references are refused") };
        let places: Vec<&str> = error.0.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["Observation.subject.reference", "Observation.performer[0].reference", "Observation.performer[1].reference"]);
    }

    #[test]
    fn elements_named_reference_that_are_plain_uris_are_left_alone() {
        assert!(found(r#"{"resourceType":"Immunization","education":[{"reference":"some where"}]}"#).is_empty());
        assert!(found(r#"{"resourceType":"DetectedIssue","reference":"some where"}"#).is_empty());
    }

    #[test]
    fn provenance_targets_tell_local_from_foreign() {
        let json = r#"{"resourceType":"Provenance","target":[{"reference":"Patient/p"},{"reference":"Patient/p/_history/1"},{"reference":"http://else.org/Patient/q"}],
            "agent":[{"who":{"reference":"Practitioner/d"}}]}"#;
        let entries = entries(json).unwrap();
        assert_eq!(entries.provenance_targets.len(), 2);
        assert!(entries.provenance_targets.contains(&ProvenanceTarget::Foreign));
        assert_eq!(entries.references.len(), 2);
    }
}
