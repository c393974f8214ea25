//! Batch and transaction.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::test_server::{Answer, TestServer};

fn bundle(kind: &str, entries: Value) -> String {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string()
}

/// The id that an entry was stored under.
fn id_of(answer: &Answer, entry: usize) -> String {
    let json = answer.json();
    let location = json["entry"][entry]["response"]["location"].as_str().unwrap().to_owned();
    location.strip_prefix("http://lethe.test/r4/").unwrap().split('/').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_transaction_resolves_names_and_stores_all() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let entries = json!([
        { "fullUrl": "urn:uuid:doc", "request": { "method": "POST", "url": "DocumentReference" }, "resource": {
            "resourceType": "DocumentReference", "status": "current", "subject": { "reference": "urn:uuid:pat" },
            "text": { "status": "generated", "div": "<div><a href=\"urn:uuid:pat\">urn:uuid:pat</a></div>" },
            "content": [{ "attachment": { "url": "urn:uuid:bin" } }] } },
        { "fullUrl": "urn:uuid:pat", "request": { "method": "POST", "url": "Patient" }, "resource": {
            "resourceType": "Patient", "identifier": [{ "value": "urn:uuid:pat" }] } },
        { "fullUrl": "urn:uuid:bin", "request": { "method": "PUT", "url": "Binary/b1" }, "resource": {
            "resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "eA==" } },
        { "fullUrl": "http://old.org/fhir/Group/7", "request": { "method": "POST", "url": "Group" }, "resource": {
            "resourceType": "Group", "id": "7", "type": "person", "actual": true } },
        { "request": { "method": "POST", "url": "http://lethe.test/r4/Basic" }, "resource": {
            "resourceType": "Basic", "code": { "text": "x" }, "subject": { "reference": "Group/7" } } },
    ]);
    let answer = caller.bundle("transaction", entries).await;
    assert_eq!(answer.entry_statuses(), ["201"; 5]);
    let (patient, group) = (id_of(&answer, 1), id_of(&answer, 3));
    let document = caller.get(&format!("/r4/DocumentReference/{}", id_of(&answer, 0))).await.json();
    assert_eq!(document["subject"]["reference"], format!("Patient/{patient}"));
    assert_eq!(document["content"][0]["attachment"]["url"], "Binary/b1");
    assert_eq!(document["text"]["div"], format!("<div><a href=\"Patient/{patient}\">urn:uuid:pat</a></div>"));
    assert_eq!(caller.get(&format!("/r4/Patient/{patient}")).await.json()["identifier"][0]["value"], "urn:uuid:pat");
    let basic = caller.get(&format!("/r4/Basic/{}", id_of(&answer, 4))).await.json();
    assert_eq!(basic["subject"]["reference"], format!("Group/{group}"), "the id that a create replaced");
    assert_eq!(answer.json()["entry"][2]["response"]["etag"], r#"W/"1""#);
}

#[tokio::test]
async fn one_bad_entry_undoes_a_transaction_and_is_named() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p0", r#"{"resourceType":"Patient","id":"p0"}"#).await;
    let put = |id: &str| json!({ "request": { "method": "PUT", "url": format!("Patient/{id}") }, "resource": { "resourceType": "Patient", "id": id } });
    let good = put("p1");
    assert_eq!(caller.bundle("transaction", json!([put("control")])).await.entry_statuses(), ["201"]);
    let mut stale = put("p0");
    stale["request"]["ifMatch"] = json!("W/\"9\"");
    let mut conditional = put("p9");
    conditional["request"]["ifNoneExist"] = json!("identifier=x");
    let resource = |resource: Value| json!({ "request": { "method": "POST", "url": "Observation" }, "resource": resource });
    let cases = [
        (stale, StatusCode::PRECONDITION_FAILED, "W/\"1\""),
        (put("p1"), StatusCode::BAD_REQUEST, "twice"),
        (json!({ "request": { "method": "DELETE", "url": "Patient/p1" } }), StatusCode::BAD_REQUEST, "twice"),
        (conditional, StatusCode::BAD_REQUEST, "ifNoneExist"),
        (
            resource(json!({ "resourceType": "Observation", "subject": { "reference": "Patient?name=x" } })),
            StatusCode::BAD_REQUEST,
            "the conditional reference 'Patient?name=x': it selects no Patient (0 fit)",
        ),
        (resource(json!({ "resourceType": "Observation", "subject": { "reference": "x" } })), StatusCode::BAD_REQUEST, "'x'"),
        (resource(json!({ "resourceType": "Patient" })), StatusCode::BAD_REQUEST, "the body has the type Patient"),
        (json!({ "request": { "method": "POST", "url": "Observation" } }), StatusCode::BAD_REQUEST, "no resource"),
        (
            json!({ "request": { "method": "PUT", "url": "Patient" }, "resource": { "resourceType": "Patient" } }),
            StatusCode::BAD_REQUEST,
            "needs an id",
        ),
        (json!({ "request": { "method": "PATCH", "url": "Patient/p0" } }), StatusCode::BAD_REQUEST, "no resource"),
        (json!({ "request": { "method": "POST", "url": "Patient?name=x" } }), StatusCode::BAD_REQUEST, "has a query where none can be"),
        (json!({ "request": { "method": "PUT", "url": "Patient?_count=1" } }), StatusCode::BAD_REQUEST, "'_count' has no place"),
        (json!({ "request": { "method": "BREW", "url": "Patient/p1" } }), StatusCode::BAD_REQUEST, "BREW"),
        (json!({ "request": { "method": "DELETE", "url": "Patiant/p1" } }), StatusCode::BAD_REQUEST, "'Patiant'"),
        (json!({ "request": { "method": "DELETE", "url": "Patient/a_b" } }), StatusCode::BAD_REQUEST, "not a valid id"),
    ];
    for (bad, status, reason) in cases {
        let answer = caller.bundle("transaction", json!([good, bad])).await;
        assert_eq!(answer.status, status, "{bad}: {}", answer.text);
        let text = answer.outcome_text();
        assert!(text.contains(reason) && text.contains("Bundle.entry[1]"), "{bad}: {text}");
        assert_eq!(caller.get("/r4/Patient/p1").await.status, StatusCode::NOT_FOUND, "{bad}: nothing was stored");
    }
    let mut twin = put("p2");
    twin["fullUrl"] = json!("urn:uuid:1");
    let mut other = put("p3");
    other["fullUrl"] = json!("urn:uuid:1");
    let answer = caller.bundle("transaction", json!([twin, other])).await;
    assert!(answer.outcome_text().contains("fullUrl"), "{}", answer.text);
}

#[tokio::test]
async fn entries_are_done_in_fhirs_order_and_answered_in_their_own() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/old", r#"{"resourceType":"Patient","id":"old"}"#).await;
    let entries = json!([
        { "request": { "method": "GET", "url": "Patient/new" } },
        { "request": { "method": "GET", "url": "Patient?_id=new,old" } },
        { "request": { "method": "PUT", "url": "Patient/new" }, "resource": { "resourceType": "Patient", "id": "new" } },
        { "request": { "method": "POST", "url": "Patient" }, "resource": { "resourceType": "Patient" } },
        { "request": { "method": "DELETE", "url": "Patient/old" } },
        { "request": { "method": "GET", "url": "Patient/new?_elements=id" } },
        { "request": { "method": "POST", "url": "Patient/_search?_id=new,old" } },
        { "request": { "method": "GET", "url": "metadata" } },
    ]);
    for (kind, put) in [("transaction", "201"), ("batch", "200")] {
        let answer = caller.bundle(kind, entries.clone()).await;
        assert_eq!(answer.json()["type"], format!("{kind}-response"));
        assert_eq!(answer.entry_statuses(), ["200", "200", put, "201", "204", "200", "200", "200"], "{kind}");
        let json = answer.json();
        let resource = |index: usize| &json["entry"][index]["resource"];
        assert_eq!((&resource(0)["id"], &resource(5)["id"]), (&json!("new"), &json!("new")));
        assert_eq!((&resource(1)["total"], &resource(6)["total"]), (&json!(1), &json!(1)));
        assert_eq!(resource(7)["resourceType"], "CapabilityStatement");
    }
}

#[tokio::test]
async fn a_read_that_fails_fails_its_transaction_and_only_itself_in_a_batch() {
    let get = |url: &str| json!({ "request": { "method": "GET", "url": url } });
    let post = |url: &str| json!({ "request": { "method": "POST", "url": url }, "resource": { "resourceType": "Patient" } });
    let delete = json!({ "request": { "method": "DELETE", "url": "Patient/p0" } });
    let put = |id: &str| json!({ "request": { "method": "PUT", "url": format!("Patient/{id}") }, "resource": { "resourceType": "Patient", "id": id } });
    let (put, put_control) = (put("p1"), put("control"));
    for (entries, batch, reason) in [
        (json!([put, get("Patient/never")]), "404", "no Patient with this id"),
        (json!([put, get("Patient/a_b")]), "404", "not a valid id"),
        (json!([put, get("Patient/gone")]), "410", "deleted"),
        (json!([put, get("Patient/p0/_history/7")]), "404", "no such version"),
        (json!([put, get("Patient/p0/_history/x")]), "404", "no such version"),
        (json!([put, get("Patient/p0/_history")]), "400", "not of the form"),
        (json!([put, get("Patient?nome=x")]), "400", "'nome'"),
        (json!([put, get("Patient/p0?name=x")]), "400", "'name'"),
        (json!([put, post("Patient/_search?_id=p0")]), "400", "leave the resource out"),
        (json!([put, post("Patient/p0/_history/1")]), "400", "can only be read"),
        (json!([delete, get("Patient/p0")]), "410", "deletes what this entry reads"),
        (json!([put, get("Patient/p1/_history/1")]), "200", "writes the resource of which"),
    ] {
        let server = TestServer::start();
        let caller = Caller::new(&server).await;
        caller.stored("/r4/Patient/p0", r#"{"resourceType":"Patient","id":"p0"}"#).await;
        caller.stored("/r4/Patient/gone", r#"{"resourceType":"Patient","id":"gone"}"#).await;
        caller.delete("/r4/Patient/gone").await;
        let control = caller.bundle("transaction", json!([put_control, get("Patient/p0/_history/1"), get("Patient/control")])).await;
        assert_eq!(control.entry_statuses(), ["201", "200", "200"]);
        let whole = caller.bundle("transaction", entries.clone()).await;
        assert_eq!(whole.status, StatusCode::BAD_REQUEST, "{entries}: {}", whole.text);
        let text = whole.outcome_text();
        assert!(text.contains(reason) && text.contains("Bundle.entry[1]"), "{entries}: {text}");
        assert_eq!(caller.get("/r4/Patient/p1").await.status, StatusCode::NOT_FOUND, "{entries}: nothing was stored");
        assert_eq!(caller.get("/r4/Patient/p0").await.status, StatusCode::OK, "{entries}: nothing was deleted");
        assert_eq!(caller.bundle("batch", json!([entries[0], entries[1]])).await.entry_statuses()[1], batch, "{entries}");
    }
}

#[tokio::test]
async fn entries_of_a_batch_stand_for_themselves() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p0", r#"{"resourceType":"Patient","id":"p0"}"#).await;
    let entries = json!([
        { "request": { "method": "PUT", "url": "Patient/p1" }, "resource": { "resourceType": "Patient", "id": "p1" } },
        { "request": { "method": "PUT", "url": "Patient/p0", "ifMatch": "W/\"9\"" }, "resource": { "resourceType": "Patient", "id": "p0" } },
        { "request": { "method": "POST", "url": "Patient" }, "resource": { "resourceType": "Patiant" } },
        { "request": { "method": "PUT", "url": "Patient/p0", "ifMatch": "W/\"1\"" }, "resource": { "resourceType": "Patient", "id": "p0" } },
        { "request": { "method": "PUT", "url": "Patient/p2" }, "resource": { "resourceType": "Patient", "id": "p2" } },
    ]);
    let answer = caller.call("POST", "/r4", &[("prefer", "return=representation")], &bundle("batch", entries)).await;
    assert_eq!(answer.entry_statuses(), ["201", "412", "400", "200", "201"]);
    let json = answer.json();
    assert_eq!(json["entry"][0]["resource"]["id"], "p1");
    assert!(json["entry"][2]["response"]["outcome"]["issue"][0]["details"]["text"].as_str().unwrap().contains("'Patiant'"));
    assert_eq!(caller.get("/r4/Patient?_summary=count").await.json()["total"], 3);
}

#[tokio::test]
async fn what_is_no_batch_or_transaction_is_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for (body, reason) in [
        ("{".to_owned(), "not valid JSON"),
        (r#"{"resourceType":"Bundle","type":"batch","type":"transaction","entry":[]}"#.to_owned(), "'type' stands twice"),
        (r#"{"resourceType":"Patient"}"#.to_owned(), "not a Bundle"),
        (bundle("collection", json!([])), "'collection'"),
        (bundle("batch", json!([{}])), "entry[0]"),
    ] {
        let answer = caller.post("/r4", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.outcome_text().contains(reason), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_transaction_and_its_provenance_are_one_write() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", r#"{"resourceType":"Patient","id":"p1"}"#).await;
    caller.stored("/r4/Patient/p2", r#"{"resourceType":"Patient","id":"p2"}"#).await;
    let provenance = [("x-provenance", r#"{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z"}"#)];
    let entries = json!([
        { "request": { "method": "PUT", "url": "Patient/p1" }, "resource": { "resourceType": "Patient", "id": "p1" } },
        { "request": { "method": "DELETE", "url": "Patient/p2" } },
        { "request": { "method": "PUT", "url": "Patient/p3" }, "resource": { "resourceType": "Patient", "id": "p3" } },
    ]);
    let batch = caller.call("POST", "/r4", &provenance, &bundle("batch", entries.clone())).await;
    assert_eq!(batch.status, StatusCode::BAD_REQUEST);
    let answer = caller.call("POST", "/r4", &provenance, &bundle("transaction", entries)).await;
    assert_eq!(answer.entry_statuses(), ["200", "204", "201"]);
    let stored = caller.get("/r4/Provenance").await.json();
    let targets = &stored["entry"][0]["resource"]["target"];
    let expected = ["Patient/p2/_history/2", "Patient/p1/_history/2", "Patient/p3/_history/1"];
    assert_eq!(*targets, json!(expected.map(|reference| json!({ "reference": reference }))));
}

#[tokio::test]
async fn reads_of_a_bundle_end_where_the_answer_would_be_too_large() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let large = json!({ "resourceType": "Basic", "id": "b1", "code": { "text": "x".repeat(8 << 20) } });
    caller.stored("/r4/Basic/b1", &large.to_string()).await;
    let read = json!({ "request": { "method": "GET", "url": "Basic/b1" } });
    let answer = caller.bundle("batch", Value::Array(vec![read; 12])).await;
    let statuses = answer.entry_statuses();
    assert_eq!((statuses[0].as_str(), statuses[11].as_str()), ("200", "413"), "{statuses:?}");
}
