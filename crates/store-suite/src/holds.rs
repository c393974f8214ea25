//! What legal holds keep, whenever they are set.

use lethe_auth::{ClientId, Scope};
use lethe_jobs::{JobState, Lease};
use lethe_purge::{Counts, Selection, holds::HoldTarget};
use lethe_store::{HoldAdded, HoldFilter, HoldLifted, JobId, NewHold, NextBatch};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Backend, FaultyStore, Harness,
    harness::{account_of, add_client, add_user, everything, local, put, types},
};

fn on(reference: &str) -> HoldTarget {
    let (resource_type, id) = local(reference);
    HoldTarget::Resource(resource_type, id)
}

fn on_patient(id: &str) -> HoldTarget {
    HoldTarget::Patient(id.parse().unwrap())
}

fn observation(id: &str, patient: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "subject": {"reference": format!("Patient/{patient}")}})
}

/// Two patients with two observations each, and something that is in nobody's compartment.
async fn fill<B: Backend>(harness: &Harness<B>) {
    for patient in ["a", "b"] {
        harness.put(json!({"resourceType": "Patient", "id": patient})).await;
        harness.put(json!({"resourceType": "Patient", "id": patient, "active": true})).await;
        harness.put(observation(&format!("{patient}1"), patient)).await;
        harness.put(observation(&format!("{patient}2"), patient)).await;
    }
    harness.put(json!({"resourceType": "Location", "id": "l"})).await;
}

/// What is there of [`fill`].
async fn left<B: Backend>(harness: &Harness<B>) -> Vec<String> {
    let mut left = Vec::new();
    for name in ["Patient", "Observation", "Location", "Media", "Provenance", "Binary"] {
        left.extend(harness.ids(name).await.into_iter().map(|id| format!("{name}/{id}")));
    }
    left
}

/// Claims the waiting job.
async fn claim<B: Backend>(harness: &Harness<B>) -> Lease<JobId> {
    harness.store().claim_purge().await.unwrap().expect("a job waits").lease
}

/// Runs the next batch; `false` if there was none.
async fn run_batch<B: Backend>(harness: &Harness<B>, lease: &Lease<JobId>) -> bool {
    loop {
        match harness.store().claim_batch(lease).await.unwrap() {
            NextBatch::Run(batch) => {
                harness.store().purge_batch(lease, batch).await.unwrap();
                return true;
            }
            NextBatch::PrepareCompanions => harness.store().prepare_companions(lease).await.unwrap(),
            NextBatch::Drained => return false,
            other => panic!("{other:?}"),
        }
    }
}

/// Lets a worker take the job over and end it.
async fn finish<B: Backend>(harness: &Harness<B>) {
    harness.store().release_leases().await.unwrap();
    harness.work().await;
}

pub async fn a_hold_keeps_what_it_names_and_the_job_says_so<B: Backend>(first: Harness<B>) {
    drop(first);
    let all = ["Patient/a", "Patient/b", "Observation/a1", "Observation/a2", "Observation/b1", "Observation/b2", "Location/l"];
    let cases: [(HoldTarget, &[&str]); 6] = [
        (HoldTarget::Account, &all),
        (on_patient("a"), &["Patient/a", "Observation/a1", "Observation/a2"]),
        (on_patient("nobody"), &[]),
        (on("Observation/b1"), &["Observation/b1"]),
        (on("Patient/b"), &["Patient/b"]),
        (on("Observation/a"), &[]),
    ];
    for (target, kept) in cases {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        let hold_id = harness.hold(target.clone()).await;
        let job = harness.purge(everything()).await;
        let (planned, held) = (7, kept.len() as u64);
        let expected = Counts { planned, deleted: planned - held, held, ..Counts::default() };
        assert_eq!((job.state, job.totals()), (JobState::Successful, expected), "{target:?}");
        assert_eq!(job.holds, if kept.is_empty() { vec![] } else { vec![hold_id] }, "{target:?}");
        assert_eq!(left(&harness).await, kept, "{target:?}");
        if kept.contains(&"Patient/a") {
            assert_eq!(harness.history("Patient/a").await.len(), 2, "with its history");
        }
        assert_eq!(harness.store().residue(job.job_id).await.unwrap().unwrap().iter().map(|residue| residue.rows).sum::<u64>(), 0);
        harness.assert_bystander_is_whole().await;
        // Once it is lifted, the rest goes.
        harness.lift(hold_id).await;
        let job = harness.purge(everything()).await;
        assert_eq!((job.totals(), job.holds), (Counts { planned: held, deleted: held, ..Counts::default() }, vec![]));
        assert_eq!(left(&harness).await, Vec::<String>::new());
    }
}

