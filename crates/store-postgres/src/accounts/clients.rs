//! Clients.

use lethe_auth::{AuthMethods, Client, ClientId, KeyedHash};
use lethe_store::{NewClient, StoreError};
use tokio_postgres::Row;

use crate::{error::Result, transaction::Tx};

const INSERT_CLIENT: &str = include_str!("../../sql/accounts/insert_client.sql");
const SELECT_CLIENT: &str = include_str!("../../sql/accounts/client.sql");
const SELECT_CLIENTS: &str = include_str!("../../sql/accounts/clients.sql");
const SET_ACTIVE: &str = include_str!("../../sql/accounts/set_client_active.sql");
const SET_MAY_HOLD: &str = include_str!("../../sql/accounts/set_client_may_hold.sql");
const SET_SECRET_HASH: &str = include_str!("../../sql/accounts/set_client_secret.sql");

/// Reads the columns from `first` on: client_id, name, auth, active, created_on_ms, may_hold.
pub(super) fn read_client(row: &Row, first: usize) -> Result<Client> {
    let not_understood = |what| StoreError::NotUnderstood(format!("client.auth: {what}"));
    Ok(Client {
        client_id: ClientId(row.try_get(first)?),
        name: row.try_get(first + 1)?,
        auth: row.try_get::<_, &str>(first + 2)?.parse::<AuthMethods>().map_err(not_understood)?,
        is_active: row.try_get(first + 3)?,
        created_on_ms: row.try_get(first + 4)?,
        may_hold: row.try_get(first + 5)?,
    })
}

/// Reads a keyed hash.
pub(super) fn read_hash(row: &Row, column: usize) -> Result<KeyedHash> {
    let bytes: &[u8] = row.try_get(column)?;
    let not_understood = |_| StoreError::NotUnderstood(format!("a hash of {} bytes", bytes.len()));
    Ok(KeyedHash(bytes.try_into().map_err(not_understood)?))
}

pub(super) async fn add(tx: Tx, client: &NewClient, now_ms: i64) -> Result<Client> {
    let NewClient { client_id, name, auth, may_hold, secret_hash } = client.clone();
    tx.execute(INSERT_CLIENT, &[&client_id.0, &name, &auth.stored(), &secret_hash.0.as_slice(), &now_ms, &may_hold]).await?;
    Ok(Client { client_id, name, auth, is_active: true, may_hold, created_on_ms: now_ms })
}

pub(super) async fn with_secret_hash(tx: Tx, client_id: &ClientId) -> Result<Option<(Client, KeyedHash)>> {
    let found = tx.row_if_any(SELECT_CLIENT, &[&client_id.0]).await?;
    found.map(|row| Ok((read_client(&row, 0)?, read_hash(&row, 6)?))).transpose()
}

pub(super) async fn all(tx: Tx) -> Result<Vec<Client>> {
    tx.rows(SELECT_CLIENTS, &[]).await?.iter().map(|row| read_client(row, 0)).collect()
}

pub(super) async fn set_active(tx: Tx, client_id: &ClientId, is_active: bool) -> Result<bool> {
    Ok(tx.execute(SET_ACTIVE, &[&client_id.0, &is_active]).await? == 1)
}

pub(super) async fn set_may_hold(tx: Tx, client_id: &ClientId, may_hold: bool) -> Result<bool> {
    Ok(tx.execute(SET_MAY_HOLD, &[&client_id.0, &may_hold]).await? == 1)
}

pub(super) async fn set_secret_hash(tx: Tx, client_id: &ClientId, secret_hash: &KeyedHash) -> Result<bool> {
    Ok(tx.execute(SET_SECRET_HASH, &[&client_id.0, &secret_hash.0.as_slice()]).await? == 1)
}
