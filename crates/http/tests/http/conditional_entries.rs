//! Conditions inside Bundles: entries with conditions, conditional references, patches.

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::test_server::{Answer, TestServer};

fn reference_of(answer: &Answer, entry: usize) -> String {
    let json = answer.json();
    let location = json["entry"][entry]["response"]["location"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned();
    location.strip_prefix("http://lethe.test/r4/").unwrap().split("/_history").next().unwrap().to_owned()
}

fn patient(value: &str) -> Value {
    json!({ "resourceType": "Patient", "identifier": [{ "system": "http://x", "value": value }] })
}

fn observation(subject: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" }, "subject": { "reference": subject } })
}

fn create(resource: &Value) -> Value {
    json!({ "request": { "method": "POST", "url": resource["resourceType"] }, "resource": resource })
}

fn create_if_none(full_url: &str, value: &str) -> Value {
    json!({ "fullUrl": full_url, "request": { "method": "POST", "url": "Patient", "ifNoneExist": format!("identifier=http://x|{value}") },
            "resource": patient(value) })
}

async fn count(caller: &Caller<'_>, resource_type: &str) -> u64 {
    caller.get(&format!("/r4/{resource_type}?_summary=count")).await.json()["total"].as_u64().unwrap()
}

async fn subject_of(caller: &Caller<'_>, reference: &str) -> Value {
    caller.get(&format!("/r4/{reference}")).await.json()["subject"]["reference"].clone()
}

#[tokio::test]
async fn a_conditional_create_in_a_transaction_stands_for_what_is_there() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let entries = json!([create_if_none("urn:uuid:pat", "1"), create(&observation("urn:uuid:pat"))]);
    let first = caller.bundle("transaction", entries.clone()).await;
    assert_eq!(first.entry_statuses(), ["201", "201"]);
    let second = caller.bundle("transaction", entries).await;
    assert_eq!(second.entry_statuses(), ["200", "201"], "{}", second.text);
    assert_eq!(reference_of(&second, 0), reference_of(&first, 0));
    for answer in [&first, &second] {
        assert_eq!(subject_of(&caller, &reference_of(answer, 1)).await, reference_of(&first, 0));
    }
    assert_eq!((count(&caller, "Patient").await, count(&caller, "Observation").await), (1, 2));
    let batch = caller.bundle("batch", json!([create_if_none("urn:uuid:a", "1"), create_if_none("urn:uuid:b", "2")])).await;
    assert_eq!(batch.entry_statuses(), ["200", "201"]);
}

#[tokio::test]
async fn conditional_references_lead_to_exactly_one_resource() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller
        .stored("/r4/Patient/known", &json!({ "resourceType": "Patient", "id": "known", "identifier": [{ "value": "a#b" }] }).to_string())
        .await;
    let answer = caller
        .bundle(
            "transaction",
            json!([
                create(&observation("Patient?identifier=a%23b")),
                create(&observation("Patient?identifier=http://x|new")),
                create_if_none("urn:uuid:new", "new"),
            ]),
        )
        .await;
    assert_eq!(answer.entry_statuses(), ["201", "201", "201"]);
    assert_eq!(subject_of(&caller, &reference_of(&answer, 0)).await, "Patient/known");
    assert_eq!(subject_of(&caller, &reference_of(&answer, 1)).await, reference_of(&answer, 2), "one that the Bundle itself creates");

    caller.post("/r4/Patient", &patient("new").to_string()).await;
    for (reference, status, reason) in [
        ("Patient?identifier=http://x|none", StatusCode::BAD_REQUEST, "(0 fit)"),
        ("Patient?identifier=http://x|new", StatusCode::PRECONDITION_FAILED, "selects 2 resources"),
        ("Patient?nome=x", StatusCode::BAD_REQUEST, "'nome'"),
        ("Patient?", StatusCode::BAD_REQUEST, "a condition is needed"),
    ] {
        let answer = caller.bundle("transaction", json!([create(&patient("other")), create(&observation(reference))])).await;
        assert_eq!(answer.status, status, "{reference}: {}", answer.text);
        let text = answer.outcome_text();
        assert!(text.contains("Bundle.entry[1]") && text.contains(reference) && text.contains(reason), "{reference}: {text}");
    }
    assert_eq!(count(&caller, "Patient").await, 3, "nothing of a refused transaction is stored");
    let single = caller.post("/r4/Observation", &observation("Patient?identifier=a%23b").to_string()).await;
    assert_eq!(single.status, StatusCode::BAD_REQUEST);
    let batch = caller.bundle("batch", json!([create(&observation("Patient?identifier=a%23b"))])).await;
    assert_eq!(batch.entry_statuses(), ["400"], "their place is a transaction");
}

