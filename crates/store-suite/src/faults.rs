//! A store in front of another that fails where it is told to.

mod sound;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lethe_auth::{AccountId, Client, ClientId, Scope, User};
use lethe_fhir::{Instant, LocalReference, LogicalId, ResourceType};
use lethe_jobs::{JobEvent, Lease};
use lethe_purge::{Phase, Seq, certify::Residue, plan::BatchLimits};
use lethe_search::Criterion;
use lethe_store::*;
use tokio::sync::{Notify, watch};

type Result<T> = std::result::Result<T, StoreError>;

/// Passes everything on, but lets attempts at chosen batches fail, or lets the worker die after a number of steps.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Batch → attempts that still fail.
    failing: Mutex<BTreeMap<u64, u32>>,
    /// Batches whose purge was asked for, in order.
    attempted: Mutex<Vec<u64>>,
    /// Steps of the worker until it dies.
    steps_left: AtomicU64,
    /// Steps of the worker that succeed before any fails.
    steps_sound: AtomicU64,
    /// Steps of the worker that fail then.
    steps_failing: AtomicU64,
    /// The step of the worker that is carried out and never answers.
    stuck_in: &'static str,
    /// Told when it is there.
    stuck: Notify,
    /// Calls of whoever starts, runs, cancels or retries a purge, so far.
    calls: AtomicU64,
    /// From which of them on there are faults, if any.
    fault: Option<Fault>,
    /// Faults that have happened.
    faults: AtomicU64,
    /// Done before each probe.
    before_probe: Option<Planting>,
}

/// Far longer than any step takes that answers.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Steps of a purge that may take long.
pub const LONG_STEPS: [&str; 6] = ["begin_plan", "plan_targets", "plan_companions", "seal_plan", "sweep", "probe"];

/// What somebody puts into the store behind its back.
pub type Planting = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Faults of the ports of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first call that fails, counted from 0.
    pub at: u64,
    /// Whether every later one fails, too.
    pub is_lasting: bool,
    /// Whether what was asked for is done and only the answer is an error.
    pub is_done: bool,
}

