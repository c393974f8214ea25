//! A part of a file of an export, read from the versions themselves.

use lethe_auth::{AccountId, Scope};
use lethe_jobs::JobState;
use lethe_purge::Seq;
use lethe_store::{ExportFileKind, ExportPage, JobId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Result,
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

/// A part is full at so many versions or bytes of content, whichever comes first.
const PAGE_VERSIONS: usize = 500;
const PAGE_BYTES: usize = 1 << 20;

pub(super) async fn page(store: &SqliteStore, owner: Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>> {
    let now = store.clock.now();
    store
        .connections
        .read(move |tx| {
            let Some(number) = export_job::number_of(tx, &owner, job_id, now)? else { return Ok(None) };
            read(tx, number, file, after)
        })
        .await
}

fn read(tx: &Transaction<'_>, number: i64, file: u64, after: Seq) -> crate::error::Result<Option<ExportPage>> {
    let job = export_job::row(tx, number)?.job;
    // The numbers of a plan that is being made may yet mean other files.
    if job.state != JobState::Successful {
        return Ok(None);
    }
    let found = tx
        .prepare_cached(SELECT_FILE)?
        .query_row(params![number, file], |row| {
            let range = (row.get::<_, SeqColumn>(3)?.0, row.get::<_, SeqColumn>(4)?.0);
            Ok((row.get::<_, String>(0)?, AccountId(row.get(1)?), row.get::<_, TypeColumn>(2)?.0, range))
        })
        .optional()?;
    let Some((kind, account_id, resource_type, (first, last))) = found else { return Ok(None) };
    let kind = read_kind(&kind)?;
    let after = after.max(Seq(first.0 - 1));
    let mut statement = tx.prepare_cached(SELECT_VERSIONS)?;
    let mut rows = statement.query(params![
        account_id.0,
        TypeColumn(resource_type),
        SeqColumn(after),
        SeqColumn(last),
        SeqColumn(job.watermark),
        InstantColumn(since_of(&job)),
        kind == ExportFileKind::Deletions,
        PAGE_VERSIONS as i64
    ])?;
    let mut page = ExportPage { kind, versions: Vec::new(), next: None };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let version = RowVersion::read(row)?.into_stored(account_id, resource_type)?;
        bytes += version.body.as_ref().map_or(0, |body| body.as_bytes().len());
        page.next = Some(version.seq);
        page.versions.push(version);
        if bytes >= PAGE_BYTES {
            return Ok(Some(page));
        }
    }
    if page.versions.len() < PAGE_VERSIONS {
        page.next = None;
    }
    Ok(Some(page))
}
