//! Purges whose targets are a list: by conditions, by a patient, by a Group.

use lethe_jobs::{JobEvent, JobState};
use lethe_purge::{Counts, Selection, holds::HoldTarget};
use lethe_search::export::ExportQuestion;
use lethe_store::{CanceledOrRetried, KickOff, NewPurge, NextBatch, PurgeEnd, residence::INDEX_ROWS};
use serde_json::{Value, json};

use crate::{
    Backend, Harness,
    certificates::certificate,
    harness::{Ask, everything, filtered, of_group, of_patient, put, types},
    previews::preview_asking,
    residences::table_of_ids,
};

pub fn observation(id: &str, status: &str, patient: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": status, "subject": {"reference": format!("Patient/{patient}")}})
}

/// Two patients with observations, what refers to them, and what is in no compartment.
pub async fn fill<B: Backend>(harness: &Harness<B>) {
    for patient in ["a", "b"] {
        harness.put(json!({"resourceType": "Patient", "id": patient})).await;
        for status in ["final", "amended", "entered-in-error"] {
            harness.put(observation(&format!("{patient}-{status}"), status, patient)).await;
        }
    }
    harness.put(json!({"resourceType": "Device", "id": "d"})).await;
    harness.put(json!({"resourceType": "Practitioner", "id": "r"})).await;
}

pub async fn left<B: Backend>(harness: &Harness<B>) -> String {
    let mut left = Vec::new();
    for name in ["Patient", "Observation", "Media", "Encounter", "Group", "Device", "Practitioner", "Provenance", "Binary"] {
        left.extend(harness.ids(name).await.into_iter().map(|id| format!("{name}/{id}")));
    }
    left.join(" ")
}

pub async fn purge<B: Backend>(harness: &Harness<B>, ask: &Ask) -> lethe_store::PurgeJob {
    let job_id = harness.kick_off_asking(ask).await;
    harness.work().await;
    harness.job(job_id).await
}

pub async fn rows_of_lists<B: Backend>(harness: &Harness<B>) -> u64 {
    harness.backend.rows("purge_question").await + harness.backend.rows("purge_listed").await
}

/// A Group of members by reference.
pub fn group(members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|reference| json!({"entity": {"reference": reference}})).collect();
    json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": members})
}

pub async fn conditions_decide_what_of_a_type_goes<B: Backend>(first: Harness<B>) {
    drop(first);
    let both = "Patient/a Patient/b";
    for (ask, deleted, expected) in [
        (filtered(&["Observation"], &["Observation?status=entered-in-error"]), 2, "a-final a-amended b-final b-amended"),
        // Alternatives of a type; all conditions of each.
        (
            filtered(&["Observation"], &["Observation?status=final&subject=Patient/a", "Observation?status=amended&subject=Patient/b"]),
            2,
            "a-amended a-entered-in-error b-final b-entered-in-error",
        ),
        (filtered(&["Observation"], &["Observation?status:not=final"]), 4, "a-final b-final"),
        (
            filtered(&["Observation"], &["Observation?status=registered"]),
            0,
            "a-final a-amended a-entered-in-error b-final b-amended b-entered-in-error",
        ),
        (filtered(&["Observation"], &["Observation?_id=a-final,b-final"]), 2, "a-amended a-entered-in-error b-amended b-entered-in-error"),
    ] {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        let job = purge(&harness, &ask).await;
        assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: deleted, deleted, ..Counts::default() }), "{ask:?}");
        let observations: Vec<String> = expected.split(' ').map(|id| format!("Observation/{id}")).collect();
        assert_eq!(left(&harness).await, format!("{both} {} Device/d Practitioner/r", observations.join(" ")), "{ask:?}");
        assert_eq!(job.selection, ask.0, "the job says which types have conditions");
        assert_eq!(rows_of_lists(&harness).await, 0);
        harness.assert_bystander_is_whole().await;
    }
    // A type without conditions goes whole beside one with some.
    let harness = Harness::<B>::open().await;
    fill(&harness).await;
    let job = purge(&harness, &filtered(&["Observation", "Patient"], &["Observation?status=final"])).await;
    assert_eq!(job.totals().deleted, 4);
    assert_eq!(
        left(&harness).await,
        "Observation/a-amended Observation/a-entered-in-error Observation/b-amended Observation/b-entered-in-error Device/d Practitioner/r"
    );
}

