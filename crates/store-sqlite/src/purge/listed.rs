//! What goes by a list and not by a range: the targets that conditions or patients decide, and the companions. How a list is kept, and how what is
//! on it is removed; `list_targets.rs` makes that of the targets, `companions.rs` that of the companions.

use std::collections::BTreeSet;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{Seq, plan::BatchLimits};
use lethe_store::{JobId, StoreError};
use rusqlite::{Connection, ToSql, Transaction, params, types::Value};

use super::{
    batch::{BatchRow, Removed},
    digests::Digests,
    held,
    job::JobRow,
    removed,
};
use crate::{
    SqliteStore,
    columns::{KIND_DELETE, SeqColumn, TypeColumn},
    error::Result,
    holds,
    resources::index_rows,
};

const INSERT: &str = include_str!("../../sql/purge/insert_listed.sql");
const CONTAINS: &str = include_str!("../../sql/purge/is_listed.sql");
const STRIKE: &str = include_str!("../../sql/purge/delete_listed.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_listed.sql");
const CLEAR_BETWEEN: &str = include_str!("../../sql/purge/clear_listed_between.sql");
const COUNT: &str = include_str!("../../sql/purge/count_listed.sql");
const SELECT_TARGETS: &str = include_str!("../../sql/purge/listed_targets_between.sql");
const SELECT_IDS: &str = include_str!("../../sql/purge/listed_ids.sql");
const IS_SMALL_PART: &str = include_str!("../../sql/purge/is_small_part.sql");
const DELETE_RESOURCE: &str = include_str!("../../sql/purge/delete_resource.sql");
const CLEAR_CHUNK: &str = include_str!("../../sql/purge/clear_listed_chunk.sql");
const DELETE_EARLIER: &str = include_str!("../../sql/purge/delete_earlier_versions_of_listed.sql");
const DELETE_VERSIONS: &str = include_str!("../../sql/purge/delete_listed_versions.sql");

/// So many times smaller are batches of a list.
const BATCH_SHRINK: u64 = 8;
/// Rows that are forgotten in one transaction.
const CLEARED_MAX: usize = 10_000;

/// As what a resource is on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is selected.
    Target,
    /// A Provenance or Binary that goes along.
    Companion,
}

impl Role {
    pub(super) fn stored(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Companion => "companion",
        }
    }
}

/// A range of a list, as its statements know it.
pub(super) struct Between {
    job: i64,
    account: i64,
    role: &'static str,
    type_id: TypeColumn,
    first: SeqColumn,
    last: SeqColumn,
}

impl Between {
    pub(super) fn params(&self) -> [&dyn ToSql; 6] {
        [&self.job, &self.account, &self.role, &self.type_id, &self.first, &self.last]
    }
}

/// The range of a batch. OK that it ends at the watermark, because lists are made below it; this holds a damaged one to INV-1 as well.
pub(super) fn between(job: &JobRow, role: Role, row: BatchRow) -> Between {
    Between {
        job: job.number,
        account: row.account_id.0,
        role: role.stored(),
        type_id: TypeColumn(row.resource_type),
        first: SeqColumn(row.first_seq),
        last: SeqColumn(row.last_seq.min(job.job.watermark)),
    }
}

/// Puts a current version on the list; `false` if it is there already.
pub(super) fn add(tx: &Connection, job: &JobRow, account_id: AccountId, role: Role, resource_type: ResourceType, seq: Seq) -> Result<bool> {
    let key = params![job.number, account_id.0, role.stored(), TypeColumn(resource_type), SeqColumn(seq)];
    Ok(tx.prepare_cached(INSERT)?.execute(key)? > 0)
}

