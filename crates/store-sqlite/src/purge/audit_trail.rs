//! The audit trail, read.

use lethe_auth::{AccountId, ClientId, Scope};
use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection};
use lethe_store::{AuditEnd, AuditRecord, StoreError};
use rusqlite::{Row, params};
use uuid::Uuid;

use super::{
    Result, certificate,
    job::{read_filtered, read_level},
    read_types,
};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn},
};

const SELECT: &str = include_str!("../../sql/purge/audit_records_from.sql");

pub(super) async fn records(store: &SqliteStore, after: u64, count: usize) -> Result<Vec<AuditRecord>> {
    store
        .connections
        .read(move |tx| {
            let mut statement = tx.prepare_cached(SELECT)?;
            let mut rows = statement.query(params![after, i64::try_from(count).unwrap_or(i64::MAX)])?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push(read(row)?);
            }
            Ok(records)
        })
        .await
}

pub(super) async fn store_id(store: &SqliteStore) -> Result<Uuid> {
    store.connections.read(|tx| certificate::store_id(tx)).await
}

fn read(row: &Row<'_>) -> crate::error::Result<AuditRecord> {
    let client_id = ClientId(row.get(2)?);
    let owner = match row.get(3)? {
        Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
        None => Scope::Client { client_id },
    };
    let types: Option<String> = row.get(5)?;
    let closed_on: Option<InstantColumn> = row.get(11)?;
    Ok(AuditRecord {
        number: row.get(0)?,
        job_id: row.get(1)?,
        owner,
        client_name: row.get(4)?,
        selection: Selection {
            types: types.as_deref().map(read_types).transpose()?,
            before: row.get::<_, Option<InstantColumn>>(6)?.map(|column| column.0),
            include_deleted: row.get(7)?,
            level: read_level(&row.get::<_, String>(18)?)?,
            filtered_types: read_filtered(row.get(19)?)?,
        },
        reason: row.get(8)?,
        watermark: row.get::<_, SeqColumn>(9)?.0,
        opened_on: row.get::<_, InstantColumn>(10)?.0,
        closed: closed_on.map(|closed_on| end(row, closed_on)).transpose()?,
    })
}

fn end(row: &Row<'_>, closed_on: InstantColumn) -> crate::error::Result<AuditEnd> {
    let outcome: String = row.get(12)?;
    Ok(AuditEnd {
        closed_on: closed_on.0,
        outcome: outcome.parse::<JobState>().map_err(|unknown| StoreError::NotUnderstood(unknown.to_string()))?,
        counts: Counts { planned: row.get(13)?, deleted: row.get(14)?, spared: row.get(15)?, held: row.get(16)?, failed: row.get(17)? },
    })
}