impl FaultyStore {
    /// In front of `inner`; fails the next `times` attempts at each of `batches`.
    pub fn new(inner: Arc<dyn Store>, batches: &[u64], times: u32) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failing: Mutex::new(batches.iter().map(|batch| (*batch, times)).collect()),
            attempted: Mutex::default(),
            steps_left: AtomicU64::new(u64::MAX),
            steps_sound: AtomicU64::new(0),
            steps_failing: AtomicU64::new(0),
            stuck_in: "",
            stuck: Notify::new(),
            calls: AtomicU64::new(0),
            fault: None,
            faults: AtomicU64::new(0),
            before_probe: None,
        })
    }

    /// In front of `inner`; does this before each probe.
    pub fn planting(inner: Arc<dyn Store>, before_probe: Planting) -> Arc<Self> {
        let faulty = Self::new(inner, &[], 0);
        Arc::new(Self { before_probe: Some(before_probe), ..Arc::into_inner(faulty).expect("nobody else has it yet") })
    }

    /// In front of `inner`, with this fault.
    pub fn with_fault(inner: Arc<dyn Store>, fault: Fault) -> Arc<Self> {
        let faulty = Self::new(inner, &[], 0);
        Arc::new(Self { fault: Some(fault), ..Arc::into_inner(faulty).expect("nobody else has it yet") })
    }

    /// How many faults have happened.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    /// One call of the ports of a purge.
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = self.fault.filter(|fault| number == fault.at || number > fault.at && fault.is_lasting);
        let Some(fault) = fault else { return call.await };
        self.faults.fetch_add(1, Ordering::SeqCst);
        if fault.is_done {
            // OK because an answer that is lost can be an error just as well.
            drop(call.await);
        }
        Err(StoreError::Failed(format!("planted fault at call {number}").into()))
    }

    /// In front of `inner`; the worker dies after `steps` steps: the last is carried out, but its answer is never heard.
    pub fn dying_after(inner: Arc<dyn Store>, steps: u64) -> Arc<Self> {
        let faulty = Self::new(inner, &[], 0);
        faulty.steps_left.store(steps, Ordering::SeqCst);
        faulty
    }

    /// In front of `inner`; this step of the worker, one of [`LONG_STEPS`] or `plan_export`, is carried out, and never answers.
    pub fn stuck_in(inner: Arc<dyn Store>, step: &'static str) -> Arc<Self> {
        let faulty = Self::new(inner, &[], 0);
        Arc::new(Self { stuck_in: step, ..Arc::into_inner(faulty).expect("nobody else has it yet") })
    }

    /// Runs `walk` until it is in the step that never answers, and then stops the server; whether it ended for that.
    pub async fn stops(&self, stop: &watch::Sender<bool>, walk: impl Future<Output = Result<bool>>) -> bool {
        let down = async {
            stop.send_replace(true);
        };
        self.ends_by(down, walk).await
    }

    /// Whether a walk ends by what is done while the step is stuck.
    pub async fn ends_by(&self, deed: impl Future<Output = ()>, walk: impl Future<Output = Result<bool>>) -> bool {
        let done = async {
            self.stuck.notified().await;
            deed.await;
        };
        let walk = async { assert!(walk.await.unwrap(), "a job waits") };
        tokio::time::timeout(STOP_MAX, async { tokio::join!(walk, done) }).await.is_ok()
    }

    /// In front of `inner`; the next `steps` steps of the worker fail, as on a full disk.
    pub fn failing_for(inner: Arc<dyn Store>, steps: u64) -> Arc<Self> {
        Self::failing_after(inner, 0, steps)
    }

    /// In front of `inner`; the worker's next `sound` steps succeed, and the next `steps` after them fail.
    pub fn failing_after(inner: Arc<dyn Store>, sound: u64, steps: u64) -> Arc<Self> {
        let faulty = Self::new(inner, &[], 0);
        faulty.steps_sound.store(sound, Ordering::SeqCst);
        faulty.steps_failing.store(steps, Ordering::SeqCst);
        faulty
    }

    /// Whether the worker has died.
    pub fn is_dead(&self) -> bool {
        self.steps_left.load(Ordering::SeqCst) == 0
    }

    async fn step<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        let is_sound = self.steps_sound.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |sound| sound.checked_sub(1)).is_ok();
        if !is_sound && self.steps_failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |failing| failing.checked_sub(1)).is_ok() {
            return Err(StoreError::Failed("planted fault".into()));
        }
        // To the worker, death looks like a lost lease: it stops where it is and writes nothing more.
        let Ok(left) = self.steps_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) else {
            return Err(StoreError::LeaseLost);
        };
        let heard = self.call(step).await;
        if left == 1 { Err(StoreError::LeaseLost) } else { heard }
    }

    /// A step that may take long.
    async fn long_step<T>(&self, name: &'static str, step: impl Future<Output = Result<T>>) -> Result<T> {
        let heard = self.step(step).await;
        if self.stuck_in == name {
            self.stuck.notify_one();
            std::future::pending::<()>().await;
        }
        heard
    }

    /// Batches that were attempted, in order; forgets them.
    pub fn take_attempted(&self) -> Vec<u64> {
        std::mem::take(&mut *self.attempted.lock().unwrap())
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.failing.lock().unwrap().clear();
    }
}

#[async_trait]
impl PurgeWork for FaultyStore {
    async fn purge_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<BatchOutcome> {
        self.attempted.lock().unwrap().push(batch.batch);
        if let Some(left) = self.failing.lock().unwrap().get_mut(&batch.batch).filter(|left| **left > 0) {
            *left -= 1;
            return Err(StoreError::Failed("planted fault".into()));
        }
        self.step(self.inner.purge_batch(lease, batch)).await
    }

