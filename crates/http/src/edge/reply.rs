//! Answers: content types, headers, dates.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use lethe_fhir::Instant;

/// A FHIR answer.
pub fn reply(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+json; charset=utf-8"));
    response
}

/// The same answer with one more header; left out when a header cannot carry the value.
pub fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// `Tue, 15 Nov 1994 08:12:31 GMT` (RFC 9110 §5.6.7). A header has no room for milliseconds: they are cut off.
pub fn http_date(instant: Instant) -> String {
    let timestamp = jiff::Timestamp::from_second(instant.as_unix_ms().div_euclid(1_000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).unwrap_or_default()
}

/// Reads [`http_date`]; what cannot be read is as good as not sent (RFC 9110 §13.1.3).
pub fn read_http_date(text: &str) -> Option<Instant> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Instant::from_unix_ms(date.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_headers_are_those_of_http() {
        assert_eq!(http_date(Instant::from_unix_ms(784_887_151_999)), "Tue, 15 Nov 1994 08:12:31 GMT");
        assert_eq!(http_date(Instant::from_unix_ms(1_704_067_200_000)), "Mon, 01 Jan 2024 00:00:00 GMT");
    }
}
