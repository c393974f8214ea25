//! Holds over HTTP: who may set them, how they are read, and what they do to a purge.

use axum::http::StatusCode;
use lethe_auth::{AuthMethods, ClientId};
use serde_json::{Value, json};

use crate::caller::{Caller, run_worker};
use crate::test_server::{Answer, TestServer};

const PATH: &str = "/hold-management/v1/hold";

async fn call(caller: &Caller<'_>, method: &str, path: &str, body: &str) -> Answer {
    caller.by_headers(method, path, &[("content-type", "application/json")], body).await
}

fn hold_on(caller: &Caller<'_>, kind: &str, target: Option<&str>) -> Value {
    let mut hold = json!({"oneup_user_id": caller.account_id.0, "kind": kind, "reason": "case 7", "by": "legal"});
    if let Some(target) = target {
        hold["target"] = json!(target);
    }
    hold
}

#[tokio::test]
async fn a_hold_is_set_met_by_a_purge_and_lifted() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    caller.stored("/r4/Patient/b", r#"{"resourceType":"Patient","id":"b"}"#).await;
    caller
        .stored(
            "/r4/Encounter/e",
            r#"{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/a"}}"#,
        )
        .await;
    let set = call(&caller, "POST", PATH, &hold_on(&caller, "patient", Some("Patient/a")).to_string()).await;
    assert_eq!((set.status, &set.json()["warning"]), (StatusCode::CREATED, &Value::Null), "{}", set.text);
    let hold = set.json()["hold"].clone();
    let id = hold["id"].as_str().unwrap().to_owned();
    assert_eq!((&hold["kind"], &hold["target"], &hold["reason"]), (&json!("patient"), &json!("Patient/a"), &json!("case 7")));
    assert_eq!(hold["setBy"], format!("legal of client {}", caller.client.client_id));

    let started = caller.post("/r4/$purge", "").await;
    let job_id = started.json()["job"]["id"].as_str().unwrap().to_owned();
    assert!(run_worker(&server).await);
    let job = caller.job(&job_id).await;
    assert_eq!(
        (&job["status"], &job["resourceCount"], &job["deletedCount"], &job["heldCount"]),
        (&json!("successful"), &json!(3), &json!(1), &json!(2))
    );
    assert_eq!(job["holds"], json!([id]));
    assert_eq!(caller.get("/r4/Encounter/e").await.status, StatusCode::OK);
    assert_eq!(caller.get("/r4/Patient/b").await.status, StatusCode::NOT_FOUND);

    let listed = call(&caller, "GET", PATH, "").await.json();
    assert_eq!((&listed["holds"][0]["id"], &listed["next"]), (&json!(id), &Value::Null));
    let by_nobody = call(&caller, "DELETE", &format!("{PATH}/{id}"), "").await;
    assert_eq!(by_nobody.status, StatusCode::BAD_REQUEST, "{}", by_nobody.text);
    let lifted = call(&caller, "DELETE", &format!("{PATH}/{id}?by=judge"), "").await;
    assert_eq!((lifted.status, &lifted.json()["hold"]["target"]), (StatusCode::OK, &Value::Null), "{}", lifted.text);
    assert_eq!(call(&caller, "DELETE", &format!("{PATH}/{id}?by=judge"), "").await.status, StatusCode::CONFLICT);
    assert_eq!(call(&caller, "GET", PATH, "").await.json()["holds"], json!([]));
    assert_eq!(
        call(&caller, "GET", &format!("{PATH}?ended=true"), "").await.json()["holds"][0]["liftedBy"],
        format!("judge of client {}", caller.client.client_id)
    );
}

