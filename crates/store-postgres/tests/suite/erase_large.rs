//! Tables that are too large to be rewritten while calls wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lethe_certificate::document::Level;
use lethe_fhir::ResourceType;
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_store::{Change, Expect, Write};
use lethe_store_postgres::ErasePatience;
use lethe_store_suite::Harness;
use serde_json::json;
use tokio::sync::Notify;
use tokio_postgres::Client;

use super::{
    Postgres,
    erase_files::{directory, erase_files, found, markers, plant, plant_large, traffic},
};

/// Larger than what may be rewritten in the second that is given.
const PATIENCE: ErasePatience = ErasePatience { wait_max: Duration::from_secs(1), others_max: Duration::from_secs(60) };

/// An account that has nothing but rows of the table.
const NO_ACCOUNT: i64 = 999_999;

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// All that belongs to the table.
async fn described(client: &Client) -> String {
    let sql = "select string_agg(part, e'\n' order by part) from (
        select pg_get_indexdef(indexrelid) as part from pg_index where indrelid = 'version'::regclass
        union all select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid = 'version'::regclass
        union all select concat_ws(' ', attname, atttypid::regtype, attnotnull, attstattarget, attstorage, attinhcount)
            from pg_attribute where attrelid = 'version'::regclass and attnum > 0
        union all select concat_ws(' ', relname, reloptions, relowner, relacl) from pg_class where oid = 'version'::regclass
    ) as parts";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_moves_beside_live_traffic_also_if_a_run_dies_in_the_middle() {
    let Some(directory) = directory() else { return };
    let harness = Arc::new(Harness::<Postgres>::open().await.with_batches_of(50));
    let client = harness.backend.client().await;
    let database: u32 = client.query_one("select oid from pg_database where datname = current_database()", &[]).await.unwrap().get(0);
    let (planted, kept) = (markers(400), markers(400));
    plant(&harness, &harness.account, &planted).await;
    plant(&harness, &harness.bystander, &kept).await;
    let planted = [planted, plant_large(&harness, &harness.account, 20).await].concat();
    let fill = format!(
        "insert into version (account_id, type_id, seq, id, version_number, last_updated_ms, kind, body)
        select {NO_ACCOUNT}, 1, n, convert_to('x' || n, 'UTF8'), 1, 0, 1, convert_to(repeat('x', 1000000), 'UTF8') from generate_series(1, 30) n;
        grant select on version to public"
    );
    client.batch_execute(&fill).await.unwrap();
    let (before, rows) = (described(&client).await, number(&client, "select count(*) from version").await);

    // The run dies when a part has moved.
    let moved = Notify::new();
    let tell = |line: &str| {
        if line.contains("lethe.version") && line.contains("moved") {
            moved.notify_one();
        }
    };
    tokio::select! {
        erased = lethe_store_postgres::erase_files(&harness.backend.url, PATIENCE, &tell) => panic!("the control: {erased:?}"),
        () = moved.notified() => {}
    }
    let (here, there) =
        (number(&client, "select count(*) from only version").await, number(&client, "select count(*) from version_old").await);
    assert!(here > 0 && there > 0 && here + there == rows, "the control: {here} and {there} of {rows}");

    // What lies in two places serves as what lies in one.
    for number in [0, 2, 399] {
        let id = format!("r{number}");
        assert!(harness.read_for(&harness.bystander, &format!("Patient/{id}")).await.is_some(), "{id}");
        let outcome = harness.put_for(&harness.bystander, json!({"resourceType": "Patient", "id": id, "active": false})).await;
        assert!(outcome.version > 1, "it was found: {outcome:?}");
    }
    let pointers = "select count(*) - count(distinct (account_id, type_id, id)) from version where replaced_by_seq is null";
    assert_eq!(number(&client, pointers).await, 0);
    let job = harness.purge(Selection::default()).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 420), "{job:?}");

    // The next run ends what was begun, and begins anew for the purge that has ended since.
    let is_over = Arc::new(AtomicBool::new(false));
    let busy = [true, false].map(|writes| {
        let (harness, is_over) = (Arc::clone(&harness), Arc::clone(&is_over));
        tokio::spawn(async move { traffic(&harness, &is_over, writes).await })
    });
    let erased = erase_files(&harness.backend.url, PATIENCE).await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    for (busy, name) in busy.into_iter().zip(["writer", "reader"]) {
        let (calls, longest) = busy.await.unwrap();
        eprintln!("{name} of the bystander: {calls} calls, the longest {longest:?}");
        assert!(calls > 0 && longest < 10 * PATIENCE.wait_max, "{name}: {calls} calls, the longest {longest:?}");
    }
    assert_eq!(erased.level, Level::Files, "{erased:?}");
    assert!(erased.rewritten.iter().any(|table| table.table == "lethe.version"), "{erased:?}");
    assert_eq!(number(&client, "select count(*) from pg_inherits where inhparent = 'version'::regclass").await, 0);
    let still = found(&directory, database, &planted).len();
    assert_eq!(still, 0, "of what was purged");
    assert!(found(&directory, database, &kept).len() > 390, "of what was not: the control");
    assert_eq!(described(&client).await, before);
    client.batch_execute(&format!("delete from version where account_id = {NO_ACCOUNT}")).await.unwrap();
    for check in harness.store().check().await.unwrap() {
        assert!(check.violations.is_none_or(|violations| violations == 0), "{check:?}");
    }
    assert_eq!(
        number(&client, "select count(distinct (account_id, type_id, id)) from version").await,
        403,
        "the bystander's, and the writer's"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_an_old_table_and_its_successor_serves_as_what_lies_in_one() {
    let Some(_) = directory() else { return };
    let harness = Harness::<Postgres>::open().await.with_batches_of(2);
    let client = harness.backend.client().await;
    let patient = |id: &str, family: &str| json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
    let provenance = |id: &str, target: &str| json!({"resourceType": "Provenance", "id": id, "target": [{"reference": target}]});
    for id in ["changed", "deleted", "left"] {
        harness.put(patient(id, "Ash")).await;
        harness.put(provenance(&format!("of-{id}"), &format!("Patient/{id}"))).await;
    }
    let tables = ["version", "reference", "commit_order", "type_total", "token", "auth_code", "purge_digest"];
    for table in tables {
        let part = format!(
            "alter table {table} rename to {table}_old; create table {table} (like {table}_old including all); alter table {table}_old inherit {table}"
        );
        client.batch_execute(&part).await.unwrap();
    }
    harness.put(patient("changed", "Birch")).await;
    harness.put(provenance("of-changed", "Patient/left")).await;
    harness.put(patient("new", "Birch")).await;
    let delete =
        Write { resource_type: ResourceType::PATIENT, id: "deleted".parse().unwrap(), change: Change::Delete, expect: Expect::Anything };
    harness.write_for(&harness.account, vec![delete]).await;
    let twice = "select count(*) - count(distinct (account_id, type_id, id)) from version where replaced_by_seq is null";
    assert_eq!(number(&client, twice).await, 0);
    let twice = "select count(*) - count(distinct (account_id, type_id, lane)) from type_total";
    assert_eq!(number(&client, twice).await, 0);
    assert!(harness.read_for(&harness.account, "Patient/deleted").await.is_none_or(|version| version.body.is_none()));
    let mut ids = harness.ids("Patient").await;
    ids.sort();
    assert_eq!(ids, ["changed", "left", "new"]);
    let job = harness.purge(Selection { include_deleted: true, ..Selection::default() }).await;
    assert_eq!(job.state, JobState::Successful, "{job:?}");
    let account = harness.account.account_id().unwrap().0;
    for table in ["version", "reference"] {
        assert_eq!(number(&client, &format!("select count(*) from {table} where account_id = {account}")).await, 0, "{table}");
    }
    harness.assert_bystander_is_whole().await;
    let erased = erase_files(&harness.backend.url, PATIENCE).await.unwrap();
    assert_eq!(
        (erased.level, number(&client, "select count(*) from pg_inherits where inhparent = 'version'::regclass").await),
        (Level::Files, 0)
    );
    harness.assert_bystander_is_whole().await;
}
