//! The calls of `$import`: what becomes of lines, and what is told of it while it runs, after it, and when it breaks off.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header, request::Builder},
};
use flate2::{Compression, write::GzEncoder};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::caller::{Caller, header_text};
use crate::test_server::{Answer, TestServer};

const NDJSON: (&str, &str) = ("content-type", "application/fhir+ndjson");

async fn import(caller: &Caller<'_>, query: &str, body: &str) -> Answer {
    caller.call("POST", &format!("/r4/$import{query}"), &[NDJSON], body).await
}

fn patients(ids: impl IntoIterator<Item = u32>) -> String {
    ids.into_iter().map(|id| format!("{{\"resourceType\":\"Patient\",\"id\":\"p{id}\"}}\n")).collect()
}

async fn total(caller: &Caller<'_>) -> Value {
    caller.get("/r4/Patient?_summary=count").await.json()["total"].clone()
}

/// A body that arrives when the test says so.
struct Arriving(mpsc::UnboundedReceiver<Result<String, io::Error>>);

impl Stream for Arriving {
    type Item = Result<String, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

fn arriving() -> (mpsc::UnboundedSender<Result<String, io::Error>>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::from_stream(Arriving(receiver)))
}

fn request(caller: &Caller<'_>) -> Builder {
    Request::builder().method("POST").uri("/r4/$import").header(NDJSON.0, NDJSON.1).header(header::AUTHORIZATION, caller.authorization())
}

