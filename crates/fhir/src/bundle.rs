//! Bundles: batch and transaction on the way in; searchset, history and responses on the way out.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use thiserror::Error;

use crate::{ResourceType, UnknownResourceType, json::check_names, limits};

/// Whether the entries stand or fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// Each entry for itself.
    Batch,
    /// All or nothing.
    Transaction,
}

/// A batch or transaction Bundle whose entries have been read, but not their resources: those stay text until their turn comes, so that a
/// large Bundle does not stand in memory as a tree.
#[derive(Debug)]
pub struct RequestBundle<'a> {
    /// Batch or transaction.
    pub kind: BundleKind,
    /// In the order sent.
    pub entries: Vec<RequestEntry<'a>>,
}

/// One entry of a [`RequestBundle`].
#[derive(Debug)]
pub struct RequestEntry<'a> {
    /// `fullUrl`, by which other entries refer to it.
    pub full_url: Option<String>,
    /// `request.method`, upper case.
    pub method: String,
    /// `request.url`, relative to the base.
    pub url: String,
    /// `request.ifMatch`.
    pub if_match: Option<String>,
    /// `request.ifNoneMatch`.
    pub if_none_match: Option<String>,
    /// `request.ifNoneExist`.
    pub if_none_exist: Option<String>,
    /// `resource`, a part of the text of the Bundle.
    pub resource: Option<&'a str>,
}

/// Why some JSON is no batch or transaction Bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Not JSON, or a member stands twice.
    #[error(transparent)]
    NotJson(serde_json::Error),
    /// Not a Bundle.
    #[error("the content is not a Bundle")]
    NotABundle,
    /// An element of the frame is not of the kind that FHIR gives it.
    #[error("the Bundle is not built as FHIR demands: {0}")]
    WrongShape(String),
    /// A Bundle of another kind.
    #[error("Bundle.type must be 'batch' or 'transaction', not '{0}'")]
    WrongKind(String),
    /// Over [`limits::BUNDLE_ENTRIES_MAX`].
    #[error("the Bundle has {0} entries; at most {max} are accepted: send it in parts", max = limits::BUNDLE_ENTRIES_MAX)]
    TooManyEntries(usize),
    /// An entry lacks `request.method` or `request.url`.
    #[error("Bundle.entry[{0}].request needs 'method' and 'url'")]
    NoRequest(usize),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, borrow)]
    entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameEntry<'a> {
    full_url: Option<String>,
    request: Option<FrameRequest>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameRequest {
    method: Option<String>,
    url: Option<String>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_none_exist: Option<String>,
}

impl<'a> RequestBundle<'a> {
    /// Reads the frame of a Bundle.
    ///
    /// # Errors
    /// [`BundleError`] names what is wrong.
    pub fn parse(json: &'a [u8]) -> Result<Self, BundleError> {
        check_names(json).map_err(BundleError::NotJson)?;
        if json.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|first| *first != b'{') {
            return Err(BundleError::NotABundle);
        }
        let frame: Frame = serde_json::from_slice(json).map_err(|error| BundleError::WrongShape(error.to_string()))?;
        if frame.resource_type.as_deref() != Some("Bundle") {
            return Err(BundleError::NotABundle);
        }
        let kind = match frame.kind.as_deref() {
            Some("batch") => BundleKind::Batch,
            Some("transaction") => BundleKind::Transaction,
            other => return Err(BundleError::WrongKind(other.unwrap_or_default().chars().take(40).collect())),
        };
        if frame.entry.len() > limits::BUNDLE_ENTRIES_MAX {
            return Err(BundleError::TooManyEntries(frame.entry.len()));
        }
        let entries =
            frame.entry.into_iter().enumerate().map(|(index, entry)| RequestEntry::parse(index, entry)).collect::<Result<_, _>>()?;
        Ok(Self { kind, entries })
    }
}

impl<'a> RequestEntry<'a> {
    fn parse(index: usize, entry: &'a RawValue) -> Result<Self, BundleError> {
        let FrameEntry { full_url, request, resource } =
            serde_json::from_str(entry.get()).map_err(|error| BundleError::WrongShape(format!("Bundle.entry[{index}]: {error}")))?;
        let Some(FrameRequest { method: Some(method), url: Some(url), if_match, if_none_match, if_none_exist }) = request else {
            return Err(BundleError::NoRequest(index));
        };
        let resource = resource.map(RawValue::get);
        Ok(Self { method: method.to_ascii_uppercase(), url, if_match, if_none_match, if_none_exist, full_url, resource })
    }
}

