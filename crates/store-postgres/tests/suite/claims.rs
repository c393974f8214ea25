//! Who gets what waits, when several ask at once.

use std::{
    collections::HashSet,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use lethe_jobs::{Fence, Lease};
use lethe_store::{Clock, ExportKickOff, ExportSelection, JobId, NewExport, Store};
use lethe_store_suite::{Harness, add_user};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Postgres, waiting};

const JOBS: usize = 8;
const ASKERS: usize = 15;

/// A purge and an export of each of eight accounts, in the order in which they began; the accounts have two patients each, in batches of one.
async fn many() -> (Harness<Postgres>, Vec<JobId>, Vec<JobId>) {
    let harness = Harness::<Postgres>::open().await.with_batches_of(1);
    let (mut purges, mut exports) = (Vec::new(), Vec::new());
    for number in 0..JOBS {
        let owner = add_user(harness.store().as_ref(), "c1", &format!("of job {number}")).await;
        for id in ["a", "b"] {
            harness.put_for(&owner, json!({"resourceType": "Patient", "id": id})).await;
        }
        purges.push(harness.kick_off_for(&owner, Default::default()).await);
        let export = NewExport { job_id: Uuid::now_v7(), owner, selection: ExportSelection::default() };
        assert!(matches!(harness.store().kick_off_export(&export).await.unwrap(), ExportKickOff::Started(_)));
        exports.push(export.job_id);
    }
    (harness, purges, exports)
}

async fn claim_purge(store: Arc<dyn Store>) -> Option<Lease<JobId>> {
    store.claim_purge().await.unwrap().map(|claimed| claimed.lease)
}

async fn claim_export(store: Arc<dyn Store>) -> Option<Lease<JobId>> {
    store.claim_export().await.unwrap().map(|claimed| claimed.lease)
}

/// More ask at once than there are jobs.
async fn all_at_once<F: Future<Output = Option<Lease<JobId>>> + Send + 'static>(
    store: &Arc<dyn Store>,
    claim: fn(Arc<dyn Store>) -> F,
) -> Vec<Lease<JobId>> {
    let mut askers: JoinSet<_> = (0..ASKERS).map(|_| claim(Arc::clone(store))).collect();
    let mut claimed = Vec::new();
    while let Some(lease) = askers.join_next().await {
        claimed.extend(lease.unwrap());
    }
    claimed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_at_once_each_job_goes_to_one_and_none_is_left() {
    let (harness, purges, exports) = many().await;
    let store = harness.store();
    for fence in [1, 2] {
        for (claimed, jobs) in [(all_at_once(&store, claim_purge).await, &purges), (all_at_once(&store, claim_export).await, &exports)] {
            assert!(claimed.iter().all(|lease| lease.fence == Fence(fence)), "{claimed:?}");
            assert_eq!(
                (claimed.len(), claimed.iter().map(|lease| lease.job_id).collect::<HashSet<_>>()),
                (JOBS, jobs.iter().copied().collect())
            );
        }
        // All of them are silent; and in the second turn, the clock is set back.
        harness.clock.advance_ms(if fence == 1 { 600_000 } else { -86_400_000 });
    }
    let again = all_at_once(&store, claim_purge).await;
    assert!(again.len() == JOBS && again.iter().all(|lease| lease.fence == Fence(3)), "{again:?}");
    assert_eq!(all_at_once(&store, claim_purge).await, [], "nobody is silent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_a_job_that_another_is_claiming_gets_the_next_one() {
    let (harness, purges, exports) = many().await;
    let (store, other) = (harness.store(), harness.backend.client().await);
    // The oldest that is free is changed by somebody who commits while another wants it; which one does he get?
    let gets = async |table: &str, jobs: &[JobId], oldest: usize, meanwhile: &str| {
        other.batch_execute(&format!("begin; update {table} set {meanwhile} where job_id = '{}'", jobs[oldest])).await.unwrap();
        let claim = |store| async move { if table == "purge_job" { claim_purge(store).await } else { claim_export(store).await } };
        let commit = async {
            waiting(&other, 1).await;
            other.batch_execute("commit").await.unwrap();
        };
        let claimed = tokio::join!(claim(Arc::clone(&store)), commit).0.expect("others wait");
        jobs.iter().position(|job_id| *job_id == claimed.job_id).unwrap()
    };
    let lease = format!("lease_expires_on_ms = {}", harness.clock.now().plus_ms(60_000).as_unix_ms());
    for (table, jobs) in [("purge_job", &purges), ("export_job", &exports)] {
        assert_eq!(gets(table, jobs, 0, &lease).await, 1, "its worker was late and goes on");
        assert_eq!(gets(table, jobs, 2, "state = 'canceled'").await, 3);
        assert_eq!(gets(table, jobs, 4, "fence = 7").await, 4, "it was claimed and given back: it is free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_work_goes_on_to_the_next_job_where_the_oldest_has_nothing_for_him() {
    let (harness, purges, _) = many().await;
    let store = harness.store();
    for _ in 0..2 {
        let lease = store.claim_purge().await.unwrap().unwrap().lease;
        harness.plan(&lease).await;
    }
    // The first waits: what its own worker runs comes before what is left.
    let oldest = store.claim_shared_batch().await.unwrap().unwrap().0;
    assert_eq!(oldest.job_id, purges[0], "the control");
    harness
        .backend
        .client()
        .await
        .batch_execute("update purge_batch set kind = 'listed' where job_number = 1 and state = 'pending'")
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(store.claim_shared_batch().await.unwrap().expect("a batch waits").0.job_id, purges[1]);
    }
    assert_eq!(store.claim_shared_batch().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_work_goes_on_to_the_next_job_where_another_keeps_the_lock_of_the_oldest() {
    let (harness, purges, _) = many().await;
    let (store, other) = (harness.store(), harness.backend.client().await);
    for _ in 0..2 {
        let lease = store.claim_purge().await.unwrap().unwrap().lease;
        harness.plan(&lease).await;
    }
    // A long step of its own worker; and a batch that runs for longer than its lease lasts.
    let abandoned = "update purge_batch set state = 'running', lease_expires_on_ms = 0, is_shared = true where job_number = 1";
    let locks = [("purge_job", "select"), ("purge_batch", abandoned)];
    for (table, before) in locks {
        other.batch_execute(&format!("{before}; begin; select from {table} where job_number = 1 for update")).await.unwrap();
        let began = Instant::now();
        assert_eq!(store.claim_shared_batch().await.unwrap().expect("a batch waits").0.job_id, purges[1]);
        assert!(began.elapsed() < Duration::from_secs(9), "it has waited as long as any session may: {:?}", began.elapsed());
        other.batch_execute("commit").await.unwrap();
    }
    assert_eq!(store.claim_shared_batch().await.unwrap().expect("it is free again").0.job_id, purges[0]);
}
