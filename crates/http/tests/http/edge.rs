//! What every call goes through: paths, methods, formats, limits, credentials.

use axum::http::{Request, StatusCode};
use lethe_jobs::LiveCall;

use crate::caller::{Caller, header_text};
use crate::test_server::TestServer;

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1"}"#;

#[tokio::test]
async fn wrong_paths_and_methods_are_outcomes() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for (path, reason) in [
        ("/", "/r4"),
        ("/r5x/Patient", "/r4"),
        ("/r4/Patient/p1/_history/1/x", "/r4"),
        ("/r4/Patient/p1/$purge/", "nothing was started"),
        ("/r4/Observation/p1/$purge", "/r4"),
        ("/stu3/Patient", "R4 is the only version"),
        ("/dstu2", "R4 is the only version"),
        ("/fhir/stu3/Patient/1", "R4 is the only version"),
        ("/fhir/dstu2/metadata", "R4 is the only version"),
        ("/r4/patient", "'patient' is not a FHIR R4 resource type"),
        ("/r4/$forecast", "$forecast"),
        ("/r4/Patient/$nothing", "$nothing"),
        ("/r4/Patient/a_b", "not a valid id"),
        ("/r4/Patient/%FF", "encoded"),
    ] {
        let answer = caller.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text);
        assert!(answer.outcome_text().contains(reason), "{path}: {}", answer.text);
    }
    for (method, path, allowed) in [
        ("PUT", "/r4/$purge", ["GET", "POST"].as_slice()),
        ("DELETE", "/r4/$purge", &["GET", "POST"]),
        ("GET", "/r4/Patient/p1/$purge", &["POST"]),
        ("GET", "/r4/Group/g/$purge", &["POST"]),
        ("PATCH", "/r4/Patient/p1/_history", &["GET"]),
        ("POST", "/r4/metadata", &["GET"]),
        ("PUT", "/r4", &["GET", "POST"]),
    ] {
        let answer = caller.call(method, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert!(answer.outcome_text().contains(method), "{}", answer.text);
        let allow = header_text(&answer, "allow");
        assert!(allowed.iter().all(|method| allow.split(',').any(|allowed| allowed.trim() == *method)), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn every_spelling_of_the_base_leads_to_the_same() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    assert_eq!(caller.put("/fhir/r4/Patient/p1", PATIENT).await.status, StatusCode::CREATED);
    assert_eq!(caller.get("/r4/Patient/p1/").await.status, StatusCode::OK);
    for path in ["/r4/$purge", "/r4/%24purge", "/fhir/r4/%24purge"] {
        assert!(caller.get(path).await.json()["jobs"].is_array(), "{path}");
    }
}

#[tokio::test]
async fn only_json_is_spoken_and_pretty_on_request() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let get = async |path: &str, accept: &str| caller.call("GET", path, &[("accept", accept)], "").await.status;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    assert_eq!(get("/r4/Patient/p1", "application/fhir+json").await, StatusCode::OK);
    assert_eq!(get("/r4/Patient/p1", "application/fhir+xml").await, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(get("/r4/Patient/p1?_format=xml", "*/*").await, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(get("/r4/$purge?_format=xml", "*/*").await, StatusCode::NOT_ACCEPTABLE);
    for content_type in ["application/json", "text/json; charset=utf-8"] {
        assert_eq!(caller.call("PUT", "/r4/Patient/p1", &[("content-type", content_type)], PATIENT).await.status, StatusCode::OK);
    }
    for content_type in ["application/fhir+xml", "text/plain", "application/x-www-form-urlencoded"] {
        for (method, path) in [("PUT", "/r4/Patient/p1"), ("POST", "/r4/Patient"), ("POST", "/r4")] {
            let answer = caller.call(method, path, &[("content-type", content_type)], PATIENT).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
            assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        }
    }
    let pretty = caller.get("/r4/Patient/p1?_pretty=true").await;
    assert!(pretty.text.starts_with("{\n  \"resourceType\": \"Patient\""), "{}", pretty.text);
}

#[tokio::test]
async fn bodies_and_urls_over_their_limits_are_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let too_large = format!(r#"{{"resourceType":"Patient","id":"p1","x":"{}"}}"#, "x".repeat(lethe_fhir::limits::RESOURCE_BYTES_MAX));
    let answer = caller.put("/r4/Patient/p1", &too_large).await;
    assert_eq!((answer.status, answer.json()["issue"][0]["code"].as_str()), (StatusCode::PAYLOAD_TOO_LARGE, Some("too-long")));
    let entry = r#"{"request":{"method":"DELETE","url":"Patient/x"}}"#;
    let entries = vec![entry; lethe_fhir::limits::BUNDLE_ENTRIES_MAX + 1].join(",");
    let answer = caller.post("/r4", &format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entries}]}}"#)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = caller.get(&format!("/r4/Patient?_id={}", "x".repeat(9_000))).await;
    assert_eq!(answer.status, StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn metadata_needs_no_credentials_and_everything_else_does() {
    let server = TestServer::start();
    let get = async |method: &str, path: &str| server.send(Request::builder().method(method).uri(path), "").await;
    let statement = get("GET", "/r4/metadata").await;
    assert_eq!((statement.status, statement.json()["fhirVersion"].as_str()), (StatusCode::OK, Some("4.0.1")));
    let definition = statement.json()["rest"][0]["operation"][0]["definition"].as_str().unwrap().to_owned();
    let definition = get("GET", definition.strip_prefix("http://lethe.test").unwrap()).await;
    assert_eq!((definition.status, definition.json()["code"].as_str()), (StatusCode::OK, Some("purge")));
    for (method, path) in [
        ("GET", "/r4/Patient"),
        ("GET", "/r4/Patient/p1"),
        ("PUT", "/r4/Patient/p1"),
        ("DELETE", "/r4/Patient/p1"),
        ("GET", "/r4/Patient/p1/_history/1"),
        ("GET", "/r4/_history"),
        ("POST", "/r4/Patient/_search"),
        ("POST", "/r4"),
        ("POST", "/r4/$purge"),
        ("GET", "/r4/$purge"),
        ("GET", "/r4/$purge/f707145c-7c51-44ae-8bcd-9a55bff81974"),
        ("PUT", "/r4/$purge/f707145c-7c51-44ae-8bcd-9a55bff81974"),
        ("DELETE", "/r4/$purge/f707145c-7c51-44ae-8bcd-9a55bff81974"),
    ] {
        let answer = get(method, path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert_eq!(answer.json()["issue"][0]["code"], "login");
    }
}

#[tokio::test]
async fn the_pace_is_told_how_long_live_calls_take() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    for _ in 0..100 {
        assert_eq!(caller.get("/r4/Patient/p1").await.status, StatusCode::OK);
    }
    let _ = server.app.pace.rest_after(std::time::Duration::ZERO);
    let usual = [LiveCall::Read, LiveCall::Search, LiveCall::Write].map(|call| server.app.pace.usual(call).is_some());
    assert_eq!(usual, [true, false, false], "a hundred reads and one write");
}
