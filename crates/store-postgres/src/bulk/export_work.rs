//! The steps of an export: claim, plan, finish. Rows of versions are read, never written.

use std::{future::Future, sync::Arc};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{JobEvent, JobState, Lease};
use lethe_purge::{
    Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
};
use lethe_search::export::ExportFilter;
use lethe_store::{BULK_KEPT_MS, ClaimedExport, ExportFileKind, ExportJob, ExportTask, JobId, StoreError};

use super::{
    Result, export_filter,
    export_job::{self, ExportRow, stored_kind},
    export_page::{Range, scan},
};
use crate::{
    PostgresStore, claim,
    columns::{InstantColumn, NumberColumn, SeqColumn, TypeColumn, at_most, seq},
    connections::Durability,
    lease_times::LeaseTimes,
    resources::{ACCOUNT_FIRST, accounts_of, types_of},
    transaction::Tx,
};

const GIVE_BACK: &str = include_str!("../../sql/bulk/give_back_export.sql");
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

pub(super) async fn claim(store: &PostgresStore) -> Result<Option<ClaimedExport>> {
    let times = store.lease_times();
    Ok(store.work.write(Durability::OnDisk, |tx| claim_in(tx, times)).await?)
}

async fn claim_in(tx: Tx, times: LeaseTimes) -> crate::error::Result<Option<ClaimedExport>> {
    let Some((number, fence)) = claim::oldest(&tx, CLAIM, times).await? else { return Ok(None) };
    let ExportRow { job, .. } = export_job::row(&tx, number).await?;
    Ok(Some(ClaimedExport { lease: Lease { job_id: job.job_id, fence }, job }))
}

/// Renews the lease and reads the job, or fails with `LeaseLost`, before anything else of the transaction happens (INV-3).
async fn hold(tx: &Tx, lease: Lease<JobId>, times: LeaseTimes) -> crate::error::Result<ExportRow> {
    let renewed = tx.row_if_any(RENEW, &[&lease.job_id, &NumberColumn(lease.fence.0), &InstantColumn(times.ends)]).await?;
    export_job::row(tx, renewed.ok_or(StoreError::LeaseLost)?.try_get(0)?).await
}

async fn write_under<T, F, Done>(store: &PostgresStore, lease: Lease<JobId>, work: F) -> Result<T>
where
    F: Fn(Tx, ExportRow) -> Done,
    Done: Future<Output = crate::error::Result<T>>,
{
    let (times, work) = (store.lease_times(), &work);
    let step = |tx: Tx| async move {
        let row = hold(&tx, lease, times).await?;
        work(tx, row).await
    };
    Ok(store.work.write(Durability::InOrder, step).await?)
}

pub(super) async fn begin(store: &PostgresStore, lease: Lease<JobId>) -> Result<Vec<ExportTask>> {
    let row = write_under(store, lease, |_, row| async move { Ok(row) }).await?;
    let job = &row.job;
    let issues = store.work.read(|tx| async move { export_filter::issues(&tx, job).await }).await?.len() as u64;
    let filter = store.filter_of(row.number, job).await?;
    let filter = filter.as_ref();
    write_under(store, lease, |tx, row| async move {
        tx.execute(DELETE_FILES, &[&row.number]).await?;
        if issues > 0 {
            insert_issues(&tx, &row, issues).await?;
        }
        let selected = row.job.selection.types.as_deref();
        let mut tasks = Vec::new();
        for account_id in accounts_of(&tx, &row.job.owner, ACCOUNT_FIRST).await? {
            let types = types_of(&tx, account_id).await?.into_iter();
            let can_be_taken = |resource_type: &ResourceType| filter.is_none_or(|filter| filter.can_take(*resource_type));
            let is_selected =
                |resource_type: &ResourceType| selected.is_none_or(|types| types.contains(resource_type)) && can_be_taken(resource_type);
            tasks.extend(types.filter(is_selected).map(|resource_type| ExportTask { account_id, resource_type }));
        }
        Ok(tasks)
    })
    .await
}

