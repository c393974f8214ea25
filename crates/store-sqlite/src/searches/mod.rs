//! Finding resources.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LocalReference, ResourceType};
use lethe_purge::Seq;
use lethe_search::Criterion;
use lethe_store::{SearchPage, SearchQuery, Searches, StoreError, StoredVersion};

use crate::SqliteStore;

#[async_trait]
impl Searches for SqliteStore {
    async fn search(&self, _: &Scope, _: ResourceType, _: &SearchQuery) -> Result<SearchPage, StoreError> {
        Err(StoreError::NotUnderstood("searches".to_owned()))
    }

    async fn count_matches(&self, _: &Scope, _: ResourceType, _: &[Criterion], _: Option<Seq>) -> Result<u64, StoreError> {
        Err(StoreError::NotUnderstood("searches".to_owned()))
    }

    async fn read_all(&self, _: &Scope, _: &[(AccountId, LocalReference)]) -> Result<Vec<StoredVersion>, StoreError> {
        Err(StoreError::NotUnderstood("searches".to_owned()))
    }
}
