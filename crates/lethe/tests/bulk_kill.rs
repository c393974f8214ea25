//! `kill -9` of the real server in the middle of an import and of an export over HTTP.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{io::Write, net::TcpStream};

use reqwest::{Client, Method, Response};
use serde_json::Value;
use support::{Workplace, serve};

const LINES: u64 = 3_000;

struct Api {
    http: Client,
    server: String,
    token: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str, body: String) -> Response {
        let request = self.http.request(method, format!("{}/r4/{path}", self.server)).bearer_auth(&self.token);
        let request = request.header("prefer", "respond-async").header("content-type", "application/fhir+ndjson");
        request.body(body).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, String::new()).await.json().await.unwrap()
    }

    async fn patients(&self) -> u64 {
        self.get("Patient?_summary=count").await["total"].as_u64().unwrap()
    }

    /// The newest import, as soon as it satisfies `is_so`.
    async fn import(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..100_000 {
            let job = self.get("$import").await["jobs"][0].clone();
            if is_so(&job) {
                return job;
            }
        }
        panic!("no import gets so far")
    }

    /// The manifest of an export, once it is planned.
    async fn manifest(&self, path: &str) -> Value {
        for _ in 0..100_000 {
            let answer = self.call(Method::GET, path, String::new()).await;
            if answer.status() == 200 {
                return answer.json().await.unwrap();
            }
            assert_eq!(answer.status(), 202);
        }
        panic!("no export gets so far")
    }

    /// The files of a manifest, put together.
    async fn files(&self, manifest: &Value) -> String {
        let mut text = String::new();
        for output in manifest["output"].as_array().unwrap() {
            // A link names the address of the server that gave it; this one has another port.
            let path = output["url"].as_str().unwrap().split("/r4/").nth(1).unwrap();
            text.push_str(&self.call(Method::GET, path, String::new()).await.text().await.unwrap());
        }
        text
    }
}

fn lines(from: u64, to: u64) -> String {
    (from..to).map(|number| format!("{{\"resourceType\":\"Patient\",\"id\":\"p{number}\"}}\n")).collect()
}

/// Begins an import whose body does not end.
fn begin_import(server: &str, token: &str) -> TcpStream {
    let mut connection = TcpStream::connect(server.strip_prefix("http://").unwrap()).unwrap();
    write!(
        connection,
        "POST /r4/$import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+ndjson\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    )
    .unwrap();
    connection
}

fn send(connection: &mut TcpStream, text: &str) {
    write!(connection, "{:x}\r\n{text}\r\n", text.len()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_exports_survive_kill_minus_nine() {
    let workplace = Workplace::new();
    let (_, _, user) = workplace.add_user();
    let token = workplace.run(&["user", "token", &user]).stdout.trim().to_owned();
    let (mut running, server) = serve(&workplace);
    let mut api = Api { http: Client::new(), server, token: token.clone() };

    // Killed, and then left by its client, in the middle of the body.
    let (mut after, mut first) = (0, 0);
    for is_kill in [true, false] {
        let mut connection = begin_import(&api.server, &token);
        // The second time everything is sent again: what is there already gets another version.
        send(&mut connection, &lines(0, 1_800));
        let job = api.import(|job| job["status"] == "in progress" && job["lastLine"].as_u64() >= Some(1_500)).await;
        if is_kill {
            running.signal("KILL");
            running.wait();
            (running, api.server) = serve(&workplace);
        } else {
            drop(connection);
        }
        let ended = api.import(|job| job["status"] != "in progress").await;
        assert_eq!((&ended["id"], &ended["status"]), (&job["id"], &Value::from("failed")), "{ended}");
        after = ended["lastLine"].as_u64().unwrap();
        assert!(after >= 1_500);
        let stored = [&ended["createdCount"], &ended["updatedCount"]].map(|count| count.as_u64().unwrap());
        assert_eq!(stored, if is_kill { [after, 0] } else { [after - first, first] });
        first = after;
        assert_eq!(api.patients().await, after, "what is counted is stored, and what is stored is counted");
    }
    let answer = api.call(Method::POST, &format!("$import?_after={after}"), lines(0, LINES)).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["job"]["createdCount"], &answer["job"]["lastLine"]), (&Value::from(LINES - after), &Value::from(LINES)));
    assert_eq!(api.patients().await, LINES);

    // Killed before, while or after it is planned; what comes later is not in it.
    let started = api.call(Method::GET, "$export", String::new()).await;
    assert_eq!(started.status(), 202);
    let path = started.headers()["content-location"].to_str().unwrap().split("/r4/").nth(1).unwrap().to_owned();
    running.signal("KILL");
    running.wait();
    (running, api.server) = serve(&workplace);
    api.call(Method::POST, "$import", lines(LINES, LINES + 10)).await;
    let manifest = api.manifest(&path).await;
    let before = api.files(&manifest).await;
    assert_eq!(before.lines().count() as u64, LINES);
    running.signal("KILL");
    running.wait();
    (running, api.server) = serve(&workplace);
    assert_eq!(api.files(&api.manifest(&path).await).await, before, "the same links, the same lines");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    let check = workplace.run(&["check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
}
