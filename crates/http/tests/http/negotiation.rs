//! Which format an answer has, whatever it answers.

use axum::http::StatusCode;

use crate::caller::{Caller, header_text};
use crate::test_server::TestServer;

#[tokio::test]
async fn every_answer_can_be_indented_a_refusal_too() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Observation/o1", r#"{"resourceType":"Observation","id":"o1","valueQuantity":{"value":1.50}}"#).await;
    for path in ["/r4/Observation/o1", "/r4/Observation", "/r4/Observation/o1/_history", "/r4/Observation/none", "/r4/metadata"] {
        let plain = caller.get(path).await;
        let pretty = caller.get(&format!("{path}?_pretty=true")).await;
        assert_eq!(plain.status, pretty.status, "{path}");
        assert!(!plain.text.contains('\n') && pretty.text.contains("\n  \"resourceType\""), "{path}: {}", pretty.text);
        assert_eq!(header_text(&pretty, "content-type"), "application/fhir+json; charset=utf-8");
    }
    assert!(caller.get("/r4/Observation/o1?_pretty=true").await.text.contains("1.50"), "digits are kept");
}

#[tokio::test]
async fn a_search_in_a_form_says_there_how_it_is_answered() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let pretty = caller.call("POST", "/r4/Patient/_search", &form, "_pretty=true").await;
    assert!(pretty.text.contains("\n  \"resourceType\""), "{}", pretty.text);
    for (body, status) in [
        ("_format=json", StatusCode::OK),
        ("_format=xml", StatusCode::NOT_ACCEPTABLE),
        ("_format=application%2Ffhir%2Bxml", StatusCode::NOT_ACCEPTABLE),
        ("_pretty=perhaps", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(caller.call("POST", "/r4/Patient/_search", &form, body).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn formats_that_are_not_served_are_refused_before_anything_is_written() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let patient = r#"{"resourceType":"Patient","id":"p1"}"#;
    for (path, accept) in [
        ("/r4/Patient/p1?_format=xml", "*/*"),
        ("/r4/Patient/p1", "application/fhir+xml"),
        ("/r4/Patient/p1", "text/turtle"),
        ("/r4/Patient/p1", "application/fhir+json; fhirVersion=3.0"),
    ] {
        let answer = caller.call("PUT", path, &[("accept", accept)], patient).await;
        assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{path} {accept}: {}", answer.text);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    assert_eq!(caller.get("/r4/Patient/p1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(caller.call("PUT", "/r4/Patient/p1", &[("accept", "text/html, */*;q=0.1")], patient).await.status, StatusCode::CREATED);
}
