//! Batches that fail.

use lethe_jobs::JobState;
use lethe_purge::Counts;
use lethe_store::{CanceledOrRetried, ClaimedBatch, Clock, JobId, NextBatch, Store};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;

use crate::{
    Backend, FaultyStore, Harness,
    harness::{everything, types},
};

async fn fill<B: Backend>(harness: &Harness<B>) {
    for id in 0..10 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
    }
}

async fn work_over<B: Backend>(harness: &Harness<B>, store: &Arc<FaultyStore>) {
    let (_stop, shutdown) = watch::channel(false);
    assert!(harness.worker_over(Arc::clone(store) as Arc<dyn Store>).run_one(&shutdown).await.unwrap());
}

async fn retry<B: Backend>(harness: &Harness<B>, job_id: JobId) {
    let outcome = harness.store().retry_purge(&harness.account, job_id).await.unwrap();
    assert!(matches!(outcome, CanceledOrRetried::Taken(job) if job.state == JobState::Queued));
}

pub async fn a_batch_that_fails_once_is_tried_again<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let faulty = FaultyStore::new(harness.store(), &[2], 2);
    let job_id = harness.kick_off(everything()).await;
    work_over(&harness, &faulty).await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 10));
    assert_eq!(faulty.take_attempted().iter().filter(|batch| **batch == 2).count(), 3);
}

pub async fn a_failed_batch_leaves_the_rest_running_and_retry_runs_exactly_it<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let faulty = FaultyStore::new(harness.store(), &[2], u32::MAX);
    let job_id = harness.kick_off(everything()).await;
    work_over(&harness, &faulty).await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Failed, Counts { planned: 10, deleted: 7, failed: 3, ..Counts::default() }));
    assert_eq!((job.batches.total, job.batches.completed, job.batches.failed), (4, 3, 1));
    assert_eq!((job.failures[0].batch, job.failures[0].attempts), (2, 3));
    assert!(job.failures[0].cause.contains("planted fault"), "{:?}", job.failures);
    assert_eq!(harness.ids("Patient").await, ["p3", "p4", "p5"], "what failed is whole");
    let attempted = faulty.take_attempted();
    assert_eq!((attempted.len(), attempted.iter().filter(|batch| **batch == 2).count()), (6, 3));

    faulty.mend();
    retry(&harness, job_id).await;
    let queued = harness.job(job_id).await;
    assert_eq!((queued.retry_count, queued.completed_on, queued.batches.failed), (1, None, 0));
    work_over(&harness, &faulty).await;
    assert_eq!(faulty.take_attempted(), [2], "exactly the failed batch");
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 10, deleted: 10, ..Counts::default() }));
    assert!(harness.ids("Patient").await.is_empty() && job.failures.is_empty());
    harness.assert_bystander_is_whole().await;
}

pub async fn a_batch_backs_off_by_the_clock_while_others_run<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.kick_off(everything()).await;
    let store = harness.store();
    let lease = store.claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&lease).await;
    let NextBatch::Run(first) = store.claim_batch(&lease).await.unwrap() else { panic!("a batch waits") };
    let retry_at = harness.clock.now().plus_ms(5_000);
    store.fail_batch(&lease, first, "planted", Some(retry_at)).await.unwrap();
    for batch in 2..=4 {
        let claimed = ClaimedBatch { batch, attempts: 1 };
        assert_eq!(store.claim_batch(&lease).await.unwrap(), NextBatch::Run(claimed), "the others run meanwhile");
        store.purge_batch(&lease, claimed).await.unwrap();
    }
    assert_eq!(store.claim_batch(&lease).await.unwrap(), NextBatch::WaitUntil(retry_at));
    harness.clock.advance_ms(4_999);
    assert_eq!(store.claim_batch(&lease).await.unwrap(), NextBatch::WaitUntil(retry_at));
    harness.clock.advance_ms(1);
    assert_eq!(store.claim_batch(&lease).await.unwrap(), NextBatch::Run(ClaimedBatch { batch: 1, attempts: 2 }));
    // The clock is set back by a day: nobody waits for it.
    store.fail_batch(&lease, ClaimedBatch { batch: 1, attempts: 2 }, "planted", Some(retry_at)).await.unwrap();
    harness.clock.advance_ms(-86_400_000);
    assert_eq!(store.claim_batch(&lease).await.unwrap(), NextBatch::Run(ClaimedBatch { batch: 1, attempts: 3 }));
}

