//! The parameters of a kick-off as they arrive: query, form or FHIR `Parameters`. Whatever is not expected is refused: nothing starts.

use axum::{
    extract::Request,
    http::{HeaderMap, request::Parts},
};
use lethe_fhir::IssueType;
use lethe_purge::request::PurgeRequest;
use serde_json::Value;

use crate::{
    edge::{BodyKind, body_kind, json_object, parse_pairs, read_body},
    error::ApiError,
};

/// Bytes of the body of a kick-off.
pub const KICK_OFF_BYTES_MAX: usize = 64 << 10;

/// Kinds of value that a parameter may come as.
const VALUE_KEYS: [&str; 6] = ["valueString", "valueCode", "valueDate", "valueDateTime", "valueInstant", "valueBoolean"];

/// What a kick-off or a preview asks for, from query and body together.
///
/// # Errors
/// Anything that is not expected: nothing is ever ignored.
pub async fn read_request(request: Request) -> Result<(Parts, PurgeRequest), ApiError> {
    let (parts, body) = request.into_parts();
    let mut pairs = whole_pairs(parts.uri.query().unwrap_or_default())?;
    let body = read_body(&parts.headers, body, KICK_OFF_BYTES_MAX).await?;
    let of_body = body_pairs(&parts.headers, &body, &[])?;
    if let Some((name, _)) = of_body.iter().find(|(name, _)| pairs.iter().any(|(of_query, _)| of_query == name)) {
        let shown: String = name.chars().take(80).collect();
        return Err(bad(format!(
            "'{shown}' is given in the query and in the body, and either would be ignored by somebody: give it in one of them"
        )));
    }
    pairs.extend(of_body);
    let request = PurgeRequest::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    Ok((parts, request))
}

/// The pairs in the body of a kick-off. `references` are parameters that may come as a `valueReference`.
///
/// # Errors
/// A body of another content type; a form or `Parameters` that holds anything unexpected.
pub fn body_pairs(headers: &HeaderMap, body: &[u8], references: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match body_kind(headers)? {
        BodyKind::Form => whole_pairs(std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?),
        BodyKind::Json => parameters_pairs(body, references),
    }
}

/// The pairs of a query or a form. An empty text has none; a pair that is empty may be one whose text got lost.
///
/// # Errors
/// An empty pair beside an `&`; a pair that cannot be decoded.
pub fn whole_pairs(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    if !text.is_empty() && text.split('&').any(str::is_empty) {
        return Err(bad("there is no parameter before or after an '&': remove the stray '&', or complete the parameter"));
    }
    parse_pairs(text)
}

fn bad(text: impl std::fmt::Display) -> ApiError {
    ApiError::bad(IssueType::Structure, format!("{text}; nothing was started"))
}

/// The pairs of `Parameters`. What is not exactly as FHIR has it is refused, since whatever got lost here would widen the purge.
fn parameters_pairs(body: &[u8], references: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    let members = json_object(body).map_err(bad)?;
    if members.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
        return Err(bad("the body is not a Parameters resource: send parameters in the query, as a form, or as Parameters"));
    }
    let mut list = None;
    for (name, member) in members {
        match (name.as_str(), member) {
            ("resourceType", _) | ("id", Value::String(_)) | ("meta", Value::Object(_)) => {}
            ("id", _) => return Err(bad("'id' is not a text: it must be one, or be left out")),
            ("meta", _) => return Err(bad("'meta' is not an object: it must be one, or be left out")),
            ("parameter", Value::Array(parameters)) if !parameters.is_empty() => list = Some(parameters),
            ("parameter", _) => {
                return Err(bad("'parameter' must be a list of one or more objects, each with 'name' and a value"));
            }
            (other, _) => {
                let shown: String = other.chars().take(80).collect();
                return Err(bad(format!("'{shown}' is not expected in Parameters: known are resourceType, id, meta and parameter")));
            }
        }
    }
    list.into_iter().flatten().map(|parameter| pair(parameter, references)).collect()
}

fn pair(parameter: Value, references: &[&str]) -> Result<(String, String), ApiError> {
    let Value::Object(members) = parameter else {
        return Err(bad("every entry of 'parameter' must be an object with 'name' and a value"));
    };
    let mut name = None;
    let mut value = None;
    let is_reference = members.get("name").and_then(Value::as_str).is_some_and(|name| references.contains(&name));
    for (key, member) in members {
        match (key.as_str(), member) {
            ("name", Value::String(text)) => name = Some(text),
            ("valueReference", Value::Object(mut reference)) if is_reference && value.is_none() => match reference.remove("reference") {
                Some(Value::String(text)) => value = Some(text),
                _ => return Err(bad("a 'valueReference' needs 'reference', a text such as Patient/1")),
            },
            ("valueBoolean", Value::Bool(is_true)) if value.is_none() => value = Some(is_true.to_string()),
            (key, Value::String(text)) if key != "valueBoolean" && VALUE_KEYS.contains(&key) && value.is_none() => value = Some(text),
            (key, _) => {
                let shown: String = key.chars().take(80).collect();
                return Err(bad(format!(
                    "'{shown}' is not expected like this in a parameter: give 'name' and one of {}, each of its own kind",
                    VALUE_KEYS.join(", ")
                )));
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
        body_pairs(&headers, body.as_bytes(), &["patient"])
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
        assert_eq!(pairs("application/json", r#"{"resourceType":"Parameters","id":"p","meta":{}}"#).ok(), Some(Vec::new()));
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
            r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueReference":{"reference":"Patient"}}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"display":"Patient/1"}}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":"Patient/1"}]}"#,
            r#"{"resourceType":"Parameters","parameter":null}"#,
            r#"{"resourceType":"Parameters","parameter":"_type"}"#,
            r#"{"resourceType":"Parameters","parameter":[["_type","Patient"]]}"#,
            r#"{"resourceType":"Parameters","id":5}"#,
            r#"{"resourceType":"Parameters","id":null}"#,
            r#"{"resourceType":"Parameters","meta":"x"}"#,
            r#"{"resourceType":"Parameters","meta":7}"#,
            r#"{"resourceType":"Parameters","meta":null}"#,
            r#"{"resourceType":"Parameters","resourceType":"Parameters"}"#,
            r#"{"resourceType":["Parameters"]}"#,
            r#"["Parameters"]"#,
            r#"["Parameters",null,null,null]"#,
            r#"["Parameters","id",{},[{"name":"_type","valueString":"Patient"}]]"#,
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
            let text = &error.outcome().issues[0].text;
            assert!(text.contains("nothing was started"), "{body}: {text}");
            for word in ["expected a", "invalid type", "struct", "sequence", "unknown field"] {
                assert!(!text.contains(word), "a word of the JSON reader, not of ours: {body}: {text}");
            }
        }
        for form in ["&", "&_type=Patient", "_type=Patient&", "_type=Patient&&_before=2024"] {
            let error = pairs("application/x-www-form-urlencoded", form).expect_err(form);
            assert!(error.outcome().issues[0].text.contains("stray '&'"), "{form}");
        }
        assert!(matches!(pairs("text/plain", "_type=Patient"), Err(ApiError::UnsupportedMediaType(_))));
    }
}
