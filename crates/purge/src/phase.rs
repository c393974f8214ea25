//! How far the walk of one purge has come.

use std::str::FromStr;

use thiserror::Error;

/// The steps between kick-off and the end, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The plan is being made; nothing has been removed.
    Plan,
    /// Batches are being removed.
    Execute,
    /// Index rows of what is gone are being removed, space is given back, freed bytes are overwritten.
    Settle,
    /// Nothing may be left: every residence is probed, and the sums are checked.
    Certify,
}

/// A stored phase that this version does not know (INV-9).
#[derive(Debug, Error, PartialEq, Eq)]
#[error("purge phase '{0}' is not known to this version")]
pub struct UnknownPhase(pub String);

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Plan, Self::Execute, Self::Settle, Self::Certify];

    /// The word in storage and on the wire.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Execute => "execute",
            Self::Settle => "settle",
            Self::Certify => "certify",
        }
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(stored: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|phase| phase.stored() == stored).ok_or_else(|| UnknownPhase(stored.to_owned()))
    }
}
