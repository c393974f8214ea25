//! Removing the index rows of what is gone: in place with each batch, or in one pass at the end.

/// How the index rows of deleted resources are removed. Chosen once, when the plan is sealed.
///
/// Index tables are ordered by what is looked up and not by resource, so the rows of one batch lie scattered: removing them with the
/// batch touches about one page a row. A pass at the end touches every page of the account's index once, but each only once.
/// Source: Gärtner, Kemper, Kossmann, Zeller, *Efficient Bulk Deletes in Relational Databases*, ICDE 2001.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexRemoval {
    /// With each batch, row by row.
    InPlace,
    /// In one pass over the account's index rows of each type touched, after the last batch.
    Pass,
}

/// Below one doomed resource in this many, row by row is cheaper (docs/adr/0004 has the measurement).
pub const PASS_PAYS_BELOW_ONE_IN: u64 = 20;

impl IndexRemoval {
    /// Chooses by cost: `doomed` of `stored` resources of the account go.
    #[must_use]
    pub fn choose(doomed: u64, stored: u64) -> Self {
        if doomed.saturating_mul(PASS_PAYS_BELOW_ONE_IN) < stored { Self::InPlace } else { Self::Pass }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_go_in_place_and_many_in_a_pass() {
        assert_eq!(IndexRemoval::choose(1, 1_000_000), IndexRemoval::InPlace);
        assert_eq!(IndexRemoval::choose(50_000, 1_000_000), IndexRemoval::Pass);
        assert_eq!(IndexRemoval::choose(0, 0), IndexRemoval::Pass);
    }
}
