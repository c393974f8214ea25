//! Which resources a purge removes, and which it leaves.

use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection};
use serde_json::json;

use crate::{
    Backend, Harness,
    harness::{add_client, add_user, everything, types},
};

fn all_deleted(planned: u64) -> Counts {
    Counts { planned, deleted: planned, ..Counts::default() }
}

pub async fn a_purge_removes_every_version_and_nothing_of_the_bystander<B: Backend>(harness: Harness<B>) {
    for id in 0..10 {
        for active in [true, false, true] {
            harness.put(json!({"resourceType": "Patient", "id": format!("p{id}"), "active": active})).await;
        }
        harness
            .put(json!({"resourceType": "Observation", "id": format!("o{id}"), "subject": {"reference": format!("Patient/p{id}")}}))
            .await;
    }
    assert_eq!(harness.history("Patient/p0").await.len(), 3, "the control");
    let job = harness.purge(everything()).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, all_deleted(20)));
    assert_eq!((job.batches.total, job.batches.completed), (8, 8), "ten of each type in batches of three");
    for reference in ["Patient/p0", "Patient/p9", "Observation/o0", "Observation/o9"] {
        assert!(harness.is_gone(reference).await, "{reference}");
    }
    assert!(harness.store().totals(&harness.account).await.unwrap().is_empty());
    harness.assert_bystander_is_whole().await;
}

pub async fn types_and_date_select<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "old"})).await;
    harness.put(json!({"resourceType": "Observation", "id": "old"})).await;
    harness.clock.advance_ms(60_000);
    let newer = harness.put(json!({"resourceType": "Patient", "id": "new"})).await;
    harness.put(json!({"resourceType": "Patient", "id": "touched"})).await;
    harness.put(json!({"resourceType": "Encounter", "id": "e"})).await;
    let selection = Selection { before: Some(newer.last_updated), ..types(&["Patient", "Encounter"]) };
    let job = harness.purge(selection).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, all_deleted(1)));
    assert!(harness.is_gone("Patient/old").await);
    assert_eq!(harness.ids("Patient").await, ["new", "touched"]);
    assert_eq!((harness.ids("Observation").await.len(), harness.ids("Encounter").await.len()), (1, 1));
    let job = harness.purge(types(&["Patient"])).await;
    assert_eq!(job.totals(), all_deleted(2));
    assert_eq!(job.counts.len(), 1);
    assert_eq!(harness.ids("Observation").await, ["old"]);
    harness.assert_bystander_is_whole().await;
}

pub async fn the_cut_off_is_strict<B: Backend>(harness: Harness<B>) {
    let at = harness.put(json!({"resourceType": "Patient", "id": "at"})).await.last_updated;
    let selection = |before| Selection { before: Some(before), ..everything() };
    let job = harness.purge(selection(at)).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, all_deleted(0)), "updated at the cut-off is not before it");
    assert_eq!(harness.purge(selection(at.plus_ms(1))).await.totals(), all_deleted(1));
    // An old resource that was updated lately is young, history included.
    harness.put(json!({"resourceType": "Patient", "id": "young"})).await;
    harness.clock.advance_ms(5);
    let updated = harness.put(json!({"resourceType": "Patient", "id": "young", "active": true})).await;
    assert_eq!(harness.purge(selection(updated.last_updated)).await.totals(), all_deleted(0));
    assert_eq!(harness.history("Patient/young").await.len(), 2);
}

pub async fn deleted_resources_keep_their_history_unless_included<B: Backend>(harness: Harness<B>) {
    for id in ["gone", "here"] {
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
        harness.put(json!({"resourceType": "Patient", "id": id, "active": true})).await;
    }
    harness.delete("Patient/gone").await;
    assert_eq!(harness.purge(everything()).await.totals(), all_deleted(1));
    assert!(harness.is_gone("Patient/here").await);
    assert_eq!(harness.history("Patient/gone").await.len(), 3, "what had been deleted before keeps its history");
    let included = Selection { include_deleted: true, ..everything() };
    let job = harness.purge(Selection { types: Some(vec!["Observation".parse().unwrap()]), ..included.clone() }).await;
    assert_eq!(job.totals(), all_deleted(0), "types apply to deleted resources, too");
    let job = harness.purge(included).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, all_deleted(1)));
    assert!(harness.is_gone("Patient/gone").await);
    assert!(harness.store().totals(&harness.account).await.unwrap().is_empty());
}

