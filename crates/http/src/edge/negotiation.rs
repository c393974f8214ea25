//! Which format an answer has: JSON, indented on request. XML asked for by name is refused, since JSON would surprise its reader.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::Pairs;
use crate::error::ApiError;

/// Bytes of the longest path and query, as most proxies have it.
const URI_BYTES_MAX: usize = 8_192;

/// Refuses what is not JSON and URLs over their limit, and indents the answer when `_pretty=true` asks for it.
pub async fn negotiate(request: Request, next: Next) -> Response {
    match wishes(&request) {
        Err(refusal) => refusal.into_response(),
        Ok(Layout::Dense) => next.run(request).await,
        Ok(Layout::Indented) => indented(next.run(request).await).await,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Layout {
    Dense,
    Indented,
}

fn wishes(request: &Request) -> Result<Layout, ApiError> {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|text| text.as_str().len() > URI_BYTES_MAX) {
        return Err(ApiError::UriTooLong(format!(
            "the URL has more than {URI_BYTES_MAX} bytes: search with POST /r4/{{type}}/_search and the parameters in the body"
        )));
    }
    let pairs = Pairs::of(uri)?;
    match pairs.get("_format") {
        Some(format) if !is_json(format) => {
            let shown: String = format.chars().take(80).collect();
            return Err(ApiError::NotAcceptable(format!("_format '{shown}' is not served: answers are JSON, _format=json")));
        }
        Some(_) => {}
        None if wants_xml_only(request.headers()) => {
            return Err(ApiError::NotAcceptable("XML is not served: send 'Accept: application/fhir+json'".to_owned()));
        }
        None => {}
    }
    Ok(if pairs.get("_pretty") == Some("true") { Layout::Indented } else { Layout::Dense })
}

/// A plus sign in a query stands for a space unless it is encoded; for `_format` both are taken.
fn is_json(format: &str) -> bool {
    let media_type = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().replace(' ', "+");
    matches!(media_type.as_str(), "json" | "application/json" | "application/fhir+json" | "text/json")
}

fn wants_xml_only(headers: &HeaderMap) -> bool {
    let ranges: Vec<String> = headers
        .get_all(header::ACCEPT)
        .iter()
        .flat_map(|value| String::from_utf8_lossy(value.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    let names_xml = ranges.iter().any(|range| matches!(range.as_str(), "xml" | "text/xml" | "application/xml" | "application/fhir+xml"));
    names_xml && !ranges.iter().any(|range| range.ends_with("json") || range == "*/*" || range == "application/*")
}

async fn indented(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let text = serde_json::from_slice::<Value>(&bytes).and_then(|value| serde_json::to_string_pretty(&value));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, text.map_or_else(|_| Body::from(bytes), |text| Body::from(text + "\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes_of(uri: &str, accept: &str) -> Option<Layout> {
        wishes(&Request::builder().uri(uri).header(header::ACCEPT, accept).body(Body::empty()).unwrap()).ok()
    }

    #[test]
    fn xml_by_name_is_refused_and_json_served() {
        for (uri, accept) in [
            ("/r4/Patient", "*/*"),
            ("/r4/Patient", "application/fhir+json"),
            ("/r4/Patient", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("/r4/Patient", "application/fhir+xml, application/fhir+json;q=0.5"),
            ("/r4/Patient?_format=json", "application/fhir+xml"),
            ("/r4/Patient?_format=application/fhir+json", "*/*"),
        ] {
            assert_eq!(wishes_of(uri, accept), Some(Layout::Dense), "{uri} {accept}");
        }
        for (uri, accept) in [
            ("/r4/Patient", "application/fhir+xml"),
            ("/r4/Patient", "text/xml;q=0.9, application/xml"),
            ("/r4/Patient?_format=xml", "*/*"),
            ("/r4/Patient?_format=application%2Ffhir%2Bxml", "application/json"),
        ] {
            assert_eq!(wishes_of(uri, accept), None, "{uri} {accept}");
        }
        assert_eq!(wishes_of("/r4/Patient?_pretty=true", "*/*"), Some(Layout::Indented));
    }

    #[test]
    fn a_url_over_its_limit_is_refused() {
        let uri = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert!(wishes_of(&uri(URI_BYTES_MAX), "*/*").is_some());
        assert!(wishes_of(&uri(URI_BYTES_MAX + 1), "*/*").is_none());
    }
}
