//! The disk fails under the real server: it stays up, says why, harms nothing, and goes on after the cure.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::PathBuf,
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

/// What the server can still write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Plenty,
    /// A kick-off, but no batch.
    Little,
    Nothing,
}

/// `lethe serve`, by a shell that is started by `starter` and does `before` first. Their process becomes the server's.
fn shell(workplace: &Workplace, starter: &[&str], before: &str) -> Command {
    let command = workplace.lethe(&[]);
    let mut shell = Command::new("env");
    shell.args(starter).args(["sh", "-c", &format!("{before} exec \"$0\" serve --listen 127.0.0.1:0")]).arg(command.get_program());
    shell.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// An account that is purged while there is no room, and one beside it.
struct Accounts {
    purged: String,
    bystander: String,
}

impl Accounts {
    fn fill(workplace: &Workplace) -> Self {
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
        let [purged, bystander] = [&purged, &bystander].map(|user| workplace.run(&["user", "token", user]).stdout.trim().to_owned());
        Self { purged, bystander }
    }

    /// A server whose disk fails refuses writes, purges nothing and counts nothing, and finishes after the cure, with a retry if it gave up.
    async fn outlive(self, server: &str, leave: impl Fn(Room), cause: &str) {
        let api = |token| Api { http: Client::new(), server: server.to_owned(), token };
        let (api, other) = (api(self.purged), api(self.bystander));
        let (stored, others) = (api.count("Observation").await, other.count("Observation").await);
        assert!(stored > 1_000 && others > 10, "the control: {stored}, {others}");

        leave(Room::Nothing);
        let basic = json!({"resourceType": "Basic", "id": "a"});
        for (method, path, body) in [(Method::POST, "$purge", None), (Method::PUT, "Basic/a", Some(basic))] {
            let (status, outcome) = api.call(method, path, body).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}: {outcome}");
            assert!(outcome["issue"][0]["details"]["text"].as_str().unwrap().contains("nothing was written"), "{outcome}");
        }
        assert_eq!(api.count("Observation").await, stored, "reads go on");
        leave(Room::Plenty);
        assert_eq!(api.call(Method::GET, "$purge", None).await.1["jobs"], json!([]), "no job exists");

        leave(Room::Little);
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
        leave(Room::Plenty);

        let mut job = api.job_at_end(&id).await;
        if job["status"] == "failed" {
            let why = job.to_string();
            assert!(why.contains(cause), "the cause is told: {why}");
            let (status, retried) = api.call(Method::PUT, &format!("$purge/{id}"), None).await;
            assert_eq!(status, StatusCode::OK, "{retried}");
            job = api.job_at_end(&id).await;
        }
        assert_eq!(job["status"], "successful", "{job}");
        assert_eq!((&job["deletedCount"], &job["sparedCount"]), (&job["resourceCount"], &json!(0)), "{job}");
        assert_eq!((api.count("Observation").await, other.count("Observation").await), (0, others));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_stops_nothing_but_writes_and_a_retry_finishes_after_the_cure() {
    let workplace = Workplace::new();
    let accounts = Accounts::fill(&workplace);
    // A process that ignores the signal of a file that may not grow: so its writes fail instead.
    let (mut running, server) = serve_by(shell(&workplace, &[], "trap '' XFSZ;"));
    let limit = |room| {
        running.limit_file_bytes(match room {
            Room::Plenty => None,
            Room::Little => {
                let written = fs::metadata(workplace.path("lethe-data/lethe.db-wal")).map_or(0, |log| log.len());
                Some(written + (600 << 10))
            }
            // As on a disk that became read-only.
            Room::Nothing => Some(1),
        });
    };
    accounts.outlive(&server, limit, "disk I/O error").await;
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    let check = workplace.run(&["check"]);
    assert_eq!(check.code, Some(0), "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nothing_but_writes_and_a_retry_finishes_after_there_is_room() {
    let workplace = Workplace::new();
    let accounts = Accounts::fill(&workplace);
    // A file system of its own that nobody else sees, without a right that a user has not.
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    if !Command::new("env").args(namespace).args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"]).status().unwrap().success() {
        eprintln!("SKIPPED: this system lets nobody mount a file system of their own");
        return;
    }
    let mount = "cp -r lethe-data kept && mount -t tmpfs -o size=192m tmpfs lethe-data && cp -r kept/. lethe-data/ && rm -r kept &&";
    let (mut running, server) = serve_by(shell(&workplace, &namespace, mount));
    let data = PathBuf::from(format!("/proc/{}/root{}", running.id(), workplace.path("lethe-data").display()));
    let filler = data.join("filler");
    let fill = |room| {
        drop(fs::remove_file(&filler));
        if room != Room::Plenty {
            let mut file = fs::File::create(&filler).unwrap();
            let mut bytes = 0_u64;
            while let Ok(written) = file.write(&[1; 4096]) {
                bytes += written as u64;
            }
            if room == Room::Little {
                file.set_len(bytes - (600 << 10)).unwrap();
            }
        }
    };
    accounts.outlive(&server, fill, "disk is full").await;
    let check = workplace.run(&["check", "--data", &data.to_string_lossy()]);
    assert_eq!(check.code, Some(0), "{check:?}");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

/// A store of which the server is down.
struct Store<'a>(&'a Workplace);

impl Store<'_> {
    /// Exchanges a text of the database file for another of the same length, as a disk would, and as whoever puts it back does.
    fn exchange(&self, was: &str, is: &str) {
        assert_eq!(was.len(), is.len());
        let path = self.0.path("lethe-data/lethe.db");
        let mut bytes = fs::read(&path).unwrap();
        let places: Vec<usize> =
            bytes.windows(was.len()).enumerate().filter(|(_, bytes)| *bytes == was.as_bytes()).map(|(at, _)| at).collect();
        assert_eq!(places.len(), 1, "the control: {was}");
        bytes[places[0]..][..was.len()].copy_from_slice(is.as_bytes());
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_body_is_told_by_type_and_place_and_a_retry_finishes_after_the_cure() {
    let workplace = Workplace::new();
    let (_, _, user) = workplace.add_user();
    let observation = |id: &str, note: &str| json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "note": [{"text": note}]});
    let lines = [
        json!({"resourceType": "Patient", "id": "p", "contact": [{"name": {"text": "qjxkv-zwpyh"}}]}),
        observation("whole", "vkqwz gloomy"),
        observation("hurt", "hjqxk cheerful"),
    ];
    workplace.write("lines.ndjson", lines.map(|line| line.to_string()).join("\n"));
    workplace.json(&["import", "--user", &user, "lines.ndjson", "--json"]);
    let token = workplace.run(&["user", "token", &user]).stdout.trim().to_owned();
    let serve = || {
        let (running, server) = serve_by(shell(&workplace, &[], ""));
        (running, Api { http: Client::new(), server, token: token.clone() })
    };
    // The one loses the byte that says how it is written, the other is no JSON any more.
    let damages = [("\u{0}},\"contact\"", "\u{7}},\"contact\""), ("hjqxk cheerful", "hjqxk\"cheerful")];
    damages.into_iter().for_each(|(was, is)| Store(&workplace).exchange(was, is));

    let (mut running, api) = serve();
    let by_words = "_type=Observation&_typeFilter=Observation%3F_content%3Dcheerful";
    let (status, told) = api.call(Method::GET, &format!("$purge-preview?{by_words}"), None).await;
    let text = told["issue"][0]["details"]["text"].as_str().unwrap();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{told}");
    let is_told = |text: &str| text.contains("one Observation is damaged (place ") && text.contains("restore") && !text.contains("hjqxk");
    assert!(is_told(text), "{told}");

    let (_, started) = api.call(Method::POST, &format!("$purge?{by_words}"), None).await;
    let address = format!("$purge/{}", started["job"]["id"].as_str().unwrap());
    let job = api.job_at_end(started["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["deletedCount"], &job["resourceCount"]), (&json!("failed"), &json!(0), &json!(null)), "{job}");
    assert!(is_told(job["failure"].as_str().unwrap()), "{job}");
    assert_eq!(api.call(Method::GET, "Observation/whole", None).await.0, StatusCode::OK, "the server is up");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    let check = workplace.run(&["check"]);
    assert!(check.code == Some(1) && format!("{check:?}").contains("every body can be read"), "{check:?}");

    Store(&workplace).exchange(damages[1].1, damages[1].0);
    let (mut running, api) = serve();
    let (status, retried) = api.call(Method::PUT, &address, None).await;
    assert_eq!((status, &retried["job"]["retryCount"]), (StatusCode::OK, &json!(1)), "{retried}");
    let job = api.job_at_end(started["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["deletedCount"]), (&json!("successful"), &json!(1)), "{job}");
    assert_eq!(api.count("Observation").await, 1);
    // What decides nothing may be damaged: a patient is purged by what refers to it.
    assert_eq!(api.call(Method::GET, "Patient/p", None).await.0, StatusCode::INTERNAL_SERVER_ERROR, "the control");
    let (status, done) = api.call(Method::POST, "Patient/p/$purge", None).await;
    assert_eq!((status, api.count("Patient").await), (StatusCode::OK, 0), "{done}");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    assert_eq!(workplace.run(&["check"]).code, Some(0));
}
