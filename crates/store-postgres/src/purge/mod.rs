//! Purge jobs: as their owner sees them, and the steps of the walk. Not ported yet: every call is refused.

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

use crate::{PostgresStore, not_ported};

#[async_trait]
impl Purges for PostgresStore {
    async fn kick_off(&self, _: &NewPurge) -> Result<KickOff, StoreError> {
        Err(not_ported())
    }

    async fn preview(&self, _: &PreviewQuery) -> Result<Preview, StoreError> {
        Err(not_ported())
    }

    async fn purge_job(&self, _: &Scope, _: JobId) -> Result<Option<PurgeJob>, StoreError> {
        Err(not_ported())
    }

    async fn purge_jobs(&self, _: &Scope, _: Option<JobId>, _: usize) -> Result<Vec<PurgeJob>, StoreError> {
        Err(not_ported())
    }

    async fn cancel_purge(&self, _: &Scope, _: JobId) -> Result<CanceledOrRetried, StoreError> {
        Err(not_ported())
    }

    async fn retry_purge(&self, _: &Scope, _: JobId) -> Result<CanceledOrRetried, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl PurgeWork for PostgresStore {
    async fn release_leases(&self) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn claim_purge(&self) -> Result<Option<ClaimedPurge>, StoreError> {
        Err(not_ported())
    }

    async fn begin_plan(&self, _: &Lease<JobId>) -> Result<Vec<AccountId>, StoreError> {
        Err(not_ported())
    }

    async fn plan_targets(&self, _: &Lease<JobId>, _: AccountId, _: BatchLimits) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn plan_companions(&self, _: &Lease<JobId>, _: AccountId, _: BatchLimits) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn seal_plan(&self, _: &Lease<JobId>) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn claim_batch(&self, _: &Lease<JobId>) -> Result<NextBatch, StoreError> {
        Err(not_ported())
    }

    async fn prepare_companions(&self, _: &Lease<JobId>) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn purge_batch(&self, _: &Lease<JobId>, _: ClaimedBatch) -> Result<BatchOutcome, StoreError> {
        Err(not_ported())
    }

    async fn fail_batch(&self, _: &Lease<JobId>, _: ClaimedBatch, _: &str, _: Option<Instant>) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn enter_phase(&self, _: &Lease<JobId>, _: Phase) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn sweep_tasks(&self, _: &Lease<JobId>) -> Result<Vec<SweepTask>, StoreError> {
        Err(not_ported())
    }

    async fn sweep(&self, _: &Lease<JobId>, _: SweepTask) -> Result<u64, StoreError> {
        Err(not_ported())
    }

    async fn erase(&self, _: &Lease<JobId>) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn probe(&self, _: &Lease<JobId>) -> Result<Vec<Residue>, StoreError> {
        Err(not_ported())
    }

    async fn removed_parts(&self, _: JobId, _: u64) -> Result<Vec<RemovedPart>, StoreError> {
        Err(not_ported())
    }

    async fn forget_parts(&self, _: &Lease<JobId>, _: Option<JournalMark>) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn finish_purge(&self, _: &Lease<JobId>, _: &PurgeEnd, _: &SharedIssuer) -> Result<PurgeJob, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl Certificates for PostgresStore {
    async fn certificate(&self, _: &Scope, _: JobId) -> Result<Option<String>, StoreError> {
        Err(not_ported())
    }

    async fn certificates(&self, _: u64, _: usize) -> Result<Vec<StoredCertificate>, StoreError> {
        Err(not_ported())
    }

    async fn deletion(&self, _: &Scope, _: JobId, _: AccountId, _: ResourceType, _: &LogicalId) -> Result<Deletion, StoreError> {
        Err(not_ported())
    }

    async fn forget_digests(&self, _: &Scope, _: JobId) -> Result<Forgotten, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl Audits for PostgresStore {
    async fn audit_records(&self, _: u64, _: usize) -> Result<Vec<AuditRecord>, StoreError> {
        Err(not_ported())
    }

    async fn store_id(&self) -> Result<Uuid, StoreError> {
        Err(not_ported())
    }
}

/// Looks into every residence for rows of what a job removed.
pub(crate) async fn residue(_: &PostgresStore, _: JobId) -> Result<Option<Vec<Residue>>, StoreError> {
    Err(not_ported())
}
