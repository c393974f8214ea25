//! Conditional create, update, delete and patch.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use crate::caller::{Caller, header_text};
use crate::test_server::{Answer, TestServer};

fn patient(value: &str, family: &str) -> String {
    json!({ "resourceType": "Patient", "identifier": [{ "system": "http://x", "value": value }], "name": [{ "family": family }] })
        .to_string()
}

const CONDITION: (&str, &str) = ("if-none-exist", "identifier=http://x|1");

async fn count(caller: &Caller<'_>) -> u64 {
    caller.get("/r4/Patient?_summary=count").await.json()["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_conditional_create_creates_once() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let create = async |header: &str| caller.call("POST", "/r4/Patient", &[("if-none-exist", header)], &patient("1", "A")).await;
    let first = create("identifier=http://x|1").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let id = first.field("id");
    for spelling in ["identifier=http://x|1", "?identifier=http%3A%2F%2Fx%7C1", "Patient?identifier=http://x|1"] {
        let again = create(spelling).await;
        assert_eq!((again.status, again.field("id")), (StatusCode::OK, id.clone()), "{spelling}: {}", again.text);
        assert_eq!(header_text(&again, "etag"), r#"W/"1""#);
        assert_eq!(header_text(&again, "location"), format!("http://lethe.test/r4/Patient/{id}/_history/1"));
    }
    assert_eq!(count(&caller).await, 1);
    let other = create("identifier=http://x|2").await;
    assert_eq!(other.status, StatusCode::CREATED);
    let several = create("identifier=http://x|1").await;
    assert_eq!(several.status, StatusCode::PRECONDITION_FAILED);
    assert!(several.outcome_text().contains("selects 2 resources"), "{}", several.text);
    for bad in ["", "nome=x", "_count=1", "Observation?code=x", "_sort=name", "identifier=x&_include=Patient:organization"] {
        let answer = create(bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text);
    }
    assert_eq!(count(&caller).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conditional_creates_at_the_same_moment_create_one() {
    let server = Arc::new(TestServer::start());
    let client = {
        let caller = Caller::new(&server).await;
        caller.client.clone()
    };
    let writers = 24;
    let (_, token) = server.bearer(&client, "racer").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (server, token) = (server.clone(), token.clone());
        tasks.spawn(async move {
            let request = axum::http::Request::builder()
                .method("POST")
                .uri("/r4/Patient")
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/fhir+json")
                .header(CONDITION.0, CONDITION.1);
            let answer: Answer = server.send(request, patient("1", "A")).await;
            (answer.status, answer.field("id"))
        });
    }
    let answers = tasks.join_all().await;
    let created = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    let found = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!((created, found), (1, writers - 1), "{answers:?}");
    let ids: std::collections::BTreeSet<_> = answers.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_conditional_update_creates_or_updates_the_one_that_fits() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let path = "/r4/Patient?identifier=http://x|1";
    let created = caller.put(path, &patient("1", "A")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.field("id");
    let updated = caller.put(path, &patient("1", "B")).await;
    assert_eq!((updated.status, updated.field("id")), (StatusCode::OK, id.clone()));
    assert_eq!(updated.json()["meta"]["versionId"], "2");
    let with_id = |id: &str| patient("1", "C").replacen('{', &format!(r#"{{"id":"{id}","#), 1);
    assert_eq!(caller.put(path, &with_id(&id)).await.status, StatusCode::OK, "its own id");
    assert_eq!(caller.put(path, &with_id("other")).await.status, StatusCode::BAD_REQUEST, "another id");
    let stale = caller.call("PUT", path, &[("if-match", r#"W/"1""#)], &patient("1", "D")).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);

    let chosen = caller.put("/r4/Patient?identifier=http://x|2", &patient("2", "A").replacen('{', r#"{"id":"mine","#, 1)).await;
    assert_eq!((chosen.status, chosen.field("id").as_str()), (StatusCode::CREATED, "mine"));
    let taken = caller.put("/r4/Patient?identifier=http://x|3", &patient("3", "A").replacen('{', r#"{"id":"mine","#, 1)).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    let nothing_to_match = caller.call("PUT", "/r4/Patient?identifier=http://x|4", &[("if-match", r#"W/"1""#)], &patient("4", "A")).await;
    assert_eq!(nothing_to_match.status, StatusCode::PRECONDITION_FAILED);

    caller.post("/r4/Patient", &patient("1", "E")).await;
    assert_eq!(caller.put(path, &patient("1", "F")).await.status, StatusCode::PRECONDITION_FAILED, "two fit");
    for bad in ["/r4/Patient", "/r4/Patient?nome=x", "/r4/Patient?_id:missing=false", "/r4/Patient?identifier=1&_count=1"] {
        let answer = caller.put(bad, &patient("1", "G")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text);
    }
    assert_eq!(count(&caller).await, 3);
}

#[tokio::test]
async fn a_conditional_delete_deletes_one_and_never_several() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for value in ["1", "2", "2"] {
        caller.post("/r4/Patient", &patient(value, "A")).await;
    }
    for (path, status) in [
        ("/r4/Patient", StatusCode::BAD_REQUEST),
        ("/r4/Patient?", StatusCode::BAD_REQUEST),
        ("/r4/Patient?_format=json", StatusCode::BAD_REQUEST),
        ("/r4/Patient?identifier=http://x|2", StatusCode::PRECONDITION_FAILED),
        ("/r4/Patient?identifier=http://x|2&_count=100", StatusCode::BAD_REQUEST),
        ("/r4/Patient?nome=1", StatusCode::BAD_REQUEST),
        ("/r4/Patient?identifier=http://x|9", StatusCode::NO_CONTENT),
    ] {
        assert_eq!(caller.delete(path).await.status, status, "{path}");
    }
    assert_eq!(count(&caller).await, 3, "nothing was deleted");
    let path = "/r4/Patient?identifier=http://x|1";
    let stale = caller.call("DELETE", path, &[("if-match", r#"W/"7""#)], "").await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(caller.delete(path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(count(&caller).await, 2);
}

#[tokio::test]
async fn a_conditional_patch_changes_the_one_that_fits() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for value in ["1", "2", "2"] {
        caller.post("/r4/Patient", &patient(value, "A")).await;
    }
    let patch = r#"[{"op":"add","path":"/active","value":true}]"#;
    let call = async |query: &str| {
        caller.call("PATCH", &format!("/r4/Patient?{query}"), &[("content-type", "application/json-patch+json")], patch).await
    };
    let done = call("identifier=http://x|1").await;
    assert_eq!((done.status, &done.json()["active"]), (StatusCode::OK, &json!(true)));
    for (query, status) in [
        ("identifier=http://x|9", StatusCode::NOT_FOUND),
        ("identifier=http://x|2", StatusCode::PRECONDITION_FAILED),
        ("", StatusCode::BAD_REQUEST),
        ("nome=x", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(call(query).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_condition_sees_the_own_account_alone() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    caller.post("/r4/Patient", &patient("1", "A")).await;
    let created = neighbour.call("POST", "/r4/Patient", &[CONDITION], &patient("1", "A")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(neighbour.delete("/r4/Patient?identifier=http://x|1").await.status, StatusCode::NO_CONTENT);
    assert_eq!((count(&caller).await, count(&neighbour).await), (1, 0));
}
