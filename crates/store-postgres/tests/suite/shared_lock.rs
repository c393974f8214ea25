//! Writers of one account beside each other, beside batches and beside kick-offs: each is stopped between its place and its commit.

use std::sync::Arc;

use lethe_auth::Scope;
use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::{JobState, Lease};
use lethe_purge::{Selection, holds::HoldTarget};
use lethe_store::{
    BatchOutcome, Change, ChangeKind, ClaimedBatch, Clock, Expect, Guard, HoldAdded, JobId, KickOff, NewHold, NewPurge, NextBatch,
    PurgeJob, Store, Write, WriteError, WriteOutcome,
};
use lethe_store_postgres::PostgresStore;
use lethe_store_suite::{
    Harness, TestClock,
    previews::preview,
    searches::{criteria, patient},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Postgres, is_spread, waiting};

/// Whoever stores or removes a version of "slow" waits for the gate.
const GATE: &str = "
create function public.wait_at_gate() returns trigger language plpgsql set lock_timeout = 0 as $$
begin
    if coalesce(new.id, old.id) = 'slow' then
        perform pg_advisory_xact_lock_shared(42);
    end if;
    return null;
end $$;
create trigger wait_at_gate after insert or delete on lethe.version for each row execute function public.wait_at_gate();
";

fn put(id: &str) -> Write {
    put_json(json!({"resourceType": "Patient", "id": id}))
}

fn put_json(json: Value) -> Write {
    let resource = Resource::from_json(json).unwrap();
    Write::put(&resource, resource.id.clone().unwrap(), &LocalBases::new([]), Expect::Anything).unwrap()
}

/// A store with a gate that can be shut.
struct Scene {
    harness: Harness<Postgres>,
    gate: Client,
}

impl Scene {
    /// `None` where there are no triggers.
    async fn new() -> Option<Self> {
        let harness = Harness::<Postgres>::open().await.with_batches_of(1);
        let gate = harness.backend.client().await;
        if is_spread(&gate).await {
            return None;
        }
        gate.batch_execute(GATE).await.unwrap();
        Some(Self { harness, gate })
    }

    async fn shut(&self) {
        self.gate.query_one("select pg_advisory_lock(42)", &[]).await.unwrap();
    }

    async fn open(&self) {
        self.gate.query_one("select pg_advisory_unlock(42)", &[]).await.unwrap();
    }

    /// Until so many wait, for the gate or for each other.
    async fn waiting(&self, wanted: i64) {
        waiting(&self.gate, wanted).await;
    }

    /// Stores a Patient meanwhile.
    fn put(&self, id: &str) -> JoinHandle<WriteOutcome> {
        self.put_into(self.harness.store(), id)
    }

    fn put_into(&self, store: Arc<dyn Store>, id: &str) -> JoinHandle<WriteOutcome> {
        self.write_into(store, put(id))
    }

    fn write_into(&self, store: Arc<dyn Store>, write: Write) -> JoinHandle<WriteOutcome> {
        let account = self.harness.account.account_id().unwrap();
        tokio::spawn(async move { store.write(account, vec![write]).await.unwrap().remove(0) })
    }

    /// Plans a job, and claims its first batch.
    async fn begin(&self, selection: Selection) -> (JobId, Lease<JobId>, ClaimedBatch) {
        let job_id = self.harness.kick_off(selection).await;
        let lease = self.harness.store().claim_purge().await.unwrap().unwrap().lease;
        self.harness.plan(&lease).await;
        (job_id, lease, self.claim(&lease).await)
    }

    async fn claim(&self, lease: &Lease<JobId>) -> ClaimedBatch {
        match self.harness.store().claim_batch(lease).await.unwrap() {
            NextBatch::Run(batch) => batch,
            next => panic!("a batch waits: {next:?}"),
        }
    }

    /// Removes what a batch has to remove, meanwhile.
    fn run(&self, lease: Lease<JobId>, batch: ClaimedBatch) -> JoinHandle<BatchOutcome> {
        let store = self.harness.store();
        tokio::spawn(async move { store.purge_batch(&lease, batch).await.unwrap() })
    }

