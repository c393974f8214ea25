//! The Provenance and Binary that go along with the targets, whatever `_type` and `_before` say.
//!
//! A Provenance goes when at least one of its targets is purged and none remains. A Binary goes when something purged refers to it
//! and nothing that remains does. The two rules can depend on each other (a Provenance about a Binary that only it still refers to),
//! so the companions are the *largest* set that satisfies both: start with every candidate, strike out whoever is kept by
//! something that remains, and repeat until nobody is struck out.

/// What one neighbour of a candidate means for it: a target of a Provenance, a resource that refers to a Binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Not in the store (any more).
    Absent,
    /// A target of this purge, or a companion that has not been struck out.
    Going,
    /// Stays: not selected, updated after kick-off, held, or out of reach (another server's).
    Remaining,
}

/// Whether a candidate may stay on the list of companions.
#[must_use]
pub fn goes_along(neighbours: impl IntoIterator<Item = Neighbour>) -> bool {
    neighbours.into_iter().all(|neighbour| neighbour != Neighbour::Remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_remains_keeps_the_companion() {
        assert!(goes_along([Neighbour::Going, Neighbour::Absent]));
        assert!(!goes_along([Neighbour::Going, Neighbour::Remaining]));
    }
}
