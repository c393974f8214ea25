//! What of a resource is indexed, and what a search asks for.
//!
//! Vocabulary only: no input or output.
//!
//! - `value`: how a value is written into an index.
//! - `criterion`: a search, taken apart.
//! - `definitions`: R4's search parameters and compartments.
//! - `export`: what a bulk export takes.
//! - `extract`: a resource's index values.
//! - `group_members`: who is a member of a Group.
//! - `index`: what of a resource is kept beside it.
//! - `patient_compartment`: in whose compartments a resource is.
//! - `query`: a query string, taken apart into criteria.
//! - `words`: the words of a stored body.

mod criterion;
pub mod definitions;
pub mod export;
mod extract;
mod group_members;
mod index;
mod index_values;
mod last_updated;
pub mod patient_compartment;
pub mod query;
pub mod value;
mod words;

pub use criterion::{Branch, Criterion, SortBy, SortKey, SortPath, SortWidth, Span, SpanEnd, ValueCheck, WordPlace, after_prefix};
pub use extract::{TooManyValues, VALUE_BYTES_MAX, VALUES_MAX, canonical_unit, extract, reference_or_url, reference_value};
pub use group_members::{NOBODY_HERE, members_of};
pub use index::{IndexEntries, IndexError, ProvenanceTarget, ReferenceErrors, index_entries};
pub use index_values::{Entries, Facet, IndexValue, IndexValues, PathId};
pub use last_updated::LastUpdatedFilter;
pub use words::{DistinctWords, has_words, words};

/// Number of the way in which index values are made and written. Raising it comes with a migration of every store that makes them anew.
pub const INDEX_FORMAT: u32 = 2;
