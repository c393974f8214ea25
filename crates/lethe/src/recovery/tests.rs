//! Deaths and failures between the journal and the database.

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use lethe_auth::{AuthMethods, ClientId, Scope};
use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::AttemptLimits;
use lethe_purge::Selection;
use lethe_store::{
    Accounts, AddedUser, CANCELED_BEFORE, Expect, FAILED_BEFORE, Forgotten, JobId, JournalMark, KeyedHash, KickOff, NewClient, NewPurge,
    PurgeWork, Resources, StoreError, SystemClock, Write,
};
use lethe_store_sqlite::SqliteStore;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

/// What goes wrong when a purge is put on record.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// The server dies when the journal has it and the database does not.
    DiesAfter,
    /// The disk of the journal is full.
    Full,
}

struct FaultyJournal(Arc<JournalKeeper>, Fault);

#[async_trait]
impl PurgeJournal for FaultyJournal {
    async fn record(&self, work: &dyn PurgeWork, job: &PurgeJob, event: JobEvent) -> Result<JournalMark, StoreError> {
        if self.1 == Fault::Full {
            return Err(StoreError::Failed("planted".into()));
        }
        self.0.record(work, job, event).await?;
        // To the worker, death looks like a lost lease: it stops where it is and writes nothing more.
        Err(StoreError::LeaseLost)
    }
}

/// Puts the end of a purge on record as another one.
struct EndsAs(Arc<JournalKeeper>, JobEvent);

#[async_trait]
impl PurgeJournal for EndsAs {
    async fn record(&self, work: &dyn PurgeWork, job: &PurgeJob, _event: JobEvent) -> Result<JournalMark, StoreError> {
        self.0.record(work, job, self.1).await
    }
}

/// A store, closed.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    clock: Arc<dyn Clock>,
    pub(crate) owner: Scope,
}