/// The newest import, as soon as it satisfies `is_so`.
async fn newest(caller: &Caller<'_>, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let job = caller.get("/r4/$import").await.json()["jobs"][0].clone();
        if is_so(&job) {
            return job;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lines_are_stored_and_bad_ones_told() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    caller.stored("/r4/Patient/p1", r#"{"resourceType":"Patient","id":"p1"}"#).await;
    let body = format!(
        "{}\nnonsense\n{{\"resourceType\":\"Patiant\"}}\n{{\"resourceType\":\"Observation\",\"valueQuantity\":{{\"value\":1.50}}}}",
        patients(1..=2)
    );
    let answer = import(&caller, "", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let job = &answer.json()["job"];
    let counts =
        ["readCount", "storedCount", "createdCount", "updatedCount", "rejectedCount", "lastLine", "after"].map(|name| job[name].as_u64());
    assert_eq!(counts, [6, 3, 2, 1, 2, 6, 0].map(Some));
    assert_eq!((&job["status"], &job["failure"]), (&json!("successful"), &Value::Null));
    let issues: Vec<Value> = answer.json()["outcome"]["issue"].as_array().unwrap().clone();
    let texts: Vec<&str> = issues.iter().map(|issue| issue["details"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts[0], "6 lines read, 3 resources stored");
    assert!(texts[1].starts_with("line 4: ") && texts[2].starts_with("line 5: ") && texts.len() == 3, "{texts:?}");
    assert!(caller.get("/r4/Observation").await.text.contains("1.50"));

    let path = header_text(&answer, "content-location").strip_prefix("http://lethe.test").unwrap();
    let status = caller.get(path).await;
    assert_eq!((&status.json()["job"], status.json().get("outcome")), (job, None), "what a line held is not kept");
    assert!(!status.headers.contains_key("retry-after"));
    assert_eq!(caller.delete(path).await.status, StatusCode::CONFLICT, "it has ended");
    let sibling = Caller::of(&server, caller.client.clone(), "sibling").await;
    assert_eq!(sibling.get(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sibling.delete(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sibling.get("/r4/$import").await.json(), json!({ "jobs": [] }));
    server.clock.advance_ms(24 * 60 * 60 * 1_000);
    assert_eq!(caller.as_client("GET", path, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_compressed_body_is_read_and_an_earlier_import_gone_on_with() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(patients(0..1_200).as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let cut = packed[..packed.len() / 2].to_vec();
    let broken = server.send(request(&caller).header("content-encoding", "gzip"), cut).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST, "{}", broken.text);
    let job = newest(&caller, |job| job["status"] == "failed").await;
    let line = job["lastLine"].as_u64().unwrap();
    assert!(line > 100 && broken.outcome_text().contains(&format!("?_after={line} ")), "{}", broken.text);
    assert_eq!(total(&caller).await, line);
    let rest = request(&caller).uri(format!("/r4/$import?_after={line}")).header("content-encoding", "gzip");
    let answer = server.send(rest, packed).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!((&answer.json()["job"]["lastLine"], &answer.json()["job"]["createdCount"]), (&json!(1_200), &json!(1_200 - line)));
    assert_eq!(total(&caller).await, 1_200);
}

#[tokio::test]
async fn whatever_is_no_import_is_refused_before_a_line_is_read() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let line = patients([1]);
    for (path, headers, expected) in [
        ("/r4/$import", &[("content-type", "application/fhir+json")][..], StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("/r4/$import", &[NDJSON, ("content-encoding", "br")], StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("/r4/$import", &[NDJSON, ("x-provenance", "{}")], StatusCode::BAD_REQUEST),
        ("/r4/$import", &[NDJSON, ("if-none-exist", "_id=1")], StatusCode::BAD_REQUEST),
        ("/r4/$import?_after=-1", &[NDJSON], StatusCode::BAD_REQUEST),
        ("/r4/$import?_aftre=1", &[NDJSON], StatusCode::BAD_REQUEST),
    ] {
        let refused = caller.call("POST", path, headers, &line).await;
        assert_eq!(refused.status, expected, "{path} {headers:?} {}", refused.text);
        assert!(!refused.outcome_text().is_empty());
    }
    let wide = caller.by_headers("POST", "/r4/$import", &[("x-oneup-user-id", "client"), NDJSON], &line).await;
    assert_eq!(wide.status, StatusCode::BAD_REQUEST, "{}", wide.text);
    assert_eq!(caller.get("/r4/$import").await.json(), json!({ "jobs": [] }));
    assert_eq!(total(&caller).await, 0);
}

#[tokio::test]
async fn it_is_seen_while_it_runs_alone_and_canceled_between_batches() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    let (lines, body) = arriving();
    let call = async { server.send(request(&caller), body).await };
    let watch = async {
        lines.send(Ok(patients(0..600))).unwrap();
        let running = newest(&caller, |job| job["lastLine"] == 500).await;
        assert_eq!((&running["status"], &running["storedCount"]), (&json!("in progress"), &json!(500)), "counted with the first batch");
        let path = format!("/r4/$import/{}", running["id"].as_str().unwrap());
        let status = caller.get(&path).await;
        assert_eq!((header_text(&status, "x-progress"), header_text(&status, "retry-after")), ("500 lines", "1"));
        let second = import(&caller, "", &patients([9_999])).await;
        assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.text);
        assert_eq!(header_text(&second, "content-location"), format!("http://lethe.test{path}"));
        let canceled = caller.delete(&path).await;
        assert_eq!((canceled.status, &canceled.json()["job"]["status"]), (StatusCode::ACCEPTED, &json!("in progress")));
        lines.send(Ok(patients(600..1_200))).unwrap();
    };
    let (answer, ()) = tokio::join!(call, watch);
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    assert!(answer.outcome_text().contains("canceled") && answer.outcome_text().contains("?_after=500"), "{}", answer.text);
    let job = newest(&caller, |job| job["status"] != "in progress").await;
    assert_eq!((&job["status"], &job["lastLine"]), (&json!("canceled"), &json!(500)));
    assert_eq!(total(&caller).await, 500);
}

#[tokio::test]
async fn a_connection_that_breaks_off_leaves_a_failed_job_that_says_after_which_line() {
    let server = TestServer::start();
    let caller = Caller::new(&server).await;
    // The body breaks: inside a line, which is not taken for a whole one.
    let (lines, body) = arriving();
    lines.send(Ok(format!("{}{{\"resourceType\":\"Patient\"}}", patients(0..3)))).unwrap();
    lines.send(Err(io::Error::other("reset"))).unwrap();
    assert_eq!(server.send(request(&caller), body).await.status, StatusCode::BAD_REQUEST);
    let job = newest(&caller, |job| job["status"] == "failed").await;
    assert_eq!((&job["lastLine"], &job["failure"]), (&json!(3), &json!("the connection broke off")));

    // The call is dropped, as a server does when its client has gone.
    let (lines, body) = arriving();
    let call = server.send(request(&caller), body);
    let watch = async {
        lines.send(Ok(patients(10..620))).unwrap();
        newest(&caller, |job| job["lastLine"] == 500).await
    };
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        _ = watch => {}
    }
    let job = newest(&caller, |job| job["status"] != "in progress").await;
    assert_eq!((&job["status"], &job["lastLine"], &job["storedCount"]), (&json!("failed"), &json!(610), &json!(610)));
    assert_eq!(total(&caller).await, 613);
}
