//! The audit trail, read.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection};
use lethe_store::{AuditEnd, AuditRecord, StoreError};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Result, certificate,
    job::{read_filtered, read_level},
    read_types,
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, NumberColumn, at_most, number, seq},
    transaction::Tx,
};

const SELECT: &str = include_str!("../../sql/purge/audit_records_from.sql");

pub(super) async fn records(store: &PostgresStore, after: u64, count: usize) -> Result<Vec<AuditRecord>> {
    let look = |tx: Tx| async move {
        let rows = tx.rows(SELECT, &[&NumberColumn(after), &at_most(count)]).await?;
        rows.iter().map(read).collect()
    };
    store.connections.read(look).await
}

pub(super) async fn store_id(store: &PostgresStore) -> Result<Uuid> {
    store.connections.read(|tx| async move { certificate::store_id(&tx).await }).await
}

fn read(row: &Row) -> crate::error::Result<AuditRecord> {
    let client_id = ClientId(row.try_get(2)?);
    let owner = match row.try_get(3)? {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<&str> = row.try_get(5)?;
    let closed_on: Option<InstantColumn> = row.try_get(11)?;
    Ok(AuditRecord {
        number: number(row, 0)?,
        job_id: row.try_get(1)?,
        owner,
        client_name: row.try_get(4)?,
        selection: Selection {
            types: types.map(read_types).transpose()?,
            before: row.try_get::<_, Option<InstantColumn>>(6)?.map(|column| column.0),
            include_deleted: row.try_get(7)?,
            level: read_level(row.try_get(18)?)?,
            filtered_types: read_filtered(row.try_get(19)?)?,
        },
        reason: row.try_get(8)?,
        watermark: seq(row, 9)?,
        opened_on: row.try_get::<_, InstantColumn>(10)?.0,
        closed: closed_on.map(|closed_on| end(row, closed_on)).transpose()?,
    })
}

fn end(row: &Row, closed_on: InstantColumn) -> crate::error::Result<AuditEnd> {
    let outcome: &str = row.try_get(12)?;
    Ok(AuditEnd {
        closed_on: closed_on.0,
        outcome: outcome.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
        counts: Counts {
            planned: number(row, 13)?,
            deleted: number(row, 14)?,
            spared: number(row, 15)?,
            held: number(row, 16)?,
            failed: number(row, 17)?,
        },
    })
}
