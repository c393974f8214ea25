//! Histories, newest first.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_store::{HistoryQuery, HistoryScope, StoredVersion};
use rusqlite::{Connection, params};

use super::{RowVersion, SELECT_VERSION_AT, list::types_of, read::current_row};
use crate::{
    columns::{SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_OF_TYPE: &str = include_str!("../../sql/resources/history_of_type.sql");

pub(super) fn history(
    connection: &Connection,
    account_id: AccountId,
    of: &HistoryScope,
    query: &HistoryQuery,
) -> Result<Vec<StoredVersion>> {
    match of {
        HistoryScope::Instance(resource_type, id) => {
            let mut row = current_row(connection, account_id, *resource_type, id)?;
            let mut page = Vec::new();
            let mut at = connection.prepare_cached(SELECT_VERSION_AT)?;
            while let Some(version) = row {
                let previous = version.previous;
                let stored = version.into_stored(account_id, *resource_type)?;
                if query.since.is_some_and(|since| stored.last_updated < since) || page.len() == query.count {
                    break;
                }
                if query.before_seq.is_none_or(|before| stored.seq < before) {
                    page.push(stored);
                }
                row = previous
                    .map(|seq| at.query_row(params![account_id.0, TypeColumn(*resource_type), SeqColumn(seq)], RowVersion::read))
                    .transpose()?;
            }
            Ok(page)
        }
        HistoryScope::Type(resource_type) => of_type(connection, account_id, *resource_type, query),
        HistoryScope::System => {
            // Each type is in order already: the newest of all are among the newest of each.
            let mut page = Vec::new();
            for resource_type in types_of(connection, account_id)? {
                page.extend(of_type(connection, account_id, resource_type, query)?);
                page.sort_by_key(|version: &StoredVersion| std::cmp::Reverse(version.seq));
                page.truncate(query.count);
            }
            Ok(page)
        }
    }
}

fn of_type(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    query: &HistoryQuery,
) -> Result<Vec<StoredVersion>> {
    let mut statement = connection.prepare_cached(SELECT_OF_TYPE)?;
    let before = query.before_seq.unwrap_or(Seq(i64::MAX as u64));
    let since_ms = query.since.map_or(i64::MIN, lethe_fhir::Instant::as_unix_ms);
    let count = i64::try_from(query.count).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![account_id.0, TypeColumn(resource_type), SeqColumn(before), since_ms, count])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(RowVersion::read(row)?.into_stored(account_id, resource_type)?);
    }
    Ok(page)
}
