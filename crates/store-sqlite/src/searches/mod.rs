//! Finding resources.
//!
//! `lethe_search_sql` writes the statements; here they are run.

mod dialect;
mod functions;
#[cfg(test)]
mod plans;
mod run;

use std::time::Duration;

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType, limits::PAGE_BYTES_MAX};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{ReadTargets, SearchPage, SearchQuery, Searches, StoreError};

use crate::{
    SqliteStore,
    long_statements::within,
    resources::{accounts_of, current_row},
};

pub(crate) use functions::add_functions;
pub(crate) use run::holds;

/// A search that takes longer is given up.
const SEARCH_MAX: Duration = Duration::from_secs(20);
/// The same for the condition of a write, which keeps all other writers waiting.
pub(crate) const GUARD_MAX: Duration = Duration::from_secs(2);

#[async_trait]
impl Searches for SqliteStore {
    async fn search(&self, scope: &Scope, resource_type: ResourceType, query: &SearchQuery) -> Result<SearchPage, StoreError> {
        let (scope, query) = (scope.clone(), query.clone());
        self.connections.read(move |tx| within(SEARCH_MAX, || run::search(tx, &scope, resource_type, &query))).await
    }

    async fn count_matches(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        criteria: &[Criterion],
        newest: Option<Seq>,
    ) -> Result<u64, StoreError> {
        let (scope, criteria) = (scope.clone(), criteria.to_vec());
        self.connections.read(move |tx| within(SEARCH_MAX, || run::count(tx, &scope, resource_type, &criteria, newest))).await
    }

    async fn read_all(&self, scope: &Scope, targets: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError> {
        let (scope, targets) = (scope.clone(), targets.to_vec());
        self.connections
            .read(move |tx| {
                let accounts = accounts_of(tx, &scope, crate::resources::ACCOUNT_FIRST)?;
                let (mut read, mut bytes) = (ReadTargets::default(), 0);
                for (account_id, target) in &targets {
                    if bytes > PAGE_BYTES_MAX {
                        break;
                    }
                    read.looked_at += 1;
                    if !accounts.contains(account_id) {
                        continue;
                    }
                    if let Some(row) = current_row(tx, *account_id, target.resource_type, &target.id)?
                        && !row.is_deletion()
                    {
                        let version = row.into_stored(*account_id, target.resource_type)?;
                        bytes += version.bytes();
                        read.found.push(version);
                    }
                }
                Ok(read)
            })
            .await
    }
}
