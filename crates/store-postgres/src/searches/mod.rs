//! Finding resources.
//!
//! `lethe_search_sql` writes the statements; here they are run.

#[cfg(test)]
mod agreement;
mod dialect;
#[cfg(test)]
mod plans;
mod race;
mod run;
#[cfg(test)]
pub(crate) mod test_database;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{ReadTargets, SearchPage, SearchQuery, Searches, StoreError};

use crate::{
    PostgresStore,
    columns::{IdColumn, TypeColumn, number},
    error::Result as SqlResult,
    resources::{ACCOUNT_FIRST, RowVersion, accounts_of},
    time_limit::or_too_costly,
    transaction::{ROWS_AT_A_TIME, Tx},
};

pub(crate) use run::holds;

const SELECT_CURRENT: &str = include_str!("../../sql/resources/current_versions.sql");
/// Its column that says which of the targets a row is.
const NUMBER_AT: usize = 7;

/// A search that takes longer is given up.
const SEARCH_MAX: Duration = Duration::from_secs(20);
/// The same for the condition of a write, which keeps all other writers of the account waiting.
pub(crate) const GUARD_MAX: Duration = Duration::from_secs(2);

#[async_trait]
impl Searches for PostgresStore {
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let work = async |tx: Tx| or_too_costly(SEARCH_MAX, run::search(&tx, scope, resource_type, query).await);
        self.connections.read_under(&settings(), work).await
    }

    async fn count_matches(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        criteria: &[Criterion],
        newest: Option<Seq>,
    ) -> Result<u64, StoreError> {
        let work = async |tx: Tx| or_too_costly(SEARCH_MAX, run::count(&tx, scope, resource_type, criteria, newest).await);
        self.connections.read_under(&settings(), work).await
    }

    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError> {
        self.connections.read(|tx| read_all(tx, scope, targets)).await
    }
}

/// What a search is run under.
fn settings() -> String {
    format!("{}; set local statement_timeout = {}", run::PLANNING, SEARCH_MAX.as_millis())
}

async fn read_all(tx: Tx, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> SqlResult<ReadTargets> {
    let accounts = accounts_of(&tx, scope, ACCOUNT_FIRST).await?;
    let (mut read, mut bytes) = (ReadTargets::default(), 0);
    for of_account in targets.chunk_by(|(one, _), (other, _)| one == other) {
        for some in of_account.chunks(ROWS_AT_A_TIME) {
            let account_id = some[0].0;
            let mut found = if accounts.contains(&account_id) { current_versions(&tx, account_id, some).await? } else { BTreeMap::new() };
            for (number, (_, target)) in (1_u64..).zip(some) {
                if bytes > PAGE_BYTES_MAX {
                    return Ok(read);
                }
                read.looked_at += 1;
                if let Some(row) = found.remove(&number) {
                    let version = row.into_stored(account_id, target.resource_type)?;
                    bytes += version.bytes();
                    read.found.push(version);
                }
            }
        }
    }
    Ok(read)
}

/// The current versions of those of `targets` that are there, by their numbers from 1.
async fn current_versions(tx: &Tx, account_id: AccountId, targets: &[(AccountId, LocalReference)]) -> SqlResult<BTreeMap<u64, RowVersion>> {
    let (types, ids): (Vec<_>, Vec<_>) =
        targets.iter().map(|(_, target)| (TypeColumn(target.resource_type), IdColumn(target.id.clone()))).unzip();
    let rows = tx.rows(SELECT_CURRENT, &[&account_id.0, &types, &ids]).await?;
    rows.iter().map(|row| Ok((number(row, NUMBER_AT)?, RowVersion::read(row)?))).collect()
}
