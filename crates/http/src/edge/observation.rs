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

use crate::{bulk::IMPORT_ROUTE, error::ApiError};

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

/// Gives up a call that takes longer than [`CALL_S_MAX`]. An import lasts as long as its body does, and looks to that itself.
pub async fn limit_time(request: Request, next: Next) -> Response {
    if request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == IMPORT_ROUTE) {
        return next.run(request).await;
    }
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::{Router, body::Body, http::StatusCode, middleware, routing::get};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn call(router: Router, path: &str) -> Response {
        router.oneshot(Request::builder().uri(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_500_and_keeps_what_it_said_to_itself() {
        async fn panics() {
            panic!("Mrs. Secret");
        }
        let response = call(Router::new().route("/", get(panics)).layer(CatchPanicLayer::custom(answer_panic)), "/").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("OperationOutcome") && !text.contains("Secret"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_too_long_is_given_up() {
        let router = Router::new().route("/", get(std::future::pending::<()>)).layer(middleware::from_fn(limit_time));
        assert_eq!(call(router, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_names_the_route_and_never_the_path() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let router = Router::new().route("/r4/{type}/{id}", get(async || ())).layer(middleware::from_fn(log_call));
        call(router.clone(), "/r4/Patient/secret-id?name=secret-name").await;
        call(router, "/secret-path").await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("/r4/{type}/{id}") && text.contains("status=200") && text.contains("status=404"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
