//! Purges that were asked to erase files as well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lethe_certificate::document::{Certificate, Level};
use lethe_jobs::JobState;
use lethe_purge::{Phase, Selection};
use lethe_store::{CannotEraseFiles, JobId, KickOff, NewPurge, Store};
use lethe_store_postgres::PostgresStore;
use lethe_store_suite::{Backend, Harness};
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

use super::{
    Postgres, connect,
    erase_files::{directory, found, markers, plant},
    url_of,
};

async fn kick_off(harness: &Harness<Postgres>) -> JobId {
    let purge = NewPurge { erase_files: true, ..harness.new_purge(&harness.account, Selection::default()) };
    assert!(matches!(harness.store().kick_off(&purge).await.unwrap(), KickOff::Started(_)));
    purge.job_id
}

async fn certificate(harness: &Harness<Postgres>, job_id: JobId) -> Certificate {
    lethe_store_suite::certificates::certificate(harness, job_id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_was_asked_to_leaves_nothing_in_the_files_and_its_certificate_says_so() {
    let Some(directory) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    let client = harness.backend.client().await;
    let database: u32 = client.query_one("select oid from pg_database where datname = current_database()", &[]).await.unwrap().get(0);
    let planted = [markers(50), markers(50)];
    let counted = || planted.each_ref().map(|planted| found(&directory, database, planted).len());
    plant(&harness, &harness.account, &planted[0]).await;
    let before = harness.purge(Selection::default()).await;
    assert_eq!(certificate(&harness, before.job_id).await.method.level, Level::Rows);
    plant(&harness, &harness.account, &planted[1]).await;
    let job_id = kick_off(&harness).await;
    client.batch_execute("checkpoint").await.unwrap();
    // Another test may have led the log past its old files, and pages are used again.
    assert!(counted()[0] > 10 && counted()[1] == 50, "the control: {:?}", counted());
    harness.work().await;
    assert_eq!(harness.job(job_id).await.state, JobState::Successful);
    assert_eq!(counted(), [0, 0]);
    let said = certificate(&harness, job_id).await;
    assert_eq!((said.method.level, said.counts.total.deleted), (Level::Files, 50));
    harness.assert_bystander_is_whole().await;
    // What one job has reached is said of no other.
    let after = harness.purge(Selection::default()).await;
    assert_eq!(certificate(&harness, after.job_id).await.method.level, Level::Rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_that_waits_to_erase_files_can_be_canceled_and_claims_rows() {
    let Some(_) = directory() else { return };
    let harness = Arc::new(Harness::<Postgres>::open().await);
    harness.put(json!({"resourceType": "Patient", "id": "p"})).await;
    let reader = harness.backend.client().await;
    reader.batch_execute("begin isolation level repeatable read; select count(*) from version").await.unwrap();
    let job_id = kick_off(&harness).await;
    let working = tokio::spawn({
        let harness = Arc::clone(&harness);
        async move { harness.work().await }
    });
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'lethe erase-files'";
    let other = harness.backend.client().await;
    while other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!working.is_finished(), "it waits for the reader: the control");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(harness.job(job_id).await.phase, Phase::Settle);
    harness.store().cancel_purge(&harness.account, job_id).await.unwrap();
    let canceled = Instant::now();
    working.await.unwrap();
    assert!(canceled.elapsed() < Duration::from_secs(60), "it did not wait for the reader to end, which would be two minutes");
    assert_eq!(harness.job(job_id).await.state, JobState::Canceled);
    assert_eq!(certificate(&harness, job_id).await.method.level, Level::Rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_of_a_server_without_the_rights_is_successful_and_claims_rows() {
    let Some(_) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    harness.put(json!({"resourceType": "Patient", "id": "p"})).await;
    let role = format!("lethe_role_{}", Uuid::new_v4().simple());
    let client = harness.backend.client().await;
    let may_serve = format!(
        "create role {role} login; grant usage on schema lethe to {role}; grant all on all tables in schema lethe to {role};
        grant all on all sequences in schema lethe to {role}"
    );
    client.batch_execute(&may_serve).await.unwrap();
    let url = harness.backend.url.replacen("postgres@", &format!("{role}@"), 1);
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open_existing(&url, Arc::clone(&harness.clock) as _).await.unwrap());
    // Its own server refuses at once; but here they were there at the kick-off.
    let asked = |erase_files| NewPurge { erase_files, ..harness.new_purge(&harness.account, Selection::default()) };
    let refused = store.kick_off(&asked(true)).await.unwrap();
    assert!(matches!(refused, KickOff::CannotEraseFiles(CannotEraseFiles::Rights)), "{refused:?}");
    assert_eq!(harness.backend.rows("purge_job").await + harness.backend.rows("purge_audit").await, 0, "nothing was started");
    let started = store.kick_off(&asked(false)).await.unwrap();
    let KickOff::Started(plain) = started else { panic!("the control: {started:?}") };
    store.cancel_purge(&harness.account, plain.job_id).await.unwrap();
    let job_id = kick_off(&harness).await;
    let (_stop, shutdown) = watch::channel(false);
    assert!(harness.worker_over(store).run_one(&shutdown).await.unwrap(), "a job waits");
    let server = connect(&url_of("postgres")).await;
    client.batch_execute(&format!("drop owned by {role}")).await.unwrap();
    server.batch_execute(&format!("drop role {role}")).await.unwrap();
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 1), "{job:?}");
    assert_eq!(certificate(&harness, job_id).await.method.level, Level::Rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_of_a_database_that_is_spread_over_machines_is_not_started_if_it_was_asked_to() {
    let harness = Harness::<Postgres>::open().await;
    // As far as the question goes, whatever is installed under this name is Citus.
    let name = "update pg_extension set extname = 'citus'
        where extname = 'plpgsql' and not exists (select 1 from pg_extension where extname = 'citus')";
    harness.backend.client().await.batch_execute(name).await.unwrap();
    let purge = NewPurge { erase_files: true, ..harness.new_purge(&harness.account, Selection::default()) };
    let refused = harness.store().kick_off(&purge).await.unwrap();
    assert!(matches!(refused, KickOff::CannotEraseFiles(CannotEraseFiles::Spread)), "{refused:?}");
    assert_eq!(harness.backend.rows("purge_job").await, 0);
}
