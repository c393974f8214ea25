//! The embedded store: one SQLite file, one writer, several readers.
//!
//! How rows are laid out, and why, is in docs/adr/0004 and docs/schema.md. SQL stands in `sql/`, one statement a file.

mod accounts;
mod backup;
mod bulk;
mod check;
mod clean_writes;
mod columns;
mod connections;
mod dump;
mod error;
mod holds;
mod long_statements;
mod migrate;
mod open;
mod page;
#[cfg(test)]
mod plans;
mod purge;
mod readers;
mod recovery;
mod resources;
mod searches;
mod stored_seqs;
mod writer;

pub use backup::{CopyError, back_up, verify_copy};
pub use dump::Dump;
pub use migrate::MigrateError;
pub use open::{OpenError, ServeLock, SqliteStore};
