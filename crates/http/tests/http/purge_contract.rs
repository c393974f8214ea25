//! The calls of `$purge`, line by line of the contract: answers, headers, and what a purge leaves behind.

use axum::http::StatusCode;
use lethe_jobs::JobEvent;
use lethe_purge::plan::BatchLimits;
use lethe_store::{NextBatch, PurgeEnd};
use serde_json::{Value, json};

use crate::caller::{Caller, header_text, run_worker};
use crate::test_server::{Answer, TestServer};

const NO_JOB: &str = "f707145c-7c51-44ae-8bcd-9a55bff81974";

async fn store_patients(caller: &Caller<'_>, count: usize) {
    for number in 0..count {
        let body = format!(r#"{{"resourceType":"Patient","id":"p{number}"}}"#);
        caller.stored(&format!("/r4/Patient/p{number}"), &body).await;
    }
}

fn keys(json: &Value) -> Vec<&str> {
    json.as_object().unwrap().keys().map(String::as_str).collect()
}

fn status_url(job_id: &str) -> String {
    format!("http://lethe.test/r4/$purge/{job_id}")
}

fn conflict(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    assert_eq!(answer.json()["issue"][0]["code"], "conflict");
    answer.outcome_text()
}

#[tokio::test]
async fn a_kick_off_answers_as_printed_and_its_job_runs_to_the_end() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let bystander = Caller::of(&server, caller.client.clone(), "bystander").await;
    store_patients(&caller, 3).await;
    store_patients(&bystander, 2).await;
    caller.stored("/r4/Group/g1", r#"{"resourceType":"Group","id":"g1"}"#).await;
    server.clock.advance_ms(575);

    let started = caller.post("/r4/$purge?_type=Patient&_before=2024&_reason=request+7", "").await;
    assert_eq!(started.status, StatusCode::OK, "{}", started.text);
    let job = started.json()["job"].clone();
    let id = job["id"].as_str().unwrap().to_owned();
    let (user, client) = (caller.account_id, &caller.client.client_id);
    let printed = format!(
        concat!(
            r#"{{"job":{{"userId":"{user}","clientId":"{client}","typeList":["Patient"],"beforeDate":"2024-01-01T00:00:00.000Z","id":"{id}","#,
            r#""status":"in progress","retryCount":0,"createdOn":"2023-11-14T22:13:20.575Z","completedOn":null,"lastUpdated":null,"#,
            r#""resourceCount":null,"deletedCount":null,"initializedOn":null}}}}"#
        ),
        user = user,
        client = client,
        id = id
    );
    assert_eq!(started.text, printed);
    assert_eq!(header_text(&started, "content-type"), "application/json; charset=utf-8");
    assert_eq!(header_text(&started, "content-location"), status_url(&id));
    assert!(started.headers.contains_key("retry-after") && started.headers.contains_key("x-progress"));

    let running = caller.get(&format!("/r4/$purge/{id}")).await;
    assert_eq!(running.json()["job"]["status"], "in progress");
    assert_eq!(running.json()["job"]["resourceCount"], Value::Null);
    assert!(running.headers.contains_key("retry-after") && running.headers.contains_key("x-progress"));

    assert!(run_worker(&server).await);
    let done = caller.get(&format!("/r4/$purge/{id}")).await;
    let job = done.json()["job"].clone();
    let printed = [
        "id",
        "clientId",
        "userId",
        "status",
        "retryCount",
        "createdOn",
        "completedOn",
        "lastUpdated",
        "resourceCount",
        "deletedCount",
        "typeList",
        "beforeDate",
        "initializedOn",
        "completedBatches",
        "failedBatches",
        "totalBatches",
    ];
    assert_eq!(keys(&job)[..printed.len()], printed);
    assert_eq!(job["status"], "successful", "{job}");
    assert_eq!((&job["resourceCount"], &job["deletedCount"]), (&json!(3), &json!(3)));
    assert_eq!((&job["completedBatches"], &job["failedBatches"], &job["totalBatches"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(job["counts"]["Patient"]["deleted"], 3);
    assert_eq!(job["reason"], "request 7");
    for time in ["completedOn", "lastUpdated", "initializedOn"] {
        assert_eq!(job[time], "2023-11-14T22:13:20.575Z", "{time}");
    }
    assert_eq!(header_text(&done, "content-location"), status_url(&id));
    assert!(!done.headers.contains_key("retry-after") && !done.headers.contains_key("x-progress"), "it has ended");

    for path in ["/r4/Patient/p0", "/r4/Patient/p0/_history/1", "/r4/Patient/p0/_history"] {
        assert_eq!(caller.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(caller.get("/r4/Group/g1").await.status, StatusCode::OK);
    assert_eq!(bystander.get("/r4/Patient?_summary=count").await.json()["total"], 2);
    let again = caller.put("/r4/Patient/p0", r#"{"resourceType":"Patient","id":"p0"}"#).await;
    assert_eq!((again.status, header_text(&again, "etag")), (StatusCode::CREATED, r#"W/"1""#), "the id can be used again");
}

#[tokio::test]
async fn everything_odd_is_400_and_starts_nothing() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    store_patients(&caller, 1).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/fhir+json");
    let parameters = |list: Value| json!({ "resourceType": "Parameters", "parameter": list }).to_string();
    let type_twice = parameters(json!([{ "name": "_type", "valueString": "Group" }]));
    let unknown = parameters(json!([{ "name": "_typ", "valueString": "Group" }]));
    let cases: &[(&str, (&str, &str), &str)] = &[
        ("?_befor=2024", json, ""),
        ("?_typeFilter=Patient%3Factive%3Dtrue", json, ""),
        ("?_expect=x", json, ""),
        ("?_befor=2024", ("prefer", "respond-async"), ""),
        ("?_format=json", json, ""),
        ("?_type=", json, ""),
        ("?_type", json, ""),
        ("?_type=Patient&_type=Group", json, ""),
        ("?_before=2024&_before=2025", json, ""),
        ("?_type=Patiant", json, ""),
        ("?_before=2024-01-01T10:00:00", json, ""),
        ("?_before=%zz", json, ""),
        ("?_includeDeleted=1", json, ""),
        ("?&", json, ""),
        ("?_type=Patient&&", json, ""),
        ("?&_type=Patient", json, ""),
        ("?_type=Patient&&_before=2024", json, ""),
        ("", form, "&"),
        ("?_type=Patient", form, "_type=Group"),
        ("?_type=Patient", json, &type_twice),
        ("", form, "_befor=2024"),
        ("", form, "{}"),
        ("", json, &unknown),
        ("", json, "{}"),
        ("", json, r#"{"_type":"Patient"}"#),
        ("", json, r#"{"resourceType":"Patient"}"#),
        ("", json, "_type=Patient"),
        ("", json, r#"{"resourceType":"Parameters","parameter":null}"#),
        ("", json, r#"{"resourceType":"Parameters","id":5,"meta":"x"}"#),
        ("", json, r#"["Parameters",null,null,null]"#),
    ];
    for (query, content_type, body) in cases {
        let answer = caller.call("POST", &format!("/r4/$purge{query}"), &[*content_type], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query} {body}: {}", answer.text);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    assert!(caller.post("/r4/$purge?_type=Patiant", "").await.outcome_text().contains("'Patiant'"), "names the type");
    let plus = caller.post("/r4/$purge?_before=2024-01-01T10:00:00+02:00", "").await;
    assert_eq!(plus.status, StatusCode::BAD_REQUEST);
    assert!(plus.outcome_text().contains("2024-01-01T10:00:00%2B02:00"), "{}", plus.text);
    let plain = caller.call("POST", "/r4/$purge", &[("content-type", "text/plain")], "_type=Patient").await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for path in ["/r4/$purge/", "/r4/%24purge/", "/fhir/r4/$purge/", "/r4/$purge//", "/r4/$purge/?_type=Patient"] {
        for method in ["POST", "GET", "PUT", "DELETE"] {
            let answer = caller.call(method, path, &[], "").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.text);
            assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        }
    }
    let get = caller.get("/r4/$purge?_type=Patient").await;
    assert_eq!(get.status, StatusCode::BAD_REQUEST, "GET does not purge, and says so");
    assert_eq!(caller.get("/r4/$purge").await.json(), json!({ "jobs": [], "next": null }));
    assert!(!run_worker(&server).await, "no job exists");
    assert_eq!(caller.get("/r4/Patient/p0").await.status, StatusCode::OK);
}

#[tokio::test]
async fn parameters_may_come_as_query_form_or_parameters() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "_before", "valueInstant": "2024-01-01T00:00:00Z" }, { "name": "_includeDeleted", "valueBoolean": true } ] });
    for (query, content_type, body) in [
        ("?_type=Group&_before=2024-01-01&_includeDeleted=true", "application/json", String::new()),
        ("", "application/x-www-form-urlencoded", "_type=Group&_before=2024-01-01&_includeDeleted=true".to_owned()),
        ("?_type=Group", "application/fhir+json", parameters.to_string()),
    ] {
        let answer = caller.call("POST", &format!("/fhir/r4/%24purge{query}"), &[("content-type", content_type)], &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        run_worker(&server).await;
        let job = caller.job(answer.json()["job"]["id"].as_str().unwrap()).await;
        assert_eq!((&job["typeList"], &job["beforeDate"]), (&json!(["Group"]), &json!("2024-01-01T00:00:00.000Z")));
        assert_eq!((&job["includeDeleted"], &job["status"]), (&json!(true), &json!("successful")));
    }
}

#[tokio::test]
async fn one_job_at_a_time_per_account_and_per_client() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    let running = caller.purge("").await;
    let second = caller.post("/r4/$purge", "").await;
    assert!(conflict(&second).contains(&running), "names the running job");
    assert_eq!(header_text(&second, "content-location"), status_url(&running));
    conflict(&caller.as_client("POST", "/r4/$purge", "").await);
    let other = neighbour.purge("").await;
    assert_ne!(other, running, "another account is free");
    assert!(run_worker(&server).await && run_worker(&server).await);

    let wide = caller.as_client("POST", "/r4/$purge", "").await;
    assert_eq!(wide.status, StatusCode::OK, "{}", wide.text);
    assert_eq!((&wide.json()["job"]["userId"], &wide.json()["job"]["typeList"]), (&json!("client"), &json!([])));
    let wide = wide.json()["job"]["id"].as_str().unwrap().to_owned();
    for account in [&caller, &neighbour] {
        assert_eq!(account.get(&format!("/r4/$purge/{wide}")).await.status, StatusCode::NOT_FOUND, "not for a single account to see");
        let refused = account.post("/r4/$purge", "").await;
        let text = conflict(&refused);
        assert!(text.contains(&wide) && text.contains("whole client") && text.contains("x-oneup-user-id: client"), "{text}");
        assert!(!text.contains("DELETE"), "it cannot cancel it: {text}");
        assert_eq!(header_text(&refused, "content-location"), status_url(&wide));
    }
    let by_client = conflict(&caller.as_client("POST", "/r4/$purge", "").await);
    assert!(by_client.contains(&wide) && by_client.contains("cancel it with DELETE"), "{by_client}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_kick_offs_at_once_one_starts() {
    let server = Box::leak(Box::new(TestServer::start()));
    let caller: &'static Caller<'static> = Box::leak(Box::new(Caller::new(server).await));
    let kick_offs: Vec<_> = (0..32)
        .map(|number| {
            tokio::spawn(async move {
                match number % 2 {
                    0 => caller.post("/r4/$purge", "").await,
                    _ => caller.as_client("POST", "/r4/$purge", "").await,
                }
            })
        })
        .collect();
    let mut started = Vec::new();
    let mut in_the_way = Vec::new();
    for kick_off in kick_offs {
        let answer = kick_off.await.unwrap();
        match answer.status {
            StatusCode::OK => started.push(header_text(&answer, "content-location").to_owned()),
            StatusCode::CONFLICT => in_the_way.push(header_text(&answer, "content-location").to_owned()),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!((started.len(), in_the_way.len()), (1, 31));
    assert!(in_the_way.iter().all(|url| *url == started[0]), "each is shown the one that runs");
}

#[tokio::test]
async fn unknown_and_foreign_jobs_have_the_same_404() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    let stranger = Caller::new(&server).await;
    let job = caller.purge("").await;
    for method in ["GET", "PUT", "DELETE"] {
        let call = async |caller: &Caller<'_>, id: &str| caller.call(method, &format!("/r4/$purge/{id}"), &[], "").await;
        let unknown = call(&caller, NO_JOB).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        for answer in [
            call(&neighbour, &job).await,
            call(&stranger, &job).await,
            call(&caller, "7").await,
            call(&caller, &job.replace('-', "")).await,
        ] {
            assert_eq!((answer.status, &answer.text), (StatusCode::NOT_FOUND, &unknown.text), "{method}");
        }
    }
    assert_eq!(caller.job(&job).await["status"], "in progress", "nobody touched it");
    let by_client = caller.as_client("GET", &format!("/r4/$purge/{job}"), "").await;
    assert_eq!(by_client.status, StatusCode::OK, "its client may look");
}

#[tokio::test]
async fn a_job_that_has_not_failed_is_not_retried_and_one_that_does_not_run_is_not_canceled() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    store_patients(&caller, 1).await;
    let job = caller.purge("").await;
    let path = format!("/r4/$purge/{job}");
    assert!(conflict(&caller.put(&path, "").await).contains("'in progress'"));
    run_worker(&server).await;
    let before = caller.job(&job).await;
    assert!(conflict(&caller.put(&path, "").await).contains("'successful'"));
    assert!(conflict(&caller.delete(&path).await).contains("'successful'"));
    assert_eq!(caller.job(&job).await, before, "nothing changed");
    for method in ["GET", "PUT", "DELETE"] {
        let answer = caller.call(method, &format!("{path}?_type=Patient"), &[], "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} takes no parameters");
    }
}

#[tokio::test]
async fn a_cancel_answers_when_the_job_has_ended_and_removes_nothing_more() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    store_patients(&caller, 2).await;
    let job = caller.purge("").await;
    let canceled = caller.delete(&format!("/r4/$purge/{job}")).await;
    assert_eq!(canceled.status, StatusCode::OK, "{}", canceled.text);
    let json = canceled.json()["job"].clone();
    assert_eq!((&json["status"], &json["deletedCount"]), (&json!("canceled"), &json!(0)));
    assert!(json["completedOn"].is_string() && !canceled.headers.contains_key("retry-after"));
    assert!(conflict(&caller.delete(&format!("/r4/$purge/{job}")).await).contains("'canceled'"));
    assert!(conflict(&caller.put(&format!("/r4/$purge/{job}"), "").await).contains("'canceled'"));
    assert!(!run_worker(&server).await);
    assert_eq!(caller.get("/r4/Patient?_summary=count").await.json()["total"], 2);
}

#[tokio::test]
async fn a_cancel_waits_for_the_worker_that_has_the_job() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    store_patients(&caller, 2).await;
    let job = caller.purge("").await;
    let claimed = server.store.claim_purge().await.unwrap().expect("the worker has it");
    let path = format!("/r4/$purge/{job}");
    let cancel = caller.delete(&path);
    let stop = async {
        loop {
            // The cancel has arrived when the job is no longer merely running; then the next worker stops it.
            let state = server.store.purge_job(&claimed.job.owner, claimed.job.job_id).await.unwrap().unwrap().state;
            if state == lethe_jobs::JobState::Canceling {
                break;
            }
            tokio::task::yield_now().await;
        }
        server.store.release_leases().await.unwrap();
        assert!(run_worker(&server).await);
    };
    let (canceled, ()) = tokio::join!(cancel, stop);
    assert_eq!(canceled.json()["job"]["status"], "canceled", "{}", canceled.text);
}

/// Plans the job and lets its batches fail for good, as a worker would on a broken disk.
pub async fn fail_every_batch(server: &TestServer) {
    let claimed = server.store.claim_purge().await.unwrap().expect("a job waits");
    let lease = &claimed.lease;
    for account_id in server.store.begin_plan(lease).await.unwrap() {
        server.store.plan_targets(lease, account_id, BatchLimits::default()).await.unwrap();
        server.store.plan_companions(lease, account_id, BatchLimits::default()).await.unwrap();
    }
    server.store.seal_plan(lease).await.unwrap();
    loop {
        match server.store.claim_batch(lease).await.unwrap() {
            NextBatch::Run(batch) => server.store.fail_batch(lease, batch, "the disk is broken", None).await.unwrap(),
            NextBatch::PrepareCompanions => server.store.prepare_companions(lease).await.unwrap(),
            _ => break,
        }
    }
    let end = PurgeEnd::without_probe(JobEvent::Fail, None, false);
    server.store.finish_purge(lease, &end, &server.issuer).await.unwrap();
}

#[tokio::test]
async fn a_failed_job_tells_its_causes_and_is_retried() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    store_patients(&caller, 3).await;
    let id = caller.purge("?_type=Patient").await;
    let path = format!("/r4/$purge/{id}");
    fail_every_batch(&server).await;
    let failed = caller.job(&id).await;
    assert_eq!((&failed["status"], &failed["failedBatches"], &failed["deletedCount"]), (&json!("failed"), &json!(1), &json!(0)));
    assert_eq!((&failed["failures"][0]["cause"], &failed["failures"][0]["type"]), (&json!("the disk is broken"), &json!("Patient")));
    assert_eq!(failed["counts"]["Patient"], json!({ "planned": 3, "deleted": 0, "spared": 0, "held": 0, "failed": 3 }));
    assert!(conflict(&caller.delete(&path).await).contains("'failed'"), "only a job in progress is canceled");

    let other = caller.purge("?_type=Group").await;
    let refused = caller.put(&path, "").await;
    assert!(conflict(&refused).contains(&other), "another job is in the way");
    assert_eq!(header_text(&refused, "content-location"), status_url(&other));
    run_worker(&server).await;

    caller.stored("/r4/Patient/later", r#"{"resourceType":"Patient","id":"later"}"#).await;
    let retried = caller.put(&path, "").await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.text);
    let job = retried.json()["job"].clone();
    assert_eq!((&job["status"], &job["retryCount"], &job["completedOn"]), (&json!("in progress"), &json!(1), &Value::Null));
    assert_eq!((header_text(&retried, "content-location"), header_text(&retried, "x-progress")), (status_url(&id).as_str(), "0/3"));
    assert!(run_worker(&server).await);
    let done = caller.job(&id).await;
    assert_eq!((&done["status"], &done["deletedCount"], &done["failedBatches"]), (&json!("successful"), &json!(3), &json!(0)));
    assert_eq!(caller.get("/r4/Patient/later").await.status, StatusCode::OK, "the first watermark stays");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let neighbour = Caller::of(&server, caller.client.clone(), "neighbour").await;
    let mut started = Vec::new();
    for _ in 0..3 {
        started.insert(0, caller.purge("").await);
        run_worker(&server).await;
        server.clock.advance_ms(1_000);
    }
    neighbour.purge("").await;
    let ids = |page: &Value| page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let first = caller.get("/r4/$purge?_count=2").await.json();
    assert_eq!(keys(&first), ["jobs", "next"]);
    let next = first["next"].as_str().unwrap().strip_prefix("http://lethe.test").unwrap().to_owned();
    let second = caller.get(&next).await.json();
    assert_eq!([ids(&first), ids(&second)].concat(), started);
    assert_eq!(second["next"], Value::Null);
    for bad in ["_page=x", "_count=0", "_count=x", "_count=1&_count=2", "_status=failed"] {
        assert_eq!(caller.get(&format!("/r4/$purge?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn by_headers_the_scope_is_said_and_never_guessed() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let unsaid = caller.by_headers("POST", "/r4/$purge", &[], "").await;
    assert_eq!(unsaid.status, StatusCode::BAD_REQUEST, "{}", unsaid.text);
    assert!(unsaid.outcome_text().contains("'client'") || unsaid.outcome_text().contains("client"), "{}", unsaid.text);
    assert_eq!(caller.get("/r4/$purge").await.json()["jobs"], json!([]));
    let number = caller.account_id.to_string();
    let said = caller.by_headers("POST", "/r4/$purge", &[("x-oneup-user-id", &number)], "").await;
    assert_eq!((said.status, &said.json()["job"]["userId"]), (StatusCode::OK, &json!(number)));
}

#[tokio::test]
async fn an_absolute_url_under_the_hosts_own_name_is_a_reference_here() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let document = |id: &str, url: &str| {
        json!({ "resourceType": "DocumentReference", "id": id, "status": "current", "content": [{ "attachment": { "url": url } }] })
            .to_string()
    };
    for id in ["b1", "b2", "b3"] {
        caller
            .stored(&format!("/r4/Binary/{id}"), &json!({ "resourceType": "Binary", "id": id, "contentType": "text/plain" }).to_string())
            .await;
    }
    caller.stored("/r4/DocumentReference/d1", &document("d1", "https://host.test:8080/r4/Binary/b1")).await;
    caller.stored("/r4/DocumentReference/d2", &document("d2", "http://lethe.test/fhir/r4/Binary/b2")).await;
    caller.stored("/r4/DocumentReference/d3", &document("d3", "http://elsewhere.test/r4/Binary/b3")).await;
    let job = caller.purge("?_type=DocumentReference").await;
    run_worker(&server).await;
    assert_eq!(caller.job(&job).await["deletedCount"], 5);
    assert_eq!(caller.get("/r4/Binary/b1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(caller.get("/r4/Binary/b2").await.status, StatusCode::NOT_FOUND);
    assert_eq!(caller.get("/r4/Binary/b3").await.status, StatusCode::OK, "another server's URL is no reference to it");
}
