//! `$validate`, and writes that are held against R4's base definitions.

use axum::http::StatusCode;
use lethe_http::Validation;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::test_server::{Answer, TestServer};

const GOOD: &str = r#"{"resourceType":"Patient","id":"p1","gender":"male"}"#;
const BAD: &str = r#"{"resourceType":"Patient","id":"p1","gender":"mail","nome":[]}"#;

/// Severities and texts of an OperationOutcome.
fn issues(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let json = answer.json();
    assert_eq!(json["resourceType"], "OperationOutcome", "{}", answer.text);
    let text = |issue: &Value, pointer: &str| issue.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    json["issue"].as_array().unwrap().iter().map(|issue| (text(issue, "/severity"), text(issue, "/details/text"))).collect()
}

fn parameters(resource: &str, mode: Option<&str>) -> String {
    let mut parts = vec![json!({ "name": "resource", "resource": serde_json::from_str::<Value>(resource).unwrap() })];
    parts.extend(mode.map(|mode| json!({ "name": "mode", "valueCode": mode })));
    json!({ "resourceType": "Parameters", "parameter": parts }).to_string()
}

#[tokio::test]
async fn a_validation_tells_all_that_is_wrong_and_stores_nothing() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for (path, body, faults) in [
        ("/r4/Patient/$validate", GOOD.to_owned(), &[][..]),
        ("/r4/Patient/$validate", parameters(GOOD, None), &[]),
        ("/r4/Patient/$validate?mode=update", GOOD.to_owned(), &[]),
        ("/r4/Patient/p1/$validate", parameters(GOOD, Some("update")), &[]),
        ("/r4/Patient/$validate", BAD.to_owned(), &["gender", "nome"]),
        ("/r4/Patient/$validate", parameters(BAD, Some("create")), &["gender", "nome"]),
        ("/r4/Observation/$validate", GOOD.to_owned(), &["type Patient"]),
        ("/r4/Patient/p2/$validate", GOOD.to_owned(), &["id 'p1'"]),
        ("/r4/Patient/$validate?mode=update", r#"{"resourceType":"Patient"}"#.to_owned(), &["no id"]),
        ("/r4/Patient/$validate", r#"{"resourceType":"Patiant"}"#.to_owned(), &["'Patiant'"]),
        (
            "/r4/Patient/$validate",
            r#"{"resourceType":"Patient","link":[{"other":{"reference":"nobody"},"type":"refer"}]}"#.to_owned(),
            &["'nobody'"],
        ),
        ("/r4/Patient/nobody/$validate?mode=delete", String::new(), &["there is no Patient"]),
        ("/r4/Patient/$validate?mode=delete", String::new(), &["one resource"]),
        ("/r4/Parameters/$validate", r#"{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"y"}]}"#.to_owned(), &[]),
    ] {
        let answer = caller.post(path, &body).await;
        let told = issues(&answer);
        let errors: Vec<&String> = told.iter().filter(|(severity, _)| severity == "error").map(|(_, text)| text).collect();
        assert_eq!(errors.is_empty(), faults.is_empty(), "{path} {body}: {told:?}");
        assert_eq!(told.iter().any(|(severity, _)| severity == "information"), faults.is_empty(), "{path} {body}: {told:?}");
        for fault in faults {
            assert!(errors.iter().any(|text| text.contains(fault)), "{path} {body}: {errors:?}");
        }
    }
    assert_eq!(caller.get("/r4/Patient?_summary=count").await.json()["total"], 0);
    let profiled = issues(&caller.post("/r4/Patient/$validate?profile=http://x", GOOD).await);
    assert!(profiled.iter().any(|(severity, text)| severity == "warning" && text.contains("http://x")), "{profiled:?}");
}

#[tokio::test]
async fn what_is_stored_can_be_validated_where_it_is() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", BAD).await;
    let told = issues(&caller.get("/r4/Patient/p1/$validate").await);
    assert!(told.iter().any(|(severity, text)| severity == "error" && text.contains("gender")), "{told:?}");
    assert_eq!(issues(&caller.post("/r4/Patient/p1/$validate?mode=delete", "").await)[0].0, "information");
    assert_eq!(caller.get("/r4/Patient/none/$validate").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_validation_that_cannot_be_done_is_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for (path, body) in [
        ("/r4/Patient/$validate", ""),
        ("/r4/Patient/$validate", "{"),
        ("/r4/Patient/$validate?mode=profile", GOOD),
        ("/r4/Patient/$validate?foo=1", GOOD),
        ("/r4/Patient/$validate", r#"{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"}]}"#),
    ] {
        assert_eq!(caller.post(path, body).await.status, StatusCode::BAD_REQUEST, "{path} {body}");
    }
    let stranger = server.headers(axum::http::Method::POST, "/r4/Patient/$validate", &[]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn writes_are_held_against_the_definitions_as_configured_and_preferred() {
    let strict: &[(&str, &str)] = &[("prefer", "handling=strict")];
    let lenient: &[(&str, &str)] = &[("prefer", "return=minimal; handling=lenient")];
    for (validation, headers, is_refused) in [
        (Validation::Off, strict, false),
        (Validation::Lenient, &[][..], false),
        (Validation::Lenient, strict, true),
        (Validation::Strict, &[], true),
        (Validation::Strict, lenient, false),
    ] {
        let server = TestServer::start_with(validation);
        let caller = Caller::new(&server).await;
        let transaction = |resource: &str| {
            let entry = json!({ "request": { "method": "PUT", "url": "Patient/p1" }, "resource": serde_json::from_str::<Value>(resource).unwrap() });
            json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry] }).to_string()
        };
        for (method, path, body) in [
            ("PUT", "/r4/Patient/p1", BAD.to_owned()),
            ("POST", "/r4/Patient", BAD.to_owned()),
            ("PUT", "/r4/Patient?identifier=none", BAD.replace("p1", "p3")),
            ("POST", "/r4", transaction(BAD)),
        ] {
            let answer = caller.call(method, path, headers, &body).await;
            assert_eq!(answer.status == StatusCode::UNPROCESSABLE_ENTITY, is_refused, "{validation:?} {method} {path}: {}", answer.text);
            assert_eq!(answer.status.is_success(), !is_refused, "{validation:?} {method} {path}: {}", answer.text);
            if is_refused {
                assert!(answer.json()["issue"].as_array().unwrap().len() >= 2, "{}", answer.text);
            }
        }
        assert!(caller.call("PUT", "/r4/Patient/p1", headers, GOOD).await.status.is_success());
        assert!(caller.call("POST", "/r4", headers, &transaction(GOOD)).await.status.is_success());
        let patch = [headers, &[("content-type", "application/json-patch+json")]].concat();
        let patched = caller.call("PATCH", "/r4/Patient/p1", &patch, r#"[{"op":"replace","path":"/gender","value":"mail"}]"#).await;
        assert_eq!(patched.status == StatusCode::UNPROCESSABLE_ENTITY, is_refused, "{validation:?}: {}", patched.text);
    }
}
