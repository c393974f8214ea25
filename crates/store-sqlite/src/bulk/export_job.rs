//! An export job, read from its rows.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{Instant, LocalBases, LogicalId};
use lethe_jobs::JobState;
use lethe_search::export::{ExportLevel, ExportQuestion};
use lethe_store::{ExportFile, ExportFileKind, ExportJob, ExportSelection, JobId, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    columns::{InstantColumn, SeqColumn, TypeColumn},
    error::Result,
    purge::read_types,
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
    /// Its current fence.
    pub fence: u64,
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
pub(super) fn number_of(connection: &Connection, owner: &Scope, job_id: JobId, now: Instant) -> Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let mut statement = connection.prepare_cached(SELECT_NUMBER)?;
    Ok(statement.query_row(params![job_id, owner.client_id().0, account, InstantColumn(now)], |row| row.get(0)).optional()?)
}

/// The row of a job.
pub(super) fn row(connection: &Connection, number: i64) -> Result<ExportRow> {
    let mut statement = connection.prepare_cached(SELECT_JOB)?;
    statement.query_row([number], |row| Ok(read_row(row)))?.map_err(Into::into)
}

/// The job with its files.
pub(super) fn job(connection: &Connection, number: i64) -> Result<ExportJob> {
    let ExportRow { mut job, .. } = row(connection, number)?;
    let mut statement = connection.prepare_cached(SELECT_FILES)?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        job.files.push(ExportFile {
            file: row.get(0)?,
            kind: read_kind(&row.get::<_, String>(1)?)?,
            account_id: AccountId(row.get(2)?),
            resource_type: row.get::<_, TypeColumn>(3)?.0,
            resources: row.get(4)?,
        });
    }
    Ok(job)
}

fn read_row(row: &Row<'_>) -> std::result::Result<ExportRow, StoreError> {
    let sql = crate::error::store_error;
    let client_id = ClientId(row.get(2).map_err(sql)?);
    let account: Option<i64> = row.get(3).map_err(sql)?;
    let owner = match account {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<String> = row.get(4).map_err(sql)?;
    let question: Option<String> = row.get(16).map_err(sql)?;
    let question = match question {
        None => ExportQuestion::default(),
        Some(stored) => {
            ExportQuestion::from_stored(&stored).ok_or_else(|| StoreError::NotUnderstood("export_question.question".to_owned()))?
        }
    };
    let level: String = row.get(14).map_err(sql)?;
    let bases: String = row.get(15).map_err(sql)?;
    let state: String = row.get(8).map_err(sql)?;
    let instant = |column| row.get::<_, Option<InstantColumn>>(column).map(|instant| instant.map(|column| column.0)).map_err(sql);
    Ok(ExportRow {
        number: row.get(0).map_err(sql)?,
        fence: row.get(13).map_err(sql)?,
        job: ExportJob {
            job_id: row.get(1).map_err(sql)?,
            owner,
            selection: ExportSelection {
                level: read_level(&level, question.group)?,
                patients: question.patients,
                types: types.as_deref().map(read_types).transpose()?,
                since: instant(5)?,
                type_filters: question.type_filters,
                bases: LocalBases::new(bases.split(' ')),
            },
            watermark: row.get::<_, SeqColumn>(6).map_err(sql)?.0,
            transaction_time: row.get::<_, InstantColumn>(7).map_err(sql)?.0,
            state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            created_on: row.get::<_, InstantColumn>(9).map_err(sql)?.0,
            completed_on: instant(10)?,
            expires_on: instant(11)?,
            files: Vec::new(),
            failure: row.get(12).map_err(sql)?,
        },
    })
}
