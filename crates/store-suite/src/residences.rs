//! Where resource data lives, and that nothing of it is left there (INV-10).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use lethe_jobs::JobState;
use lethe_store::residence::{INDEX_PARTS, INDEX_ROWS, WITHOUT_RESOURCE_DATA};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    Backend, FaultyStore, Harness, Planting,
    harness::{account_of, everything, types},
};

pub async fn the_list_names_every_table<B: Backend>(harness: Harness<B>) {
    let residences = B::residences();
    let parts = residences.contains(&INDEX_ROWS).then_some(INDEX_PARTS);
    let listed: BTreeSet<String> =
        residences.iter().map(|residence| residence.table).chain(WITHOUT_RESOURCE_DATA).chain(parts).map(str::to_owned).collect();
    let live: BTreeSet<String> = harness.backend.tables().await.into_iter().collect();
    assert_eq!(listed, live, "left: residence.rs, right: the schema");
}

/// Fills every residence that a write can fill.
async fn fill<B: Backend>(harness: &Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.put(json!({"resourceType": "Patient", "id": "a", "active": true})).await;
    harness.put(json!({"resourceType": "Media", "id": "m", "subject": {"reference": "Patient/a"}, "content": {"url": "Binary/b"}})).await;
    harness.put(json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain"})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Media/m"}]})).await;
}

async fn rows<B: Backend>(harness: &Harness<B>) -> Vec<(&'static str, u64)> {
    let mut rows = Vec::new();
    for residence in B::residences() {
        rows.push((residence.table, harness.backend.rows(residence.table).await));
    }
    rows
}

pub async fn every_residence_is_empty_after_a_purge<B: Backend>(harness: Harness<B>) {
    let bystander_only = rows(&harness).await;
    fill(&harness).await;
    for ((table, before), (_, filled)) in bystander_only.iter().zip(rows(&harness).await) {
        let is_filled_otherwise = ["purge_question", "purge_listed", "export_question", "hold_target"].contains(table);
        assert!(filled > *before || is_filled_otherwise, "{table} is filled: the control");
    }
    assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
    assert_eq!(rows(&harness).await, bystander_only);
    // The same where the Provenance and Binary go along instead of being selected.
    fill(&harness).await;
    assert_eq!(harness.purge(types(&["Patient", "Media"])).await.totals().deleted, 4);
    assert_eq!(rows(&harness).await, bystander_only);
}

pub async fn a_leftover_in_any_residence_fails_the_job<B: Backend>(first: Harness<B>) {
    let account = account_of(&first.account).0;
    drop(first);
    let places = B::residences().into_iter().map(|residence| Some(residence.table)).chain([None]);
    for place in places {
        let harness = Arc::new(Harness::<B>::open().await);
        fill(&harness).await;
        let job_id = harness.kick_off(everything()).await;
        let planted: Arc<Mutex<Option<&'static str>>> = Arc::default();
        // Between the last thing that removes and the probe.
        let (behind, noted) = (Arc::clone(&harness), Arc::clone(&planted));
        let plant: Planting = Box::new(move || {
            let (behind, noted) = (Arc::clone(&behind), Arc::clone(&noted));
            Box::pin(async move {
                let name = match place {
                    Some(table) => {
                        behind.backend.plant_leftover(table, account).await;
                        Some(table)
                    }
                    None => behind.backend.plant_bytes().await,
                };
                *noted.lock().unwrap() = name;
            })
        });
        let (_stop, shutdown) = watch::channel(false);
        harness.worker_over(FaultyStore::planting(harness.store(), plant)).run_one(&shutdown).await.unwrap();
        let Some(name) = *planted.lock().unwrap() else { continue };
        let job = harness.job(job_id).await;
        assert_eq!(job.state, JobState::Failed, "{name}");
        assert!(job.failure.as_ref().is_some_and(|why| why.contains(&format!("'{name}'"))), "{name}: {:?}", job.failure);
        let found = harness.store().residue(job_id).await.unwrap().unwrap();
        let left: Vec<&str> = found.iter().filter(|residue| residue.rows > 0).map(|residue| residue.residence).collect();
        assert_eq!(left, [name], "the same from outside");
    }
}

pub async fn a_check_finds_what_is_wrong<B: Backend>(first: Harness<B>) {
    drop(first);
    for residence in B::residences() {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
        harness.assert_bystander_is_whole().await;
        harness.backend.plant_leftover(residence.table, account_of(&harness.account).0).await;
        let checks = harness.store().check().await.unwrap();
        assert!(checks.iter().any(|check| check.violations.is_some_and(|violations| violations > 0)), "{}: {checks:?}", residence.table);
    }
}

/// The table with a row for each logical id: where there is none of its own, each has its version, as long as it has only one.
pub(crate) fn table_of_ids<B: Backend>() -> &'static str {
    let has_own = B::residences().iter().any(|residence| residence.table == "resource");
    if has_own { "resource" } else { "version" }
}
