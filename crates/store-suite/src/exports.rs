//! Exports: an exact snapshot that is not copied.

use std::sync::Arc;

use lethe_auth::Scope;
use lethe_fhir::LocalBases;
use lethe_jobs::{JobEvent, JobState};
use lethe_purge::Seq;
use lethe_search::export::{ExportLevel, TypeFilter};
use lethe_store::{
    BULK_KEPT_MS, Clock, EXPORTS_KEPT_MAX, ExportFileKind, ExportJob, ExportKickOff, ExportSelection, JobId, NewExport, Store, StoreError,
};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Backend, FaultyStore, Harness,
    harness::{BASE, add_client, add_user, everything, types},
};

async fn try_start<B: Backend>(harness: &Harness<B>, owner: &Scope, selection: ExportSelection) -> ExportKickOff {
    let export = NewExport { job_id: Uuid::now_v7(), owner: owner.clone(), selection };
    harness.store().kick_off_export(&export).await.unwrap()
}

async fn start<B: Backend>(harness: &Harness<B>, selection: ExportSelection) -> ExportJob {
    match try_start(harness, &harness.account, selection).await {
        ExportKickOff::Started(job) => *job,
        other => panic!("{other:?}"),
    }
}

async fn plan<B: Backend>(harness: &Harness<B>, store: Arc<dyn Store>) {
    let (_stop, shutdown) = watch::channel(false);
    assert!(harness.worker_over(store).run_one_export(&shutdown).await.unwrap(), "an export waits");
}

async fn job<B: Backend>(harness: &Harness<B>, job_id: JobId) -> Option<ExportJob> {
    harness.store().export_job(&harness.account, job_id).await.unwrap()
}

pub async fn a_server_that_stops_leaves_a_long_export_to_the_next<B: Backend>(mut harness: Harness<B>) {
    harness.put(json!({"resourceType": "Patient", "id": "p"})).await;
    let started = start(&harness, ExportSelection::default()).await;
    let stuck = FaultyStore::stuck_in(harness.store(), "plan_export");
    let (stop, shutdown) = watch::channel(false);
    let worker = harness.worker_over(Arc::clone(&stuck) as Arc<dyn Store>);
    assert!(stuck.stops(&stop, worker.run_one_export(&shutdown)).await, "it goes on");
    drop((worker, stuck));
    harness.backend.restart().await;
    plan(&harness, harness.store()).await;
    assert_eq!(job(&harness, started.job_id).await.unwrap().state, JobState::Successful);
}

/// What the files of a kind hold, as `Type/id/version`, in the order of files and lines.
async fn lines<B: Backend>(harness: &Harness<B>, owner: &Scope, job_id: JobId, kind: ExportFileKind) -> Vec<String> {
    let store = harness.store();
    let job = store.export_job(owner, job_id).await.unwrap().expect("the job is there");
    let mut lines = Vec::new();
    for file in job.files.iter().filter(|file| file.kind == kind) {
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let page = store.export_page(owner, job_id, file.file, start).await.unwrap().expect("the file is there");
            assert_eq!(page.kind, kind);
            lines.extend(page.versions.iter().map(|version| format!("{}/{}/{}", version.resource_type, version.id, version.version)));
            after = page.next;
        }
    }
    lines
}

async fn resources<B: Backend>(harness: &Harness<B>, job_id: JobId) -> Vec<String> {
    lines(harness, &harness.account, job_id, ExportFileKind::Resources).await
}

async fn fill<B: Backend>(harness: &Harness<B>) {
    for number in 0..7 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{number}")})).await;
    }
    harness.put(json!({"resourceType": "Patient", "id": "p1", "active": true})).await;
    harness.put(json!({"resourceType": "Patient", "id": "gone"})).await;
    harness.delete("Patient/gone").await;
    harness.put(json!({"resourceType": "Observation", "id": "o"})).await;
}

const SNAPSHOT: [&str; 8] =
    ["Observation/o/1", "Patient/p0/1", "Patient/p2/1", "Patient/p3/1", "Patient/p4/1", "Patient/p5/1", "Patient/p6/1", "Patient/p1/2"];

