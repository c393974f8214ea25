//! What a job leaves alone because of a hold: found when the plan is made, and again in the transaction that deletes.
//!
//! The rule is `lethe_purge::holds`; here the resources are looked at. What was found stays found: a hold that is lifted while a job runs
//! lets nothing go that the job was told to keep, for its plan can only shrink.

use std::collections::BTreeSet;

use lethe_auth::AccountId;
use lethe_fhir::{LogicalId, ResourceType};
use lethe_purge::{Seq, holds::HoldsInForce};
use lethe_search::{Entries, patient_compartment};
use lethe_store::StoredVersion;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{batch::BatchRow, job::JobRow};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn},
    error::Result,
    resources::{RowVersion, SELECT_VERSION_AT, values_of},
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
pub(super) fn held_in_range(connection: &Connection, job: &JobRow, holds: &HoldsInForce<i64>, range: BatchRow) -> Result<Held> {
    let mut held = Held::default();
    if holds.is_empty() {
        return Ok(held);
    }
    let selection = &job.job.selection;
    let mut statement = connection.prepare_cached(SELECT_CURRENT)?;
    let mut rows = statement.query(params![
        range.account_id.0,
        TypeColumn(range.resource_type),
        SeqColumn(range.first_seq),
        SeqColumn(range.last_seq),
        selection.before.map(InstantColumn),
        selection.include_deleted
    ])?;
    while let Some(row) = rows.next()? {
        let keeping = keeping(connection, job, holds, range.account_id, range.resource_type, row)?;
        if !keeping.is_empty() {
            held.seqs.insert(row.get::<_, SeqColumn>(0)?.0);
            held.met.extend(keeping);
        }
    }
    Ok(held)
}

/// The holds that keep one current version; none if it is not current any more.
pub(super) fn holds_on(
    connection: &Connection,
    job: &JobRow,
    holds: &HoldsInForce<i64>,
    account_id: AccountId,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<Vec<i64>> {
    if holds.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(SELECT_CURRENT_AT)?;
    let mut rows = statement.query(params![account_id.0, TypeColumn(resource_type), SeqColumn(seq)])?;
    match rows.next()? {
        None => Ok(Vec::new()),
        Some(row) => keeping(connection, job, holds, account_id, resource_type, row),
    }
}

/// The holds that keep what a row tells of: seq, id, kind, previous_seq, index_values.
pub(super) fn keeping(
    connection: &Connection,
    job: &JobRow,
    holds: &HoldsInForce<i64>,
    account_id: AccountId,
    resource_type: ResourceType,
    row: &Row<'_>,
) -> Result<Vec<i64>> {
    let IdColumn(id) = row.get(1)?;
    let mut patients = Vec::new();
    if holds.ask_for_patients() {
        if row.get::<_, u8>(2)? == KIND_DELETE {
            patients = patients_before(connection, job, account_id, resource_type, &id, row.get::<_, Option<SeqColumn>>(3)?)?;
        } else {
            let values = row.get_ref(4)?.as_blob_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
            patients = patient_compartment::patients_of(resource_type, &id, &Entries::of(values));
        }
    }
    Ok(holds.keeping(resource_type, &id, &patients))
}

/// In whose compartments a deleted resource was when it last had content.
fn patients_before(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
    previous: Option<SeqColumn>,
) -> Result<Vec<LogicalId>> {
    let Some(last) = last_content(connection, account_id, resource_type, previous)? else {
        return Ok(if resource_type == ResourceType::PATIENT { vec![id.clone()] } else { Vec::new() });
    };
    let values = values_of(&last, &job.job.bases)?;
    Ok(patient_compartment::patients_of(resource_type, id, &values.iter()))
}

/// What a deleted resource last said: the newest version with content from `previous` back; `None` if there is none.
pub(super) fn last_content(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    mut previous: Option<SeqColumn>,
) -> Result<Option<StoredVersion>> {
    while let Some(seq) = previous {
        let mut statement = connection.prepare_cached(SELECT_VERSION_AT)?;
        let Some(row) = statement.query_row(params![account_id.0, TypeColumn(resource_type), seq], RowVersion::read).optional()? else {
            break;
        };
        if !row.is_deletion() {
            return Ok(Some(row.into_stored(account_id, resource_type)?));
        }
        previous = row.previous.map(SeqColumn);
    }
    Ok(None)
}

/// Notes what stays; returns how much of it was not noted before.
pub(super) fn note(tx: &Connection, job: &JobRow, account_id: AccountId, resource_type: ResourceType, held: &Held) -> Result<u64> {
    let mut insert = tx.prepare_cached(INSERT_HELD)?;
    let mut noted = 0;
    for seq in &held.seqs {
        noted += insert.execute(params![job.number, account_id.0, TypeColumn(resource_type), SeqColumn(*seq)])?;
    }
    note_met(tx, job, &held.met)?;
    Ok(noted as u64)
}

/// Notes that a job has met holds.
pub(super) fn note_met<'a>(tx: &Connection, job: &JobRow, met: impl IntoIterator<Item = &'a i64>) -> Result<()> {
    let mut insert = tx.prepare_cached(INSERT_MET)?;
    for number in met {
        insert.execute(params![job.number, number])?;
    }
    Ok(())
}

/// Whether a target was found to be on hold.
pub(super) fn is_noted(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    seq: Seq,
) -> Result<bool> {
    let key = params![job.number, account_id.0, TypeColumn(resource_type), SeqColumn(seq)];
    Ok(connection.prepare_cached(IS_HELD)?.query_row(key, |row| row.get(0))?)
}
