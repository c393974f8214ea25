//! The moving fault: the first call to the ports of a purge fails, then the second, and so on until a run is clean; once and for ever after,
//! before the call has done anything and after it has done everything. Whatever the outcome, what comes after the cure is right.

use std::sync::Arc;

use lethe_jobs::JobState;
use lethe_purge::Counts;
use lethe_search::export::ExportQuestion;
use lethe_store::{CanceledOrRetried, JobId, KickOff, NextBatch, Purges, Store, StoreError};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    Backend, Fault, FaultyStore, Harness,
    harness::{Ask, everything, filtered, types},
};

/// Faults after which a lasting one is cured: by then every loop of the worker has seen it.
const FAULTS_ENDURED: u64 = 30;
/// A walk of these cases has fewer calls.
const CALLS_MAX: u64 = 150;

/// Seven resources: four that a purge of patients selects, two that go along with them, and one that stays.
async fn fill<B: Backend>(harness: &Harness<B>) {
    for id in 0..4 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
    }
    harness.put(json!({"resourceType": "Patient", "id": "p0", "photo": [{"url": "Binary/b"}]})).await;
    harness.put(json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain"})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/p1"}]})).await;
    harness.put(json!({"resourceType": "Observation", "id": "stays"})).await;
}

/// Every kind of fault at every call, until a run has none.
fn kinds() -> impl Iterator<Item = Fault> {
    [(false, false), (false, true), (true, false), (true, true)]
        .map(|(is_lasting, is_done)| Fault { at: 0, is_lasting, is_done })
        .into_iter()
}

/// What a client does that must have its answer: it asks until there is one, or gives up.
async fn insist<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F) -> Option<T> {
    for _ in 0..3 {
        if let Ok(answer) = call().await {
            return Some(answer);
        }
    }
    None
}

/// Runs the worker over the faulty store until there is nothing to do or the fault has been endured.
async fn work_over<B: Backend>(harness: &Harness<B>, faulty: &Arc<FaultyStore>) {
    let (stop, shutdown) = watch::channel(false);
    let worker = harness.worker_over(Arc::clone(faulty) as Arc<dyn Store>);
    let running = tokio::spawn(async move { while let Ok(true) = worker.run_one(&shutdown).await {} });
    while !running.is_finished() {
        if faulty.faults() >= FAULTS_ENDURED {
            stop.send_replace(true);
        }
        tokio::task::yield_now().await;
    }
    running.await.unwrap();
}

/// The cure: the server starts anew over the sound store; a failed job is retried.
async fn cure<B: Backend>(harness: &mut Harness<B>, job_id: JobId) {
    harness.backend.restart().await;
    if !harness.job(job_id).await.state.is_ended() {
        harness.work().await;
    }
    if harness.job(job_id).await.state == JobState::Failed {
        let retried = harness.store().retry_purge(&harness.account, job_id).await.unwrap();
        assert!(matches!(retried, CanceledOrRetried::Taken(_)));
        harness.work().await;
    }
}

async fn left<B: Backend>(harness: &Harness<B>) -> String {
    let mut left = Vec::new();
    for resource_type in ["Patient", "Binary", "Provenance", "Observation"] {
        left.extend(harness.ids(resource_type).await);
    }
    left.join(" ")
}

pub async fn a_fault_at_any_call_leaves_a_job_that_can_be_finished<B: Backend>(first: Harness<B>) {
    can_be_finished(first, (types(&["Patient"]), ExportQuestion::default())).await;
}

/// The same resources by a list.
pub async fn a_fault_at_any_call_leaves_a_job_with_a_list_that_can_be_finished<B: Backend>(first: Harness<B>) {
    can_be_finished(first, filtered(&["Patient"], &["Patient?_id=p0,p1", "Patient?_id:not=p0"])).await;
}

