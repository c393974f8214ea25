//! Bulk jobs: exports and imports. Not ported yet: every call is refused.

use async_trait::async_trait;
use lethe_auth::Scope;
use lethe_jobs::{JobEvent, Lease};
use lethe_purge::{Seq, plan::BatchLimits};
use lethe_store::{
    ClaimedExport, ExportJob, ExportKickOff, ExportPage, ExportTask, ExportWork, Exports, ImportBatch, ImportCanceled, ImportJob,
    ImportProgress, ImportStart, Imports, JobId, NewExport, NewImport, StoreError, WriteError,
};

use crate::{PostgresStore, not_ported};

#[async_trait]
impl Exports for PostgresStore {
    async fn kick_off_export(&self, _: &NewExport) -> Result<ExportKickOff, StoreError> {
        Err(not_ported())
    }

    async fn export_job(&self, _: &Scope, _: JobId) -> Result<Option<ExportJob>, StoreError> {
        Err(not_ported())
    }

    async fn remove_export(&self, _: &Scope, _: JobId) -> Result<bool, StoreError> {
        Err(not_ported())
    }

    async fn export_page(&self, _: &Scope, _: JobId, _: u64, _: Seq) -> Result<Option<ExportPage>, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl ExportWork for PostgresStore {
    async fn claim_export(&self) -> Result<Option<ClaimedExport>, StoreError> {
        Err(not_ported())
    }

    async fn begin_export(&self, _: &Lease<JobId>) -> Result<Vec<ExportTask>, StoreError> {
        Err(not_ported())
    }

    async fn plan_export(&self, _: &Lease<JobId>, _: ExportTask, _: BatchLimits) -> Result<(), StoreError> {
        Err(not_ported())
    }

    async fn finish_export(&self, _: &Lease<JobId>, _: JobEvent, _: Option<&str>) -> Result<ExportJob, StoreError> {
        Err(not_ported())
    }

    async fn remove_expired(&self) -> Result<u64, StoreError> {
        Err(not_ported())
    }
}

#[async_trait]
impl Imports for PostgresStore {
    async fn start_import(&self, _: &NewImport) -> Result<ImportStart, StoreError> {
        Err(not_ported())
    }

    async fn store_import_batch(&self, _: &Lease<JobId>, _: ImportBatch) -> Result<ImportProgress, WriteError> {
        Err(not_ported().into())
    }

    async fn finish_import(&self, _: &Lease<JobId>, _: JobEvent, _: Option<&str>) -> Result<ImportJob, StoreError> {
        Err(not_ported())
    }

    async fn import_job(&self, _: &Scope, _: JobId) -> Result<Option<ImportJob>, StoreError> {
        Err(not_ported())
    }

    async fn import_jobs(&self, _: &Scope, _: usize) -> Result<Vec<ImportJob>, StoreError> {
        Err(not_ported())
    }

    async fn cancel_import(&self, _: &Scope, _: JobId) -> Result<ImportCanceled, StoreError> {
        Err(not_ported())
    }
}
