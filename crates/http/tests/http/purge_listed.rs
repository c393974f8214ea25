//! `_typeFilter`, and purges of a patient or of a Group's members.

use axum::http::StatusCode;
use lethe_jobs::JobEvent;
use lethe_store::PurgeEnd;
use serde_json::{Value, json};

use crate::caller::{Caller, header_text, run_worker};
use crate::test_server::{Answer, TestServer};

/// Two patients with observations, a Group of them and of others, and what is in no compartment.
async fn fill(caller: &Caller<'_>) {
    for patient in ["a", "b"] {
        caller.stored(&format!("/r4/Patient/{patient}"), &format!(r#"{{"resourceType":"Patient","id":"{patient}"}}"#)).await;
        for status in ["final", "entered-in-error"] {
            let id = format!("{patient}-{status}");
            let subject = json!({"reference": format!("Patient/{patient}")});
            let observation = json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": "x"}, "subject": subject});
            caller.stored(&format!("/r4/Observation/{id}"), &observation.to_string()).await;
        }
    }
    caller.stored("/r4/Device/d", r#"{"resourceType":"Device","id":"d"}"#).await;
    caller.stored("/r4/Practitioner/r", r#"{"resourceType":"Practitioner","id":"r"}"#).await;
    let members = ["Patient/a", "Patient/nobody", "Device/d"].map(|reference| json!({"entity": {"reference": reference}}));
    let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": members});
    caller.stored("/r4/Group/g", &group.to_string()).await;
}

async fn count(caller: &Caller<'_>, resource_type: &str) -> u64 {
    caller.get(&format!("/r4/{resource_type}?_summary=count")).await.json()["total"].as_u64().unwrap()
}

/// The answer to a call that waits for its job.
async fn post_and_work(caller: &Caller<'_>, path: &str, body: &str) -> Answer {
    let work = async {
        while !run_worker(caller.server).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(caller.post(path, body), work).0
}

#[tokio::test]
async fn a_type_filter_narrows_a_type_and_the_job_tells_the_type_alone() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let query = "_type=Observation&_typeFilter=Observation%3Fstatus%3Dentered-in-error%26subject%3DPatient/a";
    let said = caller.get(&format!("/r4/$purge-preview?{query}")).await.json()["preview"].clone();
    assert_eq!((&said["resourceCount"], &said["filteredTypes"], &said["level"]), (&json!(1), &json!(["Observation"]), &json!("system")));
    let digest = said["digest"].as_str().unwrap();
    // The same in a body; what another filter would remove does not start.
    let parameters = |filter: &str| {
        let parameter = |name: &str, value: &str| json!({"name": name, "valueString": value});
        let list = [parameter("_type", "Observation"), parameter("_typeFilter", filter), parameter("_expect", digest)];
        json!({"resourceType": "Parameters", "parameter": list}).to_string()
    };
    let other = caller.post("/r4/$purge", &parameters("Observation?status=entered-in-error&subject=Patient/b")).await;
    assert_eq!(other.status, StatusCode::PRECONDITION_FAILED, "{}", other.text);
    let started = caller.post("/r4/$purge", &parameters("Observation?status=entered-in-error&subject=Patient/a")).await;
    assert_eq!(started.status, StatusCode::OK, "{}", started.text);
    assert!(started.text.starts_with(r#"{"job":{"userId""#) && started.json()["job"]["typeList"] == json!(["Observation"]));
    let id = started.json()["job"]["id"].as_str().unwrap().to_owned();
    assert!(run_worker(&server).await);
    let job = caller.job(&id).await;
    assert_eq!((&job["status"], &job["deletedCount"], &job["filteredTypes"]), (&json!("successful"), &json!(1), &json!(["Observation"])));
    assert!(!job.to_string().contains("entered-in-error"), "conditions are not kept: {job}");
    assert_eq!(caller.get("/r4/Observation/a-entered-in-error").await.status, StatusCode::NOT_FOUND);
    assert_eq!((count(&caller, "Observation").await, count(&caller, "Patient").await), (3, 2));
    // Twice is either.
    let id = caller.purge("?_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal&_typeFilter=Observation%3Fstatus%3Damended").await;
    assert!(run_worker(&server).await);
    assert_eq!(caller.job(&id).await["deletedCount"], 2);
}

#[tokio::test]
async fn a_type_filter_that_is_not_understood_starts_nothing() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    for (query, expected) in [
        ("_typeFilter=Observation%3Fstatus%3Dfinal", "'_typeFilter' narrows the types of '_type', and that is missing"),
        ("_type=Patient&_typeFilter=Observation%3Fstatus%3Dfinal", "Observation is not among the types of '_type'"),
        ("_type=Observation&_typeFilter=", "'_typeFilter' has an empty value"),
        ("_type=Observation&_typeFilter=Observation", "'Observation' is not of the form Type?name=value"),
        ("_type=Observation&_typeFilter=Observation%3F", "not of the form"),
        ("_type=Observation&_typeFilter=Observation%3Fstatus%3D", "status"),
        ("_type=Observation&_typeFilter=Obsevation%3Fstatus%3Dfinal", "Obsevation"),
        ("_type=Observation&_typeFilter=Observation%3Fstatsu%3Dfinal", "no search parameter 'statsu'"),
        ("_type=Observation&_typeFilter=Observation%3Fpatient.name%3Dx", "chained"),
        ("_type=Observation&_typeFilter=Observation%3F_has:Provenance:target:agent%3DPractitioner/r", "_has"),
        ("_type=Observation&_typeFilter=Observation%3F_sort%3Ddate", "'_sort' is no condition"),
        ("_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal%26_format%3Djson", "'_format' is no condition"),
        ("_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal%26", "stray '&'"),
        ("_type=Observation&_typeFilter=Observation%3F%26%26status%3Dfinal", "stray '&'"),
        ("_type=Observation&_typeFilter=Observation%3Fstatus:nonsense%3Dfinal", "nonsense"),
        ("_type=Observation&_typeFilters=Observation%3Fstatus%3Dfinal", "'_typeFilters' is not a parameter"),
        ("_type=Observation&_typeFilter=Observation?status=final&code=x", "'code' is not a parameter"),
    ] {
        for path in ["/r4/$purge", "/r4/$purge-preview", "/r4/Patient/a/$purge", "/r4/Group/g/$purge"] {
            let refused = caller.post(&format!("{path}?{query}"), "").await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {query}: {}", refused.text);
            assert!(refused.outcome_text().contains(expected), "{path} {query}: {}", refused.text);
        }
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let twice = "/r4/$purge?_type=Observation&_typeFilter=Observation%3Fstatus%3Dnosuch";
    let refused = caller.call("POST", twice, &form, "_typeFilter=Observation%3Fstatus%3Dfinal").await;
    assert!(
        refused.status == StatusCode::BAD_REQUEST && refused.outcome_text().contains("in the query and in the body"),
        "{}",
        refused.text
    );
    assert_eq!(caller.get("/r4/$purge").await.json()["jobs"], json!([]));
    let many = "&_typeFilter=Observation%3Fstatus%3Dfinal".repeat(101);
    let refused = caller.post(&format!("/r4/$purge?_type=Observation{many}"), "").await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.outcome_text().contains("more than 100"), "{}", refused.text);
}

fn issues(answer: &Answer) -> Vec<Value> {
    answer.json()["issue"].as_array().unwrap().clone()
}

fn text(issue: &Value) -> &str {
    issue["details"]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_patient_goes_with_its_compartment_and_the_answer_says_what_stays() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let said = caller.get("/r4/Patient/a/$purge-preview").await.json()["preview"].clone();
    assert_eq!((&said["level"], &said["resourceCount"]), (&json!("patient"), &json!(4)), "{said}");
    assert_eq!(said["stays"]["inNoCompartment"], json!({"Device": 1, "Practitioner": 1}));
    let digest = said["digest"].as_str().unwrap();
    let refused = caller.post(&format!("/r4/Patient/b/$purge?_expect={digest}"), "").await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "another patient's digest: {}", refused.text);
    let done = post_and_work(&caller, &format!("/r4/Patient/a/%24purge?_expect={digest}&_reason=request%207"), "").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let issues = issues(&done);
    assert_eq!((&issues[0]["severity"], &issues[0]["code"]), (&json!("information"), &json!("informational")));
    assert_eq!(issues[0]["details"]["coding"], json!([{"system": "http://hl7.org/fhir/issue-type", "code": "success"}]));
    assert!(text(&issues[0]).contains("4 of 4 resources were removed"), "{}", done.text);
    assert!(text(&issues[1]).contains("stays: 1 Device, 1 Practitioner"), "{}", done.text);
    assert_eq!(caller.get("/r4/Patient/a").await.status, StatusCode::NOT_FOUND);
    assert_eq!((count(&caller, "Patient").await, count(&caller, "Observation").await, count(&caller, "Device").await), (1, 2, 1));
    let status = header_text(&done, "content-location").strip_prefix("http://lethe.test").unwrap().to_owned();
    let job = caller.get(&status).await.json()["job"].clone();
    assert_eq!((&job["level"], &job["reason"], &job["status"]), (&json!("patient"), &json!("request 7"), &json!("successful")));
    assert_eq!(caller.get(&format!("{status}/certificate")).await.status, StatusCode::OK, "the same evidence");
    let again = caller.post("/r4/Patient/a/$purge", "").await;
    assert!(again.status == StatusCode::NOT_FOUND && again.outcome_text().contains("nothing was started"), "{}", again.text);
}

#[tokio::test]
async fn a_group_goes_with_its_members_and_the_answer_names_those_that_are_none() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let said = caller.get("/r4/Group/g/$purge-preview").await.json()["preview"].clone();
    assert_eq!(said["unresolvedMembers"].as_array().map(Vec::len), Some(2), "{said}");
    let accepted = caller.call("POST", "/r4/Group/g/$purge", &[("prefer", "respond-async")], "").await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let told = issues(&accepted);
    let missing: Vec<&str> = told.iter().filter(|issue| issue["severity"] == "warning").map(text).collect();
    assert!(missing.len() == 2 && missing[0].contains("Device/d") && missing[1].contains("Patient/nobody"), "{}", accepted.text);
    assert!(text(&told[3]).contains("1 Device"), "{}", accepted.text);
    assert!(run_worker(&server).await);
    let path = header_text(&accepted, "content-location").strip_prefix("http://lethe.test").unwrap();
    let done = caller.get(path).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(text(&issues(&done)[1]).contains("stays: 1 Device, 1 Practitioner"), "{}", done.text);
    let left = [count(&caller, "Patient").await, count(&caller, "Observation").await, count(&caller, "Group").await];
    assert_eq!(left, [1, 2, 0], "the Group is in the compartment of its member");
}

#[tokio::test]
async fn a_group_in_which_nobody_is_now_is_purged_with_a_warning() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    for member in [
        json!([]),
        json!([{"entity": {"reference": "Patient/a"}, "inactive": true}]),
        json!([{"entity": {"reference": "Patient/a"}, "period": {"end": "2001"}}]),
    ] {
        let mut group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true});
        if member != json!([]) {
            group["member"] = member.clone();
        }
        caller.stored("/r4/Group/g", &group.to_string()).await;
        let said = caller.get("/r4/Group/g/$purge-preview").await.json()["preview"].clone();
        let told = said["unresolvedMembers"].as_array().unwrap();
        assert!(told.len() == 1 && told[0].to_string().contains("no member of the Group is a patient here now"), "{member}: {said}");
        let is_warned = |issues: &[Value]| {
            issues
                .iter()
                .any(|issue| issue["severity"] == "warning" && issue["details"]["text"].to_string().contains("no member of the Group"))
        };
        let done = post_and_work(&caller, "/r4/Group/g/$purge", "").await;
        assert!(done.status == StatusCode::OK && is_warned(&issues(&done)), "{member}: {}", done.text);
        let accepted = caller.call("POST", "/r4/Group/g/$purge", &[("prefer", "respond-async")], "").await;
        assert!(accepted.status == StatusCode::ACCEPTED && is_warned(&issues(&accepted)), "{member}: {}", accepted.text);
        assert!(run_worker(&server).await);
        let polled = caller.get(header_text(&accepted, "content-location").strip_prefix("http://lethe.test").unwrap()).await;
        assert!(polled.status == StatusCode::OK && is_warned(&issues(&polled)), "{member}: {}", polled.text);
        assert_eq!(count(&caller, "Patient").await, 2);
    }
    // The control: nobody is warned of a Group of which something went.
    caller
        .stored(
            "/r4/Group/g",
            r#"{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/a"}}]}"#,
        )
        .await;
    let done = post_and_work(&caller, "/r4/Group/g/$purge", "").await;
    assert!(issues(&done).iter().all(|issue| issue["severity"] != "warning"), "{}", done.text);
    assert_eq!(count(&caller, "Patient").await, 1);
}

