//! The rows of the index: written with a version, taken away when another replaces it.
//!
//! Rows of one account and type are kept in parts, in the order of commits (docs/adr/0021). A part is named by its first place.

use std::collections::HashMap;

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_search::{Entries, IndexValues};

use crate::{
    columns::{NumberColumn, SeqColumn, TypeColumn, number, seq as read_seq},
    error::Result,
    transaction::Tx,
};

const SELECT_LAST_PART: &str = include_str!("../../sql/resources/last_index_part.sql");
const PUT_PART: &str = include_str!("../../sql/resources/put_index_part.sql");
const INSERT_VALUES: &str = include_str!("../../sql/resources/insert_index_values.sql");
const DELETE_VALUES: &str = include_str!("../../sql/resources/delete_index_values.sql");

/// Versions in one part: a search asks each part in turn, so that they must not be too many.
const PART_VERSIONS_MAX: u64 = 32_768;

/// In debug builds, the parts that begin before this place are small, so that every test meets several; what stores much meets full ones.
const SMALL_PARTS_BEFORE: Seq = Seq(if cfg!(debug_assertions) { 4_096 } else { 0 });
const SMALL_PART_VERSIONS_MAX: u64 = 16;

fn versions_max(part: LastPart) -> u64 {
    if part.first < SMALL_PARTS_BEFORE { SMALL_PART_VERSIONS_MAX } else { PART_VERSIONS_MAX }
}

/// The last part of each type that a transaction writes to.
#[derive(Debug, Default)]
pub(super) struct LastParts(HashMap<ResourceType, LastPart>);

#[derive(Clone, Copy, Debug)]
struct LastPart {
    first: Seq,
    versions: u64,
}

impl LastParts {
    /// The part for one more version, at `seq`.
    async fn part_for(&mut self, tx: &Tx, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<Seq> {
        let known = match self.0.get(&resource_type) {
            Some(part) => Some(*part),
            None => last_part(tx, account_id, resource_type).await?,
        };
        let part = match known {
            Some(part) if part.versions < versions_max(part) => LastPart { versions: part.versions + 1, ..part },
            full => {
                // A full part is done with: what was counted of it in this transaction is kept.
                if let Some(full) = full {
                    put_part(tx, account_id, resource_type, full).await?;
                }
                let begun = LastPart { first: seq, versions: 1 };
                // Stored at once: a later write of the same transaction may replace this version and must find its rows.
                put_part(tx, account_id, resource_type, begun).await?;
                begun
            }
        };
        self.0.insert(resource_type, part);
        Ok(part.first)
    }

    /// Stores how full the parts are now.
    pub(super) async fn store(self, tx: &Tx, account_id: AccountId) -> Result<()> {
        for (resource_type, part) in self.0 {
            put_part(tx, account_id, resource_type, part).await?;
        }
        Ok(())
    }
}

async fn last_part(tx: &Tx, account_id: AccountId, resource_type: ResourceType) -> Result<Option<LastPart>> {
    let row = tx.row_if_any(SELECT_LAST_PART, &[&account_id.0, &TypeColumn(resource_type)]).await?;
    row.map(|row| Ok(LastPart { first: read_seq(&row, 0)?, versions: number(&row, 1)? })).transpose()
}

async fn put_part(tx: &Tx, account_id: AccountId, resource_type: ResourceType, part: LastPart) -> Result<()> {
    let (first, versions) = (SeqColumn(part.first), NumberColumn(part.versions));
    tx.execute(PUT_PART, &[&account_id.0, &TypeColumn(resource_type), &first, &versions]).await?;
    Ok(())
}

/// The entries that have rows, as two columns.
fn columns_of(entries: Entries<'_>) -> (Vec<i32>, Vec<&[u8]>) {
    entries.filter(|(path, _)| path.has_rows()).map(|(path, value)| (i32::from(path.0), value)).unzip()
}

/// Writes the rows of a new version.
pub(super) async fn insert(
    tx: &Tx,
    parts: &mut LastParts,
    account_id: AccountId,
    resource_type: ResourceType,
    seq: Seq,
    values: &IndexValues,
) -> Result<()> {
    let part = SeqColumn(parts.part_for(tx, account_id, resource_type, seq).await?);
    let (paths, values) = columns_of(values.iter());
    if !paths.is_empty() {
        tx.execute(INSERT_VALUES, &[&account_id.0, &TypeColumn(resource_type), &part, &paths, &values, &SeqColumn(seq)]).await?;
    }
    Ok(())
}

/// Removes the rows of a version, which are told by the values that stand beside its body.
pub(crate) async fn delete(tx: &Tx, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<()> {
    tx.execute(DELETE_VALUES, &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
    Ok(())
}
