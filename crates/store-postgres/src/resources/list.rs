//! Listings and counts of current resources.

use std::collections::BTreeMap;

use lethe_auth::{AccountId, Scope};
use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use lethe_store::{ListQuery, StoredVersion};

use super::{ACCOUNT_FIRST, RowVersion, accounts_of, read::current_row};
use crate::{
    columns::{InstantColumn, SeqColumn, TypeColumn, at_most, number, seq},
    error::Result,
    transaction::{ROWS_AT_A_TIME, Tx, Values},
};

const SELECT_OF_TYPE: &str = include_str!("../../sql/resources/list_of_type.sql");
const SELECT_TOTALS: &str = include_str!("../../sql/resources/totals.sql");
const SELECT_TOTAL: &str = include_str!("../../sql/resources/type_total.sql");

pub(super) async fn list(tx: Tx, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<Vec<StoredVersion>> {
    let mut page = Vec::new();
    let first = query.after.map_or(ACCOUNT_FIRST, |after| after.account_id);
    for account_id in accounts_of(&tx, scope, first).await? {
        // Only the account in which the last page ended has a part that is already told.
        let after_seq = query.after.filter(|after| after.account_id == account_id).map_or(Seq(0), |after| after.seq);
        walk(&tx, account_id, resource_type, query, after_seq, |version| {
            page.push(version.into_stored(account_id, resource_type)?);
            Ok(page.len() < query.count)
        })
        .await?;
        if page.len() >= query.count {
            break;
        }
    }
    Ok(page)
}

pub(super) async fn count(tx: Tx, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> Result<u64> {
    let mut count = 0;
    for account_id in accounts_of(&tx, scope, ACCOUNT_FIRST).await? {
        if query.ids.is_none() && query.last_updated.is_empty() {
            count += number(&tx.row(SELECT_TOTAL, &[&account_id.0, &TypeColumn(resource_type)]).await?, 0)?;
        } else {
            walk(&tx, account_id, resource_type, query, Seq(0), |_| {
                count += 1;
                Ok(true)
            })
            .await?;
        }
    }
    Ok(count)
}

/// Visits the current resources that fit `query`, in order of commit, until `visit` says stop.
async fn walk(
    tx: &Tx,
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
            if let Some(row) = current_row(tx, account_id, resource_type, id).await?
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
    let mut after = after_seq;
    loop {
        let values: Values<'_> = &[&account_id.0, &TypeColumn(resource_type), &SeqColumn(after), &at_most(ROWS_AT_A_TIME)];
        let rows = tx.rows(SELECT_OF_TYPE, values).await?;
        for row in &rows {
            if admits(row.try_get::<_, InstantColumn>(3)?.0) && !visit(RowVersion::read(row)?)? {
                return Ok(());
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS_AT_A_TIME => after = seq(last, 0)?,
            _ => return Ok(()),
        }
    }
}

pub(super) async fn totals(tx: Tx, scope: &Scope) -> Result<Vec<(ResourceType, u64)>> {
    let mut totals = BTreeMap::new();
    for account_id in accounts_of(&tx, scope, ACCOUNT_FIRST).await? {
        for (resource_type, resources) in totals_of(&tx, account_id).await? {
            *totals.entry(resource_type).or_insert(0) += resources;
        }
    }
    Ok(totals.into_iter().filter(|(_, resources)| *resources > 0).collect())
}

async fn totals_of(tx: &Tx, account_id: AccountId) -> Result<Vec<(ResourceType, u64)>> {
    let totals = tx.rows(SELECT_TOTALS, &[&account_id.0]).await?;
    totals.iter().map(|row| Ok((row.try_get::<_, TypeColumn>(0)?.0, number(row, 1)?))).collect()
}

/// Every type of which the account has, or has had, resources.
pub(crate) async fn types_of(tx: &Tx, account_id: AccountId) -> Result<Vec<ResourceType>> {
    Ok(totals_of(tx, account_id).await?.into_iter().map(|(resource_type, _)| resource_type).collect())
}
