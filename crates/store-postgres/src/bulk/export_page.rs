//! A part of a file of an export, read from the versions themselves.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::ResourceType;
use lethe_jobs::JobState;
use lethe_purge::Seq;
use lethe_search::export::ExportFilter;
use lethe_store::{ExportFileKind, ExportJob, ExportPage, JobId, StoredVersion};

use super::{
    Result,
    export_filter::{self, takes},
    export_job::{self, read_kind},
    export_work::since_of,
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, SeqColumn, TypeColumn, at_most, seq},
    index_columns::IndexValuesColumn,
    resources::RowVersion,
    transaction::{ROWS_AT_A_TIME, Tx},
};

const SELECT_FILE: &str = include_str!("../../sql/bulk/export_file.sql");
const SELECT_VERSIONS: &str = include_str!("../../sql/bulk/versions_to_export.sql");

/// A part is full at so many versions or bytes of content, or when so many have been looked at, whichever comes first.
const PAGE_VERSIONS: usize = 500;
const PAGE_BYTES: usize = 1 << 20;
const LOOKED_AT_MAX: usize = 2_000;

pub(super) async fn page(store: &PostgresStore, owner: &Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
    let now = store.clock.now();
    let look = |tx: Tx| async move {
        let Some(number) = export_job::number_of(&tx, owner, job_id, now).await? else { return Ok(None) };
        let job = export_job::row(&tx, number).await?.job;
        // The numbers of a plan that is being made may yet mean other files.
        if job.state != JobState::Successful {
            return Ok(None);
        }
        Ok(find_file(&tx, number, file).await?.map(|file| (number, job, file)))
    };
    let Some((number, job, file)) = store.connections.read(look).await? else { return Ok(None) };
    if file.kind == ExportFileKind::Issues {
        let issues = store.connections.read(|tx| async move { export_filter::issues(&tx, &job).await }).await?;
        return Ok(Some(ExportPage { kind: file.kind, versions: Vec::new(), issues, next: None }));
    }
    let filter = store.filter_of(number, &job).await?;
    let range = Range { after: after.max(Seq(file.first.0 - 1)), ..file.range() };
    let fill = |tx: Tx| async move {
        let (mut versions, mut bytes) = (Vec::new(), 0);
        let next = scan(&tx, &job, range, filter.as_deref(), |version| {
            bytes += version.body.as_ref().map_or(0, |body| body.as_bytes().len());
            versions.push(version);
            versions.len() < PAGE_VERSIONS && bytes < PAGE_BYTES
        })
        .await?;
        Ok((versions, next))
    };
    let (versions, next) = store.connections.read(fill).await?;
    Ok(Some(ExportPage { kind: file.kind, versions, issues: Vec::new(), next }))
}

/// A row of `export_file`.
#[derive(Clone, Copy)]
struct File {
    kind: ExportFileKind,
    account_id: AccountId,
    resource_type: ResourceType,
    first: Seq,
    last: Seq,
}

impl File {
    fn range(self) -> Range {
        Range { account_id: self.account_id, resource_type: self.resource_type, after: Seq(0), last: self.last, kind: self.kind }
    }
}

async fn find_file(tx: &Tx, number: i64, file: u64) -> crate::error::Result<Option<File>> {
    // A number that is greater than any that is stored is one of no file.
    let Ok(file) = i64::try_from(file) else { return Ok(None) };
    let Some(row) = tx.row_if_any(SELECT_FILE, &[&number, &file]).await? else { return Ok(None) };
    Ok(Some(File {
        kind: read_kind(row.try_get(0)?)?,
        account_id: AccountId(row.try_get(1)?),
        resource_type: row.try_get::<_, TypeColumn>(2)?.0,
        first: seq(&row, 3)?,
        last: seq(&row, 4)?,
    }))
}

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub account_id: AccountId,
    pub resource_type: ResourceType,
    /// Only behind this place.
    pub after: Seq,
    /// And not behind this one.
    pub last: Seq,
    /// Resources or deletions.
    pub kind: ExportFileKind,
}

/// Gives each version of a range that is exported to `take`, until that returns `false` or enough were looked at; then tells where to go on.
pub(super) async fn scan(
    tx: &Tx,
    job: &ExportJob,
    range: Range,
    filter: Option<&ExportFilter>,
    mut take: impl FnMut(StoredVersion) -> bool,
) -> crate::error::Result<Option<Seq>> {
    let (account, type_id) = (range.account_id.0, TypeColumn(range.resource_type));
    let (until, watermark, since) = (SeqColumn(range.last), SeqColumn(job.watermark), InstantColumn(since_of(job)));
    let deletions = range.kind == ExportFileKind::Deletions;
    let (mut looked_at, mut last) = (0, range.after);
    while looked_at < LOOKED_AT_MAX {
        let after = SeqColumn(last);
        let rows = tx
            .rows(SELECT_VERSIONS, &[&account, &type_id, &after, &until, &watermark, &since, &deletions, &at_most(ROWS_AT_A_TIME)])
            .await?;
        for row in &rows {
            let version = RowVersion::read(row)?.into_stored(range.account_id, range.resource_type)?;
            looked_at += 1;
            last = version.seq;
            let is_taken = match filter {
                None => true,
                Some(filter) => takes(
                    filter,
                    &version,
                    row.try_get::<_, Option<IndexValuesColumn>>(7)?.as_ref().map(|kept| &kept.0),
                    &job.selection.bases,
                )?,
            };
            if is_taken && !take(version) {
                return Ok(Some(last));
            }
        }
        if rows.len() < ROWS_AT_A_TIME {
            return Ok(None);
        }
    }
    Ok(Some(last))
}