pub async fn a_snapshot_is_exact_while_writers_change_things<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    let change = async |step: &str| {
        harness.put(json!({"resourceType": "Patient", "id": "p0", "active": step == "odd"})).await;
        harness.put(json!({"resourceType": "Patient", "id": format!("new-{step}")})).await;
        harness.put(json!({"resourceType": "Group", "id": format!("new-{step}")})).await;
    };
    change("before").await;
    harness.delete("Patient/p3").await;
    plan(&harness, harness.store()).await;
    change("after").await;
    harness.delete("Patient/p4").await;
    harness.put(json!({"resourceType": "Patient", "id": "gone"})).await;
    assert_eq!(resources(&harness, job_id).await, SNAPSHOT);
    let planned = job(&harness, job_id).await.unwrap();
    assert_eq!(planned.state, JobState::Successful);
    let files: Vec<_> = planned.files.iter().map(|file| (file.file, file.resource_type.name(), file.resources)).collect();
    assert_eq!(files, [(1, "Observation", 1), (2, "Patient", 3), (3, "Patient", 3), (4, "Patient", 1)], "files have at most three here");
    harness.assert_bystander_is_whole().await;
}

pub async fn types_and_since_select_and_deletions_are_told<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let first = start(&harness, ExportSelection { types: Some(vec!["Patient".parse().unwrap()]), ..ExportSelection::default() }).await;
    plan(&harness, harness.store()).await;
    let patients = resources(&harness, first.job_id).await;
    assert!(patients.len() == 7 && patients.iter().all(|line| line.starts_with("Patient/")), "{patients:?}");
    assert_eq!(lines(&harness, &harness.account, first.job_id, ExportFileKind::Deletions).await, [""; 0], "nothing to compare with");

    // Written in the same millisecond as the kick-off, and yet not lost to the next.
    harness.put(json!({"resourceType": "Patient", "id": "later"})).await;
    harness.delete("Patient/p5").await;
    let since = Some(first.transaction_time);
    let second = start(&harness, ExportSelection { since, ..ExportSelection::default() }).await;
    plan(&harness, harness.store()).await;
    assert_eq!(resources(&harness, second.job_id).await, ["Patient/later/1"]);
    assert_eq!(lines(&harness, &harness.account, second.job_id, ExportFileKind::Deletions).await, ["Patient/p5/2"]);
    assert!(second.transaction_time > first.transaction_time);

    let third = start(&harness, ExportSelection { since: Some(second.transaction_time), ..ExportSelection::default() }).await;
    plan(&harness, harness.store()).await;
    let third = job(&harness, third.job_id).await.unwrap();
    assert_eq!((third.state, third.files.len()), (JobState::Successful, 0), "nothing twice");
}

pub async fn an_export_goes_on_after_a_restart_at_any_step<B: Backend>(first: Harness<B>) {
    drop(first);
    for steps in 1..50 {
        let mut harness = Harness::<B>::open().await;
        fill(&harness).await;
        let job_id = start(&harness, ExportSelection::default()).await.job_id;
        let dying = FaultyStore::dying_after(harness.store(), steps);
        plan(&harness, Arc::clone(&dying) as Arc<dyn Store>).await;
        let is_dead = dying.is_dead();
        drop(dying);
        harness.backend.restart().await;
        if job(&harness, job_id).await.unwrap().state != JobState::Successful {
            plan(&harness, harness.store()).await;
        }
        assert_eq!(resources(&harness, job_id).await, SNAPSHOT, "died after {steps}");
        if !is_dead {
            assert!(steps > 3, "the walk has more steps than {steps}");
            return;
        }
    }
    panic!("the walk has no end");
}

pub async fn a_step_that_fails_is_run_again_and_plans_nothing_twice<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, FaultyStore::failing_after(harness.store(), 2, 1)).await;
    assert_eq!(resources(&harness, job_id).await, SNAPSHOT);
    // Out of attempts, the job fails and leaves nothing that could be fetched.
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, FaultyStore::failing_after(harness.store(), 2, 3)).await;
    let failed = job(&harness, job_id).await.unwrap();
    assert_eq!((failed.state, failed.files.len()), (JobState::Failed, 0));
    assert!(failed.failure.is_some_and(|why| why.contains("planted")) && failed.expires_on.is_some());
}

