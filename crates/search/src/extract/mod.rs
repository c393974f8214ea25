//! A resource → its index values.
//!
//! One walk over the JSON, led by a tree for each type (`tree.rs`) that was made once from the table of definitions. `read.rs` knows
//! what of each datatype counts, `moment.rs` times, `amount.rs` numbers and quantities, `composite.rs` values that belong together, `contained.rs` what is contained.
//! What is not of the expected shape is passed over: whether a resource is well formed is not decided here.

mod amount;
mod composite;
mod contained;
mod moment;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod unit;

use lethe_fhir::{LocalBases, Resource};
use thiserror::Error;

use crate::{IndexValue, IndexValues, PathId};

use contained::Contained;

pub use read::{reference_or_url, reference_value};
pub use unit::canonical_unit;

/// Index values of one resource.
pub const VALUES_MAX: usize = 20_000;

/// Bytes of the index values of one resource, 4 MiB.
pub const VALUE_BYTES_MAX: usize = 4 << 20;

/// A resource holds more than an index takes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the resource has more values to search by than are accepted ({VALUES_MAX}, or {} MiB of them): divide it into several resources",
    VALUE_BYTES_MAX >> 20
)]
pub struct TooManyValues;

/// The index values of `resource`. References are local under `bases`.
///
/// # Errors
/// It has more than [`VALUES_MAX`] or [`VALUE_BYTES_MAX`].
pub fn extract(resource: &Resource, bases: &LocalBases) -> Result<IndexValues, TooManyValues> {
    let contained = Contained::of(resource.content());
    let mut found = Found { contained: Some(&contained), ..Found::new(bases) };
    tree::of(resource.resource_type).walk_resource(resource.content(), &mut found);
    if found.is_over { Err(TooManyValues) } else { Ok(IndexValues::of(found.values)) }
}

/// What was found so far.
struct Found<'a> {
    bases: &'a LocalBases,
    values: Vec<IndexValue>,
    bytes: usize,
    is_over: bool,
    /// What references within the resource lead to, where that counts.
    contained: Option<&'a Contained<'a>>,
    /// So many of these have led here.
    links: usize,
}

impl<'a> Found<'a> {
    fn new(bases: &'a LocalBases) -> Self {
        Self { bases, values: Vec::new(), bytes: 0, is_over: false, contained: None, links: 0 }
    }

    /// Adds what only helps to find: without it where there is little room, so that nothing is refused for it.
    fn push_if_room(&mut self, path: PathId, value: Vec<u8>) {
        if self.bytes + value.len() <= VALUE_BYTES_MAX / 2 && self.values.len() < VALUES_MAX / 2 {
            self.push(path, value);
        }
    }

    fn push(&mut self, path: PathId, value: Vec<u8>) {
        self.bytes += value.len();
        if self.values.len() >= VALUES_MAX || self.bytes > VALUE_BYTES_MAX {
            self.is_over = true;
        } else {
            self.values.push(IndexValue { path, value });
        }
    }
}