#[tokio::test]
async fn what_is_not_there_or_not_meant_starts_nothing() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let stranger = Caller::of(&server, caller.client.clone(), "stranger").await;
    fill(&caller).await;
    caller.stored("/r4/Patient/was", r#"{"resourceType":"Patient","id":"was"}"#).await;
    caller.delete("/r4/Patient/was").await;
    for (path, status, expected) in [
        ("/r4/Patient/nobody/$purge", StatusCode::NOT_FOUND, "no Patient with this id"),
        ("/r4/Group/nobody/$purge", StatusCode::NOT_FOUND, "no Group with this id"),
        ("/r4/Patient/a_b/$purge", StatusCode::NOT_FOUND, "not a valid id"),
        ("/r4/Patient/was/$purge", StatusCode::GONE, "_includeDeleted=true"),
        ("/r4/Patient/a/$purge?_type=Device", StatusCode::BAD_REQUEST, "Device is in no patient's compartment"),
        ("/r4/Patient/a/$purge?_befor=2024", StatusCode::BAD_REQUEST, "'_befor'"),
        ("/r4/Patient/a/$purge?patient=b", StatusCode::BAD_REQUEST, "'patient' is not a parameter"),
        ("/r4/Patient/a/$purge?_type=", StatusCode::BAD_REQUEST, "'_type' has an empty value"),
    ] {
        for path in [path.to_owned(), path.replace("$purge", "$purge-preview")] {
            let refused = caller.post(&path, "").await;
            assert_eq!(refused.status, status, "{path}: {}", refused.text);
            assert!(refused.outcome_text().contains(expected), "{path}: {}", refused.text);
        }
    }
    assert_eq!(stranger.post("/r4/Patient/a/$purge", "").await.status, StatusCode::NOT_FOUND, "another account's");
    let of_all = caller.as_client("POST", "/r4/Patient/a/$purge", "").await;
    assert!(of_all.status == StatusCode::BAD_REQUEST && of_all.outcome_text().contains("belongs to one"), "{}", of_all.text);
    assert_eq!(caller.get("/r4/Patient/a/$purge").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(caller.get("/r4/$purge").await.json()["jobs"], json!([]));
    // With the deletions, and with types.
    let done = post_and_work(&caller, "/r4/Patient/was/$purge?_includeDeleted=true", "").await;
    assert!(done.outcome_text().contains("1 of 1 resources were removed"), "{}", done.text);
    let body = r#"{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Observation"},
        {"name":"_typeFilter","valueString":"Observation?status=final"}]}"#;
    let done = post_and_work(&caller, "/r4/Patient/a/$purge", body).await;
    assert!(done.outcome_text().contains("1 of 1 resources were removed"), "{}", done.text);
    assert_eq!((count(&caller, "Patient").await, count(&caller, "Observation").await), (2, 3));
}