pub async fn what_is_written_into_a_compartment_later_is_kept_too<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.hold(on_patient("a")).await;
    harness.put(observation("later", "a")).await;
    // It leaves the compartment, and another comes.
    harness.put(observation("a1", "b")).await;
    harness.put(observation("b1", "a")).await;
    assert_eq!(harness.purge(everything()).await.totals(), Counts { planned: 8, deleted: 4, held: 4, ..Counts::default() });
    assert_eq!(left(&harness).await, ["Patient/a", "Observation/a2", "Observation/later", "Observation/b1"]);
}

pub async fn a_hold_that_is_set_while_a_job_runs_keeps_what_is_not_removed_yet<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(1);
    fill(&harness).await;
    harness.put(json!({"resourceType": "Provenance", "id": "of-a1", "target": [{"reference": "Observation/a1"}]})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "of-a2", "target": [{"reference": "Observation/a2"}]})).await;
    let job_id = harness.kick_off(types(&["Observation"])).await;
    let lease = claim(&harness).await;
    harness.plan(&lease).await;
    assert_eq!(harness.job(job_id).await.totals(), Counts { planned: 6, ..Counts::default() }, "the control");
    assert!(run_batch(&harness, &lease).await);
    assert!(harness.is_gone("Observation/a1").await, "the control");
    let hold_id = harness.hold(on_patient("a")).await;
    while run_batch(&harness, &lease).await {}
    finish(&harness).await;
    let job = harness.job(job_id).await;
    // The Provenance of what stays was not on the list because of a hold, but is needed.
    let expected = Counts { planned: 6, deleted: 4, held: 1, spared: 1, ..Counts::default() };
    assert_eq!((job.state, job.totals(), job.holds), (JobState::Successful, expected, vec![hold_id]));
    assert_eq!(left(&harness).await, ["Patient/a", "Patient/b", "Observation/a2", "Location/l", "Provenance/of-a2"]);
    harness.assert_bystander_is_whole().await;
}

pub async fn a_hold_that_is_lifted_while_a_job_runs_lets_nothing_go_that_it_kept<B: Backend>(first: Harness<B>) {
    drop(first);
    for target in [HoldTarget::Account, on_patient("a"), on("Observation/a2")] {
        let harness = Harness::<B>::open().await.with_batches_of(2);
        fill(&harness).await;
        harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Observation/a2"}]})).await;
        let hold_id = harness.hold(target.clone()).await;
        let job_id = harness.kick_off(types(&["Observation"])).await;
        let lease = claim(&harness).await;
        let store = harness.store();
        for account_id in store.begin_plan(&lease).await.unwrap() {
            store.plan_targets(&lease, account_id, harness.batch_limits()).await.unwrap();
            harness.lift(hold_id).await;
            store.plan_companions(&lease, account_id, harness.batch_limits()).await.unwrap();
        }
        store.seal_plan(&lease).await.unwrap();
        while run_batch(&harness, &lease).await {}
        finish(&harness).await;
        let job = harness.job(job_id).await;
        let kept = match target {
            HoldTarget::Account => 4,
            HoldTarget::Patient(_) => 2,
            HoldTarget::Resource(..) => 1,
        };
        let expected = Counts { planned: 4, deleted: 4 - kept, held: kept, ..Counts::default() };
        assert_eq!((job.state, job.totals(), job.holds), (JobState::Successful, expected, vec![hold_id]), "{target:?}");
        assert!(harness.read("Observation/a2").await.is_some() && harness.read("Provenance/v").await.is_some(), "{target:?}");
        harness.assert_bystander_is_whole().await;
    }
}

