//! The store on PostgreSQL, held to the suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // OK because this file is nothing but tests.

#[path = "suite/claims.rs"]
mod claims;
#[path = "suite/erase_files.rs"]
mod erase_files;
#[path = "suite/erase_large.rs"]
mod erase_large;
#[path = "suite/erase_on_a_job.rs"]
mod erase_on_a_job;
#[path = "suite/several.rs"]
mod several;
#[path = "suite/shared_batches.rs"]
mod shared_batches;
#[path = "suite/shared_lock.rs"]
mod shared_lock;
#[path = "suite/writers.rs"]
mod writers;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lethe_auth::Scope;
use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::JobState;
use lethe_purge::{Selection, Seq};
use lethe_store::{
    Clock, Expect, KickOff, PurgeWork, Store, StoreError, Write, WriteError,
    residence::{RESIDENCES, Residence},
};
use lethe_store_postgres::{MigrateError, OpenError, PostgresStore, SCHEMA};
use lethe_store_suite::{Backend, Harness, TestClock};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

/// A database of its own on the server that `cargo xtask test` started; dropped with this.
struct Postgres {
    url: String,
    name: String,
    clock: Arc<TestClock>,
    store: Option<Arc<PostgresStore>>,
}

/// Until so many sessions of the database wait for a lock.
async fn waiting(client: &Client, wanted: i64) {
    let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let begun = Instant::now();
    while client.query_one(count, &[]).await.unwrap().get::<_, i64>(0) < wanted {
        // Locks are waited for 10 s.
        assert!(begun.elapsed().as_secs() < 10, "less than {wanted} wait");
        client.simple_query("select pg_stat_clear_snapshot()").await.unwrap();
        // Whoever looks at all locks without a pause keeps others from taking any.
        sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the database is spread by account, and so has no triggers: then the test that asks is skipped.
async fn is_spread(client: &Client) -> bool {
    let is_spread = client.query_opt("select 1 from pg_extension where extname = 'citus'", &[]).await.unwrap().is_some();
    if is_spread {
        eprintln!("skipped: this test stops or notes statements by triggers, which a database that is spread by account does not have");
    }
    is_spread
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

/// Makes a database one that is spread by account, if the server can: all shards on this one machine.
async fn add_citus(url: &str) {
    let client = connect(url).await;
    let libraries: String = client.query_one("show shared_preload_libraries", &[]).await.unwrap().get(0);
    if libraries.split(',').any(|library| library.trim() == "citus") {
        let add = "create extension citus; select citus_set_coordinator_host('127.0.0.1', current_setting('port')::integer);
             select citus_set_node_property('127.0.0.1', current_setting('port')::integer, 'shouldhaveshards', true)";
        client.batch_execute(add).await.unwrap();
    }
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
        add_citus(&url_of(&format!("{name}_part"))).await;
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
                let drop = format!("drop database {name} with (force)");
                // Whoever keeps the shards of a spread database in order may come back in between.
                if server.batch_execute(&drop).await.is_err() {
                    server.batch_execute(&drop).await.unwrap();
                }
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
            "version" => {
                format!("insert into version values ({account}, {patient}, 1, 'x', 1, 0, 1, null, 2, null, null, null, null, '\\x007d7d')")
            }
            "reference" => format!("insert into reference values ({account}, {patient}, 1, 'x', 1)"),
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

    fn residences() -> Vec<Residence> {
        RESIDENCES.to_vec()
    }

    async fn plant_bytes(&self) -> Option<&'static str> {
        None
    }

    async fn exchange_body(&self, seq: Seq, body: Vec<u8>) -> Vec<u8> {
        let (client, seq) = (self.client().await, i64::try_from(seq.0).unwrap());
        let was = client.query_one("select body from version where seq = $1", &[&seq]).await.unwrap().get(0);
        assert_eq!(client.execute("update version set body = $2 where seq = $1", &[&seq, &body]).await.unwrap(), 1);
        was
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn erases_files() -> bool {
        false
    }
}

lethe_store_suite::store_suite!(Postgres);

impl Postgres {
    /// Ends every session of the database, as a server that goes down.
    async fn cut(&self) -> u64 {
        let server = connect(&server()).await;
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
        server.execute(cut, &[&self.name]).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_is_told_to_ask_again_and_nothing_is_half_done() {
    let harness = Arc::new(Harness::<Postgres>::open().await);
    let account = harness.account.account_id().unwrap();
    let (mut cut_off, mut stored) = (0, 0);
    for round in 0..10 {
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let store = harness.store();
            writers.spawn(async move {
                let json = json!({"resourceType": "Patient", "id": format!("p{round}-{writer}"), "active": true});
                let resource = Resource::from_json(json).unwrap();
                let id = resource.id.clone().unwrap();
                store.write(account, vec![Write::put(&resource, id, &LocalBases::new([]), Expect::Anything).unwrap()]).await
            });
        }
        harness.backend.cut().await;
        while let Some(outcome) = writers.join_next().await {
            match outcome.unwrap() {
                Ok(_) => stored += 1,
                Err(WriteError::Store(StoreError::OutOfReach(_))) => cut_off += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(cut_off > 0 && stored > 0, "the control: {cut_off} cut off, {stored} stored");
    // A connection that was cut off is found out by the next who asks for it, at the latest.
    while harness.store().totals(&harness.account).await.is_err() {}
    harness.assert_bystander_is_whole().await;
    let there = harness.ids("Patient").await.len() as u64;
    assert!(there >= stored && there <= stored + cut_off, "{stored} were told that they are stored, {there} are there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_goes_on_when_the_server_comes_back() {
    let harness = Arc::new(Harness::<Postgres>::open().await.with_batches_of(1));
    for number in 0..40 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{number}")})).await;
    }
    let job_id = harness.kick_off(Selection::default()).await;
    let working = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.work().await }
    });
    let mut cuts = 0;
    let mut deleted_at_cut = 0;
    while !working.is_finished() {
        let job = harness.store().purge_job(&harness.account, job_id).await;
        if let Ok(Some(job)) = job
            && job.totals().deleted >= deleted_at_cut + 8
        {
            deleted_at_cut = job.totals().deleted;
            cuts += u64::from(harness.backend.cut().await > 0);
        }
        tokio::task::yield_now().await;
    }
    working.await.unwrap();
    assert!(cuts > 1, "the control: {cuts} cuts");
    while harness.store().totals(&harness.account).await.is_err() {}
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 40), "{job:?}");
    harness.assert_bystander_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_start_at_once_make_one_schema_and_a_later_one_is_refused() {
    let mut backend = Postgres::open(Arc::default()).await;
    backend.store = None;
    backend.client().await.batch_execute("drop schema lethe cascade").await.unwrap();
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        let url = backend.url.clone();
        starts.spawn(async move { PostgresStore::open(&url, Arc::new(TestClock::default())).await.map(drop) });
    }
    while let Some(started) = starts.join_next().await {
        started.unwrap().unwrap();
    }
    assert_eq!(backend.rows("store_identity").await, 1);
    backend.client().await.batch_execute("comment on schema lethe is '99'").await.unwrap();
    let refused = PostgresStore::open(&backend.url, Arc::new(TestClock::default())).await.err().unwrap();
    assert!(matches!(refused, OpenError::Migrate(MigrateError::TooNew { found: 99, .. })), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_off_waits_for_whoever_has_a_place_or_adds_an_account_already() {
    let write = "select 1 from commit_order where account_id = $account for share; select nextval('place')";
    let add =
        "insert into user_account (client_id, app_user_id, active, created_on_ms) values ('c1', 'new', true, 0); select nextval('place')";
    for (is_of_client, begun) in [(false, write), (true, write), (true, add)] {
        let harness = Harness::<Postgres>::open().await;
        let account = harness.account.account_id().unwrap();
        let owner = match is_of_client {
            true => Scope::Client { client_id: harness.account.client_id().clone() },
            false => harness.account.clone(),
        };
        let writer = harness.backend.client().await;
        let taken = writer.simple_query(&format!("begin; {}", begun.replace("$account", &account.to_string()))).await.unwrap();
        let places = taken.iter().rev().find_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
        let place = Seq(places.unwrap().parse().unwrap());
        let (store, purge) = (harness.store(), harness.new_purge(&owner, Selection::default()));
        let kick_off = tokio::spawn(async move { store.kick_off(&purge).await.unwrap() });
        // It waits, and nobody has to guess for how long.
        waiting(&writer, 1).await;
        writer.simple_query("commit").await.unwrap();
        let KickOff::Started(job) = kick_off.await.unwrap() else { panic!("it starts: the control") };
        assert!(job.watermark > place, "{:?} was taken before {place:?}: {begun}", job.watermark);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_ended_for_anothers_sake_is_run_again() {
    let harness = Harness::<Postgres>::open().await;
    let (account, bystander) = (harness.account.account_id().unwrap(), harness.bystander.account_id().unwrap());
    let lock = |account| format!("select 1 from commit_order where account_id = {account} for no key update");
    let other = harness.backend.client().await;
    // Of the two it is the store's transaction that finds out.
    other.simple_query(&format!("set deadlock_timeout = '1h'; begin; {}", lock(bystander))).await.unwrap();
    let purge = harness.new_purge(&Scope::Client { client_id: harness.account.client_id().clone() }, Selection::default());
    let store = harness.store();
    let kick_off = tokio::spawn(async move { store.kick_off(&purge).await });
    waiting(&other, 1).await;
    // Each waits for the other now.
    other.simple_query(&lock(account)).await.unwrap();
    other.simple_query("commit").await.unwrap();
    let outcome = kick_off.await.unwrap();
    assert!(matches!(outcome, Ok(KickOff::Started(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_behind_many_rows_that_stay_is_found() {
    let harness = Harness::<Postgres>::open().await;
    let (account, patient) = (harness.account.account_id().unwrap(), "Patient".parse::<lethe_fhir::ResourceType>().unwrap().code());
    harness.put(json!({"resourceType": "Patient", "id": "goes", "active": true})).await;
    harness.clock.advance_ms(60_000);
    let mut before = None;
    for number in 0..200 {
        let reference = json!([{"url": format!("Binary/b{number}")}]);
        before = before.or(Some(
            harness
                .put(json!({"resourceType": "Patient", "id": format!("p{number}"), "active": true, "photo": reference}))
                .await
                .last_updated,
        ));
    }
    let job = harness.purge(Selection { before, ..Selection::default() }).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 1), "the control");
    let place = job.watermark.0;
    let last = format!("select max(seq) from version where account_id = {account} and type_id = {patient}");
    for (residence, leave) in [
        ("reference", format!("insert into reference values ({account}, {patient}, 99, 'x', 1)")),
        // An earlier version of one that is gone.
        ("version", format!("update version set replaced_by_seq = {place} where account_id = {account} and seq = ({last})")),
    ] {
        harness.backend.client().await.batch_execute(&leave).await.unwrap();
        let found = harness.store().residue(job.job_id).await.unwrap().unwrap();
        let left = found.iter().find(|found| found.residence == residence).unwrap().rows;
        assert_eq!(left, 1, "{residence}: {found:?}");
    }
}
