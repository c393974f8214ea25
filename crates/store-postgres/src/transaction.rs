//! One transaction, and the statements in it.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deadpool_postgres::Object;
use futures_core::Stream;
use lethe_search_sql::{Param, Statement};
use tokio_postgres::{
    Row, RowStream,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use crate::{columns::IdColumn, error::Result};

/// Values that are bound to a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Rows that are asked for at a time where a statement may have many: so many bodies are in memory at once.
pub(crate) const ROWS_AT_A_TIME: usize = 16;

/// A transaction that is open, for whoever works in it. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Tx(Arc<Opened>);

struct Opened {
    /// `None` only while it is dropped.
    client: Option<Object>,
    has_ended: AtomicBool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Whoever asked has gone in the middle: with the connection goes what it had begun.
        if !*self.has_ended.get_mut()
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

impl Tx {
    /// Begins one with `begin`, which may be several statements.
    pub(crate) async fn begin(client: Object, begin: &str) -> Result<Self> {
        let opened = Self(Arc::new(Opened { client: Some(client), has_ended: AtomicBool::new(false) }));
        opened.client()?.batch_execute(begin).await?;
        Ok(opened)
    }

    /// Ends it; all of it is stored.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end("commit").await
    }

    /// Ends it; nothing of it is stored.
    pub(crate) async fn roll_back(self) -> Result<()> {
        self.end("rollback").await
    }

    async fn end(self, with: &str) -> Result<()> {
        self.client()?.batch_execute(with).await?;
        self.0.has_ended.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn client(&self) -> Result<&Object> {
        let closed = || lethe_store::StoreError::Failed("the connection has been closed".into());
        Ok(self.0.client.as_ref().ok_or_else(closed)?)
    }

    /// Runs a statement; the rows that it changed.
    pub(crate) async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, values).await?)
    }

    /// All rows of a statement that has few.
    pub(crate) async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, values).await?)
    }

    /// The row of a statement that has one.
    pub(crate) async fn row(&self, sql: &str, values: Values<'_>) -> Result<Row> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_one(&statement, values).await?)
    }

    /// The row of a statement that has one or none.
    pub(crate) async fn row_if_any(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_opt(&statement, values).await?)
    }

    /// The rows of a statement that was written for this one time, as they come: it is not kept for another.
    pub(crate) async fn stream(&self, statement: &Statement) -> Result<Rows> {
        let values = statement.params.iter().map(|param| -> (Box<dyn ToSql + Sync + Send>, Type) {
            match param {
                Param::Int(number) => (Box::new(*number), Type::INT8),
                Param::Bytes(bytes) => (Box::new(bytes.clone()), Type::BYTEA),
                Param::Keys(keys) => (Box::new(keys.clone()), Type::INT8_ARRAY),
                Param::Id(id) => (Box::new(IdColumn(id.clone())), Type::BYTEA),
            }
        });
        Ok(Rows(Box::pin(self.client()?.query_typed_raw(&statement.sql, values).await?)))
    }

    /// Sends rows with columns of these types to `sql`, which is a `copy … from stdin (format binary)`.
    pub(crate) async fn copy<'r, Row: AsRef<[&'r (dyn ToSql + Sync)]>>(
        &self,
        sql: &str,
        types: &[Type],
        rows: impl Iterator<Item = Row>,
    ) -> Result<()> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&statement).await?, types));
        for row in rows {
            writer.as_mut().write(row.as_ref()).await?;
        }
        writer.finish().await?;
        Ok(())
    }

    /// One statement without values and rows that is given up soon. What comes of it is known when this returns: PostgreSQL looks once more whether the time is up
    /// between the statement and the end of its message. To statements that are sent as [`Tx::run`] does, it would say so when it waits for the
    /// next, as if that one had taken too long, or unasked.
    pub(crate) async fn run_in_haste(&self, sql: &str) -> Result<()> {
        let values: [(i64, Type); 0] = [];
        let mut rows = Rows(Box::pin(self.client()?.query_typed_raw(sql, values).await?));
        while rows.next().await?.is_some() {}
        Ok(())
    }

    /// Statements without values, as they stand.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client()?.batch_execute(sql).await?)
    }
}

/// Rows that are read one after the other; those that nobody asks for are passed over.
pub(crate) struct Rows(Pin<Box<RowStream>>);

impl Rows {
    /// The next, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>> {
        Ok(poll_fn(|context| self.0.as_mut().poll_next(context)).await.transpose()?)
    }
}