pub async fn a_list_holds_what_was_current_at_the_watermark<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let ask = filtered(&["Observation"], &["Observation?status=entered-in-error"]);
    let job_id = harness.kick_off_asking(&ask).await;
    // A target that is changed is spared; what fits only now is none.
    harness.put(observation("a-entered-in-error", "final", "a")).await;
    harness.put(observation("a-final", "entered-in-error", "a")).await;
    harness.put(observation("new", "entered-in-error", "a")).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 2, deleted: 1, spared: 1, ..Counts::default() }));
    assert!(harness.is_gone("Observation/b-entered-in-error").await);
    assert_eq!(harness.history("Observation/a-entered-in-error").await.len(), 2);
    assert_eq!(harness.ids("Observation").await.len(), 6);
    harness.assert_bystander_is_whole().await;
    // The same when it is changed between the plan and the batch.
    let job_id = harness.kick_off_asking(&ask).await;
    let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&lease).await;
    harness.put(observation("a-final", "final", "a")).await;
    harness.delete("Observation/new").await;
    harness.store().release_leases().await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 2, spared: 2, ..Counts::default() }));
    harness.assert_bystander_is_whole().await;
}

pub async fn a_list_is_made_in_many_steps_and_comes_out_the_same<B: Backend>(harness: Harness<B>) {
    let harness = harness.with_batches_of(320);
    let writes = (0..300).map(|id| {
        let code = if id % 3 == 0 { "final" } else { "amended" };
        put(observation(&format!("o{id}"), code, "a"))
    });
    harness.write_for(&harness.account, writes.collect()).await;
    let ask = filtered(&["Observation"], &["Observation?status=amended"]);
    let job_id = harness.kick_off_asking(&ask).await;
    let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
    // A plan that was not sealed is thrown away, and is made again from the same question.
    for _ in 0..2 {
        for account_id in harness.store().begin_plan(&lease).await.unwrap() {
            harness.store().plan_targets(&lease, account_id, harness.batch_limits()).await.unwrap();
        }
        assert_eq!((harness.backend.rows("purge_listed").await, harness.backend.rows("purge_batch").await), (200, 5));
    }
    harness.store().release_leases().await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.totals().planned, job.totals().deleted, job.batches.total), (200, 200, 5));
    assert_eq!(harness.ids("Observation").await.len(), 100);
    harness.assert_bystander_is_whole().await;
}

/// Of a small part of a type nobody sweeps all of it.
pub async fn a_small_list_takes_its_index_rows_with_it<B: Backend>(harness: Harness<B>) {
    let writes = (0..200).map(|id| put(observation(&format!("o{id}"), if id % 50 == 0 { "amended" } else { "final" }, "a")));
    harness.write_for(&harness.account, writes.collect()).await;
    let has_index_rows = B::residences().contains(&INDEX_ROWS);
    let index_rows = async || if has_index_rows { harness.backend.rows(INDEX_ROWS.table).await } else { 0 };
    let before = (harness.backend.rows(table_of_ids::<B>()).await, index_rows().await);
    for (status, deleted) in [("amended", 4), ("final", 196)] {
        let job_id = harness.kick_off_asking(&filtered(&["Observation"], &[&format!("Observation?status={status}")])).await;
        let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
        harness.plan(&lease).await;
        while let NextBatch::Run(batch) = harness.store().claim_batch(&lease).await.unwrap() {
            harness.store().purge_batch(&lease, batch).await.unwrap();
        }
        let gone = before.0 - harness.backend.rows(table_of_ids::<B>()).await;
        // Without rows of the index, there is nothing that a batch of a large list leaves to a sweep.
        let expected = if has_index_rows || status == "amended" { 4 } else { 200 };
        assert_eq!(gone, expected, "the small list took its rows; of the large one they are swept: {status}");
        assert!(!has_index_rows || index_rows().await < before.1, "{status}");
        harness.store().release_leases().await.unwrap();
        harness.work().await;
        assert_eq!((harness.job(job_id).await.state, harness.job(job_id).await.totals().deleted), (JobState::Successful, deleted));
        harness.assert_bystander_is_whole().await;
    }
    assert_eq!(harness.ids("Observation").await, Vec::<String>::new());
}

