//! What a job leaves alone because of a hold: found when the plan is made, and again in the transaction that deletes.
//!
//! The rule is `lethe_purge::holds`; here the resources are looked at. What was found stays found: a hold that is lifted while a job runs
//! lets nothing go that the job was told to keep, for its plan can only shrink.

use std::collections::BTreeSet;

use lethe_auth::AccountId;
use lethe_fhir::{LogicalId, ResourceType};
use lethe_purge::{Seq, holds::HoldsInForce};
use lethe_search::patient_compartment;
use lethe_store::StoredVersion;
use tokio_postgres::Row;

use super::{batch::BatchRow, job::JobRow};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn, seq as read_seq},
    error::Result,
    index_columns::IndexValuesColumn,
    resources::{RowVersion, SELECT_VERSION_AT, values_of},
    transaction::Tx,
};

const SELECT_CURRENT: &str = include_str!("../../sql/purge/current_in_range.sql");
const SELECT_CURRENT_AT: &str = include_str!("../../sql/purge/current_at.sql");
const INSERT_HELD: &str = include_str!("../../sql/purge/insert_held.sql");
const INSERT_MET: &str = include_str!("../../sql/purge/insert_met_hold.sql");
const IS_HELD: &str = include_str!("../../sql/purge/is_held.sql");

/// What holds keep of a range.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Places of what stays.
    pub(super) seqs: BTreeSet<Seq>,
    /// Numbers of the holds that keep it.
    pub(super) met: BTreeSet<i64>,
}

/// What these holds keep of the targets in a range that are still as they were.
pub(super) async fn held_in_range(tx: &Tx, job: &JobRow, holds: &HoldsInForce<i64>, range: BatchRow) -> Result<Held> {
    let mut held = Held::default();
    if holds.is_empty() {
        return Ok(held);
    }
    let selection = &job.job.selection;
    let (of_type, before) = (TypeColumn(range.resource_type), selection.before.map(InstantColumn));
    let (last, mut first) = (SeqColumn(range.last_seq), range.first_seq);
    loop {
        let rows = tx
            .rows(
                SELECT_CURRENT,
                &[&range.account_id.0, &of_type, &SeqColumn(first), &last, &before, &selection.include_deleted, &CURRENT_AT_A_TIME],
            )
            .await?;
        for row in &rows {
            let keeping = keeping(tx, job, holds, range.account_id, range.resource_type, row).await?;
            if !keeping.is_empty() {
                held.seqs.insert(read_seq(row, 0)?);
                held.met.extend(keeping);
            }
        }
        match rows.last() {
            Some(row) if rows.len() as i64 == CURRENT_AT_A_TIME => first = Seq(read_seq(row, 0)?.0 + 1),
            _ => return Ok(held),
        }
    }
}

/// Current versions looked at in one go, each with the values of its search parameters.
const CURRENT_AT_A_TIME: i64 = 200;

/// The holds that keep one current version; none if it is not current any more.
pub(super) async fn holds_on(
    tx: &Tx,
    job: &JobRow,
    holds: &HoldsInForce<i64>,
    account_id: AccountId,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<Vec<i64>> {
    if holds.is_empty() {
        return Ok(Vec::new());
    }
    match tx.row_if_any(SELECT_CURRENT_AT, &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await? {
        None => Ok(Vec::new()),
        Some(row) => keeping(tx, job, holds, account_id, resource_type, &row).await,
    }
}

/// The holds that keep what a row tells of: seq, id, kind, previous_seq, index_values.
pub(super) async fn keeping(
    tx: &Tx,
    job: &JobRow,
    holds: &HoldsInForce<i64>,
    account_id: AccountId,
    resource_type: ResourceType,
    row: &Row,
) -> Result<Vec<i64>> {
    let IdColumn(id) = row.try_get(1)?;
    let mut patients = Vec::new();
    if holds.ask_for_patients() {
        if row.try_get::<_, i16>(2)? == KIND_DELETE {
            patients = patients_before(tx, job, account_id, resource_type, &id, row.try_get(3)?).await?;
        } else {
            let values = row.try_get::<_, Option<IndexValuesColumn>>(4)?.map(|column| column.0).unwrap_or_default();
            patients = patient_compartment::patients_of(resource_type, &id, &values.iter());
        }
    }
    Ok(holds.keeping(resource_type, &id, &patients))
}

/// In whose compartments a deleted resource was when it last had content.
async fn patients_before(
    tx: &Tx,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
    previous: Option<SeqColumn>,
) -> Result<Vec<LogicalId>> {
    let Some(last) = last_content(tx, account_id, resource_type, previous).await? else {
        return Ok(if resource_type == ResourceType::PATIENT { vec![id.clone()] } else { Vec::new() });
    };
    let values = values_of(&last, &job.job.bases)?;
    Ok(patient_compartment::patients_of(resource_type, id, &values.iter()))
}

/// What a deleted resource last said: the newest version with content from `previous` back; `None` if there is none.
pub(super) async fn last_content(
    tx: &Tx,
    account_id: AccountId,
    resource_type: ResourceType,
    mut previous: Option<SeqColumn>,
) -> Result<Option<StoredVersion>> {
    while let Some(seq) = previous {
        let Some(row) = tx.row_if_any(SELECT_VERSION_AT, &[&account_id.0, &TypeColumn(resource_type), &seq]).await? else { break };
        let row = RowVersion::read(&row)?;
        if !row.is_deletion() {
            return Ok(Some(row.into_stored(account_id, resource_type)?));
        }
        previous = row.previous.map(SeqColumn);
    }
    Ok(None)
}

/// Notes what stays; returns how much of it was not noted before.
pub(super) async fn note(tx: &Tx, job: &JobRow, account_id: AccountId, resource_type: ResourceType, held: &Held) -> Result<u64> {
    let seqs: Vec<SeqColumn> = held.seqs.iter().copied().map(SeqColumn).collect();
    let noted = match seqs.as_slice() {
        [] => Vec::new(),
        _ => tx.rows(INSERT_HELD, &[&job.number, &account_id.0, &TypeColumn(resource_type), &seqs]).await?,
    };
    note_met(tx, job, held.met.iter().copied()).await?;
    Ok(noted.len() as u64)
}

/// Notes that a job has met holds.
pub(super) async fn note_met(tx: &Tx, job: &JobRow, met: impl IntoIterator<Item = i64>) -> Result<()> {
    for number in met {
        tx.execute(INSERT_MET, &[&job.number, &number]).await?;
    }
    Ok(())
}

/// Whether a target was found to be on hold.
pub(super) async fn is_noted(tx: &Tx, job: &JobRow, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<bool> {
    let row = tx.row(IS_HELD, &[&job.number, &account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
    Ok(row.try_get(0)?)
}