    async fn release_leases(&self) -> Result<()> {
        self.inner.release_leases().await
    }
    async fn claim_purge(&self) -> Result<Option<ClaimedPurge>> {
        self.call(self.inner.claim_purge()).await
    }
    async fn begin_plan(&self, lease: &Lease<JobId>) -> Result<Vec<AccountId>> {
        self.long_step("begin_plan", self.inner.begin_plan(lease)).await
    }
    async fn plan_targets(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
        self.long_step("plan_targets", self.inner.plan_targets(lease, account_id, limits)).await
    }
    async fn plan_companions(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
        self.long_step("plan_companions", self.inner.plan_companions(lease, account_id, limits)).await
    }
    async fn seal_plan(&self, lease: &Lease<JobId>) -> Result<()> {
        self.long_step("seal_plan", self.inner.seal_plan(lease)).await
    }
    async fn claim_batch(&self, lease: &Lease<JobId>) -> Result<NextBatch> {
        self.step(self.inner.claim_batch(lease)).await
    }
    async fn claim_shared_batch(&self) -> Result<Option<(Lease<JobId>, ClaimedBatch)>> {
        self.inner.claim_shared_batch().await
    }
    async fn give_back_purge(&self, lease: &Lease<JobId>) -> Result<()> {
        self.inner.give_back_purge(lease).await
    }
    async fn withdraw_batches(&self, lease: &Lease<JobId>) -> Result<()> {
        self.inner.withdraw_batches(lease).await
    }
    async fn give_back_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<()> {
        self.inner.give_back_batch(lease, batch).await
    }
    async fn prepare_companions(&self, lease: &Lease<JobId>) -> Result<()> {
        self.step(self.inner.prepare_companions(lease)).await
    }
    async fn fail_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch, cause: &str, retry_at: Option<Instant>) -> Result<()> {
        self.step(self.inner.fail_batch(lease, batch, cause, retry_at)).await
    }
    async fn enter_phase(&self, lease: &Lease<JobId>, phase: Phase) -> Result<()> {
        self.step(self.inner.enter_phase(lease, phase)).await
    }
    async fn sweep_tasks(&self, lease: &Lease<JobId>) -> Result<Vec<SweepTask>> {
        self.step(self.inner.sweep_tasks(lease)).await
    }
    async fn sweep(&self, lease: &Lease<JobId>, task: SweepTask) -> Result<u64> {
        self.long_step("sweep", self.inner.sweep(lease, task)).await
    }
    async fn erase(&self, lease: &Lease<JobId>) -> Result<()> {
        self.step(self.inner.erase(lease)).await
    }
    async fn probe(&self, lease: &Lease<JobId>) -> Result<Vec<Residue>> {
        if let Some(plant) = &self.before_probe {
            plant().await;
        }
        self.long_step("probe", self.inner.probe(lease)).await
    }
    async fn removed_parts(&self, job_id: JobId, after: u64) -> Result<Vec<RemovedPart>> {
        self.step(self.inner.removed_parts(job_id, after)).await
    }
    async fn forget_parts(&self, lease: &Lease<JobId>, mark: Option<JournalMark>) -> Result<()> {
        self.step(self.inner.forget_parts(lease, mark)).await
    }
    async fn finish_purge(&self, lease: &Lease<JobId>, end: &PurgeEnd, issuer: &SharedIssuer) -> Result<PurgeJob> {
        self.step(self.inner.finish_purge(lease, end, issuer)).await
    }
}

