//! Previews: they say what the purge then does, they store nothing, and a kick-off can be held to them.

use lethe_auth::Scope;
use lethe_fhir::LocalBases;
use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection, holds::HoldTarget, preview::Stays};
use lethe_store::{KickOff, NewPurge, Preview, PreviewQuery, StoreError};
use serde_json::json;

use crate::{
    Backend, Harness,
    harness::{Ask, BASE, everything, local, types},
};

/// What a purge of the account would do.
pub async fn preview<B: Backend>(harness: &Harness<B>, owner: &Scope, selection: Selection) -> Preview {
    let query = PreviewQuery { owner: owner.clone(), selection, question: Default::default(), bases: LocalBases::new([BASE]) };
    harness.store().preview(&query).await.unwrap()
}

/// The same of one that has a question.
pub async fn preview_asking<B: Backend>(harness: &Harness<B>, (selection, question): &Ask) -> Preview {
    let (selection, question) = (selection.clone(), question.clone());
    let query = PreviewQuery { owner: harness.account.clone(), selection, question, bases: LocalBases::new([BASE]) };
    harness.store().preview(&query).await.unwrap()
}

async fn kick_off_expecting<B: Backend>(harness: &Harness<B>, selection: Selection, preview: &Preview) -> Result<KickOff, StoreError> {
    let purge = NewPurge { expect: Some(preview.digest), ..harness.new_purge(&harness.account, selection) };
    harness.store().kick_off(&purge).await
}

/// Two patients, one of them deleted the FHIR way, with what refers to them: of each kind something that goes along and something that stays.
async fn fill<B: Backend>(harness: &Harness<B>) {
    for active in [true, false, true] {
        harness.put(json!({"resourceType": "Patient", "id": "a", "active": active})).await;
    }
    harness.put(json!({"resourceType": "Patient", "id": "deleted"})).await;
    harness.delete("Patient/deleted").await;
    for id in ["goes", "stays"] {
        harness.put(json!({"resourceType": "Binary", "id": id, "contentType": "text/plain"})).await;
    }
    harness.put(json!({"resourceType": "Media", "id": "m", "content": {"url": "Binary/goes"}, "note": [{"text": "x"}]})).await;
    harness.put(json!({"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {"url": "Binary/stays"}}]})).await;
    harness.put(json!({"resourceType": "Media", "id": "n", "content": {"url": "Binary/stays"}})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "goes", "target": [{"reference": "Patient/a"}]})).await;
    let targets = json!([{"reference": "DocumentReference/d"}, {"reference": "Patient/a"}]);
    harness.put(json!({"resourceType": "Provenance", "id": "stays", "target": targets})).await;
}

pub async fn a_preview_says_what_the_purge_then_does<B: Backend>(first: Harness<B>) {
    drop(first);
    let media: lethe_fhir::ResourceType = "Media".parse().unwrap();
    let cases = [
        (types(&["Patient", "Media"]), vec![]),
        (everything(), vec![]),
        (Selection { include_deleted: true, ..types(&["Patient"]) }, vec![]),
        (types(&["Patient", "Media"]), vec![HoldTarget::Resource(media, "m".parse().unwrap())]),
        (everything(), vec![HoldTarget::Patient("a".parse().unwrap()), HoldTarget::Patient("nobody".parse().unwrap())]),
        (everything(), vec![HoldTarget::Account]),
        (types(&["Observation"]), vec![]),
    ];
    for (selection, holds) in cases {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        for hold in &holds {
            harness.hold(hold.clone()).await;
        }
        let (rows, name) = (harness.backend.rows("version").await, format!("{selection:?} {holds:?}"));
        let said = preview(&harness, &harness.account, selection.clone()).await;
        let KickOff::Started(job) = kick_off_expecting(&harness, selection, &said).await.unwrap() else { panic!("{name}") };
        harness.work().await;
        let job = harness.job(job.job_id).await;
        assert_eq!(job.state, JobState::Successful, "{name}");
        let counted: Vec<_> = said
            .counts
            .iter()
            .map(|(resource_type, counts)| {
                let (planned, held) = (counts.planned, counts.held);
                (*resource_type, Counts { planned, deleted: counts.removed(), held, ..Counts::default() })
            })
            .collect();
        assert_eq!(counted, job.counts, "{name}");
        assert_eq!(said.holds, job.holds, "{name}");
        let versions: u64 = said.counts.iter().map(|(_, counts)| counts.versions).sum();
        assert_eq!(versions, rows - harness.backend.rows("version").await, "{name}");
        harness.assert_bystander_is_whole().await;
    }
}

pub async fn a_preview_says_what_stays_and_stores_nothing<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.put(json!({"resourceType": "Provenance", "id": "goes-too", "target": [{"reference": "Patient/a"}]})).await;
    let tables = ["purge_job", "purge_batch", "purge_question", "purge_listed", "purge_held", "purge_met_hold", "purge_audit", "version"];
    let mut before = Vec::new();
    for table in tables {
        before.push(harness.backend.rows(table).await);
    }
    let said = preview(&harness, &harness.account, types(&["Patient", "Media"])).await;
    assert_eq!(said.stays, Stays { deleted: 1, needed_provenance: 1, needed_binary: 1, ..Stays::default() });
    let along: Vec<_> = said.counts.iter().map(|(resource_type, counts)| (resource_type.name(), counts.planned, counts.along)).collect();
    assert_eq!(along, [("Binary", 1, 1), ("Media", 2, 0), ("Patient", 1, 0), ("Provenance", 2, 2)]);
    let patients = said.counts[2].1;
    assert!(patients.versions == 3 && patients.bytes > 3 * 10, "{patients:?}");
    for (table, rows) in tables.iter().zip(before) {
        assert_eq!(harness.backend.rows(table).await, rows, "{table}");
    }
    harness.clock.advance_ms(1_000);
    let later = harness.put(json!({"resourceType": "Patient", "id": "later"})).await.last_updated;
    let said = preview(&harness, &harness.account, Selection { before: Some(later), ..types(&["Patient"]) }).await;
    assert_eq!((said.stays.not_before, said.stays.deleted), (1, 1));
    harness.assert_bystander_is_whole().await;
}

