//! The centre: what a purge is, decided purely. Read it in this order:
//!
//! 1. [`request`]: what was asked, parsed once.
//! 2. [`selection`]: which resources are targets (INV-1).
//! 3. [`plan`]: targets → batches, as ranges (INV-7).
//! 4. [`companions`]: the Provenance and Binary that go along.
//! 5. [`holds`]: what stays all the same.
//! 6. [`preview`]: what would be removed, told beforehand.
//! 7. [`certify`]: whether it may be called successful (INV-4).
//!
//! No input or output, no clock, no randomness, no storage.

pub mod certify;
pub mod companions;
pub mod holds;
pub mod plan;
pub mod preview;
pub mod request;
pub mod selection;

mod counts;
mod phase;
mod retention;
mod seq_set;

pub use counts::Counts;
pub use phase::{Phase, UnknownPhase};
pub use retention::{RetentionRule, RetentionRuleError};
pub use selection::{PurgeLevel, Selection, Seq};
pub use seq_set::{NoSeqSet, SeqSet};
