//! The preview of a purge, and kick-offs that are held to it.

use axum::http::StatusCode;
use serde_json::json;

use crate::caller::{Caller, run_worker};
use crate::test_server::TestServer;

#[tokio::test]
async fn a_preview_tells_what_would_go_and_a_kick_off_is_held_to_it() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for id in ["p0", "p1", "p2"] {
        caller.stored(&format!("/r4/Patient/{id}"), &format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)).await;
    }
    caller.stored("/r4/Patient/p0", r#"{"resourceType":"Patient","id":"p0","active":true}"#).await;
    caller.stored("/r4/Group/g", r#"{"resourceType":"Group","id":"g","type":"person","actual":true}"#).await;
    caller.stored("/r4/Provenance/v", r#"{"resourceType":"Provenance","id":"v","target":[{"reference":"Patient/p0"}]}"#).await;
    caller
        .stored(
            "/r4/Provenance/w",
            r#"{"resourceType":"Provenance","id":"w","target":[{"reference":"Patient/p0"},{"reference":"Group/g"}]}"#,
        )
        .await;
    let answer = caller.get("/r4/$purge-preview?_type=Patient&_before=2030&_reason=x").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let said = answer.json()["preview"].clone();
    let numbers = ["resourceCount", "heldCount", "removedCount", "versionCount", "provenanceAlong", "binaryAlong"]
        .map(|name| said[name].as_u64().unwrap());
    assert_eq!(numbers, [4, 0, 4, 5, 1, 0]);
    assert_eq!(said["counts"]["Patient"]["versions"], 4);
    assert!(said["byteCount"].as_u64().unwrap() > 0);
    assert_eq!(said["stays"]["neededProvenance"], 1);
    assert_eq!((&said["typeList"], &said["userId"]), (&json!(["Patient"]), &json!(caller.account_id.to_string())));
    assert_eq!(caller.get("/r4/$purge").await.json()["jobs"], json!([]), "a preview starts nothing");
    let digest = said["digest"].as_str().unwrap().to_owned();
    let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}, {"name": "_before", "valueDate": "2030"}]});
    let by_body = caller.call("POST", "/r4/$purge-preview", &[("content-type", "application/fhir+json")], &parameters.to_string()).await;
    assert_eq!(by_body.json()["preview"]["digest"], digest);

    for (query, expected) in [
        ("_typ=Patient", "'_typ'"),
        ("_type=Patiant", "Patiant"),
        ("_type=Patient&_type=Group", "more than once"),
        (&*format!("_expect={digest}"), "'_expect' is for the kick-off"),
    ] {
        let refused = caller.get(&format!("/r4/$purge-preview?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}: {}", refused.text);
        assert!(refused.outcome_text().contains(expected), "{query}: {}", refused.text);
    }

    // Another selection, and another state.
    let kick_off = format!("/r4/$purge?_type=Patient&_before=2030&_expect={digest}");
    for path in [format!("/r4/$purge?_type=Patient&_expect={digest}"), format!("/r4/$purge?_expect={digest}")] {
        assert_eq!(caller.post(&path, "").await.status, StatusCode::PRECONDITION_FAILED, "{path}");
    }
    caller.stored("/r4/Patient/p1", r#"{"resourceType":"Patient","id":"p1","active":true}"#).await;
    let refused = caller.post(&kick_off, "").await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.text);
    let now = caller.get("/r4/$purge-preview?_type=Patient&_before=2030").await.json()["preview"]["digest"].as_str().unwrap().to_owned();
    assert!(refused.outcome_text().contains(&now) && refused.outcome_text().contains("nothing was started"), "{}", refused.text);
    assert_eq!(caller.get("/r4/$purge").await.json()["jobs"], json!([]));
    let started = caller.post(&kick_off.replace(&digest, &now), "").await;
    assert_eq!(started.status, StatusCode::OK, "{}", started.text);
    assert!(run_worker(&server).await);
    let job = caller.job(started.json()["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["resourceCount"], &job["deletedCount"]), (&json!(4), &json!(4)));
}