pub async fn after_a_hold_is_set_nothing_that_it_keeps_is_removed<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(1);
    // On a busy machine a hold can come too late to keep anything.
    for _ in 0..20 {
        harness.write_for(&harness.account, (0..60).map(|number| put(observation(&format!("o{number}"), "a"))).collect()).await;
        let job_id = harness.kick_off(everything()).await;
        let ((), (hold_id, there_when_set)) = tokio::join!(harness.work(), async {
            // Some batches have run by then.
            while harness.job(job_id).await.totals().deleted < 5 {
                tokio::task::yield_now().await;
            }
            (harness.hold(on_patient("a")).await, left(&harness).await)
        });
        let job = harness.job(job_id).await;
        assert_eq!(left(&harness).await, there_when_set);
        assert_eq!((job.state, job.totals().held), (JobState::Successful, there_when_set.len() as u64));
        if !there_when_set.is_empty() {
            return;
        }
        harness.lift(hold_id).await;
    }
    panic!("the control: none came in time");
}

pub async fn an_expired_hold_keeps_nothing_and_what_it_named_is_forgotten<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let in_an_hour = harness.put(observation("o", "c")).await.last_updated.plus_ms(3_600_000);
    let hold_id = harness.hold_until(on_patient("a"), Some(in_an_hour)).await;
    harness.clock.advance_ms(3_599_999);
    assert_eq!(harness.purge(everything()).await.totals().held, 3, "the control: it holds until the last millisecond");
    // Planned while it held, and judged again when the batch runs: what was kept stays, what comes new goes.
    harness.clock.advance_ms(1);
    let job = harness.purge(everything()).await;
    assert_eq!((job.totals(), job.holds), (Counts { planned: 3, deleted: 3, ..Counts::default() }, vec![]));
    assert_eq!(harness.backend.rows("hold_target").await, 0, "what it named is gone and forgotten");
    let all = harness.store().holds(&HoldFilter { with_ended: true, count: 10, ..HoldFilter::default() }).await.unwrap();
    assert_eq!((all.len(), all[0].hold_id, all[0].lifted_by.clone()), (1, hold_id, None));
    assert!(all[0].target.is_none() && all[0].ended_on.is_some());
    // Expiring while the job runs: the batch decides.
    let soon = in_an_hour.plus_ms(3_600_000);
    harness.put(observation("p", "d")).await;
    let job_id = harness.kick_off(everything()).await;
    let lease = claim(&harness).await;
    harness.plan(&lease).await;
    harness.hold_until(on_patient("d"), Some(soon)).await;
    harness.clock.advance_ms(3_600_000);
    while run_batch(&harness, &lease).await {}
    finish(&harness).await;
    assert_eq!(harness.job(job_id).await.totals(), Counts { planned: 1, deleted: 1, ..Counts::default() });
}

pub async fn deleted_resources_are_kept_by_what_they_last_said<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    for reference in ["Observation/a1", "Observation/b1", "Patient/a"] {
        harness.delete(reference).await;
    }
    harness.hold(on_patient("a")).await;
    harness.hold(on("Observation/b1")).await;
    let job = harness.purge(Selection { include_deleted: true, ..everything() }).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 7, deleted: 3, held: 4, ..Counts::default() }));
    assert_eq!(job.holds.len(), 2);
    assert_eq!((harness.history("Observation/a1").await.len(), harness.history("Observation/b1").await.len()), (2, 2));
    assert_eq!(harness.history("Patient/a").await.len(), 3);
    assert!(harness.is_gone("Observation/b2").await);
}