pub async fn a_removed_export_is_gone_and_its_worker_writes_nothing<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let store = harness.store();
    let before = [harness.backend.rows("export_job").await, harness.backend.rows("export_file").await];
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    let lease = store.claim_export().await.unwrap().unwrap().lease;
    let tasks = store.begin_export(&lease).await.unwrap();
    store.plan_export(&lease, tasks[0], harness.batch_limits()).await.unwrap();
    assert!(store.export_page(&harness.account, job_id, 1, Seq(0)).await.unwrap().is_none(), "nothing is served of half a plan");
    assert!(store.remove_export(&harness.account, job_id).await.unwrap());
    assert!(matches!(store.plan_export(&lease, tasks[1], harness.batch_limits()).await, Err(StoreError::LeaseLost)));
    assert!(matches!(store.finish_export(&lease, JobEvent::Complete, None).await, Err(StoreError::LeaseLost)));
    assert!(job(&harness, job_id).await.is_none());
    assert!(!store.remove_export(&harness.account, job_id).await.unwrap(), "once");
    assert_eq!([harness.backend.rows("export_job").await, harness.backend.rows("export_file").await], before);

    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, harness.store()).await;
    assert!(store.export_page(&harness.account, job_id, 1, Seq(0)).await.unwrap().is_some(), "the control");
    assert!(store.remove_export(&harness.account, job_id).await.unwrap(), "also when it has ended");
    assert!(store.export_page(&harness.account, job_id, 1, Seq(0)).await.unwrap().is_none());
    assert_eq!([harness.backend.rows("export_job").await, harness.backend.rows("export_file").await], before);
}

pub async fn an_export_expires_a_day_after_its_end<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let store = harness.store();
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    harness.clock.advance_ms(2 * BULK_KEPT_MS);
    plan(&harness, harness.store()).await;
    assert_eq!(store.remove_expired().await.unwrap(), 0);
    let expires_on = job(&harness, job_id).await.unwrap().expires_on;
    assert_eq!(expires_on, Some(harness.clock.now().plus_ms(BULK_KEPT_MS)), "from its end, not from its beginning");
    harness.clock.advance_ms(BULK_KEPT_MS - 1);
    assert!(store.export_page(&harness.account, job_id, 1, Seq(0)).await.unwrap().is_some());
    harness.clock.advance_ms(1);
    assert!(job(&harness, job_id).await.is_none(), "gone before anybody has swept");
    assert!(store.export_page(&harness.account, job_id, 1, Seq(0)).await.unwrap().is_none());
    assert_eq!(store.remove_expired().await.unwrap(), 1);
    assert_eq!([harness.backend.rows("export_job").await, harness.backend.rows("export_file").await], [0, 0]);
}

pub async fn one_export_at_a_time_and_not_more_than_are_kept<B: Backend>(harness: Harness<B>) {
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    let running = start(&harness, ExportSelection::default()).await.job_id;
    let second = try_start(&harness, &harness.account, ExportSelection::default()).await;
    assert!(matches!(second, ExportKickOff::Conflict { running: found } if found == running), "{second:?}");
    for owner in [&harness.bystander, &client] {
        assert!(matches!(try_start(&harness, owner, ExportSelection::default()).await, ExportKickOff::Started(_)), "of another owner");
        plan(&harness, harness.store()).await;
    }
    plan(&harness, harness.store()).await;
    for _ in 1..EXPORTS_KEPT_MAX {
        start(&harness, ExportSelection::default()).await;
        plan(&harness, harness.store()).await;
    }
    assert!(matches!(try_start(&harness, &harness.account, ExportSelection::default()).await, ExportKickOff::TooMany));
    assert!(harness.store().remove_export(&harness.account, running).await.unwrap());
    start(&harness, ExportSelection::default()).await;
}

