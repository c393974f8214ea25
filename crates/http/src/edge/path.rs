//! Paths before routing, and the answers to those that lead nowhere.

use crate::error::ApiError;
use axum::{
    extract::Request,
    http::{Method, Uri},
};

/// Other versions of FHIR, which hosted platforms serve and this server does not.
const OTHER_VERSIONS: [&str; 5] = ["stu3", "dstu2", "dstu3", "r4b", "r5"];

/// Writes each of the spellings of a path in the one way that the routes know.
pub fn normalise_path(mut request: Request) -> Request {
    if let Some(path) = normalised(request.uri().path()) {
        let path_and_query = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let mut parts = request.uri().clone().into_parts();
        // OK because the pieces come from a valid URI; should it fail all the same, the path as sent leads to a 404.
        if let Ok(path_and_query) = path_and_query.parse() {
            parts.path_and_query = Some(path_and_query);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// The path that the routes know; `None` if it already is.
fn normalised(path: &str) -> Option<String> {
    let mut known = path.replace("%24", "$");
    let without_slash = known.trim_end_matches('/');
    // An address of a job whose id came out empty must not become the one that starts a purge.
    if known.len() > 1 && !without_slash.ends_with("/$purge") {
        known.truncate(without_slash.len().max(1));
    }
    if let Some(rest) = known.strip_prefix("/fhir/r4").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        known = format!("/r4{rest}");
    }
    (known != path).then_some(known)
}

/// 404 for a path that no route knows.
pub async fn no_such_path(uri: Uri) -> ApiError {
    let path = uri.path();
    let version = path.strip_prefix("/fhir").unwrap_or(path).trim_start_matches('/').split('/').next().unwrap_or_default();
    if OTHER_VERSIONS.contains(&version.to_ascii_lowercase().as_str()) {
        return ApiError::NotFound(format!("'{version}' is not served: R4 is the only version served, under /r4"));
    }
    if path.ends_with("/$purge/") {
        return ApiError::NotFound(
            "no job id follows '$purge/', and nothing was started: $purge without a slash at its end is what starts and lists jobs"
                .to_owned(),
        );
    }
    ApiError::NotFound("nothing is served at this path: FHIR R4 is served under /r4; GET /r4/metadata says what there is".to_owned())
}

/// 405 for a method that the path does not take.
pub async fn wrong_method(method: Method) -> ApiError {
    ApiError::WrongMethod(format!("this path does not take {method}: the header 'Allow' names the methods that it takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_becomes_one() {
        let cases = [
            ("/r4/%24purge", "/r4/$purge"),
            ("/fhir/r4/%24purge/7", "/r4/$purge/7"),
            ("/fhir/r4", "/r4"),
            ("/r4/", "/r4"),
            ("/r4/Patient//", "/r4/Patient"),
            ("/r4/%24purge/", "/r4/$purge/"),
            ("/fhir/r4/$purge/", "/r4/$purge/"),
            ("/r4/$purge/7/", "/r4/$purge/7"),
        ];
        for (sent, known) in cases {
            assert_eq!(normalised(sent).as_deref(), Some(known), "{sent}");
        }
        for same in ["/", "/r4", "/r4/$purge/", "/r4/$purge//", "/fhir/r4x/Patient", "/fhir/oauth2/token"] {
            assert_eq!(normalised(same), None, "{same}");
        }
    }

    #[test]
    fn the_query_is_kept() {
        let request = Request::builder().uri("http://h/fhir/r4/%24purge?_type=Patient%24").body(axum::body::Body::empty()).unwrap();
        assert_eq!(normalise_path(request).uri(), "http://h/r4/$purge?_type=Patient%24");
    }
}
