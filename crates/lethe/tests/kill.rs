//! `kill -9` of the real server in the middle of a purge, again and again, while somebody writes.

#![allow(clippy::unwrap_used)]

mod support;

use std::{collections::BTreeMap, fmt::Write};

use lethe::population::{GeneratedKind, Population};
use reqwest::{Client, Method, StatusCode};
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
        self.count_of(&format!("{resource_type}?")).await
    }

    async fn count_of(&self, search: &str) -> u64 {
        self.call(Method::GET, &format!("{search}&_summary=count"), None).await.unwrap()["total"].as_u64().unwrap()
    }

    /// Starts a purge and returns the address of its job.
    async fn purge(&self, path: &str) -> String {
        let request = self.http.post(format!("{}/r4/{path}", self.server)).bearer_auth(&self.token).header("prefer", "respond-async");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{path}");
        format!("$purge/{}", answer.headers()["content-location"].to_str().unwrap().rsplit('/').next().unwrap())
    }
}

/// What a purge is of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Account,
    Types,
    Before,
    Filter,
    Patient,
    Group,
}

const KINDS: [Kind; 6] = [Kind::Account, Kind::Types, Kind::Before, Kind::Filter, Kind::Patient, Kind::Group];
/// Types that are counted.
const COUNTED: [&str; 4] = ["Observation", "Condition", "Encounter", "Patient"];

impl Kind {
    /// Where it is asked for, and the searches that find what it takes of each counted type; `None` if it takes nothing of that.
    async fn ask(self, api: &Api) -> (String, [Option<String>; 4]) {
        let of_all = |query: &str| COUNTED.map(|_| Some(query.to_owned()));
        let first = async |search: &str| api.call(Method::GET, search, None).await.unwrap()["entry"].take();
        let of_patients = |ids: &str| COUNTED.map(|name| Some(format!("{}={ids}", if name == "Patient" { "_id" } else { "patient" })));
        match self {
            Self::Account => ("$purge?_includeDeleted=true".to_owned(), of_all("")),
            Self::Types => ("$purge?_type=Observation,Condition".to_owned(), [Some(String::new()), Some(String::new()), None, None]),
            Self::Before => {
                let newest = first("Encounter?_sort=-_lastUpdated&_count=1").await[0]["resource"]["meta"]["lastUpdated"].take();
                let cut = newest.as_str().unwrap();
                (format!("$purge?_before={cut}"), of_all(&format!("_lastUpdated=lt{cut}")))
            }
            Self::Filter => (
                "$purge?_type=Observation,Encounter&_typeFilter=Observation%3Fstatus%3Damended".to_owned(),
                [Some("status=amended".to_owned()), None, Some(String::new()), None],
            ),
            Self::Patient => {
                let id = first("Patient?_count=1").await[0]["resource"]["id"].as_str().unwrap().to_owned();
                (format!("Patient/{id}/$purge"), of_patients(&id))
            }
            Self::Group => {
                let patients = first("Patient?_count=40").await;
                let ids: Vec<&str> = patients.as_array().unwrap().iter().map(|entry| entry["resource"]["id"].as_str().unwrap()).collect();
                let members: Vec<Value> = ids.iter().map(|id| json!({"entity": {"reference": format!("Patient/{id}")}})).collect();
                let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": members});
                api.call(Method::PUT, "Group/g", Some(group)).await.unwrap();
                ("Group/g/$purge".to_owned(), of_patients(&ids.join(",")))
            }
        }
    }

    /// Calls between two kills are fewer than this: a small purge is over soon.
    fn calls_max(self) -> u64 {
        match self {
            Self::Account | Self::Types | Self::Before | Self::Group => 12,
            Self::Filter => 6,
            Self::Patient => 3,
        }
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
    let (mut bystander_before, mut killed, first_kind) = (None, BTreeMap::new(), random.below(KINDS.len() as u64));
    // So that each kind has its turn.
    let kills_of_one = kills_wanted().div_ceil(KINDS.len() as u32);
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
        let kind = KINDS[((first_kind + round) % KINDS.len() as u64) as usize];
        let (path, taken) = kind.ask(&api).await;
        let mut left = Vec::new();
        for (name, search) in COUNTED.into_iter().zip(&taken) {
            let goes = match search {
                None => 0,
                Some(search) => api.count_of(&format!("{name}?{search}")).await,
            };
            left.push(api.count(name).await - goes);
            assert!(goes > 0 || search.is_none(), "the control: {kind:?} takes some {name}");
        }
        let (kills_before, mut polls) = (kills, 0..100_000);
        let address = api.purge(&path).await;
        let ended = loop {
            let mut ended = None;
            for _ in 0..=random.below(kind.calls_max()) {
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
            if kills - kills_before >= kills_of_one {
                // The others are for other kinds.
                assert!(polls.next().is_some(), "no job is stuck");
                continue;
            }
            running.signal("KILL");
            running.wait();
            kills += 1;
            let restarted: (Running, String) = serve(&workplace);
            running = restarted.0;
            api.server = restarted.1;
        };
        assert_eq!(ended["status"], "successful", "seed {seed}, {kills} kills, {kind:?}: {ended}");
        assert_eq!(ended["deletedCount"], ended["resourceCount"], "nothing was updated, so nothing is spared: {ended}");
        for (name, left) in COUNTED.into_iter().zip(left) {
            assert_eq!(api.count(name).await, left, "{name} after {kind:?}, seed {seed}: {ended}");
        }
        assert_eq!(api.count("Basic").await, written.len() as u64, "what was acknowledged meanwhile is there");
        assert_eq!(Some(other(&api.server).count("Observation").await), bystander_before);
        *killed.entry(format!("{kind:?}")).or_insert(0) += kills - kills_before;
        let address = api.purge("$purge?_includeDeleted=true").await;
        let mut polls = 0..100_000;
        while api.call(Method::GET, &address, None).await.unwrap()["job"]["status"] == "in progress" {
            assert!(polls.next().is_some(), "no job is stuck");
        }
        assert_eq!(api.count("Observation").await + api.count("Patient").await + api.count("Basic").await, 0);
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
    println!("{kills} kills in {round} purges: {killed:?}");
}
