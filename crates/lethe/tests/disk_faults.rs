//! The disk fails under the real server: it stays up, says why, harms nothing, and goes on after the cure.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt::Write,
    process::{Command, Stdio},
    time::Instant,
};

use lethe::population::{GeneratedKind, Population};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use support::{DEADLINE, Workplace, serve_by};

struct Api {
    http: Client,
    server: String,
    token: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}/r4/{path}", self.server)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn count(&self, resource_type: &str) -> u64 {
        self.call(Method::GET, &format!("{resource_type}?_summary=count"), None).await.1["total"].as_u64().unwrap()
    }

    async fn job_at_end(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let job = self.call(Method::GET, &format!("$purge/{id}"), None).await.1["job"].take();
            if job["status"] != "in progress" {
                return job;
            }
            assert!(began.elapsed() < DEADLINE, "{job}");
        }
    }
}

/// The server, as a child of a shell that ignores the signal of a file that may not grow: so its writes fail instead.
fn shell(workplace: &Workplace) -> Command {
    let command = workplace.lethe(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" serve --listen 127.0.0.1:0"]).arg(command.get_program());
    shell.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_stops_nothing_but_writes_and_a_retry_finishes_after_the_cure() {
    let workplace = Workplace::new();
    let (client_id, _, purged) = workplace.add_user();
    let bystander = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
    for (user, seed, patients) in [(&purged, 1, 400), (&bystander, 2, 5)] {
        let lines = Population::new(seed, patients).fold(String::new(), |mut lines, change| {
            if let GeneratedKind::Put(json) = change.kind {
                writeln!(lines, "{json}").unwrap();
            }
            lines
        });
        workplace.write("population.ndjson", lines);
        workplace.json(&["import", "--user", user, "population.ndjson", "--json"]);
    }
    let [token, bystander_token] = [&purged, &bystander].map(|user| workplace.run(&["user", "token", user]).stdout.trim().to_owned());
    let (mut running, server) = serve_by(shell(&workplace));
    let api = Api { http: Client::new(), server: server.clone(), token };
    let other = Api { http: Client::new(), server, token: bystander_token };
    let (stored, others) = (api.count("Observation").await, other.count("Observation").await);
    assert!(stored > 1_000 && others > 10, "the control: {stored}, {others}");

    // Nothing at all can be written, as on a disk that became read-only.
    running.limit_file_bytes(Some(1));
    let basic = json!({"resourceType": "Basic", "id": "a"});
    for (method, path, body) in [(Method::POST, "$purge", None), (Method::PUT, "Basic/a", Some(basic))] {
        let (status, outcome) = api.call(method, path, body).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}: {outcome}");
        assert!(outcome["issue"][0]["details"]["text"].as_str().unwrap().contains("nothing was written"), "{outcome}");
    }
    assert_eq!(api.count("Observation").await, stored, "reads go on");
    running.limit_file_bytes(None);
    assert_eq!(api.call(Method::GET, "$purge", None).await.1["jobs"], json!([]), "no job exists");

    // Little can be written: the kick-off, but no batch.
    let log = workplace.path("lethe-data/lethe.db-wal");
    let written = std::fs::metadata(log).map_or(0, |log| log.len());
    running.limit_file_bytes(Some(written + (600 << 10)));
    let (status, job) = api.call(Method::POST, "$purge", None).await;
    assert_eq!(status, StatusCode::OK, "{job}");
    let id = job["job"]["id"].as_str().unwrap().to_owned();
    let began = Instant::now();
    let job = loop {
        let job = api.call(Method::GET, &format!("$purge/{id}"), None).await.1["job"].take();
        assert_eq!(other.count("Observation").await, others, "reads go on");
        let is_told = job["failures"].as_array().is_some_and(|failures| !failures.is_empty()) || job["status"] == "failed";
        if is_told || began.elapsed().as_secs() > 15 {
            break job;
        }
    };
    assert_ne!(job["status"], "successful", "{job}");
    assert!(job["deletedCount"].as_u64().unwrap_or(0) < job["resourceCount"].as_u64().unwrap_or(u64::MAX), "the control: {job}");
    running.limit_file_bytes(None);

    let mut job = api.job_at_end(&id).await;
    if job["status"] == "failed" {
        let why = job.to_string();
        assert!(why.contains("disk I/O error") || why.contains("disk is full"), "the cause is told: {why}");
        let (status, retried) = api.call(Method::PUT, &format!("$purge/{id}"), None).await;
        assert_eq!(status, StatusCode::OK, "{retried}");
        job = api.job_at_end(&id).await;
    }
    assert_eq!(job["status"], "successful", "{job}");
    assert_eq!((&job["deletedCount"], &job["sparedCount"]), (&job["resourceCount"], &json!(0)), "{job}");
    assert_eq!((api.count("Observation").await, other.count("Observation").await), (0, others));
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    let check = workplace.run(&["check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
}
