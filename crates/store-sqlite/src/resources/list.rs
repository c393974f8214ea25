//! Listings and counts of current resources.

use std::collections::BTreeMap;

use lethe_auth::{AccountId, Scope};
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_store::{ListQuery, StoredVersion};
use rusqlite::{Connection, OptionalExtension, params};

use super::{ACCOUNT_FIRST, RowVersion, accounts_of, read::current_row};
use crate::{
    columns::{InstantColumn, SeqColumn, TypeColumn},
    error::Result,
};

const SELECT_OF_TYPE: &str = include_str!("../../sql/resources/list_of_type.sql");
const SELECT_TOTALS: &str = include_str!("../../sql/resources/totals.sql");
const SELECT_TOTAL: &str = include_str!("../../sql/resources/type_total.sql");

pub(super) fn list(connection: &Connection, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<Vec<StoredVersion>> {
    let mut page = Vec::new();
    let first = query.after.map_or(ACCOUNT_FIRST, |after| after.account_id);
    for account_id in accounts_of(connection, scope, first)? {
        // Only the account in which the last page ended has a part that is already told.
        let after_seq = query.after.filter(|after| after.account_id == account_id).map_or(Seq(0), |after| after.seq);
        walk(connection, account_id, resource_type, query, after_seq, |version| {
            page.push(version.into_stored(account_id, resource_type)?);
            Ok(page.len() < query.count)
        })?;
        if page.len() >= query.count {
            break;
        }
    }
    Ok(page)
}

pub(super) fn count(connection: &Connection, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<u64> {
    let mut count = 0;
    for account_id in accounts_of(connection, scope, ACCOUNT_FIRST)? {
        if query.ids.is_none() && query.last_updated.is_empty() {
            let mut statement = connection.prepare_cached(SELECT_TOTAL)?;
            // OK because a type without a row has no resources.
            count +=
                statement.query_row(params![account_id.0, TypeColumn(resource_type)], |row| row.get::<_, u64>(0)).optional()?.unwrap_or(0);
        } else {
            walk(connection, account_id, resource_type, query, Seq(0), |_| {
                count += 1;
                Ok(true)
            })?;
        }
    }
    Ok(count)
}

/// Visits the current resources that fit `query`, in order of commit, until `visit` says stop.
fn walk(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    query: &ListQuery,
    after_seq: Seq,
    mut visit: impl FnMut(RowVersion) -> Result<bool>,
) -> Result<()> {
    let admits = |last_updated| query.last_updated.iter().all(|filter| filter.admits(last_updated));
    if let Some(ids) = &query.ids {
        let mut found = BTreeMap::new();
        for id in ids {
            if let Some(row) = current_row(connection, account_id, resource_type, id)?
                && !row.is_deletion()
                && row.seq > after_seq
                && admits(row.last_updated)
            {
                found.insert(row.seq, row);
            }
        }
        for row in found.into_values() {
            if !visit(row)? {
                break;
            }
        }
        return Ok(());
    }
    let mut statement = connection.prepare_cached(SELECT_OF_TYPE)?;
    let mut rows = statement.query(params![account_id.0, TypeColumn(resource_type), SeqColumn(after_seq)])?;
    while let Some(row) = rows.next()? {
        // The time comes before the body in the row, so that bodies of those that do not fit are not read.
        if admits(row.get::<_, InstantColumn>(3)?.0) && !visit(RowVersion::read(row)?)? {
            break;
        }
    }
    Ok(())
}

pub(super) fn totals(connection: &Connection, scope: &Scope) -> Result<Vec<(ResourceType, u64)>> {
    let mut totals = BTreeMap::new();
    for account_id in accounts_of(connection, scope, ACCOUNT_FIRST)? {
        for (resource_type, resources) in totals_of(connection, account_id)? {
            *totals.entry(resource_type).or_insert(0) += resources;
        }
    }
    Ok(totals.into_iter().filter(|(_, resources)| *resources > 0).collect())
}

fn totals_of(connection: &Connection, account_id: AccountId) -> Result<Vec<(ResourceType, u64)>> {
    let mut statement = connection.prepare_cached(SELECT_TOTALS)?;
    let totals = statement.query_map(params![account_id.0], |row| Ok((row.get::<_, TypeColumn>(0)?.0, row.get(1)?)))?;
    Ok(totals.collect::<rusqlite::Result<_>>()?)
}

/// Every type of which the account has, or has had, resources.
pub(crate) fn types_of(connection: &Connection, account_id: AccountId) -> Result<Vec<ResourceType>> {
    Ok(totals_of(connection, account_id)?.into_iter().map(|(resource_type, _)| resource_type).collect())
}
