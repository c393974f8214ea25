//! Which format an answer has, whatever it answers.

use std::io::Write;

use axum::http::{Request, StatusCode};
use flate2::{Compression, write::GzEncoder};

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

#[tokio::test]
async fn a_compressed_body_is_written_as_what_it_holds() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(br#"{"resourceType":"Patient","id":"p1","active":true}"#).unwrap();
    let gzip = encoder.finish().unwrap();
    let put = async |encoding: &str| {
        let request = Request::builder().method("PUT").uri("/r4/Patient/p1").header("authorization", caller.authorization());
        let request = request.header("content-type", "application/fhir+json").header("content-encoding", encoding);
        server.send(request, gzip.clone()).await
    };
    let refused = put("br").await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(refused.outcome_text().contains("'br'"), "{}", refused.text);
    assert_eq!(put("gzip").await.status, StatusCode::CREATED);
    assert_eq!(caller.get("/r4/Patient/p1").await.json()["active"], true);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", r#"{"resourceType":"Patient","id":"p1"}"#).await;
    let read = caller.get("/r4/Patient/p1").await;
    let (tag, time) = (header_text(&read, "etag"), header_text(&read, "last-modified"));
    for path in ["/r4/Patient/p1", "/r4/Patient/p1/_history/1"] {
        for known in [("if-none-match", tag), ("if-modified-since", time)] {
            let again = caller.call("GET", path, &[known], "").await;
            assert_eq!(
                (again.status, again.text.as_str(), header_text(&again, "etag")),
                (StatusCode::NOT_MODIFIED, "", tag),
                "{path} {known:?}"
            );
        }
        let later = caller.call("GET", path, &[("if-modified-since", "Mon, 01 Jan 2001 00:00:00 GMT")], "").await;
        assert_eq!(later.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn web_pages_may_call_if_their_origin_is_named() {
    const PAGE: &str = "https://app.example.org";
    let preflight = async |server: &TestServer, origin: &str| {
        let request = Request::builder().method("OPTIONS").uri("/r4/Patient/p1").header("origin", origin);
        let request =
            request.header("access-control-request-method", "PUT").header("access-control-request-headers", "authorization,if-match");
        server.send(request, "").await
    };
    let server = TestServer::start_for_pages(vec![PAGE.parse().unwrap()]);
    let caller = Caller::new(&server).await;
    let allowed = preflight(&server, PAGE).await;
    assert_eq!((allowed.status, header_text(&allowed, "access-control-allow-origin")), (StatusCode::OK, PAGE));
    assert!(header_text(&allowed, "access-control-allow-methods").contains("PUT"), "{:?}", allowed.headers);
    assert_eq!(header_text(&allowed, "access-control-allow-headers"), "authorization,if-match");
    let answer = caller.call("GET", "/r4/Patient", &[("origin", PAGE)], "").await;
    assert_eq!((answer.status, header_text(&answer, "access-control-allow-origin")), (StatusCode::OK, PAGE));
    assert!(header_text(&answer, "access-control-expose-headers").contains("location"));
    let refused = caller.call("GET", "/r4/Patient/none", &[("origin", PAGE)], "").await;
    assert_eq!(header_text(&refused, "access-control-allow-origin"), PAGE, "a page may read why it was refused");
    assert_eq!(caller.get("/r4/metadata").await.json()["rest"][0]["security"]["cors"], true);
    assert!(preflight(&server, "https://else.org").await.headers.get("access-control-allow-origin").is_none());

    let closed = TestServer::start();
    let refused = preflight(&closed, PAGE).await;
    assert_eq!((refused.status, refused.headers.get("access-control-allow-origin")), (StatusCode::METHOD_NOT_ALLOWED, None));
    let caller = Caller::new(&closed).await;
    assert_eq!(caller.get("/r4/metadata").await.json()["rest"][0]["security"]["cors"], false);
    assert!(caller.call("GET", "/r4/Patient", &[("origin", PAGE)], "").await.headers.get("access-control-allow-origin").is_none());
}
