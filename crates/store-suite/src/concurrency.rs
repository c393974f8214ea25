//! Writers while a purge begins.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use lethe_jobs::JobState;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Backend, Harness,
    harness::{account_of, everything, put},
};

/// Many writers create resources while purges are kicked off again and again. Whatever was written before a kick-off was asked for is gone
/// after it, whatever was written after it was answered stays, and nothing is lost or counted twice.
pub async fn writers_cannot_slip_under_the_watermark<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(200);
    let mut created_in_all = 0;
    for round in 0..4 {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for writer in 0..16 {
            let (store, account, is_over) = (harness.store(), account_of(&harness.account), Arc::clone(&is_over));
            writers.spawn(async move {
                let mut created = 0_u64;
                while !is_over.load(Ordering::SeqCst) && created < 500 {
                    let json = json!({"resourceType": "Patient", "id": format!("r{round}-w{writer}-{created}")});
                    store.write(account, vec![put(json)]).await.unwrap();
                    created += 1;
                }
                created
            });
        }
        harness.put(json!({"resourceType": "Basic", "id": format!("before-{round}")})).await;
        let job_id = harness.kick_off(everything()).await;
        harness.put(json!({"resourceType": "Basic", "id": format!("after-{round}")})).await;
        harness.work().await;
        is_over.store(true, Ordering::SeqCst);
        created_in_all += writers.join_all().await.iter().sum::<u64>() + 2;

        let job = harness.job(job_id).await;
        let counts = job.totals();
        assert_eq!(job.state, JobState::Successful);
        assert_eq!((counts.spared, counts.planned), (0, counts.deleted), "nothing was updated, so nothing is spared");
        created_in_all -= counts.deleted;
        let left = harness.store().totals(&harness.account).await.unwrap().iter().map(|(_, resources)| resources).sum::<u64>();
        assert_eq!(left, created_in_all, "round {round}: what was written and not deleted is there");
        assert!(harness.is_gone(&format!("Basic/before-{round}")).await);
        assert!(harness.read(&format!("Basic/after-{round}")).await.is_some());
    }
    harness.assert_bystander_is_whole().await;
}
