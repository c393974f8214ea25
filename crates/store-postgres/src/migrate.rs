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
const IS_SPREAD: &str = include_str!("../sql/migrations/is_spread.sql");
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

/// What a database has.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Schema {
    /// No tables, and none were to be made.
    Missing,
    /// The tables.
    Here,
    /// The tables, those of accounts spread over machines (Citus).
    Spread,
}

/// Runs the migrations that are missing, all in one transaction; a lock keeps concurrent starts apart. Spreads the tables over machines if the database
/// can do that, and has not yet.
pub(crate) async fn migrate(connections: &Connections, if_none: IfNone) -> std::result::Result<Schema, MigrateError> {
    let (found, schema) = connections.write(Durability::OnDisk, |tx| migrate_in(tx, if_none)).await?;
    if found > MIGRATIONS.len() {
        return Err(MigrateError::TooNew { found, known: MIGRATIONS.len() });
    }
    Ok(schema)
}

/// The number of the schema that was found, and what there is now.
async fn migrate_in(tx: Tx, if_none: IfNone) -> Result<(usize, Schema)> {
    let found = schema_of(&tx).await?;
    if found == 0 && if_none == IfNone::Refuse {
        return Ok((found, Schema::Missing));
    }
    let has_citus: bool = tx.row(HAS_CITUS, &[]).await?.try_get(0)?;
    let schema = if has_citus { Schema::Spread } else { Schema::Here };
    let is_done = async || Ok::<_, SqlError>(!has_citus || tx.row(IS_SPREAD, &[]).await?.try_get(0)?);
    if found >= MIGRATIONS.len() && is_done().await? {
        return Ok((found, schema));
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
    if !is_done().await? {
        // One connection to each machine: the tables were made in this transaction.
        tx.run("set local citus.multi_shard_modify_mode = 'sequential'").await?;
        tx.rows(SPREAD, &[]).await?;
    }
    Ok((found, schema))
}

async fn schema_of(tx: &Tx) -> Result<usize> {
    let stored: Option<String> = tx.row(SELECT_SCHEMA, &[]).await?.try_get(0)?;
    let not_understood = |stored: &str| lethe_store::StoreError::NotUnderstood(format!("the comment on schema lethe: {stored}"));
    Ok(stored.map_or(Ok(0), |stored| stored.parse().map_err(|_| not_understood(&stored)))?)
}
