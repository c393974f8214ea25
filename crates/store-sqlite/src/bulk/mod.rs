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
use rusqlite::Transaction;

use crate::{SqliteStore, columns::InstantColumn, connections::Durability, purge};

pub(crate) use export_control::{count_questions, forget_questions};
pub(crate) use export_filter::{FilterCache, current_at, members, takes};

type Result<T> = std::result::Result<T, StoreError>;

const HAS_EXPIRED: &str = include_str!("../../sql/bulk/has_expired.sql");
const SELECT_EXPIRED_EXPORTS: &str = include_str!("../../sql/bulk/expired_exports.sql");
const DELETE_EXPIRED_IMPORTS: &str = include_str!("../../sql/bulk/delete_expired_imports.sql");

/// How long a job may be silent before it counts as left, in milliseconds. Each step renews the lease.
const LEASE_MS: i64 = 300_000;

/// Whether a lease that ends then has ended. One that ends later than any that is given now was given before the clock was set back.
fn has_ended(lease_expires_on: Option<Instant>, now: Instant) -> bool {
    lease_expires_on.is_none_or(|expires_on| expires_on <= now || expires_on > now.plus_ms(2 * LEASE_MS))
}

/// For a server that has just started: exports go on, and imports, whose lines are lost with the calls that brought them, have failed.
pub(crate) fn release_all(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<()> {
    tx.execute(include_str!("../../sql/bulk/release_exports.sql"), [])?;
    import::fail_all(tx, now)
}

#[async_trait]
impl Exports for SqliteStore {
    async fn kick_off_export(&self, export: &NewExport) -> Result<ExportKickOff> {
        export_control::kick_off(self, export.clone()).await
    }

    async fn export_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ExportJob>> {
        export_control::export_job(self, owner.clone(), job_id).await
    }

    async fn remove_export(&self, owner: &Scope, job_id: JobId) -> Result<bool> {
        export_control::remove(self, owner.clone(), job_id).await
    }

    async fn export_page(&self, owner: &Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
        export_page::page(self, owner.clone(), job_id, file, after).await
    }
}

#[async_trait]
impl ExportWork for SqliteStore {
    async fn claim_export(&self) -> Result<Option<ClaimedExport>> {
        export_work::claim(self).await
    }

    async fn begin_export(&self, lease: &Lease<JobId>) -> Result<Vec<ExportTask>> {
        export_work::begin(self, *lease).await
    }

    async fn plan_export(&self, lease: &Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<()> {
        export_work::plan(self, *lease, task, limits).await
    }

    async fn finish_export(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ExportJob> {
        export_work::finish(self, *lease, event, failure.map(str::to_owned)).await
    }

    async fn remove_expired(&self) -> Result<u64> {
        let now = self.clock.now();
        // Looking costs no lock: only when there is something to remove is the writer asked for.
        let look = move |tx: &Transaction<'_>| {
            Ok((tx.query_row(HAS_EXPIRED, [InstantColumn(now)], |row| row.get(0))?, purge::has_expired(tx, now)?))
        };
        let (has_expired, has_question): (bool, bool) = self.connections.read(look).await?;
        if !has_expired && !has_question {
            return Ok(0);
        }
        let remove = move |tx: &Transaction<'_>| -> Result<u64> { Ok(remove_expired(tx, now)? + purge::clear_expired(tx, now)?) };
        let removed = self.connections.write(Durability::InOrder, remove).await?;
        if has_question {
            purge::empty_log(self).await;
        }
        Ok(removed)
    }
}

fn remove_expired(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<u64> {
    let mut statement = tx.prepare_cached(SELECT_EXPIRED_EXPORTS)?;
    let exports: Vec<i64> = statement.query_map([InstantColumn(now)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for number in &exports {
        export_control::delete(tx, *number)?;
    }
    let imports = tx.prepare_cached(DELETE_EXPIRED_IMPORTS)?.execute([InstantColumn(now)])?;
    Ok((exports.len() + imports) as u64)
}

#[async_trait]
impl Imports for SqliteStore {
    async fn start_import(&self, import: &NewImport) -> Result<ImportStart> {
        import::start(self, import.clone()).await
    }

    async fn store_import_batch(&self, lease: &Lease<JobId>, batch: ImportBatch) -> std::result::Result<ImportProgress, WriteError> {
        import::store_batch(self, *lease, batch).await
    }

    async fn finish_import(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ImportJob> {
        import::finish(self, *lease, event, failure.map(str::to_owned)).await
    }

    async fn import_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ImportJob>> {
        import::import_job(self, owner.clone(), job_id).await
    }

    async fn import_jobs(&self, owner: &Scope, count: usize) -> Result<Vec<ImportJob>> {
        import::import_jobs(self, owner.clone(), count).await
    }

    async fn cancel_import(&self, owner: &Scope, job_id: JobId) -> Result<ImportCanceled> {
        import::cancel(self, owner.clone(), job_id).await
    }
}
