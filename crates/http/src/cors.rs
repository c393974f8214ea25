//! Which web pages may call the server from a browser: none, unless they are named (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::{str::FromStr, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Headers of answers that a page may read.
const EXPOSED: [HeaderName; 6] = [
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-progress"),
];

/// For how long a browser need not ask again.
const ASKED_AGAIN_S: u64 = 3_600;

/// The origin of web pages that may call the server, as `https://app.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

impl FromStr for CorsOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        let is_origin = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        match HeaderValue::from_str(text) {
            Ok(value) if is_origin => Ok(Self(value)),
            _ => Err("an origin is expected, scheme and host and perhaps a port, such as https://app.example.org".to_owned()),
        }
    }
}

/// Answers what browsers ask beforehand, and says to them what a page may read.
pub fn layer(origins: &[CorsOrigin]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(|CorsOrigin(origin)| origin.clone())))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // OK because no cookie stands for a user: who calls has the token.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(Duration::from_secs(ASKED_AGAIN_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_nothing_more() {
        for good in ["https://app.example.org", "http://localhost:3000", "http://[::1]:8080"] {
            assert!(good.parse::<CorsOrigin>().is_ok(), "{good}");
        }
        for bad in
            ["", "*", "null", "app.example.org", "https://", "https://a.org/", "https://a.org/x", "https://*.a.org", "https://a.org b"]
        {
            assert!(bad.parse::<CorsOrigin>().is_err(), "{bad}");
        }
    }
}
