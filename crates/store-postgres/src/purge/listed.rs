//! What goes by a list and not by a range: the targets that conditions or patients decide, and the companions. How a list is kept, and how what is
//! on it is removed; `list_targets.rs` makes that of the targets, `companions.rs` that of the companions.

use std::collections::BTreeSet;

use lethe_auth::AccountId;
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::Lease;
use lethe_purge::{Seq, plan::BatchLimits};
use lethe_store::{JobId, StoreError};
use tokio_postgres::types::ToSql;

use super::{
    batch::BatchRow,
    held,
    job::JobRow,
    removed::{self, Removed},
};
use crate::{
    PostgresStore,
    columns::{SeqColumn, TypeColumn, number, seq as read_seq},
    error::Result,
    holds,
    transaction::Tx,
};

const INSERT: &str = include_str!("../../sql/purge/insert_listed.sql");
const CONTAINS: &str = include_str!("../../sql/purge/is_listed.sql");
const STRIKE: &str = include_str!("../../sql/purge/delete_listed.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_listed.sql");
const CLEAR_BETWEEN: &str = include_str!("../../sql/purge/clear_listed_between.sql");
const COUNT: &str = include_str!("../../sql/purge/count_listed.sql");
const SELECT_TARGETS: &str = include_str!("../../sql/purge/listed_targets_between.sql");
const CLEAR_CHUNK: &str = include_str!("../../sql/purge/clear_listed_chunk.sql");
const DELETE_VERSIONS: &str = include_str!("../../sql/purge/delete_listed_versions.sql");

/// So many times smaller are batches of a list.
const BATCH_SHRINK: u64 = 8;
/// Rows that are forgotten in one transaction.
const CLEARED_MAX: i64 = 10_000;

/// As what a resource is on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 6] {
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

/// Puts current versions on the list; returns how many were not there already.
pub(super) async fn add(tx: &Tx, job: &JobRow, account_id: AccountId, role: Role, found: &[(ResourceType, Seq)]) -> Result<u64> {
    let (types, seqs): (Vec<_>, Vec<_>) = found.iter().map(|(of_type, seq)| (TypeColumn(*of_type), SeqColumn(*seq))).unzip();
    Ok(tx.rows(INSERT, &[&job.number, &account_id.0, &role.stored(), &types, &seqs]).await?.len() as u64)
}

/// Whether it is on the list.
pub(super) async fn contains(
    tx: &Tx,
    job: &JobRow,
    account_id: AccountId,
    role: Role,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<bool> {
    let key = (TypeColumn(resource_type), SeqColumn(seq));
    Ok(tx.row(CONTAINS, &[&job.number, &account_id.0, &role.stored(), &key.0, &key.1]).await?.try_get(0)?)
}

/// Takes it off the list.
pub(super) async fn strike(tx: &Tx, job: &JobRow, account_id: AccountId, role: Role, resource_type: ResourceType, seq: Seq) -> Result<()> {
    tx.execute(STRIKE, &[&job.number, &account_id.0, &role.stored(), &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
    Ok(())
}

/// Batches of a list are smaller: each resource of them is looked up by itself.
pub(super) fn smaller(limits: BatchLimits) -> BatchLimits {
    BatchLimits {
        batch_targets_max: (limits.batch_targets_max / BATCH_SHRINK).max(1),
        batch_bytes_max: (limits.batch_bytes_max / BATCH_SHRINK).max(1),
    }
}

/// Forgets the lists of a job step by step.
pub(super) async fn clear_gently(store: &PostgresStore, lease: Lease<JobId>) -> std::result::Result<(), StoreError> {
    let mut is_empty = false;
    while !is_empty {
        let cleared = |tx: Tx, job: JobRow| async move { tx.execute(CLEAR_CHUNK, &[&job.number, &CLEARED_MAX]).await };
        is_empty = store.write_under(lease, cleared).await? < CLEARED_MAX as u64;
    }
    Ok(())
}

/// Forgets the lists of a job.
pub(super) async fn clear(tx: &Tx, job: i64) -> Result<()> {
    tx.execute(CLEAR, &[&job]).await?;
    Ok(())
}

/// What is on a list though its batch is done.
pub(super) async fn count(tx: &Tx, job: &JobRow) -> Result<u64> {
    number(&tx.row(COUNT, &[&job.number]).await?, 0)
}

/// Removes one batch of targets. What is on hold by now is taken off the list first, for good: it stays, and keeps what it needs.
pub(super) async fn remove_targets(tx: &Tx, job: &JobRow, row: BatchRow, now: Instant) -> Result<Removed> {
    // Nobody can set a hold before this transaction has ended: what is not found here goes.
    let in_force = holds::in_force(tx, row.account_id, now).await?;
    let (mut on_hold, mut met) = (Vec::new(), BTreeSet::new());
    if !in_force.is_empty() {
        for found in tx.rows(SELECT_TARGETS, &between(job, Role::Target, row).values()).await? {
            let keeping = held::keeping(tx, job, &in_force, row.account_id, row.resource_type, &found).await?;
            if !keeping.is_empty() {
                on_hold.push(read_seq(&found, 0)?);
                met.extend(keeping);
            }
        }
    }
    for seq in &on_hold {
        strike(tx, job, row.account_id, Role::Target, row.resource_type, *seq).await?;
    }
    held::note_met(tx, job, met).await?;
    Ok(Removed { held: on_hold.len() as u64, ..remove(tx, job, Role::Target, row).await? })
}

/// Removes what is on the list in a range and has not been changed since (INV-1), with all its versions; then the list is empty there.
pub(super) async fn remove(tx: &Tx, job: &JobRow, role: Role, row: BatchRow) -> Result<Removed> {
    let between = between(job, role, row);
    let between = &between.values();
    let removed = removed::remove(tx, job.number, row.account_id, row.resource_type, DELETE_VERSIONS, between).await?;
    tx.execute(CLEAR_BETWEEN, between).await?;
    Ok(removed)
}
