//! Writers of one account beside each other, beside batches and beside kick-offs: each is stopped between its place and its commit.

use std::sync::Arc;

use lethe_auth::Scope;
use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_store::{Change, ChangeKind, Clock, Expect, KickOff, NextBatch, Store, Write, WriteOutcome};
use lethe_store_postgres::PostgresStore;
use lethe_store_suite::{Harness, TestClock};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{Postgres, is_spread, waiting};

/// Whoever stores or removes a version of "slow" waits for the gate.
const GATE: &str = "
create function public.wait_at_gate() returns trigger language plpgsql as $$
begin
    if coalesce(new.id, old.id) = 'slow' then
        perform pg_advisory_xact_lock_shared(42);
    end if;
    return null;
end $$;
create trigger wait_at_gate after insert or delete on lethe.version for each row execute function public.wait_at_gate();
";

fn put(id: &str) -> Write {
    let resource = Resource::from_json(json!({"resourceType": "Patient", "id": id})).unwrap();
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
        let (account, put) = (self.harness.account.account_id().unwrap(), put(id));
        tokio::spawn(async move { store.write(account, vec![put]).await.unwrap().remove(0) })
    }

    /// All that is stored is as it has to be.
    async fn assert_sound(&self) {
        let violated: Vec<_> = self.harness.store().check().await.unwrap().into_iter().filter(|check| check.violations > Some(0)).collect();
        assert!(violated.is_empty(), "{violated:?}");
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
        let harness = &scene.harness;
        for id in ["slow", "other"] {
            scene.put(id).await.unwrap();
        }
        let job_id = harness.kick_off(Selection::default()).await;
        let lease = harness.store().claim_purge().await.unwrap().unwrap().lease;
        harness.plan(&lease).await;
        let NextBatch::Run(batch) = harness.store().claim_batch(&lease).await.unwrap() else { panic!("a batch waits") };
        let store = harness.store();
        let purge = || {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.purge_batch(&lease, batch).await.unwrap() })
        };
        scene.shut().await;
        let (put, batch) = if is_batch_first {
            let batch = purge();
            scene.waiting(1).await;
            assert_eq!(scene.put("other").await.unwrap().version, 2, "it does not wait");
            assert_eq!(scene.put("new").await.unwrap().version, 1, "it does not wait");
            (scene.put("slow"), batch)
        } else {
            let put = scene.put("slow");
            scene.waiting(1).await;
            (put, purge())
        };
        scene.waiting(2).await;
        scene.open().await;
        let (put, batch) = (put.await.unwrap(), batch.await.unwrap());
        let expected = if is_batch_first { (ChangeKind::Create, 1, 1, 0) } else { (ChangeKind::Update, 2, 0, 1) };
        assert_eq!((put.kind.unwrap(), put.version, batch.deleted, batch.spared), expected);
        harness.clock.advance_ms(600_000);
        harness.work().await;
        let job = harness.job(job_id).await;
        assert!(job.state == JobState::Successful && job.totals().is_balanced(), "{job:?}");
        scene.assert_sound().await;
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
    let harness = &scene.harness;
    scene.put("goes").await.unwrap();
    let job_id = harness.kick_off(Selection::default()).await;
    let store = harness.store();
    let lease = store.claim_purge().await.unwrap().unwrap().lease;
    harness.plan(&lease).await;
    let NextBatch::Run(batch) = store.claim_batch(&lease).await.unwrap() else { panic!("a batch waits") };
    // Whichever lane it has, somebody else is about to write to it first.
    let begin = "update type_total set lane = 99; begin; insert into type_total (account_id, type_id, lane, resources) \
        select account_id, type_id, other, 0 from type_total cross join generate_series(0, 15) as other";
    scene.gate.batch_execute(begin).await.unwrap();
    let other = harness.backend.client().await;
    let purge = tokio::spawn(async move { store.purge_batch(&lease, batch).await.unwrap() });
    waiting(&other, 1).await;
    scene.gate.batch_execute("commit").await.unwrap();
    assert_eq!(purge.await.unwrap().deleted, 1);
    harness.clock.advance_ms(600_000);
    harness.work().await;
    assert_eq!(harness.job(job_id).await.state, JobState::Successful);
    scene.assert_sound().await;
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
