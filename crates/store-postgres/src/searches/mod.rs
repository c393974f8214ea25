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
mod test_database;

use std::time::Duration;

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{ReadTargets, SearchPage, SearchQuery, Searches, StoreError};

use crate::{
    PostgresStore,
    error::Result as SqlResult,
    resources::{ACCOUNT_FIRST, accounts_of, current_row},
    time_limit::within,
    transaction::Tx,
};

pub(crate) use run::holds;

/// A search that takes longer is given up.
const SEARCH_MAX: Duration = Duration::from_secs(20);
/// The same for the condition of a write, which keeps all other writers of the account waiting.
pub(crate) const GUARD_MAX: Duration = Duration::from_secs(2);

#[async_trait]
impl Searches for PostgresStore {
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        self.connections.read(async |tx: Tx| within(&tx, SEARCH_MAX, run::search(&tx, scope, resource_type, query)).await).await
    }

    async fn count_matches(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        criteria: &[Criterion],
        newest: Option<Seq>,
    ) -> Result<u64, StoreError> {
        self.connections.read(async |tx: Tx| within(&tx, SEARCH_MAX, run::count(&tx, scope, resource_type, criteria, newest)).await).await
    }

    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError> {
        self.connections.read(|tx| read_all(tx, scope, targets)).await
    }
}

async fn read_all(tx: Tx, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> SqlResult<ReadTargets> {
    let accounts = accounts_of(&tx, scope, ACCOUNT_FIRST).await?;
    let (mut read, mut bytes) = (ReadTargets::default(), 0);
    for (account_id, target) in targets {
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        read.looked_at += 1;
        if !accounts.contains(account_id) {
            continue;
        }
        if let Some(row) = current_row(&tx, *account_id, target.resource_type, &target.id).await?
            && !row.is_deletion()
        {
            let version = row.into_stored(*account_id, target.resource_type)?;
            bytes += version.bytes();
            read.found.push(version);
        }
    }
    Ok(read)
}
