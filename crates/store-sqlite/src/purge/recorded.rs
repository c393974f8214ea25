//! Purges on record, carried out again in an older copy: jobs of which each batch is a list of places.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{JobEvent, JobState};
use lethe_purge::{Seq, SeqSet};
use lethe_store::{Issuer, JobId, PurgeEnd, PurgeJob, RecordedPurge, RemovedPart, StoreError};
use rusqlite::{Connection, Transaction, params, types::Value};

use super::{
    audit,
    batch::Removed,
    control::change_state,
    digests::{self, Names},
    finish,
    job::{self, JobRow},
    listed, plan, question, removed,
};
use crate::{
    columns::{InstantColumn, KIND_DELETE, SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_PART: &str = include_str!("../../sql/purge/removed_part.sql");
const IS_CURRENT: &str = include_str!("../../sql/purge/is_current_at.sql");
const DELETE_AT: &str = include_str!("../../sql/purge/delete_version_at.sql");
const SELECT_DONE: &str = include_str!("../../sql/purge/recorded_parts_done.sql");
const SELECT_UNRECORDED: &str = include_str!("../../sql/recovery/unrecorded_jobs.sql");
const SELECT_IN_PROGRESS: &str = include_str!("../../sql/recovery/jobs_in_progress.sql");
const INSERT_ADOPTED: &str = include_str!("../../sql/recovery/insert_adopted.sql");
const REQUEUE_ADOPTED: &str = include_str!("../../sql/recovery/requeue_adopted.sql");
const CLEAR_UNFINISHED: &str = include_str!("../../sql/recovery/clear_unfinished_batches.sql");
const INSERT_BATCH: &str = include_str!("../../sql/recovery/insert_recorded_batch.sql");
const INSERT_PART: &str = include_str!("../../sql/recovery/insert_recorded_part.sql");
const PUT_DIGEST_KEY: &str = include_str!("../../sql/recovery/put_digest_key.sql");
const SELECT_LAST_BATCH: &str = include_str!("../../sql/purge/last_batch.sql");

/// The places of one account and type.
struct Places {
    account_id: AccountId,
    resource_type: ResourceType,
    seqs: SeqSet,
}

/// Those of them at which a resource has its current version.
fn current(tx: &Connection, places: &Places) -> Result<Vec<Seq>> {
    let mut is_current = tx.prepare_cached(IS_CURRENT)?;
    let mut current = Vec::new();
    for seq in places.seqs.iter() {
        if is_current.query_row(params![places.account_id.0, TypeColumn(places.resource_type), SeqColumn(seq)], |row| row.get(0))? {
            current.push(seq);
        }
    }
    Ok(current)
}

/// Removes the resources of one batch, each with all its versions. One that got a later version in this history is none of them.
pub(super) fn remove(tx: &Transaction<'_>, job: &JobRow, batch: u64) -> Result<Removed> {
    let places = tx.prepare_cached(SELECT_PART)?.query_row(params![job.number, batch], |row| Ok(read_places(row)))??;
    let no_key = || StoreError::NotUnderstood("a job that runs without the key of its digests".to_owned());
    let digest_key = digests::key(tx, job.number)?.ok_or_else(no_key)?;
    let mut names = Names::of(places.account_id, places.resource_type);
    let mut delete = tx.prepare_cached(DELETE_AT)?;
    let mut removed = Removed::default();
    for seq in current(tx, &places)? {
        let mut next = Some(seq);
        while let Some(place) = next {
            let key = params![places.account_id.0, TypeColumn(places.resource_type), SeqColumn(place)];
            let (kind, previous, id): (u8, Option<SeqColumn>, Value) =
                delete.query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            if place == seq {
                removed.digests.push(digest_key.leaf(names.name((&id).into())?), place);
            }
            if place == seq && kind == KIND_DELETE {
                removed.deletions += 1;
            } else if place == seq {
                removed.live += 1;
            }
            removed.seqs.push(place);
            next = previous.map(|previous| previous.0);
        }
    }
    Ok(removed)
}

/// Resources of finished batches that are still there.
pub(super) fn undeleted(tx: &Connection, job: i64) -> Result<u64> {
    let mut statement = tx.prepare_cached(SELECT_DONE)?;
    let mut rows = statement.query([job])?;
    let mut left = 0;
    while let Some(row) = rows.next()? {
        left += current(tx, &read_places(row)?)?.len() as u64;
    }
    Ok(left)
}

fn read_places(row: &rusqlite::Row<'_>) -> Result<Places> {
    Ok(Places {
        account_id: AccountId(row.get(0)?),
        resource_type: row.get::<_, TypeColumn>(1)?.0,
        seqs: removed::read_set(&row.get::<_, Vec<u8>>(2)?)?,
    })
}

/// How many resources have their current version in a part.
pub(crate) fn count_current(tx: &Connection, part: &RemovedPart) -> Result<u64> {
    let places = Places { account_id: part.account_id, resource_type: part.resource_type, seqs: part.seqs.clone() };
    Ok(current(tx, &places)?.len() as u64)
}

pub(crate) fn is_in_progress(tx: &Connection, job_id: JobId) -> Result<bool> {
    Ok(job::of_any_owner(tx, job_id)?.is_some_and(|row| !row.job.state.is_ended()))
}

pub(crate) fn unrecorded(tx: &Connection) -> Result<Vec<PurgeJob>> {
    numbers(tx, SELECT_UNRECORDED)?.into_iter().map(|number| job::job(tx, number)).collect()
}

fn numbers(tx: &Connection, statement: &str) -> Result<Vec<i64>> {
    let mut statement = tx.prepare_cached(statement)?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Forgets the parts of a job, whoever owns it.
pub(crate) fn forget(tx: &Transaction<'_>, job_id: JobId) -> Result<()> {
    removed::clear(tx, known(tx, job_id)?.number)
}

fn known(tx: &Connection, job_id: JobId) -> Result<JobRow> {
    job::of_any_owner(tx, job_id)?.ok_or_else(|| StoreError::NotUnderstood(format!("there is no purge job {job_id}")).into())
}

/// Ends every purge in progress.
pub(crate) fn fail_in_progress(tx: &Transaction<'_>, why: &str, issuer: &dyn Issuer, now: Instant) -> Result<Vec<PurgeJob>> {
    // What was asked for when the copy was made may have been purged since.
    question::clear_all(tx)?;
    let mut ended = Vec::new();
    for number in numbers(tx, SELECT_IN_PROGRESS)? {
        let row = job::row(tx, number)?;
        let event = match row.job.state {
            JobState::Canceling => JobEvent::Stop,
            JobState::Queued => {
                change_state(tx, number, JobEvent::Claim, now)?.map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
                JobEvent::Fail
            }
            JobState::Running | JobState::Successful | JobState::Failed | JobState::Canceled => JobEvent::Fail,
        };
        ended.push(finish::finish_in(tx, &row, &PurgeEnd::without_probe(event, Some(why), false), issuer, now)?);
    }
    Ok(ended)
}

/// Makes the job, or begins it anew. OK beside the table of states, because nothing happens to the job: the copy is brought to where it was.
pub(crate) fn adopt(tx: &Transaction<'_>, purge: &RecordedPurge) -> Result<()> {
    if let Some(stored) = job::of_any_owner(tx, purge.job_id)? {
        tx.prepare_cached(REQUEUE_ADOPTED)?.execute([stored.number])?;
        tx.prepare_cached(CLEAR_UNFINISHED)?.execute([stored.number])?;
        listed::clear(tx, stored.number)?;
        question::clear(tx, stored.number)?;
        tx.prepare_cached(PUT_DIGEST_KEY)?.execute(params![stored.number, purge.digest_key])?;
        return removed::clear(tx, stored.number);
    }
    tx.prepare_cached(INSERT_ADOPTED)?.execute(params![
        purge.job_id,
        purge.owner.client_id().0,
        purge.owner.account_id().map(|account_id| account_id.0),
        purge.selection.types.as_deref().map(job::write_types),
        purge.selection.before.map(InstantColumn),
        purge.selection.include_deleted,
        purge.selection.level.stored(),
        job::write_filtered(&purge.selection.filtered_types),
        InstantColumn(purge.created_on)
    ])?;
    let number = tx.last_insert_rowid();
    tx.prepare_cached(PUT_DIGEST_KEY)?.execute(params![number, purge.digest_key])?;
    audit::open(tx, number)
}

/// Adds a batch, unless nothing of the part is left here.
pub(crate) fn adopt_part(tx: &Transaction<'_>, job_id: JobId, part: &RemovedPart) -> Result<u64> {
    let number = known(tx, job_id)?.number;
    let planned = count_current(tx, part)?;
    let Some((first, last)) = part.seqs.bounds().filter(|_| planned > 0) else { return Ok(0) };
    let batch = tx.prepare_cached(SELECT_LAST_BATCH)?.query_row([number], |row| row.get::<_, i64>(0))? + 1;
    let (account, type_id) = (part.account_id.0, TypeColumn(part.resource_type));
    tx.prepare_cached(INSERT_PART)?.execute(params![number, batch, account, type_id, part.seqs.to_bytes()])?;
    tx.prepare_cached(INSERT_BATCH)?.execute(params![number, batch, account, type_id, SeqColumn(first), SeqColumn(last), planned])?;
    Ok(planned)
}

pub(crate) fn seal(tx: &Transaction<'_>, job_id: JobId, now: Instant) -> Result<()> {
    plan::seal_in(tx, known(tx, job_id)?.number, now)
}
