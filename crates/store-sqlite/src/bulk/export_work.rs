//! The steps of an export: claim, plan, finish. Rows of versions are read, never written.

use std::sync::Arc;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{Fence, JobEvent, JobState, Lease};
use lethe_purge::{
    Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
};
use lethe_search::export::ExportFilter;
use lethe_store::{BULK_KEPT_MS, ClaimedExport, ExportFileKind, ExportJob, ExportTask, JobId, StoreError};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    LEASE_MS, Result, export_filter,
    export_job::{self, ExportRow, stored_kind},
    export_page::{Range, scan},
};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    connections::Durability,
    resources::{ACCOUNT_FIRST, accounts_of, types_of},
};

const SELECT_CLAIMABLE: &str = include_str!("../../sql/bulk/claimable_export.sql");
const CLAIM: &str = include_str!("../../sql/bulk/claim_export.sql");
const RENEW: &str = include_str!("../../sql/bulk/renew_export.sql");
const END: &str = include_str!("../../sql/bulk/end_export.sql");
const DELETE_FILES: &str = include_str!("../../sql/bulk/delete_export_files.sql");
const DELETE_FILES_OF_TYPE: &str = include_str!("../../sql/bulk/delete_export_files_of_type.sql");
const SELECT_SEQS: &str = include_str!("../../sql/bulk/seqs_to_export.sql");
const SELECT_LAST_FILE: &str = include_str!("../../sql/bulk/last_export_file.sql");
const INSERT_FILE: &str = include_str!("../../sql/bulk/insert_export_file.sql");

/// Versions read in one go: each go is one read transaction, so that none keeps old pages for long.
const SCAN_MAX: usize = 50_000;

pub(super) async fn claim(store: &SqliteStore) -> Result<Option<ClaimedExport>> {
    let now = store.clock.now();
    // Looking costs no lock: only when there is something to claim is the writer asked for.
    if store.connections.read(move |tx| claimable(tx, now)).await?.is_none() {
        return Ok(None);
    }
    store.connections.write(Durability::OnDisk, move |tx| -> Result<_> { Ok(claim_one(tx, now)?) }).await
}

