//! Brings a database to the schema of this version, forward only, and twice without harm.

use thiserror::Error;

use crate::{
    connections::{Connections, Durability},
    error::{Error as SqlError, Result},
    transaction::Tx,
};

/// In order; the position, from 1, is the number that the comment on the schema holds after it.
const MIGRATIONS: [&str; 1] = [include_str!("../sql/migrations/0001_schema.sql")];

/// All of the schema that this version makes, as text: for whoever keeps a database that has it.
pub const SCHEMA: &str = MIGRATIONS[0];

const SELECT_SCHEMA: &str = include_str!("../sql/migrations/schema_number.sql");
const LOCK: &str = include_str!("../sql/migrations/lock.sql");
const HAS_CITUS: &str = include_str!("../sql/migrations/has_citus.sql");
const COUNT_SPREAD: &str = include_str!("../sql/migrations/spread_tables.sql");
const SPREAD: &str = include_str!("../sql/migrations/spread.sql");

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
    Postgres(#[source] lethe_store::StoreError),
}

impl From<SqlError> for MigrateError {
    fn from(error: SqlError) -> Self {
        Self::Postgres(error.into())
    }
}

/// What to do about a database without tables.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum IfNone {
    Make,
    Refuse,
}

/// Runs the migrations that are missing, all in one transaction; a lock keeps concurrent starts apart. `false` if there are no tables and none
/// are to be made.
pub(crate) async fn migrate(connections: &Connections, if_none: IfNone) -> std::result::Result<bool, MigrateError> {
    let found = connections.write(Durability::OnDisk, |tx| migrate_in(tx, if_none)).await?;
    if found > MIGRATIONS.len() {
        return Err(MigrateError::TooNew { found, known: MIGRATIONS.len() });
    }
    Ok(found > 0 || if_none == IfNone::Make)
}

/// The schema that was found.
async fn migrate_in(tx: Tx, if_none: IfNone) -> Result<usize> {
    let found = schema_of(&tx).await?;
    let is_wanted = found > 0 || if_none == IfNone::Make;
    if !is_wanted || (found >= MIGRATIONS.len() && !is_to_spread(&tx).await?) {
        return Ok(found);
    }
    tx.row(LOCK, &[]).await?;
    // Another may have been quicker.
    let found = schema_of(&tx).await?;
    for migration in MIGRATIONS.iter().skip(found) {
        tx.run(migration).await?;
    }
    if found < MIGRATIONS.len() {
        tx.run(&format!("comment on schema lethe is '{}'", MIGRATIONS.len())).await?;
    }
    if is_to_spread(&tx).await? {
        // Each table after the other, on one connection to each machine: they were made in this transaction.
        tx.run("set local citus.multi_shard_modify_mode = 'sequential'").await?;
        tx.rows(SPREAD, &[]).await?;
    }
    Ok(found)
}

/// Whether the database can be spread over machines by account (Citus), and is not yet.
async fn is_to_spread(tx: &Tx) -> Result<bool> {
    if !tx.row(HAS_CITUS, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    Ok(tx.row(COUNT_SPREAD, &[]).await?.try_get::<_, i64>(0)? == 0)
}

async fn schema_of(tx: &Tx) -> Result<usize> {
    let stored: Option<String> = tx.row(SELECT_SCHEMA, &[]).await?.try_get(0)?;
    let not_understood = |stored: &str| lethe_store::StoreError::NotUnderstood(format!("the comment on schema lethe: {stored}"));
    Ok(stored.map_or(Ok(0), |stored| stored.parse().map_err(|_| not_understood(&stored)))?)
}