async fn can_be_finished<B: Backend>(first: Harness<B>, ask: Ask) {
    drop(first);
    for kind in kinds() {
        for at in 0..CALLS_MAX {
            let fault = Fault { at, ..kind };
            let mut harness = Harness::<B>::open().await;
            fill(&harness).await;
            let faulty = FaultyStore::with_fault(harness.store(), fault);
            let purge = harness.purge_asking(&ask);
            let told = insist(|| faulty.kick_off(&purge)).await;
            work_over(&harness, &faulty).await;
            let faults = faulty.faults();
            drop(faulty);
            let jobs = harness.store().purge_jobs(&harness.account, None, 10).await.unwrap();
            // A kick-off whose answer was lost has started its job: asking again meets it, and never starts another.
            assert!(jobs.len() <= 1 && (told.is_none() || jobs.len() == 1), "{fault:?}: {told:?}");
            match (told, fault) {
                (Some(KickOff::Conflict { running }), Fault { at: 0, is_done: true, .. }) => assert_eq!(running, purge.job_id),
                (Some(KickOff::Started(job)), _) => assert_eq!(job.job_id, purge.job_id),
                (None, Fault { at: 0, is_lasting: true, is_done }) => assert_eq!(jobs.len(), usize::from(is_done), "{fault:?}"),
                (told, fault) => panic!("{fault:?}: {told:?}"),
            }
            if jobs.is_empty() {
                assert!(matches!(harness.store().kick_off(&purge).await.unwrap(), KickOff::Started(_)), "{fault:?}");
            }
            cure(&mut harness, purge.job_id).await;
            let job = harness.job(purge.job_id).await;
            assert_eq!(harness.backend.rows("purge_question").await + harness.backend.rows("purge_listed").await, 0, "{fault:?}");
            let counts = Counts { planned: 6, deleted: 6, ..Counts::default() };
            assert_eq!((job.state, job.totals(), left(&harness).await.as_str()), (JobState::Successful, counts, "stays"), "{fault:?}");
            harness.assert_bystander_is_whole().await;
            if faults == 0 {
                assert!(at > 15, "the walk has more calls than {at}");
                break;
            }
            assert!(at + 1 < CALLS_MAX, "the walk has no end");
        }
    }
}

pub async fn a_fault_at_any_call_of_a_cancel_leaves_the_rest_whole<B: Backend>(first: Harness<B>) {
    drop(first);
    for kind in kinds() {
        for at in 0..CALLS_MAX {
            let fault = Fault { at, ..kind };
            let mut harness = Harness::<B>::open().await;
            fill(&harness).await;
            // One batch is through when the owner cancels.
            let job_id = harness.kick_off(everything()).await;
            let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
            harness.plan(&lease).await;
            let NextBatch::Run(batch) = harness.store().claim_batch(&lease).await.unwrap() else { panic!("a batch waits") };
            harness.store().purge_batch(&lease, batch).await.unwrap();
            harness.backend.restart().await;
            let deleted = harness.job(job_id).await.totals().deleted;
            assert!((1..6).contains(&deleted), "the control: {deleted}");

            let faulty = FaultyStore::with_fault(harness.store(), fault);
            let is_told = insist(|| faulty.cancel_purge(&harness.account, job_id)).await.is_some();
            let is_canceled = is_told || fault.is_done;
            if is_canceled {
                work_over(&harness, &faulty).await;
            }
            let faults = faulty.faults();
            drop(faulty);
            harness.backend.restart().await;
            if is_canceled && !harness.job(job_id).await.state.is_ended() {
                harness.work().await;
            }
            let job = harness.job(job_id).await;
            if is_canceled {
                assert_eq!((job.state, job.totals().deleted), (JobState::Canceled, deleted), "{fault:?}");
            } else {
                assert!(!job.state.is_ended(), "{fault:?}: {:?}", job.state);
            }
            assert_eq!(left(&harness).await.split(' ').count() as u64, 7 - deleted, "{fault:?}");
            harness.assert_bystander_is_whole().await;
            if faults == 0 {
                break;
            }
            assert!(at + 1 < CALLS_MAX, "the walk has no end");
        }
    }
}

pub async fn a_fault_at_any_call_of_a_retry_leaves_a_job_that_can_be_retried<B: Backend>(first: Harness<B>) {
    drop(first);
    for kind in kinds() {
        for at in 0..CALLS_MAX {
            let fault = Fault { at, ..kind };
            let mut harness = Harness::<B>::open().await;
            fill(&harness).await;
            let job_id = harness.kick_off(everything()).await;
            let (_stop, shutdown) = watch::channel(false);
            let failing = FaultyStore::new(harness.store(), &[1], u32::MAX);
            assert!(harness.worker_over(failing).run_one(&shutdown).await.unwrap());
            assert_eq!(harness.job(job_id).await.state, JobState::Failed, "the control");

            let faulty = FaultyStore::with_fault(harness.store(), fault);
            let told = insist(|| faulty.retry_purge(&harness.account, job_id)).await;
            // One that was taken though its answer was lost is refused when asked again: the job is in progress.
            assert!(told.is_none() || matches!(told, Some(CanceledOrRetried::Taken(_) | CanceledOrRetried::Refused(_))), "{fault:?}");
            work_over(&harness, &faulty).await;
            let faults = faulty.faults();
            drop(faulty);
            cure(&mut harness, job_id).await;
            let job = harness.job(job_id).await;
            let counts = Counts { planned: 7, deleted: 7, ..Counts::default() };
            assert_eq!((job.state, job.totals(), left(&harness).await.as_str()), (JobState::Successful, counts, ""), "{fault:?}");
            harness.assert_bystander_is_whole().await;
            if faults == 0 {
                break;
            }
            assert!(at + 1 < CALLS_MAX, "the walk has no end");
        }
    }
}
