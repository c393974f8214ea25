//! Batches of one job that several workers run.

use std::sync::Arc;

use lethe_jobs::{JobState, Lease};
use lethe_purge::{Counts, Phase};
use lethe_store::{ClaimedBatch, JobId, NextBatch, Store, StoreError};
use lethe_store_suite::{Backend, Harness};
use serde_json::json;

use super::{Postgres, waiting};

/// Five patients in batches of one, of a job that its own worker executes.
async fn executing() -> (Harness<Postgres>, JobId, Lease<JobId>) {
    let harness = Harness::<Postgres>::open().await.with_batches_of(1);
    for number in 0..5 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{number}")})).await;
    }
    let job_id = harness.kick_off(Default::default()).await;
    assert_eq!(harness.store().claim_shared_batch().await.unwrap(), None, "nobody has the job");
    let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
    assert_eq!(harness.store().claim_shared_batch().await.unwrap(), None, "it has no plan");
    harness.plan(&lease).await;
    (harness, job_id, lease)
}

async fn shared(store: &Arc<dyn Store>) -> (Lease<JobId>, ClaimedBatch) {
    store.claim_shared_batch().await.unwrap().expect("a batch waits")
}

async fn claimed(store: &Arc<dyn Store>, lease: &Lease<JobId>) -> ClaimedBatch {
    match store.claim_batch(lease).await.unwrap() {
        NextBatch::Run(batch) => batch,
        other => panic!("{other:?}"),
    }
}