pub async fn companions_obey_holds<B: Backend>(harness: Harness<B>) {
    let media = |id: &str, binary: &str| json!({"resourceType": "Media", "id": id, "content": {"url": format!("Binary/{binary}")}});
    let provenance = |id: &str, target: &str| json!({"resourceType": "Provenance", "id": id, "target": [{"reference": target}]});
    for id in ["of-held", "of-going", "held"] {
        harness.put(json!({"resourceType": "Binary", "id": id, "contentType": "text/plain"})).await;
        harness.put(media(id, id)).await;
        harness.put(provenance(id, &format!("Media/{id}"))).await;
    }
    harness.put(provenance("patients", "Patient/a")).await;
    harness.put(json!({"resourceType": "Patient", "id": "a"})).await;
    harness.put(provenance("about", "Provenance/patients")).await;
    let holds = [harness.hold(on("Media/of-held")).await, harness.hold(on("Binary/held")).await];
    let unmet = harness.hold(on("Provenance/nowhere")).await;
    let patients = harness.hold(on("Provenance/patients")).await;
    let job = harness.purge(types(&["Media", "Patient"])).await;
    assert_eq!((job.state, job.totals().held), (JobState::Successful, 1), "companions on hold do not go along, and are not counted");
    assert_eq!(job.totals().deleted, job.totals().planned - 1);
    assert_eq!(job.holds, [holds[0], holds[1], patients]);
    assert!(!job.holds.contains(&unmet));
    // The held Media keeps its Binary and Provenance; the held Binary is not needed by anybody, but held; what is about a held Provenance stays.
    assert_eq!(
        left(&harness).await,
        ["Media/of-held", "Provenance/of-held", "Provenance/patients", "Provenance/about", "Binary/of-held", "Binary/held"]
    );
    harness.assert_bystander_is_whole().await;
}

pub async fn a_hold_on_a_companion_that_is_set_late_keeps_it_and_what_it_needs<B: Backend>(first: Harness<B>) {
    drop(first);
    // Batches that have run when the hold is set: the targets' alone, or none.
    for batches in [0, 1] {
        for late_by_a_look in [false, true] {
            let harness = Harness::<B>::open().await;
            harness.put(json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain"})).await;
            harness.put(json!({"resourceType": "Media", "id": "m", "content": {"url": "Binary/b"}})).await;
            let targets = json!([{"reference": "Media/m"}]);
            harness
                .put(json!({"resourceType": "Provenance", "id": "v", "target": targets, "entity": [{"role": "source", "what": {"reference": "Binary/b"}}]}))
                .await;
            harness.put(json!({"resourceType": "Provenance", "id": "about", "target": [{"reference": "Provenance/v"}]})).await;
            let job_id = harness.kick_off(types(&["Media"])).await;
            let lease = claim(&harness).await;
            harness.plan(&lease).await;
            assert_eq!(harness.job(job_id).await.totals().planned, 4, "the control");
            for _ in 0..batches {
                assert!(run_batch(&harness, &lease).await);
            }
            if late_by_a_look && batches == 1 {
                harness.store().prepare_companions(&lease).await.unwrap();
            }
            let hold_id = harness.hold(on("Provenance/v")).await;
            while run_batch(&harness, &lease).await {}
            finish(&harness).await;
            let job = harness.job(job_id).await;
            let expected = Counts { planned: 4, deleted: 1, held: 1, spared: 2, ..Counts::default() };
            assert_eq!((job.state, job.totals(), job.holds), (JobState::Successful, expected, vec![hold_id]), "{batches} {late_by_a_look}");
            assert_eq!(left(&harness).await, ["Provenance/v", "Provenance/about", "Binary/b"]);
            harness.assert_bystander_is_whole().await;
        }
    }
}

pub async fn a_retry_keeps_what_is_on_hold<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.hold(on("Observation/a1")).await;
    let faulty = FaultyStore::new(harness.store(), &[1, 2], u32::MAX);
    let job_id = harness.kick_off(everything()).await;
    let (_stop, shutdown) = tokio::sync::watch::channel(false);
    harness.worker_over(faulty).run_one(&shutdown).await.unwrap();
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().is_balanced()), (JobState::Failed, true), "the control: {:?}", job.totals());
    harness.hold(on("Observation/b1")).await;
    harness.store().retry_purge(&harness.account, job_id).await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.holds.len()), (JobState::Successful, 2));
    assert_eq!(job.totals(), Counts { planned: 7, deleted: 5, held: 2, ..Counts::default() });
    assert_eq!(left(&harness).await, ["Observation/a1", "Observation/b1"]);
}