    /// Whoever had the job is gone; another takes it to its end.
    async fn finish(&self, job_id: JobId) -> PurgeJob {
        self.harness.clock.advance_ms(600_000);
        self.harness.work().await;
        let job = self.harness.job(job_id).await;
        assert!(job.state == JobState::Successful && job.totals().is_balanced(), "{job:?}");
        self.assert_sound().await;
        job
    }

    /// All that is stored is as it has to be.
    async fn assert_sound(&self) {
        let violated: Vec<_> = self.harness.store().check().await.unwrap().into_iter().filter(|check| check.violations > Some(0)).collect();
        assert!(violated.is_empty(), "{violated:?}");
        let totals = self.harness.store().totals(&self.harness.account).await.unwrap();
        let patients = totals.iter().find(|(resource_type, _)| *resource_type == patient()).map_or(0, |(_, total)| *total);
        assert_eq!(patients, self.harness.ids("Patient").await.len() as u64, "the total is what a list has");
    }

    async fn assert_purged(&self, selection: Selection, left: &[&str]) {
        let job = self.harness.purge(selection).await;
        assert!(job.state == JobState::Successful && job.totals().is_balanced(), "{job:?}");
        let mut ids = self.harness.ids("Patient").await;
        ids.sort();
        assert_eq!(ids, left);
        self.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_do_not_wait_for_each_other_and_a_kick_off_waits_for_all_who_came_before() {
    for is_of_client in [false, true] {
        let Some(scene) = Scene::new().await else { return };
        let harness = &scene.harness;
        let owner = match is_of_client {
            true => Scope::Client { client_id: harness.account.client_id().clone() },
            false => harness.account.clone(),
        };
        scene.put("first").await.unwrap();
        scene.shut().await;
        let slow = scene.put("slow");
        scene.waiting(1).await;
        assert_eq!(scene.put("second").await.unwrap().version, 1, "it does not wait");
        assert_eq!(scene.put("first").await.unwrap().version, 2, "it does not wait");
        let (store, purge) = (harness.store(), harness.new_purge(&owner, Selection::default()));
        let kick_off = tokio::spawn(async move { store.kick_off(&purge).await.unwrap() });
        scene.waiting(2).await;
        let behind = scene.put("behind");
        scene.waiting(3).await;
        scene.open().await;
        slow.await.unwrap();
        assert!(matches!(kick_off.await.unwrap(), KickOff::Started(_)));
        behind.await.unwrap();
        harness.work().await;
        assert_eq!(harness.ids("Patient").await, ["behind"], "of a client: {is_of_client}");
        scene.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_what_another_is_writing_waits_and_follows() {
    for stored in [0, 1] {
        let Some(scene) = Scene::new().await else { return };
        scene.put("other").await.unwrap();
        for _ in 0..stored {
            scene.put("slow").await.unwrap();
        }
        scene.shut().await;
        let one = scene.put("slow");
        scene.waiting(1).await;
        let two = scene.put("slow");
        scene.waiting(2).await;
        scene.open().await;
        assert_eq!((one.await.unwrap().version, two.await.unwrap().version), (stored + 1, stored + 2));
        scene.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_goes_or_is_replaced_by_whoever_comes_first_and_nothing_else_waits() {
    for is_batch_first in [false, true] {
        let Some(scene) = Scene::new().await else { return };
        for id in ["slow", "other"] {
            scene.put(id).await.unwrap();
        }
        let (job_id, lease, batch) = scene.begin(Selection::default()).await;
        scene.shut().await;
        let (put, batch) = if is_batch_first {
            let batch = scene.run(lease, batch);
            scene.waiting(1).await;
            assert_eq!(scene.put("other").await.unwrap().version, 2, "it does not wait");
            assert_eq!(scene.put("new").await.unwrap().version, 1, "it does not wait");
            (scene.put("slow"), batch)
        } else {
            let put = scene.put("slow");
            scene.waiting(1).await;
            (put, scene.run(lease, batch))
        };
        scene.waiting(2).await;
        scene.open().await;
        let (put, batch) = (put.await.unwrap(), batch.await.unwrap());
        let expected = if is_batch_first { (ChangeKind::Create, 1, 1, 0) } else { (ChangeKind::Update, 2, 0, 1) };
        assert_eq!((put.kind.unwrap(), put.version, batch.deleted, batch.spared), expected);
        scene.finish(job_id).await;
        scene.assert_purged(Selection::default(), &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_decide_though_times_came_in_another_order_than_places() {
    let Some(scene) = Scene::new().await else { return };
    let harness = &scene.harness;
    scene.put("first").await.unwrap();
    let begin = harness.clock.now();
    let ahead = Arc::new(TestClock::default());
    ahead.advance_ms(600_000);
    let other = PostgresStore::open(&harness.backend.url, Arc::clone(&ahead) as Arc<dyn Clock>).await.unwrap();
    scene.shut().await;
    // It has its place before, and a later time.
    let slow = scene.put_into(Arc::new(other), "slow");
    scene.waiting(1).await;
    for id in ["early", "earlier"] {
        assert_eq!(scene.put(id).await.unwrap().last_updated, begin);
    }
    scene.open().await;
    assert_eq!(slow.await.unwrap().last_updated, begin.plus_ms(600_000));
    assert_eq!(scene.put("last").await.unwrap().last_updated, begin.plus_ms(600_000), "what is stored already counts");
    scene.assert_sound().await;
    scene.assert_purged(Selection { before: Some(begin.plus_ms(1)), ..Selection::default() }, &["last", "slow"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_that_lie_too_far_apart_are_never_given_side_by_side() {
    let Some(scene) = Scene::new().await else { return };
    let harness = &scene.harness;
    scene.put("first").await.unwrap();
    scene.shut().await;
    let slow = scene.put("slow");
    scene.waiting(1).await;
    harness.clock.advance_ms(3_600_000);
    scene.put("second").await.unwrap();
    harness.clock.advance_ms(1);
    let third = scene.put("third");
    scene.waiting(2).await;
    scene.open().await;
    let (slow, third) = (slow.await.unwrap().last_updated, third.await.unwrap().last_updated);
    assert_eq!(third, slow.plus_ms(3_600_001));
    let begin = "select times_from_ms from commit_order where account_id = $1";
    let account = harness.account.account_id().unwrap();
    let begin: i64 = scene.gate.query_one(begin, &[&account.0]).await.unwrap().get(0);
    assert_eq!(begin, third.as_unix_ms());
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_are_the_first_of_a_lane_follow_each_other() {
    let Some(scene) = Scene::new().await else { return };
    scene.put("goes").await.unwrap();
    let (job_id, lease, batch) = scene.begin(Selection::default()).await;
    // Whichever lane it has, somebody else is about to write to it first.
    let begin = "update type_total set lane = 99; begin; insert into type_total (account_id, type_id, lane, resources) \
        select account_id, type_id, other, 0 from type_total cross join generate_series(0, 15) as other";
    scene.gate.batch_execute(begin).await.unwrap();
    let other = scene.harness.backend.client().await;
    let purge = scene.run(lease, batch);
    waiting(&other, 1).await;
    scene.gate.batch_execute("commit").await.unwrap();
    assert_eq!(purge.await.unwrap().deleted, 1);
    scene.finish(job_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_finds_what_another_is_about_to_write_waits_for_it() {
    let Some(scene) = Scene::new().await else { return };
    let both = |gone: &str, stored: &str| {
        let (store, account) = (scene.harness.store(), scene.harness.account.account_id().unwrap());
        let writes = vec![Write { change: Change::Delete, ..put(gone) }, put(stored)];
        tokio::spawn(async move { store.write(account, writes).await.unwrap() })
    };
    scene.put("first").await.unwrap();
    scene.shut().await;
    let one = both("other", "slow");
    scene.waiting(1).await;
    let two = both("slow", "other");
    scene.waiting(2).await;
    scene.open().await;
    assert_eq!(one.await.unwrap()[0].kind, None);
    assert_eq!(two.await.unwrap()[0].kind, Some(ChangeKind::Delete), "as if one had come after the other");
    let mut ids = scene.harness.ids("Patient").await;
    ids.sort();
    assert_eq!(ids, ["first", "other"]);
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_write_if_there_is_none_yet_one_does() {
    let Some(scene) = Scene::new().await else { return };
    let put_if_none = |id: &str| {
        let (store, account) = (scene.harness.store(), scene.harness.account.account_id().unwrap());
        let guard = Guard { after: 0, resource_type: patient(), criteria: criteria("Patient?family=yew"), found: None };
        let put = put_json(json!({"resourceType": "Patient", "id": id, "name": [{"family": "Yew"}]}));
        tokio::spawn(async move { store.write_if(account, vec![guard], vec![put]).await })
    };
    scene.put("first").await.unwrap();
    scene.shut().await;
    let one = put_if_none("slow");
    scene.waiting(1).await;
    let two = put_if_none("other");
    scene.waiting(2).await;
    scene.open().await;
    one.await.unwrap().unwrap();
    let two = two.await.unwrap();
    assert!(matches!(two, Err(WriteError::Guard(0))), "{two:?}");
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_writer_is_about_to_refer_to_keeps_its_binary() {
    let Some(scene) = Scene::new().await else { return };
    let harness = &scene.harness;
    let document = |id: &str| json!({"resourceType": "DocumentReference", "id": id, "content": [{"attachment": {"url": "Binary/b"}}]});
    harness.put(json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "aGVsbG8="})).await;
    harness.put(document("goes")).await;
    let documents = Selection { types: Some(vec!["DocumentReference".parse().unwrap()]), ..Selection::default() };
    let (job_id, lease, targets) = scene.begin(documents).await;
    assert_eq!(scene.run(lease, targets).await.unwrap().deleted, 1);
    let next = harness.store().claim_batch(&lease).await.unwrap();
    assert_eq!(next, NextBatch::PrepareCompanions);
    harness.store().prepare_companions(&lease).await.unwrap();
    let companions = scene.claim(&lease).await;
    scene.shut().await;
    let slow = scene.write_into(harness.store(), put_json(document("slow")));
    scene.waiting(1).await;
    let companions = scene.run(lease, companions);
    scene.waiting(2).await;
    scene.open().await;
    slow.await.unwrap();
    let companions = companions.await.unwrap();
    assert_eq!((companions.deleted, companions.spared), (0, 1));
    scene.finish(job_id).await;
    assert_eq!((harness.ids("DocumentReference").await, harness.ids("Binary").await), (vec!["slow".to_owned()], vec!["b".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_set_behind_the_batch_that_removes_already_and_before_the_next() {
    let Some(scene) = Scene::new().await else { return };
    let harness = &scene.harness;
    for id in ["slow", "other"] {
        scene.put(id).await.unwrap();
    }
    let (job_id, lease, batch) = scene.begin(Selection::default()).await;
    scene.shut().await;
    let batch = scene.run(lease, batch);
    scene.waiting(1).await;
    let hold = NewHold {
        hold_id: Uuid::now_v7(),
        account_id: harness.account.account_id().unwrap(),
        target: HoldTarget::Account,
        reason: "a lawsuit".to_owned(),
        set_by: "the court".to_owned(),
        until: None,
    };
    let store = harness.store();
    let hold = tokio::spawn(async move { store.add_hold(&hold).await.unwrap() });
    scene.waiting(2).await;
    scene.open().await;
    assert_eq!(batch.await.unwrap().deleted, 1);
    assert!(matches!(hold.await.unwrap(), HoldAdded::Added(_)));
    let job = scene.finish(job_id).await;
    assert_eq!((job.totals().deleted, job.totals().held), (1, 1), "{job:?}");
    assert_eq!(harness.ids("Patient").await, ["other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_off_that_was_promised_something_sees_what_was_being_written() {
    let Some(scene) = Scene::new().await else { return };
    let harness = &scene.harness;
    scene.put("first").await.unwrap();
    let promised = preview(harness, &harness.account, Selection::default()).await;
    scene.shut().await;
    let slow = scene.put("slow");
    scene.waiting(1).await;
    let purge = NewPurge { expect: Some(promised.digest), ..harness.new_purge(&harness.account, Selection::default()) };
    let store = harness.store();
    let kick_off = tokio::spawn(async move { store.kick_off(&purge).await.unwrap() });
    scene.waiting(2).await;
    scene.open().await;
    slow.await.unwrap();
    let outcome = kick_off.await.unwrap();
    assert!(matches!(outcome, KickOff::Changed { .. }), "{outcome:?}");
    scene.assert_sound().await;
}