pub async fn what_a_list_leaves_keeps_its_companions<B: Backend>(harness: Harness<B>) {
    let media = |id: &str, status: &str, binary: &str| json!({"resourceType": "Media", "id": id, "status": status, "content": {"url": format!("Binary/{binary}")}});
    for (id, status, binary) in [
        ("goes", "aborted", "goes"),
        ("stays", "completed", "stays"),
        ("goes-too", "aborted", "shared"),
        ("stays-too", "completed", "shared"),
    ] {
        harness.put(media(id, status, binary)).await;
        harness.put(json!({"resourceType": "Provenance", "id": id, "target": [{"reference": format!("Media/{id}")}]})).await;
    }
    for id in ["goes", "stays", "shared"] {
        harness.put(json!({"resourceType": "Binary", "id": id, "contentType": "text/plain"})).await;
    }
    let targets = json!([{"reference": "Media/goes"}, {"reference": "Media/stays"}]);
    harness.put(json!({"resourceType": "Provenance", "id": "of-both", "target": targets})).await;
    let ask = filtered(&["Media"], &["Media?status=aborted"]);
    let said = preview_asking(&harness, &ask).await;
    assert_eq!((said.stays.needed_provenance, said.stays.needed_binary), (1, 1));
    let job = purge(&harness, &ask).await;
    assert_eq!((job.state, job.totals()), (JobState::Successful, Counts { planned: 5, deleted: 5, ..Counts::default() }));
    assert_eq!(
        left(&harness).await,
        "Media/stays Media/stays-too Provenance/stays Provenance/stays-too Provenance/of-both Binary/stays Binary/shared"
    );
    // A Provenance that is a target itself goes, whatever it is about; another is kept by what its type leaves.
    let job = purge(&harness, &filtered(&["Provenance"], &["Provenance?_id=of-both"])).await;
    assert_eq!(job.totals().deleted, 1);
    assert_eq!(harness.ids("Provenance").await, ["stays", "stays-too"]);
    assert_eq!(rows_of_lists(&harness).await, 0);
    harness.assert_bystander_is_whole().await;
}

pub async fn a_hold_keeps_what_is_on_a_list_before_the_plan_and_after_it<B: Backend>(first: Harness<B>) {
    drop(first);
    for is_early in [true, false] {
        for (target, held) in [
            (HoldTarget::Resource("Observation".parse().unwrap(), "a-final".parse().unwrap()), 1),
            (HoldTarget::Patient("a".parse().unwrap()), 4),
            (HoldTarget::Account, 4),
        ] {
            let name = format!("{is_early} {target:?}");
            let harness = Harness::<B>::open().await;
            fill(&harness).await;
            harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Observation/a-final"}]})).await;
            let mut holds = Vec::new();
            if is_early {
                holds.push(harness.hold(target.clone()).await);
            }
            let job_id = harness.kick_off_asking(&of_patient("a")).await;
            let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
            harness.plan(&lease).await;
            if is_early {
                // What was kept by a hold stays kept.
                harness.lift(holds[0]).await;
            } else {
                holds.push(harness.hold(target.clone()).await);
            }
            harness.store().release_leases().await.unwrap();
            harness.work().await;
            let job = harness.job(job_id).await;
            let Counts { planned, spared, held: kept, .. } = job.totals();
            // The Provenance, which was on the list before the hold was set, is spared.
            let expected = (JobState::Successful, 4 + u64::from(!is_early), u64::from(!is_early), held, holds);
            assert_eq!((job.state, planned, spared, kept, job.holds), expected, "{name}");
            assert!(harness.read("Provenance/v").await.is_some(), "what is on hold keeps its Provenance: {name}");
            assert!(harness.read("Observation/a-final").await.is_some(), "{name}");
            assert_eq!(harness.read("Observation/a-amended").await.is_some(), held > 1, "{name}");
            assert_eq!(rows_of_lists(&harness).await, 0);
            harness.assert_bystander_is_whole().await;
        }
    }
}