#[tokio::test]
async fn only_a_client_that_may_sets_holds_and_only_on_its_own_users() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let other = Caller::of(&server, server.client(AuthMethods::Both).await, "stranger").await;
    let body = hold_on(&caller, "account", None).to_string();
    assert_eq!(call(&caller, "POST", PATH, &body).await.status, StatusCode::CREATED, "the control");
    let foreign = call(&other, "POST", PATH, &body).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST, "{}", foreign.text);
    assert!(foreign.outcome_text().contains("no user of that oneup_user_id"));
    assert_eq!(call(&other, "GET", PATH, "").await.json()["holds"], json!([]));
    let id = call(&caller, "GET", PATH, "").await.json()["holds"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&other, "DELETE", &format!("{PATH}/{id}?by=x"), "").await.status, StatusCode::NOT_FOUND);
    // A token acts for a user, and a user may not.
    assert_eq!(caller.post(PATH, &body).await.status, StatusCode::UNAUTHORIZED);
    server.store.set_client_may_hold(&ClientId(caller.client.client_id.clone()), false).await.unwrap();
    for (method, path) in [("POST", PATH.to_owned()), ("GET", PATH.to_owned()), ("DELETE", format!("{PATH}/{id}?by=x"))] {
        let refused = call(&caller, method, &path, &body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}: {}", refused.text);
        assert!(refused.outcome_text().contains("lethe client allow"));
    }
}

#[tokio::test]
async fn a_hold_on_what_is_not_there_is_set_with_a_warning() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    caller.stored("/r4/Patient/gone", r#"{"resourceType":"Patient","id":"gone"}"#).await;
    assert!(caller.delete("/r4/Patient/gone").await.status.is_success());
    for (kind, target, expected) in [
        ("account", None, None),
        ("resource", Some("Patient/a"), None),
        ("patient", Some("Patient/nosuch"), Some("there is no Patient/nosuch in this account")),
        ("resource", Some("Observation/a"), Some("there is no Observation/a in this account")),
        ("patient", Some("Patient/gone"), Some("Patient/gone is deleted")),
    ] {
        let set = call(&caller, "POST", PATH, &hold_on(&caller, kind, target).to_string()).await;
        assert_eq!(set.status, StatusCode::CREATED, "{}", set.text);
        let warning = set.json()["warning"].as_str().map(str::to_owned);
        assert_eq!(warning.is_some(), expected.is_some(), "{target:?}: {warning:?}");
        assert!(warning.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{target:?}");
    }
}

#[tokio::test]
async fn every_slip_in_a_hold_is_refused_with_its_name() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let cases: [(&str, Value, &str); 13] = [
        ("untill", json!("2030"), "'untill'"),
        ("kind", json!("compartment"), "kind must be"),
        ("kind", json!("resource"), "target is missing"),
        ("target", json!("Patient/a"), "leave 'target' out"),
        ("reason", json!(" "), "reason must have"),
        ("reason", json!("x".repeat(1_001)), "reason has 1001"),
        ("by", Value::Null, "by must be a text"),
        ("until", json!("2020"), "until: 2020-01-01T00:00:00.000Z is over"),
        ("until", json!("soon"), "until: "),
        ("until", json!(2030), "until must be a text"),
        ("oneup_user_id", json!("x"), "oneup_user_id must be"),
        ("oneup_user_id", json!(1e30), "oneup_user_id must be"),
        ("oneup_user_id", json!(999), "no user of that"),
    ];
    for (name, value, expected) in cases {
        let mut hold = hold_on(&caller, "account", None);
        hold[name] = value;
        let refused = call(&caller, "POST", PATH, &hold.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{hold}: {}", refused.text);
        let text = refused.outcome_text();
        assert!(text.contains(expected) && text.contains("nothing was set"), "{hold}: {text}");
    }
    for (kind, target, expected) in [
        ("patient", "Device/d", "not a Device"),
        ("resource", "Patiant/x", "Patiant"),
        ("resource", "x", "Type/id"),
        ("patient", "Patient/..", "is not a valid id"),
        ("resource", "Basic/.", "is not a valid id"),
    ] {
        let refused = call(&caller, "POST", PATH, &hold_on(&caller, kind, Some(target)).to_string()).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && refused.outcome_text().contains(expected), "{}", refused.text);
    }
    assert_eq!(call(&caller, "GET", PATH, "").await.json()["holds"], json!([]));
}
