//! The purge journal: a file outside of the database in which every purge that ends puts what it removed.
//!
//! One JSON object a line, only ever appended. Each line has its number and a hash over itself and the hash before, so that what is changed,
//! missing or out of order is told by its number. It names versions by their places in the order of commits, in sets: no ids, no content, no
//! words of callers. docs/adr/0031 says why.

mod entry;
mod keeper;
mod lines;
mod parts;
mod scan;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use entry::Digested;

pub(crate) use keeper::{JournalKeeper, Writers};
pub(crate) use parts::parts_of;
pub(crate) use scan::{JournalError, RecordedEnd, Scan, scan};
