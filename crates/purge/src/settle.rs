//! Removing the index rows of what is gone, in one pass for each type that lost resources.
//!
//! Index tables are ordered by what is looked up and not by resource, so the index rows of one batch lie scattered: removing them with
//! the batch would rewrite about one page a row. A pass after the last batch rewrites each page at most once.
//! Source: Gärtner, Kemper, Kossmann, Zeller, *Efficient Bulk Deletes in Relational Databases*, ICDE 2001.

/// How the pass over the index rows of one account and type goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// No version of the type is left up to the watermark: every index row up to it goes, and none needs to be looked at.
    WholeType,
    /// Some are left: an index row goes if its version is gone.
    Orphans,
}

impl Sweep {
    /// Chooses by whether any version stored up to the watermark is left.
    #[must_use]
    pub fn choose(is_any_version_left: bool) -> Self {
        if is_any_version_left { Self::Orphans } else { Self::WholeType }
    }
}
