//! A resource on its way in (parsed and checked) and on its way out (rendered from its stored body).

use std::{borrow::Cow, fmt::Write};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Instant, InvalidLogicalId, LogicalId, ResourceType, limits, parse_json};

/// A resource whose type is known, whose id, if it has one, is valid, and whose size and depth are within [`limits`].
///
/// Numbers keep the digits they came with: `1.50` stays `1.50`.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id, if it carries one.
    pub id: Option<LogicalId>,
    /// Everything but `resourceType`, `id` and what the server itself sets in `meta`.
    content: Map<String, Value>,
}

/// Why some JSON is not a resource that this server takes.
#[derive(Debug, Error)]
pub enum ResourceError {
    /// Over [`limits::RESOURCE_BYTES_MAX`].
    #[error("the resource has {0} bytes; at most {max} are accepted", max = limits::RESOURCE_BYTES_MAX)]
    TooLarge(usize),
    /// Over [`limits::JSON_DEPTH_MAX`].
    #[error("the JSON is nested more than {max} levels deep", max = limits::JSON_DEPTH_MAX)]
    TooDeep,
    /// Not JSON.
    #[error("the content is not valid JSON: {0}")]
    NotJson(String),
    /// JSON, but no object.
    #[error("a resource is a JSON object that begins with {{\"resourceType\": …}}")]
    NotAnObject,
    /// `resourceType` is missing or not a string.
    #[error("'resourceType' is missing: say which resource this is, for example \"resourceType\": \"Patient\"")]
    NoResourceType,
    /// `resourceType` is no R4 type.
    #[error(transparent)]
    UnknownType(#[from] crate::UnknownResourceType),
    /// `id` is not a string that FHIR allows.
    #[error(transparent)]
    InvalidId(#[from] InvalidLogicalId),
    /// An element is not of the kind that FHIR gives it.
    #[error("'{element}' must be {expected}")]
    WrongKind {
        /// Name of the element.
        element: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// The stored form of a version: the JSON text after `"meta":{"versionId":"…","lastUpdated":"…"`.
///
/// Type, id, version and time are columns of the store, so they are left out here and [`render_resource`] puts them in front again
/// by joining bytes, without parsing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// From bytes that [`Body::as_bytes`] gave.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whether it still is what [`Resource::body`] made.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let whole = [br#"{"meta":{"versionId":"""#, self.as_bytes()].concat();
        serde_json::from_slice::<serde::de::IgnoredAny>(&whole).is_ok()
    }

    /// For storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl ResourceError {
    /// What serde_json says, in our words where it means one of our limits.
    #[must_use]
    pub fn of_json(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        if text.starts_with("recursion limit exceeded") { Self::TooDeep } else { Self::NotJson(text) }
    }
}

impl Resource {
    /// Reads one resource from JSON.
    ///
    /// # Errors
    /// [`ResourceError`] names the first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, ResourceError> {
        if json.len() > limits::RESOURCE_BYTES_MAX {
            return Err(ResourceError::TooLarge(json.len()));
        }
        // serde_json itself stops at 128 levels, so that no input can exhaust the stack.
        let value = parse_json(json).map_err(|error| ResourceError::of_json(&error))?;
        Self::from_json(value)
    }

    /// Takes one resource from a larger JSON document, such as an entry of a Bundle.
    ///
    /// # Errors
    /// [`ResourceError`] names the first thing that is wrong.
    pub fn from_json(json: Value) -> Result<Self, ResourceError> {
        if !is_within_depth(&json, limits::JSON_DEPTH_MAX) {
            return Err(ResourceError::TooDeep);
        }
        let Value::Object(mut content) = json else {
            return Err(ResourceError::NotAnObject);
        };
        let resource_type = match content.shift_remove("resourceType") {
            Some(Value::String(name)) => name.parse()?,
            _ => return Err(ResourceError::NoResourceType),
        };
        let id = match content.shift_remove("id") {
            None => None,
            Some(Value::String(id)) => Some(id.parse()?),
            Some(_) => return Err(ResourceError::WrongKind { element: "id", expected: "a string" }),
        };
        match content.get_mut("meta") {
            None => {}
            Some(Value::Object(meta)) => {
                meta.shift_remove("versionId");
                meta.shift_remove("lastUpdated");
                if meta.is_empty() {
                    content.shift_remove("meta");
                }
            }
            Some(_) => return Err(ResourceError::WrongKind { element: "meta", expected: "an object" }),
        }
        match content.get("contained") {
            None => {}
            Some(Value::Array(contained)) => {
                for inner in contained {
                    inner.get("resourceType").and_then(Value::as_str).ok_or(ResourceError::NoResourceType)?.parse::<ResourceType>()?;
                }
            }
            Some(_) => return Err(ResourceError::WrongKind { element: "contained", expected: "an array of resources" }),
        }
        if resource_type == ResourceType::PROVENANCE && content.get("target").is_some_and(|target| !target.is_array()) {
            return Err(ResourceError::WrongKind { element: "target", expected: "an array of References" });
        }
        Ok(Self { resource_type, id, content })
    }

    /// The elements, without `resourceType`, `id`, `meta.versionId` and `meta.lastUpdated`.
    #[must_use]
    pub fn content(&self) -> &Map<String, Value> {
        &self.content
    }

    /// The elements, to rewrite references in a transaction.
    pub fn content_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.content
    }

