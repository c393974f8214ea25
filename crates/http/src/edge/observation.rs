//! What the log says of a call, how long it may take, and what becomes of a panic. Never ids, bodies, names or tokens.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// The longest that a call may take, in seconds. A cancel waits up to half of it for the running batch.
pub const CALL_S_MAX: u64 = 120;

/// One line a call: method, route (never the path itself, which holds ids), status, duration.
pub async fn log_call(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, route, status = response.status().as_u16(), ms, "answered a call");
    response
}

/// Gives up a call that takes longer than [`CALL_S_MAX`].
pub async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_secs(CALL_S_MAX), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::TimedOut(CALL_S_MAX).into_response(),
    }
}

/// The answer to a call whose handler panicked. What the panic said stays with the panic hook: it may quote a resource.
pub fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked: this is a defect, please report it");
    ApiError::Defect.into_response()
}