impl Scene {
    /// A store with two hundred resources, some of them with earlier versions.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(directory.path(), Arc::clone(&clock)).unwrap();
        let client_id = ClientId("c".to_owned());
        let client = NewClient {
            client_id: client_id.clone(),
            name: "c".to_owned(),
            auth: AuthMethods::Both,
            may_hold: false,
            secret_hash: KeyedHash([7; 32]),
        };
        store.add_client(&client).await.unwrap();
        let AddedUser::Added(user) = store.add_user(&client_id, "u").await.unwrap() else { unreachable!() };
        for _ in 0..2 {
            let writes = (0..200).map(|n| {
                let resource = Resource::from_json(json!({"resourceType": "Basic", "id": format!("b{n}")})).unwrap();
                let id = resource.id.clone().unwrap();
                Write::put(&resource, id, &LocalBases::new(["http://x"]), Expect::Anything).unwrap()
            });
            store.write(user.account_id, writes.collect()).await.unwrap();
        }
        Self { directory, clock, owner: Scope::Account { client_id, account_id: user.account_id } }
    }

    fn issuer(&self) -> SharedIssuer {
        Arc::new(crate::certificate_keys::FileIssuer::open(self.directory.path(), None, "test").unwrap())
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join(JOURNAL_FILE)
    }

    async fn start(&self) -> (Arc<dyn AnyStore>, Result<Arc<JournalKeeper>>) {
        let store = SqliteStore::open_for_serving(self.directory.path(), Arc::clone(&self.clock)).await.unwrap();
        let store: Arc<dyn AnyStore> = Arc::new(store);
        let journal = open_journal(&store, Arc::clone(&self.clock), &self.journal(), Writers::One, "").await;
        (store, journal)
    }

    async fn purge(&self, store: &Arc<dyn AnyStore>, journal: Arc<dyn PurgeJournal>) -> PurgeJob {
        let purge = NewPurge {
            job_id: Uuid::now_v7(),
            owner: self.owner.clone(),
            selection: Selection::default(),
            question: Default::default(),
            bases: LocalBases::new(["http://x"]),
            digest_key: [7; 32],
            expect: None,
            erase_files: false,
            reason: None,
        };
        let KickOff::Started(job) = store.kick_off(&purge).await.unwrap() else { unreachable!() };
        self.go_on(store, journal, job.job_id).await
    }

    async fn go_on(&self, store: &Arc<dyn AnyStore>, journal: Arc<dyn PurgeJournal>, job_id: JobId) -> PurgeJob {
        let attempts = AttemptLimits { attempts_max: 2, first_backoff_ms: 0, backoff_max_ms: 0 };
        let options = WorkerOptions { attempts, ..WorkerOptions::default() };
        let (_stopping, stop) = watch::channel(false);
        assert!(
            Worker::new(Arc::clone(store) as _, Arc::clone(&self.clock), self.issuer(), options)
                .with_journal(journal)
                .run_one(&stop)
                .await
                .unwrap()
        );
        store.purge_job(&self.owner, job_id).await.unwrap().unwrap()
    }

    /// The lines of the journal that end a purge.
    fn ends(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.journal()).unwrap();
        text.lines().filter(|line| line.contains("\"purge\":{")).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_the_journal_has_and_the_database_has_not_goes_on_and_is_recorded_once() {
    let scene = Scene::new().await;
    let (store, journal) = scene.start().await;
    let job = scene.purge(&store, Arc::new(FaultyJournal(journal.unwrap(), Fault::DiesAfter))).await;
    assert_eq!(job.state, JobState::Running, "the control");
    assert_eq!(scene.ends().len(), 1, "the control");
    drop(store);

    let (store, journal) = scene.start().await;
    let journal = journal.expect("this is a crash, and no older database");
    let job = scene.go_on(&store, Arc::clone(&journal) as _, job.job_id).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 200));
    assert_eq!(scene.ends().len(), 1);
    assert!(scene.ends()[0].contains("\"versions\":400"), "earlier versions, too: {:?}", scene.ends());
    journal.record(store.as_ref(), &job, JobEvent::Complete).await.unwrap();
    assert_eq!(scene.ends().len(), 1, "nothing more was removed, and nothing more is to be said");
    drop((store, journal));
    assert!(scene.start().await.1.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_the_middle_of_a_purge_is_older_than_its_journal() {
    let scene = Scene::new().await;
    let (store, journal) = scene.start().await;
    drop((store, journal));
    // Of this moment: the job is not there, or not yet at its end.
    let copy = scene.directory.path().join("copy.db");
    let (store, journal) = scene.start().await;
    let purge = NewPurge {
        job_id: Uuid::now_v7(),
        owner: scene.owner.clone(),
        selection: Selection::default(),
        question: Default::default(),
        bases: LocalBases::new(["http://x"]),
        digest_key: [7; 32],
        expect: None,
        erase_files: false,
        reason: None,
    };
    let KickOff::Started(job) = store.kick_off(&purge).await.unwrap() else { unreachable!() };
    lethe_store_sqlite::back_up(scene.directory.path(), &copy, |_, _| {}).unwrap();
    let job = scene.go_on(&store, journal.unwrap(), job.job_id).await;
    assert_eq!(job.state, JobState::Successful, "the control");
    drop(store);

    std::fs::rename(&copy, scene.directory.path().join("lethe.db")).unwrap();
    let (store, journal) = scene.start().await;
    let refused = journal.err().unwrap().to_string();
    assert!(refused.contains("older than its purge journal"), "{refused}");
    let recovered = apply_younger(&store, &scene.clock, &scene.issuer(), &scene.journal(), "").await.unwrap();
    assert_eq!((recovered.ended.len(), recovered.applied.len(), recovered.applied[0].resources), (0, 1, 200), "told of once");
    let again = store.purge_job(&scene.owner, job.job_id).await.unwrap().unwrap();
    assert_eq!((again.state, again.totals().deleted), (JobState::Successful, 200));
    drop(store);
    assert!(scene.start().await.1.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_again_ends_as_it_had_ended_with_true_counts_and_says_so() {
    for (event, state, cause) in [
        (JobEvent::Complete, JobState::Successful, None),
        (JobEvent::Fail, JobState::Failed, Some(FAILED_BEFORE)),
        (JobEvent::Stop, JobState::Canceled, Some(CANCELED_BEFORE)),
    ] {
        let scene = Scene::new().await;
        drop(scene.start().await);
        let copy = scene.directory.path().join("copy.db");
        lethe_store_sqlite::back_up(scene.directory.path(), &copy, |_, _| {}).unwrap();
        let (store, journal) = scene.start().await;
        let job = scene.purge(&store, Arc::new(EndsAs(journal.unwrap(), event))).await;
        drop(store);

        std::fs::rename(&copy, scene.directory.path().join("lethe.db")).unwrap();
        let (store, journal) = scene.start().await;
        assert!(journal.is_err(), "the control");
        let recovered = apply_younger(&store, &scene.clock, &scene.issuer(), &scene.journal(), "").await.unwrap();
        assert_eq!((recovered.applied.len(), recovered.applied[0].resources), (1, 200));
        let again = store.purge_job(&scene.owner, job.job_id).await.unwrap().unwrap();
        let totals = again.totals();
        assert_eq!((again.state, again.failure.as_deref()), (state, cause));
        assert_eq!((totals.planned, totals.deleted, totals.failed), (200, 200, 0), "{state:?}");
        assert!(again.reason.as_deref().unwrap().starts_with("applied again after a restore"), "{state:?}");
        let certificate = store.certificate(&scene.owner, job.job_id).await.unwrap().unwrap();
        let told = BASE64_URL_SAFE_NO_PAD.decode(certificate.split('.').nth(1).unwrap()).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("applied again after a restore") && told.contains(&format!("\"outcome\":\"{}\"", state.status())), "{told}");
        assert_eq!(again.is_carried_out_again(), state == JobState::Failed);
        assert_eq!(store.forget_digests(&scene.owner, job.job_id).await.unwrap(), Forgotten::Yes, "{state:?}: no retry will need them");
        drop(store);
        assert!(scene.start().await.1.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_put_on_record_is_recorded_by_the_next_start() {
    let scene = Scene::new().await;
    let (store, journal) = scene.start().await;
    let job = scene.purge(&store, Arc::new(FaultyJournal(journal.unwrap(), Fault::Full))).await;
    assert_eq!(job.state, JobState::Failed, "never successful without its record");
    assert!(job.failure.unwrap().contains("planted"));
    assert!(scene.ends().is_empty(), "the control");
    drop(store);

    let (store, journal) = scene.start().await;
    assert!(journal.is_ok());
    assert_eq!(scene.ends().len(), 1);
    assert!(scene.ends()[0].contains("\"outcome\":\"failed\"") && scene.ends()[0].contains("\"versions\":400"), "{:?}", scene.ends());
    drop((store, journal));
    assert!(scene.start().await.1.is_ok());
    assert_eq!(scene.ends().len(), 1, "once");
}