    /// The form that is stored.
    #[must_use]
    pub fn body(&self) -> Body {
        let mut text = Vec::with_capacity(512);
        if let Some(Value::Object(meta)) = self.content.get("meta") {
            push_members(&mut text, meta.iter());
        }
        text.push(b'}');
        push_members(&mut text, self.content.iter().filter(|(name, _)| *name != "meta"));
        text.push(b'}');
        Body(text)
    }
}

/// Appends `,"name":value` for each member.
fn push_members<'a>(text: &mut Vec<u8>, members: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (name, value) in members {
        text.push(b',');
        text.extend_from_slice(Value::String(name.clone()).to_string().as_bytes());
        text.push(b':');
        text.extend_from_slice(value.to_string().as_bytes());
    }
}

fn is_within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_within_depth(item, levels - 1)),
        Value::Object(members) => levels > 0 && members.values().all(|member| is_within_depth(member, levels - 1)),
        _ => true,
    }
}

/// The JSON of a stored version, as a client sees it.
#[must_use]
pub fn render_resource(resource_type: ResourceType, id: &LogicalId, version: u64, last_updated: Instant, body: &Body) -> String {
    // OK because a body was written as UTF-8; what was damaged since shows as replaced characters and does not end the server.
    let rest = str::from_utf8(body.as_bytes()).map_or_else(|_| String::from_utf8_lossy(body.as_bytes()), Cow::Borrowed);
    let mut text = String::with_capacity(rest.len() + 160);
    // OK because type, id, version and instant hold no character that JSON escapes, and writing to memory cannot fail.
    let _ =
        write!(text, r#"{{"resourceType":"{resource_type}","id":"{id}","meta":{{"versionId":"{version}","lastUpdated":"{last_updated}""#);
    text.push_str(&rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(json: &str) -> String {
        let resource = Resource::parse(json.as_bytes()).unwrap();
        render_resource(resource.resource_type, &"x1".parse().unwrap(), 3, Instant::from_unix_ms(1_690_835_974_575), &resource.body())
    }

    #[test]
    fn what_came_in_goes_out_with_the_servers_meta_first() {
        assert_eq!(
            rendered(
                r#"{"resourceType":"Observation","id":"x","meta":{"versionId":"9","lastUpdated":"old","profile":["p"]},"status":"final"}"#
            ),
            r#"{"resourceType":"Observation","id":"x1","meta":{"versionId":"3","lastUpdated":"2023-07-31T20:39:34.575Z","profile":["p"]},"status":"final"}"#
        );
        assert_eq!(
            rendered(r#"{"resourceType":"Basic"}"#),
            r#"{"resourceType":"Basic","id":"x1","meta":{"versionId":"3","lastUpdated":"2023-07-31T20:39:34.575Z"}}"#
        );
    }

    #[test]
    fn decimals_and_escapes_keep_their_text() {
        let out = rendered(
            r#"{"resourceType":"Observation","valueQuantity":{"value":1.50},"component":[{"valueDecimal":1e3},{"valueDecimal":123456789012345678901234567890.10}],"note":"a\"b\n€"}"#,
        );
        for kept in ["1.50", "123456789012345678901234567890.10", r#""a\"b\n€""#] {
            assert!(out.contains(kept), "{kept} in {out}");
        }
    }

    #[test]
    fn malformed_resources_are_refused_with_their_reason() {
        let deep = format!(r#"{{"resourceType":"Basic","x":{}1{}}}"#, "[".repeat(70), "]".repeat(70));
        let cases = [
            ("", "not valid JSON"),
            ("[]", "JSON object"),
            ("{}", "'resourceType' is missing"),
            (r#"{"resourceType":"Patiant"}"#, "'Patiant' is not a FHIR R4 resource type"),
            (r#"{"resourceType":"Patient","id":"a b"}"#, "'a b' is not a valid id"),
            (r#"{"resourceType":"Patient","id":1}"#, "'id' must be a string"),
            (r#"{"resourceType":"Patient","meta":[]}"#, "'meta' must be an object"),
            (&deep, "nested"),
            (&"[".repeat(500), "nested"),
            (r#"{"resourceType":"Patient","active":true,"active":false}"#, "'active' stands twice"),
            (r#"{"resourceType":"Patient","contained":{"resourceType":"Basic"}}"#, "'contained' must be an array"),
            (r#"{"resourceType":"Patient","contained":[{"id":"a"}]}"#, "'resourceType' is missing"),
            (r#"{"resourceType":"Patient","contained":[{"resourceType":"Foo"}]}"#, "'Foo' is not"),
            (r#"{"resourceType":"Provenance","target":{"reference":"Patient/1"}}"#, "'target' must be an array"),
        ];
        for (json, reason) in cases {
            let message = Resource::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(reason), "{json}: {message}");
        }
    }
}
