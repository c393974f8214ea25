//! Single interactions of FHIR REST: create, read, vread, update, delete, history, listing.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::caller::{Caller, header_text};
use crate::test_server::{Answer, TestServer};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","active":true}"#;

fn code_of(answer: &Answer) -> String {
    let json = answer.json();
    assert_eq!(json["resourceType"], "OperationOutcome", "{}", answer.text);
    json["issue"][0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_create_answers_with_its_place_and_keeps_every_digit() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let body = r#"{"resourceType":"Observation","id":"mine","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}"#;
    let answer = caller.post("/r4/Observation", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let id = answer.field("id");
    assert_ne!(id, "mine", "the server chooses the id");
    assert_eq!(header_text(&answer, "location"), format!("http://lethe.test/r4/Observation/{id}/_history/1"));
    assert_eq!(header_text(&answer, "etag"), r#"W/"1""#);
    assert_eq!(header_text(&answer, "last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(header_text(&answer, "content-type"), "application/fhir+json; charset=utf-8");
    let read = caller.get(&format!("/r4/Observation/{id}")).await;
    assert_eq!((read.status, header_text(&read, "etag")), (StatusCode::OK, r#"W/"1""#));
    assert_eq!(read.text, answer.text);
    assert!(read.text.contains("1.50"), "{}", read.text);
    assert_eq!(read.json()["meta"]["versionId"], "1");
}

#[tokio::test]
async fn an_update_creates_then_makes_versions_and_a_delete_leaves_history() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let first = caller.put("/r4/Patient/p1", PATIENT).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(header_text(&first, "location"), "http://lethe.test/r4/Patient/p1/_history/1");
    let second = caller.put("/r4/Patient/p1", &PATIENT.replace("true", "false")).await;
    assert_eq!((second.status, header_text(&second, "etag")), (StatusCode::OK, r#"W/"2""#));
    assert_eq!(caller.get("/r4/Patient/p1").await.json()["active"], false);
    assert_eq!(caller.get("/r4/Patient/p1/_history/1").await.json()["active"], true);
    assert_eq!(caller.get("/r4/Patient/p1/_history/9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(caller.get("/r4/Patient/p1/_history/x").await.status, StatusCode::NOT_FOUND);

    assert_eq!(caller.delete("/r4/Patient/p1").await.status, StatusCode::NO_CONTENT);
    let gone = caller.get("/r4/Patient/p1").await;
    assert_eq!((gone.status, code_of(&gone).as_str()), (StatusCode::GONE, "deleted"));
    assert_eq!(caller.get("/r4/Patient/p1/_history/3").await.status, StatusCode::GONE);
    assert_eq!(caller.get("/r4/Patient/p1/_history/2").await.status, StatusCode::OK);
    assert_eq!(caller.delete("/r4/Patient/p1").await.status, StatusCode::NO_CONTENT, "deleted already");
    assert_eq!(caller.delete("/r4/Patient/never").await.status, StatusCode::NO_CONTENT, "never was");

    let back = caller.put("/r4/Patient/p1", PATIENT).await;
    assert_eq!((back.status, header_text(&back, "etag")), (StatusCode::CREATED, r#"W/"4""#));
}

#[tokio::test]
async fn post_to_an_address_updates_and_forgives_a_missing_id() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    assert_eq!(caller.post("/r4/Patient/p1", PATIENT).await.status, StatusCode::CREATED);
    assert_eq!(caller.post("/r4/Patient/p1", r#"{"resourceType":"Patient"}"#).await.status, StatusCode::OK);
    assert_eq!(caller.post("/r4/Patient/p2", PATIENT).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_wrong_with_a_resource_is_400_and_nothing_is_stored() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let cases = [
        ("PUT", "/r4/Patient/p1", "{", "not valid JSON"),
        ("PUT", "/r4/Patient/p1", r#"{"resourceType":"Patient"}"#, "the body has no id"),
        ("PUT", "/r4/Patient/p2", PATIENT, "the body has the id 'p1'"),
        ("PUT", "/r4/Group/p1", PATIENT, "the body has the type Patient"),
        ("PUT", "/r4/Patient/a_b", PATIENT, "not a valid id"),
        ("POST", "/r4/Group", PATIENT, "the body has the type Patient"),
        ("POST", "/r4/Patient", r#"{"resourceType":"Patiant"}"#, "'Patiant'"),
        ("POST", "/r4/Patient", r#"{"resourceType":"Patient","managingOrganization":{"reference":"somewhere"}}"#, "'somewhere'"),
        (
            "POST",
            "/r4/Patient",
            r#"{"resourceType":"Patient","managingOrganization":{"reference":"Organization?name=x"}}"#,
            "conditional reference",
        ),
    ];
    for (method, path, body, reason) in cases {
        let answer = caller.call(method, path, &[], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path} {body}");
        assert!(answer.outcome_text().contains(reason), "{body}: {}", answer.text);
    }
    let places = r#"{"resourceType":"Observation","subject":{"reference":"x"},"performer":[{"reference":"y"}]}"#;
    let issues = caller.post("/r4/Observation", places).await.json()["issue"].clone();
    assert_eq!(issues[0]["expression"][0], "Observation.subject.reference");
    assert_eq!(issues[1]["expression"][0], "Observation.performer[0].reference");
    assert_eq!(caller.get("/r4/_history").await.json()["total"], 0);
}

#[tokio::test]
async fn a_write_with_a_condition_that_does_not_hold_changes_nothing() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let put = async |if_match: &str| caller.call("PUT", "/r4/Patient/p1", &[("if-match", if_match)], PATIENT).await;
    let nothing_there = put(r#"W/"1""#).await;
    assert_eq!(nothing_there.status, StatusCode::PRECONDITION_FAILED);
    caller.stored("/r4/Patient/p1", PATIENT).await;
    assert_eq!(put(r#"W/"1""#).await.status, StatusCode::OK, "the control");
    let stale = put(r#"W/"1""#).await;
    assert_eq!((stale.status, code_of(&stale).as_str()), (StatusCode::PRECONDITION_FAILED, "conflict"));
    assert!(stale.outcome_text().contains(r#"W/"2""#), "names the current version: {}", stale.text);
    assert_eq!(put("1").await.status, StatusCode::BAD_REQUEST, "malformed");
    let delete = caller.call("DELETE", "/r4/Patient/p1", &[("if-match", r#"W/"1""#)], "").await;
    assert_eq!(delete.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(header_text(&caller.get("/r4/Patient/p1").await, "etag"), r#"W/"2""#);
    for (method, path, header) in [("POST", "/r4/Patient", "if-none-match"), ("PUT", "/r4/Patient/p1", "if-none-exist")] {
        let answer = caller.call(method, path, &[(header, "name=x")], PATIENT).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{header} is not ignored");
    }
    assert_eq!(caller.get("/r4/Patient?_summary=count").await.json()["total"], 1);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    let get = async |tag: &str| caller.call("GET", "/r4/Patient/p1", &[("if-none-match", tag)], "").await;
    let known = get(r#"W/"1""#).await;
    assert_eq!((known.status, known.text.as_str(), header_text(&known, "etag")), (StatusCode::NOT_MODIFIED, "", r#"W/"1""#));
    assert_eq!(get(r#"W/"2""#).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_write_answers_what_is_preferred() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let put = async |prefer: &str| caller.call("PUT", "/r4/Patient/p1", &[("prefer", prefer)], PATIENT).await;
    let minimal = put("return=minimal").await;
    assert_eq!((minimal.status, minimal.text.as_str(), header_text(&minimal, "etag")), (StatusCode::CREATED, "", r#"W/"1""#));
    assert_eq!(put("return=OperationOutcome").await.json()["issue"][0]["severity"], "information");
    assert_eq!(put("return=representation").await.json()["meta"]["versionId"], "3");
}

#[tokio::test]
async fn histories_go_back_page_by_page_and_deletions_have_no_resource() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let bystander = Caller::of(&server, caller.client.clone(), "bystander").await;
    bystander.stored("/r4/Patient/p1", PATIENT).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    server.clock.advance_ms(1_000);
    caller.stored("/r4/Patient/p1", PATIENT).await;
    caller.stored("/r4/Group/g1", r#"{"resourceType":"Group","id":"g1"}"#).await;
    caller.delete("/r4/Patient/p1").await;

    let instance = caller.get("/r4/Patient/p1/_history").await.json();
    assert_eq!((&instance["type"], &instance["total"]), (&json!("history"), &json!(3)));
    let requests: Vec<&Value> = instance["entry"].as_array().unwrap().iter().map(|entry| &entry["request"]["method"]).collect();
    assert_eq!(requests, ["DELETE", "PUT", "POST"]);
    assert!(instance["entry"][0].get("resource").is_none());
    assert_eq!(instance["entry"][0]["response"]["status"], "204 No Content");
    assert_eq!(instance["entry"][1]["resource"]["meta"]["versionId"], "2");
    assert_eq!(instance["entry"][1]["response"]["etag"], r#"W/"2""#);
    assert_eq!(instance["entry"][1]["fullUrl"], "http://lethe.test/r4/Patient/p1");
    assert_eq!(caller.get("/r4/Patient/_history").await.json()["total"], 3);
    assert_eq!(caller.get("/r4/_history").await.json()["total"], 4);
    assert_eq!(caller.get("/r4/_history?_since=2023-11-14T22:13:21Z").await.json()["total"], 3);
    assert_eq!(caller.get("/r4/_history?_at=2023-11-14T22:13:20Z").await.json()["total"], 1);
    assert_eq!(caller.get("/r4/_history?_at=2022").await.json()["total"], 0);
    assert_eq!(caller.get("/r4/Patient/never/_history").await.status, StatusCode::NOT_FOUND);
    for bad in ["_at=x", "_list=x", "_since=x", "_page=x", "_count=x"] {
        assert_eq!(caller.get(&format!("/r4/_history?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }

    let mut url = "/r4/_history?_count=3".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = caller.get(&url).await.json();
        seen.extend(page["entry"].as_array().unwrap().iter().map(|entry| entry["fullUrl"].as_str().unwrap().to_owned()));
        let links = page["link"].as_array().unwrap().clone();
        assert_eq!(links[0]["relation"], "self");
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
        url = next["url"].as_str().unwrap().strip_prefix("http://lethe.test").unwrap().to_owned();
    }
    let tail = |url: &str| url.strip_prefix("http://lethe.test/r4/").unwrap().to_owned();
    assert_eq!(seen.iter().map(|url| tail(url)).collect::<Vec<_>>(), ["Patient/p1", "Group/g1", "Patient/p1", "Patient/p1"]);
}

#[tokio::test]
async fn nothing_crosses_accounts_and_a_client_reads_but_does_not_write() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    let stranger = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", PATIENT).await;
    neighbour.stored("/r4/Patient/p2", &PATIENT.replace("p1", "p2")).await;
    for other in [&neighbour, &stranger] {
        assert_eq!(other.get("/r4/Patient/p1").await.status, StatusCode::NOT_FOUND);
        assert_eq!(other.get("/r4/Patient/p1/_history/1").await.status, StatusCode::NOT_FOUND);
        assert_eq!(other.get("/r4/Patient/p1/_history").await.status, StatusCode::NOT_FOUND);
        assert_eq!(other.get("/r4/Patient?_id=p1").await.json()["total"], 0);
    }
    assert_eq!(caller.as_client("GET", "/r4/Patient/p1", "").await.status, StatusCode::OK);
    assert_eq!(caller.as_client("GET", "/r4/Patient", "").await.json()["total"], 2);
    assert_eq!(stranger.as_client("GET", "/r4/Patient", "").await.json()["total"], 0);
    for (method, path) in [
        ("POST", "/r4/Patient"),
        ("PUT", "/r4/Patient/p1"),
        ("DELETE", "/r4/Patient/p1"),
        ("POST", "/r4"),
        ("GET", "/r4/_history"),
        ("GET", "/r4/Patient/_history"),
        ("GET", "/r4/Patient/p1/_history"),
    ] {
        let answer = caller.as_client(method, path, PATIENT).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}: {}", answer.text);
        assert!(answer.outcome_text().contains("x-oneup-user-id"), "{}", answer.text);
    }
    assert_eq!(caller.get("/r4/_history").await.json()["total"], 1, "nothing was written");
}

#[tokio::test]
async fn a_provenance_in_a_header_is_stored_with_what_it_is_about() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let provenance = r#"{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"me"}}]}"#;
    let targets = async || {
        let page = caller.get("/r4/Provenance").await.json();
        let entries = page["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["resource"]["target"][0]["reference"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let created = caller.call("POST", "/r4/Patient", &[("x-provenance", provenance)], PATIENT).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.field("id");
    for _ in 0..2 {
        caller.call("PUT", "/r4/Patient/p1", &[("x-provenance", provenance)], PATIENT).await;
    }
    let matched = [("x-provenance", provenance), ("if-match", r#"W/"2""#)];
    assert_eq!(caller.call("PUT", "/r4/Patient/p1", &matched, PATIENT).await.status, StatusCode::OK);
    let expected = [
        format!("Patient/{id}/_history/1"),
        "Patient/p1/_history/1".into(),
        "Patient/p1/_history/2".into(),
        "Patient/p1/_history/3".into(),
    ];
    assert_eq!(targets().await, expected);

    let refused = caller.call("PUT", "/r4/Patient/p1", &matched, PATIENT).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    for bad in ["{", r#"{"resourceType":"Patient"}"#] {
        let answer = caller.call("PUT", "/r4/Patient/p9", &[("x-provenance", bad)], &PATIENT.replace("p1", "p9")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(caller.get("/r4/Patient/p9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(targets().await.len(), 4, "a refused write leaves no Provenance");
}

#[tokio::test]
async fn a_provenance_in_a_header_names_the_version_that_its_write_made_whoever_races() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let provenance = [("x-provenance", r#"{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z"}"#)];
    let put = async || caller.call("PUT", "/r4/Patient/p1", &provenance, PATIENT).await.status;
    let (first, second, third) = tokio::join!(put(), put(), put());
    assert!([first, second, third].iter().all(|status| status.is_success()), "{first} {second} {third}");
    let page = caller.get("/r4/Provenance").await.json();
    let mut targets: Vec<_> = page["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["target"].to_string()).collect();
    targets.sort();
    assert_eq!(targets, [1, 2, 3].map(|version| format!(r#"[{{"reference":"Patient/p1/_history/{version}"}}]"#)));

    caller.delete("/r4/Patient/p1").await;
    assert!(put().await.is_success(), "brought back");
    let newest = caller.get("/r4/Provenance/_history?_count=1").await.json();
    assert_eq!(newest["entry"][0]["resource"]["target"][0]["reference"], "Patient/p1");
}

#[tokio::test]
async fn a_parameter_that_would_be_ignored_is_refused_and_nothing_is_written() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1?_format=json&_pretty=true", PATIENT).await;
    for (method, path, expected) in [
        ("POST", "/r4/Patient?identifier=7", "'identifier'"),
        ("PUT", "/r4/Patient/p1?_foo=1", "'_foo'"),
        ("POST", "/r4/Patient/p1?_foo=1", "'_foo'"),
        ("DELETE", "/r4/Patient/p1?_cascade=delete", "'_cascade'"),
        ("GET", "/r4/Patient/p1?_elements=foo", "'foo'"),
        ("GET", "/r4/Patient/p1?_summary=some", "'_summary=some'"),
        ("GET", "/r4/Patient/p1/_history/1?_foo=1", "'_foo'"),
        ("GET", "/r4/Patient/p1/_history?_count=0", "'_count'"),
        ("GET", "/r4/_history?_count=0", "'_count'"),
    ] {
        let body = if matches!(method, "PUT" | "POST") { PATIENT } else { "" };
        let answer = caller.call(method, path, &[], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}: {}", answer.text);
        assert!(answer.outcome_text().contains(expected), "{method} {path}: {}", answer.text);
    }
    let history = caller.get("/r4/_history").await.json();
    assert_eq!((&history["total"], &history["entry"][0]["response"]["etag"]), (&1.into(), &r#"W/"1""#.into()), "{history}");
    let other = caller.put("/r4/Patient/p2", r#"{"resourceType":"Observation","id":"p2"}"#).await;
    assert!(other.outcome_text().contains("the body has the type Observation, the address Patient"), "{}", other.text);
}
