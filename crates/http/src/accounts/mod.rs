//! User management and the token endpoint: what a client does before it can make a FHIR call.
//!
//! These calls take their parameters from wherever a client puts them (see [`parameters`]) and answer in their own shapes instead of
//! OperationOutcomes (see [`answer`], and [`token`] for OAuth). They act for a client, never for a user.

mod answer;
mod auth_code;
mod client_credentials;
mod create_user;
mod list_users;
mod parameters;
mod token;
mod update_user;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::{get, post},
};

use crate::App;

/// The routes of user management and the token endpoint. No answer of theirs may be kept by a cache.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(list_users::PATH, get(list_users::list_users).post(create_user::create_user).put(update_user::update_user))
        .route("/user-management/v1/user/auth-code", post(auth_code::create_auth_code))
        .route("/oauth2/token", post(token::issue_tokens))
        .route("/fhir/oauth2/token", post(token::issue_tokens))
        .layer(middleware::map_response(forbid_caching))
}

/// RFC 6749 §5.1 demands both headers of an answer that carries a token; a code deserves no less.
async fn forbid_caching(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
