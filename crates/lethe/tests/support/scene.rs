//! A database with two users, and calls to its servers.

use std::{fmt::Write, time::Instant};

use lethe::population::{GeneratedKind, Population};
use reqwest::{Client, Method, Response};
use serde_json::Value;

use super::{DEADLINE, Workplace, database::Database};

pub fn ndjson(seed: u64, patients: u64) -> String {
    Population::new(seed, patients).fold(String::new(), |mut lines, change| {
        if let GeneratedKind::Put(json) = change.kind {
            writeln!(lines, "{json}").unwrap();
        }
        lines
    })
}

/// A client with two users, over a fresh database: the accounts and their tokens.
pub struct Scene {
    pub database: Database,
    pub workplace: Workplace,
    pub purged: (String, String),
    pub bystander: (String, String),
}

impl Scene {
    pub async fn new() -> Self {
        Self::over(Database::create().await)
    }

    pub fn over(database: Database) -> Self {
        let workplace = Workplace::new();
        let client: Value = serde_json::from_str(&database.said(&workplace, &["client", "add", "Test", "--json"])).unwrap();
        let client_id = client["client_id"].as_str().unwrap();
        let user = |name: &str| {
            let user: Value =
                serde_json::from_str(&database.said(&workplace, &["user", "add", "--client", client_id, name, "--json"])).unwrap();
            let account = user["oneup_user_id"].to_string();
            let token = database.said(&workplace, &["user", "token", &account]);
            (account, token)
        };
        let (purged, bystander) = (user("alice"), user("bob"));
        Self { database, workplace, purged, bystander }
    }

    /// Fills an account with a generated population.
    pub fn fill(&self, account: &str, seed: u64, patients: u64) {
        self.workplace.write("population.ndjson", ndjson(seed, patients));
        self.database.said(&self.workplace, &["import", "--user", account, "population.ndjson"]);
    }

    /// One number of the database.
    pub async fn number(&self, sql: &str) -> i64 {
        self.database.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub fn assert_sound(&self) {
        let done = self.database.run(&self.workplace, &["check"]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
}

/// Calls a server as one user.
pub struct Api<'a> {
    pub http: Client,
    pub server: &'a str,
    pub token: &'a str,
}

impl<'a> Api<'a> {
    pub fn new(server: &'a str, token: &'a str) -> Self {
        Self { http: Client::new(), server, token }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.send(method, path, body).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// The same, whatever comes of it.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let mut request = self.http.request(method, format!("{}/r4/{path}", self.server)).bearer_auth(self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    pub async fn count(&self, resource_type: &str) -> u64 {
        self.get(&format!("{resource_type}?_summary=count")).await["total"].as_u64().unwrap()
    }

    /// Starts a purge of everything; where it is.
    pub async fn kick_off(&self) -> String {
        let job = self.call(Method::POST, "$purge?_includeDeleted=true", None).await;
        format!("$purge/{}", job["job"]["id"].as_str().unwrap())
    }

    /// Asks until the job has ended.
    pub async fn ended(&self, address: &str) -> Value {
        let began = Instant::now();
        loop {
            let job = self.get(address).await["job"].take();
            if ["successful", "failed", "canceled"].contains(&job["status"].as_str().unwrap()) {
                return job;
            }
            assert!(began.elapsed() < DEADLINE, "{job}");
        }
    }
}
