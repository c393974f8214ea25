//! Bodies: within their limit, and JSON by their own account.

use std::{io::Read, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use flate2::read::MultiGzDecoder;
use lethe_fhir::{IssueType, limits};

use crate::{App, error::ApiError};

/// What a body says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// JSON, or silent about it.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// Reads `Content-Type`.
///
/// # Errors
/// Any other type, or a charset that is not UTF-8.
pub fn body_kind(headers: &HeaderMap) -> Result<BodyKind, ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(BodyKind::Json) };
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = match parts.next().unwrap_or_default() {
        "application/fhir+json" | "application/json" | "text/json" => Some(BodyKind::Json),
        "application/x-www-form-urlencoded" => Some(BodyKind::Form),
        _ => None,
    };
    let is_utf8 = parts
        .filter_map(|parameter| parameter.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    kind.filter(|_| is_utf8).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        ApiError::UnsupportedMediaType(format!("the body is '{shown}': send JSON as 'Content-Type: application/fhir+json'"))
    })
}

/// Whether the body is a JSON Patch by its own account.
pub fn is_json_patch(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json-patch+json")
}

/// Refuses a form where FHIR's JSON is expected.
pub fn demand_json(headers: &HeaderMap) -> Result<(), ApiError> {
    match body_kind(headers)? {
        BodyKind::Json => Ok(()),
        BodyKind::Form => {
            Err(ApiError::UnsupportedMediaType("the body is a form: send JSON as 'Content-Type: application/fhir+json'".to_owned()))
        }
    }
}

/// The whole body, decompressed if it says that it is.
///
/// # Errors
/// Over `bytes_max`, compressed or not; broken off; an encoding that is not served.
pub async fn read_body(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body has more than {bytes_max} bytes: send it in parts"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > bytes_max as u64) {
        return Err(too_large());
    }
    let is_gzip = is_gzip(headers)?;
    let sent = to_bytes(body, bytes_max).await.map_err(|_| too_large())?;
    if !is_gzip {
        return Ok(sent);
    }
    // What is small may become large: other calls must not wait for it.
    let decompress = move || {
        let mut decoded = Vec::new();
        let read = MultiGzDecoder::new(&*sent).take(bytes_max as u64 + 1).read_to_end(&mut decoded);
        read.map(|_| decoded)
    };
    match tokio::task::spawn_blocking(decompress).await.map_err(|_| ApiError::Defect)? {
        Ok(decoded) if decoded.len() > bytes_max => Err(too_large()),
        Ok(decoded) => Ok(decoded.into()),
        Err(_) => Err(ApiError::bad(IssueType::Structure, "the body says 'Content-Encoding: gzip' and is not gzip, or not all of it")),
    }
}

/// Reads `Content-Encoding`.
fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    let mut is_gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match text.as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" if !is_gzip => is_gzip = true,
            other => {
                let shown: String = other.chars().take(80).collect();
                let text = format!("the body is encoded as '{shown}': send it as it is, or once as 'Content-Encoding: gzip'");
                return Err(ApiError::UnsupportedMediaType(text));
            }
        }
    }
    Ok(is_gzip)
}

/// The body of a call that carries one resource.
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        demand_json(&parts.headers)?;
        read_body(&parts.headers, body, limits::RESOURCE_BYTES_MAX).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn kind(content_type: &str) -> Option<BodyKind> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        body_kind(&headers).ok()
    }

    #[test]
    fn json_by_any_of_its_names_and_nothing_else() {
        for json in ["application/fhir+json", "application/json; charset=UTF-8", "Text/JSON", "application/fhir+json;fhirVersion=4.0"] {
            assert_eq!(kind(json), Some(BodyKind::Json), "{json}");
        }
        assert_eq!(kind("application/x-www-form-urlencoded"), Some(BodyKind::Form));
        for other in ["application/fhir+xml", "text/plain", "application/json; charset=utf-16", "application/json-patch+json", ""] {
            assert_eq!(kind(other), None, "{other}");
        }
        assert_eq!(body_kind(&HeaderMap::new()).ok(), Some(BodyKind::Json));
    }

    #[tokio::test]
    async fn what_is_compressed_is_decompressed_within_the_limit() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let read = async |encodings: &[&str], body: Vec<u8>| {
            let mut headers = HeaderMap::new();
            for encoding in encodings {
                headers.append(header::CONTENT_ENCODING, encoding.parse().unwrap());
            }
            read_body(&headers, Body::from(body), 1_000).await
        };
        let (small, large) = (gzip(b"{}"), gzip(&[b' '; 1_001]));
        assert!(large.len() < 100, "the control: it is small until it is decompressed");
        assert_eq!(read(&["gzip"], small.clone()).await.unwrap(), "{}");
        assert_eq!(read(&["X-GZIP"], [small.clone(), small.clone()].concat()).await.unwrap(), "{}{}");
        assert_eq!(read(&["identity"], b"{}".to_vec()).await.unwrap(), "{}");
        assert!(matches!(read(&["gzip"], large).await, Err(ApiError::TooLarge(_))));
        assert!(matches!(read(&["gzip"], small[..small.len() - 1].to_vec()).await, Err(ApiError::BadRequest(_))));
        assert!(matches!(read(&["gzip"], b"{}".to_vec()).await, Err(ApiError::BadRequest(_))));
        for other in [&["br"][..], &["deflate"], &["gzip, br"], &["gzip", "gzip"]] {
            assert!(matches!(read(other, small.clone()).await, Err(ApiError::UnsupportedMediaType(_))), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_refused_announced_or_not() {
        let body = || Body::from(vec![b' '; 11]);
        let mut announced = HeaderMap::new();
        announced.insert(header::CONTENT_LENGTH, "11".parse().unwrap());
        assert!(read_body(&HeaderMap::new(), body(), 11).await.is_ok(), "the control");
        assert!(matches!(read_body(&announced, body(), 10).await, Err(ApiError::TooLarge(_))));
        assert!(matches!(read_body(&HeaderMap::new(), body(), 10).await, Err(ApiError::TooLarge(_))));
    }
}