#[tokio::test]
async fn entries_with_conditions_update_delete_and_patch_the_one_that_fits() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let parameters = json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": "add" }, { "name": "path", "valueString": "Patient" }, { "name": "name", "valueString": "active" },
        { "name": "value", "valueBoolean": true }] }] });
    let binary = json!({ "resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": STANDARD.encode(r#"[{"op":"add","path":"/gender","value":"male"}]"#) });
    for kind in ["transaction", "batch"] {
        for value in ["del", "fp", "jp", "upd"] {
            caller.put(&format!("/r4/Patient?identifier=http://x|{value}"), &patient(value).to_string()).await;
        }
        let url = |value: &str| format!("Patient?identifier=http://x|{value}");
        let answer = caller
            .bundle(
                kind,
                json!([
                    { "request": { "method": "PUT", "url": url("upd") }, "resource": patient("upd") },
                    { "request": { "method": "PATCH", "url": url("fp") }, "resource": parameters },
                    { "request": { "method": "PATCH", "url": url("jp") }, "resource": binary },
                    { "request": { "method": "DELETE", "url": url("del") } },
                    { "request": { "method": "DELETE", "url": url("none") } },
                    { "request": { "method": "GET", "url": url("del") } },
                    { "request": { "method": "GET", "url": "Patient?active=true&gender:missing=true" } },
                ]),
            )
            .await;
        assert_eq!(answer.entry_statuses(), ["200", "200", "200", "204", "204", "200", "200"], "{kind}: {}", answer.text);
        assert_eq!(answer.json()["entry"][5]["resource"]["total"], 0, "reads come last");
        assert_eq!(answer.json()["entry"][6]["resource"]["total"], 1);
        assert_eq!(caller.get("/r4/Patient?identifier=http://x|jp").await.json()["entry"][0]["resource"]["gender"], "male");
    }
    for (entry, status) in [
        (json!({ "request": { "method": "PATCH", "url": "Patient?identifier=http://x|none" }, "resource": parameters }), "404"),
        (json!({ "request": { "method": "PATCH", "url": "Patient?identifier=http://x|jp" }, "resource": patient("jp") }), "400"),
        (
            json!({ "request": { "method": "PATCH", "url": "Patient?identifier=http://x|jp", "ifMatch": "W/\"99\"" }, "resource": parameters }),
            "412",
        ),
        (json!({ "request": { "method": "DELETE", "url": "Patient?nome=x" } }), "400"),
        (json!({ "request": { "method": "GET", "url": "Patient", "ifNoneExist": "x=1" } }), "400"),
    ] {
        assert_eq!(caller.bundle("batch", json!([entry])).await.entry_statuses(), [status], "{entry}");
        assert!(!caller.bundle("transaction", json!([entry])).await.status.is_success(), "{entry}");
    }
}

#[tokio::test]
async fn identities_that_overlap_are_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.put("/r4/Patient?identifier=http://x|1", &patient("1").to_string()).await;
    let id = caller.get("/r4/Patient?identifier=http://x|1").await.json()["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let mut own = patient("1");
    own["id"] = json!(id);
    let update = json!({ "request": { "method": "PUT", "url": format!("Patient/{id}") }, "resource": own });
    let conditional = json!({ "request": { "method": "PUT", "url": "Patient?identifier=http://x|1" }, "resource": patient("1") });
    let delete = json!({ "request": { "method": "DELETE", "url": format!("Patient/{id}") } });
    assert_eq!(
        caller.bundle("transaction", json!([update.clone(), create_if_none("urn:uuid:1", "1")])).await.entry_statuses(),
        ["200", "200"]
    );
    for entries in [
        json!([update, conditional]),
        json!([delete, update]),
        json!([create_if_none("urn:uuid:1", "new"), create_if_none("urn:uuid:2", "new")]),
    ] {
        let answer = caller.bundle("transaction", entries.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{entries}: {}", answer.text);
        assert!(answer.outcome_text().contains("Bundle.entry[1]"), "{entries}: {}", answer.text);
    }
    assert_eq!(count(&caller, "Patient").await, 1);
}

/// A patient under an id of its own.
fn put(id: &str, value: &str) -> Value {
    let mut resource = patient(value);
    resource["id"] = json!(id);
    json!({ "request": { "method": "PUT", "url": format!("Patient/{id}") }, "resource": resource })
}

fn put_if(value: &str) -> Value {
    json!({ "request": { "method": "PUT", "url": format!("Patient?identifier=http://x|{value}") }, "resource": patient(value) })
}

fn delete(url: &str) -> Value {
    json!({ "request": { "method": "DELETE", "url": url } })
}

const ONE: &str = "Patient?identifier=http://x|1";

#[tokio::test]
async fn conditions_are_judged_after_the_deletes_of_their_transaction() {
    for (entries, statuses, left) in [
        (json!([create_if_none("urn:uuid:1", "1"), delete("Patient/a")]), ["201", "204"], 1),
        (json!([put_if("1"), delete("Patient/a")]), ["201", "204"], 1),
        (json!([put_if("1"), delete(ONE)]), ["201", "204"], 1),
        (json!([create_if_none("urn:uuid:1", "1"), delete(ONE)]), ["201", "204"], 1),
        (json!([create(&patient("1")), delete(ONE)]), ["201", "204"], 1),
        (json!([put("b", "1"), delete(ONE)]), ["201", "204"], 1),
        // The control: without the delete it stays.
        (json!([put_if("1"), put("b", "2")]), ["200", "201"], 1),
    ] {
        let server = TestServer::start();
        let caller = Caller::new(&server).await;
        caller.bundle("transaction", json!([put("a", "1")])).await;
        let answer = caller.bundle("transaction", entries.clone()).await;
        assert_eq!(answer.entry_statuses(), statuses, "{entries}");
        let found = caller.get(&format!("/r4/{ONE}")).await.json();
        assert_eq!(found["total"], left, "{entries}: {found}");
    }
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.bundle("transaction", json!([put("a", "1"), put("b", "1"), put("c", "1")])).await;
    let entries = json!([put_if("1"), delete("Patient/a"), delete("Patient/b"), create(&observation(ONE))]);
    let answer = caller.bundle("transaction", entries).await;
    assert_eq!(answer.entry_statuses(), ["200", "204", "204", "201"]);
    assert_eq!(subject_of(&caller, &reference_of(&answer, 3)).await, "Patient/c", "the one that is left");
}

#[tokio::test]
async fn conditional_references_are_resolved_when_all_is_written() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.bundle("transaction", json!([put("a", "1")])).await;
    let entries = json!([create(&observation(ONE)), create(&patient("1")), delete("Patient/a")]);
    let answer = caller.bundle("transaction", entries).await;
    assert_eq!(answer.entry_statuses(), ["201", "201", "204"]);
    assert_eq!(subject_of(&caller, &reference_of(&answer, 0)).await, reference_of(&answer, 1), "the new one");
    for (entries, status, reason) in [
        (json!([create(&observation(ONE)), delete(ONE)]), StatusCode::BAD_REQUEST, "(0 fit)"),
        (json!([create(&observation(ONE)), put("b", "1")]), StatusCode::BAD_REQUEST, "depend on their order"),
        (json!([create(&observation(ONE)), put(&reference_of(&answer, 1)[8..], "2")]), StatusCode::BAD_REQUEST, "depend on their order"),
        (
            json!([create(&observation("Patient?identifier=http://x|n")), put("b", "n"), put("c", "n")]),
            StatusCode::PRECONDITION_FAILED,
            "selects 2",
        ),
    ] {
        let refused = caller.bundle("transaction", entries.clone()).await;
        assert_eq!(refused.status, status, "{entries}: {}", refused.text);
        let text = refused.outcome_text();
        assert!(text.contains(reason) && text.contains("Bundle.entry[0]"), "{entries}: {text}");
        assert_eq!((count(&caller, "Patient").await, count(&caller, "Observation").await), (1, 1), "{entries}: nothing was written");
    }
}

#[tokio::test]
async fn a_condition_that_depends_on_another_entry_is_refused() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.bundle("transaction", json!([put("a", "stored")])).await;
    for entries in [
        json!([create_if_none("urn:uuid:1", "1"), create(&patient("1"))]),
        json!([create_if_none("urn:uuid:1", "stored"), create(&patient("stored"))]),
        json!([put_if("1"), create(&patient("1"))]),
        json!([put_if("1"), put("b", "1")]),
        json!([put_if("stored"), create(&patient("stored"))]),
        json!([put_if("stored"), put("b", "stored")]),
    ] {
        let answer = caller.bundle("transaction", entries.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{entries}: {}", answer.text);
        let text = answer.outcome_text();
        assert!(text.contains("depend on their order") && text.contains("Bundle.entry[0]"), "{entries}: {text}");
        assert_eq!(count(&caller, "Patient").await, 1, "{entries}");
    }
    let control = caller.bundle("transaction", json!([put_if("1"), put("b", "2"), create_if_none("urn:uuid:1", "3")])).await;
    assert_eq!(control.entry_statuses(), ["201", "201", "201"]);
}

#[tokio::test]
async fn reads_in_bundles_know_head_and_what_the_client_has() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", r#"{"resourceType":"Patient","id":"p1"}"#).await;
    let answer = caller
        .bundle(
            "batch",
            json!([
                { "request": { "method": "GET", "url": "Patient/p1", "ifNoneMatch": "W/\"1\"" } },
                { "request": { "method": "GET", "url": "Patient/p1", "ifNoneMatch": "W/\"2\"" } },
                { "request": { "method": "HEAD", "url": "Patient/p1" } },
            ]),
        )
        .await;
    assert_eq!(answer.entry_statuses(), ["304", "200", "200"]);
    let entries = answer.json()["entry"].clone();
    assert!(entries[0].get("resource").is_none() && entries[2].get("resource").is_none() && entries[1]["resource"]["id"] == "p1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_at_the_same_moment_create_what_they_share_once() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let send =
        async || caller.bundle("transaction", json!([create_if_none("urn:uuid:pat", "1"), create(&observation("urn:uuid:pat"))])).await;
    let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
    let mut subjects = std::collections::BTreeSet::new();
    for answer in [a, b, c, d] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        subjects.insert(subject_of(&caller, &reference_of(&answer, 1)).await.to_string());
    }
    assert_eq!((count(&caller, "Patient").await, subjects.len()), (1, 1), "{subjects:?}");
}
