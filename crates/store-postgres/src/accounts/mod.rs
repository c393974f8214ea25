//! Clients, users, codes and tokens.

mod clients;
mod tokens;
mod users;

use async_trait::async_trait;
use lethe_auth::{AccountId, Client, ClientId, User};
use lethe_store::{Accounts, AddedUser, IssuedTokens, KeyedHash, NewClient, RefreshUse, StoreError, StoredToken, UserFilter};

use crate::PostgresStore;
use crate::connections::Durability;

#[async_trait]
impl Accounts for PostgresStore {
    async fn add_client(&self, client: &NewClient) -> Result<Client, StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        Ok(self.connections.write(Durability::OnDisk, |tx| clients::add(tx, client, now_ms)).await?)
    }

    async fn client(&self, client_id: &ClientId) -> Result<Option<(Client, KeyedHash)>, StoreError> {
        self.connections.read(|tx| clients::with_secret_hash(tx, client_id)).await
    }

    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.connections.read(clients::all).await
    }

    async fn set_client_active(&self, client_id: &ClientId, is_active: bool) -> Result<bool, StoreError> {
        Ok(self.connections.write(Durability::OnDisk, |tx| clients::set_active(tx, client_id, is_active)).await?)
    }

    async fn set_client_may_hold(&self, client_id: &ClientId, may_hold: bool) -> Result<bool, StoreError> {
        Ok(self.connections.write(Durability::OnDisk, |tx| clients::set_may_hold(tx, client_id, may_hold)).await?)
    }

    async fn set_client_secret(&self, client_id: &ClientId, secret_hash: &KeyedHash) -> Result<bool, StoreError> {
        Ok(self.connections.write(Durability::OnDisk, |tx| clients::set_secret_hash(tx, client_id, secret_hash)).await?)
    }

    async fn add_user(&self, client_id: &ClientId, app_user_id: &str) -> Result<AddedUser, StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        Ok(self.connections.write(Durability::OnDisk, |tx| users::add(tx, client_id, app_user_id, now_ms)).await?)
    }

    async fn user(&self, account_id: AccountId) -> Result<Option<User>, StoreError> {
        self.connections.read(|tx| async move { users::by_account(&tx, account_id).await }).await
    }

    async fn users(&self, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        self.connections.read(|tx| users::filtered(tx, client_id, filter)).await
    }

    async fn set_user_active(&self, client_id: &ClientId, account_id: AccountId, is_active: bool) -> Result<bool, StoreError> {
        Ok(self.connections.write(Durability::OnDisk, |tx| users::set_active(tx, client_id, account_id, is_active)).await?)
    }

    async fn put_code(&self, code_hash: &KeyedHash, account_id: AccountId, expires_on_ms: i64) -> Result<(), StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        Ok(self.connections.write(Durability::OnDisk, |tx| tokens::put_code(tx, code_hash, account_id, expires_on_ms, now_ms)).await?)
    }

    async fn take_code(&self, code_hash: &KeyedHash, client_id: &ClientId, tokens: &IssuedTokens) -> Result<Option<User>, StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        Ok(self.connections.write(Durability::OnDisk, |tx| tokens::take_code(tx, code_hash, client_id, tokens, now_ms)).await?)
    }

    async fn put_tokens(&self, account_id: AccountId, tokens: &IssuedTokens) -> Result<(), StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        let put = |tx| async move { tokens::put_pair(&tx, account_id, tokens, now_ms).await };
        Ok(self.connections.write(Durability::OnDisk, put).await?)
    }

    async fn access_token(&self, access_hash: &KeyedHash) -> Result<Option<StoredToken>, StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        self.connections.read(|tx| tokens::valid_access_token(tx, access_hash, now_ms)).await
    }

    async fn use_refresh_token(
        &self,
        refresh_hash: &KeyedHash,
        client_id: &ClientId,
        tokens: &IssuedTokens,
    ) -> Result<RefreshUse, StoreError> {
        let now_ms = self.clock.now().as_unix_ms();
        let using = |tx| tokens::use_refresh_token(tx, refresh_hash, client_id, tokens, now_ms);
        Ok(self.connections.write(Durability::OnDisk, using).await?)
    }
}