/// Ends the job; all five went, and each was counted once.
async fn assert_ends_whole(harness: &Harness<Postgres>, job_id: JobId) {
    harness.clock.advance_ms(600_000);
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 5, deleted: 5, ..Counts::default() }));
    assert!(job.failures.is_empty() && harness.ids("Patient").await.is_empty());
    harness.assert_bystander_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_goes_to_another_when_its_worker_is_not_heard_of_and_who_slept_changes_nothing() {
    let (harness, job_id, own) = executing().await;
    let store = harness.store();
    let (lease, slept) = shared(&store).await;
    for _ in 0..4 {
        let batch = claimed(&store, &own).await;
        assert_ne!(batch.batch, slept.batch, "it is another's");
        store.purge_batch(&own, batch).await.unwrap();
    }
    assert!(matches!(store.claim_batch(&own).await.unwrap(), NextBatch::WaitUntil(_)), "it waits for the other");
    assert_eq!(store.claim_shared_batch().await.unwrap(), None);
    harness.clock.advance_ms(600_000);
    let again = claimed(&store, &own).await;
    assert_eq!(again, ClaimedBatch { batch: slept.batch, attempts: 2 });

    let before = harness.backend.rows("version").await;
    assert!(matches!(store.purge_batch(&lease, slept).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.fail_batch(&lease, slept, "late", None).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.give_back_batch(&lease, slept).await, Err(StoreError::LeaseLost)));
    assert_eq!(harness.backend.rows("version").await, before);
    assert_eq!(store.purge_batch(&own, again).await.unwrap().deleted, 1);
    assert_eq!(store.claim_batch(&own).await.unwrap(), NextBatch::Drained);
    assert_ends_whole(&harness, job_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shared_in_a_job_that_another_took_over_changes_nothing() {
    let (harness, job_id, _) = executing().await;
    let store = harness.store();
    let (lease, slept) = shared(&store).await;
    harness.clock.advance_ms(600_000);
    let successor = store.claim_purge().await.unwrap().unwrap().lease;
    let again = claimed(&store, &successor).await;
    assert_eq!(again.batch, slept.batch);
    for late in [slept, again] {
        assert!(matches!(store.purge_batch(&lease, late).await, Err(StoreError::LeaseLost)));
        assert!(matches!(store.fail_batch(&lease, late, "late", None).await, Err(StoreError::LeaseLost)));
    }
    store.purge_batch(&successor, again).await.unwrap();
    assert_ends_whole(&harness, job_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_withdrawn_is_run_by_nobody_and_what_is_about_to_commit_is_waited_for() {
    let (harness, job_id, own) = executing().await;
    let store = harness.store();
    let (lease, withdrawn) = shared(&store).await;
    store.withdraw_batches(&own).await.unwrap();
    assert!(matches!(store.purge_batch(&lease, withdrawn).await, Err(StoreError::LeaseLost)));
    assert_eq!(store.claim_shared_batch().await.unwrap(), None, "what was removed is being put on record, and more would not be");

    store.enter_phase(&own, Phase::Execute).await.unwrap();
    let (lease, begun) = shared(&store).await;
    let other = harness.backend.client().await;
    let account = harness.account.account_id().unwrap();
    other.simple_query(&format!("begin; select 1 from commit_order where account_id = {account} for no key update")).await.unwrap();
    let running = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.purge_batch(&lease, begun).await }
    });
    waiting(&other, 1).await;
    let withdrawing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.withdraw_batches(&own).await }
    });
    waiting(&other, 2).await;
    other.simple_query("commit").await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().deleted, 1);
    withdrawing.await.unwrap().unwrap();
    assert_eq!(harness.job(job_id).await.totals().deleted, 1);
    store.enter_phase(&own, Phase::Execute).await.unwrap();
    assert_ends_whole(&harness, job_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_the_database_cut_off_is_not_counted() {
    let (harness, job_id, _) = executing().await;
    let store = harness.store();
    for _ in 0..20 {
        let (lease, batch) = shared(&store).await;
        assert_eq!(batch, ClaimedBatch { batch: 1, attempts: 1 });
        store.give_back_batch(&lease, batch).await.unwrap();
    }
    assert_ends_whole(&harness, job_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_shares_in_what_is_canceled_or_in_companions_that_are_not_prepared() {
    let harness = Harness::<Postgres>::open().await;
    for (id, targets) in [("a", json!([{"reference": "Patient/a"}])), ("b", json!([{"reference": "Patient/b"}]))] {
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
        harness.put(json!({"resourceType": "Provenance", "id": id, "target": targets})).await;
    }
    let patients = lethe_purge::Selection { types: Some(vec!["Patient".parse().unwrap()]), ..Default::default() };
    let job_id = harness.kick_off(patients).await;
    let store = harness.store();
    let own = store.claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&own).await;
    let (lease, batch) = shared(&store).await;
    assert_eq!(store.claim_shared_batch().await.unwrap(), None, "the companions wait for it");
    store.purge_batch(&lease, batch).await.unwrap();
    assert_eq!(store.claim_shared_batch().await.unwrap(), None, "and to be looked at again");
    assert_eq!(store.claim_batch(&own).await.unwrap(), NextBatch::PrepareCompanions);
    store.prepare_companions(&own).await.unwrap();
    let (lease, batch) = shared(&store).await;
    store.give_back_batch(&lease, batch).await.unwrap();
    store.cancel_purge(&harness.account, job_id).await.unwrap();
    assert_eq!(store.claim_shared_batch().await.unwrap(), None);
    assert_eq!(store.claim_batch(&own).await.unwrap(), NextBatch::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_given_back_is_anothers_at_once_and_only_by_whoever_has_it() {
    let (harness, job_id, first) = executing().await;
    let store = harness.store();
    assert!(store.claim_purge().await.unwrap().is_none(), "the control");
    store.give_back_purge(&first).await.unwrap();
    let second = store.claim_purge().await.unwrap().expect("it is free").lease;
    store.give_back_purge(&first).await.unwrap();
    assert!(store.claim_purge().await.unwrap().is_none(), "it was not the first one's any more");
    assert!(matches!(store.claim_batch(&first).await, Err(StoreError::LeaseLost)));
    claimed(&store, &second).await;
    assert_ends_whole(&harness, job_id).await;
}
