//! The SQL of searches: one compiler for every store that keeps the tables of docs/schema.md.
//!
//! - `request`: what is to be compiled, and what comes out.
//! - `dialect`: what differs between databases.
//! - `tables`: the order in which a statement looks into its tables.
//! - `candidates`: where a statement begins, so that it looks at few rows.
//! - `conditions`: what it then asks of each.
//! - `compile`: the statements.
//!
//! No statement is written without the account, which is always the first value (INV-8). Values are bound, never pasted.

mod builder;
mod candidates;
mod compile;
mod conditions;
mod dialect;
mod request;
mod tables;

pub use builder::Builder;
pub use compile::{count, count_rows, estimate, page};
pub use dialect::{Dialect, Index, Joins};
pub use request::{After, Direction, Driver, Param, Request, Statement, possible_drivers};