pub(super) async fn plan(store: &PostgresStore, lease: Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<()> {
    let row = write_under(store, lease, |tx, row| async move {
        // What an attempt that failed has left.
        tx.execute(DELETE_FILES_OF_TYPE, &[&row.number, &task.account_id.0, &TypeColumn(task.resource_type)]).await?;
        Ok(row)
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
    store: &PostgresStore,
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
        let ranges = &ranges;
        write_under(store, lease, |tx, row| async move { insert_files(&tx, row.number, task.account_id, kind, ranges).await }).await?;
    }
    Ok(())
}

/// The next places of what is exported, and where to go on.
async fn chosen(
    store: &PostgresStore,
    row: &ExportRow,
    task: ExportTask,
    kind: ExportFileKind,
    start: Seq,
) -> Result<(Vec<Seq>, Option<Seq>)> {
    let job = &row.job;
    let Some(filter) = store.filter_of(row.number, job).await? else {
        let seqs = store.work.read(|tx| current_at_watermark(tx, job, task, kind, start)).await?;
        let next = (seqs.len() == SCAN_MAX).then(|| seqs.last().copied()).flatten();
        return Ok((seqs, next));
    };
    let ExportTask { account_id, resource_type } = task;
    let range = Range { account_id, resource_type, after: start, last: job.watermark, kind };
    let look = |tx: Tx| async move {
        let mut seqs = Vec::new();
        let next = scan(&tx, job, range, Some(&filter), |version| {
            seqs.push(version.seq);
            true
        })
        .await?;
        Ok((seqs, next))
    };
    store.work.read(look).await
}

/// The next places of a type whose version was current at the watermark: found without a look at any content.
async fn current_at_watermark(
    tx: Tx,
    job: &ExportJob,
    task: ExportTask,
    kind: ExportFileKind,
    after: Seq,
) -> crate::error::Result<Vec<Seq>> {
    let (type_id, deletions) = (TypeColumn(task.resource_type), kind == ExportFileKind::Deletions);
    let (after, watermark, since) = (SeqColumn(after), SeqColumn(job.watermark), InstantColumn(since_of(job)));
    let rows = tx.rows(SELECT_SEQS, &[&task.account_id.0, &type_id, &after, &watermark, &since, &deletions, &at_most(SCAN_MAX)]).await?;
    rows.iter().map(|row| seq(row, 0)).collect()
}

/// What was last updated after this is exported.
pub(super) fn since_of(job: &ExportJob) -> Instant {
    job.selection.since.unwrap_or(Instant::from_unix_ms(i64::MIN))
}

/// The file of what could not be exported. It is of no range: its lines are found anew when it is fetched.
async fn insert_issues(tx: &Tx, row: &ExportRow, issues: u64) -> crate::error::Result<()> {
    let account = row.job.owner.account_id().unwrap_or(ACCOUNT_FIRST);
    let (kind, no_type) = (stored_kind(ExportFileKind::Issues), TypeColumn(ResourceType::PATIENT));
    tx.execute(INSERT_FILE, &[&row.number, &1_i64, &kind, &account.0, &no_type, &1_i64, &1_i64, &NumberColumn(issues)]).await?;
    Ok(())
}

async fn insert_files(
    tx: &Tx,
    number: i64,
    account_id: AccountId,
    kind: ExportFileKind,
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let last: i64 = tx.row(SELECT_LAST_FILE, &[&number]).await?.try_get(0)?;
    for (file, range) in (last + 1..).zip(ranges) {
        let (first, last, resources) = (SeqColumn(range.first_seq), SeqColumn(range.last_seq), NumberColumn(range.targets));
        let type_id = TypeColumn(range.resource_type);
        tx.execute(INSERT_FILE, &[&number, &file, &stored_kind(kind), &account_id.0, &type_id, &first, &last, &resources]).await?;
    }
    Ok(())
}

/// As [`lethe_store::ExportWork::give_back_export`]. Whoever has it by now keeps it.
pub(super) async fn give_back(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    let give_back = |tx: Tx| async move { tx.execute(GIVE_BACK, &[&lease.job_id, &NumberColumn(lease.fence.0)]).await.map(drop) };
    Ok(store.work.write(Durability::InOrder, give_back).await?)
}

pub(super) async fn finish(store: &PostgresStore, lease: Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ExportJob> {
    let times = store.lease_times();
    // With this commit the whole plan is on disk, too.
    Ok(store.work.write(Durability::OnDisk, |tx| end(tx, lease, event, failure, times)).await?)
}

async fn end(tx: Tx, lease: Lease<JobId>, event: JobEvent, failure: Option<&str>, times: LeaseTimes) -> crate::error::Result<ExportJob> {
    let row = hold(&tx, lease, times).await?;
    let now = times.now;
    let from = row.job.state;
    let to = from.transition(event).map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
    let expires_on = InstantColumn(now.plus_ms(BULK_KEPT_MS));
    tx.execute(END, &[&row.number, &from.stored(), &to.stored(), &InstantColumn(now), &expires_on, &failure]).await?;
    if to != JobState::Successful {
        // Half a plan is no export.
        tx.execute(DELETE_FILES, &[&row.number]).await?;
    }
    export_job::job(&tx, row.number).await
}

impl PostgresStore {
    /// What an export takes; `None`: everything.
    pub(super) async fn filter_of(&self, number: i64, job: &ExportJob) -> Result<Option<Arc<ExportFilter>>> {
        if !job.selection.is_filtered() {
            return Ok(None);
        }
        if let Some(filter) = self.export_filters.known(number) {
            return Ok(Some(filter));
        }
        let filter = Arc::new(self.connections.read(|tx| async move { export_filter::make(&tx, job).await }).await?);
        self.export_filters.keep(number, &filter);
        Ok(Some(filter))
    }
}