fn claimable(connection: &Connection, now: Instant) -> crate::error::Result<Option<(i64, String)>> {
    let mut statement = connection.prepare_cached(SELECT_CLAIMABLE)?;
    // A lease that ends later than any that is given now was given before the clock was set back.
    let latest = now.plus_ms(2 * LEASE_MS);
    Ok(statement.query_row([InstantColumn(now), InstantColumn(latest)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn claim_one(tx: &Transaction<'_>, now: Instant) -> crate::error::Result<Option<ClaimedExport>> {
    let Some((number, stored)) = claimable(tx, now)? else { return Ok(None) };
    let from = stored.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?;
    let to = from.transition(JobEvent::Claim).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    tx.prepare_cached(CLAIM)?.execute(params![number, from.stored(), to.stored(), InstantColumn(now.plus_ms(LEASE_MS))])?;
    let ExportRow { job, fence, .. } = export_job::row(tx, number)?;
    Ok(Some(ClaimedExport { lease: Lease { job_id: job.job_id, fence: Fence(fence) }, job }))
}

/// Renews the lease and reads the job, or fails with `LeaseLost`, before anything else of the transaction happens (INV-3).
fn hold(tx: &Transaction<'_>, lease: Lease<JobId>, now: Instant) -> crate::error::Result<ExportRow> {
    let expires_on = now.plus_ms(LEASE_MS);
    let number = tx
        .prepare_cached(RENEW)?
        .query_row(params![lease.job_id, lease.fence.0, InstantColumn(expires_on)], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::LeaseLost)?;
    export_job::row(tx, number)
}

async fn write_under<T: Send + 'static>(
    store: &SqliteStore,
    lease: Lease<JobId>,
    work: impl FnOnce(&Transaction<'_>, &ExportRow) -> crate::error::Result<T> + Send + 'static,
) -> Result<T> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::InOrder, move |tx| -> Result<T> {
            let row = hold(tx, lease, now)?;
            Ok(work(tx, &row)?)
        })
        .await
}

pub(super) async fn begin(store: &SqliteStore, lease: Lease<JobId>) -> Result<Vec<ExportTask>> {
    let row = write_under(store, lease, |_, row| Ok(row.clone())).await?;
    let job = row.job.clone();
    let issues = store.connections.read(move |tx| export_filter::issues(tx, &job)).await?.len() as u64;
    let filter = store.filter_of(row.number, &row.job).await?;
    write_under(store, lease, move |tx, row| {
        tx.prepare_cached(DELETE_FILES)?.execute([row.number])?;
        if issues > 0 {
            insert_issues(tx, row, issues)?;
        }
        let selected = row.job.selection.types.as_deref();
        let mut tasks = Vec::new();
        for account_id in accounts_of(tx, &row.job.owner, ACCOUNT_FIRST)? {
            let types = types_of(tx, account_id)?.into_iter();
            let can_be_taken = |resource_type: &ResourceType| filter.as_ref().is_none_or(|filter| filter.can_take(*resource_type));
            let is_selected =
                |resource_type: &ResourceType| selected.is_none_or(|types| types.contains(resource_type)) && can_be_taken(resource_type);
            tasks.extend(types.filter(is_selected).map(|resource_type| ExportTask { account_id, resource_type }));
        }
        Ok(tasks)
    })
    .await
}

pub(super) async fn plan(store: &SqliteStore, lease: Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<()> {
    let row = write_under(store, lease, move |tx, row| {
        // What an attempt that failed has left.
        tx.prepare_cached(DELETE_FILES_OF_TYPE)?.execute(params![row.number, task.account_id.0, TypeColumn(task.resource_type)])?;
        Ok(row.clone())
    })
    .await?;
    plan_kind(store, lease, &row, task, limits, ExportFileKind::Resources).await?;
    // Without a beginning there is nothing that a deletion would have to be told of.
    if row.job.selection.since.is_some() && !row.job.selection.is_filtered() {
        plan_kind(store, lease, &row, task, limits, ExportFileKind::Deletions).await?;
    }
    Ok(())
}

async fn plan_kind(
    store: &SqliteStore,
    lease: Lease<JobId>,
    row: &ExportRow,
    task: ExportTask,
    limits: BatchLimits,
    kind: ExportFileKind,
) -> Result<()> {
    let mut cutter = BatchCutter::new(task.resource_type, limits);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let (seqs, next) = chosen(store, row, task, kind, start).await?;
        after = next;
        // How many bytes a file has is left to chance: it is a link, and nobody keeps it.
        let mut ranges: Vec<BatchRange> = seqs.into_iter().filter_map(|seq| cutter.push(seq, 0)).collect();
        if after.is_none() {
            ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(task.resource_type, limits)).finish());
        }
        write_under(store, lease, move |tx, row| insert_files(tx, row.number, task.account_id, kind, &ranges)).await?;
    }
    Ok(())
}

/// The next places of what is exported, and where to go on.
async fn chosen(
    store: &SqliteStore,
    row: &ExportRow,
    task: ExportTask,
    kind: ExportFileKind,
    start: Seq,
) -> Result<(Vec<Seq>, Option<Seq>)> {
    let job = row.job.clone();
    let Some(filter) = store.filter_of(row.number, &row.job).await? else {
        let seqs = store.connections.read(move |tx| current_at_watermark(tx, &job, task, kind, start)).await?;
        let next = (seqs.len() == SCAN_MAX).then(|| seqs.last().copied()).flatten();
        return Ok((seqs, next));
    };
    let ExportTask { account_id, resource_type } = task;
    let range = Range { account_id, resource_type, after: start, last: job.watermark, kind };
    store
        .connections
        .read(move |tx| {
            let mut seqs = Vec::new();
            let next = scan(tx, &job, range, Some(&filter), |version| {
                seqs.push(version.seq);
                true
            })?;
            Ok((seqs, next))
        })
        .await
}

