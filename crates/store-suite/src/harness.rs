//! Words in which the cases are told.

use std::sync::Arc;

use lethe_auth::{AccountId, AuthMethods, ClientId, Scope};
use lethe_certificate::{document::IssuerName, issue::KeyedIssuer, keys::SigningKey};
use lethe_fhir::{Instant, LocalBases, LogicalId, Resource, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{PurgeLevel, Selection, holds::HoldTarget, plan::BatchLimits};
use lethe_search::export::{ExportQuestion, TypeFilter};
use lethe_store::{
    AddedUser, Change, Expect, HistoryQuery, HistoryScope, HoldAdded, HoldId, HoldLifted, JobId, KeyedHash, KickOff, ListQuery, NewClient,
    NewHold, NewPurge, PurgeJob, SharedIssuer, Store, StoredVersion, Write, WriteOutcome,
};
use lethe_worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Backend, TestClock};

/// An open store with a client, an account to purge and a bystander that must stay as it is.
pub struct Harness<B: Backend> {
    /// The adapter.
    pub backend: B,
    /// Its clock.
    pub clock: Arc<TestClock>,
    /// The account that cases purge.
    pub account: Scope,
    /// Another account of the same client, with two resources.
    pub bystander: Scope,
    batch: BatchLimits,
}

/// The base address of the server that the cases pretend to be.
pub const BASE: &str = "http://127.0.0.1:8080";

impl<B: Backend> Harness<B> {
    /// Opens an empty store and makes the two accounts.
    pub async fn open() -> Self {
        let clock = Arc::new(TestClock::default());
        let backend = B::open(Arc::clone(&clock)).await;
        let store = backend.store();
        add_client(store.as_ref(), "c1").await;
        let account = add_user(store.as_ref(), "c1", "one").await;
        let bystander = add_user(store.as_ref(), "c1", "two").await;
        let harness = Self { backend, clock, account, bystander, batch: BatchLimits { batch_targets_max: 3, batch_bytes_max: 1 << 20 } };
        harness.put_for(&harness.bystander, json!({"resourceType": "Patient", "id": "p", "active": true})).await;
        harness.put_for(&harness.bystander, json!({"resourceType": "Provenance", "id": "v", "target": [{"reference": "Patient/p"}]})).await;
        harness
    }

    /// The ports.
    pub fn store(&self) -> Arc<dyn Store> {
        self.backend.store()
    }

    /// The same harness with batches of at most `targets`.
    #[must_use]
    pub fn with_batches_of(mut self, targets: u64) -> Self {
        self.batch.batch_targets_max = targets;
        self
    }

    /// Limits of batches in this harness.
    pub fn batch_limits(&self) -> BatchLimits {
        self.batch
    }

    /// Writes a resource of the account, as an update of the id that it carries.
    pub async fn put(&self, json: Value) -> WriteOutcome {
        self.put_for(&self.account, json).await
    }

    /// Writes a resource of any account.
    pub async fn put_for(&self, scope: &Scope, json: Value) -> WriteOutcome {
        self.write_for(scope, vec![put(json)]).await[0]
    }

    /// Writes all or nothing.
    pub async fn write_for(&self, scope: &Scope, writes: Vec<Write>) -> Vec<WriteOutcome> {
        self.store().write(account_of(scope), writes).await.unwrap()
    }

    /// Deletes the FHIR way.
    pub async fn delete(&self, reference: &str) -> WriteOutcome {
        self.write_for(&self.account, vec![delete(reference)]).await[0]
    }

    /// The current version.
    pub async fn read(&self, reference: &str) -> Option<StoredVersion> {
        self.read_for(&self.account, reference).await
    }

    /// The current version in any account.
    pub async fn read_for(&self, scope: &Scope, reference: &str) -> Option<StoredVersion> {
        let (resource_type, id) = local(reference);
        self.store().read(scope, resource_type, &id).await.unwrap()
    }

    /// Whether nothing of it can be read: neither the current version, nor version 1, nor its history.
    pub async fn is_gone(&self, reference: &str) -> bool {
        let (resource_type, id) = local(reference);
        let store = self.store();
        let first = store.read_version(&self.account, resource_type, &id, 1).await.unwrap();
        self.read(reference).await.is_none() && first.is_none() && self.history(reference).await.is_empty()
    }

    /// The whole history of a resource, newest first.
    pub async fn history(&self, reference: &str) -> Vec<StoredVersion> {
        let (resource_type, id) = local(reference);
        let query = HistoryQuery { count: 1_000, ..HistoryQuery::default() };
        self.store().history(account_of(&self.account), &HistoryScope::Instance(resource_type, id), &query).await.unwrap().versions
    }