pub async fn an_account_on_hold_is_left_whole_beside_others<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    add_client(harness.store().as_ref(), "c2").await;
    let (one, two) = (add_user(harness.store().as_ref(), "c2", "one").await, add_user(harness.store().as_ref(), "c2", "two").await);
    for account in [&one, &two] {
        harness.put_for(account, json!({"resourceType": "Patient", "id": "p"})).await;
        harness.put_for(account, json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/p"}]})).await;
    }
    let hold = NewHold {
        hold_id: Uuid::now_v7(),
        account_id: account_of(&two),
        target: HoldTarget::Account,
        reason: "audit".to_owned(),
        set_by: "us".to_owned(),
        until: None,
    };
    assert!(matches!(harness.store().add_hold(&hold).await.unwrap(), HoldAdded::Added(_)));
    let client = Scope::Client { client_id: ClientId("c2".to_owned()) };
    let job_id = harness.kick_off_for(&client, types(&["Patient"])).await;
    harness.work().await;
    let job = harness.store().purge_job(&client, job_id).await.unwrap().unwrap();
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 3, deleted: 2, held: 1, ..Counts::default() }));
    for reference in ["Patient/p", "Provenance/v"] {
        assert!(harness.read_for(&one, reference).await.is_none() && harness.read_for(&two, reference).await.is_some(), "{reference}");
    }
    assert_eq!(left(&harness).await.len(), 7, "of another client");
}

pub async fn holds_are_listed_lifted_once_and_only_by_their_client<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let first = harness.hold(on_patient("a")).await;
    let second = harness.hold(HoldTarget::Account).await;
    let own = Some(ClientId("c1".to_owned()));
    let list = async |filter: HoldFilter| {
        let listed = harness.store().holds(&filter).await.unwrap();
        listed.into_iter().map(|hold| hold.hold_id).collect::<Vec<_>>()
    };
    let all = HoldFilter { client_id: own.clone(), count: 10, ..HoldFilter::default() };
    assert_eq!(list(all.clone()).await, [second, first], "newest first");
    assert_eq!(list(HoldFilter { before: Some(second), ..all.clone() }).await, [first]);
    assert_eq!(list(HoldFilter { account_id: harness.bystander.account_id(), ..all.clone() }).await.len(), 0);
    let other = ClientId("c2".to_owned());
    assert_eq!(list(HoldFilter { client_id: Some(other.clone()), ..all.clone() }).await.len(), 0);
    assert_eq!(store.lift_hold(Some(&other), first, "x").await.unwrap(), HoldLifted::Unknown, "another client's");
    assert_eq!(store.lift_hold(None, Uuid::now_v7(), "x").await.unwrap(), HoldLifted::Unknown);
    let HoldLifted::Lifted(lifted) = store.lift_hold(own.as_ref(), first, "the judge").await.unwrap() else { panic!("not lifted") };
    assert_eq!((lifted.lifted_by.as_deref(), lifted.target, lifted.kind), (Some("the judge"), None, "patient"));
    assert_eq!((lifted.reason.as_str(), lifted.set_by.as_str()), ("a lawsuit", "the court"), "the record stays");
    assert!(
        matches!(store.lift_hold(own.as_ref(), first, "again").await.unwrap(), HoldLifted::Ended(hold) if hold.lifted_by.as_deref() == Some("the judge"))
    );
    assert_eq!(list(all.clone()).await, [second]);
    assert_eq!(list(HoldFilter { with_ended: true, ..all }).await, [second, first]);
    let nowhere = NewHold {
        hold_id: Uuid::now_v7(),
        account_id: lethe_auth::AccountId(999),
        target: HoldTarget::Account,
        reason: "x".to_owned(),
        set_by: "x".to_owned(),
        until: None,
    };
    assert_eq!(store.add_hold(&nowhere).await.unwrap(), HoldAdded::NoAccount);
}
