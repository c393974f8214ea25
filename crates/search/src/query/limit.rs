//! How much one query may ask. Each limit has an error that names it.

use std::cell::Cell;

use super::error::Fault;

/// Parameters of one query, repetitions counted.
pub const PARAMETERS_MAX: usize = 100;
/// Alternatives of one parameter.
pub const VALUES_MAX: usize = 1_000;
/// Bytes of one alternative.
pub const VALUE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a parameter's name, chain and all.
pub const NAME_BYTES_MAX: usize = 512;
/// Links of one chain, `_has` counted.
pub const CHAIN_DEPTH_MAX: usize = 5;
/// `_include` and `_revinclude` together.
pub const INCLUDES_MAX: usize = 20;
/// Keys of `_sort`.
pub const SORT_KEYS_MAX: usize = 10;
/// Names in `_elements`.
pub const ELEMENTS_MAX: usize = 100;
/// Words of one `_text` or `_content`.
pub const WORDS_MAX: usize = 50;
/// Spans and conditions that one query may become, over all types that it reaches.
const PIECES_MAX: usize = 20_000;

/// What one link of a chain counts for: a question to another type costs more than one to the same resource.
pub(super) const LINK_PIECES: usize = 100;

/// Counts what a query becomes, so that a short text cannot grow without end.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub fn new() -> Self {
        Self(Cell::new(PIECES_MAX))
    }

    /// Takes `pieces` from what is left.
    pub fn charge(&self, pieces: usize) -> Result<(), Fault> {
        match self.0.get().checked_sub(pieces) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                self.0.set(0);
                Err(Fault::costly(format!(
                    "the query reaches too much (over {PIECES_MAX} conditions): name the type of each reference (subject:Patient.name, \
                     Patient/23), or give fewer values"
                )))
            }
        }
    }
}