    /// Ids of the current resources of a type.
    pub async fn ids(&self, resource_type: &str) -> Vec<String> {
        let query = ListQuery { count: 100_000, ..ListQuery::default() };
        let listed = self.store().list(&self.account, resource_type.parse().unwrap(), &query).await.unwrap();
        listed.iter().map(|version| version.id.to_string()).collect()
    }

    /// Starts a purge of the account.
    pub async fn kick_off(&self, selection: Selection) -> JobId {
        self.kick_off_for(&self.account, selection).await
    }

    /// Starts a purge.
    pub async fn kick_off_for(&self, owner: &Scope, selection: Selection) -> JobId {
        match self.try_kick_off(owner, selection).await {
            KickOff::Started(job) => job.job_id,
            other => panic!("{other:?}"),
        }
    }

    /// Starts a purge, or finds one in progress.
    pub async fn try_kick_off(&self, owner: &Scope, selection: Selection) -> KickOff {
        self.store().kick_off(&self.new_purge(owner, selection)).await.unwrap()
    }

    /// Starts a purge of the account that has a question.
    pub async fn kick_off_asking(&self, ask: &Ask) -> JobId {
        match self.store().kick_off(&self.purge_asking(ask)).await.unwrap() {
            KickOff::Started(job) => job.job_id,
            other => panic!("{other:?}"),
        }
    }

    /// What is asked of a kick-off that has a question.
    pub fn purge_asking(&self, (selection, question): &Ask) -> NewPurge {
        NewPurge { question: question.clone(), ..self.new_purge(&self.account, selection.clone()) }
    }

    /// The key of a job's digests in this harness: another for each.
    pub fn digest_key(job_id: JobId) -> [u8; 32] {
        std::array::from_fn(|index| !job_id.as_bytes()[index % 16] ^ u8::from(index > 15))
    }

    /// What is asked of a kick-off.
    pub fn new_purge(&self, owner: &Scope, selection: Selection) -> NewPurge {
        let job_id = Uuid::now_v7();
        NewPurge {
            job_id,
            owner: owner.clone(),
            selection,
            question: Default::default(),
            bases: LocalBases::new([BASE]),
            reason: None,
            expect: None,
            erase_files: false,
            digest_key: Self::digest_key(job_id),
        }
    }

    /// A job of the account, or of the client.
    pub async fn job(&self, job_id: JobId) -> PurgeJob {
        let client = Scope::Client { client_id: self.account.client_id().clone() };
        self.store().purge_job(&client, job_id).await.unwrap().expect("the job is there")
    }

    /// A worker over the store itself.
    pub fn worker(&self) -> Worker {
        self.worker_over(self.store())
    }

    /// A worker over a store that stands in front of it.
    pub fn worker_over(&self, store: Arc<dyn Store>) -> Worker {
        let options = WorkerOptions {
            batch: self.batch,
            export_file: BatchLimits { batch_bytes_max: u64::MAX, ..self.batch },
            poll_interval_ms: 5,
            attempts: lethe_jobs::AttemptLimits { attempts_max: 3, first_backoff_ms: 0, backoff_max_ms: 0 },
            ..WorkerOptions::default()
        };
        Worker::new(store, Arc::clone(&self.clock) as Arc<dyn lethe_store::Clock>, Self::issuer(), options)
    }

    /// Who signs the certificates of this harness, always with the same key.
    pub fn issuer() -> SharedIssuer {
        let name = IssuerName { software: "suite".to_owned(), ..IssuerName::default() };
        Arc::new(KeyedIssuer { name, key: SigningKey::from_seed(&[1; 32]).unwrap() })
    }

    /// Makes and seals the plan of a claimed job, for cases that take the steps after it one by one.
    pub async fn plan(&self, lease: &Lease<JobId>) {
        let store = self.store();
        for account_id in store.begin_plan(lease).await.unwrap() {
            store.plan_targets(lease, account_id, self.batch).await.unwrap();
            store.plan_companions(lease, account_id, self.batch).await.unwrap();
        }
        store.seal_plan(lease).await.unwrap();
    }

    /// Walks the one waiting job to its end.
    pub async fn work(&self) {
        let (_stop, shutdown) = watch::channel(false);
        assert!(self.worker().run_one(&shutdown).await.unwrap(), "a job waits");
    }

    /// Puts something of the account on hold.
    pub async fn hold(&self, target: HoldTarget) -> HoldId {
        self.hold_until(target, None).await
    }

    /// Puts something of the account on hold for a time.
    pub async fn hold_until(&self, target: HoldTarget, until: Option<Instant>) -> HoldId {
        let hold = NewHold {
            hold_id: Uuid::now_v7(),
            account_id: account_of(&self.account),
            target,
            reason: "a lawsuit".to_owned(),
            set_by: "the court".to_owned(),
            until,
        };
        match self.store().add_hold(&hold).await.unwrap() {
            HoldAdded::Added(hold) => hold.hold_id,
            refused => panic!("{refused:?}"),
        }
    }

