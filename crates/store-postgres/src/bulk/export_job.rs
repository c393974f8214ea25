//! An export job, read from its rows.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{Instant, LocalBases, LogicalId};
use lethe_jobs::JobState;
use lethe_search::export::{ExportLevel, ExportQuestion};
use lethe_store::{ExportFile, ExportFileKind, ExportJob, ExportSelection, JobId, StoreError};
use tokio_postgres::Row;

use crate::{
    columns::{InstantColumn, TypeColumn, number, seq},
    error::Result,
    purge::read_types,
    transaction::Tx,
};

const SELECT_NUMBER: &str = include_str!("../../sql/bulk/export_number.sql");
const SELECT_JOB: &str = include_str!("../../sql/bulk/export_columns.sql");
const SELECT_FILES: &str = include_str!("../../sql/bulk/export_files.sql");

/// The row of a job, with what only the store needs.
#[derive(Clone, Debug)]
pub(super) struct ExportRow {
    /// Its key within this store.
    pub number: i64,
    /// The job; its files are not filled in.
    pub job: ExportJob,
}

/// The word in storage.
pub(super) fn stored_kind(kind: ExportFileKind) -> &'static str {
    match kind {
        ExportFileKind::Resources => "resources",
        ExportFileKind::Deletions => "deletions",
        ExportFileKind::Issues => "issues",
    }
}

/// Reads [`stored_kind`].
pub(super) fn read_kind(stored: &str) -> std::result::Result<ExportFileKind, StoreError> {
    match stored {
        "resources" => Ok(ExportFileKind::Resources),
        "deletions" => Ok(ExportFileKind::Deletions),
        "issues" => Ok(ExportFileKind::Issues),
        other => Err(StoreError::NotUnderstood(format!("export_file.kind = '{other}'"))),
    }
}

/// The word in storage, and what is kept apart from it.
pub(super) fn stored_level(selection: &ExportSelection) -> (&'static str, ExportQuestion) {
    let (level, group) = match &selection.level {
        ExportLevel::System => ("system", None),
        ExportLevel::Patient => ("patient", None),
        ExportLevel::Group(id) => ("group", Some(id.clone())),
    };
    (level, ExportQuestion { group, patients: selection.patients.clone(), type_filters: selection.type_filters.clone() })
}

fn read_level(stored: &str, group: Option<LogicalId>) -> std::result::Result<ExportLevel, StoreError> {
    match (stored, group) {
        ("system", None) => Ok(ExportLevel::System),
        ("patient", None) => Ok(ExportLevel::Patient),
        ("group", Some(id)) => Ok(ExportLevel::Group(id)),
        (other, _) => Err(StoreError::NotUnderstood(format!("export_job.level = '{other}'"))),
    }
}

/// The key of a job that `owner` may see and whose time is not over.
pub(super) async fn number_of(tx: &Tx, owner: &Scope, job_id: JobId, now: Instant) -> Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let row = tx.row_if_any(SELECT_NUMBER, &[&job_id, &owner.client_id().0, &account, &InstantColumn(now)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// The row of a job; [`StoreError::LeaseLost`] if it has been removed.
pub(super) async fn row(tx: &Tx, number: i64) -> Result<ExportRow> {
    read_row(&tx.row_if_any(SELECT_JOB, &[&number]).await?.ok_or(StoreError::LeaseLost)?)
}

/// The job with its files.
pub(super) async fn job(tx: &Tx, number: i64) -> Result<ExportJob> {
    let ExportRow { mut job, .. } = row(tx, number).await?;
    for row in tx.rows(SELECT_FILES, &[&number]).await? {
        job.files.push(ExportFile {
            file: self::number(&row, 0)?,
            kind: read_kind(row.try_get(1)?)?,
            account_id: AccountId(row.try_get(2)?),
            resource_type: row.try_get::<_, TypeColumn>(3)?.0,
            resources: self::number(&row, 4)?,
        });
    }
    Ok(job)
}

fn read_row(row: &Row) -> Result<ExportRow> {
    let client_id = ClientId(row.try_get(2)?);
    let owner = match row.try_get(3)? {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<&str> = row.try_get(4)?;
    let question = match row.try_get(15)? {
        None => ExportQuestion::default(),
        Some(stored) => {
            ExportQuestion::from_stored(stored).ok_or_else(|| StoreError::NotUnderstood("export_question.question".to_owned()))?
        }
    };
    let state: &str = row.try_get(8)?;
    let instant = |column| row.try_get::<_, Option<InstantColumn>>(column).map(|instant| instant.map(|column| column.0));
    Ok(ExportRow {
        number: row.try_get(0)?,
        job: ExportJob {
            job_id: row.try_get(1)?,
            owner,
            selection: ExportSelection {
                level: read_level(row.try_get(13)?, question.group)?,
                patients: question.patients,
                types: types.map(read_types).transpose()?,
                since: instant(5)?,
                type_filters: question.type_filters,
                bases: LocalBases::new(row.try_get::<_, &str>(14)?.split(' ')),
            },
            watermark: seq(row, 6)?,
            transaction_time: row.try_get::<_, InstantColumn>(7)?.0,
            state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            created_on: row.try_get::<_, InstantColumn>(9)?.0,
            completed_on: instant(10)?,
            expires_on: instant(11)?,
            files: Vec::new(),
            failure: row.try_get(12)?,
        },
    })
}
