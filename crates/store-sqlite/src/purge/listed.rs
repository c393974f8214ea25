//! What goes by a list and not by a range: the targets that conditions or patients decide, and the companions. How a list is kept, and how what is
//! on it is removed; `list_targets.rs` makes that of the targets, `companions.rs` that of the companions.

use std::collections::BTreeSet;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::Seq;
use rusqlite::{Connection, ToSql, Transaction, params};

use super::{
    batch::{BatchRow, Removed},
    digests::Digests,
    held,
    job::JobRow,
    removed,
};
use crate::{
    columns::{KIND_DELETE, SeqColumn, TypeColumn},
    error::Result,
    holds,
};

const INSERT: &str = include_str!("../../sql/purge/insert_listed.sql");
const CONTAINS: &str = include_str!("../../sql/purge/is_listed.sql");
const STRIKE: &str = include_str!("../../sql/purge/delete_listed.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_listed.sql");
const CLEAR_BETWEEN: &str = include_str!("../../sql/purge/clear_listed_between.sql");
const COUNT: &str = include_str!("../../sql/purge/count_listed.sql");
const SELECT_TARGETS: &str = include_str!("../../sql/purge/listed_targets_between.sql");
const SELECT_IDS: &str = include_str!("../../sql/purge/listed_ids.sql");
const DELETE_EARLIER: &str = include_str!("../../sql/purge/delete_earlier_versions_of_listed.sql");
const DELETE_VERSIONS: &str = include_str!("../../sql/purge/delete_listed_versions.sql");

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
    let mut removed = Removed { seqs: digests.take_seqs(), digests, ..Removed::default() };
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
