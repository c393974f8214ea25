//! `ETag`, `If-Match`, `If-None-Match`: versions as HTTP writes them (<https://hl7.org/fhir/R4/http.html#versioning>).

use axum::http::{HeaderMap, HeaderName, header};
use lethe_fhir::IssueType;
use lethe_store::Expect;

use crate::error::ApiError;

/// `W/"3"`.
pub fn version_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// The version that a tag stands for; `"3"` is taken for `W/"3"`.
fn parse_tag(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What `If-Match` (the header, or `request.ifMatch` of an entry) demands of the current version.
///
/// # Errors
/// Anything but one version: ignored, it would overwrite what the client has not seen.
pub fn expectation(if_match: Option<&str>) -> Result<Expect, ApiError> {
    let Some(text) = if_match else { return Ok(Expect::Anything) };
    parse_tag(text).map(Expect::Version).ok_or_else(|| {
        ApiError::bad(IssueType::Value, "If-Match is not of the form W/\"3\": send the ETag of the version that you have read")
    })
}

/// The text of a header that may be given once.
///
/// # Errors
/// Given twice, or not text.
pub fn single_header(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(&name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text)),
        _ => Err(ApiError::bad(IssueType::Value, format!("the header '{name}' is given more than once, or is not plain text"))),
    }
}

/// Whether `If-None-Match` names this version, so that the client has it already.
pub fn is_known_to_client(headers: &HeaderMap, version: u64) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || parse_tag(tag) == Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_one_version_or_refused() {
        assert_eq!(expectation(None).ok(), Some(Expect::Anything));
        assert_eq!(expectation(Some(r#"W/"3""#)).ok(), Some(Expect::Version(3)));
        assert_eq!(expectation(Some(r#""12""#)).ok(), Some(Expect::Version(12)));
        for bad in ["3", "*", r#"W/"x""#, r#"W/"""#, r#"W/"1", W/"2""#, r#"W/"+1""#, ""] {
            assert!(expectation(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn if_none_match_may_be_a_list() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, r#"W/"1", W/"3""#.parse().unwrap());
        assert!(is_known_to_client(&headers, 3));
        assert!(!is_known_to_client(&headers, 2));
    }
}