/// Whether it is on the list.
pub(super) fn contains(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    role: Role,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<bool> {
    let key = params![job.number, account_id.0, role.stored(), TypeColumn(resource_type), SeqColumn(seq)];
    Ok(connection.prepare_cached(CONTAINS)?.query_row(key, |row| row.get(0))?)
}

/// Takes it off the list.
pub(super) fn strike(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    role: Role,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<()> {
    tx.prepare_cached(STRIKE)?.execute(params![job.number, account_id.0, role.stored(), TypeColumn(resource_type), SeqColumn(seq)])?;
    Ok(())
}

/// Batches of a list are smaller: each resource of them is looked up by itself, and so are its rows of the index.
pub(super) fn smaller(limits: BatchLimits) -> BatchLimits {
    BatchLimits {
        batch_targets_max: (limits.batch_targets_max / BATCH_SHRINK).max(1),
        batch_bytes_max: (limits.batch_bytes_max / BATCH_SHRINK).max(1),
    }
}

/// Forgets the lists of a job step by step, so that nobody waits long.
pub(super) async fn clear_gently(store: &SqliteStore, lease: Lease<JobId>) -> std::result::Result<(), StoreError> {
    let mut is_empty = false;
    while !is_empty {
        let cleared =
            |tx: &Transaction<'_>, job: &JobRow| Ok(tx.prepare_cached(CLEAR_CHUNK)?.execute(params![job.number, CLEARED_MAX as i64])?);
        is_empty = store.write_under(lease, cleared).await? < CLEARED_MAX;
    }
    Ok(())
}

/// Forgets the lists of a job.
pub(super) fn clear(tx: &Connection, job: i64) -> Result<()> {
    tx.prepare_cached(CLEAR)?.execute([job])?;
    Ok(())
}

/// What is on a list though its batch is done.
pub(super) fn count(connection: &Connection, job: &JobRow) -> Result<u64> {
    Ok(connection.prepare_cached(COUNT)?.query_row([job.number], |row| row.get(0))?)
}

/// Removes one batch of targets. What is on hold by now is taken off the list first, for good: it stays, and keeps what it needs.
pub(super) fn remove_targets(tx: &Transaction<'_>, job: &JobRow, row: BatchRow, now: Instant) -> Result<Removed> {
    // Nobody can set a hold before this transaction has ended: what is not found here goes.
    let in_force = holds::in_force(tx, row.account_id, now)?;
    let (mut on_hold, mut met) = (Vec::new(), BTreeSet::new());
    if !in_force.is_empty() {
        let between = between(job, Role::Target, row);
        let mut statement = tx.prepare_cached(SELECT_TARGETS)?;
        let mut rows = statement.query(between.params())?;
        while let Some(found) = rows.next()? {
            let keeping = held::keeping(tx, job, &in_force, row.account_id, row.resource_type, found)?;
            if !keeping.is_empty() {
                on_hold.push(found.get::<_, SeqColumn>(0)?.0);
                met.extend(keeping);
            }
        }
    }
    for seq in &on_hold {
        strike(tx, job, row.account_id, Role::Target, row.resource_type, *seq)?;
    }
    held::note_met(tx, job, &met)?;
    Ok(Removed { held: on_hold.len() as u64, ..remove(tx, job, Role::Target, row)? })
}

/// Removes what is on the list in a range and has not been changed since (INV-1), with all its versions; then the list is empty there.
pub(super) fn remove(tx: &Transaction<'_>, job: &JobRow, role: Role, row: BatchRow) -> Result<Removed> {
    let between = between(job, role, row);
    let mut digests = Digests::of(tx, job.number, row.account_id, row.resource_type, SELECT_IDS, between.params())?;
    let index_removed = tx
        .prepare_cached(IS_SMALL_PART)?
        .query_row(params![job.number, row.account_id.0, TypeColumn(row.resource_type)], |small| small.get(0))?;
    if index_removed {
        remove_index_rows(tx, row, &between)?;
    }
    let mut removed = Removed { seqs: digests.take_seqs(), digests, index_removed, ..Removed::default() };
    removed.seqs.extend(removed::seqs(tx, DELETE_EARLIER, between.params())?);
    let mut statement = tx.prepare_cached(DELETE_VERSIONS)?;
    let mut rows = statement.query(between.params())?;
    while let Some(row) = rows.next()? {
        let counter = if row.get::<_, u8>(0)? == KIND_DELETE { &mut removed.deletions } else { &mut removed.live };
        *counter += 1;
    }
    tx.prepare_cached(CLEAR_BETWEEN)?.execute(between.params())?;
    Ok(removed)
}

/// Removes what leads to the current versions in a range: of a small part of a type this costs less than a sweep, which looks at all of it. What
/// refers to a Provenance or Binary is always swept: there is little of it.
fn remove_index_rows(tx: &Transaction<'_>, row: BatchRow, between: &Between) -> Result<()> {
    let mut statement = tx.prepare_cached(SELECT_IDS)?;
    let mut rows = statement.query(between.params())?;
    let mut delete = tx.prepare_cached(DELETE_RESOURCE)?;
    while let Some(found) = rows.next()? {
        let (id, seq): (Value, SeqColumn) = (found.get(0)?, found.get(1)?);
        index_rows::delete(tx, row.account_id, row.resource_type, seq.0)?;
        delete.execute(params![row.account_id.0, TypeColumn(row.resource_type), id, seq])?;
    }
    Ok(())
}
