//! A user who calls the server with a bearer token, and a worker that runs when it is told to.

use axum::http::{Method, Request, StatusCode, header};
use lethe_auth::{AccountId, AuthMethods};
use lethe_worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::test_server::{Answer, TestClient, TestServer};

/// One user of one client.
pub struct Caller<'a> {
    pub server: &'a TestServer,
    pub client: TestClient,
    pub account_id: AccountId,
    token: String,
}

impl<'a> Caller<'a> {
    /// A user of a new client.
    pub async fn new(server: &'a TestServer) -> Self {
        let client = server.client(AuthMethods::Both).await;
        Self::of(server, client, "first").await
    }

    /// Another user of a client.
    pub async fn of(server: &'a TestServer, client: TestClient, app_user_id: &str) -> Self {
        let (account_id, token) = server.bearer(&client, app_user_id).await;
        Self { server, client, account_id, token }
    }

    /// The value of `Authorization`.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token)).header(header::HOST, "host.test:8080");
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/fhir+json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request, body.to_owned()).await
    }

    /// For all users of the client, by headers.
    pub async fn as_client(&self, method: &str, path: &str, body: &str) -> Answer {
        self.by_headers(method, path, &[("x-oneup-user-id", "client")], body).await
    }

    /// By headers.
    pub async fn by_headers(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("client_id", &self.client.client_id).header("client_secret", &self.client.client_secret);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request, body.to_owned()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[], body).await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, &[], body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    /// Stores a resource that must be accepted.
    pub async fn stored(&self, path: &str, body: &str) {
        let answer = self.put(path, body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
    }

    /// Stores resources by one transaction, each under its own id.
    pub async fn stored_together(&self, resources: impl IntoIterator<Item = Value>) {
        let entries: Vec<Value> = resources
            .into_iter()
            .map(|resource| {
                let url = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
                json!({ "request": { "method": "PUT", "url": url }, "resource": resource })
            })
            .collect();
        let answer = self.bundle("transaction", entries.into()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    /// Sends a Bundle of these entries.
    pub async fn bundle(&self, kind: &str, entries: Value) -> Answer {
        self.post("/r4", &json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string()).await
    }

    /// Starts a purge that must be accepted, and returns its id.
    pub async fn purge(&self, query: &str) -> String {
        let answer = self.post(&format!("/r4/$purge{query}"), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["job"]["id"].as_str().unwrap().to_owned()
    }

    /// The job as its status tells it.
    pub async fn job(&self, job_id: &str) -> Value {
        let answer = self.get(&format!("/r4/$purge/{job_id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["job"].clone()
    }
}

/// Walks the next job to its end; `false` if there was none.
pub async fn run_worker(server: &TestServer) -> bool {
    let (_up, shutdown) = watch::channel(false);
    Worker::new(server.store.clone(), server.clock.clone(), server.issuer.clone(), WorkerOptions::default())
        .run_one(&shutdown)
        .await
        .unwrap()
}

/// Plans the next export to its end; `false` if there was none.
pub async fn run_export_worker(server: &TestServer) -> bool {
    let (_up, shutdown) = watch::channel(false);
    Worker::new(server.store.clone(), server.clock.clone(), server.issuer.clone(), WorkerOptions::default())
        .run_one_export(&shutdown)
        .await
        .unwrap()
}

/// The text of a header.
pub fn header_text<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {} {}", answer.status, answer.text)).to_str().unwrap()
}
