//! The calls of `$export`, line by line of Bulk Data: answers, headers, and what the files hold.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::caller::{Caller, header_text, run_export_worker, run_worker};
use crate::test_server::{Answer, TestServer};

const ASYNC: (&str, &str) = ("prefer", "respond-async");
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

async fn kick_off(caller: &Caller<'_>, path: &str) -> Answer {
    caller.call("GET", path, &[ASYNC], "").await
}

/// Starts an export that must be accepted; its status address, without the server.
async fn started(caller: &Caller<'_>, path: &str) -> String {
    let answer = kick_off(caller, path).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    header_text(&answer, "content-location").strip_prefix("http://lethe.test").unwrap().to_owned()
}

/// Starts an export and plans it to its end; the manifest.
async fn exported(caller: &Caller<'_>, path: &str) -> Value {
    let status = started(caller, path).await;
    assert!(run_export_worker(caller.server).await);
    let answer = caller.get(&status).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// The lines of one file of a manifest.
async fn lines(caller: &Caller<'_>, output: &Value) -> Vec<Value> {
    let path = output["url"].as_str().unwrap().strip_prefix("http://lethe.test").unwrap();
    let answer = caller.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(header_text(&answer, "content-type"), "application/fhir+ndjson");
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn fill(caller: &Caller<'_>) {
    for id in ["a", "b", "c"] {
        caller.stored(&format!("/r4/Patient/{id}"), &format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)).await;
    }
    caller.stored("/r4/Observation/o", r#"{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.50}}"#).await;
}

#[tokio::test]
async fn the_whole_flow_from_kick_off_to_removal() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let bystander = Caller::of(&server, caller.client.clone(), "bystander").await;
    fill(&caller).await;
    fill(&bystander).await;
    let answer = kick_off(&caller, "/r4/$export?_outputFormat=application/fhir%2Bndjson").await;
    assert_eq!((answer.status, answer.json()["issue"][0]["severity"].clone()), (StatusCode::ACCEPTED, json!("information")));
    let status = header_text(&answer, "content-location").strip_prefix("http://lethe.test").unwrap().to_owned();
    assert!(status.starts_with("/r4/$export/"), "{status}");

    let running = caller.get(&status).await;
    assert_eq!((running.status, running.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_eq!((header_text(&running, "x-progress"), header_text(&running, "retry-after")), ("0 resources planned", "1"));
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a","active":true}"#).await;
    assert!(run_export_worker(&server).await);
    let done = caller.get(&status).await;
    assert_eq!(header_text(&done, "content-type"), "application/json; charset=utf-8");
    assert_eq!(header_text(&done, "expires"), "Wed, 15 Nov 2023 22:13:20 GMT");
    assert_eq!(
        done.json(),
        json!({
            "transactionTime": "2023-11-14T22:13:20.000Z",
            "request": "http://lethe.test/r4/$export",
            "requiresAccessToken": true,
            "output": [
                { "type": "Observation", "url": format!("http://lethe.test{status}/1.ndjson"), "count": 1 },
                { "type": "Patient", "url": format!("http://lethe.test{status}/2.ndjson"), "count": 3 },
            ],
            "deleted": [],
            "error": [],
        })
    );
    let observations = caller.get(&format!("{status}/1.ndjson")).await;
    assert!(observations.text.contains(r#""value":1.50"#) && observations.text.ends_with("}\n"), "digits are kept: {}", observations.text);
    let patients = lines(&caller, &done.json()["output"][1]).await;
    assert_eq!(patients.iter().map(|patient| patient["id"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(patients[0]["meta"]["versionId"], "1", "as it was at kick-off");

    for other in ["3.ndjson", "0.ndjson", "1", "1.ndjson/", "x.ndjson"] {
        assert_eq!(caller.get(&format!("{status}/{other}")).await.status == StatusCode::OK, other == "1.ndjson/", "{other}");
    }
    let removed = caller.delete(&status).await;
    assert_eq!(removed.status, StatusCode::ACCEPTED, "{}", removed.text);
    for (method, path) in [("GET", status.clone()), ("DELETE", status.clone()), ("GET", format!("{status}/1.ndjson"))] {
        let gone = caller.call(method, &path, &[], "").await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{method} {path}");
        assert!(!gone.outcome_text().is_empty());
    }
    assert_eq!(caller.get("/r4/Patient/a").await.status, StatusCode::OK, "the resources are as they were");
}

#[tokio::test]
async fn a_kick_off_is_asynchronous_and_takes_what_it_knows() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    for (path, headers, expected) in [
        ("/r4/$export", &[][..], "Prefer: respond-async"),
        ("/r4/$export", &[("prefer", "return=minimal")], "Prefer: respond-async"),
        ("/r4/$export?_elements=id", &[ASYNC], "'_elements' is not a parameter"),
        ("/r4/$export?_type=Patiant", &[ASYNC], "Patiant"),
        ("/r4/$export?_type=Patient&", &[ASYNC], "stray '&'"),
        ("/r4/$export?_since=now", &[ASYNC], "_since"),
        ("/r4/$export?_outputFormat=text/csv", &[ASYNC], "NDJSON"),
    ] {
        let refused = caller.call("GET", path, headers, "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {}", refused.text);
        assert!(refused.outcome_text().contains(expected) && refused.outcome_text().contains("nothing was started"), "{}", refused.text);
    }
    assert!(!run_export_worker(&server).await, "nothing was started");

    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "_type", "valueString": "Patient,Group" }, { "name": "_since", "valueInstant": "2023-01-01T00:00:00Z" },
    ] });
    let by_post = caller.call("POST", "/r4/%24export", &[("prefer", "handling=strict, respond-async")], &parameters.to_string()).await;
    assert_eq!(by_post.status, StatusCode::ACCEPTED, "{}", by_post.text);
    assert!(run_export_worker(&server).await);
    let status = header_text(&by_post, "content-location").strip_prefix("http://lethe.test").unwrap().to_owned();
    let request = caller.get(&status).await.field("request");
    assert_eq!(request, "http://lethe.test/r4/$export?_type=Group,Patient&_since=2023-01-01T00:00:00.000Z");
    assert_eq!(caller.call("PUT", "/r4/$export", &[ASYNC], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_second_export_while_one_is_planned_is_429() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let status = started(&caller, "/r4/$export").await;
    let second = kick_off(&caller, "/r4/$export").await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS, "{}", second.text);
    assert_eq!(header_text(&second, "content-location"), format!("http://lethe.test{status}"));
    assert!(second.headers.contains_key("retry-after") && second.json()["issue"][0]["code"] == "throttled");
    assert_eq!(caller.delete(&status).await.status, StatusCode::ACCEPTED);
    assert!(!run_export_worker(&server).await, "a canceled export is not planned");
    assert_eq!(exported(&caller, "/r4/$export").await["output"], json!([]));
}

#[tokio::test]
async fn since_tells_what_changed_and_what_was_deleted() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let first = exported(&caller, "/r4/$export").await;
    caller.stored("/r4/Patient/a", r#"{"resourceType":"Patient","id":"a","active":true}"#).await;
    assert_eq!(caller.delete("/r4/Patient/b").await.status, StatusCode::NO_CONTENT);
    let since = first["transactionTime"].as_str().unwrap();
    let second = exported(&caller, &format!("/r4/$export?_since={since}")).await;
    assert_eq!(second["output"].as_array().unwrap().len(), 1);
    assert_eq!(lines(&caller, &second["output"][0]).await[0]["meta"]["versionId"], "2");
    assert_eq!(second["deleted"][0]["type"], "Bundle");
    let deleted = lines(&caller, &second["deleted"][0]).await;
    assert_eq!(
        deleted,
        [json!({ "resourceType": "Bundle", "type": "transaction", "entry": [{ "request": { "method": "DELETE", "url": "Patient/b" } }] })]
    );
}

#[tokio::test]
async fn exports_are_private_and_a_client_may_export_all_its_accounts() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let sibling = Caller::of(&server, caller.client.clone(), "sibling").await;
    let foreign = Caller::new(&server).await;
    fill(&caller).await;
    fill(&sibling).await;
    let status = started(&caller, "/r4/$export").await;
    run_export_worker(&server).await;
    for other in [&sibling, &foreign] {
        for path in [status.clone(), format!("{status}/1.ndjson")] {
            let unseen = other.get(&path).await;
            let unknown = other.get(&path.replace(&status, "/r4/$export/f707145c-7c51-44ae-8bcd-9a55bff81974")).await;
            assert_eq!((unseen.status, unseen.text), (StatusCode::NOT_FOUND, unknown.text), "{path}");
        }
        assert_eq!(other.delete(&status).await.status, StatusCode::NOT_FOUND);
    }
    let anonymous = server.headers(axum::http::Method::GET, &format!("{status}/1.ndjson"), &[]).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED, "a file needs the same credentials");

    let of_client = [("x-oneup-user-id", "client"), ASYNC];
    let wide = caller.by_headers("GET", "/r4/$export?_type=Patient", &of_client, "").await;
    assert_eq!(wide.status, StatusCode::ACCEPTED, "{}", wide.text);
    run_export_worker(&server).await;
    let path = header_text(&wide, "content-location").strip_prefix("http://lethe.test").unwrap();
    let manifest = caller.as_client("GET", path, "").await.json();
    let owners: Vec<&Value> = manifest["output"].as_array().unwrap().iter().map(|output| &output["extension"]["oneup_user_id"]).collect();
    assert_eq!(owners, [&json!(caller.account_id), &json!(sibling.account_id)]);
    assert_eq!(caller.as_client("GET", &format!("{path}/2.ndjson"), "").await.text.lines().count(), 3);
    assert_eq!(caller.get(path).await.status, StatusCode::NOT_FOUND, "it tells of all accounts");
    assert_eq!(caller.as_client("GET", &status, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_file_of_many_lines_is_whole_and_expires_after_a_day() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let text = "x".repeat(4_000);
    for chunk in 0..3 {
        let entries: Vec<Value> = (0..500)
            .map(|number| {
                let id = format!("p{chunk}-{number}");
                let resource = json!({ "resourceType": "Patient", "id": id, "name": [{ "text": text }] });
                json!({ "resource": resource, "request": { "method": "PUT", "url": format!("Patient/{id}") } })
            })
            .collect();
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
        assert_eq!(caller.post("/r4", &bundle.to_string()).await.status, StatusCode::OK);
    }
    let status = started(&caller, "/r4/$export").await;
    run_export_worker(&server).await;
    let manifest = caller.get(&status).await.json();
    let patients = lines(&caller, &manifest["output"][0]).await;
    assert_eq!((patients.len(), patients[1_499]["id"].as_str()), (1_500, Some("p2-499")), "several parts, in order");
    let head = caller.call("HEAD", &format!("{status}/1.ndjson"), &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    server.clock.advance_ms(DAY_MS);
    assert!(caller.server.store.remove_expired().await.is_ok());
    // The token is older than its time, too: ask as the client.
    assert_eq!(caller.as_client("GET", &status, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_purge_removed_is_missing_from_the_files() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill(&caller).await;
    let manifest = exported(&caller, "/r4/$export").await;
    assert_eq!(lines(&caller, &manifest["output"][1]).await.len(), 3, "the control");
    caller.purge("?_type=Patient").await;
    assert!(run_worker(&server).await);
    assert_eq!(lines(&caller, &manifest["output"][1]).await.len(), 0);
    assert_eq!(lines(&caller, &manifest["output"][0]).await.len(), 1);
}

async fn fill_by_patient(caller: &Caller<'_>) {
    fill(caller).await;
    for (id, patient, status) in [("oa", "a", "final"), ("ob", "b", "final"), ("oc", "c", "preliminary")] {
        let observation =
            json!({ "resourceType": "Observation", "id": id, "status": status, "subject": { "reference": format!("Patient/{patient}") } });
        caller.stored(&format!("/r4/Observation/{id}"), &observation.to_string()).await;
    }
    // By an absolute reference to the host that was called.
    let members =
        json!([{ "entity": { "reference": "http://host.test:8080/r4/Patient/a" } }, { "entity": { "reference": "Patient/nobody" } }]);
    let group = json!({ "resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": members });
    caller.stored("/r4/Group/g", &group.to_string()).await;
}

/// `Type/id` of everything that a manifest leads to, sorted.
async fn everything(caller: &Caller<'_>, manifest: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for output in manifest["output"].as_array().unwrap() {
        let lines = lines(caller, output).await;
        assert_eq!(Some(lines.len() as u64), output["count"].as_u64(), "{output}");
        found.extend(lines.iter().map(|line| format!("{}/{}", line["resourceType"].as_str().unwrap(), line["id"].as_str().unwrap())));
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn conditions_patients_and_groups_narrow_an_export() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill_by_patient(&caller).await;
    let filtered =
        exported(&caller, "/r4/$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal%26subject%3DPatient%252Fa").await;
    assert_eq!(everything(&caller, &filtered).await, ["Observation/oa"]);
    assert_eq!(
        filtered["request"],
        "http://lethe.test/r4/$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal%26subject%3DPatient%252Fa"
    );

    let of_patients = exported(&caller, "/r4/Patient/$export?_type=Patient,Observation,Medication").await;
    let expected = ["Observation/oa", "Observation/ob", "Observation/oc", "Patient/a", "Patient/b", "Patient/c"];
    assert_eq!(everything(&caller, &of_patients).await, expected);
    assert!(lines(&caller, &of_patients["error"][0]).await[0]["issue"][0]["details"]["text"].as_str().unwrap().starts_with("Medication"));

    let of_group = exported(&caller, "/r4/Group/g/$export").await;
    assert_eq!(everything(&caller, &of_group).await, ["Group/g", "Observation/oa", "Patient/a"]);
    assert_eq!(of_group["request"], "http://lethe.test/r4/Group/g/$export");
    assert_eq!((&of_group["error"][0]["type"], &of_group["error"][0]["count"]), (&json!("OperationOutcome"), &json!(1)));
    let issue = &lines(&caller, &of_group["error"][0]).await[0];
    assert!(issue["resourceType"] == "OperationOutcome" && issue.to_string().contains("Patient/nobody"), "{issue}");

    for (path, expected) in [
        ("/r4/Group/none/$export", StatusCode::NOT_FOUND),
        ("/r4/Observation/oa/$export", StatusCode::NOT_FOUND),
        ("/r4/Patient/$export?_typeFilter=Patient%3Fname.x%3D1", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(kick_off(&caller, path).await.status, expected, "{path}");
    }
    let of_client = [("x-oneup-user-id", "client"), ASYNC];
    assert_eq!(caller.by_headers("GET", "/r4/Group/g/$export", &of_client, "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(caller.get("/r4/Group/g").await.status, StatusCode::OK, "the routes leave the rest alone");
    assert_eq!(caller.get("/r4/Group/g/_history").await.status, StatusCode::OK);

    caller.purge("?_type=Medication").await;
    run_worker(&server).await;
    let path = of_group["output"][0]["url"].as_str().unwrap().strip_prefix("http://lethe.test").unwrap();
    assert_eq!(caller.get(path).await.status, StatusCode::OK, "nothing was removed");
    caller.purge("?_type=Observation").await;
    run_worker(&server).await;
    assert_eq!(caller.get(path).await.status, StatusCode::NOT_FOUND, "what the export was asked by is gone");
}

#[tokio::test]
async fn an_export_by_patients_can_be_of_some_of_them() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    fill_by_patient(&caller).await;
    let reference = |id: &str| json!({ "name": "patient", "valueReference": { "reference": format!("Patient/{id}") } });
    let post = async |path: &str, ids: &[&str]| {
        let parameters: Vec<Value> = ids.iter().map(|id| reference(id)).collect();
        let body = json!({ "resourceType": "Parameters", "parameter": parameters }).to_string();
        let answer = caller.call("POST", path, &[ASYNC], &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        assert!(run_export_worker(&server).await);
        let status = header_text(&answer, "content-location").strip_prefix("http://lethe.test").unwrap().to_owned();
        caller.get(&status).await.json()
    };
    for (path, ids, expected, told) in [
        ("/r4/Patient/$export", &["a", "c"][..], &["Group/g", "Observation/oa", "Observation/oc", "Patient/a", "Patient/c"][..], None),
        ("/r4/Patient/$export", &["b", "none"], &["Observation/ob", "Patient/b"], Some("Patient/none was not there")),
        ("/r4/Group/g/$export", &["a"], &["Group/g", "Observation/oa", "Patient/a"], None),
        ("/r4/Group/g/$export", &["b"], &[], Some("Patient/b is no member")),
    ] {
        let manifest = post(path, ids).await;
        assert_eq!(everything(&caller, &manifest).await, expected, "{path} {ids:?}");
        let errors = manifest["error"].as_array().unwrap();
        assert_eq!(errors.len(), usize::from(told.is_some()), "{path} {ids:?}: {manifest}");
        if let Some(told) = told {
            let issue = &lines(&caller, &errors[0]).await[0];
            assert!(issue["issue"][0]["details"]["text"].as_str().unwrap().starts_with(told), "{issue}");
        }
        assert!(manifest["request"].as_str().unwrap().contains("patient=Patient%2F"), "{manifest}");
    }
    let of_client = [("x-oneup-user-id", "client"), ASYNC];
    let refused = caller.by_headers("GET", "/r4/Patient/$export?patient=Patient/a", &of_client, "").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}
