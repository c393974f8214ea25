//! The rows of the index: written with a version, taken away when another replaces it.
//!
//! Rows of one account and type are kept in parts, in the order of commits (docs/adr/0021). A part is named by its first place.

use std::collections::HashMap;

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_search::{Entries, IndexValues};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    columns::{SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_LAST_PART: &str = include_str!("../../sql/resources/last_index_part.sql");
const SELECT_PART_OF: &str = include_str!("../../sql/resources/index_part_of.sql");
const PUT_PART: &str = include_str!("../../sql/resources/put_index_part.sql");
const INSERT_VALUE: &str = include_str!("../../sql/resources/insert_index_value.sql");
const DELETE_VALUE: &str = include_str!("../../sql/resources/delete_index_value.sql");
const SELECT_VALUES: &str = include_str!("../../sql/resources/index_values_of.sql");

/// Versions in one part. A part's rows fit into a writer's memory, so that inserting costs the same whatever is stored; a search asks
/// each part in turn, so that they must not be too many.
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
    fn part_for(&mut self, connection: &Connection, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<Seq> {
        let known = match self.0.get(&resource_type) {
            Some(part) => Some(*part),
            None => last_part(connection, account_id, resource_type)?,
        };
        let part = match known {
            Some(part) if part.versions < versions_max(part) => LastPart { versions: part.versions + 1, ..part },
            full => {
                // A full part is done with: what was counted of it in this transaction is kept.
                if let Some(full) = full {
                    put_part(connection, account_id, resource_type, full)?;
                }
                let begun = LastPart { first: seq, versions: 1 };
                // Stored at once: a later write of the same transaction may replace this version and must find its rows.
                put_part(connection, account_id, resource_type, begun)?;
                begun
            }
        };
        self.0.insert(resource_type, part);
        Ok(part.first)
    }

    /// Stores how full the parts are now.
    pub(super) fn store(self, connection: &Connection, account_id: AccountId) -> Result<()> {
        self.0.into_iter().try_for_each(|(resource_type, part)| put_part(connection, account_id, resource_type, part))
    }
}

fn last_part(connection: &Connection, account_id: AccountId, resource_type: ResourceType) -> Result<Option<LastPart>> {
    let mut statement = connection.prepare_cached(SELECT_LAST_PART)?;
    let part = statement
        .query_row(params![account_id.0, TypeColumn(resource_type)], |row| {
            Ok(LastPart { first: row.get::<_, SeqColumn>(0)?.0, versions: row.get(1)? })
        })
        .optional()?;
    Ok(part)
}

fn put_part(connection: &Connection, account_id: AccountId, resource_type: ResourceType, part: LastPart) -> Result<()> {
    connection.prepare_cached(PUT_PART)?.execute(params![account_id.0, TypeColumn(resource_type), SeqColumn(part.first), part.versions])?;
    Ok(())
}

/// Writes the rows of a new version.
pub(super) fn insert(
    connection: &Connection,
    parts: &mut LastParts,
    account_id: AccountId,
    resource_type: ResourceType,
    seq: Seq,
    values: &IndexValues,
) -> Result<()> {
    let part = SeqColumn(parts.part_for(connection, account_id, resource_type, seq)?);
    let mut insert = connection.prepare_cached(INSERT_VALUE)?;
    for (path, value) in values.iter().filter(|(path, _)| path.has_rows()) {
        insert.execute(params![account_id.0, TypeColumn(resource_type), part, path.0, value, SeqColumn(seq)])?;
    }
    Ok(())
}

/// Removes the rows of a version.
pub(crate) fn delete(connection: &Connection, account_id: AccountId, resource_type: ResourceType, seq: Seq) -> Result<()> {
    let (account, type_id) = (account_id.0, TypeColumn(resource_type));
    let stored: Option<Vec<u8>> = connection
        .prepare_cached(SELECT_VALUES)?
        .query_row(params![account, type_id, SeqColumn(seq)], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(stored) = stored else { return Ok(()) };
    let Some(part) = connection
        .prepare_cached(SELECT_PART_OF)?
        .query_row(params![account, type_id, SeqColumn(seq)], |row| row.get::<_, SeqColumn>(0))
        .optional()?
    else {
        return Ok(());
    };
    let mut delete = connection.prepare_cached(DELETE_VALUE)?;
    for (path, value) in Entries::of(&stored).filter(|(path, _)| path.has_rows()) {
        delete.execute(params![account, type_id, part, path.0, value, SeqColumn(seq)])?;
    }
    Ok(())
}