pub async fn exports_are_seen_by_their_account_and_its_client_alone<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let store = harness.store();
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    add_client(store.as_ref(), "c2").await;
    let foreign = add_user(store.as_ref(), "c2", "one").await;
    let foreign_client = Scope::Client { client_id: foreign.client_id().clone() };
    let own = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, harness.store()).await;
    let ExportKickOff::Started(wide) = try_start(&harness, &client, ExportSelection::default()).await else { panic!("it starts") };
    plan(&harness, harness.store()).await;
    for (owner, sees_own, sees_wide) in [
        (&harness.account, true, false),
        (&client, true, true),
        (&harness.bystander, false, false),
        (&foreign, false, false),
        (&foreign_client, false, false),
    ] {
        for (job_id, sees) in [(own, sees_own), (wide.job_id, sees_wide)] {
            assert_eq!(store.export_job(owner, job_id).await.unwrap().is_some(), sees, "{owner:?}");
            assert_eq!(store.export_page(owner, job_id, 1, Seq(0)).await.unwrap().is_some(), sees, "{owner:?}");
            assert!(sees || !store.remove_export(owner, job_id).await.unwrap(), "{owner:?}");
        }
    }
    let of_client = lines(&harness, &client, wide.job_id, ExportFileKind::Resources).await;
    assert_eq!(of_client.len(), SNAPSHOT.len() + 2, "both accounts: {of_client:?}");
}

pub async fn a_purge_leaves_nothing_that_the_links_could_show<B: Backend>(harness: Harness<B>) {
    fill(&harness).await;
    let job_id = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, harness.store()).await;
    assert_eq!(resources(&harness, job_id).await, SNAPSHOT, "the control");
    harness.kick_off(everything()).await;
    harness.put(json!({"resourceType": "Patient", "id": "p6", "active": true})).await;
    harness.work().await;
    assert_eq!(resources(&harness, job_id).await, ["Patient/p6/1"], "spared by the purge, with its history");
    assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
    assert_eq!(resources(&harness, job_id).await, [""; 0]);
    harness.assert_bystander_is_whole().await;
}

async fn fill_by_patient<B: Backend>(harness: &Harness<B>) {
    let observation = async |id: &str, patient: &str, status: &str| {
        let subject = json!({"reference": format!("Patient/{patient}")});
        harness.put(json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": "x"}, "subject": subject})).await;
    };
    for id in ["a", "b", "c"] {
        harness.put(json!({"resourceType": "Patient", "id": id})).await;
    }
    observation("oa", "a", "final").await;
    observation("ob", "b", "final").await;
    observation("oc", "c", "preliminary").await;
    harness.put(json!({"resourceType": "Practitioner", "id": "d"})).await;
    let members = json!([
        {"entity": {"reference": "Patient/a"}}, {"entity": {"reference": format!("{BASE}/r4/Patient/b")}}, {"entity": {"reference": "Patient/nobody"}},
        {"entity": {"reference": "Practitioner/d"}}, {"entity": {"reference": "Patient/c"}, "inactive": true},
    ]);
    harness.put(json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": members})).await;
}

fn by_conditions(conditions: &[(&str, &str)]) -> ExportSelection {
    let type_filters = conditions.iter().map(|(name, value)| TypeFilter {
        resource_type: "Observation".parse().unwrap(),
        pairs: vec![((*name).to_owned(), (*value).to_owned())],
    });
    ExportSelection { type_filters: type_filters.collect(), bases: LocalBases::new([BASE]), ..ExportSelection::default() }
}

fn by_group() -> ExportSelection {
    let level = ExportLevel::Group("g".parse().unwrap());
    ExportSelection { level, bases: LocalBases::new([BASE]), ..ExportSelection::default() }
}

async fn sorted<B: Backend>(harness: &Harness<B>, job_id: JobId) -> Vec<String> {
    let mut lines = resources(harness, job_id).await;
    lines.sort_unstable();
    lines
}

pub async fn conditions_are_decided_on_what_was_current_at_the_watermark<B: Backend>(harness: Harness<B>) {
    fill_by_patient(&harness).await;
    let job_id = start(&harness, by_conditions(&[("status", "final")])).await.job_id;
    // Replaced versions have no index values any more, and are still found by what they were.
    harness.put(json!({"resourceType": "Observation", "id": "oa", "status": "amended", "code": {"text": "x"}})).await;
    harness.put(json!({"resourceType": "Observation", "id": "oc", "status": "final", "code": {"text": "x"}})).await;
    plan(&harness, harness.store()).await;
    harness.delete("Observation/ob").await;
    let expected = ["Group/g/1", "Observation/oa/1", "Observation/ob/1", "Patient/a/1", "Patient/b/1", "Patient/c/1", "Practitioner/d/1"];
    assert_eq!(sorted(&harness, job_id).await, expected);
    let files = job(&harness, job_id).await.unwrap().files;
    assert_eq!(files.iter().map(|file| file.resources).sum::<u64>(), 7, "the plan has counted the same");
    let either = start(&harness, by_conditions(&[("status", "amended"), ("_id", "oc")])).await.job_id;
    plan(&harness, harness.store()).await;
    let observations: Vec<_> = sorted(&harness, either).await.into_iter().filter(|line| line.starts_with("Observation")).collect();
    assert_eq!(observations, ["Observation/oa/2", "Observation/oc/2"]);
}

pub async fn patients_and_groups_export_compartments<B: Backend>(harness: Harness<B>) {
    fill_by_patient(&harness).await;
    let all = ExportSelection { level: ExportLevel::Patient, bases: LocalBases::new([BASE]), ..ExportSelection::default() };
    let all = start(&harness, all).await.job_id;
    plan(&harness, harness.store()).await;
    let expected = ["Group/g/1", "Observation/oa/1", "Observation/ob/1", "Observation/oc/1", "Patient/a/1", "Patient/b/1", "Patient/c/1"];
    assert_eq!(sorted(&harness, all).await, expected, "a Group is in the compartment of its members");

    let of_group = start(&harness, by_group()).await.job_id;
    // Its members are those of the kick-off.
    harness.put(json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true})).await;
    plan(&harness, harness.store()).await;
    let expected = ["Group/g/1", "Observation/oa/1", "Observation/ob/1", "Patient/a/1", "Patient/b/1"];
    assert_eq!(sorted(&harness, of_group).await, expected);
    let planned = job(&harness, of_group).await.unwrap();
    let file = planned.files.iter().find(|file| file.kind == ExportFileKind::Issues).expect("two members cannot be exported");
    let page = harness.store().export_page(&harness.account, of_group, file.file, Seq(0)).await.unwrap().unwrap();
    assert_eq!((file.resources, page.issues.len()), (2, 2));
    assert!(page.issues[0].contains("Practitioner/d") && page.issues[1].contains("Patient/nobody"), "{:?}", page.issues);
}

