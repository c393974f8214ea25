//! A purge job, read from its rows.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{LocalBases, ResourceType};
use lethe_jobs::JobState;
use lethe_purge::{Counts, Phase, PurgeLevel, Selection, selection::UnknownLevel};
use lethe_store::{BatchFailure, BatchTally, HoldId, JobId, PurgeJob, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    columns::{InstantColumn, SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_JOB: &str = include_str!("../../sql/purge/job_columns_by_number.sql");
const SELECT_COUNTS: &str = include_str!("../../sql/purge/counts_by_type.sql");
const SELECT_TALLY: &str = include_str!("../../sql/purge/batch_tally.sql");
const SELECT_FAILED: &str = include_str!("../../sql/purge/failed_batches.sql");
const SELECT_MET_HOLDS: &str = include_str!("../../sql/purge/met_holds.sql");
const SELECT_NUMBER: &str = include_str!("../../sql/purge/job_number_by_id.sql");

const SELECT_NUMBER_OF_ANY: &str = include_str!("../../sql/purge/job_number_of_any_owner.sql");

/// The row of a job, with what only the store needs.
#[derive(Clone, Debug)]
pub(super) struct JobRow {
    /// Its key within this store.
    pub number: i64,
    /// The job; counts, batches and failures are not filled in.
    pub job: PurgeJob,
    /// Its current fence.
    pub fence: u64,
    /// Whether the companions have been looked at once more since the last target had its outcome.
    pub companions_prepared: bool,
}

/// The key of a job that `owner` may see.
pub(super) fn number_of(connection: &Connection, owner: &Scope, job_id: JobId) -> Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let mut statement = connection.prepare_cached(SELECT_NUMBER)?;
    Ok(statement.query_row(params![job_id, owner.client_id().0, account], |row| row.get(0)).optional()?)
}

/// The row of a job, whoever owns it: for the operator.
pub(super) fn of_any_owner(connection: &Connection, job_id: JobId) -> Result<Option<JobRow>> {
    let number = connection.prepare_cached(SELECT_NUMBER_OF_ANY)?.query_row([job_id], |row| row.get(0)).optional()?;
    number.map(|number| row(connection, number)).transpose()
}

/// The row of a job.
pub(super) fn row(connection: &Connection, number: i64) -> Result<JobRow> {
    let mut statement = connection.prepare_cached(SELECT_JOB)?;
    statement.query_row([number], |row| Ok(read_row(row)))?.map_err(Into::into)
}

/// The job with its counts, batches and failures.
pub(super) fn job(connection: &Connection, number: i64) -> Result<PurgeJob> {
    let JobRow { mut job, .. } = row(connection, number)?;
    if job.initialized_on.is_none() {
        // A plan that is not sealed says nothing yet.
        return Ok(job);
    }
    let mut counts = connection.prepare_cached(SELECT_COUNTS)?;
    job.counts = counts
        .query_map([number], |row| {
            let counts = Counts { planned: row.get(1)?, deleted: row.get(2)?, spared: row.get(3)?, held: row.get(4)?, failed: row.get(5)? };
            Ok((row.get::<_, TypeColumn>(0)?.0, counts))
        })?
        .collect::<rusqlite::Result<_>>()?;
    job.batches = connection
        .prepare_cached(SELECT_TALLY)?
        .query_row([number], |row| Ok(BatchTally { total: row.get(0)?, completed: row.get(1)?, failed: row.get(2)? }))?;
    job.holds = met_holds(connection, number)?;
    let mut failures = connection.prepare_cached(SELECT_FAILED)?;
    job.failures = failures
        .query_map(params![number, PurgeJob::FAILURES_MAX as i64], |row| {
            Ok(BatchFailure {
                batch: row.get(0)?,
                resource_type: row.get::<_, TypeColumn>(1)?.0,
                attempts: row.get(2)?,
                cause: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(job)
}

/// The holds that kept something from a job, oldest first.
pub(super) fn met_holds(connection: &Connection, number: i64) -> Result<Vec<HoldId>> {
    let mut statement = connection.prepare_cached(SELECT_MET_HOLDS)?;
    let holds = statement.query_map(params![number, PurgeJob::HOLDS_MAX as i64], |row| row.get(0))?;
    Ok(holds.collect::<rusqlite::Result<_>>()?)
}

fn read_row(row: &Row<'_>) -> std::result::Result<JobRow, StoreError> {
    let sql = crate::error::store_error;
    let client_id = ClientId(row.get(2).map_err(sql)?);
    let account: Option<i64> = row.get(3).map_err(sql)?;
    let owner = match account {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<String> = row.get(4).map_err(sql)?;
    let state: String = row.get(9).map_err(sql)?;
    let phase: String = row.get(10).map_err(sql)?;
    let instant = |column| row.get::<_, Option<InstantColumn>>(column).map(|instant| instant.map(|column| column.0)).map_err(sql);
    Ok(JobRow {
        number: row.get(0).map_err(sql)?,
        fence: row.get(17).map_err(sql)?,
        companions_prepared: row.get(18).map_err(sql)?,
        job: PurgeJob {
            job_id: row.get(1).map_err(sql)?,
            owner,
            selection: Selection {
                types: types.as_deref().map(read_types).transpose()?,
                before: instant(5)?,
                include_deleted: row.get(6).map_err(sql)?,
                level: read_level(&row.get::<_, String>(20).map_err(sql)?)?,
                filtered_types: read_filtered(row.get::<_, Option<String>>(21).map_err(sql)?)?,
            },
            bases: LocalBases::new(row.get::<_, String>(19).map_err(sql)?.split(' ')),
            reason: row.get(7).map_err(sql)?,
            watermark: row.get::<_, SeqColumn>(8).map_err(sql)?.0,
            state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            phase: phase.parse::<Phase>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            retry_count: row.get(11).map_err(sql)?,
            created_on: row.get::<_, InstantColumn>(12).map_err(sql)?.0,
            initialized_on: instant(13)?,
            last_updated: instant(14)?,
            completed_on: instant(15)?,
            counts: Vec::new(),
            batches: BatchTally::default(),
            holds: Vec::new(),
            failures: Vec::new(),
            failure: row.get(16).map_err(sql)?,
            has_question: row.get(22).map_err(sql)?,
        },
    })
}

/// Reads a level.
pub(super) fn read_level(stored: &str) -> std::result::Result<PurgeLevel, StoreError> {
    stored.parse().map_err(|unknown: UnknownLevel| StoreError::NotUnderstood(unknown.to_string()))
}

/// The types with conditions, as stored; none: null.
pub(super) fn write_filtered(types: &[ResourceType]) -> Option<String> {
    (!types.is_empty()).then(|| write_types(types))
}

/// Reads [`write_filtered`].
pub(super) fn read_filtered(stored: Option<String>) -> std::result::Result<Vec<ResourceType>, StoreError> {
    stored.as_deref().map_or(Ok(Vec::new()), read_types)
}

/// `_type` as stored: type codes with commas.
pub(crate) fn write_types(types: &[ResourceType]) -> String {
    types.iter().map(|resource_type| resource_type.code().to_string()).collect::<Vec<_>>().join(",")
}

/// Reads [`write_types`].
pub(crate) fn read_types(stored: &str) -> std::result::Result<Vec<ResourceType>, StoreError> {
    stored
        .split(',')
        .map(|code| code.parse().ok().and_then(ResourceType::from_code))
        .collect::<Option<_>>()
        .ok_or_else(|| StoreError::NotUnderstood(format!("type_ids = '{stored}'")))
}
