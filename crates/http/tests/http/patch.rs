//! PATCH of one resource.

use axum::http::StatusCode;
use serde_json::json;

use crate::caller::{Caller, header_text};
use crate::test_server::{Answer, TestServer};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","active":true,"name":[{"family":"A"}],"multipleBirthInteger":10}"#;
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

/// Headers, body, and what is answered.
type Refused = (&'static [(&'static str, &'static str)], String, StatusCode, &'static str);

async fn patched(caller: &Caller<'_>, headers: &[(&str, &str)], patch: &str) -> Answer {
    caller.call("PATCH", "/r4/Patient/p1", headers, patch).await
}

#[tokio::test]
async fn a_json_patch_makes_a_new_version() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    let patch = r#"[{"op":"test","path":"/active","value":true},{"op":"replace","path":"/name/0/family","value":"B"}]"#;
    let answer = patched(&caller, &[JSON_PATCH], patch).await;
    assert_eq!((answer.status, header_text(&answer, "etag")), (StatusCode::OK, r#"W/"2""#), "{}", answer.text);
    assert_eq!(answer.json()["name"][0]["family"], "B");
    assert_eq!(caller.get("/r4/Patient/p1").await.text, answer.text);
    assert_eq!(caller.get("/r4/Patient/p1/_history/1").await.json()["name"][0]["family"], "A");
    let quiet = patched(&caller, &[JSON_PATCH, ("prefer", "return=minimal"), ("if-match", r#"W/"2""#)], patch).await;
    assert_eq!((quiet.status, quiet.text.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn a_patch_that_cannot_be_done_changes_nothing_and_says_why() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    let replace = |path: &str, value: &str| format!(r#"[{{"op":"replace","path":"{path}","value":{value}}}]"#);
    let good = replace("/active", "false");
    let cases: [Refused; 9] = [
        (&[JSON_PATCH], "{".to_owned(), StatusCode::BAD_REQUEST, "not valid JSON"),
        (&[JSON_PATCH], "{}".to_owned(), StatusCode::BAD_REQUEST, "array of operations"),
        (&[JSON_PATCH], r#"[{"op":"test","path":"/active","value":false}]"#.to_owned(), StatusCode::CONFLICT, "/active"),
        (&[JSON_PATCH], replace("/gender", "\"male\""), StatusCode::UNPROCESSABLE_ENTITY, "/gender"),
        (&[JSON_PATCH], r#"[{"op":"add","path":"/contained","value":{}}]"#.to_owned(), StatusCode::UNPROCESSABLE_ENTITY, "'contained'"),
        (
            &[JSON_PATCH],
            r#"[{"op":"add","path":"/managingOrganization","value":{"reference":"nowhere"}}]"#.to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "'nowhere'",
        ),
        (&[JSON_PATCH, ("if-match", r#"W/"7""#)], good.clone(), StatusCode::PRECONDITION_FAILED, r#"W/"1""#),
        (&[("content-type", "application/merge-patch+json")], good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "json-patch+json"),
        (&[], PATIENT.to_owned(), StatusCode::BAD_REQUEST, "Parameters"),
    ];
    for (headers, body, status, reason) in cases {
        let answer = patched(&caller, headers, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(answer.outcome_text().contains(reason), "{body}: {}", answer.text);
    }
    assert_eq!(header_text(&caller.get("/r4/Patient/p1").await, "etag"), r#"W/"1""#);
    let elsewhere = caller.call("PATCH", "/r4/Patient/none", &[JSON_PATCH], &good).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    caller.delete("/r4/Patient/p1").await;
    assert_eq!(patched(&caller, &[JSON_PATCH], &good).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn patches_without_if_match_do_not_lose_each_other() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    let add = async |text: &str| {
        let patch = json!([{ "op": "add", "path": "/name/-", "value": { "text": text } }]).to_string();
        patched(&caller, &[JSON_PATCH], &patch).await.status
    };
    let (a, b, c, d) = tokio::join!(add("a"), add("b"), add("c"), add("d"));
    assert_eq!([a, b, c, d], [StatusCode::OK; 4]);
    assert_eq!(caller.get("/r4/Patient/p1").await.json()["name"].as_array().map(Vec::len), Some(5));
}

fn operation(parts: &[(&str, serde_json::Value)]) -> serde_json::Value {
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, value)| {
            let mut part = json!({ "name": name });
            part[if *name == "type" { "valueCode" } else { "valueString" }] = value.clone();
            part
        })
        .collect();
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": parts }] })
}

#[tokio::test]
async fn a_fhirpath_patch_makes_a_new_version() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    let replace = operation(&[("type", json!("replace")), ("path", json!("Patient.name[0].family")), ("value", json!("B"))]);
    let answer = patched(&caller, &[], &replace.to_string()).await;
    assert_eq!((answer.status, header_text(&answer, "etag")), (StatusCode::OK, r#"W/"2""#), "{}", answer.text);
    assert_eq!(answer.json()["name"][0]["family"], "B");
    let nowhere = operation(&[("type", json!("replace")), ("path", json!("Patient.gender")), ("value", json!("male"))]);
    assert_eq!(patched(&caller, &[], &nowhere.to_string()).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let malformed = operation(&[("type", json!("replace")), ("path", json!("Patient.name[")), ("value", json!("male"))]);
    assert_eq!(patched(&caller, &[], &malformed.to_string()).await.status, StatusCode::BAD_REQUEST);
    let stale = patched(&caller, &[("if-match", r#"W/"1""#)], &replace.to_string()).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}
