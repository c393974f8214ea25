//! What is signed at the end of a job, and what can be proven with it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use lethe_auth::Scope;
use lethe_certificate::{
    document::{Certificate, Level, Numbers, Outcome},
    issue::Facts,
    keys::KeySet,
    proof::{Proof, ProofFault},
    verify::{Checked, Signed, check, check_chain},
};
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_store::{
    AuditEnd, CanceledOrRetried, Deletion, Forgotten, IssueError, Issuer, JobId, NextBatch, PurgeEnd, SharedIssuer, Store, StoreError,
};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    Backend, FaultyStore, Harness,
    harness::{account_of, add_client, add_user, everything, local, types},
};

fn client_of(scope: &Scope) -> Scope {
    Scope::Client { client_id: scope.client_id().clone() }
}

/// The whole chain, verified one by one and together.
async fn chain<B: Backend>(harness: &Harness<B>) -> Vec<Checked> {
    let keys = Harness::<B>::issuer().public_keys().unwrap();
    let stored = harness.store().certificates(0, 1_000).await.unwrap();
    let checked: Vec<Checked> = stored.into_iter().map(|stored| check(&Signed::bare(stored.jws), &keys)).collect();
    assert!(checked.iter().all(|checked| checked.faults.is_empty()), "{checked:?}");
    let files = [checked];
    assert_eq!(check_chain(&files, None), []);
    let [checked] = files;
    checked
}

/// The certificate of a job, verified with all the others.
pub async fn certificate<B: Backend>(harness: &Harness<B>, job_id: JobId) -> Certificate {
    chain(harness).await;
    let jws = harness.store().certificate(&client_of(&harness.account), job_id).await.unwrap().expect("a certificate");
    check(&Signed::bare(jws), &Harness::<B>::issuer().public_keys().unwrap()).certificate.unwrap()
}

pub async fn the_certificate_says_what_happened<B: Backend>(harness: Harness<B>) {
    for id in 0..5 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}"), "active": true})).await;
        harness
            .put(json!({"resourceType": "Provenance", "id": format!("v{id}"), "target": [{"reference": format!("Patient/p{id}")}]}))
            .await;
    }
    harness.put(json!({"resourceType": "Media", "id": "m", "content": {"url": "Binary/b"}})).await;
    harness.put(json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain"})).await;
    harness.clock.advance_ms(1_000);
    let job_id = harness.kick_off(types(&["Patient", "Media"])).await;
    harness.put(json!({"resourceType": "Patient", "id": "p0", "active": false})).await;
    harness.clock.advance_ms(2_000);
    harness.work().await;
    let job = harness.job(job_id).await;
    let said = certificate(&harness, job_id).await;
    assert_eq!((said.number, said.previous, said.replaces), (1, None, None));
    let of_type = |name: &str| said.counts.by_type[name];
    let numbers = |planned, deleted, deleted_versions, spared| Numbers { planned, deleted, deleted_versions, spared, ..Numbers::default() };
    assert_eq!(of_type("Patient"), numbers(5, 4, 8, 1));
    assert_eq!(of_type("Media"), numbers(1, 1, 1, 0));
    assert_eq!(of_type("Binary"), numbers(1, 1, 1, 0));
    assert_eq!(of_type("Provenance"), numbers(4, 4, 4, 0), "that of the updated patient was never planned");
    let counted = job.totals();
    assert_eq!(said.counts.total, Numbers { deleted_versions: 14, ..numbers(counted.planned, counted.deleted, 0, counted.spared) });
    assert_eq!(said.deleted.resources, counted.deleted);
    let destruction = &said.destruction;
    assert_eq!((destruction.id.as_str(), destruction.outcome), (job_id.to_string().as_str(), Outcome::Successful));
    assert_eq!((destruction.client_id.as_str(), destruction.client_name.as_str()), ("c1", "c1"));
    assert_eq!(destruction.user_id, account_of(&harness.account).to_string());
    assert_eq!(destruction.selection.types, Some(vec!["Patient".to_owned(), "Media".to_owned()]));
    assert_eq!((&destruction.requested_on, &destruction.ended_on), (&job.created_on.to_string(), &job.completed_on.unwrap().to_string()));
    assert_eq!(destruction.watermark, job.watermark.0);
    assert_eq!(said.method.level, if B::erases_files() { Level::Files } else { Level::Rows });
    let looked: BTreeSet<String> = said.probe.unwrap().residue.into_keys().collect();
    let residences: BTreeSet<String> = B::residences().iter().map(|residence| residence.table.to_owned()).collect();
    assert!(looked.is_superset(&residences), "every residence was looked at, and perhaps more: {looked:?}");
    // Read, and not as it is signed: in what looks like chance any two letters can stand.
    let text = serde_json::to_string(&certificate(&harness, job_id).await).unwrap();
    assert!(text.contains("\"Patient\""), "the control");
    assert!(!text.contains("\"p0\"") && !text.contains("/p0"), "no id of a resource: {text}");
    harness.assert_bystander_is_whole().await;
}

