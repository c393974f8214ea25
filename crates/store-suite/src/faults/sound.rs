//! The ports of which nothing is made to fail.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LogicalId, ResourceType};
use lethe_purge::certify::Residue;
use lethe_store::*;

use super::{FaultyStore, Result};

#[async_trait]
impl Audits for FaultyStore {
    async fn audit_records(&self, after: u64, count: usize) -> Result<Vec<AuditRecord>> {
        self.inner.audit_records(after, count).await
    }
    async fn store_id(&self) -> Result<uuid::Uuid> {
        self.inner.store_id().await
    }
}

#[async_trait]
impl Certificates for FaultyStore {
    async fn certificate(&self, owner: &Scope, job_id: JobId) -> Result<Option<String>> {
        self.inner.certificate(owner, job_id).await
    }
    async fn certificates(&self, after: u64, count: usize) -> Result<Vec<StoredCertificate>> {
        self.inner.certificates(after, count).await
    }
    async fn deletion(
        &self,
        owner: &Scope,
        job_id: JobId,
        account_id: AccountId,
        resource_type: ResourceType,
        id: &LogicalId,
    ) -> Result<Deletion> {
        self.inner.deletion(owner, job_id, account_id, resource_type, id).await
    }
    async fn forget_digests(&self, owner: &Scope, job_id: JobId) -> Result<Forgotten> {
        self.inner.forget_digests(owner, job_id).await
    }
}

#[async_trait]
impl Checks for FaultyStore {
    async fn check(&self) -> Result<Vec<Check>> {
        self.inner.check().await
    }
    async fn residue(&self, job_id: JobId) -> Result<Option<Vec<Residue>>> {
        self.inner.residue(job_id).await
    }
}
