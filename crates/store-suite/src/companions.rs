//! The Provenance and Binary that go along.

use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection};
use serde_json::{Value, json};

use crate::{
    Backend, Harness,
    harness::{BASE, types},
};

fn provenance(id: &str, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|reference| json!({ "reference": reference })).collect();
    json!({"resourceType": "Provenance", "id": id, "target": targets, "agent": [{"who": {"reference": "Practitioner/d"}}]})
}

fn document(id: &str, url: &str) -> Value {
    json!({"resourceType": "DocumentReference", "id": id, "content": [{"attachment": {"url": url}}]})
}

fn binary(id: &str) -> Value {
    json!({"resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "aGVsbG8="})
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id})
}

pub async fn provenance_goes_with_its_last_target<B: Backend>(harness: Harness<B>) {
    harness.put(patient("a")).await;
    harness.put(json!({"resourceType": "Observation", "id": "o"})).await;
    harness.put(provenance("one", &["Patient/a"])).await;
    harness.put(provenance("versioned", &["Patient/a/_history/1"])).await;
    harness.put(provenance("absolute", &[&format!("{BASE}/r4/Patient/a")])).await;
    harness.put(provenance("both", &["Patient/a", "Observation/o"])).await;
    harness.put(provenance("other", &["Observation/o"])).await;
    harness.put(provenance("dangling", &["Patient/never"])).await;
    let job = harness.purge(types(&["Patient"])).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 4, deleted: 4, ..Counts::default() }));
    assert_eq!(harness.ids("Provenance").await, ["both", "other", "dangling"]);
    let job = harness.purge(types(&["Observation"])).await;
    assert_eq!(job.totals().deleted, 3, "the first target of 'both' went with the job before");
    assert_eq!(harness.ids("Provenance").await, ["dangling"], "it lost no target to a purge");
    harness.assert_bystander_is_whole().await;
}

pub async fn provenance_with_a_foreign_target_stays<B: Backend>(harness: Harness<B>) {
    harness.put(patient("a")).await;
    harness.put(provenance("foreign", &["Patient/a", "https://elsewhere.example.org/r4/Patient/b"])).await;
    assert_eq!(harness.purge(types(&["Patient"])).await.totals().deleted, 1);
    assert_eq!(harness.ids("Provenance").await, ["foreign"]);
}

pub async fn a_target_that_is_spared_keeps_its_provenance<B: Backend>(harness: Harness<B>) {
    for id in ["a", "b"] {
        harness.put(patient(id)).await;
        harness.put(provenance(id, &[&format!("Patient/{id}")])).await;
    }
    let job_id = harness.kick_off(types(&["Patient"])).await;
    let store = harness.store();
    let claimed = store.claim_purge().await.unwrap().unwrap();
    harness.plan(&claimed.lease).await;
    assert_eq!(harness.job(job_id).await.totals().planned, 4, "both Provenances were to go");
    harness.put(patient("b")).await;
    store.release_leases().await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 4, deleted: 2, spared: 2, ..Counts::default() }));
    assert_eq!((harness.ids("Patient").await, harness.ids("Provenance").await), (vec!["b".to_owned()], vec!["b".to_owned()]));
}

pub async fn binary_goes_when_nothing_that_remains_refers_to_it<B: Backend>(harness: Harness<B>) {
    for id in ["relative", "absolute", "reference", "shared", "unrelated"] {
        harness.put(binary(id)).await;
    }
    harness.put(document("1", "Binary/relative")).await;
    harness.put(document("2", &format!("{BASE}/r4/Binary/absolute"))).await;
    harness.put(json!({"resourceType": "DocumentReference", "id": "3", "context": {"related": [{"reference": "Binary/reference"}]}})).await;
    harness.put(document("4", "Binary/shared")).await;
    harness.put(json!({"resourceType": "DiagnosticReport", "id": "r", "presentedForm": [{"url": "Binary/shared"}]})).await;
    let job = harness.purge(types(&["DocumentReference"])).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 7, deleted: 7, ..Counts::default() }));
    assert_eq!(harness.ids("Binary").await, ["shared", "unrelated"]);
    assert!(harness.is_gone("Binary/relative").await);
    harness.purge(types(&["DiagnosticReport"])).await;
    assert_eq!(harness.ids("Binary").await, ["unrelated"]);
}