pub async fn certificates_are_one_chain_seen_by_their_owners<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    add_client(store.as_ref(), "c2").await;
    let stranger = add_user(store.as_ref(), "c2", "one").await;
    let mut jobs = Vec::new();
    for owner in [&harness.account, &stranger, &client_of(&harness.account), &harness.account] {
        jobs.push(harness.kick_off_for(owner, types(&["Observation"])).await);
        harness.work().await;
    }
    let numbers: Vec<u64> = chain(&harness).await.into_iter().map(|checked| checked.certificate.unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let stored = store.certificates(1, 2).await.unwrap();
    assert_eq!(stored.iter().map(|stored| (stored.number, stored.job_id)).collect::<Vec<_>>(), [(2, jobs[1]), (3, jobs[2])]);
    assert!(store.certificate(&harness.account, jobs[0]).await.unwrap().is_some());
    assert!(store.certificate(&client_of(&harness.account), jobs[0]).await.unwrap().is_some());
    for (owner, job_id) in [(&stranger, jobs[0]), (&harness.account, jobs[1]), (&harness.account, jobs[2]), (&harness.bystander, jobs[3])] {
        assert_eq!(store.certificate(owner, job_id).await.unwrap(), None, "{owner:?}");
        let (resource_type, id) = local("Observation/x");
        let asked = store.deletion(owner, job_id, account_of(&harness.account), resource_type, &id).await.unwrap();
        assert_eq!(asked, Deletion::NoCertificate);
        assert_eq!(store.forget_digests(owner, job_id).await.unwrap(), Forgotten::Unknown);
    }
}