pub async fn a_purge_removes_exports_that_name_what_it_may_have_removed<B: Backend>(harness: Harness<B>) {
    fill_by_patient(&harness).await;
    let client = Scope::Client { client_id: harness.account.client_id().clone() };
    let plain = start(&harness, ExportSelection::default()).await.job_id;
    plan(&harness, harness.store()).await;
    let of_group = start(&harness, by_group()).await.job_id;
    plan(&harness, harness.store()).await;
    let ExportKickOff::Started(wide) = try_start(&harness, &client, by_conditions(&[("code", "secret")])).await else {
        panic!("it starts")
    };
    let ExportKickOff::Started(other) = try_start(&harness, &harness.bystander, by_conditions(&[("code", "secret")])).await else {
        panic!("it starts")
    };
    assert_eq!(harness.backend.rows("export_question").await, 3, "the control");
    assert_eq!(harness.purge(types(&["Medication"])).await.state, JobState::Successful);
    assert_eq!(harness.backend.rows("export_question").await, 3, "it removed nothing");

    harness.kick_off(types(&["Practitioner"])).await;
    let later = start(&harness, by_conditions(&[("status", "final")])).await.job_id;
    harness.work().await;
    assert!(job(&harness, of_group).await.is_none() && job(&harness, plain).await.is_some() && job(&harness, later).await.is_some());
    let store = harness.store();
    assert!(store.export_job(&client, wide.job_id).await.unwrap().is_none(), "it had not been planned yet");
    assert!(store.export_job(&harness.bystander, other.job_id).await.unwrap().is_some());
    assert_eq!(harness.backend.rows("export_question").await, 2);
    assert_eq!(harness.purge(everything()).await.state, JobState::Successful);
    assert_eq!(harness.backend.rows("export_question").await, 1, "the bystander's");
    harness.assert_bystander_is_whole().await;
}
