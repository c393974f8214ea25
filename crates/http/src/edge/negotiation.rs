//! Which format an answer has: JSON, indented on request. XML and Turtle asked for by name are refused, since JSON would surprise their
//! reader (<https://hl7.org/fhir/R4/http.html#mime-type>).

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lethe_fhir::IssueType;

use super::{Pairs, indentation::Indented};
use crate::error::ApiError;

/// Bytes of the longest path and query, as most proxies have it.
const URI_BYTES_MAX: usize = 8_192;

/// Formats that FHIR has and this server has not.
const FORMATS_NOT_SERVED: [&str; 9] = [
    "xml",
    "text/xml",
    "application/xml",
    "application/fhir+xml",
    "application/xml+fhir",
    "ttl",
    "text/turtle",
    "application/fhir+turtle",
    "application/x-turtle",
];

/// Refuses what is not JSON and URLs over their limit, and indents the answer when `_pretty=true` asks for it.
pub async fn negotiate(request: Request, next: Next) -> Response {
    match wishes(&request) {
        Err(refusal) => refusal.into_response(),
        Ok(layout) => {
            let response = next.run(request).await;
            // A search in a form says there how it wants its answer.
            let layout = response.extensions().get::<Layout>().copied().unwrap_or(layout);
            if layout == Layout::Indented && has_json(response.headers()) { indented(response) } else { response }
        }
    }
}

/// How the JSON of an answer is laid out. As an extension of a response it overrules the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Without white space.
    Dense,
    /// For people.
    Indented,
}

impl Layout {
    /// What `_format` and `_pretty` among these parameters ask for.
    ///
    /// # Errors
    /// A format that is not served; a `_pretty` that is neither true nor false.
    pub fn of(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let mut layout = Self::Dense;
        for (name, value) in pairs {
            let shown = || value.chars().take(80).collect::<String>();
            match (name.as_str(), value.as_str()) {
                ("_format", format) if !is_json(format) => {
                    return Err(ApiError::NotAcceptable(format!("_format '{}' is not served: answers are JSON, _format=json", shown())));
                }
                ("_pretty", "true") => layout = Self::Indented,
                ("_pretty", "false") => layout = Self::Dense,
                ("_pretty", _) => {
                    return Err(ApiError::bad(IssueType::Value, format!("'_pretty={}': true or false is expected", shown())));
                }
                _ => {}
            }
        }
        Ok(layout)
    }
}

fn wishes(request: &Request) -> Result<Layout, ApiError> {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|text| text.as_str().len() > URI_BYTES_MAX) {
        return Err(ApiError::UriTooLong(format!(
            "the URL has more than {URI_BYTES_MAX} bytes: search with POST /r4/{{type}}/_search and the parameters in the body"
        )));
    }
    let pairs = Pairs::of(uri)?;
    let layout = Layout::of(&pairs.0)?;
    if pairs.get("_format").is_none() && !takes_json(request.headers()) {
        return Err(ApiError::NotAcceptable("only JSON of FHIR 4.0 is served: send 'Accept: application/fhir+json'".to_owned()));
    }
    Ok(layout)
}

/// A plus sign in a query stands for a space unless it is encoded; for `_format` both are taken.
fn is_json(format: &str) -> bool {
    let text = format.trim().to_ascii_lowercase().replace(' ', "+");
    let mut parts = text.split(';');
    let media_type = parts.next().unwrap_or_default().trim_matches('+');
    matches!(media_type, "json" | "application/json" | "application/fhir+json" | "text/json") && is_r4(parts)
}

/// Whether the parameters of a media type leave FHIR R4 in.
fn is_r4<'a>(parameters: impl Iterator<Item = &'a str>) -> bool {
    parameters
        .filter_map(|parameter| parameter.trim_matches([' ', '+']).strip_prefix("fhirversion="))
        .all(|version| matches!(version.trim_matches('"'), "4.0" | "4.0.1"))
}

/// Whether `Accept` leaves JSON in: by its name, by a wildcard, or by naming nothing of FHIR's at all, as a browser does.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut names_another = false;
    for value in headers.get_all(header::ACCEPT) {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for range in text.split(',') {
            let mut parts = range.split(';');
            let media_type = parts.next().unwrap_or_default().trim();
            let is_possible = media_type.ends_with("json") || matches!(media_type, "*/*" | "application/*");
            if is_possible && is_r4(parts) {
                return true;
            }
            names_another |= is_possible || FORMATS_NOT_SERVED.contains(&media_type);
        }
    }
    !names_another
}

/// Whether it is one JSON value. Lines of a file are not, and stay one a line.
fn has_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    matches!(content_type.split(';').next().unwrap_or_default().trim(), "application/fhir+json" | "application/json")
}

fn indented(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Indented::body(body))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn wishes_of(uri: &str, accept: &str) -> Option<Layout> {
        wishes(&Request::builder().uri(uri).header(header::ACCEPT, accept).body(Body::empty()).unwrap()).ok()
    }

    #[test]
    fn json_is_served_and_others_by_name_are_refused() {
        for (uri, accept) in [
            ("/r4/Patient", "*/*"),
            ("/r4/Patient", "application/fhir+json"),
            ("/r4/Patient", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("/r4/Patient", "application/fhir+xml, application/fhir+json;q=0.5"),
            ("/r4/Patient?_format=json", "application/fhir+xml"),
            ("/r4/Patient?_format=application/fhir+json", "*/*"),
            ("/r4/Patient?_format=text/json", "text/turtle"),
            ("/r4/Patient", "application/fhir+json; fhirVersion=4.0"),
            ("/r4/Patient", "text/html"),
            ("/r4/Patient?_pretty=false", ""),
        ] {
            assert_eq!(wishes_of(uri, accept), Some(Layout::Dense), "{uri} {accept}");
        }
        for (uri, accept) in [
            ("/r4/Patient", "application/fhir+xml"),
            ("/r4/Patient", "text/xml;q=0.9, application/xml"),
            ("/r4/Patient?_format=xml", "*/*"),
            ("/r4/Patient?_format=application%2Ffhir%2Bxml", "application/json"),
            ("/r4/Patient?_format=application/fhir%2Bjson;fhirVersion=5.0", "*/*"),
            ("/r4/Patient?_format=html", "*/*"),
            ("/r4/Patient", "application/fhir+turtle"),
            ("/r4/Patient", "application/fhir+json; fhirVersion=3.0"),
            ("/r4/Patient?_pretty=yes", "*/*"),
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
