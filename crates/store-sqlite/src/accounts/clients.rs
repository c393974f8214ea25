//! Clients.

use lethe_auth::{AuthMethods, Client, ClientId, KeyedHash};
use lethe_store::{NewClient, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;

const INSERT_CLIENT: &str = include_str!("../../sql/accounts/insert_client.sql");
const SELECT_CLIENT: &str = include_str!("../../sql/accounts/client.sql");
const SELECT_CLIENTS: &str = include_str!("../../sql/accounts/clients.sql");
const SET_ACTIVE: &str = include_str!("../../sql/accounts/set_client_active.sql");
const SET_MAY_HOLD: &str = include_str!("../../sql/accounts/set_client_may_hold.sql");
const SET_SECRET_HASH: &str = include_str!("../../sql/accounts/set_client_secret.sql");

/// A row of `client`: client_id, name, auth, active, created_on_ms, may_hold.
pub(super) struct RowClient {
    client_id: String,
    name: String,
    auth: String,
    is_active: bool,
    created_on_ms: i64,
    may_hold: bool,
}

impl RowClient {
    /// Reads the columns from `first` on.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            client_id: row.get(first)?,
            name: row.get(first + 1)?,
            auth: row.get(first + 2)?,
            is_active: row.get(first + 3)?,
            created_on_ms: row.get(first + 4)?,
            may_hold: row.get(first + 5)?,
        })
    }

    pub(super) fn into_client(self) -> Result<Client> {
        let not_understood = |what| StoreError::NotUnderstood(format!("client.auth: {what}"));
        Ok(Client {
            client_id: ClientId(self.client_id),
            name: self.name,
            auth: self.auth.parse::<AuthMethods>().map_err(not_understood)?,
            is_active: self.is_active,
            may_hold: self.may_hold,
            created_on_ms: self.created_on_ms,
        })
    }
}

pub(super) fn add(connection: &Connection, client: NewClient, now_ms: i64) -> Result<Client> {
    let NewClient { client_id, name, auth, may_hold, secret_hash } = client;
    connection.prepare_cached(INSERT_CLIENT)?.execute(params![client_id.0, name, auth.stored(), secret_hash.0, now_ms, may_hold])?;
    Ok(Client { client_id, name, auth, is_active: true, may_hold, created_on_ms: now_ms })
}

pub(super) fn with_secret_hash(connection: &Connection, client_id: &ClientId) -> Result<Option<(Client, KeyedHash)>> {
    let mut statement = connection.prepare_cached(SELECT_CLIENT)?;
    let found = statement.query_row(params![client_id.0], |row| Ok((RowClient::read(row, 0)?, row.get(6)?))).optional()?;
    found.map(|(row, secret_hash)| Ok((row.into_client()?, KeyedHash(secret_hash)))).transpose()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Client>> {
    let mut statement = connection.prepare_cached(SELECT_CLIENTS)?;
    let rows = statement.query_map([], |row| RowClient::read(row, 0))?;
    rows.map(|row| row?.into_client()).collect()
}

pub(super) fn set_active(connection: &Connection, client_id: &ClientId, is_active: bool) -> Result<bool> {
    Ok(connection.prepare_cached(SET_ACTIVE)?.execute(params![client_id.0, is_active])? == 1)
}

pub(super) fn set_may_hold(connection: &Connection, client_id: &ClientId, may_hold: bool) -> Result<bool> {
    Ok(connection.prepare_cached(SET_MAY_HOLD)?.execute(params![client_id.0, may_hold])? == 1)
}

pub(super) fn set_secret_hash(connection: &Connection, client_id: &ClientId, secret_hash: &KeyedHash) -> Result<bool> {
    Ok(connection.prepare_cached(SET_SECRET_HASH)?.execute(params![client_id.0, secret_hash.0])? == 1)
}
