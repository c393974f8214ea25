//! Older copies of a store, put back: nothing that was purged since may be readable again.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fmt::Write,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use lethe::{
    byte_search::search_files,
    population::{GeneratedKind, Marker, Population},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use support::{Done, Running, Workplace, serve};

/// NDJSON of a population with markers in it; earlier versions included.
fn ndjson(seed: u64, patients: u64, markers: Vec<Marker>) -> String {
    Population::new(seed, patients).planting(markers).fold(String::new(), |mut lines, change| {
        if let GeneratedKind::Put(json) = change.kind {
            writeln!(lines, "{json}").unwrap();
        }
        lines
    })
}

/// How many of the markers are found in the files below `directory`, in whichever form.
fn found(directory: &Path, markers: &[Marker]) -> usize {
    let needles: Vec<String> = markers.iter().flat_map(Marker::needles).collect();
    let hits = search_files(directory, &needles).unwrap().needles;
    (0..markers.len()).filter(|index| hits.contains(&(index * 2)) || hits.contains(&(index * 2 + 1))).count()
}

struct Api {
    http: Client,
    base: String,
    token: String,
}

impl Api {
    fn new(server: &str, token: &str) -> Self {
        Self { http: Client::new(), base: format!("{server}/r4"), token: token.to_owned() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}/{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn count(&self, resource_type: &str) -> u64 {
        self.get(&format!("{resource_type}?_summary=count")).await.1["total"].as_u64().unwrap()
    }

    /// An id of a resource of a type.
    async fn any(&self, resource_type: &str) -> String {
        self.get(&format!("{resource_type}?_count=1")).await.1["entry"][0]["resource"]["id"].as_str().unwrap().to_owned()
    }

    async fn put(&self, id: &str) -> StatusCode {
        self.call(Method::PUT, &format!("Basic/{id}"), Some(json!({"resourceType": "Basic", "id": id}))).await.0
    }
}

/// Two users with data, and a server over them.
struct Scene {
    workplace: Workplace,
    running: Running,
    server: String,
    purged: (String, String),
    bystander: (String, String),
}

impl Scene {
    fn new(planted: Vec<Marker>) -> Self {
        let workplace = Workplace::new();
        let (client_id, _, purged) = workplace.add_user();
        let bystander = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
        workplace.write("purged.ndjson", ndjson(3, 30, planted));
        workplace.write("bystander.ndjson", ndjson(4, 10, Vec::new()));
        let (running, server) = serve(&workplace);
        workplace.json(&["import", "--user", &purged, "purged.ndjson", "--json"]);
        workplace.json(&["import", "--user", &bystander, "bystander.ndjson", "--json"]);
        let token = |user: &str| workplace.run(&["user", "token", user]).stdout.trim().to_owned();
        let (purged, bystander) = ((purged.clone(), token(&purged)), (bystander.clone(), token(&bystander)));
        Self { workplace, running, server, purged, bystander }
    }

    fn purged(&self) -> Api {
        Api::new(&self.server, &self.purged.1)
    }

    fn bystander(&self) -> Api {
        Api::new(&self.server, &self.bystander.1)
    }

    /// Purges everything, or some types, of the first user; returns the job.
    fn purge(&self, arguments: &[&str]) -> Value {
        let call = ["purge", "start", "--watch", "--yes", "--json", "--server", &self.server, "--token", &self.purged.1];
        let ended = self.workplace.json(&[&call[..], arguments].concat());
        assert_eq!(ended["job"]["status"], "successful", "{ended}");
        ended["job"].clone()
    }

    fn stop(&mut self) {
        self.running.signal("TERM");
        assert_eq!(self.running.wait(), Some(0));
    }

    fn start(&mut self) {
        (self.running, self.server) = serve(&self.workplace);
    }

    /// A server that must not come up.
    fn refused_start(&self) -> Done {
        let done = self.workplace.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        done
    }

    fn check(&self) {
        let check = self.workplace.run(&["check"]);
        assert_eq!(check.code, Some(0), "{check:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_purged_is_readable_after_yesterdays_copy_is_restored() {
    let planted = Marker::series(1, 200);
    let mut scene = Scene::new(planted.clone());
    let (purged, bystander) = (scene.purged(), scene.bystander());
    let patient = purged.any("Patient").await;
    let before = [bystander.count("Observation").await, bystander.count("Patient").await];
    assert!(purged.count("Observation").await > 100, "the control");

    // Somebody writes all the while; what was acknowledged before the copy began is in it.
    for n in 0..20 {
        assert!(bystander.put(&format!("before-{n}")).await.is_success());
    }
    let is_copied = AtomicBool::new(false);
    let copy = async {
        let mut backup = scene.workplace.lethe(&["backup", "copy.db", "--json"]);
        let done: Done = tokio::task::spawn_blocking(move || backup.output()).await.unwrap().unwrap().into();
        is_copied.store(true, Ordering::SeqCst);
        done
    };
    let write = async {
        let mut written = 0;
        while !is_copied.load(Ordering::SeqCst) {
            assert!(bystander.put(&format!("meanwhile-{written}")).await.is_success());
            written += 1;
        }
        written
    };
    let (done, written) = tokio::join!(copy, write);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(written > 0, "the control");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(scene.workplace.path("copy.db")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = scene.workplace.run(&["backup", "copy.db"]);
    assert!(again.code == Some(1) && again.stderr.contains("overwrites nothing"), "{again:?}");

    // What is created anew, and a second purge of the same account, must not confuse anything.
    let first = scene.purge(&["--type", "Observation"]);
    assert!(purged.put("after").await.is_success());
    let second = scene.purge(&[]);
    let served = scene.workplace.run(&["restore", "copy.db", "--replace"]);
    assert!(served.code == Some(1) && served.stderr.contains("another lethe serves"), "{served:?}");
    scene.stop();
    fs::create_dir(scene.workplace.path("copies")).unwrap();
    fs::rename(scene.workplace.path("copy.db"), scene.workplace.path("copies/copy.db")).unwrap();
    assert_eq!(found(&scene.workplace.path("copies"), &planted), 200, "the control: the copy holds everything");
    let in_the_way = scene.workplace.run(&["restore", "copies/copy.db"]);
    assert!(in_the_way.code == Some(1) && in_the_way.stderr.contains("--replace"), "{in_the_way:?}");

    let restored = scene.workplace.json(&["restore", "copies/copy.db", "--replace", "--json"]);
    let applied: Vec<(&Value, &Value, bool)> = restored["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|purge| (&purge["job"], &purge["status"], purge["resources"].as_u64().unwrap() > 0))
        .collect();
    assert_eq!(applied, [(&first["id"], &json!("successful"), true), (&second["id"], &json!("successful"), true)], "{restored}");
    assert_eq!(found(&scene.workplace.path("lethe-data"), &planted), 0, "in no file of the store");
    assert_eq!(fs::read_dir(scene.workplace.path("lethe-data")).unwrap().count(), 5, "database, journal, lock and keys");
    scene.check();

    scene.start();
    let (purged, bystander) = (scene.purged(), scene.bystander());
    assert_eq!(purged.get(&format!("Patient/{patient}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(purged.get(&format!("Patient/{patient}/_history/1")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(purged.get(&format!("Patient/{patient}/_history")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(purged.get("_history").await.1["entry"].as_array().map_or(0, Vec::len), 0);
    for resource_type in ["Patient", "Observation", "Encounter", "Condition", "Basic"] {
        assert_eq!(purged.count(resource_type).await, 0, "{resource_type}");
    }
    assert_eq!([bystander.count("Observation").await, bystander.count("Patient").await], before);
    let kept = bystander.count("Basic").await;
    assert!((20..=20 + written).contains(&kept), "{kept} of 20 and {written}");
    let jobs = purged.get("$purge").await.1;
    assert!(jobs.to_string().contains(second["id"].as_str().unwrap()), "the job is told of: {jobs}");
    assert!(purged.put("afterwards").await.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_older_than_its_journal_is_not_served() {
    let mut scene = Scene::new(Marker::series(1, 50));
    scene.stop();
    let old = scene.workplace.path("old.db");
    let database = scene.workplace.path("lethe-data/lethe.db");
    fs::copy(&database, &old).unwrap();
    scene.start();
    let purged = scene.purged();
    let job = scene.purge(&["--type", "Patient"]);
    let left = purged.count("Observation").await;
    scene.stop();

    fs::copy(&old, &database).unwrap();
    let refused = scene.refused_start();
    assert!(refused.stderr.contains("older than its purge journal") && refused.stderr.contains("lethe restore --reapply"), "{refused:?}");
    assert!(refused.stderr.contains(job["id"].as_str().unwrap()), "{refused:?}");
    let applied = scene.workplace.json(&["restore", "--reapply", "--json"]);
    assert_eq!(applied["applied"][0]["job"], job["id"], "{applied}");
    assert_eq!(applied["applied"][0]["resources"], job["resourceCount"], "{applied}");
    scene.check();
    scene.start();
    let purged = scene.purged();
    assert_eq!((purged.count("Patient").await, purged.count("Observation").await), (0, left));
    scene.stop();
    assert_eq!(scene.workplace.json(&["restore", "--reapply", "--json"])["applied"], json!([]), "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_left_is_told_of_and_gone_before_anything_is_served() {
    let planted = Marker::series(1, 20);
    let mut scene = Scene::new(planted.clone());
    let before = scene.bystander().count("Observation").await;
    scene.workplace.json(&["backup", "copy.db", "--json"]);
    scene.purge(&[]);
    scene.stop();
    let data = scene.workplace.path("lethe-data");
    fs::create_dir(data.join("restore.draft")).unwrap();
    fs::rename(scene.workplace.path("copy.db"), data.join("restore.draft/lethe.db")).unwrap();
    assert_eq!(found(&data, &planted), 20, "the control");
    let told = scene.workplace.run(&["check"]);
    assert!(told.code == Some(1) && told.stdout.contains("left in its directory by a restore that was interrupted"), "{told:?}");

    // As if it had been killed when the database had stepped aside, too.
    fs::create_dir(data.join("restore.replaced")).unwrap();
    fs::rename(data.join("lethe.db"), data.join("restore.replaced/lethe.db")).unwrap();
    for command in [&["check"][..], &["client", "add", "Other"]] {
        let refused = scene.workplace.run(command);
        assert!(refused.code == Some(1) && refused.stderr.contains("lethe serve puts it back"), "{command:?}: {refused:?}");
    }
    scene.start();
    assert_eq!(found(&data, &planted), 0, "in no file");
    assert_eq!((scene.purged().count("Observation").await, scene.bystander().count("Observation").await), (0, before));
    scene.stop();
    assert_eq!(fs::read_dir(&data).unwrap().count(), 5, "database, journal, lock and keys");
    scene.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_no_backup_of_this_store_changes_nothing() {
    let mut scene = Scene::new(Marker::series(1, 10));
    let other = Workplace::new();
    other.add_user();
    other.json(&["backup", "other.db", "--json"]);
    scene.workplace.json(&["backup", "copy.db", "--json"]);
    let before = scene.purged().count("Observation").await;
    scene.stop();
    fs::copy(other.path("other.db"), scene.workplace.path("other.db")).unwrap();
    let copy = fs::read(scene.workplace.path("copy.db")).unwrap();
    scene.workplace.write("cut.db", &copy[..copy.len() / 2]);
    scene.workplace.write("text.db", "no database, and longer than the header of one would have to be".repeat(10));
    let mut garbled = copy.clone();
    garbled[40 * 8192..60 * 8192].fill(0x5a);
    scene.workplace.write("garbled.db", &garbled);
    scene.workplace.write("open.db", &copy);
    scene.workplace.write("open.db-wal", "x");
    for (file, said) in [
        ("missing.db", "there is no file"),
        ("text.db", "cannot be restored"),
        ("cut.db", "cannot be restored"),
        ("garbled.db", "cannot be restored"),
        ("open.db", "write-ahead log"),
        ("other.db", "it belongs to store"),
    ] {
        let done = scene.workplace.run(&["restore", file, "--replace"]);
        assert!(done.code == Some(1) && done.stderr.contains(said), "{file}: {done:?}");
        assert_eq!(fs::read_dir(scene.workplace.path("lethe-data")).unwrap().count(), 5, "{file}: nothing is left behind");
    }
    scene.start();
    assert_eq!(scene.purged().count("Observation").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_parted_keep_what_each_has_of_its_own() {
    let mut scene = Scene::new(Marker::series(1, 10));
    scene.workplace.json(&["backup", "early.db", "--json"]);
    let purged = scene.purged();
    for n in 0..30 {
        assert!(purged.put(&format!("first-{n}")).await.is_success());
    }
    scene.workplace.json(&["backup", "late.db", "--json"]);
    scene.stop();
    // Back to the early copy; the places that the first thirty had are given out once more, and what has them now is purged.
    scene.workplace.json(&["restore", "early.db", "--replace", "--json"]);
    scene.start();
    let purged = scene.purged();
    for n in 0..30 {
        assert!(purged.put(&format!("second-{n}")).await.is_success());
    }
    let job = scene.purge(&[]);
    assert!(job["resourceCount"].as_u64().unwrap() > 30, "the control");
    scene.stop();
    let restored = scene.workplace.json(&["restore", "late.db", "--replace", "--json"]);
    assert_eq!(restored["applied"][0]["job"], job["id"], "{restored}");
    scene.check();
    scene.start();
    let purged = scene.purged();
    assert_eq!(purged.count("Basic").await, 30, "the purge never saw these");
    assert_eq!((purged.count("Patient").await, purged.count("Observation").await), (0, 0), "what both had is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_whole_journal_a_store_is_neither_served_nor_restored() {
    let mut scene = Scene::new(Marker::series(1, 10));
    scene.workplace.json(&["backup", "copy.db", "--json"]);
    scene.purge(&["--type", "Patient"]);
    scene.stop();
    let journal = scene.workplace.path("lethe-data/purge.journal");
    let whole = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    assert!(lines.len() >= 4, "the control: {whole}");
    let second = lines[1].replacen("\"after_seq\":0", "\"after_seq\":1", 1);
    assert_ne!(second, lines[1], "the control");
    for (content, said) in [
        (lines[..lines.len() - 1].concat(), "its end was cut off"),
        (whole[..whole.len() - 5].to_owned(), "its end was cut off"),
        (format!("{}{second}{}", lines[0], lines[2..].concat()), "record 2 was changed"),
        (format!("{}{}", lines[0], lines[2..].concat()), "record 2 is missing, and record 3 stands in its place"),
        (format!("{}{}{}{}", lines[0], lines[2], lines[1], lines[3..].concat()), "record 2 is missing, and record 3"),
        (format!("{}x\n", lines[0]), "record 2 cannot be read"),
    ] {
        fs::write(&journal, content).unwrap();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["restore", "--reapply"], &["restore", "copy.db", "--replace"]] {
            let done = scene.workplace.run(command);
            assert!(done.code == Some(1) && done.stderr.contains(said) && done.stderr.contains("--new-journal"), "{command:?}: {done:?}");
        }
    }
    fs::remove_file(&journal).unwrap();
    let refused = scene.refused_start();
    assert!(refused.stderr.contains("purge.journal is missing"), "{refused:?}");

    // Half of a line at the end is what a crash leaves: the server died while it wrote.
    fs::write(&journal, format!("{whole}{{\"n\":99,\"ent")).unwrap();
    scene.start();
    scene.stop();
    fs::remove_file(&journal).unwrap();
    scene.workplace.json(&["restore", "--reapply", "--new-journal", "--json"]);
    scene.start();
    scene.stop();
    let older = scene.workplace.run(&["restore", "copy.db", "--replace"]);
    assert!(older.code == Some(1) && older.stderr.contains("is not the one that the database knows"), "{older:?}");
}

#[test]
fn a_journal_may_lie_on_another_disk_and_holds_no_ids() {
    let workplace = Workplace::new();
    let (_, _, user) = workplace.add_user();
    workplace.write("in.ndjson", r#"{"resourceType":"Patient","id":"findme-by-id","name":[{"family":"Findme-By-Name"}]}"#);
    workplace.json(&["import", "--user", &user, "in.ndjson", "--json"]);
    workplace.write("elsewhere/here", "");
    let elsewhere = |listen: &str| workplace.lethe(&["serve", "--listen", listen, "--journal", "elsewhere/purges"]);
    let mut running = Running::start(elsewhere("127.0.0.1:0"));
    let line = running.line_with("listens on ");
    let server = line.split("listens on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let token = workplace.run(&["user", "token", &user]).stdout.trim().to_owned();
    let call = ["--server", &server, "--token", &token, "--json", "--reason", "findme-by-reason"];
    workplace.json(&[&["purge", "start", "--watch", "--yes"], &call[..]].concat());
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(!workplace.path("lethe-data/purge.journal").exists());
    let journal = fs::read_to_string(workplace.path("elsewhere/purges")).unwrap();
    assert!(journal.contains("\"outcome\":\"successful\"") && journal.contains("\"versions\":1"), "the control: {journal}");
    assert!(!journal.to_ascii_lowercase().contains("findme"), "{journal}");
}
