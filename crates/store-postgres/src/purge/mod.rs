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

use crate::{
    PostgresStore, bulk,
    connections::Durability,
    error::Result,
    not_ported,
    resources::{ACCOUNT_FIRST, accounts_of, lock_account},
    transaction::Tx,
};

#[async_trait]
impl Purges for PostgresStore {
    async fn kick_off(&self, _: &NewPurge) -> std::result::Result<KickOff, StoreError> {
        Err(not_ported())
    }

    async fn preview(&self, _: &PreviewQuery) -> std::result::Result<Preview, StoreError> {
        Err(not_ported())
    }

    async fn unresolved_members(&self, _: &PreviewQuery) -> std::result::Result<Vec<String>, StoreError> {
        Err(not_ported())
    }

    async fn purge_job(&self, _: &Scope, _: JobId) -> std::result::Result<Option<PurgeJob>, StoreError> {
        Err(not_ported())
    }

    async fn purge_jobs(&self, _: &Scope, _: Option<JobId>, _: usize) -> std::result::Result<Vec<PurgeJob>, StoreError> {
        Err(not_ported())
    }

    async fn cancel_purge(&self, _: &Scope, _: JobId) -> std::result::Result<CanceledOrRetried, StoreError> {
        Err(not_ported())
    }

    async fn retry_purge(&self, _: &Scope, _: JobId) -> std::result::Result<CanceledOrRetried, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl PurgeWork for PostgresStore {
    async fn release_leases(&self) -> std::result::Result<(), StoreError> {
        let now = self.clock.now();
        Ok(self.connections.write(Durability::OnDisk, |tx| async move { bulk::release_all(&tx, now).await }).await?)
    }

    async fn claim_purge(&self) -> std::result::Result<Option<ClaimedPurge>, StoreError> {
        Err(not_ported())
    }

    async fn begin_plan(&self, _: &Lease<JobId>) -> std::result::Result<Vec<AccountId>, StoreError> {
        Err(not_ported())
    }

    async fn plan_targets(&self, _: &Lease<JobId>, _: AccountId, _: BatchLimits) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn plan_companions(&self, _: &Lease<JobId>, _: AccountId, _: BatchLimits) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn seal_plan(&self, _: &Lease<JobId>) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn claim_batch(&self, _: &Lease<JobId>) -> std::result::Result<NextBatch, StoreError> {
        Err(not_ported())
    }

    async fn prepare_companions(&self, _: &Lease<JobId>) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn purge_batch(&self, _: &Lease<JobId>, _: ClaimedBatch) -> std::result::Result<BatchOutcome, StoreError> {
        Err(not_ported())
    }

    async fn fail_batch(&self, _: &Lease<JobId>, _: ClaimedBatch, _: &str, _: Option<Instant>) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn enter_phase(&self, _: &Lease<JobId>, _: Phase) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn sweep_tasks(&self, _: &Lease<JobId>) -> std::result::Result<Vec<SweepTask>, StoreError> {
        Err(not_ported())
    }

    async fn sweep(&self, _: &Lease<JobId>, _: SweepTask) -> std::result::Result<u64, StoreError> {
        Err(not_ported())
    }

    async fn erase(&self, _: &Lease<JobId>) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn probe(&self, _: &Lease<JobId>) -> std::result::Result<Vec<Residue>, StoreError> {
        Err(not_ported())
    }

    async fn removed_parts(&self, _: JobId, _: u64) -> std::result::Result<Vec<RemovedPart>, StoreError> {
        Err(not_ported())
    }

    async fn forget_parts(&self, _: &Lease<JobId>, _: Option<JournalMark>) -> std::result::Result<(), StoreError> {
        Err(not_ported())
    }

    async fn finish_purge(&self, _: &Lease<JobId>, _: &PurgeEnd, _: &SharedIssuer) -> std::result::Result<PurgeJob, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl Certificates for PostgresStore {
    async fn certificate(&self, _: &Scope, _: JobId) -> std::result::Result<Option<String>, StoreError> {
        Err(not_ported())
    }

    async fn certificates(&self, _: u64, _: usize) -> std::result::Result<Vec<StoredCertificate>, StoreError> {
        Err(not_ported())
    }

    async fn deletion(
        &self,
        _: &Scope,
        _: JobId,
        _: AccountId,
        _: ResourceType,
        _: &LogicalId,
    ) -> std::result::Result<Deletion, StoreError> {
        Err(not_ported())
    }

    async fn forget_digests(&self, _: &Scope, _: JobId) -> std::result::Result<Forgotten, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl Audits for PostgresStore {
    async fn audit_records(&self, _: u64, _: usize) -> std::result::Result<Vec<AuditRecord>, StoreError> {
        Err(not_ported())
    }

    async fn store_id(&self) -> std::result::Result<Uuid, StoreError> {
        Err(not_ported())
    }
}

/// Looks into every residence for rows of what a job removed.
pub(crate) async fn residue(_: &PostgresStore, _: JobId) -> std::result::Result<Option<Vec<Residue>>, StoreError> {
    Err(not_ported())
}

/// The next place in the order of commits: behind all that is committed in the accounts whose locks are held.
pub(crate) const TAKE_WATERMARK: &str = include_str!("../../sql/purge/watermark.sql");
const LOCK_CLIENT: &str = include_str!("../../sql/purge/lock_client.sql");

/// Takes the locks of all accounts of an owner: whoever writes to them has committed, or will have a later place in the order of commits. For a
/// client that of the client, too, so that it gets no further account meanwhile.
pub(crate) async fn lock_owner(tx: &Tx, owner: &Scope) -> Result<()> {
    if let Scope::Client { client_id } = owner {
        tx.row_if_any(LOCK_CLIENT, &[&client_id.0]).await?;
    }
    for account_id in accounts_of(tx, owner, ACCOUNT_FIRST).await? {
        lock_account(tx, account_id).await?;
    }
    Ok(())
}

pub(crate) fn write_types(types: &[ResourceType]) -> String {
    types.iter().map(|resource_type| resource_type.code().to_string()).collect::<Vec<_>>().join(",")
}

/// Reads [`write_types`].
pub(crate) fn read_types(stored: &str) -> std::result::Result<Vec<ResourceType>, StoreError> {
    stored
        .split(',')
        .map(|code| code.parse().ok().and_then(ResourceType::from_code))
        .collect::<Option<_>>()
        .ok_or_else(|| StoreError::NotUnderstood(format!("type_ids = '{stored}'")))
}
