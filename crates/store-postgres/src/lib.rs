//! The store on PostgreSQL: for where one machine is not enough.
//!
//! Readable beside `lethe-store-sqlite`: files, tables and statements have the same names, and what differs says why. Where the order of commits
//! comes from is in docs/adr/0036. SQL stands in `sql/`, one statement a file.

mod accounts;
mod address;
mod bulk;
mod check;
mod claim;
mod columns;
mod connections;
mod erase_files;
mod error;
mod holds;
mod index_columns;
mod index_keys;
mod lease_times;
mod migrate;
mod moved_in;
mod open;
mod presence;
mod purge;
mod recovery;
mod resources;
mod searches;
mod time_limit;
mod tls;
mod transaction;

pub use erase_files::{EraseFilesError, ErasePatience, ErasedFiles, LeftBecause, LeftTable, RewrittenTable, Tell, erase_files};
pub use index_keys::{keys_for, keys_of};
pub use migrate::{MigrateError, SCHEMA};
pub use moved_in::{MovedIn, MovedTable};
pub use open::{OpenError, PostgresStore};
pub use presence::Held;
pub use tls::advice_on_encryption;
