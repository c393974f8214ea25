//! Every statement file, held to what PostgreSQL accepts and to what a database spread by account demands.

#![allow(clippy::unwrap_used, clippy::panic)] // OK because this file is nothing but tests.

use std::path::{Path, PathBuf};

use lethe_store::residence::RESIDENCES;
use lethe_store_postgres::SCHEMA;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
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

/// A connection in a transaction that has the schema, under a name that nobody else has, and is never committed.
async fn connect() -> Client {
    let url = std::env::var("LETHE_TEST_DATABASE_URL").unwrap_or_default();
    assert!(!url.is_empty(), "this test needs a PostgreSQL: run it with `cargo xtask test`, or name one in LETHE_TEST_DATABASE_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("s{}", Uuid::new_v4().simple());
    let schema = SCHEMA.replace("create schema if not exists lethe", &format!("create schema {name}"));
    client.batch_execute(&format!("begin; set local search_path = {name}; {schema}")).await.unwrap();
    let tables = client.query_one("select count(*) from pg_tables where schemaname = $1", &[&name]).await.unwrap().get::<_, i64>(0);
    assert!(tables > 20, "the control: {tables} tables");
    client
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let client = connect().await;
    let mut wrong = Vec::new();
    for (file, sql) in statements().into_iter().filter(|(file, _)| !file.starts_with("preview/hide_")) {
        client.batch_execute("savepoint one").await.unwrap();
        if let Err(error) = client.prepare(&sql).await {
            wrong.push(format!("{file}: {}", error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)));
        }
        client.batch_execute("rollback to one").await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tables that grow with what is stored.
const LARGE: [&str; 6] = ["version", "resource", "reference", "provenance_target", "purge_listed", "purge_held"];

/// Statements that go by a job alone: its lists, which are short or are forgotten as a whole.
const BY_JOB: [&str; 7] = [
    "preview/batches.sql",
    "purge/clear_held.sql",
    "purge/clear_listed.sql",
    "purge/clear_listed_chunk.sql",
    "purge/companion_accounts.sql",
    "purge/count_listed.sql",
    "purge/done_ranges.sql",
];

#[tokio::test]
async fn statements_search_large_tables_by_account_and_never_walk_them() {
    let client = connect().await;
    // As in the store's own sessions; and whatever could go by a key does.
    let settings = "set local join_collapse_limit = 1; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; \
        set local enable_bitmapscan = off";
    client.batch_execute(settings).await.unwrap();
    let live = |file: &str| {
        !file.starts_with("check/") && !file.starts_with("moved_in/") && !file.starts_with("preview/hide_") && !BY_JOB.contains(&file)
    };
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for (file, sql) in statements().into_iter().filter(|(file, _)| live(file)) {
        let is_planned = ["select", "update", "delete", "insert", "with"].iter().any(|verb| sql.starts_with(verb));
        if !is_planned {
            continue;
        }
        client.batch_execute(&format!("prepare one as {sql}")).await.unwrap();
        let values =
            client.query_one("select cardinality(parameter_types) from pg_prepared_statements where name = 'one'", &[]).await.unwrap();
        let values = vec!["null"; usize::try_from(values.get::<_, i32>(0)).unwrap()].join(", ");
        let execute = if values.is_empty() { "one".to_owned() } else { format!("one({values})") };
        let plan = client.simple_query(&format!("explain execute {execute}")).await.unwrap();
        let lines: Vec<&str> =
            plan.iter().filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None }).collect();
        for (at, line) in lines.iter().enumerate() {
            let is_write = ["Insert on", "Update on", "Delete on", "LockRows"].iter().any(|write| line.contains(write));
            let reads_large = LARGE.iter().any(|table| line.contains(&format!(" on {table} ")));
            if is_write || !reads_large {
                continue;
            }
            looked_at += 1;
            let node = lines[at + 1..].iter().take_while(|line| !line.contains("->"));
            let goes_by_account = node.filter(|line| line.contains("Index Cond")).any(|line| line.contains("account_id = "));
            if !goes_by_account {
                wrong.push(format!("{file}: {}\n{}", line.trim(), lines.join("\n")));
            }
        }
        client.batch_execute("deallocate one").await.unwrap();
    }
    assert!(looked_at > 60, "the control: {looked_at} looks at large tables");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Columns of residences that hold no content: words of ours, and who asked.
const WORDS_OF_OURS: [&str; 2] = ["purge_listed.role", "export_question.client_id"];

#[tokio::test]
async fn no_statistics_are_kept_of_content_and_ids() {
    let client = connect().await;
    let tables: Vec<&str> = RESIDENCES.iter().map(|residence| residence.table).collect();
    let sampled = "select relname || '.' || attname, attstattarget <> 0
        from pg_attribute join pg_class on pg_class.oid = attrelid
        where relnamespace = current_schema()::regnamespace and attnum > 0 and atttypid in ('bytea'::regtype, 'bytea[]'::regtype, 'text'::regtype)
            and (relname = any ($1) or relkind = 'i' and exists (
                select from pg_index join pg_class of on of.oid = indrelid
                where indexrelid = attrelid and indexprs is not null and of.relname = any ($1)))";
    let rows = client.query(sampled, &[&tables]).await.unwrap();
    let columns: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(columns.iter().any(|(column, _)| column == "version.body"), "the control: {columns:?}");
    let wrong: Vec<&String> = columns
        .iter()
        .filter(|(column, is_sampled)| *is_sampled && !WORDS_OF_OURS.contains(&column.as_str()))
        .map(|(column, _)| column)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
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
        // Citus 13.2 crashes on it.
        if sql.starts_with("update") && sql.contains("[])[") {
            wrong.push(format!("{file}: a column is set to an element of an array"));
        }
        if sql.starts_with("update") && ["now()", "nextval", "gen_random"].iter().any(|volatile| sql.contains(volatile)) {
            wrong.push(format!("{file}: a volatile function in an update"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
