//! A part of a file of an export, read from the versions themselves.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::ResourceType;
use lethe_jobs::JobState;
use lethe_purge::Seq;
use lethe_search::export::ExportFilter;
use lethe_store::{ExportFileKind, ExportJob, ExportPage, JobId, StoredVersion};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Result,
    export_filter::{self, takes},
    export_job::{self, read_kind},
    export_work::since_of,
};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    resources::RowVersion,
};

const SELECT_FILE: &str = include_str!("../../sql/bulk/export_file.sql");
const SELECT_VERSIONS: &str = include_str!("../../sql/bulk/versions_to_export.sql");

/// A part is full at so many versions or bytes of content, or when so many have been looked at, whichever comes first.
const PAGE_VERSIONS: usize = 500;
const PAGE_BYTES: usize = 1 << 20;
const LOOKED_AT_MAX: usize = 2_000;

pub(super) async fn page(store: &SqliteStore, owner: Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
    let now = store.clock.now();
    let found = store
        .connections
        .read(move |tx| {
            let Some(number) = export_job::number_of(tx, &owner, job_id, now)? else { return Ok(None) };
            let job = export_job::row(tx, number)?.job;
            // The numbers of a plan that is being made may yet mean other files.
            if job.state != JobState::Successful {
                return Ok(None);
            }
            Ok(find_file(tx, number, file)?.map(|file| (number, job, file)))
        })
        .await?;
    let Some((number, job, file)) = found else { return Ok(None) };
    if file.kind == ExportFileKind::Issues {
        let issues = store.connections.read(move |tx| export_filter::issues(tx, &job)).await?;
        return Ok(Some(ExportPage { kind: file.kind, versions: Vec::new(), issues, next: None }));
    }
    let filter = store.filter_of(number, &job).await?;
    let range = Range { after: after.max(Seq(file.first.0 - 1)), ..file.range() };
    let (versions, next) = store
        .connections
        .read(move |tx| {
            let (mut versions, mut bytes) = (Vec::new(), 0);
            let next = scan(tx, &job, range, filter.as_deref(), |version| {
                bytes += version.body.as_ref().map_or(0, |body| body.as_bytes().len());
                versions.push(version);
                versions.len() < PAGE_VERSIONS && bytes < PAGE_BYTES
            })?;
            Ok((versions, next))
        })
        .await?;
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

fn find_file(connection: &Connection, number: i64, file: u64) -> crate::error::Result<Option<File>> {
    let found = connection
        .prepare_cached(SELECT_FILE)?
        .query_row(params![number, file], |row| {
            let seq = |column| row.get::<_, SeqColumn>(column).map(|column| column.0);
            Ok((row.get::<_, String>(0)?, AccountId(row.get(1)?), row.get::<_, TypeColumn>(2)?.0, seq(3)?, seq(4)?))
        })
        .optional()?;
    let Some((kind, account_id, resource_type, first, last)) = found else { return Ok(None) };
    Ok(Some(File { kind: read_kind(&kind)?, account_id, resource_type, first, last }))
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
pub(super) fn scan(
    connection: &Connection,
    job: &ExportJob,
    range: Range,
    filter: Option<&ExportFilter>,
    mut take: impl FnMut(StoredVersion) -> bool,
) -> crate::error::Result<Option<Seq>> {
    let mut statement = connection.prepare_cached(SELECT_VERSIONS)?;
    let mut rows = statement.query(params![
        range.account_id.0,
        TypeColumn(range.resource_type),
        SeqColumn(range.after),
        SeqColumn(range.last),
        SeqColumn(job.watermark),
        InstantColumn(since_of(job)),
        range.kind == ExportFileKind::Deletions,
        LOOKED_AT_MAX as i64
    ])?;
    let (mut looked_at, mut last) = (0, range.after);
    while let Some(row) = rows.next()? {
        let version = RowVersion::read(row)?.into_stored(range.account_id, range.resource_type)?;
        looked_at += 1;
        last = version.seq;
        let is_taken = match filter {
            None => true,
            Some(filter) => {
                takes(filter, &version, row.get_ref(7)?.as_blob_or_null().map_err(rusqlite::Error::from)?, &job.selection.bases)?
            }
        };
        if is_taken && !take(version) {
            return Ok(Some(last));
        }
    }
    Ok((looked_at == LOOKED_AT_MAX).then_some(last))
}
