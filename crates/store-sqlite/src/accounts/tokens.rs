//! Codes and tokens. Each function runs in one transaction, and writers take turns: what serves once cannot serve twice.

use lethe_auth::{AccountId, ClientId, IssuedTokens, KeyedHash, User};
use lethe_store::{RefreshUse, StoreError, StoredToken};
use rusqlite::{Connection, OptionalExtension, params};

use super::{clients::RowClient, users::read_user};
use crate::error::Result;

const INSERT_CODE: &str = include_str!("../../sql/accounts/insert_code.sql");
const SELECT_USER_OF_CODE: &str = include_str!("../../sql/accounts/user_of_code.sql");
const USE_CODE: &str = include_str!("../../sql/accounts/use_code.sql");
const DELETE_EXPIRED_CODES: &str = include_str!("../../sql/accounts/delete_expired_codes.sql");
const INSERT_TOKEN: &str = include_str!("../../sql/accounts/insert_token.sql");
const SELECT_ACCESS_TOKEN: &str = include_str!("../../sql/accounts/valid_access_token.sql");
const SELECT_REFRESH_TOKEN: &str = include_str!("../../sql/accounts/refresh_token.sql");
const USE_REFRESH_TOKEN: &str = include_str!("../../sql/accounts/use_refresh_token.sql");
const REVOKE_ACCESS_TOKENS: &str = include_str!("../../sql/accounts/revoke_access_tokens_of_family.sql");
const REVOKE_FAMILY: &str = include_str!("../../sql/accounts/revoke_family.sql");
const DELETE_EXPIRED_TOKENS: &str = include_str!("../../sql/accounts/delete_expired_tokens.sql");

pub(super) fn put_code(
    connection: &Connection,
    code_hash: &KeyedHash,
    account_id: AccountId,
    expires_on_ms: i64,
    now_ms: i64,
) -> Result<()> {
    connection.prepare_cached(DELETE_EXPIRED_CODES)?.execute(params![account_id.0, now_ms])?;
    connection.prepare_cached(INSERT_CODE)?.execute(params![code_hash.0, account_id.0, expires_on_ms])?;
    Ok(())
}

pub(super) fn take_code(
    connection: &Connection,
    code_hash: &KeyedHash,
    client_id: &ClientId,
    issued: &IssuedTokens,
    now_ms: i64,
) -> Result<Option<User>> {
    let mut statement = connection.prepare_cached(SELECT_USER_OF_CODE)?;
    let found = statement.query_row(params![code_hash.0, now_ms, client_id.0], |row| Ok((read_user(row)?, row.get(4)?))).optional()?;
    let Some((user, bought)) = found else { return Ok(None) };
    let bought: Option<Vec<u8>> = bought;
    if let Some(family) = bought {
        // Somebody else has the code too, and who of the two was first cannot be known (RFC 6749 §4.1.2).
        connection.prepare_cached(REVOKE_FAMILY)?.execute(params![family, user.account_id.0])?;
        return Ok(None);
    }
    connection.prepare_cached(USE_CODE)?.execute(params![code_hash.0, issued.family.0])?;
    put_pair(connection, user.account_id, issued, now_ms)?;
    Ok(Some(user))
}

pub(super) fn put_pair(connection: &Connection, account_id: AccountId, issued: &IssuedTokens, now_ms: i64) -> Result<()> {
    connection.prepare_cached(DELETE_EXPIRED_TOKENS)?.execute(params![account_id.0, now_ms])?;
    let mut insert = connection.prepare_cached(INSERT_TOKEN)?;
    let family = issued.family.0;
    insert.execute(params![issued.access_hash.0, "access", family, account_id.0, issued.access_expires_on_ms])?;
    insert.execute(params![issued.refresh_hash.0, "refresh", family, account_id.0, issued.refresh_expires_on_ms])?;
    Ok(())
}

pub(super) fn valid_access_token(connection: &Connection, access_hash: &KeyedHash, now_ms: i64) -> Result<Option<StoredToken>> {
    let mut statement = connection.prepare_cached(SELECT_ACCESS_TOKEN)?;
    let found = statement.query_row(params![access_hash.0, now_ms], |row| Ok((read_user(row)?, RowClient::read(row, 4)?))).optional()?;
    found.map(|(user, client)| Ok(StoredToken { user, client: client.into_client()? })).transpose()
}

pub(super) fn use_refresh_token(
    connection: &Connection,
    refresh_hash: &KeyedHash,
    client_id: &ClientId,
    issued: &IssuedTokens,
    now_ms: i64,
) -> Result<RefreshUse> {
    let mut statement = connection.prepare_cached(SELECT_REFRESH_TOKEN)?;
    let found = statement
        .query_row(params![refresh_hash.0, now_ms, client_id.0], |row| {
            Ok((read_user(row)?, KeyedHash(row.get(4)?), row.get::<_, String>(5)?))
        })
        .optional()?;
    let Some((user, family, state)) = found else { return Ok(RefreshUse::Invalid) };
    match state.as_str() {
        "valid" => {
            connection.prepare_cached(USE_REFRESH_TOKEN)?.execute(params![refresh_hash.0])?;
            connection.prepare_cached(REVOKE_ACCESS_TOKENS)?.execute(params![family.0, user.account_id.0])?;
            put_pair(connection, user.account_id, &IssuedTokens { family, ..*issued }, now_ms)?;
            Ok(RefreshUse::Renewed(user))
        }
        "used" => {
            connection.prepare_cached(REVOKE_FAMILY)?.execute(params![family.0, user.account_id.0])?;
            Ok(RefreshUse::Reused)
        }
        "revoked" => Ok(RefreshUse::Invalid),
        other => Err(StoreError::NotUnderstood(format!("token.state: {other}")).into()),
    }
}
