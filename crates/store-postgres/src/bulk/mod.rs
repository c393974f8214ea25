//! Bulk jobs: exports, which plan ranges and copy nothing, and imports, which store what a call brings.

mod export_control;
mod export_filter;
mod export_job;
mod export_page;
mod export_work;
mod import;

use async_trait::async_trait;
use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_jobs::{JobEvent, Lease};
use lethe_purge::{Seq, plan::BatchLimits};
use lethe_store::{
    ClaimedExport, ExportJob, ExportKickOff, ExportPage, ExportTask, ExportWork, Exports, ImportBatch, ImportCanceled, ImportJob,
    ImportProgress, ImportStart, Imports, JobId, NewExport, NewImport, StoreError, WriteError,
};

use crate::{PostgresStore, columns::InstantColumn, connections::Durability, lease_times::LeaseTimes, purge, transaction::Tx};

pub(crate) use export_control::{count_questions, forget_questions};
pub(crate) use export_filter::{FilterCache, current_at, members, takes};

type Result<T> = std::result::Result<T, StoreError>;

const HAS_EXPIRED: &str = include_str!("../../sql/bulk/has_expired.sql");
const SELECT_EXPIRED_EXPORTS: &str = include_str!("../../sql/bulk/expired_exports.sql");
const DELETE_EXPIRED_IMPORTS: &str = include_str!("../../sql/bulk/delete_expired_imports.sql");
const RELEASE_EXPORTS: &str = include_str!("../../sql/bulk/release_exports.sql");

/// For a server that has just started, and is the only one: exports go on, and imports, whose lines are lost with the calls that brought them,
/// have failed.
pub(crate) async fn release_all(tx: &Tx, now: Instant) -> crate::error::Result<()> {
    tx.execute(RELEASE_EXPORTS, &[]).await?;
    import::fail_all(tx, now).await
}

#[async_trait]
impl Exports for PostgresStore {
    async fn kick_off_export(&self, export: &NewExport) -> Result<ExportKickOff> {
        export_control::kick_off(self, export).await
    }

    async fn export_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ExportJob>> {
        export_control::export_job(self, owner, job_id).await
    }

    async fn remove_export(&self, owner: &Scope, job_id: JobId) -> Result<bool> {
        export_control::remove(self, owner, job_id).await
    }

    async fn export_page(&self, owner: &Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
        export_page::page(self, owner, job_id, file, after).await
    }
}

#[async_trait]
impl ExportWork for PostgresStore {
    async fn claim_export(&self) -> Result<Option<ClaimedExport>> {
        export_work::claim(self).await
    }

    async fn give_back_export(&self, lease: &Lease<JobId>) -> Result<()> {
        export_work::give_back(self, *lease).await
    }

    async fn begin_export(&self, lease: &Lease<JobId>) -> Result<Vec<ExportTask>> {
        export_work::begin(self, *lease).await
    }

    async fn plan_export(&self, lease: &Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<()> {
        export_work::plan(self, *lease, task, limits).await
    }

    async fn finish_export(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ExportJob> {
        export_work::finish(self, *lease, event, failure).await
    }

    async fn remove_expired(&self) -> Result<u64> {
        let times = self.lease_times();
        // Looking costs no lock: only when there is something to remove is it asked for.
        let look = |tx: Tx| async move {
            let has_expired: bool = tx.row(HAS_EXPIRED, &[&InstantColumn(times.now), &InstantColumn(times.latest)]).await?.try_get(0)?;
            Ok(has_expired || purge::has_expired(&tx, times.now).await?)
        };
        if !self.work.read(look).await? {
            return Ok(0);
        }
        Ok(self.work.write(Durability::InOrder, |tx| remove_expired(tx, times)).await?)
    }
}

async fn remove_expired(tx: Tx, times: LeaseTimes) -> crate::error::Result<u64> {
    // Of a server that is gone, while others go on.
    import::fail_left(&tx, times).await?;
    let exports = tx.rows(SELECT_EXPIRED_EXPORTS, &[&InstantColumn(times.now)]).await?;
    for row in &exports {
        export_control::delete(&tx, row.try_get(0)?).await?;
    }
    let imports = tx.execute(DELETE_EXPIRED_IMPORTS, &[&InstantColumn(times.now)]).await?;
    Ok(exports.len() as u64 + imports + purge::clear_expired(&tx, times.now).await?)
}

#[async_trait]
impl Imports for PostgresStore {
    async fn start_import(&self, import: &NewImport) -> Result<ImportStart> {
        import::start(self, import).await
    }

    async fn store_import_batch(&self, lease: &Lease<JobId>, batch: ImportBatch) -> std::result::Result<ImportProgress, WriteError> {
        import::store_batch(self, *lease, batch).await
    }

    async fn finish_import(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ImportJob> {
        import::finish(self, *lease, event, failure).await
    }

    async fn import_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ImportJob>> {
        import::import_job(self, owner, job_id).await
    }

    async fn import_jobs(&self, owner: &Scope, count: usize) -> Result<Vec<ImportJob>> {
        import::import_jobs(self, owner, count).await
    }

    async fn cancel_import(&self, owner: &Scope, job_id: JobId) -> Result<ImportCanceled> {
        import::cancel(self, owner, job_id).await
    }
}
