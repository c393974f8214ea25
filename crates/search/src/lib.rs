//! What of a resource is indexed, and what a listing asks for.
//!
//! Vocabulary only: no input or output. Full R4 search grows here; today it is references and the control parameters of a listing.

mod index;
mod listing;

pub use index::{IndexEntries, ProvenanceTarget, ReferenceErrors, index_entries};
pub use listing::{LastUpdatedFilter, Listing, ListingError};