#[async_trait]
impl Purges for FaultyStore {
    async fn kick_off(&self, purge: &NewPurge) -> Result<KickOff> {
        self.call(self.inner.kick_off(purge)).await
    }
    async fn preview(&self, query: &PreviewQuery) -> Result<Preview> {
        self.inner.preview(query).await
    }
    async fn unresolved_members(&self, query: &PreviewQuery) -> Result<Vec<String>> {
        self.inner.unresolved_members(query).await
    }
    async fn purge_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<PurgeJob>> {
        self.call(self.inner.purge_job(owner, job_id)).await
    }
    async fn purge_jobs(&self, owner: &Scope, before: Option<JobId>, count: usize) -> Result<Vec<PurgeJob>> {
        self.inner.purge_jobs(owner, before, count).await
    }
    async fn cancel_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
        self.call(self.inner.cancel_purge(owner, job_id)).await
    }
    async fn retry_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
        self.call(self.inner.retry_purge(owner, job_id)).await
    }
}

#[async_trait]
impl Holds for FaultyStore {
    async fn add_hold(&self, hold: &NewHold) -> Result<HoldAdded> {
        self.inner.add_hold(hold).await
    }
    async fn lift_hold(&self, client_id: Option<&ClientId>, hold_id: HoldId, lifted_by: &str) -> Result<HoldLifted> {
        self.inner.lift_hold(client_id, hold_id, lifted_by).await
    }
    async fn holds(&self, filter: &HoldFilter) -> Result<Vec<Hold>> {
        self.inner.holds(filter).await
    }
}

#[async_trait]
impl Exports for FaultyStore {
    async fn kick_off_export(&self, export: &NewExport) -> Result<ExportKickOff> {
        self.inner.kick_off_export(export).await
    }
    async fn export_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ExportJob>> {
        self.inner.export_job(owner, job_id).await
    }
    async fn remove_export(&self, owner: &Scope, job_id: JobId) -> Result<bool> {
        self.inner.remove_export(owner, job_id).await
    }
    async fn export_page(&self, owner: &Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
        self.inner.export_page(owner, job_id, file, after).await
    }
}

