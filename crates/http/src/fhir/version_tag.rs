//! `ETag`, `If-Match`, `If-None-Match`: versions as HTTP writes them (<https://hl7.org/fhir/R4/http.html#versioning>).

use axum::http::{HeaderMap, HeaderName, header};
use lethe_fhir::{Instant, IssueType};
use lethe_store::Expect;

use crate::{edge::read_http_date, error::ApiError};

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

/// Whether the client has this version already: by `If-None-Match`, or without it by `If-Modified-Since`, which knows no milliseconds
/// (RFC 9110 §13.1.3).
pub fn is_fresh(headers: &HeaderMap, version: u64, last_updated: Instant) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return is_known_to_client(headers, version);
    }
    let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok()).and_then(read_http_date);
    since.is_some_and(|since| last_updated.as_unix_ms().div_euclid(1_000) <= since.as_unix_ms().div_euclid(1_000))
}

/// Whether `If-None-Match` names this version.
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
    fn what_the_client_has_is_told_by_tag_or_time() {
        let fresh = |pairs: &[(HeaderName, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            is_fresh(&headers, 3, Instant::from_unix_ms(784_887_151_999))
        };
        let since = |text| (header::IF_MODIFIED_SINCE, text);
        for same_or_later in ["Tue, 15 Nov 1994 08:12:31 GMT", "Tue, 15 Nov 1994 08:12:32 GMT", "Mon, 01 Jan 2024 00:00:00 GMT"] {
            assert!(fresh(&[since(same_or_later)]), "{same_or_later}");
        }
        for other in ["Tue, 15 Nov 1994 08:12:30 GMT", "yesterday", "", "1994-11-15"] {
            assert!(!fresh(&[since(other)]), "{other}");
        }
        let tag = |text| (header::IF_NONE_MATCH, text);
        assert!(!fresh(&[since("Mon, 01 Jan 2024 00:00:00 GMT"), tag(r#"W/"2""#)]), "the tag decides");
        assert!(fresh(&[since("Mon, 01 Jan 1990 00:00:00 GMT"), tag(r#"W/"3""#)]));
    }

    #[test]
    fn if_none_match_may_be_a_list() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, r#"W/"1", W/"3""#.parse().unwrap());
        assert!(is_known_to_client(&headers, 3));
        assert!(!is_known_to_client(&headers, 2));
    }
}
