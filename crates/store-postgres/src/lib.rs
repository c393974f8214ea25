//! The store on PostgreSQL: for where one machine is not enough.
//!
//! Readable beside `lethe-store-sqlite`: files, tables and statements have the same names, and what differs says why. Where the order of commits
//! comes from is in docs/adr/0036. SQL stands in `sql/`, one statement a file.

#![allow(dead_code, unused_imports, reason = "until every port is here")]

mod accounts;
mod bulk;
mod check;
mod columns;
mod connections;
mod error;
mod holds;
mod index_columns;
mod migrate;
mod open;
mod purge;
mod recovery;
mod resources;
mod searches;
mod time_limit;
mod transaction;

pub use migrate::{MigrateError, SCHEMA};
pub use open::{OpenError, PostgresStore};

/// Where a port is not here yet, it refuses: what is not done must not look as if it were.
fn not_ported() -> lethe_store::StoreError {
    lethe_store::StoreError::Failed("the store on PostgreSQL cannot do this yet".into())
}
