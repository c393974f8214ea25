//! `$purge` as FHIR's asynchronous pattern tells a job.

use axum::http::StatusCode;

use crate::caller::{Caller, header_text, run_worker};
use crate::test_server::TestServer;

/// Starts a purge of the account; returns where to poll.
async fn kick_off(caller: &Caller<'_>, preference: &str) -> String {
    let accepted = caller.call("POST", "/r4/$purge", &[("prefer", preference)], "").await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let url = header_text(&accepted, "content-location").to_owned();
    assert!(accepted.json()["resourceType"] == "OperationOutcome" && accepted.text.contains(&url), "{}", accepted.text);
    url.strip_prefix("http://lethe.test").unwrap().to_owned()
}

#[tokio::test]
async fn a_purge_that_was_asked_for_asynchronously_is_polled_until_its_outcome() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let stranger = Caller::of(&server, caller.client.clone(), "stranger").await;
    caller.stored("/r4/Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let path = kick_off(&caller, "return=minimal, Respond-Async;wait=10").await;
    assert!(path.starts_with("/r4/async/"), "{path}");
    let waiting = caller.get(&path).await;
    assert_eq!((waiting.status, waiting.text.as_str(), header_text(&waiting, "x-progress")), (StatusCode::ACCEPTED, "", "planning"));
    assert_eq!(header_text(&waiting, "retry-after"), "1");
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND, "another account's");
    let second = caller.call("POST", "/r4/$purge", &[("prefer", "respond-async")], "").await;
    assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.text);
    assert!(run_worker(&server).await);
    let done = caller.get(&path).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let text = done.outcome_text();
    assert!(text.contains("successful; 1 of 1 resources were removed") && text.contains("/r4/$purge/"), "{text}");
    // The same job, seen the other way.
    assert_eq!(caller.get(&path.replace("async", "$purge")).await.json()["job"]["status"], "successful");
    assert_eq!(caller.delete(&path).await.status, StatusCode::CONFLICT, "it has ended");
    assert_eq!(caller.get("/r4/async/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_asynchronous_purge_is_canceled_with_delete() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
    let path = kick_off(&caller, "respond-async").await;
    assert_eq!(caller.delete(&path).await.status, StatusCode::ACCEPTED);
    let stopped = caller.get(&path).await;
    assert_eq!(stopped.status, StatusCode::OK, "{}", stopped.text);
    assert!(stopped.outcome_text().contains("canceled; 0 of 0"), "{}", stopped.text);
    assert_eq!(caller.get("/r4/Patient/p").await.status, StatusCode::OK);
}
