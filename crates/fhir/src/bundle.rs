//! Bundles: batch and transaction on the way in; searchset, history and responses on the way out.

use serde_json::{Value, json, value::RawValue};
use thiserror::Error;

use crate::{ResourceType, UnknownResourceType, limits};

/// Whether the entries stand or fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// Each entry for itself.
    Batch,
    /// All or nothing.
    Transaction,
}

/// A batch or transaction Bundle whose entries have been read, but not their resources.
#[derive(Debug)]
pub struct RequestBundle {
    /// Batch or transaction.
    pub kind: BundleKind,
    /// In the order sent.
    pub entries: Vec<RequestEntry>,
}

/// One entry of a [`RequestBundle`].
#[derive(Debug)]
pub struct RequestEntry {
    /// `fullUrl`, by which other entries refer to it.
    pub full_url: Option<String>,
    /// `request.method`, upper case.
    pub method: String,
    /// `request.url`, relative to the base.
    pub url: String,
    /// `request.ifMatch`.
    pub if_match: Option<String>,
    /// `request.ifNoneExist`.
    pub if_none_exist: Option<String>,
    /// `resource`.
    pub resource: Option<Value>,
}

/// Why some JSON is no batch or transaction Bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Not a Bundle.
    #[error("the content is not a Bundle")]
    NotABundle,
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

impl RequestBundle {
    /// Reads the frame of a Bundle.
    ///
    /// # Errors
    /// [`BundleError`] names what is wrong.
    pub fn from_json(json: Value) -> Result<Self, BundleError> {
        let Value::Object(mut bundle) = json else { return Err(BundleError::NotABundle) };
        if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
            return Err(BundleError::NotABundle);
        }
        let kind = match bundle.get("type").and_then(Value::as_str) {
            Some("batch") => BundleKind::Batch,
            Some("transaction") => BundleKind::Transaction,
            other => return Err(BundleError::WrongKind(other.unwrap_or_default().to_owned())),
        };
        let entries = match bundle.shift_remove("entry") {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(BundleError::NotABundle),
        };
        if entries.len() > limits::BUNDLE_ENTRIES_MAX {
            return Err(BundleError::TooManyEntries(entries.len()));
        }
        let entries = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| RequestEntry::from_json(entry).ok_or(BundleError::NoRequest(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { kind, entries })
    }
}

impl RequestEntry {
    fn from_json(mut entry: Value) -> Option<Self> {
        let request = entry.get("request")?;
        let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            method: text("method")?.to_ascii_uppercase(),
            url: text("url")?,
            if_match: text("ifMatch"),
            if_none_exist: text("ifNoneExist"),
            full_url: entry.get("fullUrl").and_then(Value::as_str).map(str::to_owned),
            resource: entry.get_mut("resource").map(Value::take),
        })
    }
}

/// What the URL of an entry addresses, relative to the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryTarget {
    /// The type.
    pub resource_type: ResourceType,
    /// The id, if the URL has one.
    pub id: Option<String>,
    /// What follows `?`.
    pub query: Option<String>,
}

/// Why the URL of an entry addresses nothing.
#[derive(Debug, Error)]
pub enum EntryTargetError {
    /// Its type is unknown.
    #[error(transparent)]
    UnknownType(#[from] UnknownResourceType),
    /// It is not of the form `Type`, `Type/id` or `Type?query`.
    #[error("'{0}' is not of the form Type, Type/id or Type?query")]
    Malformed(String),
}

impl EntryTarget {
    /// Reads `Type`, `Type/id` or `Type?query`; a leading `/` is forgiven.
    ///
    /// # Errors
    /// [`EntryTargetError`] says what is wrong.
    pub fn parse(url: &str) -> Result<Self, EntryTargetError> {
        let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query.to_owned())));
        let mut parts = path.trim_start_matches('/').split('/');
        let resource_type = parts.next().unwrap_or_default().parse()?;
        let id = parts.next().map(str::to_owned);
        if parts.next().is_some() {
            return Err(EntryTargetError::Malformed(url.chars().take(120).collect()));
        }
        Ok(Self { resource_type, id, query })
    }
}

/// `searchset`, `history`, `batch-response` or `transaction-response`, with its links and entries in order.
///
/// Entries are JSON text already, so that stored bodies are joined and not parsed again.
#[must_use]
pub fn render_bundle(kind: &str, total: Option<u64>, links: &[(&str, String)], entries: &[String]) -> String {
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
        text.push_str(&entries.join(","));
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
    fn reads_requests_and_names_what_is_missing() {
        let bundle = RequestBundle::from_json(json!({"resourceType":"Bundle","type":"transaction","entry":[
            {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"post","url":"Patient"}}]}))
        .unwrap();
        assert_eq!(bundle.kind, BundleKind::Transaction);
        assert_eq!((bundle.entries[0].method.as_str(), bundle.entries[0].full_url.as_deref()), ("POST", Some("urn:uuid:1")));
        let message = |json: Value| RequestBundle::from_json(json).unwrap_err().to_string();
        assert!(message(json!({"resourceType":"Bundle","type":"collection"})).contains("'collection'"));
        assert!(message(json!({"resourceType":"Bundle","type":"batch","entry":[{}]})).contains("entry[0]"));
        assert!(message(json!({"resourceType":"Patient"})).contains("not a Bundle"));
    }

    #[test]
    fn rendered_bundles_are_json() {
        let text = render_bundle("searchset", Some(1), &[("self", "http://x/r4/Patient?a=\"b\"".to_owned())], &["{}".to_owned()]);
        assert!(is_json(&text), "{text}");
        assert!(is_json(&render_bundle("history", None, &[], &[])));
    }
}
