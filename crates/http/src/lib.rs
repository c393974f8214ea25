//! The HTTP edge: one small file per verb. Knows no SQL and no rules of a purge; asks the ports and words the answers.
//!
//! - `edge/`: what every call goes through before and after its verb.
//! - `fhir/`: the FHIR REST interactions.
//! - `purge/`: the operation `$purge` and its jobs.
//! - `holds/`: legal holds, for clients that may set them.
//! - `bulk/`: the operations `$export` and `$import` and their jobs.
//! - `accounts/`, `authenticate`: users, tokens, and for whom a call acts.
//! - `error`: the only place that knows which status code a refusal has.

mod accounts;
mod authenticate;
mod bulk;
mod cors;
mod edge;
mod error;
mod fhir;
mod holds;
mod purge;
mod randomness;
mod validation;

use std::sync::Arc;

use axum::{Router, middleware};
use lethe_auth::SecretKey;
use lethe_fhir::LocalBases;
use lethe_jobs::Pace;
use lethe_store::{Clock, SharedIssuer, Store};
use tokio::sync::Notify;
use tower_http::catch_panic::CatchPanicLayer;

pub use cors::CorsOrigin;
pub use validation::Validation;

/// What the calls share.
pub struct App {
    /// The ports.
    pub store: Arc<dyn Store>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Whose keys certificates are verified by.
    pub issuer: SharedIssuer,
    /// The key of the hashes under which secrets and tokens are stored.
    pub secrets: SecretKey,
    /// Addresses under which this server is known; the `Host` of a call counts besides.
    pub bases: LocalBases,
    /// Where links in answers lead: scheme, host and perhaps a path, without `/r4` and without a slash at the end.
    pub public_url: String,
    /// Whether what is written must be built as R4's base definitions say.
    pub validation: Validation,
    /// Told how long live calls take, so that background work gives way.
    pub pace: Arc<Pace>,
    /// Pages of these origins may call from a browser.
    pub cors_origins: Vec<CorsOrigin>,
    /// Wakes the worker after a kick-off, a retry or a cancel.
    pub wake: Arc<Notify>,
}

/// Every route of the server.
pub fn router(app: Arc<App>) -> Router {
    let pages = (!app.cors_origins.is_empty()).then(|| cors::layer(&app.cors_origins));
    let routes = Router::new()
        .merge(fhir::routes())
        .merge(purge::routes())
        .merge(bulk::routes())
        .merge(holds::routes())
        .merge(accounts::routes())
        .fallback(edge::no_such_path)
        .method_not_allowed_fallback(edge::wrong_method)
        .layer(middleware::from_fn(edge::negotiate))
        .layer(CatchPanicLayer::custom(edge::answer_panic))
        .layer(middleware::from_fn(edge::limit_time))
        .layer(middleware::from_fn(edge::log_call))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), edge::time_live_call))
        .with_state(app);
    // A path can only be rewritten before the routes see it, hence a router around the router.
    let router = Router::new().fallback_service(tower::util::MapRequest::new(routes, edge::normalise_path));
    match pages {
        Some(pages) => router.layer(pages),
        None => router,
    }
}