/// The next places of a type whose version was current at the watermark: found without a look at any content.
fn current_at_watermark(
    connection: &Connection,
    job: &ExportJob,
    task: ExportTask,
    kind: ExportFileKind,
    after: Seq,
) -> crate::error::Result<Vec<Seq>> {
    let mut statement = connection.prepare_cached(SELECT_SEQS)?;
    let seqs = statement.query_map(
        params![
            task.account_id.0,
            TypeColumn(task.resource_type),
            SeqColumn(after),
            SeqColumn(job.watermark),
            InstantColumn(since_of(job)),
            kind == ExportFileKind::Deletions,
            SCAN_MAX as i64
        ],
        |row| row.get::<_, SeqColumn>(0).map(|column| column.0),
    )?;
    Ok(seqs.collect::<rusqlite::Result<_>>()?)
}

/// What was last updated after this is exported.
pub(super) fn since_of(job: &ExportJob) -> Instant {
    job.selection.since.unwrap_or(Instant::from_unix_ms(i64::MIN))
}

/// The file of what could not be exported. It is of no range: its lines are found anew when it is fetched.
fn insert_issues(tx: &Transaction<'_>, row: &ExportRow, issues: u64) -> crate::error::Result<()> {
    let account = row.job.owner.account_id().unwrap_or(ACCOUNT_FIRST);
    let kind = stored_kind(ExportFileKind::Issues);
    tx.prepare_cached(INSERT_FILE)?.execute(params![row.number, 1, kind, account.0, TypeColumn(ResourceType::PATIENT), 1, 1, issues])?;
    Ok(())
}

fn insert_files(
    tx: &Transaction<'_>,
    number: i64,
    account_id: AccountId,
    kind: ExportFileKind,
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let last: i64 = tx.prepare_cached(SELECT_LAST_FILE)?.query_row([number], |row| row.get(0))?;
    let mut insert = tx.prepare_cached(INSERT_FILE)?;
    for (file, range) in (last + 1..).zip(ranges) {
        insert.execute(params![
            number,
            file,
            stored_kind(kind),
            account_id.0,
            TypeColumn(range.resource_type),
            SeqColumn(range.first_seq),
            SeqColumn(range.last_seq),
            range.targets
        ])?;
    }
    Ok(())
}

pub(super) async fn finish(store: &SqliteStore, lease: Lease<JobId>, event: JobEvent, failure: Option<String>) -> Result<ExportJob> {
    let now = store.clock.now();
    store
        .connections
        // With this commit the whole plan is on disk, too.
        .write(Durability::OnDisk, move |tx| -> Result<ExportJob> { Ok(end(tx, lease, event, failure.as_deref(), now)?) })
        .await
}

fn end(tx: &Transaction<'_>, lease: Lease<JobId>, event: JobEvent, failure: Option<&str>, now: Instant) -> crate::error::Result<ExportJob> {
    let row = hold(tx, lease, now)?;
    let from = row.job.state;
    let to = from.transition(event).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = InstantColumn(now.plus_ms(BULK_KEPT_MS));
    tx.prepare_cached(END)?.execute(params![row.number, from.stored(), to.stored(), InstantColumn(now), expires_on, failure])?;
    if to != JobState::Successful {
        // Half a plan is no export.
        tx.prepare_cached(DELETE_FILES)?.execute([row.number])?;
    }
    export_job::job(tx, row.number)
}

impl SqliteStore {
    /// What an export takes; `None`: everything.
    pub(super) async fn filter_of(&self, number: i64, job: &ExportJob) -> Result<Option<Arc<ExportFilter>>> {
        if !job.selection.is_filtered() {
            return Ok(None);
        }
        if let Some(filter) = self.export_filters.known(number) {
            return Ok(Some(filter));
        }
        let job = job.clone();
        let filter = Arc::new(self.connections.read(move |tx| export_filter::make(tx, &job)).await?);
        self.export_filters.keep(number, &filter);
        Ok(Some(filter))
    }
}
