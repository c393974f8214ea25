//! The parameters of an operation: from its query, and if it is a POST from a form or `Parameters`
//! (<https://hl7.org/fhir/R4/operations.html#request>).

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use lethe_fhir::IssueType;
use serde_json::Value;

use crate::{
    App,
    edge::{BodyKind, Layout, Pairs, body_kind, json_object, parse_pairs, read_body},
    error::ApiError,
};

/// Bytes of parameters in a body.
const PARAMETERS_BYTES_MAX: usize = 64 << 10;

/// Simple parameters: each a name and a text.
pub struct OperationParameters {
    /// In the order sent.
    pub pairs: Pairs,
    /// How the answer is laid out.
    pub layout: Layout,
}

impl FromRequest<Arc<App>> for OperationParameters {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let Pairs(mut pairs) = Pairs::of(&parts.uri)?;
        let bytes = read_body(&parts.headers, body, PARAMETERS_BYTES_MAX).await?;
        if !bytes.is_empty() {
            pairs.extend(match body_kind(&parts.headers)? {
                BodyKind::Form => parse_pairs(std::str::from_utf8(&bytes).map_err(|_| bad("the body is not UTF-8".to_owned()))?)?,
                BodyKind::Json => parameters_pairs(&bytes)?,
            });
        }
        Ok(Self { layout: Layout::of(&pairs)?, pairs: Pairs(pairs) })
    }
}

fn bad(text: String) -> ApiError {
    ApiError::bad(IssueType::Structure, text)
}

fn parameters_pairs(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let members = json_object(body).map_err(bad)?;
    if members.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
        return Err(bad("the body is not a Parameters resource: send parameters in the query, as a form, or as Parameters".to_owned()));
    }
    match members.get("parameter") {
        None => Ok(Vec::new()),
        Some(Value::Array(parameters)) => parameters.iter().enumerate().map(|(index, parameter)| pair(index, parameter)).collect(),
        Some(_) => Err(bad("'parameter' must be a list of objects, each with 'name' and a value".to_owned())),
    }
}

fn pair(index: usize, parameter: &Value) -> Result<(String, String), ApiError> {
    let name = parameter.get("name").and_then(Value::as_str);
    let mut values = parameter.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("value"));
    let value = match (values.next().map(|(_, value)| value), values.next()) {
        (Some(Value::String(text)), None) => Some(text.clone()),
        (Some(value @ (Value::Number(_) | Value::Bool(_))), None) => Some(value.to_string()),
        _ => None,
    };
    match (name, value) {
        (Some(name), Some(value)) => Ok((name.to_owned(), value)),
        _ => Err(bad(format!("parameter[{index}] needs 'name' and one simple value, such as valueString"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_pairs_of_texts() {
        let read = |text: &str| parameters_pairs(text.as_bytes());
        let json = r#"{"resourceType":"Parameters","parameter":[{"name":"_count","valueInteger":10},{"name":"_type","valueCode":"Patient"},
            {"name":"x","valueBoolean":true}]}"#;
        let expected = [("_count", "10"), ("_type", "Patient"), ("x", "true")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(json).ok(), Some(expected.to_vec()));
        assert_eq!(read(r#"{"resourceType":"Parameters"}"#).ok(), Some(Vec::new()));
        for bad in [
            "{",
            "[]",
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Parameters","parameter":{}}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"x"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"valueString":"x"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"a","valueCode":"b"}]}"#,
            r#"{"resourceType":"Parameters","parameter":[7]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