pub async fn each_end_of_a_job_has_its_certificate<B: Backend>(harness: Harness<B>) {
    let fill = async |count: usize| {
        for id in 0..count {
            harness.put(json!({"resourceType": "Patient", "id": format!("p{id}")})).await;
        }
    };
    // Failed, then retried.
    fill(7).await;
    let job_id = harness.kick_off(everything()).await;
    let faulty = FaultyStore::new(harness.store(), &[2], u32::MAX);
    let (_stop, shutdown) = watch::channel(false);
    harness.worker_over(Arc::clone(&faulty) as Arc<dyn Store>).run_one(&shutdown).await.unwrap();
    let failed = certificate(&harness, job_id).await;
    assert_eq!((failed.number, failed.destruction.outcome), (1, Outcome::Failed));
    assert_eq!((failed.counts.total.deleted, failed.counts.total.failed, failed.deleted.resources), (4, 3, 4));
    let store = harness.store();
    assert_eq!(store.forget_digests(&harness.account, job_id).await.unwrap(), Forgotten::NotYet, "a retry needs the key");
    store.retry_purge(&harness.account, job_id).await.unwrap();
    let (resource_type, id) = local("Patient/p0");
    let account = account_of(&harness.account);
    assert_eq!(store.deletion(&harness.account, job_id, account, resource_type, &id).await.unwrap(), Deletion::NoCertificate);
    harness.work().await;
    let successful = certificate(&harness, job_id).await;
    assert_eq!((successful.number, successful.replaces, successful.destruction.outcome), (2, Some(1), Outcome::Successful));
    assert_eq!((successful.counts.total.deleted, successful.counts.total.failed, successful.deleted.resources), (7, 0, 7));
    assert_eq!(successful.destruction.retry_count, 1);
    // Canceled after the first batch.
    fill(7).await;
    let job_id = harness.kick_off(everything()).await;
    let claimed = store.claim_purge().await.unwrap().unwrap();
    harness.plan(&claimed.lease).await;
    let NextBatch::Run(batch) = store.claim_batch(&claimed.lease).await.unwrap() else { panic!("a batch waits") };
    store.purge_batch(&claimed.lease, batch).await.unwrap();
    store.cancel_purge(&harness.account, job_id).await.unwrap();
    store.release_leases().await.unwrap();
    harness.work().await;
    assert_eq!(harness.job(job_id).await.state, JobState::Canceled);
    let canceled = certificate(&harness, job_id).await;
    assert_eq!((canceled.number, canceled.replaces, canceled.destruction.outcome), (3, None, Outcome::Canceled));
    assert_eq!((canceled.counts.total.planned, canceled.counts.total.deleted, canceled.probe), (7, 3, None));
    // Canceled before anything had begun: there is nothing to certify.
    let job_id = harness.kick_off(everything()).await;
    assert!(matches!(store.cancel_purge(&harness.account, job_id).await.unwrap(), CanceledOrRetried::Taken(_)));
    assert_eq!(store.certificate(&harness.account, job_id).await.unwrap(), None);
    assert_eq!(chain(&harness).await.len(), 3);
}

/// What is known of a resource, by its own account.
async fn ask<B: Backend>(harness: &Harness<B>, job_id: JobId, owner: &Scope, reference: &str) -> Deletion {
    let (resource_type, id) = local(reference);
    harness.store().deletion(&client_of(owner), job_id, account_of(owner), resource_type, &id).await.unwrap()
}

async fn proof<B: Backend>(harness: &Harness<B>, job_id: JobId, reference: &str) -> Proof {
    match ask(harness, job_id, &harness.account, reference).await {
        Deletion::Proven(proof) => *proof,
        other => panic!("{reference}: {other:?}"),
    }
}

pub async fn every_deleted_id_is_proven_and_no_other<B: Backend>(harness: Harness<B>) {
    let mut deleted = Vec::new();
    for number in 0..11 {
        let id = if number % 2 == 0 { format!("p{number}") } else { uuid::Uuid::from_u128(number).to_string() };
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
        harness.put(json!({"resourceType": "Provenance", "id": id, "target": [{"reference": format!("Patient/{id}")}]})).await;
        deleted.extend([format!("Patient/{id}"), format!("Provenance/{id}")]);
    }
    harness.put(json!({"resourceType": "Patient", "id": "removed"})).await;
    harness.delete("Patient/removed").await;
    deleted.push("Patient/removed".to_owned());
    harness.put(json!({"resourceType": "Patient", "id": "spared"})).await;
    harness.put(json!({"resourceType": "Observation", "id": "p0"})).await;
    let job_id = harness.kick_off(Selection { include_deleted: true, ..types(&["Patient"]) }).await;
    harness.put(json!({"resourceType": "Patient", "id": "spared"})).await;
    assert_eq!(ask(&harness, job_id, &harness.account, "Patient/p0").await, Deletion::NoCertificate, "it has not ended");
    harness.work().await;
    assert_eq!(harness.job(job_id).await.totals().deleted, deleted.len() as u64, "the control");
    let certificate = certificate(&harness, job_id).await;
    for reference in &deleted {
        let proof = proof(&harness, job_id, reference).await;
        assert_eq!(proof.check(Some(reference.as_str()), &certificate), Ok(()), "{reference}");
    }
    for other in ["Patient/spared", "Observation/p0", "Patient/never", "Patient/P0", "Provenance/p1"] {
        assert_eq!(ask(&harness, job_id, &harness.account, other).await, Deletion::NotAmong, "{other}");
    }
    assert_eq!(ask(&harness, job_id, &harness.bystander, "Patient/p0").await, Deletion::NotAmong, "nor the same id of another account");
    assert_no_other_proof_holds(proof(&harness, job_id, "Patient/p0").await, &certificate);
    harness.assert_bystander_is_whole().await;
}