pub async fn a_kick_off_starts_only_if_the_same_would_go<B: Backend>(first: Harness<B>) {
    drop(first);
    #[derive(Debug, Clone, Copy)]
    enum Change {
        Nothing,
        Put(&'static str),
        Delete(&'static str),
        Hold(&'static str),
        Lift,
        Expire,
        Bystander,
    }
    let cases = [
        (Change::Nothing, true),
        (Change::Bystander, true),
        // What is not selected, and nothing that goes along depends on.
        (Change::Put(r#"{"resourceType":"Location","id":"l"}"#), true),
        (Change::Hold("Location/l"), true),
        // On hold before and after: it stays either way.
        (Change::Put(r#"{"resourceType":"Media","id":"n","status":"completed","content":{"url":"Binary/stays"}}"#), true),
        (Change::Put(r#"{"resourceType":"Patient","id":"a","active":true}"#), false),
        (Change::Put(r#"{"resourceType":"Patient","id":"new"}"#), false),
        (Change::Put(r#"{"resourceType":"Provenance","id":"new","target":[{"reference":"Patient/a"}]}"#), false),
        (
            Change::Put(r#"{"resourceType":"Location","id":"l","extension":[{"url":"x","valueReference":{"reference":"Binary/goes"}}]}"#),
            false,
        ),
        (Change::Delete("Patient/a"), false),
        (Change::Hold("Patient/a"), false),
        (Change::Hold("Provenance/goes"), false),
        (Change::Lift, false),
        (Change::Expire, false),
    ];
    for (change, starts) in cases {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        let on_media = HoldTarget::Resource("Media".parse().unwrap(), "n".parse().unwrap());
        let until = harness.put(json!({"resourceType": "Location", "id": "x"})).await.last_updated.plus_ms(1_000);
        let hold_id = harness.hold_until(on_media, Some(until)).await;
        let selection = types(&["Patient", "Media"]);
        let said = preview(&harness, &harness.account, selection.clone()).await;
        match change {
            Change::Nothing => {}
            Change::Put(json) => drop(harness.put(serde_json::from_str(json).unwrap()).await),
            Change::Delete(reference) => drop(harness.delete(reference).await),
            Change::Hold(reference) => {
                let (resource_type, id) = local(reference);
                harness.hold(HoldTarget::Resource(resource_type, id)).await;
            }
            Change::Lift => harness.lift(hold_id).await,
            Change::Expire => harness.clock.advance_ms(1_000),
            Change::Bystander => drop(harness.put_for(&harness.bystander, json!({"resourceType": "Patient", "id": "p"})).await),
        }
        let outcome = kick_off_expecting(&harness, selection.clone(), &said).await.unwrap();
        if starts {
            assert!(matches!(outcome, KickOff::Started(_)), "{change:?}: {outcome:?}");
            continue;
        }
        let KickOff::Changed { digest } = outcome else { panic!("{change:?}: {outcome:?}") };
        assert!(harness.store().purge_jobs(&harness.account, None, 10).await.unwrap().is_empty(), "{change:?}: nothing was started");
        assert_eq!(digest, preview(&harness, &harness.account, selection).await.digest, "{change:?}");
        assert_ne!(digest, said.digest, "{change:?}");
    }
}

pub async fn a_digest_tells_which_of_two_that_are_alike_would_go<B: Backend>(harness: Harness<B>) {
    let mut digests = Vec::new();
    for id in ["a", "b"] {
        harness.put(json!({"resourceType": "Patient", "id": id, "active": true})).await;
    }
    for id in ["a", "b", "a"] {
        let hold_id = harness.hold(HoldTarget::Patient(id.parse().unwrap())).await;
        let said = preview(&harness, &harness.account, everything()).await;
        let counts = said.counts[0].1;
        assert_eq!((counts.planned, counts.held, counts.versions), (2, 1, 1));
        digests.push(said.digest);
        harness.lift(hold_id).await;
    }
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

pub async fn a_kick_off_that_was_promised_starts_nothing_else_while_others_write<B: Backend>(harness: Harness<B>) {
    let mut started = 0;
    for round in 0..20 {
        harness.put(json!({"resourceType": "Patient", "id": "a", "active": round % 2 == 0})).await;
        let said = preview(&harness, &harness.account, everything()).await;
        let (outcome, _) = tokio::join!(kick_off_expecting(&harness, everything(), &said), async {
            if round % 4 > 0 {
                harness.put(json!({"resourceType": "Patient", "id": format!("late{round}")})).await;
            }
        });
        match outcome {
            Ok(KickOff::Started(job)) => {
                started += 1;
                harness.work().await;
                let totals = harness.job(job.job_id).await.totals();
                let promised: u64 = said.counts.iter().map(|(_, counts)| counts.planned).sum();
                assert_eq!((totals.planned, totals.deleted), (promised, promised), "round {round}");
            }
            Ok(KickOff::Changed { .. }) | Err(StoreError::Unavailable(_)) => assert!(round % 4 > 0, "round {round}: nobody wrote"),
            other => panic!("{other:?}"),
        }
    }
    assert!(started >= 5, "the control: {started}");
    harness.assert_bystander_is_whole().await;
}

pub async fn a_preview_of_a_client_is_of_all_its_accounts<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    let said = preview(&harness, &client, types(&["Patient"])).await;
    let patients = said.counts.iter().find(|(resource_type, _)| resource_type.name() == "Patient").unwrap().1;
    assert_eq!(patients.planned, 2, "one of the account, one of the bystander");
    assert_ne!(said.digest, preview(&harness, &harness.account, types(&["Patient"])).await.digest);
}
