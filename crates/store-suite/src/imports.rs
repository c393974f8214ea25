//! Imports: what is counted is stored, and what is stored is counted.

use lethe_auth::Scope;
use lethe_jobs::{Fence, JobEvent, JobState, Lease};
use lethe_store::{
    BULK_KEPT_MS, Change, ImportBatch, ImportCanceled, ImportJob, ImportProgress, ImportStart, JobId, NewImport, StoreError, Write,
    WriteError,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Backend, Harness,
    harness::{account_of, put},
};

async fn try_start<B: Backend>(harness: &Harness<B>, owner: &Scope, after_line: u64) -> ImportStart {
    let import = NewImport { job_id: Uuid::now_v7(), owner: owner.clone(), account_id: account_of(owner), after_line };
    harness.store().start_import(&import).await.unwrap()
}

async fn start<B: Backend>(harness: &Harness<B>, after_line: u64) -> Lease<JobId> {
    match try_start(harness, &harness.account, after_line).await {
        ImportStart::Started(lease, _) => lease,
        ImportStart::Conflict { running } => panic!("{running} is in progress"),
    }
}

async fn job<B: Backend>(harness: &Harness<B>, job_id: JobId) -> Option<ImportJob> {
    harness.store().import_job(&harness.account, job_id).await.unwrap()
}

fn patients(ids: &[&str]) -> Vec<Write> {
    ids.iter().map(|id| put(json!({"resourceType": "Patient", "id": id}))).collect()
}

fn counts(job: &ImportJob) -> [u64; 4] {
    [job.last_line, job.created, job.updated, job.rejected]
}

pub async fn a_batch_is_stored_and_counted_together<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let lease = start(&harness, 10).await;
    let batch = ImportBatch { last_line: 15, writes: patients(&["a", "b", "a"]), rejected: 1 };
    let ImportProgress::Stored(first) = store.store_import_batch(&lease, batch).await.unwrap() else { panic!("it is stored") };
    assert_eq!((first.state, counts(&first)), (JobState::Running, [15, 2, 1, 1]), "line 15 was blank");
    let empty = ImportBatch { last_line: 20, writes: Vec::new(), rejected: 2 };
    store.store_import_batch(&lease, empty).await.unwrap();
    assert_eq!(counts(&job(&harness, lease.job_id).await.unwrap()), [20, 2, 1, 3]);
    assert_eq!(harness.ids("Patient").await, ["b", "a"]);

    // A batch of which one write cannot be done is not counted either.
    let mut writes = patients(&["c"]);
    writes.push(Write { change: Change::Delete, expect: lethe_store::Expect::Version(9), ..patients(&["d"]).remove(0) });
    let failed = store.store_import_batch(&lease, ImportBatch { last_line: 22, writes, rejected: 0 }).await;
    assert!(matches!(failed, Err(WriteError::Expectation { .. })));
    assert_eq!(counts(&job(&harness, lease.job_id).await.unwrap()), [20, 2, 1, 3]);
    assert!(harness.read("Patient/c").await.is_none());

    let ended = store.finish_import(&lease, JobEvent::Complete, None).await.unwrap();
    assert_eq!((ended.state, ended.after_line, counts(&ended)), (JobState::Successful, 10, [20, 2, 1, 3]));
    let late = store.store_import_batch(&lease, ImportBatch { last_line: 30, writes: patients(&["z"]), rejected: 0 }).await;
    assert!(matches!(late, Err(WriteError::Store(StoreError::LeaseLost))));
    assert!(harness.read("Patient/z").await.is_none());
    harness.assert_bystander_is_whole().await;
}

pub async fn one_import_at_a_time_per_account<B: Backend>(harness: Harness<B>) {
    let lease = start(&harness, 0).await;
    let second = try_start(&harness, &harness.account, 0).await;
    assert!(matches!(second, ImportStart::Conflict { running } if running == lease.job_id));
    assert!(matches!(try_start(&harness, &harness.bystander, 0).await, ImportStart::Started(..)));
    // Whoever brought the first has been silent for too long.
    harness.clock.advance_ms(600_000);
    let successor = start(&harness, 0).await;
    let left = job(&harness, lease.job_id).await.unwrap();
    assert_eq!(left.state, JobState::Failed);
    assert!(matches!(
        harness.store().store_import_batch(&lease, ImportBatch::default()).await,
        Err(WriteError::Store(StoreError::LeaseLost))
    ));
    let forged = Lease { fence: Fence(successor.fence.0 + 1), ..successor };
    assert!(matches!(harness.store().finish_import(&forged, JobEvent::Fail, None).await, Err(StoreError::LeaseLost)));
}

pub async fn a_canceled_import_stores_no_further_batch<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let lease = start(&harness, 0).await;
    store.store_import_batch(&lease, ImportBatch { last_line: 1, writes: patients(&["a"]), rejected: 0 }).await.unwrap();
    assert!(matches!(store.cancel_import(&harness.bystander, lease.job_id).await.unwrap(), ImportCanceled::Unknown));
    assert!(matches!(store.cancel_import(&harness.account, lease.job_id).await.unwrap(), ImportCanceled::Taken(_)));
    let batch = ImportBatch { last_line: 2, writes: patients(&["b"]), rejected: 0 };
    assert!(matches!(store.store_import_batch(&lease, batch).await.unwrap(), ImportProgress::Canceled));
    let ended = store.finish_import(&lease, JobEvent::Complete, None).await.unwrap();
    assert_eq!((ended.state, counts(&ended)), (JobState::Canceled, [1, 1, 0, 0]));
    assert_eq!(harness.ids("Patient").await, ["a"]);
    assert!(matches!(store.cancel_import(&harness.account, lease.job_id).await.unwrap(), ImportCanceled::Refused(_)));
}

pub async fn an_import_fails_when_the_server_ends_and_says_after_which_line<B: Backend>(mut harness: Harness<B>) {
    let lease = start(&harness, 0).await;
    harness.store().store_import_batch(&lease, ImportBatch { last_line: 7, writes: patients(&["a"]), rejected: 0 }).await.unwrap();
    harness.backend.restart().await;
    let left = job(&harness, lease.job_id).await.unwrap();
    assert_eq!((left.state, left.last_line), (JobState::Failed, 7));
    assert!(left.failure.is_some());
    let second = start(&harness, 7).await;
    let listed = harness.store().import_jobs(&harness.account, 10).await.unwrap();
    assert_eq!(listed.iter().map(|job| job.job_id).collect::<Vec<_>>(), [second.job_id, lease.job_id], "newest first");
    assert!(harness.store().import_jobs(&harness.bystander, 10).await.unwrap().is_empty());
    harness.backend.restart().await;
    // Its job is kept for a day.
    harness.clock.advance_ms(BULK_KEPT_MS - 1);
    assert!(job(&harness, lease.job_id).await.is_some());
    harness.clock.advance_ms(1);
    assert!(job(&harness, lease.job_id).await.is_none());
    assert_eq!(harness.store().remove_expired().await.unwrap(), 2);
    assert_eq!(harness.backend.rows("import_job").await, 0);
    assert_eq!(harness.ids("Patient").await, ["a"]);
}