pub async fn an_earlier_version_of_what_remains_keeps_a_binary<B: Backend>(harness: Harness<B>) {
    harness.put(binary("b")).await;
    harness.put(json!({"resourceType": "Media", "id": "m", "content": {"url": "Binary/b"}})).await;
    harness.put(json!({"resourceType": "Media", "id": "m", "content": {"title": "moved"}})).await;
    harness.put(document("d", "Binary/b")).await;
    assert_eq!(harness.purge(types(&["DocumentReference"])).await.totals().deleted, 1);
    assert_eq!(harness.ids("Binary").await, ["b"], "version 1 of Media/m still refers to it");
    // The same from the other side: an earlier version of what goes takes it along.
    assert_eq!(harness.purge(types(&["Media"])).await.totals().deleted, 2);
    assert!(harness.is_gone("Binary/b").await);
}

pub async fn a_reference_written_after_kick_off_keeps_a_binary<B: Backend>(harness: Harness<B>) {
    harness.put(binary("b")).await;
    harness.put(document("d", "Binary/b")).await;
    let job_id = harness.kick_off(types(&["DocumentReference"])).await;
    harness.put(json!({"resourceType": "Media", "id": "late", "content": {"url": "Binary/b"}})).await;
    harness.work().await;
    assert!(harness.is_gone("DocumentReference/d").await);
    assert_eq!(harness.ids("Binary").await, ["b"]);
    assert_eq!(harness.job(job_id).await.state, JobState::Successful);
}

pub async fn provenance_and_binary_that_depend_on_each_other_go_together<B: Backend>(harness: Harness<B>) {
    harness.put(binary("b")).await;
    harness.put(document("d", "Binary/b")).await;
    harness.put(provenance("p", &["DocumentReference/d", "Binary/b"])).await;
    harness.put(provenance("about-p", &["Provenance/p"])).await;
    harness.put(patient("x")).await;
    harness.put(binary("kept")).await;
    harness.put(document("e", "Binary/kept")).await;
    harness.put(provenance("keeps", &["DocumentReference/e", "Binary/kept", "Patient/x"])).await;
    let job = harness.purge(types(&["DocumentReference"])).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 5));
    assert_eq!(harness.ids("Provenance").await, ["keeps"]);
    assert_eq!(harness.ids("Binary").await, ["kept"], "a Provenance that stays refers to it");
}

pub async fn companions_never_go_past_the_watermark<B: Backend>(harness: Harness<B>) {
    harness.put(patient("a")).await;
    harness.put(binary("b")).await;
    harness.put(document("d", "Binary/b")).await;
    let job_id = harness.kick_off(types(&["Patient", "DocumentReference"])).await;
    harness.put(provenance("late", &["Patient/a"])).await;
    harness.put(binary("b")).await;
    harness.work().await;
    assert_eq!(harness.job(job_id).await.totals().deleted, 2);
    assert_eq!((harness.ids("Provenance").await, harness.ids("Binary").await), (vec!["late".to_owned()], vec!["b".to_owned()]));
    // By date, the date does not hold companions back; the watermark does.
    let before = harness.put(patient("c")).await.last_updated.plus_ms(1);
    harness.clock.advance_ms(1_000);
    harness.put(provenance("younger", &["Patient/c"])).await;
    let job = harness.purge(Selection { before: Some(before), ..types(&["Patient"]) }).await;
    assert_eq!(job.totals().deleted, 2);
    assert!(harness.is_gone("Provenance/younger").await);
}

pub async fn a_large_provenance_goes_with_its_thousands_of_targets<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(1_000);
    let targets: Vec<String> = (0..5_000).map(|number| format!("Observation/o{number}")).collect();
    for chunk in targets.chunks(500) {
        let writes = chunk
            .iter()
            .map(|reference| crate::harness::put(json!({"resourceType": "Observation", "id": reference.split_once('/').unwrap().1})));
        harness.write_for(&harness.account, writes.collect()).await;
    }
    let all: Vec<&str> = targets.iter().map(String::as_str).collect();
    harness.put(provenance("of-all", &all)).await;
    let mut and_one = all.clone();
    and_one.push("Patient/stays");
    harness.put(patient("stays")).await;
    harness.put(provenance("of-all-and-one", &and_one)).await;
    let job = harness.purge(types(&["Observation"])).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 5_001));
    assert_eq!(harness.ids("Provenance").await, ["of-all-and-one"]);
}