pub async fn a_preview_says_what_the_purge_of_a_list_then_does<B: Backend>(first: Harness<B>) {
    drop(first);
    let with = |change: fn(&mut Selection), (mut selection, question): Ask| {
        change(&mut selection);
        (selection, question)
    };
    for (ask, holds) in [
        (filtered(&["Observation", "Device"], &["Observation?status=final,amended"]), vec![]),
        (of_patient("a"), vec![]),
        (with(|selection| selection.include_deleted = true, of_patient("a")), vec![]),
        (of_group("g"), vec![HoldTarget::Patient("b".parse().unwrap())]),
        (of_group("g"), vec![HoldTarget::Account]),
        (of_patient("nobody"), vec![]),
    ] {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        harness.put(group(&["Patient/a", "Patient/b"])).await;
        harness.put(json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Observation/a-final"}]})).await;
        harness.put(observation("a-amended", "final", "a")).await;
        harness.delete("Observation/a-entered-in-error").await;
        for hold in &holds {
            harness.hold(hold.clone()).await;
        }
        let rows = harness.backend.rows("version").await;
        let name = format!("{ask:?} {holds:?}");
        let said = preview_asking(&harness, &ask).await;
        assert_eq!(rows_of_lists(&harness).await, 0, "a preview stores nothing");
        let promised = NewPurge { expect: Some(said.digest), ..harness.purge_asking(&ask) };
        let KickOff::Started(job) = harness.store().kick_off(&promised).await.unwrap() else { panic!("{name}") };
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
        assert_eq!((counted, said.holds), (job.counts, job.holds), "{name}");
        let versions: u64 = said.counts.iter().map(|(_, counts)| counts.versions).sum();
        assert_eq!(versions, rows - harness.backend.rows("version").await, "{name}");
        harness.assert_bystander_is_whole().await;
    }
    // What stays because of its date is counted among what the conditions take, and no other.
    let harness = Harness::<B>::open().await;
    fill(&harness).await;
    harness.clock.advance_ms(1_000);
    let later = harness.put(observation("later", "final", "a")).await.last_updated;
    harness.put(observation("later-too", "amended", "a")).await;
    let (selection, question) = filtered(&["Observation"], &["Observation?status=final"]);
    let said = preview_asking(&harness, &(Selection { before: Some(later), ..selection }, question)).await;
    assert_eq!((said.counts[0].1.planned, said.stays.not_before), (2, 1));
}

pub async fn a_digest_tells_lists_apart<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    harness.put(group(&["Patient/a"])).await;
    let asks = [
        filtered(&["Observation"], &["Observation?status=final"]),
        filtered(&["Observation"], &["Observation?status=amended"]),
        (types(&["Observation"]), ExportQuestion::default()),
        of_patient("a"),
        of_patient("b"),
        of_group("g"),
        (everything(), ExportQuestion::default()),
    ];
    let mut digests = Vec::new();
    for ask in &asks {
        digests.push(preview_asking(&harness, ask).await.digest);
    }
    for (one, first) in digests.iter().enumerate() {
        for (other, second) in digests.iter().enumerate() {
            assert_eq!(one == other, first == second, "{one} {other}");
        }
    }
    // The kick-off is held to it: the other of two that are alike does not start.
    let other = NewPurge { expect: Some(digests[0]), ..harness.purge_asking(&asks[1]) };
    assert!(matches!(harness.store().kick_off(&other).await.unwrap(), KickOff::Changed { .. }));
    let one = NewPurge { expect: Some(digests[0]), ..harness.purge_asking(&asks[0]) };
    assert!(matches!(harness.store().kick_off(&one).await.unwrap(), KickOff::Started(_)), "the control");
}