#[tokio::test]
async fn a_job_that_failed_before_its_plan_is_retried_until_its_question_is_forgotten() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let fail = async || {
        let accepted = caller.call("POST", "/r4/Patient/a/$purge", &[("prefer", "respond-async")], "").await;
        let path = header_text(&accepted, "content-location").strip_prefix("http://lethe.test").unwrap().replace("async", "$purge");
        let lease = server.store.claim_purge().await.unwrap().unwrap().lease;
        let failed = PurgeEnd::without_probe(JobEvent::Fail, Some("planted"), false);
        server.store.finish_purge(&lease, &failed, &server.issuer).await.unwrap();
        assert_eq!(caller.get(&path).await.json()["job"]["status"], "failed", "the control");
        path
    };
    let first = fail().await;
    let polled = caller.get(&first.replace("$purge", "async")).await;
    assert_eq!(polled.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", polled.text);
    assert!(polled.outcome_text().contains("PUT"), "{}", polled.text);
    // Another purge of the account has begun since.
    let second = fail().await;
    let refused = caller.call("PUT", &first, &[], "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.outcome_text().contains("start a new purge"), "{}", refused.text);
    let told = caller.get(&first.replace("$purge", "async")).await;
    assert!(told.outcome_text().contains("start a new purge") && !told.outcome_text().contains("PUT"), "{}", told.text);
    assert_eq!(count(&caller, "Patient").await, 2);
    let retried = caller.call("PUT", &second, &[], "").await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.text);
    assert!(run_worker(&server).await);
    assert_eq!(caller.get(&second).await.json()["job"]["status"], "successful");
    assert_eq!(count(&caller, "Patient").await, 1);
}
