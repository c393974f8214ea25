//! `kill -9` of the real server in the middle of a purge, again and again, while somebody writes.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;

use lethe::population::{GeneratedKind, Population};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{Running, Workplace, serve};

/// `LETHE_TEST_KILLS=1000` looks harder.
fn kills_wanted() -> u32 {
    std::env::var("LETHE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200)
}

fn ndjson(seed: u64, patients: u64) -> String {
    Population::new(seed, patients).fold(String::new(), |mut lines, change| {
        if let GeneratedKind::Put(json) = change.kind {
            writeln!(lines, "{json}").unwrap();
        }
        lines
    })
}

/// A small generator of numbers; its seed is printed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

struct Api {
    http: Client,
    server: String,
    token: String,
}

impl Api {
    /// `None` if the server does not answer, as it may when it has just been killed.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        let mut request = self.http.request(method, format!("{}/r4/{path}", self.server)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.ok()
    }

    async fn count(&self, resource_type: &str) -> u64 {
        let answer = self.call(Method::GET, &format!("{resource_type}?_summary=count"), None).await.unwrap();
        answer["total"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_survives_kill_minus_nine_at_any_moment() {
    let seed = std::env::var("LETHE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED_u64);
    println!("LETHE_TEST_SEED={seed}");
    let mut random = Random(seed | 1);
    let workplace = Workplace::new();
    let (client_id, _, purged) = workplace.add_user();
    let bystander = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
    workplace.write("bystander.ndjson", ndjson(2, 5));
    workplace.json(&["import", "--user", &bystander, "bystander.ndjson", "--json"]);
    let token = workplace.run(&["user", "token", &purged]).stdout.trim().to_owned();
    let bystander_token = workplace.run(&["user", "token", &bystander]).stdout.trim().to_owned();

    let (mut kills, mut round, mut written) = (0, 0, Vec::new());
    let mut bystander_before = None;
    while kills < kills_wanted() {
        round += 1;
        workplace.write("purged.ndjson", ndjson(100 + round, 150));
        workplace.json(&["import", "--user", &purged, "purged.ndjson", "--json"]);
        let (mut running, server) = serve(&workplace);
        let mut api = Api { http: Client::new(), server, token: token.clone() };
        let other = |server: &str| Api { http: Client::new(), server: server.to_owned(), token: bystander_token.clone() };
        bystander_before.get_or_insert(other(&api.server).count("Observation").await);
        let stored = [api.count("Observation").await, api.count("Patient").await];
        assert!(stored[0] > 1_000 && stored[1] == 150, "the control: {stored:?}");

        written.clear();
        let job = api.call(Method::POST, "$purge?_includeDeleted=true", None).await.unwrap();
        let address = format!("$purge/{}", job["job"]["id"].as_str().unwrap());
        let ended = loop {
            let mut ended = None;
            for _ in 0..=random.below(12) {
                let id = format!("late-{}", written.len());
                if api.call(Method::PUT, &format!("Basic/{id}"), Some(json!({"resourceType": "Basic", "id": id}))).await.is_some() {
                    written.push(id);
                }
                let job = api.call(Method::GET, &address, None).await.unwrap()["job"].take();
                if job["status"] != "in progress" {
                    ended = Some(job);
                    break;
                }
            }
            if let Some(job) = ended {
                break job;
            }
            running.signal("KILL");
            running.wait();
            kills += 1;
            let restarted: (Running, String) = serve(&workplace);
            running = restarted.0;
            api.server = restarted.1;
        };
        assert_eq!(ended["status"], "successful", "seed {seed}, {kills} kills: {ended}");
        assert_eq!(ended["deletedCount"], ended["resourceCount"], "nothing was updated, so nothing is spared: {ended}");
        assert_eq!((api.count("Observation").await, api.count("Patient").await), (0, 0));
        assert_eq!(api.count("Basic").await, written.len() as u64, "what was acknowledged meanwhile is there");
        assert_eq!(Some(other(&api.server).count("Observation").await), bystander_before);
        let next = api.call(Method::POST, "$purge", None).await.unwrap();
        let address = format!("$purge/{}", next["job"]["id"].as_str().unwrap());
        let mut polls = 0..100_000;
        while api.call(Method::GET, &address, None).await.unwrap()["job"]["status"] == "in progress" {
            assert!(polls.next().is_some(), "no job is stuck");
        }
        running.signal("TERM");
        assert_eq!(running.wait(), Some(0));
        let check = workplace.run(&["check"]);
        assert_eq!(check.code, Some(0), "seed {seed}: {check:?}");
        let chain = workplace.run(&["certificate", "export"]).stdout;
        assert_eq!(chain.lines().count() as u64, 2 * round, "one certificate for each of the jobs, however often it was taken up");
        workplace.write("chain.ndjson", chain);
        let verified = workplace.run(&["certificate", "verify", "chain.ndjson"]);
        assert_eq!(verified.code, Some(0), "seed {seed}: {verified:?}");
    }
    println!("{kills} kills in {round} purges");
}
