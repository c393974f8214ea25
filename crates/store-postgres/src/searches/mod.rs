//! Finding resources. Not ported yet: every call is refused.

use crate::transaction::Tx;
use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{Guard, ReadTargets, SearchPage, SearchQuery, Searches, StoreError};
use std::time::Duration;

use crate::{PostgresStore, not_ported};

/// The condition of a write that takes longer is given up: it keeps all other writers of the account waiting.
pub(crate) const GUARD_MAX: Duration = Duration::from_secs(2);

/// Whether what a guard saw is still so.
pub(crate) async fn holds(_: &Tx, _: AccountId, _: &Guard) -> crate::error::Result<bool> {
    Err(not_ported().into())
}

#[async_trait]
impl Searches for PostgresStore {
    async fn search(&self, _: &Scope, _: ResourceType, _: &SearchQuery) -> Result<SearchPage, StoreError> {
        Err(not_ported())
    }

    async fn count_matches(&self, _: &Scope, _: ResourceType, _: &[Criterion], _: Option<Seq>) -> Result<u64, StoreError> {
        Err(not_ported())
    }

    async fn read_all(&self, _: &Scope, _: &[(AccountId, LocalReference)]) -> Result<ReadTargets, StoreError> {
        Err(not_ported())
    }
}
