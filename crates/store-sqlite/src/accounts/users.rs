//! Users, each of which is an account.

use lethe_auth::{AccountId, ClientId, User};
use lethe_store::{AddedUser, UserFilter};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;

const INSERT_USER: &str = include_str!("../../sql/accounts/insert_user.sql");
const SELECT_USER: &str = include_str!("../../sql/accounts/user.sql");
const SELECT_USER_BY_NAME: &str = include_str!("../../sql/accounts/user_by_name.sql");
const SELECT_USERS_AFTER: &str = include_str!("../../sql/accounts/users_after.sql");
const SET_ACTIVE: &str = include_str!("../../sql/accounts/set_user_active.sql");
const DELETE_CODES: &str = include_str!("../../sql/accounts/delete_codes_of_account.sql");
const REVOKE_TOKENS: &str = include_str!("../../sql/accounts/revoke_tokens_of_account.sql");

/// Reads the first four columns: account_id, client_id, app_user_id, active.
pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User { account_id: AccountId(row.get(0)?), client_id: ClientId(row.get(1)?), app_user_id: row.get(2)?, is_active: row.get(3)? })
}

pub(super) fn add(connection: &Connection, client_id: &ClientId, app_user_id: &str, now_ms: i64) -> Result<AddedUser> {
    // OK because writers take turns: nobody adds the same user in between.
    if let Some(user) = by_name(connection, client_id, app_user_id)? {
        return Ok(AddedUser::Exists(user));
    }
    let account_id = connection.prepare_cached(INSERT_USER)?.insert(params![client_id.0, app_user_id, now_ms])?;
    Ok(AddedUser::Added(User {
        account_id: AccountId(account_id),
        client_id: client_id.clone(),
        app_user_id: app_user_id.to_owned(),
        is_active: true,
    }))
}

pub(super) fn by_account(connection: &Connection, account_id: AccountId) -> Result<Option<User>> {
    Ok(connection.prepare_cached(SELECT_USER)?.query_row(params![account_id.0], read_user).optional()?)
}

fn by_name(connection: &Connection, client_id: &ClientId, app_user_id: &str) -> Result<Option<User>> {
    Ok(connection.prepare_cached(SELECT_USER_BY_NAME)?.query_row(params![client_id.0, app_user_id], read_user).optional()?)
}

pub(super) fn filtered(connection: &Connection, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>> {
    // An account or a name names one user at most: look it up, then hold it to the rest of the filter.
    let one = match (filter.account_id, &filter.app_user_id) {
        (None, None) => return page(connection, client_id, filter),
        (Some(account_id), _) => by_account(connection, account_id)?,
        (None, Some(app_user_id)) => by_name(connection, client_id, app_user_id)?,
    };
    let fits = |user: &User| {
        user.client_id == *client_id
            && filter.app_user_id.as_ref().is_none_or(|app_user_id| *app_user_id == user.app_user_id)
            && filter.after.is_none_or(|after| user.account_id > after)
    };
    Ok(one.into_iter().filter(fits).take(filter.count).collect())
}

fn page(connection: &Connection, client_id: &ClientId, filter: &UserFilter) -> Result<Vec<User>> {
    let after = filter.after.map_or(0, |account_id| account_id.0);
    let count = i64::try_from(filter.count).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(SELECT_USERS_AFTER)?;
    let users = statement.query_map(params![client_id.0, after, count], read_user)?.collect::<rusqlite::Result<_>>()?;
    Ok(users)
}

pub(super) fn set_active(connection: &Connection, client_id: &ClientId, account_id: AccountId, is_active: bool) -> Result<bool> {
    let changed = connection.prepare_cached(SET_ACTIVE)?.execute(params![client_id.0, account_id.0, is_active])?;
    if changed == 1 && !is_active {
        connection.prepare_cached(DELETE_CODES)?.execute(params![account_id.0])?;
        connection.prepare_cached(REVOKE_TOKENS)?.execute(params![account_id.0])?;
    }
    Ok(changed == 1)
}
