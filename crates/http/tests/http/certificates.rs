//! Certificates, proofs and keys over HTTP.

use axum::http::StatusCode;
use lethe_certificate::{
    keys::KeySet,
    proof::Proof,
    verify::{check, read},
};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, header_text, run_worker},
    purge_contract::fail_every_batch,
    test_server::TestServer,
};

async fn purged(caller: &Caller<'_>) -> String {
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    let id = caller.purge("?_type=Patient&_reason=request+7").await;
    assert!(run_worker(caller.server).await);
    id
}

/// The certificate of a job, verified with the keys that the server publishes.
async fn certificate(caller: &Caller<'_>, id: &str) -> (Value, lethe_certificate::document::Certificate) {
    let answer = caller.get(&format!("/r4/$purge/{id}/certificate")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(header_text(&answer, "content-type"), "application/json; charset=utf-8");
    let keys = caller.server.headers(axum::http::Method::GET, "/.well-known/lethe/jwks.json", &[]).await;
    assert_eq!((keys.status, header_text(&keys, "content-type")), (StatusCode::OK, "application/jwk-set+json"), "without credentials");
    let found = read(&answer.text);
    let [Ok(signed)] = &found[..] else { panic!("{found:?}") };
    let checked = check(signed, &KeySet::read(&keys.text).unwrap());
    assert_eq!(checked.faults, []);
    (answer.json(), checked.certificate.unwrap())
}

#[tokio::test]
async fn the_certificate_is_signed_and_readable() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let id = purged(&caller).await;
    let (json, said) = certificate(&caller, &id).await;
    assert_eq!(json["certificate"]["destruction"]["reason"], "request 7");
    assert_eq!((said.number, said.counts.total.deleted, said.destruction.id.as_str()), (1, 1, id.as_str()));
    assert_eq!(said.destruction.user_id, caller.account_id.to_string());
    // A canceled job that had not begun, and one that has not ended, have none, and say why.
    let path = |id: &str, rest: &str| format!("/r4/$purge/{id}/certificate{rest}");
    let waiting = caller.purge("").await;
    let refused = caller.get(&path(&waiting, "")).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert!(refused.outcome_text().contains("'in progress'"), "{}", refused.text);
    caller.delete(&format!("/r4/$purge/{waiting}")).await;
    assert!(caller.get(&path(&waiting, "")).await.outcome_text().contains("before anything was removed"));
    // Nobody else sees it, nor learns that it is there.
    let other = Caller::of(&server, caller.client.clone(), "other").await;
    let unknown = other.get(&path("f707145c-7c51-44ae-8bcd-9a55bff81974", "")).await;
    for rest in ["", "/proof?resource=Patient/a"] {
        let foreign = other.get(&path(&id, rest)).await;
        assert_eq!((foreign.status, &foreign.text), (StatusCode::NOT_FOUND, &unknown.text));
    }
    assert_eq!(other.delete(&path(&id, "/key")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(caller.get(&path(&id, "?_type=Patient")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(caller.as_client("GET", &path(&id, ""), "").await.status, StatusCode::OK, "its client does");
}

#[tokio::test]
async fn a_retried_job_shows_no_certificate_of_its_failure() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    let id = caller.purge("").await;
    fail_every_batch(&server).await;
    let (json, said) = certificate(&caller, &id).await;
    assert_eq!((&json["certificate"]["destruction"]["outcome"], said.counts.total.failed), (&json!("failed"), 1));
    assert_eq!(caller.put(&format!("/r4/$purge/{id}"), "").await.status, StatusCode::OK);
    let retried = caller.get(&format!("/r4/$purge/{id}/certificate")).await;
    assert!(retried.status == StatusCode::NOT_FOUND && retried.outcome_text().contains("'in progress'"), "{}", retried.text);
    assert!(run_worker(&server).await);
    assert_eq!(certificate(&caller, &id).await.1.replaces, Some(1));
}

#[tokio::test]
async fn a_deletion_is_proven_until_the_key_is_forgotten() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let id = purged(&caller).await;
    let (_, said) = certificate(&caller, &id).await;
    let path = |rest: &str| format!("/r4/$purge/{id}/certificate{rest}");
    let proven = caller.get(&path("/proof?resource=Patient/a")).await;
    assert_eq!(proven.status, StatusCode::OK, "{}", proven.text);
    assert_eq!(Proof::read(&proven.text).unwrap().check(Some("Patient/a"), &said), Ok(()));
    let asks = [
        ("/proof?resource=Patient/b", StatusCode::NOT_FOUND, "among the deleted"),
        ("/proof", StatusCode::BAD_REQUEST, "?resource=Patient/123"),
        ("/proof?resource=Patient", StatusCode::BAD_REQUEST, "a type and an id"),
        ("/proof?resource=Patiant/a", StatusCode::BAD_REQUEST, "a type and an id"),
        ("/proof?resource=Patient/a&user=x", StatusCode::BAD_REQUEST, "the oneup_user_id"),
        ("/proof?resource=Patient/a&user=99999", StatusCode::BAD_REQUEST, "leave 'user' out"),
        ("/proof?resourse=Patient/a", StatusCode::BAD_REQUEST, "'resourse'"),
    ];
    for (rest, status, text) in asks {
        let refused = caller.get(&path(rest)).await;
        assert!(refused.status == status && refused.outcome_text().contains(text), "{rest}: {}", refused.text);
    }
    assert_eq!(caller.delete(&path("/key")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(caller.delete(&path("/key")).await.status, StatusCode::NO_CONTENT, "twice is once");
    for resource in ["Patient/a", "Patient/b"] {
        let refused = caller.get(&path(&format!("/proof?resource={resource}"))).await;
        assert!(refused.status == StatusCode::GONE && refused.outcome_text().contains("destroyed"), "{}", refused.text);
    }
    certificate(&caller, &id).await;
    // A job that has not ended needs its key.
    let waiting = caller.purge("").await;
    let refused = caller.delete(&format!("/r4/$purge/{waiting}/certificate/key")).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.outcome_text().contains("nothing was destroyed"), "{}", refused.text);
}

#[tokio::test]
async fn a_proof_of_a_client_wide_purge_asks_whose() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    let started = caller.as_client("POST", "/r4/$purge", "").await;
    let id = started.json()["job"]["id"].as_str().unwrap().to_owned();
    assert!(run_worker(&server).await);
    let ask = |user: String| {
        let path = format!("/r4/$purge/{id}/certificate/proof?resource=Patient/a{user}");
        let caller = &caller;
        async move { caller.as_client("GET", &path, "").await }
    };
    assert!(ask(String::new()).await.outcome_text().starts_with("whose?"));
    let proven = ask(format!("&user={}", caller.account_id)).await;
    assert_eq!((proven.status, &proven.json()["userId"]), (StatusCode::OK, &json!(caller.account_id.to_string())));
    assert_eq!(ask("&user=99999".to_owned()).await.status, StatusCode::NOT_FOUND);
}
