//! Codes and tokens. Each function runs in one transaction that locks the code or token first, and the user: what serves once cannot serve twice,
//! and nobody is given tokens while he is switched off.

use lethe_auth::{AccountId, ClientId, IssuedTokens, KeyedHash, User};
use lethe_store::{RefreshUse, StoreError, StoredToken};

use super::{
    clients::{read_client, read_hash},
    users::read_user,
};
use crate::{error::Result, transaction::Tx};

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

pub(super) async fn put_code(tx: Tx, code_hash: &KeyedHash, account_id: AccountId, expires_on_ms: i64, now_ms: i64) -> Result<()> {
    tx.execute(DELETE_EXPIRED_CODES, &[&account_id.0, &now_ms]).await?;
    tx.execute(INSERT_CODE, &[&code_hash.0.as_slice(), &account_id.0, &expires_on_ms]).await?;
    Ok(())
}

pub(super) async fn take_code(
    tx: Tx,
    code_hash: &KeyedHash,
    client_id: &ClientId,
    issued: &IssuedTokens,
    now_ms: i64,
) -> Result<Option<User>> {
    let found = tx.row_if_any(SELECT_USER_OF_CODE, &[&code_hash.0.as_slice(), &now_ms, &client_id.0]).await?;
    let Some(row) = found else { return Ok(None) };
    let user = read_user(&row)?;
    let bought: Option<Vec<u8>> = row.try_get(4)?;
    if let Some(family) = bought {
        // Somebody else has the code too, and who of the two was first cannot be known (RFC 6749 §4.1.2).
        tx.execute(REVOKE_FAMILY, &[&family, &user.account_id.0]).await?;
        return Ok(None);
    }
    tx.execute(USE_CODE, &[&code_hash.0.as_slice(), &issued.family.0.as_slice()]).await?;
    put_pair(&tx, user.account_id, issued, now_ms).await?;
    Ok(Some(user))
}

pub(super) async fn put_pair(tx: &Tx, account_id: AccountId, issued: &IssuedTokens, now_ms: i64) -> Result<()> {
    tx.execute(DELETE_EXPIRED_TOKENS, &[&account_id.0, &now_ms]).await?;
    let family = issued.family.0.as_slice();
    for (hash, kind, expires_on_ms) in
        [(issued.access_hash, "access", issued.access_expires_on_ms), (issued.refresh_hash, "refresh", issued.refresh_expires_on_ms)]
    {
        tx.execute(INSERT_TOKEN, &[&hash.0.as_slice(), &kind, &family, &account_id.0, &expires_on_ms]).await?;
    }
    Ok(())
}

pub(super) async fn valid_access_token(tx: Tx, access_hash: &KeyedHash, now_ms: i64) -> Result<Option<StoredToken>> {
    let found = tx.row_if_any(SELECT_ACCESS_TOKEN, &[&access_hash.0.as_slice(), &now_ms]).await?;
    found.map(|row| Ok(StoredToken { user: read_user(&row)?, client: read_client(&row, 4)? })).transpose()
}

pub(super) async fn use_refresh_token(
    tx: Tx,
    refresh_hash: &KeyedHash,
    client_id: &ClientId,
    issued: &IssuedTokens,
    now_ms: i64,
) -> Result<RefreshUse> {
    let found = tx.row_if_any(SELECT_REFRESH_TOKEN, &[&refresh_hash.0.as_slice(), &now_ms, &client_id.0]).await?;
    let Some(row) = found else { return Ok(RefreshUse::Invalid) };
    let (user, family) = (read_user(&row)?, read_hash(&row, 4)?);
    match row.try_get(5)? {
        "valid" => {
            tx.execute(USE_REFRESH_TOKEN, &[&refresh_hash.0.as_slice()]).await?;
            tx.execute(REVOKE_ACCESS_TOKENS, &[&family.0.as_slice(), &user.account_id.0]).await?;
            put_pair(&tx, user.account_id, &IssuedTokens { family, ..*issued }, now_ms).await?;
            Ok(RefreshUse::Renewed(user))
        }
        "used" => {
            tx.execute(REVOKE_FAMILY, &[&family.0.as_slice(), &user.account_id.0]).await?;
            Ok(RefreshUse::Reused)
        }
        "revoked" => Ok(RefreshUse::Invalid),
        other => Err(StoreError::NotUnderstood(format!("token.state: {other}")).into()),
    }
}
