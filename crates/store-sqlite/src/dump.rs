//! All that is stored, table by table and as it was at one moment, for a store that moves to another database.

use std::path::Path;

use lethe_store::{StoreError, StoredRow, StoredValue};
use rusqlite::{Connection, OptionalExtension, types::ValueRef};
use uuid::Uuid;

use crate::{connections::open_reader, error::Result, open::DATABASE_FILE};

/// Rows that are handed on together, and bytes after which fewer are.
const ROWS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// A view of a store: what is written after it was opened is not in it.
pub struct Dump {
    view: Connection,
}

impl Dump {
    /// Of the store in `directory`, which has this version's schema.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(directory: &Path) -> std::result::Result<Self, StoreError> {
        let begin = || -> Result<Connection> {
            let view = open_reader(&directory.join(DATABASE_FILE))?;
            view.execute_batch("begin")?;
            view.query_row("select count(*) from lineage", [], |_| Ok(()))?;
            Ok(view)
        };
        Ok(Self { view: begin()? })
    }

    /// Purges that have not ended.
    ///
    /// # Errors
    /// As all of these: it cannot be read.
    pub fn purges_in_progress(&self) -> std::result::Result<u64, StoreError> {
        self.number("select count(*) from purge_job where state in ('queued', 'running', 'canceling')")
    }

    /// The last place in the order of commits.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn last_seq(&self) -> std::result::Result<u64, StoreError> {
        self.number("select last_seq from commit_order")
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rows(&self, table: &str) -> std::result::Result<u64, StoreError> {
        self.number(&format!("select count(*) from {}", rows_of(table)))
    }

    /// Bytes of all bodies, as they are stored.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn body_bytes(&self) -> std::result::Result<u64, StoreError> {
        self.number("select coalesce(sum(length(body)), 0) from version")
    }

    /// The last number that was given in a table, also if its row is gone: none is given twice.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn last_number(&self, table: &str) -> std::result::Result<u64, StoreError> {
        let find = || -> Result<Option<i64>> {
            Ok(self.view.query_row("select seq from sqlite_sequence where name = ?1", [table], |row| row.get(0)).optional()?)
        };
        Ok(find()?.unwrap_or_default().unsigned_abs())
    }

    /// The names of a table's columns.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn columns(&self, table: &str) -> std::result::Result<Vec<String>, StoreError> {
        Ok(self.declared(table)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Hands all rows of a table on, some at a time, until `each` is done.
    ///
    /// # Errors
    /// It cannot be read, or has no such column; or what `each` returns.
    pub fn hand_on<E: From<StoreError>>(
        &self,
        table: &str,
        columns: &[String],
        mut each: impl FnMut(Vec<StoredRow>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let declared = self.declared(table).map_err(StoreError::from)?;
        let is_id = |column: &String| declared.iter().any(|(name, r#type)| name == column && r#type == "any");
        let are_ids: Vec<bool> = columns.iter().map(is_id).collect();
        let sql = format!("select \"{}\" from {}", columns.join("\", \""), rows_of(table));
        let failed = |error: rusqlite::Error| StoreError::from(crate::error::Error::from(error));
        let mut statement = self.view.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed)? {
            let mut values = Vec::with_capacity(columns.len());
            for (place, is_id) in are_ids.iter().enumerate() {
                let value = value_of(row.get_ref(place).map_err(failed)?, *is_id)?;
                bytes += match &value {
                    StoredValue::Bytes(bytes) => bytes.len(),
                    StoredValue::Text(text) => text.len(),
                    StoredValue::Null | StoredValue::Integer(_) | StoredValue::Id(_) => 16,
                };
                values.push(value);
            }
            batch.push(values);
            if batch.len() == ROWS || bytes > BYTES {
                each(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            each(batch)?;
        }
        Ok(())
    }

    /// Names and types of a table's columns, as they were declared.
    fn declared(&self, table: &str) -> Result<Vec<(String, String)>> {
        let mut statement = self.view.prepare("select name, lower(type) from pragma_table_info(?1)")?;
        Ok(statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
    }

    fn number(&self, sql: &str) -> std::result::Result<u64, StoreError> {
        let find = || -> Result<i64> { Ok(self.view.query_row(sql, [], |row| row.get(0))?) };
        Ok(find()?.unsigned_abs())
    }
}

/// The rows of a table. A purge that failed before its sweep leaves ids that lead to nothing: they stay here.
fn rows_of(table: &str) -> String {
    if table != "resource" {
        return table.to_owned();
    }
    "resource where exists (select 1 from version v where v.account_id = resource.account_id and v.type_id = resource.type_id and v.seq = resource.seq)"
        .to_owned()
}

fn value_of(value: ValueRef<'_>, is_id: bool) -> std::result::Result<StoredValue, StoreError> {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec());
        text.map_err(|_| StoreError::NotUnderstood("a text that is not UTF-8".to_owned()))
    };
    Ok(match value {
        ValueRef::Null => StoredValue::Null,
        ValueRef::Integer(number) => StoredValue::Integer(number),
        ValueRef::Real(_) => return Err(StoreError::NotUnderstood("a number with a fraction, of which no column has any".to_owned())),
        ValueRef::Text(bytes) if is_id => StoredValue::Id(text(bytes)?),
        ValueRef::Text(bytes) => StoredValue::Text(text(bytes)?),
        ValueRef::Blob(bytes) if is_id => match Uuid::from_slice(bytes) {
            Ok(uuid) => StoredValue::Id(uuid.hyphenated().to_string()),
            Err(_) if bytes.is_empty() => StoredValue::Id(String::new()),
            Err(error) => return Err(StoreError::NotUnderstood(format!("a logical id: {error}"))),
        },
        ValueRef::Blob(bytes) => StoredValue::Bytes(bytes.to_vec()),
    })
}
