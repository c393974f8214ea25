//! Port: clients, users, codes and tokens.

use async_trait::async_trait;
use lethe_auth::{AccountId, AuthMethods, Client, ClientId, User};
pub use lethe_auth::{IssuedTokens, KeyedHash};

use crate::StoreError;

/// A client to register.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Its public id, freshly generated.
    pub client_id: ClientId,
    /// What people call it.
    pub name: String,
    /// How it may authenticate.
    pub auth: AuthMethods,
    /// Whether it may set and lift legal holds on the accounts of its users.
    pub may_hold: bool,
    /// Hash of its secret.
    pub secret_hash: KeyedHash,
}

/// What came of adding a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedUser {
    /// It is new.
    Added(User),
    /// The client already has a user of that `app_user_id`; nothing changed.
    Exists(User),
}

/// Which users of a client to list, in order of account.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only this account.
    pub account_id: Option<AccountId>,
    /// Only this `app_user_id`.
    pub app_user_id: Option<String>,
    /// Only accounts after this one: the next page.
    pub after: Option<AccountId>,
    /// At most so many.
    pub count: usize,
}

/// A token that is valid at this moment: known, not revoked, not expired, its user and client active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// For whom it acts.
    pub user: User,
    /// The client of that user.
    pub client: Client,
}

/// What came of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshUse {
    /// Its first use; the new pair is stored and the old access token is revoked.
    Renewed(User),
    /// It had been used before: somebody else may hold a copy, so its whole family is revoked now.
    Reused,
    /// Unknown, expired, revoked, of another client, or of a user who is not active.
    Invalid,
}

/// Clients, users, codes and tokens. Holds hashes, never secrets.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Registers a client.
    async fn add_client(&self, client: &NewClient) -> Result<Client, StoreError>;
    /// One client and the hash of its secret.
    async fn client(&self, client_id: &ClientId) -> Result<Option<(Client, KeyedHash)>, StoreError>;
    /// Every client, by name.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;
    /// Switches a client on or off; `false` if there is none.
    async fn set_client_active(&self, client_id: &ClientId, is_active: bool) -> Result<bool, StoreError>;
    /// Lets a client set and lift holds, or keeps it from it; `false` if there is none.
    async fn set_client_may_hold(&self, client_id: &ClientId, may_hold: bool) -> Result<bool, StoreError>;
    /// Replaces a client's secret; `false` if there is none.
    async fn set_client_secret(&self, client_id: &ClientId, secret_hash: &KeyedHash) -> Result<bool, StoreError>;

    /// Adds a user unless the client has one of that name.
    async fn add_user(&self, client_id: &ClientId, app_user_id: &str) -> Result<AddedUser, StoreError>;
    /// One user.
    async fn user(&self, account_id: AccountId) -> Result<Option<User>, StoreError>;
    /// Users of a client.
    async fn users(&self, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>, StoreError>;
    /// Switches a user of this client on or off; `false` if there is none. Switched off, its codes and tokens are worthless at once, and stay
    /// so when it is switched on again.
    async fn set_user_active(&self, client_id: &ClientId, account_id: AccountId, is_active: bool) -> Result<bool, StoreError>;

    /// Stores a code.
    async fn put_code(&self, code_hash: &KeyedHash, account_id: AccountId, expires_on_ms: i64) -> Result<(), StoreError>;
    /// Uses a code up and stores the tokens that it buys, in one transaction. `None` if it is unknown, used, expired, of another client,
    /// or of a user who is not active. One that is presented again while it could still be used takes back what it had bought.
    async fn take_code(&self, code_hash: &KeyedHash, client_id: &ClientId, tokens: &IssuedTokens) -> Result<Option<User>, StoreError>;
    /// Stores tokens without a code: for development, from the command line.
    async fn put_tokens(&self, account_id: AccountId, tokens: &IssuedTokens) -> Result<(), StoreError>;
    /// The user for whom an access token acts, if it is valid at this moment.
    async fn access_token(&self, access_hash: &KeyedHash) -> Result<Option<StoredToken>, StoreError>;
    /// Uses a refresh token up and stores the next pair, in one transaction; `tokens.family` is ignored, the old one goes on.
    async fn use_refresh_token(
        &self,
        refresh_hash: &KeyedHash,
        client_id: &ClientId,
        tokens: &IssuedTokens,
    ) -> Result<RefreshUse, StoreError>;
}
