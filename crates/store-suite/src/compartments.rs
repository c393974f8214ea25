//! Purges of what is in the compartment of a patient, or in those of the members of a Group.

use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection, preview::Stays};
use lethe_store::PreviewQuery;
use serde_json::json;

use crate::{
    Backend, Harness,
    harness::{BASE, filtered, of_group, of_patient, types},
    listed::{fill, group, left, observation, purge, rows_of_lists},
    previews::preview_asking,
};

pub async fn a_compartment_goes_and_what_is_in_none_stays<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.put(json!({"resourceType": "Encounter", "id": "e", "subject": {"reference": format!("{BASE}/r4/Patient/a")}})).await;
    harness
        .put(json!({"resourceType": "Encounter", "id": "else", "subject": {"reference": "https://else.example.org/r4/Patient/a"}}))
        .await;
    harness.put(json!({"resourceType": "Media", "id": "m", "subject": {"reference": "Patient/a"}, "content": {"url": "Binary/x"}})).await;
    harness.put(json!({"resourceType": "Binary", "id": "x", "contentType": "text/plain"})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "along", "target": [{"reference": "Media/m"}]})).await;
    let targets = json!([{"reference": "Patient/a"}, {"reference": "Device/d"}]);
    harness.put(json!({"resourceType": "Provenance", "id": "in-it", "target": targets})).await;
    harness.put(json!({"resourceType": "Provenance", "id": "of-b", "target": [{"reference": "Patient/b"}]})).await;
    harness.put(json!({"resourceType": "Patient", "id": "a", "active": true})).await;
    let job_id = harness.kick_off_asking(&of_patient("a")).await;
    harness.put(observation("later", "final", "a")).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 9, deleted: 9, ..Counts::default() }));
    assert_eq!(
        left(&harness).await,
        "Patient/b Observation/b-final Observation/b-amended Observation/b-entered-in-error Observation/later Encounter/else Device/d Practitioner/r Provenance/of-b"
    );
    assert!(harness.is_gone("Patient/a").await);
    // With types only those; a patient of whom nothing is here has nothing to lose.
    let (selection, question) = of_patient("b");
    let job = purge(&harness, &(Selection { types: types(&["Observation"]).types, ..selection }, question)).await;
    assert_eq!((job.totals().deleted, harness.ids("Observation").await), (3, vec!["later".to_owned()]));
    assert_eq!(purge(&harness, &of_patient("nobody")).await.totals(), Counts::default());
    assert_eq!(rows_of_lists(&harness).await, 0);
    harness.assert_bystander_is_whole().await;
}

pub async fn what_was_deleted_goes_by_what_it_last_said<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    for reference in ["Observation/a-final", "Observation/b-final"] {
        harness.delete(reference).await;
    }
    let (selection, question) = of_patient("a");
    let said = preview_asking(&harness, &(selection.clone(), question.clone())).await;
    assert_eq!((said.stays, said.counts.len()), (Stays { deleted: 1, ..Stays::default() }, 2));
    // A compartment is there as long as its Patient is.
    harness.delete("Patient/a").await;
    assert_eq!(purge(&harness, &(selection.clone(), question.clone())).await.totals(), Counts::default());
    let job = purge(&harness, &(Selection { include_deleted: true, ..selection }, question)).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 4));
    assert!(harness.is_gone("Observation/a-final").await && harness.is_gone("Patient/a").await);
    assert_eq!(harness.history("Observation/b-final").await.len(), 2);
    // Conditions, too.
    let (selection, question) = filtered(&["Observation"], &["Observation?status=final"]);
    let job = purge(&harness, &(Selection { include_deleted: true, ..selection }, question)).await;
    assert_eq!(job.totals().deleted, 1);
    assert!(harness.is_gone("Observation/b-final").await);
    harness.assert_bystander_is_whole().await;
}

