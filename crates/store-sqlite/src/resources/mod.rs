//! Reading and writing resources.

mod history;
pub(crate) mod index_rows;
mod list;
mod read;
mod write;

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{LogicalId, ResourceType};
use lethe_store::{
    Guard, HistoryPage, HistoryQuery, HistoryScope, ListQuery, Resources, StoreError, StoredVersion, Write, WriteError, WriteOutcome,
};
use rusqlite::{Connection, params};

use crate::{SqliteStore, error::Result};

pub(crate) use list::types_of;
pub(crate) use read::{RowVersion, SELECT_VERSION_AT, content_of, current_row, demand_json, values_of};
pub(crate) use write::{FOREIGN_TARGET_TYPE, Failure, SELECT_HEAD, SELECT_VERSION_TIME, add_to_total, encode, write_all};

#[async_trait]
impl Resources for SqliteStore {
    async fn write_if(
        &self,
        account_id: AccountId,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> std::result::Result<Vec<WriteOutcome>, WriteError> {
        write::write(self, account_id, guards, writes).await
    }

    async fn read(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        id: &LogicalId,
    ) -> std::result::Result<Option<StoredVersion>, StoreError> {
        let (scope, id) = (scope.clone(), id.clone());
        self.connections.read(move |tx| read::current(tx, &scope, resource_type, &id)).await
    }

    async fn read_version(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        id: &LogicalId,
        version: u64,
    ) -> std::result::Result<Option<StoredVersion>, StoreError> {
        let (scope, id) = (scope.clone(), id.clone());
        self.connections.read(move |tx| read::version(tx, &scope, resource_type, &id, version)).await
    }

    async fn history(
        &self,
        account_id: AccountId,
        of: &HistoryScope,
        query: &HistoryQuery,
    ) -> std::result::Result<HistoryPage, StoreError> {
        let (of, query) = (of.clone(), *query);
        self.connections.read(move |tx| history::history(tx, account_id, &of, &query)).await
    }

    async fn list(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        query: &ListQuery,
    ) -> std::result::Result<Vec<StoredVersion>, StoreError> {
        let (scope, query) = (scope.clone(), query.clone());
        self.connections.read(move |tx| list::list(tx, &scope, resource_type, &query)).await
    }

    async fn count(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> std::result::Result<u64, StoreError> {
        let (scope, query) = (scope.clone(), query.clone());
        self.connections.read(move |tx| list::count(tx, &scope, resource_type, &query)).await
    }

    async fn totals(&self, scope: &Scope) -> std::result::Result<Vec<(ResourceType, u64)>, StoreError> {
        let scope = scope.clone();
        self.connections.read(move |tx| list::totals(tx, &scope)).await
    }
}

/// The accounts of a scope, from `first` on, in order.
pub(crate) fn accounts_of(connection: &Connection, scope: &Scope, first: AccountId) -> Result<Vec<AccountId>> {
    match scope {
        Scope::Account { account_id, .. } => Ok(if *account_id >= first { vec![*account_id] } else { Vec::new() }),
        Scope::Client { client_id } => {
            let mut statement = connection.prepare_cached(include_str!("../../sql/resources/accounts_of_client.sql"))?;
            let accounts =
                statement.query_map(params![client_id.0, first.0], |row| row.get(0).map(AccountId))?.collect::<rusqlite::Result<_>>()?;
            Ok(accounts)
        }
    }
}

/// Accounts are numbered from 1.
pub(crate) const ACCOUNT_FIRST: AccountId = AccountId(0);