/// A proof holds as it is, and with no field changed.
fn assert_no_other_proof_holds(proof: Proof, certificate: &Certificate) {
    let document = serde_json::to_value(&proof).unwrap();
    let read = |document: &serde_json::Value| Proof::read(&document.to_string())?.check(None, certificate);
    assert_eq!(read(&document), Ok(()), "the control");
    let cases = [
        ("/format", json!("lethe-deletion-proof/2"), ProofFault::UnknownFormat("lethe-deletion-proof/2".to_owned())),
        ("/resource", json!("Patient/p1"), ProofFault::NotAmongDeleted),
        ("/resource", json!("p0"), ProofFault::NotAmongDeleted),
        ("/opening", json!("AAAA"), ProofFault::NotAmongDeleted),
        ("/inBatch/index", json!(1), ProofFault::NotAmongDeleted),
        ("/inBatch/of", json!(2), ProofFault::NotAmongDeleted),
        ("/inBatch/hashes", json!([]), ProofFault::NotAmongDeleted),
        ("/inJob/index", json!(1), ProofFault::NotAmongDeleted),
        ("/inJob/hashes/0", json!("A"), ProofFault::NotAmongDeleted),
    ];
    for (place, value, expected) in cases {
        let mut changed = document.clone();
        *changed.pointer_mut(place).unwrap() = value;
        assert_eq!(read(&changed), Err(expected), "{place}");
    }
    let changed = |change: fn(&mut Proof)| {
        let mut proof = proof.clone();
        change(&mut proof);
        proof.check(None, certificate)
    };
    assert!(matches!(changed(|proof| proof.job = "x".to_owned()), Err(ProofFault::OtherJob { .. })));
    assert!(matches!(changed(|proof| proof.user_id = "x".to_owned()), Err(ProofFault::OtherUser { .. })));
    assert!(matches!(changed(|proof| proof.in_job.of += 1), Err(ProofFault::OtherSize { .. })));
    assert!(matches!(proof.check(Some("Patient/p1"), certificate), Err(ProofFault::OtherResource(_))));
    let text = document.to_string();
    assert_eq!(Proof::read(&text[..text.len() - 1]), Err(ProofFault::Truncated));
}

pub async fn a_proof_of_a_client_wide_purge_names_the_account<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "p"})).await;
    harness.put(json!({"resourceType": "Patient", "id": "q"})).await;
    let job_id = harness.kick_off_for(&client_of(&harness.account), everything()).await;
    harness.work().await;
    let certificate = certificate(&harness, job_id).await;
    for (owner, reference, is_among) in [
        (&harness.account, "Patient/p", true),
        (&harness.account, "Patient/q", true),
        (&harness.bystander, "Patient/p", true),
        (&harness.bystander, "Patient/q", false),
    ] {
        match ask(&harness, job_id, owner, reference).await {
            Deletion::Proven(proof) => {
                assert!(is_among, "{reference}");
                assert_eq!(proof.check(Some(reference), &certificate), Ok(()));
                assert_eq!(proof.user_id, account_of(owner).to_string());
            }
            other => assert!(!is_among && other == Deletion::NotAmong, "{reference}: {other:?}"),
        }
    }
}

