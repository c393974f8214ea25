//! The store on PostgreSQL, held to the suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // OK because this file is nothing but tests.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
};

use async_trait::async_trait;
use lethe_store::{Clock, PurgeWork, Store};
use lethe_store_postgres::{PostgresStore, SCHEMA};
use lethe_store_suite::{Backend, TestClock};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// A database of its own on the server that `cargo xtask test` started; dropped with this.
struct Postgres {
    url: String,
    name: String,
    clock: Arc<TestClock>,
    store: Option<Arc<PostgresStore>>,
}

/// The address of the server.
fn server() -> String {
    let url = std::env::var("LETHE_TEST_DATABASE_URL").unwrap_or_default();
    assert!(!url.is_empty(), "these tests need a PostgreSQL: run them with `cargo xtask test`, or name one in LETHE_TEST_DATABASE_URL");
    url
}

/// The address of another database of the server.
fn url_of(database: &str) -> String {
    let server = server();
    let (address, options) = server.split_once('?').map_or((server.as_str(), None), |(address, options)| (address, Some(options)));
    let host = address.rsplit_once('/').expect("postgres://host/database").0;
    format!("{host}/{database}{}", options.map(|options| format!("?{options}")).unwrap_or_default())
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database that has the schema, from which the others are copied: made by whichever test comes first.
async fn template(server: &Client) -> String {
    let mut hasher = DefaultHasher::new();
    SCHEMA.hash(&mut hasher);
    let name = format!("lethe_template_{:016x}", hasher.finish());
    server.batch_execute("select pg_advisory_lock(7601238412)").await.unwrap();
    let exists = server.query_opt("select 1 from pg_database where datname = $1", &[&name]).await.unwrap().is_some();
    if !exists {
        // Under another name until it is whole: a test that is killed in the middle leaves nothing that looks like it.
        server.batch_execute(&format!("drop database if exists {name}_part with (force)")).await.unwrap();
        server.batch_execute(&format!("create database {name}_part")).await.unwrap();
        drop(PostgresStore::open(&url_of(&format!("{name}_part")), Arc::new(TestClock::default())).await.unwrap());
        let leave = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}_part'");
        server.batch_execute(&leave).await.unwrap();
        server.batch_execute(&format!("alter database {name}_part rename to {name}")).await.unwrap();
    }
    server.batch_execute("select pg_advisory_unlock(7601238412)").await.unwrap();
    name
}

impl Postgres {
    async fn client(&self) -> Client {
        let client = connect(&self.url).await;
        client.batch_execute("set search_path = lethe").await.unwrap();
        client
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.store = None;
        let name = std::mem::take(&mut self.name);
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let server = connect(&server()).await;
                server.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
            });
        });
        assert!(dropped.join().is_ok() || std::thread::panicking(), "the database of the test is dropped");
    }
}

#[async_trait]
impl Backend for Postgres {
    async fn open(clock: Arc<TestClock>) -> Self {
        let server = connect(&server()).await;
        let (template, name) = (template(&server).await, format!("lethe_test_{}", Uuid::new_v4().simple()));
        server.batch_execute(&format!("create database {name} template {template}")).await.unwrap();
        let store = PostgresStore::open(&url_of(&name), Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        Self { url: url_of(&name), name, clock, store: Some(Arc::new(store)) }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap()) as Arc<dyn Store>
    }

    async fn restart(&mut self) {
        self.store = None;
        let store = PostgresStore::open(&self.url, Arc::clone(&self.clock) as Arc<dyn Clock>).await.unwrap();
        store.release_leases().await.unwrap();
        self.store = Some(Arc::new(store));
    }

    async fn tables(&self) -> Vec<String> {
        let rows = self.client().await.query("select tablename::text from pg_tables where schemaname = 'lethe'", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn rows(&self, table: &str) -> u64 {
        let row = self.client().await.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap();
        u64::try_from(row.get::<_, i64>(0)).unwrap()
    }

    async fn plant_leftover(&self, residence: &str, account: i64) {
        let patient = "Patient".parse::<lethe_fhir::ResourceType>().unwrap().code();
        let provenance = lethe_fhir::ResourceType::PROVENANCE.code();
        let statement = match residence {
            // An earlier version whose successor is gone.
            "version" => format!("insert into version values ({account}, {patient}, 1, 'x', 1, 0, 1, null, 2, null, null, '\\x007d7d')"),
            "resource" => format!("insert into resource values ({account}, {patient}, 'x', 1)"),
            "reference" => format!("insert into reference values ({account}, {patient}, 1, 'x', 1)"),
            "index_value" => format!("insert into index_value values ({account}, {patient}, 1, 4, 'x', 1)"),
            "provenance_target" => format!("insert into provenance_target values ({account}, 1, {provenance}, 'x')"),
            "purge_question" => "insert into purge_question values (1, '{}')".to_owned(),
            "purge_listed" => format!("insert into purge_listed values (1, {account}, 'companion', {provenance}, 1)"),
            "export_question" => format!("insert into export_question values (1, 'c1', {account}, 0, '{{}}')"),
            // What a hold named that has ended.
            "hold_target" => {
                let id = Uuid::new_v4();
                let ended = format!(
                    "insert into legal_hold overriding system value values (9, '{id}', {account}, 'patient', '', '', 0, null, null, 1)"
                );
                self.client().await.batch_execute(&ended).await.unwrap();
                format!("insert into hold_target values (9, {account}, {patient}, 'x')")
            }
            other => panic!("no leftover is known for {other}"),
        };
        assert_eq!(self.client().await.execute(&statement, &[]).await.unwrap(), 1);
    }

    async fn plant_bytes(&self) -> Option<&'static str> {
        None
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn erases_files() -> bool {
        false
    }
}

// What is not here yet is not named.
lethe_store_suite::store_suite!(
    Postgres; accounts, resources, searches, search_pages, guards, imports, exports, holds, targets, companions, listed, control, failures, moving_faults, restarts, residences,
    concurrency, model, erasure, previews
);
