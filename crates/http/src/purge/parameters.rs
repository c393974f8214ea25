//! The parameters of a kick-off as they arrive: query, form or FHIR `Parameters`. Whatever is not expected is refused: nothing starts.

use axum::http::HeaderMap;
use lethe_fhir::IssueType;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    edge::{BodyKind, body_kind, parse_pairs},
    error::ApiError,
};

/// Bytes of the body of a kick-off.
pub const KICK_OFF_BYTES_MAX: usize = 64 << 10;

/// Kinds of value that a parameter may come as.
const VALUE_KEYS: [&str; 6] = ["valueString", "valueCode", "valueDate", "valueDateTime", "valueInstant", "valueBoolean"];

/// The pairs in the body of a kick-off.
///
/// # Errors
/// A body of another content type; a form or `Parameters` that holds anything unexpected.
pub fn body_pairs(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match body_kind(headers)? {
        BodyKind::Form => parse_pairs(std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?),
        BodyKind::Json => parameters_pairs(body),
    }
}

fn bad(text: impl std::fmt::Display) -> ApiError {
    ApiError::bad(IssueType::Structure, format!("{text}; nothing was started"))
}

/// Derived, so that an unknown key and a key that stands twice are refused by construction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default, rename = "id")]
    _id: Value,
    #[serde(default, rename = "meta")]
    _meta: Value,
    #[serde(default)]
    parameter: Option<Vec<UniqueMembers>>,
}

/// A JSON object in which no key stands twice.
struct UniqueMembers(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = UniqueMembers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with 'name' and a value")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<UniqueMembers, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("'{name}' stands twice in one parameter")));
                    }
                    members.push((name, value));
                }
                Ok(UniqueMembers(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn parameters_pairs(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let parameters: Parameters =
        serde_json::from_slice(body).map_err(|error| bad(format!("the body is not a Parameters resource as expected: {error}")))?;
    if parameters.resource_type != "Parameters" {
        return Err(bad("the body is not a Parameters resource: send parameters in the query, as a form, or as Parameters"));
    }
    match parameters.parameter {
        None => Ok(Vec::new()),
        Some(list) if list.is_empty() => Err(bad("'parameter' is empty: leave it out to select everything")),
        Some(list) => list.into_iter().map(pair).collect(),
    }
}

fn pair(UniqueMembers(members): UniqueMembers) -> Result<(String, String), ApiError> {
    let mut name = None;
    let mut value = None;
    for (key, member) in members {
        match (key.as_str(), member) {
            ("name", Value::String(text)) => name = Some(text),
            ("valueBoolean", Value::Bool(is_true)) if value.is_none() => value = Some(is_true.to_string()),
            (key, Value::String(text)) if key != "valueBoolean" && VALUE_KEYS.contains(&key) && value.is_none() => value = Some(text),
            (key, _) => {
                let shown: String = key.chars().take(80).collect();
                return Err(bad(format!("'{shown}' is not expected in a parameter: give 'name' and one of {}", VALUE_KEYS.join(", "))));
            }
        }
    }
    name.zip(value).ok_or_else(|| bad(format!("a parameter needs 'name' and one of {}", VALUE_KEYS.join(", "))))
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn pairs(content_type: &str, body: &str) -> Result<Vec<(String, String)>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        body_pairs(&headers, body.as_bytes())
    }

    #[test]
    fn forms_and_parameters_say_the_same() {
        let expected = [("_type", "Patient"), ("_before", "2024-01-01"), ("_includeDeleted", "true")];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let form = "_type=Patient&_before=2024-01-01&_includeDeleted=true";
        assert_eq!(pairs("application/x-www-form-urlencoded", form).ok(), Some(expected.clone()));
        let parameters = r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"},
            {"name":"_before","valueDate":"2024-01-01"},{"name":"_includeDeleted","valueBoolean":true}]}"#;
        assert_eq!(pairs("application/fhir+json", parameters).ok(), Some(expected));
        assert_eq!(pairs("application/json", r#"{"resourceType":"Parameters"}"#).ok(), Some(Vec::new()));
        assert_eq!(pairs("application/json", "").ok(), Some(Vec::new()));
    }

    #[test]
    fn everything_odd_is_refused() {
        for body in [
            "{}",
            "[]",
            "null",
            " ",
            r#"{"_type":"Patient"}"#,
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Parameters","parameters":[{"name":"_type","valueString":"Patient"}]}"#,
            r#"{"resourceType":"Parameters","parameter":{"name":"_type","valueString":"Patient"}}"#,
            r#"{"resourceType":"Parameters","parameter":[]}"#,
            r#"{"resourceType":"Parameters","parameter":[null]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"valueString":"Patient"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueCoding":{"code":"Patient"}}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":["Patient"]}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient","valueCode":"Group"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient","valueString":"Group"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient","part":[]}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"}],"parameter":[{"name":"_reason","valueString":"x"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_includeDeleted","valueBoolean":"true"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"}]} x"#,
        ] {
            let error = pairs("application/fhir+json", body).expect_err(body);
            assert!(error.outcome().issues[0].text.contains("nothing was started"), "{body}: {error:?}");
        }
        assert!(matches!(pairs("text/plain", "_type=Patient"), Err(ApiError::UnsupportedMediaType(_))));
    }
}