pub async fn the_members_of_a_group_go_as_they_were_at_the_watermark<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.put(json!({"resourceType": "Patient", "id": "c"})).await;
    harness.put(group(&["Patient/a", "Patient/c", "Patient/nobody", "Device/d"])).await;
    let job_id = harness.kick_off_asking(&of_group("g")).await;
    // Who becomes a member later is none; who is one no more has been.
    harness.put(group(&["Patient/b"])).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    // The Group itself is in the compartments of its members; it was changed, and is spared.
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 6, deleted: 5, spared: 1, ..Counts::default() }));
    assert_eq!(
        left(&harness).await,
        "Patient/b Observation/b-final Observation/b-amended Observation/b-entered-in-error Group/g Device/d Practitioner/r"
    );
    let job = purge(&harness, &of_group("g")).await;
    assert_eq!(job.totals().deleted, 5);
    assert_eq!(left(&harness).await, "Device/d Practitioner/r", "the Group goes with its last members");
    // Without members, or without the Group, nothing goes.
    fill(&harness).await;
    harness.put(group(&["Patient/nobody"])).await;
    assert_eq!(purge(&harness, &of_group("g")).await.totals().deleted, 0, "nobody of its members is here");
    assert_eq!(purge(&harness, &of_group("none")).await.totals(), Counts::default());
    assert_eq!(harness.ids("Patient").await.len(), 2);
    harness.assert_bystander_is_whole().await;
}

pub async fn members_that_are_no_patients_here_are_told<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.put(json!({"resourceType": "Patient", "id": "was"})).await;
    harness.delete("Patient/was").await;
    harness.put(group(&["Patient/a", "Patient/nobody", "Patient/was", "Device/d", "https://else.example.org/r4/Patient/a"])).await;
    let (selection, question) = of_group("g");
    let query = PreviewQuery { owner: harness.account.clone(), selection, question, bases: lethe_fhir::LocalBases::new([BASE]) };
    let told = harness.store().unresolved_members(&query).await.unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
    for expected in [
        "Device/d",
        "else.example.org",
        "Patient/nobody, a member of the Group, is not here",
        "Patient/was, a member of the Group, was deleted",
    ] {
        assert!(told.iter().any(|text| text.contains(expected)), "{expected}: {told:?}");
    }
    let members: Vec<String> = (0..500).map(|id| format!("Patient/x{id}")).collect();
    harness.put(group(&members.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let told = harness.store().unresolved_members(&query).await.unwrap();
    assert!(
        told.len() == 102 && told[0].contains("no member of the Group is a patient here") && told[101].contains("400 more"),
        "{told:?}"
    );
    // Nobody at all, nobody any more, and nobody yet.
    let member = |more: serde_json::Value| {
        let mut member = json!({"entity": {"reference": "Patient/a"}});
        member.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": [member]})
    };
    let nobody = [
        group(&[]),
        member(json!({"inactive": true})),
        member(json!({"period": {"end": "2023"}})),
        member(json!({"period": {"start": "2025"}})),
    ];
    for nobody in nobody {
        harness.put(nobody.clone()).await;
        let told = harness.store().unresolved_members(&query).await.unwrap();
        assert!(told.len() == 1 && told[0].contains("no member of the Group is a patient here"), "{nobody}: {told:?}");
        let job = purge(&harness, &of_group("g")).await;
        assert_eq!((job.state, job.totals()), (JobState::Successful, Counts::default()), "{nobody}");
    }
    harness.put(member(json!({"period": {"start": "2023", "end": "2024"}}))).await;
    assert_eq!(harness.store().unresolved_members(&query).await.unwrap(), Vec::<String>::new());
    // Who is a member at the kick-off goes, whenever the plan is made; and a retry does not look at another time.
    let job_id = harness.kick_off_asking(&of_group("g")).await;
    harness.clock.advance_ms(366 * 24 * 60 * 60 * 1_000);
    harness.work().await;
    assert_eq!((harness.job(job_id).await.totals().deleted, harness.ids("Patient").await), (5, vec!["b".to_owned()]));
    // From then on it is over.
    fill(&harness).await;
    harness.put(member(json!({"period": {"start": "2023", "end": "2024"}}))).await;
    assert_eq!(purge(&harness, &of_group("g")).await.totals(), Counts::default());
    harness.assert_bystander_is_whole().await;
}
