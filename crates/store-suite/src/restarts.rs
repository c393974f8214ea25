//! Crashes and successors.

use std::sync::Arc;

use lethe_jobs::JobState;
use lethe_purge::Counts;
use lethe_search::export::ExportQuestion;
use lethe_store::{NextBatch, PurgeEnd, Store, StoreError};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    Backend, FaultyStore, Harness,
    faults::LONG_STEPS,
    harness::{Ask, everything, filtered, types},
};

async fn fill<B: Backend>(harness: &Harness<B>) {
    for id in 0..4 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}"), "active": true})).await;
        harness.put(json!({"resourceType": "Media", "id": format!("m{id}"), "content": {"url": format!("Binary/b{id}")}})).await;
        harness.put(json!({"resourceType": "Binary", "id": format!("b{id}"), "contentType": "text/plain"})).await;
        let targets = json!([{"reference": format!("Patient/p{id}")}, {"reference": format!("Media/m{id}")}]);
        harness.put(json!({"resourceType": "Provenance", "id": format!("v{id}"), "target": targets})).await;
    }
    harness.put(json!({"resourceType": "Observation", "id": "stays"})).await;
}

/// The moving crash: the worker dies after step 1, after step 2, and so on, until one run needs no more steps than it has. While it is dead the clock
/// jumps back an hour, every second time.
pub async fn a_job_goes_on_after_a_restart_at_any_step<B: Backend>(first: Harness<B>) {
    goes_on(first, (types(&["Patient", "Media"]), ExportQuestion::default())).await;
}

/// The same resources by a list and by ranges.
pub async fn a_job_with_a_list_goes_on_after_a_restart_at_any_step<B: Backend>(first: Harness<B>) {
    goes_on(first, filtered(&["Patient", "Media"], &["Patient?active=true"])).await;
}

async fn goes_on<B: Backend>(first: Harness<B>, ask: Ask) {
    drop(first);
    for steps in 1..200 {
        let mut harness = Harness::<B>::open().await;
        fill(&harness).await;
        let job_id = harness.kick_off_asking(&ask).await;
        harness.put(json!({"resourceType": "Patient", "id": "p0", "active": false})).await;
        let dying = FaultyStore::dying_after(harness.store(), steps);
        let (_stop, shutdown) = watch::channel(false);
        harness.worker_over(Arc::clone(&dying) as Arc<dyn Store>).run_one(&shutdown).await.unwrap();
        let has_ended = harness.job(job_id).await.state.is_ended();
        let is_dead = dying.is_dead();
        drop(dying);
        if steps % 2 == 0 {
            harness.clock.advance_ms(-3_600_000);
        }
        harness.backend.restart().await;
        if !has_ended {
            harness.work().await;
        }
        let job = harness.job(job_id).await;
        // Patient/p0 is spared and keeps Provenance/v0; everything else of the two types goes, each with its companions.
        assert_eq!(
            (job.state, job.totals()),
            (JobState::Successful, Counts { planned: 15, deleted: 14, spared: 1, ..Counts::default() }),
            "died after {steps}"
        );
        let left = [harness.ids("Patient").await, harness.ids("Media").await, harness.ids("Provenance").await, harness.ids("Binary").await]
            .concat();
        assert_eq!(left, ["p0", "v0"], "died after {steps}");
        assert_eq!(harness.backend.rows("purge_question").await + harness.backend.rows("purge_listed").await, 0, "died after {steps}");
        assert_eq!(harness.ids("Observation").await, ["stays"]);
        let certificates = harness.store().certificates(0, 10).await.unwrap();
        assert_eq!(certificates.iter().map(|certificate| certificate.job_id).collect::<Vec<_>>(), [job_id], "died after {steps}");
        harness.assert_bystander_is_whole().await;
        if !is_dead {
            assert!(steps > 15, "the walk has more steps than {steps}");
            return;
        }
    }
    panic!("the walk has no end");
}

/// However long a step takes: no phase of which nothing counts before its end keeps a server from stopping.
pub async fn a_server_that_stops_leaves_a_long_step_to_the_next<B: Backend>(first: Harness<B>) {
    drop(first);
    for step in LONG_STEPS {
        let mut harness = Harness::<B>::open().await;
        fill(&harness).await;
        let job_id = harness.kick_off(types(&["Patient", "Media"])).await;
        let stuck = FaultyStore::stuck_in(harness.store(), step);
        let (stop, shutdown) = watch::channel(false);
        let worker = harness.worker_over(Arc::clone(&stuck) as Arc<dyn Store>);
        assert!(stuck.stops(&stop, worker.run_one(&shutdown)).await, "{step} goes on");
        drop((worker, stuck));
        harness.backend.restart().await;
        harness.work().await;
        let job = harness.job(job_id).await;
        assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 16, deleted: 16, ..Counts::default() }), "{step}");
        assert_eq!(harness.ids("Observation").await, ["stays"]);
        harness.assert_bystander_is_whole().await;
    }
}

pub async fn a_worker_that_lost_its_lease_changes_nothing<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let job_id = harness.kick_off(everything()).await;
    let store = harness.store();
    let sleeper = store.claim_purge().await.unwrap().unwrap().lease;
    assert!(store.claim_purge().await.unwrap().is_none(), "the control: nobody else may have it");
    harness.clock.advance_ms(600_000);
    let successor = store.claim_purge().await.unwrap().expect("its lease has ended").lease;
    harness.plan(&successor).await;
    let NextBatch::Run(batch) = store.claim_batch(&successor).await.unwrap() else { panic!("a batch waits") };
    let before = harness.backend.rows("version").await;
    assert!(matches!(store.begin_plan(&sleeper).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.claim_batch(&sleeper).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.purge_batch(&sleeper, batch).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.fail_batch(&sleeper, batch, "late", None).await, Err(StoreError::LeaseLost)));
    let end = PurgeEnd::without_probe(lethe_jobs::JobEvent::Complete, None, true);
    assert!(matches!(store.finish_purge(&sleeper, &end, &Harness::<B>::issuer()).await, Err(StoreError::LeaseLost)));
    assert_eq!(harness.backend.rows("purge_certificate").await, 0);
    assert_eq!(harness.backend.rows("version").await, before);
    store.release_leases().await.unwrap();
    harness.work().await;
    assert_eq!(harness.job(job_id).await.state, JobState::Successful);
}

pub async fn running_a_batch_twice_removes_and_counts_once<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let job_id = harness.kick_off(everything()).await;
    let store = harness.store();
    let claimed = store.claim_purge().await.unwrap().unwrap();
    harness.plan(&claimed.lease).await;
    let NextBatch::Run(batch) = store.claim_batch(&claimed.lease).await.unwrap() else { panic!("a batch waits") };
    let outcome = store.purge_batch(&claimed.lease, batch).await.unwrap();
    assert_eq!((outcome.deleted, outcome.spared), (3, 0));
    assert!(store.purge_batch(&claimed.lease, batch).await.is_err(), "it is done");
    assert_eq!(harness.job(job_id).await.totals().deleted, 3);
}