pub async fn what_a_purge_was_asked_for_is_forgotten_with_its_plan_and_with_every_end<B: Backend>(first: Harness<B>) {
    drop(first);
    #[derive(Debug, Clone, Copy)]
    enum End {
        Plan,
        CancelWhileQueued,
        CancelWhilePlanned,
        FailUnplanned,
        NothingFits,
    }
    // What the files are searched for: no id of a stored resource, and nothing that compression would take apart.
    let nobody = "QZ7-nobody-has-this-id-4711";
    for end in [End::Plan, End::CancelWhileQueued, End::CancelWhilePlanned, End::FailUnplanned, End::NothingFits] {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        let store = harness.store();
        let patients = if matches!(end, End::NothingFits) { vec![nobody] } else { vec!["a", nobody] };
        let mut ask = of_patient("a");
        ask.1.patients = patients.iter().map(|id| id.parse().unwrap()).collect();
        let job_id = harness.kick_off_asking(&ask).await;
        assert_eq!(harness.backend.rows("purge_question").await, 1, "the control");
        let is_in_files = || {
            harness
                .backend
                .files()
                .iter()
                .any(|path| std::fs::read(path).unwrap().windows(nobody.len()).any(|bytes| bytes == nobody.as_bytes()))
        };
        assert_eq!(is_in_files(), B::erases_files(), "the control");
        let cancel = || async {
            let canceled = store.cancel_purge(&harness.account, job_id).await.unwrap();
            assert!(matches!(canceled, CanceledOrRetried::Taken(_)), "{end:?}");
        };
        match end {
            End::CancelWhileQueued => cancel().await,
            End::NothingFits => {
                harness.work().await;
                let job = harness.job(job_id).await;
                assert_eq!((job.state, job.totals().planned), (JobState::Successful, 0));
            }
            End::Plan | End::CancelWhilePlanned | End::FailUnplanned => {
                let lease = store.claim_purge().await.unwrap().unwrap().lease;
                for account_id in store.begin_plan(&lease).await.unwrap() {
                    store.plan_targets(&lease, account_id, harness.batch_limits()).await.unwrap();
                }
                assert_eq!(rows_of_lists(&harness).await, 5, "the control: the question and the list");
                match end {
                    End::Plan => store.seal_plan(&lease).await.unwrap(),
                    End::CancelWhilePlanned => {
                        cancel().await;
                        store.release_leases().await.unwrap();
                        harness.work().await;
                    }
                    _ => {
                        let failed = PurgeEnd::without_probe(JobEvent::Fail, Some("planted"), false);
                        store.finish_purge(&lease, &failed, &Harness::<B>::issuer()).await.unwrap();
                        assert_eq!(rows_of_lists(&harness).await, 1, "the question is kept for a retry");
                        assert!(matches!(store.retry_purge(&harness.account, job_id).await.unwrap(), CanceledOrRetried::Taken(_)));
                        cancel().await;
                    }
                }
            }
        }
        assert_eq!(harness.backend.rows("purge_question").await, 0, "{end:?}");
        if !matches!(end, End::Plan) {
            assert!(!is_in_files(), "{end:?}");
        }
        let listed = if matches!(end, End::Plan) { 4 } else { 0 };
        assert_eq!(harness.backend.rows("purge_listed").await, listed, "{end:?}");
        assert_eq!(harness.ids("Patient").await.len(), 2, "nothing was removed");
    }
}

pub async fn a_question_that_is_lost_widens_nothing<B: Backend>(first: Harness<B>) {
    drop(first);
    for ask in [filtered(&["Observation"], &["Observation?status=final"]), of_patient("a"), of_group("g")] {
        let harness = Harness::<B>::open().await;
        fill(&harness).await;
        // The selection without its question, as a job has it that failed before its plan was made.
        let job_id = harness.kick_off(ask.0.clone()).await;
        harness.work().await;
        let job = harness.job(job_id).await;
        assert_eq!((job.state, job.totals()), (JobState::Failed, Counts::default()), "{ask:?}");
        assert!(job.failure.as_ref().is_some_and(|why| why.contains("start a new purge")), "{:?}", job.failure);
        assert_eq!(harness.ids("Observation").await.len(), 6);
        // It can be retried as often as one likes, and is in nobody's way.
        assert!(matches!(harness.store().retry_purge(&harness.account, job_id).await.unwrap(), CanceledOrRetried::Taken(_)));
        harness.work().await;
        assert_eq!(harness.job(job_id).await.state, JobState::Failed);
        assert_eq!(purge(&harness, &ask).await.state, JobState::Successful);
        harness.assert_bystander_is_whole().await;
    }
}

pub async fn evidence_names_the_level_and_the_types_and_nobody<B: Backend>(harness: Harness<B>) {
    let patient = json!({"resourceType": "Patient", "id": "the-patient"});
    harness.put(patient).await;
    harness.put(observation("the-observation", "entered-in-error", "the-patient")).await;
    let (_, conditions) = filtered(&["Observation"], &["Observation?status=entered-in-error"]);
    let (selection, of_patient) = of_patient("the-patient");
    let selection = Selection { filtered_types: vec!["Observation".parse().unwrap()], types: types(&["Observation"]).types, ..selection };
    let job = purge(&harness, &(selection.clone(), ExportQuestion { type_filters: conditions.type_filters, ..of_patient })).await;
    assert_eq!((job.state, job.totals().deleted, &job.selection), (JobState::Successful, 1, &selection));
    let certificate = certificate(&harness, job.job_id).await;
    let selected = &certificate.destruction.selection;
    assert_eq!((selected.level.as_str(), selected.conditions_on.as_slice()), ("patient", &["Observation".to_owned()][..]));
    let audit = harness.store().audit_records(0, 10).await.unwrap();
    assert_eq!((audit.len(), &audit[0].selection), (1, &selection));
    let told = format!("{certificate:?} {audit:?} {job:?}");
    assert!(!told.contains("the-patient") && !told.contains("entered-in-error"), "{told}");
    harness.assert_bystander_is_whole().await;
}
