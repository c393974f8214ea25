//! What an owner can do with a job: one at a time, cancel, retry, list.

use std::sync::Arc;

use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_store::{CanceledOrRetried, JobId, KickOff, NextBatch, PurgeJob, Store};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Backend, FaultyStore, Harness,
    harness::{add_client, add_user, everything},
    residences::table_of_ids,
};

async fn fill<B: Backend>(harness: &Harness<B>, patients: usize) {
    for id in 0..patients {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
    }
}

fn client_of(scope: &Scope) -> Scope {
    Scope::Client { client_id: scope.client_id().clone() }
}

async fn cancel<B: Backend>(harness: &Harness<B>, job_id: JobId) -> CanceledOrRetried {
    harness.store().cancel_purge(&harness.account, job_id).await.unwrap()
}

async fn retry<B: Backend>(harness: &Harness<B>, job_id: JobId) -> CanceledOrRetried {
    harness.store().retry_purge(&harness.account, job_id).await.unwrap()
}

pub async fn one_job_at_a_time_per_account_and_per_client<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    add_client(store.as_ref(), "c2").await;
    let stranger = add_user(store.as_ref(), "c2", "one").await;
    let client = client_of(&harness.account);
    let first = harness.kick_off(everything()).await;
    for owner in [&harness.account, &client] {
        let outcome = harness.try_kick_off(owner, everything()).await;
        assert!(matches!(outcome, KickOff::Conflict { running } if running == first), "{owner:?}: {outcome:?}");
    }
    let of_bystander = harness.kick_off_for(&harness.bystander, everything()).await;
    let of_stranger = harness.kick_off_for(&stranger, everything()).await;
    for job_id in [first, of_bystander, of_stranger] {
        harness.work().await;
        assert_ne!(job_id, JobId::nil());
    }
    let of_client = harness.kick_off_for(&client, everything()).await;
    assert!(store.purge_job(&client, of_client).await.unwrap().is_some(), "the control");
    assert!(store.purge_job(&harness.account, of_client).await.unwrap().is_none(), "it tells of other accounts, too");
    let not_its_own = store.cancel_purge(&harness.account, of_client).await.unwrap();
    assert!(matches!(not_its_own, CanceledOrRetried::Unknown));
    for owner in [&harness.account, &harness.bystander, &client] {
        let outcome = harness.try_kick_off(owner, everything()).await;
        assert!(matches!(outcome, KickOff::Conflict { running } if running == of_client), "{owner:?}: {outcome:?}");
    }
    harness.kick_off_for(&stranger, everything()).await;
    harness.work().await;
    assert_eq!(harness.job(of_client).await.state, JobState::Successful);
    harness.kick_off(everything()).await;
}

pub async fn many_kick_offs_at_once_start_one_job<B: Backend>(harness: Harness<B>) {
    let mut kick_offs = JoinSet::new();
    for number in 0..60 {
        let store = harness.store();
        let owner = if number % 3 == 0 { client_of(&harness.account) } else { harness.account.clone() };
        let purge = lethe_store::NewPurge {
            job_id: JobId::now_v7(),
            owner,
            selection: everything(),
            question: Default::default(),
            bases: Default::default(),
            reason: None,
            expect: None,
            erase_files: false,
            digest_key: [1; 32],
        };
        kick_offs.spawn(async move { store.kick_off(&purge).await.unwrap() });
    }
    let outcomes = kick_offs.join_all().await;
    let started: Vec<&PurgeJob> =
        outcomes.iter().filter_map(|outcome| if let KickOff::Started(job) = outcome { Some(job.as_ref()) } else { None }).collect();
    assert_eq!(started.len(), 1);
    for outcome in &outcomes {
        assert!(
            matches!(outcome, KickOff::Started(_)) || matches!(outcome, KickOff::Conflict { running } if *running == started[0].job_id)
        );
    }
    assert_eq!(harness.backend.rows("purge_job").await, 1);
    assert_eq!(harness.backend.rows("purge_audit").await, 1);
}

pub async fn another_owner_sees_nothing<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    add_client(store.as_ref(), "c2").await;
    let stranger = add_user(store.as_ref(), "c2", "one").await;
    let job_id = harness.kick_off(everything()).await;
    assert!(store.purge_job(&harness.account, job_id).await.unwrap().is_some(), "the control");
    assert!(store.purge_job(&client_of(&harness.account), job_id).await.unwrap().is_some());
    for owner in [&harness.bystander, &stranger, &client_of(&stranger)] {
        assert!(store.purge_job(owner, job_id).await.unwrap().is_none(), "{owner:?}");
        assert!(store.purge_jobs(owner, None, 10).await.unwrap().is_empty());
        assert!(matches!(store.cancel_purge(owner, job_id).await.unwrap(), CanceledOrRetried::Unknown));
        assert!(matches!(store.retry_purge(owner, job_id).await.unwrap(), CanceledOrRetried::Unknown));
    }
    assert_eq!(harness.job(job_id).await.state, JobState::Queued);
}

