//! Queries: the decoded pairs of a query string → a [`Search`] (<https://hl7.org/fhir/R4/search.html>).
//!
//! `search` and `system` read whole queries, `read` one parameter, and a file for each type of parameter what its values ask of the
//! index. Whatever is not understood is an error that says what would be right; nothing is guessed.

mod chain;
mod compartment;
mod composite;
mod control;
mod date;
mod decimal;
mod error;
mod extent;
mod include;
mod known;
mod limit;
mod number;
mod position;
mod prefix;
mod quantity;
mod read;
mod reference;
mod search;
mod self_link;
mod sort;
mod special;
mod string;
mod suggest;
mod system;
mod token;
mod uri;
mod values;

#[cfg(test)]
mod on_resources;
#[cfg(test)]
mod tests;

pub use compartment::{compartment_types, in_compartment};
pub use control::{Summary, TotalMode};
pub use error::{QueryError, QueryErrorKind, QueryErrors};
pub use include::Include;
pub use limit::{CHAIN_DEPTH_MAX, INCLUDES_MAX, PARAMETERS_MAX, VALUE_BYTES_MAX, VALUES_MAX};
pub use search::{Search, Strictness};
