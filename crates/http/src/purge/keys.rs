//! The public keys with which certificates are verified.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use serde_json::json;

use super::wire::plain_json;
use crate::{App, edge::Pairs, error::ApiError};

/// Where they are: for anybody, since whoever is shown a certificate may verify it.
pub const KEYS_PATH: &str = "/.well-known/lethe/jwks.json";

/// A JWK Set (RFC 7517): every key that has ever signed, with the time in which it did.
pub async fn keys(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let keys = app.issuer.public_keys().map_err(|error| ApiError::Store(error.into()))?;
    let mut response = plain_json(&json!(keys));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    Ok(response)
}
