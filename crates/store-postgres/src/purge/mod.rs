//! Purge jobs: as their owner sees them, and the steps of the walk.

mod audit;
mod audit_trail;
mod batch;
mod certificate;
mod companions;
mod control;
mod digests;
mod erase;
mod finish;
mod held;
mod job;
mod kick_off;
mod known;
mod lease;
mod list_targets;
mod listed;
mod neighbours;
mod plan;
mod planner;
mod preview;
mod probe;
mod proof;
mod question;
pub(crate) mod recorded;
mod removed;
mod sweep;

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{Phase, certify::Residue, plan::BatchLimits};
use lethe_store::{
    AuditRecord, Audits, BatchOutcome, CanceledOrRetried, Certificates, ClaimedBatch, ClaimedPurge, Deletion, Forgotten, JobId,
    JournalMark, KickOff, NewPurge, NextBatch, Preview, PreviewQuery, PurgeEnd, PurgeJob, PurgeWork, Purges, RemovedPart, SharedIssuer,
    StoreError, StoredCertificate, SweepTask,
};

use uuid::Uuid;

use crate::PostgresStore;

use planner::Planner;

pub(crate) use job::{read_types, write_types};
pub(crate) use kick_off::{TAKE_WATERMARK, lock_owner};
pub(crate) use probe::residue;
pub(crate) use question::{clear_expired, has_expired};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Purges for PostgresStore {
    async fn kick_off(&self, purge: &NewPurge) -> Result<KickOff> {
        kick_off::kick_off(self, purge).await
    }

    async fn preview(&self, query: &PreviewQuery) -> Result<Preview> {
        preview::preview(self, query).await.map(|(preview, _)| preview)
    }

    async fn unresolved_members(&self, query: &PreviewQuery) -> Result<Vec<String>> {
        list_targets::unresolved(self, query).await
    }

    async fn purge_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<PurgeJob>> {
        control::purge_job(self, owner, job_id).await
    }

    async fn purge_jobs(&self, owner: &Scope, before: Option<JobId>, count: usize) -> Result<Vec<PurgeJob>> {
        control::purge_jobs(self, owner, before, count).await
    }

    async fn cancel_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
        control::cancel(self, owner, job_id).await
    }

    async fn retry_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried> {
        control::retry(self, owner, job_id).await
    }
}

#[async_trait]
impl PurgeWork for PostgresStore {
    async fn release_leases(&self) -> Result<()> {
        lease::release_all(self).await
    }

    async fn claim_purge(&self) -> Result<Option<ClaimedPurge>> {
        lease::claim(self).await
    }

    async fn give_back_purge(&self, lease: &Lease<JobId>) -> Result<()> {
        lease::give_back(self, *lease).await
    }

    async fn begin_plan(&self, lease: &Lease<JobId>) -> Result<Vec<AccountId>> {
        plan::begin(self, *lease).await
    }

    async fn plan_targets(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
        plan::targets(Planner::Job(self, *lease), account_id, self.paced(limits)).await
    }

    async fn plan_companions(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<()> {
        companions::plan(Planner::Job(self, *lease), account_id, self.paced(limits)).await
    }

    async fn seal_plan(&self, lease: &Lease<JobId>) -> Result<()> {
        plan::seal(self, *lease).await
    }

    async fn claim_batch(&self, lease: &Lease<JobId>) -> Result<NextBatch> {
        batch::claim(self, *lease).await
    }

    async fn claim_shared_batch(&self) -> Result<Option<(Lease<JobId>, ClaimedBatch)>> {
        batch::claim_shared(self).await
    }

    async fn withdraw_batches(&self, lease: &Lease<JobId>) -> Result<()> {
        lease::withdraw_batches(self, *lease).await
    }

    async fn give_back_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<()> {
        batch::give_back(self, *lease, batch).await
    }

    async fn prepare_companions(&self, lease: &Lease<JobId>) -> Result<()> {
        companions::prepare(self, *lease).await
    }

    async fn purge_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<BatchOutcome> {
        batch::purge(self, *lease, batch).await
    }

    async fn fail_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch, cause: &str, retry_at: Option<Instant>) -> Result<()> {
        batch::fail(self, *lease, batch, cause, retry_at).await
    }

    async fn enter_phase(&self, lease: &Lease<JobId>, phase: Phase) -> Result<()> {
        plan::enter_phase(self, *lease, phase).await
    }

    async fn sweep_tasks(&self, lease: &Lease<JobId>) -> Result<Vec<SweepTask>> {
        sweep::tasks(self, *lease).await
    }

    async fn sweep(&self, lease: &Lease<JobId>, task: SweepTask) -> Result<u64> {
        sweep::sweep(self, *lease, task).await
    }

    async fn erase(&self, lease: &Lease<JobId>) -> Result<()> {
        erase::erase(self, *lease).await
    }

    async fn probe(&self, lease: &Lease<JobId>) -> Result<Vec<Residue>> {
        probe::probe(self, *lease).await
    }

    async fn removed_parts(&self, job_id: JobId, after: u64) -> Result<Vec<RemovedPart>> {
        removed::parts(self, job_id, after).await
    }

    async fn forget_parts(&self, lease: &Lease<JobId>, mark: Option<JournalMark>) -> Result<()> {
        removed::forget(self, *lease, mark).await
    }

    async fn finish_purge(&self, lease: &Lease<JobId>, end: &PurgeEnd, issuer: &SharedIssuer) -> Result<PurgeJob> {
        finish::finish(self, *lease, end, issuer).await
    }
}

#[async_trait]
impl Certificates for PostgresStore {
    async fn certificate(&self, owner: &Scope, job_id: JobId) -> Result<Option<String>> {
        certificate::certificate(self, owner, job_id).await
    }

    async fn certificates(&self, after: u64, count: usize) -> Result<Vec<StoredCertificate>> {
        certificate::certificates(self, after, count).await
    }

    async fn deletion(
        &self,
        owner: &Scope,
        job_id: JobId,
        account_id: AccountId,
        resource_type: ResourceType,
        id: &LogicalId,
    ) -> Result<Deletion> {
        proof::deletion(self, owner, job_id, account_id, resource_type, id).await
    }

    async fn forget_digests(&self, owner: &Scope, job_id: JobId) -> Result<Forgotten> {
        proof::forget(self, owner, job_id).await
    }
}

#[async_trait]
impl Audits for PostgresStore {
    async fn audit_records(&self, after: u64, count: usize) -> Result<Vec<AuditRecord>> {
        audit_trail::records(self, after, count).await
    }

    async fn store_id(&self) -> Result<Uuid> {
        audit_trail::store_id(self).await
    }
}
