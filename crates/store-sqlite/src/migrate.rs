//! Brings a database to the schema of this version, forward only, and twice without harm.

use rusqlite::{Connection, TransactionBehavior};
use thiserror::Error;

/// In order; the position, from 1, is SQLite's `user_version` after it.
const MIGRATIONS: [&str; 1] = [include_str!("../sql/migrations/0001_schema.sql")];

/// Why a database cannot be used by this version.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// A later version of Lethe wrote it.
    #[error("the database has schema {found}, this version of Lethe knows up to {known}: use the version that wrote it, or a later one")]
    TooNew {
        /// Schema of the database.
        found: usize,
        /// Newest schema that this version knows.
        known: usize,
    },
    /// A statement failed; the database is as it was.
    #[error("the schema could not be brought up to date; the database is as it was")]
    Sqlite(#[from] rusqlite::Error),
}

/// Runs the migrations that are missing, all in one transaction, which also keeps concurrent starts apart.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    if schema_of(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = schema_of(&transaction)?;
    if found > MIGRATIONS.len() {
        return Err(MigrateError::TooNew { found, known: MIGRATIONS.len() });
    }
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

fn schema_of(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