pub async fn what_changes_after_kick_off_is_spared_and_counted<B: Backend>(harness: Harness<B>) {
    for id in ["updated", "deleted", "recreated", "quiet"] {
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
    }
    let job_id = harness.kick_off(everything()).await;
    harness.put(json!({"resourceType": "Patient", "id": "updated", "active": true})).await;
    harness.delete("Patient/deleted").await;
    harness.delete("Patient/recreated").await;
    harness.put(json!({"resourceType": "Patient", "id": "recreated"})).await;
    harness.put(json!({"resourceType": "Patient", "id": "created"})).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 4, deleted: 1, spared: 3, ..Counts::default() }));
    assert!(harness.is_gone("Patient/quiet").await);
    assert_eq!(harness.history("Patient/updated").await.len(), 2, "it stays whole");
    assert_eq!(harness.history("Patient/deleted").await.len(), 2);
    assert_eq!(harness.history("Patient/recreated").await.len(), 3);
    assert_eq!(harness.ids("Patient").await, ["updated", "recreated", "created"]);
    harness.assert_bystander_is_whole().await;
}

pub async fn what_changes_while_the_plan_is_made_is_spared_and_counted<B: Backend>(harness: Harness<B>) {
    for id in 0..7 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
    }
    let job_id = harness.kick_off(everything()).await;
    let store = harness.store();
    let claimed = store.claim_purge().await.unwrap().unwrap();
    for account_id in store.begin_plan(&claimed.lease).await.unwrap() {
        store.plan_targets(&claimed.lease, account_id, harness.batch_limits()).await.unwrap();
        store.plan_companions(&claimed.lease, account_id, harness.batch_limits()).await.unwrap();
    }
    harness.put(json!({"resourceType": "Patient", "id": "p1"})).await;
    store.seal_plan(&claimed.lease).await.unwrap();
    harness.put(json!({"resourceType": "Patient", "id": "p2"})).await;
    store.release_leases().await.unwrap();
    harness.work().await;
    assert_eq!(harness.job(job_id).await.totals(), Counts { planned: 7, deleted: 5, spared: 2, ..Counts::default() });
    assert_eq!(harness.ids("Patient").await, ["p1", "p2"]);
}

pub async fn ids_can_be_used_again<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "again"})).await;
    harness.put(json!({"resourceType": "Patient", "id": "again"})).await;
    harness.purge(everything()).await;
    assert!(harness.is_gone("Patient/again").await);
    let created = harness.put(json!({"resourceType": "Patient", "id": "again"})).await;
    assert_eq!(created.version, 1, "it begins anew");
    assert_eq!(harness.history("Patient/again").await.len(), 1);
    assert_eq!(harness.purge(everything()).await.totals(), all_deleted(1));
}

pub async fn a_client_purge_covers_all_its_users_and_no_other_client<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    add_client(store.as_ref(), "c2").await;
    let stranger = add_user(store.as_ref(), "c2", "one").await;
    for scope in [&harness.account, &stranger] {
        harness.put_for(scope, json!({"resourceType": "Patient", "id": "x"})).await;
    }
    let owner = Scope::Client { client_id: harness.account.client_id().clone() };
    let job_id = harness.kick_off_for(&owner, everything()).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, all_deleted(3)), "one of the account, two of the bystander");
    assert!(harness.read_for(&harness.bystander, "Patient/p").await.is_none());
    assert!(harness.read_for(&stranger, "Patient/x").await.is_some());
}

pub async fn an_empty_account_is_purged_successfully<B: Backend>(harness: Harness<B>) {
    let job = harness.purge(everything()).await;
    assert_eq!((job.state, job.totals(), job.batches.total), (JobState::Successful, all_deleted(0), 0));
    assert!(job.initialized_on.is_some() && job.completed_on.is_some());
    harness.assert_bystander_is_whole().await;
}