pub async fn a_batch_that_ends_the_process_again_and_again_fails<B: Backend>(mut harness: Harness<B>) {
    fill(&harness).await;
    let job_id = harness.kick_off(everything()).await;
    let store = harness.store();
    let lease = store.claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&lease).await;
    store.claim_batch(&lease).await.unwrap();
    drop(store);
    for _ in 0..5 {
        harness.backend.restart().await;
        let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
        assert!(matches!(harness.store().claim_batch(&lease).await.unwrap(), NextBatch::Run(ClaimedBatch { batch: 1, .. })));
    }
    harness.backend.restart().await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted, job.totals().failed), (JobState::Failed, 7, 3));
    assert!(job.failures[0].cause.contains("ended 6 times"), "{:?}", job.failures);
}

/// As on a full disk: for a while nothing can be written, not even that the job has failed.
pub async fn a_failure_that_cannot_be_recorded_is_recorded_later<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    for failing in [1, 2, 3, 4, 5, 6, 10] {
        let faulty = FaultyStore::failing_for(harness.store(), failing);
        let job_id = harness.kick_off(everything()).await;
        work_over(&harness, &faulty).await;
        let job = harness.job(job_id).await;
        if failing < 3 {
            // Every step is tried three times.
            assert_eq!(job.state, JobState::Successful);
            fill(&harness).await;
            continue;
        }
        assert_eq!((job.state, job.totals(), job.initialized_on), (JobState::Failed, Counts::default(), None), "{failing} failing steps");
        assert!(job.failure.is_some_and(|why| why.contains("planted fault")));
        retry(&harness, job_id).await;
        // The plan works now, and the first step after it fails for as long.
        work_over(&harness, &FaultyStore::failing_after(harness.store(), 4, failing)).await;
        let job = harness.job(job_id).await;
        assert_eq!((job.state, job.totals()), (JobState::Failed, Counts { planned: 10, failed: 10, ..Counts::default() }));
        assert_eq!((job.batches.failed, job.failures.len()), (4, 4), "batches that never had their turn are told, too");
        retry(&harness, job_id).await;
        harness.work().await;
        assert_eq!((harness.job(job_id).await.state, harness.job(job_id).await.totals().deleted), (JobState::Successful, 10));
        fill(&harness).await;
    }
}

pub async fn companions_wait_for_failed_targets<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/a"}]})).await;
    let faulty = FaultyStore::new(harness.store(), &[1], u32::MAX);
    let job_id = harness.kick_off(types(&["Patient"])).await;
    work_over(&harness, &faulty).await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Failed, Counts { planned: 2, failed: 2, ..Counts::default() }));
    assert!(job.failure.is_some_and(|why| why.contains("PUT retries")));
    assert_eq!(harness.ids("Provenance").await, ["v"]);
    faulty.mend();
    retry(&harness, job_id).await;
    work_over(&harness, &faulty).await;
    assert_eq!(harness.job(job_id).await.totals(), Counts { planned: 2, deleted: 2, ..Counts::default() });
    assert!(harness.is_gone("Provenance/v").await);
}

pub async fn retry_keeps_the_first_watermark<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let faulty = FaultyStore::new(harness.store(), &[1], u32::MAX);
    let job_id = harness.kick_off(everything()).await;
    work_over(&harness, &faulty).await;
    harness.put(json!({"resourceType": "Patient", "id": "p0", "active": true})).await;
    harness.put(json!({"resourceType": "Patient", "id": "later"})).await;
    faulty.mend();
    retry(&harness, job_id).await;
    work_over(&harness, &faulty).await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 10, deleted: 9, spared: 1, ..Counts::default() }));
    assert_eq!(harness.ids("Patient").await, ["p0", "later"]);
}