#[async_trait]
impl ExportWork for FaultyStore {
    async fn claim_export(&self) -> Result<Option<ClaimedExport>> {
        self.inner.claim_export().await
    }
    async fn begin_export(&self, lease: &Lease<JobId>) -> Result<Vec<ExportTask>> {
        self.step(self.inner.begin_export(lease)).await
    }
    async fn give_back_export(&self, lease: &Lease<JobId>) -> Result<()> {
        self.inner.give_back_export(lease).await
    }
    async fn plan_export(&self, lease: &Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<()> {
        self.long_step("plan_export", self.inner.plan_export(lease, task, limits)).await
    }
    async fn finish_export(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ExportJob> {
        self.step(self.inner.finish_export(lease, event, failure)).await
    }
    async fn remove_expired(&self) -> Result<u64> {
        self.inner.remove_expired().await
    }
}

#[async_trait]
impl Imports for FaultyStore {
    async fn start_import(&self, import: &NewImport) -> Result<ImportStart> {
        self.inner.start_import(import).await
    }
    async fn store_import_batch(&self, lease: &Lease<JobId>, batch: ImportBatch) -> std::result::Result<ImportProgress, WriteError> {
        self.inner.store_import_batch(lease, batch).await
    }
    async fn finish_import(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ImportJob> {
        self.inner.finish_import(lease, event, failure).await
    }
    async fn import_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ImportJob>> {
        self.inner.import_job(owner, job_id).await
    }
    async fn import_jobs(&self, owner: &Scope, count: usize) -> Result<Vec<ImportJob>> {
        self.inner.import_jobs(owner, count).await
    }
    async fn cancel_import(&self, owner: &Scope, job_id: JobId) -> Result<ImportCanceled> {
        self.inner.cancel_import(owner, job_id).await
    }
}

#[async_trait]
impl Searches for FaultyStore {
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage> {
        self.inner.search(scope, resource_type, query).await
    }
    async fn count_matches(&self, scope: &Scope, resource_type: ResourceType, criteria: &[Criterion], newest: Option<Seq>) -> Result<u64> {
        self.inner.count_matches(scope, resource_type, criteria, newest).await
    }
    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets> {
        self.inner.read_all(scope, targets).await
    }
}

#[async_trait]
impl Resources for FaultyStore {
    async fn write_if(
        &self,
        account_id: AccountId,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> std::result::Result<Vec<WriteOutcome>, WriteError> {
        self.inner.write_if(account_id, guards, writes).await
    }
    async fn read(&self, scope: &Scope, resource_type: ResourceType, id: &LogicalId) -> Result<Option<StoredVersion>> {
        self.inner.read(scope, resource_type, id).await
    }
    async fn read_version(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        id: &LogicalId,
        version: u64,
    ) -> Result<Option<StoredVersion>> {
        self.inner.read_version(scope, resource_type, id, version).await
    }
    async fn history(&self, account_id: AccountId, of: &HistoryScope, query: &HistoryQuery) -> Result<HistoryPage> {
        self.inner.history(account_id, of, query).await
    }
    async fn list(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<Vec<StoredVersion>> {
        self.inner.list(scope, resource_type, query).await
    }
    async fn count(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<u64> {
        self.inner.count(scope, resource_type, query).await
    }
    async fn totals(&self, scope: &Scope) -> Result<Vec<(ResourceType, u64)>> {
        self.inner.totals(scope).await
    }
}

#[async_trait]
impl Accounts for FaultyStore {
    async fn add_client(&self, client: &NewClient) -> Result<Client> {
        self.inner.add_client(client).await
    }
    async fn client(&self, client_id: &ClientId) -> Result<Option<(Client, KeyedHash)>> {
        self.inner.client(client_id).await
    }
    async fn clients(&self) -> Result<Vec<Client>> {
        self.inner.clients().await
    }
    async fn set_client_active(&self, client_id: &ClientId, is_active: bool) -> Result<bool> {
        self.inner.set_client_active(client_id, is_active).await
    }
    async fn set_client_may_hold(&self, client_id: &ClientId, may_hold: bool) -> Result<bool> {
        self.inner.set_client_may_hold(client_id, may_hold).await
    }
    async fn set_client_secret(&self, client_id: &ClientId, secret_hash: &KeyedHash) -> Result<bool> {
        self.inner.set_client_secret(client_id, secret_hash).await
    }
    async fn add_user(&self, client_id: &ClientId, app_user_id: &str) -> Result<AddedUser> {
        self.inner.add_user(client_id, app_user_id).await
    }
    async fn user(&self, account_id: AccountId) -> Result<Option<User>> {
        self.inner.user(account_id).await
    }
    async fn users(&self, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>> {
        self.inner.users(client_id, filter).await
    }
    async fn set_user_active(&self, client_id: &ClientId, account_id: AccountId, is_active: bool) -> Result<bool> {
        self.inner.set_user_active(client_id, account_id, is_active).await
    }
    async fn put_code(&self, code_hash: &KeyedHash, account_id: AccountId, expires_on_ms: i64) -> Result<()> {
        self.inner.put_code(code_hash, account_id, expires_on_ms).await
    }
    async fn take_code(&self, code_hash: &KeyedHash, client_id: &ClientId, tokens: &IssuedTokens) -> Result<Option<User>> {
        self.inner.take_code(code_hash, client_id, tokens).await
    }
    async fn put_tokens(&self, account_id: AccountId, tokens: &IssuedTokens) -> Result<()> {
        self.inner.put_tokens(account_id, tokens).await
    }
    async fn access_token(&self, access_hash: &KeyedHash) -> Result<Option<StoredToken>> {
        self.inner.access_token(access_hash).await
    }
    async fn use_refresh_token(&self, refresh_hash: &KeyedHash, client_id: &ClientId, tokens: &IssuedTokens) -> Result<RefreshUse> {
        self.inner.use_refresh_token(refresh_hash, client_id, tokens).await
    }
}