pub async fn cancel_stops_within_one_batch_and_deletes_nothing_afterwards<B: Backend>(harness: Harness<B>) {
    fill(&harness, 10).await;
    let job_id = harness.kick_off(everything()).await;
    let store = harness.store();
    let claimed = store.claim_purge().await.unwrap().unwrap();
    harness.plan(&claimed.lease).await;
    let NextBatch::Run(batch) = store.claim_batch(&claimed.lease).await.unwrap() else { panic!("a batch waits") };
    let CanceledOrRetried::Taken(job) = cancel(&harness, job_id).await else { panic!("it runs") };
    assert_eq!((job.state, job.state.status()), (JobState::Canceling, "in progress"));
    assert!(matches!(cancel(&harness, job_id).await, CanceledOrRetried::Taken(_)), "asking twice is no error");
    store.purge_batch(&claimed.lease, batch).await.unwrap();
    assert_eq!(store.claim_batch(&claimed.lease).await.unwrap(), NextBatch::Canceled, "the batch that ran is the last");
    store.release_leases().await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted, job.batches.completed), (JobState::Canceled, 3, 1));
    assert!(job.completed_on.is_some());
    assert_eq!(harness.ids("Patient").await.len(), 7, "what was not removed is whole");
    assert_eq!(harness.backend.rows(table_of_ids::<B>()).await, 7 + 2, "and what was removed has left no index row");
    let (_stop, shutdown) = watch::channel(false);
    assert!(!harness.worker().run_one(&shutdown).await.unwrap(), "nothing is left to do");
    let CanceledOrRetried::Refused(refused) = cancel(&harness, job_id).await else { panic!("it has ended") };
    assert_eq!(refused.state, JobState::Canceled);
    assert_eq!(harness.purge(everything()).await.totals().deleted, 7);
    harness.assert_bystander_is_whole().await;
}

pub async fn a_job_that_has_not_begun_is_canceled_at_once<B: Backend>(harness: Harness<B>) {
    fill(&harness, 2).await;
    let job_id = harness.kick_off(everything()).await;
    let CanceledOrRetried::Taken(job) = cancel(&harness, job_id).await else { panic!("it waits") };
    assert_eq!(job.state, JobState::Canceled);
    assert_eq!(harness.ids("Patient").await.len(), 2);
    assert_eq!(harness.purge(everything()).await.totals().deleted, 2);
}

/// However long the plan of a large account takes.
pub async fn cancel_breaks_a_plan_off<B: Backend>(first: Harness<B>) {
    drop(first);
    for step in ["begin_plan", "plan_targets", "plan_companions", "seal_plan"] {
        let harness = Harness::<B>::open().await;
        fill(&harness, 5).await;
        let job_id = harness.kick_off(everything()).await;
        let stuck = FaultyStore::stuck_in(harness.store(), step);
        let worker = harness.worker_over(Arc::clone(&stuck) as Arc<dyn Store>);
        let (_stop, shutdown) = watch::channel(false);
        let canceled = async {
            let CanceledOrRetried::Taken(job) = cancel(&harness, job_id).await else { panic!("it runs") };
            assert_eq!(job.state, JobState::Canceling, "{step}");
        };
        assert!(stuck.ends_by(canceled, worker.run_one(&shutdown)).await, "{step} goes on");
        let job = harness.job(job_id).await;
        assert_eq!((job.state, job.totals().deleted, job.batches.completed), (JobState::Canceled, 0, 0), "{step}");
        assert!(job.completed_on.is_some());
        assert_eq!(harness.ids("Patient").await.len(), 5, "{step}");
        assert_eq!(harness.purge(everything()).await.totals().deleted, 5, "{step}");
        harness.assert_bystander_is_whole().await;
    }
}

pub async fn cancel_and_retry_are_refused_in_every_other_state<B: Backend>(harness: Harness<B>) {
    fill(&harness, 1).await;
    let job_id = harness.kick_off(everything()).await;
    assert!(matches!(retry(&harness, job_id).await, CanceledOrRetried::Refused(refused) if refused.state == JobState::Queued));
    harness.work().await;
    let ended = harness.job(job_id).await;
    assert_eq!(ended.state, JobState::Successful);
    for refused in [retry(&harness, job_id).await, cancel(&harness, job_id).await] {
        assert!(matches!(refused, CanceledOrRetried::Refused(refused) if refused.state == JobState::Successful));
    }
    assert_eq!(harness.job(job_id).await, ended, "nothing changed");
    assert!(matches!(cancel(&harness, JobId::now_v7()).await, CanceledOrRetried::Unknown));
}

pub async fn jobs_are_listed_newest_first<B: Backend>(harness: Harness<B>) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, harness.purge(everything()).await.job_id);
    }
    let store = harness.store();
    let ids = |jobs: Vec<PurgeJob>| jobs.iter().map(|job| job.job_id).collect::<Vec<_>>();
    let first = ids(store.purge_jobs(&harness.account, None, 3).await.unwrap());
    assert_eq!(first, expected[..3]);
    assert_eq!(ids(store.purge_jobs(&harness.account, first.last().copied(), 3).await.unwrap()), expected[3..]);
    assert_eq!(store.purge_jobs(&client_of(&harness.account), None, 10).await.unwrap().len(), 5);
}
