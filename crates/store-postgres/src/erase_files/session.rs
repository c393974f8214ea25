//! A connection of its own: what it runs is no transaction, and takes longer than a statement of a server may.

use std::time::Duration;

use lethe_store::StoreError;
use tokio_postgres::{
    Client, Row,
    types::{FromSql, ToSql},
};

use crate::{address::Address, error::store_error};

const OPTIONS: &str = "-c search_path=lethe -c statement_timeout=60s -c lock_timeout=10s -c client_min_messages=warning -c jit=off";
const CONNECT_MAX: Duration = Duration::from_secs(10);

pub(super) struct Session {
    client: Client,
}

impl Session {
    pub(super) async fn open(address: &Address) -> Result<Self, StoreError> {
        let mut config = address.config.clone();
        let own = config.get_options().map(|options| format!("{OPTIONS} {options}"));
        config.options(own.as_deref().unwrap_or(OPTIONS)).application_name("lethe erase-files");
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_MAX));
        let (client, connection) = address.with(config).connect().await.map_err(store_error)?;
        // OK because what breaks the connection is told by the statement that runs into it.
        tokio::spawn(connection);
        // Whoever goes away in the middle ends what runs. OK because versions before 14 have no such setting, and then it runs to its end.
        drop(client.batch_execute("set client_connection_check_interval = '1s'").await);
        Ok(Self { client })
    }

    pub(super) async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        self.client.query(sql, values).await.map_err(store_error)
    }

    /// The only column of the only row.
    pub(super) async fn one<T: for<'a> FromSql<'a>>(&self, sql: &str) -> Result<T, StoreError> {
        let row = self.client.query_one(sql, &[]).await.map_err(store_error)?;
        column(&row, 0)
    }

    /// The only column of all rows.
    pub(super) async fn texts(&self, sql: &str) -> Result<Vec<String>, StoreError> {
        self.rows(sql, &[]).await?.iter().map(|row| column(row, 0)).collect()
    }

    /// A statement that stands for itself, given up after `limit`, or sooner if it has to wait for a lock.
    pub(super) async fn run_within(&self, limit: Duration, sql: &str) -> Result<(), tokio_postgres::Error> {
        let set = format!("set statement_timeout = {}; set lock_timeout = {}", limit.as_millis(), lock_wait(limit).as_millis());
        self.client.batch_execute(&set).await?;
        let done = self.client.batch_execute(sql).await;
        self.client.batch_execute("set statement_timeout = '60s'; set lock_timeout = '10s'").await?;
        done
    }
}

/// Whoever comes after one that waits for a table waits too, so that waiting is a part of the limit.
fn lock_wait(limit: Duration) -> Duration {
    (limit / 4).max(Duration::from_millis(1))
}

pub(super) fn column<T: for<'a> FromSql<'a>>(row: &Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(store_error)
}