/// What the URL of an entry addresses, relative to the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryTarget {
    /// The type.
    pub resource_type: ResourceType,
    /// The id, if the URL has one.
    pub id: Option<String>,
    /// The version, if the URL has one.
    pub version: Option<String>,
    /// What follows `?`.
    pub query: Option<String>,
}

/// Why the URL of an entry addresses nothing.
#[derive(Debug, Error)]
pub enum EntryTargetError {
    /// Its type is unknown.
    #[error(transparent)]
    UnknownType(#[from] UnknownResourceType),
    /// It has another form.
    #[error("'{0}' is not of the form Type, Type/id, Type?query or Type/id/_history/version")]
    Malformed(String),
}

impl EntryTarget {
    /// Reads `Type`, `Type/id`, `Type?query` or `Type/id/_history/version`; a leading `/` is forgiven.
    ///
    /// # Errors
    /// [`EntryTargetError`] says what is wrong.
    pub fn parse(url: &str) -> Result<Self, EntryTargetError> {
        let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query.to_owned())));
        let mut parts = path.trim_start_matches('/').split('/');
        let resource_type = parts.next().unwrap_or_default().parse()?;
        let id = parts.next().map(str::to_owned);
        let version = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some("_history"), Some(version), None) => Some(version.to_owned()),
            _ => return Err(EntryTargetError::Malformed(url.chars().take(120).collect())),
        };
        Ok(Self { resource_type, id, version, query })
    }
}

/// `searchset`, `history`, `batch-response` or `transaction-response`, with its links and entries in order.
///
/// Entries are JSON text already, so that stored bodies are joined and not parsed again.
#[must_use]
pub fn render_bundle(kind: &str, total: Option<u64>, links: &[(&str, String)], entries: Vec<String>) -> String {
    let links: Vec<Value> = links.iter().map(|(relation, url)| json!({ "relation": relation, "url": url })).collect();
    let mut text = format!(r#"{{"resourceType":"Bundle","type":"{kind}""#);
    if let Some(total) = total {
        text.push_str(&format!(r#","total":{total}"#));
    }
    if !links.is_empty() {
        text.push_str(&format!(r#","link":{}"#, Value::Array(links)));
    }
    if !entries.is_empty() {
        text.push_str(r#","entry":["#);
        text.reserve_exact(entries.iter().map(|entry| entry.len() + 1).sum::<usize>() + 2);
        for (index, entry) in entries.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&entry);
        }
        text.push(']');
    }
    text.push('}');
    text
}

/// Whether `text` is one JSON value: for assertions about rendered text.
#[must_use]
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requests_and_leaves_resources_as_they_are() {
        let json = br#" {"resourceType":"Bundle","type":"transaction","id":"x","entry":[
            {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Observation","value": 1.50},"request":{"method":"post","url":"Observation"}}]}"#;
        let bundle = RequestBundle::parse(json).unwrap();
        assert_eq!(bundle.kind, BundleKind::Transaction);
        let entry = &bundle.entries[0];
        assert_eq!((entry.method.as_str(), entry.full_url.as_deref()), ("POST", Some("urn:uuid:1")));
        assert_eq!(entry.resource, Some(r#"{"resourceType":"Observation","value": 1.50}"#));
        assert!(RequestBundle::parse(br#"{"resourceType":"Bundle","type":"batch"}"#).unwrap().entries.is_empty());
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        let entries = format!("[{}{{}}]", "{},".repeat(limits::BUNDLE_ENTRIES_MAX));
        let cases = [
            (r#"{"resourceType":"Bundle","type":"collection"}"#, "'collection'"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":[{}]}"#, "entry[0]"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET"}}]}"#, "entry[0]"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":7}}]}"#, "Bundle.entry[0]"),
            (r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#, "not built as FHIR demands"),
            (r#"{"resourceType":"Bundle","type":"batch","type":"batch"}"#, "'type' stands twice"),
            (r#"{"resourceType":"Patient"}"#, "not a Bundle"),
            ("[]", "not a Bundle"),
            ("", "EOF"),
            (&format!(r#"{{"resourceType":"Bundle","type":"batch","entry":{entries}}}"#), "25001 entries"),
        ];
        for (json, reason) in cases {
            let message = RequestBundle::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(reason), "{}: {message}", &json[..json.len().min(80)]);
        }
        assert!(RequestBundle::parse("[".repeat(100_000).as_bytes()).is_err(), "deep input is refused, not followed");
    }

    #[test]
    fn rendered_bundles_are_json() {
        let text = render_bundle("searchset", Some(1), &[("self", "http://x/r4/Patient?a=\"b\"".to_owned())], vec!["{}".to_owned()]);
        assert!(is_json(&text), "{text}");
        assert!(is_json(&render_bundle("history", None, &[], Vec::new())));
    }
}
