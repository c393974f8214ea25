//! `lethe erase-files` of the real binary: what it says, and with which status it ends.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value;
use support::{Workplace, database::Database, serve_by};

/// It needs rights that only a cluster of the tests' own is sure to give.
fn is_own_cluster() -> bool {
    let is_own = std::env::var_os("LETHE_TEST_DATABASE_DIR").is_some();
    if !is_own {
        eprintln!("SKIPPED: LETHE_TEST_DATABASE_DIR is not set, so the server may not be the tests' own");
    }
    is_own
}

#[test]
fn of_an_embedded_store_it_says_that_nothing_is_left_to_do() {
    let workplace = Workplace::new();
    for arguments in [&["erase-files"][..], &["erase-files", "--data", "elsewhere"]] {
        let done = workplace.run(arguments);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains("every purge reaches the level 'files'"), "{done:?}");
    }
}

#[tokio::test]
async fn it_tells_which_level_was_reached_for_which_certificates() {
    if !is_own_cluster() {
        return;
    }
    let (database, workplace) = (Database::create().await, Workplace::new());
    let missing = database.run(&workplace, &["erase-files"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("there is no store in"), "{missing:?}");
    database.said(&workplace, &["migrate"]);
    let report: Value = serde_json::from_str(&database.said(&workplace, &["erase-files", "--json"])).unwrap();
    assert_eq!((&report["level"], &report["purges"], &report["certificatesUpTo"]), (&"files".into(), &0.into(), &0.into()), "{report}");
    assert!(report["rewritten"].as_array().unwrap().len() > 20, "{report}");
    let again = database.run(&workplace, &["erase-files"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.contains("0 tables rewritten") && again.stdout.contains("Level files"), "{again:?}");
    assert!(again.stderr.contains("lethe.version"), "its progress: {again:?}");

    // What keeps it from the level is told, and the status says so.
    let client = database.client().await;
    let large = "alter table purge_removed alter column seqs set storage external;
        insert into purge_removed select 1, n, 1, 1, convert_to(repeat('x', 1000000), 'UTF8') from generate_series(1, 20) n;
        comment on table purge_removed is null";
    client.batch_execute(large).await.unwrap();
    let left = database.run(&workplace, &["erase-files", "--wait-max-ms", "1000"]);
    assert_eq!(left.code, Some(1), "{left:?}");
    assert!(left.stdout.contains("left: lethe.purge_removed") && left.stdout.contains("Level rows"), "{left:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_as_the_statement_that_gives_it() {
    if !is_own_cluster() {
        return;
    }
    let (database, workplace) = (Database::create().await, Workplace::new());
    database.said(&workplace, &["migrate"]);
    let role = format!("lethe_e2e_role_{}", uuid::Uuid::new_v4().simple());
    let client = database.client().await;
    client.batch_execute(&format!("create role {role} login password 'hunter2'; grant usage on schema lethe to {role}")).await.unwrap();
    let url = database.url.replacen("postgres@", &format!("{role}:hunter2@"), 1);
    let done = workplace.run(&["erase-files", "--database-url", &url]);
    client.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
    assert_eq!(done.code, Some(1), "{done:?}");
    for told in
        [format!("grant pg_checkpoint to {role}"), format!("alter table lethe.version owner to {role}"), "nothing was done".to_owned()]
    {
        assert!(done.stderr.contains(&told), "{told}: {done:?}");
    }
    assert!(!done.stderr.contains("hunter2"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_asks_for_it_has_files_on_its_certificate_and_another_rows() {
    if !is_own_cluster() {
        return;
    }
    let (database, workplace) = (Database::create().await, Workplace::new());
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&database.said(&workplace, arguments)).unwrap();
    let client = json(&["client", "add", "Test", "--json"]);
    let user = json(&["user", "add", "--client", client["client_id"].as_str().unwrap(), "alice", "--json"])["oneup_user_id"].to_string();
    let token = database.said(&workplace, &["user", "token", &user]);
    let (_running, server) = database.serve(&workplace, &[]);
    for (option, level) in [(None, "rows"), (Some("--erase-files"), "files")] {
        let start = ["purge", "start", "--yes", "--watch", "--json", "--server", &server, "--token", &token];
        let started = database.run(&workplace, &[&start[..], option.as_slice()].concat());
        assert_eq!(started.code, Some(0), "{started:?}");
        let jobs = json(&["purge", "list", "--json", "--server", &server, "--token", &token]);
        let newest = jobs["jobs"][0]["id"].as_str().unwrap_or_else(|| panic!("{jobs}"));
        let certificate = json(&["purge", "certificate", newest, "--server", &server, "--token", &token]);
        assert_eq!(certificate["certificate"]["method"]["level"], level, "{certificate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_off_that_asks_for_it_is_refused_where_it_cannot_be_done() {
    if !is_own_cluster() {
        return;
    }
    let (database, workplace) = (Database::create().await, Workplace::new());
    let json = |arguments: &[&str]| serde_json::from_str::<Value>(&database.said(&workplace, arguments)).unwrap();
    let client = json(&["client", "add", "Test", "--json"]);
    let user = json(&["user", "add", "--client", client["client_id"].as_str().unwrap(), "alice", "--json"])["oneup_user_id"].to_string();
    let token = database.said(&workplace, &["user", "token", &user]);
    let role = format!("lethe_e2e_role_{}", uuid::Uuid::new_v4().simple());
    let connection = database.client().await;
    let may_serve = format!(
        "create role {role} login; grant usage on schema lethe to {role}; grant all on all tables in schema lethe to {role};
        grant all on all sequences in schema lethe to {role}"
    );
    connection.batch_execute(&may_serve).await.unwrap();
    let url = database.url.replacen("postgres@", &format!("{role}@"), 1);
    let (running, server) = serve_by(workplace.lethe(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]));
    let start =
        |more: &[&str]| database.run(&workplace, &[&["purge", "start", "--yes", "--server", &server, "--token", &token], more].concat());
    let refused = start(&["--erase-files"]);
    let jobs = json(&["purge", "list", "--json", "--server", &server, "--token", &token]);
    let plain = start(&["--watch"]);
    drop(running);
    connection.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
    assert_ne!(refused.code, Some(0), "{refused:?}");
    for told in ["nothing was started", "lacks rights", "Leave '_eraseFiles' out", "lethe erase-files"] {
        assert!(refused.stderr.contains(told), "{told}: {refused:?}");
    }
    assert!(!refused.stderr.contains(&role), "what is missing is for whoever operates it: {refused:?}");
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(0), "{jobs}");
    assert_eq!(plain.code, Some(0), "the control: {plain:?}");
}
