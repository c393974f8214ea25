//! How long live calls take, told to the pace of background work. Answers are timed up to their head.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use lethe_jobs::LiveCall;

use crate::App;

/// Times a call, if it is one whose time says something: not Bundles and bulk operations, which take as long as they are large.
pub async fn time_live_call(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let call = request.extensions().get::<MatchedPath>().and_then(|path| live_call(request.method(), path.as_str()));
    let Some(call) = call else { return next.run(request).await };
    let started = Instant::now();
    let response = next.run(request).await;
    app.pace.record(call, started.elapsed());
    response
}

fn live_call(method: &Method, route: &str) -> Option<LiveCall> {
    let is_search = route.ends_with("/_search");
    match *method {
        Method::GET => match route {
            "/r4/{type}/{id}" | "/r4/{type}/{id}/_history/{version}" => Some(LiveCall::Read),
            "/r4" | "/r4/{type}" | "/r4/{type}/{id}/{member}" | "/r4/{type}/{id}/_history" => Some(LiveCall::Search),
            _ => None,
        },
        Method::POST if is_search => Some(LiveCall::Search),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE if matches!(route, "/r4/{type}" | "/r4/{type}/{id}") => {
            Some(LiveCall::Write)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_method_and_route() {
        for (method, route, call) in [
            (Method::GET, "/r4/{type}/{id}", Some(LiveCall::Read)),
            (Method::GET, "/r4/{type}", Some(LiveCall::Search)),
            (Method::POST, "/r4/{type}/_search", Some(LiveCall::Search)),
            (Method::POST, "/r4/_search", Some(LiveCall::Search)),
            (Method::POST, "/r4/{type}", Some(LiveCall::Write)),
            (Method::DELETE, "/r4/{type}/{id}", Some(LiveCall::Write)),
            (Method::POST, "/r4", None),
            (Method::POST, "/r4/$purge", None),
            (Method::GET, "/r4/$purge/{job_id}", None),
            (Method::GET, "/r4/metadata", None),
            (Method::POST, "/oauth2/token", None),
        ] {
            assert_eq!(live_call(&method, route), call, "{method} {route}");
        }
    }
}
