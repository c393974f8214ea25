//! Users, each of which is an account.

use lethe_auth::{AccountId, ClientId, User};
use lethe_store::{AddedUser, StoreError, UserFilter};
use tokio_postgres::Row;

use crate::{columns::at_most, error::Result, transaction::Tx};

const INSERT_USER: &str = include_str!("../../sql/accounts/insert_user.sql");
const INSERT_ORDER: &str = include_str!("../../sql/accounts/insert_order.sql");
const SELECT_USER: &str = include_str!("../../sql/accounts/user.sql");
const SELECT_USER_BY_NAME: &str = include_str!("../../sql/accounts/user_by_name.sql");
const SELECT_USERS_AFTER: &str = include_str!("../../sql/accounts/users_after.sql");
const SET_ACTIVE: &str = include_str!("../../sql/accounts/set_user_active.sql");
const DELETE_CODES: &str = include_str!("../../sql/accounts/delete_codes_of_account.sql");
const REVOKE_TOKENS: &str = include_str!("../../sql/accounts/revoke_tokens_of_account.sql");

/// Reads the first four columns: account_id, client_id, app_user_id, active.
pub(super) fn read_user(row: &Row) -> Result<User> {
    Ok(User {
        account_id: AccountId(row.try_get(0)?),
        client_id: ClientId(row.try_get(1)?),
        app_user_id: row.try_get(2)?,
        is_active: row.try_get(3)?,
    })
}

pub(super) async fn add(tx: Tx, client_id: &ClientId, app_user_id: &str, now_ms: i64) -> Result<AddedUser> {
    if let Some(user) = by_name(&tx, client_id, app_user_id).await? {
        return Ok(AddedUser::Exists(user));
    }
    let Some(added) = tx.row_if_any(INSERT_USER, &[&client_id.0, &app_user_id, &now_ms]).await? else {
        // Somebody added the same user in between, and has committed.
        let user = by_name(&tx, client_id, app_user_id).await?;
        return Ok(AddedUser::Exists(user.ok_or_else(|| StoreError::Failed("a user was there and is not".into()))?));
    };
    let account_id: i64 = added.try_get(0)?;
    tx.execute(INSERT_ORDER, &[&account_id]).await?;
    Ok(AddedUser::Added(User {
        account_id: AccountId(account_id),
        client_id: client_id.clone(),
        app_user_id: app_user_id.to_owned(),
        is_active: true,
    }))
}

pub(super) async fn by_account(tx: &Tx, account_id: AccountId) -> Result<Option<User>> {
    tx.row_if_any(SELECT_USER, &[&account_id.0]).await?.as_ref().map(read_user).transpose()
}

async fn by_name(tx: &Tx, client_id: &ClientId, app_user_id: &str) -> Result<Option<User>> {
    tx.row_if_any(SELECT_USER_BY_NAME, &[&client_id.0, &app_user_id]).await?.as_ref().map(read_user).transpose()
}

pub(super) async fn filtered(tx: Tx, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>> {
    // An account or a name names one user at most: look it up, then hold it to the rest of the filter.
    let one = match (filter.account_id, &filter.app_user_id) {
        (None, None) => return page(&tx, client_id, filter).await,
        (Some(account_id), _) => by_account(&tx, account_id).await?,
        (None, Some(app_user_id)) => by_name(&tx, client_id, app_user_id).await?,
    };
    let fits = |user: &User| {
        user.client_id == *client_id
            && filter.app_user_id.as_ref().is_none_or(|app_user_id| *app_user_id == user.app_user_id)
            && filter.after.is_none_or(|after| user.account_id > after)
    };
    Ok(one.into_iter().filter(fits).take(filter.count).collect())
}

async fn page(tx: &Tx, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>> {
    let after = filter.after.map_or(0, |account_id| account_id.0);
    tx.rows(SELECT_USERS_AFTER, &[&client_id.0, &after, &at_most(filter.count)]).await?.iter().map(read_user).collect()
}

pub(super) async fn set_active(tx: Tx, client_id: &ClientId, account_id: AccountId, is_active: bool) -> Result<bool> {
    let changed = tx.execute(SET_ACTIVE, &[&client_id.0, &account_id.0, &is_active]).await?;
    if changed == 1 && !is_active {
        tx.execute(DELETE_CODES, &[&account_id.0]).await?;
        tx.execute(REVOKE_TOKENS, &[&account_id.0]).await?;
    }
    Ok(changed == 1)
}
