//! A purge job, read from its rows.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{LocalBases, ResourceType};
use lethe_jobs::JobState;
use lethe_purge::{Counts, Phase, PurgeLevel, Selection, selection::UnknownLevel};
use lethe_store::{BatchFailure, BatchTally, HoldId, JobId, PurgeJob, StoreError};
use tokio_postgres::Row;

use super::erase::Erasure;
use crate::{
    columns::{InstantColumn, TypeColumn, at_most, number, seq, small_number},
    error::Result,
    transaction::Tx,
};

const SELECT_JOB: &str = include_str!("../../sql/purge/job_columns_by_number.sql");
const LOCK_JOB: &str = include_str!("../../sql/purge/lock_job.sql");
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
    /// How far its bytes are out of the files.
    pub erasure: Erasure,
}

/// The key of a job that `owner` may see.
pub(super) async fn number_of(tx: &Tx, owner: &Scope, job_id: JobId) -> Result<Option<i64>> {
    let account = owner.account_id().map(|account_id| account_id.0);
    let row = tx.row_if_any(SELECT_NUMBER, &[&job_id, &owner.client_id().0, &account]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// The row of a job, whoever owns it: for the operator.
pub(super) async fn of_any_owner(tx: &Tx, job_id: JobId) -> Result<Option<JobRow>> {
    match tx.row_if_any(SELECT_NUMBER_OF_ANY, &[&job_id]).await? {
        Some(found) => Ok(Some(row(tx, found.try_get(0)?).await?)),
        None => Ok(None),
    }
}

/// The row of a job.
pub(super) async fn row(tx: &Tx, job_number: i64) -> Result<JobRow> {
    read_row(&tx.row(SELECT_JOB, &[&job_number]).await?)
}

/// The row of a job that nobody else can change until the transaction ends.
pub(super) async fn locked_row(tx: &Tx, job_number: i64) -> Result<JobRow> {
    tx.row(LOCK_JOB, &[&job_number]).await?;
    row(tx, job_number).await
}

/// The job with its counts, batches and failures.
pub(super) async fn job(tx: &Tx, job_number: i64) -> Result<PurgeJob> {
    let JobRow { mut job, .. } = row(tx, job_number).await?;
    if job.initialized_on.is_none() {
        // A plan that is not sealed says nothing yet.
        return Ok(job);
    }
    for row in tx.rows(SELECT_COUNTS, &[&job_number]).await? {
        let counts = Counts {
            planned: number(&row, 1)?,
            deleted: number(&row, 2)?,
            spared: number(&row, 3)?,
            held: number(&row, 4)?,
            failed: number(&row, 5)?,
        };
        job.counts.push((row.try_get::<_, TypeColumn>(0)?.0, counts));
    }
    let tally = tx.row(SELECT_TALLY, &[&job_number]).await?;
    job.batches = BatchTally { total: number(&tally, 0)?, completed: number(&tally, 1)?, failed: number(&tally, 2)? };
    job.holds = met_holds(tx, job_number).await?;
    for row in tx.rows(SELECT_FAILED, &[&job_number, &at_most(PurgeJob::FAILURES_MAX)]).await? {
        job.failures.push(BatchFailure {
            batch: number(&row, 0)?,
            resource_type: row.try_get::<_, TypeColumn>(1)?.0,
            attempts: small_number(&row, 2)?,
            cause: row.try_get(3)?,
        });
    }
    Ok(job)
}

/// The holds that kept something from a job, oldest first.
pub(super) async fn met_holds(tx: &Tx, job_number: i64) -> Result<Vec<HoldId>> {
    let rows = tx.rows(SELECT_MET_HOLDS, &[&job_number, &at_most(PurgeJob::HOLDS_MAX)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn read_row(row: &Row) -> Result<JobRow> {
    let client_id = ClientId(row.try_get(2)?);
    let owner = match row.try_get(3)? {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<&str> = row.try_get(4)?;
    let (state, phase): (&str, &str) = (row.try_get(9)?, row.try_get(10)?);
    let instant = |column| -> Result<_> { Ok(row.try_get::<_, Option<InstantColumn>>(column)?.map(|column| column.0)) };
    Ok(JobRow {
        number: row.try_get(0)?,
        fence: number(row, 17)?,
        companions_prepared: row.try_get(18)?,
        erasure: Erasure::read(row.try_get(22)?)?,
        job: PurgeJob {
            job_id: row.try_get(1)?,
            owner,
            selection: Selection {
                types: types.map(read_types).transpose()?,
                before: instant(5)?,
                include_deleted: row.try_get(6)?,
                level: read_level(row.try_get(20)?)?,
                filtered_types: read_filtered(row.try_get(21)?)?,
            },
            bases: LocalBases::new(row.try_get::<_, &str>(19)?.split(' ')),
            reason: row.try_get(7)?,
            watermark: seq(row, 8)?,
            state: state.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            phase: phase.parse::<Phase>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
            retry_count: small_number(row, 11)?,
            created_on: row.try_get::<_, InstantColumn>(12)?.0,
            initialized_on: instant(13)?,
            last_updated: instant(14)?,
            completed_on: instant(15)?,
            counts: Vec::new(),
            batches: BatchTally::default(),
            holds: Vec::new(),
            failures: Vec::new(),
            failure: row.try_get(16)?,
            has_question: row.try_get(23)?,
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
pub(super) fn read_filtered(stored: Option<&str>) -> std::result::Result<Vec<ResourceType>, StoreError> {
    stored.map_or(Ok(Vec::new()), read_types)
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
