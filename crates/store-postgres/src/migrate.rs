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
/// As whoever has the database to himself (`sql/presence`), until the transaction ends.
const TAKE_ALONE: &str = include_str!("../sql/migrations/take_alone.sql");
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
    /// Servers or workers of an earlier version are at it, and would go on with a schema that they do not know.
    #[error(
        "the database has schema {found}, and processes of the version that made it still use it: stop all of them, then run lethe migrate"
    )]
    Served {
        /// Schema of the database.
        found: usize,
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Schema {
    /// No tables, and none were to be made.
    Missing,
    /// The tables.
    Here,
    /// The tables, those of accounts spread over machines (Citus).
    Spread,
}

/// Runs the migrations that are missing, all in one transaction; a lock keeps concurrent starts apart. Tables that it makes are spread over machines if the
/// database can do that.
pub(crate) async fn migrate(connections: &Connections, if_none: IfNone) -> std::result::Result<Schema, MigrateError> {
    migrate_by(connections, if_none, &MIGRATIONS).await
}

async fn migrate_by(connections: &Connections, if_none: IfNone, migrations: &[&str]) -> std::result::Result<Schema, MigrateError> {
    match connections.write(Durability::OnDisk, |tx| migrate_in(tx, if_none, migrations)).await? {
        (found, None) => Err(MigrateError::Served { found }),
        (found, _) if found > migrations.len() => Err(MigrateError::TooNew { found, known: migrations.len() }),
        (_, Some(schema)) => Ok(schema),
    }
}

/// The number of the schema that was found, and what there is now; `None` if it is older and somebody uses it.
async fn migrate_in(tx: Tx, if_none: IfNone, migrations: &[&str]) -> Result<(usize, Option<Schema>)> {
    let found = schema_of(&tx).await?;
    if found == 0 && if_none == IfNone::Refuse {
        return Ok((found, Some(Schema::Missing)));
    }
    if found >= migrations.len() {
        return Ok((found, Some(here(&tx).await?)));
    }
    tx.row(LOCK, &[]).await?;
    // Another may have been quicker.
    let found = schema_of(&tx).await?;
    if (1..migrations.len()).contains(&found) && !tx.row(TAKE_ALONE, &[]).await?.try_get::<_, bool>(0)? {
        return Ok((found, None));
    }
    for migration in migrations.iter().skip(found) {
        tx.run(migration).await?;
    }
    if found < migrations.len() {
        tx.run(&format!("comment on schema lethe is '{}'", migrations.len())).await?;
    }
    // Only while they are empty: rows that are there would stay, beside their copies, where no purge sees them.
    if found == 0 && has_citus(&tx).await? {
        // One connection to each machine: the tables were made in this transaction.
        tx.run("set local citus.multi_shard_modify_mode = 'sequential'").await?;
        tx.rows(SPREAD, &[]).await?;
    }
    Ok((found, Some(here(&tx).await?)))
}

async fn has_citus(tx: &Tx) -> Result<bool> {
    Ok(tx.row(HAS_CITUS, &[]).await?.try_get(0)?)
}

/// How the tables lie.
async fn here(tx: &Tx) -> Result<Schema> {
    let is_spread = has_citus(tx).await? && tx.row(IS_SPREAD, &[]).await?.try_get(0)?;
    Ok(if is_spread { Schema::Spread } else { Schema::Here })
}

async fn schema_of(tx: &Tx) -> Result<usize> {
    let stored: Option<String> = tx.row(SELECT_SCHEMA, &[]).await?.try_get(0)?;
    let not_understood = |stored: &str| lethe_store::StoreError::NotUnderstood(format!("the comment on schema lethe: {stored}"));
    Ok(stored.map_or(Ok(0), |stored| stored.parse().map_err(|_| not_understood(&stored)))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        presence::{Held, Presence},
        searches::test_database::with_empty_database,
    };

    #[tokio::test]
    async fn an_older_schema_is_brought_up_to_date_when_nobody_uses_it() {
        with_empty_database(async |address| {
            let connections = Connections::new(&address, Duration::from_secs(9), 1).unwrap();
            let later = [MIGRATIONS[0], "create table lethe.later (only_row bigint primary key)"];
            assert_ne!(migrate(&connections, IfNone::Make).await.unwrap(), Schema::Missing);
            let server = Presence::take(&address, Held::Shared { came_back: 0 }).await.unwrap().unwrap();
            let refused = migrate_by(&connections, IfNone::Refuse, &later).await.unwrap_err();
            assert!(matches!(refused, MigrateError::Served { found: 1 }), "{refused}");
            assert!(migrate(&connections, IfNone::Refuse).await.is_ok(), "the same version goes on beside it");
            drop(server);
            // PostgreSQL takes the lock back a moment later.
            while migrate_by(&connections, IfNone::Refuse, &later).await.is_err() {}
            let refused = migrate(&connections, IfNone::Refuse).await.unwrap_err();
            assert!(matches!(refused, MigrateError::TooNew { found: 2, known: 1 }), "{refused}");
            connections.read(|tx| async move { tx.run("select 1 from later").await }).await.unwrap();
        })
        .await;
    }

    #[tokio::test]
    async fn who_waited_for_the_lock_sees_what_was_made_meanwhile() {
        // A small one: PostgreSQL wakes processes that lag far behind, and then they look again.
        const SMALL: [&str; 1] = ["create schema lethe; create table lethe.made_once (only_row bigint primary key)"];
        with_empty_database(async |address| {
            let connections = || Connections::new(&address, Duration::from_secs(9), 1).unwrap();
            let (quicker, slower) = (connections(), connections());
            let waiting = tokio::sync::Notify::new();
            let make = quicker.write(Durability::OnDisk, |tx| {
                let waiting = &waiting;
                async move {
                    tx.row(LOCK, &[]).await?;
                    waiting.notify_one();
                    let waits = "select pg_sleep(0.005), exists (select 1 from pg_locks join pg_database on pg_database.oid = database
                        where locktype = 'advisory' and not granted and datname = current_database())";
                    while !tx.row(waits, &[]).await?.try_get::<_, bool>(1)? {}
                    migrate_in(tx, IfNone::Make, &SMALL).await
                }
            });
            let wait = async {
                waiting.notified().await;
                migrate_by(&slower, IfNone::Make, &SMALL).await
            };
            let (made, found) = tokio::join!(make, wait);
            assert_eq!((made.unwrap().1, found.unwrap()), (Some(Schema::Here), Schema::Here));
        })
        .await;
    }

    /// What of Citus a migration asks, under its names: it notes which tables are to be spread.
    const LIKE_CITUS: &str = "
        create schema if not exists lethe;
        create table lethe.pg_dist_partition (logicalrelid regclass, colocated text);
        create function lethe.create_distributed_table (spread text, by text, colocate_with text) returns void language sql
        as 'insert into lethe.pg_dist_partition values (spread::regclass, colocate_with)';
        update pg_extension set extname = 'citus' where extname = 'plpgsql'";

    async fn spread_tables(connections: &Connections) -> i64 {
        let count = "select count(*) from lethe.pg_dist_partition where colocated in ('none', 'lethe.commit_order')";
        connections.read(|tx| async move { Ok(tx.row(count, &[]).await?.try_get(0)?) }).await.unwrap()
    }

    #[tokio::test]
    async fn tables_are_spread_when_they_are_made_and_those_that_may_have_rows_never() {
        for citus_comes_first in [true, false] {
            with_empty_database(async |address| {
                let connections = Connections::new(&address, Duration::from_secs(9), 1).unwrap();
                let add_citus = async || connections.write(Durability::OnDisk, |tx| async move { tx.run(LIKE_CITUS).await }).await.unwrap();
                if citus_comes_first {
                    add_citus().await;
                    assert_eq!(migrate(&connections, IfNone::Make).await.unwrap(), Schema::Spread);
                } else {
                    assert_eq!(migrate(&connections, IfNone::Make).await.unwrap(), Schema::Here);
                    add_citus().await;
                }
                let expected = if citus_comes_first { Schema::Spread } else { Schema::Here };
                let (before, later) =
                    (spread_tables(&connections).await, [MIGRATIONS[0], "create table lethe.later (only_row bigint primary key)"]);
                assert_eq!(migrate(&connections, IfNone::Make).await.unwrap(), expected, "there is nothing to do");
                assert_eq!(migrate_by(&connections, IfNone::Make, &later).await.unwrap(), expected, "a later schema, over rows");
                let after = spread_tables(&connections).await;
                assert!(before == after && (after > 5) == citus_comes_first && (after == 0) != citus_comes_first, "{before} and {after}");
            })
            .await;
        }
    }
}
