//! Purges on record, carried out again in an older copy: jobs of which each batch is a list of places.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::{JobEvent, JobState};
use lethe_purge::{Seq, SeqSet};
use lethe_store::{Issuer, JobId, PurgeEnd, PurgeJob, RecordedPurge, RemovedPart, StoreError};
use tokio_postgres::Row;

use super::{
    audit,
    control::change_state,
    digests::{self, Names},
    finish,
    job::{self, JobRow},
    listed, plan, question,
    removed::{self, Removed},
};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, NumberColumn, SeqColumn, TypeColumn, seq},
    error::Result,
    transaction::Tx,
};

const SELECT_PART: &str = include_str!("../../sql/purge/removed_part.sql");
const SELECT_CURRENT: &str = include_str!("../../sql/purge/current_among.sql");
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
async fn current(tx: &Tx, places: &Places) -> Result<Vec<Seq>> {
    let seqs: Vec<SeqColumn> = places.seqs.iter().map(SeqColumn).collect();
    let rows = tx.rows(SELECT_CURRENT, &[&places.account_id.0, &TypeColumn(places.resource_type), &seqs]).await?;
    rows.iter().map(|row| seq(row, 0)).collect()
}

/// Removes the resources of one batch, each with all its versions. One that got a later version in this history is none of them.
pub(super) async fn remove(tx: &Tx, job: &JobRow, batch: u64) -> Result<Removed> {
    let places = read_places(&tx.row(SELECT_PART, &[&job.number, &NumberColumn(batch)]).await?)?;
    let digest_key = digests::key_of_running(tx, job.number).await?;
    let mut names = Names::of(places.account_id, places.resource_type);
    let mut removed = Removed::default();
    for seq in current(tx, &places).await? {
        let mut next = Some(seq);
        while let Some(place) = next {
            let row = tx.row(DELETE_AT, &[&places.account_id.0, &TypeColumn(places.resource_type), &SeqColumn(place)]).await?;
            let (kind, IdColumn(id)): (i16, _) = (row.try_get(0)?, row.try_get(2)?);
            if place == seq {
                removed.digests.push(digest_key.leaf(names.name(&id)));
            }
            if place == seq && kind == KIND_DELETE {
                removed.deletions += 1;
            } else if place == seq {
                removed.live += 1;
            }
            removed.seqs.push(place);
            next = row.try_get::<_, Option<SeqColumn>>(1)?.map(|previous| previous.0);
        }
    }
    Ok(removed)
}

/// Resources of finished batches that are still there.
pub(super) async fn undeleted(tx: &Tx, job: i64) -> Result<u64> {
    let mut left = 0;
    for row in tx.rows(SELECT_DONE, &[&job]).await? {
        left += current(tx, &read_places(&row)?).await?.len() as u64;
    }
    Ok(left)
}

fn read_places(row: &Row) -> Result<Places> {
    Ok(Places {
        account_id: AccountId(row.try_get(0)?),
        resource_type: row.try_get::<_, TypeColumn>(1)?.0,
        seqs: removed::read_set(row.try_get(2)?)?,
    })
}

/// How many resources have their current version in a part.
pub(crate) async fn count_current(tx: &Tx, part: &RemovedPart) -> Result<u64> {
    let places = Places { account_id: part.account_id, resource_type: part.resource_type, seqs: part.seqs.clone() };
    Ok(current(tx, &places).await?.len() as u64)
}

pub(crate) async fn is_in_progress(tx: &Tx, job_id: JobId) -> Result<bool> {
    Ok(job::of_any_owner(tx, job_id).await?.is_some_and(|row| !row.job.state.is_ended()))
}

pub(crate) async fn unrecorded(tx: &Tx) -> Result<Vec<PurgeJob>> {
    let mut jobs = Vec::new();
    for row in tx.rows(SELECT_UNRECORDED, &[]).await? {
        jobs.push(job::job(tx, row.try_get(0)?).await?);
    }
    Ok(jobs)
}

/// Forgets the parts of a job, whoever owns it.
pub(crate) async fn forget(tx: &Tx, job_id: JobId) -> Result<()> {
    removed::clear(tx, known(tx, job_id).await?.number).await
}

