//! `lethe copy`: an embedded store becomes one on PostgreSQL, with everything that it has.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{collections::BTreeMap, fmt::Write, fs, process::Stdio, time::Duration};

use lethe::population::{GeneratedKind, Population};
use serde_json::Value;
use support::{Done, Workplace, database::Database, serve};
use tokio::time::sleep;

/// Puts and deletes, as the embedded store is to hold them.
fn fill(workplace: &Workplace, user: &str, seed: u64) {
    let lines = Population::new(seed, 3).fold(String::new(), |mut lines, change| {
        if let GeneratedKind::Put(json) = change.kind {
            writeln!(lines, "{json}").unwrap();
        }
        lines
    });
    workplace.write("lines.ndjson", lines);
    workplace.json(&["import", "--user", user, "lines.ndjson", "--json"]);
}

/// Every file of an export, by name.
fn exported(workplace: &Workplace, name: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(workplace.path(name)).unwrap().map(|entry| entry.unwrap());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect()
}

fn purge(workplace: &Workplace, server: &str, credentials: &[&str], arguments: &[&str]) -> Done {
    workplace.run(&[&["purge"], arguments, &["--server", server], credentials].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_store_has_everything_and_goes_on_where_it_was() {
    let (database, workplace) = (Database::create().await, Workplace::new());
    let (client_id, secret, user) = workplace.add_user();
    let other = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
    fill(&workplace, &user, 1);
    fill(&workplace, &other, 2);
    let credentials = ["--client-id", &client_id, "--client-secret", &secret, "--user", &user];
    let start = ["start", "--yes", "--watch", "--json", "--type", "Encounter"];
    let (mut running, server) = serve(&workplace);
    let first: Value = serde_json::from_str(&purge(&workplace, &server, &credentials, &start).stdout).unwrap();
    assert!(first["job"]["deletedCount"].as_u64() > Some(0), "{first}");
    let http = reqwest::Client::new();
    let token = workplace.run(&["user", "token", &user]).stdout.trim().to_owned();
    let api = async |server: &str, method: &str, path: &str| {
        let request = http.request(method.parse().unwrap(), format!("{server}/r4/{path}")).bearer_auth(&token);
        let answer = request.json(&serde_json::json!({"resourceType": "Basic", "id": "b", "code": {"text": "a"}})).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    for method in ["PUT", "DELETE"] {
        assert!(api(&server, method, "Basic/b").await.0 < 300);
    }
    let asked =
        ["Basic/b/_history", "Observation?_summary=count&date=ge2020", "Patient?_summary=count&gender=female", "Condition?_summary=count"];
    let mut before = Vec::new();
    for path in asked {
        before.push(api(&server, "GET", path).await.1.replace(&server, ""));
    }
    let copy = |keys: &str| {
        let mut command = workplace.lethe(&["copy", "--from", "lethe-data", "--keys-dir", keys]);
        Done::from(command.env("LETHE_TO", &database.url).output().unwrap())
    };
    let refused = copy("keys");
    assert!(refused.code == Some(1) && refused.stderr.contains("stop the other server"), "a server runs: {refused:?}");
    running.signal("TERM");
    running.wait();
    for (name, account) in [("a", &user), ("b", &other)] {
        workplace.json(&["export", name, "--user", account, "--json"]);
    }
    workplace.json(&["hold", "add", "--user", &other, "--account", "--reason", "r", "--by", "b", "--json"]);

    workplace.write("taken/secret.key", [0; 32]);
    let refused = copy("taken");
    assert!(refused.code == Some(1) && refused.stderr.contains("is there already, and is another"), "{refused:?}");
    let done = copy("lethe-keys");
    assert!(done.code == Some(0) && done.stdout.contains("rows and bytes agree"), "{done:?}");
    assert_eq!(
        fs::read(workplace.path("lethe-keys/purge.journal")).unwrap(),
        fs::read(workplace.path("lethe-data/purge.journal")).unwrap()
    );
    let again = copy("lethe-keys");
    assert!(again.code == Some(1) && again.stderr.contains("has a store already"), "{again:?}");

    for (name, account) in [("a", &user), ("b", &other)] {
        let copied = format!("{name}-copied");
        database.said(&workplace, &["export", &copied, "--user", account]);
        assert_eq!(exported(&workplace, name), exported(&workplace, &copied));
        assert!(exported(&workplace, name).len() > 5, "the control");
    }
    let (_running, server) = database.serve(&workplace, &[]);
    for (path, before) in asked.iter().zip(before) {
        let after = api(&server, "GET", path).await.1.replace(&server, "");
        assert_eq!(after, before, "{path}");
    }
    assert_eq!(database.run(&workplace, &["check"]).code, Some(0));
    // What it does next follows what it did before: places, numbers, the chain of certificates, the journal.
    assert_eq!(api(&server, "PUT", "Basic/b").await.0, 201);
    let second: Value =
        serde_json::from_str(&purge(&workplace, &server, &credentials, &["start", "--yes", "--watch", "--json"]).stdout).unwrap();
    assert_eq!(second["job"]["status"], "successful", "{second}");
    for (name, job) in [("first.json", &first), ("second.json", &second)] {
        let id = job["job"]["id"].as_str().unwrap();
        let certificate = purge(&workplace, &server, &credentials, &["certificate", id]);
        assert_eq!(certificate.code, Some(0), "{certificate:?}");
        workplace.write(name, certificate.stdout);
    }
    let verified = database.run(&workplace, &["certificate", "verify", "first.json", "second.json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let held = [&credentials[..4], &["--user", &other]].concat();
    let held: Value = serde_json::from_str(&purge(&workplace, &server, &held, &["start", "--yes", "--watch", "--json"]).stdout).unwrap();
    assert_eq!(held["job"]["deletedCount"], 0, "the hold came along: {held}");
    assert_eq!(database.run(&workplace, &["check"]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_store_that_is_written_to_meanwhile_is_refused_and_leaves_nothing() {
    let (database, workplace) = (Database::create().await, Workplace::new());
    let (client_id, _, user) = workplace.add_user();
    fill(&workplace, &user, 1);
    database.said(&workplace, &["migrate"]);
    let copy = || {
        let mut command = workplace.lethe(&["copy", "--from", "lethe-data", "--keys-dir", "keys"]);
        command.env("LETHE_TO", &database.url);
        command
    };
    // It stands still when it comes to the versions, and meanwhile a command adds a user.
    let client = database.client().await;
    client.batch_execute("begin; lock table version in share mode").await.unwrap();
    let mut stopped = copy();
    let running = stopped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waiting = "select count(*) from pg_locks where relation = 'version'::regclass and not granted";
    while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    workplace.json(&["user", "add", "--client", &client_id, "carol", "--json"]);
    client.batch_execute("commit").await.unwrap();
    let refused = Done::from(running.wait_with_output().unwrap());
    assert!(
        refused.code == Some(1) && refused.stderr.contains("something was written to lethe-data meanwhile; nothing was copied"),
        "{refused:?}"
    );

    let tables = client.query("select tablename::text from pg_tables where schemaname = 'lethe'", &[]).await.unwrap();
    assert!(tables.len() > 20, "the control");
    for table in tables.iter().map(|row| row.get::<_, String>(0)) {
        let rows: i64 = client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0);
        // As in every empty store: its name, and its line.
        assert_eq!(rows, i64::from(["store_identity", "lineage"].contains(&table.as_str())), "{table}");
    }
    let left = fs::read_dir(workplace.path("keys")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "files of a store that is not there");
    let done = Done::from(copy().output().unwrap());
    assert!(done.code == Some(0) && fs::exists(workplace.path("keys/secret.key")).unwrap(), "{done:?}");
}
