//! What batches removed: places of versions, kept until they are on record in the purge journal.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_jobs::Lease;
use lethe_purge::{NoSeqSet, Seq, SeqSet};
use lethe_store::{JobId, JournalMark, RemovedPart, StoreError};

use super::{
    Result,
    batch::BatchRow,
    digests::{self, Digests, Names},
    job,
};
use crate::{
    PostgresStore,
    columns::{IdColumn, KIND_DELETE, NumberColumn, SeqColumn, TypeColumn, number, seq},
    recovery,
    transaction::{Tx, Values},
};

const DELETE_EARLIER: &str = include_str!("../../sql/purge/delete_earlier_versions.sql");
const INSERT: &str = include_str!("../../sql/purge/insert_removed.sql");
const SELECT_FROM: &str = include_str!("../../sql/purge/removed_from.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_removed.sql");

/// More parts than any batch has.
const PARTS_OF_BATCH: u64 = 1 << 20;

/// Parts read in one go.
const PARTS_MAX: i64 = 32;

/// What one batch removed.
#[derive(Default)]
pub(super) struct Removed {
    /// Resources whose current version had content.
    pub(super) live: u64,
    /// Resources whose current version was a FHIR delete.
    pub(super) deletions: u64,
    /// Resources that were found to be on hold, and were not when the plan was made.
    pub(super) held: u64,
    /// What they were called.
    pub(super) digests: Digests,
    /// The places of all their versions.
    pub(super) seqs: Vec<Seq>,
}

/// Removes the current versions that a statement deletes, which gives id, place, previous place and kind of each, and all versions before them. One
/// statement for each step back: a database that is spread by account has no recursive ones.
///
/// # Errors
/// The job has no key of its digests, which only a job that has ended can be without.
pub(super) async fn remove(
    tx: &Tx,
    job: i64,
    account_id: AccountId,
    resource_type: ResourceType,
    delete_current: &str,
    which: Values<'_>,
) -> crate::error::Result<Removed> {
    let key = digests::key_of_running(tx, job).await?;
    let (mut removed, mut next) = (Removed::default(), Vec::new());
    let mut names = Names::of(account_id, resource_type);
    for row in tx.rows(delete_current, which).await? {
        removed.digests.push(key.leaf(names.name(&row.try_get::<_, IdColumn>(0)?.0)));
        removed.seqs.push(seq(&row, 1)?);
        next.extend(row.try_get::<_, Option<SeqColumn>>(2)?);
        *if row.try_get::<_, i16>(3)? == KIND_DELETE { &mut removed.deletions } else { &mut removed.live } += 1;
    }
    while !next.is_empty() {
        let rows = tx.rows(DELETE_EARLIER, &[&account_id.0, &TypeColumn(resource_type), &next]).await?;
        next.clear();
        for row in &rows {
            removed.seqs.push(seq(row, 0)?);
            next.extend(row.try_get::<_, Option<SeqColumn>>(1)?);
        }
    }
    Ok(removed)
}

/// Keeps the places of versions that a batch has removed. Its parts are numbered by it, so that batches that run at the same time are not in each
/// other's way.
pub(super) async fn note(tx: &Tx, job: i64, batch: u64, row: &BatchRow, seqs: &[Seq]) -> crate::error::Result<()> {
    for (index, places) in (0..).zip(seqs.chunks(RemovedPart::PLACES_MAX)) {
        let set: SeqSet = places.iter().copied().collect();
        let part = NumberColumn(batch * PARTS_OF_BATCH + index);
        tx.execute(INSERT, &[&job, &part, &row.account_id.0, &TypeColumn(row.resource_type), &set.to_bytes()]).await?;
    }
    Ok(())
}

pub(super) async fn parts(store: &PostgresStore, job_id: JobId, after: u64) -> Result<Vec<RemovedPart>> {
    store
        .work
        .read(|tx| async move {
            let Some(job) = job::of_any_owner(&tx, job_id).await? else { return Ok(Vec::new()) };
            let mut parts = Vec::new();
            for row in tx.rows(SELECT_FROM, &[&job.number, &NumberColumn(after), &PARTS_MAX]).await? {
                parts.push(RemovedPart {
                    part: number(&row, 0)?,
                    account_id: AccountId(row.try_get(1)?),
                    resource_type: row.try_get::<_, TypeColumn>(2)?.0,
                    seqs: read_set(row.try_get(3)?)?,
                });
            }
            Ok(parts)
        })
        .await
}

/// A set as stored.
pub(super) fn read_set(stored: &[u8]) -> crate::error::Result<SeqSet> {
    SeqSet::from_bytes(stored).map_err(|error: NoSeqSet| StoreError::NotUnderstood(format!("purge_removed.seqs: {error}")).into())
}

pub(super) async fn forget(store: &PostgresStore, lease: Lease<JobId>, mark: Option<JournalMark>) -> Result<()> {
    store
        .write_under(lease, |tx, job| async move {
            clear(&tx, job.number).await?;
            match mark {
                Some(mark) => recovery::set_mark(&tx, mark).await,
                None => Ok(()),
            }
        })
        .await
}

/// Forgets the parts of a job.
pub(super) async fn clear(tx: &Tx, job: i64) -> crate::error::Result<()> {
    tx.execute(CLEAR, &[&job]).await?;
    Ok(())
}