    /// Lifts a hold.
    pub async fn lift(&self, hold_id: HoldId) {
        let lifted = self.store().lift_hold(None, hold_id, "the court").await.unwrap();
        assert!(matches!(lifted, HoldLifted::Lifted(_)), "{lifted:?}");
    }

    /// Purges the account and returns the job at its end.
    pub async fn purge(&self, selection: Selection) -> PurgeJob {
        let job_id = self.kick_off(selection).await;
        self.work().await;
        self.job(job_id).await
    }

    /// The bystander still has what it had, and the store keeps its invariants.
    pub async fn assert_bystander_is_whole(&self) {
        for check in self.store().check().await.unwrap() {
            assert!(check.violations.is_none_or(|violations| violations == 0), "{check:?}");
        }
        for reference in ["Patient/p", "Provenance/v"] {
            assert!(
                self.read_for(&self.bystander, reference).await.is_some_and(|version| version.body.is_some()),
                "{reference} of the bystander"
            );
        }
        let totals = self.store().totals(&self.bystander).await.unwrap();
        assert_eq!(totals.iter().map(|(_, resources)| resources).sum::<u64>(), 2, "the bystander's resources");
    }
}

/// Registers a client.
pub async fn add_client(store: &dyn Store, client_id: &str) {
    let client = NewClient {
        client_id: ClientId(client_id.to_owned()),
        name: client_id.to_owned(),
        auth: AuthMethods::Both,
        may_hold: false,
        secret_hash: KeyedHash([7; 32]),
    };
    store.add_client(&client).await.unwrap();
}

/// Adds a user and returns the scope of its account.
pub async fn add_user(store: &dyn Store, client_id: &str, app_user_id: &str) -> Scope {
    let client_id = ClientId(client_id.to_owned());
    match store.add_user(&client_id, app_user_id).await.unwrap() {
        AddedUser::Added(user) => Scope::Account { client_id, account_id: user.account_id },
        AddedUser::Exists(user) => panic!("{user:?} exists"),
    }
}

/// The account of a scope that has one.
pub fn account_of(scope: &Scope) -> AccountId {
    scope.account_id().expect("the scope of one account")
}

/// `Type/id`.
pub fn local(reference: &str) -> (ResourceType, LogicalId) {
    let (resource_type, id) = reference.split_once('/').expect("Type/id");
    (resource_type.parse().unwrap(), id.parse().unwrap())
}

/// A write of the resource, under the id that it carries.
pub fn put(json: Value) -> Write {
    let resource = Resource::from_json(json).unwrap();
    let id = resource.id.clone().expect("an id");
    Write::put(&resource, id, &LocalBases::new([BASE]), Expect::Anything).unwrap()
}

/// A FHIR delete.
pub fn delete(reference: &str) -> Write {
    let (resource_type, id) = local(reference);
    Write { resource_type, id, change: Change::Delete, expect: Expect::Anything }
}

/// What is selected, and which patient, Group or conditions decide it.
pub type Ask = (Selection, ExportQuestion);

/// Of these types what fits one of the conditions on its type, each `Type?name=value`; and all of a type without any.
pub fn filtered(names: &[&str], conditions: &[&str]) -> Ask {
    let type_filters: Vec<TypeFilter> = conditions.iter().map(|condition| type_filter(condition)).collect();
    let mut filtered_types: Vec<ResourceType> = type_filters.iter().map(|filter| filter.resource_type).collect();
    filtered_types.sort_unstable();
    filtered_types.dedup();
    (Selection { filtered_types, ..types(names) }, ExportQuestion { type_filters, ..ExportQuestion::default() })
}

fn type_filter(condition: &str) -> TypeFilter {
    let (resource_type, query) = condition.split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned()));
    TypeFilter { resource_type: resource_type.parse().unwrap(), pairs: pairs.collect() }
}

/// What is in the compartment of a patient.
pub fn of_patient(id: &str) -> Ask {
    let question = ExportQuestion { patients: vec![id.parse().unwrap()], ..ExportQuestion::default() };
    (Selection { level: PurgeLevel::Patient, ..Selection::default() }, question)
}

/// What is in the compartments of the members of a Group.
pub fn of_group(id: &str) -> Ask {
    let question = ExportQuestion { group: Some(id.parse().unwrap()), ..ExportQuestion::default() };
    (Selection { level: PurgeLevel::Group, ..Selection::default() }, question)
}

/// A selection of types.
pub fn types(names: &[&str]) -> Selection {
    Selection { types: Some(names.iter().map(|name| name.parse().unwrap()).collect()), ..Selection::default() }
}

/// Everything.
pub fn everything() -> Selection {
    Selection::default()
}