pub async fn with_its_key_goes_every_proof_and_the_certificate_stays<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "p0"})).await;
    let job_id = harness.purge(everything()).await.job_id;
    let before = certificate(&harness, job_id).await;
    proof(&harness, job_id, "Patient/p0").await;
    let key = Harness::<B>::digest_key(job_id);
    let is_in_files = || harness.backend.files().iter().filter_map(|path| std::fs::read(path).ok()).any(|file| holds_key(&file, key));
    assert_eq!(is_in_files(), B::erases_files(), "the control");
    harness.put(json!({"resourceType": "Patient", "id": "p0"})).await;
    let other = harness.purge(everything()).await.job_id;
    let store = harness.store();
    assert_eq!((harness.backend.rows("purge_digest").await, harness.backend.rows("purge_digest_key").await), (2, 2), "the control");
    for _ in 0..2 {
        assert_eq!(store.forget_digests(&harness.account, job_id).await.unwrap(), Forgotten::Yes, "twice without harm");
    }
    assert_eq!((harness.backend.rows("purge_digest").await, harness.backend.rows("purge_digest_key").await), (1, 1));
    assert!(!is_in_files(), "not a byte of the key is left");
    for reference in ["Patient/p0", "Patient/never"] {
        assert_eq!(ask(&harness, job_id, &harness.account, reference).await, Deletion::Forgotten, "both alike");
    }
    assert_eq!(certificate(&harness, job_id).await, before);
    proof(&harness, other, "Patient/p0").await;
    harness.assert_bystander_is_whole().await;
}

fn holds_key(file: &[u8], key: [u8; 32]) -> bool {
    file.windows(key.len()).any(|bytes| bytes == key)
}

/// Has its key only when it is told so.
struct MoodyIssuer(SharedIssuer, AtomicBool);

impl Issuer for MoodyIssuer {
    fn issue(&self, facts: Facts) -> Result<String, IssueError> {
        if self.1.load(Ordering::SeqCst) { self.0.issue(facts) } else { Err(IssueError("no key".to_owned())) }
    }
    fn public_keys(&self) -> Result<KeySet, IssueError> {
        self.0.public_keys()
    }
}

pub async fn a_job_that_cannot_be_certified_does_not_end<B: Backend>(harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "p0"})).await;
    let job_id = harness.kick_off(everything()).await;
    let moody = Arc::new(MoodyIssuer(Harness::<B>::issuer(), AtomicBool::new(false)));
    let issuer: SharedIssuer = Arc::clone(&moody) as SharedIssuer;
    let store = harness.store();
    let claimed = store.claim_purge().await.unwrap().unwrap();
    harness.plan(&claimed.lease).await;
    let end = PurgeEnd::without_probe(lethe_jobs::JobEvent::Fail, Some("a cause"), false);
    assert!(matches!(store.finish_purge(&claimed.lease, &end, &issuer).await, Err(StoreError::Failed(_))));
    assert_eq!(harness.job(job_id).await.state, JobState::Running, "nothing of the end was written");
    assert_eq!(harness.backend.rows("purge_certificate").await, 0);
    moody.1.store(true, Ordering::SeqCst);
    store.finish_purge(&claimed.lease, &end, &issuer).await.unwrap();
    let said = certificate(&harness, job_id).await;
    assert_eq!((said.destruction.failure.as_deref(), said.method.level, said.probe), (Some("a cause"), Level::Rows, None));
}

pub async fn the_audit_trail_tells_what_was_asked_and_what_came_of_it<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    harness.put(json!({"resourceType": "Patient", "id": "p0"})).await;
    let ended = harness.purge(types(&["Patient"])).await;
    let running = harness.kick_off_for(&client_of(&harness.account), everything()).await;
    let trail = store.audit_records(0, 10).await.unwrap();
    assert_eq!(trail.iter().map(|record| record.job_id).collect::<Vec<_>>(), [ended.job_id, running]);
    let first = &trail[0];
    assert_eq!((&first.owner, first.client_name.as_str(), first.opened_on), (&harness.account, "c1", ended.created_on));
    assert_eq!((&first.selection, first.watermark), (&ended.selection, ended.watermark));
    let expected = AuditEnd { closed_on: ended.completed_on.unwrap(), outcome: JobState::Successful, counts: ended.totals() };
    assert_eq!((first.closed, trail[1].closed), (Some(expected), None));
    assert_eq!(store.audit_records(first.number, 1).await.unwrap(), trail[1..]);
    assert_eq!(chain(&harness).await[0].certificate.as_ref().unwrap().store, store.store_id().await.unwrap().to_string());
}
