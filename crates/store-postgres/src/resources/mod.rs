//! Reading and writing resources.

mod history;
mod list;
mod read;
mod stretch;
mod write;

use async_trait::async_trait;
use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_store::{
    Guard, HistoryPage, HistoryQuery, HistoryScope, ListQuery, Resources, StoreError, StoredVersion, Write, WriteError, WriteOutcome,
};

use crate::{
    PostgresStore,
    columns::InstantColumn,
    error::{Error, Result},
    transaction::Tx,
};

pub(crate) use list::types_of;
pub(crate) use read::{RowVersion, SELECT_VERSION_AT, content_of, current_row, demand_json, values_of};
pub(crate) use stretch::SELECT_HEADS;
pub(crate) use write::{DISORDER_MAX_MS, SELECT_HEAD, SELECT_VERSION_TIME, encode, take_from_total, write_all, write_beside_others};

pub(crate) const SELECT_NEWEST_SEQ: &str = include_str!("../../sql/resources/newest_seq.sql");
const SELECT_ACCOUNTS: &str = include_str!("../../sql/resources/accounts_of_client.sql");
const TAKE_TURN: &str = include_str!("../../sql/resources/take_turn.sql");
const TAKE_TURN_SHARED: &str = include_str!("../../sql/resources/take_turn_shared.sql");
const TAKE_TURNS: &str = include_str!("../../sql/resources/take_turns.sql");
const LOCK_ACCOUNT_SHARED: &str = include_str!("../../sql/resources/lock_account_shared.sql");
const LOCK_ACCOUNTS: &str = include_str!("../../sql/resources/lock_accounts.sql");
const LOCK_ACCOUNT: &str = include_str!("../../sql/resources/lock_account.sql");

#[async_trait]
impl Resources for PostgresStore {
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
        self.connections.read(|tx| read::current(tx, scope, resource_type, id)).await
    }

    async fn read_version(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        id: &LogicalId,
        version: u64,
    ) -> std::result::Result<Option<StoredVersion>, StoreError> {
        self.connections.read(|tx| read::version(tx, scope, resource_type, id, version)).await
    }

    async fn history(
        &self,
        account_id: AccountId,
        of: &HistoryScope,
        query: &HistoryQuery,
    ) -> std::result::Result<HistoryPage, StoreError> {
        self.connections.read(|tx| history::history(tx, account_id, of, query)).await
    }

    async fn list(
        &self,
        scope: &Scope,
        resource_type: ResourceType,
        query: &ListQuery,
    ) -> std::result::Result<Vec<StoredVersion>, StoreError> {
        self.connections.read(|tx| list::list(tx, scope, resource_type, query)).await
    }

    async fn count(&self, scope: &Scope, resource_type: ResourceType, query: &ListQuery) -> std::result::Result<u64, StoreError> {
        self.connections.read(|tx| list::count(tx, scope, resource_type, query)).await
    }

    async fn totals(&self, scope: &Scope) -> std::result::Result<Vec<(ResourceType, u64)>, StoreError> {
        self.connections.read(|tx| list::totals(tx, scope)).await
    }
}

/// The accounts of a scope, from `first` on, in order.
pub(crate) async fn accounts_of(tx: &Tx, scope: &Scope, first: AccountId) -> Result<Vec<AccountId>> {
    match scope {
        Scope::Account { account_id, .. } => Ok(if *account_id >= first { vec![*account_id] } else { Vec::new() }),
        Scope::Client { client_id } => {
            let accounts = tx.rows(SELECT_ACCOUNTS, &[&client_id.0, &first.0]).await?;
            accounts.iter().map(|row| Ok(AccountId(row.try_get(0)?))).collect()
        }
    }
}

/// Accounts are numbered from 1.
pub(crate) const ACCOUNT_FIRST: AccountId = AccountId(0);

/// An account's lock, as it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lock {
    /// No version is stored with an earlier time.
    times_from: Instant,
    /// Of `type_total`: others who have the lock have other ones, or wait for each other's commits.
    lane: i16,
}

/// Takes an account's lock until the transaction ends: nobody else writes to it, and no version of it is on its way (docs/adr/0036). Must come before
/// any other look at what the account holds.
pub(crate) async fn lock_account(tx: &Tx, account_id: AccountId) -> Result<Lock> {
    lock(tx, account_id, TAKE_TURN, LOCK_ACCOUNT).await
}

/// Takes an account's lock beside others who take it so: nobody has it alone until the transaction ends. They see to it that they are not in each
/// other's way.
pub(crate) async fn lock_account_shared(tx: &Tx, account_id: AccountId) -> Result<Lock> {
    lock(tx, account_id, TAKE_TURN_SHARED, LOCK_ACCOUNT_SHARED).await
}

async fn lock(tx: &Tx, account_id: AccountId, take_turn: &str, lock: &str) -> Result<Lock> {
    // A row's lock goes to whoever asks first once it is free, and to whoever shares it before anybody who waits for it alone: so they stand in line
    // before.
    tx.row(take_turn, &[&account_id.0]).await?;
    let row = tx.row_if_any(lock, &[&account_id.0]).await?.ok_or(Error::Write(WriteError::NoAccount(account_id)))?;
    Ok(Lock { times_from: row.try_get::<_, InstantColumn>(0)?.0, lane: row.try_get(1)? })
}

/// The same for all accounts of a client, which gets no further one meanwhile.
pub(crate) async fn lock_accounts(tx: &Tx, client_id: &ClientId) -> Result<()> {
    let accounts = accounts_of(tx, &Scope::Client { client_id: client_id.clone() }, ACCOUNT_FIRST).await?;
    let accounts: Vec<i64> = accounts.into_iter().map(|account_id| account_id.0).collect();
    tx.rows(TAKE_TURNS, &[&accounts]).await?;
    tx.execute(LOCK_ACCOUNTS, &[&accounts]).await?;
    Ok(())
}