async fn known(tx: &Tx, job_id: JobId) -> Result<JobRow> {
    let row = job::of_any_owner(tx, job_id).await?;
    row.ok_or_else(|| StoreError::NotUnderstood(format!("there is no purge job {job_id}")).into())
}

/// Ends every purge in progress.
pub(crate) async fn fail_in_progress(tx: &Tx, why: &str, issuer: &dyn Issuer, now: Instant) -> Result<Vec<PurgeJob>> {
    // What was asked for when the copy was made may have been purged since.
    question::clear_all(tx).await?;
    let mut ended = Vec::new();
    for in_progress in tx.rows(SELECT_IN_PROGRESS, &[]).await? {
        let number: i64 = in_progress.try_get(0)?;
        let row = job::locked_row(tx, number).await?;
        let event = match row.job.state {
            JobState::Canceling => JobEvent::Stop,
            JobState::Queued => {
                change_state(tx, number, JobEvent::Claim, now).await?.map_err(|refused| StoreError::NotUnderstood(refused.to_string()))?;
                JobEvent::Fail
            }
            JobState::Running | JobState::Successful | JobState::Failed | JobState::Canceled => JobEvent::Fail,
        };
        ended.push(finish::finish_in(tx, &row, &PurgeEnd::without_probe(event, Some(why), false), issuer, now).await?);
    }
    Ok(ended)
}

/// Makes the job, or begins it anew. OK beside the table of states, because nothing happens to the job: the copy is brought to where it was.
pub(crate) async fn adopt(tx: &Tx, purge: &RecordedPurge) -> Result<()> {
    if let Some(stored) = job::of_any_owner(tx, purge.job_id).await? {
        tx.execute(REQUEUE_ADOPTED, &[&stored.number]).await?;
        tx.execute(CLEAR_UNFINISHED, &[&stored.number]).await?;
        listed::clear(tx, stored.number).await?;
        question::clear(tx, stored.number).await?;
        tx.execute(PUT_DIGEST_KEY, &[&stored.number, &purge.digest_key.as_slice()]).await?;
        return removed::clear(tx, stored.number).await;
    }
    let inserted = tx
        .row(
            INSERT_ADOPTED,
            &[
                &purge.job_id,
                &purge.owner.client_id().0,
                &purge.owner.account_id().map(|account_id| account_id.0),
                &purge.selection.types.as_deref().map(job::write_types),
                &purge.selection.before.map(InstantColumn),
                &purge.selection.include_deleted,
                &InstantColumn(purge.created_on),
                &purge.selection.level.stored(),
                &job::write_filtered(&purge.selection.filtered_types),
            ],
        )
        .await?;
    let number: i64 = inserted.try_get(0)?;
    tx.execute(PUT_DIGEST_KEY, &[&number, &purge.digest_key.as_slice()]).await?;
    audit::open(tx, number).await
}

/// Adds a batch, unless nothing of the part is left here.
pub(crate) async fn adopt_part(tx: &Tx, job_id: JobId, part: &RemovedPart) -> Result<u64> {
    let job = known(tx, job_id).await?.number;
    let planned = count_current(tx, part).await?;
    let Some((first, last)) = part.seqs.bounds().filter(|_| planned > 0) else { return Ok(0) };
    let batch = tx.row(SELECT_LAST_BATCH, &[&job]).await?.try_get::<_, i64>(0)? + 1;
    let (account, type_id) = (part.account_id.0, TypeColumn(part.resource_type));
    tx.execute(INSERT_PART, &[&job, &batch, &account, &type_id, &part.seqs.to_bytes()]).await?;
    let (first, last, planned_column) = (SeqColumn(first), SeqColumn(last), NumberColumn(planned));
    tx.execute(INSERT_BATCH, &[&job, &batch, &account, &type_id, &first, &last, &planned_column]).await?;
    Ok(planned)
}

pub(crate) async fn seal(tx: &Tx, job_id: JobId, now: Instant) -> Result<()> {
    plan::seal_in(tx, known(tx, job_id).await?.number, now).await
}
