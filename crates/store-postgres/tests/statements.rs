//! Every statement file, held to what PostgreSQL accepts and to what a database spread by account demands.

#![allow(clippy::unwrap_used, clippy::panic)] // OK because this file is nothing but tests.

use std::path::{Path, PathBuf};

use lethe_store_postgres::SCHEMA;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// The statement files with their text, in order.
fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| !folder.ends_with("migrations"));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut statements: Vec<(String, String)> = files
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    statements.sort();
    assert!(statements.len() > 150, "the control: {} statements", statements.len());
    statements
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let url = std::env::var("LETHE_TEST_DATABASE_URL").unwrap_or_default();
    assert!(!url.is_empty(), "this test needs a PostgreSQL: run it with `cargo xtask test`, or name one in LETHE_TEST_DATABASE_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // The schema is made in a transaction that is never committed, under a name that nobody else has.
    let name = format!("s{}", Uuid::new_v4().simple());
    let schema = SCHEMA.replace("create schema if not exists lethe", &format!("create schema {name}"));
    client.batch_execute(&format!("begin; set local search_path = {name}; {schema}")).await.unwrap();
    let tables = client.query_one("select count(*) from pg_tables where schemaname = $1", &[&name]).await.unwrap().get::<_, i64>(0);
    assert!(tables > 20, "the control: {tables} tables");
    let mut wrong = Vec::new();
    for (file, sql) in statements().into_iter().filter(|(file, _)| !file.starts_with("preview/hide_")) {
        client.batch_execute("savepoint one").await.unwrap();
        if let Err(error) = client.prepare(&sql).await {
            wrong.push(format!("{file}: {}", error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)));
        }
        client.batch_execute("rollback to one").await.unwrap();
    }
    client.batch_execute("rollback").await.unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_statement_asks_for_what_a_spread_database_lacks() {
    let mut wrong = Vec::new();
    for (file, sql) in statements().into_iter().chain([("schema".to_owned(), SCHEMA.to_owned())]) {
        for refused in ["recursive", "skip locked", "create trigger", "random(", "clock_timestamp", "prepare transaction"] {
            if sql.contains(refused) {
                wrong.push(format!("{file}: {refused}"));
            }
        }
        if sql.starts_with("update") && ["now()", "nextval", "gen_random"].iter().any(|volatile| sql.contains(volatile)) {
            wrong.push(format!("{file}: a volatile function in an update"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
